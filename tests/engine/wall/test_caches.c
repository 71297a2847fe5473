/* SPDX-License-Identifier: Apache-2.0
 *
 * test_caches.c: a merchant that leaves takes its blocks out of the caches, and nobody else's: B's rows are read from memory as
 * before, other databases that share the cache keep theirs, the capacity is never another one. Nothing decrypted of A stays in the
 * memory that the cache had.
 */
#include "suspend_fixture.h"

#include <sys/mman.h>

#include "cache_kinds.h"
#include "keyring/base/random.h"
#include "tests/support/traces.h"

enum { ROWS = 3000, CAPACITY = 64 << 20, CANARIES = 6 };

typedef struct stage {
	const workspace *ws;
	rocksdb_options_t *options;
	bh_db *db;
	bh_cf *a, *b;
} stage;

static rocksdb_options_t *options_of(cache_kind kind)
{
	rocksdb_options_t *options = rocksdb_options_create();

	cache_kind_set(options, kind, CAPACITY);
	if (kind == CACHE_BLOBS) {
		rocksdb_options_set_enable_blob_files(options, 1);
		rocksdb_options_set_min_blob_size(options, 100);
	}
	return options;
}

static void fill(bh_cf *cf)
{
	for (int i = 0; i < ROWS; i++)
		put_row(cf, i, 200);
	test_ok(bh_flush(cf));
}

static void read_all(bh_cf *cf)
{
	for (int i = 0; i < ROWS; i++)
		expect_put_row(cf, i, 200);
}

/* Blocks that B's reads of all its rows took from files. */
static uint64_t blocks_read(bh_cf *cf)
{
	rocksdb_perfcontext_t *perf = rocksdb_perfcontext_create();
	uint64_t count;

	rocksdb_set_perf_level(rocksdb_enable_count);
	rocksdb_perfcontext_reset(perf);
	read_all(cf);
	count = rocksdb_perfcontext_metric(perf, rocksdb_block_read_count);
	rocksdb_perfcontext_destroy(perf);
	return count;
}

static void open_stage(stage *s, cache_kind kind)
{
	s->options = options_of(kind);
	test_db_create(s->ws, s->options);
	s->db = test_db_open(s->ws, s->options);
	test_merchant_add(s->ws, s->db, "a", "events", "profile");
	test_merchant_add(s->ws, s->db, "b", "events", NULL);
	s->a = test_cf(s->db, "a", "events");
	s->b = test_cf(s->db, "b", "events");
	fill(s->a);
	fill(s->b);
}

static void close_stage(stage *s)
{
	bh_cf_close(s->a);
	bh_cf_close(s->b);
	bh_db_close(s->db);
	rocksdb_options_destroy(s->options);
}

/* What A's reads add to the cache leaves it with A, and only that. */
static void leave_and_come_back(stage *s, way how)
{
	size_t with_b, with_both, left;

	read_all(s->b);
	with_b = cache_kind_usage(s->options);
	read_all(s->a);
	with_both = cache_kind_usage(s->options);
	test_check(with_both > with_b + (size_t)ROWS * 200);
	test_check(blocks_read(s->b) == 0);
	switch_off(s->db, "a", how);
	left = cache_kind_usage(s->options);
	if (left > with_b || left < with_b - with_b / 10) /* what of A was there when B's rows were read went, too */
		test_fail_at(__FILE__, __LINE__, "%zu bytes of B, %zu of both, %zu afterwards", with_b, with_both, left);
	test_check(blocks_read(s->b) == 0);
	test_check(cache_kind_capacity(s->options) == CAPACITY);
	test_ok(bh_merchant_resume(s->db, "a", NULL));
	test_check(blocks_read(s->b) == 0);
}

/* The second time, what was put into the cache on the way back has to leave as well. Blobs come back inside of SSTs. */
static void leave_twice(void *arg, cache_kind kind, way how)
{
	stage s = { .ws = arg };

	open_stage(&s, kind);
	leave_and_come_back(&s, how);
	if (kind != CACHE_BLOBS)
		leave_and_come_back(&s, how);
	read_all(s.a);
	close_stage(&s);
}

