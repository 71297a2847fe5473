/* SPDX-License-Identifier: Apache-2.0
 *
 * test_erase.c: an end user's rows are erased while the merchant serves, and then nobody finds a byte of them in the database's
 * files, whatever keys he has: every file is decrypted with all keys of both merchants and the platform, by the formats alone.
 * erase_fixture.h has the rows.
 */
#include "erase_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "keyring/crashpoint.h"

#ifdef BH_SANITIZED
enum { STRIDE = 3 }; /* one in as many of the kill points */
#else
enum { STRIDE = 1 };
#endif

/* ---- gone */

/* The user's rows in every state that rows can be in, in SSTs of several levels, blob files, memtable and WAL, beside B's. */
static void write_everything(bh_db *db, bh_cf *a, bh_cf *b)
{
	char key[64], value[4096];
	bh_batch *batch = NULL;

	for (int version = 0; version < 3; version++) {
		put_all(a, version);
		put_user(b, 1, version);
		test_ok(bh_flush(a));
		if (version == 0)
			test_ok(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }));
	}
	for (int row = 0; row < 5; row++)
		test_ok(bh_delete(a, NULL, user_key(key, ERASED, row)));
	test_ok(bh_delete_range(a, NULL, user_key(key, ERASED, 10), user_key(value, ERASED, 15)));
	test_ok(bh_flush(a));
	for (int row = 15; row < 20; row++)
		test_ok(bh_merge(a, NULL, user_key(key, ERASED, row), user_value(value, ERASED, row, 4)));
	test_ok(bh_batch_new(db, &batch));
	for (int row = 20; row < 25; row++) {
		test_ok(bh_batch_put(batch, a, user_key(key, ERASED, row), user_value(value, ERASED, row, 5)));
		test_ok(bh_batch_put(batch, b, user_key(key, 2, row), user_value(value, 2, row, 5)));
	}
	test_ok(bh_batch_write(batch, NULL));
	bh_batch_free(batch);
}

static void expect_evidence(const bh_erase_result *result, size_t rows)
{
	test_check(result->rows == rows && result->files_rewritten > 0 && result->bytes_rewritten > 0);
	test_check(result->sequence > 0 && result->generation == 1 && result->versions == 0);
}

static void gone(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = plain_options();
	bh_db *db = (make_two(ws), test_db_open(ws, options));
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");
	bh_erase_result result;
	findings f;

	write_everything(db, a, b);
	f = search_now(ws);
	test_check(f.hits[BH_KIND_SST] > 0 && f.hits[BH_KIND_BLOB] > 0 && f.hits[BH_KIND_WAL] > 0 && f.hits[BH_KIND_MANIFEST] > 0);
	result = erase_user(a, NULL);
	expect_done(&result);
	expect_evidence(&result, ROWS - 10);
	test_check(count_user(a, ERASED) == 0);
	expect_others(a, 2);
	f = search_now(ws);
	test_check(hits_of_all(&f) == 0);
	bh_erase_result_clear(&result);
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);

	db = test_db_open(ws, options);
	f = search_now(ws);
	test_check(hits_of_all(&f) == 0);
	a = test_cf(db, "a", "events");
	expect_others(a, 2);
	test_check(count_user(a, ERASED) == 0);
	bh_cf_close(a);
	bh_db_close(db);
	f = search_dir(ws->db);
	test_check(hits_of_all(&f) == 0);
	rocksdb_options_destroy(options);
}

/* ---- prefixes */

static void expect_erased(bh_cf *cf, bh_view prefix, uint64_t rows)
{
	const bh_erase_options long_enough = { .wait_ms = 60000 };
	bh_erase_result result = { 0 };

	test_ok(bh_erase_range(cf, prefix, &long_enough, &result));
	expect_done(&result);
	test_check(result.rows == rows);
	bh_erase_result_clear(&result);
}

/* Those without an end, binary ones, one of a single row, one of none. */
static void prefixes(void *arg)
{
	static const char *const keys[] = { "\xfe\xff", "\xff", "\xff\xff", "\xff\xffx", "\xff\xff\xff\xff", "a", "ab", "b" };
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	bh_cf *a = test_cf(db, "a", "profile");

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		test_put(a, keys[i], "value");
	expect_erased(a, bh_view_str("\xff\xff"), 3);
	test_expect(a, "\xff\xff", NULL);
	test_expect(a, "\xff\xff\xff\xff", NULL);
	test_expect(a, "\xff", "value");
	expect_erased(a, bh_view_str("\xff\xff"), 0);
	expect_erased(a, bh_view_str("\xfe\xff"), 1);
	test_expect(a, "\xff", "value");
	expect_erased(a, bh_view_str("ab"), 1);
	test_expect(a, "a", "value");
	test_expect(a, "b", "value");
	expect_erased(a, bh_view_of("\0", 1), 0);
	test_status(bh_erase_range(a, (bh_view){ 0 }, NULL, NULL), BH_E_INVALID);
	bh_cf_close(a);
	bh_db_close(db);
}

