/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed_fixture.h: for tests of env's codecs: three DEKs with fixed bytes (the platform's, merchant a's, merchant b's), the scopes
 * that know them, and files sealed into memory. Column family 0 is the platform's, 1 is a's, 2 is b's.
 */
#ifndef SEALED_FIXTURE_H
#define SEALED_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "env/format/frame.h"
#include "env/format/pages.h"
#include "env/stream/stream.h"

enum { KEYS = 3, PLATFORM = 0, MERCHANT_A = 1, MERCHANT_B = 2 };

typedef struct keys {
	bh_dek *dek[KEYS];
	bh_status gone[KEYS]; /* what to answer instead of the DEK; BH_OK: it is there */
	bh_scopes scopes;
} keys;

static inline bh_status keys_for_cf(void *arg, uint32_t cf_id, bh_dek **out)
{
	keys *k = arg;

	if (cf_id == BH_CF_DEFAULT) {
		*out = NULL;
		return BH_OK;
	}
	if (cf_id >= KEYS)
		return bh_fail(BH_E_NOT_FOUND, "no column family %u", cf_id);
	if (k->gone[cf_id] != BH_OK)
		return bh_fail(k->gone[cf_id], "the DEK of column family %u is gone", cf_id);
	*out = bh_dek_ref(k->dek[cf_id]);
	return BH_OK;
}

static inline bh_status keys_by_id(void *arg, const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	keys *k = arg;

	for (int i = 0; i < KEYS; i++) {
		if (memcmp(bh_dek_id(k->dek[i]), id, BH_ID_LEN) != 0)
			continue;
		if (k->gone[i] != BH_OK)
			return bh_fail(k->gone[i], "DEK %d is gone", i);
		*out = bh_dek_ref(k->dek[i]);
		return BH_OK;
	}
	return bh_fail(BH_E_NO_KEY, "no such DEK");
}

static inline bh_status keys_cf_added(void *arg, uint32_t cf_id, bh_view name)
{
	(void)arg, (void)cf_id, (void)name;
	return BH_OK;
}

static inline bh_status keys_cf_dropped(void *arg, uint32_t cf_id)
{
	(void)arg, (void)cf_id;
	return BH_OK;
}

static inline void keys_cf_log_number(void *arg, uint32_t cf_id, uint64_t number)
{
	(void)arg, (void)cf_id, (void)number;
}

static inline bh_status keys_cf_scope(void *arg, uint32_t cf_id, bh_scope *out)
{
	const keys *k = arg;

	if (cf_id >= KEYS)
		return BH_E_NOT_FOUND;
	*out = *bh_dek_scope(k->dek[cf_id]);
	return BH_OK;
}

static inline bh_status keys_cf_blank(void *arg, uint32_t cf_id, const bh_header *file)
{
	(void)arg, (void)cf_id, (void)file;
	return BH_OK;
}

static inline bool keys_cf_attached(void *arg, bh_view name)
{
	(void)arg, (void)name;
	return true;
}

static inline bh_dek *fixed_dek(uint8_t id_byte, uint8_t key_byte, const char *merchant)
{
	uint8_t id[BH_ID_LEN], key[BH_DEK_LEN];
	bh_buf context = { 0 };
	bh_scope scope = { 0 };
	bh_dek *dek = NULL;

	memset(id, id_byte, sizeof(id));
	memset(key, key_byte, sizeof(key));
	snprintf(scope.merchant, sizeof(scope.merchant), "%s", merchant);
	snprintf(scope.cls, sizeof(scope.cls), "%s", merchant[0] ? "events" : "");
	assert_int_equal(bh_context_encode((const uint8_t *)"0123456789abcdef", "eu-1", &scope, id, &context), BH_OK);
	assert_int_equal(bh_dek_new(id, &scope, 1, bh_buf_view(&context), bh_view_of(key, sizeof(key)), &dek), BH_OK);
	bh_buf_clear(&context);
	return dek;
}

static inline int keys_setup(void **state)
{
	keys *k = calloc(1, sizeof(*k));

	k->dek[PLATFORM] = fixed_dek(0xa0, 0x50, "");
	k->dek[MERCHANT_A] = fixed_dek(0xa1, 0x51, "acme");
	k->dek[MERCHANT_B] = fixed_dek(0xa2, 0x52, "bolt");
	k->scopes = (bh_scopes){
		.arg = k,
		.dek_for_cf = keys_for_cf,
		.dek_by_id = keys_by_id,
		.cf_added = keys_cf_added,
		.cf_dropped = keys_cf_dropped,
		.cf_log_number = keys_cf_log_number,
		.cf_scope = keys_cf_scope,
		.cf_blank = keys_cf_blank,
		.cf_attached = keys_cf_attached,
	};
	*state = k;
	return 0;
}

static inline int keys_teardown(void **state)
{
	keys *k = *state;

	for (int i = 0; i < KEYS; i++)
		bh_dek_unref(k->dek[i]);
	free(k);
	return 0;
}

/* Bytes that differ from page to page and from offset to offset. */
static inline uint8_t *pattern(size_t len)
{
	uint8_t *p = malloc(len + 1);
	uint32_t x = 12345;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (uint8_t)(x >> 24);
	}
	return p;
}

