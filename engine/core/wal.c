/* SPDX-License-Identifier: Apache-2.0
 *
 * wal.c: see wal.h.
 */
#include "wal.h"

#include <bulkhead/env.h>

#include <time.h>

#include "files.h"
#include "flush.h"

#define CLOSE_WAIT_MS 100 /* for RocksDB to let go of what it has synced */
/* The first bytes of a WAL, an SST of one deletion, a record in the MANIFEST. */
#define ROLL_BYTES (512u << 10)
#define ROLL_INODES 4
#define ROLL_DESCRIPTORS 4

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

static bh_status check_room(const bh_db *db)
{
	bh_room_info info;

	(void)bh_room_look(db->room);
	bh_room_info_get(db->room, &info);
	if (info.free_bytes < ROLL_BYTES || info.free_inodes < ROLL_INODES || info.free_descriptors < ROLL_DESCRIPTORS)
		return bh_fail(BH_E_FULL, "%s: has no room for another log: %llu bytes, %llu inodes, %llu descriptors are free",
			       db->dir, (unsigned long long)info.free_bytes, (unsigned long long)info.free_inodes,
			       (unsigned long long)info.free_descriptors);
	return bh_room_check_log(db->room);
}

bh_status bh_wal_roll(bh_db *db)
{
	char *error = NULL;

	BH_TRY(check_room(db));
	rocksdb_delete_cf(db->rocks, db->write, db->default_cf, roll_key, sizeof(roll_key) - 1, &error);
	BH_TRY(bh_status_of_rocksdb(error));
	return bh_family_flush(db, db->default_cf, NULL);
}

/* The WAL of before takes nothing more (env/bridge/streams.hh), but a WAL without a record is one that RocksDB would go on with: so
 * a record is tried first, and refused. What has the memtable flushed, and another WAL begun, goes past the WAL. */
static bh_status begin_another(bh_db *db)
{
	char *error = NULL;

	if (!bh_fs_voids(db->fs)) /* manual_wal_flush: rows that were acknowledged are still to be written there */
		return bh_wal_roll(db);
	BH_TRY(check_room(db));
	rocksdb_delete_cf(db->rocks, db->write, db->default_cf, roll_key, sizeof(roll_key) - 1, &error);
	rocksdb_free(error);
	error = NULL;
	rocksdb_delete_cf(db->rocks, db->write_no_wal, db->default_cf, roll_key, sizeof(roll_key) - 1, &error);
	BH_TRY(bh_status_of_rocksdb(error));
	return bh_family_flush(db, db->default_cf, NULL);
}

bh_status bh_wal_renew(bh_db *db)
{
	bh_status status = BH_OK;
	uint64_t now;

	pthread_mutex_lock(&db->renewing);
	now = bh_image_generation();
	if (now != atomic_load(&db->image)) {
		status = bh_fail_prefix(begin_another(db), "this process goes on from an image, but no other log can be begun");
		if (status == BH_OK) {
			bh_db_log(db, "%s: this process goes on from an image of itself, or a clock was set: another log is begun",
				  db->dir);
			atomic_store(&db->image, now);
		}
	}
	pthread_mutex_unlock(&db->renewing);
	return status;
}

bh_status bh_wal_close(bh_db *db, uint64_t newest)
{
	BH_TRY(bh_wal_roll(db));
	return wait_for_close(db, newest);
}

bh_status bh_wal_sync(bh_db *db)
{
	char *error = NULL;

	BH_TRY(bh_room_check_log(db->room)); /* RocksDB ends the process at the sync of a log that failed */
	rocksdb_flush_wal(db->rocks, 1, &error);
	return bh_status_of_rocksdb(error);
}
