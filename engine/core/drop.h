/* SPDX-License-Identifier: Apache-2.0
 *
 * drop.h: a merchant's column families leave the live database.
 */
#ifndef BH_ENGINE_DROP_H
#define BH_ENGINE_DROP_H

#include "merchant.h"

/* Drops its column families and closes their handles, `crash_point` after each, then waits until RocksDB is done with them: a
 * flush or compaction that is at work may still want to create a file, and refusing it would fail the whole database, so the keys
 * stay until then. It is done when the files that the families consisted of are removed, which its jobs hold on to, and no file is
 * being written; what a job leaves behind half-made, and files that are not RocksDB's, are not waited for. Bounded: raw handles may
 * pin files for ever. With the gate closed. */
BH_MUST_CHECK bh_status bh_merchant_drop_families(bh_db *db, bh_merchant *merchant, const char *crash_point);
void bh_merchant_close_handles(bh_merchant *merchant);
/* Removes DB/tenants/<merchant>/ with all it holds. */
BH_MUST_CHECK bh_status bh_merchant_remove_files(const bh_db *db, const char *merchant);

#endif
