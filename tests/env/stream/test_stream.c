/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stream.c: sealed streams without spans: round trips, the sync mark, and every way to tamper with a small file. Logs are in
 * test_stream_logs.c.
 */
#include "tests/env/format/sealed_fixture.h"

#include <pthread.h>

/* Four frames, the first two below the sync mark. */
enum { PIECES = 4, SYNCED = 2 };
static const char *const texts[PIECES] = { "first", "the second piece", "3rd", "and a fourth, unsynced" };

typedef struct small {
	bh_buf file;
	size_t end[PIECES + 1];   /* where frame i begins; end[PIECES]: the file's length */
	size_t plain[PIECES + 1]; /* logical bytes before frame i */
	char text[128];
} small;

static small small_stream(keys *k, bh_dek *dek)
{
	small s = { .end[0] = BH_HEADER_LEN };
	bh_view pieces[PIECES];

	for (size_t i = 0; i < PIECES; i++) {
		pieces[i] = bh_view_str(texts[i]);
		strcat(s.text, texts[i]);
		s.end[i + 1] = s.end[i] + frame_len(0, 1 + pieces[i].len);
		s.plain[i + 1] = s.plain[i] + pieces[i].len;
	}
	s.file = sealed_stream(k, dek, BH_KIND_OTHER, pieces, PIECES, SYNCED);
	assert_int_equal(s.file.len, s.end[PIECES]);
	return s;
}

/* The stream must come to `end`, with exactly the bytes of the first `frames` frames. */
static void expect_prefix(keys *k, const small *s, bh_view file, bh_stream_end want, size_t frames)
{
	bh_stream_end end;
	bh_buf got = { 0 };

	for (size_t chunk = 0; chunk < 8; chunk += 7) {
		assert_int_equal(read_stream(file, &k->scopes, false, chunk, &got, &end), BH_OK);
		assert_int_equal(end, want);
		assert_int_equal(got.len, s->plain[frames]);
		assert_memory_equal(got.data ? got.data : (const uint8_t *)"", s->text, got.len);
	}
	bh_buf_clear(&got);
}

static bh_status read_status(keys *k, bh_view file)
{
	bh_stream_end end;
	bh_buf got = { 0 };
	bh_status status = read_stream(file, &k->scopes, false, 0, &got, &end);

	bh_buf_clear(&got);
	return status;
}

static void expect_refused(keys *k, bh_view file)
{
	bh_status status = read_status(k, file);

	assert_true(status == BH_E_TAG || status == BH_E_FORMAT || status == BH_E_TRUNCATED);
}

static void test_round_trip(void **state)
{
	static const size_t lens[] = { 0, 1, 2, 4096, BH_FRAME_MAX - 1, BH_FRAME_MAX, BH_FRAME_MAX + 1, 2 * BH_FRAME_MAX + 5 };
	static const size_t chunks[] = { 0, 13, 4096, BH_FRAME_MAX };
	keys *k = *state;
	uint8_t *plain = pattern(2 * BH_FRAME_MAX + 8);

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		const bh_view pieces[] = { bh_view_of(plain, lens[i]), bh_view_of(plain + lens[i], 3) };
		bh_buf file = sealed_stream(k, k->dek[PLATFORM], BH_KIND_OTHER, pieces, 2, 2), got = { 0 };
		size_t due = BH_HEADER_LEN + frame_len(0, 1 + 3);

		for (size_t left = lens[i]; left > 0; left -= BH_MIN(left, (size_t)BH_FRAME_MAX))
			due += frame_len(0, 1 + BH_MIN(left, (size_t)BH_FRAME_MAX));
		assert_int_equal(file.len, due);
		for (size_t c = 0; c < sizeof(chunks) / sizeof(chunks[0]); c++) {
			bh_stream_end end;

			assert_int_equal(read_stream(bh_buf_view(&file), &k->scopes, c % 2, chunks[c], &got, &end), BH_OK);
			assert_int_equal(end, BH_STREAM_CLEAN);
			assert_int_equal(got.len, lens[i] + 3);
			assert_memory_equal(got.data, plain, got.len);
		}
		bh_buf_clear(&got);
		bh_buf_clear(&file);
	}
	free(plain);
}

