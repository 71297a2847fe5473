/* SPDX-License-Identifier: Apache-2.0
 *
 * drop.c: a merchant's column families leave the live database.
 */
#include "drop.h"

#include <bulkhead/env.h>

#include <string.h>
#include <time.h>

#include "files.h"
#include "options_file.h"
#include "keyring/base/crashpoint.h"
#include "keyring/base/base.h"

#define DRAIN_WAIT_MS 10000 /* how long RocksDB may take to let go of a dropped family's files */

/* With fail_if_options_file_error RocksDB says that a drop failed when it is done, and durable, but the OPTIONS file was not
 * written. Nobody's keys stay in use for that. */
static bh_status drop_family(bh_db *db, const bh_merchant *merchant, rocksdb_column_family_handle_t *handle)
{
	char *error = NULL, *again = NULL;
	bh_status status;

	bh_options_file_hold(db);
	rocksdb_drop_column_family(db->rocks, handle, &error);
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

bh_status bh_merchant_drop_families(bh_db *db, bh_merchant *merchant, const char *crash_point)
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

/* What a reseal leaves is not RocksDB's. */
static bh_status note_entry(void *arg, const char *name)
{
	bool *empty = arg;

	*empty = *empty && bh_is_temp_name(name);
	return BH_OK;
}

static bool is_let_go(const bh_db *db, const bh_merchant *merchant)
{
	bool empty = true;

	for (size_t i = 0; i < merchant->class_count && empty; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

		if (bh_buf_printf(&path, "%s/" BH_TENANTS_DIR "/%s/%s", db->dir, merchant->name, merchant->classes[i].name) !=
			    BH_OK ||
		    bh_dir_each((const char *)path.data, note_entry, &empty) != BH_OK)
			empty = false;
	}
	return empty;
}

bool bh_merchant_wait_for_jobs(const bh_db *db, const bh_merchant *merchant)
{
	const struct timespec pause = { .tv_nsec = 2000000 };

	for (int waited_ms = 0; waited_ms < DRAIN_WAIT_MS; waited_ms += 2) {
		if (is_let_go(db, merchant))
			return true;
		nanosleep(&pause, NULL);
	}
	bh_db_log(db, "merchant '%s': something still holds its files open (a raw handle or iterator?)", merchant->name);
	return false;
}
