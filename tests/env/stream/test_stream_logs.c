/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stream_logs.c: WAL and MANIFEST as sealed streams: the span codec inside of frames, and how a log that ends badly looks to
 * RocksDB's log reader, whose rules next_record() follows (7.8.3, db/log_reader.cc, ReadPhysicalRecord).
 */
#include "env/spans/logfmt.h"
#include "tests/env/format/sealed_fixture.h"

#define CANARY "CANARY-of-acme"

typedef enum log_end {
	LOG_MORE,     /* not at the end */
	LOG_CLEAN,    /* kEof */
	LOG_TORN,     /* kBadHeader, or kBadRecordLen at the end of the file */
	LOG_CHECKSUM, /* kBadRecordChecksum */
	LOG_SKIPPED,  /* kBadRecord by a header of zeros: silence, what must never be */
} log_end;

/* One fragment at *off, as RocksDB reads it. */
static log_end next_record(bh_view log, size_t *off)
{
	size_t left = BH_LOG_BLOCK - *off % BH_LOG_BLOCK, size;
	uint8_t fragment[BH_LOG_BLOCK], crc[BH_LOG_CRC];

	if (left < BH_LOG_HEADER) {
		if (log.len - *off < left)
			return *off == log.len ? LOG_CLEAN : LOG_TORN;
		*off += left;
	}
	if (*off == log.len)
		return LOG_CLEAN;
	if (log.len - *off < BH_LOG_HEADER)
		return LOG_TORN;
	size = BH_LOG_HEADER + bh_get_u16(log.data + *off + 4);
	if (size > log.len - *off)
		return LOG_TORN;
	memcpy(fragment, log.data + *off, size);
	if (fragment[6] == 0 && size == BH_LOG_HEADER)
		return LOG_SKIPPED;
	memcpy(crc, fragment, sizeof(crc));
	bh_log_fill_crc(fragment, size);
	*off += size;
	return memcmp(crc, fragment, sizeof(crc)) == 0 ? LOG_MORE : LOG_CHECKSUM;
}

static log_end log_ending(bh_view log)
{
	size_t off = 0;
	log_end end;

	do
		end = next_record(log, &off);
	while (end == LOG_MORE);
	return end;
}

/* Appends a record with one Put into family `cf_id` whose value is the canary over and over, `value_len` bytes in all. */
static void put_record(bh_buf *log, uint32_t cf_id, size_t value_len)
{
	bh_buf batch = { 0 };
	size_t v = value_len;

	assert_int_equal(bh_buf_append_u64(&batch, 77), BH_OK);
	assert_int_equal(bh_buf_append_u32(&batch, 1), BH_OK);
	assert_int_equal(bh_buf_append_u8(&batch, 0x05), BH_OK);
	assert_true(cf_id < 128);
	assert_int_equal(bh_buf_append_u8(&batch, (uint8_t)cf_id), BH_OK);
	assert_int_equal(bh_buf_append_u8(&batch, 3), BH_OK);
	assert_int_equal(bh_buf_append(&batch, "key", 3), BH_OK);
	for (; v >= 128; v >>= 7)
		assert_int_equal(bh_buf_append_u8(&batch, (uint8_t)(v | 128)), BH_OK);
	assert_int_equal(bh_buf_append_u8(&batch, (uint8_t)v), BH_OK);
	for (size_t i = 0; i < value_len; i++)
		assert_int_equal(bh_buf_append_u8(&batch, (uint8_t)CANARY[i % strlen(CANARY)]), BH_OK);
	assert_int_equal(bh_log_append_record(log->len, bh_buf_view(&batch), log), BH_OK);
	bh_buf_clear(&batch);
}

/* A log of `count` records in families 1, 2, 1...; `end[i]` is where record i ends. */
static bh_buf plain_log(size_t count, size_t value_len, size_t *end)
{
	bh_buf log = { 0 };

	for (size_t i = 0; i < count; i++) {
		put_record(&log, MERCHANT_A + i % 2, value_len);
		end[i] = log.len;
	}
	return log;
}

