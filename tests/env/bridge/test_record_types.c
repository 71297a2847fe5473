/* SPDX-License-Identifier: Apache-2.0
 *
 * test_record_types.c: the span codec agrees with RocksDB on every kind of record that it writes. Real databases write each kind
 * into WAL and MANIFEST, are killed, and are recovered by RocksDB's own code: what it reads back is what was written, under every
 * option that changes what the records are or how they reach the log. Not among them, because 7.8's C API cannot
 * have them written: wide columns, and the database id in a MANIFEST (the unit tests of the codec have both).
 *
 * Everything that opens RocksDB is a child; a child that is to be killed kills itself, with nothing closed.
 */
#include "raw_db.h"
#include "record_census.h"

#include <signal.h>
#include <unistd.h>

typedef struct scene {
	workspace ws;
	const char *changes; /* option string */
	bool txn;
	raw_policy policy;
} scene;

static void die(void)
{
	kill(getpid(), SIGKILL);
}

static void create(void *arg)
{
	const scene *s = arg;

	raw_create(&s->ws);
}

static void open_scene(const scene *s, raw_db *out)
{
	if (s->txn)
		raw_open_txn(&s->ws, s->changes, s->policy, out);
	else
		raw_open(&s->ws, s->changes, out);
}

/* ---- every kind of entry, in batches across families */

enum {
	BIG_ROWS = 4000,
	BIG_LEN = 400,
	HUGE_LEN = 9 << 17, /* more than RocksDB gathers in its buffer (writable_file_max_buffer_size, 1 MiB) */
	HUGE_KEY_LEN = 200 << 10,
	RANGE_ROWS = 100,
	HUGE_STEP = 3 /* families 0, 3 and 6 */
};

/* `all` false: without what a TransactionDB does not take in a batch. */
static void add_small_entries(rocksdb_writebatch_t *batch, rocksdb_column_family_handle_t *family, bool all)
{
	rocksdb_writebatch_put_cf(batch, family, "put", 3, "value", 5);
	rocksdb_writebatch_put_cf(batch, family, "", 0, "of the empty key", 16);
	rocksdb_writebatch_put_cf(batch, family, "empty value", 11, "", 0);
	rocksdb_writebatch_put_cf(batch, family, "gone", 4, "x", 1);
	rocksdb_writebatch_delete_cf(batch, family, "gone", 4);
	rocksdb_writebatch_put_cf(batch, family, "single", 6, "x", 1);
	if (all)
		rocksdb_writebatch_singledelete_cf(batch, family, "single", 6);
	else
		rocksdb_writebatch_delete_cf(batch, family, "single", 6);
	rocksdb_writebatch_put_log_data(batch, "for replicas", 12);
	rocksdb_writebatch_merge_cf(batch, family, "merged", 6, "a", 1);
	rocksdb_writebatch_merge_cf(batch, family, "merged", 6, "b", 1);
	for (int i = 0; i < RANGE_ROWS; i++) {
		char key[16];

		snprintf(key, sizeof(key), "r%02d", i);
		rocksdb_writebatch_put_cf(batch, family, key, 3, key, 3);
	}
	if (all) {
		rocksdb_writebatch_delete_range_cf(batch, family, "r20", 3, "r60", 3);
		rocksdb_writebatch_delete_range_cf(batch, family, "s", 1, "t", 1); /* of nothing */
	}
}

/* Over 1 MiB in one batch, the families in turn. */
static void write_big_batch(raw_db *raw)
{
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();

	for (int i = 0; i < BIG_ROWS; i++) {
		char *value = raw_pattern((uint64_t)i, BIG_LEN), key[16];

		snprintf(key, sizeof(key), "big%05d", i);
		rocksdb_writebatch_put_cf(batch, raw->family[i % RAW_FAMILIES], key, 8, value, BIG_LEN);
		free(value);
	}
	raw_write(raw, false, batch);
}

static void write_huge(raw_db *raw, int family)
{
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	char *value = raw_pattern((uint64_t)family, HUGE_LEN), *key = raw_pattern(77, HUGE_KEY_LEN);

	rocksdb_writebatch_put_cf(batch, raw->family[family], "huge", 4, value, HUGE_LEN);
	rocksdb_writebatch_put_cf(batch, raw->family[family], key, HUGE_KEY_LEN, "of a huge key", 13);
	raw_write(raw, false, batch);
	free(value);
	free(key);
}

