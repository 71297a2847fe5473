/* SPDX-License-Identifier: Apache-2.0
 *
 * flush.c: see flush.h.
 */
#include "flush.h"

#include <bulkhead/env.h>

#include <time.h>

#include "env/bridge/jobs.h"
#include "env/room/room.h"

#define LOOK_MS 2000 /* so often it is looked whether there is room for a flush that does not end */

static bh_status flush(const bh_db *db, rocksdb_column_family_handle_t *family, bool now, const _Atomic bool *stop, int limit_ms)
{
	static const bool never = false;
	char *error = NULL;

	bh_jobs_flush(db->jobs, db->rocks, family, now, stop != NULL ? (const bool *)(uintptr_t)stop : &never, limit_ms, &error);
	return bh_status_of_rocksdb(error);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Where a flush has failed for want of room, RocksDB begins none until there is some, and says no more about it. */
bh_status bh_family_flush(const bh_db *db, rocksdb_column_family_handle_t *family, const _Atomic bool *stop)
{
	for (;;) {
		const int64_t begun_ms = now_ms();
		bh_status status = flush(db, family, false, stop, LOOK_MS);

		if (status == BH_OK || now_ms() - begun_ms < LOOK_MS)
			return status;
		if (db->room != NULL && bh_room_is_low(db->room))
			return bh_fail(BH_E_FULL, "%s: is full: what is in memory is flushed when there is room again", db->dir);
	}
}

bh_status bh_family_flush_now(const bh_db *db, rocksdb_column_family_handle_t *family, const _Atomic bool *stop)
{
	return flush(db, family, true, stop, -1);
}