static bh_buf sealed_log(keys *k, bh_file_kind kind, const bh_buf *log, const size_t *end, size_t count, size_t synced)
{
	bh_view *pieces = calloc(count + 1, sizeof(*pieces));
	bh_buf file;

	for (size_t i = 0; i < count; i++)
		pieces[i] = bh_view_of(log->data + (i ? end[i - 1] : 0), end[i] - (i ? end[i - 1] : 0));
	file = sealed_stream(k, k->dek[PLATFORM], kind, pieces, count, synced);
	free(pieces);
	return file;
}

static bool contains(bh_view hay, const char *needle)
{
	return hay.len > 0 && memmem(hay.data, hay.len, needle, strlen(needle)) != NULL;
}

static void test_wal_round_trip(void **state)
{
	enum { COUNT = 40 };
	keys *k = *state;
	size_t ends[COUNT];
	bh_buf log = plain_log(COUNT, 3000, ends);
	bh_buf file = sealed_log(k, BH_KIND_WAL, &log, ends, COUNT, 20), got = { 0 };
	bh_stream_end end;

	assert_true(contains(bh_buf_view(&log), CANARY));
	assert_false(contains(bh_buf_view(&file), CANARY));
	for (size_t chunk = 0; chunk < 300; chunk += 149) {
		assert_int_equal(read_stream(bh_buf_view(&file), &k->scopes, false, chunk, &got, &end), BH_OK);
		assert_int_equal(end, BH_STREAM_CLEAN);
		assert_int_equal(got.len, log.len);
		assert_memory_equal(got.data, log.data, log.len);
	}
	/* Raw: a tag more for each record, no CRCs, and nothing of the tenants in it. */
	assert_int_equal(read_stream(bh_buf_view(&file), &k->scopes, true, 0, &got, &end), BH_OK);
	assert_true(got.len > log.len + COUNT * (BH_TAG_LEN - 2 * BH_LOG_CRC) && got.len < log.len + COUNT * BH_TAG_LEN);
	assert_false(contains(bh_buf_view(&got), CANARY));
	/* Without merchant a's key the log still reads, and every checksum fits. */
	k->gone[MERCHANT_A] = BH_E_SHREDDED;
	assert_int_equal(read_stream(bh_buf_view(&file), &k->scopes, false, 0, &got, &end), BH_OK);
	assert_int_equal(got.len, log.len);
	assert_memory_not_equal(got.data, log.data, ends[0]);
	assert_memory_equal(got.data + ends[0], log.data + ends[0], ends[1] - ends[0]);
	assert_int_equal(log_ending(bh_buf_view(&got)), LOG_CLEAN);
	k->gone[MERCHANT_A] = BH_OK;
	bh_buf_clear(&got);
	bh_buf_clear(&file);
	bh_buf_clear(&log);
}

/* What RocksDB gets to see of a file: the logical bytes, and the stub. */
static bh_stream_end seen(keys *k, bh_view file, bh_buf *out)
{
	uint8_t stub[BH_STREAM_STUB_MAX];
	bh_stream_reader *r = NULL;
	bh_stream_end end;
	bh_view ready;
	size_t len;

	out->len = 0;
	assert_int_equal(bh_stream_reader_new(bh_view_of(file.data, BH_HEADER_LEN), &k->scopes, false, &r), BH_OK);
	for (size_t off = BH_HEADER_LEN; off < file.len; off += BH_MIN((size_t)1000, file.len - off)) {
		assert_int_equal(bh_stream_reader_push(r, bh_view_of(file.data + off, BH_MIN((size_t)1000, file.len - off))),
				 BH_OK);
		ready = bh_stream_reader_ready(r);
		assert_int_equal(bh_buf_append(out, ready.data, ready.len), BH_OK);
		bh_stream_reader_consume(r, ready.len);
	}
	assert_int_equal(bh_stream_reader_finish(r), BH_OK);
	len = bh_stream_end_stub(r, stub);
	assert_true(len <= BH_STREAM_STUB_MAX);
	ready = bh_stream_reader_ready(r);
	assert_int_equal(bh_buf_append(out, ready.data, ready.len), BH_OK);
	assert_int_equal(bh_buf_append(out, stub, len), BH_OK);
	end = bh_stream_reader_end(r);
	bh_stream_reader_free(r);
	return end;
}

