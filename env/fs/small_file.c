/* SPDX-License-Identifier: Apache-2.0
 *
 * small_file.c: see small_file.h.
 */
#include "small_file.h"

#include <sys/stat.h>

#include "env/files/raw_file.h"
#include "path.h"

static void reader_free(bh_stream_reader **r)
{
	bh_stream_reader_free(*r);
}

static bh_status read_whole(const char *path, size_t max, bh_buf *out)
{
	BH_CLEANUP(bh_raw_close) int fd = -1;
	struct stat st;

	BH_TRY(bh_raw_open(path, &fd));
	if (fstat(fd, &st) != 0)
		return bh_raw_fail(path, "looked at");
	if ((uint64_t)st.st_size > max)
		return bh_fail(BH_E_FORMAT, "%s: %lld bytes are no small sealed file", path, (long long)st.st_size);
	BH_TRY(bh_buf_reserve(out, (size_t)st.st_size));
	return bh_raw_read(fd, path, 0, out->data, (size_t)st.st_size, &out->len);
}

/* Who has a merchant's keys can seal what they like: as a file of that merchant. */
static bh_status check_place(const char *path, const bh_stream_reader *reader)
{
	static const bh_scope platform;
	bh_path_info info;

	bh_path_classify_as(&platform, path, &info);
	return bh_path_check_place(path, &info, bh_stream_reader_key(reader));
}

static bh_status read_stream(const char *path, bh_view bytes, const bh_scopes *scopes, bh_buf *out)
{
	BH_CLEANUP(reader_free) bh_stream_reader *reader = NULL;
	bh_view ready;

	BH_TRY(bh_fail_prefix(bh_stream_reader_new(bh_view_of(bytes.data, BH_HEADER_LEN), scopes, false, &reader), "%s", path));
	BH_TRY(check_place(path, reader));
	BH_TRY(bh_fail_prefix(bh_stream_reader_push(reader, bh_view_of(bytes.data + BH_HEADER_LEN, bytes.len - BH_HEADER_LEN)),
			      "%s", path));
	BH_TRY(bh_fail_prefix(bh_stream_reader_finish(reader), "%s", path));
	if (bh_stream_reader_end(reader) != BH_STREAM_CLEAN)
		return bh_fail(BH_E_TAG, "%s: is torn or damaged", path);
	ready = bh_stream_reader_ready(reader);
	return bh_buf_append(out, ready.data, ready.len);
}

bh_status bh_stream_read_small(const char *path, const bh_scopes *scopes, size_t max, bh_buf *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

	BH_TRY(read_whole(path, max, &bytes));
	if (bytes.len < BH_HEADER_LEN)
		return bh_fail(BH_E_TRUNCATED, "%s: ends inside of its header", path);
	return read_stream(path, bh_buf_view(&bytes), scopes, out);
}
