/* SPDX-License-Identifier: Apache-2.0
 *
 * quarantine.c: see quarantine.h.
 */
#include "quarantine.h"

#include "detach.h"
#include "engine/core/hurt.h"
#include "leaser.h"

static void on_damage(void *arg, const bh_damage *damage)
{
	bh_db *db = arg;
	bh_merchant *merchant = bh_merchant_find(db, damage->owner->merchant);

	if (merchant != NULL)
		bh_hurt(merchant, bh_hurt_shorter(db, damage->message));
	bh_merchant_unref(merchant);
}

/* The leaser's worker does it: who meets the damage may hold RocksDB's locks. */
static void on_hurt(bh_db *db, const char *merchant)
{
	bh_leaser_hurt(db->leaser, merchant);
}

void bh_quarantine_begin(bh_db *db)
{
	db->on_hurt = on_hurt;
	bh_fs_on_damage(db->fs, on_damage, db);
}

static bh_status detach_locked(bh_db *db, bh_merchant *merchant)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	char why[BH_SUSPEND_NOTE_MAX + 1];

	BH_TRY(bh_keyring_merchant(db->keyring, merchant->name, &info));
	if (!bh_hurt_is_due(merchant, why) || info.state == BH_MERCHANT_SUSPENDED || info.state >= BH_MERCHANT_SHREDDING)
		return BH_OK;
	BH_TRY(bh_detach(db, merchant, BH_SUSPEND_DAMAGED, why));
	bh_leaser_stop(db->leaser, merchant->name);
	bh_db_log(db,
		  "integrity alarm: merchant '%s' is detached, and the others are served: %s; put the right file in its place and "
		  "resume it, or salvage what can be read, or shred it",
		  merchant->name, why);
	return BH_OK;
}

bh_status bh_quarantine_detach(bh_db *db, const char *name)
{
	bh_merchant *merchant = bh_merchant_find_locked(db, name);
	bh_status status;

	if (merchant == NULL)
		return BH_OK;
	status = detach_locked(db, merchant);
	bh_merchant_unlock(merchant);
	return status;
}
