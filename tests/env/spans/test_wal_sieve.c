/* SPDX-License-Identifier: Apache-2.0
 *
 * test_wal_sieve.c: a WAL of which a view shows the records that it has use for: which ones, laid anew as RocksDB lays them, for
 * every end that a log can have.
 */
#include "span_fixture.h"

enum { RECORDS = 9, OURS = 1, THEIRS = 2 };

/* What each record of the log holds, and whether it is shown when it is neither the first nor the last. */
static const struct {
	const char *what;
	uint32_t families[2]; /* of its entries; 0: none */
	bool of_use;
} kinds[RECORDS] = {
	{ "theirs, the first", { THEIRS }, false },
	{ "theirs", { THEIRS }, false },
	{ "ours", { OURS }, true },
	{ "both", { THEIRS, OURS }, true },
	{ "theirs twice", { THEIRS, THEIRS }, false },
	{ "a key without bytes", { 0 }, true },
	{ "theirs again", { THEIRS }, false },
	{ "ours again", { OURS }, true },
	{ "theirs, the last", { THEIRS }, false },
};

typedef struct logs {
	bh_buf log; /* as RocksDB writes it */
	size_t end[RECORDS];
	bh_buf record[RECORDS]; /* as the view shows it: other merchants' bytes are zeros */
	sealed sealed;
	fixture f;
} logs;

static void make_record(size_t i, size_t value_len, bh_buf *out)
{
	begin_batch(out, 1);
	if (kinds[i].families[0] == 0) {
		static const uint8_t delete_of_nothing[] = { 0x04, THEIRS, 0 };

		put_bytes(out, delete_of_nothing, sizeof(delete_of_nothing));
	}
	for (size_t k = 0; k < 2; k++)
		if (kinds[i].families[k] != 0)
			put_entry(out, kinds[i].families[k], 5 + i, value_len);
}

/* The batch with zeros for their bytes: rebuilt entry by entry, since the fixture's tenant bytes all look alike. */
static void make_shown(size_t i, size_t value_len, bh_buf *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf entry = { 0 };

	make_record(i, value_len, out);
	if (kinds[i].families[0] == 0)
		return;
	begin_batch(out, 1);
	for (size_t k = 0; k < 2; k++) {
		if (kinds[i].families[k] == 0)
			continue;
		entry.len = 0;
		put_entry(&entry, kinds[i].families[k], 5 + i, value_len);
		for (size_t at = 0; kinds[i].families[k] == THEIRS && at < entry.len; at++)
			entry.data[at] = entry.data[at] == TENANT ? 0 : entry.data[at];
		put_bytes(out, entry.data, entry.len);
	}
}

/* The first `len` bytes of the log, sealed; then theirs cannot be opened. */
static void reseal(logs *l, size_t len, split by)
{
	l->f.unavailable[THEIRS] = BH_OK;
	ok(seal(&l->f, BH_KIND_WAL, bh_view_of(l->log.data, len), by, &l->sealed));
	l->f.unavailable[THEIRS] = BH_E_NO_KEY;
}

static void logs_init(logs *l, size_t value_len)
{
	BH_CLEANUP(bh_buf_clear) bh_buf record = { 0 };

	*l = (logs){ 0 };
	for (size_t i = 0; i < RECORDS; i++) {
		make_record(i, value_len, &record);
		log_record(&l->log, &record);
		l->end[i] = l->log.len;
		make_shown(i, value_len, &l->record[i]);
	}
	fixture_init(&l->f);
	reseal(l, l->log.len, (split){ 0, 0 });
	l->f.scopes.sieves_logs = true;
}

static void logs_clear(logs *l)
{
	bh_buf_clear(&l->log);
	for (size_t i = 0; i < RECORDS; i++)
		bh_buf_clear(&l->record[i]);
	sealed_clear(&l->sealed);
}

/* The log of the first `count` records as the view shows it. */
static void expected(const logs *l, size_t count, bh_buf *out)
{
	out->len = 0;
	for (size_t i = 0; i < count; i++)
		if (kinds[i].of_use || i == 0 || i == count - 1)
			log_record(out, &l->record[i]);
}

