/* SPDX-License-Identifier: Apache-2.0
 *
 * detach.c: a merchant leaves the live database and can come back.
 *
 *     step                                  a kill right after it leaves
 *     gate closed, jobs inside ended        nothing on disk
 *     SUSPENDING recorded                   the next open parks it and goes on
 *     memtables flushed (operator only)     the same
 *     WALs closed (if rows are in them)     the same
 *     parked: links, inventory, renamed     the parked files are complete: the next open goes on from here
 *     families dropped, one by one          the same
 *     directories under tenants/ removed    the same; removing again is harmless
 *     SUSPENDED recorded                    done
 * Keys and decrypted blocks leave memory when RocksDB has let go of the families. A revoked merchant's memtables are not flushed,
 * since nothing is sealed for it any more: what is not in its SSTs yet is in the WALs that are parked with them.
 */

#include "detach.h"

#include "attach.h"

#include <bulkhead/env.h>

#include <bulkhead/rotation.h>
#include <bulkhead/db.h>

#include "env/bridge/caches.h"
#include "env/bridge/move.h"
#include "engine/core/files.h"
#include "engine/core/flush.h"
#include "keyring/base/crashpoint.h"
#include "leaser.h"
#include "park.h"
#include "engine/core/wal.h"
#include "engine/core/logs.h"
#include "engine/core/drop.h"
#include "keyring/ring/keyring.h"
#include "cause.h"
#include "engine/core/forget.h"

static bh_status flush_families(const bh_db *db, const bh_merchant *merchant)
{
	for (size_t i = 0; i < merchant->class_count; i++)
		if (merchant->classes[i].handle != NULL)
			BH_TRY(bh_family_flush_now(db, merchant->classes[i].handle, &merchant->hurt));
	return BH_OK;
}

/* Entries that are in no SST yet. Read in this order: nobody writes any more, so what is not in the active memtable will not be,
 * and what leaves the immutable ones is in an SST that the MANIFEST names. */
static bool has_entries_in_memory(bh_db *db, rocksdb_column_family_handle_t *family)
{
	uint64_t active = 1, immutable = 1;

	return rocksdb_property_int_cf(db->rocks, family, "rocksdb.num-entries-active-mem-table", &active) != 0 || active > 0 ||
	       rocksdb_property_int_cf(db->rocks, family, "rocksdb.num-entries-imm-mem-tables", &immutable) != 0 || immutable > 0;
}

static bool needs_its_logs(bh_db *db, const bh_merchant *merchant)
{
	for (size_t i = 0; i < merchant->class_count; i++)
		if (merchant->classes[i].handle != NULL && has_entries_in_memory(db, merchant->classes[i].handle))
			return true;
	return false;
}

/* Whether all its writes are in SSTs now. Otherwise they are in WALs, which is as good, but holds everybody's rows. */
static bool is_flushed(bh_db *db, const bh_merchant *merchant, bh_suspend_cause cause)
{
	if (cause != BH_SUSPEND_OPERATOR)
		return !needs_its_logs(db, merchant);
	if (flush_families(db, merchant) == BH_OK)
		return true;
	bh_db_log(db, "merchant '%s': is suspended with its WALs, since it could not be flushed: %s", merchant->name,
		  bh_status_message());
	return false;
}

/* Of the WALs that there are now, none is written to afterwards, so that they are parked by links; what others write meanwhile goes
 * to the next one, which has nothing of this merchant. Where that cannot be (a full disk, a background error), what is still open
 * is parked as a copy. */
static bh_status settle_logs(bh_db *db, const bh_merchant *merchant, uint64_t *newest_out)
{
	BH_TRY(bh_logs_newest(db, newest_out));
	if (bh_wal_close(db, *newest_out) == BH_OK)
		return BH_OK;
	bh_db_log(db, "merchant '%s': the WAL is parked as a copy, since it could not be closed: %s", merchant->name,
		  bh_status_message());
	/* Of a log that failed a copy has what was written. */
	return bh_room_check_log(db->room) == BH_OK ? bh_wal_sync(db) : BH_OK;
}

static bh_status park_live(bh_db *db, const bh_merchant *merchant, bh_suspend_cause cause)
{
	const bool flushed = is_flushed(db, merchant, cause);
	bh_keeping keeping = { .merchant = merchant->name };
	uint64_t logs = 0;
	bh_status status;

	bh_crash_point("suspend.flushed");
	if (!flushed)
		BH_TRY(settle_logs(db, merchant, &logs));
	bh_crash_point("suspend.logs-closed");
	bh_fs_keep_begin(db->fs, &keeping);
	status = bh_park(db, merchant->name, logs);
	bh_fs_keep_end(db->fs, &keeping);
	return status;
}

/* The first try of a merchant that was ACTIVE begins with no parked files; a later one finds them complete. Parked files leave from
 * ACTIVE alone: from any other state they may be the only ones. */
