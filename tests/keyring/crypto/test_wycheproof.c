/* SPDX-License-Identifier: Apache-2.0
 *
 * test_wycheproof.c: Project Wycheproof's vectors for AES-256-GCM (both engines), HKDF-SHA256 and HMAC-SHA256, through our own
 * functions. Skipped where the folder of vectors is absent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "keyring/crypto/aead.h"
#include "keyring/crypto/hmac_series.h"
#include "keyring/crypto/kdf.h"

/* Vectors that were run, by what they must give. */
typedef struct counts {
	unsigned valid, invalid;
} counts;

typedef void (*vector_fn)(json_t *group, json_t *test, bool valid, void *arg, counts *counts);

static size_t number(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_integer(value));
	return (size_t)json_integer_value(value);
}

static bh_buf hex_field(json_t *test, const char *name)
{
	const char *hex = json_string_value(json_object_get(test, name));
	bh_buf buf = { 0 };

	assert_non_null(hex);
	assert_int_equal(bh_buf_reserve(&buf, strlen(hex) / 2 + 1), BH_OK);
	buf.len = strlen(hex) / 2;
	assert_int_equal(bh_unhex(hex, buf.data, buf.len), BH_OK);
	return buf;
}

static json_t *load(const char *file)
{
	char path[1024];
	json_error_t error;
	json_t *root;

	snprintf(path, sizeof(path), "%s/%s", BH_TEST_VECTORS, file);
	root = json_load_file(path, 0, &error);
	if (root)
		return root;
	if (json_error_code(&error) != json_error_cannot_open_file)
		fail_msg("%s: %s", path, error.text);
	print_message("skipped: no vectors at %s\n", path);
	skip();
	return NULL;
}

/* Gives every vector of `file` to `run`; at least `least` of them must have been used. */
static void run_file(const char *file, const char *label, vector_fn run, void *arg, unsigned least)
{
	json_t *root = load(file), *group, *test;
	counts used = { 0 };
	size_t i, j;

	json_array_foreach(json_object_get(root, "testGroups"), i, group)
	{
		json_array_foreach(json_object_get(group, "tests"), j, test)
		{
			const char *result = json_string_value(json_object_get(test, "result"));

			assert_non_null(result);
			/* "acceptable" is for weak parameters; these files have none. */
			assert_true(strcmp(result, "valid") == 0 || strcmp(result, "invalid") == 0);
			run(group, test, strcmp(result, "valid") == 0, arg, &used);
		}
	}
	print_message("%s: %u valid, %u invalid\n", label, used.valid, used.invalid);
	assert_true(used.valid + used.invalid >= least && used.invalid > 0);
	json_decref(root);
}

static void count(counts *used, bool valid)
{
	if (valid)
		used->valid++;
	else
		used->invalid++;
}

static void gcm_valid(const bh_aead *aead, const bh_buf *iv, bh_view aad, const bh_buf *msg, const bh_buf *ct, const bh_buf *tag)
{
	uint8_t *out = malloc(msg->len + 1), made[BH_TAG_LEN];

	assert_int_equal(bh_aead_seal(aead, iv->data, aad, msg->data, msg->len, out, made), BH_OK);
	assert_memory_equal(out, ct->data, ct->len);
	assert_memory_equal(made, tag->data, BH_TAG_LEN);
	assert_int_equal(bh_aead_open(aead, iv->data, aad, ct->data, ct->len, tag->data, out), BH_OK);
	assert_memory_equal(out, msg->data, msg->len);
	free(out);
}

static void gcm_invalid(const bh_aead *aead, const bh_buf *iv, bh_view aad, const bh_buf *ct, const bh_buf *tag)
{
	uint8_t *out = malloc(ct->len + 1);

	assert_int_equal(bh_aead_open(aead, iv->data, aad, ct->data, ct->len, tag->data, out), BH_E_TAG);
	free(out);
}

