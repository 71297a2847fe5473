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
#include <bulkhead/rotation.h>

#include "env/bridge/erase.h"
#include "keyring/base/crashpoint.h"
#include "engine/wall/detach.h"
#include "engine/wall/attach.h"

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
	stage s = stage_make(arg, plain_options());
	bh_cf *b = test_cf(s.db, "b", "events");
	bh_erase_result result;
	findings f;

	write_everything(s.db, s.a, b);
	bh_cf_close(b);
	f = search_now(s.ws);
	test_check(f.hits[BH_KIND_SST] > 0 && f.hits[BH_KIND_BLOB] > 0 && f.hits[BH_KIND_WAL] > 0 && f.hits[BH_KIND_MANIFEST] > 0);
	result = erase_whole(s.a, NULL);
	expect_evidence(&result, ROWS - 10);
	for (int opened = 0; opened < 2; opened++) {
		stage_expect_hits(&s, 0);
		test_check(count_user(s.a, ERASED) == 0);
		expect_others(s.a, 2);
		stage_reopen(&s);
	}
	stage_close(&s);
	stage_expect_hits(&s, 0);
	stage_end(&s);
}

/* ---- what the end of an erasure looks for rows with */

static bh_status count_version(void *arg, bh_view key, uint64_t sequence)
{
	size_t *count = arg;

	test_check(key.len > 0 && sequence > 0);
	++*count;
	return BH_OK;
}

static size_t versions_between(bh_db *db, bh_cf *cf, const char *from, const char *to)
{
	size_t count = 0;

	test_ok(bh_bridge_versions(bh_db_rocksdb(db), bh_cf_handle(cf), bh_view_str(from), bh_view_str(to), count_version, &count));
	return count;
}

/* In memory and in tables, each version, with an end and without one. RocksDB means other things by no end. */
static void seen(void *arg)
{
	stage s = stage_make(arg, NULL);
	size_t others = versions_between(s.db, s.a, "", "");

	for (int flushed = 0; flushed < 2; flushed++) {
		test_put(s.a, "s1", "v");
		test_put(s.a, "s2", "v");
		test_put(s.a, "\xff\xff", "v");
		if (!flushed)
			test_ok(bh_flush(s.a));
	}
	test_check(versions_between(s.db, s.a, "s", "t") == 4);
	test_check(versions_between(s.db, s.a, "s2", "s3") == 2 && versions_between(s.db, s.a, "s1", "s2") == 2);
	test_check(versions_between(s.db, s.a, "", "") == others + 6 && versions_between(s.db, s.a, "\xff", "") == 2);
	test_check(versions_between(s.db, s.a, "t", "u") == 0);
	stage_close(&s);
	stage_end(&s);
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
	stage s = stage_make(arg, NULL);
	bh_cf *a = test_cf(s.db, "a", "profile");

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
	stage_end(&s);
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
	stage s = stage_make(arg, NULL);
	bh_snapshot *snapshot = NULL;
	pthread_t thread;

	put_all(s.a, 0);
	test_ok(bh_snapshot_new(s.db, &snapshot));
	test_status(bh_erase_range(s.a, bh_view_str("user7/"), NULL, NULL), BH_E_BUSY);
	test_message_names("snapshot");
	test_check(count_user(s.a, ERASED) == ROWS);
	test_check(pthread_create(&thread, NULL, free_later, snapshot) == 0);
	erase_whole(s.a, NULL);
	pthread_join(thread, NULL);
	test_check(count_user(s.a, ERASED) == 0);
	expect_others(s.a, 0);
	stage_end(&s);
}

/* An iterator goes on, and the files that it reads are named until it is closed. */
static void iterators(void *arg)
{
	const bh_erase_options wait = { .wait_ms = 1 };
	stage s = stage_make(arg, NULL);
	bh_erase_result result;
	bh_iter *iter = NULL;

	put_all(s.a, 0);
	test_ok(bh_flush(s.a));
	test_ok(bh_iter_new(s.a, NULL, &iter));
	test_ok(bh_iter_seek(iter, bh_view_str("user7/")));
	result = erase_user(s.a, &wait);
	expect_pending(&result, "iterator");
	bh_erase_result_clear(&result);
	test_ok(bh_iter_next(iter));
	test_check(bh_iter_valid(iter));
	bh_iter_free(iter);
	erase_whole(s.a, NULL);
	stage_end(&s);
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
	stage s = stage_make(arg, NULL);
	writer w = { .cf = s.a };
	pthread_t thread;

	put_all(w.cf, 0);
	test_check(pthread_create(&thread, NULL, keep_writing, &w) == 0);
	for (int i = 0; i < 5; i++)
		erase_whole(w.cf, NULL);
	atomic_store(&w.over, true);
	pthread_join(thread, NULL);
	expect_others(w.cf, w.version);
	put_user(w.cf, ERASED, 1);
	test_check(count_user(w.cf, ERASED) == ROWS);
	stage_end(&s);
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
	stage s = stage_make(arg, plain_options());
	bh_status status;
	pthread_t thread;

	for (int version = 0; version < 4; version++) {
		put_all(s.a, 2);
		test_ok(bh_flush(s.a));
	}
	test_check(pthread_create(&thread, NULL, suspend_soon, s.db) == 0);
	status = bh_erase_range(s.a, bh_view_str("user7/"), NULL, NULL);
	pthread_join(thread, NULL);
	test_check(status == BH_OK || status == BH_E_SUSPENDED);
	test_status(bh_erase_range(s.a, bh_view_str("user7/"), NULL, NULL), BH_E_SUSPENDED);
	test_ok(bh_merchant_resume(s.db, "a", NULL));
	erase_whole(s.a, NULL);
	expect_others(s.a, 2);
	stage_reopen(&s);
	stage_expect_hits(&s, 0);
	test_ok(bh_merchant_shred(s.db, "a", NULL));
	stage_end(&s);
}

