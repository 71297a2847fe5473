/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.c: see copy.h.
 */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SMALL_MAX (64u * 1024)
#define STABLE_TRIES 1000 /* reads of a header whose mark is being rewritten, 0.1 ms apart */

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static bh_status fail_io(const char *path, const char *what)
{
	return bh_fail(errno == ENOENT   ? BH_E_NOT_FOUND
		       : errno == EEXIST ? BH_E_EXISTS
					 : BH_E_IO,
		       "%s: cannot be %s: %s", path, what, strerror(errno));
}

static bh_status read_at(int fd, const char *path, uint64_t off, uint8_t *out, size_t len, size_t *got_out)
{
	*got_out = 0;
	while (*got_out < len) {
		ssize_t got = pread(fd, out + *got_out, len - *got_out, (off_t)(off + *got_out));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_io(path, "read");
		if (got == 0)
			break;
		*got_out += (size_t)got;
	}
	return BH_OK;
}

static bh_status write_all(int fd, const char *path, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		ssize_t put = write(fd, bytes, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail_io(path, "written");
		bytes += put;
		len -= (size_t)put;
	}
	return BH_OK;
}

static bh_status read_header(int fd, const char *path, uint8_t out[BH_HEADER_LEN])
{
	size_t got;

	BH_TRY(read_at(fd, path, 0, out, BH_HEADER_LEN, &got));
	return got == BH_HEADER_LEN ? BH_OK : bh_fail(BH_E_TRUNCATED, "%s: ends inside of its header", path);
}

/* The mark in the header is rewritten in place after each sync: what was read twice alike was not read half. The mark comes first
 * and the size after it, so the copy reaches at least that far. */
static bh_status stable_header(int fd, const char *path, uint8_t out[BH_HEADER_LEN])
{
	const struct timespec pause = { .tv_nsec = 100000 };
	uint8_t again[BH_HEADER_LEN];

	BH_TRY(read_header(fd, path, out));
	for (int i = 0; i < STABLE_TRIES; i++) {
		BH_TRY(read_header(fd, path, again));
		if (memcmp(out, again, BH_HEADER_LEN) == 0)
			return BH_OK;
		memcpy(out, again, BH_HEADER_LEN);
		nanosleep(&pause, NULL);
	}
	return bh_fail(BH_E_BUSY, "%s: its sync mark does not stand still", path);
}

static bh_status copy_rest(int in, const char *from, int out, const char *to, uint64_t size)
{
	uint8_t chunk[16 * 1024];

	for (uint64_t off = BH_HEADER_LEN; off < size;) {
		size_t got;

		BH_TRY(read_at(in, from, off, chunk, BH_MIN(sizeof(chunk), size - off), &got));
		if (got == 0)
			break;
		BH_TRY(write_all(out, to, chunk, got));
		off += got;
	}
	return BH_OK;
}

bh_status bh_stream_copy(const char *from, const char *to)
{
	BH_CLEANUP(fd_close) int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	BH_CLEANUP(fd_close) int out = -1;
	uint8_t header[BH_HEADER_LEN];
	struct stat st;

	if (in < 0)
		return fail_io(from, "opened");
	BH_TRY(stable_header(in, from, header));
	if (fstat(in, &st) != 0)
		return fail_io(from, "looked at");
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (out < 0)
		return fail_io(to, "made");
	BH_TRY(write_all(out, to, header, sizeof(header)));
	BH_TRY(copy_rest(in, from, out, to, (uint64_t)st.st_size));
	return fsync(out) == 0 ? BH_OK : fail_io(to, "synced");
}

static void reader_free(bh_stream_reader **r)
{
	bh_stream_reader_free(*r);
}

bh_status bh_stream_read_small(const char *path, const bh_scopes *scopes, bh_buf *out)
{
	BH_CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	BH_CLEANUP(reader_free) bh_stream_reader *reader = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	bh_view ready;

	if (fd < 0)
		return fail_io(path, "opened");
	BH_TRY(bh_buf_reserve(&bytes, SMALL_MAX));
	BH_TRY(read_at(fd, path, 0, bytes.data, SMALL_MAX, &bytes.len));
	if (bytes.len < BH_HEADER_LEN || bytes.len == SMALL_MAX)
		return bh_fail(BH_E_FORMAT, "%s: %zu bytes are no small sealed file", path, bytes.len);
	BH_TRY(bh_fail_prefix(bh_stream_reader_new(bh_view_of(bytes.data, BH_HEADER_LEN), scopes, false, &reader), "%s", path));
	BH_TRY(bh_fail_prefix(bh_stream_reader_push(reader, bh_view_of(bytes.data + BH_HEADER_LEN, bytes.len - BH_HEADER_LEN)),
			      "%s", path));
	BH_TRY(bh_fail_prefix(bh_stream_reader_finish(reader), "%s", path));
	ready = bh_stream_reader_ready(reader);
	return bh_buf_append(out, ready.data, ready.len);
}