static void test_every_split(void **state)
{
	keys *k = *state;
	small s = small_stream(k, k->dek[PLATFORM]);
	bh_view all = bh_view_of(s.file.data + BH_HEADER_LEN, s.file.len - BH_HEADER_LEN);

	for (size_t split = 0; split <= all.len; split++) {
		bh_stream_reader *r = NULL;

		assert_int_equal(bh_stream_reader_new(bh_view_of(s.file.data, BH_HEADER_LEN), &k->scopes, false, &r), BH_OK);
		assert_int_equal(bh_stream_reader_ready(r).len, 0);
		assert_int_equal(bh_stream_reader_push(r, bh_view_of(all.data, split)), BH_OK);
		assert_int_equal(bh_stream_reader_end(r), BH_STREAM_OPEN);
		bh_stream_reader_consume(r, bh_stream_reader_ready(r).len / 2);
		assert_int_equal(bh_stream_reader_push(r, bh_view_of(all.data + split, all.len - split)), BH_OK);
		assert_int_equal(bh_stream_reader_finish(r), BH_OK);
		assert_int_equal(bh_stream_reader_finish(r), BH_OK);
		assert_int_equal(bh_stream_reader_end(r), BH_STREAM_CLEAN);
		assert_int_equal(bh_stream_reader_frame(r), PIECES);
		assert_int_equal(bh_stream_reader_offset(r), s.file.len);
		assert_int_equal(bh_stream_reader_key(r)->header.number, 9);
		assert_int_equal(bh_stream_reader_push(r, bh_view_of("x", 1)), BH_E_INVALID);
		bh_stream_reader_free(r);
	}
	bh_stream_reader_free(NULL);
	bh_buf_clear(&s.file);
}

static size_t frame_of(const small *s, size_t byte)
{
	size_t i = 0;

	while (byte >= s->end[i + 1])
		i++;
	return i;
}

static void test_every_bit_flip(void **state)
{
	keys *k = *state;
	small s = small_stream(k, k->dek[PLATFORM]);
	bh_buf got = { 0 };

	for (size_t bit = 8 * BH_SYNC_MARK_OFFSET; bit < 8 * s.file.len; bit++) {
		size_t byte = bit / 8, frame = byte < BH_HEADER_LEN ? 0 : frame_of(&s, byte);
		bh_stream_end end;
		bh_status status;

		s.file.data[byte] ^= (uint8_t)(1u << bit % 8);
		status = read_stream(bh_buf_view(&s.file), &k->scopes, false, 0, &got, &end);
		if (frame < SYNCED) {
			assert_true(status == BH_E_TAG || status == BH_E_FORMAT);
		} else {
			assert_int_equal(status, BH_OK);
			assert_true(end == BH_STREAM_DAMAGED || end == BH_STREAM_TORN);
			assert_int_equal(got.len, s.plain[frame]);
			assert_memory_equal(got.data, s.text, got.len);
		}
		s.file.data[byte] ^= (uint8_t)(1u << bit % 8);
	}
	expect_prefix(k, &s, bh_buf_view(&s.file), BH_STREAM_CLEAN, PIECES);
	bh_buf_clear(&got);
	bh_buf_clear(&s.file);
}

static void test_every_cut(void **state)
{
	keys *k = *state;
	small s = small_stream(k, k->dek[PLATFORM]);

	for (size_t len = 0; len < s.end[SYNCED]; len++)
		assert_int_equal(read_status(k, bh_view_of(s.file.data, len)), BH_E_TRUNCATED);
	for (size_t len = s.end[SYNCED]; len < s.file.len; len++) {
		size_t frame = frame_of(&s, len);

		expect_prefix(k, &s, bh_view_of(s.file.data, len), len == s.end[frame] ? BH_STREAM_CLEAN : BH_STREAM_TORN, frame);
	}
	bh_buf_clear(&s.file);
}

