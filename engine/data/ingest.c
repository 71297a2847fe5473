/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest.c: sorted files into a class, and the Env that seals them.
 *
 * A file is taken only from the directory where its class's files wait. There the Env opens it for what its path says and refuses
 * one whose header was sealed under another class's DEK, so the place is the proof; without it RocksDB would read the file as what
 * it is, another merchant's, and write a copy under this class's DEK.
 */

#include <bulkhead/env.h>

#include <limits.h>
#include <stdlib.h>

#include "env/bridge/erase.h"
#include "engine/core/files.h"
#include "engine/core/flush.h"
#include "env/fs/page_check.h"
#include "engine/core/suppressed.h"
#include "engine/core/merchant.h"
#include "engine/core/gate.h"
#include "engine/core/db.h"

#define FLUSH_ROUNDS 3

static bh_status check_path(const bh_cf *cf, const char *path)
{
	const bh_merchant *merchant = cf->merchant;
	bh_path_info info;

	BH_TRY(bh_fs_classify(merchant->db->fs, path, &info));
	if (info.kind != BH_KIND_SST)
		return bh_fail(BH_E_INVALID, "%s: not the name of an SST file (.sst)", path);
	if (!info.staged || strcmp(info.scope.merchant, merchant->name) != 0 || strcmp(info.scope.cls, cf->cls->name) != 0)
		return bh_fail(BH_E_INVALID,
			       "%s: does not lie where files for '%s/%s' wait, %s/" BH_STAGING_DIR "/%s/%s (bh_staging_path())",
			       path, merchant->name, cf->cls->name, merchant->db->dir, merchant->name, cf->cls->name);
	return BH_OK;
}

/* Before RocksDB reads it, which asserts where the last entry cannot be read. */
static bh_status check_file(const bh_cf *cf, const char *path)
{
	bh_status status = bh_page_check(cf->merchant->db->fs, path, BH_PAGE_LOOK_WHOLE, NULL);

	return status == BH_E_NOT_FOUND ? bh_fail(BH_E_IO, "%s: is not there", path) : status;
}

static bh_status check_key(void *arg, bh_view key)
{
	const bh_cf *cf = arg;

	return bh_suppressed_check(cf->merchant->name, cf->cls, key);
}

/* Whether none of its rows was erased, and is kept out. */
static bh_status check_rows(bh_cf *cf, const char *path)
{
	if (!bh_suppressed_any(cf->cls))
		return BH_OK;
	return bh_fail_prefix(bh_bridge_sst_keys(cf->merchant->db->rocks, cf->cls->handle, path, check_key, cf), "%s", path);
}

static bh_status ingest_as(bh_cf *cf, const bh_ingest_options *options, const char *const *paths, size_t count, bool may_block)
{
	rocksdb_ingestexternalfileoptions_t *how = rocksdb_ingestexternalfileoptions_create();
	char *error = NULL;

	rocksdb_ingestexternalfileoptions_set_move_files(how, options != NULL && options->move);
	rocksdb_ingestexternalfileoptions_set_allow_blocking_flush(how, may_block);
	rocksdb_ingest_external_file_cf(cf->merchant->db->rocks, cf->cls->handle, paths, count, how, &error);
	rocksdb_ingestexternalfileoptions_destroy(how);
	return bh_status_of_rocksdb(error);
}

static bool wants_flush(bh_status status)
{
	return status != BH_OK && strstr(bh_status_message(), "requires flush") != NULL;
}

/* Rows of the same keys in the memtable are to be flushed first. RocksDB would do that with everybody's writes held back, for ever
 * if the flush does not succeed: so it is done before, and left to RocksDB only where new ones come all the time. */
