/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spans_refusals.c: what the span codec refuses, and that hostile input does it no harm.
 */
#include <assert.h>

#include "env/spans/wal_void.h"
#include "span_logs.h"
#include "tests/support/slow_build.h"

/* ---- refusals when sealing */

static void assert_sticky(fixture *f, bh_file_kind kind, const bh_buf *log, bh_status want)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	bh_spans *codec = new_codec(f, kind, BH_SPANS_SEAL);

	assert_int_equal(seal_more(codec, bh_buf_view(log), &s), want);
	assert_int_equal(seal_more(codec, bh_view_of("", 1), &s), want);
	assert_int_equal(s.count, 0);
	bh_spans_free(codec);
}

static void test_dek_not_available(void **state)
{
	static const bh_status why[] = { BH_E_NO_KEY, BH_E_SHREDDED, BH_E_SUSPENDED, BH_E_NOMEM };
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	fixture f;

	(void)state;
	begin_batch(&batch, 2);
	put_entry(&batch, 1, 10, 60);
	put_entry(&batch, 2, 10, 60);
	log_record(&log, &batch);
	for (size_t i = 0; i < sizeof(why) / sizeof(why[0]); i++) {
		fixture_init(&f);
		f.unavailable[2] = why[i];
		assert_sticky(&f, BH_KIND_WAL, &log, why[i]);
	}
	fixture_init(&f);
	f.platform[2] = true;
	assert_sticky(&f, BH_KIND_WAL, &log, BH_E_UNSUPPORTED);
	begin_batch(&batch, 1);
	put_entry(&batch, FAMILY_COUNT + 1, 1, 1);
	log.len = 0;
	log_record(&log, &batch);
	assert_sticky(&f, BH_KIND_WAL, &log, BH_E_NOT_FOUND);
}

static void test_not_understood(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf record = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	fixture f;

	(void)state;
	fixture_init(&f);
	begin_batch(&record, 1);
	ok(bh_buf_append_u8(&record, 0x14));
	log_record(&log, &record);
	assert_sticky(&f, BH_KIND_WAL, &log, BH_E_UNSUPPORTED);
	log.data[6] = 9; /* WAL compression */
	assert_sticky(&f, BH_KIND_WAL, &log, BH_E_UNSUPPORTED);
	record.len = log.len = 0;
	put_varint(&record, 8204); /* RocksDB would skip this one */
	put_string(&record, "future");
	log_record(&log, &record);
	assert_sticky(&f, BH_KIND_MANIFEST, &log, BH_E_UNSUPPORTED);
	put_add(&record, 1);
	record.data[6] = '!'; /* the fixture refuses that name */
	log.len = 0;
	log_record(&log, &record);
	assert_sticky(&f, BH_KIND_MANIFEST, &log, BH_E_INVALID);
	begin_batch(&record, 0);
	record.len = 11;
	log.len = 0;
	log_record(&log, &record);
	assert_sticky(&f, BH_KIND_WAL, &log, BH_E_FORMAT);
}

/* A version edit that says this and nothing else. */
static void put_last_sequence(bh_buf *log, uint64_t sequence)
{
	BH_CLEANUP(bh_buf_clear) bh_buf record = { 0 };

	put_varint(&record, 4);
	put_varint(&record, sequence);
	log_record(log, &record);
}

/* No reader would take it: RocksDB asserts that it only grows. */
static void test_sequence_taken_back(void **state)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	fixture f;

	(void)state;
	fixture_init(&f);
	put_last_sequence(&log, 4);
	put_last_sequence(&log, 4);
	put_last_sequence(&log, 3);
	assert_int_equal(seal(&f, BH_KIND_MANIFEST, bh_buf_view(&log), (split){ 0, 0 }, &s), BH_E_FORMAT);
	assert_int_equal(s.count, 2);
}

