/* SPDX-License-Identifier: Apache-2.0
 *
 * db.c: see db.h.
 */
#include "db.h"
#include "home.h"
#include "keyring/ring/keyring.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>

#include "keyring/base/secret.h"

bh_status bh_db_check_writable(const bh_db *db)
{
	return db->read_only ? bh_fail(BH_E_UNSUPPORTED, "%s: was opened read-only", db->dir) : BH_OK;
}

void bh_db_log(const bh_db *db, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (db->log == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	db->log(db->log_arg, line);
}

bh_status bh_db_pin(bh_db *db, char out[BH_PIN_SIZE])
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, bh_keyring_pin(db->keyring, out));
}

static bh_status adopt(bh_db *db)
{
	const bh_audit_event adopted = { .action = BH_AUDIT_DATABASE_ADOPTED, .region = bh_keyring_region(db->keyring) };

	BH_TRY(bh_db_check_writable(db));
	if (bh_home_is_here(db->dir))
		return BH_OK;
	BH_TRY(bh_audit_append(bh_keyring_audit(db->keyring), &adopted));
	return bh_home_set(db->dir);
}

bh_status bh_db_adopt(bh_db *db)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, adopt(db));
}

bh_status bh_db_audit_archive(bh_db *db, const char *to, bh_audit_archived *out)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, bh_keyring_audit_archive(db->keyring, to, out));
}

void bh_db_check_locked(bh_db *db)
{
	struct rlimit limit = { 0 };
	size_t needed, unlocked = bh_secret_unlocked(&needed);

	if (unlocked == 0 || atomic_exchange(&db->said_unlocked, true))
		return;
	(void)getrlimit(RLIMIT_MEMLOCK, &limit);
	bh_db_log(db,
		  "%zu KiB of expanded keys are in memory that is not locked, and could get into swap: RLIMIT_MEMLOCK is %llu KiB; "
		  "%zu KiB are needed for the files that are open now (ulimit -l, LimitMEMLOCK=)",
		  unlocked / 1024, (unsigned long long)limit.rlim_cur / 1024, needed / 1024);
}

rocksdb_t *bh_db_rocksdb(bh_db *db)
{
	return db->rocks;
}
