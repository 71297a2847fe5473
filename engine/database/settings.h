/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.h: the RocksDB options that a database works with: the caller's template, checked and copied.
 */
#ifndef BH_ENGINE_SETTINGS_H
#define BH_ENGINE_SETTINGS_H

#include "engine/core/db.h"

/* In place of RocksDB's own defaults (engine/include/bulkhead/db.h). */
#define BH_INFO_LOGS 10                      /* LOG and LOG.old.* that stay */
#define BH_MANIFEST_BYTES ((size_t)64 << 20) /* a MANIFEST that is longer is begun anew */
#define BH_WAL_BYTES ((uint64_t)1 << 30)     /* WALs that are longer in all: families are flushed until the oldest can go */

/* Whether a database may be made or opened with these. Errors: BH_E_UNSUPPORTED, naming the option. */
BH_MUST_CHECK bh_status bh_settings_check(const bh_db_options *options);
/* Fills `options`, `read` and the `write`s of `db`. Errors: those of the check. */
BH_MUST_CHECK bh_status bh_settings_make(bh_db *db, const bh_db_options *options);

#endif
