/* SPDX-License-Identifier: Apache-2.0
 *
 * park.c: see park.h.
 */
#include "park.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "env/fs/copy.h"
#include "env/fs/small_file.h"
#include "env/files/raw_file.h"
#include "engine/core/files.h"
#include "inventory.h"
#include "keyring/base/crashpoint.h"

#define CURRENT_MAX (64u * 1024)

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
	const char *root;  /* the parked one, of which `to` is one ... */
	const char *below; /* ... "", or with a slash behind it */
	uint64_t logs;     /* the highest number of a WAL that is taken along */
	bool lenient;      /* its files are damaged: what can be had of them */
	bh_inventory *inventory;
} transfer;

static bh_status transfer_paths(const transfer *t, const char *name, bh_buf *from, bh_buf *to)
{
	BH_TRY(path_make(from, t->from, name));
	return path_make(to, t->to, name);
}

static bh_status note_taken(const transfer *t, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	bh_status status;

	BH_TRY(bh_buf_printf(&path, "%s%s", t->below, name));
	status = bh_inventory_add(t->inventory, t->root, text(&path));
	return t->lenient && t->below[0] != '\0' && status == BH_E_IO ? BH_OK : status;
}

static bh_status copy_one(const transfer *t, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };

	BH_TRY(transfer_paths(t, name, &from, &to));
	BH_TRY(bh_stream_copy(text(&from), text(&to)));
	return note_taken(t, name);
}

static bh_status link_one(const transfer *t, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };
	bh_status status;

	BH_TRY(transfer_paths(t, name, &from, &to));
	status = bh_file_link(text(&from), text(&to));
	/* What a job that is ending removes by itself is in no MANIFEST. */
	if (status == BH_E_NOT_FOUND)
		return BH_OK;
	BH_TRY(status);
	return note_taken(t, name);
}

/* One that is still being written is in no MANIFEST either, and would not stay what the inventory says. */
static bh_status link_page_file(void *arg, const char *name)
{
	const transfer *t = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_raw_close) int fd = -1;
	bh_page_claim *claim = NULL;
	bh_status status;

	BH_TRY(path_make(&from, t->from, name));
	if (bh_is_temp_name(name) || !bh_path_is_file(text(&from)))
		return BH_OK;
	status = bh_page_claim_open(bh_fs_page_readers(t->db->fs), text(&from), &fd, &claim);
	if (status != BH_OK && !t->lenient)
		return status;
	/* One that cannot be read can be linked all the same; if not, bh_park_rest() moves it. */
	if (claim != NULL || status != BH_OK)
		status = link_one(t, name);
	bh_page_claim_end(claim);
	return t->lenient && status == BH_E_IO ? BH_OK : status;
}

/* A WAL that is closed is synced, but for its last sync mark. */
static bh_status link_log(const transfer *t, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };

	BH_TRY(path_make(&from, t->from, name));
	BH_TRY(bh_file_sync(text(&from)));
	return link_one(t, name);
}

/* A WAL that is still written to would go on growing through a link. */
static bh_status take_log(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	const transfer *t = arg;
	bh_path_info info;

	BH_TRY(path_make(&from, t->from, name));
	if (bh_fs_classify(t->db->fs, text(&from), &info) != BH_OK || info.kind != BH_KIND_WAL || info.number > t->logs)
		return BH_OK;
	return bh_fs_is_live(t->db->fs, text(&from)) ? copy_one(t, name) : link_log(t, name);
}

/* While a database is being opened nobody writes to these two, and RocksDB begins others: a link will do, which a full disk has
 * room for. */
static bh_status take_stream(const transfer *t, const char *name)
{
	return t->db->rocks != NULL ? copy_one(t, name) : link_log(t, name);
}

/* CURRENT before the MANIFEST that it names: a MANIFEST begun in between is not missed, since the old one says the same. */
static bh_status take_manifest(const transfer *t)
{
	BH_CLEANUP(bh_buf_clear) bh_buf copy = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf name = { 0 };

	BH_TRY(take_stream(t, "CURRENT"));
	BH_TRY(path_make(&copy, t->to, "CURRENT"));
	BH_TRY(bh_stream_read_small(text(&copy), bh_fs_scopes(t->db->fs), CURRENT_MAX, &name));
	if (name.len < 2 || name.data[name.len - 1] != '\n' || memchr(name.data, '/', name.len) != NULL)
		return bh_fail(BH_E_FORMAT, "%s/CURRENT: names no MANIFEST", t->from);
	name.data[name.len - 1] = '\0';
	return take_stream(t, text(&name));
}

