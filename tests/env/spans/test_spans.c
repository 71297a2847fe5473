/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spans.c: the span codec as a whole: sealed and opened logs, in pieces of any size; announcements; families told; the
 * observer.
 */
#include "span_logs.h"
#include "tests/support/slow_build.h"

/* ---- what a frame looks like */

/* What the platform's parts have to add up to, without the codec's parsers: no CRC, no tenant byte, or zeros for them. */
static void structure_of(bh_file_kind kind, const bh_buf *plain, bh_buf *out)
{
	for (size_t at = 0; at < plain->len;) {
		size_t room = BH_LOG_BLOCK - at % BH_LOG_BLOCK, n;

		if (room < BH_LOG_HEADER) {
			put_bytes(out, plain->data + at, BH_MIN(room, plain->len - at));
			at += BH_MIN(room, plain->len - at);
			continue;
		}
		n = BH_LOG_HEADER + bh_get_u16(plain->data + at + 4);
		for (size_t i = at + 4; i < at + n; i++) {
			if (plain->data[i] != TENANT)
				put_bytes(out, plain->data + i, 1);
			else if (kind == BH_KIND_MANIFEST)
				put_bytes(out, "", 1);
		}
		at += n;
	}
}

static size_t count_tenant(const bh_buf *log)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	size_t count = 0;

	put_bytes(&bytes, log->data, log->len);
	assert_true(strip_crcs(bytes.data, bytes.len));
	for (size_t i = 0; i < bytes.len; i++)
		count += bytes.data[i] == TENANT;
	return count;
}

static void assert_sealed(bh_file_kind kind, const bh_buf *plain, const sealed *s)
{
	BH_CLEANUP(bh_buf_clear) bh_buf want = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
	size_t tenant = count_tenant(plain), sections = 0, tags = 0, unchanged = 0;

	structure_of(kind, plain, &want);
	for (size_t i = 0; i < s->count; i++) {
		const uint8_t *part = s->frames[i].plain.data + BH_FRAME_ROOM;
		size_t skip = BH_FRAME_ROOM + 1 + part[0] * BH_ANNOUNCEMENT_LEN;

		put_bytes(&got, s->frames[i].plain.data + skip, s->frames[i].plain.len - skip);
		sections += s->frames[i].sections.len;
		for (size_t k = 0; k < s->frames[i].sections.len; k++)
			unchanged += s->frames[i].sections.data[k] == TENANT;
	}
	assert_same(&want, &got);
	tags = sections - tenant;
	assert_true(tenant > 100 && sections > tenant && tags % BH_TAG_LEN == 0);
	/* One in 256 stays what it was, by chance. */
	assert_true(unchanged <= sections / 64 + 8);
}

/* For logs whose lengths may have the tenant's byte: what they come to alone. */
static void there_and_back(bh_file_kind kind, const bh_buf *plain, split sealing, sealed *s)
{
	BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
	fixture f;

	fixture_init(&f);
	ok(seal(&f, kind, bh_buf_view(plain), sealing, s));
	fixture_init(&f);
	ok(open_sealed(&f, kind, s, &opened));
	assert_same(plain, &opened);
}

static void round_trip(bh_file_kind kind, const bh_buf *plain, split sealing)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };

	there_and_back(kind, plain, sealing, &s);
	assert_sealed(kind, plain, &s);
}

static void test_whole(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_log(kinds[k], 100, &log);
		round_trip(kinds[k], &log, (split){ 0, 0 });
		make_log(kinds[k], 3u << 20, &log);
		round_trip(kinds[k], &log, (split){ 0, 0 });
		round_trip(kinds[k], &log, (split){ 0, 5000 });
	}
}

#ifdef BH_SLOW_BUILD /* each piece is memory given and taken */
#define SMALL_PIECES_OF 3000
#else
#define SMALL_PIECES_OF 70000
#endif

static void test_small_pieces(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_log(kinds[k], SMALL_PIECES_OF, &log);
		for (size_t step = 1; step < 12; step++) {
			round_trip(kinds[k], &log, (split){ 0, step });
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
			round_trip(kinds[k], &log, (split){ cut, 0 });
		}
	}
}

static void test_block_boundaries(void **state)
{
	(void)state;
	for (size_t left = 0; left <= 60; left++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
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
		for (size_t step = 0; step < 8; step++) {
			there_and_back(BH_KIND_WAL, &log, (split){ BH_LOG_BLOCK - left - 3, step }, &s);
			there_and_back(BH_KIND_WAL, &log, (split){ BH_LOG_BLOCK - left + 2, step }, &s);
		}
	}
	for (size_t files = 420; files < 480; files++) {
		BH_CLEANUP(sealed_clear) sealed s = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };

		make_manifest(&log, files);
		there_and_back(BH_KIND_MANIFEST, &log, (split){ 0, 0 }, &s);
		there_and_back(BH_KIND_MANIFEST, &log, (split){ 0, 4001 }, &s);
	}
}

/* A byte at a time: each is in a frame of its own at once, but for a CRC, which is in none. */
static void test_wal_is_not_held_back(void **state)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	bh_log_parser parser = { 0 };
	bh_log_piece piece;
	fixture f;
	bh_spans *codec;

	(void)state;
	fixture_init(&f);
	make_wal(&log, 100);
	codec = new_codec(&f, BH_KIND_WAL, BH_SPANS_SEAL);
	for (size_t i = 0; i < log.len; i++) {
		size_t before = s.count;

		ok(bh_log_next(&parser, log.data + i, 1, &piece));
		ok(seal_more(codec, bh_view_of(log.data + i, 1), &s));
		assert_int_equal(s.count - before, piece.what == BH_LOG_IS_HEADER && piece.header_at < BH_LOG_CRC ? 0 : 1);
	}
	bh_spans_free(codec);
}

