/* SPDX-License-Identifier: Apache-2.0
 *
 * raw_file.h: plain system calls on sealed files, for what happens beside RocksDB: copies, and files rewritten where they lie.
 *
 * Every failure names the path. Thread-safety: calls on different files.
 */
#ifndef BH_RAW_FILE_H
#define BH_RAW_FILE_H

#include <sys/stat.h>

#include "env/format/header.h"

/* The failure that errno tells: BH_E_NOT_FOUND, BH_E_EXISTS, else BH_E_IO: "PATH: cannot be WHAT: ...". */
bh_status bh_raw_fail(const char *path, const char *what);
/* Closes *fd if it is open, and sets it to -1: for BH_CLEANUP. */
void bh_raw_close(int *fd);

/* Opens the file at `path` to read. What is no regular file (a directory, a symbolic link, a pipe ...) is refused without waiting
 * for anybody. Errors: BH_E_NOT_FOUND, BH_E_FORMAT (no regular file), BH_E_IO. */
BH_MUST_CHECK bh_status bh_raw_open(const char *path, int *fd_out);
/* Whether what is open as `fd` still has the name `path`: else it was replaced or removed meanwhile. */
bool bh_raw_is_still_there(int fd, const char *path);
/* The refusal of what is no regular file, by its mode. */
bh_status bh_raw_fail_irregular(const char *path, mode_t mode);

/* Reads up to `len` bytes; *got_out is less only at the end of the file. */
BH_MUST_CHECK bh_status bh_raw_read(int fd, const char *path, uint64_t off, uint8_t *out, size_t len, size_t *got_out);
/* Writes all of it where the file stands. */
BH_MUST_CHECK bh_status bh_raw_write(int fd, const char *path, bh_view bytes);

/* The header of a file that nobody writes to. Errors: BH_E_TRUNCATED. */
BH_MUST_CHECK bh_status bh_raw_header(int fd, const char *path, uint8_t out[BH_HEADER_LEN]);
/* The header of a stream that may be written to: its sync mark is not read half. Errors: BH_E_TRUNCATED, BH_E_BUSY (the mark does
 * not stand still). */
BH_MUST_CHECK bh_status bh_raw_header_stable(int fd, const char *path, uint8_t out[BH_HEADER_LEN]);

/* Gives `fresh`, which is synced, the name `path` and removes what was there, durably. *done_out false: nothing of that name is
 * there any more; `fresh` is removed. By exchange, so that a file that was deleted meanwhile does not come back. A kill right after
 * any step leaves the old or the new file at `path`, and at most one at `fresh` that is to be removed. Errors: BH_E_IO;
 * BH_E_UNSUPPORTED (a file system that cannot exchange names). */
BH_MUST_CHECK bh_status bh_raw_replace(const char *fresh, const char *path, bool *done_out);
/* Its two steps, for who has something to do in between: the exchange, after which the names are right, and the removal of what is
 * at `fresh` now, after which all of it is durable. Where the first one fails, `fresh` is still the new file. */
BH_MUST_CHECK bh_status bh_raw_exchange(const char *fresh, const char *path, bool *done_out);
BH_MUST_CHECK bh_status bh_raw_remove(const char *fresh);

#endif
