/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ingest.c: sorted files made with the database's Env come into their class whole, and into no other: one merchant's file
 * never becomes another's rows, wherever it is put. What is refused changes no row and leaves the class working.
 */
#include "tests/support/harness.h"

#include <unistd.h>

#define ROWS 500

static void stage_path(bh_cf *cf, const char *name, char out[PATH_SIZE])
{
	bh_buf path = { 0 };

	test_ok(bh_staging_path(cf, name, &path));
	test_check(path.len < PATH_SIZE);
	memcpy(out, path.data, path.len + 1);
	bh_buf_clear(&path);
}

/* An SST at `path` of the rows "row0000".. with values "<tag> 0"..; range-deletes "gone" to "gonf". `env` NULL: a plain one. */
static void write_sst(const char *path, rocksdb_env_t *env, const char *tag)
{
	test_sst sst = test_sst_begin(env, path);
	char *error = NULL;

	for (int i = 0; i < ROWS; i++) {
		char key[16], value[64];

		snprintf(key, sizeof(key), "row%04d", i);
		snprintf(value, sizeof(value), "%s %d", tag, i);
		test_sst_put(&sst, key, value);
	}
	rocksdb_sstfilewriter_delete_range(sst.writer, "gone", 4, "gonf", 4, &error);
	test_rocks_ok(error);
	test_sst_end(&sst);
}

static bh_status ingest(bh_cf *cf, const char *path, bool move)
{
	const bh_ingest_options options = { .move = move };

	return bh_ingest(cf, &options, &path, 1);
}

static void put_old(bh_cf *cf)
{
	test_put(cf, "row0000", "old");
	test_put(cf, "gone1", "old");
	test_put(cf, "kept", "old");
}

static void expect_ingested(bh_cf *cf, const char *first, const char *last)
{
	test_expect(cf, "row0000", first);
	test_expect(cf, "row0499", last);
	test_expect(cf, "gone1", NULL);
	test_expect(cf, "kept", "old");
}

static void ingest_and_reopen(void *arg)
{
	const workspace *ws = arg;
	char copied[PATH_SIZE], moved[PATH_SIZE];
	bh_db *db;
	bh_cf *cf;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "ann", "data", NULL);
	cf = test_cf(db, "ann", "data");
	put_old(cf);
	stage_path(cf, "first.sst", copied);
	stage_path(cf, "second.sst", moved);
	write_sst(copied, bh_db_env(db), "clear first");
	write_sst(moved, bh_db_env(db), "clear second");
	test_ok(ingest(cf, copied, false));
	expect_ingested(cf, "clear first 0", "clear first 499");
	test_check(file_exists(copied));
	test_ok(ingest(cf, moved, true));
	expect_ingested(cf, "clear second 0", "clear second 499");
	test_check(!file_exists(moved));
	test_put(cf, "row0000", "new");
	bh_cf_close(cf);
	bh_db_close(db);

	db = test_db_open(ws, NULL);
	cf = test_cf(db, "ann", "data");
	expect_ingested(cf, "new", "clear second 499");
	test_ok(bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 }));
	expect_ingested(cf, "new", "clear second 499");
	bh_cf_close(cf);
	bh_db_close(db);
}

static void count_clear(void *arg, const char *path)
{
	size_t *count = arg;
	bh_buf bytes = file_read(path);

	*count += bytes_count(bh_buf_view(&bytes), bh_view_str("clear")) + bytes_count(bh_buf_view(&bytes), bh_view_str("row0"));
	bh_buf_clear(&bytes);
}

/* Rows, their order in time, and range deletions; copied or moved; after a reopen; and nothing of it is on the disk in the clear.
 */
static void files_come_into_their_class(void **state)
{
	size_t count = 0;
	workspace ws;

	(void)state;
	workspace_open(&ws);
	test_child_ok(ingest_and_reopen, &ws);
	tree_walk(ws.db, count_clear, &count);
	assert_int_equal(count, 0);
	workspace_close(&ws);
}

