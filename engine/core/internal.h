/* SPDX-License-Identifier: Apache-2.0
 *
 * internal.h: what the engine's files share.
 *
 * Lock order: bh_merchant.op (one change of its state at a time), then the leaser's, then bh_db.lock (the merchant list, the
 * snapshots), then bh_merchant.lock (its iterators). The keyring and bh_fs have locks of their own below these; bh_db.admin (the
 * claims), bh_db.resealing (one log at a time) and bh_merchant.marking are taken alone; bh_db.recovering comes after an `op`, and
 * nothing but the keyring's after it. Reads and writes take none of them. A KMS is waited for with `op` or a claim at most: nobody
 * else's.
 */
#ifndef BH_ENGINE_INTERNAL_H
#define BH_ENGINE_INTERNAL_H

#include <bulkhead/db.h>

#include <pthread.h>

#include "env/fs/fs.h"
#include "gate.h"
#include "keyring/dek/lease.h"

typedef struct bh_class {
	char name[BH_NAME_MAX + 1];
	rocksdb_column_family_handle_t *handle; /* valid while inside the merchant's gate */
	_Atomic(struct bh_suppressed *)
		suppressed;             /* prefixes that nothing may be written under: suppress.h. NULL: there are none */
	struct bh_suppressed *replaced; /* what a write may look at still; under the merchant's `marking` */
} bh_class;

/* A living merchant, attached or not. Counted: by the database's list while it is there, and by each bh_cf, bh_iter and bh_batch.
 */
typedef struct bh_merchant {
	_Atomic uint32_t refs;
	struct bh_db *db; /* valid while inside the gate */
	char name[BH_NAME_MAX + 1];
	bh_gate gate;              /* open while it is attached */
	_Atomic uint64_t attached; /* bh_db.attaches when it was attached last: what is older does not fit its families */
	bool attach_at_open;       /* while the database is being opened: its keys are there again */
	_Atomic bool closing;      /* compactions that somebody waits for inside the gate shall end */
	pthread_mutex_t op;        /* one change of its state at a time */
	pthread_mutex_t marking;   /* one change of what is suppressed at a time; inside the gate */
	pthread_mutex_t lock;      /* guards `iters` */
	bh_iter *iters;            /* open ones, so that closing the gate can end them */
	size_t class_count;
	bh_class *classes;
	struct bh_merchant *next;
} bh_merchant;

/* One at a time for a name, and for a CMK: see claim.c. In the frame of who holds it. */
typedef struct bh_claim {
	const char *name;
	const char *cmk_uri; /* NULL: no CMK is claimed */
	struct bh_claim *next;
} bh_claim;

struct bh_db {
	char *dir;
	rocksdb_options_t *options; /* the template with our Env */
	rocksdb_env_t *env;         /* owns fs */
	bh_fs *fs;
	bh_keyring *keyring; /* owned by fs */
	rocksdb_t *rocks;
	rocksdb_column_family_handle_t *default_cf;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write, *write_sync, *write_no_wal;
	bh_kms_options kms; /* passphrase: a copy of ours */
	bh_log_fn log;
	void *log_arg;
	struct bh_keeper *keeper; /* NULL: none */
	struct bh_leaser *leaser; /* from the first step of an open on */
	bh_lease_time opened_at;  /* before any KMS was asked */
	pthread_mutex_t admin;    /* guards `claims` */
	pthread_cond_t claim_ended;
	bh_claim *claims;
	_Atomic bool erasing;          /* one erasure at a time: it holds a snapshot, for which another would wait */
	_Atomic uint64_t suppressions; /* counts changes of what is suppressed, in any class */
	_Atomic uint64_t attaches;     /* counts merchants attached since the database was opened */
	_Atomic bool hurry;            /* nobody is served: it is being opened or closed */
	pthread_mutex_t recovering;    /* a parked directory: one at a time */
	_Atomic bool options_behind;   /* families were made or dropped since RocksDB wrote its OPTIONS file */
	pthread_mutex_t resealing;     /* held while a log is sealed anew: sweep_logs.c */
	_Atomic unsigned resealing_waiters;
	pthread_mutex_t lock; /* guards the two lists below */
	bh_merchant *merchants;
	bh_snapshot *snapshots;
};

struct bh_cf {
	bh_merchant *merchant;
	bh_class *cls; /* in the merchant */
};

/* db.c */
void bh_db_log(const bh_db *db, const char *fmt, ...) BH_PRINTF(2, 3);

/* merchant.c */
BH_MUST_CHECK bh_status bh_merchant_new(bh_db *db, const bh_merchant_info *info, bh_merchant **out);
bh_merchant *bh_merchant_ref(bh_merchant *merchant);
void bh_merchant_unref(bh_merchant *merchant);
void bh_merchant_link(bh_db *db, bh_merchant *merchant);    /* takes the reference over */
bh_merchant *bh_merchant_find(bh_db *db, const char *name); /* counted; NULL if there is none that lives */
/* The same with `op` held, or NULL; given back with bh_merchant_unlock() (NULL-safe). */
bh_merchant *bh_merchant_find_locked(bh_db *db, const char *name);
void bh_merchant_unlock(bh_merchant *merchant);
bh_class *bh_merchant_class(bh_merchant *merchant, const char *cls);
/* Makes the column families that the merchant still lacks, then records it as ACTIVE. */
BH_MUST_CHECK bh_status bh_merchant_complete(bh_db *db, bh_merchant *merchant);
/* Makes the column family of one class, empty. Where it fails with a handle in the class, all went well but RocksDB's OPTIONS file
 * (fail_if_options_file_error): the family is there. */
