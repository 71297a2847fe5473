/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sign.c: Ed25519: the known answers of RFC 8032, every bit flip refused, and the key that a database signs with.
 */
#include <sys/wait.h>

#include <openssl/err.h>

#include "keyring/crypto/sign.h"
#include "tests/keyring/ring/keyring_fixture.h"

/* RFC 8032, 7.1 */
static const struct known_answer {
	const char *name, *seed, *public_key, *message, *signature;
} known_answers[] = {
	{ "TEST 1", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
	  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
	  "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
	{ "TEST 2", "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
	  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
	  "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
	{ "TEST 3", "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
	  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
	  "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
	{ "TEST SHA(abc)", "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
	  "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
	  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
	  "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
	  "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704" },
};
#define KNOWN_ANSWERS (sizeof(known_answers) / sizeof(known_answers[0]))

typedef struct signed_text {
	uint8_t seed[BH_SIGN_SEED_LEN];
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
	uint8_t message[64];
	size_t message_len;
	uint8_t signature[BH_SIGNATURE_LEN];
} signed_text;

static signed_text known_answer(size_t i)
{
	const struct known_answer *hex = &known_answers[i];
	signed_text text = { .message_len = strlen(hex->message) / 2 };

	assert_done(bh_unhex(hex->seed, text.seed, sizeof(text.seed)));
	assert_done(bh_unhex(hex->public_key, text.public_key, sizeof(text.public_key)));
	assert_true(text.message_len <= sizeof(text.message));
	assert_done(bh_unhex(hex->message, text.message, text.message_len));
	assert_done(bh_unhex(hex->signature, text.signature, sizeof(text.signature)));
	return text;
}

static bh_view message_of(const signed_text *text)
{
	return bh_view_of(text->message, text->message_len);
}

static bh_status check(const signed_text *text)
{
	return bh_sign_verify(text->public_key, message_of(text), text->signature);
}

static bh_signer *signer_of(const signed_text *text)
{
	bh_signer *signer = NULL;

	assert_done(bh_signer_new(bh_view_of(text->seed, sizeof(text->seed)), &signer));
	return signer;
}

static void known_answers_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < KNOWN_ANSWERS; i++) {
		signed_text text = known_answer(i);
		bh_signer *signer = signer_of(&text);
		uint8_t public_key[BH_SIGN_PUBLIC_LEN], signature[BH_SIGNATURE_LEN];

		bh_signer_public(signer, public_key);
		assert_memory_equal(public_key, text.public_key, sizeof(public_key));
		for (int again = 0; again < 2; again++) {
			memset(signature, 0, sizeof(signature));
			assert_done(bh_sign(signer, message_of(&text), signature));
			assert_memory_equal(signature, text.signature, sizeof(signature));
		}
		assert_done(check(&text));
		bh_signer_free(signer);
	}
	assert_int_equal(bh_secret_in_use(), 0);
}

static void flip_each_bit(signed_text *text, uint8_t *bytes, size_t len)
{
	for (size_t bit = 0; bit < 8 * len; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_status(check(text), BH_E_TAG);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_done(check(text));
}

static void every_flipped_bit_is_refused(void **state)
{
	signed_text text = known_answer(2);

	(void)state;
	ERR_clear_error();
	flip_each_bit(&text, text.signature, sizeof(text.signature));
	flip_each_bit(&text, text.public_key, sizeof(text.public_key));
	flip_each_bit(&text, text.message, text.message_len);
	assert_int_equal(ERR_peek_error(), 0);
}

static void a_message_of_another_length_is_refused(void **state)
{
	signed_text text = known_answer(3);

	(void)state;
	while (text.message_len-- > 0)
		assert_status(check(&text), BH_E_TAG);
}

/* S + L signs the same in the group, but RFC 8032, 5.1.7, wants S below L: else a signature could be varied by anybody. */
static void a_varied_signature_is_refused(void **state)
{
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
					   0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
	signed_text text = known_answer(0);
	unsigned carry = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(order); i++) {
		carry += (unsigned)text.signature[32 + i] + order[i];
		text.signature[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(carry, 0);
	assert_status(check(&text), BH_E_TAG);
}

static void seeds_of_other_lengths_are_refused(void **state)
{
	static const uint8_t seed[BH_SIGN_SEED_LEN + 1] = { 1 };
	bh_signer *signer = NULL;

	(void)state;
	assert_status(bh_signer_new((bh_view){ 0 }, &signer), BH_E_INVALID);
	assert_status(bh_signer_new(bh_view_of(seed, BH_SIGN_SEED_LEN - 1), &signer), BH_E_INVALID);
	assert_status(bh_signer_new(bh_view_of(seed, BH_SIGN_SEED_LEN + 1), &signer), BH_E_INVALID);
	assert_null(signer);
	bh_signer_free(NULL);
}

static void a_forked_child_signs_nothing(void **state)
{
	signed_text text = known_answer(1);
	bh_signer *signer = signer_of(&text);
	uint8_t signature[BH_SIGNATURE_LEN] = { 0 };
	int status;

	(void)state;
	pid_t child = fork();
	if (child == 0)
		_exit(bh_sign(signer, message_of(&text), signature) == BH_E_NO_KEY && signature[0] == 0 ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_done(bh_sign(signer, message_of(&text), signature));
	bh_signer_free(signer);
}

/* ---- of a database */

static void public_of_database(const keyring_fixture *f, uint8_t out[BH_SIGN_PUBLIC_LEN])
{
	bh_keyring *keyring = NULL;

	assert_done(bh_keyring_open(f->db, NULL, false, &keyring));
	bh_signer_public(bh_keyring_signer(keyring), out);
	bh_keyring_close(keyring);
}

static void a_database_signs_with_the_same_key_at_every_open(void **state)
{
	keyring_fixture f = fixture_make_keyring();
	uint8_t first[BH_SIGN_PUBLIC_LEN], second[BH_SIGN_PUBLIC_LEN], signature[BH_SIGNATURE_LEN];

	(void)state;
	bh_keyring *keyring = fixture_open(&f);
	fixture_add(&f, keyring, "acme");
	assert_done(bh_sign(bh_keyring_signer(keyring), bh_view_str("text"), signature));
	bh_keyring_close(keyring);
	public_of_database(&f, first);
	public_of_database(&f, second);
	assert_memory_equal(first, second, sizeof(first));
	assert_done(bh_sign_verify(first, bh_view_str("text"), signature));
	fixture_remove(&f);
	assert_int_equal(bh_secret_in_use(), 0);
}

static void databases_under_one_platform_key_sign_with_different_keys(void **state)
{
	keyring_fixture f = fixture_make_keyring();
	uint8_t first[BH_SIGN_PUBLIC_LEN], second[BH_SIGN_PUBLIC_LEN];

	(void)state;
	public_of_database(&f, first);
	assert_int_equal(unlink(f.file), 0);
	assert_int_equal(unlink(f.audit), 0);
	assert_done(bh_keyring_create(f.db, "eu", f.platform_uri, NULL));
	public_of_database(&f, second);
	assert_memory_not_equal(first, second, sizeof(first));
	fixture_remove(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers_hold),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(a_message_of_another_length_is_refused),
		cmocka_unit_test(a_varied_signature_is_refused),
		cmocka_unit_test(seeds_of_other_lengths_are_refused),
		cmocka_unit_test(a_forked_child_signs_nothing),
		cmocka_unit_test(a_database_signs_with_the_same_key_at_every_open),
		cmocka_unit_test(databases_under_one_platform_key_sign_with_different_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
