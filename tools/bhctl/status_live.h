/* SPDX-License-Identifier: Apache-2.0
 *
 * status_live.h: what only a process that has the database open can say of it: leases, calls to KMSs, RocksDB's background errors.
 * One process has it open at a time, so these are of the moment for which bhctl opened it. Thread-safety: none.
 */
#ifndef BHCTL_STATUS_LIVE_H
#define BHCTL_STATUS_LIVE_H

#include <bulkhead/bulkhead.h>

#include "output.h"

/* As text, where an object has them (bh_document_add_live). */
void status_live_print_database(const json_t *database);
void status_live_print_merchant(const json_t *merchant);

#endif
