/* SPDX-License-Identifier: Apache-2.0
 *
 * db.h: the open database, as all rooms of the engine see it. It uses none of them: a room's own part is a pointer or a callback
 * here.
 *
 * Lock order: bh_merchant.op (one change of its state at a time), then the leaser's, then bh_db.lock (the merchant list, the
 * snapshots), then bh_merchant.lock (its iterators). The keyring and bh_fs have locks of their own below these; bh_db.admin (the
 * claims), bh_db.resealing (one log at a time) and bh_merchant.marking are taken alone; bh_db.recovering and bh_db.parking come
 * after an `op`, and nothing but the keyring's after them. bh_db.renewing is taken by writers, inside of a gate, and nothing after
 * it. Reads and writes take none of them. A KMS is waited for with `op` or a claim at most: nobody else's.
 */
#ifndef BH_ENGINE_DB_H
#define BH_ENGINE_DB_H

#include <bulkhead/db.h>

#include <pthread.h>
#include <stdatomic.h>

#include "alarm.h"
#include "env/fs/fs.h"
#include "keyring/base/base.h"
#include "keyring/dek/lease.h"

struct bh_db {
	char *dir;
	rocksdb_options_t *options;     /* the template with our Env */
	struct bh_block_caches *caches; /* whose blocks lie in the template's caches */
	rocksdb_env_t *env;             /* owns fs */
	bh_fs *fs;
	bh_keyring *keyring;    /* owned by fs */
	bh_room *room;          /* before the keyring is opened, which writes */
	struct bh_watch *watch; /* NULL: not yet */
	rocksdb_t *rocks;
	rocksdb_column_family_handle_t *default_cf;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write, *write_sync, *write_no_wal;
	bool read_only;            /* nothing on disk is changed but AUDIT */
	bool merges;               /* there is a merge operator */
	bool unmerged;             /* the merge operator is not here, and has a stand-in: unmerged.h */
	uint8_t unmerged_mark[16]; /* of what the stand-in makes */
	bh_log_fn log;
	void *log_arg;
	struct bh_door *door;                                    /* NULL: none */
	struct bh_keeper *keeper;                                /* NULL: none */
	struct bh_jobs *jobs;                                    /* RocksDB's flushes and compactions */
	void (*on_hurt)(struct bh_db *db, const char *merchant); /* a file of its is damaged; waits for nothing. NULL: not yet */
	bh_alarm keeper_alarm;                                   /* rung: it has something to do now */
	struct bh_leaser *leaser;                                /* from the first step of an open on */
	bh_lease_time opened_at;                                 /* before any KMS was asked */
	pthread_mutex_t admin;                                   /* guards `claims` */
	pthread_cond_t claim_ended;
	struct bh_claim *claims;
	_Atomic bool erasing;          /* one erasure at a time: it holds a snapshot, for which another would wait */
	_Atomic uint64_t suppressions; /* counts changes of what is suppressed, in any class */
	_Atomic uint64_t attaches;     /* counts merchants attached since the database was opened */
	_Atomic bool said_unlocked;    /* bh_db_check_locked() has said it */
	_Atomic bool hurry;            /* nobody is served: it is being opened or closed */
	_Atomic bool closed;           /* no call comes in any more */
	_Atomic uint32_t calls;        /* public calls under way that are none of a merchant's rows */
	pthread_mutex_t recovering;    /* a parked directory: one at a time */
	pthread_mutex_t renewing;      /* held while another WAL is begun: wal.h */
	_Atomic uint64_t image;        /* bh_image_generation() when the WAL was begun that is written to, or before */
	_Atomic bool options_behind;   /* families were made or dropped since RocksDB wrote its OPTIONS file */
	pthread_mutex_t resealing;     /* held while a log is sealed anew: sweep_logs.c */
	pthread_mutex_t parking;       /* held while files are parked, and while the platform's older DEKs retire: survey.c */
	_Atomic unsigned resealing_waiters;
	pthread_mutex_t lock; /* guards the two lists below, and hurt notes; nobody who holds it calls RocksDB */
	struct bh_merchant *merchants;
	bh_snapshot *snapshots;
};

/* Refuses what changes a database that was opened read-only: BH_E_UNSUPPORTED. */
BH_MUST_CHECK bh_status bh_db_check_writable(const bh_db *db);

/* Around every public call on a database, so that bh_db_close() waits for its end. What is about a merchant's rows passes that
 * merchant's gate instead. Errors: BH_E_INVALID (it is being closed). */
BH_MUST_CHECK static inline bh_status bh_db_enter(bh_db *db)
{
	bh_status status;

	atomic_fetch_add(&db->calls, 1);
	if (!atomic_load(&db->closed))
		return BH_OK;
	status = bh_fail(BH_E_INVALID, "%s: the database is being closed", db->dir);
	atomic_fetch_sub(&db->calls, 1);
	return status;
}

BH_MUST_CHECK static inline bh_status bh_db_leave(bh_db *db, bh_status status)
{
	atomic_fetch_sub_explicit(&db->calls, 1, memory_order_release);
	return bh_done(status);
}

void bh_db_log(const bh_db *db, const char *fmt, ...) BH_PRINTF(2, 3);
/* Says once, by the log, that there is memory with keys that is not locked, and the limit that it would take. */
void bh_db_check_locked(bh_db *db);

#endif
