/* SPDX-License-Identifier: Apache-2.0
 *
 * test_erase_rotate.c: an older copy of the files, after an erasure: it holds the rows, and what the keyring holds opens them,
 * until the keys are rotated and swept as `bhctl erase --rotate` does. erase_fixture.h has the rows.
 */
#include "erase_fixture.h"

#include <bulkhead/rotation.h>

/* In SSTs, one of them of this user alone, so that the MANIFEST has keys; in blob files and in the WAL. */
static void write_rows(const stage *s)
{
	put_user(s->a, ERASED, 0);
	test_ok(bh_flush(s->a));
	put_all(s->a, 0);
	test_ok(bh_flush(s->a));
	put_all(s->a, 1);
}

static void replace(const char *dir, const char *name, const char *from)
{
	char path[PATH_SIZE];
	bh_buf bytes;

	path_join(path, from, name);
	bytes = file_read(path);
	path_join(path, dir, name);
	file_write(path, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

static void expect_everywhere(findings f)
{
	test_check(f.hits[BH_KIND_SST] > 0 && f.hits[BH_KIND_BLOB] > 0 && f.hits[BH_KIND_WAL] > 0 && f.hits[BH_KIND_MANIFEST] > 0);
}

static findings search_with_keys_of(const char *copy, const workspace *ws)
{
	replace(copy, "KEYRING", ws->db);
	replace(copy, "AUDIT", ws->db);
	return search_dir(copy);
}

static void older_copy(void *arg)
{
	const bh_rotate_options rotate = { .sweep = true };
	stage s = stage_make(arg, plain_options());
	char copy[PATH_SIZE];
	findings f;

	path_join(copy, s.ws->root, "copy");
	write_rows(&s);
	stage_close(&s);
	tree_copy(s.ws->db, copy);
	expect_everywhere(search_dir(copy));

	s = stage_open(s.ws, s.options);
	erase_whole(s.a, NULL);
	stage_close(&s);
	expect_everywhere(search_with_keys_of(copy, s.ws));

	s = stage_open(s.ws, s.options);
	test_ok(bh_merchant_rotate(s.db, "a", &rotate));
	test_ok(bh_merchant_sweep(s.db, "a", NULL));
	expect_others(s.a, 1);
	stage_close(&s);
	f = search_with_keys_of(copy, s.ws);
	test_check(hits_of_all(&f) == 0);
	stage_expect_hits(&s, 0);

	s = stage_open(s.ws, s.options);
	expect_others(s.a, 1);
	test_check(count_user(s.a, ERASED) == 0);
	stage_end(&s);
}

static void test_older_copy(void **state)
{
	test_child_ok(older_copy, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = { SUSPEND_CASE(test_older_copy) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
