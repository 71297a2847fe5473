/* SPDX-License-Identifier: Apache-2.0
 *
 * test_accepted_options.c: RocksDB options that place files, change a recovery or the shape of what is written, and are accepted:
 * with each of them no acknowledged row is lost, of nobody, by a rotation and its sweep, a suspension and resume, a kill, an open
 * while one CMK is disabled, an open without the option, a shred.
 */
#include "tests/support/harness.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include "keyring/kms/kms.h"

enum { ROWS = 60, GONE_FROM = 10, GONE_TO = 20 }; /* rows of each stage; those of them that are deleted as a range */

typedef struct accepted {
	const char *changes;
	void (*set)(rocksdb_options_t *options, const workspace *ws);
	bool stays; /* what is written with it cannot be opened without it, by RocksDB's own word */
} accepted;

typedef struct run {
	const workspace *ws;
	const accepted *how;
} run;

/* ---- options that no string can say */

static void set_log_dir(rocksdb_options_t *options, const workspace *ws)
{
	char dir[PATH_SIZE];

	path_join(dir, ws->root, "infolog");
	rocksdb_options_set_db_log_dir(options, dir);
	rocksdb_options_set_max_log_file_size(options, 16 * 1024);
	rocksdb_options_set_keep_log_file_num(options, 3);
}

static void set_vector(rocksdb_options_t *options, const workspace *ws)
{
	(void)ws;
	rocksdb_options_set_memtable_vector_rep(options);
	rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
}

static void set_prefix_bloom(rocksdb_options_t *options, const workspace *ws)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	(void)ws;
	rocksdb_options_set_prefix_extractor(options, rocksdb_slicetransform_create_fixed_prefix(3));
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.1);
	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_block_based_options_set_whole_key_filtering(table, 0);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
}

static void set_hash_index(rocksdb_options_t *options, const workspace *ws)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	(void)ws;
	rocksdb_options_set_prefix_extractor(options, rocksdb_slicetransform_create_fixed_prefix(3));
	rocksdb_block_based_options_set_index_type(table, rocksdb_block_based_table_index_type_hash_search);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
}

static void set_partitioned(rocksdb_options_t *options, const workspace *ws)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	(void)ws;
	rocksdb_block_based_options_set_index_type(table, rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_ribbon(10));
	rocksdb_block_based_options_set_partition_filters(table, 1);
	rocksdb_block_based_options_set_no_block_cache(table, 1);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
}

static void set_one_level(rocksdb_options_t *options, const workspace *ws)
{
	(void)ws;
	rocksdb_options_set_compaction_style(options, rocksdb_universal_compaction);
	rocksdb_options_set_num_levels(options, 1);
}

static const accepted cases[] = {
	{ "", NULL, false },
	{ "", set_log_dir, false },
	{ "wal_recovery_mode=kTolerateCorruptedTailRecords", NULL, false },
	{ "wal_recovery_mode=kAbsoluteConsistency", NULL, false },
	{ "avoid_flush_during_recovery=true;avoid_flush_during_shutdown=true", NULL, false },
	{ "allow_2pc=true", NULL, false },
	{ "manual_wal_flush=true", NULL, false },
	{ "two_write_queues=true", NULL, false },
	{ "enable_pipelined_write=true", NULL, false },
	{ "write_dbid_to_manifest=true", NULL, false },
	{ "track_and_verify_wals_in_manifest=true", NULL, false },
	{ "file_checksum_gen_factory=FileChecksumGenCrc32cFactory", NULL, false },
	{ "WAL_ttl_seconds=3600", NULL, false },
	{ "WAL_size_limit_MB=100", NULL, false },
	{ "max_total_wal_size=1;db_write_buffer_size=65536", NULL, false },
	{ "max_manifest_file_size=1", NULL, false },
	{ "max_open_files=16;skip_checking_sst_file_sizes_on_db_open=true", NULL, false },
	{ "error_if_exists=true;create_missing_column_families=true", NULL, false },
	{ "experimental_mempurge_threshold=1.0;write_buffer_size=65536", NULL, false },
	{ "max_write_buffer_size_to_maintain=1048576;max_successive_merges=2", NULL, false },
	{ "compaction_style=kCompactionStyleUniversal", NULL, false },
	{ "", set_one_level, false },
	{ "num_levels=20;level_compaction_dynamic_level_bytes=true", NULL, true },
	{ "disable_auto_compactions=true;force_consistency_checks=false", NULL, false },
	{ "comparator=rocksdb.ReverseBytewiseComparator", NULL, true },
	{ "ttl=1;periodic_compaction_seconds=1;preserve_internal_time_seconds=10", NULL, false },
	{ "enable_blob_files=true;min_blob_size=100;enable_blob_garbage_collection=true", NULL, false },
	{ "", set_vector, false },
	{ "", set_prefix_bloom, false },
	{ "", set_hash_index, false },
	{ "", set_partitioned, false },
};