static void *shred_soon(void *arg)
{
	usleep(20 * 1000);
	test_ok(bh_merchant_shred(arg, "a", NULL));
	return NULL;
}

static void shredded(void *arg)
{
	stage s = stage_make(arg, plain_options());
	bh_cf *b = test_cf(s.db, "b", "events");
	bh_status status;
	pthread_t thread;

	for (int version = 0; version < 4; version++) {
		put_all(s.a, version);
		test_ok(bh_flush(s.a));
	}
	test_check(pthread_create(&thread, NULL, shred_soon, s.db) == 0);
	status = bh_erase_range(s.a, bh_view_str("user7/"), NULL, NULL);
	pthread_join(thread, NULL);
	test_check(status == BH_OK || status == BH_E_SHREDDED);
	test_status(bh_erase_range(s.a, bh_view_str("user7/"), NULL, NULL), BH_E_SHREDDED);
	test_expect(b, "k1", "b1");
	bh_cf_close(b);
	stage_close(&s);
	bh_db_close(test_db_open(s.ws, s.options));
	stage_end(&s);
}

/* What another merchant's suspension keeps is said, and gone with its resume. */
static void parked(void *arg)
{
	stage s = stage_make(arg, plain_options());
	bh_erase_result result;

	put_all(s.a, 0);
	test_ok(bh_flush(s.a));
	put_all(s.a, 1);
	test_ok(bh_merchant_detach(s.db, "b", BH_SUSPEND_KMS_REFUSED, "its CMK is disabled"));
	result = erase_user(s.a, NULL);
	expect_pending(&result, "parked/b/");
	bh_erase_result_clear(&result);
	test_ok(bh_merchant_attach(s.db, "b"));
	erase_whole(s.a, NULL);
	stage_reopen(&s);
	stage_expect_hits(&s, 0);
	stage_end(&s);
}

/* The prefix has one name in the log, over generations of keys; it is not in the log itself. */
static void logged(void *arg)
{
	stage s = stage_make(arg, NULL);
	char hex[2 * BH_ERASE_DIGEST_LEN + 1];
	bh_erase_result first, second;

	put_all(s.a, 0);
	first = erase_whole(s.a, NULL);
	test_ok(bh_merchant_rotate(s.db, "a", NULL));
	test_ok(bh_compact(s.a, (bh_view){ 0 }, (bh_view){ 0 }));
	for (int i = 0; i < 2; i++) { /* the first open retires the old generation */
		stage_reopen(&s);
		second = erase_whole(s.a, NULL);
		test_check(second.generation == 2);
		test_check(memcmp(first.prefix_digest, second.prefix_digest, BH_ERASE_DIGEST_LEN) == 0);
	}
	bh_hex(first.prefix_digest, sizeof(first.prefix_digest), hex);
	test_check(stage_count_log(&s, "\"erase.begun\"") == 3);
	test_check(stage_count_log(&s, "\"erase.ended\"") >= 3);
	test_check(stage_count_log(&s, hex) >= 6);
	test_check(stage_count_log(&s, "dek.retired") > 0);
	test_check(stage_count_log(&s, "user7") == 0);
	stage_end(&s);
}

/* ---- what logs hold still */

static void expect_left(const stage *s, const char *what)
{
	const bh_erase_options hurry = { .wait_ms = 1 };
	bh_erase_result result = erase_user(s->a, &hurry);

	expect_pending(&result, what);
	bh_erase_result_clear(&result);
	test_check(stage_count_log(s, "\"erase.ended\"") == 1 && stage_count_notes(s) == 1);
	test_check(stage_count_log(s, "holds it; complete") == 0);
}

/* Nobody erased again: it was the open. */
static void expect_ended_by_open(stage *s)
{
	stage_reopen(s);
	test_check(stage_count_log(s, "\"erase.begun\"") == 1 && stage_count_log(s, "\"erase.ended\"") == 2);
	test_check(stage_count_log(s, "holds it; complete") == 1);
	test_check(stage_count_notes(s) == 0);
	stage_expect_hits(s, 0);
	expect_others(s->a, 1);
	stage_reopen(s);
	test_check(stage_count_log(s, "\"erase.ended\"") == 2);
}

