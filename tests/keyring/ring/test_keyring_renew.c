/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_renew.c: what the KMS behind a lease can answer, over a real local KMS: yes, each kind of no, and the wrong key.
 */
#include "keyring_fixture.h"

#include "keyring/ring/ring.h"
#include "keyring/ring/deks.h"

typedef struct rig {
	keyring_fixture f;
	bh_keyring *keyring;
	bh_kms *console;
	char key[256], aside[256]; /* the CMK's file, and where it is put */
} rig;

static int setup(void **state)
{
	rig *r = calloc(1, sizeof(*r));

	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	r->f = fixture_make_keyring();
	r->keyring = fixture_open(&r->f);
	fixture_add(&r->f, r->keyring, "acme");
	assert_done(bh_kms_open(r->f.acme_uri, NULL, &r->console));
	text_format(r->key, sizeof(r->key), "%s/acme.key.json", r->f.kms);
	text_format(r->aside, sizeof(r->aside), "%s/aside", r->f.root);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	rig *r = *state;

	bh_kms_close(r->console);
	bh_keyring_close(r->keyring);
	fixture_remove(&r->f);
	free(r);
	return 0;
}

static bool is_unlocked(rig *r)
{
	bh_merchant_info info;

	assert_done(bh_keyring_merchant(r->keyring, "acme", &info));
	bool unlocked = info.unlocked;
	bh_merchant_info_clear(&info);
	return unlocked;
}

static void yes_with_the_keys_in_memory_or_not(void **state)
{
	rig *r = *state;

	assert_done(bh_keyring_merchant_renew(r->keyring, "acme"));
	assert_true(is_unlocked(r));
	assert_done(bh_keyring_merchant_lock(r->keyring, "acme"));
	assert_done(bh_keyring_merchant_renew(r->keyring, "acme"));
	assert_false(is_unlocked(r)); /* it only asks */
}

/* However many classes and generations it has. */
static void a_renewal_is_one_call(void **state)
{
	rig *r = *state;
	bh_kms_statistics before, after;

	assert_done(bh_keyring_merchant_set_state(r->keyring, "acme", BH_MERCHANT_ACTIVE));
	for (int i = 0; i < 3; i++)
		assert_done(bh_keyring_merchant_rotate(r->keyring, "acme", 0));
	assert_done(bh_keyring_kms_stats(r->keyring, "acme", &before));
	for (int i = 0; i < 10; i++)
		assert_done(bh_keyring_merchant_renew(r->keyring, "acme"));
	assert_done(bh_keyring_kms_stats(r->keyring, "acme", &after));
	assert_int_equal(after.calls, before.calls + 10);
}

static void a_disabled_cmk_is_refused(void **state)
{
	rig *r = *state;

	assert_done(bh_kms_disable(r->console));
	assert_status(bh_keyring_merchant_renew(r->keyring, "acme"), BH_E_KMS_REFUSED);
	assert_non_null(strstr(bh_status_message(), "merchant 'acme'"));
	assert_true(is_unlocked(r)); /* what follows from it is not the keyring's business */
	assert_done(bh_kms_enable(r->console));
	assert_done(bh_keyring_merchant_renew(r->keyring, "acme"));
}

static void a_cmk_that_is_gone_is_no_key(void **state)
{
	rig *r = *state;

	assert_int_equal(rename(r->key, r->aside), 0);
	assert_status(bh_keyring_merchant_renew(r->keyring, "acme"), BH_E_NO_KEY);
	/* Another one of that name is not the CMK that wrapped. */
	assert_done(bh_kms_create(r->f.acme_uri, "eu", NULL));
	assert_status(bh_keyring_merchant_renew(r->keyring, "acme"), BH_E_TAG);
	assert_int_equal(rename(r->aside, r->key), 0);
	assert_done(bh_keyring_merchant_renew(r->keyring, "acme"));
}

static void another_key_than_the_one_in_memory_is_a_tag_mismatch(void **state)
{
	static const uint8_t bytes[BH_DEK_LEN] = { 1 };
	rig *r = *state;
	bh_dek *old[2] = { NULL };
	size_t count = 0;

	/* Both classes, since the call may pick either. */
	for (const char *const *cls = (const char *const[]){ "profile", "events", NULL }; *cls != NULL; cls++) {
		bh_scope scope;
		bh_scope_set(&scope, "acme", *cls);
		assert_done(bh_keyring_dek_current(r->keyring, &scope, &old[count++]));
	}
	assert_done(bh_keyring_merchant_lock(r->keyring, "acme"));
	bh_keyring_write_lock(r->keyring);
	for (size_t i = 0; i < count; i++) {
		bh_dek *other = NULL;
		assert_done(bh_dek_new(bh_dek_id(old[i]), bh_dek_scope(old[i]), 1, bh_dek_context(old[i]),
				       bh_view_of(bytes, sizeof(bytes)), &other));
		assert_done(bh_dek_table_reserve(&r->keyring->live, 1));
		bh_dek_table_insert(&r->keyring->live, other);
		bh_dek_unref(other);
	}
	bh_keyring_unlock(r->keyring);
	assert_status(bh_keyring_merchant_renew(r->keyring, "acme"), BH_E_TAG);
	assert_non_null(strstr(bh_status_message(), "another key"));
	for (size_t i = 0; i < count; i++)
		bh_dek_unref(old[i]);
}

static void a_damaged_cmk_is_a_tag_mismatch(void **state)
{
	rig *r = *state;
	bh_buf bytes = file_load(r->key);
	uint8_t *enabled = memmem(bytes.data, bytes.len, "\"enabled\"", 9);

	assert_non_null(enabled);
	enabled[1] ^= 1;
	file_store(r->key, bh_buf_view(&bytes));
	bh_status status = bh_keyring_merchant_renew(r->keyring, "acme");
	assert_true(status == BH_E_TAG || status == BH_E_FORMAT);
	enabled[1] ^= 1;
	file_store(r->key, bh_buf_view(&bytes));
	assert_done(bh_keyring_merchant_renew(r->keyring, "acme"));
	bh_buf_clear(&bytes);
}

static void strangers_and_the_shredded_are_told_apart(void **state)
{
	rig *r = *state;

	assert_status(bh_keyring_merchant_renew(r->keyring, "nobody"), BH_E_NO_SUCH_MERCHANT);
	assert_done(bh_keyring_merchant_set_state(r->keyring, "acme", BH_MERCHANT_SHREDDING));
	assert_status(bh_keyring_merchant_renew(r->keyring, "acme"), BH_E_SHREDDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(yes_with_the_keys_in_memory_or_not, setup, teardown),
		cmocka_unit_test_setup_teardown(a_renewal_is_one_call, setup, teardown),
		cmocka_unit_test_setup_teardown(a_disabled_cmk_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cmk_that_is_gone_is_no_key, setup, teardown),
		cmocka_unit_test_setup_teardown(another_key_than_the_one_in_memory_is_a_tag_mismatch, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_cmk_is_a_tag_mismatch, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_and_the_shredded_are_told_apart, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