/* A paged file in memory, appended `chunk` bytes at a time. */
static inline bh_buf sealed_pages(bh_dek *dek, bh_file_kind kind, uint32_t page_size, bh_view plain, size_t chunk)
{
	uint8_t header[BH_HEADER_LEN];
	bh_file_key key = { 0 };
	bh_page_writer *w = NULL;
	bh_buf out = { 0 };

	assert_int_equal(bh_header_create(kind, page_size, 7, dek, &key, header), BH_OK);
	assert_int_equal(bh_page_writer_new(&key, header, &w), BH_OK);
	assert_null(key.aead);
	for (size_t off = 0; off < plain.len; off += BH_MIN(chunk, plain.len - off))
		assert_int_equal(bh_page_writer_append(w, bh_view_of(plain.data + off, BH_MIN(chunk, plain.len - off)), &out),
				 BH_OK);
	assert_int_equal(bh_page_writer_finish(w, &out), BH_OK);
	assert_int_equal(bh_page_writer_logical(w), plain.len);
	assert_int_equal(bh_page_writer_physical(w), out.len);
	bh_page_writer_free(w);
	return out;
}

/* Reads [off, off+len) of a file in memory. */
static inline bh_status read_range(const bh_page_file *f, bh_view file, uint64_t off, size_t len, uint8_t *dst, size_t *got)
{
	bh_page_range r = bh_page_file_range(f, off, len);

	if (r.len == 0) {
		*got = 0;
		return BH_OK;
	}
	assert_true(r.off + r.len <= file.len);
	*got = r.out_len;
	return bh_page_file_open_range(f, off, len, bh_view_of(file.data + r.off, r.len), dst);
}

/* Opens and reads a whole paged file into `out`. */
static inline bh_status read_pages(bh_view file, const bh_scopes *scopes, bh_buf *out)
{
	bh_page_file *f = NULL;
	size_t got = 0, size;
	bh_status status = bh_page_file_new(bh_view_of(file.data, BH_MIN(file.len, BH_HEADER_LEN)), file.len, scopes, &f);

	if (status != BH_OK)
		return status;
	size = (size_t)bh_page_file_size(f);
	out->len = 0;
	assert_int_equal(bh_buf_reserve(out, size + 1), BH_OK);
	status = read_range(f, file, 0, size + 1, out->data, &got);
	if (status == BH_OK)
		assert_int_equal(got, size);
	out->len = got;
	bh_page_file_free(f);
	return status;
}

static inline size_t varint_len(size_t value)
{
	size_t len = 1;

	for (; value >= 0x80; value >>= 7)
		len++;
	return len;
}

/* Physical bytes of a frame by its lengths. */
static inline size_t frame_len(size_t sections, size_t part)
{
	return varint_len(part) + varint_len(sections) + sections + part + BH_TAG_LEN;
}

/* ... and of the one at `file[off]`, which there is. */
static inline size_t frame_len_at(bh_file_kind kind, bh_view file, size_t off)
{
	bh_frame_head head = { 0 };

	assert_true(bh_frame_head_read(kind, bh_view_of(file.data + off, file.len - off), &head));
	return bh_frame_size(&head);
}

/* A stream in memory: one append a piece, and a sync mark after `synced` pieces. */
static inline bh_buf sealed_stream(keys *k, bh_dek *dek, bh_file_kind kind, const bh_view *pieces, size_t count, size_t synced)
{
	uint8_t header[BH_HEADER_LEN], mark[BH_SYNC_MARK_LEN];
	bh_file_key key = { 0 };
	bh_stream_writer *w = NULL;
	bh_buf out = { 0 };
	bool needed = false;

	assert_int_equal(bh_header_create(kind, 0, 9, dek, &key, header), BH_OK);
	assert_int_equal(bh_stream_writer_new(&key, header, &k->scopes, header, &w), BH_OK);
	assert_null(key.aead);
	assert_int_equal(bh_buf_append(&out, header, BH_HEADER_LEN), BH_OK);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(bh_stream_writer_append(w, pieces[i], &out), BH_OK);
		bh_stream_writer_written(w);
		if (i + 1 != synced)
			continue;
		assert_int_equal(bh_stream_writer_sync_mark(w, bh_stream_writer_point(w), &needed, mark), BH_OK);
		assert_true(needed);
		memcpy(out.data + BH_SYNC_MARK_OFFSET, mark, sizeof(mark));
	}
	assert_int_equal(bh_stream_writer_physical(w), out.len);
	bh_stream_writer_free(w);
	return out;
}

/* Reads a stream in memory, `chunk` bytes a push (0: all at once); what came out before an error is in `out` as well. */
static inline bh_status read_stream(bh_view file, const bh_scopes *scopes, bool raw, size_t chunk, bh_buf *out, bh_stream_end *end)
{
	bh_stream_reader *r = NULL;
	bh_status status = bh_stream_reader_new(bh_view_of(file.data, BH_MIN(file.len, BH_HEADER_LEN)), scopes, raw, &r);
	bh_view ready;

	out->len = 0;
	*end = BH_STREAM_OPEN;
	if (status != BH_OK)
		return status;
	for (size_t off = BH_HEADER_LEN; status == BH_OK && off < file.len;) {
		size_t len = chunk ? BH_MIN(chunk, file.len - off) : file.len - off;

		status = bh_stream_reader_push(r, bh_view_of(file.data + off, len));
		off += len;
	}
	if (status == BH_OK)
		status = bh_stream_reader_finish(r);
	ready = bh_stream_reader_ready(r);
	assert_int_equal(bh_buf_append(out, ready.data, ready.len), BH_OK);
	bh_stream_reader_consume(r, ready.len);
	*end = bh_stream_reader_end(r);
	bh_stream_reader_free(r);
	return status;
}

#endif
