/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spans_view.c: what is shown of a log whose keys are not all there: blank spans, families presented as dropped, torn ends.
 */
#include "env/spans/manifest_spans.h"

#include "span_fixture.h"

/* ---- what hides a field */

static uint64_t take_varint(const uint8_t *bytes, size_t len, size_t *at)
{
	uint64_t value = 0;

	for (unsigned shift = 0;; shift += 7) {
		assert_true(*at < len && shift < 35);
		value |= (uint64_t)(bytes[*at] & 0x7f) << shift;
		if (!(bytes[(*at)++] & 0x80))
			return value;
	}
}

/* Over the front of a field of any length: a tag that RocksDB may ignore, and a length that ends where the field ended. */
static void hidden_field_is_skipped_to_its_end(void **state)
{
	static const size_t large[] = { 16385, 16386, 16387, 16388, 2097152, 2097155, 2097156, 100000000 };
	uint8_t skip[BH_VERSION_SKIP_MAX];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(bh_version_skip_encode(i, skip), 0);
	for (size_t i = 3; i < 3000 + sizeof(large) / sizeof(large[0]); i++) {
		size_t len = i < 3000 ? i : large[i - 3000], at = 0;
		size_t put = bh_version_skip_encode(len, skip);

		assert_true(put >= 3 && put <= len);
		assert_int_equal(take_varint(skip, put, &at), 1 << 13);
		assert_int_equal(take_varint(skip, put, &at), len - put);
		assert_int_equal(at, put);
	}
}

/* ---- builders */

static void put_add(bh_buf *edit, uint32_t cf_id)
{
	char name[] = { 'm', (char)('0' + cf_id), '/', 'c', 0 };

	edit->len = 0;
	put_varint(edit, 200);
	put_varint(edit, cf_id);
	put_varint(edit, 201);
	put_string(edit, name);
}

static void put_file(bh_buf *edit, uint32_t cf_id, size_t key_len, int group)
{
	edit->len = 0;
	put_varint(edit, 103);
	put_varint(edit, 1);
	put_varint(edit, 100);
	put_varint(edit, 1 << 20);
	put_key(edit, key_len);
	put_key(edit, key_len);
	put_varint(edit, 1);
	put_varint(edit, 9);
	put_varint(edit, 7);
	put_tenant(edit, 4);
	put_varint(edit, 1);
	put_varint(edit, 200);
	put_varint(edit, cf_id);
	if (group >= 0) {
		put_varint(edit, 300);
		put_varint(edit, (uint64_t)group);
	}
}

/* Families 1 to 3, each with a file; `record_end` (8 of them) gets where each record ends. */
static void make_manifest(bh_buf *log, size_t key_len, size_t *record_end)
{
	BH_CLEANUP(bh_buf_clear) bh_buf edit = { 0 };
	size_t n = 0;

	log->len = 0;
	for (uint32_t cf = 1; cf <= 3; cf++) {
		put_add(&edit, cf);
		log_record(log, &edit);
		record_end[n++] = log->len;
		put_file(&edit, cf, key_len, -1);
		log_record(log, &edit);
		record_end[n++] = log->len;
	}
	put_file(&edit, 1, key_len, 1);
	log_record(log, &edit);
	record_end[n++] = log->len;
	put_file(&edit, 3, key_len, 0);
	log_record(log, &edit);
	record_end[n++] = log->len;
}

/* ---- a reader of logs that shares nothing with the codec: RocksDB's rules in a dozen lines */

/* Calls `each` for every whole record; returns where the last one ends. Fails on a wrong CRC. */
static size_t read_records(const bh_buf *log, void (*each)(void *arg, bh_view record), void *arg)
{
	BH_CLEANUP(bh_buf_clear) bh_buf record = { 0 };
	size_t whole = 0;
	size_t at = 0;

	while (log->len - at >= BH_LOG_HEADER) {
		size_t room = BH_LOG_BLOCK - at % BH_LOG_BLOCK;
		const uint8_t *p = log->data + at;
		size_t n;

		if (room < BH_LOG_HEADER) {
			at += room;
			continue;
		}
		n = bh_get_u16(p + 4);
		if (n > log->len - at - BH_LOG_HEADER)
			break;
		assert_int_equal(bh_get_u32(p), bh_crc32c_mask(bh_crc32c(0, p + 6, n + 1)));
		if (p[6] == BH_LOG_FULL || p[6] == BH_LOG_FIRST)
			record.len = 0;
		put_bytes(&record, p + BH_LOG_HEADER, n);
		at += BH_LOG_HEADER + n;
		if (p[6] != BH_LOG_FULL && p[6] != BH_LOG_LAST)
			continue;
		each(arg, bh_buf_view(&record));
		whole = at;
	}
	return whole;
}

