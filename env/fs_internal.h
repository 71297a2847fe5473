/* SPDX-License-Identifier: Apache-2.0
 *
 * fs_internal.h: what fs.c and path.c share.
 */
#ifndef BH_FS_INTERNAL_H
#define BH_FS_INTERNAL_H

#include "fs.h"

/* bh_fs_classify() without a bh_fs: `root` is the database directory. */
BH_MUST_CHECK bh_status bh_path_classify(const char *root, const char *path, bh_path_info *out);

#endif
