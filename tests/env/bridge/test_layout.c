/* SPDX-License-Identifier: Apache-2.0
 *
 * test_layout.c: a RocksDB library whose handles are laid out otherwise than the headers say is refused, whichever handle it is,
 * and nothing is changed. The library's own calls are made to say what they would say then.
 */
#include "tests/support/harness.h"
#include "tests/support/rocksdb_version.h"

#include <stdlib.h>

typedef enum lie { NONE, OPTIONS, FAMILY, DATABASE, DEFAULT_FAMILY, LIES } lie;

static lie told;

size_t __real_rocksdb_options_get_max_manifest_file_size(rocksdb_options_t *options);
size_t __wrap_rocksdb_options_get_max_manifest_file_size(rocksdb_options_t *options);
size_t __wrap_rocksdb_options_get_max_manifest_file_size(rocksdb_options_t *options)
{
	return __real_rocksdb_options_get_max_manifest_file_size(options) + (told == OPTIONS);
}

uint32_t __real_rocksdb_column_family_handle_get_id(rocksdb_column_family_handle_t *handle);
uint32_t __wrap_rocksdb_column_family_handle_get_id(rocksdb_column_family_handle_t *handle);
uint32_t __wrap_rocksdb_column_family_handle_get_id(rocksdb_column_family_handle_t *handle)
{
	return __real_rocksdb_column_family_handle_get_id(handle) + (told == FAMILY);
}

uint64_t __real_rocksdb_get_latest_sequence_number(rocksdb_t *db);
uint64_t __wrap_rocksdb_get_latest_sequence_number(rocksdb_t *db);
uint64_t __wrap_rocksdb_get_latest_sequence_number(rocksdb_t *db)
{
	return __real_rocksdb_get_latest_sequence_number(db) + (told == DATABASE);
}

static void *shorter[2];

/* One without the second member that it has since 9.4: what lies behind the first one is not `true`. RocksDB 7.8 does not have this
 * call. */
__attribute__((weak)) rocksdb_column_family_handle_t *__real_rocksdb_get_default_column_family_handle(rocksdb_t *db);
rocksdb_column_family_handle_t *__wrap_rocksdb_get_default_column_family_handle(rocksdb_t *db);
rocksdb_column_family_handle_t *__wrap_rocksdb_get_default_column_family_handle(rocksdb_t *db)
{
	rocksdb_column_family_handle_t *handle = __real_rocksdb_get_default_column_family_handle(db);

	if (told != DEFAULT_FAMILY)
		return handle;
	memcpy(shorter, handle, sizeof(shorter[0]));
	return (rocksdb_column_family_handle_t *)shorter;
}

void __real_rocksdb_column_family_handle_destroy(rocksdb_column_family_handle_t *handle);
void __wrap_rocksdb_column_family_handle_destroy(rocksdb_column_family_handle_t *handle);
void __wrap_rocksdb_column_family_handle_destroy(rocksdb_column_family_handle_t *handle)
{
	if (handle != (rocksdb_column_family_handle_t *)shorter)
		__real_rocksdb_column_family_handle_destroy(handle);
}

static void open_with_each_lie(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = NULL;
	bh_cf *cf;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "events", NULL);
	cf = test_cf(db, "a", "events");
	test_put(cf, "key", "value");
	bh_cf_close(cf);
	bh_db_close(db);
	for (told = OPTIONS; told < LIES; told++) {
		if (told == DEFAULT_FAMILY && !test_rocksdb_since(9, 4))
			continue;
		test_status(bh_db_open(ws->db, NULL, &db), BH_E_UNSUPPORTED);
		test_message_names("lays out its handles otherwise");
	}
	told = NONE;
	db = test_db_open(ws, NULL);
	cf = test_cf(db, "a", "events");
	test_expect(cf, "key", "value");
	bh_cf_close(cf);
	bh_db_close(db);
}

static void another_layout_is_refused(void **state)
{
	test_child_ok(open_with_each_lie, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(another_layout_is_refused, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