/* ---- who reads meanwhile */

static void *free_later(void *arg)
{
	usleep(200 * 1000);
	bh_snapshot_free(arg);
	return NULL;
}

static void snapshots(void *arg)
{
	const bh_erase_options wait = { .wait_ms = 60000 };
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	bh_cf *a = test_cf(db, "a", "events");
	bh_snapshot *snapshot = NULL;
	bh_erase_result result;
	pthread_t thread;

	put_all(a, 0);
	test_ok(bh_snapshot_new(db, &snapshot));
	test_status(bh_erase_range(a, bh_view_str("user7/"), NULL, NULL), BH_E_BUSY);
	test_message_names("snapshot");
	test_check(count_user(a, ERASED) == ROWS);
	test_check(pthread_create(&thread, NULL, free_later, snapshot) == 0);
	result = erase_user(a, &wait);
	pthread_join(thread, NULL);
	expect_done(&result);
	bh_erase_result_clear(&result);
	test_check(count_user(a, ERASED) == 0);
	expect_others(a, 0);
	bh_cf_close(a);
	bh_db_close(db);
}

/* An iterator goes on, and the files that it reads are named until it is closed. */
static void iterators(void *arg)
{
	const bh_erase_options wait = { .wait_ms = 1 };
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	bh_cf *a = test_cf(db, "a", "events");
	bh_erase_result result;
	bh_iter *iter = NULL;

	put_all(a, 0);
	test_ok(bh_flush(a));
	test_ok(bh_iter_new(a, NULL, &iter));
	test_ok(bh_iter_seek(iter, bh_view_str("user7/")));
	result = erase_user(a, &wait);
	expect_pending(&result, "iterator");
	bh_erase_result_clear(&result);
	test_ok(bh_iter_next(iter));
	test_check(bh_iter_valid(iter));
	bh_iter_free(iter);
	result = erase_user(a, NULL);
	expect_done(&result);
	bh_erase_result_clear(&result);
	bh_cf_close(a);
	bh_db_close(db);
}

typedef struct writer {
	bh_cf *cf;
	atomic_bool over;
	int version; /* of all the rows that were written last */
} writer;

/* Other users' rows, and new ones of the one that is erased. */
static void *keep_writing(void *arg)
{
	writer *w = arg;

	while (!atomic_load(&w->over)) {
		put_all(w->cf, ++w->version);
		test_ok(bh_flush(w->cf));
	}
	return NULL;
}

static void under_load(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	writer w = { .cf = test_cf(db, "a", "events") };
	bh_erase_result result;
	pthread_t thread;

	put_all(w.cf, 0);
	test_check(pthread_create(&thread, NULL, keep_writing, &w) == 0);
	for (int i = 0; i < 5; i++) {
		result = erase_user(w.cf, NULL);
		expect_done(&result);
		bh_erase_result_clear(&result);
	}
	atomic_store(&w.over, true);
	pthread_join(thread, NULL);
	expect_others(w.cf, w.version);
	put_user(w.cf, ERASED, 1);
	test_check(count_user(w.cf, ERASED) == ROWS);
	bh_cf_close(w.cf);
	bh_db_close(db);
}

/* ---- beside the rest of a merchant's life */

static void *suspend_soon(void *arg)
{
	usleep(20 * 1000);
	test_ok(bh_merchant_suspend(arg, "a", NULL));
	return NULL;
}

