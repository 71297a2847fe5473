/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.c: see copy.h.
 */
#include "copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/files/raw_file.h"

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
	BH_CLEANUP(bh_raw_close) int in = -1;
	BH_CLEANUP(bh_raw_close) int out = -1;
	uint8_t header[BH_HEADER_LEN];
	struct stat st;

	BH_TRY(bh_raw_open(from, &in));
	BH_TRY(bh_raw_header_stable(in, from, header));
	if (fstat(in, &st) != 0)
		return bh_raw_fail(from, "looked at");
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (out < 0)
		return bh_raw_fail(to, "made");
	BH_TRY(bh_raw_write(out, to, bh_view_of(header, sizeof(header))));
	BH_TRY(copy_rest(in, from, out, to, (uint64_t)st.st_size));
	return fsync(out) == 0 ? BH_OK : bh_raw_fail(to, "synced");
}

static void writer_free(bh_stream_writer **w)
{
	bh_stream_writer_free(*w);
}

/* ---- small ones, whole */

/* Before the one sync of the file: the mark may be read by nobody until that is done. */
bh_status bh_stream_finish_file(int fd, const char *path, bh_stream_writer *writer)
{
	uint8_t mark[BH_SYNC_MARK_LEN];
	bool needed;

	bh_stream_writer_written(writer);
	BH_TRY(bh_stream_writer_sync_mark(writer, bh_stream_writer_point(writer), &needed, mark));
	if (needed && pwrite(fd, mark, sizeof(mark), BH_SYNC_MARK_OFFSET) != (ssize_t)sizeof(mark))
		return bh_raw_fail(path, "written");
	return fsync(fd) == 0 ? BH_OK : bh_raw_fail(path, "synced");
}

static bh_status write_stream(int fd, const char *path, const uint8_t header[BH_HEADER_LEN], bh_stream_writer *writer,
			      bh_view content)
{
	BH_CLEANUP(bh_buf_clear) bh_buf frames = { 0 };

	BH_TRY(bh_stream_writer_append(writer, content, &frames));
	BH_TRY(bh_raw_write(fd, path, bh_view_of(header, BH_HEADER_LEN)));
	BH_TRY(bh_raw_write(fd, path, bh_buf_view(&frames)));
	return bh_stream_finish_file(fd, path, writer);
}

bh_status bh_stream_write_small(bh_fs *fs, const char *path, bh_view content)
{
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	BH_CLEANUP(writer_free) bh_stream_writer *writer = NULL;
	BH_CLEANUP(bh_raw_close) int fd = -1;
	uint8_t header[BH_HEADER_LEN], first[BH_HEADER_LEN];
	bh_path_info info;

	BH_TRY(bh_fs_classify(fs, path, &info));
	BH_TRY(bh_fs_new_file(fs, path, &info, &key, header));
	BH_TRY(bh_stream_writer_new(&key, header, bh_fs_scopes(fs), first, &writer));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return bh_raw_fail(path, "made");
	return bh_fail_prefix(write_stream(fd, path, first, writer, content), "%s", path);
}