static bh_status take_class(void *arg, const char *cls)
{
	const transfer *parent = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf below = { 0 };
	transfer t = *parent;
	bh_status status;

	BH_TRY(transfer_paths(parent, cls, &from, &to));
	BH_TRY(bh_buf_printf(&below, "%s%s/", parent->below, cls));
	t.from = text(&from);
	t.to = text(&to);
	t.below = text(&below);
	if (t.lenient && !bh_path_is_dir(t.from))
		return BH_OK;
	BH_TRY(bh_dir_make(t.to));
	status = bh_dir_each(t.from, link_page_file, &t);
	if (status != BH_OK && !t.lenient)
		return status;
	return bh_dir_sync(t.to);
}

static bh_status take_classes(const transfer *parent, const char *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf source = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf target = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf below = { 0 };
	transfer t = *parent;

	BH_TRY(path_make(&target, t.root, BH_TENANTS_DIR));
	BH_TRY(bh_dir_make(text(&target)));
	BH_TRY(bh_buf_printf(&target, "/%s", merchant));
	BH_TRY(bh_dir_make(text(&target)));
	BH_TRY(bh_buf_printf(&source, "%s/" BH_TENANTS_DIR "/%s", parent->from, merchant));
	BH_TRY(bh_buf_printf(&below, BH_TENANTS_DIR "/%s/", merchant));
	t.from = text(&source);
	t.to = text(&target);
	t.below = text(&below);
	if (!t.lenient || bh_path_is_dir(t.from))
		BH_TRY(bh_dir_each(t.from, take_class, &t));
	BH_TRY(bh_dir_sync(t.to));
	BH_TRY(path_make(&target, t.root, BH_TENANTS_DIR));
	return bh_dir_sync(text(&target));
}

static bh_status take_all(bh_db *db, const char *to, const bh_merchant_info *merchant, uint64_t logs)
{
	BH_CLEANUP(bh_inventory_clear) bh_inventory inventory = { 0 };
	transfer t = { db, db->dir, to, to, "", logs, merchant->cause == BH_SUSPEND_DAMAGED, &inventory };

	BH_TRY(bh_dir_make(to));
	BH_TRY(take_manifest(&t));
	if (logs > 0)
		BH_TRY(bh_dir_each(db->dir, take_log, &t));
	bh_crash_point("suspend.parking");
	BH_TRY(take_classes(&t, merchant->name));
	if (bh_inventory_is_due(merchant))
		BH_TRY(bh_inventory_store(&inventory, db->fs, to, merchant));
	bh_crash_point("suspend.inventory");
	return bh_dir_sync(to);
}

static bh_status put_in_place(const char *parent, const char *from, const char *to)
{
	if (rename(from, to) != 0)
		return bh_fail(BH_E_IO, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
	return bh_dir_sync(parent);
}

/* Removes DB/parked/<prefix><merchant>, which the next open would do as well. */
static bh_status discard(const bh_db *db, const char *prefix, const char *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf parent = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf name = { 0 };

	BH_TRY(bh_parked_path(db, "", &parent));
	BH_TRY(bh_buf_printf(&name, "%s%s", prefix, merchant));
	return bh_tree_discard(text(&parent), text(&name));
}

bh_status bh_park(bh_db *db, const char *merchant, uint64_t logs)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf parent = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf new_path = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	bh_status status;

	BH_TRY(bh_keyring_merchant(db->keyring, merchant, &info));
	BH_TRY(bh_parked_path(db, "", &parent));
	BH_TRY(bh_parked_path(db, merchant, &path));
	if (bh_path_exists(text(&path)))
		return bh_fail(BH_E_EXISTS, "%s: is there already", text(&path));
	BH_TRY(bh_dir_make(text(&parent)));
	BH_TRY(bh_dir_sync(db->dir));
	BH_TRY(discard(db, BH_PARKED_NEW_PREFIX, merchant));
	BH_TRY(bh_buf_printf(&new_path, "%s/" BH_PARKED_NEW_PREFIX "%s", text(&parent), merchant));
	/* What is copied here under a DEK of the platform's has to be seen by who destroys that. */
	pthread_mutex_lock(&db->parking);
	status = take_all(db, text(&new_path), &info, logs);
	if (status == BH_OK)
		status = put_in_place(text(&parent), text(&new_path), text(&path));
	pthread_mutex_unlock(&db->parking);
	return status;
}