/* It ends before the suspension or by it, and is made good afterwards. */
static void suspended(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = plain_options();
	bh_db *db = (make_two(ws), test_db_open(ws, options));
	bh_cf *a = test_cf(db, "a", "events");
	bh_erase_result result = { 0 };
	bh_status status;
	pthread_t thread;
	findings f;

	for (int version = 0; version < 4; version++) {
		put_all(a, 2);
		test_ok(bh_flush(a));
	}
	test_check(pthread_create(&thread, NULL, suspend_soon, db) == 0);
	status = bh_erase_range(a, bh_view_str("user7/"), NULL, &result);
	pthread_join(thread, NULL);
	test_check(status == BH_OK || status == BH_E_SUSPENDED);
	bh_erase_result_clear(&result);
	test_status(bh_erase_range(a, bh_view_str("user7/"), NULL, &result), BH_E_SUSPENDED);
	test_ok(bh_merchant_resume(db, "a", NULL));
	result = erase_user(a, NULL);
	expect_done(&result);
	bh_erase_result_clear(&result);
	expect_others(a, 2);
	bh_cf_close(a);
	bh_db_close(db);
	db = test_db_open(ws, options);
	f = search_now(ws);
	test_check(hits_of_all(&f) == 0);
	test_ok(bh_merchant_shred(db, "a", NULL));
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void *shred_soon(void *arg)
{
	usleep(20 * 1000);
	test_ok(bh_merchant_shred(arg, "a", NULL));
	return NULL;
}

static void shredded(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = plain_options();
	bh_db *db = (make_two(ws), test_db_open(ws, options));
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");
	bh_status status;
	pthread_t thread;

	for (int version = 0; version < 4; version++) {
		put_all(a, version);
		test_ok(bh_flush(a));
	}
	test_check(pthread_create(&thread, NULL, shred_soon, db) == 0);
	status = bh_erase_range(a, bh_view_str("user7/"), NULL, NULL);
	pthread_join(thread, NULL);
	test_check(status == BH_OK || status == BH_E_SHREDDED);
	test_status(bh_erase_range(a, bh_view_str("user7/"), NULL, NULL), BH_E_SHREDDED);
	test_expect(b, "k1", "b1");
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
	db = test_db_open(ws, options);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

/* What another merchant's suspension keeps is said, and gone with its resume. */
static void parked(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = plain_options();
	bh_db *db = (make_two(ws), test_db_open(ws, options));
	bh_cf *a = test_cf(db, "a", "events");
	bh_erase_result result;
	findings f;

	put_all(a, 0);
	test_ok(bh_flush(a));
	put_all(a, 1);
	test_ok(bh_merchant_detach(db, "b", BH_SUSPEND_KMS_REFUSED, "its CMK is disabled"));
	result = erase_user(a, NULL);
	expect_pending(&result, "parked/b/");
	bh_erase_result_clear(&result);
	test_ok(bh_merchant_attach(db, "b"));
	result = erase_user(a, NULL);
	expect_done(&result);
	bh_erase_result_clear(&result);
	bh_cf_close(a);
	bh_db_close(db);
	db = test_db_open(ws, options);
	f = search_now(ws);
	test_check(hits_of_all(&f) == 0);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

/* The prefix has one name in the log, over generations of keys; it is not in the log itself. */
static void logged(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	bh_cf *a = test_cf(db, "a", "events");
	char hex[2 * BH_ERASE_DIGEST_LEN + 1], path[PATH_SIZE];
	bh_erase_result first, second;
	bh_buf log;

	put_all(a, 0);
	first = erase_user(a, NULL);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	test_ok(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }));
	bh_cf_close(a);
	bh_db_close(db);
	for (int i = 0; i < 2; i++) { /* the first open retires the old generation */
		db = test_db_open(ws, NULL);
		a = test_cf(db, "a", "events");
		second = erase_user(a, NULL);
		test_check(second.generation == 2);
		test_check(memcmp(first.prefix_digest, second.prefix_digest, BH_ERASE_DIGEST_LEN) == 0);
		bh_erase_result_clear(&second);
		bh_cf_close(a);
		bh_db_close(db);
	}
	path_join(path, ws->db, "AUDIT");
	log = file_read(path);
	bh_hex(first.prefix_digest, sizeof(first.prefix_digest), hex);
	test_check(bytes_count(bh_buf_view(&log), bh_view_str("\"erase.begun\"")) == 3);
	test_check(bytes_count(bh_buf_view(&log), bh_view_str("\"erase.ended\"")) >= 3);
	test_check(bytes_count(bh_buf_view(&log), bh_view_str(hex)) >= 6);
	test_check(bytes_count(bh_buf_view(&log), bh_view_str("dek.retired")) > 0);
	test_check(bytes_count(bh_buf_view(&log), bh_view_str("user7")) == 0);
	bh_buf_clear(&log);
	bh_erase_result_clear(&first);
}

/* ---- options */

static void expect_option_refused(const workspace *ws, const char *change, const char *name)
{
	rocksdb_options_t *options = test_options_with(rocksdb_options_create(), change);
	bh_db *db = test_db_open(ws, options);
	bh_cf *a = test_cf(db, "a", "events");

	test_status(bh_erase_range(a, bh_view_str("k1"), NULL, NULL), BH_E_UNSUPPORTED);
	test_message_names(name);
	test_expect(a, "k1", "a1");
	bh_cf_close(a);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void options(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *universal = test_options_with(plain_options(), "compaction_style=kCompactionStyleUniversal");
	bh_erase_result result;
	findings f;
	bh_db *db;
	bh_cf *a;

	make_two(ws);
	expect_option_refused(ws, "compaction_pri=kRoundRobin", "kRoundRobin");
	db = test_db_open(ws, universal);
	a = test_cf(db, "a", "events");
	for (int version = 0; version < 3; version++) {
		put_all(a, version);
		test_ok(bh_flush(a));
	}
	result = erase_user(a, NULL);
	expect_done(&result);
	bh_erase_result_clear(&result);
	expect_others(a, 2);
	bh_cf_close(a);
	bh_db_close(db);
	db = test_db_open(ws, universal);
	bh_db_close(db);
	f = search_dir(ws->db);
	test_check(hits_of_all(&f) == 0);
	rocksdb_options_destroy(universal);
}

/* ---- kills */

static void make_rows(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *plain = plain_options();
	bh_db *db = (make_two(ws), test_db_open(ws, plain));
	bh_cf *a = test_cf(db, "a", "events");

	put_all(a, 0);
	test_ok(bh_flush(a));
	put_all(a, 1);
	bh_cf_close(a);
	bh_db_close(db);
	rocksdb_options_destroy(plain);
}

static void erase_armed(void *arg)
{
	const kill_run *run = arg;
	rocksdb_options_t *plain = plain_options();
	bh_db *db = test_db_open(run->ws, plain);
	bh_cf *a = test_cf(db, "a", "events");
	bh_erase_result result;

	put_user(a, ERASED, run->at);
	arm(run->at);
	result = erase_user(a, NULL);
	expect_done(&result);
	bh_erase_result_clear(&result);
	bh_crash_arm(NULL);
	bh_cf_close(a);
	bh_db_close(db);
	rocksdb_options_destroy(plain);
}

/* Whenever it was: it opens, others' rows are there, and asking again completes it. */
static void erase_again(void *arg)
{
	const kill_run *run = arg;
	rocksdb_options_t *plain = plain_options();
	bh_db *db = test_db_open(run->ws, plain);
	bh_cf *a = test_cf(db, "a", "events");
	bh_erase_result result;
	findings f;

	expect_others(a, 1);
	result = erase_user(a, NULL);
	expect_done(&result);
	bh_erase_result_clear(&result);
	expect_others(a, 1);
	bh_cf_close(a);
	bh_db_close(db);
	db = test_db_open(run->ws, plain);
	bh_db_close(db);
	f = search_dir(run->ws->db);
	test_check(hits_of_all(&f) == 0);
	rocksdb_options_destroy(plain);
}

static void test_killed(void **state)
{
	kill_run run = { .ws = *state };
	bool survived = false;

	test_child_ok(make_rows, *state);
	for (run.at = 1; !survived; run.at += STRIDE) {
		survived = test_child_survives(erase_armed, &run);
		test_child_ok(erase_again, &run);
	}
	test_check(run.at > 6);
}

/* ---- */

#define IN_A_CHILD(body)                                                                                                           \
	static void test_##body(void **state)                                                                                      \
	{                                                                                                                          \
		test_child_ok(body, *state);                                                                                       \
	}

IN_A_CHILD(gone)
IN_A_CHILD(prefixes)
IN_A_CHILD(snapshots)
IN_A_CHILD(iterators)
IN_A_CHILD(under_load)
IN_A_CHILD(suspended)
IN_A_CHILD(shredded)
IN_A_CHILD(parked)
IN_A_CHILD(logged)
IN_A_CHILD(options)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(test_gone),      SUSPEND_CASE(test_prefixes),   SUSPEND_CASE(test_snapshots),
		SUSPEND_CASE(test_iterators), SUSPEND_CASE(test_under_load), SUSPEND_CASE(test_suspended),
		SUSPEND_CASE(test_parked),    SUSPEND_CASE(test_logged),     SUSPEND_CASE(test_shredded),
		SUSPEND_CASE(test_options),   SUSPEND_CASE(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
