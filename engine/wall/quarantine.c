/* SPDX-License-Identifier: Apache-2.0
 *
 * quarantine.c: see quarantine.h.
 */
#include "quarantine.h"

#include <time.h>

#include "detach.h"
#include "engine/core/options_file.h"
#include "env/bridge/jobs.h"
#include "engine/core/hurt.h"
#include "env/fs/blame.h"
#include "leaser.h"

static bool hurt_by_name(bh_db *db, const char *name, const char *what)
{
	bh_merchant *merchant = bh_merchant_find(db, name);

	if (merchant != NULL)
		bh_hurt(merchant, bh_hurt_shorter(db, what));
	bh_merchant_unref(merchant);
	return merchant != NULL;
}

static void on_damage(void *arg, const bh_damage *damage)
{
	(void)hurt_by_name(arg, damage->owner->merchant, damage->message);
}

bool bh_quarantine_named(bh_db *db, const char *message)
{
	bool names_root;
	bh_scope owner;

	return bh_fs_owner_in(db->fs, message, &owner, &names_root) && hurt_by_name(db, owner.merchant, message);
}

/* ---- flushes and compactions */

#define RELAX_MS 1000 /* at most, that a failing flush waits for room to be made for its merchant's memtables */

/* Of one of its classes; NULL: of the platform's, or nobody's that serves. Counted. */
static bh_merchant *merchant_of(bh_db *db, const char *family)
{
	bh_scope scope;

	if (family == NULL || bh_cf_name_parse(bh_view_str(family), &scope) != BH_OK || bh_scope_is_platform(&scope))
		return NULL;
	return bh_merchant_find(db, scope.merchant);
}

/* By the file that is named; without a file RocksDB's own checks are about what the job had in hand. */
static bh_merchant *owner_of(bh_db *db, const bh_job_failure *failure)
{
	bool names_root;
	bh_scope owner;

	if (bh_fs_owner_in(db->fs, failure->text, &owner, &names_root))
		return bh_merchant_find(db, owner.merchant);
	return names_root || strncmp(failure->text, "Corruption", 10) != 0 || bh_hurt_is_elsewhere(failure->text)
		       ? NULL
		       : merchant_of(db, failure->family);
}

/* RocksDB holds everybody's writes back when one family has too many memtables. Those of this one will never be flushed: so it may
 * have any number, until it is dropped. In a thread of its own, since this waits for the writers, and they for the job that fails.
 */
static void *relaxer_main(void *arg)
{
	bh_merchant *merchant = arg;
	bh_db *db = merchant->db;

	bh_options_file_hold(db);
	for (size_t i = 0; i < merchant->class_count; i++)
		if (merchant->classes[i].handle != NULL && bh_jobs_relax(db->rocks, merchant->classes[i].handle) != BH_OK)
			bh_db_log(db, "merchant '%s': %s", merchant->name, bh_status_message());
	bh_options_file_release();
	return NULL;
}

static bool is_stopped(const bh_db *db)
{
	uint64_t stopped = 0;

	return db->rocks != NULL && rocksdb_property_int(db->rocks, "rocksdb.is-write-stopped", &stopped) == 0 && stopped != 0;
}

/* Whether nobody is held back any more; who waits is woken when the job has ended. */
static bool relax(bh_db *db, bh_merchant *merchant)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	if (!is_stopped(db))
		return true;
	if (!atomic_exchange(&merchant->relaxing, true) && pthread_create(&merchant->relaxer, NULL, relaxer_main, merchant) != 0) {
		atomic_store(&merchant->relaxing, false);
		return false;
	}
	for (int waited_ms = 0; waited_ms < RELAX_MS && is_stopped(db); waited_ms++)
		nanosleep(&pause, NULL);
	return !is_stopped(db);
}

void bh_quarantine_settle(bh_merchant *merchant)
{
	if (!atomic_load(&merchant->relaxing))
		return;
	pthread_join(merchant->relaxer, NULL);
	atomic_store(&merchant->relaxing, false);
}

static bh_job_verdict judge(void *arg, const bh_job_failure *failure)
{
	bh_db *db = arg;
	bh_merchant *merchant = failure->lack ? NULL : owner_of(db, failure);
	bh_job_verdict verdict = BH_JOB_EVERYBODYS;

	if (merchant != NULL) {
		bh_hurt(merchant, bh_hurt_shorter(db, failure->text));
		if (failure->flush && (atomic_load(&merchant->waiting) > 0 || !relax(db, merchant)))
			verdict = BH_JOB_AWAITED;
		else
			verdict = BH_JOB_OWN;
	}
	bh_merchant_unref(merchant);
	return verdict;
}

/* The leaser's worker does it: who meets the damage may hold RocksDB's locks. */
static void on_hurt(bh_db *db, const char *merchant)
{
	bh_leaser_hurt(db->leaser, merchant);
}

void bh_quarantine_begin(bh_db *db)
{
	db->on_hurt = on_hurt;
	db->jobs = bh_jobs_new(judge, db);
	bh_jobs_listen(db->jobs, db->options);
	bh_fs_on_damage(db->fs, on_damage, db);
}

static bh_status detach_locked(bh_db *db, bh_merchant *merchant)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	char why[BH_SUSPEND_NOTE_MAX + 1];

	BH_TRY(bh_keyring_merchant(db->keyring, merchant->name, &info));
	if (!bh_hurt_is_due(merchant, why) || info.state == BH_MERCHANT_SUSPENDED || info.state >= BH_MERCHANT_SHREDDING)
		return BH_OK;
	bh_quarantine_settle(merchant);
	BH_TRY(bh_detach(db, merchant, BH_SUSPEND_DAMAGED, why));
	if (bh_bridge_resume(db->rocks) != BH_OK) /* nothing to do, but after a failure that somebody waited for */
		bh_db_log(db, "%s", bh_status_message());
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
