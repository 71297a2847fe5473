/* SPDX-License-Identifier: Apache-2.0
 *
 * test_torn_logs.c: a WAL that a kill or a power cut has left unfinished, and that RocksDB keeps, holds up no rotation: it is
 * sealed anew up to its end, and the older keys are destroyed. Kept it is in the archive here.
 */
#include <stdlib.h>

#include "tests/engine/wall/suspend_fixture.h"

typedef struct stage {
	const workspace *ws;
	const char *tail; /* what is behind the last frame, of `len` bytes; NULL: its frames once more */
	size_t len;
} stage;

static bh_db *open_archiving(const workspace *ws)
{
	rocksdb_options_t *template = rocksdb_options_create();
	bh_db *db;

	rocksdb_options_set_WAL_ttl_seconds(template, 3600);
	db = test_db_open(ws, template);
	rocksdb_options_destroy(template);
	return db;
}

static void archive_a_log(const workspace *ws)
{
	bh_db *db = open_archiving(ws);
	bh_cf *a = test_cf(db, "a", "events");

	for (char key[] = "x0"; key[1] <= '9'; key[1]++)
		test_put(a, key, "archived");
	test_ok(bh_flush(a));
	bh_cf_close(a);
	bh_db_close(db);
}

/* The largest: others may be without entries. */
static void find_archived(const workspace *ws, char out[PATH_SIZE])
{
	char dir[PATH_SIZE], path[PATH_SIZE];
	size_t largest = 0;

	path_join(dir, ws->db, "archive");
	for (size_t i = 0; file_find(dir, ".log", i, path); i++) {
		bh_buf bytes = file_read(path);

		if (bytes.len > largest)
			memcpy(out, path, PATH_SIZE);
		largest = BH_MAX(largest, bytes.len);
		bh_buf_clear(&bytes);
	}
	test_check(largest > 4096);
}

static void tear(const stage *s)
{
	char path[PATH_SIZE] = { 0 };
	bh_buf bytes;

	find_archived(s->ws, path);
	bytes = file_read(path);
	if (s->tail != NULL)
		test_ok(bh_buf_append(&bytes, s->tail, s->len));
	else
		test_ok(bh_buf_append(&bytes, bytes.data + 4096, bytes.len - 4096));
	file_write(path, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

static void rotate_over_it(void *arg)
{
	const stage *s = arg;
	bh_dek_info *deks = NULL;
	size_t count = 0, of_a = 0;
	bh_cf *a;
	bh_db *db;

	make_two(s->ws);
	archive_a_log(s->ws);
	tear(s);
	db = open_archiving(s->ws);
	test_ok(bh_merchant_rotate(db, "a", &(bh_rotate_options){ .sweep = true }));
	test_ok(bh_merchant_sweep(db, "a", NULL));
	test_ok(bh_keyring_deks(db->keyring, &deks, &count));
	for (size_t i = 0; i < count; i++)
		of_a += !deks[i].tombstone && strcmp(deks[i].scope.merchant, "a") == 0 && strcmp(deks[i].scope.cls, "events") == 0;
	free(deks);
	test_check(of_a == 1); /* the older generation is destroyed */
	expect_both(db, false);
	a = test_cf(db, "a", "events");
	test_expect(a, "x9", "archived");
	bh_cf_close(a);
	bh_db_close(db);
}

static void half_a_frame(void **state)
{
	stage s = { *state, "\x10\0\0\0\x40\0\0\0half of it", 18 };

	test_child_ok(rotate_over_it, &s);
}

static void one_zero_of_the_room(void **state)
{
	stage s = { *state, "", 1 };

	test_child_ok(rotate_over_it, &s);
}

static void frames_that_do_not_authenticate(void **state)
{
	stage s = { *state, NULL, 0 };

	test_child_ok(rotate_over_it, &s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(half_a_frame),
		SUSPEND_CASE(one_zero_of_the_room),
		SUSPEND_CASE(frames_that_do_not_authenticate),
	};

	return cmocka_run_group_tests_name("torn_logs", tests, NULL, NULL);
}
