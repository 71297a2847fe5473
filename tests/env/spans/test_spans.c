/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spans.c: the span codec as a whole: sealed and opened logs, in pieces of any size; announcements; families told; the
 * observer.
 */
#include "span_logs.h"

/* ---- what sealed bytes look like */

static void assert_sealed(const bh_buf *plain, const bh_buf *got)
{
	BH_CLEANUP(bh_buf_clear) bh_buf want = { 0 };
	size_t tenant = 0;
	size_t unchanged = 0;

	assert_int_equal(got->len, plain->len);
	put_bytes(&want, plain->data, plain->len);
	assert_true(strip_crcs(want.data, want.len));
	for (size_t i = 0; i < want.len; i++) {
		if (want.data[i] == TENANT) {
			tenant++;
			unchanged += got->data[i] == TENANT;
		} else if (got->data[i] != want.data[i]) {
			fail_msg("structure byte %zu changed from %02x to %02x", i, want.data[i], got->data[i]);
		}
	}
	/* One in 256 stays what it was, by chance. */
	assert_true(tenant > 100);
	assert_true(unchanged <= tenant / 64 + 8);
}

static void round_trip(bh_file_kind kind, const bh_buf *plain, split sealing, split opening)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
	fixture f;

	fixture_init(&f);
	ok(seal(&f, kind, bh_buf_view(plain), sealing, &s));
	assert_sealed(plain, &s.bytes);
	fixture_init(&f);
	ok(open_sealed(&f, kind, &s, opening, &opened));
	assert_same(plain, &opened);
}

static void test_whole(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_log(kinds[k], 100, &log);
		round_trip(kinds[k], &log, (split){ 0, 0 }, (split){ 0, 0 });
		make_log(kinds[k], 3u << 20, &log);
		round_trip(kinds[k], &log, (split){ 0, 0 }, (split){ 0, 0 });
		round_trip(kinds[k], &log, (split){ 0, 5000 }, (split){ 0, 77777 });
	}
}

static void test_small_pieces(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_log(kinds[k], 70000, &log);
		for (size_t step = 1; step < 12; step++) {
			round_trip(kinds[k], &log, (split){ 0, step }, (split){ 0, 0 });
			round_trip(kinds[k], &log, (split){ 0, 0 }, (split){ 0, step });
			round_trip(kinds[k], &log, (split){ 0, step }, (split){ 0, step });
		}
	}
}

static void test_every_two_way_split(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_log(kinds[k], 400, &log);
		for (size_t cut = 1; cut < log.len; cut++) {
			round_trip(kinds[k], &log, (split){ cut, 0 }, (split){ 0, 0 });
			round_trip(kinds[k], &log, (split){ 0, 0 }, (split){ cut, 0 });
		}
	}
}

/* The sealed bytes do not depend on how the plain ones came. */
static void test_pieces_make_no_difference(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(sealed_clear) sealed a = { 0 };
		BH_CLEANUP(sealed_clear) sealed b = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		fixture f;

		fixture_init(&f);
		make_log(kinds[k], 100000, &log);
		ok(seal(&f, kinds[k], bh_buf_view(&log), (split){ 0, 0 }, &a));
		ok(seal(&f, kinds[k], bh_buf_view(&log), (split){ 0, 13 }, &b));
		assert_same(&a.bytes, &b.bytes);
	}
}

static void test_block_boundaries(void **state)
{
	(void)state;
	for (size_t left = 0; left <= 60; left++) {
		BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		/* 12 of the batch, 1 tag, 1 family, 1 and 3 of lengths */
		begin_batch(&batch, 1);
		put_entry(&batch, 1, 10, BH_LOG_BLOCK - left - BH_LOG_HEADER - 12 - 2 - 4 - 10);
		log_record(&log, &batch);
		assert_int_equal(log.len, BH_LOG_BLOCK - left);
		begin_batch(&batch, 1);
		put_entry(&batch, 2, 10, 20);
		log_record(&log, &batch);
		for (size_t step = 0; step < 8; step++)
			round_trip(BH_KIND_WAL, &log, (split){ BH_LOG_BLOCK - left - 3, step },
				   (split){ BH_LOG_BLOCK - left + 2, step });
	}
	for (size_t files = 420; files < 480; files++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_manifest(&log, files);
		round_trip(BH_KIND_MANIFEST, &log, (split){ 0, 0 }, (split){ 0, 0 });
		round_trip(BH_KIND_MANIFEST, &log, (split){ 0, 4001 }, (split){ 0, 4001 });
	}
}

