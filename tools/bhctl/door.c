/* SPDX-License-Identifier: Apache-2.0
 *
 * door.c: see door.h.
 */
#include "door.h"

#include <unistd.h>

#include "engine/door/wire.h"
#include "keyring/base/io.h"

#define SEND_MS 10000

bh_status door_find(bhctl *ctl, int *fd_out)
{
	bh_status status;

	*fd_out = -1;
	BH_TRY(bhctl_as_caller(true)); /* whom the other side sees, and its audit log names */
	status = bh_door_connect(ctl->db, fd_out);
	BH_TRY(bhctl_as_caller(false));
	return status == BH_E_NOT_FOUND ? BH_OK : status;
}

json_t *door_request(const char *call)
{
	return json_pack("{s:i, s:s}", "door", BH_DOOR_VERSION, "call", call);
}

/* The other side's status, with its message. */
static bh_status take_error(const json_t *error)
{
	const json_int_t status = json_integer_value(json_object_get(error, "status"));

	if (status <= BH_OK || status >= BH_E_COUNT_)
		return bh_fail(BH_E_FORMAT,
			       "the service that has the database open failed in a way that this program does not know");
	return bh_fail((bh_status)status, "%s", bh_json_text_of(error, "message"));
}

/* One line; *done: it was the last. */
static bh_status take_line(const json_t *line, void (*progress)(void *arg, const json_t *progress), void *arg, json_t **result_out,
			   bool *done)
{
	const json_t *value = json_object_get(line, "progress");

	*done = value == NULL;
	if (value != NULL && progress != NULL)
		progress(arg, value);
	if (value != NULL)
		return BH_OK;
	if (json_object_get(line, "error") != NULL)
		return take_error(json_object_get(line, "error"));
	*result_out = json_incref(json_object_get(line, "result"));
	return json_is_object(*result_out)
		       ? BH_OK
		       : bh_fail(BH_E_FORMAT, "the service that has the database open gives an answer that is none");
}

static bh_status converse(int fd, const json_t *request, void (*progress)(void *arg, const json_t *progress), void *arg,
			  json_t **result_out)
{
	bh_door_lines lines = { .fd = fd };
	bool done = false;
	/* Who is sent away may be told so before his request has gone out. */
	bh_status sent = bh_door_send(fd, request, bh_door_now_ms() + SEND_MS), status = BH_OK;

	while (status == BH_OK && !done) {
		json_t *line = NULL;

		status = bh_door_receive(&lines, BH_DOOR_ANSWER_MAX, sent == BH_OK ? BH_DOOR_NO_DEADLINE : 0, &line);
		if (status == BH_OK)
			status = take_line(line, progress, arg, result_out, &done);
		json_decref(line);
	}
	bh_buf_clear(&lines.pending);
	return status;
}

bh_status door_ask(bhctl *ctl, int fd, json_t *request, void (*progress)(void *arg, const json_t *progress), void *progress_arg,
		   json_t **result_out)
{
	BH_CLEANUP(bh_io_closep) int door = fd;
	bh_status status = BH_OK;

	if (door < 0)
		status = door_find(ctl, &door);
	if (status == BH_OK && door < 0)
		status = bh_fail(BH_E_IO, "%s: the service that had the database open is gone", ctl->db);
	if (status == BH_OK)
		status = converse(door, request, progress, progress_arg, result_out);
	json_decref(request);
	return status;
}
