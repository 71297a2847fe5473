/* SPDX-License-Identifier: Apache-2.0
 *
 * test_log_ends.c: something is added to the end of a log. Nothing of it was ever synced, so the log ends before it; where RocksDB
 * cannot go on from there, because other files are newer, the open is refused with that log's name and what to do, and all is well
 * once the log is put back. A parked log refuses its merchant's resume in the same way, and nobody else.
 */
#include <bulkhead/db.h>

#include "forgery_database.h"

enum { LOGS_MAX = 64 };

typedef struct log_list {
	char paths[LOGS_MAX][PATH_SIZE];
	size_t count;
} log_list;

static void take_log(void *arg, const char *path)
{
	log_list *list = arg;

	if (strcmp(path + strlen(path) - 4, ".log") != 0)
		return;
	test_check(list->count < LOGS_MAX);
	snprintf(list->paths[list->count++], PATH_SIZE, "%s", path);
}

static bh_status open_it(const workspace *ws, bh_db **out)
{
	rocksdb_options_t *options = forgery_options();
	bh_status status = bh_db_open(ws->db, &(bh_db_options){ .rocksdb = options }, out);

	rocksdb_options_destroy(options);
	return status;
}

static void expect_rows(bh_db *db, const char *merchant)
{
	for (size_t c = 0; c < FORGERY_CLASSES; c++) {
		bh_cf *cf = test_cf(db, merchant, forgery_classes[c]);
		BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };

		for (int i = 0; i < FORGERY_ROWS; i++) {
			uint8_t want[400];
			char key[16];
			bh_view value = forgery_value(want, merchant, i);

			test_ok(bh_get(cf, NULL, forgery_key(key, i), &got));
			test_check(got.len == value.len && memcmp(got.data, value.data, got.len) == 0);
		}
		bh_cf_close(cf);
	}
}

static bool names_log_and_step(const char *path)
{
	const char *message = bh_status_message();

	return strstr(message, strrchr(path, '/') + 1) != NULL && strstr(message, "put the right one back") != NULL;
}

typedef struct run {
	const workspace *ws;
	const char *path;
	bool refused;
} run;

/* Nothing is written before the others are seen to be whole: a refused open changes nothing. */
static void meet(void *arg, int out_fd)
{
	run *r = arg;
	bh_db *db = NULL;
	bh_status status = open_it(r->ws, &db);
	const char *parked = strstr(r->path, "/parked/");

	if (status == BH_OK) {
		expect_rows(db, "live");
		expect_rows(db, "other");
		if (parked != NULL) {
			const char *whose = strstr(parked, "taken") != NULL ? "taken" : "asleep";

			status = bh_merchant_resume(db, whose, NULL);
			if (status == BH_OK)
				expect_rows(db, whose);
			else
				test_check(strstr(bh_status_message(), strrchr(r->path, '/') + 1) != NULL);
		}
		bh_db_close(db);
	} else {
		test_check(parked == NULL);
		test_check(names_log_and_step(r->path));
		r->refused = true;
	}
	child_say(out_fd, &r->refused, sizeof(r->refused));
}

static bool try_log(const workspace *ws, const char *path)
{
	run r = { .ws = ws, .path = path };
	bh_buf good = file_read(path), bad = { 0 };
	child_end end;
	bool refused;

	test_ok(bh_buf_append(&bad, good.data, good.len));
	for (int i = 0; i < 1000; i++)
		test_ok(bh_buf_append_u8(&bad, (uint8_t)(i * 7 + 1)));
	file_write(path, bh_buf_view(&bad));
	end = child_run(60000, meet, &r);
	test_check(!end.timed_out && end.signal == 0 && end.code == 0 && end.said.len == sizeof(refused));
	memcpy(&refused, end.said.data, sizeof(refused));
	if (refused)
		file_write(path, bh_buf_view(&good));
	bh_buf_clear(&end.said);
	bh_buf_clear(&good);
	bh_buf_clear(&bad);
	return refused;
}

static void all_is_well(void *arg)
{
	bh_db *db = NULL;

	test_ok(open_it(arg, &db));
	expect_rows(db, "live");
	expect_rows(db, "other");
	bh_db_close(db);
}

static void a_log_with_something_at_its_end(void **state)
{
	const workspace *ws = *state;
	static log_list logs;
	char good[PATH_SIZE], root[PATH_SIZE];
	unsigned refused = 0;

	path_join(good, ws->root, "good");
	snprintf(root, sizeof(root), "%s", ws->db);
	test_child_ok(forgery_database_make, *state);
	tree_copy(ws->db, good);
	tree_walk(ws->db, take_log, &logs);
	test_check(logs.count > 1);
	for (size_t i = 0; i < logs.count; i++) {
		bool this_one = try_log(ws, logs.paths[i]);

		refused += this_one;
		if (this_one)
			test_child_ok(all_is_well, *state);
		tree_remove(root);
		tree_copy(good, root);
	}
	test_check(refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_log_with_something_at_its_end, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
