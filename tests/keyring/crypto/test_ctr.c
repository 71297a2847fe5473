/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ctr.c: the keystream is the same however it is sliced, and is OpenSSL's.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "keyring/crypto/aead.h"
#include "tests/support/random.h"

static const uint8_t key[BH_DEK_LEN] = "an AES-256 key of 32 bytes.....";

static bh_ctr *ctr_of_key(void)
{
	bh_ctr *ctr = NULL;

	assert_int_equal(bh_ctr_new(bh_view_of(key, sizeof(key)), &ctr), BH_OK);
	return ctr;
}

/* The reference: EVP's CTR from the block of `pos`, its leading bytes dropped. */
static void reference(uint64_t pos, uint8_t *data, size_t len)
{
	size_t skip = (size_t)(pos % 16), i;
	uint8_t *padded = calloc(1, skip + len + 1);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t counter[16] = { 0 };
	int written;

	for (i = 0; i < 8; i++)
		counter[15 - i] = (uint8_t)(pos / 16 >> 8 * i);
	memcpy(padded + skip, data, len);
	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_256_ctr(), NULL, key, counter), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, padded, &written, padded, (int)(skip + len)), 1);
	memcpy(data, padded + skip, len);
	EVP_CIPHER_CTX_free(ctx);
	free(padded);
}

static void expect_at(bh_ctr *ctr, uint64_t pos, size_t len)
{
	uint8_t *data = malloc(len + 1), *expected = malloc(len + 1);

	memset(data, 0x3c, len);
	memcpy(expected, data, len);
	reference(pos, expected, len);
	assert_int_equal(bh_ctr_xor(ctr, pos, data, len), BH_OK);
	assert_memory_equal(data, expected, len);
	free(data);
	free(expected);
}

/* SP 800-38A, F.5.5 has a key and counter of its own; NIST's AES-256 block of zeros is the same stream at position 0. */
static void known_answer(void **state)
{
	static const uint8_t zero_key[BH_DEK_LEN];
	static const uint8_t expected[16] = { 0xdc, 0x95, 0xc0, 0x78, 0xa2, 0x40, 0x89, 0x89,
					      0xad, 0x48, 0xa2, 0x14, 0x92, 0x84, 0x20, 0x87 };
	BH_CLEANUP(bh_ctr_freep) bh_ctr *ctr = NULL;
	uint8_t data[16] = { 0 };

	(void)state;
	assert_int_equal(bh_ctr_new(bh_view_of(zero_key, sizeof(zero_key)), &ctr), BH_OK);
	assert_int_equal(bh_ctr_xor(ctr, 0, data, sizeof(data)), BH_OK);
	assert_memory_equal(data, expected, sizeof(data));
}

static void every_slice_of_a_stream(void **state)
{
	BH_CLEANUP(bh_ctr_freep) bh_ctr *ctr = ctr_of_key();
	uint8_t whole[300] = { 0 }, slice[300];
	size_t start, end;

	(void)state;
	reference(0, whole, sizeof(whole));
	for (start = 0; start <= sizeof(whole); start++) {
		for (end = start; end <= sizeof(whole); end++) {
			memset(slice, 0, sizeof(slice));
			assert_int_equal(bh_ctr_xor(ctr, start, slice, end - start), BH_OK);
			assert_memory_equal(slice, whole + start, end - start);
			/* Nothing beyond the slice. */
			assert_true(end - start == sizeof(slice) || slice[end - start] == 0);
		}
	}
}

/* Around the 512 bytes where the way of making the stream changes. */
static void lengths_around_the_switch(void **state)
{
	BH_CLEANUP(bh_ctr_freep) bh_ctr *ctr = ctr_of_key();
	uint64_t pos;
	size_t len;

	(void)state;
	for (pos = 0; pos < 17; pos++) {
		for (len = 480; len < 530; len++)
			expect_at(ctr, pos, len);
	}
}

static void huge_positions(void **state)
{
	static const uint64_t positions[] = { 1ull << 32, (1ull << 36) - 7, (1ull << 40) + 3, 1ull << 63, UINT64_MAX - 5000 };
	static const size_t lens[] = { 1, 16, 100, 511, 512, 513, 4097 };
	BH_CLEANUP(bh_ctr_freep) bh_ctr *ctr = ctr_of_key();
	test_random random = test_random_new();
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		for (j = 0; j < sizeof(lens) / sizeof(lens[0]); j++)
			expect_at(ctr, positions[i], lens[j]);
	}
	for (i = 0; i < 2000; i++)
		expect_at(ctr, test_random_u64(&random) >> 1, test_random_below(&random, 2000));
}

static void it_is_its_own_inverse(void **state)
{
	BH_CLEANUP(bh_ctr_freep) bh_ctr *ctr = ctr_of_key();
	uint8_t data[] = "plaintext of a span";

	(void)state;
	assert_int_equal(bh_ctr_xor(ctr, 12345, data, sizeof(data)), BH_OK);
	assert_string_not_equal((char *)data, "plaintext of a span");
	assert_int_equal(bh_ctr_xor(ctr, 12345, data, sizeof(data)), BH_OK);
	assert_string_equal((char *)data, "plaintext of a span");
	assert_int_equal(bh_ctr_xor(ctr, 1, NULL, 0), BH_OK);
}

static void keys_of_another_length_are_refused(void **state)
{
	bh_ctr *ctr = NULL;

	(void)state;
	assert_int_equal(bh_ctr_new(bh_view_of(key, 31), &ctr), BH_E_INVALID);
	assert_int_equal(bh_ctr_new((bh_view){ 0 }, &ctr), BH_E_INVALID);
	assert_null(ctr);
	bh_ctr_free(NULL);
}

static void a_forked_child_is_refused(void **state)
{
	BH_CLEANUP(bh_ctr_freep) bh_ctr *ctr = ctr_of_key();
	uint8_t data[700] = { 0 };
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		/* No ordinary end: a leak check would find the parent's contexts, whose addresses were wiped here. */
		if (bh_ctr_xor(ctr, 0, data, 16) == BH_E_CRYPTO && bh_ctr_xor(ctr, 0, data, 700) == BH_E_CRYPTO)
			raise(SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	expect_at(ctr, 0, 16);
}

static void nothing_is_left(void **state)
{
	(void)state;
	assert_int_equal(bh_secret_in_use(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answer),
		cmocka_unit_test(every_slice_of_a_stream),
		cmocka_unit_test(lengths_around_the_switch),
		cmocka_unit_test(huge_positions),
		cmocka_unit_test(it_is_its_own_inverse),
		cmocka_unit_test(keys_of_another_length_are_refused),
		cmocka_unit_test(a_forked_child_is_refused),
		cmocka_unit_test(nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
