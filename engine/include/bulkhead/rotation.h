/* SPDX-License-Identifier: Apache-2.0
 */
#ifndef BULKHEAD_ROTATION_H
#define BULKHEAD_ROTATION_H

#include <bulkhead/db.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Begins a new generation of DEKs, one for each class, wrapped by the merchant's CMK. New files, and the merchant's bytes in WAL
 * and MANIFEST, are sealed under it from this moment; what is there stays under the older ones until flushes and compactions have
 * rewritten it. Nobody waits for it. A generation that no file refers to any more is destroyed by the next open: its wrap leaves
 * DB/KEYRING. Errors: BH_E_NOT_FOUND, BH_E_SHREDDED, BH_E_SUSPENDED, BH_E_NO_KEY (its keys are not in memory, or its CMK does not
 * exist), BH_E_KMS_REFUSED, BH_E_KMS_UNREACHABLE, BH_E_TAG and BH_E_FORMAT (what the KMS answers is wrong), BH_E_REGION, BH_E_BUSY
 * (somebody else rotated or rewrapped it meanwhile; try again), BH_E_INVALID (it had 65,535 DEKs), BH_E_IO. */
BH_API BH_MUST_CHECK bh_status bh_merchant_rotate(bh_db *db, const char *name);

#ifdef __cplusplus
}
#endif
#endif
