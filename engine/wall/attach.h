/* SPDX-License-Identifier: Apache-2.0
 *
 * attach.h: a merchant comes back into the live database.
 */
#ifndef BH_ENGINE_ATTACH_H
#define BH_ENGINE_ATTACH_H

#include "engine/core/merchant.h"

/* With `op` held: from SUSPENDED to ACTIVE; the keys are asked for if they are not in memory. `note`: who resumes it and why; NULL:
 * nobody does. `salvaged` not NULL: with what can be read, and what cannot is appended to it (salvage.h). */
BH_MUST_CHECK bh_status bh_attach(bh_db *db, bh_merchant *merchant, const char *note, bh_buf *salvaged);
/* With `op` held: from RESUMING, where a try ended half-way, back to SUSPENDED; the parked files stay as they are. `note`: its
 * files are damaged, and how; NULL: it stays suspended for what it was. Can be called
 * again after a failure. Errors: BH_E_IO (also: it is not known what was recorded, and nothing was done), BH_E_ROCKSDB. */
BH_MUST_CHECK bh_status bh_attach_undo(bh_db *db, bh_merchant *merchant, const char *note);
/* As bh_merchant_resume(), for a merchant that no operator suspended (BH_E_SUSPENDED otherwise). */
BH_MUST_CHECK bh_status bh_merchant_attach(bh_db *db, const char *name);

#endif