typedef struct summary {
	unsigned records;
	bool alive[FAMILY_COUNT + 1];
	unsigned drops;
	uint32_t max_cf_id;
	unsigned blank_keys;
	unsigned tenant_bytes;
	unsigned group_left;
} summary;

static bool is_blank_key(const uint8_t *key, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (key[i] != (i == len - 8 ? 1 : 0))
			return false;
	return true;
}

static void summarize(void *arg, bh_view record)
{
	BH_CLEANUP(bh_version_edit_clear) bh_version_edit edit = { 0 };
	summary *s = arg;

	ok(bh_version_edit_parse(record, &edit));
	/* As RocksDB has it: nothing may stand between the edits of a group. */
	assert_true(s->group_left == 0 || edit.in_group);
	s->group_left = edit.in_group ? edit.group_left : 0;
	s->records++;
	if (edit.cf_add)
		s->alive[edit.cf_id] = true;
	if (edit.cf_drop) {
		assert_true(s->alive[edit.cf_id]);
		s->alive[edit.cf_id] = false;
		s->drops++;
		s->max_cf_id = edit.max_cf_id;
	}
	for (size_t i = 0; i < edit.span_count; i++) {
		const uint8_t *p = record.data + edit.spans[i].off;

		s->tenant_bytes += p[0] == TENANT;
		if (!edit.spans[i].internal_key)
			assert_true(p[0] == TENANT || p[0] == 0);
		else if (p[0] != TENANT)
			s->blank_keys += is_blank_key(p, edit.spans[i].len) ? 1 : 1000;
	}
}

static void ignore(void *arg, bh_view record)
{
	(void)arg;
	(void)record;
}

/* ---- blank spans */

static void test_wal_blank(void **state)
{
	static const bh_status why[] = { BH_E_NO_KEY, BH_E_SHREDDED, BH_E_SUSPENDED };

	(void)state;
	for (size_t w = 0; w < 3; w++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf want = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
		fixture f;

		for (unsigned i = 0; i < 4; i++) {
			begin_batch(&batch, 1);
			put_entry(&batch, 1 + i % 2, 20, 20000);
			log_record(&log, &batch);
			/* The same with zeros for the second family. */
			for (size_t k = 0; i % 2 && k < batch.len; k++)
				batch.data[k] = batch.data[k] == TENANT ? 0 : batch.data[k];
			log_record(&want, &batch);
		}
		fixture_init(&f);
		ok(seal(&f, BH_KIND_WAL, bh_buf_view(&log), (split){ 0, 0 }, &s));
		f.unavailable[2] = why[w];
		ok(open_sealed(&f, BH_KIND_WAL, &s, &opened));
		assert_same(&want, &opened);
		f.unavailable[2] = BH_E_NOMEM;
		assert_int_equal(open_sealed(&f, BH_KIND_WAL, &s, &opened), BH_E_NOMEM);
	}
}

static void test_manifest_blank(void **state)
{
	(void)state;
	/* The larger keys make records of several fragments, and lay the boundary of a block through every byte of a key's trailer.
	 */
	for (size_t key_len = 40; key_len < 32800; key_len += key_len == 40 ? 32560 : 5) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
		size_t ends[8];
		summary got = { 0 };
		fixture f;

		fixture_init(&f);
		make_manifest(&log, key_len, ends);
		ok(seal(&f, BH_KIND_MANIFEST, bh_buf_view(&log), (split){ 0, 0 }, &s));
		f.unavailable[2] = BH_E_SHREDDED;
		ok(open_sealed(&f, BH_KIND_MANIFEST, &s, &opened));
		assert_int_equal(opened.len, log.len);
		assert_int_equal(read_records(&opened, summarize, &got), opened.len);
		assert_int_equal(got.records, 8);
		assert_int_equal(got.blank_keys, 2);
		assert_int_equal(got.tenant_bytes, 3 * 4);
	}
}

