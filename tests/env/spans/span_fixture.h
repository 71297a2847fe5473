/* SPDX-License-Identifier: Apache-2.0
 *
 * span_fixture.h: for the tests of the span codec: scopes filled by hand, builders of write batches, version edits and logs, and
 * drivers that seal and open a whole log in pieces of any size.
 *
 * Tenant bytes made by the builders are all TENANT, a byte that no structure byte of theirs has, so a test knows the spans without
 * a parser.
 */
#ifndef BH_SPAN_FIXTURE_H
#define BH_SPAN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "env/spans/crc32c.h"
#include "env/spans/logfmt.h"
#include "env/spans/spans.h"

#define TENANT 0xee
#define FAMILY_COUNT 8

static inline bh_header fixture_header(bh_file_kind kind)
{
	return (bh_header){ .kind = kind, .number = 9, .salt = { 1, 2, 3, 4, 5 } };
}

/* ---- scopes: families 1 to FAMILY_COUNT, each with a DEK a generation */
typedef struct fixture {
	bh_scopes scopes;
	unsigned generation[FAMILY_COUNT + 1];   /* of the newest DEK */
	bh_status unavailable[FAMILY_COUNT + 1]; /* what a DEK's lookup fails with; BH_OK: it is there */
	bool detached[FAMILY_COUNT + 1];
	bool platform[FAMILY_COUNT + 1]; /* dek_for_cf says: the platform's */
	bool unnamed[FAMILY_COUNT + 1];  /* no edit has added it */
	bool renamed[FAMILY_COUNT + 1];  /* it is of another class than its DEKs */
	bool needed[FAMILY_COUNT + 1];   /* its bytes may not be blank */
	unsigned asked;                  /* calls of dek_for_cf */
	unsigned added;
	unsigned dropped;
	uint32_t last_cf;
	char last_name[64];
	uint64_t log_number[FAMILY_COUNT + 1];
} fixture;

static inline void fixture_dek_id(uint32_t cf_id, unsigned generation, uint8_t id[BH_ID_LEN])
{
	memset(id, 0, BH_ID_LEN);
	bh_put_u32(id, cf_id);
	bh_put_u32(id + 4, generation);
}

static inline bh_status fixture_dek(const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	static const bh_scope scope = { "m", "c" };
	uint8_t key[BH_DEK_LEN];

	memset(key, 0x5a, sizeof(key));
	memcpy(key, id, BH_ID_LEN);
	return bh_dek_new(id, &scope, bh_get_u32(id + 4), bh_view_str("context"), bh_view_of(key, sizeof(key)), out);
}

static inline bh_status fixture_for_cf(void *arg, uint32_t cf_id, bh_dek **out)
{
	fixture *f = arg;
	uint8_t id[BH_ID_LEN];

	f->asked++;
	if (cf_id > FAMILY_COUNT)
		return bh_fail(BH_E_NOT_FOUND, "no family %u", (unsigned)cf_id);
	if (f->unavailable[cf_id] != BH_OK)
		return bh_fail(f->unavailable[cf_id], "family %u", (unsigned)cf_id);
	*out = NULL;
	if (f->platform[cf_id])
		return BH_OK;
	fixture_dek_id(cf_id, f->generation[cf_id], id);
	return fixture_dek(id, out);
}

static inline bh_status fixture_by_id(void *arg, const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	fixture *f = arg;
	uint32_t cf_id = bh_get_u32(id);

	if (cf_id > FAMILY_COUNT)
		return bh_fail(BH_E_NO_KEY, "no such DEK");
	if (f->unavailable[cf_id] != BH_OK)
		return bh_fail(f->unavailable[cf_id], "family %u", (unsigned)cf_id);
	return fixture_dek(id, out);
}

static inline bh_status fixture_cf_added(void *arg, uint32_t cf_id, bh_view name)
{
	fixture *f = arg;

	f->added++;
	f->last_cf = cf_id;
	memset(f->last_name, 0, sizeof(f->last_name));
	if (name.len > 0)
		memcpy(f->last_name, name.data, BH_MIN(name.len, sizeof(f->last_name) - 1));
	return name.len > 0 && name.data[0] == '!' ? bh_fail(BH_E_INVALID, "name of no merchant") : BH_OK;
}

static inline bh_status fixture_cf_dropped(void *arg, uint32_t cf_id)
{
	fixture *f = arg;

	f->dropped++;
	f->last_cf = cf_id;
	return BH_OK;
}

static inline void fixture_cf_log_number(void *arg, uint32_t cf_id, uint64_t number)
{
	fixture *f = arg;

	if (cf_id <= FAMILY_COUNT)
		f->log_number[cf_id] = number;
}

static inline bh_status fixture_cf_scope(void *arg, uint32_t cf_id, bh_scope *out)
{
	const fixture *f = arg;

	if (cf_id > FAMILY_COUNT || f->unnamed[cf_id])
		return BH_E_NOT_FOUND;
	*out = (bh_scope){ "m", "c" };
	if (f->renamed[cf_id])
		out->cls[0] = 'd';
	return BH_OK;
}