static rocksdb_options_t *options_of(const run *r)
{
	rocksdb_options_t *options = test_options_with(rocksdb_options_create(), r->how->changes);

	if (r->how->set != NULL)
		r->how->set(options, r->ws);
	return options;
}

static bh_db *open_with(const run *r)
{
	rocksdb_options_t *options = options_of(r);
	bh_db *db = test_db_open(r->ws, options);

	rocksdb_options_destroy(options);
	return db;
}

/* ---- rows */

static bh_view key_of(char out[32], int stage, int i)
{
	return bh_view_of(out, (size_t)snprintf(out, 32, "st%d:row%04d", stage, i));
}

/* Every seventh is a large one. All are synced; in the middle they are flushed, so that some lie in the WAL. */
static void write_stage(bh_cf *cf, int stage)
{
	static uint8_t value[400];
	char key[32], end[32];

	memset(value, 'v', sizeof(value));
	for (int i = 0; i < ROWS; i++) {
		test_ok(bh_put(cf, &(bh_write_options){ .sync = true }, key_of(key, stage, i),
			       bh_view_of(value, i % 7 == 0 ? 400 : 20)));
		if (i == ROWS / 2)
			test_ok(bh_flush(cf));
	}
	for (int i = GONE_FROM; i < GONE_TO; i++)
		test_ok(bh_delete(cf, &(bh_write_options){ .sync = true }, key_of(end, stage, i)));
}

static void delete_range(bh_cf *cf, int stage)
{
	char begin[32], end[32];
	bh_view a = key_of(begin, stage, GONE_FROM), b = key_of(end, stage, GONE_TO);

	test_ok(bh_delete_range(cf, &(bh_write_options){ .sync = true }, a, b));
}

static void expect_stage(bh_cf *cf, int stage)
{
	bh_buf value = { 0 };
	char key[32];

	for (int i = 0; i < ROWS; i++) {
		bh_status want = i >= GONE_FROM && i < GONE_TO ? BH_E_NO_SUCH_KEY : BH_OK;

		test_status(bh_get(cf, NULL, key_of(key, stage, i), &value), want);
		test_check(want != BH_OK || value.len == (i % 7 == 0 ? 400u : 20u));
	}
	bh_buf_clear(&value);
}

/* By an iterator: as many as there should be, and no more. */
static void expect_count(bh_cf *cf, int stages)
{
	bh_iter *iter = NULL;
	int count = 0;

	test_ok(bh_iter_new(cf, NULL, &iter));
	test_ok(bh_iter_first(iter));
	for (; bh_iter_valid(iter); count++)
		test_ok(bh_iter_next(iter));
	bh_iter_free(iter);
	test_check(count == stages * (ROWS - (GONE_TO - GONE_FROM)));
}

static void expect_all(bh_db *db, const char *merchant, int stages)
{
	bh_cf *cf = test_cf(db, merchant, "events");

	for (int stage = 0; stage < stages; stage++)
		expect_stage(cf, stage);
	expect_count(cf, stages);
	bh_cf_close(cf);
}

static void write_both(bh_db *db, int stage, bool ranges)
{
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");

	write_stage(a, stage);
	write_stage(b, stage);
	if (ranges) {
		delete_range(a, stage);
		delete_range(b, stage);
	}
	bh_cf_close(a);
	bh_cf_close(b);
}

static void expect_both(bh_db *db, int stages)
{
	expect_all(db, "a", stages);
	expect_all(db, "b", stages);
}

/* ---- the stages, a process each */

static bool is_reverse(const run *r)
{
	return strstr(r->how->changes, "Reverse") != NULL;
}

