/* SPDX-License-Identifier: Apache-2.0
 *
 * record_census.c: record_census.h's other half.
 */
#include "record_census.h"

#include "tests/attack/decryptor.h"
#include "env/spans/logfmt.h"
#include "env/spans/wal_spans.h"

static void count_batch(record_census *census, bh_view record)
{
	bh_view rest;

	test_check(record.len >= BH_WAL_BATCH_HEADER);
	rest = bh_view_of(record.data + BH_WAL_BATCH_HEADER, record.len - BH_WAL_BATCH_HEADER);
	while (rest.len > 0) {
		bh_wal_entry entry;

		census->entries[rest.data[0]]++;
		test_ok(bh_wal_entry_read(&rest, &entry));
	}
}

static void count_field(void *arg, const bh_version_field *field)
{
	record_census *census = arg;

	census->fields[field->what]++;
}

static void count_record(record_census *census, bh_file_kind kind, bh_view record)
{
	bh_version_edit edit = { 0 };

	if (kind == BH_KIND_WAL) {
		count_batch(census, record);
		return;
	}
	test_ok(bh_version_edit_walk(record, &edit, count_field, census));
	bh_version_edit_clear(&edit);
}

/* Puts records together from their fragments. A log that was killed may end inside of one. */
static void count_log(record_census *census, bh_file_kind kind, bh_view log)
{
	bh_log_parser parser = { 0 };
	bh_buf record = { 0 };

	while (log.len > 0) {
		bh_log_piece piece;

		test_ok(bh_log_next(&parser, log.data, log.len, &piece));
		if (piece.record_begin)
			record.len = 0;
		if (piece.what == BH_LOG_IS_PAYLOAD)
			test_ok(bh_buf_append(&record, log.data, piece.len));
		if (piece.record_end)
			count_record(census, kind, bh_buf_view(&record));
		log = bh_view_of(log.data + piece.len, log.len - piece.len);
	}
	bh_buf_clear(&record);
}

static void count_file(void *arg, const decrypted *file)
{
	if (!file->info.sealed || (file->info.kind != BH_KIND_WAL && file->info.kind != BH_KIND_MANIFEST))
		return;
	test_ok(file->open_status);
	count_log(arg, file->info.kind, bh_buf_view(&file->opened));
}

void record_census_take(const workspace *ws, record_census *out)
{
	decryptor d;

	memset(out, 0, sizeof(*out));
	decryptor_open(&d, ws->db);
	decryptor_walk(&d, count_file, out);
	decryptor_close(&d);
}

void record_census_expect_entries(const record_census *census, const uint8_t *tags)
{
	for (; *tags != 0xff; tags++)
		if (census->entries[*tags] == 0)
			test_fail_at(__FILE__, __LINE__, "no log holds a batch entry with the tag 0x%02x", *tags);
}
