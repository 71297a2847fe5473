/* SPDX-License-Identifier: Apache-2.0
 *
 * open.c: a database is opened.
 *
 * The keyring (locked, its chain checked), the DEKs of the living merchants (cold.c: who has none is detached), the Env,
 * the list of column families out of the MANIFEST, RocksDB's own recovery, then what a crash interrupted. Each step undoes nothing
 * of the ones before: a failing open loses nothing.
 */
#include "engine/door/door.h"
#include "engine/rotation/keeper.h"
#include "engine/wall/leaser.h"
#include "engine/wall/quarantine.h"
#include "engine/rotation/survey.h"

#include <bulkhead/env.h>

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bulkhead/db.h>

#include "keyring/base/image.h"
#include "env/bridge/bridge.h"
#include "env/fs/fresh_check.h"
#include "env/fs/path.h"
#include "engine/core/family.h"
#include "engine/core/family_set.h"
#include "engine/core/files.h"
#include "engine/core/home.h"
#include "engine/core/merchant.h"
#include "engine/core/class.h"
#include "engine/erase/erase_open.h"
#include "engine/wall/leases.h"
#include "engine/wall/cold.h"
#include "opened_with.h"
#include "settings.h"
#include "engine/shred/shred.h"
#include "keyring/manifest/shred_record.h"
#include "engine/core/gate.h"
#include "engine/core/watch.h"
#include "engine/erase/suppress.h"

/* ---- what a kill left */

/* RocksDB removes its other temporary files by itself, and these never. What is no file is nobody's leftover. */
static bool is_leftover(const struct dirent *entry)
{
	return entry->d_type != DT_DIR && (bh_is_temp_name(entry->d_name) || bh_path_is_new_options(entry->d_name));
}

/* What a kill left: a log whose header was not durable, so that it never had its name and nothing in it was acknowledged; a file
 * that was being resealed, which has its name in either case. */
static bh_status remove_leftovers(const char *path)
{
	bh_status status = BH_OK;
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (dir == NULL)
		return errno == ENOENT ? BH_OK : bh_fail(BH_E_IO, "%s: cannot be listed: %s", path, strerror(errno));
	while (status == BH_OK && (entry = readdir(dir)) != NULL)
		if (is_leftover(entry) && unlinkat(dirfd(dir), entry->d_name, 0) != 0)
			status = bh_fail(BH_E_IO, "%s/%s: cannot be removed: %s", path, entry->d_name, strerror(errno));
	closedir(dir);
	return status;
}

static bh_status remove_leftovers_in(const bh_db *db, const char *place, const bh_merchant_info *merchant, const char *cls)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/%s/%s/%s", db->dir, place, merchant->name, cls));
	return remove_leftovers((const char *)path.data);
}

static bh_status remove_class_leftovers(bh_db *db, const bh_merchant_info *merchant)
{
	/* It may be a directory that cannot be read, or none. */
	if (merchant->cause == BH_SUSPEND_DAMAGED)
		return BH_OK;
	for (size_t i = 0; i < merchant->class_count; i++) {
		BH_TRY(remove_leftovers_in(db, BH_TENANTS_DIR, merchant, merchant->classes[i]));
		BH_TRY(remove_leftovers_in(db, BH_STAGING_DIR, merchant, merchant->classes[i]));
	}
	return BH_OK;
}

/* ---- opening */

static bh_status open_keyring(bh_db *db, const bh_db_options *options, bh_keyring **out)
{
	bh_keyring_options keyring_options = { .kms = options->kms,
					       .generation_floor = options->generation_floor,
					       .actor = options->actor,
					       .pin = options->pin,
					       .pin_changed = options->pin_changed,
					       .pin_arg = options->pin_arg,
					       .inspect = bh_fresh_inspect,
					       .audit_optional = db->read_only && options->audit_optional };
	bh_audit_position floor;

	if (options->audit_floor != NULL) {
		BH_TRY(bh_audit_floor_parse(options->audit_floor, &floor));
		keyring_options.audit_floor = &floor;
	}
	return bh_keyring_open(db->dir, &keyring_options, !db->read_only, out);
}

/* Calls `each` for all merchants of the keyring, tombstones included, until one fails. */
static bh_status for_merchants(bh_db *db, bh_status (*each)(bh_db *db, const bh_merchant_info *info))
{
	bh_merchant_info *infos = NULL;
	bh_status status = BH_OK;
	size_t count = 0;

	BH_TRY(bh_keyring_merchants(db->keyring, &infos, &count));
	for (size_t i = 0; i < count; i++) {
		if (status == BH_OK)
			status = each(db, &infos[i]);
		bh_merchant_info_clear(&infos[i]);
	}
	free(infos);
	return status;
}

