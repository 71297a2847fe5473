/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.h: what is said through the door, for both sides: a Unix-domain socket in the database's directory, and lines of JSON on it.
 *
 * A connection carries one request and what answers it (README.md, "The door"): an object a line, UTF-8 (RFC 8259), no member
 * twice. Deadlines are in ms of the monotonic clock (bh_door_now_ms); a peer that is gone is a status, never a SIGPIPE.
 * Thread-safety: one thread a connection.
 */
#ifndef BH_ENGINE_DOOR_WIRE_H
#define BH_ENGINE_DOOR_WIRE_H

#include <jansson.h>
#include <sys/types.h>

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_DOOR_SOCKET "ADMIN" /* in the database's directory */
#define BH_DOOR_VERSION 1
#define BH_DOOR_REQUEST_MAX (64u << 10) /* bytes of a request, its newline included */
#define BH_DOOR_ANSWER_MAX (256u << 20) /* of a line that answers it */
#define BH_DOOR_CONNECT_MS 15000        /* how long to wait in front of a door that is full */
#define BH_DOOR_NO_DEADLINE INT64_MAX

int64_t bh_door_now_ms(void);

/* Listens at DIR/ADMIN; what a process that is gone has left there is replaced. `others`: users besides the owner may come to the
 * door, where they are told apart. Errors: BH_E_EXISTS (something that is no socket), BH_E_IO. */
BH_MUST_CHECK bh_status bh_door_listen(const char *dir, bool others, int *fd_out);
void bh_door_unlink(const char *dir); /* who comes after it finds no door */
/* Knocks at DIR/ADMIN. Errors: BH_E_NOT_FOUND (nobody listens there), BH_E_DENIED (not permitted), BH_E_BUSY (full
 * for BH_DOOR_CONNECT_MS), BH_E_IO. */
BH_MUST_CHECK bh_status bh_door_connect(const char *dir, int *fd_out);

/* Sends an object as a line. Errors: BH_E_IO (the other side is gone, or too slow), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_door_send(int fd, const json_t *object, int64_t deadline_ms);

/* Lines that come in on one connection. All zero but `fd`; cleared by bh_buf_clear(&pending). */
typedef struct bh_door_lines {
	int fd;
	bh_buf pending; /* received and not read yet */
} bh_door_lines;
/* Receives the next line as an object, which the caller releases. Errors: BH_E_IO (the other side is gone, or too late),
 * BH_E_FORMAT (longer than `max` bytes, no JSON, no object). */
BH_MUST_CHECK bh_status bh_door_receive(bh_door_lines *lines, size_t max, int64_t deadline_ms, json_t **out);

/* An object out of a line's text, without its newline. Pure. Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_door_parse(bh_view text, json_t **out);

#ifdef __cplusplus
}
#endif
#endif
