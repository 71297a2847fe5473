/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_shred.c: what the keyring keeps of a shred, over reopens and compactions, and what it makes of the KMS's answers.
 */
#include "keyring_fixture.h"

static void id_of(bh_keyring *keyring, const char *name, uint8_t out[BH_ID_LEN])
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	assert_done(bh_keyring_merchant(keyring, name, &info));
	memcpy(out, info.id, BH_ID_LEN);
}

static bool is_pending(bh_keyring *keyring, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	assert_done(bh_keyring_merchant(keyring, name, &info));
	return info.cmk_pending;
}

static bh_keyring *begin(const keyring_fixture *f, uint8_t id_out[BH_ID_LEN])
{
	bh_keyring *keyring = fixture_open(f);

	fixture_add(f, keyring, "acme");
	id_of(keyring, "acme", id_out);
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_SHREDDING));
	return keyring;
}

static void nothing_is_known_before_it_is_asked_for(void **state)
{
	const keyring_fixture *f = *state;
	static const uint8_t nobody[BH_ID_LEN] = { 1 };
	bh_keyring *keyring = fixture_open(f);
	uint8_t id[BH_ID_LEN];
	bh_shred_record record = { 0 };

	fixture_add(f, keyring, "acme");
	id_of(keyring, "acme", id);
	assert_status(bh_keyring_shred(keyring, id, &record), BH_E_INVALID);
	assert_status(bh_keyring_shred_note(keyring, id, &record), BH_E_INVALID);
	assert_status(bh_keyring_shred_ask(keyring, id, &record), BH_E_INVALID);
	assert_status(bh_keyring_shred(keyring, nobody, &record), BH_E_NO_SUCH_MERCHANT);
	assert_status(bh_keyring_shred_note(keyring, nobody, &record), BH_E_NO_SUCH_MERCHANT);
	assert_status(bh_keyring_shred_ask(keyring, nobody, &record), BH_E_NO_SUCH_MERCHANT);
	assert_false(is_pending(keyring, "acme"));
	bh_keyring_close(keyring);
}

static void what_is_known_survives(void **state)
{
	const keyring_fixture *f = *state;
	uint8_t id[BH_ID_LEN];
	bh_shred_record record = { 0 }, again = { 0 };
	bh_keyring *keyring = begin(f, id);

	assert_done(bh_keyring_shred(keyring, id, &record));
	assert_true(record.asked_at_ms > INT64_C(1500000000000));
	assert_int_equal(record.unreadable_at_ms, 0);
	record.unreadable_at_ms = record.asked_at_ms + 5;
	record.file_count = 12;
	memset(record.salts, 0x5a, sizeof(record.salts));
	assert_done(bh_keyring_shred_note(keyring, id, &record));
	bh_keyring_close(keyring);
	keyring = fixture_open(f);
	assert_done(bh_keyring_shred(keyring, id, &again));
	assert_memory_equal(&again, &record, sizeof(record));
	assert_done(bh_keyring_merchant_destroy(keyring, "acme"));
	bh_keyring_close(keyring);
	keyring = fixture_open(f);
	assert_done(bh_keyring_shred(keyring, id, &again));
	assert_true(again.destroyed_at_ms >= record.asked_at_ms);
	record.issued = true; /* with no time of destruction: that one is the keyring's */
	assert_done(bh_keyring_shred_note(keyring, id, &record));
	record.destroyed_at_ms = again.destroyed_at_ms;
	assert_done(bh_keyring_compact(keyring));
	bh_keyring_close(keyring);
	keyring = fixture_open(f);
	assert_done(bh_keyring_shred(keyring, id, &again));
	assert_memory_equal(&again, &record, sizeof(record));
	bh_keyring_close(keyring);
}

static void a_tombstone_keeps_fingerprints(void **state)
{
	const keyring_fixture *f = *state;
	uint8_t id[BH_ID_LEN];
	bh_dek_info *before = NULL, *after = NULL;
	size_t count = 0;
	bh_keyring *keyring = begin(f, id);

	assert_done(bh_keyring_deks(keyring, &before, &count));
	assert_int_equal(count, 3);
	assert_memory_not_equal(before[1].fingerprint, before[2].fingerprint, BH_SHA256_LEN);
	assert_done(bh_keyring_merchant_destroy(keyring, "acme"));
	bh_keyring_close(keyring);
	keyring = fixture_open(f);
	assert_done(bh_keyring_deks(keyring, &after, &count));
	for (size_t i = 1; i < count; i++) {
		assert_true(after[i].tombstone);
		assert_memory_equal(before[i].fingerprint, after[i].fingerprint, BH_SHA256_LEN);
		assert_int_equal(before[i].cmk_version, after[i].cmk_version);
	}
	free(before);
	free(after);
	bh_keyring_close(keyring);
}

