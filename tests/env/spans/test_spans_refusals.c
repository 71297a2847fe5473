/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spans_refusals.c: what the span codec refuses, and that hostile input does it no harm.
 */
#include "span_logs.h"

/* ---- refusals when sealing */

static void assert_sticky(fixture *f, bh_file_kind kind, const bh_buf *log, bh_status want)
{
	bh_spans *codec;

	ok(bh_spans_new(kind, BH_SPANS_SEAL, fixture_salt, &f->scopes, &codec));
	assert_int_equal(bh_spans_feed(codec, bh_buf_view(log)), want);
	assert_int_equal(bh_spans_ready(codec).len, 0);
	assert_int_equal(bh_spans_feed(codec, bh_view_of("", 1)), want);
	assert_int_equal(bh_spans_ready(codec).len, 0);
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
	put_varint(&record, 8201); /* RocksDB would skip this one */
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

/* ---- when opening */

static void test_not_announced(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
		bh_announcement a = { 0, { 0 } };
		bh_spans *codec;
		fixture f;

		fixture_init(&f);
		make_log(kinds[k], 100, &log);
		ok(seal(&f, kinds[k], bh_buf_view(&log), (split){ 0, 0 }, &s));
		s.said_count = 2;
		assert_int_equal(open_sealed(&f, kinds[k], &s, (split){ 0, 0 }, &opened), BH_E_FORMAT);
		ok(bh_spans_new(kinds[k], BH_SPANS_OPEN, fixture_salt, &f.scopes, &codec));
		assert_int_equal(bh_spans_announced(codec, &a), BH_E_FORMAT);
		bh_spans_free(codec);
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

static void test_damage_in_memory_is_not_sealed(void **state)
{
	static const size_t steps[] = { 0, 1, 7, 1000 };

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_log(kinds[k], 40000, &log); /* records in several fragments */
		for (size_t i = 0; i < log.len; i += i < 200 ? 1 : 997) {
			log.data[i] ^= 0x10;
			assert_int_not_equal(seal_split(kinds[k], &log, steps[i % 4]), BH_OK);
			log.data[i] ^= 0x10;
		}
		for (size_t i = 0; i < 4; i++)
			ok(seal_split(kinds[k], &log, steps[i]));
	}
}

/* ---- hostile input: no crash, no read outside (ASAN), whatever it is */

static void feed_hostile(bh_file_kind kind, bh_spans_mode mode, bh_view log, size_t step)
{
	bh_announcement a = { 0, { 0 } };
	bh_status st = BH_OK;
	fixture f;
	bh_spans *s;

	fixture_init(&f);
	f.detached[1] = true;
	f.unavailable[2] = BH_E_NO_KEY;
	ok(bh_spans_new(kind, mode, fixture_salt, &f.scopes, &s));
	for (a.cf_id = 1; a.cf_id <= 3 && mode == BH_SPANS_OPEN; a.cf_id++) {
		fixture_dek_id(a.cf_id, 0, a.dek_id);
		ok(bh_spans_announced(s, &a));
	}
	for (size_t at = 0; at < log.len && st == BH_OK; at += step) {
		st = bh_spans_feed(s, bh_view_of(log.data + at, BH_MIN(step, log.len - at)));
		bh_spans_consume(s, bh_spans_ready(s).len);
	}
	if (st == BH_OK && mode == BH_SPANS_OPEN)
		ok(bh_spans_finish(s));
	bh_spans_free(s);
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
				feed_hostile(kinds[k], BH_SPANS_SEAL, bh_buf_view(&hostile), log.len);
				feed_hostile(kinds[k], BH_SPANS_OPEN, bh_buf_view(&hostile), 700);
				fill_crcs(hostile.data, hostile.len); /* what is in the records is looked at, too */
				feed_hostile(kinds[k], BH_SPANS_SEAL, bh_buf_view(&hostile), log.len);
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
			feed_hostile(kinds[k], BH_SPANS_SEAL, bh_view_of(log.data, len), 300);
			feed_hostile(kinds[k], BH_SPANS_OPEN, bh_view_of(log.data, len), 300);
		}
	}
}

static void test_misuse(void **state)
{
	bh_announcement a = { 1, { 0 } };
	fixture f;
	bh_spans *s;

	(void)state;
	fixture_init(&f);
	assert_int_equal(bh_spans_new(BH_KIND_OTHER, BH_SPANS_SEAL, fixture_salt, &f.scopes, &s), BH_E_INVALID);
	ok(bh_spans_new(BH_KIND_WAL, BH_SPANS_SEAL, fixture_salt, &f.scopes, &s));
	assert_int_equal(bh_spans_finish(s), BH_E_INVALID);
	assert_int_equal(bh_spans_announced(s, &a), BH_E_INVALID);
	ok(bh_spans_feed(s, bh_view_of(NULL, 0)));
	bh_spans_free(s);
	ok(bh_spans_new(BH_KIND_WAL, BH_SPANS_OPEN, fixture_salt, &f.scopes, &s));
	ok(bh_spans_finish(s));
	ok(bh_spans_finish(s));
	assert_int_equal(bh_spans_feed(s, bh_view_of("", 1)), BH_E_INVALID);
	bh_spans_free(s);
	bh_spans_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dek_not_available),
		cmocka_unit_test(test_not_understood),
		cmocka_unit_test(test_not_announced),
		cmocka_unit_test(test_damage_in_memory_is_not_sealed),
		cmocka_unit_test(test_every_byte_mutated),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_misuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
