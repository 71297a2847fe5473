/* SPDX-License-Identifier: Apache-2.0
 *
 * look.h: what lies at a path: where it leads, and whether it is a file. Asks the disk, and opens nothing.
 */
#ifndef BH_LOOK_H
#define BH_LOOK_H

#include "keyring/base/base.h"

/* `path` without links, dots and needless slashes, as far as it exists; beyond that as it is spelled. Its last component is kept
 * where it is no directory: it may be new, or a link itself. *out: to be freed. Errors: BH_E_INVALID (empty), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_path_resolve(const char *path, char **out);

/* Whether a file can be opened, or made, at `path` without waiting for anybody: there is a regular file, or nothing, and no
 * directory between `root` and it is a symbolic link. Errors: BH_E_FORMAT, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_path_look(const char *root, const char *path);

#endif
