/* SPDX-License-Identifier: Apache-2.0
 *
 * family.h: a merchant's column families come into the live database.
 */
#ifndef BH_ENGINE_FAMILY_H
#define BH_ENGINE_FAMILY_H

#include "merchant.h"

/* Makes the column families that the merchant still lacks, then records it as ACTIVE. */
BH_MUST_CHECK bh_status bh_merchant_complete(bh_db *db, bh_merchant *merchant);
/* Whether each of its classes has one. Errors: BH_E_FORMAT (the MANIFEST lacks it). */
BH_MUST_CHECK bh_status bh_merchant_check_families(const bh_db *db, const bh_merchant *merchant);
/* Makes the column family of one class, empty. Where it fails with a handle in the class, all went well but RocksDB's OPTIONS file
 * (fail_if_options_file_error): the family is there. */
BH_MUST_CHECK bh_status bh_merchant_make_family(bh_db *db, const bh_merchant *merchant, bh_class *cls);
/* Makes the directories of its classes durable. */
BH_MUST_CHECK bh_status bh_merchant_sync_dirs(const bh_db *db, const bh_merchant *merchant);

#endif
