/* SPDX-License-Identifier: Apache-2.0
 *
 * hurt.h: a merchant whose files are damaged is refused from the moment on that somebody meets the damage. What becomes of it then
 * is the wall's business (quarantine.h), which hears of it by bh_db.on_hurt.
 *
 * Thread-safety: all calls, also with RocksDB's locks held: nothing here waits.
 */
#ifndef BH_ENGINE_HURT_H
#define BH_ENGINE_HURT_H

#include "merchant.h"

/* Something is wrong with a file of the merchant's: closes its gate, and keeps what was said first. */
void bh_hurt(bh_merchant *merchant, const char *what);
/* Whether that was said since the merchant was attached last; *note_out: what. */
bool bh_hurt_is_due(bh_merchant *merchant, char note_out[BH_SUSPEND_NOTE_MAX + 1]);
/* What was said is of the past. */
void bh_hurt_clear(bh_merchant *merchant);

/* The status of a RocksDB call on the merchant's class, on its way up: what its own checks found to be corrupt is damage, too. */
bh_status bh_hurt_look(bh_merchant *merchant, bh_status status);
/* What RocksDB calls a corruption, and is none of a file: the caller's merge operator, a memtable. */
bool bh_hurt_is_elsewhere(const char *message);
/* A message about a file, with more room for what it says: within a note the path begins below the database's directory. */
const char *bh_hurt_shorter(const bh_db *db, const char *message);

#endif
