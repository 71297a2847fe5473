/* SPDX-License-Identifier: Apache-2.0
 *
 * test_suspend.c: a merchant is switched off and on. What was acknowledged comes back exactly, whatever its families hold; a kill
 * at any durable step leaves it off or on; no key of it stays in memory; nobody else notices.
 */
#include "harness.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "engine/internal.h"
#include "keyring/crashpoint.h"
#include "keyring/kdf.h"
#include "tests/traces.h"

enum {
	ROWS = 3000,   /* of A, before anything is deleted */
	CYCLES = 40,   /* BH_CYCLES in the environment for more */
	LOAD_MS = 400, /* before and after the suspension under load */
};

static int make_workspace(void **state)
{
	workspace *ws = calloc(1, sizeof(*ws));

	workspace_open(ws);
	*state = ws;
	return 0;
}

static int drop_workspace(void **state)
{
	workspace_close(*state);
	free(*state);
	return 0;
}

/* ---- what A holds */

static rocksdb_options_t *rich_options(bool blobs)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_compression(options, rocksdb_zstd_compression);
	rocksdb_options_set_write_buffer_size(options, 256 << 10);
	rocksdb_options_set_target_file_size_base(options, 64 << 10);
	rocksdb_options_set_merge_operator(options, test_append_operator());
	rocksdb_options_set_enable_blob_files(options, blobs);
	rocksdb_options_set_min_blob_size(options, 100);
	return options;
}

static bh_view row_key(char out[16], int i)
{
	return bh_view_of(out, (size_t)snprintf(out, 16, "row%06d", i));
}

static void put_row(bh_cf *cf, int i, size_t len)
{
	char key[16];
	uint8_t value[600];

	memset(value, 'a' + i % 26, sizeof(value));
	test_ok(bh_put(cf, NULL, row_key(key, i), bh_view_of(value, len)));
}

static size_t row_len(int i)
{
	return i % 7 == 0 ? 500 : 40;
}

/* Several levels, deletions in SSTs of their own, a range tombstone where no key is, merges, and writes that are in no SST yet. */
static void fill_rich(bh_cf *cf)
{
	char from[16], to[16];

	for (int i = 0; i < ROWS; i++)
		put_row(cf, i, row_len(i));
	test_ok(bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 }));
	/* The trap: this tombstone lies alone in its SST, with one point key far away. */
	test_ok(bh_delete_range(cf, NULL, row_key(from, 1000), row_key(to, 2000)));
	test_ok(bh_put(cf, NULL, bh_view_str("zzz"), bh_view_str("alone")));
	test_ok(bh_flush(cf));
	for (int i = 2000; i < 2100; i++)
		test_ok(bh_delete(cf, NULL, row_key(from, i)));
	test_ok(bh_flush(cf));
	test_ok(bh_merge(cf, NULL, bh_view_str("merged"), bh_view_str("1")));
	test_ok(bh_flush(cf));
	test_ok(bh_merge(cf, NULL, bh_view_str("merged"), bh_view_str("2")));
	put_row(cf, 2999, 33);
	test_ok(bh_delete_range(cf, NULL, row_key(from, 500), row_key(to, 510)));
}

static bool is_there(int i)
{
	return (i < 500 || i >= 510) && (i < 1000 || i >= 2100);
}

static void expect_rich(bh_cf *cf)
{
	size_t seen = 0, want = 0;
	bh_iter *iter = NULL;
	char key[16];

	for (int i = 0; i < ROWS; i++)
		want += is_there(i);
	test_ok(bh_iter_new(cf, NULL, &iter));
	test_ok(bh_iter_seek(iter, bh_view_str("row")));
	for (int i = 0; bh_iter_valid(iter); test_ok(bh_iter_next(iter)), i++) {
		bh_view k, v, expected;

		test_ok(bh_iter_entry(iter, &k, &v));
		while (i < ROWS && !is_there(i))
			i++;
		if (i >= ROWS)
			break;
		expected = row_key(key, i);
		test_check(k.len == expected.len && memcmp(k.data, expected.data, k.len) == 0);
		test_check(v.len == (i == 2999 ? 33 : row_len(i)) && v.data[0] == 'a' + i % 26 &&
			   v.data[v.len - 1] == 'a' + i % 26);
		seen++;
	}
	bh_iter_free(iter);
	test_check(seen == want);
	test_expect(cf, "zzz", "alone");
}