/* A WAL cut or damaged in its last frame, with that frame at every place relative to the end of a block, record by record or in
 * halves. */
static void check_bad_end(keys *k, const bh_buf *log, const size_t *ends, size_t count)
{
	bh_buf file = sealed_log(k, BH_KIND_WAL, log, ends, count, 0), whole = sealed_log(k, BH_KIND_WAL, log, ends, count - 1, 0);
	size_t last = whole.len, good = ends[count - 2];
	bh_buf got = { 0 };

	for (size_t len = last; len < file.len; len += len < last + 90 ? 1 : 997) {
		bh_stream_end end = seen(k, bh_view_of(file.data, len), &got);

		assert_int_equal(end, len == last ? BH_STREAM_CLEAN : BH_STREAM_TORN);
		assert_true(got.len + BH_LOG_CRC >= good); /* a CRC without the byte behind it is in no frame */
		if (end == BH_STREAM_TORN)
			assert_int_equal(log_ending(bh_buf_view(&got)), LOG_TORN);
	}
	file.data[file.len - 1] ^= 1;
	assert_int_equal(seen(k, bh_buf_view(&file), &got), BH_STREAM_DAMAGED);
	assert_int_equal(log_ending(bh_buf_view(&got)), LOG_CHECKSUM);
	bh_buf_clear(&got);
	bh_buf_clear(&whole);
	bh_buf_clear(&file);
}

static void test_bad_end_at_every_place_of_a_block(void **state)
{
	/* Record 0 ends `gap` bytes in front of the block's end, or a little behind it. */
	for (size_t value_len = BH_LOG_BLOCK - 60; value_len < BH_LOG_BLOCK - 10; value_len++) {
		size_t ends[3];
		bh_buf log = plain_log(3, value_len, ends);

		check_bad_end(*state, &log, ends, 2);
		bh_buf_clear(&log);
	}
}

/* Frames that end inside of a log record's header and payload: already torn, a stub might complete them. */
static void test_bad_end_inside_of_a_record(void **state)
{
	size_t ends[3];
	bh_buf log = plain_log(3, 50, ends);
	size_t record = ends[1];

	for (size_t cut = record + 1; cut < ends[2]; cut++) {
		const size_t pieces[] = { ends[0], record, cut, ends[2] };

		check_bad_end(*state, &log, pieces, 4);
	}
	bh_buf_clear(&log);
	log = plain_log(2, BH_LOG_BLOCK - 100, ends);
	for (size_t cut = BH_LOG_BLOCK - 9; cut < BH_LOG_BLOCK + 9; cut++) {
		const size_t pieces[] = { ends[0], cut, ends[1] };

		check_bad_end(*state, &log, pieces, 3);
	}
	bh_buf_clear(&log);
}

static void test_no_stub_for_others(void **state)
{
	keys *k = *state;
	const bh_view pieces[] = { bh_view_str("one"), bh_view_str("two") };
	bh_buf file = sealed_stream(k, k->dek[PLATFORM], BH_KIND_OTHER, pieces, 2, 1), got = { 0 };

	assert_int_equal(seen(k, bh_view_of(file.data, file.len - 1), &got), BH_STREAM_TORN);
	assert_int_equal(got.len, 3);
	file.data[file.len - 1] ^= 1;
	assert_int_equal(seen(k, bh_buf_view(&file), &got), BH_STREAM_DAMAGED);
	assert_int_equal(got.len, 3);
	bh_buf_clear(&got);
	bh_buf_clear(&file);
}