static void write_everything(void *arg)
{
	const scene *s = arg;
	raw_db raw;
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();

	open_scene(s, &raw);
	for (int f = 0; f < RAW_FAMILIES; f++)
		add_small_entries(batch, raw.family[f], !s->txn);
	rocksdb_writebatch_put_log_data(batch, "at the end", 10);
	raw_write(&raw, false, batch);
	write_big_batch(&raw);
	for (int f = 0; f < RAW_FAMILIES; f += HUGE_STEP)
		write_huge(&raw, f);
	raw_write(&raw, false, rocksdb_writebatch_create()); /* an empty batch */
	batch = rocksdb_writebatch_create();
	rocksdb_writebatch_put_log_data(batch, "alone", 5);
	raw_write(&raw, true, batch);
	raw_sync_wal(&raw, true);
	die();
}

static void expect_ranges(raw_db *raw, int family, bool ranges)
{
	for (int i = 0; i < RANGE_ROWS; i++) {
		char key[16];

		snprintf(key, sizeof(key), "r%02d", i);
		raw_expect_str(raw, family, key, ranges && i >= 20 && i < 60 ? NULL : key);
	}
}

static void expect_family(raw_db *raw, int family, bool ranges)
{
	char *huge = raw_pattern((uint64_t)family, HUGE_LEN), *huge_key = raw_pattern(77, HUGE_KEY_LEN);
	bool has_huge = family % HUGE_STEP == 0;
	size_t big = 0;

	raw_expect_str(raw, family, "put", "value");
	raw_expect_str(raw, family, "", "of the empty key");
	raw_expect_str(raw, family, "empty value", "");
	raw_expect_str(raw, family, "gone", NULL);
	raw_expect_str(raw, family, "single", NULL);
	raw_expect_str(raw, family, "merged", "ab");
	expect_ranges(raw, family, ranges);
	for (int i = family; i < BIG_ROWS; i += RAW_FAMILIES, big++) {
		char *value = raw_pattern((uint64_t)i, BIG_LEN), key[16];

		snprintf(key, sizeof(key), "big%05d", i);
		raw_expect(raw, family, bh_view_str(key), bh_view_of(value, BIG_LEN));
		free(value);
	}
	raw_expect(raw, family, bh_view_str("huge"), has_huge ? bh_view_of(huge, HUGE_LEN) : (bh_view){ 0 });
	raw_expect(raw, family, bh_view_of(huge_key, HUGE_KEY_LEN), has_huge ? bh_view_str("of a huge key") : (bh_view){ 0 });
	test_check(raw_count(raw, family) == 4 + RANGE_ROWS - (ranges ? 40 : 0) + big + (has_huge ? 2 : 0));
	free(huge);
	free(huge_key);
}

static void expect_everything(void *arg)
{
	const scene *s = arg;
	raw_db raw;

	open_scene(s, &raw);
	for (int f = 0; f < RAW_FAMILIES; f++)
		expect_family(&raw, f, !s->txn);
	raw_close(&raw);
}

static void expect_everything_and_die(void *arg)
{
	const scene *s = arg;
	raw_db raw;

	open_scene(s, &raw);
	for (int f = 0; f < RAW_FAMILIES; f++)
		expect_family(&raw, f, !s->txn);
	die();
}

static void expect_entries_logged(void *arg)
{
	static const uint8_t plain[] = { 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x0e, 0x0f, 0xff };
	const scene *s = arg;
	record_census census;

	record_census_take(&s->ws, &census);
	record_census_expect_entries(&census, plain);
}

static void entries_survive(const char *changes, bool txn, raw_policy policy)
{
	scene s = { .changes = changes, .txn = txn, .policy = policy };

	print_message("  options: %s%s\n", changes != NULL ? changes : "the defaults", txn ? ", with transactions" : "");
	workspace_open(&s.ws);
	test_child_ok(create, &s);
	test_child_killed(write_everything, &s);
	if (changes == NULL && !txn)
		test_child_ok(expect_entries_logged, &s);
	test_child_killed(expect_everything_and_die, &s);
	test_child_ok(expect_everything, &s);
	workspace_close(&s.ws);
}