/* A key that is not there, of a family that is: an error, whatever became of the key; and the family's. */
static void test_blank_only_what_nobody_needs(void **state)
{
	static const bh_status why[] = { BH_E_NO_KEY, BH_E_SHREDDED, BH_E_SUSPENDED };
	static const bh_file_kind kinds[] = { BH_KIND_WAL, BH_KIND_MANIFEST };

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
		const bh_file_kind kind = kinds[i % 2];
		size_t ends[8];
		bh_spans *codec;
		fixture f;

		fixture_init(&f);
		begin_batch(&batch, 2);
		put_entry(&batch, 1, 20, 20);
		put_entry(&batch, 2, 20, 20);
		log_record(&log, &batch);
		if (kind == BH_KIND_MANIFEST)
			make_manifest(&log, 40, ends);
		ok(seal(&f, kind, bh_buf_view(&log), (split){ 0, 0 }, &s));
		f.unavailable[2] = why[i / 2];
		f.needed[1] = f.needed[3] = true;
		ok(open_sealed(&f, kind, &s, &opened));
		f.needed[2] = true;
		assert_int_equal(open_sealed(&f, kind, &s, &opened), BH_E_TAG);
		codec = new_codec(&f, kind, BH_SPANS_OPEN);
		if (kind == BH_KIND_WAL)
			assert_int_equal(open_some(codec, &s, s.count, &opened), BH_E_TAG);
		else
			ok(open_some(codec, &s, s.count, &opened));
		assert_int_equal(bh_spans_finish(codec), BH_E_TAG);
		assert_string_equal(bh_spans_blamed(codec)->merchant, "m");
		bh_spans_free(codec);
		/* Presented as dropped, or really dropped, it is not needed. */
		f.detached[2] = true;
		assert_int_equal(open_sealed(&f, kind, &s, &opened), kind == BH_KIND_WAL ? BH_E_TAG : BH_OK);
	}
}

/* ---- families presented as dropped */

static void test_synthetic_drops(void **state)
{
	(void)state;
	for (unsigned detached = 0; detached < 8; detached++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
		size_t ends[8];
		summary got = { 0 };
		fixture f;

		fixture_init(&f);
		make_manifest(&log, 40, ends);
		ok(seal(&f, BH_KIND_MANIFEST, bh_buf_view(&log), (split){ 0, 0 }, &s));
		for (unsigned cf = 1; cf <= 3; cf++)
			f.detached[cf] = detached >> (cf - 1) & 1;
		f.dropped = 0;
		ok(open_sealed(&f, BH_KIND_MANIFEST, &s, &opened));
		assert_memory_equal(opened.data, log.data, log.len);
		assert_int_equal(read_records(&opened, summarize, &got), opened.len);
		for (unsigned cf = 1; cf <= 3; cf++)
			assert_int_equal(got.alive[cf], !f.detached[cf]);
		/* It is a view: nobody is told of a drop that did not happen. */
		assert_int_equal(f.dropped, 0);
		assert_true(got.drops == 0 || got.max_cf_id == 3);
	}
}

/* A family that was really dropped is not dropped twice, and its id still counts for MaxColumnFamily. */
static void test_dropped_before(void **state)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf edit = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
	size_t ends[8];
	summary got = { 0 };
	fixture f;

	(void)state;
	fixture_init(&f);
	make_manifest(&log, 40, ends);
	put_varint(&edit, 200);
	put_varint(&edit, 3);
	put_varint(&edit, 202);
	log_record(&log, &edit);
	ok(seal(&f, BH_KIND_MANIFEST, bh_buf_view(&log), (split){ 0, 0 }, &s));
	f.detached[1] = f.detached[3] = true;
	ok(open_sealed(&f, BH_KIND_MANIFEST, &s, &opened));
	assert_int_equal(read_records(&opened, summarize, &got), opened.len);
	assert_int_equal(got.drops, 2);
	assert_int_equal(got.max_cf_id, 3);
	assert_true(got.alive[2] && !got.alive[1] && !got.alive[3]);
}

static void test_drops_at_every_block_offset(void **state)
{
	(void)state;
	for (size_t left = 0; left < 80; left++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf filler = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
		size_t ends[8];
		summary got = { 0 };
		fixture f;

		fixture_init(&f);
		make_manifest(&log, 40, ends);
		put_varint(&filler, 1); /* a comparator with a long name: 1 of tag, 3 of length */
		put_varint(&filler, BH_LOG_BLOCK - left - log.len - BH_LOG_HEADER - 4);
		while (filler.len < BH_LOG_BLOCK - left - log.len - BH_LOG_HEADER)
			ok(bh_buf_append_u8(&filler, 'x'));
		log_record(&log, &filler);
		assert_int_equal(log.len, BH_LOG_BLOCK - left);
		ok(seal(&f, BH_KIND_MANIFEST, bh_buf_view(&log), (split){ 0, 0 }, &s));
		f.detached[1] = f.detached[2] = f.detached[3] = true;
		ok(open_sealed(&f, BH_KIND_MANIFEST, &s, &opened));
		assert_int_equal(read_records(&opened, summarize, &got), opened.len);
		assert_int_equal(got.drops, 3);
	}
}

