/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.c: points in time of a whole database. A snapshot holds no key and no data of its own, only a sequence number, so it
 * needs no gate: what is read through it passes the gate of the merchant it is read from.
 */

#include "snapshot.h"
#include "keyring/base/base.h"

#include <stdlib.h>

/* Guards `db` and `raw` of all snapshots there are: one may be freed while its database is closed. Taken before bh_db.lock.
 */
static pthread_mutex_t ends = PTHREAD_MUTEX_INITIALIZER;

struct bh_snapshot {
	bh_db *db; /* NULL once the database is closed */
	const rocksdb_snapshot_t *raw;
	uint64_t attaches; /* of the database when it was taken: a merchant that came back later does not know this point */
	bh_snapshot *next; /* in db->snapshots, under db->lock */
};

static bh_status snapshot_new_inside(bh_db *db, bh_snapshot **out)
{
	bh_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (snapshot == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a snapshot");
	snapshot->db = db;
	snapshot->attaches = atomic_load(&db->attaches); /* before the snapshot: rather too old than too young */
	snapshot->raw = rocksdb_create_snapshot(db->rocks);
	pthread_mutex_lock(&db->lock);
	snapshot->next = db->snapshots;
	db->snapshots = snapshot;
	pthread_mutex_unlock(&db->lock);
	*out = snapshot;
	return BH_OK;
}

bh_status bh_snapshot_new(bh_db *db, bh_snapshot **out)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, snapshot_new_inside(db, out));
}

static void release(bh_snapshot *snapshot)
{
	rocksdb_release_snapshot(snapshot->db->rocks, snapshot->raw);
	snapshot->db = NULL;
	snapshot->raw = NULL;
}

static void unlink_snapshot(bh_db *db, const bh_snapshot *snapshot)
{
	bh_snapshot **link;

	pthread_mutex_lock(&db->lock);
	for (link = &db->snapshots; *link != snapshot; link = &(*link)->next)
		;
	*link = snapshot->next;
	pthread_mutex_unlock(&db->lock);
}

void bh_snapshot_free(bh_snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	pthread_mutex_lock(&ends);
	if (snapshot->db != NULL) {
		unlink_snapshot(snapshot->db, snapshot);
		release(snapshot);
	}
	pthread_mutex_unlock(&ends);
	free(snapshot);
}

/* While the database is closed, when nobody makes one; one may be freed. */
void bh_snapshot_end_all(bh_db *db)
{
	bh_snapshot *next;

	pthread_mutex_lock(&ends);
	for (bh_snapshot *snapshot = db->snapshots; snapshot != NULL; snapshot = next) {
		next = snapshot->next;
		release(snapshot);
	}
	db->snapshots = NULL;
	pthread_mutex_unlock(&ends);
}

bh_status bh_snapshot_raw(const bh_snapshot *snapshot, const bh_merchant *merchant, const rocksdb_snapshot_t **out)
{
	if (snapshot->raw == NULL)
		return bh_fail(BH_E_INVALID, "the snapshot ended with its database");
	if (snapshot->attaches < atomic_load(&merchant->attached))
		return bh_fail(BH_E_SUSPENDED, "merchant '%s': was suspended after this snapshot was taken; take a new one",
			       merchant->name);
	*out = snapshot->raw;
	return BH_OK;
}