/* Somebody copies the database, so that no file goes. */
static void kept_logs(void *arg)
{
	stage s = stage_make(arg, plain_options());
	char *error = NULL;

	put_all(s.a, 0);
	test_ok(bh_flush(s.a));
	put_all(s.a, 1);
	rocksdb_disable_file_deletions(s.db->rocks, &error);
	test_rocks_ok(error);
	expect_left(&s, "RocksDB keeps this WAL");
	expect_ended_by_open(&s);
	stage_end(&s);
}

/* The rows are in the logs that a suspended merchant needs: an open while it is away does not end it, one after it came back does.
 */
static void parked_logs(void *arg)
{
	stage s = stage_make(arg, plain_options());

	put_all(s.a, 1);
	test_ok(bh_merchant_detach(s.db, "b", BH_SUSPEND_KMS_DAMAGED, "its KMS answers with something wrong"));
	expect_left(&s, "parked/b/");
	stage_reopen(&s);
	test_check(stage_count_log(&s, "\"erase.ended\"") == 1 && stage_count_notes(&s) == 1);
	test_ok(bh_merchant_resume(s.db, "b", NULL));
	expect_ended_by_open(&s);
	stage_end(&s);
}

/* With b away, new keys for a end it: what b's logs have of a lies under a key that is destroyed. */
static void parked_logs_and_new_keys(void *arg)
{
	stage s = stage_make(arg, plain_options());

	put_all(s.a, 1);
	test_ok(bh_merchant_detach(s.db, "b", BH_SUSPEND_KMS_DAMAGED, "its KMS answers with something wrong"));
	expect_left(&s, "parked/b/");
	test_ok(bh_merchant_rotate(s.db, "a", NULL));
	test_ok(bh_merchant_sweep(s.db, "a", NULL));
	expect_ended_by_open(&s);
	erase_whole(s.a, NULL);
	test_ok(bh_merchant_resume(s.db, "b", NULL));
	expect_others(s.a, 1);
	stage_end(&s);
}

/* ---- options */

static void expect_option_refused(const workspace *ws, const char *change, const char *name)
{
	stage s = stage_open(ws, test_options_with(rocksdb_options_create(), change));

	test_status(bh_erase_range(s.a, bh_view_str("k1"), NULL, NULL), BH_E_UNSUPPORTED);
	test_message_names(name);
	test_expect(s.a, "k1", "a1");
	stage_end(&s);
}

static void options(void *arg)
{
	stage s;

	make_two(arg);
	expect_option_refused(arg, "compaction_pri=kRoundRobin", "kRoundRobin");
	s = stage_open(arg, test_options_with(plain_options(), "compaction_style=kCompactionStyleUniversal"));
	for (int version = 0; version < 3; version++) {
		put_all(s.a, version);
		test_ok(bh_flush(s.a));
	}
	erase_whole(s.a, NULL);
	expect_others(s.a, 2);
	stage_reopen(&s);
	stage_close(&s);
	stage_expect_hits(&s, 0);
	stage_end(&s);
}

/* ---- kills */

static void make_rows(void *arg)
{
	stage s = stage_make(arg, plain_options());

	put_all(s.a, 0);
	test_ok(bh_flush(s.a));
	put_all(s.a, 1);
	stage_end(&s);
}

static void erase_armed(void *arg)
{
	const kill_run *run = arg;
	stage s = stage_open(run->ws, plain_options());

	put_user(s.a, ERASED, run->at);
	arm(run->at);
	erase_whole(s.a, NULL);
	bh_crash_arm(NULL);
	stage_end(&s);
}

/* Whenever it was: it opens, others' rows are there, and asking again completes it. */
static void erase_again(void *arg)
{
	const kill_run *run = arg;
	stage s = stage_open(run->ws, plain_options());

	expect_others(s.a, 1);
	erase_whole(s.a, NULL);
	expect_others(s.a, 1);
	stage_reopen(&s);
	stage_close(&s);
	stage_expect_hits(&s, 0);
	stage_end(&s);
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
IN_A_CHILD(seen)
IN_A_CHILD(prefixes)
IN_A_CHILD(snapshots)
IN_A_CHILD(iterators)
IN_A_CHILD(under_load)
IN_A_CHILD(suspended)
IN_A_CHILD(shredded)
IN_A_CHILD(parked)
IN_A_CHILD(logged)
IN_A_CHILD(kept_logs)
IN_A_CHILD(parked_logs)
IN_A_CHILD(parked_logs_and_new_keys)
IN_A_CHILD(options)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(test_gone),      SUSPEND_CASE(test_prefixes),    SUSPEND_CASE(test_snapshots),
		SUSPEND_CASE(test_iterators), SUSPEND_CASE(test_under_load),  SUSPEND_CASE(test_suspended),
		SUSPEND_CASE(test_parked),    SUSPEND_CASE(test_logged),      SUSPEND_CASE(test_shredded),
		SUSPEND_CASE(test_kept_logs), SUSPEND_CASE(test_parked_logs), SUSPEND_CASE(test_parked_logs_and_new_keys),
		SUSPEND_CASE(test_options),   SUSPEND_CASE(test_seen),        SUSPEND_CASE(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
