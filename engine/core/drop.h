/* SPDX-License-Identifier: Apache-2.0
 *
 * drop.h: a merchant's column families leave the live database.
 */
#ifndef BH_ENGINE_DROP_H
#define BH_ENGINE_DROP_H

#include "merchant.h"

/* Drops its column families and closes their handles; `crash_point` after each. With the gate closed. */
BH_MUST_CHECK bh_status bh_merchant_drop_families(bh_db *db, bh_merchant *merchant, const char *crash_point);
void bh_merchant_close_handles(bh_merchant *merchant);
/* Removes DB/tenants/<merchant>/ with all it holds. */
BH_MUST_CHECK bh_status bh_merchant_remove_files(const bh_db *db, const char *merchant);
/* When a family is dropped, a flush or compaction of it may still be at work and want to create a file; refusing it would fail the
 * whole database, so the keys stay until RocksDB has removed the last file. Bounded: raw handles may pin files for ever. Returns
 * whether all is let go. */
bool bh_merchant_wait_for_jobs(const bh_db *db, const bh_merchant *merchant);

#endif
