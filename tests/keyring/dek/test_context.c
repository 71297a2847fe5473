/* SPDX-License-Identifier: Apache-2.0
 *
 * test_context.c: the canonical text, byte for byte: it is the associated data of every wrapped DEK.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "keyring/dek/context.h"

static const uint8_t database[BH_ID_LEN] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
static const uint8_t dek[BH_ID_LEN] = { 0xff, 0xee, 0xdd };

static void expect(const bh_scope *scope, const char *expected)
{
	BH_CLEANUP(bh_buf_clear) bh_buf buf = { 0 };

	assert_int_equal(bh_context_encode(database, "eu-west", scope, dek, &buf), BH_OK);
	assert_int_equal(buf.len, strlen(expected));
	assert_memory_equal(buf.data, expected, buf.len);
}

static void of_a_merchant(void **state)
{
	static const bh_scope scope = { .merchant = "shop", .cls = "profile" };

	(void)state;
	assert_false(bh_scope_is_platform(&scope));
	expect(&scope, "class=profile\ndatabase=000102030405060708090a0b0c0d0e0f\ndek=ffeedd00000000000000000000000000\n"
		       "merchant=shop\nregion=eu-west\n");
}

static void of_the_platform(void **state)
{
	static const bh_scope scope;

	(void)state;
	assert_true(bh_scope_is_platform(&scope));
	expect(&scope, "class=\ndatabase=000102030405060708090a0b0c0d0e0f\ndek=ffeedd00000000000000000000000000\nmerchant=\n"
		       "region=eu-west\n");
}

static void it_is_appended(void **state)
{
	static const bh_scope scope;
	BH_CLEANUP(bh_buf_clear) bh_buf buf = { 0 };

	(void)state;
	assert_int_equal(bh_buf_append(&buf, "before ", 7), BH_OK);
	assert_int_equal(bh_context_encode(database, "r", &scope, dek, &buf), BH_OK);
	assert_memory_equal(buf.data, "before class=\n", 14);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_a_merchant),
		cmocka_unit_test(of_the_platform),
		cmocka_unit_test(it_is_appended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
