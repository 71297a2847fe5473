/* SPDX-License-Identifier: Apache-2.0
 *
 * socket.h: frames of wire.h over a Unix-domain socket, each step before a deadline. For both sides.
 *
 * Deadlines are in milliseconds of bh_agent_now_ms(), the monotonic clock. Sockets are non-blocking and close on exec; a peer that
 * is gone is a status, never a SIGPIPE. Thread-safety: one thread a socket.
 */
#ifndef BH_KMS_AGENT_SOCKET_H
#define BH_KMS_AGENT_SOCKET_H

#include <sys/types.h>
#include <sys/un.h>

#include "wire.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_AGENT_SOCKET_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1) /* bytes of a socket's path, without the NUL */

int64_t bh_agent_now_ms(void);
/* Errors: BH_E_INVALID (empty, or longer than BH_AGENT_SOCKET_MAX). */
BH_MUST_CHECK bh_status bh_agent_address(const char *path, struct sockaddr_un *out);

/* Errors: BH_E_KMS_UNREACHABLE (nothing there, nobody listens, too late), BH_E_KMS_REFUSED (not permitted), BH_E_INVALID. */
BH_MUST_CHECK bh_status bh_agent_connect(const char *path, int64_t deadline_ms, int *fd_out);
/* The user on the other side, as the kernel says. Errors: BH_E_KMS_UNREACHABLE. */
BH_MUST_CHECK bh_status bh_agent_peer(int fd, uid_t *uid_out);
/* Sends a whole frame. Errors: BH_E_KMS_UNREACHABLE. */
BH_MUST_CHECK bh_status bh_agent_send(int fd, bh_view frame, int64_t deadline_ms);
/* Receives one frame: its body into `room`, a secret of BH_AGENT_BODY_MAX bytes, of which `body_out` is then a part. Errors:
 * BH_E_KMS_UNREACHABLE (closed before the first byte, or too late), BH_E_FORMAT (ends in the midst of it, or has a length that no
 * frame has). */
BH_MUST_CHECK bh_status bh_agent_receive(int fd, int64_t deadline_ms, bh_secret *room, bh_view *body_out);

#ifdef __cplusplus
}
#endif
#endif
