/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage.h: what can be read of a merchant whose files are damaged, and for which no right ones are left.
 *
 * Its parked database is opened without the logs and the SSTs that do not open; what lies there is read in order of the keys,
 * blocks that do not open are passed over, and the rows go into new SSTs of the live database. A range that is passed over comes
 * back without a row, whatever older files have in it. In the range of an SST that is left out whole, what the others have comes
 * back, and may be older than what was lost, or have been deleted since: the report says so. CURRENT, the MANIFEST and the keys
 * have to be there.
 */
#ifndef BH_SALVAGE_H
#define BH_SALVAGE_H

#include "engine/core/merchant.h"

/* With `op` held, in RESUMING, with bh_db.recovering held. Makes the families of the merchant's classes. What came back and what
 * did not is appended to `report` (bh_suspend_options.salvaged_out). Errors: those of bh_parked_open(), of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_salvage(bh_db *db, bh_merchant *merchant, bh_buf *report);

#endif
