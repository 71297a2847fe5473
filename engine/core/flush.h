/* SPDX-License-Identifier: Apache-2.0
 *
 * flush.h: a family's memtable to an SST. RocksDB's own waiting for that never ends where the flush fails for a reason that is its
 * merchant's alone (env/bridge/jobs.h), and detaching the merchant may wait for who is waiting.
 */
#ifndef BH_ENGINE_FLUSH_H
#define BH_ENGINE_FLUSH_H

#include "db.h"

/* Waits until all that was written before is in SSTs, or *stop is set (NULL: it never is). Errors: those of RocksDB and the Env;
 * BH_E_ROCKSDB (stopped), BH_E_FULL (there is no room for it, and it does not end). */
BH_MUST_CHECK bh_status bh_family_flush(const bh_db *db, rocksdb_column_family_handle_t *family, const _Atomic bool *stop);
/* The same of a family that nobody writes to any more: does not wait for a time when it holds no writes back. */
BH_MUST_CHECK bh_status bh_family_flush_now(const bh_db *db, rocksdb_column_family_handle_t *family, const _Atomic bool *stop);

#endif
