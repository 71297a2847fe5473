/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spans_forged.c: what who has the platform's key makes of a log, to a reader who has all keys: frames whose platform's part
 * is anything, since its tag can be made anew, and whose sections are those that families 1 and 2 once sealed. Whatever it is,
 * either a family's tag fails, or what comes out is what was sealed.
 */
#include "span_logs.h"

/* ---- opening */

typedef struct outcome {
	bh_status status;
	size_t frames; /* opened */
	bool blames;
	bh_buf opened;
} outcome;

static void outcome_clear(outcome *o)
{
	bh_buf_clear(&o->opened);
}

/* Nothing may be blank: all keys are there, so what has none was forged. */
static outcome open_with(const fixture *all, const bh_header *header, const sealed *s, size_t first_number)
{
	fixture f = *all;
	outcome o = { .status = BH_OK };
	bh_spans *codec = NULL;

	f.scopes.arg = &f;
	for (uint32_t cf = 0; cf <= FAMILY_COUNT; cf++)
		f.needed[cf] = true;
	ok(bh_spans_new(BH_SPANS_OPEN, header, &f.scopes, &codec));
	while (o.frames < s->count && o.status == BH_OK) {
		o.status = open_frame(codec, first_number + o.frames, &s->frames[o.frames]);
		o.frames += o.status == BH_OK;
		take_ready(codec, &o.opened);
	}
	if (o.status == BH_OK)
		o.status = bh_spans_finish(codec);
	take_ready(codec, &o.opened);
	o.blames = bh_spans_blamed(codec) != NULL;
	assert_true(!o.blames || o.status == BH_E_TAG);
	bh_spans_free(codec);
	return o;
}

static outcome open_it(bh_file_kind kind, const sealed *s)
{
	const bh_header header = fixture_header(kind);
	fixture all;

	fixture_init(&all);
	return open_with(&all, &header, s, 0);
}

static bool refused(const outcome *o)
{
	return o->status == BH_E_TAG || o->status == BH_E_FORMAT || o->status == BH_E_UNSUPPORTED;
}

static void expect_refused(bh_file_kind kind, const sealed *s, size_t in_frame)
{
	BH_CLEANUP(outcome_clear) outcome o = open_it(kind, s);

	assert_true(refused(&o));
	/* A DEK that there is not: of a MANIFEST that shows at its end, when it is known who is still there. */
	assert_true(o.frames <= in_frame || (kind == BH_KIND_MANIFEST && o.frames == s->count));
}

/* ---- logs */

static void copy_frame(sealed *to, const sealed_frame *from)
{
	sealed_frame *f = add_frame(to, bh_view_of(from->plain.data + BH_FRAME_ROOM, from->plain.len - BH_FRAME_ROOM));

	put_bytes(&f->sections, from->sections.data, from->sections.len);
}

/* One record a frame. */
static void seal_records(bh_file_kind kind, bh_view log, const size_t *ends, size_t count, sealed *s)
{
	fixture f;
	bh_spans *codec;

	fixture_init(&f);
	codec = new_codec(&f, kind, BH_SPANS_SEAL);
	for (size_t i = 0; i < count; i++) {
		size_t begin = i > 0 ? ends[i - 1] : 0;

		ok(seal_more(codec, bh_view_of(log.data + begin, ends[i] - begin), s));
	}
	bh_spans_free(codec);
}

enum { RECORDS = 4 };

/* Puts of family 1, 2, 1, 1: all alike but for the sequence number. */
static void make_puts(bh_buf *log, size_t ends[RECORDS])
{
	static const uint32_t families[RECORDS] = { 1, 2, 1, 1 };
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };

	for (size_t i = 0; i < RECORDS; i++) {
		begin_batch(&batch, 1);
		bh_put_u64(batch.data, 1000 + i);
		put_entry(&batch, families[i], 10, 30);
		log_record(log, &batch);
		ends[i] = log->len;
	}
}

