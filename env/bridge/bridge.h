/* SPDX-License-Identifier: Apache-2.0
 *
 * bridge.h: what RocksDB's C API cannot express, for the C side. bridge.cc converts and forwards: no policy, no crypto.
 *
 * The C API's handles are one-member structs around C++ objects; handles.hh mirrors four of them. bh_bridge_check_layout()
 * proves at start-up that the library agrees on rocksdb_env_t and rocksdb_options_t, bh_bridge_check_handles() on the others once
 * there are any.
 */
#ifndef BH_BRIDGE_H
#define BH_BRIDGE_H

#include <rocksdb/c.h>

#include "env/fs/fs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An Env over RocksDB's default one whose files `fs` seals. Takes `fs` over; free with rocksdb_env_destroy() after the last
 * database is closed. */
BH_MUST_CHECK bh_status bh_bridge_env_new(bh_fs *fs, rocksdb_env_t **out);

/* Checks that the RocksDB library lays out the C handles as this build does. Errors: BH_E_UNSUPPORTED. */
BH_MUST_CHECK bh_status bh_bridge_check_layout(void);
/* The same of the handles of a database that was opened as `dir`, and of one of its column families. Errors: BH_E_UNSUPPORTED. */
BH_MUST_CHECK bh_status bh_bridge_check_handles(rocksdb_t *db, rocksdb_column_family_handle_t *cf, const char *dir);

/* Lets a column family keep its SST and blob files in `dir` (cf_paths, one path, no size limit). */
void bh_bridge_set_cf_path(rocksdb_options_t *options, const char *dir);

/* After a creation that failed: whether the family was made all the same, and something after it failed. */
bool bh_bridge_family_is_made(const rocksdb_column_family_handle_t *handle);
/* Compacts a key range of a column family (empty: open end) and waits: what was deleted or replaced is rewritten away, on the last
 * level, too. Ends early, as a failure, once *canceled becomes true (set it with an atomic store). The C API's own call tells
 * nobody how it went. A failure is left in *error, as the C API does it. */
void bh_bridge_compact(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_view begin, bh_view end, bool *canceled, char **error);

/* Puts the redactor in front of a logger that the caller gave with the options, if any. */
void bh_bridge_redact_info_log(rocksdb_options_t *options);

#ifdef __cplusplus
}
#endif
#endif