typedef enum way {
	BY_OPERATOR,
	REVOKED, /* nothing is flushed any more: WALs are parked */
} way;

static void switch_off(bh_db *db, const char *name, way how)
{
	const bh_suspend_options why = { .reason = "unpaid", .operator_name = "alice" };

	if (how == BY_OPERATOR)
		test_ok(bh_merchant_suspend(db, name, &why));
	else
		test_ok(bh_merchant_detach(db, name, BH_SUSPEND_KMS_REFUSED, "its CMK is disabled"));
}

static bh_status off_status(way how)
{
	return how == BY_OPERATOR ? BH_E_SUSPENDED : BH_E_KMS_REFUSED;
}

/* ---- everything comes back */

/* The platform's own family, which the parked MANIFEST and WALs speak of as well: one row in an SST, one in a WAL. */
static void fill_default(bh_db *db)
{
	rocksdb_flushoptions_t *how = rocksdb_flushoptions_create();
	char *error = NULL;

	rocksdb_put(bh_db_rocksdb(db), db->write, "flushed", 7, "1", 1, &error);
	test_rocks_ok(error);
	rocksdb_flushoptions_set_wait(how, 1);
	rocksdb_flush(bh_db_rocksdb(db), how, &error);
	test_rocks_ok(error);
	rocksdb_flushoptions_destroy(how);
	rocksdb_put(bh_db_rocksdb(db), db->write, "logged", 6, "2", 1, &error);
	test_rocks_ok(error);
}

static void expect_default(bh_db *db)
{
	static const char *const keys[] = { "flushed", "logged" };

	for (size_t i = 0; i < 2; i++) {
		char *error = NULL;
		size_t len = 0;
		char *value = rocksdb_get(bh_db_rocksdb(db), db->read, keys[i], strlen(keys[i]), &len, &error);

		test_rocks_ok(error);
		test_check(value != NULL && len == 1 && value[0] == "12"[i]);
		rocksdb_free(value);
	}
}

typedef struct rich {
	const workspace *ws;
	way how;
	bool blobs;
	bool reopen; /* while it is off */
} rich;

