/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_open.c: making and opening a keyring over a real local KMS: what is refused and why, the platform's key, the
 * generation floor, passphrases, read-only, and what a forked child gets.
 */
#include "keyring_fixture.h"

static const bh_scope profile = { .merchant = "acme", .cls = "profile" };

/* Create and open */

static void test_create_refuses(void **state)
{
	const keyring_fixture *f = *state;
	char dir[192];

	assert_status(bh_keyring_create(f->db, "eu", f->platform_uri, NULL), BH_E_EXISTS);
	text_format(dir, sizeof(dir), "%s/none", f->root);
	assert_status(bh_keyring_create(dir, "eu", f->platform_uri, NULL), BH_E_NOT_FOUND);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_status(bh_keyring_create(dir, "", f->platform_uri, NULL), BH_E_INVALID);
	assert_status(bh_keyring_create(dir, "eu", "nope:x", NULL), BH_E_INVALID);
	assert_status(bh_keyring_create(dir, "us", f->platform_uri, NULL), BH_E_REGION);
	bh_keyring *keyring = NULL;
	assert_status(bh_keyring_open(dir, NULL, true, &keyring), BH_E_NOT_FOUND);
	assert_null(keyring);
}

static void test_never_created_over_anything(void **state)
{
	const keyring_fixture *f = *state;

	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(mkdir(f->file, 0700), 0);
	assert_status(bh_keyring_create(f->db, "eu", f->platform_uri, NULL), BH_E_EXISTS);
	assert_int_equal(rmdir(f->file), 0);
	assert_int_equal(symlink("/nowhere", f->file), 0);
	assert_status(bh_keyring_create(f->db, "eu", f->platform_uri, NULL), BH_E_EXISTS);
	assert_int_equal(unlink(f->file), 0);
	file_store(f->file, bh_view_str(""));
	assert_status(bh_keyring_create(f->db, "eu", f->platform_uri, NULL), BH_E_EXISTS);
	assert_file_is(f->file, bh_view_str(""));
}

static void test_open_refuses_what_is_no_file(void **state)
{
	const keyring_fixture *f = *state;
	char aside[192];

	text_format(aside, sizeof(aside), "%s/aside", f->root);
	assert_int_equal(rename(f->file, aside), 0);
	assert_status(fixture_try_open(f, true), BH_E_NOT_FOUND);
	assert_false(file_exists(f->file));
	assert_int_equal(symlink(aside, f->file), 0);
	assert_status(fixture_try_open(f, true), BH_E_FORMAT);
	assert_non_null(strstr(bh_status_message(), "symbolic link"));
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(mkdir(f->file, 0700), 0);
	assert_status(fixture_try_open(f, true), BH_E_FORMAT);
	assert_non_null(strstr(bh_status_message(), "directory"));
	assert_status(fixture_try_open(f, false), BH_E_FORMAT);
	assert_int_equal(rmdir(f->file), 0);
	assert_int_equal(mkfifo(f->file, 0600), 0);
	assert_status(fixture_try_open(f, false), BH_E_FORMAT);
	assert_int_equal(unlink(f->file), 0);
	file_store(f->file, bh_view_str(""));
	assert_status(fixture_try_open(f, true), BH_E_TRUNCATED);
	assert_non_null(strstr(bh_status_message(), "empty"));
	assert_int_equal(rename(aside, f->file), 0);
	assert_done(fixture_try_open(f, true));
}

static void test_open_is_exclusive(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);

	assert_status(fixture_try_open(f, true), BH_E_BUSY);
	assert_status(fixture_try_open(f, false), BH_E_BUSY);
	pid_t child = fork();
	if (child == 0)
		_exit(fixture_try_open(f, true) == BH_E_BUSY ? 0 : 1);
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	bh_keyring_close(keyring);
	assert_done(fixture_try_open(f, true));
}

static void test_platform_dek(void **state)
{
	const keyring_fixture *f = *state;
	const bh_scope platform = { 0 };
	char uri[BH_KMS_URI_MAX + 1];
	bh_dek *dek = NULL, *again = NULL, *found = NULL;
	uint8_t key[BH_DEK_LEN];

	bh_keyring *keyring = fixture_open(f);
	assert_string_equal(bh_keyring_region(keyring), "eu");
	assert_done(bh_keyring_cmk_uri(keyring, "", uri));
	assert_string_equal(uri, f->platform_uri);
	assert_int_equal(bh_keyring_generation(keyring), 1);
	assert_done(bh_keyring_dek_current(keyring, &platform, &dek));
	assert_done(bh_keyring_dek_find(keyring, bh_dek_id(dek), &found));
	assert_ptr_equal(dek, found);
	assert_true(bh_scope_is_platform(bh_dek_scope(dek)));
	memcpy(key, bh_dek_key(dek).data, sizeof(key));
	bh_keyring_close(keyring);
	assert_memory_equal(bh_dek_key(dek).data, key, sizeof(key)); /* a held reference outlives the keyring */

	keyring = fixture_open(f);
	assert_done(bh_keyring_dek_current(keyring, &platform, &again));
	assert_memory_equal(bh_dek_key(again).data, key, sizeof(key));
	bh_dek_unref(dek);
	bh_dek_unref(found);
	bh_dek_unref(again);
	bh_keyring_close(keyring);
}

