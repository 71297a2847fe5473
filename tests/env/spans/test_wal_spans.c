/* SPDX-License-Identifier: Apache-2.0
 *
 * test_wal_spans.c: the write batch parser: every tag, every cut, every refusal.
 */
#include "env/spans/wal_spans.h"

#include "span_fixture.h"

/* Marks the spans of a record, fed in pieces, with their family; 0 elsewhere. */
static bh_status mark_some(bh_wal_parser *p, bh_view record, size_t end, size_t *at, uint32_t *owner)
{
	while (*at < end) {
		bh_wal_piece piece;
		size_t n;

		BH_TRY(bh_wal_next(p, record.data + *at, end - *at, &piece));
		assert_in_range(piece.skip, 0, end - *at);
		assert_true(piece.skip > 0 || piece.span > 0);
		assert_true(piece.span == 0 || piece.cf_id != 0);
		*at += piece.skip;
		n = BH_MIN((size_t)piece.span, end - *at);
		if (n > 0)
			bh_wal_span(p, (uint32_t)n);
		for (size_t i = 0; i < n; i++)
			owner[(*at)++] = piece.cf_id;
		if (piece.span > 0 && n == 0)
			break;
	}
	return BH_OK;
}

static bh_status mark(bh_view record, split by, uint32_t *owner)
{
	bh_wal_parser p;

	memset(owner, 0, record.len * sizeof(*owner));
	bh_wal_begin(&p);
	for (size_t at = 0; at < record.len;)
		BH_TRY(mark_some(&p, record, at + next_piece(by, at, record.len), &at, owner));
	return bh_wal_end(&p);
}

static void assert_marks(const bh_buf *batch, uint32_t cf_id, split by)
{
	uint32_t owner[4096];

	assert_true(batch->len <= 4096);
	ok(mark(bh_buf_view(batch), by, owner));
	for (size_t i = 0; i < batch->len; i++)
		assert_int_equal(owner[i], batch->data[i] == TENANT ? cf_id : 0);
}

typedef struct tag_case {
	uint8_t tag;
	bool has_family;
	unsigned strings;
} tag_case;

static const tag_case tag_cases[] = {
	{ 0x00, false, 1 }, { 0x01, false, 2 }, { 0x02, false, 2 }, { 0x03, false, 1 }, { 0x04, true, 1 },
	{ 0x05, true, 2 },  { 0x06, true, 2 },  { 0x07, false, 1 }, { 0x08, true, 1 },  { 0x09, false, 0 },
	{ 0x0a, false, 1 }, { 0x0b, false, 1 }, { 0x0c, false, 1 }, { 0x0d, false, 0 }, { 0x0e, true, 2 },
	{ 0x0f, false, 2 }, { 0x10, true, 2 },  { 0x11, false, 2 }, { 0x12, false, 0 }, { 0x13, false, 0 },
	{ 0x15, false, 2 }, { 0x16, false, 2 }, { 0x17, true, 2 },  { 0x18, false, 2 }, { 0x19, true, 2 },
};

static void put_tag(bh_buf *b, const tag_case *c, uint32_t cf_id)
{
	ok(bh_buf_append_u8(b, c->tag));
	if (c->has_family)
		put_varint(b, cf_id);
	for (unsigned i = 0; i < c->strings; i++) {
		if (c->has_family && cf_id != 0)
			put_tenant(b, 5 + 130 * i);
		else
			put_string(b, "platform");
	}
}

static void test_every_tag(void **state)
{
	static const uint32_t families[] = { 0, 1, 127, 128, 300000, UINT32_MAX };

	(void)state;
	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };

		begin_batch(&batch, 9);
		for (size_t i = 0; i < sizeof(tag_cases) / sizeof(tag_cases[0]); i++)
			put_tag(&batch, &tag_cases[i], families[f]);
		for (size_t cut = 0; cut < batch.len; cut++)
			assert_marks(&batch, families[f], (split){ cut, 0 });
		for (size_t step = 1; step < 40; step++)
			assert_marks(&batch, families[f], (split){ 0, step });
	}
}

static void test_unknown_tags(void **state)
{
	(void)state;
	for (unsigned tag = 0; tag < 256; tag++) {
		BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
		uint32_t owner[64];
		bool known = false;

		for (size_t i = 0; i < sizeof(tag_cases) / sizeof(tag_cases[0]); i++)
			known = known || tag_cases[i].tag == tag;
		begin_batch(&batch, 1);
		ok(bh_buf_append_u8(&batch, (uint8_t)tag));
		if (known)
			continue;
		assert_int_equal(mark(bh_buf_view(&batch), (split){ 0, 0 }, owner), BH_E_UNSUPPORTED);
		assert_non_null(strstr(bh_status_message(), "written by a newer RocksDB"));
	}
}