/* ---- torn ends */

/* Wherever a MANIFEST is cut: whole records and whole groups are there, the rest is not, and drops take effect. */
static void test_manifest_cut_anywhere(void **state)
{
	(void)state;
	for (size_t key_len = 40; key_len <= 33000; key_len += 32960) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		size_t ends[8];
		fixture f;

		fixture_init(&f);
		make_manifest(&log, key_len, ends);
		for (size_t len = 0; len <= log.len; len += key_len == 40 ? 1 : 997) {
			BH_CLEANUP(sealed_clear) sealed s = { 0 };
			BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
			summary got = { 0 };
			unsigned records = 0;
			unsigned alive = 0;

			while (records < 8 && ends[records] <= len)
				records++;
			records -= records == 7; /* the first of a group of two */
			for (unsigned cf = 1; cf <= 3; cf++)
				alive += records >= 2 * cf - 1;
			ok(seal(&f, BH_KIND_MANIFEST, bh_view_of(log.data, len), (split){ 0, 0 }, &s));
			f.detached[1] = f.detached[2] = f.detached[3] = true;
			ok(open_sealed(&f, BH_KIND_MANIFEST, &s, &opened));
			assert_int_equal(read_records(&opened, summarize, &got), opened.len);
			assert_int_equal(got.records, records + alive);
			assert_int_equal(got.drops, alive);
			f.detached[1] = f.detached[2] = f.detached[3] = false;
			got = (summary){ 0 };
			ok(open_sealed(&f, BH_KIND_MANIFEST, &s, &opened));
			assert_true(opened.len <= len);
			(void)read_records(&opened, summarize, &got);
			assert_int_equal(got.records, records);
		}
	}
}

/* Wherever a WAL is cut: all bytes are there, up to the cut they are the plain ones, but for the CRC of a torn fragment: it is zero
 * there, and not there at all if nothing follows it. */
static void test_wal_cut_anywhere(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	size_t ends[3];
	fixture f;

	(void)state;
	fixture_init(&f);
	for (unsigned i = 0; i < 3; i++) {
		begin_batch(&batch, 1);
		put_entry(&batch, 1 + i, 20, 100);
		log_record(&log, &batch);
		ends[i] = log.len;
	}
	for (size_t len = 0; len <= log.len; len++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
		size_t whole = 0;

		for (unsigned i = 0; i < 3; i++)
			whole = ends[i] <= len ? ends[i] : whole;
		ok(seal(&f, BH_KIND_WAL, bh_view_of(log.data, len), (split){ 0, len % 7 }, &s));
		ok(open_sealed(&f, BH_KIND_WAL, &s, &opened));
		assert_int_equal(opened.len, len - whole <= 4 ? whole : len);
		assert_int_equal(read_records(&opened, ignore, NULL), whole);
		if (whole > 0)
			assert_memory_equal(opened.data, log.data, whole);
		if (len > whole + 4)
			assert_memory_equal(opened.data + whole + 4, log.data + whole + 4, len - whole - 4);
	}
}

static void test_broken_groups(void **state)
{
	/* Remaining counts of three edits in a row; -1: not in a group. */
	static const struct {
		int group[3];
		bh_status st;
	} cases[] = {
		{ { 2, 1, 0 }, BH_OK },        { { 0, 0, -1 }, BH_OK },       { { -1, 1, 0 }, BH_OK },
		{ { 2, 0, -1 }, BH_E_FORMAT }, { { 1, -1, 0 }, BH_E_FORMAT }, { { 1, 1, 0 }, BH_E_FORMAT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf edit = { 0 };
		fixture f;

		fixture_init(&f);
		for (int k = 0; k < 3; k++) {
			put_file(&edit, 1, 10, cases[i].group[k]);
			log_record(&log, &edit);
		}
		assert_int_equal(seal(&f, BH_KIND_MANIFEST, bh_buf_view(&log), (split){ 0, 0 }, &s), cases[i].st);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hidden_field_is_skipped_to_its_end),
		cmocka_unit_test(test_wal_blank),
		cmocka_unit_test(test_manifest_blank),
		cmocka_unit_test(test_blank_only_what_nobody_needs),
		cmocka_unit_test(test_synthetic_drops),
		cmocka_unit_test(test_dropped_before),
		cmocka_unit_test(test_drops_at_every_block_offset),
		cmocka_unit_test(test_manifest_cut_anywhere),
		cmocka_unit_test(test_wal_cut_anywhere),
		cmocka_unit_test(test_broken_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
