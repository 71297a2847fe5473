/* SPDX-License-Identifier: Apache-2.0
 *
 * io.c: see io.h.
 */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bh_status bh_io_status(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
	case EMFILE:
	case ENFILE: return BH_E_FULL;
	case ENOENT: return BH_E_NOT_FOUND;
	case EEXIST: return BH_E_EXISTS;
	case ENOMEM: return BH_E_NOMEM;
	default: return BH_E_IO;
	}
}

/* One mapping of errno for all calls here, so that "not there" and "cannot be read" stay apart everywhere. */
static bh_status fail_errno(const char *verb, const char *dir, const char *name)
{
	int err = errno;
	const char *slash = dir[0] != '\0' ? "/" : "";

	switch (err) {
	case ENOENT: return bh_fail(BH_E_NOT_FOUND, "%s%s%s: does not exist", dir, slash, name);
	case EEXIST: return bh_fail(BH_E_EXISTS, "%s%s%s: is there already", dir, slash, name);
	case ELOOP: return bh_fail(BH_E_FORMAT, "%s%s%s: is a symbolic link; it has to be the file itself", dir, slash, name);
	case EISDIR: return bh_fail(BH_E_FORMAT, "%s%s%s: is a directory, not a file", dir, slash, name);
	case ENOTDIR: return bh_fail(BH_E_FORMAT, "%s%s%s: is not a directory", dir, slash, name);
	case ENOMEM: return bh_fail(BH_E_NOMEM, "%s%s%s: no memory to %s it", dir, slash, name, verb);
	default: return bh_fail(bh_io_status(err), "%s%s%s: cannot %s: %s", dir, slash, name, verb, strerror(err));
	}
}

bh_status bh_io_dir_open(const char *path, bh_io_dir *out)
{
	bh_io_dir dir = BH_IO_DIR_CLOSED;

	dir.fd = TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (dir.fd < 0)
		return fail_errno("open", "", path);
	dir.path = strdup(path);
	if (dir.path == NULL) {
		bh_io_dir_close(&dir);
		return bh_fail(BH_E_NOMEM, "%s: no memory to open it", path);
	}
	*out = dir;
	return BH_OK;
}

void bh_io_dir_close(bh_io_dir *dir)
{
	bh_io_closep(&dir->fd);
	free(dir->path);
	dir->path = NULL;
}

bh_status bh_io_dir_sync(const bh_io_dir *dir)
{
	return bh_io_sync(dir->fd, dir->path);
}

static bh_status check_regular(int fd, const char *dir, const char *name, struct stat *st_out)
{
	if (fstat(fd, st_out) != 0)
		return fail_errno("stat", dir, name);
	if (!S_ISREG(st_out->st_mode))
		return bh_fail(BH_E_FORMAT, "%s/%s: is %s, not a file", dir, name,
			       S_ISDIR(st_out->st_mode) ? "a directory" : "a special file");
	return BH_OK;
}