BH_MUST_CHECK bh_status bh_merchant_make_family(bh_db *db, const bh_merchant *merchant, bh_class *cls);
/* Makes the directories of its classes durable. */
BH_MUST_CHECK bh_status bh_merchant_sync_dirs(const bh_db *db, const bh_merchant *merchant);
/* Closes the gate, waits for those inside, ends its iterators. */
void bh_merchant_shut(bh_merchant *merchant, bh_status reason);

/* drop.c */
/* Drops its column families and closes their handles; `crash_point` after each. With the gate closed. */
BH_MUST_CHECK bh_status bh_merchant_drop_families(bh_db *db, bh_merchant *merchant, const char *crash_point);
void bh_merchant_close_handles(bh_merchant *merchant);
/* Removes DB/tenants/<merchant>/ with all it holds. */
BH_MUST_CHECK bh_status bh_merchant_remove_files(const bh_db *db, const char *merchant);
/* When a family is dropped, a flush or compaction of it may still be at work and want to create a file; refusing it would fail the
 * whole database, so the keys stay until RocksDB has removed the last file. Bounded: raw handles may pin files for ever. Returns
 * whether all is let go. */
bool bh_merchant_wait_for_jobs(const bh_db *db, const bh_merchant *merchant);

/* options_file.c */
/* Around a call that makes or drops a column family, on the same thread: the OPTIONS file is not written for it. */
void bh_options_file_hold(bh_db *db);
void bh_options_file_release(void);
/* At close: now it is. */
void bh_options_file_write(bh_db *db);

/* detach.c; `op` held */
/* What operations are told while a merchant is detached for `cause`. */
bh_status bh_suspend_status(bh_suspend_cause cause);
/* From ACTIVE (or a try that failed) to SUSPENDED; the gate is closed first of all. */
BH_MUST_CHECK bh_status bh_detach(bh_db *db, bh_merchant *merchant, bh_suspend_cause cause, const char *note);
/* "REASON (by OPERATOR)", as the keyring keeps it. Errors: BH_E_INVALID (too long), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_suspend_note(const bh_suspend_options *options, bh_buf *out);
/* What the database's own thread asks for: as bh_merchant_suspend(), for another cause; BH_OK if it is detached already. */
BH_MUST_CHECK bh_status bh_merchant_detach(bh_db *db, const char *name, bh_suspend_cause cause, const char *note);
/* As bh_merchant_resume(), for a merchant that no operator suspended (BH_E_SUSPENDED otherwise). */
BH_MUST_CHECK bh_status bh_merchant_attach(bh_db *db, const char *name);
/* Refuses its operations from now on, and waits for none. */
void bh_merchant_gate_close(bh_db *db, const char *name, bh_status reason);
/* Takes the keys and what was decrypted with them from memory. */
void bh_forget(bh_db *db, const char *merchant);

/* attach.c; `op` held */
/* From SUSPENDED to ACTIVE; the keys are asked for if they are not in memory. `note`: who resumes it and why; NULL: nobody does. */
BH_MUST_CHECK bh_status bh_attach(bh_db *db, bh_merchant *merchant, const char *note);

/* cold.c */
/* Before RocksDB is opened: asks for all keys at once, detaches who has none, tidies up what a crash interrupted, and puts every
 * living merchant on the list. */
BH_MUST_CHECK bh_status bh_cold_start(bh_db *db);
/* After: attaches those who can be, closes the gates of the others. */
BH_MUST_CHECK bh_status bh_cold_finish(bh_db *db);

/* Refuses a CMK (BH_E_EXISTS) that is the platform's or a merchant's other than `except` ("": but the platform's; NULL: any). The
 * caller has claimed it. */
BH_MUST_CHECK bh_status bh_cmk_check_free(bh_db *db, const char *cmk_uri, const char *except);

/* claim.c */
void bh_claim_take(bh_db *db, bh_claim *claim); /* waits for others that conflict with it */
void bh_claim_end(bh_db *db, const bh_claim *claim);

/* leases.c */
/* Before any KMS is asked. Errors: BH_E_INVALID (limit), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_leases_prepare(bh_db *db, const bh_db_options *options);
/* At the end of an open: every merchant that is attached, or is not for its KMS's sake, has a lease from now on. Errors:
 * BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_leases_begin(bh_db *db);

/* shred.c */
/* At open: finishes a shred that was interrupted, and stores a certificate that was not; nothing for any other merchant. What the
 * KMS says is logged, and is no failure. */
BH_MUST_CHECK bh_status bh_shred_resume(bh_db *db, const bh_merchant_info *info);

/* iter.c */
void bh_iter_end_all(bh_merchant *merchant); /* with the gate closed and merchant->lock held */
/* snapshot.c */
void bh_snapshot_end_all(bh_db *db);
/* What RocksDB reads through. Errors: BH_E_INVALID (its database is closed), BH_E_SUSPENDED (the merchant was detached since). */
BH_MUST_CHECK bh_status bh_snapshot_raw(const bh_snapshot *snapshot, const bh_merchant *merchant, const rocksdb_snapshot_t **out);
/* Read options for a call: the shared default, or ones of its own that *owned_out says must be destroyed. Inside the gate. */
BH_MUST_CHECK bh_status bh_read_options_make(bh_merchant *merchant, const bh_read_options *options, rocksdb_readoptions_t **out,
					     bool *owned_out);
rocksdb_writeoptions_t *bh_write_options_pick(const bh_db *db, const bh_write_options *options);

#endif