static void test_every_extension(void **state)
{
	keys *k = *state;
	small s = small_stream(k, k->dek[PLATFORM]);
	uint8_t *longer = calloc(1, s.file.len + 600);

	memcpy(longer, s.file.data, s.file.len);
	for (size_t more = 1; more < 600; more++)
		expect_prefix(k, &s, bh_view_of(longer, s.file.len + more), BH_STREAM_TORN, PIECES);
	/* Zeros with anything behind them are no torn tail. */
	for (size_t at = 1; at < 600; at++) {
		longer[s.file.len + at] = 1;
		expect_prefix(k, &s, bh_view_of(longer, s.file.len + 600), BH_STREAM_DAMAGED, PIECES);
		longer[s.file.len + at] = 0;
	}
	memset(longer + s.file.len, 0xff, 600);
	expect_prefix(k, &s, bh_view_of(longer, s.file.len + BH_FRAME_HEAD_MAX - 1), BH_STREAM_TORN, PIECES);
	expect_prefix(k, &s, bh_view_of(longer, s.file.len + BH_FRAME_HEAD_MAX), BH_STREAM_DAMAGED, PIECES);
	/* Its own last frame again. */
	memcpy(longer + s.file.len, s.file.data + s.end[PIECES - 1], s.end[PIECES] - s.end[PIECES - 1]);
	expect_prefix(k, &s, bh_view_of(longer, s.file.len + s.end[PIECES] - s.end[PIECES - 1]), BH_STREAM_DAMAGED, PIECES);
	free(longer);
	bh_buf_clear(&s.file);
}

/* The file with its frames in the order given; -1 ends it, 10 and up are frames of `other`. */
static bh_buf rearranged(const small *s, const small *other, const int *order)
{
	bh_buf out = { 0 };

	assert_int_equal(bh_buf_append(&out, s->file.data, BH_HEADER_LEN), BH_OK);
	for (; *order >= 0; order++) {
		const small *from = *order >= 10 ? other : s;
		int i = *order % 10;

		assert_int_equal(bh_buf_append(&out, from->file.data + from->end[i], from->end[i + 1] - from->end[i]), BH_OK);
	}
	return out;
}

static void test_frames_moved(void **state)
{
	static const struct {
		int order[6];
		int prefix; /* frames that come out; -1: refused, because of what is below the mark */
	} cases[] = {
		{ { 0, 1, 2, 3, -1 }, 4 },  { { 1, 0, 2, 3, -1 }, -1 }, { { 0, 2, 1, 3, -1 }, -1 },  { { 0, 0, 2, 3, -1 }, -1 },
		{ { 1, 2, 3, -1 }, -1 },    { { 0, 2, 3, -1 }, -1 },    { { 0, 1, 3, 2, -1 }, 2 },   { { 0, 1, 3, -1 }, 2 },
		{ { 0, 1, 2, 2, -1 }, 3 },  { { 0, 1, 0, 1, -1 }, 2 },  { { 10, 1, 2, 3, -1 }, -1 }, { { 0, 11, 2, 3, -1 }, -1 },
		{ { 0, 1, 12, 3, -1 }, 2 }, { { 0, 1, 2, 13, -1 }, 3 }, { { 10, 11, -1 }, -1 },      { { 0, 1, 1, 2, 3, -1 }, 2 },
	};
	keys *k = *state;
	small s = small_stream(k, k->dek[PLATFORM]);

	for (int dek = PLATFORM; dek < KEYS; dek++) {
		small other = small_stream(k, k->dek[dek]);

		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			bh_buf file = rearranged(&s, &other, cases[i].order);

			if (cases[i].prefix < 0)
				expect_refused(k, bh_buf_view(&file));
			else
				expect_prefix(k, &s, bh_buf_view(&file), i == 0 ? BH_STREAM_CLEAN : BH_STREAM_DAMAGED,
					      (size_t)cases[i].prefix);
			bh_buf_clear(&file);
		}
		bh_buf_clear(&other.file);
	}
	bh_buf_clear(&s.file);
}

