/* SPDX-License-Identifier: Apache-2.0
 *
 * test_rotation.c: a merchant gets new generations of DEKs while it serves. New bytes lie under the new one, all rows stay; a
 * generation that nothing refers to any more is destroyed, and an old copy of the files opens under nothing that the keyring has.
 */
#include "rotation_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <bulkhead/rotation.h>

#include "tests/attack/decryptor.h"
#include "engine/rotation/survey.h"
#include "env/files/references.h"
#include "env/reseal/reseal_log.h"
#include "engine/wall/attach.h"

#ifdef BH_SANITIZED
enum { STRIDE = 7, LOAD_GENERATIONS = 8 }; /* one in as many of the kill points */
#else
enum { STRIDE = 1, LOAD_GENERATIONS = 25 };
#endif

/* RocksDB compacts when it is told to, and what a test says of the files it leaves is true at once. */
static bh_db *open_calm(const workspace *ws)
{
	rocksdb_options_t *options = test_options_with(rocksdb_options_create(), "disable_auto_compactions=true");
	bh_db *db = test_db_open(ws, options);

	rocksdb_options_destroy(options);
	return db;
}

/* ---- rotated, moved by compaction, retired */

typedef struct reference {
	const uint8_t *dek_id;
	size_t count;
} reference;

static void count_reference(void *arg, const uint8_t dek_id[BH_ID_LEN])
{
	reference *r = arg;

	r->count += memcmp(r->dek_id, dek_id, BH_ID_LEN) == 0;
}

/* How often the newest DEK of a class is referred to by the class's files, or by the database's logs. */
static size_t references(bh_db *db, const char *dir, const char *suffix)
{
	const bh_scope scope = { .merchant = "a", .cls = "events" };
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	reference found = { 0 };
	char path[PATH_SIZE];

	test_ok(bh_keyring_dek_current(db->keyring, &scope, &dek));
	found.dek_id = bh_dek_id(dek);
	for (size_t i = 0; file_find(dir, suffix, i, path); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf bytes = file_read(path);
		bh_header header;

		test_ok(bh_header_parse(bh_buf_view(&bytes), &header));
		if (bh_file_kind_is_paged(header.kind))
			count_reference(&found, header.dek_id);
		else
			test_ok(bh_file_references(path, bh_fs_scopes(db->fs), count_reference, &found));
	}
	return found.count;
}

static void rotated(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_calm(ws));
	bh_cf *a = test_cf(db, "a", "events");
	char dir[PATH_SIZE];

	path_join(dir, ws->db, "tenants/a/events");
	expect_generations(db, "a", 2, 0, 1);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	expect_generations(db, "a", 4, 0, 2);
	expect_generations(db, "b", 1, 0, 1);
	test_check(references(db, dir, ".sst") == 0 && references(db, ws->db, ".log") == 0);
	test_put(a, "new", "row");
	test_check(references(db, ws->db, ".log") == 1); /* announced in the middle of a WAL */
	test_ok(bh_flush(a));
	test_check(references(db, dir, ".sst") == 1);
	expect_both(db, false);
	bh_cf_close(a);
	bh_db_close(db);

	/* The old one is needed by an SST, so it stays. */
	db = open_calm(ws);
	test_check(generations_of(db, "a").kept > 2);
	expect_both(db, false);
	compact_all(db, "a", "events");
	compact_all(db, "a", "profile");
	bh_db_close(db);
	db = open_calm(ws);
	expect_generations(db, "a", 2, 2, 2);
	expect_both(db, false);
	a = test_cf(db, "a", "events");
	test_expect(a, "new", "row");
	bh_cf_close(a);
	bh_db_close(db);
}

/* ---- swept: nothing of the old one is left, in the same files */

