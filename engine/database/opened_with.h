/* SPDX-License-Identifier: Apache-2.0
 *
 * opened_with.h: what a database was opened with, and has to be opened with again.
 *
 * RocksDB does not notice that a merge operator is missing: a recovery without it ends at the first merge in the WAL, keeps what
 * came before, and drops what was acknowledged after it, everybody's. Its OPTIONS file, which each open writes, whoever drives
 * RocksDB, names operator and comparator of every family. So it is read before anything is changed.
 */
#ifndef BH_ENGINE_OPENED_WITH_H
#define BH_ENGINE_OPENED_WITH_H

#include "engine/core/db.h"

typedef struct bh_opened_with {
	uint64_t file; /* number of the OPTIONS file; 0: there was none yet */
	bool news;     /* what this open has, and that file does not name */
} bh_opened_with;

/* Compares the options of `db` with what it was opened with. A caller without a template of its own gets what RocksDB can make by
 * itself out of the OPTIONS file: comparator, merge operator, levels. What is missing then refuses an open that writes; a read-only
 * one gets a stand-in for a merge operator (unmerged.h). Errors: BH_E_INVALID (naming what is missing), BH_E_UNSUPPORTED (tables of
 * a format that this RocksDB does not read); those of reading the file. */
BH_MUST_CHECK bh_status bh_opened_with_check(bh_db *db, const bh_db_options *options, bh_opened_with *out);
/* Whether an open ended with this status and message because something is missing. */
bool bh_opened_with_lacks(bh_status status, const char *message);
/* After RocksDB was opened to write: whether a merge operator that it did not have before is on record now. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_opened_with_recorded(const bh_db *db, const bh_opened_with *before);

#endif