/* A rename that was not synced may have been reported as a failure, and be found by the next try. */
bh_status bh_park_make_durable(const bh_db *db)
{
	BH_CLEANUP(bh_buf_clear) bh_buf parent = { 0 };

	BH_TRY(bh_parked_path(db, "", &parent));
	return bh_dir_sync(text(&parent));
}

/* ---- on the way back */

/* The link first, then the look at it: what is looked at is what is used. */
static bh_status lend_one(const char *parked, const char *to, const bh_parked_file *file)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf target = { 0 };
	bh_status status;
	char *slash;

	BH_TRY(path_make(&from, parked, file->path));
	BH_TRY(path_make(&target, to, file->path));
	slash = strrchr((char *)target.data, '/');
	*slash = '\0';
	BH_TRY(bh_dir_make(text(&target)));
	*slash = '/';
	status = bh_file_link(text(&from), text(&target));
	if (status == BH_OK)
		return bh_inventory_check(file, to);
	BH_TRY(bh_inventory_check(file, parked));
	return bh_fail(status, "%s: cannot be linked to %s", text(&from), text(&target));
}

/* Of a merchant whose files are damaged, and for a salvage: SSTs and blob files as they lie there, not as they were parked. */
static bool is_found(const bh_merchant_info *merchant, const bh_parked_file *file, const bh_buf *report)
{
	return (merchant->cause == BH_SUSPEND_DAMAGED || report != NULL) && strchr(file->path, '/') != NULL;
}

static bool is_log(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && strcmp(name + len - 4, ".log") == 0;
}

/* `report` not NULL: a log that is not as it was goes without. */
static bh_status lend_or_leave(const char *parked, const char *to, const bh_parked_file *file, bh_buf *report)
{
	BH_CLEANUP(bh_buf_clear) bh_buf target = { 0 };
	bh_status status = lend_one(parked, to, file);

	if (status == BH_OK || report == NULL || !is_log(file->path))
		return status;
	const bh_message why = bh_message_keep();

	BH_TRY(path_make(&target, to, file->path));
	(void)unlink(text(&target));
	return bh_buf_printf(report, "lost: %s: %s\n", file->path, why.text);
}

static bh_status lend_found_pages(bh_db *db, const char *parked, const char *to, const bh_merchant_info *merchant)
{
	BH_CLEANUP(bh_inventory_clear) bh_inventory unused = { 0 };

	return take_classes(&(transfer){ db, parked, to, to, "", 0, true, &unused }, merchant->name);
}

static bh_status lend_listed(bh_db *db, const char *parked, const char *to, const bh_merchant_info *merchant, bh_buf *report)
{
	BH_CLEANUP(bh_inventory_clear) bh_inventory inventory = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf dir = { 0 };

	BH_TRY(bh_inventory_load(parked, db->fs, merchant, &inventory));
	BH_TRY(path_make(&dir, to, BH_TENANTS_DIR));
	BH_TRY(bh_dir_make(text(&dir)));
	BH_TRY(bh_buf_printf(&dir, "/%s", merchant->name));
	BH_TRY(bh_dir_make(text(&dir)));
	for (size_t i = 0; i < inventory.count; i++)
		if (!is_found(merchant, &inventory.files[i], report))
			BH_TRY(lend_or_leave(parked, to, &inventory.files[i], report));
	return merchant->cause == BH_SUSPEND_DAMAGED || report != NULL ? lend_found_pages(db, parked, to, merchant) : BH_OK;
}

static bh_status lend_found(void *arg, const char *name)
{
	const transfer *t = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };

	BH_TRY(path_make(&from, t->from, name));
	return bh_path_is_file(text(&from)) && !bh_is_temp_name(name) ? link_one(t, name) : BH_OK;
}