static void swept(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	bh_cf *a = test_cf(db, "a", "events");

	test_put(a, "in", "the WAL");
	test_ok(bh_merchant_rotate(db, "a", NULL));
	expect_pins(db, "a", true, true, true);
	test_ok(bh_merchant_sweep(db, "a", NULL));
	expect_pins(db, "a", false, false, false);
	expect_generations(db, "a", 2, 2, 2);
	expect_both(db, false);
	test_expect(a, "in", "the WAL");
	/* The MANIFEST goes on where it was, and so do the logs. */
	test_put(a, "after", "the sweep");
	test_ok(bh_flush(a));
	test_ok(bh_merchant_sweep(db, "a", NULL));
	bh_cf_close(a);
	bh_db_close(db);

	db = test_db_open(ws, NULL);
	a = test_cf(db, "a", "events");
	test_expect(a, "in", "the WAL");
	test_expect(a, "after", "the sweep");
	bh_cf_close(a);
	expect_both(db, false);
	bh_db_close(db);
}

/* B is away, its rows in the WALs that A's sweep seals anew: it comes back as it was, with what is parked under A's old keys, too.
 */
static void sweep_beside(const workspace *ws, way how)
{
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");

	for (int i = 0; i < 50; i++) {
		put_row(a, i, row_len(i));
		put_row(b, i, row_len(i));
	}
	switch_off(db, "b", how);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	test_ok(bh_merchant_sweep(db, "a", NULL));
	expect_generations(db, "a", 2, 2, 2);
	test_ok(how == BY_OPERATOR ? bh_merchant_resume(db, "b", NULL) : bh_merchant_attach(db, "b"));
	expect_both(db, false);
	/* Now its families are others, and the logs know of the old ones. */
	test_ok(bh_merchant_rotate(db, "b", NULL));
	test_ok(bh_merchant_sweep(db, "b", NULL));
	test_ok(bh_merchant_shred(db, "b", NULL));
	test_ok(bh_merchant_rotate(db, "a", NULL));
	test_ok(bh_merchant_sweep(db, "a", NULL));
	expect_generations(db, "a", 2, 4, 3);
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
	db = test_db_open(ws, NULL);
	a = test_cf(db, "a", "events");
	for (int i = 0; i < 50; i++) {
		bh_buf value = { 0 };
		char key[16];

		test_ok(bh_get(a, NULL, row_key(key, i), &value));
		test_check(value.len == row_len(i));
		bh_buf_clear(&value);
	}
	bh_cf_close(a);
	bh_db_close(db);
}

static void swept_beside_suspended(void *arg)
{
	sweep_beside(arg, BY_OPERATOR);
}

static void swept_beside_revoked(void *arg)
{
	sweep_beside(arg, REVOKED);
}

/* ---- an old copy of the files, under the keyring of today */

static void count_canaries(void *arg, const decrypted *file)
{
	*(size_t *)arg += bytes_count(bh_buf_view(&file->opened), bh_view_str("canary")) +
			  bytes_count(bh_buf_view(&file->raw), bh_view_str("canary"));
}

static size_t canaries(const char *dir)
{
	size_t count = 0;
	decryptor d;

	decryptor_open(&d, dir);
	decryptor_walk(&d, count_canaries, &count);
	decryptor_close(&d);
	return count;
}