static void comes_back(void *arg)
{
	const rich *r = arg;
	rocksdb_options_t *options = rich_options(r->blobs);
	bh_cf *cf, *b;
	bh_db *db;

	test_db_create(r->ws, options);
	db = test_db_open(r->ws, options);
	test_merchant_add(r->ws, db, "a", "events", "profile");
	test_merchant_add(r->ws, db, "b", "events", NULL);
	cf = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	fill_rich(cf);
	fill_default(db);
	test_put(b, "k", "v");
	for (int round = 0; round < 2; round++) {
		bh_cf *none = NULL;

		switch_off(db, "a", r->how);
		test_status(bh_put(cf, NULL, bh_view_str("k"), bh_view_str("v")), off_status(r->how));
		test_status(bh_cf_open(db, "a", "profile", &none), off_status(r->how));
		test_expect(b, "k", "v");
		if (r->reopen) {
			bh_cf_close(cf);
			bh_cf_close(b);
			bh_db_close(db);
			db = test_db_open(r->ws, options);
			b = test_cf(db, "b", "events");
			test_expect(b, "k", "v");
			if (r->how == BY_OPERATOR)
				test_status(bh_cf_open(db, "a", "events", &none), BH_E_SUSPENDED);
			/* A revoked one is back by itself: its KMS answers. */
			if (r->how == BY_OPERATOR)
				test_ok(bh_merchant_resume(db, "a", NULL));
			cf = test_cf(db, "a", "events");
		} else {
			test_ok(bh_merchant_resume(db, "a", NULL));
		}
		expect_rich(cf);
		test_expect(cf, "merged", "12");
		expect_default(db);
	}
	test_status(bh_merchant_resume(db, "a", NULL), BH_E_EXISTS);
	bh_cf_close(cf);
	bh_cf_close(b);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void whatever_it_holds_comes_back(void **state)
{
	const way ways[] = { BY_OPERATOR, REVOKED };

	for (int i = 0; i < 8; i++) {
		workspace ws;
		const rich r = { &ws, ways[i & 1], (i & 2) != 0, (i & 4) != 0 };

		(void)state;
		workspace_open(&ws);
		print_message("%s%s%s\n", r.how == REVOKED ? "revoked" : "by operator", r.blobs ? ", blob files" : "",
			      r.reopen ? ", reopened" : "");
		test_child_ok(comes_back, (void *)(uintptr_t)&r);
		workspace_close(&ws);
	}
}

/* ---- what was open ends */

static void make_two(const workspace *ws)
{
	bh_cf *a, *b;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "events", "profile");
	test_merchant_add(ws, db, "b", "events", NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	test_put(a, "k1", "a1");
	test_put(b, "k1", "b1");
	test_ok(bh_flush(a));
	test_put(a, "k2", "a2");
	test_put(b, "k2", "b2");
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void open_handles_end(void *arg)
{
	const workspace *ws = arg;
	bh_snapshot *old = NULL, *young = NULL;
	bh_iter *iter = NULL;
	bh_batch *batch = NULL;
	bh_buf value = { 0 };
	bh_cf *a, *b;
	bh_view key;
	bh_db *db;

	make_two(ws);
	db = test_db_open(ws, NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	test_ok(bh_snapshot_new(db, &old));
	test_ok(bh_iter_new(a, NULL, &iter));
	test_ok(bh_iter_first(iter));
	test_ok(bh_batch_new(db, &batch));
	test_ok(bh_batch_put(batch, b, bh_view_str("k3"), bh_view_str("b3")));
	test_ok(bh_batch_put(batch, a, bh_view_str("k3"), bh_view_str("a3")));
	switch_off(db, "a", BY_OPERATOR);
	test_status(bh_iter_next(iter), BH_E_SUSPENDED);
	test_message_names("'a'");
	test_status(bh_batch_write(batch, NULL), BH_E_SUSPENDED);
	test_expect(b, "k3", NULL); /* all of a batch or nothing */
	test_ok(bh_merchant_resume(db, "a", NULL));
	/* It is back, and what knows of the time before stays ended. */
	test_status(bh_iter_next(iter), BH_E_SUSPENDED);
	test_status(bh_iter_entry(iter, &key, NULL), BH_E_SUSPENDED);
	test_status(bh_batch_write(batch, NULL), BH_E_SUSPENDED);
	test_status(bh_get(a, &(bh_read_options){ .snapshot = old }, bh_view_str("k1"), &value), BH_E_SUSPENDED);
	test_ok(bh_get(b, &(bh_read_options){ .snapshot = old }, bh_view_str("k1"), &value));
	test_ok(bh_snapshot_new(db, &young));
	test_put(a, "k1", "newer");
	test_ok(bh_get(a, &(bh_read_options){ .snapshot = young }, bh_view_str("k1"), &value));
	test_check(value.len == 2 && memcmp(value.data, "a1", 2) == 0);
	bh_batch_clear(batch);
	test_ok(bh_batch_put(batch, a, bh_view_str("k3"), bh_view_str("a3")));
	test_ok(bh_batch_write(batch, NULL));
	test_expect(a, "k3", "a3");
	bh_buf_clear(&value);
	bh_batch_free(batch);
	bh_iter_free(iter);
	bh_snapshot_free(old);
	bh_snapshot_free(young);
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void iterators_batches_and_snapshots_of_before_end(void **state)
{
	test_child_ok(open_handles_end, *state);
}

/* ---- killed at every durable step */

typedef struct kill_run {
	const workspace *ws;
	way how;
	int at; /* the N-th crash point of all */
} kill_run;

static void arm(int at)
{
	char spec[32];

	snprintf(spec, sizeof(spec), "*:%d", at);
	bh_crash_arm(spec);
}

static void suspend_and_resume_killed(void *arg)
{
	const kill_run *k = arg;
	bh_db *db = test_db_open(k->ws, NULL);
	bh_cf *a = test_cf(db, "a", "profile");

	/* Acknowledged, and in no SST: also where the WAL alone has it. */
	test_ok(bh_put(a, &(bh_write_options){ .sync = true }, bh_view_str("last"), bh_view_str("word")));
	arm(k->at);
	switch_off(db, "a", k->how);
	test_ok(bh_merchant_resume(db, "a", NULL));
	bh_crash_arm(NULL);
	bh_cf_close(a);
	bh_db_close(db);
}

static void expect_both(bh_db *db, bool last)
{
	bh_cf *a = test_cf(db, "a", "events"), *p = test_cf(db, "a", "profile"), *b = test_cf(db, "b", "events");

	test_expect(a, "k1", "a1");
	test_expect(a, "k2", "a2");
	test_expect(b, "k1", "b1");
	test_expect(b, "k2", "b2");
	if (last)
		test_expect(p, "last", "word");
	bh_cf_close(a);
	bh_cf_close(p);
	bh_cf_close(b);
}

/* Off or on, never a third, B whole; then on again with everything. */
static void off_or_on(void *arg)
{
	const kill_run *k = arg;
	bh_db *db = test_db_open(k->ws, NULL);
	bh_cf *cf = NULL;
	bh_status status = bh_cf_open(db, "a", "events", &cf);

	bh_cf_close(cf);
	if (status != BH_OK) {
		test_status(status, off_status(k->how));
		cf = test_cf(db, "b", "events");
		test_expect(cf, "k2", "b2");
		bh_cf_close(cf);
		test_ok(bh_merchant_resume(db, "a", NULL));
	}
	expect_both(db, true);
	bh_db_close(db);
}

static void make_two_child(void *arg)
{
	make_two(arg);
}

static void killed_anywhere(const workspace *ws, way how)
{
	kill_run k = { .ws = ws, .how = how };
	bool survived = false;

	test_child_ok(make_two_child, (void *)(uintptr_t)ws);
	for (k.at = 1; !survived; k.at++) {
		survived = test_child_survives(suspend_and_resume_killed, &k);
		test_child_ok(off_or_on, &k);
	}
	print_message("%d steps\n", k.at - 2);
	test_check(k.at > 10);
}

static void kill_at_every_step_of_suspend_and_resume(void **state)
{
	killed_anywhere(*state, BY_OPERATOR);
}

static void kill_at_every_step_of_revocation_and_resume(void **state)
{
	killed_anywhere(*state, REVOKED);
}

/* ---- cold start */

static void set_cmk(const workspace *ws, const char *name, bh_status (*change)(bh_kms *kms))
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(workspace_cmk(ws, name), NULL, &kms));
	test_ok(change(kms));
	bh_kms_close(kms);
}

static void leave_unflushed(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);
	bh_cf *p = test_cf(db, "a", "profile");

	test_ok(bh_put(p, &(bh_write_options){ .sync = true }, bh_view_str("last"), bh_view_str("word")));
	kill(getpid(), SIGKILL);
}

static void cold_start_killed(void *arg)
{
	const kill_run *k = arg;

	arm(k->at);
	bh_db_close(test_db_open(k->ws, NULL));
}

static void served_without_a(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);
	bh_cf *cf = NULL;

	test_status(bh_cf_open(db, "a", "events", &cf), BH_E_KMS_REFUSED);
	cf = test_cf(db, "b", "events");
	test_expect(cf, "k1", "b1");
	test_expect(cf, "k2", "b2");
	bh_cf_close(cf);
	bh_db_close(db);
}