/* From values of a few bytes to records over several blocks, and every place of a header at the end of a block. */
static const size_t value_lens[] = { 3, 120, 4000, 10911, 10912, 10913, 10914, 10915, 10916, 10917, 10918, 10919, 32768, 70000 };

static void records_of_no_use_are_left_out(void **state)
{
	static const split splits[] = { { 0, 0 }, { 0, 111 }, { 32768, 0 }, { 7, 5000 } };

	(void)state;
	for (size_t v = 0; v < sizeof(value_lens) / sizeof(value_lens[0]); v++) {
		BH_CLEANUP(logs_clear) logs l = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf want = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };

		logs_init(&l, value_lens[v]);
		expected(&l, RECORDS, &want);
		for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
			reseal(&l, l.log.len, splits[i]);
			ok(open_sealed(&l.f, BH_KIND_WAL, &l.sealed, &got));
			assert_same(&want, &got);
		}
	}
}

static void everything_is_shown_where_all_keys_are_there(void **state)
{
	BH_CLEANUP(logs_clear) logs l = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };

	(void)state;
	logs_init(&l, 20000);
	l.f.unavailable[THEIRS] = BH_OK;
	ok(open_sealed(&l.f, BH_KIND_WAL, &l.sealed, &got));
	assert_same(&l.log, &got);
}

static size_t whole_records(const logs *l, size_t len)
{
	size_t count = 0;

	while (count < RECORDS && l->end[count] <= len)
		count++;
	return count;
}

/* Wherever the log is cut: the whole records in front of it, the last of them whatever it holds; behind them, where a record was
 * cut, a header that is cut off. */
static void a_cut_shows_as_a_cut(void **state)
{
	(void)state;
	for (size_t v = 0; v < sizeof(value_lens) / sizeof(value_lens[0]); v++) {
		BH_CLEANUP(logs_clear) logs l = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf want = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
		const size_t step = value_lens[v] < 200 ? 1 : 997;

		logs_init(&l, value_lens[v]);
		for (size_t len = 0; len <= l.log.len; len += step) {
			size_t count = whole_records(&l, len), left;

			reseal(&l, len, (split){ 0, 0 });
			expected(&l, count, &want);
			left = BH_LOG_BLOCK - want.len % BH_LOG_BLOCK;
			ok(open_sealed(&l.f, BH_KIND_WAL, &l.sealed, &got));
			assert_true(got.len >= want.len);
			if (want.len > 0)
				assert_memory_equal(got.data, want.data, want.len);
			/* A CRC without anything behind it is not there. */
			if (len - (count > 0 ? l.end[count - 1] : 0) <= BH_LOG_CRC)
				assert_int_equal(got.len, want.len);
			else if (BH_LOG_BLOCK - (count > 0 ? l.end[count - 1] : 0) % BH_LOG_BLOCK >= BH_LOG_HEADER)
				assert_int_equal(got.len - want.len, left < BH_LOG_HEADER ? left + 1 : 1);
			for (size_t i = want.len; i < got.len; i++)
				assert_int_equal(got.data[i], 0);
		}
	}
}

/* In front of damage the last whole record is shown too: RocksDB goes on with the next log only where that one's sequence number
 * follows. */
static void in_front_of_damage_the_last_record_stays(void **state)
{
	(void)state;
	for (size_t count = 1; count < RECORDS; count++) {
		BH_CLEANUP(logs_clear) logs l = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf want = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
		bh_spans *s;

		logs_init(&l, 30);
		expected(&l, count, &want);
		reseal(&l, l.end[count - 1] + 9, (split){ 0, 0 });
		s = new_codec(&l.f, BH_KIND_WAL, BH_SPANS_OPEN);
		for (size_t i = 0; i < l.sealed.count; i++)
			ok(open_frame(s, i, &l.sealed.frames[i]));
		ok(bh_spans_break_off(s));
		take_ready(s, &got);
		assert_same(&want, &got);
		bh_spans_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_of_no_use_are_left_out),
		cmocka_unit_test(everything_is_shown_where_all_keys_are_there),
		cmocka_unit_test(a_cut_shows_as_a_cut),
		cmocka_unit_test(in_front_of_damage_the_last_record_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