/* RocksDB's have 56 bits, and it ends the process at the last one. */
static void test_sequence_without_end(void **state)
{
	static const uint64_t ends[] = { (1ull << 56) - 1, (1ull << 56) - 2, 1ull << 63, UINT64_MAX, (1ull << 55) + 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf edit = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf record = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		fixture f;

		fixture_init(&f);
		put_last_sequence(&edit, ends[i]);
		assert_int_equal(seal(&f, BH_KIND_MANIFEST, bh_buf_view(&edit), (split){ 0, 0 }, &s), BH_E_FORMAT);
		begin_batch(&record, 0);
		bh_put_u64(record.data, ends[i]);
		log_record(&log, &record);
		assert_sticky(&f, BH_KIND_WAL, &log, BH_E_FORMAT);
	}
}

/* ---- when opening */

static void test_not_announced(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
		sealed_frame *last = NULL;
		fixture f;

		fixture_init(&f);
		make_log(kinds[k], 100, &log);
		ok(seal(&f, kinds[k], bh_buf_view(&log), (split){ 0, 0 }, &s));
		for (size_t i = 0; i < s.count; i++)
			if (s.frames[i].plain.data[BH_FRAME_ROOM] > 0)
				last = &s.frames[i];
		assert(last != NULL);
		/* For the default family instead. */
		bh_put_u32(last->plain.data + BH_FRAME_ROOM + 1, 0);
		assert_int_equal(open_sealed(&f, kinds[k], &s, &opened), BH_E_FORMAT);
		/* For nobody: the announcement is not there. */
		memmove(last->plain.data + BH_FRAME_ROOM + 1, last->plain.data + BH_FRAME_ROOM + 1 + BH_ANNOUNCEMENT_LEN,
			last->plain.len - BH_FRAME_ROOM - 1 - BH_ANNOUNCEMENT_LEN);
		last->plain.len -= BH_ANNOUNCEMENT_LEN;
		last->plain.data[BH_FRAME_ROOM]--;
		assert_int_equal(open_sealed(&f, kinds[k], &s, &opened), BH_E_FORMAT);
	}
}

/* ---- checksums: a log is sealed as RocksDB made it, or not at all */

static bh_status seal_split(bh_file_kind kind, const bh_buf *log, size_t step)
{
	BH_CLEANUP(sealed_clear) sealed out = { 0 };
	fixture f;

	fixture_init(&f);
	return seal(&f, kind, bh_buf_view(log), (split){ 0, step }, &out);
}

#ifdef BH_SLOW_BUILD /* each piece is memory given and taken */
#define STEP 31
#else
#define STEP 1
#endif

static void test_damage_in_memory_is_not_sealed(void **state)
{
	static const size_t steps[] = { 0, STEP, 7 * STEP, 1000 };

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_log(kinds[k], 40000, &log); /* records in several fragments */
		for (size_t i = 0; i < log.len; i += STEP * (i < 200 ? 1 : 997)) {
			log.data[i] ^= 0x10;
			assert_int_not_equal(seal_split(kinds[k], &log, steps[i % 4]), BH_OK);
			log.data[i] ^= 0x10;
		}
		for (size_t i = 0; i < 4; i++)
			ok(seal_split(kinds[k], &log, steps[i]));
	}
}

/* What was refused becomes records of nothing, which are sealed like any others, and are no family's. */
static void test_void_records_are_sealed(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	fixture f;

	(void)state;
	fixture_init(&f);
	make_wal(&log, 70000); /* of several fragments, too */
	ok(bh_wal_void(0, log.data, log.len));
	ok(seal(&f, BH_KIND_WAL, bh_buf_view(&log), (split){ 0, 0 }, &s));
	assert_int_equal(f.asked, 0);
	for (size_t i = 0; i < s.count; i++)
		assert_int_equal(s.frames[i].sections.len, 0);
}

/* ---- hostile input: no crash, no read outside (ASAN), whatever it is */

