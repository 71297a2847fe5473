/* SPDX-License-Identifier: Apache-2.0
 *
 * forget.h: what a merchant has in memory leaves it.
 */
#ifndef BH_ENGINE_FORGET_H
#define BH_ENGINE_FORGET_H

#include "db.h"

/* Takes the keys and what was decrypted with them from memory. */
void bh_forget(bh_db *db, const char *merchant);

#endif
