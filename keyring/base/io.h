/* SPDX-License-Identifier: Apache-2.0
 *
 * io.h: the few file operations that the keyring and the local KMS are made of: whole reads and writes at an offset, sync, and
 * replacement of a small file by write, fsync, rename, fsync of the directory.
 *
 * Files are named by an open directory and a name in it; a symbolic link, a directory or a device in a file's place is refused,
 * never followed. Interrupted and short calls are carried on. Errors name the path. RocksDB's own files do not come this way.
 *
 * Thread-safety: a bh_io_dir is immutable once open.
 */
#ifndef BH_IO_H
#define BH_IO_H

#include <sys/types.h>

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_io_dir {
	int fd;     /* of the directory; -1 while closed */
	char *path; /* owned; as the caller gave it, for messages */
} bh_io_dir;

#define BH_IO_DIR_CLOSED                                                                                                           \
	{                                                                                                                          \
		-1, NULL                                                                                                           \
	}

/* Errors: BH_E_NOT_FOUND, BH_E_FORMAT (not a directory), BH_E_NOMEM, BH_E_IO. */
BH_MUST_CHECK bh_status bh_io_dir_open(const char *path, bh_io_dir *out);
void bh_io_dir_close(bh_io_dir *dir); /* idempotent */
/* The code of an operating system's error: BH_E_FULL where something is used up (ENOSPC, EDQUOT, EMFILE, ENFILE), BH_E_NOT_FOUND,
 * BH_E_EXISTS, BH_E_NOMEM, else BH_E_IO. */
bh_status bh_io_status(int error);

/* Whether link(2) failed because these two names cannot be one file: other file systems, or one that has no links. */
bool bh_io_cannot_link(int error);

/* Makes renames, links and unlinks in `dir` durable. */
BH_MUST_CHECK bh_status bh_io_dir_sync(const bh_io_dir *dir);

/* Opens the regular file `name`; `flags` is O_RDONLY or O_RDWR, with O_APPEND, or with O_CREAT (mode 0600), where wanted.
 * `size_out` and `mode_out` (permission bits) may be NULL. Errors: BH_E_NOT_FOUND, BH_E_FORMAT (symbolic link, directory or other
 * non-file), BH_E_IO. */
BH_MUST_CHECK bh_status bh_io_open(const bh_io_dir *dir, const char *name, int flags, int *fd_out, uint64_t *size_out,
				   mode_t *mode_out);
void bh_io_closep(int *fd); /* closes unless it is -1 */

/* Exactly `len` bytes at `off`. Errors: BH_E_TRUNCATED (the file ends before), BH_E_IO. */
BH_MUST_CHECK bh_status bh_io_read_at(int fd, const char *name, uint64_t off, void *out, size_t len);
BH_MUST_CHECK bh_status bh_io_write_at(int fd, const char *name, uint64_t off, bh_view bytes);
BH_MUST_CHECK bh_status bh_io_sync(int fd, const char *name);
/* At the end of a file that was opened with O_APPEND; what a failure has written of it stays. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_io_append(int fd, const char *name, bh_view bytes);
/* Contents and length, not times. */
BH_MUST_CHECK bh_status bh_io_datasync(int fd, const char *name);
/* Has room allocated for [off, off + len) without changing the file's length: a hint, whose failure shows in the write. Returns
 * whether it is there, as far as anybody can tell. */
bool bh_io_reserve(int fd, uint64_t off, uint64_t len);
BH_MUST_CHECK bh_status bh_io_truncate(int fd, const char *name, uint64_t len);
/* The whole of a file of at most `max_len` bytes, appended to `out`. Errors: those of open and read, BH_E_FORMAT (larger). */
BH_MUST_CHECK bh_status bh_io_read_file(const bh_io_dir *dir, const char *name, size_t max_len, bh_buf *out);

/* Makes the file `name` (below `dir_fd`, or a path with AT_FDCWD) anew, with `mode` from the start; `flags` as of open(2). What has
 * the name already, which a killed process left or somebody put there, is removed: never followed, never written to, so that a
 * link to another file harms nothing. Returns the descriptor, or -1 with errno. */
int bh_io_make(int dir_fd, const char *name, int flags, mode_t mode);
/* Writes `bytes` to `name`, made anew with mode 0600, and syncs the file, not the directory.
 * A failure may leave part of it: `name` is a temporary one. */
BH_MUST_CHECK bh_status bh_io_write_file(const bh_io_dir *dir, const char *name, bh_view bytes);
/* Makes the empty file `name`, to read and to append to, with mode 0640. Errors: BH_E_EXISTS (anything of that name), BH_E_IO. */
BH_MUST_CHECK bh_status bh_io_create(const bh_io_dir *dir, const char *name, int *fd_out);
/* Atomically puts `from` in the place of `to`. Not durable before bh_io_dir_sync(). */
BH_MUST_CHECK bh_status bh_io_rename(const bh_io_dir *dir, const char *from, const char *to);
/* Atomically gives `from` the name `to` if nothing has that name. Errors: BH_E_EXISTS, BH_E_IO. */
BH_MUST_CHECK bh_status bh_io_rename_new(const bh_io_dir *dir, const char *from, const char *to);
/* Removes `name`; BH_OK where there is none. */
BH_MUST_CHECK bh_status bh_io_unlink(const bh_io_dir *dir, const char *name);

#ifdef __cplusplus
}
#endif
#endif
