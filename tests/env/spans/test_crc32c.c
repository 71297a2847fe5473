/* SPDX-License-Identifier: Apache-2.0
 *
 * test_crc32c.c: CRC-32C against RFC 3720's examples and a bitwise reference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "env/spans/crc32c.h"

static uint32_t reference(const uint8_t *data, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void test_rfc3720(void **state)
{
	uint8_t buf[32];

	(void)state;
	memset(buf, 0, sizeof(buf));
	assert_int_equal(bh_crc32c(0, buf, sizeof(buf)), 0x8a9136aa);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(bh_crc32c(0, buf, sizeof(buf)), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		buf[i] = (uint8_t)i;
	assert_int_equal(bh_crc32c(0, buf, sizeof(buf)), 0x46dd794e);
	assert_int_equal(bh_crc32c(0, "123456789", 9), 0xe3069283);
}

static void test_against_reference(void **state)
{
	uint8_t buf[600];

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 131 + (i >> 3));
	for (size_t len = 0; len <= sizeof(buf); len++)
		assert_int_equal(bh_crc32c(0, buf, len), reference(buf, len));
}

static void test_extends(void **state)
{
	uint8_t buf[100];

	(void)state;
	memset(buf, 7, sizeof(buf));
	for (size_t cut = 0; cut <= sizeof(buf); cut++)
		assert_int_equal(bh_crc32c(bh_crc32c(0, buf, cut), buf + cut, sizeof(buf) - cut), bh_crc32c(0, buf, sizeof(buf)));
}

/* The mask's own definition: rotated right by 15 bits, plus a constant. */
static void test_mask(void **state)
{
	(void)state;
	assert_int_equal(bh_crc32c_mask(0), 0xa282ead8);
	assert_int_equal(bh_crc32c_mask(0x8000), 0xa282ead9);
	assert_int_equal(bh_crc32c_mask(1), 0xa284ead8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc3720),
		cmocka_unit_test(test_against_reference),
		cmocka_unit_test(test_extends),
		cmocka_unit_test(test_mask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
