/* SPDX-License-Identifier: Apache-2.0
 *
 * test_suspend.c: a merchant is switched off and on. What was acknowledged comes back exactly, whatever its families hold; what was
 * open ends; a kill at any durable step leaves it off or on.
 */
#include "suspend_fixture.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keyring/base/crashpoint.h"
#include "tests/support/rocksdb_version.h"

enum { ROWS = 3000 }; /* of A, before anything is deleted */

#ifdef BH_SANITIZED
enum { STRIDE = 5 }; /* one in as many of the kill points, from another first one each time */
#else
enum { STRIDE = 1 };
#endif

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

/* What Bulkhead's own interface does not write, but who drives RocksDB may: a single delete. */
static void delete_single(bh_db *db, bh_cf *cf, const char *key)
{
	char *error = NULL;

	rocksdb_singledelete_cf(bh_db_rocksdb(db), db->write, bh_cf_handle(cf), key, strlen(key), &error);
	test_rocks_ok(error);
}

/* Several levels, deletions in SSTs of their own, a range tombstone where no key is, merges, and writes that are in no SST yet. */
static void fill_rich(bh_db *db, bh_cf *cf)
{
	char from[16], to[16];

	test_put(cf, "single1", "deleted in an SST of its own");
	test_put(cf, "single2", "deleted in the WAL");
	for (int i = 0; i < ROWS; i++)
		put_row(cf, i, row_len(i));
	test_ok(bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 }));
	/* The trap: this tombstone lies alone in its SST, with one point key far away. */
	test_ok(bh_delete_range(cf, NULL, row_key(from, 1000), row_key(to, 2000)));
	test_ok(bh_put(cf, NULL, bh_view_str("zzz"), bh_view_str("alone")));
	test_ok(bh_flush(cf));
	for (int i = 2000; i < 2100; i++)
		test_ok(bh_delete(cf, NULL, row_key(from, i)));
	delete_single(db, cf, "single1");
	test_ok(bh_flush(cf));
	test_ok(bh_merge(cf, NULL, bh_view_str("merged"), bh_view_str("1")));
	test_ok(bh_flush(cf));
	test_ok(bh_merge(cf, NULL, bh_view_str("merged"), bh_view_str("2")));
	delete_single(db, cf, "single2");
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
	test_expect(cf, "single1", NULL);
	test_expect(cf, "single2", NULL);
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
	fill_rich(db, cf);
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

/* ---- a range tombstone */

static uint64_t tombstones(bh_db *db, bh_cf *cf)
{
	static const char what[] = "# range deletions=";
	char *text = rocksdb_property_value_cf(bh_db_rocksdb(db), bh_cf_handle(cf), "rocksdb.aggregated-table-properties");
	const char *at = text != NULL ? strstr(text, what) : NULL;
	uint64_t count;

	test_check(at != NULL);
	count = strtoull(at + strlen(what), NULL, 10);
	rocksdb_free(text);
	return count;
}

static bool has_row(bh_cf *cf, int i)
{
	bh_buf value = { 0 };
	char key[16];
	bh_status status = bh_get(cf, NULL, row_key(key, i), &value);

	bh_buf_clear(&value);
	test_check(status == BH_OK || status == BH_E_NO_SUCH_KEY);
	return status == BH_OK;
}

/* What it covers stays away, whether the import takes it (RocksDB 8.1 and later) or it was compacted away before. It lies in a file
 * of its own, which has no other key. B has the same, and stays. */
