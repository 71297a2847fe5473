/* SPDX-License-Identifier: Apache-2.0
 *
 * test_record_timestamps.c: user-defined timestamps. They are part of the key for RocksDB and for the span codec alike: they come
 * back from WAL and SST after a kill, and so does the history cut-off, which is a MANIFEST field of its own.
 *
 * Since RocksDB 8.3 its logs have records of no family's about them; then they are refused by name.
 *
 * A timestamp is 8 bytes, big-endian, so that bytes order them.
 */
#include "record_census.h"
#include "tests/support/rocksdb_version.h"

#include <signal.h>
#include <unistd.h>

enum { ROWS = 200, TIMES = 5, CUT_OFF = 2 };

typedef struct stamp {
	char bytes[8];
} stamp;

static stamp stamp_of(uint8_t time)
{
	stamp s = { { 0 } };

	s.bytes[7] = (char)time;
	return s;
}

/* ---- the comparator: keys up, of one key the newest first */

static int compare_plain(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, BH_MIN(a_len, b_len));

	return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_stamps(void *state, const char *a, size_t a_len, const char *b, size_t b_len)
{
	(void)state;
	return compare_plain(a, a_len, b, b_len);
}

static int compare_keys(void *state, const char *a, size_t a_len, unsigned char a_stamped, const char *b, size_t b_len,
			unsigned char b_stamped)
{
	(void)state;
	return compare_plain(a, a_len - (a_stamped ? sizeof(stamp) : 0), b, b_len - (b_stamped ? sizeof(stamp) : 0));
}

static int compare_all(void *state, const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = compare_keys(state, a, a_len, 1, b, b_len, 1);

	return order != 0 ? order : -memcmp(a + a_len - sizeof(stamp), b + b_len - sizeof(stamp), sizeof(stamp));
}

static const char *comparator_name(void *state)
{
	(void)state;
	return "bulkhead.test.timestamps";
}

static void nothing(void *state)
{
	(void)state;
}

/* The comparator has to outlive every database that uses it: to the end of the child. */
static rocksdb_options_t *make_options(void)
{
	rocksdb_options_t *options = rocksdb_options_create();
	static rocksdb_comparator_t *comparator;

	if (comparator == NULL)
		comparator = rocksdb_comparator_with_ts_create(NULL, nothing, compare_all, compare_stamps, compare_keys,
							       comparator_name, sizeof(stamp));
	rocksdb_options_set_comparator(options, comparator);
	return options;
}

/* ---- children */

static void row_of(int row, int time, char key[16], char value[32])
{
	snprintf(key, 16, "row%04d", row);
	snprintf(value, 32, "%d at %d", row, time);
}

/* At each time a value, at the last one a deletion of every third. */
static void write_history(bh_db *db, bh_cf *cf, int time)
{
	rocksdb_writeoptions_t *how = rocksdb_writeoptions_create();
	stamp at = stamp_of((uint8_t)time);

	for (int row = 0; row < ROWS; row++) {
		char key[16], value[32], *error = NULL;

		row_of(row, time, key, value);
		if (time == TIMES && row % 3 == 0)
			rocksdb_delete_cf_with_ts(bh_db_rocksdb(db), how, bh_cf_handle(cf), key, strlen(key), at.bytes, sizeof(at),
						  &error);
		else
			rocksdb_put_cf_with_ts(bh_db_rocksdb(db), how, bh_cf_handle(cf), key, strlen(key), at.bytes, sizeof(at),
					       value, strlen(value), &error);
		test_rocks_ok(error);
	}
	rocksdb_writeoptions_destroy(how);
}

static void write_and_die(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = make_options();
	stamp low = stamp_of(CUT_OFF);
	char *error = NULL;
	bh_db *db;
	bh_cf *cf;

	test_db_create(ws, options);
	db = test_db_open(ws, options);
	test_merchant_add(ws, db, "a", "x", NULL);
	cf = test_cf(db, "a", "x");
	for (int time = 1; time <= TIMES; time++) {
		write_history(db, cf, time);
		if (time == 3)
			test_ok(bh_flush(cf)); /* the first three in an SST, the rest in the log */
	}
	rocksdb_increase_full_history_ts_low(bh_db_rocksdb(db), bh_cf_handle(cf), low.bytes, sizeof(low), &error);
	test_rocks_ok(error);
	kill(getpid(), SIGKILL);
}

static void expect_logged(void *arg)
{
	static const uint8_t tags[] = { 0x05, 0x04, 0xff };
	record_census census;

	record_census_take(arg, &census);
	record_census_expect_entries(&census, tags);
	test_check(census.fields[BH_VERSION_HISTORY_CUT_OFF] > 0);
}

static void expect_at(bh_db *db, bh_cf *cf, int time)
{
	rocksdb_readoptions_t *how = rocksdb_readoptions_create();
	stamp at = stamp_of((uint8_t)time);

	rocksdb_readoptions_set_timestamp(how, at.bytes, sizeof(at));
	for (int row = 0; row < ROWS; row++) {
		char key[16], value[32], *got, *ts = NULL, *error = NULL;
		size_t len = 0, ts_len = 0;

		row_of(row, time, key, value);
		got = rocksdb_get_cf_with_ts(bh_db_rocksdb(db), how, bh_cf_handle(cf), key, strlen(key), &len, &ts, &ts_len,
					     &error);
		test_rocks_ok(error);
		test_check((got == NULL) == (time == TIMES && row % 3 == 0));
		test_check(got == NULL || (len == strlen(value) && memcmp(got, value, len) == 0));
		test_check(got == NULL || (ts_len == sizeof(at) && memcmp(ts, at.bytes, ts_len) == 0));
		rocksdb_free(got);
		rocksdb_free(ts);
	}
	rocksdb_readoptions_destroy(how);
}

static void expect_history(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = make_options();
	bh_db *db = test_db_open(ws, options);
	bh_cf *cf = test_cf(db, "a", "x");
	stamp low = stamp_of(CUT_OFF);
	char *error = NULL, *kept;
	size_t len = 0;

	for (int time = CUT_OFF; time <= TIMES; time++)
		expect_at(db, cf, time);
	kept = rocksdb_get_full_history_ts_low(bh_db_rocksdb(db), bh_cf_handle(cf), &len, &error);
	test_rocks_ok(error);
	test_check(len == sizeof(low) && memcmp(kept, low.bytes, len) == 0);
	rocksdb_free(kept);
	bh_cf_close(cf);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void refuse(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = make_options();
	const bh_db_options db_options = { .rocksdb = options };
	uint64_t before;
	bh_db *db = NULL;

	test_db_create(ws, NULL);
	before = tree_hash(ws->db);
	test_status(bh_db_open(ws->db, &db_options, &db), BH_E_UNSUPPORTED);
	test_message_names("comparator with timestamps");
	test_check(tree_hash(ws->db) == before);
	rocksdb_options_destroy(options);
}

static void timestamps_survive(void **state)
{
	workspace ws;

	(void)state;
	workspace_open(&ws);
	if (test_rocksdb_since(8, 3)) {
		test_child_ok(refuse, &ws);
		workspace_close(&ws);
		return;
	}
	test_child_killed(write_and_die, &ws);
	test_child_ok(expect_logged, &ws);
	test_child_ok(expect_history, &ws);
	test_child_ok(expect_history, &ws);
	workspace_close(&ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timestamps_survive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
