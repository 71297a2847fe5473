/* SPDX-License-Identifier: Apache-2.0
 *
 * test_reseal.c: all SST and blob files of a rotated merchant are resealed under RocksDB's feet, beside readers, iterators, flushes
 * and compactions: afterwards they are under the newest DEKs, hold the same rows, and nothing in the process holds an old DEK. A
 * kill at any step, a full disk or a leftover costs nothing.
 */
#include "rotation_fixture.h"

#include <bulkhead/report.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bulkhead/rotation.h>

#include "engine/core/files.h"
#include "env/files/raw_file.h"
#include "env/reseal/reseal.h"
#include "engine/wall/attach.h"

enum { ROWS = 2500, VALUE_MAX = 900, DEKS_MAX = 64 };
#ifdef BH_SANITIZED
enum { ROUNDS = 3 };
#else
enum { ROUNDS = 6 };
#endif

/* async_io.cc */
void test_readoptions_set_async_io(rocksdb_readoptions_t *options);

static const char *const a_classes[] = { "events", "profile" };

/* ---- rows: the same value whenever it is written */

typedef struct row {
	char key[16];
	uint8_t value[VALUE_MAX];
	size_t len;
} row;

static bh_view row_make(row *r, unsigned i)
{
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u;

	r->len = 20 + (i * 37) % (VALUE_MAX - 20);
	for (size_t at = 0; at < r->len; at++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		r->value[at] = (uint8_t)x;
	}
	return row_key(r->key, (int)i);
}

static void row_put(bh_cf *cf, unsigned i)
{
	row r;
	bh_view key = row_make(&r, i);

	test_ok(bh_put(cf, NULL, key, bh_view_of(r.value, r.len)));
}

static void expect_row(unsigned i, const void *got, size_t len)
{
	row r;

	row_make(&r, i);
	if (len != r.len || memcmp(got, r.value, len) != 0)
		test_fail_at(__FILE__, __LINE__, "row %u: %zu bytes that are not its %zu", i, len, r.len);
}

static void expect_rows(bh_cf *cf)
{
	bh_buf got = { 0 };
	char key[16];

	for (unsigned i = 0; i < ROWS; i++) {
		test_ok(bh_get(cf, NULL, row_key(key, (int)i), &got));
		expect_row(i, got.data, got.len);
	}
	bh_buf_clear(&got);
}

/* The next row of an iterator is row `i`. */
static void expect_next(rocksdb_iterator_t *iter, unsigned i)
{
	size_t len = 0, value_len = 0;
	const char *key, *value;
	char want[16];

	test_check(rocksdb_iter_valid(iter));
	key = rocksdb_iter_key(iter, &len);
	value = rocksdb_iter_value(iter, &value_len);
	test_check(row_key(want, (int)i).len == len && memcmp(key, want, len) == 0);
	expect_row(i, value, value_len);
	rocksdb_iter_next(iter);
}

static rocksdb_iterator_t *iterate(bh_db *db, bh_cf *cf, const rocksdb_readoptions_t *how)
{
	rocksdb_iterator_t *iter = rocksdb_create_iterator_cf(bh_db_rocksdb(db), how, bh_cf_handle(cf));

	rocksdb_iter_seek_to_first(iter);
	return iter;
}

static void iterate_to_end(rocksdb_iterator_t *iter, unsigned from)
{
	char *error = NULL;

	for (unsigned i = from; i < ROWS; i++)
		expect_next(iter, i);
	test_check(!rocksdb_iter_valid(iter));
	rocksdb_iter_get_error(iter, &error);
	test_rocks_ok(error);
	rocksdb_iter_destroy(iter);
}

/* ---- databases */