static void served_with_a(void *arg)
{
	bh_db *db = test_db_open(arg, NULL);

	expect_both(db, true);
	bh_db_close(db);
}

/* The CMK is gone when the database opens after a crash: parked without a key, from WAL and MANIFEST as the kill left them. */
static void cold_start_without_a_cmk_killed_at_every_step(void **state)
{
	kill_run k = { .ws = *state };
	bool survived = false;

	test_child_ok(make_two_child, *state);
	for (k.at = 1; !survived; k.at++) {
		test_child_killed(leave_unflushed, *state);
		set_cmk(k.ws, "a", bh_kms_disable);
		survived = test_child_survives(cold_start_killed, &k);
		test_child_ok(served_without_a, *state);
		set_cmk(k.ws, "a", bh_kms_enable);
		test_child_ok(served_with_a, *state);
	}
	test_check(k.at > 5);
}

static void count_line(void *arg, const char *line)
{
	(void)line;
	++*(int *)arg;
}

/* Every KMS but the platform's is down: open, nobody attached, all said, nothing lost. */
static void open_with_no_merchant(void *arg)
{
	const workspace *ws = arg;
	int lines = 0;
	const bh_db_options options = { .log = count_line, .log_arg = &lines };
	bh_cf *cf = NULL;
	bh_db *db = NULL;

	test_ok(bh_db_open(ws->db, &options, &db));
	test_check(lines >= 2);
	test_status(bh_cf_open(db, "a", "events", &cf), BH_E_KMS_REFUSED);
	test_status(bh_cf_open(db, "b", "events", &cf), BH_E_KMS_REFUSED);
	bh_db_close(db);
}