/* The header of one file on the frames of another, with either's mark. */
static void test_headers_swapped(void **state)
{
	keys *k = *state;

	for (int dek = PLATFORM; dek < KEYS; dek++) {
		small s = small_stream(k, k->dek[PLATFORM]), other = small_stream(k, k->dek[dek]);

		memcpy(s.file.data + BH_SYNC_MARK_OFFSET, other.file.data + BH_SYNC_MARK_OFFSET, BH_SYNC_MARK_LEN);
		assert_int_equal(read_status(k, bh_buf_view(&s.file)), BH_E_TAG);
		memcpy(s.file.data, other.file.data, BH_HEADER_LEN);
		assert_int_equal(read_status(k, bh_buf_view(&s.file)), BH_E_TAG);
		bh_buf_clear(&s.file);
		bh_buf_clear(&other.file);
	}
}

/* A sync mark made with the file's own key, as a faulty writer would. */
static void put_mark(keys *k, bh_buf *file, bh_sync_mark mark)
{
	bh_file_key key = { 0 };

	assert_int_equal(bh_header_open(bh_view_of(file->data, BH_HEADER_LEN), &k->scopes, &key), BH_OK);
	assert_int_equal(bh_sync_mark_seal(key.aead, &mark, file->data + BH_SYNC_MARK_OFFSET), BH_OK);
	bh_file_key_clear(&key);
}