static void make(void *arg)
{
	const run *r = arg;
	rocksdb_options_t *options = options_of(r);
	bh_db *db;

	test_db_create(r->ws, options);
	rocksdb_options_destroy(options);
	db = open_with(r);
	test_merchant_add(r->ws, db, "a", "events", NULL);
	test_merchant_add(r->ws, db, "b", "events", NULL);
	write_both(db, 0, !is_reverse(r));
	test_ok(bh_merchant_rotate(db, "b", &(bh_rotate_options){ .sweep = true }));
	test_ok(bh_merchant_sweep(db, "b", NULL));
	test_ok(bh_merchant_suspend(db, "a", NULL));
	expect_all(db, "b", 1);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_both(db, 1);
	bh_db_close(db);
}

static void write_and_die(void *arg)
{
	const run *r = arg;
	bh_db *db = open_with(r);

	expect_both(db, 1);
	write_both(db, 1, !is_reverse(r));
	raise(SIGKILL);
}

static void open_without_a(void *arg)
{
	const run *r = arg;
	bh_db *db = open_with(r);
	bh_cf *cf = NULL;

	test_status(bh_cf_open(db, "a", "events", &cf), BH_E_KMS_REFUSED);
	expect_all(db, "b", 2);
	bh_db_close(db);
}

static void rotate_and_die(void *arg)
{
	const run *r = arg;
	bh_db *db = open_with(r);

	expect_both(db, 2);
	write_both(db, 2, !is_reverse(r));
	test_ok(bh_merchant_rotate(db, "a", &(bh_rotate_options){ .sweep = true }));
	/* RocksDB removes a WAL a moment after it needs it no more. */
	for (int i = 0; i < 250 && bh_merchant_sweep(db, "a", NULL) == BH_E_BUSY; i++)
		usleep(20000);
	test_ok(bh_merchant_sweep(db, "a", NULL));
	raise(SIGKILL);
}

static void suspended_over_an_open(void *arg)
{
	const run *r = arg;
	bh_db *db = open_with(r);

	expect_both(db, 3);
	write_both(db, 3, !is_reverse(r));
	test_ok(bh_merchant_suspend(db, "a", NULL));
	bh_db_close(db);
	db = open_with(r);
	expect_all(db, "b", 4);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_both(db, 4);
	bh_db_close(db);
}

static void without_the_option(void *arg)
{
	const run *r = arg;
	bh_db *db = test_db_open(r->ws, NULL);

	expect_both(db, 4);
	bh_db_close(db);
}

static void shred_a(void *arg)
{
	const run *r = arg;
	bh_db *db = open_with(r);
	bh_cf *cf = NULL;

	expect_both(db, 4);
	test_ok(bh_merchant_shred(db, "a", NULL));
	test_status(bh_cf_open(db, "a", "events", &cf), BH_E_SHREDDED);
	expect_all(db, "b", 4);
	bh_db_close(db);
}

static void change_cmk(const workspace *ws, const char *name, bh_status (*change)(bh_kms *kms))
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(workspace_cmk(ws, name), NULL, &kms));
	test_ok(change(kms));
	bh_kms_close(kms);
}

/* Neither of A's rows nor of B's is a byte in the info log, wherever that lies. */
static void none_in_the_log(void *arg, const char *path)
{
	bh_buf bytes = file_read(path);

	(void)arg;
	test_check(bytes_count(bh_buf_view(&bytes), bh_view_str(":row0")) == 0);
	bh_buf_clear(&bytes);
}

static void go_through(const accepted *how)
{
	char log_dir[PATH_SIZE];
	workspace ws;
	run r = { &ws, how };

	print_message("%s%s\n", how->changes, how->set != NULL ? " (by a call)" : "");
	workspace_open(&ws);
	test_child_ok(make, &r);
	test_child_killed(write_and_die, &r);
	change_cmk(&ws, "a", bh_kms_disable);
	test_child_ok(open_without_a, &r);
	change_cmk(&ws, "a", bh_kms_enable);
	test_child_killed(rotate_and_die, &r);
	test_child_ok(suspended_over_an_open, &r);
	if (!how->stays)
		test_child_ok(without_the_option, &r);
	test_child_ok(shred_a, &r);
	path_join(log_dir, ws.root, "infolog");
	if (how->set == set_log_dir) {
		test_check(file_exists(log_dir));
		tree_walk(log_dir, none_in_the_log, NULL);
	}
	workspace_close(&ws);
}

static void no_row_is_lost(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		go_through(&cases[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_row_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
