/* SPDX-License-Identifier: Apache-2.0
 *
 * fs_calls.h: the calls of a RocksDB FileSystem one by one, for C; and what RocksDB builds out of them that its C API does not
 * offer.
 *
 * A status is the one that the file system meant: BH_E_NOT_FOUND for both of RocksDB's ways to say that, BH_E_ROCKSDB or BH_E_IO
 * for what the file system below said. The text is this thread's message. Thread-safety: as the file system's.
 */
#ifndef BH_TESTS_FS_CALLS_H
#define BH_TESTS_FS_CALLS_H

#include <rocksdb/c.h>

#include <bulkhead/env.h>

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The Env of a URI, by RocksDB's registry; rocksdb_env_destroy() frees it. NULL: none, with the reason as the message. */
rocksdb_env_t *fs_env_of_uri(const char *uri);

/* ---- names */
bh_status fs_exists(rocksdb_env_t *env, const char *path);
bh_status fs_make_dir(rocksdb_env_t *env, const char *path);
bh_status fs_make_dir_if_missing(rocksdb_env_t *env, const char *path);
bh_status fs_remove_dir(rocksdb_env_t *env, const char *path);
bh_status fs_sync_dir(rocksdb_env_t *env, const char *path); /* NewDirectory, then Fsync */
bh_status fs_is_dir(rocksdb_env_t *env, const char *path, bool *out);
bh_status fs_list(rocksdb_env_t *env, const char *path, size_t *count_out); /* without "." and ".." */
bh_status fs_rename(rocksdb_env_t *env, const char *from, const char *to);
bh_status fs_link(rocksdb_env_t *env, const char *from, const char *to);
bh_status fs_remove(rocksdb_env_t *env, const char *path);
bh_status fs_lock(rocksdb_env_t *env, const char *path);   /* and unlocks */
bh_status fs_logger(rocksdb_env_t *env, const char *path); /* made and closed */

/* ---- content */
bh_status fs_size(rocksdb_env_t *env, const char *path, uint64_t *out);
/* Makes the file and follows `steps`: 'a' appends `bytes`, '0' appends nothing, 's' syncs, 'f' flushes, 'c' closes; ends with a
 * close. `mmap`: asks for a memory map. */
bh_status fs_write(rocksdb_env_t *env, const char *path, bh_view bytes, const char *steps, bool mmap);
/* Makes the file and appends `bytes` once, with the checksum that RocksDB hands over, of `claimed`. */
bh_status fs_write_checked(rocksdb_env_t *env, const char *path, bh_view bytes, bh_view claimed);
/* Reopens it to write, cuts it to `size`, syncs, appends nothing, closes. */
bh_status fs_cut(rocksdb_env_t *env, const char *path, uint64_t size);
/* Appends its bytes to `out`. */
bh_status fs_read(rocksdb_env_t *env, const char *path, bh_buf *out);
bh_status fs_read_random(rocksdb_env_t *env, const char *path, bool mmap, bh_buf *out);
/* The first `size` bytes of `from` (0: all) to a new file `to`, as RocksDB copies files. */
bh_status fs_copy(rocksdb_env_t *env, const char *from, const char *to, uint64_t size);

/* ---- what RocksDB does with them */
/* Writes, overwrites, flushes and compacts in a new database `dir` whose files are deleted at `rate` bytes a second, in pieces of
 * `chunk` bytes (0: whole), blob files and WALs too; waits until all are gone. *deleted_out: how many went that way.
 * All that is written comes with its checksum. */
bh_status fs_delete_slowly(rocksdb_env_t *env, const char *dir, int64_t rate, uint64_t chunk, uint64_t *deleted_out);
/* Backs the database `dir` (which it makes, with rows 0 to 999 in SSTs, blob files and a WAL) up to `backup`, verifies that,
 * restores it to `restored` and reads the rows there; makes a checkpoint of it as `checkpoint` and reads them there. */
bh_status fs_back_up(rocksdb_env_t *env, const char *dir, const char *backup, const char *restored, bool share_by_checksum);
bh_status fs_checkpoint(rocksdb_env_t *env, const char *dir, const char *checkpoint);
/* Makes a database `dir` with rows in a family, exports the family to `exported`, imports it as another one and reads the rows. */
bh_status fs_export_import(rocksdb_env_t *env, const char *dir, const char *exported);

#ifdef __cplusplus
}
#endif
#endif
