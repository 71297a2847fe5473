/* SPDX-License-Identifier: Apache-2.0
 *
 * attach.c: a detached merchant comes back.
 *
 *     step                                      a kill right after it leaves
 *     keys unwrapped by the KMS                 nothing on disk
 *     RESUMING recorded                         the next open hides what it finds of the families and begins again
 *     links of the parked files, looked at      the same, and removes the links
 *     recovered by RocksDB, among the links     the same
 *     families made in the live database        the same: the parked files are all there still
 *     ACTIVE recorded                           done; the next open removes the parked files
 *     parked files removed                      done
 * RocksDB recovers the links with its own code, seen through a view of the Env in which this merchant is alone. Its SSTs are then
 * imported by hard link. Import would forget blobs, and with RocksDB 7.8 range tombstones (env/bridge/move.h): where there are
 * any, they are compacted away first, among the links. What was parked stays as it was.
 */

#include "attach.h"

#include <bulkhead/env.h>

#include <stdio.h>
#include <stdlib.h>
#include <bulkhead/db.h>

#include "env/bridge/move.h"
#include "env/fs/blame.h"
#include "env/fs/page_check.h"
#include "engine/core/family_set.h"
#include "engine/core/files.h"
#include "engine/core/watch.h"
#include "keyring/base/crashpoint.h"
#include "leaser.h"
#include "pacer.h"
#include "park.h"
#include "parked.h"
#include "salvage.h"
#include "engine/core/hurt.h"
#include "engine/erase/suppress.h"
#include "keyring/base/base.h"
#include "engine/core/options_file.h"
#include "engine/core/family.h"
#include "keyring/ring/keyring.h"
#include "engine/core/merchant.h"
#include "engine/core/drop.h"
#include "engine/core/suppressed.h"
#include "cause.h"
#include "engine/core/forget.h"

#define IMPORT_PREFIX "import-" /* of a link that RocksDB moves from: no name of its own looks like that */

static bool is_damaged(const bh_db *db, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	return bh_keyring_merchant(db->keyring, name, &info) == BH_OK && info.cause == BH_SUSPEND_DAMAGED;
}

/* ---- out of the parked directory */

typedef struct exports {
	bh_export **of; /* by class; NULL: the family was never made */
	size_t count;
} exports;

static void exports_clear(exports *e)
{
	for (size_t i = 0; e->of != NULL && i < e->count; i++)
		bh_export_free(e->of[i]);
	free(e->of);
}

static bh_status export_class(const bh_parked *p, rocksdb_column_family_handle_t *handle, bh_export **out)
{
	bh_export *made = NULL;

	BH_TRY(bh_bridge_export(p->rocks, handle, &made));
	if (!bh_export_is_lossy(made)) {
		*out = made;
		return BH_OK;
	}
	bh_export_free(made);
	BH_TRY(bh_bridge_settle(p->rocks, handle));
	BH_TRY(bh_bridge_export(p->rocks, handle, out));
	if (!bh_export_is_lossy(*out))
		return BH_OK;
	return bh_fail(BH_E_UNSUPPORTED, "range tombstones or blobs are left after a compaction: an import would lose them");
}

/* Before the live database, in which everybody is, gets to see the files: RocksDB's import asserts that the first and the last
 * entry of each can be read. Of a merchant whose files were damaged all pages are looked at: it comes back whole, or says which
 * file. */
static bh_status look_at_files(const bh_parked *p, const bh_export *export_, rocksdb_column_family_handle_t *handle, bool whole)
{
	for (size_t i = 0; whole && i < bh_export_count(export_); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

		BH_TRY(bh_buf_printf(&path, "%s/%s", bh_export_dir(export_, i), bh_export_name(export_, i)));
		BH_TRY(bh_page_check(p->view, (const char *)path.data, BH_PAGE_LOOK_WHOLE, NULL));
	}
	return bh_bridge_check_ends(p->rocks, handle, export_);
}

static bh_status export_all(const bh_parked *p, const bh_merchant *merchant, bool whole, exports *out)
{
	for (size_t i = 0; i < merchant->class_count; i++) {
		rocksdb_column_family_handle_t *handle = bh_parked_handle(p, merchant, &merchant->classes[i]);

		if (handle == NULL)
			continue;
		BH_TRY(export_class(p, handle, &out->of[i]));
		BH_TRY(look_at_files(p, out->of[i], handle, whole));
	}
	return BH_OK;
}

/* Of the failures on the way, those that the files are to blame for. */
static bool is_of_files(bh_status status)
{
	return status == BH_E_TAG || status == BH_E_FORMAT || status == BH_E_TRUNCATED || status == BH_E_VERSION ||
	       status == BH_E_NOT_FOUND;
}

typedef struct suspects {
	const bh_parked *p;
	const char *dir;
} suspects;