static void test_empty_strings(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };

	(void)state;
	begin_batch(&batch, 3);
	put_entry(&batch, 3, 0, 0);
	put_entry(&batch, 3, 0, 9);
	put_entry(&batch, 3, 9, 0);
	for (size_t cut = 0; cut < batch.len; cut++)
		assert_marks(&batch, 3, (split){ cut, 0 });
}

static void test_truncations(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	uint32_t owner[256];
	size_t first;

	(void)state;
	begin_batch(&batch, 2);
	put_entry(&batch, 200, 3, 7);
	first = batch.len;
	put_entry(&batch, 200, 3, 7);
	for (size_t len = 0; len <= batch.len; len++) {
		bool whole = len == 12 || len == first || len == batch.len;

		assert_int_equal(mark(bh_view_of(batch.data, len), (split){ 0, 0 }, owner), whole ? BH_OK : BH_E_FORMAT);
	}
}

/* An entry is its family's from the last byte of the id on, and takes a number if its tag does. */
static void test_whose_and_which(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	bh_wal_parser p;
	bh_wal_piece piece;

	(void)state;
	begin_batch(&batch, 2);
	put_entry(&batch, 300, 0, 0);
	ok(bh_buf_append_u8(&batch, 0x0d));
	put_entry(&batch, 0, 0, 0);
	bh_wal_begin(&p);
	ok(bh_wal_next(&p, batch.data, 14, &piece)); /* header, tag, half of the id */
	assert_true(piece.skip == 14 && piece.cf_id == 0 && piece.span == 0);
	ok(bh_wal_next(&p, batch.data + 14, 1, &piece));
	assert_true(piece.skip == 1 && piece.cf_id == 300 && piece.span == 0);
	ok(bh_wal_next(&p, batch.data + 15, batch.len - 15, &piece)); /* ends with the entry */
	assert_true(piece.skip == 2 && piece.cf_id == 300 && piece.span == 0 && p.index == 1);
	ok(bh_wal_next(&p, batch.data + 17, batch.len - 17, &piece));
	assert_true(piece.skip == 1 && piece.cf_id == 0 && p.index == 1);
	ok(bh_wal_next(&p, batch.data + 18, batch.len - 18, &piece));
	assert_true(piece.skip == 4 && piece.cf_id == 0 && p.index == 2);
	ok(bh_wal_end(&p));
	assert_int_equal(p.state, BH_WAL_OUTSIDE);
}

static void test_numbers_over_32_bits(void **state)
{
	static const uint8_t largest[] = { 0x05, 0xff, 0xff, 0xff, 0xff, 0x0f };
	static const uint8_t larger[] = { 0x05, 0xff, 0xff, 0xff, 0xff, 0x1f };
	static const uint8_t endless[] = { 0x05, 0x80, 0x80, 0x80, 0x80, 0x80 };
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	uint32_t owner[64];

	(void)state;
	begin_batch(&batch, 1);
	put_bytes(&batch, larger, sizeof(larger));
	assert_int_equal(mark(bh_buf_view(&batch), (split){ 0, 0 }, owner), BH_E_FORMAT);
	begin_batch(&batch, 1);
	put_bytes(&batch, endless, sizeof(endless));
	assert_int_equal(mark(bh_buf_view(&batch), (split){ 0, 0 }, owner), BH_E_FORMAT);
	begin_batch(&batch, 1);
	put_bytes(&batch, largest, sizeof(largest));
	put_tenant(&batch, 1);
	put_tenant(&batch, 1);
	assert_marks(&batch, UINT32_MAX, (split){ 0, 0 });
}

/* Read as a whole: the same strings, and no entry out of fewer bytes than it has. */
static void test_entries(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tag_cases) / sizeof(tag_cases[0]); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
		bh_wal_entry entry = { 0 };
		bh_view rest;

		put_tag(&bytes, &tag_cases[i], 300000);
		for (size_t cut = 1; cut < bytes.len; cut++) {
			rest = bh_view_of(bytes.data, cut);
			assert_int_equal(bh_wal_entry_read(&rest, &entry), BH_E_FORMAT);
			assert_int_equal(rest.len, cut);
		}
		rest = bh_buf_view(&bytes);
		ok(bh_wal_entry_read(&rest, &entry));
		assert_int_equal(rest.len, 0);
		assert_int_equal(entry.cf_id, tag_cases[i].has_family ? 300000 : 0);
		assert_int_equal(entry.string_count, tag_cases[i].strings);
		for (unsigned k = 0; k < entry.string_count; k++)
			assert_int_equal(entry.strings[k].len, tag_cases[i].has_family ? 5 + 130 * k : strlen("platform"));
		assert_true(strlen(entry.name) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_tag),       cmocka_unit_test(test_entries),
		cmocka_unit_test(test_unknown_tags),    cmocka_unit_test(test_empty_strings),
		cmocka_unit_test(test_truncations),     cmocka_unit_test(test_numbers_over_32_bits),
		cmocka_unit_test(test_whose_and_which),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
