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

static const uint8_t fixture_salt[BH_SALT_LEN] = { 1, 2, 3, 4, 5 };

/* ---- scopes: families 1 to FAMILY_COUNT, each with a DEK a generation */
typedef struct fixture {
	bh_scopes scopes;
	unsigned generation[FAMILY_COUNT + 1];   /* of the newest DEK */
	bh_status unavailable[FAMILY_COUNT + 1]; /* what a DEK's lookup fails with; BH_OK: it is there */
	bool detached[FAMILY_COUNT + 1];
	bool platform[FAMILY_COUNT + 1]; /* dek_for_cf says: the platform's */
	unsigned asked;                  /* calls of dek_for_cf */
	unsigned added;
	unsigned dropped;
	uint32_t last_cf;
	char last_name[64];
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
typedef struct sealed {
	bh_buf bytes;
	struct {
		size_t at; /* before this byte */
		bh_announcement a;
	} said[64];
	size_t said_count;
} sealed;

static inline void sealed_clear(sealed *s)
{
	bh_buf_clear(&s->bytes);
	s->said_count = 0;
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

static inline void take_sealed(bh_spans *s, sealed *out)
{
	size_t count;
	const bh_announcement *a = bh_spans_announcements(s, &count);

	for (size_t i = 0; i < count; i++) {
		assert_true(out->said_count < 64);
		out->said[out->said_count].at = out->bytes.len;
		out->said[out->said_count++].a = a[i];
	}
	bh_spans_announcements_clear(s);
	take_ready(s, &out->bytes);
}

static inline bh_status seal(fixture *f, bh_file_kind kind, bh_view plain, split by, sealed *out)
{
	bh_status st = BH_OK;
	bh_spans *s;

	sealed_clear(out);
	ok(bh_spans_new(kind, BH_SPANS_SEAL, fixture_salt, &f->scopes, &s));
	for (size_t at = 0; at < plain.len && st == BH_OK;) {
		size_t n = next_piece(by, at, plain.len);

		st = bh_spans_feed(s, bh_view_of(plain.data + at, n));
		take_sealed(s, out);
		at += n;
	}
	bh_spans_free(s);
	return st;
}

/* Pieces are cut where an announcement is due, as frames are. */
static inline bh_status open_sealed(fixture *f, bh_file_kind kind, const sealed *in, split by, bh_buf *out)
{
	bh_status st = BH_OK;
	size_t said = 0;
	bh_spans *s;

	out->len = 0;
	ok(bh_spans_new(kind, BH_SPANS_OPEN, fixture_salt, &f->scopes, &s));
	for (size_t at = 0; at < in->bytes.len && st == BH_OK;) {
		size_t n = next_piece(by, at, in->bytes.len);

		for (; said < in->said_count && in->said[said].at == at; said++)
			ok(bh_spans_announced(s, &in->said[said].a));
		if (said < in->said_count)
			n = BH_MIN(n, in->said[said].at - at);
		st = bh_spans_feed(s, bh_view_of(in->bytes.data + at, n));
		take_ready(s, out);
		at += n;
	}
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
