/* SPDX-License-Identifier: Apache-2.0
 *
 * shred_files.h: the files of a merchant that is shredded.
 */
#ifndef BH_ENGINE_SHRED_FILES_H
#define BH_ENGINE_SHRED_FILES_H

#include "certificate.h"
#include "engine/core/db.h"

/* Adds the salts of the files that the merchant has in the database and parked: those whose header names one of its DEKs, and was
 * sealed by it, where that key is at hand. Errors: BH_E_IO, BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_shred_list_files(const bh_db *db, const bh_merchant_info *merchant, bh_salts *salts);
/* Removes the merchant's directories with all they hold, durably. Idempotent. Errors: BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_shred_remove_files(const bh_db *db, const char *merchant);

#endif
