/* SPDX-License-Identifier: Apache-2.0
 *
 * door.h: the door of an open database: a socket in its directory, DB/ADMIN, through which bhctl and other programs of an operator
 * work on it while a service has it open. What can be asked for is calls.c, how it is said is wire.h; README.md has both.
 *
 * Who comes is known by the kernel's word (SO_PEERCRED): the service's own user, root, and users that the service names. Everybody
 * else is sent away before a byte of theirs is read. A request holds up nobody: each has a thread, at most BH_DOOR_BUSY_MAX at
 * once, and ends as a call from within the service would. What it does is in the audit log under the name of who asked.
 */
#ifndef BH_ENGINE_DOOR_H
#define BH_ENGINE_DOOR_H

#include "engine/core/db.h"

#define BH_DOOR_BUSY_MAX 32       /* requests at once; others wait in the socket's queue */
#define BH_DOOR_DEADLINE_MS 10000 /* for a request to come in whole, and for each line of an answer to be taken */

typedef struct bh_door bh_door;

/* Opens it; threads begin to serve. Errors: those of bh_door_listen(), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_door_open(bh_db *db, const bh_db_options *options, bh_door **out);
/* Nobody comes in any more; who has not said what he wants is sent away. Requests under way go on. NULL-safe. */
void bh_door_shut(bh_door *door);
/* Waits for the requests under way, and frees it. After bh_door_shut(). NULL-safe. */
void bh_door_free(bh_door *door);

#endif