bh_status bh_io_open(const bh_io_dir *dir, const char *name, int flags, int *fd_out, uint64_t *size_out, mode_t *mode_out)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;
	struct stat st;

	/* O_NONBLOCK: a FIFO in the file's place must not hang the open; regular files do not know the flag. */
	fd = TEMP_FAILURE_RETRY(openat(dir->fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
	if (fd < 0)
		return fail_errno("open", dir->path, name);
	BH_TRY(check_regular(fd, dir->path, name, &st));
	if (size_out != NULL)
		*size_out = (uint64_t)st.st_size;
	if (mode_out != NULL)
		*mode_out = st.st_mode & 07777;
	*fd_out = fd;
	fd = -1;
	return BH_OK;
}

void bh_io_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bh_status bh_io_read_at(int fd, const char *name, uint64_t off, void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = pread(fd, p, BH_MIN(len, (size_t)SSIZE_MAX), (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return bh_fail(bh_io_status(errno), "%s: cannot read: %s", name, strerror(errno));
		if (n == 0)
			return bh_fail(BH_E_TRUNCATED, "%s: ends at %llu, %zu bytes early", name, (unsigned long long)off, len);
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return BH_OK;
}

bh_status bh_io_write_at(int fd, const char *name, uint64_t off, bh_view bytes)
{
	while (bytes.len > 0) {
		ssize_t n = pwrite(fd, bytes.data, BH_MIN(bytes.len, (size_t)SSIZE_MAX), (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return bh_fail(n < 0 ? bh_io_status(errno) : BH_E_IO, "%s: cannot write: %s", name,
				       n < 0 ? strerror(errno) : "nothing was taken");
		bytes = bh_view_of(bytes.data + n, bytes.len - (size_t)n);
		off += (uint64_t)n;
	}
	return BH_OK;
}

bh_status bh_io_append(int fd, const char *name, bh_view bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.data, BH_MIN(bytes.len, (size_t)SSIZE_MAX));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return bh_fail(n < 0 ? bh_io_status(errno) : BH_E_IO, "%s: cannot append: %s", name,
				       n < 0 ? strerror(errno) : "nothing was taken");
		bytes = bh_view_of(bytes.data + n, bytes.len - (size_t)n);
	}
	return BH_OK;
}

bh_status bh_io_datasync(int fd, const char *name)
{
	if (TEMP_FAILURE_RETRY(fdatasync(fd)) != 0)
		return bh_fail(bh_io_status(errno), "%s: cannot sync: %s", name, strerror(errno));
	return BH_OK;
}

bh_status bh_io_sync(int fd, const char *name)
{
	if (TEMP_FAILURE_RETRY(fsync(fd)) != 0)
		return bh_fail(bh_io_status(errno), "%s: cannot sync: %s", name, strerror(errno));
	return BH_OK;
}

bool bh_io_reserve(int fd, uint64_t off, uint64_t len)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) == 0;
}

bh_status bh_io_truncate(int fd, const char *name, uint64_t len)
{
	if (TEMP_FAILURE_RETRY(ftruncate(fd, (off_t)len)) != 0)
		return bh_fail(BH_E_IO, "%s: cannot cut it to %llu bytes: %s", name, (unsigned long long)len, strerror(errno));
	return BH_OK;
}

bh_status bh_io_read_file(const bh_io_dir *dir, const char *name, size_t max_len, bh_buf *out)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;
	uint64_t size = 0;

	BH_TRY(bh_io_open(dir, name, O_RDONLY, &fd, &size, NULL));
	if (size > max_len)
		return bh_fail(BH_E_FORMAT, "%s/%s: %llu bytes, more than the %zu that such a file can have", dir->path, name,
			       (unsigned long long)size, max_len);
	if (size == 0)
		return BH_OK;
	BH_TRY(bh_buf_reserve(out, (size_t)size));
	BH_TRY(bh_io_read_at(fd, name, 0, out->data + out->len, (size_t)size));
	out->len += (size_t)size;
	return BH_OK;
}

#define MAKE_TRIES 8 /* more than that, and somebody is putting files there on purpose */

int bh_io_make(int dir_fd, const char *name, int flags, mode_t mode)
{
	flags |= O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	for (int left = MAKE_TRIES;; left--) {
		int fd = TEMP_FAILURE_RETRY(openat(dir_fd, name, flags, mode));

		if (fd >= 0 || errno != EEXIST || left == 0)
			return fd;
		if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT)
			return -1;
	}
}

bh_status bh_io_write_file(const bh_io_dir *dir, const char *name, bh_view bytes)
{
	BH_CLEANUP(bh_io_closep) int fd = bh_io_make(dir->fd, name, O_WRONLY, 0600);

	if (fd < 0)
		return fail_errno("create", dir->path, name);
	BH_TRY(bh_io_write_at(fd, name, 0, bytes));
	return bh_io_sync(fd, name);
}

bh_status bh_io_create(const bh_io_dir *dir, const char *name, int *fd_out)
{
	int fd = TEMP_FAILURE_RETRY(openat(dir->fd, name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640));

	if (fd < 0)
		return fail_errno("create", dir->path, name);
	*fd_out = fd;
	return BH_OK;
}

bh_status bh_io_rename(const bh_io_dir *dir, const char *from, const char *to)
{
	if (renameat(dir->fd, from, dir->fd, to) != 0)
		return fail_errno("rename a file to", dir->path, to);
	return BH_OK;
}

bool bh_io_cannot_link(int error)
{
	return error == EXDEV || error == EPERM || error == EMLINK || error == EOPNOTSUPP || error == ENOSYS;
}

/* Where there are no links: the directory is locked, so nobody else gives the name away between the look and the rename. */
static bh_status rename_if_absent(const bh_io_dir *dir, const char *from, const char *to)
{
	struct stat st;

	if (fstatat(dir->fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		errno = EEXIST;
	else if (errno == ENOENT)
		return bh_io_rename(dir, from, to);
	return fail_errno("rename a file to", dir->path, to);
}

/* link and unlink rather than RENAME_NOREPLACE, which not every file system has. A kill between the two leaves both names. */
bh_status bh_io_rename_new(const bh_io_dir *dir, const char *from, const char *to)
{
	if (linkat(dir->fd, from, dir->fd, to, 0) == 0)
		return bh_io_unlink(dir, from);
	return bh_io_cannot_link(errno) ? rename_if_absent(dir, from, to) : fail_errno("link a file to", dir->path, to);
}

bh_status bh_io_unlink(const bh_io_dir *dir, const char *name)
{
	if (unlinkat(dir->fd, name, 0) != 0 && errno != ENOENT)
		return fail_errno("remove", dir->path, name);
	return BH_OK;
}
