/* SPDX-License-Identifier: Apache-2.0
 *
 * erase.h: what an erasure needs of RocksDB and the C API does not have, for the C side. erase.cc converts and
 * forwards.
 *
 * A key range is [begin, end); an empty `end` is an open one. Thread-safety: all calls, while the database is open.
 */
#ifndef BH_BRIDGE_ERASE_H
#define BH_BRIDGE_ERASE_H

#include "bridge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Refuses a database or column family in which an erasure could not keep its word, by the name of the option that is in the way.
 * Errors: BH_E_UNSUPPORTED. */
BH_MUST_CHECK bh_status bh_bridge_erase_check(rocksdb_t *db, rocksdb_column_family_handle_t *cf);

/* Deletes a range, with its end given, by one synced write. *sequence_out: its sequence number; no row of the range that has it or
 * a lower one can be read any more. Errors: those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_bridge_erase_delete(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_view begin, bh_view end,
					       uint64_t *sequence_out);

/* Rewrites every SST that overlaps the range, the last level's and those without anything to do included, and moves what it refers
 * to in blob files to new ones. Other compactions go on beside it. Ends early, as a failure, once *canceled becomes true (set it
 * with an atomic store). Errors: those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_bridge_erase_rewrite(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_view begin, bh_view end,
						bool *canceled);

/* A file that a column family consists of right now. */
typedef struct bh_class_file {
	uint64_t number;
	uint64_t size;   /* bytes */
	bool blob;       /* a blob file: the rest is false and 0 */
	bool overlaps;   /* its keys, or bounds of its range tombstones, may lie in the range */
	bool tombstones; /* it has range tombstones, or nobody can say */
	uint64_t oldest; /* the lowest sequence number in it; 0 where compaction has done away with it */
} bh_class_file;

/* Appends a bh_class_file each to `out`. Errors: BH_E_NOMEM, those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_bridge_class_files(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_view begin, bh_view end,
					      bh_buf *out);

/* Calls `visit` for every version of every key of the range that is in a memtable or an SST, deletions included, with its sequence
 * number, until one fails; perhaps several times for one. What a range tombstone covers is left out. Errors: BH_E_NOMEM, those of
 * `visit`, of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_bridge_versions(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_view begin, bh_view end,
					   bh_status (*visit)(void *arg, bh_view key, uint64_t sequence), void *arg);

/* ---- what would bring rows */

/* Calls `visit` for every put and merge of a write batch, given as rocksdb_writebatch_data() gives it, with the column family's id,
 * until one fails. Errors: those of `visit`, BH_E_UNSUPPORTED (a record of another kind than puts, merges and deletions). */
BH_MUST_CHECK bh_status bh_bridge_batch_keys(bh_view batch, bh_status (*visit)(void *arg, uint32_t family, bh_view key), void *arg);

/* Calls `visit` for every key of an SST that is not deleted there, until one fails; the file is read as one of `cf`. Errors: those
 * of `visit`, of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_bridge_sst_keys(rocksdb_t *db, rocksdb_column_family_handle_t *cf, const char *path,
					   bh_status (*visit)(void *arg, bh_view key), void *arg);

#ifdef __cplusplus
}
#endif
#endif