/* A record of log data, as long as the others and the platform's alone. */
static sealed_frame *add_log_data(sealed *s, size_t len)
{
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	BH_CLEANUP(sealed_clear) sealed one = { 0 };
	fixture f;

	fixture_init(&f);
	begin_batch(&batch, 0);
	ok(bh_buf_append_u8(&batch, 0x03));
	put_varint(&batch, len - BH_LOG_HEADER - batch.len - 1);
	while (batch.len < len - BH_LOG_HEADER)
		put_bytes(&batch, "x", 1);
	log_record(&log, &batch);
	assert_int_equal(log.len, len);
	ok(seal(&f, BH_KIND_WAL, bh_buf_view(&log), (split){ 0, 0 }, &one));
	assert_int_equal(frame_at(&one, 0)->sections.len, 0);
	copy_frame(s, frame_at(&one, 0));
	return &s->frames[s->count - 1];
}

/* ---- changed */

/* Each bit of the platform's part and of the sections of each frame that has sections. */
static void flip_all(bh_file_kind kind, sealed *s)
{
	for (size_t i = 0; i < s->count; i++) {
		bh_buf *parts[] = { &s->frames[i].plain, &s->frames[i].sections };

		for (size_t p = 0; p < 2 && s->frames[i].sections.len > 0; p++)
			for (size_t bit = p == 0 ? 8 * BH_FRAME_ROOM : 0; bit < 8 * parts[p]->len; bit++) {
				parts[p]->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
				/* More announcements than there are bytes are the stream's to refuse. */
				if (p == 1 || bit / 8 > BH_FRAME_ROOM)
					expect_refused(kind, s, i);
				parts[p]->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			}
	}
}

static void test_every_bit_of_a_wal(void **state)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	fixture f;

	(void)state;
	fixture_init(&f);
	make_wal(&log, 60);
	ok(seal(&f, BH_KIND_WAL, bh_buf_view(&log), (split){ 0, 173 }, &s));
	flip_all(BH_KIND_WAL, &s);
}

/* Also edits without a span: files deleted, levels, log numbers, names. (Of a family that is dropped by the end nobody uses
 * anything: a DEK that there is not would do.) */
static void test_every_bit_of_a_manifest(void **state)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf edit = { 0 };
	fixture f;

	(void)state;
	fixture_init(&f);
	for (uint32_t cf = 1; cf <= 2; cf++) {
		put_add(&edit, cf);
		log_record(&log, &edit);
		put_files(&edit, cf, 2, -1);
		log_record(&log, &edit);
	}
	for (unsigned i = 0; i < 3; i++) {
		static const unsigned tags[] = { 6, 2, 10 }; /* file deleted, log number, oldest log to keep */

		edit.len = 0;
		put_varint(&edit, tags[i]);
		if (i == 0)
			put_varint(&edit, 3); /* level */
		put_varint(&edit, 77);
		put_varint(&edit, 200);
		put_varint(&edit, 1);
		log_record(&log, &edit);
	}
	ok(seal(&f, BH_KIND_MANIFEST, bh_buf_view(&log), (split){ 0, 0 }, &s));
	flip_all(BH_KIND_MANIFEST, &s);
}

/* Each cut of a log into two frames. Where the first has nothing of a family (it ends inside of a record's header, or of the
 * batch's, or in front of a family id), each bit of it is the platform's; and still the second one holds only behind the true one.
 */
static void test_a_beginning_that_is_another(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	unsigned tried = 0;

	(void)state;
	begin_batch(&batch, 2);
	put_bytes(&batch, "\x05\x81\x00", 3); /* family 1, in two bytes */
	put_tenant(&batch, 10);
	put_tenant(&batch, 20);
	put_entry(&batch, 2, 5, 0);
	log_record(&log, &batch);
	for (size_t cut = 5; cut < log.len; cut++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		fixture f;

		fixture_init(&f);
		ok(seal(&f, BH_KIND_WAL, bh_buf_view(&log), (split){ cut, 0 }, &s));
		assert_int_equal(s.count, 2);
		for (size_t bit = 8 * (BH_FRAME_ROOM + 1);
		     frame_at(&s, 0)->sections.len == 0 && bit < 8 * frame_at(&s, 0)->plain.len; bit++) {
			frame_at(&s, 0)->plain.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			expect_refused(BH_KIND_WAL, &s, 1);
			frame_at(&s, 0)->plain.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			tried++;
		}
	}
	assert_true(tried > 1000);
}

/* ---- moved */