static void test_wal_is_not_held_back(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	fixture f;
	bh_spans *s;

	(void)state;
	fixture_init(&f);
	make_wal(&log, 100);
	ok(bh_spans_new(BH_KIND_WAL, BH_SPANS_SEAL, fixture_salt, &f.scopes, &s));
	for (size_t i = 0; i < log.len; i++) {
		ok(bh_spans_feed(s, bh_view_of(log.data + i, 1)));
		assert_int_equal(bh_spans_ready(s).len, 1);
		bh_spans_consume(s, 1);
	}
	bh_spans_free(s);
}

/* ---- announcements */

static void test_announced_once(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		fixture f;

		fixture_init(&f);
		make_log(kinds[k], 100, &log);
		ok(seal(&f, kinds[k], bh_buf_view(&log), (split){ 0, 50 }, &s));
		assert_int_equal(s.said_count, 3);
		ok(seal(&f, kinds[k], bh_buf_view(&log), (split){ 0, 0 }, &s));
		assert_int_equal(s.said_count, 3);
		/* One question a family for bytes that leave together. */
		f.asked = 0;
		ok(seal(&f, kinds[k], bh_buf_view(&log), (split){ 0, 0 }, &s));
		assert_int_equal(f.asked, 3);
	}
}

/* The DEK changes while the log is being written, in the middle of a value too. */
static void test_dek_changes(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

	(void)state;
	begin_batch(&batch, 2);
	put_entry(&batch, 1, 10, 60);
	put_entry(&batch, 2, 10, 60);
	log_record(&log, &batch);
	log_record(&log, &batch);
	for (size_t cut = 1; cut < log.len; cut++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
		fixture f;
		bh_spans *codec;

		fixture_init(&f);
		ok(bh_spans_new(BH_KIND_WAL, BH_SPANS_SEAL, fixture_salt, &f.scopes, &codec));
		ok(bh_spans_feed(codec, bh_view_of(log.data, cut)));
		take_sealed(codec, &s);
		f.generation[1] = 1;
		ok(bh_spans_feed(codec, bh_view_of(log.data + cut, log.len - cut)));
		take_sealed(codec, &s);
		bh_spans_free(codec);
		assert_true(s.said_count >= 2 && s.said_count <= 3);
		ok(open_sealed(&f, BH_KIND_WAL, &s, (split){ 0, 0 }, &opened));
		assert_same(&log, &opened);
	}
}

/* Who says when a DEK may have changed is asked no more than that: once, after a change, and after the keys were wiped. */
static void test_asked_again_after_a_change(void **state)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	uint64_t changes = 0;
	fixture f;
	bh_spans *codec;

	(void)state;
	fixture_init(&f);
	f.scopes.changes = &changes;
	begin_batch(&batch, 1);
	put_entry(&batch, 1, 10, 60);
	ok(bh_spans_new(BH_KIND_WAL, BH_SPANS_SEAL, fixture_salt, &f.scopes, &codec));
	for (unsigned i = 0; i < 40; i++) {
		size_t before = log.len;

		if (i == 10 || i == 20) {
			f.generation[1]++;
			changes++;
		}
		if (i == 30)
			bh_spans_forget(codec);
		log_record(&log, &batch);
		ok(bh_spans_feed(codec, bh_view_of(log.data + before, log.len - before)));
		take_sealed(codec, &s);
		assert_int_equal(f.asked, 1 + i / 10);
	}
	bh_spans_free(codec);
	assert_int_equal(s.said_count, 3); /* wiped keys are no other ones */
	ok(open_sealed(&f, BH_KIND_WAL, &s, (split){ 0, 0 }, &opened));
	assert_same(&log, &opened);
}

/* Bytes left behind keep the DEK of their epoch: the announcement of the next would come before them. */
static void test_dek_stays_until_bytes_are_taken(void **state)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	fixture f;
	bh_spans *codec;

	(void)state;
	fixture_init(&f);
	make_wal(&log, 100);
	ok(bh_spans_new(BH_KIND_WAL, BH_SPANS_SEAL, fixture_salt, &f.scopes, &codec));
	ok(bh_spans_feed(codec, bh_view_of(log.data, log.len / 2)));
	f.generation[1] = f.generation[2] = f.generation[3] = 1;
	ok(bh_spans_feed(codec, bh_view_of(log.data + log.len / 2, log.len - log.len / 2)));
	take_sealed(codec, &s);
	bh_spans_free(codec);
	ok(open_sealed(&f, BH_KIND_WAL, &s, (split){ 0, 0 }, &opened));
	assert_same(&log, &opened);
}

/* ---- families that come and go */

