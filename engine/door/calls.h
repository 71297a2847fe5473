/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.h: what can be asked for through the door.
 */
#ifndef BH_ENGINE_DOOR_CALLS_H
#define BH_ENGINE_DOOR_CALLS_H

#include <jansson.h>

#include "engine/core/db.h"

typedef struct bh_door_call {
	bh_db *db;
	const json_t *request; /* checked: bh_door_request_check() */
	json_t *result;        /* an object, which the call fills */
	void (*progress)(void *arg, const json_t *progress);
	void *progress_arg;
} bh_door_call;

/* Whether it is a request of this version, for something that there is, with the members that this has and no others, of the right
 * types. Pure. Errors: BH_E_FORMAT, BH_E_VERSION, BH_E_UNSUPPORTED (no such call). */
BH_MUST_CHECK bh_status bh_door_request_check(const json_t *request);
/* Does what is asked. Errors: those of the call. */
BH_MUST_CHECK bh_status bh_door_call_run(bh_door_call *call);

#endif
