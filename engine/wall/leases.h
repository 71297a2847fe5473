/* SPDX-License-Identifier: Apache-2.0
 *
 * leases.h: between a database and its leaser (leaser.h).
 */
#ifndef BH_ENGINE_LEASES_H
#define BH_ENGINE_LEASES_H

#include "engine/core/merchant.h"

/* Before any KMS is asked. Errors: BH_E_INVALID (limit), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_leases_prepare(bh_db *db, const bh_db_options *options);
/* At the end of an open: every merchant that is attached, or is not for its KMS's sake, has a lease from now on,
 * which is renewed unless the database is read-only. Errors:
 * BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_leases_begin(bh_db *db);

#endif
