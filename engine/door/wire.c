/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.c: see wire.h.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "keyring/base/io.h"

#define BACKLOG 64
#define RETRY_MS 10
#define RECEIVE_BYTES 16384

int64_t bh_door_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the socket */

/* A socket's path has 107 bytes at most, a database's any number: where it is longer, it is named through the open directory. */
static bh_status make_address(const char *dir, int *dir_fd_out, struct sockaddr_un *out)
{
	BH_CLEANUP(bh_io_closep) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int len;

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (fd < 0)
		return bh_fail(errno == ENOENT || errno == ENOTDIR ? BH_E_NOT_FOUND : BH_E_IO, "%s: cannot be opened: %s", dir,
			       strerror(errno));
	len = snprintf(out->sun_path, sizeof(out->sun_path), "%s/" BH_DOOR_SOCKET, dir);
	if (len >= (int)sizeof(out->sun_path))
		snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/" BH_DOOR_SOCKET, fd);
	*dir_fd_out = fd;
	fd = -1;
	return BH_OK;
}

static bh_status socket_new(const char *dir, int *fd_out)
{
	*fd_out = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return *fd_out >= 0 ? BH_OK : bh_fail(BH_E_IO, "%s/" BH_DOOR_SOCKET ": no socket: %s", dir, strerror(errno));
}

/* The directory is locked by this process, so a socket that lies there is nobody's any more. */
static bh_status clear_place(const char *dir, int dir_fd)
{
	struct stat st;

	if (fstatat(dir_fd, BH_DOOR_SOCKET, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? BH_OK
				       : bh_fail(BH_E_IO, "%s/" BH_DOOR_SOCKET ": cannot be looked at: %s", dir, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return bh_fail(BH_E_EXISTS, "%s/" BH_DOOR_SOCKET ": is there already and is no socket", dir);
	if (unlinkat(dir_fd, BH_DOOR_SOCKET, 0) != 0)
		return bh_fail(BH_E_IO, "%s/" BH_DOOR_SOCKET ": cannot be removed: %s", dir, strerror(errno));
	return BH_OK;
}

/* It is opened to others when it is bound: a process's umask is not touched, other threads make files by it. */
bh_status bh_door_listen(const char *dir, bool others, int *fd_out)
{
	BH_CLEANUP(bh_io_closep) int dir_fd = -1;
	BH_CLEANUP(bh_io_closep) int fd = -1;
	struct sockaddr_un address;

	BH_TRY(make_address(dir, &dir_fd, &address));
	BH_TRY(clear_place(dir, dir_fd));
	BH_TRY(socket_new(dir, &fd));
	if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    fchmodat(dir_fd, BH_DOOR_SOCKET, others ? 0666 : 0600, 0) != 0 || listen(fd, BACKLOG) != 0)
		return bh_fail(BH_E_IO, "%s/" BH_DOOR_SOCKET ": cannot listen: %s", dir, strerror(errno));
	*fd_out = fd;
	fd = -1;
	return BH_OK;
}

void bh_door_unlink(const char *dir)
{
	BH_CLEANUP(bh_io_closep) int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir_fd >= 0)
		(void)(clear_place(dir, dir_fd) == BH_OK);
}

/* Of connect(). EAGAIN is a queue that is full, and cannot be waited for. */
static bh_status connect_by(const char *dir, int fd, const struct sockaddr_un *address, int64_t deadline_ms)
{
	const struct timespec pause = { .tv_nsec = RETRY_MS * 1000000L };

	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
		if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTSOCK)
			return bh_fail(BH_E_NOT_FOUND, "%s/" BH_DOOR_SOCKET ": nobody listens there", dir);
		if (errno == EACCES || errno == EPERM)
			return bh_fail(BH_E_DENIED, "%s/" BH_DOOR_SOCKET ": this user may not come in there", dir);
		if (errno != EAGAIN && errno != EINTR)
			return bh_fail(BH_E_IO, "%s/" BH_DOOR_SOCKET ": %s", dir, strerror(errno));
		if (bh_door_now_ms() >= deadline_ms)
			return bh_fail(BH_E_BUSY, "%s/" BH_DOOR_SOCKET ": too many are in there, and before it; try again", dir);
		nanosleep(&pause, NULL);
	}
	return BH_OK;
}