static void suspended_lru(void *arg)
{
	leave_twice(arg, CACHE_LRU, BY_OPERATOR);
}
static void suspended_clock(void *arg)
{
	leave_twice(arg, CACHE_HYPER_CLOCK, BY_OPERATOR);
}
static void suspended_blobs(void *arg)
{
	leave_twice(arg, CACHE_BLOBS, BY_OPERATOR);
}

static void revoked_lru(void *arg)
{
	stage s = { .ws = arg };

	open_stage(&s, CACHE_LRU);
	read_all(s.b);
	read_all(s.a);
	switch_off(s.db, "a", REVOKED);
	test_check(blocks_read(s.b) == 0);
	close_stage(&s);
}

static void shredded_lru(void *arg)
{
	stage s = { .ws = arg };
	size_t with_both;

	open_stage(&s, CACHE_LRU);
	read_all(s.b);
	read_all(s.a);
	with_both = cache_kind_usage(s.options);
	test_ok(bh_merchant_shred(s.db, "a", NULL));
	test_check(cache_kind_usage(s.options) < with_both - (size_t)ROWS * 200);
	test_check(blocks_read(s.b) == 0);
	close_stage(&s);
}

static void only_its_own_blocks_leave(void **state)
{
	static void (*const bodies[])(void *arg) = { suspended_lru, suspended_clock, suspended_blobs, revoked_lru, shredded_lru };

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		workspace ws;

		(void)state;
		workspace_open(&ws);
		test_child_ok(bodies[i], &ws);
		workspace_close(&ws);
	}
}

/* ---- files that are gone */

/* Compaction takes files away whose blocks stay in the cache: they are A's still. */
static void replace_files(void *arg)
{
	stage s = { .ws = arg };
	size_t with_b;

	open_stage(&s, CACHE_LRU);
	read_all(s.b);
	with_b = cache_kind_usage(s.options);
	for (int round = 0; round < 4; round++) {
		fill(s.a);
		read_all(s.a);
		test_ok(bh_compact(s.a, (bh_view){ 0 }, (bh_view){ 0 }));
		read_all(s.a);
	}
	test_check(cache_kind_usage(s.options) > with_b + (size_t)5 * ROWS * 200);
	test_ok(bh_merchant_suspend(s.db, "a", NULL));
	test_check(cache_kind_usage(s.options) <= with_b);
	test_check(blocks_read(s.b) == 0);
	close_stage(&s);
}

static void blocks_of_files_that_are_gone_leave_too(void **state)
{
	test_child_ok(replace_files, *state);
}

/* ---- others */

/* A second database with the same options, and so the same cache, and merchants of the same names. */
static void share(void *arg)
{
	stage s = { .ws = arg };
	workspace other;
	stage t = { .ws = &other };

	workspace_open(&other);
	open_stage(&s, CACHE_LRU);
	t.options = s.options;
	test_db_create(&other, t.options);
	t.db = test_db_open(&other, t.options);
	test_merchant_add(&other, t.db, "a", "events", NULL);
	t.a = test_cf(t.db, "a", "events");
	fill(t.a);
	read_all(s.a);
	read_all(t.a);
	test_ok(bh_merchant_suspend(s.db, "a", NULL));
	test_check(blocks_read(t.a) == 0);
	bh_cf_close(t.a);
	bh_db_close(t.db);
	/* A closed database leaves nothing in a cache that lives on. */
	read_all(s.b);
	bh_cf_close(s.a);
	bh_cf_close(s.b);
	bh_db_close(s.db);
	test_check(cache_kind_usage(s.options) < 64 << 10);
	rocksdb_options_destroy(s.options);
	workspace_close(&other);
}

static void other_databases_keep_theirs(void **state)
{
	test_child_ok(share, *state);
}

typedef struct suspension {
	bh_db *db;
	const char *name;
} suspension;

static void *suspend_in_thread(void *arg)
{
	const suspension *s = arg;

	test_ok(bh_merchant_suspend(s->db, s->name, NULL));
	return NULL;
}