static bh_status start_env(bh_db *db, bh_keyring *keyring)
{
	bh_status status = bh_fs_new(db->dir, keyring, &db->fs);

	if (status != BH_OK) {
		bh_keyring_close(keyring);
		return status;
	}
	db->keyring = keyring;
	status = bh_bridge_env_new(db->fs, &db->env);
	if (status != BH_OK) {
		bh_fs_free(db->fs);
		return status;
	}
	rocksdb_options_set_env(db->options, db->env);
	bh_fs_set_room(db->fs, db->room);
	return BH_OK;
}

/* Gives each handle to its merchant's class; closes those that have none (the Env shows no families of strangers, so there are
 * none). */
static bh_status adopt_family(bh_db *db, const char *name, rocksdb_column_family_handle_t *handle)
{
	bh_merchant *merchant;
	bh_class *cls;
	bh_scope scope;

	BH_TRY(bh_cf_name_parse(bh_view_str(name), &scope));
	if (bh_scope_is_platform(&scope)) {
		db->default_cf = handle;
		return BH_OK;
	}
	merchant = bh_merchant_find(db, scope.merchant);
	cls = merchant != NULL ? bh_merchant_class(merchant, scope.cls) : NULL;
	if (cls != NULL)
		cls->handle = handle;
	if (merchant != NULL)
		bh_merchant_unref(merchant);
	if (cls != NULL)
		return BH_OK;
	rocksdb_column_family_handle_destroy(handle);
	return bh_fail(
		BH_E_FORMAT,
		"%s: the MANIFEST has the column family '%s', but the keyring has no such class; one of them was rolled back",
		db->dir, name);
}

static bh_status open_rocksdb(bh_db *db)
{
	BH_CLEANUP(bh_family_set_clear) bh_family_set set = { 0 };
	bh_status status = BH_OK;

	rocksdb_options_set_create_if_missing(db->options, !bh_dir_has(db->dir, "CURRENT"));
	BH_TRY(bh_family_set_open(db->options, db->caches, db->dir, db->read_only, &set, &db->rocks));
	for (size_t i = 0; i < set.count; i++) {
		bh_status adopted = adopt_family(db, set.names[i], set.handles[i]);

		status = status == BH_OK ? adopted : status;
	}
	BH_TRY(status);
	return bh_bridge_check_handles(db->rocks, db->default_cf, db->dir);
}

/* RocksDB opens as a whole or not at all: whose files it fails on is detached, and the others are opened. Each round has one
 * merchant less at least. */
static bh_status open_without_hurt(bh_db *db)
{
	bh_status status;
	bool any;

	for (status = open_rocksdb(db); status != BH_OK && db->rocks == NULL; status = open_rocksdb(db)) {
		const bh_message message = bh_message_keep();

		if (status == BH_E_UNSUPPORTED) /* a newer RocksDB wrote it: nobody's damage */
			return status;
		(void)bh_quarantine_named(db, message.text);
		bh_cold_inspect_named(db, message.text);
		BH_TRY(bh_cold_detach_hurt(db, &any));
		if (!any)
			return bh_fail(status, "%s", message.text);
	}
	return status;
}

/* Without CURRENT there is no database. That is right just once, before the first merchant or rotation; later it means that CURRENT
 * is lost, and RocksDB must not begin anew over the files. */
static bh_status check_current(bh_db *db)
{
	bh_dek_info *deks = NULL;
	size_t count = 0;

	if (bh_dir_has(db->dir, "CURRENT"))
		return BH_OK;
	BH_TRY(bh_keyring_deks(db->keyring, &deks, &count));
	free(deks);
	if (count <= 1)
		return BH_OK;
	return bh_fail(BH_E_FORMAT,
		       "%s: CURRENT is missing, but the keyring knows of merchants, or of a rotation; restore it from a backup",
		       db->dir);
}

static bh_status copy_settings(bh_db *db, const char *dir, const bh_db_options *options)
{
	db->log = options->log;
	db->log_arg = options->log_arg;
	db->read_only = options->read_only;
	db->dir = strdup(dir);
	return db->dir != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "%s: no memory", dir);
}

static bh_status erase_at_open(bh_db *db, const bh_merchant_info *info)
{
	bh_erase_at_open(db, info);
	return BH_OK;
}

/* One whose creation was cut off, and lacks a class, is not shown. */
static bh_status show_merchant(bh_db *db, bh_merchant *merchant)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_status status = bh_merchant_check_families(db, merchant);

	BH_TRY(bh_keyring_merchant(db->keyring, merchant->name, &info));
	if (status != BH_OK && info.state == BH_MERCHANT_CREATING) {
		bh_gate_shut(&merchant->gate, BH_E_BUSY);
		return BH_OK;
	}
	return status == BH_OK ? bh_suppress_load(merchant) : status;
}