static void tombstone_comes_back(void *arg)
{
	rocksdb_options_t *options = rich_options(false);
	bh_cf *cf[2];
	bh_db *db;

	rocksdb_options_set_disable_auto_compactions(options, 1);
	test_db_create(arg, options);
	db = test_db_open(arg, options);
	for (int m = 0; m < 2; m++) {
		char from[16], to[16];
		const char *name = m == 0 ? "a" : "b";

		test_merchant_add(arg, db, name, "events", NULL);
		cf[m] = test_cf(db, name, "events");
		for (int i = 0; i < ROWS; i++)
			put_row(cf[m], i, row_len(i));
		test_ok(bh_flush(cf[m]));
		test_ok(bh_delete_range(cf[m], NULL, row_key(from, 500), row_key(to, 510)));
		test_ok(bh_delete_range(cf[m], NULL, row_key(from, 1000), row_key(to, 2100)));
		test_ok(bh_flush(cf[m]));
		test_check(tombstones(db, cf[m]) == 2);
	}
	test_ok(bh_merchant_suspend(db, "a", NULL));
	test_ok(bh_merchant_resume(db, "a", NULL));
	test_check(tombstones(db, cf[0]) == (test_rocksdb_since(8, 1) ? 2 : 0));
	test_check(tombstones(db, cf[1]) == 2);
	for (int m = 0; m < 2; m++) {
		for (int i = 0; i < ROWS; i++)
			test_check(has_row(cf[m], i) == is_there(i));
		bh_cf_close(cf[m]);
	}
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void range_tombstones_come_back(void **state)
{
	test_child_ok(tombstone_comes_back, *state);
}

/* ---- what was open ends */

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

static void killed_anywhere(const workspace *ws, way how)
{
	kill_run k = { .ws = ws, .how = how };
	bool survived = false;

	test_child_ok(make_two_child, (void *)(uintptr_t)ws);
	for (k.at = 1 + (int)(time(NULL) % STRIDE); !survived; k.at += STRIDE) {
		survived = test_child_survives(suspend_and_resume_killed, &k);
		test_child_ok(off_or_on, &k);
	}
	print_message("%d steps\n", k.at - STRIDE - 1);
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

/* ---- what is parked */

static void count_log(void *arg, const char *path)
{
	size_t len = strlen(path);

	*(size_t *)arg += len > 4 && strcmp(path + len - 4, ".log") == 0;
}

static size_t parked_logs(const workspace *ws)
{
	char parked[PATH_SIZE];
	size_t count = 0;

	path_join(parked, ws->db, "parked/a");
	tree_walk(parked, count_log, &count);
	return count;
}

/* A revoked merchant is parked with the WALs only where a row of it is in no SST yet; a deletion and a range of them are such rows.
 */
static void logs_parked(void *arg)
{
	static const char *const what[] = { "put", "delete", "delete-range", "nothing" };
	const workspace *ws = arg;
	bh_cf *a, *b;
	bh_db *db;

	make_two(ws);
	db = test_db_open(ws, NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		test_put(a, "x", "1");
		test_put(a, "y", "1");
		test_ok(bh_flush(a));
		test_put(b, "theirs", "v");
		if (i == 0)
			test_put(a, "x", "2");
		else if (i == 1)
			test_ok(bh_delete(a, NULL, bh_view_str("x")));
		else if (i == 2)
			test_ok(bh_delete_range(a, NULL, bh_view_str("x"), bh_view_str("xx")));
		switch_off(db, "a", REVOKED);
		test_check((parked_logs(ws) > 0) == (i < 3));
		test_ok(bh_merchant_resume(db, "a", NULL));
		if (i == 1 || i == 2)
			test_expect(a, "x", NULL);
		else
			test_expect(a, "x", i == 0 ? "2" : "1");
		test_expect(a, "y", "1");
	}
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void logs_are_parked_only_with_rows_in_them(void **state)
{
	test_child_ok(logs_parked, *state);
}

typedef struct log_census {
	const workspace *ws;
	size_t links, copies;
} log_census;

static void tell_link_from_copy(void *arg, const char *path)
{
	log_census *c = arg;
	struct stat parked, live;
	char beside[PATH_SIZE];
	size_t len = strlen(path);

	if (len < 4 || strcmp(path + len - 4, ".log") != 0)
		return;
	path_join(beside, c->ws->db, strrchr(path, '/') + 1);
	test_check(stat(path, &parked) == 0);
	if (stat(beside, &live) == 0 && live.st_ino == parked.st_ino)
		c->links++;
	else
		c->copies++;
}

/* RocksDB cannot begin another WAL where directories have the names that it would take. */
static void block_new_logs(const workspace *ws, bool block)
{
	char name[32], path[PATH_SIZE];

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "%06d.log" BH_TEMP_SUFFIX, i);
		path_join(path, ws->db, name);
		test_check((block ? mkdir(path, 0700) : rmdir(path)) == 0);
	}
}

static log_census parked_as(const workspace *ws)
{
	log_census census = { .ws = ws };
	char parked[PATH_SIZE];

	path_join(parked, ws->db, "parked/a");
	tree_walk(parked, tell_link_from_copy, &census);
	return census;
}

static void logs_linked(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");
	log_census census;

	put_row(a, 0, 100);
	put_row(b, 0, 100);
	switch_off(db, "a", REVOKED);
	census = parked_as(ws);
	test_check(census.links > 0 && census.copies == 0);
	put_row(b, 1, 100);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_put_row(a, 0, 100);
	/* The next WAL is begun when it can be made: until then writes are refused, and nothing else. */
	put_row(a, 1, 100);
	block_new_logs(ws, true);
	switch_off(db, "a", REVOKED);
	test_check(bh_put(b, NULL, bh_view_str("refused"), bh_view_str("x")) != BH_OK);
	expect_put_row(b, 1, 100);
	block_new_logs(ws, false);
	census = parked_as(ws);
	test_check(census.links > 0 && census.copies == 0);
	for (int i = 0; i < 500 && bh_put(b, NULL, bh_view_str("later"), bh_view_str("x")) != BH_OK; i++)
		usleep(20000);
	test_ok(bh_put(b, NULL, bh_view_str("later"), bh_view_str("x")));
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void all_rows_are_there(void *arg)
{
	bh_db *db = test_db_open(arg, NULL);
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");

	for (int i = 0; i < 2; i++) {
		expect_put_row(a, i, 100);
		expect_put_row(b, i, 100);
	}
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

/* A revocation closes the WAL that B writes to and takes it along as a link. */
static void a_closed_log_is_parked_as_a_link_also_where_no_other_can_be_made(void **state)
{
	test_child_ok(make_two_child, *state);
	test_child_ok(logs_linked, *state);
	test_child_ok(all_rows_are_there, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(whatever_it_holds_comes_back),
		SUSPEND_CASE(range_tombstones_come_back),
		SUSPEND_CASE(iterators_batches_and_snapshots_of_before_end),
		SUSPEND_CASE(logs_are_parked_only_with_rows_in_them),
		SUSPEND_CASE(a_closed_log_is_parked_as_a_link_also_where_no_other_can_be_made),
		SUSPEND_CASE(kill_at_every_step_of_suspend_and_resume),
		SUSPEND_CASE(kill_at_every_step_of_revocation_and_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
