/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bytes.c: buffers, the sticky reader, hex and names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keyring/base/base.h"

static void integers_are_little_endian(void **state)
{
	static const uint8_t expected[] = { 1, 3, 2, 7, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8 };
	BH_CLEANUP(bh_buf_clear) bh_buf buf = { 0 };
	bh_reader r;

	(void)state;
	assert_int_equal(bh_buf_append_u8(&buf, 1), BH_OK);
	assert_int_equal(bh_buf_append_u16(&buf, 0x0203), BH_OK);
	assert_int_equal(bh_buf_append_u32(&buf, 0x04050607), BH_OK);
	assert_int_equal(bh_buf_append_u64(&buf, 0x08090a0b0c0d0e0f), BH_OK);
	assert_int_equal(buf.len, sizeof(expected));
	assert_memory_equal(buf.data, expected, sizeof(expected));
	r = bh_reader_of(bh_buf_view(&buf));
	assert_int_equal(bh_read_u8(&r), 1);
	assert_int_equal(bh_read_u16(&r), 0x0203);
	assert_int_equal(bh_read_u32(&r), 0x04050607);
	assert_true(bh_reader_ok(&r) && !bh_reader_done(&r));
	assert_true(bh_read_u64(&r) == 0x08090a0b0c0d0e0f);
	assert_true(bh_reader_done(&r));
}

/* Reads a record of each primitive out of `v`. */
static bool read_record(bh_view v)
{
	bh_reader r = bh_reader_of(v);

	bh_read_u8(&r);
	bh_read_u16(&r);
	bh_read_blob16(&r);
	bh_read_varint(&r, 64);
	bh_read_u32(&r);
	bh_read_u64(&r);
	bh_read_bytes(&r, 3);
	return bh_reader_done(&r);
}

static void every_truncation_fails(void **state)
{
	static const uint8_t record[] = { 1, 2, 2, 3, 0, 'a', 'b', 'c', 0x80, 0x01, 4,   4,  4,
					  4, 8, 8, 8, 8, 8,   8,   8,   8,    'x',  'y', 'z' };
	size_t len;

	(void)state;
	assert_true(read_record(bh_view_of(record, sizeof(record))));
	for (len = 0; len < sizeof(record); len++) {
		/* A copy of that very size, so that a sanitizer sees a byte too many. */
		uint8_t *copy = malloc(len + 1);

		memcpy(copy + 1, record, len);
		assert_false(read_record(bh_view_of(copy + 1, len)));
		free(copy);
	}
}

static void a_failed_reader_stays_failed(void **state)
{
	static const uint8_t data[] = { 1, 2, 3 };
	bh_reader r = bh_reader_of(bh_view_of(data, sizeof(data)));

	(void)state;
	assert_null(bh_read_bytes(&r, SIZE_MAX).data);
	assert_int_equal(bh_read_u8(&r), 0);
	assert_int_equal(bh_read_bytes(&r, 0).len, 0);
	assert_int_equal(bh_read_varint(&r, 32), 0);
	assert_false(bh_reader_ok(&r) || bh_reader_done(&r));
}

static void an_empty_view_reads_as_empty(void **state)
{
	bh_reader r = bh_reader_of((bh_view){ 0 });

	(void)state;
	assert_int_equal(bh_read_bytes(&r, 0).len, 0);
	assert_true(bh_reader_done(&r));
}

typedef struct varint_case {
	const char *name;
	const char *bytes;
	size_t len;
	unsigned max_bits;
	bool ok;
	uint64_t value;
} varint_case;

