/* SPDX-License-Identifier: Apache-2.0
 *
 * test_manual_wal.c: with manual_wal_flush rows wait in RocksDB's memory until the WAL is flushed. A merchant that leaves meanwhile
 * takes its keys along, and the rows of the others that wait behind its own are written and durable all the same.
 */
#include "engine/wall/detach.h"
#include "suspend_fixture.h"

typedef enum exit_way {
	LEFT_BY_OPERATOR,
	LEFT_REVOKED,
	LEFT_REVOKED_FLUSHED, /* its rows are in an SST, but wait for the WAL still */
	LEFT_SHREDDED,
	LEFT_WAYS
} exit_way;

typedef struct stage {
	const workspace *ws;
	exit_way way;
} stage;

static bh_db *open_manual(const workspace *ws)
{
	rocksdb_options_t *options = rocksdb_options_create();
	const bh_db_options db_options = { .rocksdb = options };
	bh_db *db = NULL;

	rocksdb_options_set_manual_wal_flush(options, 1);
	test_ok(bh_db_open(ws->db, &db_options, &db));
	rocksdb_options_destroy(options);
	return db;
}

static void leave(bh_db *db, bh_cf *a, exit_way leaves)
{
	if (leaves == LEFT_REVOKED_FLUSHED)
		test_ok(bh_flush(a));
	if (leaves == LEFT_SHREDDED)
		test_ok(bh_merchant_shred(db, "a", NULL));
	else
		switch_off(db, "a", leaves == LEFT_BY_OPERATOR ? BY_OPERATOR : REVOKED);
}

static void leave_with_rows_waiting(void *arg)
{
	const stage *s = arg;
	bh_cf *a, *b;
	bh_db *db;

	make_two(s->ws);
	db = open_manual(s->ws);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	test_put(a, "waits", "a");
	test_put(b, "waits", "b");
	test_put(a, "waits too", "a");
	leave(db, a, s->way);
	test_put(b, "after", "b");
	test_ok(bh_sync_wal(db));
	test_put(b, "after that", "b");
	test_ok(bh_sync_wal(db));
	test_ok(bh_flush(b));
	test_put(b, "last", "b");
	test_ok(bh_sync_wal(db));
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void find_them(void *arg)
{
	static const char *const of_b[] = { "waits", "after", "after that", "last" };
	const stage *s = arg;
	bh_db *db = open_manual(s->ws);
	bh_cf *a, *b = test_cf(db, "b", "events");
	bh_status status;

	for (size_t i = 0; i < sizeof(of_b) / sizeof(of_b[0]); i++)
		test_expect(b, of_b[i], "b");
	bh_cf_close(b);
	if (s->way != LEFT_SHREDDED) {
		/* A revoked one was attached by the open, since its KMS is well. */
		status = bh_merchant_resume(db, "a", NULL);
		test_check(status == (s->way == LEFT_BY_OPERATOR ? BH_OK : BH_E_EXISTS));
		a = test_cf(db, "a", "events");
		test_expect(a, "waits", "a");
		test_expect(a, "waits too", "a");
		bh_cf_close(a);
		expect_both(db, false);
	}
	bh_db_close(db);
}

static void rows_that_wait_are_written(void **state)
{
	(void)state;
	for (exit_way leaves = LEFT_BY_OPERATOR; leaves < LEFT_WAYS; leaves++) {
		workspace ws;
		stage s = { .ws = &ws, .way = leaves };

		workspace_open(&ws);
		test_child_ok(leave_with_rows_waiting, &s);
		test_child_ok(find_them, &s);
		workspace_close(&ws);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_that_wait_are_written),
	};

	return cmocka_run_group_tests_name("manual_wal", tests, NULL, NULL);
}
