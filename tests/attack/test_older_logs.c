/* SPDX-License-Identifier: Apache-2.0
 *
 * test_older_logs.c: after a rotation with a sweep, a WAL or MANIFEST of before is put back under its name. What a living merchant
 * has in it lies under a DEK that is destroyed: the open is refused, or this merchant is not served; and never are there rows, or
 * bounds, of zero bytes. With the right file back every row is there, the other merchant's too.
 */
#include <signal.h>

#include <bulkhead/rotation.h>

#include "tests/engine/rotation/rotation_fixture.h"

typedef struct stage {
	const workspace *ws;
	char before[PATH_SIZE]; /* the directory as it was before the sweep */
	char attacked[PATH_SIZE];
	bool is_wal; /* what is put back */
} stage;

/* Rows in an SST and in a WAL that stays; killed, so that nothing is flushed at the end. */
static void fill_and_sweep(void *arg)
{
	const bh_write_options durable = { .sync = true };
	const stage *s = arg;
	bh_cf *a, *b;
	bh_db *db;

	make_two(s->ws);
	db = test_db_open(s->ws, NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	test_ok(bh_put(b, &durable, bh_view_str("k3"), bh_view_str("b3")));
	test_ok(bh_put(a, &durable, bh_view_str("k3"), bh_view_str("a3")));
	tree_copy(s->ws->db, s->before);
	test_ok(bh_merchant_rotate(db, "a", &(bh_rotate_options){ .sweep = true }));
	test_ok(bh_merchant_sweep(db, "a", NULL));
	expect_generations(db, "a", 2, 2, 2);
	raise(SIGKILL);
}

static void expect_rows(void *arg)
{
	const stage *s = arg;
	bh_db *db = test_db_open(s->ws, NULL);
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");

	test_expect(a, "k1", "a1");
	test_expect(a, "k2", "a2");
	test_expect(a, "k3", "a3");
	test_expect(b, "k1", "b1");
	test_expect(b, "k2", "b2");
	test_expect(b, "k3", "b3");
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

/* A is refused for what was found; what B had in a WAL is there all the same. (An older MANIFEST is B's older list of files, too:
 * that is not looked at here.) */
static void expect_a_refused(const stage *s, bh_db *db)
{
	bh_cf *a = NULL;

	test_status(bh_cf_open(db, "a", "events", &a), BH_E_DAMAGED);
	if (s->is_wal) {
		bh_cf *b = test_cf(db, "b", "events");

		test_expect(b, "k1", "b1");
		test_expect(b, "k2", "b2");
		test_expect(b, "k3", "b3");
		bh_cf_close(b);
	}
}

static void expect_refused(void *arg)
{
	const stage *s = arg;
	bh_db *db = NULL;
	bh_status status = bh_db_open(s->attacked, NULL, &db);

	if (status == BH_OK) {
		expect_a_refused(s, db);
		bh_db_close(db);
		return;
	}
	test_status(status, BH_E_TAG);
	test_message_names("a/events");
	test_message_names("of before a rotation");
}

/* The directory as it is, but for the one file. */
static void put_back_older(stage *s, const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf older = file_read(path);
	BH_CLEANUP(bh_buf_clear) bh_buf newer = { 0 };
	char target[PATH_SIZE];

	path_join(s->attacked, s->ws->root, "attacked");
	tree_remove(s->attacked);
	tree_copy(s->ws->db, s->attacked);
	path_join(target, s->attacked, strrchr(path, '/') + 1);
	newer = file_read(target);
	test_check(newer.len > 0 && (newer.len != older.len || memcmp(newer.data, older.data, older.len) != 0));
	file_write(target, bh_buf_view(&older));
	test_child_ok(expect_refused, s);
}

static void an_older_log_is_refused(void **state)
{
	stage s = { .ws = *state };
	char path[PATH_SIZE];
	unsigned wals = 0, manifests = 0;

	path_join(s.before, s.ws->root, "before");
	test_child_killed(fill_and_sweep, &s);
	for (size_t i = 0; file_find(s.before, ".log", i, path); i++) {
		char now[PATH_SIZE];

		path_join(now, s.ws->db, strrchr(path, '/') + 1);
		if (!file_exists(now))
			continue;
		s.is_wal = true;
		put_back_older(&s, path);
		wals++;
	}
	for (unsigned number = 0; number < 100; number++) {
		char name[32], now[PATH_SIZE];

		snprintf(name, sizeof(name), "MANIFEST-%06u", number);
		path_join(path, s.before, name);
		path_join(now, s.ws->db, name);
		if (!file_exists(path) || !file_exists(now))
			continue;
		s.is_wal = false;
		put_back_older(&s, path);
		manifests++;
	}
	test_check(wals > 0 && manifests > 0);
	test_child_ok(expect_rows, &s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(an_older_log_is_refused),
	};

	return cmocka_run_group_tests_name("older logs", tests, NULL, NULL);
}
