/* SPDX-License-Identifier: Apache-2.0
 *
 * test_logfmt.c: RocksDB's log format: what the writer makes the parser takes apart, in pieces of any size; what it must refuse.
 */
#include "span_fixture.h"

/* What the parser says of a log, fed in pieces of `step` bytes. */
typedef struct seen {
	size_t records;
	size_t fragments;
	size_t payload;
	size_t trailer;
} seen;

static bh_status walk(bh_view log, size_t step, seen *out)
{
	bh_log_parser p = { 0 };
	size_t at = 0;

	*out = (seen){ 0 };
	while (at < log.len) {
		size_t end = BH_MIN(log.len, at + step);

		while (at < end) {
			bh_log_piece piece;

			BH_TRY(bh_log_next(&p, log.data + at, end - at, &piece));
			assert_in_range(piece.len, 1, end - at);
			assert_true(!piece.record_end || piece.fragment_end);
			out->records += piece.record_end;
			out->fragments += piece.fragment_end;
			out->payload += piece.what == BH_LOG_IS_PAYLOAD ? piece.len : 0;
			out->trailer += piece.what == BH_LOG_IS_TRAILER ? piece.len : 0;
			at += piece.len;
		}
	}
	return bh_log_at_boundary(&p) ? BH_OK : BH_E_TRUNCATED;
}

static void append_payload(bh_buf *log, size_t len)
{
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };

	for (size_t i = 0; i < len; i++)
		ok(bh_buf_append_u8(&payload, (uint8_t)i));
	log_record(log, &payload);
}

static void test_every_block_boundary(void **state)
{
	(void)state;
	/* The second record begins 40 to 0 bytes before the end of the block. */
	for (size_t left = 0; left <= 40; left++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		const size_t first = BH_LOG_BLOCK - left - BH_LOG_HEADER;
		seen got;

		append_payload(&log, first);
		append_payload(&log, 20);
		for (size_t step = 1; step <= 9; step++) {
			ok(walk(bh_buf_view(&log), step, &got));
			assert_int_equal(got.records, 2);
			assert_int_equal(got.fragments, left >= 7 && left < 27 ? 3 : 2);
			assert_int_equal(got.payload, first + 20);
			assert_int_equal(got.trailer, left < 7 ? left : 0);
		}
		assert_true(strip_crcs(log.data, log.len));
	}
}

static void test_large_record(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	seen got;

	(void)state;
	append_payload(&log, 0);
	append_payload(&log, (1 << 20) + 12345);
	append_payload(&log, 3);
	ok(walk(bh_buf_view(&log), log.len, &got));
	assert_int_equal(got.records, 3);
	assert_int_equal(got.payload, (1 << 20) + 12345 + 3);
	ok(walk(bh_buf_view(&log), 1000, &got));
	assert_int_equal(got.records, 3);
	assert_true(strip_crcs(log.data, log.len));
}

static void test_truncations(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	seen got;

	(void)state;
	append_payload(&log, 20);
	append_payload(&log, 20);
	for (size_t len = 1; len < log.len; len++)
		assert_int_equal(walk(bh_view_of(log.data, len), len, &got), len == 27 ? BH_OK : BH_E_TRUNCATED);
}

/* What RocksDB writes with an option that is refused is told by that option; all else is a newer one's. */
static const char *why_refused(unsigned type)
{
	if (type >= 5 && type <= 8)
		return "recycle_log_file_num";
	if (type == 9)
		return "wal_compression";
	if (type == 10 || type == 11)
		return "timestamps";
	return type == 130 || type == 131 ? "track_and_verify_wals" : "written by a newer RocksDB";
}

static void test_types(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		uint8_t header[BH_LOG_HEADER + 1] = { 0, 0, 0, 0, 1, 0, (uint8_t)type, 0 };
		bh_status st = type >= 1 && type <= 4 ? BH_E_FORMAT : BH_E_UNSUPPORTED;
		seen got;

		if (type == BH_LOG_FULL)
			st = BH_OK;
		if (type == BH_LOG_FIRST)
			st = BH_E_TRUNCATED;
		assert_int_equal(walk(bh_view_of(header, sizeof(header)), 8, &got), st);
		if (st == BH_E_UNSUPPORTED)
			assert_non_null(strstr(bh_status_message(), why_refused(type)));
	}
}

static void test_order_of_fragments(void **state)
{
	static const struct {
		const char *types;
		bh_status st;
	} cases[] = {
		{ "\1\1\1", BH_OK },       { "\2\4\1", BH_OK },       { "\2\3\4", BH_OK },     { "\2\1", BH_E_FORMAT },
		{ "\2\2", BH_E_FORMAT },   { "\1\3", BH_E_FORMAT },   { "\1\4", BH_E_FORMAT }, { "\2\3\1", BH_E_FORMAT },
		{ "\2\4\4", BH_E_FORMAT }, { "\2\4\3", BH_E_FORMAT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t log[3 * (BH_LOG_HEADER + 2)] = { 0 };
		size_t n = strlen(cases[i].types);
		seen got;

		for (size_t k = 0; k < n; k++) {
			log[k * 9 + 4] = 2;
			log[k * 9 + 6] = (uint8_t)cases[i].types[k];
		}
		assert_int_equal(walk(bh_view_of(log, n * 9), 4, &got), cases[i].st);
	}
}

static void test_crossing_its_block(void **state)
{
	uint8_t header[BH_LOG_HEADER] = { 0, 0, 0, 0, 0xf9, 0x7f, BH_LOG_FULL };
	seen got;

	(void)state;
	assert_int_equal(walk(bh_view_of(header, sizeof(header)), 7, &got), BH_E_TRUNCATED);
	header[4]++;
	assert_int_equal(walk(bh_view_of(header, sizeof(header)), 7, &got), BH_E_FORMAT);
}

static void test_trailer_must_be_zero(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	seen got;

	(void)state;
	append_payload(&log, BH_LOG_BLOCK - BH_LOG_HEADER - 3);
	append_payload(&log, 1);
	ok(walk(bh_buf_view(&log), 100, &got));
	log.data[BH_LOG_BLOCK - 1] = 1;
	assert_int_equal(walk(bh_buf_view(&log), 100, &got), BH_E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_block_boundary), cmocka_unit_test(test_large_record),
		cmocka_unit_test(test_truncations),          cmocka_unit_test(test_types),
		cmocka_unit_test(test_order_of_fragments),   cmocka_unit_test(test_crossing_its_block),
		cmocka_unit_test(test_trailer_must_be_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
