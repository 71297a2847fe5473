/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.h: all that lies under older generations of a merchant's DEKs is sealed anew under the newest one.
 */
#ifndef BH_ENGINE_SWEEP_H
#define BH_ENGINE_SWEEP_H

#include <bulkhead/rotation.h>

#include "engine/core/db.h"

/* Begins new logs, in place of all that are under older generations of the platform's. Errors: as of bh_merchant_sweep(). */
BH_MUST_CHECK bh_status bh_sweep_platform_logs(bh_db *db);

/* bh_merchant_sweep() at the default pace, ended by `stop` with BH_E_BUSY. */
BH_MUST_CHECK bh_status bh_sweep_until(bh_db *db, const char *name, const _Atomic bool *stop);

#endif
