/* SPDX-License-Identifier: Apache-2.0
 *
 * wal.h: the WAL that is being written is closed, so that it can be sealed anew or linked: by writing to the platform's own column
 * family and flushing that. Nobody else's memtable is flushed, no key but the platform's is needed, and nobody waits but for the
 * moment in which RocksDB begins the next one.
 */
#ifndef BH_ENGINE_WAL_H
#define BH_ENGINE_WAL_H

#include "db.h"
#include "keyring/base/image.h"

/* Has RocksDB begin another WAL and write to its MANIFEST. A flush that fails stops everybody's writes until it has room, so none
 * is begun where there is next to none. Errors: BH_E_FULL, BH_E_IO (the WAL that is there cannot be continued), those of RocksDB
 * and the Env. */
BH_MUST_CHECK bh_status bh_wal_roll(bh_db *db);
/* This process goes on from an image, and so may another one (keyring/base/image.h): no row is written to the WAL of before any
 * more. Has another one begun; who writes meanwhile waits. Errors: as bh_wal_roll()'s. */
BH_MUST_CHECK bh_status bh_wal_renew(bh_db *db);
/* Before a write: does so where it is due. */
BH_MUST_CHECK static inline bh_status bh_wal_check(bh_db *db)
{
	return bh_image_generation() == atomic_load_explicit(&db->image, memory_order_acquire) ? BH_OK : bh_wal_renew(db);
}
/* Closes the WALs up to number `newest`; all of their bytes are durable then. Errors: BH_E_BUSY (one is still open: somebody else
 * is at it), those of bh_wal_roll(). */
BH_MUST_CHECK bh_status bh_wal_close(bh_db *db, uint64_t newest);
/* Every write so far is durable. */
BH_MUST_CHECK bh_status bh_wal_sync(bh_db *db);

#endif
