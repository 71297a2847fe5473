/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_clean.h: after rows were deleted, their bytes leave the files.
 */
#ifndef BH_ENGINE_ERASE_CLEAN_H
#define BH_ENGINE_ERASE_CLEAN_H

#include "erase_run.h"

/* Each adds to result.pending what it cannot bring about. */
/* Has the SSTs and blob files rewritten; sets e->unclean. */
BH_MUST_CHECK bh_status bh_erasure_clean_files(bh_erasure *e);
/* Has the WALs left behind, and looks at the MANIFEST; sets e->note.logs. */
BH_MUST_CHECK bh_status bh_erasure_clean_logs(bh_erasure *e);
BH_MUST_CHECK bh_status bh_erasure_files(const bh_erasure *e, bh_buf *out); /* bh_class_file, in place of what is in `out` */

#endif
