/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_sum_read.c: the MANIFEST that a database's CURRENT names, read by plain system calls, before RocksDB does.
 */
#include "manifest_sum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "copy.h"
#include "env/files/raw_file.h"
#include "env/spans/records.h"

#define CURRENT_MAX (64u * 1024)
#define CHUNK (64u * 1024)

static void reader_free(bh_stream_reader **r)
{
	bh_stream_reader_free(*r);
}

static bh_status take_record(void *arg, const bh_record *record)
{
	return bh_manifest_sum_take(arg, record->payload);
}

static bh_status take_ready(bh_stream_reader *reader, bh_records *records, bh_manifest_sum *out)
{
	bh_view ready = bh_stream_reader_ready(reader);

	BH_TRY(bh_records_feed(records, ready, take_record, out));
	bh_stream_reader_consume(reader, ready.len);
	return BH_OK;
}

static bh_status read_frames(int fd, const char *path, bh_stream_reader *reader, bh_manifest_sum *out)
{
	BH_CLEANUP(bh_records_clear) bh_records records = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf chunk = { 0 };

	BH_TRY(bh_buf_reserve(&chunk, CHUNK));
	for (uint64_t off = BH_HEADER_LEN;; off += chunk.len) {
		BH_TRY(bh_raw_read(fd, path, off, chunk.data, CHUNK, &chunk.len));
		if (chunk.len == 0)
			break;
		BH_TRY(bh_stream_reader_push(reader, bh_buf_view(&chunk)));
		BH_TRY(take_ready(reader, &records, out));
	}
	BH_TRY(bh_stream_reader_finish(reader));
	return take_ready(reader, &records, out);
}

static bh_status read_manifest(const char *path, const bh_scopes *scopes, bh_manifest_sum *out)
{
	BH_CLEANUP(bh_raw_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	BH_CLEANUP(reader_free) bh_stream_reader *reader = NULL;
	uint8_t header[BH_HEADER_LEN];

	if (fd < 0)
		return bh_raw_fail(path, "opened");
	BH_TRY(bh_raw_header(fd, path, header));
	BH_TRY(bh_stream_reader_new(bh_view_of(header, sizeof(header)), scopes, false, &reader));
	return read_frames(fd, path, reader, out);
}

bh_status bh_manifest_sum_read(const char *dir, const bh_scopes *scopes, bh_manifest_sum *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf name = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/CURRENT", dir));
	BH_TRY(bh_stream_read_small((const char *)path.data, scopes, CURRENT_MAX, &name));
	if (name.len < 2 || name.data[name.len - 1] != '\n' || memchr(name.data, '/', name.len) != NULL)
		return bh_fail(BH_E_FORMAT, "%s: names no MANIFEST", (const char *)path.data);
	path.len = 0;
	BH_TRY(bh_buf_printf(&path, "%s/%.*s", dir, (int)(name.len - 1), (const char *)name.data));
	return bh_fail_prefix(read_manifest((const char *)path.data, scopes, out), "%s", (const char *)path.data);
}
