/* SPDX-License-Identifier: Apache-2.0
 *
 * base.h: what every Bulkhead source file may use: the two control-flow macros, buffers, and the sticky reader.
 *
 * Invariants: outputs of a failing call are untouched; a sticky reader that has failed stays failed and yields zeros.
 */
#ifndef BH_BASE_H
#define BH_BASE_H

#include <bulkhead/bytes.h>
#include <bulkhead/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Returns from the function with the code of `call` unless it is BH_OK. */
#define BH_TRY(call)                                                                                                               \
	do {                                                                                                                       \
		bh_status bh_try_status_ = (call);                                                                                 \
		if (bh_try_status_ != BH_OK)                                                                                       \
			return bh_try_status_;                                                                                     \
	} while (0)

/* Runs `clear(&var)` when the variable leaves its scope. */
#define BH_CLEANUP(clear) __attribute__((cleanup(clear)))

/* What bh_status_message() says: NULL is nothing. Here, and in static memory, so that a call on a hot path clears or sets it by one
 * store. */
extern __thread const char *bh_status_said __attribute__((tls_model("initial-exec")));

/* Around the result of every public call that returns a status, so that one that went well leaves no message of an earlier one, nor
 * of what it came across on its way. */
static inline bh_status bh_done(bh_status status)
{
	if (status == BH_OK)
		bh_status_said = NULL;
	return status;
}

/* As bh_fail() with a text that lives for ever and is taken as it is, for what happens too often to be formatted. */
static inline bh_status bh_fail_with(bh_status status, const char *text)
{
	bh_status_said = text;
	return status;
}

#define BH_MESSAGE_SIZE 512 /* 511 bytes and the NUL */

/* The thread's message, kept over what goes on after a failure and must not speak for it, nor be heard instead of it. */
typedef struct bh_message {
	char text[BH_MESSAGE_SIZE];
} bh_message;
bh_message bh_message_keep(void);
void bh_message_restore(const bh_message *kept);

#define BH_MIN(a, b) ((a) < (b) ? (a) : (b))
#define BH_MAX(a, b) ((a) > (b) ? (a) : (b))

#define BH_NAME_MAX 64 /* bytes of a merchant, class or region name, without the NUL */

/* Checks a merchant, class or region name: [A-Za-z0-9][A-Za-z0-9._-]{0,63}. `what` names it in the message.
 * Errors: BH_E_INVALID. */
BH_MUST_CHECK bh_status bh_name_check(const char *what, const char *name);

/* Buffers. All of them may fail with BH_E_NOMEM and then leave `buf` as it was. */
BH_MUST_CHECK bh_status bh_buf_reserve(bh_buf *buf, size_t extra); /* room for `extra` more bytes */
BH_MUST_CHECK bh_status bh_buf_append(bh_buf *buf, const void *data, size_t len);
BH_MUST_CHECK bh_status bh_buf_append_u8(bh_buf *buf, uint8_t v);
BH_MUST_CHECK bh_status bh_buf_append_u16(bh_buf *buf, uint16_t v); /* little-endian, as all integers of the formats */
BH_MUST_CHECK bh_status bh_buf_append_u32(bh_buf *buf, uint32_t v);
BH_MUST_CHECK bh_status bh_buf_append_u64(bh_buf *buf, uint64_t v);
BH_MUST_CHECK bh_status bh_buf_append_blob16(bh_buf *buf, bh_view v); /* u16 length, then the bytes; BH_E_INVALID over 65535 */
BH_MUST_CHECK bh_status bh_buf_printf(bh_buf *buf, const char *fmt, ...) BH_PRINTF(2, 3); /* appends text, no NUL counted */

static inline void bh_put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static inline void bh_put_u32(uint8_t *p, uint32_t v)
{
	bh_put_u16(p, (uint16_t)v);
	bh_put_u16(p + 2, (uint16_t)(v >> 16));
}
static inline void bh_put_u64(uint8_t *p, uint64_t v)
{
	bh_put_u32(p, (uint32_t)v);
	bh_put_u32(p + 4, (uint32_t)(v >> 32));
}
static inline uint16_t bh_get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | (uint16_t)p[1] << 8);
}
static inline uint32_t bh_get_u32(const uint8_t *p)
{
	return bh_get_u16(p) | (uint32_t)bh_get_u16(p + 2) << 16;
}
static inline uint64_t bh_get_u64(const uint8_t *p)
{
	return bh_get_u32(p) | (uint64_t)bh_get_u32(p + 4) << 32;
}

/* Sticky reader: read every field, then ask bh_reader_ok() once. */
typedef struct bh_reader {
	bh_view rest;
	bool failed;
} bh_reader;

static inline bh_reader bh_reader_of(bh_view v)
{
	bh_reader r = { v, false };
	return r;
}
bh_view bh_read_bytes(bh_reader *r, size_t len); /* {NULL, 0} and failed if there are fewer */
uint8_t bh_read_u8(bh_reader *r);
uint16_t bh_read_u16(bh_reader *r);
uint32_t bh_read_u32(bh_reader *r);
uint64_t bh_read_u64(bh_reader *r);
bh_view bh_read_blob16(bh_reader *r);
/* LEB128 as RocksDB writes it; `max_bits` is 32 or 64. A value that is too large, or padded with zeros, fails. */
uint64_t bh_read_varint(bh_reader *r, unsigned max_bits);
static inline bool bh_reader_ok(const bh_reader *r)
{
	return !r->failed;
}
static inline bool bh_reader_done(const bh_reader *r)
{
	return !r->failed && r->rest.len == 0;
}

/* Lower-case hex: writes 2*len characters and a NUL to `out`. */
void bh_hex(const uint8_t *data, size_t len, char *out);
/* Reads exactly `len` bytes of hex, either case, to the NUL. Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_unhex(const char *hex, uint8_t *out, size_t len);

/* Equality in time that depends on `len` alone. */
bool bh_equal_ct(const void *a, const void *b, size_t len);

/* Overwrites memory in a way the compiler does not remove. */
void bh_wipe(void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