static void varints(void **state)
{
	static const varint_case cases[] = {
		{ "zero", "\x00", 1, 32, true, 0 },
		{ "127", "\x7f", 1, 32, true, 127 },
		{ "128", "\x80\x01", 2, 32, true, 128 },
		{ "largest of 32", "\xff\xff\xff\xff\x0f", 5, 32, true, UINT32_MAX },
		{ "one bit over 32", "\xff\xff\xff\xff\x1f", 5, 32, false, 0 },
		{ "33 bits where 64 fit", "\xff\xff\xff\xff\x1f", 5, 64, true, 0x1ffffffff },
		{ "six bytes for 32", "\x80\x80\x80\x80\x80\x01", 6, 32, false, 0 },
		{ "largest of 64", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, 64, true, UINT64_MAX },
		{ "one bit over 64", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03", 10, 64, false, 0 },
		{ "eleven bytes", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, 64, false, 0 },
		{ "padded zero", "\x80\x00", 2, 64, false, 0 },
		{ "padded one", "\x81\x80\x00", 3, 64, false, 0 },
		{ "cut", "\x80", 1, 64, false, 0 },
		{ "nothing", "", 0, 64, false, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bh_reader r = bh_reader_of(bh_view_of(cases[i].bytes, cases[i].len));
		uint64_t value = bh_read_varint(&r, cases[i].max_bits);

		if (value != cases[i].value || bh_reader_done(&r) != cases[i].ok)
			fail_msg("varint '%s'", cases[i].name);
	}
}

static void buffers_grow(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf buf = { 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < 10000; i++)
		assert_int_equal(bh_buf_append_u32(&buf, i), BH_OK);
	for (i = 0; i < 10000; i++)
		assert_int_equal(bh_get_u32(buf.data + 4 * (size_t)i), i);
	assert_int_equal(bh_buf_append(&buf, NULL, 0), BH_OK);
	assert_int_equal(buf.len, 40000);
	bh_buf_clear(&buf);
	assert_null(buf.data);
	bh_buf_clear(NULL);
}

static void a_failed_append_changes_nothing(void **state)
{
	static const uint8_t data[UINT16_MAX + 1];
	BH_CLEANUP(bh_buf_clear) bh_buf buf = { 0 };
	bh_buf before;

	(void)state;
	assert_int_equal(bh_buf_append(&buf, "abc", 3), BH_OK);
	before = buf;
	assert_int_equal(bh_buf_reserve(&buf, SIZE_MAX), BH_E_NOMEM);
	assert_int_equal(bh_buf_reserve(&buf, SIZE_MAX - 3), BH_E_NOMEM);
	assert_int_equal(bh_buf_append_blob16(&buf, bh_view_of(data, sizeof(data))), BH_E_INVALID);
	assert_memory_equal(&buf, &before, sizeof(buf));
	assert_int_equal(bh_buf_append_blob16(&buf, bh_view_of(data, UINT16_MAX)), BH_OK);
	assert_int_equal(buf.len, 3 + 2 + UINT16_MAX);
}

static void text_is_appended(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf buf = { 0 };

	(void)state;
	assert_int_equal(bh_buf_printf(&buf, "%s", ""), BH_OK);
	assert_int_equal(bh_buf_printf(&buf, "%d-%s", 12, "abc"), BH_OK);
	assert_int_equal(bh_buf_printf(&buf, "%0200d", 7), BH_OK);
	assert_int_equal(buf.len, 206);
	assert_memory_equal(buf.data, "12-abc000", 9);
	assert_int_equal(buf.data[205], '7');
}

static void hex_round_trips(void **state)
{
	uint8_t bytes[256], back[256];
	char hex[2 * 256 + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	bh_hex(bytes, sizeof(bytes), hex);
	assert_memory_equal(hex, "000102030405060708090a0b", 24);
	assert_int_equal(bh_unhex(hex, back, sizeof(back)), BH_OK);
	assert_memory_equal(back, bytes, sizeof(back));
	assert_int_equal(bh_unhex("aBCd", back, 2), BH_OK);
	assert_memory_equal(back, "\xab\xcd", 2);
	assert_int_equal(bh_unhex("", back, 0), BH_OK);
}

static void what_is_no_hex_is_refused(void **state)
{
	static const char *const cases[] = { "", "00", "000", "00000", "000000", "00g0", "00 0", "0x00", "00\n0", "\xc3\xa9zz" };
	uint8_t out[2] = { 0x55, 0x55 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(bh_unhex(cases[i], out, sizeof(out)), BH_E_FORMAT);
	assert_memory_equal(out, "\x55\x55", 2);
}

static void comparing_and_wiping(void **state)
{
	uint8_t a[40], b[40];
	size_t i;

	(void)state;
	memset(a, 1, sizeof(a));
	memset(b, 1, sizeof(b));
	assert_true(bh_equal_ct(a, b, sizeof(a)) && bh_equal_ct(NULL, NULL, 0));
	for (i = 0; i < 8 * sizeof(a); i++) {
		b[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(bh_equal_ct(a, b, sizeof(a)));
		b[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	bh_wipe(a, 39);
	for (i = 0; i < sizeof(a); i++)
		assert_int_equal(a[i], i == 39);
	bh_wipe(NULL, 0);
}

static void names(void **state)
{
	static const char *const good[] = { "a", "Z9", "0", "shop-1.eu_west", "a..b" };
	static const char *const bad[] = { "", ".", "..", "../x", "-a", "_a", "a/b", "a b", "a\n", "\xc3\xa9", "\x1b[2J" };
	char name[BH_NAME_MAX + 2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(bh_name_check("merchant", good[i]), BH_OK);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(bh_name_check("merchant", bad[i]), BH_E_INVALID);
	assert_null(strchr(bh_status_message(), '\x1b'));
	assert_int_equal(bh_name_check("merchant", NULL), BH_E_INVALID);
	memset(name, 'a', sizeof(name));
	name[BH_NAME_MAX] = '\0';
	assert_int_equal(bh_name_check("merchant", name), BH_OK);
	name[BH_NAME_MAX] = 'a';
	name[BH_NAME_MAX + 1] = '\0';
	assert_int_equal(bh_name_check("merchant", name), BH_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(every_truncation_fails),
		cmocka_unit_test(a_failed_reader_stays_failed),
		cmocka_unit_test(an_empty_view_reads_as_empty),
		cmocka_unit_test(varints),
		cmocka_unit_test(buffers_grow),
		cmocka_unit_test(a_failed_append_changes_nothing),
		cmocka_unit_test(text_is_appended),
		cmocka_unit_test(hex_round_trips),
		cmocka_unit_test(what_is_no_hex_is_refused),
		cmocka_unit_test(comparing_and_wiping),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
