/* SPDX-License-Identifier: Apache-2.0
 *
 * rename.h: a small file under another name. It is bound to its name, so that it cannot become another by a rename alone: it is
 * sealed anew under the other name, which then takes the place in one step. RocksDB does that to OPTIONS-n.dbtmp, whose number it
 * gives only then, and to n.dbtmp, which becomes CURRENT or IDENTITY.
 */
#ifndef BH_RENAME_H
#define BH_RENAME_H

#include "fs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether `from` would be of no use at `to` unless it is sealed anew. */
BH_MUST_CHECK bh_status bh_rename_needs_reseal(const bh_fs *fs, const char *from, const char *to, bool *out);

/* Puts the small file `from` at `to`, durably but for the directory: a kill leaves `from` with what was at `to`, or both of them,
 * or `to` alone, and at most one `to`.bhtmp that is nobody's. Errors: those of opening a file (BH_E_TAG: `from` is not what it is
 * called), those of bh_fs_new_file(), BH_E_FULL, BH_E_IO; and then `from` and `to` are as before. */
BH_MUST_CHECK bh_status bh_rename_resealed(bh_fs *fs, const char *from, const char *to);

/* Seals a small file anew under its own name, durably, where an older DEK than the newest seals it; its content stays. *done_out
 * false: there is nothing to do, it is gone, or it may be in the middle of being written, as all may be whose name is not given by
 * a rename alone. Errors: as above, BH_E_UNSUPPORTED (a file system without renameat2's exchange). */
BH_MUST_CHECK bh_status bh_rename_in_place(bh_fs *fs, const char *path, bool *done_out);

#ifdef __cplusplus
}
#endif
#endif
