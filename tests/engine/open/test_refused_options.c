/* SPDX-License-Identifier: Apache-2.0
 *
 * test_refused_options.c: RocksDB options that would break a promise are refused by name, whether the database is made or opened
 * with them; the refusal changes nothing on disk, and the database goes on without them.
 */
#include "tests/engine/wall/cache_kinds.h"
#include "tests/support/harness.h"

void test_options_set_wal_filter(rocksdb_options_t *options); /* cxx_options.cc */
void test_options_set_plain_table(rocksdb_options_t *options);
void test_options_set_persistent_cache(rocksdb_options_t *options);
void test_options_set_compaction_service(rocksdb_options_t *options);

static void set_paths(rocksdb_options_t *options, const char *const *dirs, size_t count)
{
	const rocksdb_dbpath_t *paths[2];

	for (size_t i = 0; i < count; i++)
		paths[i] = rocksdb_dbpath_create(dirs[i], 1 << 20);
	rocksdb_options_set_db_paths(options, paths, count);
	for (size_t i = 0; i < count; i++)
		rocksdb_dbpath_destroy((rocksdb_dbpath_t *)(uintptr_t)paths[i]);
}

static void set_two_paths(rocksdb_options_t *options, const workspace *ws)
{
	char other[PATH_SIZE];
	const char *const dirs[] = { ws->db, other };

	path_join(other, ws->root, "other");
	set_paths(options, dirs, 2);
}

static void set_own_path(rocksdb_options_t *options, const workspace *ws)
{
	const char *const dirs[] = { ws->db };

	set_paths(options, dirs, 1);
}

static void set_other_path(rocksdb_options_t *options, const workspace *ws)
{
	const char *const dirs[] = { ws->root };

	set_paths(options, dirs, 1);
}

static void set_own_wal_dir(rocksdb_options_t *options, const workspace *ws)
{
	rocksdb_options_set_wal_dir(options, ws->db);
}

static void set_own_wal_dir_otherwise(rocksdb_options_t *options, const workspace *ws)
{
	char dir[PATH_SIZE];

	path_join(dir, ws->root, "./db/");
	rocksdb_options_set_wal_dir(options, dir);
}

static void set_other_wal_dir(rocksdb_options_t *options, const workspace *ws)
{
	char dir[PATH_SIZE];

	path_join(dir, ws->root, "wal");
	rocksdb_options_set_wal_dir(options, dir);
}

static void set_fifo(rocksdb_options_t *options, const workspace *ws)
{
	(void)ws;
	rocksdb_options_set_compaction_style(options, rocksdb_fifo_compaction);
}

static void set_prefix(rocksdb_options_t *options)
{
	rocksdb_options_set_prefix_extractor(options, rocksdb_slicetransform_create_fixed_prefix(3));
}

static void set_plain_table(rocksdb_options_t *options, const workspace *ws)
{
	(void)ws;
	test_options_set_plain_table(options);
}

static void set_plain_table_by_prefix(rocksdb_options_t *options, const workspace *ws)
{
	set_plain_table(options, ws);
	set_prefix(options);
}

static void set_cuckoo(rocksdb_options_t *options, const workspace *ws)
{
	rocksdb_cuckoo_table_options_t *table = rocksdb_cuckoo_options_create();

	(void)ws;
	rocksdb_options_set_cuckoo_table_factory(options, table);
	rocksdb_cuckoo_options_destroy(table);
}

static void set_hash_skip_list(rocksdb_options_t *options, const workspace *ws)
{
	(void)ws;
	rocksdb_options_set_hash_skip_list_rep(options, 1000, 4, 4);
	set_prefix(options);
}

static void set_hash_link_list(rocksdb_options_t *options, const workspace *ws)
{
	(void)ws;
	rocksdb_options_set_hash_link_list_rep(options, 1000);
	set_prefix(options);
}

static void set_wal_filter(rocksdb_options_t *options, const workspace *ws)
{
	(void)ws;
	test_options_set_wal_filter(options);
}

static void set_persistent_cache(rocksdb_options_t *options, const workspace *ws)
{
	(void)ws;
	test_options_set_persistent_cache(options);
}

static void set_compressed_cache(rocksdb_options_t *options, const workspace *ws)
{
	(void)ws;
	cache_kind_set(options, CACHE_COMPRESSED, 1 << 20);
}

