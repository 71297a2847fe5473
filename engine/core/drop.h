/* SPDX-License-Identifier: Apache-2.0
 *
 * drop.h: a merchant's column families leave the live database.
 */
#ifndef BH_ENGINE_DROP_H
#define BH_ENGINE_DROP_H

#include "merchant.h"

/* Drops its column families and closes their handles, `crash_point` after each, and takes the keys out of all that is open of its
 * files: RocksDB's jobs on them end by that, and what raw handles hold is of no use. Nobody waits for either: RocksDB keeps the
 * files of a family that is gone for as long as any job is at work that began before. With the gate closed. */
BH_MUST_CHECK bh_status bh_merchant_drop_families(bh_db *db, bh_merchant *merchant, const char *crash_point);
/* No file of its is read, written or opened any more. `dropped`: RocksDB knows, and expects it. */
void bh_merchant_leave(bh_db *db, bh_merchant *merchant, bool dropped);
/* They are opened again; those that were open before never. */
void bh_merchant_return(bh_db *db, bh_merchant *merchant);
void bh_merchant_close_handles(bh_merchant *merchant);
/* Removes DB/tenants/<merchant>/ with all it holds. */
BH_MUST_CHECK bh_status bh_merchant_remove_files(const bh_db *db, const char *merchant);

#endif
