/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.h: points in time of a whole database.
 */
#ifndef BH_ENGINE_SNAPSHOT_H
#define BH_ENGINE_SNAPSHOT_H

#include "engine/core/merchant.h"

void bh_snapshot_end_all(bh_db *db); /* when it is closed */
/* What RocksDB reads through. Errors: BH_E_INVALID (its database is closed), BH_E_SUSPENDED (the merchant was detached since). */
BH_MUST_CHECK bh_status bh_snapshot_raw(const bh_snapshot *snapshot, const bh_merchant *merchant, const rocksdb_snapshot_t **out);

#endif