static bh_status look_at_suspect(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	const suspects *s = arg;
	bh_status status;

	BH_TRY(bh_buf_printf(&path, "%s/%s", s->dir, name));
	if (!bh_fs_names_itself(name))
		return BH_OK;
	status = bh_page_check(s->p->view, (const char *)path.data, BH_PAGE_LOOK_WHOLE, NULL);
	if (status == BH_E_NO_KEY || status == BH_E_SHREDDED)
		return bh_fail(BH_E_TAG, "%s: is not sealed under a key of its merchant's; it was put there from elsewhere",
			       (const char *)path.data);
	return status;
}

/* Which of the files it was, and what is wrong with it, where RocksDB has other words for it. */
static bh_status name_culprit(const bh_parked *p, const bh_merchant *merchant)
{
	for (size_t i = 0; i < merchant->class_count; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf dir = { 0 };

		BH_TRY(bh_buf_printf(&dir, "%s/" BH_TENANTS_DIR "/%s/%s", (const char *)p->path.data, merchant->name,
				     merchant->classes[i].name));
		BH_TRY(bh_dir_each((const char *)dir.data, look_at_suspect, &(suspects){ p, (const char *)dir.data }));
	}
	return BH_OK;
}

static bh_status better_status(const bh_parked *p, const bh_merchant *merchant, bh_status status)
{
	const bh_message message = bh_message_keep();
	const bh_status found = name_culprit(p, merchant);

	return is_of_files(found) ? found : bh_fail(status, "%s", message.text);
}

static bh_status recover(bh_db *db, const bh_merchant *merchant, bool whole, exports *out, bool *hurt_out)
{
	BH_CLEANUP(bh_parked_close) bh_parked p = { 0 };
	bh_status status;

	out->of = calloc(merchant->class_count, sizeof(*out->of));
	if (out->of == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu classes", merchant->class_count);
	out->count = merchant->class_count;
	status = bh_park_lend(db, merchant->name, &p.path);
	bh_crash_point("resume.lent");
	if (status == BH_OK)
		status = bh_parked_open(db, merchant->name, NULL, 0, &p);
	if (status == BH_OK)
		status = export_all(&p, merchant, whole, out);
	if (status != BH_OK && p.view != NULL && whole)
		status = better_status(&p, merchant, status);
	*hurt_out = status != BH_OK && (is_of_files(status) || atomic_load(&p.hurt));
	return status;
}

/* One at a time: two would take twice a pacer's share from the others. */
static bh_status recover_in_turn(bh_db *db, const bh_merchant *merchant, exports *out, bool *hurt_out)
{
	const bool whole = is_damaged(db, merchant->name);
	bh_status status;

	pthread_mutex_lock(&db->recovering);
	status = recover(db, merchant, whole, out, hurt_out);
	pthread_mutex_unlock(&db->recovering);
	return status;
}

/* ---- into the live database */

static bh_status link_files(const bh_export *export_, const char *dir)
{
	for (size_t i = 0; i < bh_export_count(export_); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };

		BH_TRY(bh_buf_printf(&from, "%s/%s", bh_export_dir(export_, i), bh_export_name(export_, i)));
		BH_TRY(bh_buf_printf(&to, "%s/" IMPORT_PREFIX "%s", dir, bh_export_name(export_, i)));
		BH_TRY(bh_file_link((const char *)from.data, (const char *)to.data));
	}
	return BH_OK;
}

static bh_status import_files(bh_db *db, rocksdb_options_t *options, const bh_scope *scope, const bh_export *export_, bh_class *cls)
{
	BH_CLEANUP(bh_buf_clear) bh_buf dir = { 0 };
	char name[BH_CF_NAME_SIZE];
	bh_family_claim claim;
	bh_status status;

	bh_cf_name_format(scope, name);
	BH_TRY(bh_class_options_set(options, db->caches, db->dir, scope));
	BH_TRY(bh_buf_printf(&dir, "%s/" BH_TENANTS_DIR "/%s", db->dir, name));
	BH_TRY(link_files(export_, (const char *)dir.data));
	bh_options_file_hold(db);
	bh_fs_family_begin(db->fs, &claim, scope);
	status = bh_bridge_import(db->rocks, options, name, export_, (const char *)dir.data, IMPORT_PREFIX, &cls->handle);
	bh_fs_family_end(db->fs, &claim);
	bh_options_file_release();
	if (status != BH_OK)
		bh_watch_manifest_failed(db->watch);
	return status;
}

