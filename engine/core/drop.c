/* SPDX-License-Identifier: Apache-2.0
 *
 * drop.c: a merchant's column families leave the live database.
 */
#include "drop.h"

#include <bulkhead/env.h>

#include <string.h>

#include "files.h"
#include "options_file.h"
#include "watch.h"
#include "keyring/base/crashpoint.h"
#include "keyring/base/base.h"

/* With fail_if_options_file_error RocksDB says that a drop failed when it is done, and durable, but the OPTIONS file was not
 * written. Nobody's keys stay in use for that. */
static bh_status drop_family(bh_db *db, const bh_merchant *merchant, rocksdb_column_family_handle_t *handle)
{
	char *error = NULL, *again = NULL;
	bh_status status;

	bh_options_file_hold(db);
	rocksdb_drop_column_family(db->rocks, handle, &error);
	if (error != NULL)
		bh_watch_manifest_failed(db->watch);
	if (error != NULL)
		rocksdb_drop_column_family(db->rocks, handle, &again);
	bh_options_file_release();
	status = bh_status_of_rocksdb(error);
	if (again != NULL && strstr(again, "already dropped") != NULL) {
		bh_db_log(db, "merchant '%s': is dropped, but: %s", merchant->name, bh_status_message());
		status = BH_OK;
	}
	rocksdb_free(again);
	return status;
}

void bh_merchant_close_handles(bh_merchant *merchant)
{
	for (size_t i = 0; i < merchant->class_count; i++) {
		if (merchant->classes[i].handle != NULL)
			rocksdb_column_family_handle_destroy(merchant->classes[i].handle);
		merchant->classes[i].handle = NULL;
	}
}

bh_status bh_merchant_remove_files(const bh_db *db, const char *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR, db->dir));
	return bh_tree_remove((const char *)path.data, merchant);
}

/* ---- what is open of it */

void bh_merchant_leave(bh_db *db, bh_merchant *merchant, bool dropped)
{
	merchant->leaving.merchant = merchant->name;
	bh_page_readers_leave(bh_fs_page_readers(db->fs), &merchant->leaving, dropped);
}

void bh_merchant_return(bh_db *db, bh_merchant *merchant)
{
	bh_page_readers_back(bh_fs_page_readers(db->fs), &merchant->leaving);
}

/* ---- dropping */

static bh_status drop_all(bh_db *db, bh_merchant *merchant, const char *crash_point)
{
	for (size_t i = 0; i < merchant->class_count; i++) {
		rocksdb_column_family_handle_t *handle = merchant->classes[i].handle;

		if (handle == NULL)
			continue;
		BH_TRY(drop_family(db, merchant, handle));
		rocksdb_column_family_handle_destroy(handle);
		merchant->classes[i].handle = NULL;
		bh_crash_point(crash_point);
	}
	return BH_OK;
}

/* With manual_wal_flush rows wait in RocksDB's memory to be appended to a WAL, and a WAL that cannot seal one of them takes no
 * write of anybody any more. So they are appended while there are keys and a family. Where that fails, the WAL has failed already.
 */
static void append_rows(const bh_db *db, const bh_merchant *merchant)
{
	char *error = NULL;

	rocksdb_flush_wal(db->rocks, 0, &error);
	if (bh_status_of_rocksdb(error) != BH_OK)
		bh_db_log(db, "merchant '%s': leaves while the WAL cannot be written: %s", merchant->name, bh_status_message());
}

bh_status bh_merchant_drop_families(bh_db *db, bh_merchant *merchant, const char *crash_point)
{
	append_rows(db, merchant);
	BH_TRY(drop_all(db, merchant, crash_point));
	bh_merchant_leave(db, merchant, true);
	return BH_OK;
}
