/* SPDX-License-Identifier: Apache-2.0
 *
 * test_defaults.c: what RocksDB works with where a template says nothing, and that what it says stands.
 */
#include <dirent.h>

#include "engine/database/settings.h"
#include "tests/engine/wall/suspend_fixture.h"

#define OPENS 25u

static bh_db *open_with(const workspace *ws, const rocksdb_options_t *template)
{
	return test_db_open(ws, template);
}

static void expect(const bh_db *db, int compression, size_t info_logs, size_t manifest, uint64_t wals)
{
	test_check(rocksdb_options_get_compression(db->options) == compression);
	test_check(rocksdb_options_get_keep_log_file_num(db->options) == info_logs);
	test_check(rocksdb_options_get_max_manifest_file_size(db->options) == manifest);
	test_check(rocksdb_options_get_max_total_wal_size(db->options) == wals);
}

static void values(void *arg)
{
	const int by_level[] = { rocksdb_no_compression, rocksdb_lz4_compression };
	const workspace *ws = arg;
	rocksdb_options_t *template = rocksdb_options_create();
	bh_db *db;

	make_two(ws);
	db = open_with(ws, NULL);
	expect(db, rocksdb_zstd_compression, BH_INFO_LOGS, BH_MANIFEST_BYTES, BH_WAL_BYTES);
	bh_db_close(db);
	rocksdb_options_set_write_buffer_size(template, 1 << 20);
	db = open_with(ws, template);
	expect(db, rocksdb_zstd_compression, BH_INFO_LOGS, BH_MANIFEST_BYTES, BH_WAL_BYTES);
	test_check(rocksdb_options_get_write_buffer_size(db->options) == 1 << 20);
	bh_db_close(db);
	rocksdb_options_set_compression(template, rocksdb_lz4_compression);
	rocksdb_options_set_keep_log_file_num(template, 3);
	rocksdb_options_set_max_manifest_file_size(template, 1 << 20);
	rocksdb_options_set_max_total_wal_size(template, 1 << 20);
	db = open_with(ws, template);
	expect(db, rocksdb_lz4_compression, 3, 1 << 20, 1 << 20);
	bh_db_close(db);
	rocksdb_options_destroy(template);
	template = rocksdb_options_create();
	rocksdb_options_set_compression_per_level(template, by_level, 2);
	db = open_with(ws, template);
	test_check(rocksdb_options_get_compression(db->options) == rocksdb_options_get_compression(template));
	bh_db_close(db);
	rocksdb_options_destroy(template);
}

/* ---- what they are for */

static size_t count_named(const workspace *ws, const char *begins)
{
	struct dirent *entry;
	size_t count = 0;
	DIR *dir = opendir(ws->db);

	test_check(dir != NULL);
	while ((entry = readdir(dir)) != NULL)
		count += strncmp(entry->d_name, begins, strlen(begins)) == 0;
	closedir(dir);
	return count;
}

/* RocksDB removes older info logs where it looks for what is obsolete, a moment after an open's first flush. */
static void info_logs(void *arg)
{
	const workspace *ws = arg;

	make_two(ws);
	for (unsigned i = 0; i < OPENS; i++) {
		bh_db *db = open_with(ws, NULL);
		bh_cf *a = test_cf(db, "a", "events");

		test_put(a, "k1", "a1");
		test_ok(bh_flush(a));
		bh_cf_close(a);
		bh_db_close(db);
	}
	test_check(count_named(ws, "LOG") <= BH_INFO_LOGS + 2u);
}

static void test_values(void **state)
{
	test_child_ok(values, *state);
}

static void test_info_logs_are_a_few(void **state)
{
	test_child_ok(info_logs, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(test_values),
		SUSPEND_CASE(test_info_logs_are_a_few),
	};

	return cmocka_run_group_tests_name("defaults", tests, NULL, NULL);
}
