/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stream_room.c: when a WAL gets zeros ahead of its frames, and what zeros mean to who reads a stream.
 */
#include "tests/env/format/sealed_fixture.h"

#include "env/spans/logfmt.h"

/* A log record that holds a batch with `len` bytes of log data, which no family's key concerns. */
static bh_buf log_record_of(uint64_t off, uint32_t len)
{
	bh_buf payload = { 0 }, log = { 0 };
	uint8_t *zeros = calloc(1, len);
	uint32_t left;

	assert_int_equal(bh_buf_append(&payload, zeros, 12), BH_OK);
	assert_int_equal(bh_buf_append_u8(&payload, 0x03), BH_OK);
	for (left = len; left > 0x7f; left >>= 7)
		assert_int_equal(bh_buf_append_u8(&payload, (uint8_t)(left | 0x80)), BH_OK);
	assert_int_equal(bh_buf_append_u8(&payload, (uint8_t)left), BH_OK);
	assert_int_equal(bh_buf_append(&payload, zeros, len), BH_OK);
	assert_int_equal(bh_log_append_record(off, bh_buf_view(&payload), &log), BH_OK);
	bh_buf_clear(&payload);
	free(zeros);
	return log;
}

/* One append of about `len` bytes, synced; whether zeros are wanted behind it. */
static bool synced_append(bh_stream_writer *w, uint32_t len)
{
	bh_buf log = log_record_of(bh_stream_writer_logical(w), len), out = { 0 };
	uint64_t off = 0, physical;
	uint8_t mark[BH_SYNC_MARK_LEN];
	bool needed = false;
	size_t room;

	assert_int_equal(bh_stream_writer_append(w, bh_buf_view(&log), &out), BH_OK);
	bh_stream_writer_written(w);
	physical = bh_stream_writer_physical(w);
	room = bh_stream_writer_room(w, &off);
	if (room > 0) {
		assert_true(off >= physical && bh_stream_writer_room_left(w));
		assert_int_equal((off + room) % 4096, 0);
		assert_true(off + room - physical > 120 * 1024 && off + room - physical <= 128 * 1024);
		assert_int_equal(bh_stream_writer_room(w, &off), 0);
	}
	assert_int_equal(bh_stream_writer_sync_mark(w, bh_stream_writer_point(w), &needed, mark), BH_OK);
	assert_true(needed);
	bh_buf_clear(&log);
	bh_buf_clear(&out);
	return room > 0;
}

static bh_stream_writer *writer_of(const keys *k, bh_file_kind kind)
{
	uint8_t header[BH_HEADER_LEN];
	bh_stream_writer *w = NULL;
	bh_file_key key = { 0 };

	assert_int_equal(bh_header_create(kind, 0, 9, k->dek[PLATFORM], &key, header), BH_OK);
	assert_int_equal(bh_stream_writer_new(&key, header, &k->scopes, header, &w), BH_OK);
	return w;
}

static void test_room_is_made_after_small_syncs(void **state)
{
	bh_stream_writer *w = writer_of(*state, BH_KIND_WAL);
	unsigned made = 0;

	for (size_t i = 0; i < 8; i++)
		assert_false(synced_append(w, 100));
	assert_true(synced_append(w, 100));
	for (size_t i = 0; i < 1000; i++)
		made += synced_append(w, 1000);
	assert_in_range(made, 8, 12); /* a megabyte, in steps of 112 KiB */
	/* A large sync ends it, until there are enough small ones again. */
	while (bh_stream_writer_room_left(w))
		(void)synced_append(w, 60000);
	for (size_t i = 0; i < 8; i++)
		assert_false(synced_append(w, 100));
	assert_true(synced_append(w, 100));
	/* A full disk ends it for good. */
	bh_stream_writer_no_room(w);
	for (size_t i = 0; i < 1000; i++)
		assert_false(synced_append(w, 1000));
	bh_stream_writer_free(w);
	/* Other streams have none. */
	w = writer_of(*state, BH_KIND_OTHER);
	for (size_t i = 0; i < 20; i++)
		assert_false(synced_append(w, 100));
	assert_false(bh_stream_writer_room_left(w));
	bh_stream_writer_free(w);
}

/* Zeros right behind the mark are room; behind a frame that was not synced they are a torn tail. */
static void test_zeros_behind_the_mark_are_room(void **state)
{
	keys *k = *state;
	const bh_view pieces[] = { bh_view_str("one"), bh_view_str("two") };

	for (size_t synced = 1; synced <= 2; synced++) {
		bh_buf file = sealed_stream(k, k->dek[PLATFORM], BH_KIND_OTHER, pieces, 2, synced), got = { 0 };
		bh_stream_end end = BH_STREAM_OPEN;
		size_t len = file.len;
		uint8_t zeros[600] = { 0 };

		assert_int_equal(bh_buf_append(&file, zeros, sizeof(zeros)), BH_OK);
		assert_int_equal(read_stream(bh_buf_view(&file), &k->scopes, false, 0, &got, &end), BH_OK);
		assert_int_equal(end, synced == 2 ? BH_STREAM_CLEAN : BH_STREAM_TORN);
		assert_int_equal(got.len, 6);
		file.data[len + 599] = 1;
		got.len = 0;
		assert_int_equal(read_stream(bh_buf_view(&file), &k->scopes, false, 0, &got, &end), BH_OK);
		assert_int_equal(end, BH_STREAM_DAMAGED);
		bh_buf_clear(&got);
		bh_buf_clear(&file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_is_made_after_small_syncs),
		cmocka_unit_test(test_zeros_behind_the_mark_are_room),
	};

	return cmocka_run_group_tests_name("stream room", tests, keys_setup, keys_teardown);
}