/* Many small SST and blob files, and no block cache: every read is one of a file. */
static rocksdb_options_t *small_files(const char *changes)
{
	rocksdb_options_t *options =
		test_options_with(rocksdb_options_create(), "write_buffer_size=131072;target_file_size_base=65536;"
							    "max_bytes_for_level_base=262144;compression=kNoCompression;"
							    "enable_blob_files=true;min_blob_size=600;blob_file_size=65536;"
							    "enable_blob_garbage_collection=true");
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	options = test_options_with(options, changes);
	rocksdb_block_based_options_set_no_block_cache(table, 1);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
	return options;
}

/* Without the database's own thread, which would reseal as well. */
static bh_db *open_alone(const workspace *ws, const rocksdb_options_t *rocksdb)
{
	const bh_db_options options = { .rocksdb = rocksdb, .maintenance_ms = UINT_MAX };
	bh_db *db = NULL;

	test_ok(bh_db_open(ws->db, &options, &db));
	return db;
}

/* A with all rows in SST and blob files of its classes, B with the same rows. */
static bh_db *make_filled(const workspace *ws, const char *changes)
{
	rocksdb_options_t *options = small_files(changes);
	bh_db *db;

	test_db_create(ws, NULL);
	db = open_alone(ws, options);
	rocksdb_options_destroy(options);
	test_merchant_add(ws, db, "a", a_classes[0], a_classes[1]);
	test_merchant_add(ws, db, "b", "events", NULL);
	for (unsigned n = 0; n < 3; n++) {
		bh_cf *cf = n < 2 ? test_cf(db, "a", a_classes[n]) : test_cf(db, "b", "events");

		for (unsigned i = 0; i < ROWS; i++)
			row_put(cf, i);
		test_ok(bh_flush(cf));
		bh_cf_close(cf);
	}
	return db;
}

static void expect_all(bh_db *db)
{
	for (unsigned n = 0; n < 3; n++) {
		bh_cf *cf = n < 2 ? test_cf(db, "a", a_classes[n]) : test_cf(db, "b", "events");

		expect_rows(cf);
		bh_cf_close(cf);
	}
}

/* ---- files of A */

typedef struct visit {
	bh_db *db;
	char dir[PATH_SIZE];
	const uint8_t *newest; /* DEK id of the class */
	size_t files, blobs, done, old, begun;
} visit;

static bool is_paged(const char *name)
{
	size_t len = strlen(name);

	return (len > 4 && strcmp(name + len - 4, ".sst") == 0) || (len > 5 && strcmp(name + len - 5, ".blob") == 0);
}

static bh_status reseal_one(void *arg, const char *name)
{
	visit *v = arg;
	char path[PATH_SIZE];
	bool done = false;

	if (!is_paged(name))
		return BH_OK;
	path_join(path, v->dir, name);
	test_ok(bh_reseal_pages(v->db->fs, path, NULL, &done));
	v->done += done;
	return BH_OK;
}

