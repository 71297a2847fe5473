/* SPDX-License-Identifier: Apache-2.0
 *
 * detach.h: a merchant leaves the live database and can come back.
 */
#ifndef BH_ENGINE_DETACH_H
#define BH_ENGINE_DETACH_H

#include "engine/core/merchant.h"

/* With `op` held: from ACTIVE (or a try that failed) to SUSPENDED; the gate is closed first of all. */
BH_MUST_CHECK bh_status bh_detach(bh_db *db, bh_merchant *merchant, bh_suspend_cause cause, const char *note);
/* What the database's own thread asks for: as bh_merchant_suspend(), for another cause; BH_OK if it is detached already. */
BH_MUST_CHECK bh_status bh_merchant_detach(bh_db *db, const char *name, bh_suspend_cause cause, const char *note);

#endif
