/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kdf.c: known answers, limits, and that OpenSSL's error queue is left to the host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "keyring/crypto/hmac_series.h"
#include "keyring/crypto/kdf.h"
#include "keyring/base/random.h"

static void expect_hex(const uint8_t *data, size_t len, const char *expected)
{
	char hex[256];

	assert_true(2 * len < sizeof(hex));
	bh_hex(data, len, hex);
	assert_string_equal(hex, expected);
}

/* RFC 5869, A.1 */
static void hkdf_known_answer(void **state)
{
	static const uint8_t salt[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	static const uint8_t info[] = { 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9 };
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	uint8_t ikm[22], okm[42];

	(void)state;
	memset(ikm, 0x0b, sizeof(ikm));
	assert_int_equal(bh_hkdf(bh_view_of(ikm, sizeof(ikm)), bh_view_of(salt, sizeof(salt)), bh_view_of(info, sizeof(info)), okm,
				 sizeof(okm)),
			 BH_OK);
	expect_hex(okm, sizeof(okm), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
	assert_int_equal(bh_hkdf_secret(bh_view_of(ikm, sizeof(ikm)), bh_view_of(salt, sizeof(salt)),
					bh_view_of(info, sizeof(info)), sizeof(okm), &secret),
			 BH_OK);
	assert_int_equal(secret.len, sizeof(okm));
	assert_memory_equal(secret.data, okm, sizeof(okm));
}

/* RFC 5869, A.3 */
static void hkdf_without_salt_and_info(void **state)
{
	uint8_t ikm[22], okm[42];

	(void)state;
	memset(ikm, 0x0b, sizeof(ikm));
	assert_int_equal(bh_hkdf(bh_view_of(ikm, sizeof(ikm)), (bh_view){ 0 }, (bh_view){ 0 }, okm, sizeof(okm)), BH_OK);
	expect_hex(okm, sizeof(okm), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

static void hkdf_limits(void **state)
{
	static uint8_t okm[255 * 32 + 1], info[1 << 20];
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	bh_view ikm = bh_view_str("key");

	(void)state;
	assert_int_equal(bh_hkdf(ikm, (bh_view){ 0 }, (bh_view){ 0 }, okm, sizeof(okm) - 1), BH_OK);
	assert_int_equal(bh_hkdf(ikm, (bh_view){ 0 }, (bh_view){ 0 }, okm, sizeof(okm)), BH_E_INVALID);
	assert_int_equal(bh_hkdf(ikm, (bh_view){ 0 }, (bh_view){ 0 }, okm, 0), BH_E_INVALID);
	assert_int_equal(bh_hkdf((bh_view){ 0 }, (bh_view){ 0 }, (bh_view){ 0 }, okm, 32), BH_E_INVALID);
	assert_int_equal(bh_hkdf_secret(ikm, (bh_view){ 0 }, (bh_view){ 0 }, sizeof(okm), &secret), BH_E_INVALID);
	assert_null(secret.data);
	/* Far more than any encryption context. */
	assert_int_equal(bh_hkdf(ikm, (bh_view){ 0 }, bh_view_of(info, 1024), okm, 32), BH_OK);
	assert_int_equal(bh_hkdf(ikm, (bh_view){ 0 }, bh_view_of(info, sizeof(info)), okm, 32), BH_E_CRYPTO);
	assert_int_equal(bh_secret_in_use(), 0);
}

/* RFC 4231, test case 2, cut in every way into three parts. */
static void hmac_of_parts(void **state)
{
	static const char text[] = "what do ya want for nothing?";
	const size_t len = sizeof(text) - 1;
	uint8_t mac[BH_SHA256_LEN];
	size_t i, j;

	(void)state;
	for (i = 0; i <= len; i++) {
		for (j = i; j <= len; j++) {
			bh_view parts[] = { bh_view_of(text, i), bh_view_of(text + i, j - i), bh_view_of(text + j, len - j) };

			assert_int_equal(bh_hmac(bh_view_str("Jefe"), parts, 3, mac), BH_OK);
			expect_hex(mac, sizeof(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
		}
	}
}

static void hmac_of_nothing(void **state)
{
	uint8_t mac[BH_SHA256_LEN];

	(void)state;
	assert_int_equal(bh_hmac((bh_view){ 0 }, NULL, 0, mac), BH_OK);
	expect_hex(mac, sizeof(mac), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* Messages that begin like the one before, for more or less of their length, up to all of it and to none. */
static void hmac_series_is_hmac(void **state)
{
	BH_CLEANUP(bh_hmac_series_freep) bh_hmac_series *series = NULL;
	const bh_view key = bh_view_str("thirty-two bytes of a key, or so");
	uint8_t message[BH_HMAC_SERIES_MAX] = { 0 }, mac[BH_SHA256_LEN], expected[BH_SHA256_LEN];
	uint32_t seed = 4711;

	(void)state;
	assert_int_equal(bh_hmac_series_new(key, &series), BH_OK);
	for (int i = 0; i < 5000; i++) {
		const bh_view all = bh_view_of(message, (seed = seed * 1664525 + 1013904223) >> 8 & 511);
		const bh_view part = i % 5 == 0 ? bh_view_of(message, sizeof(message)) : all;

		assert_int_equal(bh_hmac_series_next(series, part, mac), BH_OK);
		assert_int_equal(bh_hmac(key, &part, 1, expected), BH_OK);
		assert_memory_equal(mac, expected, sizeof(mac));
		seed = seed * 1664525 + 1013904223;
		if (i % 3 != 0)
			message[seed >> 8 & 511]++;
	}
	assert_int_equal(bh_hmac_series_next(series, bh_view_of(message, sizeof(message) + 1), mac), BH_E_INVALID);
	assert_true(bh_secret_in_use() > 0);
}

static void hmac_series_refuses_long_keys(void **state)
{
	static const uint8_t key[65];
	bh_hmac_series *series = NULL;

	(void)state;
	assert_int_equal(bh_hmac_series_new(bh_view_of(key, sizeof(key)), &series), BH_E_INVALID);
	assert_null(series);
	assert_int_equal(bh_secret_in_use(), 0);
}

static void sha256_known_answers(void **state)
{
	uint8_t digest[BH_SHA256_LEN];

	(void)state;
	assert_int_equal(bh_sha256(bh_view_str("abc"), digest), BH_OK);
	expect_hex(digest, sizeof(digest), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(bh_sha256((bh_view){ 0 }, digest), BH_OK);
	expect_hex(digest, sizeof(digest), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void random_bytes_differ(void **state)
{
	static uint8_t large[3 << 20];
	uint8_t a[32], b[32];
	size_t zeros = 0, i;

	(void)state;
	assert_int_equal(bh_random(a, sizeof(a)), BH_OK);
	assert_int_equal(bh_random(b, sizeof(b)), BH_OK);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(bh_random(large, sizeof(large)), BH_OK);
	for (i = 0; i < sizeof(large); i++)
		zeros += large[i] == 0;
	assert_true(zeros < sizeof(large) / 128);
	assert_int_equal(bh_random(NULL, 0), BH_OK);
}

static void the_hosts_errors_stay(void **state)
{
	static uint8_t okm[32], info[1 << 20];
	unsigned long before;

	(void)state;
	ERR_clear_error();
	assert_int_equal(bh_hkdf(bh_view_str("key"), (bh_view){ 0 }, bh_view_of(info, sizeof(info)), okm, 32), BH_E_CRYPTO);
	assert_int_equal(ERR_peek_error(), 0);
	ERR_raise(ERR_LIB_USER, 7);
	before = ERR_peek_last_error();
	assert_int_equal(bh_hkdf(bh_view_str("key"), (bh_view){ 0 }, bh_view_of(info, sizeof(info)), okm, 32), BH_E_CRYPTO);
	assert_int_equal(ERR_peek_last_error(), before);
	ERR_clear_error();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hkdf_known_answer),
		cmocka_unit_test(hkdf_without_salt_and_info),
		cmocka_unit_test(hkdf_limits),
		cmocka_unit_test(hmac_of_parts),
		cmocka_unit_test(hmac_of_nothing),
		cmocka_unit_test(hmac_series_is_hmac),
		cmocka_unit_test(hmac_series_refuses_long_keys),
		cmocka_unit_test(sha256_known_answers),
		cmocka_unit_test(random_bytes_differ),
		cmocka_unit_test(the_hosts_errors_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