static inline bh_status fixture_cf_blank(void *arg, uint32_t cf_id, const bh_header *file)
{
	const fixture *f = arg;

	assert_int_equal(file->number, 9);
	return cf_id <= FAMILY_COUNT && f->needed[cf_id] ? BH_E_TAG : BH_OK;
}

/* Names are "m<cf id>/c". */
static inline bool fixture_cf_attached(void *arg, bh_view name)
{
	fixture *f = arg;
	unsigned cf_id = name.len > 1 && name.data[0] == 'm' ? (unsigned)(name.data[1] - '0') : 0;

	return cf_id > FAMILY_COUNT || !f->detached[cf_id];
}

static inline void fixture_init(fixture *f)
{
	*f = (fixture){ .scopes = { .dek_for_cf = fixture_for_cf,
				    .dek_by_id = fixture_by_id,
				    .cf_added = fixture_cf_added,
				    .cf_dropped = fixture_cf_dropped,
				    .cf_log_number = fixture_cf_log_number,
				    .cf_scope = fixture_cf_scope,
				    .cf_blank = fixture_cf_blank,
				    .cf_attached = fixture_cf_attached } };
	f->scopes.arg = f;
}

/* ---- builders */
static inline void ok(bh_status st)
{
	if (st != BH_OK)
		fail_msg("%s: %s", bh_status_name(st), bh_status_message());
}

static inline void put_bytes(bh_buf *b, const void *data, size_t len)
{
	ok(bh_buf_append(b, data, len));
}

static inline void put_varint(bh_buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		ok(bh_buf_append_u8(b, (uint8_t)(v | 0x80)));
	ok(bh_buf_append_u8(b, (uint8_t)v));
}

static inline void put_string(bh_buf *b, const char *s)
{
	put_varint(b, strlen(s));
	put_bytes(b, s, strlen(s));
}

static inline void put_tenant(bh_buf *b, size_t len)
{
	put_varint(b, len);
	for (size_t i = 0; i < len; i++)
		ok(bh_buf_append_u8(b, TENANT));
}

/* An internal key, trailer included: all of it is a span. */
static inline void put_key(bh_buf *b, size_t user_len)
{
	put_tenant(b, user_len + 8);
}

static inline void begin_batch(bh_buf *b, uint32_t count)
{
	b->len = 0;
	ok(bh_buf_append_u64(b, 1000));
	ok(bh_buf_append_u32(b, count));
}

static inline void put_entry(bh_buf *b, uint32_t cf_id, size_t key_len, size_t value_len)
{
	ok(bh_buf_append_u8(b, 0x05));
	put_varint(b, cf_id);
	put_tenant(b, key_len);
	put_tenant(b, value_len);
}

static inline void log_record(bh_buf *log, const bh_buf *payload)
{
	ok(bh_log_append_record(log->len, bh_buf_view(payload), log));
}

/* ---- what is where in a plain log */

/* Calls `each` for every fragment, `len` 0 for one that is not complete. */
static inline void for_fragments(uint8_t *log, size_t len, void (*each)(uint8_t *fragment, size_t len, void *arg), void *arg)
{
	for (size_t at = 0; at < len;) {
		size_t room = BH_LOG_BLOCK - at % BH_LOG_BLOCK;
		size_t n;

		if (room < BH_LOG_HEADER || len - at < BH_LOG_HEADER) {
			if (room >= BH_LOG_HEADER)
				memset(log + at, 0, BH_MIN(len - at, BH_LOG_CRC));
			at += BH_MIN(room, len - at);
			continue;
		}
		n = BH_LOG_HEADER + bh_get_u16(log + at + 4);
		each(log + at, n <= len - at ? n : 0, arg);
		at += BH_MIN(n, len - at);
	}
}

static inline void strip_one(uint8_t *fragment, size_t len, void *right)
{
	if (len > 0 && bh_get_u32(fragment) != bh_crc32c_mask(bh_crc32c(0, fragment + 6, len - 6)))
		*(bool *)right = false;
	memset(fragment, 0, BH_LOG_CRC);
}

/* Clears the CRC of every fragment; returns whether all of them (complete ones) were right before. */
static inline bool strip_crcs(uint8_t *log, size_t len)
{
	bool right = true;

	for_fragments(log, len, strip_one, &right);
	return right;
}

static inline void fill_one(uint8_t *fragment, size_t len, void *arg)
{
	(void)arg;
	if (len > 0)
		bh_log_fill_crc(fragment, len);
}

/* Makes the CRC of every complete fragment right. */
static inline void fill_crcs(uint8_t *log, size_t len)
{
	for_fragments(log, len, fill_one, NULL);
}

/* ---- drivers */

/* A frame between span codec and stream. */
typedef struct sealed_frame {
	bh_buf plain;    /* BH_FRAME_ROOM bytes, then the platform's part */
	bh_buf sections; /* sealed */
} sealed_frame;

