/* SPDX-License-Identifier: Apache-2.0
 *
 * bytes.c: buffers, the sticky reader, hex, names, and memory in constant time.
 *
 * Invariants: sizes are compared as `n > rest`, never as a sum that could wrap; a failing call changes nothing.
 * Thread-safety: none beyond that of plain data.
 */
#include "base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#define BUF_CAP_MIN 64

void bh_buf_clear(bh_buf *buf)
{
	if (!buf)
		return;
	free(buf->data);
	*buf = (bh_buf){ 0 };
}

bh_status bh_buf_reserve(bh_buf *buf, size_t extra)
{
	size_t cap = BH_MAX(buf->cap, (size_t)BUF_CAP_MIN);
	uint8_t *data;

	if (extra <= buf->cap - buf->len)
		return BH_OK;
	if (extra > SIZE_MAX / 2 - buf->len)
		return bh_fail(BH_E_NOMEM, "a buffer of %zu and %zu more bytes is more than memory can hold", buf->len, extra);
	while (cap - buf->len < extra)
		cap *= 2;
	data = realloc(buf->data, cap);
	if (!data)
		return bh_fail(BH_E_NOMEM, "no memory for a buffer of %zu bytes", cap);
	buf->data = data;
	buf->cap = cap;
	return BH_OK;
}

bh_status bh_buf_append(bh_buf *buf, const void *data, size_t len)
{
	if (len == 0)
		return BH_OK;
	BH_TRY(bh_buf_reserve(buf, len));
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return BH_OK;
}

bh_status bh_buf_append_u8(bh_buf *buf, uint8_t v)
{
	return bh_buf_append(buf, &v, sizeof(v));
}

bh_status bh_buf_append_u16(bh_buf *buf, uint16_t v)
{
	uint8_t bytes[sizeof(v)];

	bh_put_u16(bytes, v);
	return bh_buf_append(buf, bytes, sizeof(bytes));
}

bh_status bh_buf_append_u32(bh_buf *buf, uint32_t v)
{
	uint8_t bytes[sizeof(v)];

	bh_put_u32(bytes, v);
	return bh_buf_append(buf, bytes, sizeof(bytes));
}

bh_status bh_buf_append_u64(bh_buf *buf, uint64_t v)
{
	uint8_t bytes[sizeof(v)];

	bh_put_u64(bytes, v);
	return bh_buf_append(buf, bytes, sizeof(bytes));
}

bh_status bh_buf_append_blob16(bh_buf *buf, bh_view v)
{
	if (v.len > UINT16_MAX)
		return bh_fail(BH_E_INVALID, "a field of %zu bytes; at most %u fit", v.len, UINT16_MAX);
	/* Room for both at once, so that a failure leaves no lone length behind. */
	BH_TRY(bh_buf_reserve(buf, sizeof(uint16_t) + v.len));
	BH_TRY(bh_buf_append_u16(buf, (uint16_t)v.len));
	return bh_buf_append(buf, v.data, v.len);
}

bh_status bh_buf_printf(bh_buf *buf, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		return bh_fail(BH_E_INVALID, "text that cannot be formatted");
	BH_TRY(bh_buf_reserve(buf, (size_t)len + 1));
	va_start(args, fmt);
	vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, fmt, args);
	va_end(args);
	buf->len += (size_t)len;
	return BH_OK;
}

static bh_view reader_fail(bh_reader *r)
{
	r->failed = true;
	r->rest = (bh_view){ 0 };
	return r->rest;
}

bh_view bh_read_bytes(bh_reader *r, size_t len)
{
	bh_view v = bh_view_of(r->rest.data, len);

	if (r->failed || len > r->rest.len)
		return reader_fail(r);
	if (len != 0)
		r->rest = bh_view_of(r->rest.data + len, r->rest.len - len);
	return v;
}

uint8_t bh_read_u8(bh_reader *r)
{
	bh_view v = bh_read_bytes(r, sizeof(uint8_t));

	return v.data ? v.data[0] : 0;
}

uint16_t bh_read_u16(bh_reader *r)
{
	bh_view v = bh_read_bytes(r, sizeof(uint16_t));

	return v.data ? bh_get_u16(v.data) : 0;
}

uint32_t bh_read_u32(bh_reader *r)
{
	bh_view v = bh_read_bytes(r, sizeof(uint32_t));

	return v.data ? bh_get_u32(v.data) : 0;
}

uint64_t bh_read_u64(bh_reader *r)
{
	bh_view v = bh_read_bytes(r, sizeof(uint64_t));

	return v.data ? bh_get_u64(v.data) : 0;
}

bh_view bh_read_blob16(bh_reader *r)
{
	return bh_read_bytes(r, bh_read_u16(r));
}

uint64_t bh_read_varint(bh_reader *r, unsigned max_bits)
{
	uint64_t value = 0;
	unsigned shift;

	for (shift = 0; shift < max_bits; shift += 7) {
		uint8_t byte = bh_read_u8(r);
		uint64_t bits = byte & 0x7f;

		if (r->failed || (max_bits - shift < 7 && bits >> (max_bits - shift) != 0))
			break;
		value |= bits << shift;
		if (byte & 0x80)
			continue;
		if (byte == 0 && shift != 0)
			break;
		return value;
	}
	reader_fail(r);
	return 0;
}

void bh_hex(const uint8_t *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < len; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	out[2 * len] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bh_status bh_unhex(const char *hex, uint8_t *out, size_t len)
{
	size_t i;

	for (i = 0; hex[i] != '\0'; i++) {
		if (hex_digit(hex[i]) < 0)
			return bh_fail(BH_E_FORMAT, "character %zu is no hex digit", i + 1);
	}
	if (i % 2 != 0 || i / 2 != len)
		return bh_fail(BH_E_FORMAT, "%zu hex digits where %zu bytes are due", i, len);
	for (i = 0; i < len; i++)
		out[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	return BH_OK;
}

bool bh_equal_ct(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void bh_wipe(void *data, size_t len)
{
	if (len != 0)
		explicit_bzero(data, len);
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_char(char c)
{
	return is_alnum(c) || c == '.' || c == '_' || c == '-';
}

/* A refused name may hold anything, terminal escapes too: what is not plain in it is shown as '?'. */
static void printable(const char *name, char out[BH_NAME_MAX + 4])
{
	size_t i;

	for (i = 0; i < BH_NAME_MAX && name[i] != '\0'; i++)
		out[i] = name[i] > ' ' && name[i] < 0x7f ? name[i] : '?';
	memcpy(out + i, "...", 4);
	if (name[i] == '\0')
		out[i] = '\0';
}

bh_status bh_name_check(const char *what, const char *name)
{
	char shown[BH_NAME_MAX + 4];
	size_t len;

	if (!name || name[0] == '\0')
		return bh_fail(BH_E_INVALID, "%s name is empty; use 1 to %d of A-Z a-z 0-9 . _ -", what, BH_NAME_MAX);
	for (len = 0; len < BH_NAME_MAX && is_name_char(name[len]); len++)
		;
	if (name[len] == '\0' && is_alnum(name[0]))
		return BH_OK;
	printable(name, shown);
	return bh_fail(BH_E_INVALID, "%s name '%s': use 1 to %d of A-Z a-z 0-9 . _ -, first a letter or digit", what, shown,
		       BH_NAME_MAX);
}