static void test_impossible_marks(void **state)
{
	keys *k = *state;
	small s = small_stream(k, k->dek[PLATFORM]);
	const struct {
		bh_sync_point point;
		bh_status want;
	} cases[] = {
		{ { 4, s.end[4] }, BH_OK },
		{ { 0, BH_HEADER_LEN }, BH_OK },
		{ { 3, s.end[2] }, BH_E_FORMAT },
		{ { 1, s.end[2] }, BH_E_FORMAT },
		{ { 2, s.end[2] - 1 }, BH_E_FORMAT },
		{ { 2, s.end[2] + 1 }, BH_E_FORMAT },
		{ { 0, s.end[1] }, BH_E_FORMAT },
		{ { 1, BH_HEADER_LEN }, BH_E_FORMAT },
		{ { 1, 0 }, BH_E_FORMAT },
		{ { 5, s.end[4] + 100 }, BH_E_TRUNCATED },
		{ { 4, s.end[4] + 1 }, BH_E_TRUNCATED },
		{ { UINT64_MAX, UINT64_MAX }, BH_E_TRUNCATED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_mark(k, &s.file, (bh_sync_mark){ .seq = 5, .point = cases[i].point });
		assert_int_equal(read_status(k, bh_buf_view(&s.file)), cases[i].want);
	}
	memset(s.file.data + BH_SYNC_MARK_OFFSET, 0, BH_SYNC_MARK_LEN);
	assert_int_equal(read_status(k, bh_buf_view(&s.file)), BH_E_TAG);
	bh_buf_clear(&s.file);
}

static void test_mark_follows_what_was_written(void **state)
{
	keys *k = *state;
	uint8_t header[BH_HEADER_LEN], mark[BH_SYNC_MARK_LEN], first[BH_SYNC_MARK_LEN];
	bh_stream_writer *w = NULL;
	bh_sync_point empty, one;
	bh_file_key key = { 0 };
	bh_buf out = { 0 };
	bool needed = true;

	assert_int_equal(bh_header_create(BH_KIND_OTHER, 0, 9, k->dek[PLATFORM], &key, header), BH_OK);
	assert_int_equal(bh_stream_writer_new(&key, header, &k->scopes, header, &w), BH_OK);
	empty = bh_stream_writer_point(w);
	assert_int_equal(empty.physical, BH_HEADER_LEN);
	assert_int_equal(bh_stream_writer_sync_mark(w, empty, &needed, mark), BH_OK);
	assert_false(needed);
	/* Appended, but not yet in the file. */
	assert_int_equal(bh_stream_writer_append(w, bh_view_str("abc"), &out), BH_OK);
	assert_int_equal(bh_stream_writer_point(w).frames, 0);
	assert_int_equal(bh_stream_writer_sync_mark(w, (bh_sync_point){ 1, 4096 + out.len }, &needed, mark), BH_E_INVALID);
	bh_stream_writer_written(w);
	one = bh_stream_writer_point(w);
	assert_int_equal(one.frames, 1);
	assert_int_equal(one.physical, 4096 + out.len);
	assert_int_equal(bh_stream_writer_logical(w), 3);
	assert_int_equal(bh_stream_writer_physical(w), one.physical);
	/* What was written after the point was taken is not covered by it. */
	assert_int_equal(bh_stream_writer_append(w, bh_view_str("def"), &out), BH_OK);
	bh_stream_writer_written(w);
	assert_int_equal(bh_stream_writer_sync_mark(w, one, &needed, first), BH_OK);
	assert_true(needed);
	assert_int_equal(bh_get_u64(first + 8), 1);
	assert_int_equal(bh_get_u64(first + 16), one.physical);
	assert_int_equal(bh_stream_writer_sync_mark(w, one, &needed, mark), BH_OK);
	assert_false(needed);
	assert_int_equal(bh_stream_writer_sync_mark(w, bh_stream_writer_point(w), &needed, mark), BH_OK);
	assert_true(needed);
	assert_true(bh_get_u64(mark) > bh_get_u64(first));
	/* A slower sync that saw less does not move the mark back. */
	assert_int_equal(bh_stream_writer_sync_mark(w, one, &needed, mark), BH_OK);
	assert_false(needed);
	bh_stream_writer_free(w);
	bh_stream_writer_free(NULL);
	bh_buf_clear(&out);
}

/* A file of one frame whose platform's part and sections are given, sealed with the file's own key. */
static bh_buf crafted(keys *k, bh_file_kind kind, bh_view part, bh_view sections)
{
	bh_buf file = sealed_stream(k, k->dek[PLATFORM], kind, NULL, 0, 0);
	bh_file_key key = { 0 };
	bh_frame_head head;

	assert_int_equal(bh_header_open(bh_buf_view(&file), &k->scopes, &key), BH_OK);
	assert_int_equal(bh_frame_begin(sections.len, part.len, &file, &head), BH_OK);
	if (sections.len > 0)
		memcpy(bh_frame_sections(&head, &file), sections.data, sections.len);
	assert_int_equal(bh_frame_seal(key.aead, 0, &head, part.data, &file), BH_OK);
	bh_file_key_clear(&key);
	return file;
}

static void test_authentic_but_malformed(void **state)
{
	keys *k = *state;
	uint8_t part[2 + 2 * BH_ANNOUNCEMENT_LEN] = { 0 }, some[2 * BH_TAG_LEN] = { 0 };
	const struct {
		bh_file_kind kind;
		uint8_t count;
		size_t len, sections;
		bh_status want;
	} cases[] = {
		{ BH_KIND_OTHER, 0, 2, 0, BH_OK },
		{ BH_KIND_OTHER, 0, 1, 0, BH_OK }, /* nothing at all */
		{ BH_KIND_OTHER, 1, 2, 0, BH_E_FORMAT },
		{ BH_KIND_OTHER, 2, 1 + 2 * BH_ANNOUNCEMENT_LEN - 1, 0, BH_E_FORMAT },
		{ BH_KIND_OTHER, 0xff, sizeof(part), 0, BH_E_FORMAT },
		{ BH_KIND_OTHER, 1, sizeof(part), 0, BH_E_FORMAT }, /* well-formed, but nothing is announced outside of logs */
		{ BH_KIND_WAL, 0, 1, 0, BH_OK },
		{ BH_KIND_WAL, 0, 1, sizeof(some), BH_E_FORMAT }, /* a section of nobody */
		{ BH_KIND_WAL, 1, sizeof(part), 0, BH_E_FORMAT }, /* announced for family 0 */
		{ BH_KIND_WAL, BH_FRAME_FAMILIES_MAX + 1, sizeof(part), 0, BH_E_FORMAT },
		{ BH_KIND_MANIFEST, 0, 1, 0, BH_E_FORMAT }, /* no record */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bh_buf file;

		part[0] = cases[i].count;
		file = crafted(k, cases[i].kind, bh_view_of(part, cases[i].len), bh_view_of(some, cases[i].sections));
		assert_int_equal(read_status(k, bh_buf_view(&file)), cases[i].want);
		bh_buf_clear(&file);
	}
}

static size_t put_head(uint64_t part, uint64_t sections, uint8_t *out)
{
	size_t len = 0;

	for (int i = 0; i < 2; i++) {
		for (; part >= 0x80; part >>= 7)
			out[len++] = (uint8_t)(part | 0x80);
		out[len++] = (uint8_t)part;
		part = sections;
	}
	return len;
}

static void test_frame_lengths(void **state)
{
	enum { WAL_PART = 1 + 64 * 20 + (1 << 20), WAL_SECTIONS = 64 * 16 + (1 << 20) };
	static const struct {
		bh_file_kind kind;
		uint64_t part, sections;
		bool good;
	} cases[] = {
		{ BH_KIND_WAL, 0, 0, false },
		{ BH_KIND_WAL, 1, 0, true },
		{ BH_KIND_WAL, 127, 128, true },
		{ BH_KIND_WAL, WAL_PART, WAL_SECTIONS, true },
		{ BH_KIND_WAL, WAL_PART + 1, 0, false },
		{ BH_KIND_WAL, 1, WAL_SECTIONS + 1, false },
		{ BH_KIND_WAL, (uint64_t)1 << 34, 0, false },
		{ BH_KIND_MANIFEST, 21 + (1 << 30), 16 + (1 << 30), true },
		{ BH_KIND_MANIFEST, 22 + (1 << 30), 0, false },
		{ BH_KIND_MANIFEST, 1, 17 + (1 << 30), false },
		{ BH_KIND_OTHER, 1 + (1 << 20), 0, true },
		{ BH_KIND_OTHER, 2 + (1 << 20), 0, false },
		{ BH_KIND_OTHER, 1, 1, false },
	};
	static const uint8_t padded[BH_FRAME_HEAD_MAX] = { 0x81, 0x00, 0x05 },
			     endless[BH_FRAME_HEAD_MAX] = { 0xff, 0xff, 0xff, 0xff, 0xff };
	uint8_t bytes[BH_FRAME_HEAD_MAX + 2] = { 0 };
	bh_frame_head head = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = put_head(cases[i].part, cases[i].sections, bytes);

		assert_int_equal(bh_frame_head_read(cases[i].kind, bh_view_of(bytes, BH_FRAME_HEAD_MAX), &head), cases[i].good);
		if (!cases[i].good)
			continue;
		assert_int_equal(head.len, len);
		assert_int_equal(bh_frame_size(&head), frame_len(cases[i].sections, cases[i].part));
	}
	assert_false(bh_frame_head_read(BH_KIND_WAL, bh_view_of(padded, sizeof(padded)), &head));
	assert_false(bh_frame_head_read(BH_KIND_WAL, bh_view_of(endless, sizeof(endless)), &head));
}

