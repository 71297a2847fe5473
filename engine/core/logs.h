/* SPDX-License-Identifier: Apache-2.0
 *
 * logs.h: WALs and MANIFESTs of a database: which there are, whose bytes they hold, and who is sealing one anew.
 */
#ifndef BH_ENGINE_LOGS_H
#define BH_ENGINE_LOGS_H

#include "db.h"

/* Which logs to look at. */
typedef enum bh_logs {
	BH_LOGS_LIVE_WALS,     /* of the live database, its archive included */
	BH_LOGS_LIVE_MANIFEST, /* of the live database */
	BH_LOGS_PARKED,        /* both kinds, in the parked directories of all merchants */
} bh_logs;
/* Appends the path, in the database's directory, of each of these logs of number `limit` and below that has bytes of the class
 * under a DEK that is not destroyed, a line each. Errors: BH_E_IO, BH_E_NOMEM, those of bh_file_references(). */
BH_MUST_CHECK bh_status bh_logs_list(const bh_db *db, const bh_scope *scope, bh_logs which, uint64_t limit, bh_buf *paths);
/* The highest number of a WAL or MANIFEST of the live database. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_logs_newest(const bh_db *db, uint64_t *number_out);

/* A moment in which no log is being sealed anew, so that nobody's keys are held for that: what is under way is given up, and done
 * again later. Called by who takes keys from memory, before it looks whether they are gone. */
void bh_logs_let_go(bh_db *db);

#endif
