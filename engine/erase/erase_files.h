/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_files.h: which files a class has, by its directory.
 */
#ifndef BH_ENGINE_ERASE_FILES_H
#define BH_ENGINE_ERASE_FILES_H

#include "engine/core/db.h"

/* The numbered files in the class's directory: appends a uint64_t each. `foreign` (may be NULL): names of files that are not
 * RocksDB's, a line each. Errors: BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_erase_list_files(const bh_db *db, const bh_scope *scope, bh_buf *numbers, bh_buf *foreign);
bool bh_erase_numbers_have(const bh_buf *numbers, uint64_t number);

#endif