/* Two at once, over and over: the capacity is what it was. */
static void suspend_two(void *arg)
{
	stage s = { .ws = arg };
	pthread_t threads[2];

	open_stage(&s, CACHE_LRU);
	test_merchant_add(s.ws, s.db, "c", "events", NULL);
	for (int round = 0; round < 8; round++) {
		suspension both[2] = { { s.db, "a" }, { s.db, "c" } };

		for (int i = 0; i < 2; i++)
			test_check(pthread_create(&threads[i], NULL, suspend_in_thread, &both[i]) == 0);
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		test_check(cache_kind_capacity(s.options) == CAPACITY);
		test_ok(bh_merchant_resume(s.db, "a", NULL));
		test_ok(bh_merchant_resume(s.db, "c", NULL));
	}
	close_stage(&s);
}

static void two_at_once_leave_the_capacity_alone(void **state)
{
	test_child_ok(suspend_two, *state);
}

/* ---- memory */

#ifndef BH_SANITIZED

typedef struct canaries {
	const workspace *ws;
	traced_key rows[CANARIES];
} canaries;

static void write_canaries(void *arg)
{
	canaries *c = arg;
	stage s = { .ws = c->ws };

	open_stage(&s, CACHE_LRU);
	for (size_t i = 0; i < CANARIES; i++) {
		uint8_t bytes[BH_DEK_LEN];

		test_ok(bh_random(bytes, sizeof(bytes)));
		c->rows[i] = trace_of(bytes);
		test_ok(bh_put(s.a, NULL, bh_view_of(&i, sizeof(i)), bh_view_of(bytes, sizeof(bytes))));
	}
	test_ok(bh_flush(s.a));
	close_stage(&s);
}

/* In a process that has them from the SST by way of the cache alone. */
static void read_canaries(void *arg)
{
	const canaries *c = arg;
	stage s = { .ws = c->ws, .options = options_of(CACHE_LRU) };
	bh_buf value = { 0 };

	s.db = test_db_open(c->ws, s.options);
	s.a = test_cf(s.db, "a", "events");
	s.b = test_cf(s.db, "b", "events");
	for (size_t i = 0; i < CANARIES; i++)
		test_ok(bh_get(s.a, NULL, bh_view_of(&i, sizeof(i)), &value));
	bh_wipe(value.data, value.cap);
	bh_buf_clear(&value);
	test_check(traces_count(c->rows, CANARIES) > 0);
	test_ok(bh_merchant_suspend(s.db, "a", NULL));
	test_check(traces_count(c->rows, CANARIES) == 0);
	close_stage(&s);
}

static void no_decrypted_block_stays_in_memory(void **state)
{
	canaries *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(c != MAP_FAILED);
	c->ws = *state;
	test_child_ok(write_canaries, c);
	test_child_ok(read_canaries, c);
	munmap(c, sizeof(*c));
}
#endif

/* ---- tiers that nothing can be taken out of */

static void open_with_second_tier(void *arg)
{
	static const struct {
		cache_kind kind;
		const char *named;
	} refused[] = {
		{ CACHE_SECONDARY, "secondary_cache" },
		{ CACHE_COMPRESSED, "block_cache_compressed" },
		{ CACHE_BLOBS_SECONDARY, "secondary_cache of the blob cache" },
	};
	const workspace *ws = arg;

	test_db_create(ws, NULL);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		rocksdb_options_t *options = options_of(refused[i].kind);
		const bh_db_options db_options = { .rocksdb = options };
		uint64_t before = tree_hash(ws->db);
		bh_db *db = NULL;

		if (!cache_kind_exists(refused[i].kind)) {
			rocksdb_options_destroy(options);
			continue;
		}
		test_status(bh_db_open(ws->db, &db_options, &db), BH_E_UNSUPPORTED);
		test_message_names(refused[i].named);
		test_check(tree_hash(ws->db) == before);
		rocksdb_options_destroy(options);
	}
}

static void second_tiers_are_refused(void **state)
{
	test_child_ok(open_with_second_tier, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_its_own_blocks_leave),      SUSPEND_CASE(blocks_of_files_that_are_gone_leave_too),
		SUSPEND_CASE(other_databases_keep_theirs),        SUSPEND_CASE(two_at_once_leave_the_capacity_alone),
#ifndef BH_SANITIZED
		SUSPEND_CASE(no_decrypted_block_stays_in_memory),
#endif
		SUSPEND_CASE(second_tiers_are_refused),
	};

	return cmocka_run_group_tests_name("caches", tests, NULL, NULL);
}
