/* SPDX-License-Identifier: Apache-2.0
 *
 * bytes.h: borrowed and owned runs of bytes.
 *
 * bh_view borrows: it is passed by value and never freed. bh_buf owns heap memory. Neither is for secrets.
 * Thread-safety: none beyond that of plain data.
 */
#ifndef BULKHEAD_BYTES_H
#define BULKHEAD_BYTES_H

#include <bulkhead/status.h>

#ifndef BH_FFI_BARE
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed bytes; `data` may be NULL where `len` is 0. */
typedef struct bh_view {
	const uint8_t *data;
	size_t len; /* bytes */
} bh_view;

/* Owned bytes. All zero is a valid empty buffer; release with bh_buf_clear(). */
typedef struct bh_buf {
	uint8_t *data;
	size_t len; /* bytes in use */
	size_t cap; /* bytes allocated */
} bh_buf;

/* Views of `len` bytes, of a string without its NUL, and of what a buffer holds. The library has all three as functions, too. */
#ifdef BH_FFI
BH_API bh_view bh_view_of(const void *data, size_t len);
BH_API bh_view bh_view_str(const char *str);
BH_API bh_view bh_buf_view(const bh_buf *buf);
#else
static inline bh_view bh_view_of(const void *data, size_t len)
{
	bh_view view = { (const uint8_t *)data, len };
	return view;
}

static inline bh_view bh_view_str(const char *str)
{
	return bh_view_of(str, strlen(str));
}

static inline bh_view bh_buf_view(const bh_buf *buf)
{
	return bh_view_of(buf->data, buf->len);
}
#endif

/* Frees the memory and makes the buffer empty; NULL-safe. */
BH_API void bh_buf_clear(bh_buf *buf);

#ifdef __cplusplus
}
#endif
#endif
