/* SPDX-License-Identifier: Apache-2.0
 *
 * test_table_format.c: tables have a format that every supported RocksDB reads, unless a template is to choose; and a database that
 * has tables of a format that this RocksDB does not read is refused by that reason, with nothing changed and nobody taken out.
 */
#include "tests/support/harness.h"
#include "tests/support/rocksdb_version.h"

#include <stdlib.h>

#include "engine/core/options_file.h"
#include "env/bridge/options.h"
#include "env/fs/small_file.h"

static unsigned reads_at_most; /* 0: what RocksDB does */

unsigned __real_bh_bridge_newest_table_format(void);
unsigned __wrap_bh_bridge_newest_table_format(void);
unsigned __wrap_bh_bridge_newest_table_format(void)
{
	return reads_at_most != 0 ? reads_at_most : __real_bh_bridge_newest_table_format();
}

/* The largest format version that the newest OPTIONS file names. */
static unsigned recorded(const bh_db *db)
{
	char path[PATH_SIZE], name[32];
	unsigned newest = 0;
	uint64_t number = 0;
	bh_buf text = { 0 };

	test_ok(bh_options_file_newest(db, &number));
	snprintf(name, sizeof(name), "OPTIONS-%06llu", (unsigned long long)number);
	path_join(path, db->dir, name);
	test_ok(bh_stream_read_small(path, bh_fs_scopes(db->fs), 1 << 20, &text));
	test_ok(bh_buf_append_u8(&text, '\0'));
	for (const char *at = (const char *)text.data; (at = strstr(at, "\n  format_version=")) != NULL; at++)
		newest = BH_MAX(newest, (unsigned)strtoul(at + strlen("\n  format_version="), NULL, 10));
	bh_buf_clear(&text);
	return newest;
}

static unsigned opened_with(const workspace *ws, const rocksdb_options_t *rocksdb, bool newer)
{
	const bh_db_options options = { .rocksdb = rocksdb, .newer_table_format = newer };
	unsigned format;
	bh_db *db = NULL;

	test_ok(bh_db_open(ws->db, &options, &db));
	format = recorded(db);
	bh_db_close(db);
	return format;
}

static void formats(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *newer = rocksdb_options_create(), *older;
	unsigned newest;

	test_db_create(ws, NULL);
	test_check(opened_with(ws, NULL, false) == 5);
	test_check(opened_with(ws, newer, false) == 5);
	older = test_options_with(rocksdb_options_create(), "block_based_table_factory={format_version=4}");
	test_check(opened_with(ws, older, false) == 4);
	newest = opened_with(ws, newer, true);
	test_check(newest >= (test_rocksdb_since(9, 0) ? 6 : 5));
	/* Tables of it may be there from now on, and every OPTIONS file says so. */
	test_check(opened_with(ws, NULL, false) == newest);
	test_check(opened_with(ws, older, false) == (newest > 5 ? newest : 4));
	rocksdb_options_destroy(older);
	rocksdb_options_destroy(newer);
}

static void serve(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	for (int i = 0; i < 2; i++) {
		const char *name = i == 0 ? "a" : "b";
		bh_cf *cf;

		test_merchant_add(ws, db, name, "events", NULL);
		cf = test_cf(db, name, "events");
		test_put(cf, "key", name);
		test_ok(bh_flush(cf));
		bh_cf_close(cf);
	}
	bh_db_close(db);
}

static void refused_untouched(void *arg)
{
	const workspace *ws = arg;
	uint64_t before = tree_hash(ws->db);
	bh_db *db = NULL;

	reads_at_most = 4;
	for (int read_only = 0; read_only < 2; read_only++) {
		test_status(bh_db_open(ws->db, &(bh_db_options){ .read_only = read_only != 0 }, &db), BH_E_UNSUPPORTED);
		test_message_names("format version 5");
		test_message_names("a newer RocksDB wrote");
		test_message_names("nothing here is damaged");
	}
	test_check(tree_hash(ws->db) == before);
	reads_at_most = 0;
	db = test_db_open(ws, NULL);
	for (int i = 0; i < 2; i++) {
		const char *name = i == 0 ? "a" : "b";
		bh_cf *cf = test_cf(db, name, "events");

		test_expect(cf, "key", name);
		bh_cf_close(cf);
	}
	bh_db_close(db);
}

static void every_rocksdb_reads_the_tables(void **state)
{
	test_child_ok(formats, *state);
}

static void newer_tables_are_refused_untouched(void **state)
{
	test_child_ok(serve, *state);
	test_child_ok(refused_untouched, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_rocksdb_reads_the_tables, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(newer_tables_are_refused_untouched, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
