/* SPDX-License-Identifier: Apache-2.0
 *
 * test_suspend_time.c: what a suspension waits for. It waits for RocksDB's jobs on the merchant, and for nothing else: not for what
 * a compaction that was cut short left behind, and not for files that are no database's. Nobody else's load holds it up.
 */
#include "engine/wall/detach.h"
#include "suspend_fixture.h"

#include <time.h>

/* On an idle machine it is some ten ms, and never a second; the wait that ends in giving up takes ten. */
enum { CYCLES = 25, LIMIT_MS = 8000, VALUE = 400 };

typedef struct load {
	bh_cf *cf;
	_Atomic bool stop;
	_Atomic uint64_t written;
} load;

typedef struct stage {
	const workspace *ws;
	_Atomic int held; /* lines that say that something holds files */
} stage;

static void on_log(void *arg, const char *line)
{
	stage *s = arg;

	if (strstr(line, "still holds") != NULL)
		atomic_fetch_add(&s->held, 1);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *write_on(void *arg)
{
	static const uint8_t value[VALUE] = { 7 };
	load *l = arg;
	unsigned seed = 1;

	while (!atomic_load(&l->stop)) {
		char key[16];
		bh_status status =
			bh_put(l->cf, NULL, row_key(key, (int)(rand_r(&seed) % 50000)), bh_view_of(value, sizeof(value)));

		if (status == BH_OK)
			atomic_fetch_add(&l->written, 1);
		else
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return NULL;
}

/* Flushes and compactions all the time, of several outputs each. */
static bh_db *open_busy(stage *s, rocksdb_options_t *options)
{
	const bh_db_options db_options = { .rocksdb = options, .log = on_log, .log_arg = s };
	bh_db *db = NULL;

	rocksdb_options_set_write_buffer_size(options, 1 << 20);
	rocksdb_options_set_target_file_size_base(options, 256 << 10);
	rocksdb_options_set_level0_file_num_compaction_trigger(options, 2);
	rocksdb_options_set_max_background_jobs(options, 4);
	rocksdb_options_set_compression(options, rocksdb_no_compression);
	test_ok(bh_db_open(s->ws->db, &db_options, &db));
	return db;
}

static void suspend_busy(void *arg)
{
	stage *s = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	load loads[2] = { 0 };
	pthread_t threads[2];
	int64_t slowest_ms = 0;
	bh_db *db;

	make_two(s->ws);
	db = open_busy(s, options);
	loads[0].cf = test_cf(db, "a", "events");
	loads[1].cf = test_cf(db, "b", "events");
	for (int i = 0; i < 2; i++)
		test_check(pthread_create(&threads[i], NULL, write_on, &loads[i]) == 0);
	for (int i = 0; i < CYCLES; i++) {
		int64_t began_ms;

		nanosleep(&(struct timespec){ .tv_nsec = 150000000 + i * 7000000 }, NULL);
		began_ms = now_ms();
		if (i % 2 == 0)
			test_ok(bh_merchant_suspend(db, "a", NULL));
		else
			test_ok(bh_merchant_detach(db, "a", BH_SUSPEND_KMS_DAMAGED, "for the test"));
		slowest_ms = BH_MAX(slowest_ms, now_ms() - began_ms);
		test_ok(bh_merchant_resume(db, "a", NULL));
	}
	for (int i = 0; i < 2; i++) {
		atomic_store(&loads[i].stop, true);
		pthread_join(threads[i], NULL);
		test_check(atomic_load(&loads[i].written) > 0);
		bh_cf_close(loads[i].cf);
	}
	print_message("the slowest of %d suspensions took %d ms\n", CYCLES, (int)slowest_ms);
	test_check(slowest_ms < LIMIT_MS && atomic_load(&s->held) == 0);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void load_does_not_hold_a_suspension(void **state)
{
	stage s = { .ws = *state };

	test_child_ok(suspend_busy, &s);
}

/* A file in the class's directory that RocksDB does not know, as an output of a compaction that was given up, or anybody's. */
static void suspend_with_strangers(void *arg)
{
	static const char *const names[] = { "tenants/a/events/000900.sst", "tenants/a/events/note.txt",
					     "tenants/a/events/900.blob" };
	stage *s = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	int64_t began_ms;
	bh_db *db;

	make_two(s->ws);
	db = open_busy(s, options);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[PATH_SIZE];

		path_join(path, s->ws->db, names[i]);
		file_write(path, bh_view_str("not a database's"));
	}
	began_ms = now_ms();
	test_ok(bh_merchant_suspend(db, "a", NULL));
	test_check(now_ms() - began_ms < LIMIT_MS && atomic_load(&s->held) == 0);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_both(db, false);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void strangers_do_not_hold_a_suspension(void **state)
{
	stage s = { .ws = *state };

	test_child_ok(suspend_with_strangers, &s);
}

/* ---- files that stay while they are parked */

static unsigned count_tables(const char *root)
{
	char path[PATH_SIZE];
	unsigned count = 0;

	while (file_find(root, ".sst", count, path))
		count++;
	return count;
}

static void replace_files(bh_cf *cf)
{
	for (int round = 0; round < 3; round++) {
		test_put(cf, "k1", "a1");
		test_put(cf, "k2", "a2");
		test_ok(bh_flush(cf));
	}
	test_ok(bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 }));
}

/* What a compaction of A replaces stays from begin to end, and goes then; B's goes at once. */
static void keep_files(void *arg)
{
	stage *s = arg;
	bh_keeping first = { .merchant = "a" }, second = { .merchant = "a" };
	char of_a[PATH_SIZE], of_b[PATH_SIZE];
	bh_cf *a, *b;
	bh_db *db;

	make_two(s->ws);
	db = test_db_open(s->ws, NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	path_join(of_a, s->ws->db, "tenants/a/events");
	path_join(of_b, s->ws->db, "tenants/b/events");
	replace_files(a);
	replace_files(b);
	test_check(file_settle(of_a, ".sst", 1) && file_settle(of_b, ".sst", 1));
	bh_fs_keep_begin(db->fs, &first);
	bh_fs_keep_begin(db->fs, &second);
	replace_files(a);
	test_put(b, "k1", "b1");
	test_put(b, "k2", "b2");
	test_ok(bh_flush(b));
	test_ok(bh_compact(b, (bh_view){ 0 }, (bh_view){ 0 }));
	test_check(count_tables(of_a) > 1 && file_settle(of_b, ".sst", 1));
	bh_fs_keep_end(db->fs, &first);
	test_check(count_tables(of_a) > 1);
	bh_fs_keep_end(db->fs, &second);
	test_check(file_settle(of_a, ".sst", 1));
	expect_both(db, false);
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void what_is_parked_stays_until_it_is_parked(void **state)
{
	stage s = { .ws = *state };

	test_child_ok(keep_files, &s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(what_is_parked_stays_until_it_is_parked),
		SUSPEND_CASE(strangers_do_not_hold_a_suspension),
		SUSPEND_CASE(load_does_not_hold_a_suspension),
	};

	return cmocka_run_group_tests_name("suspend_time", tests, NULL, NULL);
}