static void test_families_told_when_complete(void **state)
{
	(void)state;
	for (int mode = BH_SPANS_SEAL; mode <= BH_SPANS_OPEN; mode++) {
		BH_CLEANUP(bh_buf_clear) bh_buf edit = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		fixture f;
		bh_spans *s;

		fixture_init(&f);
		put_add(&edit, 4);
		log_record(&log, &edit);
		ok(bh_spans_new(BH_KIND_MANIFEST, (bh_spans_mode)mode, fixture_salt, &f.scopes, &s));
		ok(bh_spans_feed(s, bh_view_of(log.data, log.len - 1)));
		assert_int_equal(f.added, 0);
		assert_int_equal(bh_spans_ready(s).len, 0);
		ok(bh_spans_feed(s, bh_view_of(log.data + log.len - 1, 1)));
		assert_int_equal(f.added, 1);
		assert_int_equal(f.last_cf, 4);
		assert_string_equal(f.last_name, "m4/c");
		put_drop(&edit, 4);
		log.len = 0;
		log_record(&log, &edit);
		ok(bh_spans_feed(s, bh_buf_view(&log)));
		assert_int_equal(f.dropped, 1);
		bh_spans_free(s);
	}
}

/* ---- the observer */

typedef struct observed {
	const bh_buf *plain;
	uint64_t next;
	size_t bytes;
} observed;

static void observe(void *arg, uint64_t off, size_t len, uint32_t cf_id)
{
	observed *o = arg;

	assert_in_range(cf_id, 1, 3);
	assert_true(off >= o->next);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(o->plain->data[off + i], TENANT);
	o->next = off + len;
	o->bytes += len;
}

/* How many bytes of a log are a tenant's; a CRC is not, whatever its bytes are. */
static size_t count_tenant(const bh_buf *log)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bare = { 0 };
	size_t count = 0;

	put_bytes(&bare, log->data, log->len);
	strip_crcs(bare.data, bare.len);
	for (size_t i = 0; i < bare.len; i++)
		count += bare.data[i] == TENANT;
	return count;
}

static void test_observer_sees_every_span(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		observed o = { &log, 0, 0 };
		bh_spans *s;
		fixture f;

		fixture_init(&f);
		make_log(kinds[k], 70000, &log);
		ok(bh_spans_new(kinds[k], BH_SPANS_SEAL, fixture_salt, &f.scopes, &s));
		bh_spans_observe(s, observe, &o);
		ok(bh_spans_feed(s, bh_buf_view(&log)));
		assert_int_equal(o.bytes, count_tenant(&log));
		bh_spans_free(s);
	}
}

/* ---- what was sealed */

static bh_dek *tallied[FAMILY_COUNT + 1];

static bh_status tallied_for_cf(void *arg, uint32_t cf_id, bh_dek **out)
{
	(void)arg;
	if (tallied[cf_id] == NULL) {
		uint8_t id[BH_ID_LEN];

		fixture_dek_id(cf_id, 1, id);
		BH_TRY(fixture_dek(id, &tallied[cf_id]));
	}
	*out = bh_dek_ref(tallied[cf_id]);
	return BH_OK;
}

static uint64_t tallied_clear(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i <= FAMILY_COUNT; i++) {
		if (tallied[i] != NULL)
			sum += bh_tally_get(bh_dek_tally(tallied[i]));
		bh_dek_unrefp(&tallied[i]);
	}
	return sum;
}

/* Each byte that is sealed under a DEK, once, however the log was cut; and nothing for reading it. */
static void test_every_sealed_byte_is_tallied_once(void **state)
{
	static const split splits[] = { { 0, 0 }, { 0, 1 }, { 0, 50 }, { 0, 4001 } };

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_log(kinds[k], 20000, &log);
		for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
			BH_CLEANUP(sealed_clear) sealed s = { 0 };
			BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
			fixture f;

			fixture_init(&f);
			f.scopes.dek_for_cf = tallied_for_cf;
			ok(seal(&f, kinds[k], bh_buf_view(&log), splits[i], &s));
			ok(open_sealed(&f, kinds[k], &s, splits[i], &opened));
			assert_int_equal(tallied_clear(), count_tenant(&log));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_small_pieces),
		cmocka_unit_test(test_every_two_way_split),
		cmocka_unit_test(test_pieces_make_no_difference),
		cmocka_unit_test(test_block_boundaries),
		cmocka_unit_test(test_wal_is_not_held_back),
		cmocka_unit_test(test_announced_once),
		cmocka_unit_test(test_dek_changes),
		cmocka_unit_test(test_asked_again_after_a_change),
		cmocka_unit_test(test_dek_stays_until_bytes_are_taken),
		cmocka_unit_test(test_families_told_when_complete),
		cmocka_unit_test(test_observer_sees_every_span),
		cmocka_unit_test(test_every_sealed_byte_is_tallied_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
