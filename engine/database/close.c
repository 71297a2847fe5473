/* SPDX-License-Identifier: Apache-2.0
 *
 * close.c: a database is closed, also one whose opening failed half-way.
 */
#include <stdlib.h>
#include <time.h>
#include <bulkhead/db.h>

#include "env/bridge/caches.h"
#include "engine/core/db.h"
#include "engine/door/door.h"
#include "engine/core/merchant.h"
#include "engine/core/drop.h"
#include "keyring/ring/keyring.h"
#include "engine/core/options_file.h"
#include "engine/core/watch.h"
#include "engine/rotation/keeper.h"
#include "env/bridge/jobs.h"
#include "keyring/dek/lease.h"
#include "engine/wall/leaser.h"
#include "engine/wall/quarantine.h"
#include "keyring/crypto/sign.h"
#include "engine/data/snapshot.h"

static void close_families(bh_db *db)
{
	bh_merchant *merchant, *next;

	/* RocksDB's jobs may look for one still, until it is closed. */
	pthread_mutex_lock(&db->lock);
	merchant = db->merchants;
	db->merchants = NULL;
	pthread_mutex_unlock(&db->lock);
	for (; merchant != NULL; merchant = next) {
		next = merchant->next;
		bh_merchant_shut(merchant, BH_E_INVALID);
		bh_quarantine_settle(merchant);
		bh_merchant_close_handles(merchant);
		bh_merchant_unref(merchant);
	}
	if (db->default_cf == NULL)
		return;
	bh_options_file_write(db);
	rocksdb_column_family_handle_destroy(db->default_cf);
}

/* After the last byte. A failure loses what was sealed since the keeper's last look. */
static void store_sealed(bh_db *db)
{
	if (bh_keyring_sealed_store(db->keyring) != BH_OK)
		bh_db_log(db, "what was sealed under each DEK is not written down: %s", bh_status_message());
}

static void destroy_options(bh_db *db)
{
	if (db->options == NULL)
		return;
	rocksdb_options_destroy(db->options);
	if (db->read == NULL)
		return;
	rocksdb_readoptions_destroy(db->read);
	rocksdb_writeoptions_destroy(db->write);
	rocksdb_writeoptions_destroy(db->write_sync);
	rocksdb_writeoptions_destroy(db->write_no_wal);
}

/* What is about rows ends at its merchant's gate, and so does a sweep or an erasure that has long to go; then nobody is left who
 * uses the database. Those who come now are refused. */
static void wait_for_calls(bh_db *db)
{
	const struct timespec pause = { .tv_nsec = 100000 };

	atomic_store(&db->closed, true);
	pthread_mutex_lock(&db->lock);
	for (bh_merchant *merchant = db->merchants; merchant != NULL; merchant = merchant->next) {
		bh_gate_shut(&merchant->gate, BH_E_INVALID);
		atomic_store(&merchant->closing, true);
	}
	pthread_mutex_unlock(&db->lock);
	while (atomic_load(&db->calls) != 0)
		nanosleep(&pause, NULL);
}

void bh_db_close(bh_db *db)
{
	bh_message message;

	if (db == NULL)
		return;
	message = bh_message_keep();
	atomic_store(&db->hurry, true);
	bh_door_shut(db->door); /* these first: they work on all of the others */
	bh_keeper_stop(db->keeper);
	wait_for_calls(db);
	bh_door_free(db->door);
	bh_leaser_end(db->leaser);
	bh_watch_stop(db->watch);
	close_families(db);
	bh_snapshot_end_all(db);
	bh_watch_end_recovery(db->watch);
	if (db->rocks != NULL) {
		rocksdb_close(db->rocks);
		if (!db->read_only)
			store_sealed(db);
	}
	bh_block_caches_free(db->caches);
	bh_leaser_free(db->leaser); /* RocksDB's last job may have told it of something */
	destroy_options(db);
	bh_jobs_free(db->jobs);
	bh_watch_free(db->watch);
	if (db->env != NULL)
		rocksdb_env_destroy(db->env);
	bh_room_free(db->room);
	free(db->dir);
	bh_alarm_clear(&db->keeper_alarm);
	pthread_cond_destroy(&db->claim_ended);
	pthread_mutex_destroy(&db->recovering);
	pthread_mutex_destroy(&db->renewing);
	pthread_mutex_destroy(&db->admin);
	pthread_mutex_destroy(&db->resealing);
	pthread_mutex_destroy(&db->parking);
	pthread_mutex_destroy(&db->lock);
	free(db);
	bh_message_restore(&message);
}
