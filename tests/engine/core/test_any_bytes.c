/* SPDX-License-Identifier: Apache-2.0
 *
 * test_any_bytes.c: keys and values are any bytes of any length, and come back as they were by each way to look: out of the
 * memtable, out of the WAL after an open, out of SSTs.
 */
#include "tests/support/harness.h"

#define BIG (8u << 20)

typedef struct row {
	bh_view key, value;
} row;

static uint8_t big[BIG]; /* every byte, and no short period */

static void make_rows(row rows[9])
{
	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
	rows[0] = (row){ { NULL, 0 }, bh_view_str("the empty key") };
	rows[1] = (row){ bh_view_str("no value"), { NULL, 0 } };
	rows[2] = (row){ bh_view_of("\0", 1), bh_view_of("\0\0\0", 3) };
	rows[3] = (row){ bh_view_of("\0\0", 2), bh_view_of("\0", 1) };
	rows[4] = (row){ bh_view_of("k\0", 2), bh_view_str("k and NUL") };
	rows[5] = (row){ bh_view_of("k\0\xff", 3), bh_view_of(big, 256) };
	rows[6] = (row){ bh_view_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9), bh_view_str("last") };
	rows[7] = (row){ bh_view_str("big value"), bh_view_of(big, BIG) };
	rows[8] = (row){ bh_view_of(big, BIG), bh_view_str("big key") };
}

static bool same(bh_view a, bh_view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Nothing but the rows is there, by each way to look. */
static void expect_rows(bh_cf *cf, const row rows[9])
{
	bh_buf value = { 0 };
	bh_iter *iter = NULL;
	bh_view key, seen;
	size_t count = 0;

	for (size_t i = 0; i < 9; i++) {
		test_ok(bh_get(cf, NULL, rows[i].key, &value));
		test_check(same(bh_buf_view(&value), rows[i].value));
	}
	bh_buf_clear(&value);
	test_ok(bh_iter_new(cf, NULL, &iter));
	for (size_t i = 0; i < 9; i++) {
		test_ok(bh_iter_seek(iter, rows[i].key));
		test_ok(bh_iter_entry(iter, &key, &seen));
		test_check(same(key, rows[i].key) && same(seen, rows[i].value));
	}
	test_ok(bh_iter_first(iter));
	for (; bh_iter_valid(iter); count++)
		test_ok(bh_iter_next(iter));
	test_check(count == 9);
	bh_iter_free(iter);
}

static void put_rows(bh_db *db, bh_cf *cf, const row rows[9])
{
	bh_batch *batch = NULL;

	test_ok(bh_batch_new(db, &batch));
	for (size_t i = 0; i < 9; i++) {
		if (i % 2 == 0)
			test_ok(bh_put(cf, NULL, rows[i].key, rows[i].value));
		else
			test_ok(bh_batch_put(batch, cf, rows[i].key, rows[i].value));
	}
	test_ok(bh_batch_write(batch, NULL));
	bh_batch_free(batch);
}

static void odd_rows(void *arg)
{
	const bh_write_options both = { .sync = true, .no_wal = true };
	const workspace *ws = arg;
	row rows[9];
	bh_db *db;
	bh_cf *cf;

	make_rows(rows);
	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "data", NULL);
	cf = test_cf(db, "a", "data");
	put_rows(db, cf, rows);
	test_status(bh_put(cf, &both, bh_view_str("k"), bh_view_str("v")), BH_E_INVALID);
	expect_rows(cf, rows);
	for (int round = 0; round < 2; round++) { /* first out of the WAL, then out of SSTs */
		bh_cf_close(cf);
		bh_db_close(db);
		db = test_db_open(ws, NULL);
		cf = test_cf(db, "a", "data");
		expect_rows(cf, rows);
		test_ok(bh_flush(cf));
		test_ok(bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 }));
		expect_rows(cf, rows);
	}
	bh_cf_close(cf);
	bh_db_close(db);
}

static void rows_come_back_as_they_were(void **state)
{
	workspace ws;

	(void)state;
	workspace_open(&ws);
	test_child_ok(odd_rows, &ws);
	workspace_close(&ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_come_back_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
