/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_sum_read.c: the MANIFEST that a database's CURRENT names, read by plain system calls, before RocksDB does.
 */
#include "manifest_sum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "small_file.h"
#include "env/files/raw_file.h"
#include "env/files/stream_file.h"
#include "env/spans/records.h"

#define CURRENT_MAX (64u * 1024)

static void reader_free(bh_stream_reader **r)
{
	bh_stream_reader_free(*r);
}

static bh_status take_record(void *arg, const bh_record *record)
{
	return bh_manifest_sum_take(arg, record->payload);
}

/* Where a record is fed to. */
typedef struct sum_reading {
	bh_records records;
	bh_manifest_sum *sum;
} sum_reading;

static void reading_clear(sum_reading *r)
{
	bh_records_clear(&r->records);
}

static bh_status feed(void *arg, bh_view ready)
{
	sum_reading *r = arg;

	return bh_records_feed(&r->records, ready, take_record, r->sum);
}

static bh_status read_manifest(const char *path, const bh_scopes *scopes, bh_manifest_sum *out)
{
	BH_CLEANUP(bh_raw_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	BH_CLEANUP(reader_free) bh_stream_reader *reader = NULL;
	BH_CLEANUP(reading_clear) sum_reading reading = { .sum = out };
	uint8_t header[BH_HEADER_LEN];

	if (fd < 0)
		return bh_raw_fail(path, "opened");
	BH_TRY(bh_raw_header(fd, path, header));
	BH_TRY(bh_stream_reader_new(bh_view_of(header, sizeof(header)), scopes, false, &reader));
	return bh_stream_read_through(fd, path, UINT64_MAX, reader, feed, &reading);
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
