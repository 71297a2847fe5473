/* SPDX-License-Identifier: Apache-2.0
 *
 * rotation.h: newer keys for a merchant, without interrupting it.
 *
 * Rewrap: the same DEKs under a newer version of their CMK, or under another CMK; no data is rewritten. Rotate: new DEKs; data
 * moves onto them as RocksDB rewrites it. Thread-safety: all calls may come from many threads.
 */
#ifndef BULKHEAD_ROTATION_H
#define BULKHEAD_ROTATION_H

#include <bulkhead/db.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All zero: the documented defaults. */
typedef struct bh_rewrap_options {
	const char *cmk_uri; /* the CMK to move to; NULL: the merchant's stays, and what is below its newest version is renewed */
} bh_rewrap_options;

/* Renews the wraps of a merchant's DEKs (`name` "": of the platform's DEK), also of one that is suspended. Every DEK is unwrapped
 * by the CMK that it has, and every new wrap is unwrapped again and compared before it counts. When the call returns, no old wrap
 * is in DB/KEYRING. A move to another CMK is all or none; afterwards the old one is asked for nothing any more, and may be
 * destroyed. Without a move, what was renewed before the KMS failed is kept. `options` NULL: defaults. `out` may be NULL, and is
 * untouched on failure. Errors: BH_E_NOT_FOUND, BH_E_SHREDDED, BH_E_EXISTS (`cmk_uri` is the CMK of another merchant or of the
 * platform), BH_E_NO_KEY (a CMK does not exist), BH_E_REGION, BH_E_KMS_REFUSED, BH_E_KMS_UNREACHABLE, BH_E_TAG and BH_E_FORMAT
 * (what the KMS answers is wrong), BH_E_BUSY (somebody else rotated or rewrapped it meanwhile; try again), BH_E_INVALID (URI),
 * BH_E_IO. */
BH_API BH_MUST_CHECK bh_status bh_merchant_rewrap(bh_db *db, const char *name, const bh_rewrap_options *options,
						  bh_rewrap_result *out);

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