static void test_manifest_record_is_held_until_complete(void **state)
{
	static const uint8_t edit[] = { 3, 9, 9, 2 }; /* next file number, previous log number */
	keys *k = *state;
	uint8_t header[BH_HEADER_LEN];
	bh_file_key key = { 0 };
	bh_stream_writer *w = NULL;
	bh_buf log = { 0 }, out = { 0 }, got = { 0 };
	bh_stream_end end;

	assert_int_equal(bh_log_append_record(0, bh_view_of(edit, sizeof(edit)), &log), BH_OK);
	assert_int_equal(bh_header_create(BH_KIND_MANIFEST, 0, 9, k->dek[PLATFORM], &key, header), BH_OK);
	assert_int_equal(bh_stream_writer_new(&key, header, &k->scopes, header, &w), BH_OK);
	assert_int_equal(bh_buf_append(&out, header, BH_HEADER_LEN), BH_OK);
	for (size_t i = 0; i < log.len; i++) {
		assert_int_equal(out.len, BH_HEADER_LEN);
		assert_int_equal(bh_stream_writer_append(w, bh_view_of(log.data + i, 1), &out), BH_OK);
		assert_int_equal(bh_stream_writer_logical(w), i + 1);
	}
	assert_int_equal(out.len, BH_HEADER_LEN + frame_len(0, 1 + log.len - BH_LOG_CRC));
	assert_int_equal(bh_stream_writer_physical(w), out.len);
	assert_int_equal(read_stream(bh_buf_view(&out), &k->scopes, false, 0, &got, &end), BH_OK);
	assert_int_equal(got.len, log.len);
	assert_memory_equal(got.data, log.data, log.len);
	bh_stream_writer_free(w);
	bh_buf_clear(&got);
	bh_buf_clear(&out);
	bh_buf_clear(&log);
}

static void test_writer_refuses_all_after_an_error(void **state)
{
	keys *k = *state;
	uint8_t header[BH_HEADER_LEN], bad[64] = { 0, 0, 0, 0, 5, 0, 99 };
	size_t ends[1];
	bh_buf log = plain_log(1, 10, ends), out = { 0 };
	bh_file_key key = { 0 };
	bh_stream_writer *w = NULL;

	assert_int_equal(bh_header_create(BH_KIND_WAL, 0, 9, k->dek[PLATFORM], &key, header), BH_OK);
	assert_int_equal(bh_stream_writer_new(&key, header, &k->scopes, header, &w), BH_OK);
	assert_int_equal(bh_stream_writer_append(w, bh_view_of(bad, sizeof(bad)), &out), BH_E_UNSUPPORTED);
	assert_int_equal(out.len, 0);
	assert_int_equal(bh_stream_writer_append(w, bh_buf_view(&log), &out), BH_E_UNSUPPORTED);
	assert_int_equal(out.len, 0);
	assert_int_equal(bh_stream_writer_logical(w), 0);
	assert_int_equal(bh_stream_writer_physical(w), BH_HEADER_LEN);
	bh_stream_writer_free(w);
	bh_buf_clear(&out);
	bh_buf_clear(&log);
}

static void test_key_not_available_stops_the_log(void **state)
{
	static const bh_status reasons[] = { BH_E_NO_KEY, BH_E_SHREDDED, BH_E_SUSPENDED };
	keys *k = *state;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		uint8_t header[BH_HEADER_LEN];
		size_t ends[1];
		bh_buf log = plain_log(1, 10, ends), out = { 0 };
		bh_file_key key = { 0 };
		bh_stream_writer *w = NULL;

		k->gone[MERCHANT_A] = reasons[i];
		assert_int_equal(bh_header_create(BH_KIND_WAL, 0, 9, k->dek[PLATFORM], &key, header), BH_OK);
		assert_int_equal(bh_stream_writer_new(&key, header, &k->scopes, header, &w), BH_OK);
		assert_int_equal(bh_stream_writer_append(w, bh_buf_view(&log), &out), reasons[i]);
		k->gone[MERCHANT_A] = BH_OK;
		assert_int_equal(bh_stream_writer_append(w, bh_buf_view(&log), &out), reasons[i]);
		assert_int_equal(out.len, 0);
		bh_stream_writer_free(w);
		bh_buf_clear(&out);
		bh_buf_clear(&log);
	}
}