static void put_into(const char *dir, const char *name, const char *from)
{
	char source[PATH_SIZE], target[PATH_SIZE];
	bh_buf bytes;

	path_join(source, from, name);
	path_join(target, dir, name);
	bytes = file_read(source);
	file_write(target, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

static void old_copy(void *arg)
{
	const workspace *ws = arg;
	char copy[PATH_SIZE];
	bh_db *db = (make_two(ws), open_calm(ws));
	bh_cf *a = test_cf(db, "a", "events");

	test_put(a, "canary", "canary");
	test_ok(bh_flush(a));
	test_put(a, "canary", "a second canary");
	bh_cf_close(a);
	bh_db_close(db);
	path_join(copy, ws->root, "copy");
	tree_copy(ws->db, copy);
	test_check(canaries(copy) > 2); /* SST, WAL, MANIFEST */

	db = open_calm(ws);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	compact_all(db, "a", "events");
	compact_all(db, "a", "profile");
	bh_db_close(db);
	db = open_calm(ws);
	expect_generations(db, "a", 2, 2, 2);
	bh_db_close(db);
	test_check(canaries(ws->db) > 0);
	put_into(copy, "KEYRING", ws->db);
	put_into(copy, "AUDIT", ws->db);
	test_check(canaries(copy) == 0);
}

/* ---- a MANIFEST without the keys of files that are gone */

static void count_in_manifest(void *arg, const decrypted *file)
{
	if (file->info.sealed && file->info.kind == BH_KIND_MANIFEST)
		*(size_t *)arg += bytes_count(bh_buf_view(&file->opened), bh_view_str("canary"));
}

static size_t manifest_canaries(const workspace *ws, const char *copy)
{
	char path[PATH_SIZE];
	size_t count = 0;
	decryptor d;

	path_join(path, ws->root, copy);
	tree_copy(ws->db, path);
	decryptor_open(&d, path);
	decryptor_walk(&d, count_in_manifest, &count);
	decryptor_close(&d);
	return count;
}

typedef struct scrub_run {
	bh_db *db;
	bool done;
} scrub_run;

static bh_status scrub(void *arg, const char *path, bh_file_kind kind)
{
	scrub_run *run = arg;

	return kind == BH_KIND_MANIFEST && !run->done ? bh_reseal_manifest(run->db->fs, path, true, NULL, &run->done) : BH_OK;
}

static void scrubbed(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_calm(ws));
	const bh_place place = bh_db_place(db);
	bh_cf *a = test_cf(db, "a", "events");
	scrub_run run = { .db = db };

	test_put(a, "canary of a file that goes", "value");
	test_ok(bh_flush(a));
	test_ok(bh_delete(a, NULL, bh_view_str("canary of a file that goes")));
	compact_all(db, "a", "events");
	test_check(manifest_canaries(ws, "before") > 0);
	test_ok(bh_each_log(&place, scrub, &run));
	test_check(run.done && manifest_canaries(ws, "after") == 0);
	test_put(a, "canary of a file that stays", "value");
	compact_all(db, "a", "events");
	bh_cf_close(a);
	bh_db_close(db);
	test_check(manifest_canaries(ws, "stays") > 0);
	db = open_calm(ws);
	a = test_cf(db, "a", "events");
	test_expect(a, "canary of a file that goes", NULL);
	test_expect(a, "canary of a file that stays", "value");
	expect_both(db, false);
	bh_cf_close(a);
	bh_db_close(db);
}

/* ---- under load, generation after generation */

/* BH_GENERATIONS in the environment: for a long run. */
static int load_generations(void)
{
	const char *wanted = getenv("BH_GENERATIONS");

	return wanted != NULL ? atoi(wanted) : LOAD_GENERATIONS;
}

typedef struct load {
	bh_cf *cf;
	atomic_bool over;
	int rows;
} load;

static void *write_on(void *arg)
{
	load *l = arg;

	for (l->rows = 0; !atomic_load(&l->over); l->rows++)
		put_row(l->cf, l->rows, row_len(l->rows));
	return NULL;
}

static void expect_rows(const load *l)
{
	bh_buf value = { 0 };
	char key[16];

	for (int i = 0; i < l->rows; i++) {
		test_ok(bh_get(l->cf, NULL, row_key(key, i), &value));
		test_check(value.len == row_len(i) && value.data[0] == 'a' + i % 26);
	}
	bh_buf_clear(&value);
}

/* Counts calls of a sweep that reports what cannot be. */
static void check_progress(void *arg, const bh_sweep_progress *p)
{
	test_check(p->bytes_done <= p->bytes_total && p->remaining_s >= -1);
	*(size_t *)arg += 1;
}

/* Rotated and swept, again and again, beside writers of both; all rows are there, and one generation is. */
static void under_load(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	load loads[2] = { { .cf = test_cf(db, "a", "events") }, { .cf = test_cf(db, "b", "events") } };
	const int wanted = load_generations();
	size_t reports = 0;
	const bh_sweep_options options = { .bytes_per_s = UINT64_MAX, .progress = check_progress, .progress_arg = &reports };
	pthread_t threads[2];

	for (size_t i = 0; i < 2; i++)
		test_check(pthread_create(&threads[i], NULL, write_on, &loads[i]) == 0);
	for (int i = 1; i <= wanted; i++) {
		test_ok(bh_merchant_rotate(db, "a", NULL));
		test_ok(bh_flush(loads[i % 2].cf));
		test_ok(bh_merchant_sweep(db, "a", &options));
		expect_generations(db, "a", 2, 2 * (size_t)i, (uint32_t)i + 1);
	}
	test_check(reports >= (size_t)wanted);
	for (size_t i = 0; i < 2; i++) {
		atomic_store(&loads[i].over, true);
		pthread_join(threads[i], NULL);
		expect_rows(&loads[i]);
		bh_cf_close(loads[i].cf);
	}
	bh_db_close(db);

	db = test_db_open(ws, NULL);
	expect_generations(db, "a", 2, 2 * (size_t)wanted, (uint32_t)wanted + 1);
	expect_both(db, false);
	loads[0].cf = test_cf(db, "a", "events");
	loads[1].cf = test_cf(db, "b", "events");
	for (size_t i = 0; i < 2; i++) {
		expect_rows(&loads[i]);
		bh_cf_close(loads[i].cf);
	}
	bh_db_close(db);
}

/* ---- beside the rest of a merchant's life */

/* Two generations, in SSTs and in one WAL; `how` it goes and comes back. */
static void goes_and_comes(const workspace *ws, way how)
{
	bh_db *db = test_db_open(ws, NULL);
	bh_cf *a = test_cf(db, "a", "profile");

	test_ok(bh_merchant_rotate(db, "a", NULL));
	test_put(a, "last", "word");
	bh_cf_close(a);
	switch_off(db, "a", how);
	test_status(bh_merchant_rotate(db, "a", NULL), off_status(how));
	test_ok(how == BY_OPERATOR ? bh_merchant_resume(db, "a", NULL) : bh_merchant_attach(db, "a"));
	expect_both(db, true);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	expect_both(db, true);
	bh_db_close(db);
}

static void suspended(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	make_two(ws);
	goes_and_comes(ws, BY_OPERATOR);
	goes_and_comes(ws, REVOKED);
	db = test_db_open(ws, NULL);
	expect_both(db, true);
	test_ok(bh_merchant_shred(db, "a", NULL));
	test_status(bh_merchant_rotate(db, "a", NULL), BH_E_SHREDDED);
	test_status(bh_merchant_rotate(db, "nobody", NULL), BH_E_NO_SUCH_MERCHANT);
	test_check(generations_of(db, "a").kept == 0);
	bh_db_close(db);
	db = test_db_open(ws, NULL);
	bh_db_close(db);
}

/* A KMS that says no leaves everything as it is. */
static void refused(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	bh_kms *console = NULL;

	test_ok(bh_kms_open(test_cmk(ws, "a"), NULL, &console));
	test_ok(bh_kms_disable(console));
	test_status(bh_merchant_rotate(db, "a", NULL), BH_E_KMS_REFUSED);
	expect_generations(db, "a", 2, 0, 1);
	expect_both(db, false);
	test_ok(bh_kms_enable(console));
	test_ok(bh_merchant_rotate(db, "a", NULL));
	expect_generations(db, "a", 4, 0, 2);
	bh_kms_close(console);
	bh_db_close(db);
}

/* ---- kills */

static void rotate_sweep_reopen(void *arg)
{
	const kill_run *run = arg;
	bh_db *db;
	bh_cf *a;

	arm(run->at);
	db = test_db_open(run->ws, NULL);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	a = test_cf(db, "a", "profile");
	test_put(a, "last", "word");
	bh_cf_close(a);
	compact_all(db, "a", "events");
	test_ok(bh_merchant_sweep(db, "a", NULL));
	test_check(generations_of(db, "a").kept == 2);
	bh_db_close(db);
	db = test_db_open(run->ws, NULL);
	expect_both(db, true);
	bh_db_close(db);
}

/* All classes have the same generations, whenever it was. */
static void expect_whole(void *arg)
{
	const kill_run *run = arg;
	bh_db *db = test_db_open(run->ws, NULL);
	generations found = generations_of(db, "a");

	test_check((found.kept + found.retired) == 2 * (size_t)found.newest);
	expect_both(db, false);
	/* A sweep that was interrupted is gone on with. */
	test_ok(bh_merchant_sweep(db, "a", NULL));
	test_check(generations_of(db, "a").kept == 2);
	expect_both(db, false);
	bh_db_close(db);
}

static void test_killed(void **state)
{
	kill_run run = { .ws = *state };
	bool survived = false;

	test_child_ok(make_two_child, *state);
	for (run.at = 1; !survived; run.at += STRIDE) {
		survived = test_child_survives(rotate_sweep_reopen, &run);
		test_child_ok(expect_whole, &run);
	}
	test_check(run.at > 4);
}

/* ---- a file that is being written, whose header is in nobody's buffer but its writer's */

static uint64_t old_files(bh_db *db)
{
	const bh_place place = bh_db_place(db);
	bh_survey found = { 0 };
	uint64_t files;

	test_ok(bh_survey_make(&place, "a", &found));
	test_check(found.unfinished == 0);
	files = bh_survey_total(&found).files;
	bh_survey_clear(&found);
	return files;
}

static void being_written(void *arg)
{
	bh_buf path = { 0 };
	struct stat st;
	uint64_t before;
	test_sst sst;
	size_t left;
	bh_db *db;
	bh_cf *a;

	make_two(arg);
	db = open_calm(arg);
	a = test_cf(db, "a", "events");
	test_ok(bh_staging_path(a, "one.sst", &path));
	test_ok(bh_merchant_rotate(db, "a", NULL));
	before = old_files(db);
	sst = test_sst_begin(bh_db_env(db), (const char *)path.data);
	test_sst_put(&sst, "key", "value");
	test_check(stat((const char *)path.data, &st) == 0 && st.st_size == 0);
	test_check(old_files(db) == before);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	test_check(old_files(db) == before + 1);
	test_ok(bh_retire(db, "a", &left));
	test_check(old_files(db) == before + 1);
	test_sst_end(&sst);
	test_check(old_files(db) == before + 1);
	test_ok(bh_ingest(a, &(bh_ingest_options){ .move = true }, (const char *const[]){ (const char *)path.data }, 1));
	test_expect(a, "key", "value");
	bh_buf_clear(&path);
	bh_cf_close(a);
	bh_db_close(db);
}

/* ---- */

#define IN_A_CHILD(body)                                                                                                           \
	static void test_##body(void **state)                                                                                      \
	{                                                                                                                          \
		test_child_ok(body, *state);                                                                                       \
	}

IN_A_CHILD(rotated)
IN_A_CHILD(swept)
IN_A_CHILD(swept_beside_suspended)
IN_A_CHILD(swept_beside_revoked)
IN_A_CHILD(old_copy)
IN_A_CHILD(scrubbed)
IN_A_CHILD(under_load)
IN_A_CHILD(suspended)
IN_A_CHILD(refused)
IN_A_CHILD(being_written)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(test_rotated),
		SUSPEND_CASE(test_swept),
		SUSPEND_CASE(test_swept_beside_suspended),
		SUSPEND_CASE(test_swept_beside_revoked),
		SUSPEND_CASE(test_old_copy),
		SUSPEND_CASE(test_scrubbed),
		SUSPEND_CASE(test_under_load),
		SUSPEND_CASE(test_suspended),
		SUSPEND_CASE(test_refused),
		SUSPEND_CASE(test_being_written),
		SUSPEND_CASE(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