static void cold_start_with_nobody(void **state)
{
	test_child_ok(make_two_child, *state);
	test_child_killed(leave_unflushed, *state);
	set_cmk(*state, "a", bh_kms_disable);
	set_cmk(*state, "b", bh_kms_disable);
	test_child_ok(open_with_no_merchant, *state);
	test_child_ok(open_with_no_merchant, *state);
	set_cmk(*state, "a", bh_kms_enable);
	set_cmk(*state, "b", bh_kms_enable);
	test_child_ok(served_with_a, *state);
}

enum { CROWD = 200, GONE = 50 };

static void crowd_name(char out[16], int i)
{
	snprintf(out, 16, "m%03d", i);
}

static void make_crowd(void *arg)
{
	const workspace *ws = arg;
	char name[16];
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	for (int i = 0; i < CROWD; i++) {
		bh_cf *cf;

		crowd_name(name, i);
		test_merchant_add(ws, db, name, "data", NULL);
		cf = test_cf(db, name, "data");
		test_put(cf, "k", name);
		bh_cf_close(cf);
	}
	test_ok(bh_sync_wal(db));
	bh_db_close(db);
}

static void expect_crowd(bh_db *db, int from)
{
	char name[16];

	for (int i = 0; i < CROWD; i++) {
		bh_cf *cf = NULL;

		crowd_name(name, i);
		if (i < from) {
			test_status(bh_cf_open(db, name, "data", &cf), BH_E_KMS_REFUSED);
			continue;
		}
		cf = test_cf(db, name, "data");
		test_expect(cf, "k", name);
		bh_cf_close(cf);
	}
}

static void open_part_of_the_crowd(void *arg)
{
	const workspace *ws = arg;
	char name[16];
	bh_db *db;

	for (int i = 0; i < GONE; i++) {
		crowd_name(name, i);
		set_cmk(ws, name, bh_kms_disable);
	}
	db = test_db_open(ws, NULL);
	expect_crowd(db, GONE);
	bh_db_close(db);
	for (int i = 0; i < GONE; i++) {
		crowd_name(name, i);
		set_cmk(ws, name, bh_kms_enable);
	}
	db = test_db_open(ws, NULL);
	expect_crowd(db, 0);
	bh_db_close(db);
}