/* Every family is merchant a's: thousands in one append. */
static bh_status any_family(void *arg, uint32_t cf_id, bh_dek **out)
{
	keys *k = arg;

	(void)cf_id;
	*out = bh_dek_ref(k->dek[MERCHANT_A]);
	return BH_OK;
}

static void test_more_families_than_a_frame_holds(void **state)
{
	enum { FAMILIES = 9000 };
	keys *k = *state;
	bh_scopes scopes = k->scopes;
	bh_buf batch = { 0 }, log = { 0 }, out = { 0 }, got = { 0 };
	uint8_t header[BH_HEADER_LEN];
	bh_file_key key = { 0 };
	bh_stream_writer *w = NULL;
	bh_stream_end end;
	size_t frames = 0;

	scopes.dek_for_cf = any_family;
	assert_int_equal(bh_buf_append_u64(&batch, 1), BH_OK);
	assert_int_equal(bh_buf_append_u32(&batch, FAMILIES), BH_OK);
	for (uint32_t cf = 128; cf < 128 + FAMILIES; cf++) {
		const uint8_t put[] = { 0x05, (uint8_t)(cf | 128), (uint8_t)(cf >> 7), 1, 'k', 1, 'v' };

		assert_true(cf < 1 << 14);
		assert_int_equal(bh_buf_append(&batch, put, sizeof(put)), BH_OK);
	}
	assert_int_equal(bh_log_append_record(0, bh_buf_view(&batch), &log), BH_OK);
	assert_int_equal(bh_header_create(BH_KIND_WAL, 0, 9, k->dek[PLATFORM], &key, header), BH_OK);
	assert_int_equal(bh_stream_writer_new(&key, header, &scopes, header, &w), BH_OK);
	assert_int_equal(bh_buf_append(&out, header, BH_HEADER_LEN), BH_OK);
	assert_int_equal(bh_stream_writer_append(w, bh_buf_view(&log), &out), BH_OK);
	for (size_t off = BH_HEADER_LEN; off < out.len; off += frame_len_at(BH_KIND_WAL, bh_buf_view(&out), off))
		frames++;
	assert_int_equal(frames, (FAMILIES + BH_FRAME_FAMILIES_MAX - 1) / BH_FRAME_FAMILIES_MAX);
	assert_int_equal(read_stream(bh_buf_view(&out), &k->scopes, false, 0, &got, &end), BH_OK);
	assert_int_equal(got.len, log.len);
	assert_memory_equal(got.data, log.data, log.len);
	bh_stream_writer_free(w);
	bh_buf_clear(&batch);
	bh_buf_clear(&log);
	bh_buf_clear(&out);
	bh_buf_clear(&got);
}

/* Frame `i` with a bit of its first section flipped, and the platform's tag made anew. */
static void forge_frame(keys *k, bh_buf *file, size_t i)
{
	size_t off = BH_HEADER_LEN;
	bh_file_key key = { 0 };
	bh_frame_content content = { 0 };
	bh_frame_head head = { 0 };
	bh_buf frame = { 0 };

	for (size_t n = 0; n < i; n++)
		off += frame_len_at(BH_KIND_WAL, bh_buf_view(file), off);
	assert_true(bh_frame_head_read(BH_KIND_WAL, bh_view_of(file->data + off, file->len - off), &head));
	assert_int_equal(bh_header_open(bh_buf_view(file), &k->scopes, &key), BH_OK);
	assert_int_equal(bh_frame_open(key.aead, i, &head, bh_view_of(file->data + off, bh_frame_size(&head)), &content), BH_OK);
	assert_int_equal(bh_frame_begin(head.sections, head.part, &frame, &head), BH_OK);
	memcpy(bh_frame_sections(&head, &frame), content.sections.data, head.sections);
	bh_frame_sections(&head, &frame)[2] ^= 1;
	assert_int_equal(bh_frame_seal(key.aead, i, &head, content.part.data, &frame), BH_OK);
	memcpy(file->data + off, frame.data, frame.len);
	bh_buf_clear(&content.plain);
	bh_buf_clear(&frame);
	bh_file_key_clear(&key);
}

