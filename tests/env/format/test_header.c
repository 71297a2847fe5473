/* SPDX-License-Identifier: Apache-2.0
 *
 * test_header.c: the header of a sealed file: round trip, every bit flip, every cut, downgrades, keys.
 */
#include "sealed_fixture.h"

#include <xxhash.h>

typedef struct made {
	uint8_t bytes[BH_HEADER_LEN];
	bh_file_key key;
} made;

static made make(bh_dek *dek, bh_file_kind kind, uint32_t page_size)
{
	made m = { 0 };

	assert_int_equal(bh_header_create(kind, page_size, 0x1122334455667788u, dek, &m.key, m.bytes), BH_OK);
	return m;
}

static bh_status open_bytes(const uint8_t *bytes, size_t len, const bh_scopes *scopes)
{
	bh_file_key key = { 0 };
	bh_status status = bh_header_open(bh_view_of(bytes, len), scopes, &key);

	if (status != BH_OK)
		assert_null(key.aead);
	bh_file_key_clear(&key);
	return status;
}

/* What an attacker does who edits a header: makes the unkeyed checksum fit again. */
static void fix_checksum(uint8_t *bytes)
{
	bh_put_u64(bytes + 120, XXH3_64bits(bytes, 120));
}

static void test_round_trip(void **state)
{
	static const struct {
		bh_file_kind kind;
		uint32_t page_size;
	} cases[] = {
		{ BH_KIND_SST, 512 }, { BH_KIND_SST, 4096 },   { BH_KIND_BLOB, 65536 },
		{ BH_KIND_WAL, 0 },   { BH_KIND_MANIFEST, 0 }, { BH_KIND_OTHER, 0 },
	};
	keys *k = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		made m = make(k->dek[MERCHANT_A], cases[i].kind, cases[i].page_size);
		bh_file_key key = { 0 };
		uint8_t nonce[BH_NONCE_LEN], tag[2][BH_TAG_LEN];
		bh_header parsed;

		assert_int_equal(bh_header_parse(bh_view_of(m.bytes, BH_HEADER_LEN), &parsed), BH_OK);
		assert_memory_equal(&parsed, &m.key.header, sizeof(parsed));
		assert_int_equal(bh_header_open(bh_view_of(m.bytes, BH_HEADER_LEN), &k->scopes, &key), BH_OK);
		assert_memory_equal(&key.header, &m.key.header, sizeof(key.header));
		assert_ptr_equal(key.dek, k->dek[MERCHANT_A]);
		assert_int_equal(key.header.number, 0x1122334455667788u);
		/* Writer and reader came to the same key. */
		bh_nonce(BH_NONCE_UNIT, 1, nonce);
		assert_int_equal(bh_aead_seal(m.key.aead, nonce, bh_view_str("x"), NULL, 0, NULL, tag[0]), BH_OK);
		assert_int_equal(bh_aead_seal(key.aead, nonce, bh_view_str("x"), NULL, 0, NULL, tag[1]), BH_OK);
		assert_memory_equal(tag[0], tag[1], BH_TAG_LEN);
		bh_file_key_clear(&key);
		bh_file_key_clear(&key);
		bh_file_key_clear(&m.key);
	}
	bh_file_key_clear(NULL);
}

static void test_page_sizes(void **state)
{
	static const struct {
		bh_file_kind kind;
		uint32_t page_size;
	} refused[] = { { BH_KIND_SST, 0 },     { BH_KIND_SST, 256 },     { BH_KIND_SST, 4095 },
			{ BH_KIND_SST, 12288 }, { BH_KIND_BLOB, 131072 }, { BH_KIND_WAL, 4096 } };
	keys *k = *state;
	uint8_t bytes[BH_HEADER_LEN];
	bh_file_key key = { 0 };

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(bh_header_create(refused[i].kind, refused[i].page_size, 0, k->dek[0], &key, bytes), BH_E_INVALID);
}

