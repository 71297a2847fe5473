/* SPDX-License-Identifier: Apache-2.0
 *
 * cold.h: an open of a database, some of whose merchants have no keys.
 */
#ifndef BH_ENGINE_COLD_H
#define BH_ENGINE_COLD_H

#include "engine/core/merchant.h"

/* Before RocksDB is opened: asks for all keys at once, detaches who has none, tidies up what a crash interrupted, and puts every
 * living merchant on the list. */
BH_MUST_CHECK bh_status bh_cold_start(bh_db *db);
/* Also before: looks at the files, and whose are damaged is hurt. */
void bh_cold_inspect(bh_db *db);
/* After RocksDB could not be opened: whose table it names by its number alone is hurt. */
void bh_cold_inspect_named(bh_db *db, const char *message);
bool bh_cold_serves(const bh_db *db, const char *name); /* ACTIVE or CREATING: RocksDB is shown its families */
/* Before, and after RocksDB could not be opened: detaches those who are hurt. *any_out: whether there were any. */
BH_MUST_CHECK bh_status bh_cold_detach_hurt(bh_db *db, bool *any_out);
/* In place of both for a database that is only looked at: asks for the keys, changes nothing on disk, and lists every living
 * merchant with its gate open where it is ACTIVE and has keys, else closed with the reason. */
BH_MUST_CHECK bh_status bh_cold_look(bh_db *db);
/* After: attaches those who can be, closes the gates of the others. */
BH_MUST_CHECK bh_status bh_cold_finish(bh_db *db);

#endif
