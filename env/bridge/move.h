/* SPDX-License-Identifier: Apache-2.0
 *
 * move.h: a column family carried from one database to another, for the C side. move.cc converts and forwards.
 *
 * RocksDB's import knows no blob files, and that of 7.8 takes a file's bounds from its point keys: what has blobs there, or range
 * tombstones with 7.8, must be compacted until it has neither (bh_bridge_settle), or deleted rows come back.
 */
#ifndef BH_BRIDGE_MOVE_H
#define BH_BRIDGE_MOVE_H

#include "bridge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The SST files of a column family as import wants to be told of them. */
typedef struct bh_export bh_export;

/* What the column family consists of. Ownership: bh_export_free(). Errors: those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_bridge_export(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_export **out);
void bh_export_free(bh_export *export_);
size_t bh_export_count(const bh_export *export_);
/* The name of a file, "NNNNNN.sst", and the directory it lies in; borrowed. */
const char *bh_export_name(const bh_export *export_, size_t i);
const char *bh_export_dir(const bh_export *export_, size_t i);
/* Whether import would lose something: a blob, and with RocksDB 7.8 a range tombstone. */
bool bh_export_is_lossy(const bh_export *export_);

/* Whether the first and the last entry of each exported file can be read, which is what an import looks at, without a look at how
 * that went. `db` and `cf` are where they were exported from. Errors: those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_bridge_check_ends(rocksdb_t *db, rocksdb_column_family_handle_t *cf, const bh_export *export_);

/* Whether its keys are ordered as bytes are. */
bool bh_bridge_is_bytewise(const rocksdb_column_family_handle_t *cf);

/* Compacts a whole column family of a database in which nobody holds a snapshot, until it has no range tombstone and no blob.
 * Errors: those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_bridge_settle(rocksdb_t *db, rocksdb_column_family_handle_t *cf);

/* Makes the column family `name` with the exported files, which lie in `dir` under their names with `prefix` in front and are moved
 * from there. Neither is synced. *out is set after a failure, too, where the family is there: empty, since RocksDB's OPTIONS file
 * could not be written (fail_if_options_file_error). Errors: BH_E_INVALID (nothing to import), those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_bridge_import(rocksdb_t *db, const rocksdb_options_t *options, const char *name,
					 const bh_export *export_, const char *dir, const char *prefix,
					 rocksdb_column_family_handle_t **out);

/* Calls `each` with the name of every file that the column family consists of now: SSTs and blob files. */
BH_MUST_CHECK bh_status bh_bridge_family_files(rocksdb_t *db, rocksdb_column_family_handle_t *cf,
					       bh_status (*each)(void *arg, const char *name), void *arg);

/* Options for a database that is opened to be exported from: compacts nothing by itself, makes no new blob files, looks for no WAL
 * but those that are there. */
void bh_bridge_options_for_export(rocksdb_options_t *options);

#ifdef __cplusplus
}
#endif
#endif
