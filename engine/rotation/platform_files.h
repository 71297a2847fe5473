/* SPDX-License-Identifier: Apache-2.0
 *
 * platform_files.h: the files that lie under the platform's DEKs: logs, small files, SSTs of the default family; in the database's
 * directory, in RocksDB's archive, and in what is parked, whose logs are kept for merchants that are detached.
 */
#ifndef BH_ENGINE_PLATFORM_FILES_H
#define BH_ENGINE_PLATFORM_FILES_H

#include "place.h"

/* Calls `each` with the path of every one that may be sealed, whatever is in it, but for temporary ones and trash, which the next
 * open removes. `parked`: it is in DB/parked, where nothing is changed. Errors: BH_E_IO, BH_E_NOMEM, those of `each`. */
BH_MUST_CHECK bh_status bh_each_platform_file(const bh_place *place,
					      bh_status (*each)(void *arg, const char *path, bh_file_kind kind, bool parked),
					      void *arg);
/* The name for who reads of it: NAME, or parked/MERCHANT. */
void bh_platform_file_name(const bh_place *place, const char *path, char *out, size_t size);

#endif
