/* SPDX-License-Identifier: Apache-2.0
 *
 * wal.h: the WAL that is being written is closed, so that it can be sealed anew or linked: by writing to the platform's own column
 * family and flushing that. Nobody else's memtable is flushed, no key but the platform's is needed, and nobody waits but for the
 * moment in which RocksDB begins the next one.
 */
#ifndef BH_ENGINE_WAL_H
#define BH_ENGINE_WAL_H

#include "db.h"

/* Closes the WALs up to number `newest`; all of their bytes are durable then. Errors: BH_E_BUSY (one is still open: somebody else
 * is at it), BH_E_IO (the disk is full, or nearly: nothing was tried), those of RocksDB and the Env (a background error). */
BH_MUST_CHECK bh_status bh_wal_close(bh_db *db, uint64_t newest);
/* Every write so far is durable. */
BH_MUST_CHECK bh_status bh_wal_sync(bh_db *db);

#endif
