/* SPDX-License-Identifier: Apache-2.0
 *
 * cmks.h: the CMKs that a keyring has open, one handle each, and what its calls to them came to.
 *
 * A handle is opened at its first use, with no lock held, and shared by all who use the CMK: each holds it counted, so closing it
 * here takes it away from nobody. One whose last call failed is opened anew by the next user: a KMS that was set up again, or
 * a directory that was mounted again, is found. The statistics outlive the handles. After a fork the child opens its own.
 *
 * Thread-safety: all calls but new and free may come from many threads; none waits for a KMS but the one that opens.
 */
#ifndef BH_KEYRING_CMKS_H
#define BH_KEYRING_CMKS_H

#include "keyring/kms/kms.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_cmk_table bh_cmk_table;

/* `options` is borrowed for as long as the table lives. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_cmk_table_new(const bh_kms_options *options, bh_cmk_table **out);
/* No call may be under way. NULL-safe. */
void bh_cmk_table_free(bh_cmk_table *table);
/* A counted handle: bh_kms_close() it. Errors: those of bh_kms_open(). */
BH_MUST_CHECK bh_status bh_cmk_table_open(bh_cmk_table *table, const char *uri, bh_kms **out);
/* Lets go of the handle; those who hold it keep it. */
void bh_cmk_table_close(bh_cmk_table *table, const char *uri);
/* All zero where no call has been made. */
void bh_cmk_table_statistics(bh_cmk_table *table, const char *uri, bh_kms_statistics *out);

#ifdef __cplusplus
}
#endif
#endif
