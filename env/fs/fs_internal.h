/* SPDX-License-Identifier: Apache-2.0
 *
 * fs_internal.h: what fs.c, path.c and plugin.c share.
 */
#ifndef BH_FS_INTERNAL_H
#define BH_FS_INTERNAL_H

#include "fs.h"

/* The rest of `path` below `root`, without leading slashes; NULL where it lies outside. Doubled slashes count as one. */
const char *bh_path_below(const char *root, const char *path);

/* Whether RocksDB begins a new OPTIONS file under this name. */
bool bh_path_is_new_options(const char *path);

/* bh_fs_classify() without a bh_fs: `root` is the database directory. */
BH_MUST_CHECK bh_status bh_path_classify(const char *root, const char *path, bh_path_info *out);
/* The same for a file that is of `scope` wherever it lies. */
void bh_path_classify_as(const bh_scope *scope, const char *path, bh_path_info *out);

#endif
