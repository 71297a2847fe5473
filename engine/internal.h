/* SPDX-License-Identifier: Apache-2.0
 *
 * internal.h: what the engine's files share.
 *
 * Lock order: bh_db.admin (merchants added and shredded, one at a time), then bh_db.lock (the merchant list, the snapshots), then
 * bh_merchant.lock (its iterators). The keyring and bh_fs have locks of their own below these. Reads and writes take none of them.
 */
#ifndef BH_ENGINE_INTERNAL_H
#define BH_ENGINE_INTERNAL_H

#include <bulkhead/db.h>

#include <pthread.h>

#include "env/fs.h"
#include "gate.h"

typedef struct bh_class {
	char name[BH_NAME_MAX + 1];
	rocksdb_column_family_handle_t *handle; /* valid while inside the merchant's gate */
} bh_class;

/* A merchant that is attached. Counted: by the database's list while it is there, and by each bh_cf, bh_iter and bh_batch. */
typedef struct bh_merchant {
	_Atomic uint32_t refs;
	struct bh_db *db; /* valid while inside the gate */
	char name[BH_NAME_MAX + 1];
	bh_gate gate;
	pthread_mutex_t lock; /* guards `iters` */
	bh_iter *iters;       /* open ones, so that closing the gate can end them */
	size_t class_count;
	bh_class *classes;
	struct bh_merchant *next;
} bh_merchant;

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
	pthread_mutex_t admin;
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
bh_merchant *bh_merchant_find(bh_db *db, const char *name); /* counted; NULL if it is not attached */
bh_class *bh_merchant_class(bh_merchant *merchant, const char *cls);
/* Makes the column families that the merchant still lacks, then records it as ACTIVE. */
BH_MUST_CHECK bh_status bh_merchant_complete(bh_db *db, bh_merchant *merchant);
/* Closes the gate, ends its iterators. */
void bh_merchant_shut(bh_merchant *merchant, bh_status reason);

/* shred.c */
/* At open: finishes a shred that was interrupted, and stores a certificate that was not; nothing for any other merchant. What the
 * KMS says is logged, and is no failure. */
BH_MUST_CHECK bh_status bh_shred_resume(bh_db *db, const bh_merchant_info *info);

/* iter.c */
void bh_iter_end_all(bh_merchant *merchant); /* with the gate closed and merchant->lock held */
/* snapshot.c */
void bh_snapshot_end_all(bh_db *db);
const rocksdb_snapshot_t *bh_snapshot_raw(const bh_snapshot *snapshot);
/* Read options for a call: the shared default, or ones of its own that *owned_out says must be destroyed. */
BH_MUST_CHECK bh_status bh_read_options_make(bh_db *db, const bh_read_options *options, rocksdb_readoptions_t **out,
					     bool *owned_out);
rocksdb_writeoptions_t *bh_write_options_pick(const bh_db *db, const bh_write_options *options);

#endif