typedef struct sealed {
	sealed_frame *frames;
	size_t count;
	size_t said_count; /* announcements in all of them */
} sealed;

/* Ends the test where there is none, in terms that an analyzer knows. */
static inline sealed_frame *frame_at(const sealed *s, size_t i)
{
	if (s->frames == NULL || i >= s->count)
		abort();
	return &s->frames[i];
}

static inline void sealed_clear(sealed *s)
{
	for (size_t i = 0; i < s->count; i++) {
		bh_buf_clear(&s->frames[i].plain);
		bh_buf_clear(&s->frames[i].sections);
	}
	free(s->frames);
	*s = (sealed){ 0 };
}

static inline sealed_frame *add_frame(sealed *s, bh_view part)
{
	static const uint8_t room[BH_FRAME_ROOM];
	sealed_frame *f;

	s->frames = realloc(s->frames, (s->count + 1) * sizeof(*s->frames));
	assert_non_null(s->frames);
	f = &s->frames[s->count++];
	*f = (sealed_frame){ 0 };
	put_bytes(&f->plain, room, sizeof(room));
	put_bytes(&f->plain, part.data, part.len);
	return f;
}

/* The first piece is `first` bytes (0: none of its own), the following ones `then` (0: all the rest). */
typedef struct split {
	size_t first;
	size_t then;
} split;

static inline size_t next_piece(split by, size_t at, size_t len)
{
	if (at == 0 && by.first > 0)
		return BH_MIN(by.first, len);
	return by.then > 0 ? BH_MIN(by.then, len - at) : len - at;
}

static inline void take_ready(bh_spans *s, bh_buf *out)
{
	bh_view ready = bh_spans_ready(s);

	put_bytes(out, ready.data, ready.len);
	bh_spans_consume(s, ready.len);
}

static inline bh_status take_due(bh_spans *s, sealed *out)
{
	sealed_frame *f = add_frame(out, bh_spans_part(s));

	out->said_count += f->plain.data[BH_FRAME_ROOM];
	ok(bh_buf_reserve(&f->sections, bh_spans_sections_len(s) + 1));
	f->sections.len = bh_spans_sections_len(s);
	return bh_spans_seal(s, out->count - 1, f->sections.data);
}

/* One append. */
static inline bh_status seal_more(bh_spans *s, bh_view data, sealed *out)
{
	while (data.len > 0) {
		bool due = false;

		BH_TRY(bh_spans_gather(s, &data, &due));
		if (due)
			BH_TRY(take_due(s, out));
	}
	return BH_OK;
}

static inline bh_spans *new_codec(fixture *f, bh_file_kind kind, bh_spans_mode mode)
{
	const bh_header header = fixture_header(kind);
	bh_spans *s = NULL;

	ok(bh_spans_new(mode, &header, &f->scopes, &s));
	return s;
}

static inline bh_status seal(fixture *f, bh_file_kind kind, bh_view plain, split by, sealed *out)
{
	bh_spans *s = new_codec(f, kind, BH_SPANS_SEAL);
	bh_status st = BH_OK;

	sealed_clear(out);
	for (size_t at = 0; at < plain.len && st == BH_OK;) {
		size_t n = next_piece(by, at, plain.len);

		st = seal_more(s, bh_view_of(plain.data + at, n), out);
		at += n;
	}
	bh_spans_free(s);
	return st;
}

static inline bh_status open_frame(bh_spans *s, uint64_t number, const sealed_frame *f)
{
	const uint8_t *part = f->plain.data + BH_FRAME_ROOM;
	size_t part_len = f->plain.len - BH_FRAME_ROOM, announced = (size_t)part[0] * BH_ANNOUNCEMENT_LEN;
	bh_frame_content content = {
		.plain = f->plain,
		.part = bh_view_of(part, part_len),
		.announcements = bh_view_of(part + 1, announced),
		.structure = bh_view_of(part + 1 + announced, part_len - 1 - announced),
		.sections = bh_buf_view(&f->sections),
	};

	assert_true(announced < part_len);
	return bh_spans_open(s, number, &content);
}

/* The first `count` frames. */
static inline bh_status open_some(bh_spans *s, const sealed *in, size_t count, bh_buf *out)
{
	bh_status st = BH_OK;

	out->len = 0;
	for (size_t i = 0; i < count && st == BH_OK; i++) {
		st = open_frame(s, i, &in->frames[i]);
		take_ready(s, out);
	}
	return st;
}

static inline bh_status open_sealed(fixture *f, bh_file_kind kind, const sealed *in, bh_buf *out)
{
	bh_spans *s = new_codec(f, kind, BH_SPANS_OPEN);
	bh_status st = open_some(s, in, in->count, out);

	if (st == BH_OK)
		st = bh_spans_finish(s);
	take_ready(s, out);
	bh_spans_free(s);
	return st;
}

static inline void assert_same(const bh_buf *a, const bh_buf *b)
{
	assert_int_equal(a->len, b->len);
	if (a->len > 0)
		assert_memory_equal(a->data, b->data, a->len);
}

#endif