/* The key schedule, done again from the text of env/README.md. */
static void test_key_schedule(void **state)
{
	keys *k = *state;
	made m = make(k->dek[MERCHANT_A], BH_KIND_SST, 4096);
	bh_view dek = bh_dek_key(k->dek[MERCHANT_A]), context = bh_dek_context(k->dek[MERCHANT_A]);
	uint8_t okm[64], nonce[BH_NONCE_LEN] = { BH_NONCE_HEADER };
	bh_aead *aead = NULL;
	bh_buf info = { 0 };

	assert_int_equal(bh_buf_append(&info, "bulkhead/1/file", 16), BH_OK);
	assert_int_equal(bh_buf_append(&info, m.bytes + 8, 16), BH_OK);
	assert_int_equal(bh_buf_append(&info, context.data, context.len), BH_OK);
	assert_int_equal(bh_hkdf(dek, bh_view_of(m.bytes + 24, 32), bh_buf_view(&info), okm, sizeof(okm)), BH_OK);
	assert_memory_equal(okm + 32, m.bytes + 72, 32);
	assert_int_equal(bh_aead_new(NULL, bh_view_of(okm, 32), &aead), BH_OK);
	assert_int_equal(bh_aead_open(aead, nonce, bh_view_of(m.bytes, 104), NULL, 0, m.bytes + 104, NULL), BH_OK);
	bh_aead_free(aead);
	bh_buf_clear(&info);
	bh_file_key_clear(&m.key);
}

static void test_nonce_layout(void **state)
{
	static const uint8_t want[BH_NONCE_LEN] = { 3, 0, 0, 0, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08 };
	uint8_t nonce[BH_NONCE_LEN];

	(void)state;
	bh_nonce(BH_NONCE_SYNC, 0x0102030405060708u, nonce);
	assert_memory_equal(nonce, want, sizeof(want));
}