static void test_errors_are_sticky(void **state)
{
	keys *k = *state;
	small s = small_stream(k, k->dek[PLATFORM]);
	bh_stream_reader *r = NULL;

	s.file.data[s.end[1] + 8] ^= 1;
	assert_int_equal(bh_stream_reader_new(bh_view_of(s.file.data, BH_HEADER_LEN), &k->scopes, false, &r), BH_OK);
	assert_int_equal(bh_stream_reader_push(r, bh_view_of(s.file.data + BH_HEADER_LEN, s.file.len - BH_HEADER_LEN)), BH_E_TAG);
	assert_int_equal(bh_stream_reader_ready(r).len, s.plain[1]);
	assert_int_equal(bh_stream_reader_push(r, bh_view_of(s.file.data + s.end[2], 1)), BH_E_TAG);
	assert_int_equal(bh_stream_reader_finish(r), BH_E_TAG);
	assert_int_equal(bh_stream_reader_end(r), BH_STREAM_OPEN);
	bh_stream_reader_free(r);
	bh_buf_clear(&s.file);
}

static void test_pages_are_no_stream(void **state)
{
	keys *k = *state;
	bh_buf file = sealed_pages(k->dek[PLATFORM], BH_KIND_SST, 4096, bh_view_str("x"), 1);
	uint8_t header[BH_HEADER_LEN];
	bh_stream_writer *w = NULL;
	bh_file_key key = { 0 };

	assert_int_equal(read_status(k, bh_buf_view(&file)), BH_E_FORMAT);
	assert_int_equal(bh_header_create(BH_KIND_SST, 4096, 9, k->dek[PLATFORM], &key, header), BH_OK);
	assert_int_equal(bh_stream_writer_new(&key, header, &k->scopes, header, &w), BH_E_INVALID);
	bh_file_key_clear(&key);
	bh_buf_clear(&file);
}

