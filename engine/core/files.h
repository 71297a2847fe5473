/* SPDX-License-Identifier: Apache-2.0
 *
 * files.h: directories of a merchant, moved about without RocksDB: removed, linked, synced. Never follows a symbolic link.
 *
 * Paths are the caller's, made of the database's directory and names that were checked. Errors name the path. Thread-safety: all
 * calls; two at once on one directory are the caller's mistake.
 */
#ifndef BH_FILES_H
#define BH_FILES_H

#include "keyring/base/base.h"

bool bh_path_exists(const char *path);
bool bh_dir_has(const char *dir, const char *name);
bool bh_path_is_file(const char *path); /* a regular one, not a link to one */
bool bh_path_is_dir(const char *path);  /* the same */
/* Makes a directory; BH_OK where it is. Not synced. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_dir_make(const char *path);
/* Makes the entries of a directory durable. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_dir_sync(const char *path);
/* Makes the content of a file durable. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_file_sync(const char *path);
/* Removes `name` in the directory `parent`, with all it holds, and syncs `parent`. What is not there is fine: RocksDB removes as
 * well. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_tree_remove(const char *parent, const char *name);
/* The same, not durably: for what would be removed again if a power cut brought it back. */
BH_MUST_CHECK bh_status bh_tree_discard(const char *parent, const char *name);
/* Calls `each` for every entry of a directory but "." and "..", until one fails; none where the directory is not there. Errors:
 * BH_E_IO, those of `each`. */
BH_MUST_CHECK bh_status bh_dir_each(const char *path, bh_status (*each)(void *arg, const char *name), void *arg);
/* Gives the file `from` the further name `to`; where it cannot have one (another file system, none that links, too many links),
 * `to` is a copy, synced, or is not there. Of files that nobody changes. Errors: BH_E_NOT_FOUND (`from`), BH_E_EXISTS (`to`),
 * BH_E_FULL, BH_E_IO. */
BH_MUST_CHECK bh_status bh_file_link(const char *from, const char *to);

#endif
