/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_files.h: which of the files that a MANIFEST speaks of are still there at its end.
 *
 * A MANIFEST keeps the boundary keys of every file that was ever added since it was begun. Those of files that are gone say nothing
 * to RocksDB, and may be all that is left of a row: they can be blanked. Fed with every edit in order, then asked about every
 * addition in the same order. Thread-safety: none.
 */
#ifndef BH_MANIFEST_FILES_H
#define BH_MANIFEST_FILES_H

#include "manifest_spans.h"

typedef struct bh_manifest_files bh_manifest_files;

/* Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_manifest_files_new(bh_manifest_files **out);
void bh_manifest_files_free(bh_manifest_files *files); /* NULL-safe */

/* The next edit, as bh_version_edit_walk() takes it: its deletions come before its additions, wherever they stand. Errors:
 * BH_E_NOMEM, those of the walk. */
BH_MUST_CHECK bh_status bh_manifest_files_note(bh_manifest_files *files, bh_view record);
/* All edits were noted; they come once more. */
void bh_manifest_files_rewind(bh_manifest_files *files);
/* Whether edits are to be noted, or asked about. */
bool bh_manifest_files_is_noting(const bh_manifest_files *files);
/* The next edit, again: calls `dead` for each of its fields that adds a file that is not there at the end, or not by this addition.
 * Errors: those of the walk. */
BH_MUST_CHECK bh_status bh_manifest_files_each_dead(bh_manifest_files *files, bh_view record, bh_version_visitor dead, void *arg);

#endif
