/* SPDX-License-Identifier: Apache-2.0
 *
 * blame.h: damage belongs to whose file it is. Whoever meets a merchant's file that is missing, cut, another one, unreadable, or
 * that does not authenticate, says so here; who has registered (bh_fs_on_damage) hears of it and takes that merchant out.
 *
 * Nobody is blamed for what is not in the files: no memory, no descriptors, a disk that is full for all, a key that was taken away.
 * Files of the platform have nobody to blame.
 *
 * Thread-safety: all calls.
 */
#ifndef BH_BLAME_H
#define BH_BLAME_H

#include "fs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether a file that ends with this status is damaged, or gone, and not only not to be had at the moment. `owner`: whose it should
 * be. */
bool bh_is_damage(const bh_fs *fs, const bh_scope *owner, bh_status status);
/* What was met, with the sentence of this thread's last failure, which stays as it is. Nothing where it is no damage, where the
 * file is the platform's, and while this thread hushes. */
void bh_fs_blame(const bh_fs *fs, const bh_scope *owner, const char *path, bh_status status);
/* While it is set, this thread blames nobody: for files that are not the merchant's yet. Returns what it was. */
bool bh_fs_hush(bool hushed);
/* The same for a file whose size cannot be told, and nothing else. While RocksDB opens, it asks for the sizes of what a kill has
 * left as well (since 9.3, before it removes that); of a file that it needs it fails, and names it. */
bool bh_fs_hush_sizes(bool hushed);

/* A log that this thread read ends badly above what was synced: RocksDB has rules for that, by recovery mode, and where it then
 * refuses the database it does not say which file it was. `off`: bytes of the file that are whole. */
void bh_fs_bad_end(const char *path, uint64_t off);
void bh_fs_bad_end_forget(void);
/* `status` of an open since then, with this thread's message of it, to which the last of those logs is added. */
BH_MUST_CHECK bh_status bh_fs_bad_end_named(bh_status status);
/* A size is asked for: hushes, if sizes are. Returns what bh_fs_hush() gets when it is told. */
bool bh_fs_hush_for_size(void);

/* Whether RocksDB makes files of this name, or it is a directory: what others put beside them, or into staging/ to ingest it, is
 * not the merchant's yet. */
bool bh_fs_names_itself(const char *path);
/* Whose directory a path names, or lies in: DB/tenants/<merchant>/<class>[/...]. False: nobody's. */
bool bh_fs_owner(const bh_fs *fs, const char *path, bh_scope *out);
/* The same of the first such path in a text, which is how RocksDB names a file. *names_root_out: a path of this database is named,
 * perhaps another one. */
bool bh_fs_owner_in(const bh_fs *fs, const char *text, bh_scope *out, bool *names_root_out);

#ifdef __cplusplus
}
#endif
#endif
