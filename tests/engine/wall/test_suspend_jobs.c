/* SPDX-License-Identifier: Apache-2.0
 *
 * test_suspend_jobs.c: a suspension while RocksDB is at work on the merchant, or on another one, for as long as the test wants.
 * Each of these jobs takes HELD_MS or more if it is let go on: whoever waits for one is found out, however slow the machine is.
 */
#include "suspend_fixture.h"

#include <time.h>

enum { HELD_MS = 20000, LIMIT_MS = 6000, STALL_MS = 6000, ROWS = 1000 };

typedef struct stage {
	const workspace *ws;
	bool blobs;
	_Atomic bool in_filter; /* a compaction is at the merchant's rows */
	_Atomic bool let_go;
	const char *held; /* keys that begin so take their time in a compaction */
	_Atomic bool stop;
	_Atomic uint64_t written;
	_Atomic int64_t slowest_ms; /* of B's writes */
	bh_cf *b;
} stage;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

/* ---- slow compactions */

static unsigned char filter(void *arg, int level, const char *key, size_t key_len, const char *value, size_t value_len,
			    char **new_value, size_t *new_len, unsigned char *changed)
{
	stage *s = arg;

	(void)level;
	(void)value;
	(void)value_len;
	(void)new_value;
	(void)new_len;
	*changed = 0;
	if (key_len < strlen(s->held) || memcmp(key, s->held, strlen(s->held)) != 0)
		return 0;
	atomic_store(&s->in_filter, true);
	for (int64_t until = now_ms() + HELD_MS; !atomic_load(&s->let_go) && now_ms() < until;)
		pause_ms(5);
	return 0;
}

static const char *filter_name(void *arg)
{
	(void)arg;
	return "held";
}

static void filter_end(void *arg)
{
	(void)arg;
}

/* ---- B writes throughout */

static void *write_on(void *arg)
{
	stage *s = arg;

	for (int i = 0; !atomic_load(&s->stop); i++) {
		const int64_t began_ms = now_ms();

		put_row(s->b, i % ROWS, 40);
		s->slowest_ms = BH_MAX(s->slowest_ms, now_ms() - began_ms);
		atomic_fetch_add(&s->written, 1);
		pause_ms(1);
	}
	return NULL;
}

static bh_db *open_with(stage *s, rocksdb_options_t *options)
{
	const bh_db_options db_options = { .rocksdb = options };
	bh_db *db = NULL;

	rocksdb_options_set_compression(options, rocksdb_no_compression);
	rocksdb_options_set_level0_file_num_compaction_trigger(options, 2);
	if (s->blobs) {
		rocksdb_options_set_enable_blob_files(options, 1);
		rocksdb_options_set_min_blob_size(options, 100);
	}
	test_ok(bh_db_open(s->ws->db, &db_options, &db));
	return db;
}

/* All rows in each of so many SSTs, and in the memtable. */
static void fill(bh_db *db, const char *merchant, int files)
{
	bh_cf *cf = test_cf(db, merchant, "events");

	for (int f = 0; f <= files; f++) {
		for (int i = 0; i < ROWS; i++)
			put_row(cf, i, 600);
		if (f < files)
			test_ok(bh_flush(cf));
	}
	bh_cf_close(cf);
}

/* ---- A goes while B writes */

static void go(stage *s, bh_db *db)
{
	pthread_t writer;
	int64_t took_ms;

	s->b = test_cf(db, "b", "events");
	test_check(pthread_create(&writer, NULL, write_on, s) == 0);
	took_ms = now_ms();
	test_ok(bh_merchant_suspend(db, "a", NULL));
	took_ms = now_ms() - took_ms;
	pause_ms(100);
	atomic_store(&s->stop, true);
	pthread_join(writer, NULL);
	print_message("suspended in %d ms; B's slowest of %d writes took %d ms\n", (int)took_ms, (int)s->written,
		      (int)s->slowest_ms);
	test_check(took_ms < LIMIT_MS && s->slowest_ms < STALL_MS && s->written > 0);
	test_put(s->b, "k", "v");
}

static void expect_rows(bh_db *db, const char *merchant)
{
	bh_cf *cf = test_cf(db, merchant, "events");

	for (int i = 0; i < ROWS; i++)
		expect_put_row(cf, i, 600);
	bh_cf_close(cf);
}

/* ---- a compaction that does not end: of A itself, or of B, from before A's files were made */

static void compact_held(void *arg, const char *whose)
{
	stage *s = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	bh_db *db;

	s->held = "row";
	make_two(s->ws);
	rocksdb_options_set_compaction_filter(options, rocksdb_compactionfilter_create(s, filter_end, filter, filter_name));
	db = open_with(s, options);
	fill(db, whose, 4);
	for (int64_t until = now_ms() + HELD_MS; !atomic_load(&s->in_filter) && now_ms() < until;)
		pause_ms(1);
	test_check(atomic_load(&s->in_filter));
	if (strcmp(whose, "a") != 0)
		fill(db, "a", 1);
	go(s, db);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_rows(db, "a");
	test_check(!atomic_load(&s->let_go));
	atomic_store(&s->let_go, true);
	test_ok(bh_flush(s->b)); /* there is no background error */
	bh_cf_close(s->b);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void compact_a(void *arg)
{
	compact_held(arg, "a");
}

static void compact_b(void *arg)
{
	compact_held(arg, "b");
}

static void its_own_compaction_is_not_waited_for(void **state)
{
	stage s = { .ws = *state };

	test_child_ok(compact_a, &s);
}

static void anothers_compaction_is_not_waited_for(void **state)
{
	stage s = { .ws = *state };

	test_child_ok(compact_b, &s);
}

/* ---- a flush that goes on and on: 600 kB at 20 kB a second */

static void flush_slowly(void *arg)
{
	stage *s = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_ratelimiter_t *limiter = rocksdb_ratelimiter_create(20 << 10, 100000, 10);
	bh_db *db;

	make_two(s->ws);
	rocksdb_options_set_ratelimiter(options, limiter);
	db = open_with(s, options);
	fill(db, "a", 0);
	go(s, db);
	bh_cf_close(s->b);
	bh_db_close(db);
	rocksdb_ratelimiter_destroy(limiter);
	rocksdb_options_destroy(options);
	db = test_db_open(s->ws, NULL); /* which writes faster */
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_rows(db, "a");
	bh_db_close(db);
}

static void a_flush_is_not_waited_for(void **state)
{
	stage s = { .ws = *state };

	test_child_ok(flush_slowly, &s);
}

static void nor_are_blobs(void **state)
{
	stage s = { .ws = *state, .blobs = true };

	test_child_ok(flush_slowly, &s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(its_own_compaction_is_not_waited_for),
		SUSPEND_CASE(anothers_compaction_is_not_waited_for),
		SUSPEND_CASE(a_flush_is_not_waited_for),
		SUSPEND_CASE(nor_are_blobs),
	};

	return cmocka_run_group_tests_name("suspend_jobs", tests, NULL, NULL);
}
