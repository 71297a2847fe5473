/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_rows.h: the rows of one class that can be read, from one database into another.
 */
#ifndef BH_SALVAGE_ROWS_H
#define BH_SALVAGE_ROWS_H

#include "engine/core/merchant.h"

/* Reads the family `from` of `rocks` in order of its keys and brings the rows into the family of `cls`, which is there and empty.
 * What does not open is passed over and reported. Errors: those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_salvage_rows(bh_db *db, const bh_merchant *merchant, bh_class *cls, rocksdb_t *rocks,
					rocksdb_column_family_handle_t *from, bh_buf *report);
/* Appends a key as the report has it. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_salvage_hex(bh_buf *report, bh_view key);

#endif
