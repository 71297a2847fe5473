/* SPDX-License-Identifier: Apache-2.0
 *
 * test_iter_order.c: iterators go through all keys in order, whatever prefix extractor, filters and indexes the template has, in
 * memtables and in SSTs; those that are asked for one prefix stay in it.
 */
#include "tests/support/harness.h"

#include <bulkhead/erase.h>

enum { GROUPS = 8, ROWS = 20 }; /* keys "gN:MM"; even groups alone are there */

typedef struct shape {
	const char *name;
	void (*set)(rocksdb_options_t *options);
} shape;

static rocksdb_block_based_table_options_t *table_with_filter(void)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
	return table;
}

static void use_table(rocksdb_options_t *options, rocksdb_block_based_table_options_t *table)
{
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
}

static void set_bloom(rocksdb_options_t *options)
{
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.1);
	use_table(options, table_with_filter());
}

static void set_prefix_filter_alone(rocksdb_options_t *options)
{
	rocksdb_block_based_table_options_t *table = table_with_filter();

	rocksdb_block_based_options_set_whole_key_filtering(table, 0);
	use_table(options, table);
}

static void set_partitioned(rocksdb_options_t *options)
{
	rocksdb_block_based_table_options_t *table = table_with_filter();

	rocksdb_block_based_options_set_index_type(table, rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_partition_filters(table, 1);
	use_table(options, table);
}

static void set_hash_index(rocksdb_options_t *options)
{
	rocksdb_block_based_table_options_t *table = table_with_filter();

	rocksdb_block_based_options_set_index_type(table, rocksdb_block_based_table_index_type_hash_search);
	use_table(options, table);
}

static void set_vector(rocksdb_options_t *options)
{
	rocksdb_options_set_memtable_vector_rep(options);
	rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
	set_bloom(options);
}

static const shape shapes[] = {
	{ "bloom filters in memtables and SSTs", set_bloom },
	{ "prefix filters alone", set_prefix_filter_alone },
	{ "partitioned filters", set_partitioned },
	{ "hash index", set_hash_index },
	{ "vector memtables", set_vector },
};

static bh_view key_of(char out[16], int group, int row)
{
	return bh_view_of(out, (size_t)snprintf(out, 16, "g%d:%02d", group, row));
}

static void stands_on(bh_iter *iter, int group, int row)
{
	char want[16];
	bh_view expected = key_of(want, group, row), key;

	test_check(bh_iter_valid(iter));
	test_ok(bh_iter_entry(iter, &key, NULL));
	test_check(key.len == expected.len && memcmp(key.data, expected.data, key.len) == 0);
}

static void seek_everywhere(bh_cf *cf, const bh_read_options *options)
{
	bh_iter *iter = NULL;
	char key[16];

	test_ok(bh_iter_new(cf, options, &iter));
	for (int group = 0; group < GROUPS; group++) {
		int after = group % 2 == 0 ? group : group + 1;

		test_ok(bh_iter_seek(iter, key_of(key, group, 0)));
		if (after < GROUPS)
			stands_on(iter, after, 0);
		else
			test_check(!bh_iter_valid(iter));
		test_ok(bh_iter_seek_for_prev(iter, key_of(key, group, 99)));
		stands_on(iter, group % 2 == 0 ? group : group - 1, ROWS - 1);
		if (group % 2 == 0 && group > 0) {
			test_ok(bh_iter_seek(iter, key_of(key, group, 0)));
			test_ok(bh_iter_prev(iter));
			stands_on(iter, group - 2, ROWS - 1);
		}
	}
	bh_iter_free(iter);
}

static void walk_all(bh_cf *cf)
{
	bh_iter *iter = NULL;
	int count = 0;

	test_ok(bh_iter_new(cf, NULL, &iter));
	test_ok(bh_iter_seek(iter, bh_view_str("g1")));
	for (; bh_iter_valid(iter); count++)
		test_ok(bh_iter_next(iter));
	bh_iter_free(iter);
	test_check(count == (GROUPS / 2 - 1) * ROWS);
}

static void walk_one_prefix(bh_cf *cf)
{
	bh_iter *iter = NULL;
	char key[16];
	int count = 0;

	test_ok(bh_iter_new(cf, &(bh_read_options){ .prefix = true }, &iter));
	test_ok(bh_iter_seek(iter, key_of(key, 2, 0)));
	for (; bh_iter_valid(iter); count++) {
		stands_on(iter, 2, count);
		test_ok(bh_iter_next(iter));
	}
	test_check(count == ROWS);
	test_ok(bh_iter_seek(iter, key_of(key, 3, 0)));
	test_check(!bh_iter_valid(iter));
	bh_iter_free(iter);
}

static void look_at_all(bh_db *db, bh_cf *cf)
{
	bh_snapshot *snapshot = NULL;

	seek_everywhere(cf, NULL);
	seek_everywhere(cf, &(bh_read_options){ .no_fill_cache = true });
	test_ok(bh_snapshot_new(db, &snapshot));
	seek_everywhere(cf, &(bh_read_options){ .snapshot = snapshot });
	bh_snapshot_free(snapshot);
	walk_all(cf);
	walk_one_prefix(cf);
}

typedef struct run {
	const workspace *ws;
	const shape *shape;
} run;

static void go_through(void *arg)
{
	const run *r = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	char key[16];
	bh_db *db;
	bh_cf *cf;

	rocksdb_options_set_prefix_extractor(options, rocksdb_slicetransform_create_fixed_prefix(3));
	r->shape->set(options);
	test_db_create(r->ws, options);
	db = test_db_open(r->ws, options);
	test_merchant_add(r->ws, db, "a", "events", NULL);
	cf = test_cf(db, "a", "events");
	for (int group = 0; group < GROUPS; group += 2)
		for (int row = 0; row < ROWS; row++)
			test_ok(bh_put(cf, NULL, key_of(key, group, row), bh_view_str("v")));
	look_at_all(db, cf);
	test_ok(bh_flush(cf));
	look_at_all(db, cf);
	test_ok(bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 }));
	look_at_all(db, cf);
	bh_cf_close(cf);
	bh_db_close(db);
	db = test_db_open(r->ws, NULL); /* who knows of no extractor */
	cf = test_cf(db, "a", "events");
	seek_everywhere(cf, NULL);
	walk_all(cf);
	bh_cf_close(cf);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void all_keys_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		workspace ws;
		run r = { &ws, &shapes[i] };

		print_message("%s\n", shapes[i].name);
		workspace_open(&ws);
		test_child_ok(go_through, &r);
		workspace_close(&ws);
	}
}

