/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.c: see copy.h.
 */
#include "copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raw_file.h"

#define SMALL_MAX (64u * 1024)

static bh_status copy_rest(int in, const char *from, int out, const char *to, uint64_t size)
{
	uint8_t chunk[16 * 1024];

	for (uint64_t off = BH_HEADER_LEN; off < size;) {
		size_t got;

		BH_TRY(bh_raw_read(in, from, off, chunk, BH_MIN(sizeof(chunk), size - off), &got));
		if (got == 0)
			break;
		BH_TRY(bh_raw_write(out, to, bh_view_of(chunk, got)));
		off += got;
	}
	return BH_OK;
}

bh_status bh_stream_copy(const char *from, const char *to)
{
	BH_CLEANUP(bh_raw_close) int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	BH_CLEANUP(bh_raw_close) int out = -1;
	uint8_t header[BH_HEADER_LEN];
	struct stat st;

	if (in < 0)
		return bh_raw_fail(from, "opened");
	BH_TRY(bh_raw_header_stable(in, from, header));
	if (fstat(in, &st) != 0)
		return bh_raw_fail(from, "looked at");
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (out < 0)
		return bh_raw_fail(to, "made");
	BH_TRY(bh_raw_write(out, to, bh_view_of(header, sizeof(header))));
	BH_TRY(copy_rest(in, from, out, to, (uint64_t)st.st_size));
	return fsync(out) == 0 ? BH_OK : bh_raw_fail(to, "synced");
}

static void reader_free(bh_stream_reader **r)
{
	bh_stream_reader_free(*r);
}

bh_status bh_stream_read_small(const char *path, const bh_scopes *scopes, bh_buf *out)
{
	BH_CLEANUP(bh_raw_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	BH_CLEANUP(reader_free) bh_stream_reader *reader = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	bh_view ready;

	if (fd < 0)
		return bh_raw_fail(path, "opened");
	BH_TRY(bh_buf_reserve(&bytes, SMALL_MAX));
	BH_TRY(bh_raw_read(fd, path, 0, bytes.data, SMALL_MAX, &bytes.len));
	if (bytes.len < BH_HEADER_LEN || bytes.len == SMALL_MAX)
		return bh_fail(BH_E_FORMAT, "%s: %zu bytes are no small sealed file", path, bytes.len);
	BH_TRY(bh_fail_prefix(bh_stream_reader_new(bh_view_of(bytes.data, BH_HEADER_LEN), scopes, false, &reader), "%s", path));
	BH_TRY(bh_fail_prefix(bh_stream_reader_push(reader, bh_view_of(bytes.data + BH_HEADER_LEN, bytes.len - BH_HEADER_LEN)),
			      "%s", path));
	BH_TRY(bh_fail_prefix(bh_stream_reader_finish(reader), "%s", path));
	ready = bh_stream_reader_ready(reader);
	return bh_buf_append(out, ready.data, ready.len);
}
