/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.h: the thread that watches over room (env/room/room.h) and over RocksDB's background errors.
 *
 *     every 100 ms    asks the file system and counts descriptors; says when writes begin to be refused, and when they go on
 *     when there is   makes the reserves anew that were given up
 *     RocksDB stopped tries again by itself, once a second; where it gave up (a family was dropped in the middle of it), it is made
 * to begin again. Its own call for that, DB::Resume, leaves 7.8 with flushes that nobody waits for. the MANIFEST    could not be
 * written when a family was made or dropped: another edit is written, which has RocksDB begin a new failed          MANIFEST. Until
 * then it deletes nothing: that is what its recovery from other errors insists on
 */
#ifndef BH_WATCH_H
#define BH_WATCH_H

#include "db.h"

typedef struct bh_watch bh_watch;

/* Before RocksDB is opened: listens, and makes what options have to say of all this. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_watch_new(bh_db *db, bh_watch **out);
/* Once it is open. Errors: BH_E_NOMEM (no thread). */
BH_MUST_CHECK bh_status bh_watch_start(bh_watch *watch);
/* Ends the thread; to be called before RocksDB is closed. NULL-safe. */
void bh_watch_stop(bh_watch *watch);
/* Right before RocksDB is closed: ends its tries to recover from an error, if there are any; waits up to some seconds for the one
 * that is under way. NULL-safe. */
void bh_watch_end_recovery(bh_watch *watch);
void bh_watch_free(bh_watch *watch); /* after; NULL-safe */

/* A call that writes to the MANIFEST outside of RocksDB's own jobs failed. */
void bh_watch_manifest_failed(bh_watch *watch);
/* Whether RocksDB refuses writes for an error in the background. */
bool bh_watch_is_stopped(const bh_watch *watch);

#endif
