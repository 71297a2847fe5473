/* SPDX-License-Identifier: Apache-2.0
 *
 * relocate.h: URIs of CMKs whose KMS lies elsewhere now.
 */
#ifndef BH_RING_RELOCATE_H
#define BH_RING_RELOCATE_H

#include "keyring.h"

/* The URI after the move; false: it is not concerned, or would be too long. */
bool bh_relocate_uri(const char *uri, const bh_keyring_options *options, char out[BH_KMS_URI_MAX + 1]);

#endif
