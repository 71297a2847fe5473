/* SPDX-License-Identifier: Apache-2.0
 *
 * test_random.c: random bytes come from two generators at every call. Each is replaced by one that repeats itself, as in the clone
 * of a virtual machine, or fails.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "keyring/base/random.h"

#define LONG 5000 /* more than one step of the kernel's */

static enum { REAL, REPEATS, FAILS } openssl_is, kernel_is;
static unsigned interruptions;

int __real_RAND_priv_bytes(unsigned char *out, int len);
int __wrap_RAND_priv_bytes(unsigned char *out, int len);
int __wrap_RAND_priv_bytes(unsigned char *out, int len)
{
	if (openssl_is == REPEATS)
		memset(out, 0x5a, (size_t)len);
	return openssl_is == REAL ? __real_RAND_priv_bytes(out, len) : openssl_is == REPEATS;
}

ssize_t __real_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags)
{
	if (interruptions > 0) {
		interruptions--;
		errno = EINTR;
		return -1;
	}
	if (kernel_is == FAILS) {
		errno = ENOSYS;
		return -1;
	}
	if (kernel_is == REAL)
		return __real_getrandom(out, len, flags);
	memset(out, 0xa5, len);
	return (ssize_t)len;
}

static int reset(void **state)
{
	(void)state;
	openssl_is = kernel_is = REAL;
	interruptions = 0;
	return 0;
}

/* Two calls give two different things, all over: no 16 bytes of one are those of the other. */
static void expect_fresh(size_t len)
{
	uint8_t one[LONG] = { 0 }, two[LONG] = { 0 };

	assert_int_equal(bh_random(one, len), BH_OK);
	assert_int_equal(bh_random(two, len), BH_OK);
	for (size_t at = 0; at + 16 <= len; at += 16)
		assert_memory_not_equal(one + at, two + at, 16);
}

static void test_one_that_repeats_itself_does_not_show(void **state)
{
	static const size_t lens[] = { 16, 32, 255, 256, 257, LONG };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		openssl_is = REPEATS;
		kernel_is = REAL;
		expect_fresh(lens[i]);
		openssl_is = REAL;
		kernel_is = REPEATS;
		expect_fresh(lens[i]);
	}
}

static void test_a_failure_of_either_is_one(void **state)
{
	uint8_t out[32];

	(void)state;
	kernel_is = FAILS;
	assert_int_equal(bh_random(out, sizeof(out)), BH_E_CRYPTO);
	assert_non_null(strstr(bh_status_message(), "kernel"));
	kernel_is = REAL;
	openssl_is = FAILS;
	assert_int_equal(bh_random(out, sizeof(out)), BH_E_CRYPTO);
}

static void test_an_interrupted_call_goes_on(void **state)
{
	(void)state;
	openssl_is = REPEATS;
	interruptions = 3;
	expect_fresh(LONG);
	assert_int_equal(interruptions, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one_that_repeats_itself_does_not_show, reset),
		cmocka_unit_test_setup(test_a_failure_of_either_is_one, reset),
		cmocka_unit_test_setup(test_an_interrupted_call_goes_on, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
