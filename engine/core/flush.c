/* SPDX-License-Identifier: Apache-2.0
 *
 * flush.c: see flush.h.
 */
#include "flush.h"

#include <bulkhead/env.h>

#include "env/bridge/jobs.h"

static bh_status flush(const bh_db *db, rocksdb_column_family_handle_t *family, bool now, const _Atomic bool *stop, int limit_ms)
{
	static const bool never = false;
	char *error = NULL;

	bh_jobs_flush(db->jobs, db->rocks, family, now, stop != NULL ? (const bool *)(uintptr_t)stop : &never, limit_ms, &error);
	return bh_status_of_rocksdb(error);
}

bh_status bh_family_flush(const bh_db *db, rocksdb_column_family_handle_t *family, const _Atomic bool *stop)
{
	return flush(db, family, false, stop, -1);
}

bh_status bh_family_flush_now(const bh_db *db, rocksdb_column_family_handle_t *family, const _Atomic bool *stop, int limit_ms)
{
	return flush(db, family, true, stop, limit_ms);
}
