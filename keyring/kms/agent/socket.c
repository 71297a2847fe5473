/* SPDX-License-Identifier: Apache-2.0
 *
 * socket.c: see socket.h.
 */
#include "socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "keyring/base/io.h"

#define RETRY_MS 5 /* between tries at a socket whose queue is full */

int64_t bh_agent_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bh_status bh_agent_address(const char *path, struct sockaddr_un *out)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	if (len == 0 || len > BH_AGENT_SOCKET_MAX)
		return bh_fail(BH_E_INVALID, "socket '%s': a path of 1 to %zu bytes is wanted", path, BH_AGENT_SOCKET_MAX);
	memcpy(address.sun_path, path, len + 1);
	*out = address;
	return BH_OK;
}

/* Waits until `events` or the deadline. */
static bh_status wait_for(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		int64_t left_ms = deadline_ms - bh_agent_now_ms();
		struct pollfd poll_fd = { .fd = fd, .events = events };
		if (left_ms <= 0)
			return bh_fail(BH_E_KMS_UNREACHABLE, "the KMS agent does not answer in time");
		int ready = poll(&poll_fd, 1, (int)BH_MIN(left_ms, (int64_t)INT32_MAX));
		if (ready > 0)
			return BH_OK;
		if (ready < 0 && errno != EINTR)
			return bh_fail(BH_E_KMS_UNREACHABLE, "the KMS agent's socket cannot be waited for: %s", strerror(errno));
	}
}

/* EAGAIN from connect() is a queue that is full; it cannot be waited for. */
static bh_status connect_by(int fd, const struct sockaddr_un *address, int64_t deadline_ms)
{
	const struct timespec pause = { .tv_nsec = RETRY_MS * 1000000L };

	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
		if (errno == EACCES || errno == EPERM)
			return bh_fail(BH_E_KMS_REFUSED, "%s: this user may not use the KMS agent's socket", address->sun_path);
		if (errno != EAGAIN && errno != EINTR)
			return bh_fail(BH_E_KMS_UNREACHABLE, "%s: no KMS agent there: %s", address->sun_path, strerror(errno));
		if (bh_agent_now_ms() >= deadline_ms)
			return bh_fail(BH_E_KMS_UNREACHABLE, "%s: the KMS agent takes no call in time", address->sun_path);
		nanosleep(&pause, NULL);
	}
	return BH_OK;
}

bh_status bh_agent_connect(const char *path, int64_t deadline_ms, int *fd_out)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;
	struct sockaddr_un address;

	BH_TRY(bh_agent_address(path, &address));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s: no socket to call its KMS agent: %s", path, strerror(errno));
	BH_TRY(connect_by(fd, &address, deadline_ms));
	*fd_out = fd;
	fd = -1;
	return BH_OK;
}

bh_status bh_agent_peer(int fd, uid_t *uid_out)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return bh_fail(BH_E_KMS_UNREACHABLE, "cannot find out who is on the other side: %s", strerror(errno));
	*uid_out = peer.uid;
	return BH_OK;
}

bh_status bh_agent_send(int fd, bh_view frame, int64_t deadline_ms)
{
	while (frame.len > 0) {
		ssize_t sent = send(fd, frame.data, frame.len, MSG_NOSIGNAL);
		if (sent >= 0)
			frame = bh_view_of(frame.data + sent, frame.len - (size_t)sent);
		else if (errno == EAGAIN)
			BH_TRY(wait_for(fd, POLLOUT, deadline_ms));
		else if (errno != EINTR)
			return bh_fail(BH_E_KMS_UNREACHABLE, "the KMS agent hung up: %s", strerror(errno));
	}
	return BH_OK;
}

/* Exactly `len` bytes; `begun`: the frame's first byte has been received before. */
static bh_status receive_bytes(int fd, int64_t deadline_ms, bool begun, uint8_t *out, size_t len)
{
	for (size_t got = 0; got < len;) {
		BH_TRY(wait_for(fd, POLLIN, deadline_ms));
		ssize_t n = recv(fd, out + got, len - got, 0);
		if (n == 0 && (begun || got > 0))
			return bh_fail(BH_E_FORMAT, "the KMS agent hung up in the midst of an answer");
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return bh_fail(BH_E_KMS_UNREACHABLE, "the KMS agent hung up without an answer");
		got += n > 0 ? (size_t)n : 0;
	}
	return BH_OK;
}

bh_status bh_agent_receive(int fd, int64_t deadline_ms, bh_secret *room, bh_view *body_out)
{
	uint8_t head[BH_AGENT_LENGTH_SIZE];
	size_t len = 0;

	BH_TRY(receive_bytes(fd, deadline_ms, false, head, sizeof(head)));
	BH_TRY(bh_agent_length_decode(head, &len));
	BH_TRY(receive_bytes(fd, deadline_ms, true, room->data, len));
	*body_out = bh_view_of(room->data, len);
	return BH_OK;
}