static void refuse_every_flip(keys *k, bh_file_kind kind, uint32_t page_size)
{
	made m = make(k->dek[MERCHANT_A], kind, page_size);

	for (size_t bit = 0; bit < 8 * BH_HEADER_LEN; bit++) {
		size_t byte = bit / 8;
		bool mark = page_size == 0 && byte >= BH_SYNC_MARK_OFFSET && byte < BH_SYNC_MARK_OFFSET + BH_SYNC_MARK_LEN;

		m.bytes[byte] ^= (uint8_t)(1u << bit % 8);
		if (!mark)
			assert_int_not_equal(open_bytes(m.bytes, BH_HEADER_LEN, &k->scopes), BH_OK);
		m.bytes[byte] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(open_bytes(m.bytes, BH_HEADER_LEN, &k->scopes), BH_OK);
	bh_file_key_clear(&m.key);
}

static void test_every_bit_flip(void **state)
{
	refuse_every_flip(*state, BH_KIND_SST, 4096);
	refuse_every_flip(*state, BH_KIND_MANIFEST, 0);
}

/* Without a checksum to stop it, a flip still meets key commitment or tag. */
static void test_every_bit_flip_with_checksum_repaired(void **state)
{
	keys *k = *state;
	made m = make(k->dek[MERCHANT_A], BH_KIND_SST, 4096);
	uint8_t bytes[BH_HEADER_LEN];

	for (size_t bit = 0; bit < 8 * 120; bit++) {
		memcpy(bytes, m.bytes, sizeof(bytes));
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		fix_checksum(bytes);
		assert_int_not_equal(open_bytes(bytes, BH_HEADER_LEN, &k->scopes), BH_OK);
	}
	bh_file_key_clear(&m.key);
}

static void test_every_truncation(void **state)
{
	keys *k = *state;
	made m = make(k->dek[MERCHANT_A], BH_KIND_SST, 4096);

	for (size_t len = 0; len < BH_HEADER_LEN; len++)
		assert_int_equal(open_bytes(m.bytes, len, &k->scopes), BH_E_TRUNCATED);
	bh_file_key_clear(&m.key);
}

static void test_edited_fields(void **state)
{
	keys *k = *state;
	const struct {
		const char *what;
		size_t at;
		uint8_t xor_with;
		bool repaired;
		bh_status want;
	} cases[] = {
		{ "magic", 0, 1, true, BH_E_FORMAT },
		{ "version + 1", 8, 3, true, BH_E_VERSION },
		{ "version, high byte", 9, 1, true, BH_E_VERSION },
		{ "suite", 11, 3, true, BH_E_VERSION },
		{ "suite 0", 11, 1, true, BH_E_VERSION },
		{ "blob for sst", 10, 3, true, BH_E_NO_KEY },
		{ "no such kind", 10, 8, true, BH_E_FORMAT },
		{ "wal of pages", 10, 2, true, BH_E_FORMAT },
		{ "page size 8192", 13, 0x30, true, BH_E_NO_KEY },
		{ "page size 4097", 12, 1, true, BH_E_FORMAT },
		{ "number", 16, 1, true, BH_E_NO_KEY },
		{ "salt", 24, 1, true, BH_E_NO_KEY },
		{ "unknown DEK", 56, 0x80, true, BH_E_NO_KEY },
		{ "commitment", 72, 1, true, BH_E_NO_KEY },
		{ "tag", 104, 1, true, BH_E_TAG },
		{ "salt, checksum left", 24, 1, false, BH_E_FORMAT },
		{ "DEK id, checksum left", 56, 1, false, BH_E_FORMAT },
		{ "checksum", 120, 1, false, BH_E_FORMAT },
		{ "padding", 300, 1, false, BH_E_FORMAT },
		{ "mark in a paged file", 520, 1, false, BH_E_FORMAT },
		{ "last byte", 4095, 0x80, false, BH_E_FORMAT },
	};
	made m = make(k->dek[MERCHANT_A], BH_KIND_SST, 4096);
	uint8_t bytes[BH_HEADER_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(bytes, m.bytes, sizeof(bytes));
		bytes[cases[i].at] ^= cases[i].xor_with;
		if (cases[i].repaired)
			fix_checksum(bytes);
		if (open_bytes(bytes, sizeof(bytes), &k->scopes) != cases[i].want)
			fail_msg("%s: %s", cases[i].what, bh_status_message());
	}
	bh_file_key_clear(&m.key);
}

/* Merchant a's header made out to be merchant b's: every DEK id of the keyring, one right. */
static void test_header_of_another_dek(void **state)
{
	keys *k = *state;
	made m = make(k->dek[MERCHANT_A], BH_KIND_SST, 4096);

	for (int i = 0; i < KEYS; i++) {
		memcpy(m.bytes + 56, bh_dek_id(k->dek[i]), BH_ID_LEN);
		fix_checksum(m.bytes);
		assert_int_equal(open_bytes(m.bytes, BH_HEADER_LEN, &k->scopes), i == MERCHANT_A ? BH_OK : BH_E_NO_KEY);
	}
	bh_file_key_clear(&m.key);
}

static void test_wrong_key_of_right_id(void **state)
{
	keys *k = *state;
	made m = make(k->dek[MERCHANT_A], BH_KIND_SST, 4096);
	bh_dek *right = k->dek[MERCHANT_A];

	k->dek[MERCHANT_A] = fixed_dek(0xa1, 0x61, "acme");
	assert_int_equal(open_bytes(m.bytes, BH_HEADER_LEN, &k->scopes), BH_E_NO_KEY);
	assert_non_null(strstr(bh_status_message(), "wrong key"));
	bh_dek_unref(k->dek[MERCHANT_A]);
	/* The right key, meant for another merchant. */
	k->dek[MERCHANT_A] = fixed_dek(0xa1, 0x51, "bolt");
	assert_int_equal(open_bytes(m.bytes, BH_HEADER_LEN, &k->scopes), BH_E_NO_KEY);
	bh_dek_unref(k->dek[MERCHANT_A]);
	k->dek[MERCHANT_A] = right;
	bh_file_key_clear(&m.key);
}

static void test_reason_of_missing_key_is_kept(void **state)
{
	static const bh_status reasons[] = { BH_E_NO_KEY, BH_E_SHREDDED, BH_E_SUSPENDED };
	keys *k = *state;
	made m = make(k->dek[MERCHANT_A], BH_KIND_SST, 4096);

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		k->gone[MERCHANT_A] = reasons[i];
		assert_int_equal(open_bytes(m.bytes, BH_HEADER_LEN, &k->scopes), reasons[i]);
		assert_non_null(strstr(bh_status_message(), "a1a1a1a1"));
	}
	k->gone[MERCHANT_A] = BH_OK;
	bh_file_key_clear(&m.key);
}

