/* SPDX-License-Identifier: Apache-2.0
 *
 * test_wal_room.c: the zeros that a WAL which is synced often has ahead of its frames: what a kill leaves ends cleanly and loses
 * nothing, what is cut or zeroed below the last sync is refused as ever, a log is readable while it is written, and one that was
 * closed has no zeros left.
 */
#include "tests/support/harness.h"

#include <signal.h>
#include <unistd.h>

enum { ROWS = 100, ROOM_SEEN = 4096 };

static void put_synced(bh_cf *cf, unsigned from, unsigned to)
{
	const bh_write_options sync = { .sync = true };
	char key[16];

	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof(key), "row%04u", i);
		test_ok(bh_put(cf, &sync, bh_view_str(key), bh_view_str("a value of some bytes")));
	}
}

static bh_db *make(const workspace *ws, rocksdb_options_t *options)
{
	bh_db *db;

	test_db_create(ws, options);
	db = test_db_open(ws, options);
	test_merchant_add(ws, db, "acme", "events", NULL);
	return db;
}

static rocksdb_options_t *absolute(void)
{
	return test_options_with(rocksdb_options_create(), "wal_recovery_mode=kAbsoluteConsistency");
}

static void write_and_die(void *arg)
{
	bh_db *db = make(arg, NULL);

	put_synced(test_cf(db, "acme", "events"), 0, ROWS);
	kill(getpid(), SIGKILL);
}

/* The last of the WALs, whole; its name in `path`. */
static bh_buf last_wal(const workspace *ws, char path[PATH_SIZE])
{
	size_t n = 0;

	while (file_find(ws->db, ".log", n, path))
		n++;
	test_check(n > 0 && file_find(ws->db, ".log", n - 1, path));
	return file_read(path);
}

/* Its length without the zeros at the end. */
static size_t length_of(const bh_buf *wal)
{
	size_t len = wal->len;

	while (len > 0 && wal->data[len - 1] == 0)
		len--;
	return len;
}

static void all_are_there(void *arg)
{
	rocksdb_options_t *options = absolute();
	bh_db *db = test_db_open(arg, options);
	bh_cf *cf = test_cf(db, "acme", "events");
	char key[16];

	for (unsigned i = 0; i < ROWS; i++) {
		snprintf(key, sizeof(key), "row%04u", i);
		test_expect(cf, key, "a value of some bytes");
	}
	bh_cf_close(cf);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void test_a_killed_log_ends_cleanly(void **state)
{
	workspace *ws = *state;
	char path[PATH_SIZE];
	bh_buf wal;

	test_child_killed(write_and_die, ws);
	wal = last_wal(ws, path);
	test_check(wal.len - length_of(&wal) > ROOM_SEEN);
	bh_buf_clear(&wal);
	test_child_ok(all_are_there, ws);
}

static void is_refused(void *arg)
{
	const workspace *ws = arg;
	const bh_db_options options = { 0 };
	bh_db *db = NULL;
	bh_status status = bh_db_open(ws->db, &options, &db);

	test_check(status == BH_E_FORMAT || status == BH_E_TAG || status == BH_E_TRUNCATED);
}

/* As many bytes as the last frame has, at least: zeroed, with the room behind them; and cut off together with it. */
static void test_zeros_below_the_last_sync_are_refused(void **state)
{
	workspace *ws = *state;
	char path[PATH_SIZE];
	size_t len;
	bh_buf wal;

	test_child_killed(write_and_die, ws);
	wal = last_wal(ws, path);
	len = length_of(&wal);
	memset(wal.data + len - 90, 0, 90);
	file_write(path, bh_buf_view(&wal));
	test_child_ok(is_refused, ws);
	file_write(path, bh_view_of(wal.data, len - 90));
	test_child_ok(is_refused, ws);
	bh_buf_clear(&wal);
}

static unsigned count_updates(bh_db *db, uint64_t seq)
{
	char *error = NULL;
	rocksdb_wal_iterator_t *iter = rocksdb_get_updates_since(bh_db_rocksdb(db), seq, NULL, &error);
	unsigned count = 0;

	test_rocks_ok(error);
	for (; rocksdb_wal_iter_valid(iter); rocksdb_wal_iter_next(iter))
		count++;
	rocksdb_wal_iter_status(iter, &error);
	if (error != NULL && strstr(error, "Try again") == NULL) /* the end of a log that is still written */
		test_rocks_ok(error);
	rocksdb_free(error);
	rocksdb_wal_iter_destroy(iter);
	return count;
}

static void followed(void *arg)
{
	bh_db *db = make(arg, NULL);
	bh_cf *cf = test_cf(db, "acme", "events");
	uint64_t seq = rocksdb_get_latest_sequence_number(bh_db_rocksdb(db)) + 1;

	for (unsigned rows = 20; rows <= ROWS; rows += 20) {
		put_synced(cf, rows - 20, rows);
		test_check(count_updates(db, seq) == rows);
	}
	bh_cf_close(cf);
	bh_db_close(db);
}

static void test_a_log_is_read_while_it_is_written(void **state)
{
	test_child_ok(followed, *state);
}

static void write_and_close(void *arg)
{
	bh_db *db = make(arg, NULL);
	bh_cf *cf = test_cf(db, "acme", "events");

	put_synced(cf, 0, ROWS);
	bh_cf_close(cf);
	bh_db_close(db);
}

static void test_a_closed_log_has_no_room_left(void **state)
{
	workspace *ws = *state;
	char path[PATH_SIZE];
	bh_buf wal;

	test_child_ok(write_and_close, ws);
	wal = last_wal(ws, path);
	test_check(wal.len - length_of(&wal) < 16);
	bh_buf_clear(&wal);
	test_child_ok(all_are_there, ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_killed_log_ends_cleanly, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_zeros_below_the_last_sync_are_refused, test_workspace_make,
						test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_a_log_is_read_while_it_is_written, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_a_closed_log_has_no_room_left, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
