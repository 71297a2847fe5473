/* SPDX-License-Identifier: Apache-2.0
 *
 * test_traces.c: once a key and all contexts made from it are released, no half of it is left anywhere in the memory of the
 * process: heap, stacks, arena, the libraries' own. An expanded AES-256 key begins with the two halves of the key.
 *
 * The key itself is kept inverted outside of the arena, so that the search does not find what it searches with.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keyring/crypto/aead.h"
#include "keyring/crypto/kdf.h"
#include "keyring/crypto/sign.h"
#include "tests/support/traces.h"

static traced_key traced;

static unsigned count_traces(void)
{
	return traces_count(&traced, 1);
}

static bh_secret new_key(void)
{
	bh_secret key = { 0 };

	assert_int_equal(bh_secret_random(&key, BH_DEK_LEN), BH_OK);
	traced = trace_of(key.data);
	return key;
}

static void use_aead(const bh_aead_engine *engine, bh_view key)
{
	uint8_t data[5000] = { 0 }, tag[BH_TAG_LEN], nonce[BH_NONCE_LEN] = { 0 };
	bh_aead *aead = NULL;

	assert_int_equal(bh_aead_new(engine, key, &aead), BH_OK);
	assert_int_equal(bh_aead_seal(aead, nonce, (bh_view){ 0 }, data, sizeof(data), data, tag), BH_OK);
	assert_int_equal(bh_aead_open(aead, nonce, (bh_view){ 0 }, data, sizeof(data), tag, data), BH_OK);
	assert_true(count_traces() > 2);
	bh_aead_free(aead);
}

static void of_aead_by_openssl(void **state)
{
	bh_secret key = new_key();

	(void)state;
	use_aead(&bh_aead_engine_openssl, bh_secret_view(&key));
	bh_secret_clear(&key);
	assert_int_equal(count_traces(), 0);
}

static void of_aead_by_ipsecmb(void **state)
{
	const char *forced = getenv("BH_AEAD");
	const bh_aead_engine *engine = forced && strcmp(forced, "openssl") == 0 ? NULL : bh_aead_engine_ipsecmb();
	bh_secret key;

	(void)state;
	if (!engine)
		skip();
	key = new_key();
	use_aead(engine, bh_secret_view(&key));
	bh_secret_clear(&key);
	assert_int_equal(count_traces(), 0);
}

static void of_kdf_input(void **state)
{
	bh_secret key = new_key(), okm = { 0 };
	uint8_t mac[BH_SHA256_LEN];
	bh_view part = bh_view_str("data");

	(void)state;
	assert_int_equal(bh_hkdf_secret(bh_secret_view(&key), bh_view_str("salt"), bh_view_str("info"), BH_DEK_LEN, &okm), BH_OK);
	assert_int_equal(bh_hmac(bh_secret_view(&key), &part, 1, mac), BH_OK);
	assert_true(count_traces() >= 2);
	bh_secret_clear(&okm);
	bh_secret_clear(&key);
	assert_int_equal(count_traces(), 0);
}

static void of_kdf_output(void **state)
{
	bh_secret key = new_key(), okm = { 0 };

	(void)state;
	assert_int_equal(bh_hkdf_secret(bh_secret_view(&key), bh_view_str("salt"), bh_view_str("info"), BH_DEK_LEN, &okm), BH_OK);
	traced = trace_of(okm.data);
	bh_secret_clear(&key);
	assert_int_equal(count_traces(), 2);
	bh_secret_clear(&okm);
	assert_int_equal(count_traces(), 0);
}

static void of_signing(void **state)
{
	bh_secret key = new_key();
	uint8_t signature[BH_SIGNATURE_LEN];
	bh_signer *signer = NULL;

	(void)state;
	assert_int_equal(bh_signer_new(bh_secret_view(&key), &signer), BH_OK);
	bh_secret_clear(&key);
	assert_int_equal(count_traces(), 2);
	assert_int_equal(bh_sign(signer, bh_view_str("message"), signature), BH_OK);
	assert_int_equal(count_traces(), 2);
	bh_signer_free(signer);
	assert_int_equal(count_traces(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_aead_by_openssl), cmocka_unit_test(of_aead_by_ipsecmb), cmocka_unit_test(of_kdf_input),
		cmocka_unit_test(of_kdf_output),      cmocka_unit_test(of_signing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