static void test_frames_elsewhere(void **state)
{
	/* Which frame stands at each place; -1: log data of that length. */
	static const int orders[][RECORDS] = {
		{ 0, 1, 3, 2 },  { 2, 1, 0, 3 },  { 0, 1, 2, 2 },  { 0, 0, 2, 3 },   { 3, 1, 2, 3 },
		{ -1, 1, 2, 3 }, { 0, 1, -1, 3 }, { 0, 2, -1, 3 }, { -1, -1, 0, 3 }, { 1, 0, 2, 3 },
	};
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	size_t ends[RECORDS];

	(void)state;
	make_puts(&log, ends);
	seal_records(BH_KIND_WAL, bh_buf_view(&log), ends, RECORDS, &s);
	assert_int_equal(s.count, RECORDS);
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		BH_CLEANUP(sealed_clear) sealed moved = { 0 };

		for (size_t k = 0; k < RECORDS; k++) {
			if (orders[i][k] < 0)
				add_log_data(&moved, ends[0]);
			else
				copy_frame(&moved, &s.frames[orders[i][k]]);
		}
		expect_refused(BH_KIND_WAL, &moved, RECORDS - 1);
	}
}

/* What is left to who has the platform's key: a family's frames end somewhere. The other family's go on. */
static void test_only_an_end_can_be_cut_off(void **state)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 }, cut = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	size_t ends[RECORDS];

	(void)state;
	make_puts(&log, ends);
	seal_records(BH_KIND_WAL, bh_buf_view(&log), ends, RECORDS, &s);
	copy_frame(&cut, &s.frames[0]);
	copy_frame(&cut, &s.frames[1]);
	add_log_data(&cut, ends[0]);
	add_log_data(&cut, ends[0]);
	BH_CLEANUP(outcome_clear) outcome o = open_it(BH_KIND_WAL, &cut);
	ok(o.status);
	assert_int_equal(o.opened.len, log.len);
	assert_memory_equal(o.opened.data, log.data, ends[1]);
	/* A frame of none in front of all the others shifts them, in number and offset. */
	sealed_clear(&cut);
	add_log_data(&cut, ends[0]);
	for (size_t i = 0; i < RECORDS; i++)
		copy_frame(&cut, &s.frames[i]);
	expect_refused(BH_KIND_WAL, &cut, 1);
}

static void test_another_file(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	bh_header headers[] = { fixture_header(BH_KIND_WAL), fixture_header(BH_KIND_WAL) };
	size_t ends[RECORDS];
	fixture all;

	(void)state;
	make_puts(&log, ends);
	seal_records(BH_KIND_WAL, bh_buf_view(&log), ends, RECORDS, &s);
	fixture_init(&all);
	headers[0].salt[31] ^= 1;
	headers[1].number = 9; /* the fixture's; its number is in the key as well: test_header.c */
	for (size_t i = 0; i < 2; i++) {
		BH_CLEANUP(outcome_clear) outcome o = open_with(&all, &headers[i], &s, i); /* the second: other frame numbers */

		assert_int_equal(o.status, BH_E_TAG);
		assert_int_equal(o.frames, 0);
	}
}

/* ---- another's DEK */

static bh_dek *foreign;

static bh_status foreign_for_cf(void *arg, uint32_t cf_id, bh_dek **out)
{
	(void)arg;
	(void)cf_id;
	*out = bh_dek_ref(foreign);
	return BH_OK;
}

static bh_status foreign_by_id(void *arg, const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	if (memcmp(id, bh_dek_id(foreign), BH_ID_LEN) != 0)
		return fixture_by_id(arg, id, out);
	*out = bh_dek_ref(foreign);
	return BH_OK;
}

