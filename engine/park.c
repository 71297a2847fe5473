/* SPDX-License-Identifier: Apache-2.0
 *
 * park.c: see park.h.
 */
#include "park.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "env/copy.h"
#include "files.h"
#include "keyring/crashpoint.h"

static const char *text(const bh_buf *buf)
{
	return (const char *)buf->data;
}

static bh_status path_make(bh_buf *out, const char *dir, const char *name)
{
	out->len = 0;
	return bh_buf_printf(out, "%s/%s", dir, name);
}

bh_status bh_parked_path(const bh_db *db, const char *merchant, bh_buf *out)
{
	return bh_buf_printf(out, merchant[0] != '\0' ? "%s/%s/%s" : "%s/%s%s", db->dir, BH_PARKED_DIR, merchant);
}

bool bh_is_parked(const bh_db *db, const char *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	return bh_parked_path(db, merchant, &path) == BH_OK && bh_path_exists(text(&path));
}

/* One copy or link at a time: from a directory of the live database to one below the parked one. */
typedef struct transfer {
	bh_db *db;
	const char *from; /* directories */
	const char *to;
	uint64_t logs; /* the highest number of a WAL that is taken along */
} transfer;

static bh_status transfer_paths(const transfer *t, const char *name, bh_buf *from, bh_buf *to)
{
	BH_TRY(path_make(from, t->from, name));
	return path_make(to, t->to, name);
}

static bh_status copy_one(const transfer *t, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };

	BH_TRY(transfer_paths(t, name, &from, &to));
	return bh_stream_copy(text(&from), text(&to));
}

static bh_status link_one(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };
	const transfer *t = arg;
	bh_status status;

	if (bh_is_temp_name(name))
		return BH_OK;
	BH_TRY(transfer_paths(t, name, &from, &to));
	status = bh_file_link(text(&from), text(&to));
	/* What a job that is ending removes by itself is in no MANIFEST. */
	return status == BH_E_NOT_FOUND ? BH_OK : status;
}

/* A WAL that is still written to would go on growing through a link. */
static bh_status take_log(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	transfer *t = arg;
	bh_path_info info;

	BH_TRY(path_make(&from, t->from, name));
	if (bh_fs_classify(t->db->fs, text(&from), &info) != BH_OK || info.kind != BH_KIND_WAL || info.number > t->logs)
		return BH_OK;
	return bh_fs_is_live(t->db->fs, text(&from)) ? copy_one(t, name) : link_one(t, name);
}

/* CURRENT before the MANIFEST that it names: a MANIFEST begun in between is not missed, since the old one says the same. */
static bh_status take_manifest(const transfer *t)
{
	BH_CLEANUP(bh_buf_clear) bh_buf copy = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf name = { 0 };

	BH_TRY(copy_one(t, "CURRENT"));
	BH_TRY(path_make(&copy, t->to, "CURRENT"));
	BH_TRY(bh_stream_read_small(text(&copy), bh_fs_scopes(t->db->fs), &name));
	if (name.len < 2 || name.data[name.len - 1] != '\n' || memchr(name.data, '/', name.len) != NULL)
		return bh_fail(BH_E_FORMAT, "%s/CURRENT: names no MANIFEST", t->from);
	name.data[name.len - 1] = '\0';
	return copy_one(t, text(&name));
}

static bh_status take_class(void *arg, const char *cls)
{
	const transfer *parent = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };
	transfer t = { .db = parent->db };

	BH_TRY(transfer_paths(parent, cls, &from, &to));
	t.from = text(&from);
	t.to = text(&to);
	BH_TRY(bh_dir_make(t.to));
	BH_TRY(bh_dir_each(t.from, link_one, &t));
	return bh_dir_sync(t.to);
}

static bh_status take_classes(bh_db *db, const char *to, const char *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf source = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf target = { 0 };
	transfer t = { .db = db };

	BH_TRY(path_make(&target, to, BH_TENANTS_DIR));
	BH_TRY(bh_dir_make(text(&target)));
	BH_TRY(bh_buf_printf(&target, "/%s", merchant));
	BH_TRY(bh_dir_make(text(&target)));
	BH_TRY(bh_buf_printf(&source, "%s/" BH_TENANTS_DIR "/%s", db->dir, merchant));
	t.from = text(&source);
	t.to = text(&target);
	BH_TRY(bh_dir_each(t.from, take_class, &t));
	BH_TRY(bh_dir_sync(t.to));
	BH_TRY(path_make(&target, to, BH_TENANTS_DIR));
	return bh_dir_sync(text(&target));
}

static bh_status take_all(bh_db *db, const char *to, const char *merchant, uint64_t logs)
{
	transfer t = { .db = db, .from = db->dir, .to = to, .logs = logs };

	BH_TRY(bh_dir_make(to));
	BH_TRY(take_manifest(&t));
	if (logs > 0)
		BH_TRY(bh_dir_each(db->dir, take_log, &t));
	bh_crash_point("suspend.parking");
	BH_TRY(take_classes(db, to, merchant));
	return bh_dir_sync(to);
}

static bh_status put_in_place(const char *parent, const char *from, const char *to)
{
	if (rename(from, to) != 0)
		return bh_fail(BH_E_IO, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
	return bh_dir_sync(parent);
}

bh_status bh_park(bh_db *db, const char *merchant, uint64_t logs)
{
	BH_CLEANUP(bh_buf_clear) bh_buf parent = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf new_path = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_parked_path(db, "", &parent));
	BH_TRY(bh_parked_path(db, merchant, &path));
	if (bh_path_exists(text(&path)))
		return bh_fail(BH_E_EXISTS, "%s: is there already", text(&path));
	BH_TRY(bh_dir_make(text(&parent)));
	BH_TRY(bh_dir_sync(db->dir));
	BH_TRY(bh_buf_printf(&new_path, "%s/" BH_PARKED_NEW_PREFIX "%s", text(&parent), merchant));
	BH_TRY(bh_tree_remove(text(&parent), strrchr(text(&new_path), '/') + 1));
	BH_TRY(take_all(db, text(&new_path), merchant, logs));
	return put_in_place(text(&parent), text(&new_path), text(&path));
}

bh_status bh_unpark(const bh_db *db, const char *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf parent = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf unfinished = { 0 };

	BH_TRY(bh_parked_path(db, "", &parent));
	if (!bh_path_exists(text(&parent)))
		return BH_OK;
	BH_TRY(bh_buf_printf(&unfinished, BH_PARKED_NEW_PREFIX "%s", merchant));
	BH_TRY(bh_tree_remove(text(&parent), text(&unfinished)));
	return bh_tree_remove(text(&parent), merchant);
}

static bh_status remove_leftover(void *arg, const char *name)
{
	return strncmp(name, BH_PARKED_NEW_PREFIX, strlen(BH_PARKED_NEW_PREFIX)) == 0 ? bh_tree_remove(arg, name) : BH_OK;
}

bh_status bh_park_remove_leftovers(const bh_db *db)
{
	BH_CLEANUP(bh_buf_clear) bh_buf parent = { 0 };

	BH_TRY(bh_parked_path(db, "", &parent));
	return bh_dir_each(text(&parent), remove_leftover, parent.data);
}