static bh_status look_at_one(void *arg, const char *name)
{
	visit *v = arg;
	uint8_t bytes[BH_HEADER_LEN];
	char path[PATH_SIZE];
	bh_header header;
	bh_status status;
	int fd;

	test_check(!bh_is_temp_name(name));
	if (!is_paged(name))
		return BH_OK;
	path_join(path, v->dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return BH_OK; /* RocksDB has removed it meanwhile */
	status = bh_raw_header(fd, path, bytes);
	close(fd);
	v->begun += status == BH_E_TRUNCATED; /* it is being made */
	if (status == BH_E_TRUNCATED)
		return BH_OK;
	test_check(status == BH_OK && bh_header_parse(bh_view_of(bytes, sizeof(bytes)), &header) == BH_OK);
	v->files++;
	v->blobs += header.kind == BH_KIND_BLOB;
	v->old += memcmp(header.dek_id, v->newest, BH_ID_LEN) != 0;
	return BH_OK;
}

static visit each_file(bh_db *db, bh_status (*each)(void *arg, const char *name))
{
	visit v = { .db = db };

	for (size_t i = 0; i < 2; i++) {
		BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
		bh_scope scope = { .merchant = "a" };

		snprintf(scope.cls, sizeof(scope.cls), "%s", a_classes[i]);
		test_ok(bh_keyring_dek_current(db->keyring, &scope, &dek));
		v.newest = bh_dek_id(dek);
		snprintf(v.dir, sizeof(v.dir), "%s/tenants/a/%s", db->dir, a_classes[i]);
		test_ok(bh_dir_each(v.dir, each, &v));
	}
	return v;
}

/* Files that RocksDB was writing when the first pass came by are found by a later one. */
static size_t reseal_all(bh_db *db)
{
	size_t done = 0;
	visit v;

	do {
		done += each_file(db, reseal_one).done;
		v = each_file(db, look_at_one);
	} while (v.old + v.begun > 0);
	return done;
}

static size_t retire_old(bh_db *db, bh_status expected)
{
	uint8_t ids[DEKS_MAX][BH_ID_LEN];
	bh_dek_info *deks = NULL;
	uint32_t newest = 0;
	size_t count = 0, old = 0;

	test_ok(bh_keyring_deks(db->keyring, &deks, &count));
	for (size_t i = 0; i < count; i++)
		if (strcmp(deks[i].scope.merchant, "a") == 0)
			newest = BH_MAX(newest, deks[i].generation);
	for (size_t i = 0; i < count; i++)
		if (strcmp(deks[i].scope.merchant, "a") == 0 && deks[i].generation < newest && !deks[i].tombstone)
			memcpy(ids[old++], deks[i].id, BH_ID_LEN);
	free(deks);
	if (old > 0)
		test_status(bh_keyring_deks_retire(db->keyring, "a", ids[0], old, "they are not needed"), expected);
	return old;
}

/* ---- nobody holds an old DEK, whatever is open */

static void nothing_held_with(const workspace *ws, const char *changes, bool async)
{
	bh_db *db = make_filled(ws, changes);
	bh_cf *cf = test_cf(db, "a", "events");
	rocksdb_readoptions_t *how = rocksdb_readoptions_create();
	rocksdb_iterator_t *iter, *fresh;

	rocksdb_readoptions_set_readahead_size(how, 16384);
	if (async)
		test_readoptions_set_async_io(how);
	iter = iterate(db, cf, how);
	for (unsigned i = 0; i < ROWS / 3; i++)
		expect_next(iter, i);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	retire_old(db, BH_E_BUSY);
	test_check(reseal_all(db) > 8);
	test_check(retire_old(db, BH_OK) == 2);
	fresh = iterate(db, cf, how);
	iterate_to_end(iter, ROWS / 3);
	iterate_to_end(fresh, 0);
	rocksdb_readoptions_destroy(how);
	expect_all(db);
	bh_cf_close(cf);
	bh_db_close(db);
}

static void nothing_held(void *arg)
{
	nothing_held_with(arg, "", false);
}

static void nothing_held_by_asynchronous_reads(void *arg)
{
	nothing_held_with(arg, "", true);
}

static void nothing_held_by_direct_reads(void *arg)
{
	if (test_direct_io_works(arg))
		nothing_held_with(arg, "use_direct_reads=true", true);
}

/* ---- under load, generation after generation */

typedef struct load {
	bh_db *db;
	_Atomic bool over;
	_Atomic unsigned rounds; /* of all threads together */
} load;

static void *get_on(void *arg)
{
	load *l = arg;
	bh_cf *cf = test_cf(l->db, "a", "events");

	while (!atomic_load(&l->over)) {
		expect_rows(cf);
		atomic_fetch_add(&l->rounds, 1);
	}
	bh_cf_close(cf);
	return NULL;
}

static void *scan_on(void *arg)
{
	load *l = arg;
	bh_cf *cf = test_cf(l->db, "a", "profile");
	rocksdb_readoptions_t *how = rocksdb_readoptions_create();

	while (!atomic_load(&l->over)) {
		iterate_to_end(iterate(l->db, cf, how), 0);
		atomic_fetch_add(&l->rounds, 1);
	}
	rocksdb_readoptions_destroy(how);
	bh_cf_close(cf);
	return NULL;
}

/* Flushes and compactions of both classes, all the time. */
static void *write_on(void *arg)
{
	load *l = arg;
	bh_cf *cfs[2] = { test_cf(l->db, "a", "events"), test_cf(l->db, "a", "profile") };

	for (unsigned i = 0; !atomic_load(&l->over); i++) {
		row_put(cfs[i % 2], i / 2 % ROWS);
		if (i % 16 == 0)
			usleep(500);
	}
	for (size_t i = 0; i < 2; i++)
		bh_cf_close(cfs[i]);
	return NULL;
}

static void flush_both(bh_db *db)
{
	for (size_t i = 0; i < 2; i++) {
		bh_cf *cf = test_cf(db, "a", a_classes[i]);

		test_ok(bh_flush(cf));
		bh_cf_close(cf);
	}
}

static void under_load(void *arg)
{
	static void *(*const work[])(void *) = { get_on, scan_on, write_on };
	const workspace *ws = arg;
	load l = { .db = make_filled(ws, "") };
	pthread_t threads[3];
	size_t resealed = 0;

	for (size_t i = 0; i < 3; i++)
		test_check(pthread_create(&threads[i], NULL, work[i], &l) == 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned rounds = atomic_load(&l.rounds);

		test_ok(bh_merchant_rotate(l.db, "a", NULL));
		resealed += each_file(l.db, reseal_one).done;
		while (atomic_load(&l.rounds) < rounds + 2)
			usleep(1000);
	}
	atomic_store(&l.over, true);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	flush_both(l.db);
	test_check(reseal_all(l.db) + resealed > 8);
	visit v = each_file(l.db, look_at_one);
	test_check(v.old == 0 && v.files > 4 && v.blobs > 0);
	expect_all(l.db);
	bh_db_close(l.db);

	/* MANIFEST and WALs begin anew with an open: with the files, all that needed the old generations is gone. */
	l.db = open_alone(ws, NULL);
	test_check(generations_of(l.db, "a").kept == 2);
	expect_all(l.db);
	bh_db_close(l.db);
}

/* ---- an old copy of a file, once its generation is destroyed */

static void old_copy(void *arg)
{
	bh_cf *none = NULL;
	const workspace *ws = arg;
	char path[PATH_SIZE];
	bh_db *db = make_filled(ws, "disable_auto_compactions=true");
	bh_buf old, fresh;

	find_table(ws, "tenants/a/events", path);
	old = file_read(path);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	test_check(reseal_all(db) > 8);
	fresh = file_read(path);
	test_check(fresh.len == old.len && memcmp(fresh.data, old.data, old.len) != 0);
	bh_db_close(db);
	db = open_alone(ws, NULL);
	test_check(generations_of(db, "a").kept == 2);
	bh_db_close(db);

	file_write(path, bh_buf_view(&old));
	test_ok(bh_db_open(ws->db, NULL, &db));
	test_status(bh_cf_open(db, "a", "events", &none), BH_E_DAMAGED);
	bh_db_close(db);
	find_table(ws, "parked/a/tenants/a/events", path);
	file_write(path, bh_buf_view(&fresh));
	bh_buf_clear(&old);
	bh_buf_clear(&fresh);
	db = open_alone(ws, NULL);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_all(db);
	bh_db_close(db);
}

/* ---- what goes wrong */

static void full_disk(void *arg)
{
	const workspace *ws = arg;
	struct rlimit limit, small;
	char path[PATH_SIZE];
	bh_db *db = make_filled(ws, "disable_auto_compactions=true");
	bool done = false;

	find_table(ws, "tenants/a/events", path);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	signal(SIGXFSZ, SIG_IGN);
	test_check(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	small = (struct rlimit){ .rlim_cur = 20000, .rlim_max = limit.rlim_max };
	test_check(setrlimit(RLIMIT_FSIZE, &small) == 0);
	test_status(bh_reseal_pages(db->fs, path, NULL, &done), BH_E_IO);
	test_check(!done);
	test_message_names(path);
	test_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	test_check(each_file(db, look_at_one).old > 8);
	expect_all(db);
	test_check(reseal_all(db) > 8);
	expect_all(db);
	bh_db_close(db);
}

/* Not parked, not counted, not in the way of a retirement; removed by an open. */
static void leftovers(void *arg)
{
	const workspace *ws = arg;
	char path[PATH_SIZE], dir[PATH_SIZE], found[PATH_SIZE];
	bh_db *db = (make_two(ws), open_alone(ws, NULL));
	bh_db_report *report = NULL, *again = NULL;

	path_join(path, ws->db, "tenants/a/events/000009.sst.bhtmp");
	test_ok(bh_db_status(db, &report));
	file_write(path, bh_view_str("half a file"));
	test_ok(bh_db_status(db, &again));
	test_check(report->merchants[0].live_files == again->merchants[0].live_files);
	test_check(report->merchants[0].live_bytes == again->merchants[0].live_bytes);
	bh_db_report_free(report);
	bh_db_report_free(again);
	switch_off(db, "a", REVOKED);
	path_join(dir, ws->db, "parked/a");
	test_check(file_find(dir, ".sst", 0, found) && !file_find(dir, ".bhtmp", 0, found));
	test_ok(bh_merchant_attach(db, "a"));
	file_write(path, bh_view_str("half a file"));
	bh_db_close(db);
	db = open_alone(ws, NULL);
	test_check(!file_exists(path));
	expect_both(db, false);
	bh_db_close(db);
}

/* ---- kills */

static void reseal_and_die(void *arg)
{
	const kill_run *run = arg;
	bh_db *db = open_alone(run->ws, NULL);
	bh_cf *a = test_cf(db, "a", "profile");

	test_put(a, "last", "word");
	test_ok(bh_flush(a));
	bh_cf_close(a);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	arm(run->at);
	test_check(reseal_all(db) > 1);
	arm(0);
	bh_db_close(db);
}

static void reseal_to_the_end(void *arg)
{
	const kill_run *run = arg;
	bh_db *db = open_alone(run->ws, NULL);

	each_file(db, look_at_one); /* no leftovers */
	expect_both(db, true);
	reseal_all(db);
	expect_both(db, true);
	bh_db_close(db);
	db = open_alone(run->ws, NULL);
	expect_both(db, true);
	test_check(generations_of(db, "a").kept == 2);
	bh_db_close(db);
}

static void test_killed(void **state)
{
	kill_run run = { .ws = *state };
	bool survived = false;

	test_child_ok(make_two_child, *state);
	for (run.at = 1; !survived; run.at++) {
		survived = test_child_survives(reseal_and_die, &run);
		test_child_ok(reseal_to_the_end, &run);
	}
	test_check(run.at > 10);
}

/* ---- */

#define IN_A_CHILD(body)                                                                                                           \
	static void test_##body(void **state)                                                                                      \
	{                                                                                                                          \
		test_child_ok(body, *state);                                                                                       \
	}

IN_A_CHILD(nothing_held)
IN_A_CHILD(nothing_held_by_asynchronous_reads)
IN_A_CHILD(nothing_held_by_direct_reads)
IN_A_CHILD(under_load)
IN_A_CHILD(old_copy)
IN_A_CHILD(full_disk)
IN_A_CHILD(leftovers)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(test_nothing_held),
		SUSPEND_CASE(test_nothing_held_by_asynchronous_reads),
		SUSPEND_CASE(test_nothing_held_by_direct_reads),
		SUSPEND_CASE(test_under_load),
		SUSPEND_CASE(test_old_copy),
		SUSPEND_CASE(test_full_disk),
		SUSPEND_CASE(test_leftovers),
		SUSPEND_CASE(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