/* A build without inventories parked it: all that is there. */
static bh_status lend_all(bh_db *db, const char *parked, const char *to, const bh_merchant_info *merchant)
{
	BH_CLEANUP(bh_inventory_clear) bh_inventory unused = { 0 };
	transfer t = { db, parked, to, to, "", BH_PARK_ALL_LOGS, false, &unused };

	bh_db_log(db,
		  "merchant '%s': was suspended by a build that made no inventory, so that a log that is missing is not noticed",
		  merchant->name);
	BH_TRY(bh_dir_each(parked, lend_found, &t));
	return take_classes(&t, merchant->name);
}

/* The inventory itself may be what is lost. */
static bh_status lend_left(bh_db *db, const char *parked, const char *to, const bh_merchant_info *merchant, bh_buf *report)
{
	bh_status status = lend_listed(db, parked, to, merchant, report);

	if (status == BH_OK || strstr(bh_status_message(), "/" BH_INVENTORY_FILE) == NULL)
		return status;
	BH_TRY(bh_buf_printf(report, "lost: %s\n", bh_status_message()));
	return lend_all(db, parked, to, merchant);
}

static bh_status lend(bh_db *db, const char *merchant, bh_buf *path_out, bh_buf *report)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf parked = { 0 };

	BH_TRY(bh_parked_path(db, merchant, &parked));
	if (!bh_is_parked(db, merchant))
		return bh_fail(BH_E_FORMAT, "%s: is missing; restore it from a backup", text(&parked));
	BH_TRY(bh_keyring_merchant(db->keyring, merchant, &info));
	BH_TRY(discard(db, BH_PARKED_LENT_PREFIX, merchant));
	BH_TRY(bh_buf_printf(path_out, "%s/" BH_PARKED_DIR "/" BH_PARKED_LENT_PREFIX "%s", db->dir, merchant));
	BH_TRY(bh_dir_make(text(path_out)));
	if (!bh_inventory_is_due(&info))
		return lend_all(db, text(&parked), text(path_out), &info);
	return report != NULL ? lend_left(db, text(&parked), text(path_out), &info, report)
			      : lend_listed(db, text(&parked), text(path_out), &info, NULL);
}

bh_status bh_park_lend(bh_db *db, const char *merchant, bh_buf *path_out)
{
	return lend(db, merchant, path_out, NULL);
}

bh_status bh_park_lend_left(bh_db *db, const char *merchant, bh_buf *path_out, bh_buf *report)
{
	return lend(db, merchant, path_out, report);
}

void bh_park_name_lent(char *message, const char *merchant)
{
	char lent[BH_NAME_MAX + sizeof(BH_PARKED_LENT_PREFIX) + 2], *at;
	const size_t skip = strlen(BH_PARKED_LENT_PREFIX);

	snprintf(lent, sizeof(lent), "/" BH_PARKED_LENT_PREFIX "%s/", merchant);
	while ((at = strstr(message, lent)) != NULL)
		memmove(at + 1, at + 1 + skip, strlen(at + 1 + skip) + 1);
}

void bh_park_lend_end(const bh_db *db, const char *merchant)
{
	if (discard(db, BH_PARKED_LENT_PREFIX, merchant) != BH_OK)
		bh_db_log(db, "%s", bh_status_message());
}

bh_status bh_unpark(const bh_db *db, const char *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf parent = { 0 };

	BH_TRY(bh_parked_path(db, "", &parent));
	if (!bh_path_exists(text(&parent)))
		return BH_OK;
	BH_TRY(discard(db, BH_PARKED_NEW_PREFIX, merchant));
	BH_TRY(discard(db, BH_PARKED_LENT_PREFIX, merchant));
	return bh_tree_remove(text(&parent), merchant);
}

bool bh_park_is_leftover(const char *name)
{
	return strncmp(name, BH_PARKED_NEW_PREFIX, strlen(BH_PARKED_NEW_PREFIX)) == 0 ||
	       strncmp(name, BH_PARKED_LENT_PREFIX, strlen(BH_PARKED_LENT_PREFIX)) == 0;
}

static bh_status remove_leftover(void *arg, const char *name)
{
	return bh_park_is_leftover(name) ? bh_tree_remove(arg, name) : BH_OK;
}

bh_status bh_park_remove_leftovers(const bh_db *db)
{
	BH_CLEANUP(bh_buf_clear) bh_buf parent = { 0 };

	BH_TRY(bh_parked_path(db, "", &parent));
	return bh_dir_each(text(&parent), remove_leftover, parent.data);
}
