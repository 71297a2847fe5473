/* SPDX-License-Identifier: Apache-2.0
 *
 * wal.c: see wal.h.
 */
#include "wal.h"

#include <bulkhead/env.h>

#include <errno.h>
#include <sys/statvfs.h>
#include <time.h>

#include "files.h"

#define CLOSE_WAIT_MS 100   /* for RocksDB to let go of what it has synced */
#define ROOM_MIN (4u << 20) /* bytes free: plenty for the first bytes of a WAL and an SST of one deletion */

static const char roll_key[] = "\0bulkhead/roll"; /* never there: it is only ever deleted */

/* ---- which logs are open */

typedef struct open_logs {
	const bh_db *db;
	uint64_t newest;
	bool any;
} open_logs;

static bh_status look(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	open_logs *logs = arg;
	bh_path_info info;

	BH_TRY(bh_buf_printf(&path, "%s/%s", logs->db->dir, name));
	if (bh_fs_classify(logs->db->fs, (const char *)path.data, &info) == BH_OK && info.kind == BH_KIND_WAL &&
	    info.number <= logs->newest)
		logs->any |= bh_fs_is_live(logs->db->fs, (const char *)path.data);
	return BH_OK;
}

/* RocksDB keeps a WAL open until it is synced, which the flush has it do, and a moment longer. */
static bh_status wait_for_close(const bh_db *db, uint64_t newest)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int waited_ms = 0; waited_ms < CLOSE_WAIT_MS; waited_ms++) {
		open_logs logs = { .db = db, .newest = newest };

		BH_TRY(bh_dir_each(db->dir, look, &logs));
		if (!logs.any)
			return BH_OK;
		nanosleep(&pause, NULL);
	}
	return bh_fail(BH_E_BUSY, "%s: RocksDB does not let go of a WAL up to number %llu", db->dir, (unsigned long long)newest);
}

/* A flush that fails stops everybody's writes. On a disk that is full it would be this one. */
static bh_status check_room(const bh_db *db)
{
	struct statvfs st;

	if (statvfs(db->dir, &st) != 0)
		return bh_fail(BH_E_IO, "%s: its file system cannot be looked at: %s", db->dir, strerror(errno));
	if (st.f_bavail < ROOM_MIN / st.f_frsize)
		return bh_fail(BH_E_IO, "%s: less than %u bytes are free, so no WAL is begun", db->dir, ROOM_MIN);
	return BH_OK;
}

bh_status bh_wal_close(bh_db *db, uint64_t newest)
{
	rocksdb_flushoptions_t *options;
	char *error = NULL;

	BH_TRY(check_room(db));
	options = rocksdb_flushoptions_create();
	rocksdb_flushoptions_set_wait(options, 1);
	rocksdb_delete_cf(db->rocks, db->write, db->default_cf, roll_key, sizeof(roll_key) - 1, &error);
	if (error == NULL)
		rocksdb_flush_cf(db->rocks, options, db->default_cf, &error);
	rocksdb_flushoptions_destroy(options);
	BH_TRY(bh_status_of_rocksdb(error));
	return wait_for_close(db, newest);
}

bh_status bh_wal_sync(bh_db *db)
{
	char *error = NULL;

	rocksdb_flush_wal(db->rocks, 1, &error);
	return bh_status_of_rocksdb(error);
}
