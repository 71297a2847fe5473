/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_cmks.c: the CMKs that a keyring has open: their region at every unlock, one handle each, one derivation a directory,
 * and what the calls came to. How often scrypt runs is counted by the linker's --wrap.
 */
#include "keyring_fixture.h"

#include <openssl/evp.h>
#include <pthread.h>

#include "keyring/kms/local/parts.h"

static int scrypts;

int __real_EVP_PBE_scrypt(const char *pass, size_t passlen, const unsigned char *salt, size_t saltlen, uint64_t N, uint64_t r,
			  uint64_t p, uint64_t maxmem, unsigned char *key, size_t keylen);
int __wrap_EVP_PBE_scrypt(const char *pass, size_t passlen, const unsigned char *salt, size_t saltlen, uint64_t N, uint64_t r,
			  uint64_t p, uint64_t maxmem, unsigned char *key, size_t keylen);
int __wrap_EVP_PBE_scrypt(const char *pass, size_t passlen, const unsigned char *salt, size_t saltlen, uint64_t N, uint64_t r,
			  uint64_t p, uint64_t maxmem, unsigned char *key, size_t keylen)
{
	__atomic_fetch_add(&scrypts, 1, __ATOMIC_SEQ_CST);
	return __real_EVP_PBE_scrypt(pass, passlen, salt, saltlen, N, r, p, maxmem, key, keylen);
}

static void set_enabled(const char *uri, bool enabled)
{
	bh_kms *console = NULL;

	assert_done(bh_kms_open(uri, NULL, &console));
	assert_done(enabled ? bh_kms_enable(console) : bh_kms_disable(console));
	bh_kms_close(console);
}

/* Region */

/* As it is in a copy of the KMS that was set up in another region: same root, same material, another region in the key's file. */
static void key_move(const keyring_fixture *f, const char *name, const char *region)
{
	bh_io_dir dir = BH_IO_DIR_CLOSED;
	bh_local_root root = { 0 };
	bh_local_key key = { 0 };
	const bh_kms_options options = { 0 };

	assert_done(bh_io_dir_open(f->kms, &dir));
	assert_done(bh_local_root_open(&dir, &options, NULL, &root));
	assert_done(bh_local_key_load(&dir, &root, name, &key));
	memcpy(key.info.region, region, strlen(region) + 1);
	assert_done(bh_local_key_store(&dir, &root, &key));
	bh_local_key_clear(&key);
	bh_local_root_clear(&root);
	bh_io_dir_close(&dir);
}

static void test_unlock_looks_at_the_region_again(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);

	fixture_add(f, keyring, "acme");
	assert_done(bh_keyring_merchant_lock(keyring, "acme"));
	key_move(f, "acme", "us");
	assert_status(bh_keyring_merchant_unlock(keyring, "acme"), BH_E_REGION);
	assert_non_null(strstr(bh_status_message(), "'us'"));
	/* A mismatch is not hidden by another trouble, nor another trouble by a mismatch that is gone. */
	set_enabled(f->acme_uri, false);
	assert_status(bh_keyring_merchant_unlock(keyring, "acme"), BH_E_REGION);
	key_move(f, "acme", "eu");
	assert_status(bh_keyring_merchant_unlock(keyring, "acme"), BH_E_KMS_REFUSED);
	set_enabled(f->acme_uri, true);
	/* A KMS that does not say is taken at its wrap's word, as at first. */
	key_move(f, "acme", "");
	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	bh_keyring_close(keyring);
}

static void test_open_looks_at_the_platforms_region_again(void **state)
{
	const keyring_fixture *f = *state;

	key_move(f, "platform", "us");
	assert_status(fixture_try_open(f, true), BH_E_REGION);
	key_move(f, "platform", "eu");
	assert_done(fixture_try_open(f, true));
}

/* Handles */

static bh_kms_statistics stats_of(bh_keyring *keyring, const char *merchant)
{
	bh_kms_statistics stats;

	assert_done(bh_keyring_kms_stats(keyring, merchant, &stats));
	return stats;
}

static void test_one_scrypt_a_directory(void **state)
{
	static const char *const one[] = { "data" };
	const keyring_fixture *f = *state;
	const bh_keyring_options options = { .kms = { .passphrase = "correct horse" } };
	bh_keyring *keyring = NULL;
	char uri[256], name[16];

	assert_done(bh_kms_create(f->platform_uri, "eu", &options.kms));
	assert_done(bh_keyring_create(f->db, "eu", f->platform_uri, &options));
	scrypts = 0;
	assert_done(bh_keyring_open(f->db, &options, true, &keyring));
	assert_int_equal(scrypts, 1);
	for (int i = 0; i < 4; i++) {
		text_format(uri, sizeof(uri), "local:%s#k%d", f->kms, i);
		text_format(name, sizeof(name), "m%d", i);
		assert_done(bh_kms_create(uri, "eu", &options.kms));
		scrypts = 0;
		assert_done(bh_keyring_merchant_add(keyring, name, uri, one, 1));
		for (int round = 0; round < 3; round++) {
			assert_done(bh_keyring_merchant_lock(keyring, name));
			assert_done(bh_keyring_merchant_unlock(keyring, name));
			assert_done(bh_keyring_merchant_renew(keyring, name));
		}
		assert_int_equal(scrypts, 0);
	}
	bh_keyring_close(keyring);
	/* Another keyring derives its own: nothing of it is the process's. */
	scrypts = 0;
	assert_done(bh_keyring_open(f->db, &options, true, &keyring));
	assert_int_equal(scrypts, 1);
	bh_keyring_close(keyring);
}

