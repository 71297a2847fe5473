/* SPDX-License-Identifier: Apache-2.0
 *
 * unmerged.h: rows that hold merges, read where their merge operator is missing.
 *
 * RocksDB stops a recovery at the first merge if it has no operator, and shows nothing of what comes after it. So a read-only open
 * that lacks the operator takes a stand-in, which merges nothing: it lists what lies there. Such a value begins with 16 bytes that
 * are random for each process, so that no value of anybody's is taken for one. Nothing that the stand-in has made is ever written.
 */
#ifndef BH_ENGINE_UNMERGED_H
#define BH_ENGINE_UNMERGED_H

#include <bulkhead/db.h>

#include "db.h"

/* Gives the options of `db` the stand-in for the operator `name`, and says so in the log. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_unmerged_stand_in(bh_db *db, const char *name);

/* Whether `value`, as RocksDB gave it, is such a list; if so, *value becomes what bh_unmerged_next() takes. */
bool bh_unmerged_is(const bh_db *db, bh_view *value);
/* BH_E_UNMERGED, with its message. */
BH_MUST_CHECK bh_status bh_unmerged_fail(void);

#endif