static void test_platform_cmk_failures_are_told_apart(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *console = NULL;
	char aside[192], key[256];

	assert_done(bh_kms_open(f->platform_uri, NULL, &console));
	assert_done(bh_kms_disable(console));
	assert_status(fixture_try_open(f, true), BH_E_KMS_REFUSED);
	assert_non_null(strstr(bh_status_message(), "platform CMK"));
	assert_done(bh_kms_enable(console));
	assert_done(fixture_try_open(f, true));

	text_format(aside, sizeof(aside), "%s/aside", f->root);
	assert_int_equal(rename(f->kms, aside), 0);
	assert_status(fixture_try_open(f, true), BH_E_KMS_UNREACHABLE);
	assert_int_equal(rename(aside, f->kms), 0);
	text_format(key, sizeof(key), "%s/platform.key.json", f->kms);
	assert_int_equal(rename(key, aside), 0);
	assert_status(fixture_try_open(f, true), BH_E_NO_KEY); /* "not found" would read as "no keyring" */
	assert_int_equal(rename(aside, key), 0);
	bh_buf bytes = file_load(key);
	bytes.data[bytes.len / 2] ^= 1;
	file_store(key, bh_buf_view(&bytes));
	bh_status status = fixture_try_open(f, true);
	assert_true(status == BH_E_TAG || status == BH_E_FORMAT);
	bytes.data[bytes.len / 2] ^= 1;
	file_store(key, bh_buf_view(&bytes));
	assert_done(bh_kms_destroy(console, NULL));
	assert_status(fixture_try_open(f, true), BH_E_KMS_REFUSED);
	bh_buf_clear(&bytes);
	bh_kms_close(console);
}

static void test_generation_floor(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring_options options = { 0 };
	bh_keyring *keyring = fixture_open(f);

	bh_buf old = file_load(f->file);
	fixture_add(f, keyring, "acme");
	options.generation_floor = bh_keyring_generation(keyring);
	assert_int_equal(options.generation_floor, 2);
	bh_keyring_close(keyring);
	assert_done(bh_keyring_open(f->db, &options, true, &keyring));
	bh_keyring_close(keyring);
	keyring = NULL;
	file_store(f->file, bh_buf_view(&old));
	assert_status(bh_keyring_open(f->db, &options, true, &keyring), BH_E_ROLLBACK);
	assert_file_is(f->file, bh_buf_view(&old));
	options.generation_floor = 0;
	assert_done(bh_keyring_open(f->db, &options, true, &keyring));
	bh_keyring_close(keyring);
	bh_buf_clear(&old);
}

static void test_passphrase_serves_all_calls(void **state)
{
	const keyring_fixture *f = *state;
	char dir[192], uri[256], passphrase[] = "correct horse";
	bh_keyring_options options = { .kms.passphrase = passphrase }, wrong = { .kms.passphrase = "wrong" };
	const char *const classes[] = { "profile" };
	bh_keyring *keyring = NULL;

	text_format(dir, sizeof(dir), "%s/sealed-db", f->root);
	text_format(uri, sizeof(uri), "local:%s/sealed-kms#platform", f->root);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_done(bh_kms_create(uri, "eu", &options.kms));
	assert_status(bh_keyring_create(dir, "eu", uri, &wrong), BH_E_KMS_REFUSED);
	assert_done(bh_keyring_create(dir, "eu", uri, &options));
	assert_status(bh_keyring_open(dir, &wrong, true, &keyring), BH_E_KMS_REFUSED);
	assert_status(bh_keyring_open(dir, NULL, true, &keyring), BH_E_KMS_REFUSED);
	assert_done(bh_keyring_open(dir, &options, true, &keyring));
	memset(passphrase, 'x', strlen(passphrase)); /* borrowed for the call only */
	assert_done(bh_keyring_merchant_add(keyring, "acme", uri, classes, 1));
	assert_done(bh_keyring_merchant_lock(keyring, "acme"));
	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	bh_keyring_close(keyring);
}

/* Read-only, fork */

static void test_read_only_changes_nothing(void **state)
{
	static const char *const classes[] = { "x" };
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);

	fixture_add(f, keyring, "acme");
	bh_keyring_close(keyring);
	bh_buf before = file_load(f->file);
	file_store(f->tmp, bh_view_str("left"));
	assert_done(bh_keyring_open(f->db, NULL, false, &keyring));
	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	assert_status(bh_keyring_merchant_add(keyring, "other", f->acme_uri, classes, 1), BH_E_INVALID);
	assert_status(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE), BH_E_INVALID);
	assert_status(bh_keyring_compact(keyring), BH_E_INVALID);
	assert_int_equal(fixture_state_of(keyring, "acme"), BH_MERCHANT_CREATING);
	bh_keyring_close(keyring);
	assert_file_is(f->file, bh_buf_view(&before));
	assert_file_is(f->tmp, bh_view_str("left"));
	assert_done(fixture_try_open(f, true));
	assert_false(file_exists(f->tmp));
	bh_buf_clear(&before);
}

static void test_forked_child_gets_nothing(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	bh_dek *dek = NULL;

	fixture_add(f, keyring, "acme");
	bh_buf before = file_load(f->file);
	pid_t child = fork();
	if (child == 0) {
		bool refused = bh_keyring_dek_current(keyring, &profile, &dek) == BH_E_NO_KEY &&
			       bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE) == BH_E_INVALID &&
			       bh_keyring_compact(keyring) == BH_E_INVALID;
		bh_keyring_close(keyring);
		_exit(refused ? 0 : 1);
	}
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_file_is(f->file, bh_buf_view(&before));
	assert_done(bh_keyring_dek_current(keyring, &profile, &dek));
	bh_dek_unref(dek);
	bh_buf_clear(&before);
	bh_keyring_close(keyring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_create_refuses, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_never_created_over_anything, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_open_refuses_what_is_no_file, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_open_is_exclusive, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_platform_dek, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_platform_cmk_failures_are_told_apart, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_generation_floor, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_passphrase_serves_all_calls, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_read_only_changes_nothing, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_forked_child_gets_nothing, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("keyring_open", tests, NULL, NULL);
}