static void cold_start_of_two_hundred_with_fifty_gone(void **state)
{
	test_child_ok(make_crowd, *state);
	test_child_ok(open_part_of_the_crowd, *state);
}

/* ---- under load */

typedef struct load {
	bh_cf *cf;
	_Atomic bool stop;
	_Atomic bool refused; /* ended by a refusal, as it should */
	_Atomic uint64_t done;
	_Atomic int64_t last_ns; /* when the last operation succeeded */
	bh_status want;          /* the refusal */
} load;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_ms(int ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void *load_thread(void *arg)
{
	load *l = arg;
	bh_buf value = { 0 };
	char key[16];

	for (int i = 0; !atomic_load(&l->stop); i++) {
		bh_status status = i % 2 ? bh_get(l->cf, NULL, row_key(key, i % 500 - 1), &value)
					 : bh_put(l->cf, NULL, row_key(key, i % 500), bh_view_str("under load"));

		if (status == l->want && status != BH_OK) {
			atomic_store(&l->refused, true);
			break;
		}
		test_check(status == BH_OK || status == BH_E_NOT_FOUND);
		atomic_fetch_add(&l->done, 1);
		atomic_store(&l->last_ns, now_ns());
	}
	bh_buf_clear(&value);
	return NULL;
}

static void under_load(void *arg)
{
	const kill_run *k = arg;
	load a = { .want = off_status(k->how) }, b = { .want = BH_OK };
	pthread_t threads[4];
	int64_t called, ended;
	uint64_t before;
	bh_db *db;

	make_two(k->ws);
	db = test_db_open(k->ws, NULL);
	a.cf = test_cf(db, "a", "events");
	b.cf = test_cf(db, "b", "events");
	for (int i = 0; i < 4; i++)
		test_check(pthread_create(&threads[i], NULL, load_thread, i < 2 ? &a : &b) == 0);
	sleep_ms(LOAD_MS);
	called = now_ns();
	switch_off(db, "a", k->how);
	ended = now_ns();
	before = atomic_load(&b.done);
	sleep_ms(LOAD_MS);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	test_check(atomic_load(&a.refused));
	test_check(atomic_load(&a.last_ns) - called < 1000000000);
	test_check(atomic_load(&b.done) > before);
	test_ok(bh_merchant_resume(db, "a", NULL));
	atomic_store(&b.stop, true);
	for (int i = 2; i < 4; i++)
		pthread_join(threads[i], NULL);
	fprintf(stderr, "last of A %.1f ms after the call, which took %.1f ms\n", (double)(atomic_load(&a.last_ns) - called) / 1e6,
		(double)(ended - called) / 1e6);
	test_expect(a.cf, "k2", "a2");
	bh_cf_close(a.cf);
	bh_cf_close(b.cf);
	bh_db_close(db);
}

static void under_load_it_is_refused_within_a_second_and_b_goes_on(void **state)
{
	kill_run k = { .ws = *state, .how = BY_OPERATOR };

	test_child_ok(under_load, &k);
	workspace_close(*state);
	workspace_open(*state);
	k.how = REVOKED;
	test_child_ok(under_load, &k);
}

/* ---- over and over */

static size_t open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	test_check(dir != NULL);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void count_file(void *arg, const char *path)
{
	(void)path;
	++*(size_t *)arg;
}

static long resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0, ignored;

	test_check(f != NULL && fscanf(f, "%ld %ld", &ignored, &pages) == 2);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* The longer it runs, the less a constant weighs. */
static void expect_no_growth(long before, int cycles)
{
	long now = resident_kib();

	fprintf(stderr, "%d cycles: %ld KiB more resident\n", cycles, now - before);
	test_check(now - before < 16384 + 16L * cycles);
}

static void over_and_over(void *arg)
{
	const char *asked = getenv("BH_CYCLES");
	const int cycles = asked != NULL ? atoi(asked) : CYCLES;
	const workspace *ws = arg;
	size_t fds = 0, files = 0, now = 0;
	long resident = 0;
	bh_cf *a;
	bh_db *db;

	make_two(ws);
	db = test_db_open(ws, NULL);
	a = test_cf(db, "a", "profile");
	for (int i = 0; i < cycles; i++) {
		char key[16];

		test_ok(bh_put(a, NULL, row_key(key, i), bh_view_str("v")));
		switch_off(db, "a", i % 2 ? REVOKED : BY_OPERATOR);
		test_ok(bh_merchant_resume(db, "a", NULL));
		if (i % 8 == 7)
			test_ok(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }));
		if (i == 15) {
			fds = open_files();
			tree_walk(ws->db, count_file, &files);
			resident = resident_kib();
		}
	}
	for (int i = 0; i < cycles; i++) {
		char key[16] = { 0 };

		row_key(key, i);
		test_expect(a, key, "v");
	}
	expect_both(db, false);
	tree_walk(ws->db, count_file, &now);
	test_check(open_files() <= fds + 4);
	test_check(now <= files + 6);
	expect_no_growth(resident, cycles);
	bh_cf_close(a);
	bh_db_close(db);
}