/* Sealed in due form, tag and all, under the platform's DEK, or under that of another class or merchant. */
static void test_sealed_by_another(void **state)
{
	static const struct {
		bh_scope scope;
		bool named;
		bh_status want;
	} cases[] = {
		{ { "", "" }, true, BH_E_TAG },   { { "", "" }, false, BH_E_TAG }, { { "m", "d" }, true, BH_E_TAG },
		{ { "n", "c" }, true, BH_E_TAG }, { { "m", "" }, true, BH_E_TAG }, { { "m", "c" }, true, BH_OK },
		{ { "n", "c" }, false, BH_OK }, /* of a family that no MANIFEST knows: nobody's rows */
	};
	static const uint8_t id[BH_ID_LEN] = { 0xf0 }, key[BH_DEK_LEN] = { 7 };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const bh_file_kind kind = kinds[i % 2];
		const bh_header header = fixture_header(kind);
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		fixture f;

		ok(bh_dek_new(id, &cases[i / 2].scope, 1, bh_view_str("context"), bh_view_of(key, sizeof(key)), &foreign));
		make_log(kind, 100, &log);
		fixture_init(&f);
		f.scopes.dek_for_cf = foreign_for_cf;
		ok(seal(&f, kind, bh_buf_view(&log), (split){ 0, 0 }, &s));
		f.scopes.dek_by_id = foreign_by_id;
		for (uint32_t cf = 1; cf <= 3; cf++)
			f.unnamed[cf] = !cases[i / 2].named;
		BH_CLEANUP(outcome_clear) outcome o = open_with(&f, &header, &s, 0);
		assert_int_equal(o.status, cases[i / 2].want);
		bh_dek_unrefp(&foreign);
	}
}

/* Family 1's bytes, announced as family 2's: with its own DEK, and with family 2's. */
static void test_shown_to_another(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };

	(void)state;
	begin_batch(&batch, 1);
	put_entry(&batch, 1, 10, 30);
	log_record(&log, &batch);
	for (uint32_t dek = 1; dek <= 2; dek++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		uint8_t *part;
		fixture f;

		fixture_init(&f);
		ok(seal(&f, BH_KIND_WAL, bh_buf_view(&log), (split){ 0, 0 }, &s));
		part = frame_at(&s, 0)->plain.data + BH_FRAME_ROOM;
		assert_int_equal(part[0], 1);
		bh_put_u32(part + 1, 2);
		fixture_dek_id(dek, 0, part + 5);
		/* Header 3, batch 12, tag 1, then the family. */
		assert_int_equal(part[1 + BH_ANNOUNCEMENT_LEN + 16], 1);
		part[1 + BH_ANNOUNCEMENT_LEN + 16] = 2;
		BH_CLEANUP(outcome_clear) outcome o = open_it(BH_KIND_WAL, &s);
		assert_int_equal(o.status, BH_E_TAG);
		assert_int_equal(o.opened.len, 0);
	}
}

/* The same DEK for two families in one frame, as of a class that was dropped and made again: two keys. */
static void test_one_dek_two_families(void **state)
{
	static const bh_scope scope = { "m", "c" };
	static const uint8_t id[BH_ID_LEN] = { 0xf0 }, key[BH_DEK_LEN] = { 7 };
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	const bh_header header = fixture_header(BH_KIND_WAL);
	fixture f;

	(void)state;
	ok(bh_dek_new(id, &scope, 1, bh_view_str("context"), bh_view_of(key, sizeof(key)), &foreign));
	fixture_init(&f);
	f.scopes.dek_for_cf = foreign_for_cf;
	f.scopes.dek_by_id = foreign_by_id;
	begin_batch(&batch, 2);
	put_entry(&batch, 1, 16, 48);
	put_entry(&batch, 2, 16, 48);
	log_record(&log, &batch);
	ok(seal(&f, BH_KIND_WAL, bh_buf_view(&log), (split){ 0, 0 }, &s));
	assert_int_equal(frame_at(&s, 0)->sections.len, 2 * (64 + BH_TAG_LEN));
	assert_memory_not_equal(frame_at(&s, 0)->sections.data, frame_at(&s, 0)->sections.data + 64 + BH_TAG_LEN, 64);
	BH_CLEANUP(outcome_clear) outcome o = open_with(&f, &header, &s, 0);
	ok(o.status);
	assert_same(&log, &o.opened);
	bh_dek_unrefp(&foreign);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit_of_a_wal),          cmocka_unit_test(test_every_bit_of_a_manifest),
		cmocka_unit_test(test_a_beginning_that_is_another), cmocka_unit_test(test_frames_elsewhere),
		cmocka_unit_test(test_only_an_end_can_be_cut_off),  cmocka_unit_test(test_another_file),
		cmocka_unit_test(test_sealed_by_another),           cmocka_unit_test(test_shown_to_another),
		cmocka_unit_test(test_one_dek_two_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