/* The root that is kept is that of this very root.json: another one is derived anew, and a wrong passphrase is never let in. */
static void test_a_kept_root_is_of_its_directory_alone(void **state)
{
	const keyring_fixture *f = *state;
	const bh_keyring_options options = { .kms = { .passphrase = "correct horse" } };
	const bh_kms_options other = { .passphrase = "battery staple" };
	const char *const one[] = { "data" };
	bh_keyring *keyring = NULL;
	char dir[256], uri[256];

	assert_done(bh_kms_create(f->platform_uri, "eu", &options.kms));
	assert_done(bh_keyring_create(f->db, "eu", f->platform_uri, &options));
	assert_done(bh_keyring_open(f->db, &options, true, &keyring));
	text_format(dir, sizeof(dir), "%s/other", f->root);
	text_format(uri, sizeof(uri), "local:%s#k", dir);
	assert_done(bh_kms_create(uri, "eu", &other));
	assert_status(bh_keyring_merchant_add(keyring, "acme", uri, one, 1), BH_E_KMS_REFUSED);
	bh_keyring_close(keyring);
}

static void test_one_handle_a_merchant(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);

	fixture_add(f, keyring, "acme");
	uint64_t before = stats_of(keyring, "acme").calls;
	for (int i = 0; i < 5; i++)
		assert_done(bh_keyring_merchant_renew(keyring, "acme"));
	assert_int_equal(stats_of(keyring, "acme").calls, before + 5); /* no further opening */
	/* Locked, it is closed: open, describe, and an unwrap for each of two DEKs. */
	assert_done(bh_keyring_merchant_lock(keyring, "acme"));
	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	assert_int_equal(stats_of(keyring, "acme").calls, before + 5 + 4);
	bh_keyring_close(keyring);
}

/* A handle that failed is not held on to: here the KMS was set up again, with another root key. */
static void test_a_failed_handle_is_opened_anew(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	char aside[256];

	fixture_add(f, keyring, "acme");
	text_format(aside, sizeof(aside), "%s/aside", f->root);
	assert_int_equal(rename(f->kms, aside), 0);
	assert_done(bh_kms_create(f->acme_uri, "eu", NULL));
	assert_status(bh_keyring_merchant_renew(keyring, "acme"), BH_E_KMS_REFUSED); /* another root than the handle's */
	assert_status(bh_keyring_merchant_renew(keyring, "acme"), BH_E_TAG);         /* another key than the wrap's */
	bh_keyring_close(keyring);
}

/* Statistics */

static void test_statistics_count_by_kind(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	bh_kms_statistics stats;
	char aside[256];

	assert_status(bh_keyring_kms_stats(keyring, "acme", &stats), BH_E_NO_SUCH_MERCHANT);
	fixture_add(f, keyring, "acme");
	stats = stats_of(keyring, "acme");
	assert_int_equal(stats.calls, 4); /* open, describe, two wraps */
	assert_true(stats.last_success_ms > 0 && stats.last_success_at_s > 1600000000);
	assert_true(stats.latency_sum_us >= stats.latency_max_us);
	assert_int_equal(stats.refused + stats.unreachable + stats.not_found + stats.damaged + stats.other, 0);

	set_enabled(f->acme_uri, false);
	assert_status(bh_keyring_merchant_renew(keyring, "acme"), BH_E_KMS_REFUSED);
	set_enabled(f->acme_uri, true);
	assert_done(bh_keyring_merchant_renew(keyring, "acme"));
	text_format(aside, sizeof(aside), "%s/aside", f->root);
	assert_int_equal(rename(f->kms, aside), 0);
	assert_status(bh_keyring_merchant_renew(keyring, "acme"), BH_E_KMS_UNREACHABLE);
	assert_status(bh_keyring_merchant_renew(keyring, "acme"), BH_E_KMS_UNREACHABLE); /* opened anew */
	assert_int_equal(rename(aside, f->kms), 0);
	stats = stats_of(keyring, "acme");
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.unreachable, 2);
	assert_int_equal(stats.not_found, 0);
	assert_int_equal(stats.damaged + stats.other, 0);
	/* The platform's is another one. */
	stats = stats_of(keyring, "");
	assert_int_equal(stats.calls, 4); /* open, describe, unwrap the root and the DEK */
	assert_int_equal(stats.refused + stats.unreachable + stats.not_found, 0);
	bh_keyring_close(keyring);
}

/* Threads */

static void *unlock_and_lock(void *arg)
{
	bh_keyring *keyring = arg;
	bool ok = true;

	for (int i = 0; i < 30 && ok; i++) {
		ok = bh_keyring_merchant_unlock(keyring, "acme") == BH_OK && bh_keyring_merchant_renew(keyring, "acme") == BH_OK &&
		     bh_keyring_merchant_lock(keyring, "acme") == BH_OK;
	}
	return ok ? arg : NULL;
}

static void test_handles_are_shared_by_threads(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	pthread_t threads[4];

	fixture_add(f, keyring, "acme");
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, unlock_and_lock, keyring), 0);
	for (int i = 0; i < 4; i++) {
		void *ok = NULL;
		assert_int_equal(pthread_join(threads[i], &ok), 0);
		assert_non_null(ok);
	}
	bh_keyring_close(keyring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unlock_looks_at_the_region_again, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_open_looks_at_the_platforms_region_again, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_one_scrypt_a_directory, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_a_kept_root_is_of_its_directory_alone, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_one_handle_a_merchant, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_a_failed_handle_is_opened_anew, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_statistics_count_by_kind, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_handles_are_shared_by_threads, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("keyring_cmks", tests, NULL, NULL);
}
