/* SPDX-License-Identifier: Apache-2.0
 *
 * shred.h: what an open does about shreds.
 */
#ifndef BH_ENGINE_SHRED_H
#define BH_ENGINE_SHRED_H

#include "engine/core/db.h"

/* Finishes a shred that was interrupted, and stores a certificate that was not; nothing for any other merchant. What the KMS says
 * is logged, and is no failure. */
BH_MUST_CHECK bh_status bh_shred_resume(bh_db *db, const bh_merchant_info *info);

#endif
