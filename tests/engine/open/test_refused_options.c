/* SPDX-License-Identifier: Apache-2.0
 *
 * test_refused_options.c: RocksDB options that would break a promise are refused by name, whether the database is made or opened
 * with them; the refusal changes nothing on disk, and the database goes on without them.
 */
#include "tests/support/harness.h"

static void set_two_paths(rocksdb_options_t *options, const workspace *ws)
{
	char other[PATH_SIZE];

	path_join(other, ws->root, "other");
	rocksdb_dbpath_t *first = rocksdb_dbpath_create(ws->db, 1 << 20), *second = rocksdb_dbpath_create(other, 1 << 20);
	const rocksdb_dbpath_t *paths[] = { first, second };

	rocksdb_options_set_db_paths(options, paths, 2);
	rocksdb_dbpath_destroy(first);
	rocksdb_dbpath_destroy(second);
}

static void set_row_cache(rocksdb_options_t *options, const workspace *ws)
{
	rocksdb_cache_t *cache = rocksdb_cache_create_lru(1 << 20);

	(void)ws;
	rocksdb_options_set_row_cache(options, cache);
	rocksdb_cache_destroy(cache);
}

static void set_cf_path(rocksdb_options_t *options, const workspace *ws)
{
	test_ok(bh_options_use_class(options, ws->root, "a", "events"));
}

static const struct refusal {
	const char *changes;
	void (*set)(rocksdb_options_t *options, const workspace *ws);
	const char *named;
} refusals[] = {
	{ "allow_mmap_reads=true", NULL, "allow_mmap_reads" },
	{ "allow_mmap_writes=true", NULL, "allow_mmap_writes" },
	{ "recycle_log_file_num=4", NULL, "recycle_log_file_num" },
	{ "wal_compression=kZSTD", NULL, "wal_compression" },
	{ "paranoid_checks=false", NULL, "paranoid_checks" },
	{ "wal_recovery_mode=kSkipAnyCorruptedRecords", NULL, "kSkipAnyCorruptedRecords" },
	{ "verify_sst_unique_id_in_manifest=false", NULL, "verify_sst_unique_id_in_manifest" },
	{ "best_efforts_recovery=true", NULL, "best_efforts_recovery" },
	{ "allow_ingest_behind=true", NULL, "allow_ingest_behind" },
	{ "allow_data_in_errors=true", NULL, "allow_data_in_errors" },
	{ "", set_two_paths, "db_paths" },
	{ "", set_row_cache, "row_cache" },
	{ "", set_cf_path, "cf_paths" },
};

static void check_refused(const workspace *ws, const struct refusal *refusal)
{
	rocksdb_options_t *options = test_options_with(rocksdb_options_create(), refusal->changes);
	const bh_db_options db_options = { .rocksdb = options };
	uint64_t before = tree_hash(ws->db);
	bh_db *db = NULL;
	char fresh[PATH_SIZE];

	if (refusal->set != NULL)
		refusal->set(options, ws);
	test_status(bh_db_open(ws->db, &db_options, &db), BH_E_UNSUPPORTED);
	test_check(db == NULL);
	test_message_names(refusal->named);
	test_check(tree_hash(ws->db) == before);
	path_join(fresh, ws->root, "fresh");
	test_status(bh_db_create(fresh, "eu-1", test_cmk(ws, "fresh"), &db_options), BH_E_UNSUPPORTED);
	test_message_names(refusal->named);
	test_check(!file_exists(fresh));
	rocksdb_options_destroy(options);
}

static void refuse_each(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;
	bh_cf *cf;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "events", NULL);
	cf = test_cf(db, "a", "events");
	test_put(cf, "key", "before");
	for (size_t n = 0; n < sizeof(refusals) / sizeof(refusals[0]); n++) {
		bh_cf_close(cf);
		bh_db_close(db);
		check_refused(ws, &refusals[n]);
		db = test_db_open(ws, NULL);
		cf = test_cf(db, "a", "events");
		test_expect(cf, "key", n == 0 ? "before" : refusals[n - 1].named);
		test_put(cf, "key", refusals[n].named);
	}
	bh_cf_close(cf);
	bh_db_close(db);
}

static void refused_options(void **state)
{
	workspace ws;

	(void)state;
	workspace_open(&ws);
	test_child_ok(refuse_each, &ws);
	workspace_close(&ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