typedef struct syncer {
	bh_stream_writer *w;
	bool failed;
} syncer;

static void *sync_many(void *arg)
{
	syncer *s = arg;
	uint64_t seq = 0;

	for (int i = 0; i < 2000; i++) {
		uint8_t mark[BH_SYNC_MARK_LEN];
		bool needed = false;

		if (bh_stream_writer_sync_mark(s->w, bh_stream_writer_point(s->w), &needed, mark) != BH_OK)
			s->failed = true;
		if (needed && bh_get_u64(mark) <= seq)
			s->failed = true;
		if (needed)
			seq = bh_get_u64(mark);
	}
	return NULL;
}

static void test_sync_beside_append(void **state)
{
	keys *k = *state;
	uint8_t header[BH_HEADER_LEN];
	bh_file_key key = { 0 };
	bh_buf out = { 0 };
	syncer s = { 0 };
	pthread_t thread;

	assert_int_equal(bh_header_create(BH_KIND_OTHER, 0, 9, k->dek[PLATFORM], &key, header), BH_OK);
	assert_int_equal(bh_stream_writer_new(&key, header, &k->scopes, header, &s.w), BH_OK);
	assert_int_equal(pthread_create(&thread, NULL, sync_many, &s), 0);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(bh_stream_writer_append(s.w, bh_view_str("some bytes"), &out), BH_OK);
		bh_stream_writer_written(s.w);
		out.len = 0;
	}
	pthread_join(thread, NULL);
	assert_false(s.failed);
	bh_stream_writer_free(s.w);
	bh_buf_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_every_bit_flip),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_every_extension),
		cmocka_unit_test(test_frames_moved),
		cmocka_unit_test(test_headers_swapped),
		cmocka_unit_test(test_impossible_marks),
		cmocka_unit_test(test_mark_follows_what_was_written),
		cmocka_unit_test(test_authentic_but_malformed),
		cmocka_unit_test(test_frame_lengths),
		cmocka_unit_test(test_errors_are_sticky),
		cmocka_unit_test(test_pages_are_no_stream),
		cmocka_unit_test(test_sync_beside_append),
	};

	return cmocka_run_group_tests_name("stream", tests, keys_setup, keys_teardown);
}