static void gcm_vector(json_t *group, json_t *test, bool valid, void *arg, counts *used)
{
	BH_CLEANUP(bh_buf_clear) bh_buf key = hex_field(test, "key");
	BH_CLEANUP(bh_buf_clear) bh_buf iv = hex_field(test, "iv");
	BH_CLEANUP(bh_buf_clear) bh_buf aad = hex_field(test, "aad");
	BH_CLEANUP(bh_buf_clear) bh_buf msg = hex_field(test, "msg");
	BH_CLEANUP(bh_buf_clear) bh_buf ct = hex_field(test, "ct");
	BH_CLEANUP(bh_buf_clear) bh_buf tag = hex_field(test, "tag");
	BH_CLEANUP(bh_aead_freep) bh_aead *aead = NULL;

	if (number(group, "keySize") != 256 || number(group, "ivSize") != 96 || number(group, "tagSize") != 128)
		return;
	assert_int_equal(tag.len, BH_TAG_LEN);
	assert_int_equal(msg.len, ct.len);
	assert_int_equal(bh_aead_new(arg, bh_buf_view(&key), &aead), BH_OK);
	if (valid)
		gcm_valid(aead, &iv, bh_buf_view(&aad), &msg, &ct, &tag);
	else
		gcm_invalid(aead, &iv, bh_buf_view(&aad), &ct, &tag);
	count(used, valid);
}

static void hkdf_vector(json_t *group, json_t *test, bool valid, void *arg, counts *used)
{
	BH_CLEANUP(bh_buf_clear) bh_buf ikm = hex_field(test, "ikm");
	BH_CLEANUP(bh_buf_clear) bh_buf salt = hex_field(test, "salt");
	BH_CLEANUP(bh_buf_clear) bh_buf info = hex_field(test, "info");
	BH_CLEANUP(bh_buf_clear) bh_buf okm = hex_field(test, "okm");
	size_t size = number(test, "size");
	uint8_t *out = malloc(size + 1);

	(void)group;
	(void)arg;
	assert_int_equal(bh_hkdf(bh_buf_view(&ikm), bh_buf_view(&salt), bh_buf_view(&info), out, size),
			 valid ? BH_OK : BH_E_INVALID);
	if (valid) {
		assert_int_equal(okm.len, size);
		assert_memory_equal(out, okm.data, size);
	}
	free(out);
	count(used, valid);
}

/* Tags shorter than the MAC are its first bytes. */
static void hmac_vector(json_t *group, json_t *test, bool valid, void *arg, counts *used)
{
	BH_CLEANUP(bh_buf_clear) bh_buf key = hex_field(test, "key");
	BH_CLEANUP(bh_buf_clear) bh_buf msg = hex_field(test, "msg");
	BH_CLEANUP(bh_buf_clear) bh_buf tag = hex_field(test, "tag");
	uint8_t mac[BH_SHA256_LEN];
	bh_view part = bh_buf_view(&msg);

	(void)arg;
	assert_int_equal(tag.len * 8, number(group, "tagSize"));
	assert_true(tag.len <= sizeof(mac));
	assert_int_equal(bh_hmac(bh_buf_view(&key), &part, 1, mac), BH_OK);
	assert_int_equal(bh_equal_ct(mac, tag.data, tag.len), valid);
	if (key.len <= 64 && msg.len <= BH_HMAC_SERIES_MAX) {
		BH_CLEANUP(bh_hmac_series_freep) bh_hmac_series *series = NULL;

		assert_int_equal(bh_hmac_series_new(bh_buf_view(&key), &series), BH_OK);
		assert_int_equal(bh_hmac_series_next(series, part, mac), BH_OK);
		assert_int_equal(bh_equal_ct(mac, tag.data, tag.len), valid);
	}
	count(used, valid);
}

static void gcm_by_openssl(void **state)
{
	(void)state;
	/* The table is const; the vectors only hand it through. */
	run_file("aes_gcm_test.json", "AES-256-GCM, openssl", gcm_vector, (void *)(uintptr_t)&bh_aead_engine_openssl, 60);
}

static void gcm_by_ipsecmb(void **state)
{
	const char *forced = getenv("BH_AEAD");
	const bh_aead_engine *engine = forced && strcmp(forced, "openssl") == 0 ? NULL : bh_aead_engine_ipsecmb();

	(void)state;
	if (!engine) {
		print_message("skipped: ipsec-mb cannot run here, or BH_AEAD=openssl\n");
		skip();
	}
	run_file("aes_gcm_test.json", "AES-256-GCM, ipsec-mb", gcm_vector, (void *)(uintptr_t)engine, 60);
}

static void hkdf_sha256(void **state)
{
	(void)state;
	run_file("hkdf_sha256_test.json", "HKDF-SHA256", hkdf_vector, NULL, 80);
}

static void hmac_sha256(void **state)
{
	(void)state;
	run_file("hmac_sha256_test.json", "HMAC-SHA256", hmac_vector, NULL, 170);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gcm_by_openssl),
		cmocka_unit_test(gcm_by_ipsecmb),
		cmocka_unit_test(hkdf_sha256),
		cmocka_unit_test(hmac_sha256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