/* Above the mark, too, where a frame that is damaged on the disk is the end: what fails under a platform's tag that holds is no
 * accident. The merchant, and the frame, are named; what came before it was handed out. */
static void test_a_forged_section_is_its_merchants(void **state)
{
	enum { COUNT = 6, SYNCED = 3 };
	keys *k = *state;
	size_t ends[COUNT];
	bh_buf log = plain_log(COUNT, 50, ends);

	for (size_t i = 0; i < COUNT; i++) {
		bh_buf file = sealed_log(k, BH_KIND_WAL, &log, ends, COUNT, SYNCED);
		bh_stream_reader *r = NULL;
		char frame[16];

		forge_frame(k, &file, i);
		assert_int_equal(bh_stream_reader_new(bh_view_of(file.data, BH_HEADER_LEN), &k->scopes, false, &r), BH_OK);
		assert_null(bh_stream_reader_blamed(r));
		assert_int_equal(bh_stream_reader_push(r, bh_view_of(file.data + BH_HEADER_LEN, file.len - BH_HEADER_LEN)),
				 BH_E_TAG);
		snprintf(frame, sizeof(frame), "frame %zu ", i);
		assert_non_null(strstr(bh_status_message(), frame));
		assert_non_null(strstr(bh_status_message(), i % 2 ? "bolt/events" : "acme/events"));
		assert_string_equal(bh_stream_reader_blamed(r)->merchant, i % 2 ? "bolt" : "acme");
		assert_int_equal(bh_stream_reader_ready(r).len, i > 0 ? ends[i - 1] : 0);
		assert_int_equal(bh_stream_reader_frame(r), i);
		assert_int_equal(bh_stream_reader_finish(r), BH_E_TAG);
		bh_stream_reader_free(r);
		/* Who does not have the key sees that all frames are there, and nothing of what is in this one. */
		k->gone[MERCHANT_A + i % 2] = BH_E_SUSPENDED;
		assert_int_equal(bh_stream_reader_new(bh_view_of(file.data, BH_HEADER_LEN), &k->scopes, false, &r), BH_OK);
		assert_int_equal(bh_stream_reader_push(r, bh_view_of(file.data + BH_HEADER_LEN, file.len - BH_HEADER_LEN)), BH_OK);
		assert_int_equal(bh_stream_reader_frame(r), COUNT);
		k->gone[MERCHANT_A + i % 2] = BH_OK;
		bh_stream_reader_free(r);
		bh_buf_clear(&file);
	}
	bh_buf_clear(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wal_round_trip),
		cmocka_unit_test(test_bad_end_at_every_place_of_a_block),
		cmocka_unit_test(test_bad_end_inside_of_a_record),
		cmocka_unit_test(test_no_stub_for_others),
		cmocka_unit_test(test_manifest_record_is_held_until_complete),
		cmocka_unit_test(test_writer_refuses_all_after_an_error),
		cmocka_unit_test(test_key_not_available_stops_the_log),
		cmocka_unit_test(test_more_families_than_a_frame_holds),
		cmocka_unit_test(test_a_forged_section_is_its_merchants),
	};

	return cmocka_run_group_tests_name("stream logs", tests, keys_setup, keys_teardown);
}
