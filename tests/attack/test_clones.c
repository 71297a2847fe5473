/* SPDX-License-Identifier: Apache-2.0
 *
 * test_clones.c: one process image, continued twice. Both go on with the same memory, OpenSSL's generator in it included, which
 * here gives both the same bytes, as in the clones of a virtual machine. Each opens a copy of the database and writes: no file of
 * the one has the salt, and so the key, of a file of the other that is not the same file.
 */
#include "tests/support/harness.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "env/format/header.h"

#define ROWS 200
#define FILES_MAX 256

static _Thread_local uint64_t generator; /* of what RAND_priv_bytes() gives, in both clones alike */
static _Atomic bool kernel_too;          /* the kernel's as well: up to the image both are one process */
static _Atomic int64_t step_s;           /* of the wall clock */

int __real_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
	const int result = __real_clock_gettime(id, out);

	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		out->tv_sec += atomic_load(&step_s);
	return result;
}

ssize_t __real_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags)
{
	if (!atomic_load(&kernel_too))
		return __real_getrandom(out, len, flags);
	memset(out, 0, len);
	return (ssize_t)len;
}

int __wrap_RAND_priv_bytes(unsigned char *out, int len);
int __wrap_RAND_priv_bytes(unsigned char *out, int len)
{
	for (int i = 0; i < len; i++) {
		generator = generator * 6364136223846793005u + 1442695040888963407u;
		out[i] = (unsigned char)(generator >> 56);
	}
	return 1;
}

typedef struct salts {
	uint8_t of[FILES_MAX][BH_SALT_LEN];
	char names[FILES_MAX][64];
	bh_buf bytes[FILES_MAX];
	size_t count;
	unsigned wals, manifests, ssts;
} salts;

static void make(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;
	bh_cf *cf;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "ann", "data", NULL);
	test_merchant_add(ws, db, "bob", "data", NULL);
	cf = test_cf(db, "ann", "data");
	test_put(cf, "before", "the image");
	test_ok(bh_flush(cf));
	bh_cf_close(cf);
	bh_db_close(db);
}

static void write_rows(bh_db *db, const char *merchant, const char *value)
{
	bh_cf *cf = test_cf(db, merchant, "data");

	for (int i = 0; i < ROWS; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%06d", i);
		test_put(cf, key, value);
	}
	test_expect(cf, "000000", value);
	test_ok(bh_flush(cf));
	test_put(cf, "tail", value); /* in a WAL */
	bh_cf_close(cf);
}

/* What a clone does; its directory's name is what it writes. New keys are made as well. */
static void go_on(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);

	write_rows(db, "ann", ws->db);
	write_rows(db, "bob", ws->db);
	test_ok(bh_merchant_rotate(db, "ann", NULL));
	write_rows(db, "ann", ws->db);
	test_ok(bh_sync_wal(db));
	bh_db_close(db);
}

static void note(void *arg, const char *path)
{
	bh_buf bytes = file_read(path);
	salts *s = arg;
	bh_header header;

	if (bh_header_parse(bh_buf_view(&bytes), &header) != BH_OK || s->count == FILES_MAX) {
		bh_buf_clear(&bytes);
		return;
	}
	s->wals += header.kind == BH_KIND_WAL;
	s->manifests += header.kind == BH_KIND_MANIFEST;
	s->ssts += header.kind == BH_KIND_SST;
	memcpy(s->of[s->count], header.salt, BH_SALT_LEN);
	snprintf(s->names[s->count], sizeof(s->names[0]), "%s", strrchr(path, '/') + 1);
	s->bytes[s->count++] = bytes;
}

static salts *collect(const char *dir)
{
	salts *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	tree_walk(dir, note, s);
	assert_true(s->count < FILES_MAX && s->wals > 0 && s->manifests > 0);
	return s;
}

static salts *look(const char *dir)
{
	salts *s = collect(dir);

	assert_true(s->count > 8 && s->ssts > 1);
	return s;
}

static void drop(salts *s)
{
	for (size_t i = 0; i < s->count; i++)
		bh_buf_clear(&s->bytes[i]);
	free(s);
}