static bh_status any_for_cf(void *arg, uint32_t cf_id, bh_dek **out)
{
	uint8_t id[BH_ID_LEN];

	(void)arg;
	fixture_dek_id(cf_id, 0, id);
	return fixture_dek(id, out);
}

static bh_status any_by_id(void *arg, const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	(void)arg;
	return fixture_dek(id, out);
}

/* A family more than a frame may have begins the next one. */
static void test_many_families(void **state)
{
	enum { FAMILIES = 3 * BH_FRAME_FAMILIES_MAX + 5 };
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
	fixture f;

	(void)state;
	fixture_init(&f);
	f.scopes.dek_for_cf = any_for_cf;
	f.scopes.dek_by_id = any_by_id;
	begin_batch(&batch, FAMILIES);
	for (uint32_t cf = 1; cf <= FAMILIES; cf++)
		put_entry(&batch, cf, cf % 3, cf % 2);
	log_record(&log, &batch);
	log_record(&log, &batch);
	ok(seal(&f, BH_KIND_WAL, bh_buf_view(&log), (split){ 0, 0 }, &s));
	assert_int_equal(s.said_count, FAMILIES);
	assert_int_equal(s.count, (2 * FAMILIES + BH_FRAME_FAMILIES_MAX - 1) / BH_FRAME_FAMILIES_MAX);
	ok(open_sealed(&f, BH_KIND_WAL, &s, &opened));
	assert_same(&log, &opened);
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
		/* One question a family and frame. */
		f.asked = 0;
		ok(seal(&f, kinds[k], bh_buf_view(&log), (split){ 0, 0 }, &s));
		assert_int_equal(f.asked, kinds[k] == BH_KIND_WAL ? 3 : s.count - 1);
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
		codec = new_codec(&f, BH_KIND_WAL, BH_SPANS_SEAL);
		ok(seal_more(codec, bh_view_of(log.data, cut), &s));
		f.generation[1] = 1;
		ok(seal_more(codec, bh_view_of(log.data + cut, log.len - cut), &s));
		bh_spans_free(codec);
		assert_true(s.said_count >= 2 && s.said_count <= 3);
		ok(open_sealed(&f, BH_KIND_WAL, &s, &opened));
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
	codec = new_codec(&f, BH_KIND_WAL, BH_SPANS_SEAL);
	for (unsigned i = 0; i < 40; i++) {
		size_t before = log.len;

		if (i == 10 || i == 20) {
			f.generation[1]++;
			changes++;
		}
		if (i == 30)
			bh_spans_forget(codec);
		log_record(&log, &batch);
		ok(seal_more(codec, bh_view_of(log.data + before, log.len - before), &s));
		assert_int_equal(f.asked, 1 + i / 10);
	}
	bh_spans_free(codec);
	assert_int_equal(s.said_count, 3); /* wiped keys are no other ones */
	ok(open_sealed(&f, BH_KIND_WAL, &s, &opened));
	assert_same(&log, &opened);
}

/* ---- families that come and go */

static void test_families_told_when_complete(void **state)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf edit = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
	size_t added;
	fixture f;
	bh_spans *codec;

	(void)state;
	fixture_init(&f);
	put_add(&edit, 4);
	log_record(&log, &edit);
	added = log.len;
	put_files(&edit, 4, 0, -1);
	log_record(&log, &edit);
	put_drop(&edit, 4);
	log_record(&log, &edit);
	codec = new_codec(&f, BH_KIND_MANIFEST, BH_SPANS_SEAL);
	ok(seal_more(codec, bh_view_of(log.data, added - 1), &s));
	assert_int_equal(f.added, 0);
	assert_int_equal(s.count, 0);
	ok(seal_more(codec, bh_view_of(log.data + added - 1, 1), &s));
	assert_int_equal(s.count, 1);
	for (int opening = 0; opening < 2; opening++) {
		assert_int_equal(f.added, 1);
		assert_int_equal(f.last_cf, 4);
		assert_string_equal(f.last_name, "m4/c");
		if (opening == 0)
			ok(seal_more(codec, bh_view_of(log.data + added, log.len - added), &s));
		assert_int_equal(f.dropped, 1);
		assert_int_equal(f.log_number[4], 5);
		/* Edits without a span are the family's as well. */
		assert_int_equal(s.count, 3);
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(s.frames[i].sections.len, BH_TAG_LEN);
		fixture_init(&f);
		ok(open_sealed(&f, BH_KIND_MANIFEST, &s, &opened));
		assert_same(&log, &opened);
	}
	bh_spans_free(codec);
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

static void test_observer_sees_every_span(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		BH_CLEANUP(sealed_clear) sealed sealed_log = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
		observed o = { &log, 0, 0 };
		bh_spans *s;
		fixture f;

		fixture_init(&f);
		make_log(kinds[k], 70000, &log);
		ok(seal(&f, kinds[k], bh_buf_view(&log), (split){ 0, 777 }, &sealed_log));
		s = new_codec(&f, kinds[k], BH_SPANS_OPEN);
		bh_spans_observe(s, observe, &o);
		ok(open_some(s, &sealed_log, sealed_log.count, &opened));
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
			ok(open_sealed(&f, kinds[k], &s, &opened));
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
		cmocka_unit_test(test_block_boundaries),
		cmocka_unit_test(test_wal_is_not_held_back),
		cmocka_unit_test(test_many_families),
		cmocka_unit_test(test_announced_once),
		cmocka_unit_test(test_dek_changes),
		cmocka_unit_test(test_asked_again_after_a_change),
		cmocka_unit_test(test_families_told_when_complete),
		cmocka_unit_test(test_observer_sees_every_span),
		cmocka_unit_test(test_every_sealed_byte_is_tallied_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
