/* SPDX-License-Identifier: Apache-2.0
 *
 * test_record_traffic.c: the span codec under traffic: groups of writers in one log record, families that come and go under them,
 * atomic flushes, MANIFESTs full of every kind of edit, user-defined timestamps, and logs that are read while they are written.
 * Killed and recovered, as in test_record_types.c.
 */
#include "raw_db.h"
#include "record_census.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/random.h"

enum { WRITERS = 8, ROWS_SYNCED = 400, SYNC_EVERY = 16, VALUE_MAX = 700 };

/* Written by a child that will be killed, read by its parent. */
typedef struct progress {
	_Atomic uint32_t issued[WRITERS]; /* rows begun */
	_Atomic uint32_t synced[WRITERS]; /* rows that are durable */
	_Atomic uint32_t merchants;       /* added, for families_come_and_go */
} progress;

typedef struct scene {
	workspace ws;
	const char *changes; /* option string */
	progress *progress;
} scene;

static void pause_ms(unsigned ms)
{
	const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&pause, NULL);
}

static scene scene_new(const char *changes)
{
	scene s = { .changes = changes };

	workspace_open(&s.ws);
	s.progress = mmap(NULL, sizeof(progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	test_check(s.progress != MAP_FAILED);
	return s;
}

static void scene_end(scene *s)
{
	munmap(s->progress, sizeof(progress));
	workspace_close(&s->ws);
}

static void create(void *arg)
{
	const scene *s = arg;

	raw_create(&s->ws);
}

static uint32_t all_synced(const progress *p)
{
	uint32_t sum = 0;

	for (int t = 0; t < WRITERS; t++)
		sum += p->synced[t];
	return sum;
}

/* Kills the child once its writers have got far enough, at a moment that is not chosen. */
static void kill_under_way(scene *s, void (*body)(void *arg))
{
	pid_t child = test_child_start(body, s);

	for (int ms = 0; all_synced(s->progress) < ROWS_SYNCED && ms < 60000; ms++)
		pause_ms(1);
	kill(child, SIGKILL);
	test_child_wait(child);
	test_check(all_synced(s->progress) >= ROWS_SYNCED);
}

/* ---- rows: each is two entries of one batch, in two families */

static size_t row_len(uint32_t row)
{
	return row * 37 % VALUE_MAX;
}

static void row_key(char key[32], int writer, uint32_t row, char half)
{
	snprintf(key, 32, "w%d-%06u-%c", writer, row, half);
}

static int row_family(int writer, uint32_t row, char half)
{
	return half == 'a' ? (int)(row % RAW_FAMILIES) : (int)((row * 3 + (uint32_t)writer) % RAW_FAMILIES);
}

static rocksdb_writebatch_t *row_batch(rocksdb_column_family_handle_t *const *families, int writer, uint32_t row)
{
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	char *value = raw_pattern(row + (uint64_t)writer * 1000000, VALUE_MAX), key[32];

	for (int half = 'a'; half <= 'b'; half++) {
		row_key(key, writer, row, half);
		rocksdb_writebatch_put_cf(batch, families[row_family(writer, row, half)], key, strlen(key), value, row_len(row));
	}
	free(value);
	return batch;
}

/* How many of the halves of a row are there, and right. */
static int row_halves(raw_db *raw, int writer, uint32_t row)
{
	char *value = raw_pattern(row + (uint64_t)writer * 1000000, VALUE_MAX), key[32];
	int halves = 0;

	for (int half = 'a'; half <= 'b'; half++) {
		size_t len = 0;
		char *got;

		row_key(key, writer, row, half);
		got = raw_get(raw, row_family(writer, row, half), bh_view_str(key), &len);
		if (got == NULL)
			continue;
		test_check(len == row_len(row) && memcmp(got, value, len) == 0);
		rocksdb_free(got);
		halves++;
	}
	free(value);
	return halves;
}

/* The rows of each writer are a prefix of what it wrote, whole, with every row in it that was durable. */
static void expect_rows(raw_db *raw, const progress *p)
{
	size_t rows = 0, found = 0;

	for (int t = 0; t < WRITERS; t++) {
		uint32_t row = 0;

		while (row < p->issued[t] && row_halves(raw, t, row) == 2)
			row++;
		test_check(row >= p->synced[t]);
		rows += row;
	}
	for (int f = 0; f < RAW_FAMILIES; f++)
		found += raw_count(raw, f);
	test_check(found == 2 * rows);
}

/* ---- groups of writers */

typedef struct writer {
	const scene *scene;
	raw_db *raw;
	int number;
} writer;

static void *write_rows(void *arg)
{
	const writer *w = arg;
	progress *p = w->scene->progress;

	for (uint32_t row = 0;; row++) {
		bool sync = row % SYNC_EVERY == (uint32_t)w->number;

		p->issued[w->number] = row + 1;
		raw_write(w->raw, sync, row_batch(w->raw->family, w->number, row));
		if (sync)
			p->synced[w->number] = row + 1;
	}
	return NULL;
}

static void write_until_killed(void *arg)
{
	const scene *s = arg;
	writer writers[WRITERS];
	pthread_t threads[WRITERS];
	raw_db raw;

	raw_open(&s->ws, s->changes, &raw);
	for (int t = 0; t < WRITERS; t++) {
		writers[t] = (writer){ s, &raw, t };
		test_check(pthread_create(&threads[t], NULL, write_rows, &writers[t]) == 0);
	}
	for (int i = 0;; i++) {
		pause_ms(20);
		raw_flush(&raw, i % RAW_FAMILIES); /* switches logs, each now with rows of the six others */
	}
}

static void look_at_rows(void *arg)
{
	const scene *s = arg;
	raw_db raw;

	raw_open(&s->ws, s->changes, &raw);
	expect_rows(&raw, s->progress);
	raw_close(&raw);
}

static void groups_are_exact_prefixes(void **state)
{
	static const char *const cases[] = {
		NULL,
		"enable_pipelined_write=true",
		"unordered_write=true",
		"two_write_queues=true",
		"manual_wal_flush=true",
		"two_write_queues=true;manual_wal_flush=true;avoid_flush_during_recovery=true",
		"atomic_flush=true;write_buffer_size=65536",
		"write_buffer_size=65536;max_total_wal_size=100000;avoid_flush_during_recovery=true",
		"track_and_verify_wals_in_manifest=true;write_buffer_size=65536;wal_bytes_per_sync=8192",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scene s = scene_new(cases[i]);

		print_message("  options: %s\n", s.changes != NULL ? s.changes : "the defaults");
		test_child_ok(create, &s);
		kill_under_way(&s, write_until_killed);
		test_child_ok(look_at_rows, &s);
		test_child_ok(look_at_rows, &s);
		scene_end(&s);
	}
}

/* ---- every kind of edit */

enum { EDIT_KEYS = 3000, EDIT_ROUNDS = 4 };

static const char edit_options[] =
	"compaction_pri=kRoundRobin;write_buffer_size=65536;target_file_size_base=8192;"
	"level_compaction_dynamic_level_bytes=false;"
	"max_bytes_for_level_base=16384;level0_file_num_compaction_trigger=2;max_manifest_file_size=65536;"
	"track_and_verify_wals_in_manifest=true;atomic_flush=true;"
	"enable_blob_files=true;min_blob_size=600;blob_file_size=65536;enable_blob_garbage_collection=true;"
	"blob_garbage_collection_age_cutoff=1.0;last_level_temperature=kWarm;"
	"file_checksum_gen_factory=FileChecksumGenCrc32cFactory";

static void edit_row(char key[32], int row)
{
	snprintf(key, 32, "row%06d", row * 7919 % EDIT_KEYS);
}

static void make_edits(void *arg)
{
	const scene *s = arg;
	raw_db raw;

	raw_open(&s->ws, edit_options, &raw);
	for (int round = 0; round < EDIT_ROUNDS; round++)
		for (int row = 0; row < EDIT_KEYS; row++) {
			rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
			char *value = raw_pattern((uint64_t)row + (uint64_t)round, VALUE_MAX), key[32];

			edit_row(key, row);
			rocksdb_writebatch_put_cf(batch, raw.family[row % RAW_FAMILIES], key, strlen(key), value,
						  row_len((uint32_t)(row + round)));
			raw_write(&raw, row % 500 == 0, batch);
			free(value);
		}
	for (int f = 0; f < RAW_FAMILIES; f++)
		raw_compact(&raw, f);
	raw_put(&raw, 1, "at the end", "unflushed");
	raw_sync_wal(&raw, true);
	kill(getpid(), SIGKILL);
}

static void expect_edits_seen(void *arg)
{
	static const bh_version_what wanted[] = {
		BH_VERSION_CURSOR,     BH_VERSION_FILE_DELETED, BH_VERSION_FILE_ADDED, BH_VERSION_FAMILY_ADDED, BH_VERSION_GROUP,
		BH_VERSION_BLOB_ADDED, BH_VERSION_BLOB_GARBAGE, BH_VERSION_WAL_ADDED,  BH_VERSION_WAL_DELETED,
	};
	const scene *s = arg;
	record_census census;

	record_census_take(&s->ws, &census);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (census.fields[wanted[i]] == 0)
			test_fail_at(__FILE__, __LINE__, "no MANIFEST holds a field '%s'", bh_version_what_name(wanted[i]));
}

static void look_at_edits(void *arg)
{
	const scene *s = arg;
	size_t rows = 0;
	raw_db raw;

	raw_open(&s->ws, edit_options, &raw);
	for (int row = 0; row < EDIT_KEYS; row++) {
		char *value = raw_pattern((uint64_t)(row + EDIT_ROUNDS - 1), VALUE_MAX), key[32];

		edit_row(key, row);
		raw_expect(&raw, row % RAW_FAMILIES, bh_view_str(key),
			   bh_view_of(value, row_len((uint32_t)(row + EDIT_ROUNDS - 1))));
		free(value);
	}
	raw_expect_str(&raw, 1, "at the end", "unflushed");
	for (int f = 0; f < RAW_FAMILIES; f++)
		rows += raw_count(&raw, f);
	test_check(rows == EDIT_KEYS + 1);
	raw_close(&raw);
}

static void every_edit_survives(void **state)
{
	scene s = scene_new(NULL);

	(void)state;
	test_child_ok(create, &s);
	test_child_killed(make_edits, &s);
	test_child_ok(expect_edits_seen, &s);
	test_child_ok(look_at_edits, &s);
	test_child_ok(look_at_edits, &s);
	scene_end(&s);
}

/* ---- families that come and go */

enum { COME_AND_GO = 10, GUEST_ROWS = 50 };

typedef struct host {
	const scene *scene;
	bh_db *db;
	rocksdb_column_family_handle_t *family[RAW_FAMILIES];
	int number;
} host;

static void *write_host_rows(void *arg)
{
	const host *h = arg;
	progress *p = h->scene->progress;
	rocksdb_writeoptions_t *sync = rocksdb_writeoptions_create(), *plain = rocksdb_writeoptions_create();

	rocksdb_writeoptions_set_sync(sync, 1);
	for (uint32_t row = 0;; row++) {
		bool synced = row % SYNC_EVERY == 0;
		rocksdb_writebatch_t *batch = row_batch(h->family, h->number, row);
		char *error = NULL;

		p->issued[h->number] = row + 1;
		rocksdb_write(bh_db_rocksdb(h->db), synced ? sync : plain, batch, &error);
		test_rocks_ok(error);
		rocksdb_writebatch_destroy(batch);
		if (synced)
			p->synced[h->number] = row + 1;
	}
	return NULL;
}

/* A guest: added, written to, and every second one shredded. */
static void have_guest(const scene *s, bh_db *db, int number)
{
	const bh_write_options synced = { .sync = true };
	char name[32], key[16];
	bh_cf *cf;

	snprintf(name, sizeof(name), "guest%d", number);
	test_merchant_add(&s->ws, db, name, "x", NULL);
	cf = test_cf(db, name, "x");
	for (int i = 0; i < GUEST_ROWS; i++) {
		snprintf(key, sizeof(key), "g%03d", i);
		test_put(cf, key, name);
	}
	test_ok(bh_put(cf, &synced, bh_view_str("last"), bh_view_str(name)));
	bh_cf_close(cf);
	if (number % 2 == 0)
		test_ok(bh_merchant_shred(db, name, NULL));
	s->progress->merchants = (uint32_t)number + 1;
}

static void host_guests(void *arg)
{
	static const char *const names[] = { "a", "a", "b", "b", "c", "c" };
	const scene *s = arg;
	bh_db *db = test_db_open(&s->ws, NULL);
	host hosts[WRITERS];
	pthread_t threads[WRITERS];

	for (int t = 0; t < WRITERS; t++) {
		hosts[t] = (host){ .scene = s, .db = db, .number = t };
		for (int f = 0; f < RAW_FAMILIES; f++) /* no row goes to the default family here: a's stands in for it */
			hosts[t].family[f] = bh_cf_handle(test_cf(db, names[f > 0 ? f - 1 : 0], f % 2 == 0 && f > 0 ? "y" : "x"));
		test_check(pthread_create(&threads[t], NULL, write_host_rows, &hosts[t]) == 0);
	}
	for (int i = 0; i < COME_AND_GO; i++)
		have_guest(s, db, i);
	kill(getpid(), SIGKILL);
}

static void look_at_guests(void *arg)
{
	const scene *s = arg;
	bh_db *db = test_db_open(&s->ws, NULL);
	bh_cf *cf = NULL;

	for (int i = 0; i < COME_AND_GO; i++) {
		char name[32], key[16];

		snprintf(name, sizeof(name), "guest%d", i);
		if (i % 2 == 0) {
			test_status(bh_cf_open(db, name, "x", &cf), BH_E_SHREDDED);
			continue;
		}
		cf = test_cf(db, name, "x");
		for (int row = 0; row < GUEST_ROWS; row++) {
			snprintf(key, sizeof(key), "g%03d", row);
			test_expect(cf, key, name);
		}
		test_expect(cf, "last", name);
		bh_cf_close(cf);
	}
	bh_db_close(db);
}

static void look_at_hosts(void *arg)
{
	static const char *const names[] = { "a", "a", "b", "b", "c", "c" };
	const scene *s = arg;
	bh_db *db = test_db_open(&s->ws, NULL);
	bh_cf *cf[RAW_FAMILIES];
	bh_buf value = { 0 };

	for (int f = 0; f < RAW_FAMILIES; f++)
		cf[f] = test_cf(db, names[f > 0 ? f - 1 : 0], f % 2 == 0 && f > 0 ? "y" : "x");
	for (int t = 0; t < WRITERS; t++)
		for (uint32_t row = 0; row < s->progress->synced[t]; row++)
			for (int half = 'a'; half <= 'b'; half++) {
				char key[32];

				row_key(key, t, row, half);
				test_ok(bh_get(cf[row_family(t, row, half)], NULL, bh_view_str(key), &value));
				test_check(value.len == row_len(row));
			}
	for (int f = 0; f < RAW_FAMILIES; f++)
		bh_cf_close(cf[f]);
	bh_buf_clear(&value);
	bh_db_close(db);
}

static void families_come_and_go(void **state)
{
	scene s = scene_new(NULL);

	(void)state;
	test_child_ok(create, &s);
	test_child_killed(host_guests, &s);
	test_check(s.progress->merchants == COME_AND_GO);
	test_child_ok(look_at_guests, &s);
	test_child_ok(look_at_hosts, &s);
	scene_end(&s);
}

/* ---- a log read while it is written */

enum { TAIL_ROWS = 4000 };

static void *write_tail_rows(void *arg)
{
	raw_db *raw = arg;

	for (uint32_t row = 0; row < TAIL_ROWS; row++) {
		raw_write(raw, row % 100 == 0, row_batch(raw->family, 0, row));
		if (row % 700 == 699)
			raw_flush(raw, (int)row % RAW_FAMILIES);
	}
	return NULL;
}

/* The batch is the one of that row, byte for byte but for the sequence number. */
static void expect_batch(raw_db *raw, rocksdb_writebatch_t *got, uint32_t row)
{
	rocksdb_writebatch_t *want = row_batch(raw->family, 0, row);
	size_t got_len = 0, want_len = 0;
	const char *got_data = rocksdb_writebatch_data(got, &got_len), *want_data = rocksdb_writebatch_data(want, &want_len);

	test_check(got_len == want_len && memcmp(got_data + 8, want_data + 8, got_len - 8) == 0);
	rocksdb_writebatch_destroy(want);
}

/* Takes what the logs hold from `row` on; returns the row behind it. */
static uint32_t follow_log(raw_db *raw, uint64_t first_seq, uint32_t row)
{
	char *error = NULL;
	rocksdb_wal_iterator_t *iter = rocksdb_get_updates_since(raw->db, first_seq + 2 * (uint64_t)row, NULL, &error);

	if (error != NULL) { /* "not yet": the write is not published */
		rocksdb_free(error);
		return row;
	}
	for (; rocksdb_wal_iter_valid(iter); rocksdb_wal_iter_next(iter), row++) {
		uint64_t seq = 0;
		rocksdb_writebatch_t *batch = rocksdb_wal_iter_get_batch(iter, &seq);

		test_check(seq == first_seq + 2 * (uint64_t)row);
		expect_batch(raw, batch, row);
		rocksdb_writebatch_destroy(batch);
	}
	rocksdb_wal_iter_status(iter, &error);
	if (error != NULL && strstr(error, "Try again") == NULL) /* the end of a log that is still written */
		test_rocks_ok(error);
	rocksdb_free(error);
	rocksdb_wal_iter_destroy(iter);
	return row;
}

static void tail(void *arg)
{
	const scene *s = arg;
	time_t deadline = time(NULL) + 60;
	pthread_t thread;
	uint64_t first_seq;
	uint32_t row = 0;
	raw_db raw;

	raw_open(&s->ws, "WAL_ttl_seconds=3600;write_buffer_size=131072", &raw);
	first_seq = rocksdb_get_latest_sequence_number(raw.db) + 1;
	test_check(pthread_create(&thread, NULL, write_tail_rows, &raw) == 0);
	while (row < TAIL_ROWS && time(NULL) < deadline) {
		row = follow_log(&raw, first_seq, row);
		pause_ms(1);
	}
	test_check(row == TAIL_ROWS);
	pthread_join(thread, NULL);
	test_check(follow_log(&raw, first_seq, 0) == TAIL_ROWS); /* from the archive on */
	raw_close(&raw);
}

static void live_log_is_read(void **state)
{
	scene s = scene_new(NULL);

	(void)state;
	test_child_ok(create, &s);
	test_child_ok(tail, &s);
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_are_exact_prefixes),
		cmocka_unit_test(every_edit_survives),
		cmocka_unit_test(families_come_and_go),
		cmocka_unit_test(live_log_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