/* ---- what the engine itself looks up by prefixes: what is suppressed */

static bh_status each_marker(void *arg, const bh_erase_marker *marker)
{
	(void)marker;
	++*(int *)arg;
	return BH_OK;
}

static void suppress(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	int markers = 0;
	bh_db *db;
	bh_cf *cf;

	rocksdb_options_set_prefix_extractor(options, rocksdb_slicetransform_create_fixed_prefix(40));
	set_bloom(options);
	test_db_create(ws, options);
	db = test_db_open(ws, options);
	test_merchant_add(ws, db, "a", "events", NULL);
	cf = test_cf(db, "a", "events");
	test_put(cf, "user7/x", "1");
	test_put(cf, "user8/x", "1");
	test_ok(bh_erase_range(cf, bh_view_str("user7/"), &(bh_erase_options){ .suppress = true }, NULL));
	bh_cf_close(cf);
	bh_db_close(db);
	db = test_db_open(ws, options);
	cf = test_cf(db, "a", "events");
	test_status(bh_put(cf, NULL, bh_view_str("user7/y"), bh_view_str("1")), BH_E_ERASED);
	test_expect(cf, "user7/x", NULL);
	test_expect(cf, "user8/x", "1");
	test_ok(bh_erase_markers(cf, each_marker, &markers));
	test_check(markers == 1);
	bh_cf_close(cf);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void what_is_suppressed_is_found(void **state)
{
	test_child_ok(suppress, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_keys_in_order),
		cmocka_unit_test_setup_teardown(what_is_suppressed_is_found, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