static void every_entry_survives(void **state)
{
	static const char *const cases[] = {
		NULL,
		"avoid_flush_during_recovery=true",
		"manual_wal_flush=true",
		"enable_pipelined_write=true",
		"unordered_write=true",
		"two_write_queues=true;manual_wal_flush=true",
		"atomic_flush=true;write_buffer_size=65536",
		"track_and_verify_wals_in_manifest=true;max_manifest_file_size=2048",
		("write_buffer_size=65536;compression=kNoCompression;wal_bytes_per_sync=4096;"
		 "bytes_per_sync=4096;strict_bytes_per_sync=true"),
		"enable_blob_files=true;min_blob_size=100;write_buffer_size=131072",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		entries_survive(cases[i], false, RAW_WRITE_COMMITTED);
}

static void every_entry_survives_with_transactions(void **state)
{
	(void)state;
	for (int policy = RAW_WRITE_COMMITTED; policy <= RAW_WRITE_UNPREPARED; policy++)
		entries_survive(policy == RAW_WRITE_PREPARED ? "two_write_queues=true" : NULL, true, (raw_policy)policy);
}

/* ---- two-phase commit */

static rocksdb_transaction_t *begin(raw_db *raw, const char *name)
{
	rocksdb_transaction_options_t *options = rocksdb_transaction_options_create();
	rocksdb_transaction_t *txn = rocksdb_transaction_begin(raw->txn, raw->write_sync, options, NULL);
	char *error = NULL;

	rocksdb_transaction_set_name(txn, name, strlen(name), &error);
	test_rocks_ok(error);
	rocksdb_transaction_options_destroy(options);
	return txn;
}

/* In every family: one row before, one deletion of a row that was there, one merge, ten rows of some size, a savepoint gone back
 * to. */
static void fill(raw_db *raw, rocksdb_transaction_t *txn, const char *name)
{
	char *error = NULL, key[64], *value = raw_pattern(5, 300);

	for (int f = 0; f < RAW_FAMILIES; f++) {
		snprintf(key, sizeof(key), "%s-before", name);
		rocksdb_transaction_delete_cf(txn, raw->family[f], key, strlen(key), &error);
		test_rocks_ok(error);
		for (int i = 0; i < 10; i++) {
			snprintf(key, sizeof(key), "%s-%d", name, i);
			rocksdb_transaction_put_cf(txn, raw->family[f], key, strlen(key), value, 300, &error);
			test_rocks_ok(error);
		}
		rocksdb_transaction_set_savepoint(txn);
		rocksdb_transaction_put_cf(txn, raw->family[f], "never", 5, "x", 1, &error);
		test_rocks_ok(error);
		rocksdb_transaction_rollback_to_savepoint(txn, &error);
		test_rocks_ok(error);
	}
	free(value);
}

static rocksdb_transaction_t *prepared(raw_db *raw, const char *name)
{
	rocksdb_transaction_t *txn = begin(raw, name);
	char *error = NULL;

	fill(raw, txn, name);
	rocksdb_transaction_prepare(txn, &error);
	test_rocks_ok(error);
	return txn;
}

static void commit(rocksdb_transaction_t *txn)
{
	char *error = NULL;

	rocksdb_transaction_commit(txn, &error);
	test_rocks_ok(error);
	rocksdb_transaction_destroy(txn);
}

static void roll_back(rocksdb_transaction_t *txn)
{
	char *error = NULL;

	rocksdb_transaction_rollback(txn, &error);
	test_rocks_ok(error);
	rocksdb_transaction_destroy(txn);
}

static const char *const txn_names[] = { "committed", "rolled-back", "commits-later", "rolls-back-later", "not-prepared" };

static void write_transactions(void *arg)
{
	const scene *s = arg;
	rocksdb_transaction_t *unprepared;
	raw_db raw;

	open_scene(s, &raw);
	for (size_t i = 0; i < sizeof(txn_names) / sizeof(txn_names[0]); i++)
		for (int f = 0; f < RAW_FAMILIES; f++) {
			char key[64];

			snprintf(key, sizeof(key), "%s-before", txn_names[i]);
			raw_put(&raw, f, key, "before");
		}
	prepared(&raw, "commits-later");
	raw_flush(&raw, 1); /* switches the log: the prepared sections now lie in an older one */
	prepared(&raw, "rolls-back-later");
	commit(prepared(&raw, "committed"));
	raw_flush(&raw, 3);
	roll_back(prepared(&raw, "rolled-back"));
	unprepared = begin(&raw, "not-prepared");
	fill(&raw, unprepared, "not-prepared");
	raw_put(&raw, 0, "last", "row");
	raw_sync_wal(&raw, true);
	die();
}

static void expect_transaction(raw_db *raw, const char *name, bool there)
{
	char *value = raw_pattern(5, 300), key[64];

	for (int f = 0; f < RAW_FAMILIES; f++) {
		snprintf(key, sizeof(key), "%s-before", name);
		raw_expect_str(raw, f, key, there ? NULL : "before");
		for (int i = 0; i < 10; i++) {
			snprintf(key, sizeof(key), "%s-%d", name, i);
			raw_expect(raw, f, bh_view_str(key), there ? bh_view_of(value, 300) : (bh_view){ 0 });
		}
		raw_expect_str(raw, f, "never", NULL);
	}
	free(value);
}

static void expect_transactions(raw_db *raw, raw_policy policy, bool later)
{
	expect_transaction(raw, "committed", true);
	expect_transaction(raw, "rolled-back", false);
	expect_transaction(raw, "commits-later", later);
	expect_transaction(raw, "rolls-back-later", false);
	if (policy != RAW_WRITE_UNPREPARED) /* 7.8.3 leaves parts of it behind, also in a plain database */
		expect_transaction(raw, "not-prepared", false);
	raw_expect_str(raw, 0, "last", "row");
}

static bool is_named(rocksdb_transaction_t *txn, const char *name)
{
	size_t len = 0;
	char *got = rocksdb_transaction_get_name(txn, &len);
	bool same = len == strlen(name) && memcmp(got, name, len) == 0;

	rocksdb_free(got);
	return same;
}

static void expect_markers_logged(void *arg)
{
	static const uint8_t committed[] = { 0x09, 0x0a, 0x0b, 0x0c, 0xff }, persisted[] = { 0x12, 0x0a, 0x0b, 0xff },
			     unprepared[] = { 0x13, 0x0a, 0x0b, 0xff };
	const uint8_t *const markers[] = { committed, persisted, unprepared };
	const scene *s = arg;
	record_census census;

	record_census_take(&s->ws, &census);
	record_census_expect_entries(&census, markers[s->policy]);
}

/* Recovered; then killed again before and after the decision. */
static void look_and_die(void *arg)
{
	const scene *s = arg;
	raw_db raw;

	open_scene(s, &raw);
	expect_transactions(&raw, s->policy, false);
	die();
}

static void decide_and_die(void *arg)
{
	const scene *s = arg;
	rocksdb_transaction_t **found;
	size_t count = 0;
	raw_db raw;

	open_scene(s, &raw);
	expect_transactions(&raw, s->policy, false);
	found = rocksdb_transactiondb_get_prepared_transactions(raw.txn, &count);
	test_check(count == 2);
	for (size_t i = 0; i < count; i++) {
		if (is_named(found[i], "commits-later"))
			commit(found[i]);
		else if (is_named(found[i], "rolls-back-later"))
			roll_back(found[i]);
		else
			test_fail_at(__FILE__, __LINE__, "a prepared transaction of another name came back");
	}
	expect_transactions(&raw, s->policy, true);
	raw_sync_wal(&raw, true);
	die();
}

static void look_again(void *arg)
{
	const scene *s = arg;
	size_t count = 0;
	raw_db raw;

	open_scene(s, &raw);
	test_check(rocksdb_transactiondb_get_prepared_transactions(raw.txn, &count) == NULL || count == 0);
	expect_transactions(&raw, s->policy, true);
	raw_close(&raw);
}

static void two_phase_commit_survives(void **state)
{
	static const struct {
		const char *changes;
		raw_policy policy;
	} cases[] = {
		{ NULL, RAW_WRITE_COMMITTED },
		{ "manual_wal_flush=true", RAW_WRITE_COMMITTED },
		{ "avoid_flush_during_recovery=true", RAW_WRITE_COMMITTED },
		{ NULL, RAW_WRITE_PREPARED },
		{ "two_write_queues=true", RAW_WRITE_PREPARED },
		{ "two_write_queues=true;unordered_write=true", RAW_WRITE_PREPARED },
		{ NULL, RAW_WRITE_UNPREPARED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scene s = { .changes = cases[i].changes, .txn = true, .policy = cases[i].policy };

		print_message("  policy %d, options: %s\n", (int)s.policy, s.changes != NULL ? s.changes : "the defaults");
		workspace_open(&s.ws);
		test_child_ok(create, &s);
		test_child_killed(write_transactions, &s);
		test_child_ok(expect_markers_logged, &s);
		test_child_killed(look_and_die, &s);
		test_child_killed(decide_and_die, &s);
		test_child_ok(look_again, &s);
		workspace_close(&s.ws);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_entry_survives),
		cmocka_unit_test(every_entry_survives_with_transactions),
		cmocka_unit_test(two_phase_commit_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
