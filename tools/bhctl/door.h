/* SPDX-License-Identifier: Apache-2.0
 *
 * door.h: the outer side of an open database's door (engine/door). Thread-safety: none.
 */
#ifndef BHCTL_DOOR_H
#define BHCTL_DOOR_H

#include "bhctl.h"

/* Knocks at the database of --db. *fd_out is a connection, the caller's to close, or -1: nobody has it open, or nobody who
 * listens. Errors: BH_E_DENIED, BH_E_IO. */
BH_MUST_CHECK bh_status door_find(bhctl *ctl, int *fd_out);

/* The beginning of a request. */
json_t *door_request(const char *call);
/* Sends `request`, which is released, over the connection `fd` (-1: over a new one), which is closed; waits for what answers it,
 * for as long as it takes. `progress` NULL: nobody looks. *result_out is the caller's to release. Errors: those of the call, as the
 * other side says; BH_E_IO (it is gone: what was asked for may be done or not), BH_E_FORMAT. */
BH_MUST_CHECK bh_status door_ask(bhctl *ctl, int fd, json_t *request, void (*progress)(void *arg, const json_t *progress),
				 void *progress_arg, json_t **result_out);

#endif
