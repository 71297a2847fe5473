/* SPDX-License-Identifier: Apache-2.0
 *
 * test_wal_quiet.c: entries of a WAL whose bytes are blank do nothing, take as many sequence numbers, and every other byte stays
 * where and what it was; for every shape of an entry, and with the border between two blocks at every place in it.
 */
#include "env/spans/wal_quiet.h"
#include "span_fixture.h"

enum { BLANK = 1, THERE = 2 };

/* Strings of the blank family and of another, empty and not, lengths of one, two and three bytes. */
static const struct {
	uint8_t tag;
	uint32_t family;
	int strings;
	size_t len[2];
} shapes[] = {
	{ 0x05, BLANK, 2, { 3, 5 } },   { 0x05, THERE, 2, { 3, 5 } },     { 0x05, BLANK, 2, { 0, 4 } },
	{ 0x05, BLANK, 2, { 1, 0 } },   { 0x05, BLANK, 2, { 200, 300 } }, { 0x04, BLANK, 1, { 2, 0 } },
	{ 0x08, BLANK, 1, { 130, 0 } }, { 0x04, BLANK, 1, { 0, 0 } },     { 0x06, BLANK, 2, { 4, 20000 } },
	{ 0x0e, BLANK, 2, { 2, 2 } },   { 0x04, THERE, 1, { 9, 0 } },     { 0x0e, THERE, 2, { 0, 300 } },
	{ 0x05, 300, 2, { 6, 140 } },   { 0x10, BLANK, 2, { 1, 33 } },    { 0x17, BLANK, 2, { 7, 0 } },
	{ 0x05, THERE, 2, { 1, 1 } },
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static bool is_blank_family(uint32_t family)
{
	return family != THERE;
}

/* One batch with all shapes; bytes of the blank families are zeros, as the codec leaves them. */
static void make_batch(bh_buf *batch)
{
	begin_batch(batch, SHAPES);
	for (size_t i = 0; i < SHAPES; i++) {
		ok(bh_buf_append_u8(batch, shapes[i].tag));
		put_varint(batch, shapes[i].family);
		for (int k = 0; k < shapes[i].strings; k++) {
			put_varint(batch, shapes[i].len[k]);
			for (size_t n = 0; n < shapes[i].len[k]; n++)
				ok(bh_buf_append_u8(batch, is_blank_family(shapes[i].family) ? 0 : (uint8_t)(n * 7 + i)));
		}
	}
}

/* The log as it is; where its blank bytes are is told ahead of each fragment, as the codec does. */
static void tell_blanks(bh_wal_quiet *q, const bh_buf *log)
{
	bh_log_parser frames = { 0 };
	bh_wal_parser rows = { 0 };
	bh_log_piece piece;

	for (size_t at = 0; at < log->len; at += piece.len) {
		size_t end = log->len - at;

		if (frames.header_len == BH_LOG_HEADER) {
			bh_wal_piece part;

			end = BH_MIN(end, (size_t)frames.payload_left);
			ok(bh_wal_next(&rows, log->data + at, end, &part));
			if (part.skip > 0) {
				end = part.skip;
			} else {
				end = BH_MIN(end, (size_t)part.span);
				if (is_blank_family(part.cf_id))
					ok(bh_wal_quiet_blank(q, at, end));
				bh_wal_span(&rows, (uint32_t)end);
			}
		}
		ok(bh_log_next(&frames, log->data + at, end, &piece));
		if (piece.record_begin)
			bh_wal_begin(&rows);
		if (piece.record_end)
			ok(bh_wal_end(&rows));
	}
}

static void quieten(bh_buf *log)
{
	bh_wal_quiet quiet = { 0 };
	bh_log_parser frames = { 0 };
	bh_log_piece piece;
	size_t begin = 0;

	tell_blanks(&quiet, log);
	for (size_t at = 0; at < log->len; at += piece.len) {
		size_t end =
			frames.header_len == BH_LOG_HEADER ? BH_MIN(log->len - at, (size_t)frames.payload_left) : log->len - at;

		ok(bh_log_next(&frames, log->data + at, end, &piece));
		if (piece.what == BH_LOG_IS_HEADER && piece.header_at == 0)
			begin = at;
		if (piece.fragment_end)
			ok(bh_wal_quiet_fragment(&quiet, log->data, 0, (bh_wal_run){ begin, at + piece.len }, piece.record_end));
	}
	assert_int_equal(quiet.waiting_count, 0);
	bh_wal_quiet_clear(&quiet);
}

/* The payload of all fragments, whose CRCs are looked at. */
static void read_record(const bh_buf *log, size_t from, bh_buf *out)
{
	out->len = 0;
	for (size_t at = from; at < log->len;) {
		const uint8_t *fragment = log->data + at;
		const size_t left = BH_LOG_BLOCK - at % BH_LOG_BLOCK;
		size_t len;

		if (left < BH_LOG_HEADER) {
			at += left;
			continue;
		}
		len = BH_LOG_HEADER + fragment[4] + 256u * fragment[5];
		assert_int_equal(bh_get_u32(fragment), bh_crc32c_mask(bh_crc32c(0, fragment + 6, len - 6)));
		ok(bh_buf_append(out, fragment + BH_LOG_HEADER, len - BH_LOG_HEADER));
		at += len;
	}
}

static void expect_entries(bh_view rest)
{
	size_t count = 0;

	while (rest.len > 0) {
		bh_wal_entry entry;
		bool hidden;

		ok(bh_wal_entry_read(&rest, &entry));
		if (!entry.numbered) {
			assert_string_equal(entry.name, "noop");
			continue;
		}
		assert_true(count < SHAPES);
		assert_int_equal(entry.cf_id, shapes[count].family);
		hidden = is_blank_family(shapes[count].family) && shapes[count].len[0] + shapes[count].len[1] > 0;
		if (hidden)
			assert_string_equal(entry.name, "delete-range");
		for (unsigned k = 0; k < entry.string_count; k++)
			assert_int_equal(entry.strings[k].len, hidden ? 0 : shapes[count].len[k]);
		for (unsigned k = 0; k < entry.string_count; k++)
			for (size_t n = 0; n < entry.strings[k].len; n++)
				assert_int_equal(entry.strings[k].data[n], (uint8_t)(n * 7 + count));
		count++;
	}
	assert_int_equal(count, SHAPES);
}

static void blank_entries_do_nothing(void **state)
{
	bh_buf batch = { 0 }, log = { 0 }, record = { 0 }, filler = { 0 };

	(void)state;
	make_batch(&batch);
	/* The border of a block passes over all entries but the large one's inside. */
	for (size_t shift = 0; shift < 2400; shift++) {
		size_t from;

		log.len = 0;
		begin_batch(&filler, 0);
		while (filler.len < BH_LOG_BLOCK - BH_LOG_HEADER - shift - 8)
			ok(bh_buf_append_u8(&filler, 0x0d));
		log_record(&log, &filler);
		from = log.len;
		log_record(&log, &batch);
		quieten(&log);
		read_record(&log, from, &record);
		assert_int_equal(record.len, batch.len);
		assert_memory_equal(record.data, batch.data, BH_WAL_BATCH_HEADER);
		expect_entries(bh_view_of(record.data + BH_WAL_BATCH_HEADER, record.len - BH_WAL_BATCH_HEADER));
	}
	bh_buf_clear(&filler);
	bh_buf_clear(&record);
	bh_buf_clear(&log);
	bh_buf_clear(&batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blank_entries_do_nothing),
	};

	return cmocka_run_group_tests_name("wal_quiet", tests, NULL, NULL);
}