static void copy_file(const char *from, const char *to)
{
	bh_buf bytes = file_read(from);

	test_check(bytes.len > 4096);
	file_write(to, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

static void flip_last(const char *path)
{
	bh_buf bytes = file_read(path);

	bytes.data[bytes.len - 1] ^= 1;
	file_write(path, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

/* Copied or moved, it is refused, and the class has what it had. */
static void refuse(bh_cf *cf, const char *path, bh_status want)
{
	test_status(ingest(cf, path, false), want);
	test_message_names(path);
	test_status(ingest(cf, path, true), want);
	test_expect(cf, "row0000", "old");
	test_expect(cf, "row0001", NULL);
	test_expect(cf, "gone1", "old");
}

/* Past the gate and its check: RocksDB's own call, which is to link the file in. It must not fall back to copying the rows. */
static void refuse_raw_move(bh_db *db, bh_cf *cf, const char *path)
{
	rocksdb_ingestexternalfileoptions_t *options = rocksdb_ingestexternalfileoptions_create();
	char *error = NULL;

	rocksdb_ingestexternalfileoptions_set_move_files(options, 1);
	rocksdb_ingest_external_file_cf(bh_db_rocksdb(db), bh_cf_handle(cf), &path, 1, options, &error);
	rocksdb_ingestexternalfileoptions_destroy(options);
	test_check(error != NULL);
	test_check(bh_status_of_rocksdb(error) == BH_E_INVALID);
	test_message_names("belongs to another key");
	test_expect(cf, "row0001", NULL);
}

static void foreign_database(const workspace *ws, char path[PATH_SIZE])
{
	bh_cf *cf;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "ann", "data", NULL);
	cf = test_cf(db, "ann", "data");
	stage_path(cf, "other.sst", path);
	write_sst(path, bh_db_env(db), "other");
	bh_cf_close(cf);
	bh_db_close(db);
}

struct two {
	workspace ws, other;
};

static void refuse_all(void *arg)
{
	const struct two *two = arg;
	const workspace *ws = &two->ws;
	char theirs[PATH_SIZE], ours[PATH_SIZE], other[PATH_SIZE], path[PATH_SIZE];
	bh_cf *ann, *events, *bob;
	bh_db *db;

	foreign_database(&two->other, other);
	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "ann", "data", "events");
	test_merchant_add(ws, db, "bob", "data", NULL);
	ann = test_cf(db, "ann", "data");
	events = test_cf(db, "ann", "events");
	bob = test_cf(db, "bob", "data");
	put_old(ann);
	put_old(events);

	stage_path(bob, "theirs.sst", theirs);
	write_sst(theirs, bh_db_env(db), "bob");
	refuse(ann, theirs, BH_E_INVALID);
	refuse_raw_move(db, ann, theirs);
	stage_path(ann, "moved.sst", path);
	copy_file(theirs, path);
	refuse(ann, path, BH_E_TAG);
	stage_path(ann, "linked.sst", path);
	test_check(symlink(theirs, path) == 0);
	refuse(ann, path, BH_E_FORMAT); /* no link is followed */

	stage_path(ann, "ours.sst", ours);
	write_sst(ours, bh_db_env(db), "ann");
	refuse(events, ours, BH_E_INVALID);
	stage_path(events, "ours.sst", path);
	copy_file(ours, path);
	refuse(events, path, BH_E_TAG);

	stage_path(ann, "other.sst", path);
	copy_file(other, path);
	refuse(ann, path, BH_E_NO_KEY);
	path_join(path, ws->root, "ours.sst");
	copy_file(ours, path);
	refuse(ann, path, BH_E_INVALID);
	path_join(path, ws->db, "staging/ann/data/ours.log");
	refuse(ann, path, BH_E_INVALID);
	path_join(path, ws->db, "tenants/ann/data/ours.sst"); /* where RocksDB's own are */
	copy_file(ours, path);
	refuse(ann, path, BH_E_INVALID);
	stage_path(ann, "plain.sst", path);
	write_sst(path, NULL, "plain");
	refuse(ann, path, BH_E_FORMAT);
	stage_path(ann, "damaged.sst", path);
	copy_file(ours, path);
	flip_last(path);
	refuse(ann, path, BH_E_TAG);
	test_status(bh_ingest(ann, NULL, NULL, 0), BH_E_INVALID);

	/* One that may not come in keeps out the one beside it. */
	test_status(bh_ingest(ann, NULL, (const char *const[]){ ours, path }, 2), BH_E_TAG);
	test_expect(ann, "row0001", NULL);
	test_ok(ingest(ann, ours, true));
	expect_ingested(ann, "ann 0", "ann 499");

	write_sst(ours, bh_db_env(db), "late");
	test_ok(bh_merchant_shred(db, "ann", NULL));
	test_status(ingest(ann, ours, true), BH_E_SHREDDED);
	bh_cf_close(bob);
	bh_cf_close(events);
	bh_cf_close(ann);
	bh_db_close(db);
}

static void files_of_others_are_refused(void **state)
{
	struct two two;

	(void)state;
	workspace_open(&two.ws);
	workspace_open(&two.other);
	test_child_ok(refuse_all, &two);
	workspace_close(&two.other);
	workspace_close(&two.ws);
}

/* ---- files that wait */

static const char *const waiting[] = { "import.sst", "000900.sst", "9.sst" };
enum { WAITING = sizeof(waiting) / sizeof(waiting[0]) };

static void stage_all(bh_db *db, bh_cf *cf, char paths[WAITING][PATH_SIZE])
{
	for (int i = 0; i < WAITING; i++) {
		stage_path(cf, waiting[i], paths[i]);
		write_sst(paths[i], bh_db_env(db), waiting[i]);
	}
}

static void expect_waiting(char paths[WAITING][PATH_SIZE], bool there)
{
	for (int i = 0; i < WAITING; i++)
		test_check(file_exists(paths[i]) == there);
}

/* Off is off: no place is given, and none is written at a place that is known. */
static void expect_closed(bh_db *db, bh_cf *cf, const char *known)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_envoptions_t *env_options = rocksdb_envoptions_create();
	rocksdb_sstfilewriter_t *writer;
	char *error = NULL, late[PATH_SIZE];
	bh_buf path = { 0 };

	test_status(bh_staging_path(cf, "late.sst", &path), BH_E_SUSPENDED);
	test_status(ingest(cf, known, true), BH_E_SUSPENDED);
	snprintf(late, sizeof(late), "%.*slate.sst", (int)(strrchr(known, '/') + 1 - known), known);
	rocksdb_options_set_env(options, bh_db_env(db));
	writer = rocksdb_sstfilewriter_create(env_options, options);
	rocksdb_sstfilewriter_open(writer, late, &error);
	test_check(error != NULL && bh_status_of_rocksdb(error) == BH_E_SUSPENDED);
	rocksdb_sstfilewriter_destroy(writer);
	rocksdb_envoptions_destroy(env_options);
	rocksdb_options_destroy(options);
}

static void no_alarm(void *arg, const char *line)
{
	(void)arg;
	test_check(strstr(line, "still holds") == NULL && strstr(line, "alarm") == NULL);
}

static size_t generations(bh_db *db)
{
	bh_generation *found = NULL;
	size_t count = 0, alive = 0;

	test_ok(bh_merchant_generations(db, "ann", &found, &count));
	for (size_t i = 0; i < count; i++)
		alive += !found[i].retired;
	free(found);
	return alive;
}

static void wait_through_a_life(void *arg)
{
	const workspace *ws = arg;
	const bh_db_options options = { .log = no_alarm };
	char anns[WAITING][PATH_SIZE], bobs[WAITING][PATH_SIZE];
	bh_cf *ann, *bob;
	bh_db *db;

	test_db_create(ws, NULL);
	test_ok(bh_db_open(ws->db, &options, &db));
	test_merchant_add(ws, db, "ann", "data", NULL);
	test_merchant_add(ws, db, "bob", "data", NULL);
	ann = test_cf(db, "ann", "data");
	bob = test_cf(db, "bob", "data");
	put_old(ann);
	put_old(bob);
	stage_all(db, ann, anns);
	stage_all(db, bob, bobs);
	test_ok(bh_merchant_suspend(db, "ann", NULL));
	expect_waiting(anns, true);
	expect_closed(db, ann, anns[0]);
	test_ok(ingest(bob, bobs[0], true));
	test_expect(bob, "row0000", "import.sst 0");
	test_ok(bh_merchant_resume(db, "ann", NULL));
	expect_waiting(anns, true);

	/* Under the keys of before until a sweep moves it, which are kept for it. */
	test_ok(bh_merchant_rotate(db, "ann", NULL));
	test_ok(bh_compact(ann, (bh_view){ 0 }, (bh_view){ 0 }));
	test_check(generations(db) == 2);
	test_ok(bh_merchant_sweep(db, "ann", NULL));
	test_check(generations(db) == 1);
	bh_cf_close(ann);
	bh_cf_close(bob);
	bh_db_close(db);

	test_ok(bh_db_open(ws->db, &options, &db));
	ann = test_cf(db, "ann", "data");
	bob = test_cf(db, "bob", "data");
	expect_waiting(anns, true);
	flip_last(anns[1]);
	test_status(ingest(ann, anns[1], true), BH_E_TAG);
	test_expect(ann, "row0000", "old"); /* which is nobody's damage */
	test_ok(ingest(ann, anns[2], true));
	expect_ingested(ann, "9.sst 0", "9.sst 499");
	test_ok(bh_merchant_shred(db, "ann", NULL));
	expect_waiting(anns, false);
	path_join(anns[0], ws->db, "staging/ann");
	test_check(!file_exists(anns[0]));
	test_ok(ingest(bob, bobs[1], false));
	expect_ingested(bob, "000900.sst 0", "000900.sst 499");
	bh_cf_close(ann);
	bh_cf_close(bob);
	bh_db_close(db);
}

/* A suspension and a resume leave them, and are not held up by them; a sweep takes them along; a shred removes them. */
static void files_wait_as_long_as_they_must(void **state)
{
	test_child_ok(wait_through_a_life, *state);
}

static void refuse_names(void *arg)
{
	static const char *const names[] = { "", ".sst", "plain", "a.log", "../a.sst", "a/b.sst", "/a.sst" };
	const workspace *ws = arg;
	char place[PATH_SIZE];
	bh_buf path = { 0 };
	bh_cf *cf;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "ann", "data", NULL);
	cf = test_cf(db, "ann", "data");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		test_status(bh_staging_path(cf, names[i], &path), BH_E_INVALID);
	path_join(place, ws->db, "staging");
	test_check(symlink(ws->root, place) == 0);
	test_status(bh_staging_path(cf, "a.sst", &path), BH_E_FORMAT);
	bh_cf_close(cf);
	bh_db_close(db);
}

static void a_place_is_below_staging(void **state)
{
	test_child_ok(refuse_names, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_come_into_their_class),
		cmocka_unit_test(files_of_others_are_refused),
		cmocka_unit_test_setup_teardown(files_wait_as_long_as_they_must, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(a_place_is_below_staging, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