static void seal_hostile(bh_file_kind kind, bh_view log, size_t step)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	fixture f;

	fixture_init(&f);
	(void)seal(&f, kind, log, (split){ 0, step }, &s);
}

/* As frames of `step` bytes of structure each. */
static void open_hostile(bh_file_kind kind, bh_view log, size_t step)
{
	static const uint8_t none[1], sections[600];
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
	fixture f;

	fixture_init(&f);
	f.detached[1] = true;
	for (unsigned i = 1; i <= FAMILY_COUNT; i++)
		f.unavailable[i] = i != 2 ? BH_E_NO_KEY : BH_OK;
	for (size_t at = 0; at < log.len; at += step) {
		sealed_frame *frame = add_frame(&s, bh_view_of(none, 1));

		put_bytes(&frame->plain, log.data + at, BH_MIN(step, log.len - at));
		put_bytes(&frame->sections, sections, (at * 7 + log.len) % sizeof(sections));
	}
	(void)open_sealed(&f, kind, &s, &opened);
}

static void test_every_byte_mutated(void **state)
{
	static const uint8_t flips[] = { 0x01, 0x04, 0x80, 0xff };

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_log(kinds[k], 100, &log);
		for (size_t i = 0; i < log.len; i++) {
			for (size_t v = 0; v < sizeof(flips); v++) {
				BH_CLEANUP(bh_buf_clear) bh_buf hostile = { 0 };

				put_bytes(&hostile, log.data, log.len);
				hostile.data[i] ^= flips[v];
				seal_hostile(kinds[k], bh_buf_view(&hostile), log.len);
				open_hostile(kinds[k], bh_buf_view(&hostile), 700);
				fill_crcs(hostile.data, hostile.len); /* what is in the records is looked at, too */
				seal_hostile(kinds[k], bh_buf_view(&hostile), log.len);
			}
		}
	}
}

static void test_every_truncation(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_log(kinds[k], 100, &log);
		for (size_t len = 0; len < log.len; len++) {
			seal_hostile(kinds[k], bh_view_of(log.data, len), 300);
			open_hostile(kinds[k], bh_view_of(log.data, len), 300);
		}
	}
}

static void test_misuse(void **state)
{
	const bh_header other = fixture_header(BH_KIND_OTHER);
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	bh_view nothing = { 0 };
	bool due = true;
	fixture f;
	bh_spans *codec = NULL;

	(void)state;
	fixture_init(&f);
	assert_int_equal(bh_spans_new(BH_SPANS_SEAL, &other, &f.scopes, &codec), BH_E_INVALID);
	codec = new_codec(&f, BH_KIND_WAL, BH_SPANS_SEAL);
	assert_int_equal(bh_spans_finish(codec), BH_E_INVALID);
	ok(bh_spans_gather(codec, &nothing, &due));
	assert_false(due);
	bh_spans_free(codec);
	make_wal(&log, 100);
	ok(seal(&f, BH_KIND_WAL, bh_buf_view(&log), (split){ 0, 0 }, &s));
	assert(s.frames != NULL);
	codec = new_codec(&f, BH_KIND_WAL, BH_SPANS_OPEN);
	ok(bh_spans_finish(codec));
	ok(bh_spans_finish(codec));
	assert_int_equal(open_frame(codec, 0, &s.frames[0]), BH_E_INVALID);
	assert_null(bh_spans_blamed(codec));
	bh_spans_free(codec);
	bh_spans_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dek_not_available),       cmocka_unit_test(test_not_understood),
		cmocka_unit_test(test_sequence_taken_back),     cmocka_unit_test(test_sequence_without_end),
		cmocka_unit_test(test_not_announced),           cmocka_unit_test(test_damage_in_memory_is_not_sealed),
		cmocka_unit_test(test_void_records_are_sealed), cmocka_unit_test(test_every_byte_mutated),
		cmocka_unit_test(test_every_truncation),        cmocka_unit_test(test_misuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