static void many_cycles_leave_no_growth(void **state)
{
	test_child_ok(over_and_over, *state);
}

/* ---- while it is off */

/* Descriptors of this process that are of A's files. */
static size_t open_in(const char *dir)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;
	size_t count = 0;

	test_check(fds != NULL);
	while ((entry = readdir(fds)) != NULL) {
		char target[PATH_SIZE] = { 0 };

		if (readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) > 0)
			count += strncmp(target, dir, strlen(dir)) == 0;
	}
	closedir(fds);
	return count;
}

static void count_wal(void *arg, const char *path)
{
	size_t len = strlen(path);

	*(size_t *)arg += len > 4 && strcmp(path + len - 4, ".log") == 0 && strstr(path, "/parked/") == NULL;
}

static void expect_quiet(const workspace *ws, bh_db *db)
{
	char tenants[PATH_SIZE], parked[PATH_SIZE];
	uint64_t errors = 1;
	size_t wals = 0;

	path_join(tenants, ws->db, "tenants/a");
	path_join(parked, ws->db, "parked/a");
	test_check(!file_exists(tenants) && file_exists(parked));
	test_check(open_in(tenants) == 0 && open_in(parked) == 0);
	test_check(rocksdb_property_int(bh_db_rocksdb(db), "rocksdb.background-errors", &errors) == 0 && errors == 0);
	tree_walk(ws->db, count_wal, &wals);
	test_check(wals <= 2);
}

static void while_off(void *arg)
{
	const kill_run *k = arg;
	char parked[PATH_SIZE];
	uint64_t before;
	bh_cf *a, *b;
	bh_db *db;

	make_two(k->ws);
	db = test_db_open(k->ws, NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	put_row(a, 1, 100);
	switch_off(db, "a", k->how);
	path_join(parked, k->ws->db, "parked/a");
	before = tree_hash(parked);
	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < 500; i++)
			put_row(b, i, row_len(i));
		test_ok(bh_flush(b));
		expect_quiet(k->ws, db);
	}
	test_ok(bh_compact(b, (bh_view){ 0 }, (bh_view){ 0 }));
	expect_quiet(k->ws, db);
	test_check(tree_hash(parked) == before);
	test_ok(bh_merchant_resume(db, "a", NULL));
	test_check(!file_exists(parked));
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void nothing_touches_its_files_while_it_is_off(void **state)
{
	kill_run k = { .ws = *state, .how = BY_OPERATOR };

	test_child_ok(while_off, &k);
	workspace_close(*state);
	workspace_open(*state);
	k.how = REVOKED;
	test_child_ok(while_off, &k);
}

/* ---- no key is left */

enum { TRACED_MAX = 64 };

typedef struct tracer {
	traced_key keys[TRACED_MAX];
	size_t count;
	const bh_dek *dek;
} tracer;

