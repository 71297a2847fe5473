/* SPDX-License-Identifier: Apache-2.0
 *
 * park.h: a merchant's files outside of the live database: DB/parked/<merchant>/, a small RocksDB database of its own.
 *
 *     CURRENT, MANIFEST-N          copies, as the live database had them
 *     N.log                        WALs: hard links of closed ones, a copy of one that cannot be closed; none after a flush
 *     tenants/<merchant>/<class>/  hard links of its SST and blob files
 *     INVENTORY                    all of these, under the platform's key (inventory.h)
 * A merchant that is parked because its files are damaged may have files there that are not in the inventory, or are other than it
 * says: the right ones are put there later. Its MANIFEST says which SSTs and blob files are needed, and each authenticates.
 * Needs no key of the merchant. The directory appears whole or not at all (.new-<merchant> before); when it is there it is
 * complete, and nothing of it is changed until it is removed. Other merchants' bytes in the MANIFEST and the WALs lie under their
 * own keys.
 */
#ifndef BH_PARK_H
#define BH_PARK_H

#include "engine/core/db.h"

bool bh_park_is_leftover(const char *name); /* in DB/parked, of one of these */

/* DB/parked/<merchant>, or DB/parked for "". Appended to `out`, with a NUL behind it. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_parked_path(const bh_db *db, const char *merchant, bh_buf *out);
/* The name of what is parked, too: before what it was parked from goes. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_park_make_durable(const bh_db *db);
bool bh_is_parked(const bh_db *db, const char *merchant);

#define BH_PARK_ALL_LOGS UINT64_MAX

/* Parks a merchant that nobody writes to. While the database is open its file deletions have to be disabled. `logs`: the highest
 * number of a WAL that may hold a write of its; 0: all of its writes are in SSTs. A kill leaves nothing, or all of it. Errors:
 * BH_E_IO, BH_E_NOT_FOUND, BH_E_EXISTS (parked already), those of the Env for CURRENT. */
BH_MUST_CHECK bh_status bh_park(bh_db *db, const char *merchant, uint64_t logs);
/* Of a merchant that is parked, for damage: moves there what lies below DB/tenants/<merchant> still, files alone. Without
 * `replace`: what could not be linked. With it: what somebody has put there since. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_park_rest(const bh_db *db, const char *merchant, bool replace);
/* For who recovers it: DB/parked/.resume-<merchant>, links of what was parked, each of them looked at, and of nothing else.
 * *path_out is that, with a NUL behind it; RocksDB may do there what it likes. It is there until bh_park_lend_end(), also after a
 * failure. Errors: those of bh_inventory_load() and bh_inventory_check(): a file is missing, cut, or another one; BH_E_FORMAT (no
 * directory); BH_E_IO. */
BH_MUST_CHECK bh_status bh_park_lend(bh_db *db, const char *merchant, bh_buf *path_out);
/* The same for a salvage: what is there of it, whatever the inventory says of SSTs and blob files, and without logs that are not as
 * it says, each of which is a line in `report`. CURRENT and the MANIFEST have to be right. */
BH_MUST_CHECK bh_status bh_park_lend_left(bh_db *db, const char *merchant, bh_buf *path_out, bh_buf *report);
/* What was read among the links lies in parked/<merchant>, and that is where the right file belongs: a text that names it so. */
void bh_park_name_lent(char *text, const char *merchant);
void bh_park_lend_end(const bh_db *db, const char *merchant);
/* Removes DB/parked/<merchant>, and what a failure left of parking it; BH_OK where neither is. */
BH_MUST_CHECK bh_status bh_unpark(const bh_db *db, const char *merchant);
/* Removes what a kill left of parking, or of coming back. */
BH_MUST_CHECK bh_status bh_park_remove_leftovers(const bh_db *db);

#endif