static bh_status import_class(bh_db *db, const bh_merchant *merchant, const bh_export *export_, bh_class *cls)
{
	rocksdb_options_t *options;
	bh_scope scope = { 0 };
	bh_status status;

	if (export_ == NULL || bh_export_count(export_) == 0)
		return bh_merchant_make_family(db, merchant, cls);
	memcpy(scope.merchant, merchant->name, sizeof(scope.merchant));
	memcpy(scope.cls, cls->name, sizeof(scope.cls));
	options = rocksdb_options_create_copy(db->options);
	status = import_files(db, options, &scope, export_, cls);
	rocksdb_options_destroy(options);
	return status;
}

static bh_status import_all(bh_db *db, bh_merchant *merchant, const exports *e)
{
	for (size_t i = 0; i < merchant->class_count; i++) {
		BH_TRY(import_class(db, merchant, e->of[i], &merchant->classes[i]));
		bh_crash_point("resume.family-imported");
	}
	return bh_merchant_sync_dirs(db, merchant);
}

/* The families are made with what can be read. */
static bh_status salvage_in_turn(bh_db *db, bh_merchant *merchant, bh_buf *salvaged, bool *hurt_out)
{
	bh_status status;

	pthread_mutex_lock(&db->recovering);
	status = bh_salvage(db, merchant, salvaged);
	pthread_mutex_unlock(&db->recovering);
	*hurt_out = is_of_files(status);
	return status == BH_OK ? bh_merchant_sync_dirs(db, merchant) : status;
}

/* Where its files were damaged, what lies in tenants/ was put there since. */
static bh_status take_right_files(bh_db *db, const char *name)
{
	return is_damaged(db, name) ? bh_park_rest(db, name, true) : BH_OK;
}

static bh_status bring_back(bh_db *db, bh_merchant *merchant, bh_buf *salvaged, bool *hurt_out)
{
	BH_CLEANUP(exports_clear) exports e = { 0 };

	BH_TRY(take_right_files(db, merchant->name));
	BH_TRY(bh_merchant_remove_files(db, merchant->name));
	if (salvaged != NULL) {
		BH_TRY(salvage_in_turn(db, merchant, salvaged, hurt_out));
	} else {
		BH_TRY(recover_in_turn(db, merchant, &e, hurt_out));
		bh_crash_point("resume.recovered");
		BH_TRY(import_all(db, merchant, &e));
	}
	bh_crash_point("resume.imported");
	bh_park_lend_end(db, merchant->name);
	return bh_suppress_load(merchant);
}

/* `note` NULL: for the cause that it was suspended for before; else for damage. */
static bh_status record_given_up(bh_db *db, bh_merchant *merchant, const char *note)
{
	char cut[BH_SUSPEND_NOTE_MAX + 1] = { 0 };

	if (note == NULL)
		return bh_keyring_merchant_set_state(db->keyring, merchant->name, BH_MERCHANT_SUSPENDED);
	memcpy(cut, note, BH_MIN(strlen(note), sizeof(cut) - 1));
	bh_gate_shut(&merchant->gate, BH_E_DAMAGED);
	return bh_keyring_merchant_set_suspended(db->keyring, merchant->name, BH_MERCHANT_SUSPENDED, BH_SUSPEND_DAMAGED, cut);
}

/* Where it is not known whether ACTIVE was recorded, the files in tenants/ may be the ones that count at the next open, and those
 * that are parked as well: none of them goes. */
static bh_status check_doubt(bh_db *db, const bh_merchant *merchant)
{
	if (!bh_keyring_is_in_doubt(db->keyring))
		return BH_OK;
	return bh_fail(BH_E_IO,
		       "merchant '%s': it is not known whether its resume was recorded; close the database and open it again, "
		       "which finds out",
		       merchant->name);
}

bh_status bh_attach_undo(bh_db *db, bh_merchant *merchant, const char *note)
{
	bh_status status;

	BH_TRY(check_doubt(db, merchant));
	status = bh_merchant_drop_families(db, merchant, "resume.undone");
	bh_park_lend_end(db, merchant->name);
	bh_suppressed_unload(merchant->classes, merchant->class_count);
	bh_forget(db, merchant->name);
	BH_TRY(status);
	BH_TRY(bh_merchant_remove_files(db, merchant->name));
	return record_given_up(db, merchant, note);
}

/* The status of the try, with its own message, whatever undoing says. `begun`: RESUMING is recorded; `hurt`: the files are to
 * blame. */
static bh_status fail_attach(bh_db *db, bh_merchant *merchant, bool begun, bh_status status, bool hurt)
{
	bh_message message = bh_message_keep();

	bh_park_name_lent(message.text, merchant->name);
	if (!begun)
		bh_forget(db, merchant->name);
	else if (bh_attach_undo(db, merchant, hurt ? bh_hurt_shorter(db, message.text) : NULL) != BH_OK)
		bh_db_log(db, "merchant '%s': stays half resumed until its next suspension or resume: %s", merchant->name,
			  bh_status_message());
	return bh_fail(status, "merchant '%s': stays suspended: %s", merchant->name, message.text);
}

