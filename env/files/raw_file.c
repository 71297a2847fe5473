/* SPDX-License-Identifier: Apache-2.0
 *
 * raw_file.c: see raw_file.h.
 */
#include "raw_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "keyring/base/crashpoint.h"
#include "keyring/base/io.h"

#define STABLE_TRIES 1000 /* reads of a header whose mark is being rewritten, 0.1 ms apart */

bh_status bh_raw_fail(const char *path, const char *what)
{
	return bh_fail(bh_io_status(errno), "%s: cannot be %s: %s", path, what, strerror(errno));
}

void bh_raw_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bh_status bh_raw_fail_irregular(const char *path, mode_t mode)
{
	return bh_fail(BH_E_FORMAT, "%s: is %s, where a file is due; nothing else is opened", path,
		       S_ISDIR(mode)    ? "a directory"
		       : S_ISLNK(mode)  ? "a symbolic link"
		       : S_ISFIFO(mode) ? "a pipe"
					: "a special file");
}

bh_status bh_raw_open(const char *path, int *fd_out)
{
	BH_CLEANUP(bh_raw_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno != ELOOP && errno != ENXIO) /* a symbolic link; a socket */
		return bh_raw_fail(path, "opened");
	if ((fd < 0 ? lstat(path, &st) : fstat(fd, &st)) != 0)
		return bh_raw_fail(path, "looked at");
	if (!S_ISREG(st.st_mode))
		return bh_raw_fail_irregular(path, st.st_mode);
	*fd_out = fd;
	fd = -1;
	return BH_OK;
}

bool bh_raw_is_still_there(int fd, const char *path)
{
	struct stat open_one, named;

	return fstat(fd, &open_one) == 0 && lstat(path, &named) == 0 && open_one.st_ino == named.st_ino;
}

bh_status bh_raw_read(int fd, const char *path, uint64_t off, uint8_t *out, size_t len, size_t *got_out)
{
	*got_out = 0;
	while (*got_out < len) {
		ssize_t got = pread(fd, out + *got_out, len - *got_out, (off_t)(off + *got_out));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return bh_raw_fail(path, "read");
		if (got == 0)
			break;
		*got_out += (size_t)got;
	}
	return BH_OK;
}

bh_status bh_raw_write(int fd, const char *path, bh_view bytes)
{
	while (bytes.len > 0) {
		ssize_t put = write(fd, bytes.data, bytes.len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return bh_raw_fail(path, "written");
		bytes = bh_view_of(bytes.data + put, bytes.len - (size_t)put);
	}
	return BH_OK;
}

bh_status bh_raw_header(int fd, const char *path, uint8_t out[BH_HEADER_LEN])
{
	size_t got;

	BH_TRY(bh_raw_read(fd, path, 0, out, BH_HEADER_LEN, &got));
	return got == BH_HEADER_LEN ? BH_OK : bh_fail(BH_E_TRUNCATED, "%s: ends inside of its header", path);
}

/* The mark is rewritten in place after each sync: what was read twice alike was not read half. */
bh_status bh_raw_header_stable(int fd, const char *path, uint8_t out[BH_HEADER_LEN])
{
	const struct timespec pause = { .tv_nsec = 100000 };
	uint8_t again[BH_HEADER_LEN];

	BH_TRY(bh_raw_header(fd, path, out));
	for (int i = 0; i < STABLE_TRIES; i++) {
		BH_TRY(bh_raw_header(fd, path, again));
		if (memcmp(out, again, BH_HEADER_LEN) == 0)
			return BH_OK;
		memcpy(out, again, BH_HEADER_LEN);
		nanosleep(&pause, NULL);
	}
	return bh_fail(BH_E_BUSY, "%s: its sync mark does not stand still", path);
}

/* ---- replacing */

static bh_status parent_sync(const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf dir = { 0 };
	BH_CLEANUP(bh_raw_close) int fd = -1;
	const char *slash = strrchr(path, '/');

	BH_TRY(slash != NULL ? bh_buf_printf(&dir, "%.*s", (int)(slash - path + 1), path) : bh_buf_printf(&dir, "."));
	fd = open((const char *)dir.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		return bh_raw_fail((const char *)dir.data, "synced");
	return BH_OK;
}

static bh_status exchange(const char *fresh, const char *path, bool *done_out)
{
	*done_out = renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE) == 0;
	if (*done_out || errno == ENOENT)
		return BH_OK;
	if (errno == EINVAL || errno == ENOSYS)
		return bh_fail(BH_E_UNSUPPORTED, "%s: the file system cannot exchange two names (renameat2)", path);
	return bh_raw_fail(path, "replaced");
}

bh_status bh_raw_exchange(const char *fresh, const char *path, bool *done_out)
{
	bh_status status;

	*done_out = false;
	bh_crash_point("reseal.synced");
	status = exchange(fresh, path, done_out);
	bh_crash_point("reseal.exchanged");
	return status;
}

bh_status bh_raw_remove(const char *fresh)
{
	if (unlink(fresh) != 0 && errno != ENOENT)
		return bh_raw_fail(fresh, "removed");
	bh_crash_point("reseal.removed");
	return parent_sync(fresh);
}

bh_status bh_raw_replace(const char *fresh, const char *path, bool *done_out)
{
	bh_status status = bh_raw_exchange(fresh, path, done_out);

	/* What lies there now is the old file, or the new one that nobody needs. */
	if (status != BH_OK) {
		unlink(fresh);
		return status;
	}
	return bh_raw_remove(fresh);
}