static bool is_same(const bh_buf *a, const bh_buf *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* A file that both have from before the image is the same in both. */
static void expect_apart(const salts *a, const salts *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			if (memcmp(a->of[i], b->of[k], BH_SALT_LEN) == 0 && !is_same(&a->bytes[i], &b->bytes[k]))
				fail_msg("%s and %s have one key", a->names[i], b->names[k]);
}

static void test_clones_share_no_key(void **state)
{
	workspace ws, first, second;
	salts *a, *b;
	pid_t one, two;

	(void)state;
	workspace_open(&ws);
	test_child_ok(make, &ws);
	first = second = ws;
	path_join(first.db, ws.root, "first");
	path_join(second.db, ws.root, "second");
	tree_copy(ws.db, first.db);
	tree_copy(ws.db, second.db);
	one = test_child_start(go_on, &first);
	two = test_child_start(go_on, &second);
	assert_int_equal(test_child_wait(one), 0);
	assert_int_equal(test_child_wait(two), 0);
	a = look(first.db);
	b = look(second.db);
	expect_apart(a, b);
	drop(a);
	drop(b);
	workspace_close(&ws);
}

/* ---- an open database, from whose image both go on */

enum { PLENTY = 200 };

static void put_some(bh_db *db, const char *merchant, const char *prefix, const char *value)
{
	const bh_write_options synced = { .sync = true };
	bh_cf *cf = test_cf(db, merchant, "data");

	for (int i = 0; i < PLENTY; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%s%06d", prefix, i);
		test_ok(bh_put(cf, i % 10 == 0 ? &synced : NULL, bh_view_str(key), bh_view_str(value)));
	}
	bh_cf_close(cf);
}

static void expect_some(bh_db *db, const char *merchant, const char *prefix, const char *value)
{
	bh_cf *cf = test_cf(db, merchant, "data");

	for (int i = 0; i < PLENTY; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%s%06d", prefix, i);
		test_expect(cf, key, value);
	}
	bh_cf_close(cf);
}

/* By RocksDB's own handles, past the engine: it is refused, until another log is begun. */
static void put_raw(bh_db *db, const char *value)
{
	rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
	bh_cf *cf = test_cf(db, "ann", "data");
	char *error = NULL;

	rocksdb_put_cf(bh_db_rocksdb(db), options, bh_cf_handle(cf), "raw", 3, value, strlen(value), &error);
	test_check(error != NULL && strstr(error, "another log is begun") != NULL);
	rocksdb_free(error);
	rocksdb_writeoptions_destroy(options);
	bh_cf_close(cf);
}

static void image_of(const workspace *ws, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%.*s.image", PATH_SIZE - 7, ws->db);
}

/* Up to the image all salts are the same in both, then the wall clock is set, and the kernel's random bytes are others. The machine
 * stops at the end: nothing is closed. */
static void go_on_open(void *arg)
{
	const workspace *ws = arg;
	char image[PATH_SIZE];
	bh_db *db;

	atomic_store(&kernel_too, true);
	db = test_db_open(ws, NULL);
	put_some(db, "ann", "before", "the same");
	put_some(db, "bob", "before", "the same");
	image_of(ws, image);
	tree_copy(ws->db, image);
	atomic_store(&kernel_too, false);
	atomic_fetch_add(&step_s, 60);
	put_raw(db, ws->db);
	if (strstr(ws->db, "second") != NULL) /* KEYRING goes on in one: its sequence is in every log's mark */
		test_ok(bh_merchant_rotate(db, "bob", NULL));
	put_some(db, "ann", "after", ws->db);
	put_some(db, "bob", "after", ws->db);
	expect_some(db, "bob", "before", "the same");
	test_ok(bh_sync_wal(db));
	_exit(0);
}

static void expect_all(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);

	for (int i = 0; i < 2; i++) {
		expect_some(db, i == 0 ? "ann" : "bob", "before", "the same");
		expect_some(db, i == 0 ? "ann" : "bob", "after", ws->db);
	}
	bh_db_close(db);
}

static void expect_rollback(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = NULL;

	test_status(bh_db_open(ws->db, NULL, &db), BH_E_ROLLBACK);
}