/* What lies there, as it lies there: WALs are read into memory, and nobody is detached, attached or finished. */
static bh_status show(bh_db *db)
{
	bool any;

	if (!bh_dir_has(db->dir, "CURRENT"))
		return bh_fail(BH_E_NOT_FOUND, "%s: no database was opened there yet; open it to write once", db->dir);
	bh_fs_set_read_only(db->fs);
	BH_TRY(bh_cold_look(db));
	bh_cold_inspect(db);
	BH_TRY(bh_cold_detach_hurt(db, &any));
	BH_TRY(open_without_hurt(db));
	for (bh_merchant *merchant = db->merchants; merchant != NULL; merchant = merchant->next)
		if (bh_gate_check(&merchant->gate, merchant->name) == BH_OK)
			BH_TRY(show_merchant(db, merchant));
	return bh_leases_begin(db);
}

/* An operator's way in. A database without one serves all the same. */
static void open_door(bh_db *db, const bh_db_options *options)
{
	if (!db->read_only && !options->no_admin && bh_door_open(db, options, &db->door) != BH_OK)
		bh_db_log(db, "nobody can administer it from outside while it is open: %s", bh_status_message());
}

static bh_status open_steps(bh_db *db, const char *dir, const bh_db_options *options)
{
	bh_keyring *keyring = NULL;
	bh_opened_with before = { 0 };
	bool any;

	BH_TRY(bh_bridge_check_layout());
	BH_TRY(copy_settings(db, dir, options));
	BH_TRY(bh_leases_prepare(db, options));
	BH_TRY(bh_settings_make(db, options));
	BH_TRY(open_keyring(db, options, &keyring));
	BH_TRY(start_env(db, keyring));
	BH_TRY(check_current(db));
	BH_TRY(bh_opened_with_check(db, options, &before));
	bh_quarantine_begin(db);
	BH_TRY(bh_watch_new(db, &db->watch)); /* listens after it, to what it has left */
	if (db->read_only)
		return show(db);
	BH_TRY(bh_cold_start(db));
	bh_home_tidy(db->dir);
	BH_TRY(remove_leftovers(db->dir));
	bh_cold_inspect(db);
	BH_TRY(bh_cold_detach_hurt(db, &any));
	BH_TRY(for_merchants(db, remove_class_leftovers));
	BH_TRY(open_without_hurt(db));
	BH_TRY(bh_opened_with_recorded(db, &before));
	bh_fs_guard_families(db->fs);
	BH_TRY(for_merchants(db, bh_shred_resume));
	BH_TRY(bh_cold_finish(db));
	BH_TRY(for_merchants(db, erase_at_open));
	bh_retire_at_open(db);
	BH_TRY(bh_leases_begin(db));
	BH_TRY(bh_watch_start(db->watch));
	return bh_keeper_start(db, options, &db->keeper);
}

/* An open writes, to the audit log first of all, and makes merchants whole: with the reserves, where there is nothing else. */
static bh_status open_with_room(bh_db *db, const char *dir, const bh_db_options *options)
{
	bh_status status;

	BH_TRY(bh_room_new(dir, options->min_free_bytes, &db->room));
	if (options->read_only)
		return open_steps(db, dir, options);
	bh_room_use(db->room);
	status = open_steps(db, dir, options);
	bh_room_use_end(db->room);
	return status;
}

bh_status bh_db_open(const char *dir, const bh_db_options *options, bh_db **out)
{
	const bh_db_options defaults = { 0 };
	bh_db *db = calloc(1, sizeof(*db));
	bh_status status;

	if (db == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", dir);
	pthread_mutex_init(&db->admin, NULL);
	pthread_cond_init(&db->claim_ended, NULL);
	bh_alarm_init(&db->keeper_alarm);
	pthread_mutex_init(&db->resealing, NULL);
	pthread_mutex_init(&db->parking, NULL);
	pthread_mutex_init(&db->recovering, NULL);
	pthread_mutex_init(&db->renewing, NULL);
	atomic_store(&db->image, bh_image_generation());
	pthread_mutex_init(&db->lock, NULL);
	atomic_store(&db->hurry, true);
	bh_gate_seats_init();
	status = open_with_room(db, dir, options != NULL ? options : &defaults);
	if (status != BH_OK) {
		bh_db_close(db);
		return status;
	}
	atomic_store(&db->hurry, false);
	bh_db_check_locked(db);
	open_door(db, options != NULL ? options : &defaults);
	*out = db;
	return bh_done(BH_OK);
}