static bh_status ingest_flushed(bh_cf *cf, const bh_ingest_options *options, const char *const *paths, size_t count)
{
	bh_status status = ingest_as(cf, options, paths, count, false);

	for (int round = 0; round < FLUSH_ROUNDS && wants_flush(status); round++) {
		BH_TRY(bh_family_flush(cf->merchant->db, cf->cls->handle, &cf->merchant->closing));
		status = ingest_as(cf, options, paths, count, false);
	}
	if (!wants_flush(status))
		return status;
	atomic_fetch_add(&cf->merchant->waiting, 1);
	status = ingest_as(cf, options, paths, count, true);
	atomic_fetch_sub(&cf->merchant->waiting, 1);
	return status;
}

static bh_status ingest_inside(bh_cf *cf, const bh_ingest_options *options, const char *const *paths, size_t count)
{
	BH_TRY(bh_room_check(cf->merchant->db->room));
	for (size_t i = 0; i < count; i++)
		BH_TRY(check_path(cf, paths[i]));
	for (size_t i = 0; i < count; i++)
		BH_TRY(check_file(cf, paths[i]));
	for (size_t i = 0; i < count; i++)
		BH_TRY(check_rows(cf, paths[i]));
	return ingest_flushed(cf, options, paths, count);
}

bh_status bh_ingest(bh_cf *cf, const bh_ingest_options *options, const char *const *paths, size_t count)
{
	bh_gate_ticket ticket;
	bh_status status;

	if (count == 0)
		return bh_fail(BH_E_INVALID, "no file to ingest");
	BH_TRY(bh_gate_enter_write(&cf->merchant->gate, cf->merchant->name, &ticket));
	status = ingest_inside(cf, options, paths, count);
	bh_gate_leave_write(&cf->merchant->gate, ticket);
	return bh_done(status);
}

/* ---- where they wait */

static bh_status check_name(const char *name)
{
	const size_t len = strlen(name), suffix = strlen(".sst");

	if (len <= suffix || strcmp(name + len - suffix, ".sst") != 0 || strchr(name, '/') != NULL || len > NAME_MAX)
		return bh_fail(BH_E_INVALID, "'%s': not the name of an SST file: NAME.sst, without a directory", name);
	return BH_OK;
}

/* Three levels, each durable in the one above it. */
static bh_status make_place(const bh_cf *cf, bh_buf *path)
{
	const char *const levels[] = { BH_STAGING_DIR, cf->merchant->name, cf->cls->name };

	BH_TRY(bh_buf_printf(path, "%s", cf->merchant->db->dir));
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		const size_t parent = path->len;
		bool made;

		BH_TRY(bh_buf_printf(path, "/%s", levels[i]));
		made = !bh_path_exists((const char *)path->data);
		BH_TRY(bh_dir_make((const char *)path->data));
		if (!bh_path_is_dir((const char *)path->data))
			return bh_fail(BH_E_FORMAT, "%s: is no directory; a link is not followed in the place of one",
				       (const char *)path->data);
		path->data[parent] = '\0';
		if (made)
			BH_TRY(bh_dir_sync((const char *)path->data));
		path->data[parent] = '/';
	}
	return BH_OK;
}

static bh_status staging_path_inside(const bh_cf *cf, const char *name, bh_buf *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_db_check_writable(cf->merchant->db));
	BH_TRY(check_name(name));
	BH_TRY(make_place(cf, &path));
	BH_TRY(bh_buf_printf(&path, "/%s", name));
	bh_buf_clear(out);
	*out = path;
	path = (bh_buf){ 0 };
	return BH_OK;
}

bh_status bh_staging_path(bh_cf *cf, const char *name, bh_buf *out)
{
	bh_gate_ticket ticket;
	bh_status status;

	BH_TRY(bh_gate_enter_write(&cf->merchant->gate, cf->merchant->name, &ticket));
	status = staging_path_inside(cf, name, out);
	bh_gate_leave_write(&cf->merchant->gate, ticket);
	return bh_done(status);
}

rocksdb_env_t *bh_db_env(bh_db *db)
{
	return db->env;
}
