/* SPDX-License-Identifier: Apache-2.0
 *
 * cmk.h: the CMKs of an open keyring: opened, closed, their region looked at.
 */
#ifndef BH_RING_CMK_H
#define BH_RING_CMK_H

#include "ring.h"

/* Opens the CMK with the options the keyring was opened with, or gives the handle that is open (cmks.h): to be closed. */
BH_MUST_CHECK bh_status bh_keyring_kms_open(const bh_keyring *keyring, const char *uri, bh_kms **out);
/* Closes the merchant's CMK, if it is open, for all but those who hold it. */
void bh_keyring_cmk_close(bh_keyring *keyring, const char *merchant);
/* Refuses a CMK that says it is in another region. One call. Errors: those of bh_kms_describe(), BH_E_REGION. */
BH_MUST_CHECK bh_status bh_keyring_region_check(bh_kms *kms, const char *uri, const char *region);

#endif
