/* SPDX-License-Identifier: Apache-2.0
 *
 * keeper.h: the thread that looks after generations of keys: begins new ones when the newest is old or much lies under it, renews
 * wraps that are behind their CMK, goes on with sweeps that were asked for, and destroys what nothing needs any more.
 *
 * Whoever has something for it to do now rings db->keeper_alarm. It works on one merchant after the other, and on none that is
 * detached. Nobody waits for it: it is the only one here that asks a KMS, and what it does to files is paced. A failure is logged,
 * and tried again at the next look.
 */
#ifndef BH_ENGINE_KEEPER_H
#define BH_ENGINE_KEEPER_H

#include "engine/core/db.h"

typedef struct bh_keeper bh_keeper;

/* At the end of an open. *out NULL: the options want none. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_keeper_start(bh_db *db, const bh_db_options *options, bh_keeper **out);
/* Ends what it is at, between two chunks of a file or after the KMS's answer. NULL-safe. */
void bh_keeper_stop(bh_keeper *keeper);

#endif