static void set_compaction_service(rocksdb_options_t *options, const workspace *ws)
{
	(void)ws;
	test_options_set_compaction_service(options);
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
	{ "track_and_verify_wals=true", NULL, "track_and_verify_wals" },
	{ "cf_allow_ingest_behind=true", NULL, "cf_allow_ingest_behind" },
	{ "reuse_manifest_on_open=true", NULL, "reuse_manifest_on_open" },
	{ "async_wal_precreate=true", NULL, "async_wal_precreate" },
	{ "enable_blob_direct_write=true", NULL, "enable_blob_direct_write" },
	{ "", set_two_paths, "db_paths" },
	{ "", set_own_path, "db_paths" },
	{ "", set_other_path, "db_paths" },
	{ "", set_own_wal_dir, "wal_dir" },
	{ "", set_own_wal_dir_otherwise, "wal_dir" },
	{ "", set_other_wal_dir, "wal_dir" },
	{ "", set_wal_filter, "wal_filter" },
	{ "", set_persistent_cache, "persistent_cache" },
	{ "", set_compressed_cache, "block_cache_compressed" },
	{ "", set_compaction_service, "compaction_service" },
	{ "", set_fifo, "kCompactionStyleFIFO" },
	{ "compaction_style=kCompactionStyleNone", NULL, "kCompactionStyleNone" },
	{ "", set_plain_table, "table_factory" },
	{ "", set_plain_table_by_prefix, "table_factory" },
	{ "", set_cuckoo, "table_factory" },
	{ "", set_hash_skip_list, "memtable_factory" },
	{ "", set_hash_link_list, "memtable_factory" },
	{ "inplace_update_support=true;allow_concurrent_memtable_write=false", NULL, "inplace_update_support" },
	{ "atomic_flush=true", NULL, "atomic_flush" },
	{ "unordered_write=true", NULL, "unordered_write" },
	{ "persist_stats_to_disk=true", NULL, "persist_stats_to_disk" },
	{ "", set_row_cache, "row_cache" },
	{ "", set_cf_path, "cf_paths" },
};

/* RocksDB 7.8 does not have these. */
static bool is_newer(const char *name)
{
	static const char *const newer[] = {
		"track_and_verify_wals", "cf_allow_ingest_behind",   "reuse_manifest_on_open",
		"async_wal_precreate",   "enable_blob_direct_write",
	};

	for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++)
		if (strcmp(newer[i], name) == 0)
			return true;
	return false;
}

/* Whether this RocksDB has the option. */
static bool is_known(const struct refusal *refusal)
{
	rocksdb_options_t *options = rocksdb_options_create(), *changed = rocksdb_options_create();
	char *error = NULL;
	bool known;

	if (refusal->set != NULL) {
		rocksdb_options_destroy(options);
		rocksdb_options_destroy(changed);
		return refusal->set != set_compressed_cache || cache_kind_exists(CACHE_COMPRESSED);
	}
	rocksdb_get_options_from_string(options, refusal->changes, changed, &error);
	known = error == NULL;
	rocksdb_free(error);
	rocksdb_options_destroy(options);
	rocksdb_options_destroy(changed);
	test_check(known || is_newer(refusal->named));
	return known;
}

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
	test_message_names("is refused: ");
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
	const char *before = "before";
	bh_db *db;
	bh_cf *cf;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "events", NULL);
	cf = test_cf(db, "a", "events");
	test_put(cf, "key", "before");
	for (size_t n = 0; n < sizeof(refusals) / sizeof(refusals[0]); n++) {
		if (!is_known(&refusals[n]))
			continue;
		bh_cf_close(cf);
		bh_db_close(db);
		check_refused(ws, &refusals[n]);
		db = test_db_open(ws, NULL);
		cf = test_cf(db, "a", "events");
		test_expect(cf, "key", before);
		test_put(cf, "key", before = refusals[n].named);
	}
	bh_cf_close(cf);
	bh_db_close(db);
}

/* Who drives RocksDB with the Env alone, and checks no options, has no logs elsewhere either. */
static void raw_wal_dir(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	char *error = NULL, dir[PATH_SIZE];
	rocksdb_env_t *env = NULL;
	rocksdb_t *rocks;

	test_db_create(ws, NULL);
	test_ok(bh_env_create(ws->db, NULL, &env));
	rocksdb_options_set_env(options, env);
	path_join(dir, ws->root, "wal");
	rocksdb_options_set_wal_dir(options, dir);
	rocks = rocksdb_open(options, ws->db, &error);
	test_check(rocks == NULL);
	test_status(bh_status_of_rocksdb(error), BH_E_UNSUPPORTED);
	test_message_names("wal_dir");
	rocksdb_options_set_wal_dir(options, "");
	error = NULL;
	rocks = rocksdb_open(options, ws->db, &error);
	test_rocks_ok(error);
	rocksdb_close(rocks);
	rocksdb_options_destroy(options);
	rocksdb_env_destroy(env);
}

static void refused_wal_dir_of_the_env(void **state)
{
	test_child_ok(raw_wal_dir, *state);
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
		cmocka_unit_test_setup_teardown(refused_wal_dir_of_the_env, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