static bh_status begin(bh_db *db, const bh_merchant *merchant, const bh_merchant_info *info, bh_suspend_cause cause,
		       const char *note)
{
	if (info->state == BH_MERCHANT_SUSPENDING)
		return BH_OK;
	if (info->state != BH_MERCHANT_ACTIVE)
		return bh_fail(BH_E_BUSY, "merchant '%s': is %s", merchant->name, bh_merchant_state_name(info->state));
	BH_TRY(bh_unpark(db, merchant->name));
	return bh_keyring_merchant_set_suspended(db->keyring, merchant->name, BH_MERCHANT_SUSPENDING, cause, note);
}

/* What the leaser said when it closed the gate for a fault of ours is truer than the cause. */
static bh_status closing_reason(const bh_merchant *merchant, bh_suspend_cause cause)
{
	const bool own_fault = atomic_load(&merchant->gate.reason) == BH_E_IO;

	return own_fault && cause == BH_SUSPEND_KMS_UNREACHABLE ? BH_E_IO : bh_suspend_status(cause);
}

bh_status bh_detach(bh_db *db, bh_merchant *merchant, bh_suspend_cause cause, const char *note)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	bh_merchant_shut(merchant, closing_reason(merchant, cause));
	BH_TRY(bh_keyring_merchant(db->keyring, merchant->name, &info));
	BH_TRY(begin(db, merchant, &info, cause, note));
	bh_crash_point("suspend.recorded");
	if (!bh_is_parked(db, merchant->name))
		BH_TRY(park_live(db, merchant, cause));
	if (cause == BH_SUSPEND_DAMAGED)
		BH_TRY(bh_park_rest(db, merchant->name, false));
	BH_TRY(bh_park_make_durable(db));
	bh_crash_point("suspend.parked");
	BH_TRY(bh_merchant_drop_families(db, merchant, "suspend.family-dropped"));
	bh_forget(db, merchant->name);
	BH_TRY(bh_merchant_remove_files(db, merchant->name));
	bh_crash_point("suspend.files-removed");
	return bh_keyring_merchant_set_state(db->keyring, merchant->name, BH_MERCHANT_SUSPENDED);
}

/* ---- the calls */

/* Detached already: an operator's word weighs more than the KMS's, since it takes an operator to take it back; so does damage. */
static bh_status detach_again(bh_db *db, bh_merchant *merchant, const bh_merchant_info *info, bh_suspend_cause cause,
			      const char *note)
{
	if (info->cause == BH_SUSPEND_OPERATOR || info->cause == BH_SUSPEND_DAMAGED || info->cause == cause)
		return BH_OK;
	BH_TRY(bh_keyring_merchant_set_suspended(db->keyring, merchant->name, BH_MERCHANT_SUSPENDED, cause, note));
	bh_gate_shut(&merchant->gate, bh_suspend_status(cause));
	return BH_OK;
}

/* A resume that ended half-way is undone: what is parked is parked. */
static bh_status detach_resuming(bh_db *db, bh_merchant *merchant, bh_suspend_cause cause, const char *note)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	bh_merchant_shut(merchant, bh_suspend_status(cause));
	BH_TRY(bh_attach_undo(db, merchant, NULL));
	BH_TRY(bh_keyring_merchant(db->keyring, merchant->name, &info));
	return detach_again(db, merchant, &info, cause, note);
}

static bh_status detach_locked(bh_db *db, bh_merchant *merchant, bh_suspend_cause cause, const char *note)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_status status;

	BH_TRY(bh_keyring_merchant(db->keyring, merchant->name, &info));
	if (info.state >= BH_MERCHANT_SHREDDING)
		return bh_fail(BH_E_SHREDDED, "merchant '%s': is being shredded", merchant->name);
	if (info.state == BH_MERCHANT_SUSPENDED)
		return detach_again(db, merchant, &info, cause, note);
	if (info.state == BH_MERCHANT_RESUMING)
		status = detach_resuming(db, merchant, cause, note);
	else
		status = bh_detach(db, merchant, cause, note);
	return bh_fail_prefix(status, "merchant '%s' is closed in this process, but not detached: suspend it again; now",
			      merchant->name);
}

bh_status bh_merchant_detach(bh_db *db, const char *name, bh_suspend_cause cause, const char *note)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_merchant *merchant = bh_merchant_find_locked(db, name);
	bh_status status;

	if (merchant == NULL) {
		BH_TRY(bh_keyring_merchant(db->keyring, name, &info));
		return bh_fail(BH_E_SHREDDED, "merchant '%s' is shredded: there is nothing to suspend", name);
	}
	bh_room_use(db->room);
	status = detach_locked(db, merchant, cause, note);
	bh_room_use_end(db->room);
	if (status == BH_OK && cause == BH_SUSPEND_OPERATOR)
		bh_leaser_stop(db->leaser, name);
	bh_merchant_unlock(merchant);
	return status;
}

static bh_status merchant_suspend_inside(bh_db *db, const char *name, const bh_suspend_options *options)
{
	BH_CLEANUP(bh_buf_clear) bh_buf note = { 0 };

	BH_TRY(bh_db_check_writable(db));
	BH_TRY(bh_suspend_note(options, &note));
	return bh_merchant_detach(db, name, BH_SUSPEND_OPERATOR, (const char *)note.data);
}

bh_status bh_merchant_suspend(bh_db *db, const char *name, const bh_suspend_options *options)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_suspend_inside(db, name, options));
}