static bh_status record_resuming(bh_db *db, const bh_merchant *merchant, const char *note)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	if (note == NULL)
		return bh_keyring_merchant_set_state(db->keyring, merchant->name, BH_MERCHANT_RESUMING);
	BH_TRY(bh_keyring_merchant(db->keyring, merchant->name, &info));
	return bh_keyring_merchant_set_suspended(db->keyring, merchant->name, BH_MERCHANT_RESUMING, info.cause, note);
}

bh_status bh_attach(bh_db *db, bh_merchant *merchant, const char *note, bh_buf *salvaged)
{
	bool hurt = false;
	bh_status status;

	BH_TRY(bh_keyring_merchant_unlock(db->keyring, merchant->name));
	status = record_resuming(db, merchant, note);
	if (status != BH_OK)
		return fail_attach(db, merchant, false, status, false);
	bh_crash_point("resume.recorded");
	status = bring_back(db, merchant, salvaged, &hurt);
	if (status == BH_OK)
		status = bh_keyring_merchant_set_state(db->keyring, merchant->name, BH_MERCHANT_ACTIVE);
	if (status != BH_OK)
		return fail_attach(db, merchant, true, status, hurt);
	bh_crash_point("resume.active");
	atomic_store(&merchant->attached, atomic_fetch_add(&db->attaches, 1) + 1);
	atomic_store(&merchant->closing, false);
	bh_hurt_clear(merchant);
	bh_gate_open(&merchant->gate);
	/* It serves again: parked files that cannot be removed are no reason to say otherwise. */
	if (bh_unpark(db, merchant->name) != BH_OK)
		bh_db_log(db, "%s", bh_status_message());
	return BH_OK;
}

/* ---- the calls */

/* `note` NULL: nobody asked for it, the KMS answers again. */
static bh_status attach_locked(bh_db *db, bh_merchant *merchant, const char *note, bh_buf *salvaged)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_lease_time asked;

	BH_TRY(bh_keyring_merchant(db->keyring, merchant->name, &info));
	if (info.state == BH_MERCHANT_ACTIVE)
		return note != NULL ? bh_fail(BH_E_EXISTS, "merchant '%s': is not suspended", merchant->name) : BH_OK;
	/* An earlier try ended half-way. */
	if (info.state == BH_MERCHANT_RESUMING)
		BH_TRY(bh_attach_undo(db, merchant, NULL));
	else if (info.state != BH_MERCHANT_SUSPENDED)
		return bh_fail(BH_E_BUSY, "merchant '%s': is %s; open the database again to finish that", merchant->name,
			       bh_merchant_state_name(info.state));
	if (note == NULL && info.cause == BH_SUSPEND_OPERATOR)
		return bh_fail(BH_E_SUSPENDED, "merchant '%s': was suspended by an operator", merchant->name);
	if (note == NULL && info.cause == BH_SUSPEND_DAMAGED)
		return bh_fail(BH_E_DAMAGED, "merchant '%s': a file of its is damaged; an operator resumes it", merchant->name);
	asked = bh_leaser_now(db->leaser);
	BH_TRY(bh_attach(db, merchant, note, salvaged));
	/* The leaser knows what it has asked for itself. */
	return note != NULL ? bh_leaser_granted(db->leaser, merchant->name, asked) : BH_OK;
}

static bh_status attach(bh_db *db, const char *name, const char *note, bh_buf *salvaged)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_merchant *merchant = bh_merchant_find_locked(db, name);
	bh_status status;

	if (merchant == NULL) {
		BH_TRY(bh_keyring_merchant(db->keyring, name, &info));
		return bh_fail(BH_E_SHREDDED, "merchant '%s' is shredded: its keys and data are destroyed", name);
	}
	/* Going on with what cannot be finished would take the room of those that serve. */
	status = bh_room_check(db->room);
	if (status == BH_OK)
		status = attach_locked(db, merchant, note, salvaged);
	bh_merchant_unlock(merchant);
	return status;
}

bh_status bh_merchant_attach(bh_db *db, const char *name)
{
	return attach(db, name, NULL, NULL);
}

static bh_status merchant_resume_inside(bh_db *db, const char *name, const bh_suspend_options *options)
{
	const bool salvage = options != NULL && options->salvage;
	BH_CLEANUP(bh_buf_clear) bh_buf note = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf unwanted = { 0 };
	bh_buf *salvaged = salvage && options->salvaged_out != NULL ? options->salvaged_out : &unwanted;

	BH_TRY(bh_db_check_writable(db));
	BH_TRY(bh_suspend_note(options, &note));
	return attach(db, name, (const char *)note.data, salvage ? salvaged : NULL);
}

bh_status bh_merchant_resume(bh_db *db, const char *name, const bh_suspend_options *options)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_resume_inside(db, name, options));
}
