/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_open.h: what an open does about erasures.
 */
#ifndef BH_ENGINE_ERASE_OPEN_H
#define BH_ENGINE_ERASE_OPEN_H

#include "engine/core/db.h"

/* Completes what waited for logs to be left behind, and reports what a crash cut short. A failure is logged. */
void bh_erase_at_open(bh_db *db, const bh_merchant_info *merchant);

#endif
