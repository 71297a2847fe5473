/* SPDX-License-Identifier: Apache-2.0
 *
 * test_clones.c: one process image, continued twice. Both go on with the same memory, OpenSSL's generator in it included, which
 * here gives both the same bytes, as in the clones of a virtual machine. Each opens a copy of the database and writes: no file of
 * the one has the salt, and so the key, of a file of the other that is not the same file.
 */
#include "tests/support/harness.h"

#include "env/format/header.h"

#define ROWS 200
#define FILES_MAX 256

static uint64_t generator; /* of what RAND_priv_bytes() gives, in both clones alike */

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

static salts *look(const char *dir)
{
	salts *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	tree_walk(dir, note, s);
	assert_true(s->count > 8 && s->count < FILES_MAX && s->wals > 0 && s->manifests > 0 && s->ssts > 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clones_share_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