static void trace_derived(tracer *t, const char *label, bh_view fields, const uint8_t *salt)
{
	BH_CLEANUP(bh_buf_clear) bh_buf info = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret key = { 0 };
	bh_view context = bh_dek_context(t->dek);

	test_check(t->count < TRACED_MAX);
	test_ok(bh_buf_append(&info, label, strlen(label) + 1));
	test_ok(bh_buf_append(&info, fields.data, fields.len));
	test_ok(bh_buf_append(&info, context.data, context.len));
	test_ok(bh_hkdf_secret(bh_dek_key(t->dek), bh_view_of(salt, BH_SALT_LEN), bh_buf_view(&info), BH_DEK_LEN, &key));
	t->keys[t->count++] = trace_of(key.data);
}

/* The key of each file of A, and the one of its spans in each log. */
static void trace_file(void *arg, const char *path)
{
	bh_buf bytes = file_read(path);
	tracer *t = arg;
	bh_header header;

	if (bh_header_parse(bh_buf_view(&bytes), &header) == BH_OK) {
		if (memcmp(header.dek_id, bh_dek_id(t->dek), BH_ID_LEN) == 0)
			trace_derived(t, "bulkhead/1/file", bh_view_of(bytes.data + 8, 16), header.salt);
		else
			trace_derived(t, "bulkhead/1/span", (bh_view){ 0 }, header.salt);
	}
	bh_buf_clear(&bytes);
}

static void trace_all(const workspace *ws, bh_db *db, tracer *t)
{
	const bh_scope scope = { .merchant = "a", .cls = "events" };
	bh_dek *dek = NULL;

	test_ok(bh_keyring_dek_current(db->keyring, &scope, &dek));
	t->dek = dek;
	t->keys[t->count++] = trace_of(bh_dek_key(dek).data);
	tree_walk(ws->db, trace_file, t);
	bh_dek_unref(dek);
}

static void no_key_left(void *arg)
{
	const kill_run *k = arg;
	static tracer t;
	bh_cf *a, *b;
	bh_iter *iter = NULL;
	bh_db *db;

	make_two(k->ws);
	db = test_db_open(k->ws, NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	for (int i = 0; i < 2000; i++)
		put_row(a, i, row_len(i));
	test_ok(bh_flush(a));
	for (int i = 0; i < 2000; i += 3)
		put_row(a, i, 20);
	test_ok(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }));
	put_row(a, 1, 10);
	test_put(b, "k", "v");
	test_ok(bh_iter_new(a, NULL, &iter));
	test_ok(bh_iter_first(iter));
	trace_all(k->ws, db, &t);
	test_check(traces_count(t.keys, t.count) > 0); /* the search finds what is there */
	switch_off(db, "a", k->how);
	test_check(traces_count(t.keys, t.count) == 0);
	test_put(b, "k", "v2");
	test_check(traces_count(t.keys, t.count) == 0);
	bh_iter_free(iter);
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void no_key_is_left_in_memory(void **state)
{
	kill_run k = { .ws = *state, .how = BY_OPERATOR };

#ifdef BH_SANITIZED
	skip();
#endif
	test_child_ok(no_key_left, &k);
	workspace_close(*state);
	workspace_open(*state);
	k.how = REVOKED;
	test_child_ok(no_key_left, &k);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_workspace, drop_workspace)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(whatever_it_holds_comes_back),
		CASE(iterators_batches_and_snapshots_of_before_end),
		CASE(kill_at_every_step_of_suspend_and_resume),
		CASE(kill_at_every_step_of_revocation_and_resume),
		CASE(cold_start_without_a_cmk_killed_at_every_step),
		CASE(cold_start_with_nobody),
		CASE(cold_start_of_two_hundred_with_fifty_gone),
		CASE(under_load_it_is_refused_within_a_second_and_b_goes_on),
		CASE(nothing_touches_its_files_while_it_is_off),
		CASE(many_cycles_leave_no_growth),
		CASE(no_key_is_left_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