static void a_destroyed_cmk_is_proved(void **state)
{
	const keyring_fixture *f = *state;
	uint8_t id[BH_ID_LEN];
	bh_shred_record record = { 0 };
	bh_keyring *keyring = begin(f, id);

	assert_true(is_pending(keyring, "acme"));
	assert_done(bh_keyring_shred(keyring, id, &record));
	for (int time = 0; time < 2; time++) { /* as after a kill */
		assert_done(bh_keyring_shred_ask(keyring, id, &record));
		assert_int_equal(record.cmk.status, BH_OK);
		assert_int_equal(record.cmk.state, BH_KMS_DESTROYED);
		assert_int_equal(record.unwrap.status, BH_E_KMS_REFUSED);
		assert_int_equal(record.wrap.at_ms, 0);
		assert_true(bh_shred_is_final(&record));
	}
	assert_true(is_pending(keyring, "acme"));
	assert_done(bh_keyring_shred_note(keyring, id, &record));
	assert_false(is_pending(keyring, "acme"));
	bh_keyring_close(keyring);
}

/* The KMS is away when the merchant is shredded, and asked again when the wraps are gone. */
static void a_kms_that_is_away_is_asked_again(void **state)
{
	const keyring_fixture *f = *state;
	char aside[256];
	uint8_t id[BH_ID_LEN];
	bh_shred_record record = { 0 };
	bh_keyring *keyring = begin(f, id);

	text_format(aside, sizeof(aside), "%s/aside", f->root);
	assert_int_equal(rename(f->kms, aside), 0);
	assert_done(bh_keyring_shred(keyring, id, &record));
	assert_done(bh_keyring_shred_ask(keyring, id, &record));
	assert_int_equal(record.cmk.status, BH_E_KMS_UNREACHABLE);
	assert_int_not_equal(record.cmk.message[0], '\0');
	assert_false(bh_shred_is_final(&record));
	assert_done(bh_keyring_shred_note(keyring, id, &record));
	assert_done(bh_keyring_merchant_destroy(keyring, "acme"));
	assert_true(is_pending(keyring, "acme"));

	assert_int_equal(rename(aside, f->kms), 0);
	assert_done(bh_keyring_shred(keyring, id, &record));
	assert_done(bh_keyring_shred_ask(keyring, id, &record));
	assert_int_equal(record.cmk.status, BH_OK);
	assert_int_equal(record.cmk.message[0], '\0');
	assert_int_equal(record.wrap.status, BH_E_KMS_REFUSED);
	assert_true(bh_shred_is_final(&record));
	assert_done(bh_keyring_shred_note(keyring, id, &record));
	assert_false(is_pending(keyring, "acme"));
	bh_keyring_close(keyring);
}

static void only_what_is_proved_is_final(void **state)
{
	const bh_shred_record proved = {
		.asked_at_ms = 1,
		.cmk = { .at_ms = 2, .state = BH_KMS_DESTROYED },
		.unwrap = { .at_ms = 3, .status = BH_E_KMS_REFUSED },
	};
	bh_shred_record record = proved;
	(void)state;

	assert_true(bh_shred_is_final(&record));
	record.cmk.status = BH_E_KMS_REFUSED;
	assert_false(bh_shred_is_final(&record));
	record = proved;
	record.cmk.state = BH_KMS_DISABLED;
	assert_false(bh_shred_is_final(&record));
	record = proved;
	record.unwrap.at_ms = 0;
	assert_false(bh_shred_is_final(&record));
	record = proved;
	record.unwrap.status = BH_E_KMS_UNREACHABLE;
	assert_false(bh_shred_is_final(&record));
	record.unwrap.status = BH_OK; /* a KMS that says so, and unwraps all the same */
	assert_false(bh_shred_is_final(&record));
	record.wrap = (bh_shred_probe){ .at_ms = 4, .status = BH_E_NOT_FOUND };
	assert_true(bh_shred_is_final(&record));
	record.wrap.status = BH_OK;
	assert_false(bh_shred_is_final(&record));
}

/* A name may have a successor: the record is found by id. */
static void a_successor_has_no_part_in_it(void **state)
{
	static const char *const classes[] = { "profile" };
	const keyring_fixture *f = *state;
	uint8_t id[BH_ID_LEN], successor[BH_ID_LEN];
	char uri[256];
	bh_shred_record record = { 0 };
	bh_keyring *keyring = begin(f, id);

	assert_done(bh_keyring_merchant_destroy(keyring, "acme"));
	text_format(uri, sizeof(uri), "local:%s#next", f->kms);
	assert_done(bh_kms_create(uri, "eu", NULL));
	assert_done(bh_keyring_merchant_add(keyring, "acme", uri, classes, 1));
	id_of(keyring, "acme", successor);
	assert_memory_not_equal(id, successor, BH_ID_LEN);
	assert_status(bh_keyring_shred(keyring, successor, &record), BH_E_INVALID);
	assert_done(bh_keyring_shred(keyring, id, &record));
	assert_done(bh_keyring_shred_ask(keyring, id, &record));
	assert_true(bh_shred_is_final(&record));
	assert_done(bh_keyring_shred_note(keyring, id, &record));
	assert_done(bh_keyring_merchant_lock(keyring, "acme"));
	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	bh_keyring_close(keyring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_known_before_it_is_asked_for, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(what_is_known_survives, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_tombstone_keeps_fingerprints, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_destroyed_cmk_is_proved, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_kms_that_is_away_is_asked_again, fixture_setup, fixture_teardown),
		cmocka_unit_test(only_what_is_proved_is_final),
		cmocka_unit_test_setup_teardown(a_successor_has_no_part_in_it, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