bh_status bh_door_connect(const char *dir, int *fd_out)
{
	BH_CLEANUP(bh_io_closep) int dir_fd = -1;
	BH_CLEANUP(bh_io_closep) int fd = -1;
	struct sockaddr_un address;

	BH_TRY(make_address(dir, &dir_fd, &address));
	BH_TRY(socket_new(dir, &fd));
	BH_TRY(connect_by(dir, fd, &address, bh_door_now_ms() + BH_DOOR_CONNECT_MS));
	*fd_out = fd;
	fd = -1;
	return BH_OK;
}

/* ---- bytes */

/* Waits until `events`, or until the other side is gone. */
static bh_status wait_for(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		int64_t left_ms = deadline_ms == BH_DOOR_NO_DEADLINE ? -1 : BH_MAX(deadline_ms - bh_door_now_ms(), (int64_t)0);
		struct pollfd poll_fd = { .fd = fd, .events = events };
		int ready = poll(&poll_fd, 1, (int)BH_MIN(left_ms, (int64_t)INT32_MAX));

		if (ready > 0)
			return BH_OK;
		if (ready == 0)
			return bh_fail(BH_E_IO, "the other side of the door does not answer in time");
		if (errno != EINTR)
			return bh_fail(BH_E_IO, "the door cannot be waited for: %s", strerror(errno));
	}
}

static bh_status send_all(int fd, bh_view bytes, int64_t deadline_ms)
{
	while (bytes.len > 0) {
		ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);

		if (sent >= 0)
			bytes = bh_view_of(bytes.data + sent, bytes.len - (size_t)sent);
		else if (errno == EAGAIN)
			BH_TRY(wait_for(fd, POLLOUT, deadline_ms));
		else if (errno != EINTR)
			return bh_fail(BH_E_IO, "the other side of the door is gone: %s", strerror(errno));
	}
	return BH_OK;
}

static bh_status receive_some(bh_door_lines *lines, int64_t deadline_ms)
{
	ssize_t got;

	BH_TRY(bh_buf_reserve(&lines->pending, RECEIVE_BYTES));
	do {
		BH_TRY(wait_for(lines->fd, POLLIN, deadline_ms));
		got = recv(lines->fd, lines->pending.data + lines->pending.len, RECEIVE_BYTES, 0);
	} while (got < 0 && (errno == EAGAIN || errno == EINTR));
	if (got <= 0)
		return bh_fail(BH_E_IO, "the other side of the door is gone%s%s", got < 0 ? ": " : "",
			       got < 0 ? strerror(errno) : "");
	lines->pending.len += (size_t)got;
	return BH_OK;
}

/* ---- lines */

static int append_text(const char *text, size_t len, void *out)
{
	return bh_buf_append(out, text, len) == BH_OK ? 0 : -1;
}

bh_status bh_door_send(int fd, const json_t *object, int64_t deadline_ms)
{
	BH_CLEANUP(bh_buf_clear) bh_buf line = { 0 };

	if (json_dump_callback(object, append_text, &line, JSON_COMPACT | JSON_ENSURE_ASCII) != 0)
		return bh_fail(BH_E_NOMEM, "no memory for a line through the door");
	BH_TRY(bh_buf_append_u8(&line, '\n'));
	return send_all(fd, bh_buf_view(&line), deadline_ms);
}

bh_status bh_door_parse(bh_view text, json_t **out)
{
	json_t *object = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(object)) {
		json_decref(object);
		return bh_fail(BH_E_FORMAT, "what came through the door is no JSON object");
	}
	*out = object;
	return BH_OK;
}

bh_status bh_door_receive(bh_door_lines *lines, size_t max, int64_t deadline_ms, json_t **out)
{
	size_t seen = 0;
	bh_status status;

	for (;;) {
		const uint8_t *end =
			seen < lines->pending.len ? memchr(lines->pending.data + seen, '\n', lines->pending.len - seen) : NULL;
		size_t len = end != NULL ? (size_t)(end - lines->pending.data) : lines->pending.len;

		if (len >= max)
			return bh_fail(BH_E_FORMAT, "what came through the door has more than %zu bytes", max);
		if (end == NULL) {
			seen = lines->pending.len;
			BH_TRY(receive_some(lines, deadline_ms));
			continue;
		}
		status = bh_door_parse(bh_view_of(lines->pending.data, len), out);
		memmove(lines->pending.data, end + 1, lines->pending.len - len - 1);
		lines->pending.len -= len + 1;
		return status;
	}
}
