/* SPDX-License-Identifier: Apache-2.0
 *
 * drop.c: a merchant's column families leave the live database.
 */
#include "drop.h"

#include <bulkhead/env.h>

#include <string.h>
#include <time.h>

#include "env/bridge/move.h"
#include "env/files/raw_file.h"
#include "files.h"
#include "options_file.h"
#include "watch.h"
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

/* ---- waiting */

/* What RocksDB is to let go of. */
typedef struct leaving {
	const bh_db *db;
	const bh_merchant *merchant;
	const char *cls;
	bh_buf files; /* paths, each with its NUL */
	bool writing; /* a file is being written */
} leaving;

static void leaving_clear(leaving *l)
{
	bh_buf_clear(&l->files);
}

static bh_status class_path(const leaving *l, const char *name, bh_buf *out)
{
	return bh_buf_printf(out, "%s/" BH_TENANTS_DIR "/%s/%s/%s", l->db->dir, l->merchant->name, l->cls, name);
}

static bh_status note_file(void *arg, const char *name)
{
	leaving *l = arg;

	while (*name == '/')
		name++;
	BH_TRY(class_path(l, name, &l->files));
	return bh_buf_append_u8(&l->files, 0);
}

static const char *last_file(const bh_buf *files)
{
	size_t at = files->len - 1;

	while (at > 0 && files->data[at - 1] != '\0')
		at--;
	return (const char *)files->data + at;
}

static bool are_removed(leaving *l)
{
	while (l->files.len > 0) {
		const char *path = last_file(&l->files);

		if (bh_path_exists(path))
			return false;
		l->files.len = (size_t)((const uint8_t *)path - l->files.data);
	}
	return true;
}

/* Who writes a file has claimed it. */
static bh_status look_at(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(bh_raw_close) int fd = -1;
	bh_page_claim *claim = NULL;
	leaving *l = arg;

	BH_TRY(class_path(l, name, &path));
	if (l->writing || bh_is_temp_name(name) || !bh_path_is_file((const char *)path.data))
		return BH_OK;
	BH_TRY(bh_page_claim_open(bh_fs_page_readers(l->db->fs), (const char *)path.data, &fd, &claim));
	l->writing = claim == NULL && bh_path_exists((const char *)path.data);
	bh_page_claim_end(claim);
	return BH_OK;
}

static bool is_writing(leaving *l)
{
	l->writing = false;
	for (size_t i = 0; i < l->merchant->class_count && !l->writing; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

		l->cls = l->merchant->classes[i].name;
		if (class_path(l, "", &path) != BH_OK || bh_dir_each((const char *)path.data, look_at, l) != BH_OK)
			l->writing = true;
	}
	return l->writing;
}

static void wait_for_jobs(leaving *l)
{
	const struct timespec pause = { .tv_nsec = 2000000 };

	for (int waited_ms = 0; waited_ms < DRAIN_WAIT_MS; waited_ms += 2) {
		if (are_removed(l) && !is_writing(l))
			return;
		nanosleep(&pause, NULL);
	}
	bh_db_log(l->db, "merchant '%s': something still holds its files open (a raw handle or iterator?)", l->merchant->name);
}

/* ---- dropping */

static bh_status drop_all(bh_db *db, bh_merchant *merchant, leaving *l, const char *crash_point)
{
	for (size_t i = 0; i < merchant->class_count; i++) {
		rocksdb_column_family_handle_t *handle = merchant->classes[i].handle;

		if (handle == NULL)
			continue;
		l->cls = merchant->classes[i].name;
		BH_TRY(bh_bridge_family_files(db->rocks, handle, note_file, l));
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
	BH_CLEANUP(leaving_clear) leaving l = { .db = db, .merchant = merchant };

	append_rows(db, merchant);
	BH_TRY(drop_all(db, merchant, &l, crash_point));
	wait_for_jobs(&l);
	return BH_OK;
}
