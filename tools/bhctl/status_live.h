/* SPDX-License-Identifier: Apache-2.0
 *
 * status_live.h: what only a process that has the database open can say of it: leases, calls to KMSs, RocksDB's background errors.
 * One process has it open at a time, so these are of the moment for which bhctl opened it. Thread-safety: none.
 */
#ifndef BHCTL_STATUS_LIVE_H
#define BHCTL_STATUS_LIVE_H

#include <bulkhead/bulkhead.h>

#include "output.h"

/* Adds to {"database": ..., "merchants": [...]}, as cmd_status.c makes it: database.background_errors, database.platform_kms, and
 * for each merchant that is there and not shredded `lease` and `kms`. */
void status_live_add(json_t *document, const bh_db_report *report);
/* These members as text, where an object has them. */
void status_live_print_database(const json_t *database);
void status_live_print_merchant(const json_t *merchant);

#endif