/* WALs that were there at the image, with rows in them: what both have in common, or the test would show nothing. */
static unsigned common_wals(const salts *a, const salts *b)
{
	unsigned found = 0;

	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			found += memcmp(a->of[i], b->of[k], BH_SALT_LEN) == 0 && strstr(a->names[i], ".log") != NULL &&
				 a->bytes[i].len > 2 * BH_HEADER_LEN;
	return found;
}

static bool has_salt(const salts *s, const uint8_t salt[BH_SALT_LEN])
{
	for (size_t i = 0; i < s->count; i++)
		if (memcmp(s->of[i], salt, BH_SALT_LEN) == 0)
			return true;
	return false;
}

/* Alike, but for room: zeros behind the last frame, which are given back. */
static bool is_same_but_for_room(const bh_buf *a, const bh_buf *b)
{
	const bh_buf *longer = a->len > b->len ? a : b;
	const size_t len = BH_MIN(a->len, b->len);

	for (size_t i = len; i < longer->len; i++)
		if (longer->data[i] != 0)
			return false;
	return memcmp(a->data, b->data, len) == 0;
}

/* Whatever key there was at the image, nothing was sealed under it after that. */
static void expect_untouched(const workspace *ws, const salts *now)
{
	char image[PATH_SIZE];
	salts *then;

	image_of(ws, image);
	then = collect(image);
	for (size_t i = 0; i < now->count; i++)
		for (size_t k = 0; k < then->count; k++)
			if (memcmp(now->of[i], then->of[k], BH_SALT_LEN) == 0 &&
			    !is_same_but_for_room(&now->bytes[i], &then->bytes[k]))
				fail_msg("%s went on under the key that it had at the image", now->names[i]);
	drop(then);
}

/* What each has made since the image is under keys of its own. */
static void expect_new_apart(const workspace *ws, const salts *a, const salts *b)
{
	char image[PATH_SIZE];
	salts *then;

	image_of(ws, image);
	then = collect(image);
	for (size_t i = 0; i < a->count; i++)
		if (!has_salt(then, a->of[i]) && has_salt(b, a->of[i]))
			fail_msg("%s has the key of a file of the other's", a->names[i]);
	drop(then);
}

/* The other's newer WALs, each alone in one's own directory: nobody takes them for one's own. */
static void exchange_each(const workspace *ws, const salts *own, const salts *other)
{
	workspace mixed = *ws;
	unsigned tried = 0;

	path_join(mixed.db, ws->root, "mixed");
	for (size_t k = 0; k < other->count; k++) {
		char path[PATH_SIZE];

		for (size_t i = 0; i < own->count; i++) {
			if (strcmp(own->names[i], other->names[k]) != 0 || strstr(own->names[i], ".log") == NULL ||
			    memcmp(own->of[i], other->of[k], BH_SALT_LEN) == 0)
				continue;
			tree_copy(ws->db, mixed.db);
			path_join(path, mixed.db, own->names[i]);
			file_write(path, bh_buf_view(&other->bytes[k]));
			test_child_ok(expect_rollback, &mixed);
			tree_remove(mixed.db);
			tried++;
		}
	}
	assert_true(tried > 0);
}

static void test_clones_of_an_open_database(void **state)
{
	workspace ws, first, second;
	salts *a, *b;
	pid_t one, two;

	(void)state;
	workspace_open(&ws);
	test_child_ok(make, &ws);
	first = second = ws;
	path_join(first.db, ws.root, "first");
	path_join(second.db, ws.root, "second");
	tree_copy(ws.db, first.db);
	tree_copy(ws.db, second.db);
	one = test_child_start(go_on_open, &first);
	two = test_child_start(go_on_open, &second);
	assert_int_equal(test_child_wait(one), 0);
	assert_int_equal(test_child_wait(two), 0);
	a = collect(first.db);
	b = collect(second.db);
	assert_true(common_wals(a, b) > 0);
	expect_untouched(&first, a);
	expect_untouched(&second, b);
	expect_new_apart(&first, a, b);
	exchange_each(&first, a, b);
	test_child_ok(expect_all, &first);
	test_child_ok(expect_all, &second);
	drop(a);
	drop(b);
	workspace_close(&ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clones_share_no_key),
		cmocka_unit_test(test_clones_of_an_open_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