static void test_stripped_header(void **state)
{
	keys *k = *state;
	uint8_t *plain = pattern(BH_HEADER_LEN);
	uint8_t zeros[BH_HEADER_LEN] = { 0 };

	assert_int_equal(open_bytes(plain, BH_HEADER_LEN, &k->scopes), BH_E_FORMAT);
	assert_int_equal(open_bytes(zeros, BH_HEADER_LEN, &k->scopes), BH_E_FORMAT);
	free(plain);
}

static void test_salts_differ(void **state)
{
	keys *k = *state;
	made one = make(k->dek[MERCHANT_A], BH_KIND_SST, 4096), two = make(k->dek[MERCHANT_A], BH_KIND_SST, 4096);

	assert_memory_not_equal(one.bytes + 24, two.bytes + 24, BH_SALT_LEN);
	assert_memory_not_equal(one.bytes + 72, two.bytes + 72, 32);
	bh_file_key_clear(&one.key);
	bh_file_key_clear(&two.key);
}

/* A family's key depends on its DEK, on all that names the file, and on the family. */
static void test_family_keys_differ(void **state)
{
	keys *k = *state;
	const bh_header base = { .kind = BH_KIND_WAL, .number = 9, .salt = { 1 } };
	const struct {
		int dek;
		bh_header header;
		uint32_t family;
	} cases[] = {
		{ MERCHANT_A, base, 1 },
		{ MERCHANT_B, base, 1 },
		{ MERCHANT_A, base, 2 },
		{ MERCHANT_A, base, 257 },
		{ MERCHANT_A, { .kind = BH_KIND_MANIFEST, .number = 9, .salt = { 1 } }, 1 },
		{ MERCHANT_A, { .kind = BH_KIND_WAL, .number = 10, .salt = { 1 } }, 1 },
		{ MERCHANT_A, { .kind = BH_KIND_WAL, .number = 9, .salt = { 2 } }, 1 },
	};
	uint8_t sealed[sizeof(cases) / sizeof(cases[0])][32 + BH_TAG_LEN] = { 0 };
	const uint8_t nonce[BH_NONCE_LEN] = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bh_aead *aead = NULL;

		assert_int_equal(bh_family_key(k->dek[cases[i].dek], &cases[i].header, cases[i].family, &aead), BH_OK);
		assert_int_equal(bh_aead_seal(aead, nonce, bh_view_of(NULL, 0), sealed[i], 32, sealed[i], sealed[i] + 32), BH_OK);
		bh_aead_free(aead);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(sealed[i], sealed[j], 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_page_sizes),
		cmocka_unit_test(test_key_schedule),
		cmocka_unit_test(test_nonce_layout),
		cmocka_unit_test(test_every_bit_flip),
		cmocka_unit_test(test_every_bit_flip_with_checksum_repaired),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_edited_fields),
		cmocka_unit_test(test_header_of_another_dek),
		cmocka_unit_test(test_wrong_key_of_right_id),
		cmocka_unit_test(test_reason_of_missing_key_is_kept),
		cmocka_unit_test(test_stripped_header),
		cmocka_unit_test(test_salts_differ),
		cmocka_unit_test(test_family_keys_differ),
	};

	return cmocka_run_group_tests_name("header", tests, keys_setup, keys_teardown);
}
