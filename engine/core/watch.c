/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.c: see watch.h.
 */
#include "watch.h"

#include <bulkhead/env.h>

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "env/bridge/jobs.h"
#include "env/bridge/listener.h"
#include "files.h"
#include "wal.h"

#define LOOK_MS 100
#define RETRY_MS 1000
#define RECOVERY_END_MS 30000 /* RocksDB tries once a second */
#define RESERVE_LEAST (1ull << 20)
#define OPEN_FILES_LEAST 64
#define OPEN_FILES_MOST 100000 /* RocksDB's cache of tables makes room for as many at once */
#define KEPT_DESCRIPTORS 96    /* for logs, directories, the keyring, KMSs, and the service around it */

struct bh_watch {
	bh_db *db;
	_Atomic bool stopped;         /* RocksDB refuses writes */
	_Atomic bool given_up;        /* ... and does nothing about it */
	_Atomic bool recovering;      /* ... and tries, again and again */
	_Atomic bool manifest_failed; /* and file deletions are off for it */
	bool was_low;                 /* the thread's own, as the next */
	int64_t retry_at_ms;
	bool has_thread;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the two below */
	pthread_cond_t wake;
	bool ending;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- what RocksDB tells */

static void on_stopped(void *arg, bool tried)
{
	bh_watch *watch = arg;

	if (tried)
		atomic_store(&watch->recovering, true);
	atomic_store(&watch->stopped, true);
}

static void on_ended(void *arg, bool recovered)
{
	bh_watch *watch = arg;

	atomic_store(&watch->given_up, !recovered);
	atomic_store(&watch->stopped, !recovered);
	atomic_store(&watch->recovering, false);
}

bool bh_watch_is_stopped(const bh_watch *watch)
{
	return atomic_load(&watch->stopped);
}

/* ---- what is done about it */

/* A sync that fails is an error like the first: it has RocksDB begin anew with recovering. */
static void kick(bh_watch *watch)
{
	char *error = NULL;

	if (!atomic_load(&watch->given_up) || bh_room_check_log(watch->db->room) != BH_OK)
		return;
	atomic_store(&watch->given_up, false);
	bh_fs_fail_a_sync(watch->db->fs);
	rocksdb_flush_wal(watch->db->rocks, 1, &error);
	(void)bh_fs_takes_failing_sync(watch->db->fs); /* there was no log to sync */
	rocksdb_free(error);
}

static void mend_manifest(bh_watch *watch)
{
	char *error = NULL;

	if (!atomic_load(&watch->manifest_failed) || atomic_load(&watch->stopped))
		return;
	if (bh_wal_roll(watch->db) != BH_OK)
		return;
	atomic_store(&watch->manifest_failed, false);
	bh_bridge_enable_file_deletions(watch->db->rocks, &error);
	rocksdb_free(error);
}

/* Deletions are off before anybody can see that they are to be let in again. */
void bh_watch_manifest_failed(bh_watch *watch)
{
	bool expected = false;
	char *error = NULL, *again = NULL;

	if (watch == NULL) /* it is being opened, and fails */
		return;
	rocksdb_disable_file_deletions(watch->db->rocks, &error);
	if (!atomic_compare_exchange_strong(&watch->manifest_failed, &expected, true))
		bh_bridge_enable_file_deletions(watch->db->rocks, &again); /* once is enough */
	rocksdb_free(error);
	rocksdb_free(again);
}

static void say_change(bh_watch *watch, bool low)
{
	if (low == watch->was_low)
		return;
	watch->was_low = low;
	if (!low)
		bh_db_log(watch->db, "%s: there is room again: writes go on", watch->db->dir);
	else if (bh_room_check(watch->db->room) != BH_OK)
		bh_db_log(watch->db, "writes are refused, reads go on: %s", bh_status_message());
	else
		watch->was_low = false;
}

typedef struct sum {
	const bh_db *db;
	uint64_t *bytes;
} sum;

/* KEYRING and MANIFEST, twice: begun anew, and what a suspension copies. */
static bh_status add_size(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	const sum *s = arg;
	struct stat st;

	if (strncmp(name, "MANIFEST-", strlen("MANIFEST-")) != 0 && strcmp(name, BH_KEYRING_FILE) != 0)
		return BH_OK;
	BH_TRY(bh_buf_printf(&path, "%s/%s", s->db->dir, name));
	if (stat((const char *)path.data, &st) == 0)
		*s->bytes += 2 * (uint64_t)st.st_size;
	return BH_OK;
}

static uint64_t reserve_bytes(const bh_db *db)
{
	uint64_t bytes = RESERVE_LEAST;

	return bh_dir_each(db->dir, add_size, &(sum){ db, &bytes }) == BH_OK ? bytes : RESERVE_LEAST;
}

static void look(bh_watch *watch)
{
	const bool low = bh_room_look(watch->db->room);

	say_change(watch, low);
	if (now_ms() < watch->retry_at_ms)
		return;
	watch->retry_at_ms = now_ms() + RETRY_MS;
	kick(watch);
	(void)!bh_wal_check(watch->db); /* who writes by RocksDB's own handles does not look */
	if (low)
		return;
	mend_manifest(watch);
	bh_room_refill(watch->db->room, reserve_bytes(watch->db));
}

/* ---- life */

static void *watch_thread(void *arg)
{
	bh_watch *watch = arg;
	struct timespec until;
	int64_t at;

	pthread_mutex_lock(&watch->lock);
	while (!watch->ending) {
		pthread_mutex_unlock(&watch->lock);
		look(watch);
		pthread_mutex_lock(&watch->lock);
		at = now_ms() + LOOK_MS;
		until = (struct timespec){ at / 1000, at % 1000 * 1000000 };
		if (!watch->ending)
			pthread_cond_timedwait(&watch->wake, &watch->lock, &until);
	}
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

/* RocksDB's own default keeps a descriptor for each file there is. */
static void bound_open_files(const bh_db *db)
{
	struct rlimit limit;
	uint64_t left;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	left = limit.rlim_cur > KEPT_DESCRIPTORS ? (limit.rlim_cur - KEPT_DESCRIPTORS) / 4 * 3 : 0;
	bh_bridge_bound_open_files(db->options, (int)BH_MIN(BH_MAX(left, (uint64_t)OPEN_FILES_LEAST), (uint64_t)OPEN_FILES_MOST));
}

bh_status bh_watch_new(bh_db *db, bh_watch **out)
{
	bh_watch *watch = calloc(1, sizeof(*watch));
	pthread_condattr_t monotonic;

	if (watch == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", db->dir);
	watch->db = db;
	pthread_mutex_init(&watch->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	bh_bridge_listen(db->options, &(bh_bridge_errors){ on_stopped, on_ended, watch });
	bh_bridge_set_recovery(db->options);
	bound_open_files(db);
	bh_fs_set_voids(db->fs, bh_bridge_writes_each_record(db->options));
	*out = watch;
	return BH_OK;
}

bh_status bh_watch_start(bh_watch *watch)
{
	bh_room_refill(watch->db->room, reserve_bytes(watch->db));
	watch->has_thread = pthread_create(&watch->thread, NULL, watch_thread, watch) == 0;
	return watch->has_thread ? BH_OK : bh_fail(BH_E_NOMEM, "%s: no thread can be started", watch->db->dir);
}

void bh_watch_stop(bh_watch *watch)
{
	if (watch == NULL || !watch->has_thread)
		return;
	pthread_mutex_lock(&watch->lock);
	watch->ending = true;
	pthread_cond_signal(&watch->wake);
	pthread_mutex_unlock(&watch->lock);
	pthread_join(watch->thread, NULL);
	watch->has_thread = false;
}

/* RocksDB 7.8 waits at its end for a recovery that it has told to end, and which then does not say that it has. One that sees the
 * shutdown by itself, at its next try, does. */
void bh_watch_end_recovery(bh_watch *watch)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	const int64_t until = now_ms() + RECOVERY_END_MS;

	if (watch == NULL || watch->db->rocks == NULL || !atomic_load(&watch->recovering))
		return;
	rocksdb_cancel_all_background_work(watch->db->rocks, 0);
	while (atomic_load(&watch->recovering) && now_ms() < until)
		nanosleep(&pause, NULL);
}

void bh_watch_free(bh_watch *watch)
{
	if (watch == NULL)
		return;
	bh_watch_stop(watch);
	pthread_cond_destroy(&watch->wake);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}
