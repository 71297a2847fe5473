/* SPDX-License-Identifier: Apache-2.0
 *
 * quarantine.h: a merchant whose files are damaged is taken out, and nobody else notices.
 *
 * Whoever meets the damage (env/fs/blame.h; engine/core/hurt.h for what RocksDB's own checks find) closes the merchant's gate at
 * once and leaves a note; the leaser's local worker then detaches the merchant for the cause DAMAGED. While a database is being
 * opened there is no worker: the open looks at the notes.
 *
 * Thread-safety: all calls.
 */
#ifndef BH_ENGINE_QUARANTINE_H
#define BH_ENGINE_QUARANTINE_H

#include "engine/core/merchant.h"

/* Before RocksDB is opened: hears of damage from now on. */
void bh_quarantine_begin(bh_db *db);
/* RocksDB's own words for a failure: the merchant whose file they name first is hurt. Returns whether they name one. */
bool bh_quarantine_named(bh_db *db, const char *message);
/* Waits for what its failing flushes have begun; before its families' handles go. */
void bh_quarantine_settle(bh_merchant *merchant);
/* For the leaser: detaches who is hurt; does nothing for who is detached already. Errors: as bh_merchant_suspend(). */
BH_MUST_CHECK bh_status bh_quarantine_detach(bh_db *db, const char *name);

#endif
