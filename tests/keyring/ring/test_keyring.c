/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring.c: the merchants of a live keyring over a real local KMS: states, lock and unlock, lookups, KMS failures told apart,
 * destroy, compaction, threads. Making and opening a keyring is test_keyring_open.c.
 */
#include "keyring_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "keyring/ring/ring.h"

static const bh_scope profile = { .merchant = "acme", .cls = "profile" };

/* Sets the states in turn; the list ends with 0. */
static void walk(bh_keyring *keyring, const char *name, const bh_merchant_state *states)
{
	for (; *states != 0; states++) {
		assert_done(bh_keyring_merchant_set_state(keyring, name, *states));
		assert_int_equal(fixture_state_of(keyring, name), *states);
	}
}

static void shred(bh_keyring *keyring, const char *name)
{
	assert_done(bh_keyring_merchant_set_state(keyring, name, BH_MERCHANT_SHREDDING));
	assert_done(bh_keyring_merchant_destroy(keyring, name));
}

/* Merchants */

static void test_merchant_survives_reopen(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	bh_merchant_info before, after;
	bh_dek *dek = NULL, *again = NULL;

	fixture_add(f, keyring, "acme");
	assert_done(bh_keyring_merchant(keyring, "acme", &before));
	assert_int_equal(before.state, BH_MERCHANT_CREATING);
	assert_true(before.unlocked);
	assert_string_equal(before.cmk_uri, f->acme_uri);
	assert_int_equal(before.class_count, 2);
	assert_string_equal(before.classes[0], "profile");
	assert_string_equal(before.classes[1], "events");
	assert_done(bh_keyring_dek_current(keyring, &profile, &dek));
	bh_keyring_close(keyring);

	keyring = fixture_open(f);
	assert_done(bh_keyring_merchant(keyring, "acme", &after));
	assert_false(after.unlocked);
	assert_memory_equal(after.id, before.id, BH_ID_LEN);
	assert_status(bh_keyring_dek_current(keyring, &profile, &again), BH_E_NO_KEY);
	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	assert_done(bh_keyring_dek_current(keyring, &profile, &again));
	assert_memory_equal(bh_dek_id(again), bh_dek_id(dek), BH_ID_LEN);
	assert_memory_equal(bh_dek_key(again).data, bh_dek_key(dek).data, BH_DEK_LEN);
	assert_int_equal(bh_dek_generation(again), 1);
	assert_string_equal(bh_dek_scope(again)->cls, "profile");
	assert_non_null(memmem(bh_dek_context(again).data, bh_dek_context(again).len, "class=profile\n", 14));
	bh_merchant_info_clear(&before);
	bh_merchant_info_clear(&after);
	bh_dek_unref(dek);
	bh_dek_unref(again);
	bh_keyring_close(keyring);
}

static void test_add_refuses(void **state)
{
	static const char *const bad_names[] = { "",    "../x",
						 "a/b", ".hidden",
						 "-x",  "a b",
						 "x\n", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg" };
	static const char *const twice[] = { "events", "Events" }, *const one[] = { "events" }, *const bad_class[] = { ".." };
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	bh_merchant_info info;
	char uri[256];

	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++)
		assert_status(bh_keyring_merchant_add(keyring, bad_names[i], f->acme_uri, one, 1), BH_E_INVALID);
	assert_status(bh_keyring_merchant_add(keyring, "acme", f->acme_uri, one, 0), BH_E_INVALID);
	assert_status(bh_keyring_merchant_add(keyring, "acme", f->acme_uri, twice, 2), BH_E_INVALID);
	assert_status(bh_keyring_merchant_add(keyring, "acme", f->acme_uri, bad_class, 1), BH_E_INVALID);
	assert_status(bh_keyring_merchant_add(keyring, "acme", "nope:x", one, 1), BH_E_INVALID);
	text_format(uri, sizeof(uri), "local:%s#nobody", f->kms);
	assert_status(bh_keyring_merchant_add(keyring, "acme", uri, one, 1), BH_E_NOT_FOUND);
	text_format(uri, sizeof(uri), "local:%s#overseas", f->kms);
	assert_done(bh_kms_create(uri, "us", NULL));
	assert_status(bh_keyring_merchant_add(keyring, "acme", uri, one, 1), BH_E_REGION);
	assert_int_equal(bh_keyring_generation(keyring), 1);
	assert_status(bh_keyring_merchant(keyring, "acme", &info), BH_E_NO_SUCH_MERCHANT);

	fixture_add(f, keyring, "acme");
	assert_status(bh_keyring_merchant_add(keyring, "acme", f->acme_uri, one, 1), BH_E_EXISTS);
	assert_status(bh_keyring_merchant_add(keyring, "ACME", f->acme_uri, one, 1), BH_E_EXISTS);
	fixture_add(f, keyring, "acme2");
	fixture_add(f, keyring, "acm");
	bh_keyring_close(keyring);
}

static void test_states_survive_reopen(void **state)
{
	static const bh_merchant_state there[] = { BH_MERCHANT_ACTIVE, BH_MERCHANT_SUSPENDING, BH_MERCHANT_SUSPENDED, 0 };
	static const bh_merchant_state back[] = { BH_MERCHANT_RESUMING, BH_MERCHANT_SUSPENDED, BH_MERCHANT_RESUMING,
						  BH_MERCHANT_ACTIVE, 0 };
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);

	fixture_add(f, keyring, "acme");
	walk(keyring, "acme", there);
	bh_keyring_close(keyring);
	keyring = fixture_open(f);
	assert_int_equal(fixture_state_of(keyring, "acme"), BH_MERCHANT_SUSPENDED);
	walk(keyring, "acme", back);
	assert_status(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_RESUMING), BH_E_INVALID);
	assert_status(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_SHREDDED), BH_E_INVALID);
	assert_status(bh_keyring_merchant_set_state(keyring, "acme", (bh_merchant_state)99), BH_E_INVALID);
	assert_status(bh_keyring_merchant_set_state(keyring, "nobody", BH_MERCHANT_ACTIVE), BH_E_NO_SUCH_MERCHANT);
	assert_status(bh_keyring_merchant_destroy(keyring, "acme"), BH_E_INVALID);
	bh_keyring_close(keyring);
}

static void assert_why(bh_keyring *keyring, bh_suspend_cause cause, const char *note)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	assert_done(bh_keyring_merchant(keyring, "acme", &info));
	assert_int_equal(info.cause, cause);
	assert_string_equal(info.note, note);
}

static void test_why_it_is_suspended_is_kept(void **state)
{
	const keyring_fixture *f = *state;
	char long_note[BH_SUSPEND_NOTE_MAX + 2];
	bh_keyring *keyring = fixture_open(f);

	memset(long_note, 'n', sizeof(long_note) - 1);
	long_note[sizeof(long_note) - 1] = '\0';
	fixture_add(f, keyring, "acme");
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE));
	assert_why(keyring, BH_SUSPEND_NONE, "");
	assert_status(bh_keyring_merchant_set_suspended(keyring, "acme", BH_MERCHANT_SUSPENDING, BH_SUSPEND_OPERATOR, long_note),
		      BH_E_INVALID);
	assert_done(bh_keyring_merchant_set_suspended(keyring, "acme", BH_MERCHANT_SUSPENDING, BH_SUSPEND_KMS_REFUSED, "disabled"));
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_SUSPENDED));
	assert_why(keyring, BH_SUSPEND_KMS_REFUSED, "disabled");
	assert_done(bh_keyring_merchant_set_suspended(keyring, "acme", BH_MERCHANT_SUSPENDED, BH_SUSPEND_OPERATOR, "unpaid"));
	bh_keyring_close(keyring);
	keyring = fixture_open(f);
	assert_why(keyring, BH_SUSPEND_OPERATOR, "unpaid");
	assert_done(bh_keyring_compact(keyring));
	bh_keyring_close(keyring);
	keyring = fixture_open(f);
	assert_why(keyring, BH_SUSPEND_OPERATOR, "unpaid");
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_RESUMING));
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE));
	assert_why(keyring, BH_SUSPEND_NONE, "");
	bh_keyring_close(keyring);
}

static void parking_of(bh_keyring *keyring, uint8_t out[BH_ID_LEN])
{
	bh_merchant_info info = { 0 };

	assert_done(bh_keyring_merchant(keyring, "acme", &info));
	memcpy(out, info.parking, BH_ID_LEN);
	bh_merchant_info_clear(&info);
}

static void test_each_suspension_has_a_parking_of_its_own(void **state)
{
	static const bh_merchant_state there_and_back[] = { BH_MERCHANT_SUSPENDED, BH_MERCHANT_SUSPENDED, BH_MERCHANT_RESUMING,
							    BH_MERCHANT_SUSPENDED, BH_MERCHANT_RESUMING };
	static const uint8_t none[BH_ID_LEN];
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	uint8_t before[BH_ID_LEN] = { 0 }, begun[BH_ID_LEN], now[BH_ID_LEN];

	fixture_add(f, keyring, "acme");
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE));
	for (int round = 0; round < 2; round++) {
		parking_of(keyring, now);
		assert_memory_equal(now, none, BH_ID_LEN);
		assert_done(bh_keyring_merchant_set_suspended(keyring, "acme", BH_MERCHANT_SUSPENDING, BH_SUSPEND_OPERATOR, "n"));
		parking_of(keyring, begun);
		assert_memory_not_equal(begun, none, BH_ID_LEN);
		assert_memory_not_equal(begun, before, BH_ID_LEN);
		for (size_t i = 0; i < sizeof(there_and_back) / sizeof(there_and_back[0]); i++) {
			assert_done(bh_keyring_merchant_set_state(keyring, "acme", there_and_back[i]));
			if (i == 2)
				assert_done(bh_keyring_compact(keyring));
			bh_keyring_close(keyring);
			keyring = fixture_open(f);
			parking_of(keyring, now);
			assert_memory_equal(now, begun, BH_ID_LEN);
		}
		assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE));
		memcpy(before, begun, BH_ID_LEN);
	}
	bh_keyring_close(keyring);
}

static void test_lock_forgets_the_keys(void **state)
{
	const keyring_fixture *f = *state;
	static const bh_merchant_state suspended[] = { BH_MERCHANT_ACTIVE, BH_MERCHANT_SUSPENDING, BH_MERCHANT_SUSPENDED, 0 };
	const bh_scope nobody = { .merchant = "nobody", .cls = "x" }, no_class = { .merchant = "acme", .cls = "x" };
	const bh_scope other = { .merchant = "other", .cls = "profile" };
	bh_keyring *keyring = fixture_open(f);
	bh_dek *dek = NULL, *found = NULL, *others = NULL;

	fixture_add(f, keyring, "acme");
	fixture_add(f, keyring, "other");
	size_t used = bh_secret_in_use();
	assert_done(bh_keyring_dek_current(keyring, &profile, &dek));
	assert_done(bh_keyring_merchant_lock(keyring, "acme"));
	assert_done(bh_keyring_merchant_lock(keyring, "acme"));
	assert_true(bh_secret_in_use() < used);
	assert_status(bh_keyring_dek_current(keyring, &profile, &found), BH_E_NO_KEY);
	assert_status(bh_keyring_dek_find(keyring, bh_dek_id(dek), &found), BH_E_NO_KEY);
	walk(keyring, "acme", suspended);
	assert_status(bh_keyring_dek_current(keyring, &profile, &found), BH_E_SUSPENDED);
	assert_status(bh_keyring_dek_current(keyring, &nobody, &found), BH_E_NO_SUCH_MERCHANT);
	assert_status(bh_keyring_dek_current(keyring, &no_class, &found), BH_E_NO_SUCH_CLASS);
	assert_status(bh_keyring_merchant_lock(keyring, "nobody"), BH_E_NO_SUCH_MERCHANT);
	assert_status(bh_keyring_merchant_lock(keyring, ""), BH_E_NO_SUCH_MERCHANT); /* not the platform's */
	assert_status(bh_keyring_merchant_unlock(keyring, "nobody"), BH_E_NO_SUCH_MERCHANT);
	assert_done(bh_keyring_dek_current(keyring, &other, &others));
	bh_dek_unref(others);
	bh_dek_unref(dek);
	bh_keyring_close(keyring);
}

static void test_unlock_keeps_the_reasons_apart(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	bh_kms *console = NULL;
	bh_dek *dek = NULL;
	char key[256], aside[256];

	fixture_add(f, keyring, "acme");
	assert_done(bh_keyring_merchant_lock(keyring, "acme"));
	assert_done(bh_kms_open(f->acme_uri, NULL, &console));
	assert_done(bh_kms_disable(console));
	assert_status(bh_keyring_merchant_unlock(keyring, "acme"), BH_E_KMS_REFUSED);
	assert_non_null(strstr(bh_status_message(), "merchant 'acme'"));
	assert_status(bh_keyring_dek_current(keyring, &profile, &dek), BH_E_NO_KEY);
	assert_done(bh_kms_enable(console));

	text_format(key, sizeof(key), "%s/acme.key.json", f->kms);
	text_format(aside, sizeof(aside), "%s/aside", f->root);
	assert_int_equal(rename(key, aside), 0);
	assert_status(bh_keyring_merchant_unlock(keyring, "acme"), BH_E_NO_KEY);
	/* Another key of that name: the wraps do not open. */
	assert_done(bh_kms_create(f->acme_uri, "eu", NULL));
	assert_status(bh_keyring_merchant_unlock(keyring, "acme"), BH_E_TAG);
	assert_int_equal(rename(aside, key), 0);
	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	assert_done(bh_kms_destroy(console, NULL));
	assert_done(bh_keyring_merchant_unlock(keyring, "acme")); /* in memory: no question asked */
	assert_done(bh_keyring_merchant_lock(keyring, "acme"));
	assert_status(bh_keyring_merchant_unlock(keyring, "acme"), BH_E_KMS_REFUSED);
	bh_kms_close(console);
	bh_keyring_close(keyring);
}

static void test_lists(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	bh_merchant_info *merchants = NULL;
	bh_dek_info *deks = NULL;
	size_t count = 0;

	assert_done(bh_keyring_merchants(keyring, &merchants, &count));
	assert_int_equal(count, 0);
	free(merchants);
	fixture_add(f, keyring, "zeta");
	fixture_add(f, keyring, "acme");
	shred(keyring, "zeta");
	fixture_add(f, keyring, "zeta");
	assert_done(bh_keyring_merchants(keyring, &merchants, &count));
	assert_int_equal(count, 3);
	assert_string_equal(merchants[0].name, "zeta");
	assert_int_equal(merchants[0].state, BH_MERCHANT_SHREDDED);
	assert_string_equal(merchants[1].name, "acme");
	assert_string_equal(merchants[2].name, "zeta");
	assert_int_equal(merchants[2].state, BH_MERCHANT_CREATING);
	assert_memory_not_equal(merchants[0].id, merchants[2].id, BH_ID_LEN);
	for (size_t i = 0; i < count; i++)
		bh_merchant_info_clear(&merchants[i]);
	free(merchants);
	assert_done(bh_keyring_deks(keyring, &deks, &count));
	assert_int_equal(count, 7);
	assert_true(bh_scope_is_platform(&deks[0].scope));
	assert_true(deks[1].tombstone && deks[1].cmk_version == 1);
	assert_false(deks[3].tombstone);
	assert_string_equal(deks[4].scope.cls, "events");
	free(deks);
	bh_keyring_close(keyring);
}

/* Destroy */

static bh_buf wrap_of(bh_keyring *keyring, const char *name, size_t i)
{
	const bh_merchant_record *merchant = bh_keyring_state_find(&keyring->state, name);
	bh_buf wrap = { 0 };

	assert_non_null(merchant);
	assert_done(bh_buf_append(&wrap, merchant->deks[i].wrapped.data, merchant->deks[i].wrapped.len));
	assert_int_equal(wrap.len, 65);
	return wrap;
}

static void test_destroy_leaves_no_wrap(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	bh_dek *dek = NULL, *found = NULL;

	fixture_add(f, keyring, "acme");
	fixture_add(f, keyring, "other");
	bh_buf wraps[2] = { wrap_of(keyring, "acme", 0), wrap_of(keyring, "acme", 1) };
	bh_buf others = wrap_of(keyring, "other", 0);
	assert_done(bh_keyring_dek_current(keyring, &profile, &dek));
	file_store(f->tmp, bh_buf_view(&wraps[0])); /* as a compaction may leave it that was killed */
	shred(keyring, "acme");
	assert_done(bh_keyring_merchant_destroy(keyring, "acme"));

	bh_buf file = file_load(f->file);
	for (int i = 0; i < 2; i++)
		assert_false(bytes_contain(bh_buf_view(&file), bh_view_of(wraps[i].data + 5, wraps[i].len - 5)));
	assert_true(bytes_contain(bh_buf_view(&file), bh_buf_view(&others)));
	assert_false(file_exists(f->tmp));
	assert_status(bh_keyring_dek_current(keyring, &profile, &found), BH_E_SHREDDED);
	assert_status(bh_keyring_dek_find(keyring, bh_dek_id(dek), &found), BH_E_SHREDDED);
	assert_status(bh_keyring_merchant_unlock(keyring, "acme"), BH_E_SHREDDED);
	assert_status(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_RESUMING), BH_E_SHREDDED);
	bh_keyring_close(keyring);

	keyring = fixture_open(f);
	assert_int_equal(fixture_state_of(keyring, "acme"), BH_MERCHANT_SHREDDED);
	assert_status(bh_keyring_dek_find(keyring, bh_dek_id(dek), &found), BH_E_SHREDDED);
	fixture_add(f, keyring, "acme");
	assert_done(bh_keyring_dek_current(keyring, &profile, &found));
	assert_memory_not_equal(bh_dek_id(found), bh_dek_id(dek), BH_ID_LEN);
	assert_memory_not_equal(bh_dek_key(found).data, bh_dek_key(dek).data, BH_DEK_LEN);
	bh_dek_unrefp(&found);
	assert_status(bh_keyring_dek_find(keyring, bh_dek_id(dek), &found), BH_E_SHREDDED);
	bh_keyring_close(keyring);
	bh_dek_unref(dek);
	bh_buf_clear(&file);
	bh_buf_clear(&others);
	bh_buf_clear(&wraps[0]);
	bh_buf_clear(&wraps[1]);
}

static void test_shredding_gives_no_key_back(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	bh_dek *dek = NULL;

	fixture_add(f, keyring, "acme");
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_SHREDDING));
	assert_done(bh_keyring_dek_current(keyring, &profile, &dek)); /* what is in memory serves to the end */
	bh_dek_unrefp(&dek);
	assert_done(bh_keyring_merchant_lock(keyring, "acme"));
	assert_status(bh_keyring_merchant_unlock(keyring, "acme"), BH_E_SHREDDED);
	assert_status(bh_keyring_dek_current(keyring, &profile, &dek), BH_E_SHREDDED);
	assert_status(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE), BH_E_SHREDDED);
	bh_keyring_close(keyring);
}

/* Compaction */

static void test_compacts_at_the_threshold(void **state)
{
	static const bh_merchant_state round[] = { BH_MERCHANT_SUSPENDING, BH_MERCHANT_SUSPENDED, BH_MERCHANT_RESUMING,
						   BH_MERCHANT_ACTIVE };
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	uint64_t last_len = 0;
	int replaced = 0;

	fixture_add(f, keyring, "acme");
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE));
	for (int i = 0; i < 1300; i++) {
		uint64_t generation = bh_keyring_generation(keyring);
		assert_done(bh_keyring_merchant_set_state(keyring, "acme", round[i % 4]));
		assert_int_equal(bh_keyring_generation(keyring), generation + 1);
		bool shrunk = keyring->file.mark.committed_len < last_len;
		last_len = keyring->file.mark.committed_len;
		replaced += shrunk;
		/* One to each side of a replacement, and now and then, everything is there after a reopen. */
		if (shrunk || keyring->file.mark.committed_len > 70000 - 200 || i % 400 == 0) {
			bh_keyring_close(keyring);
			keyring = fixture_open(f);
			assert_int_equal(bh_keyring_generation(keyring), generation + 1);
			assert_int_equal(fixture_state_of(keyring, "acme"), round[i % 4]);
		}
	}
	assert_int_equal(replaced, 1);
	bh_keyring_close(keyring);
}

static void test_compact_keeps_everything(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	bh_dek *dek = NULL;

	fixture_add(f, keyring, "acme");
	fixture_add(f, keyring, "other");
	shred(keyring, "other");
	uint64_t generation = bh_keyring_generation(keyring);
	assert_done(bh_keyring_compact(keyring));
	assert_int_equal(bh_keyring_generation(keyring), generation + 1);
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE)); /* appends go to the new file */
	bh_keyring_close(keyring);
	keyring = fixture_open(f);
	assert_int_equal(bh_keyring_generation(keyring), generation + 2);
	assert_int_equal(fixture_state_of(keyring, "acme"), BH_MERCHANT_ACTIVE);
	assert_int_equal(fixture_state_of(keyring, "other"), BH_MERCHANT_SHREDDED);
	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	assert_done(bh_keyring_dek_current(keyring, &profile, &dek));
	bh_dek_unref(dek);
	bh_keyring_close(keyring);
}

/* Threads: lookups go on while merchants are locked, unlocked, added and suspended. */

struct threads {
	const keyring_fixture *f;
	bh_keyring *keyring;
	atomic_bool stop;
	atomic_ulong found, refused;
};

static void *lookup_thread(void *arg)
{
	struct threads *t = arg;

	while (!atomic_load(&t->stop)) {
		bh_dek *dek = NULL;
		bh_status status = bh_keyring_dek_current(t->keyring, &profile, &dek);
		if (status == BH_OK && memcmp(bh_dek_scope(dek)->merchant, "acme", 5) == 0)
			atomic_fetch_add(&t->found, 1);
		else if (status == BH_E_NO_KEY)
			atomic_fetch_add(&t->refused, 1);
		else
			abort();
		bh_dek_unref(dek);
	}
	return NULL;
}

static void *lock_thread(void *arg)
{
	struct threads *t = arg;

	for (int i = 0; i < 100; i++) {
		if (bh_keyring_merchant_lock(t->keyring, "acme") != BH_OK ||
		    bh_keyring_merchant_unlock(t->keyring, "acme") != BH_OK)
			abort();
	}
	return NULL;
}

static void *add_thread(void *arg)
{
	static const char *const classes[] = { "events" };
	struct threads *t = arg;
	char name[16];

	for (int i = 0; i < 20; i++) {
		text_format(name, sizeof(name), "m%d", i);
		/* Two of these run: each name is taken once. */
		bh_status status = bh_keyring_merchant_add(t->keyring, name, t->f->acme_uri, classes, 1);
		if (status != BH_OK && status != BH_E_EXISTS)
			abort();
	}
	return NULL;
}

static void test_threads(void **state)
{
	const keyring_fixture *f = *state;
	struct threads t = { .f = f, .keyring = fixture_open(f) };
	pthread_t looking, locking, adding[2];
	bh_merchant_info *merchants = NULL;
	size_t count = 0;

	fixture_add(f, t.keyring, "acme");
	pthread_create(&looking, NULL, lookup_thread, &t);
	pthread_create(&locking, NULL, lock_thread, &t);
	pthread_create(&adding[0], NULL, add_thread, &t);
	pthread_create(&adding[1], NULL, add_thread, &t);
	pthread_join(locking, NULL);
	pthread_join(adding[0], NULL);
	pthread_join(adding[1], NULL);
	atomic_store(&t.stop, true);
	pthread_join(looking, NULL);
	assert_true(t.found > 0);
	assert_done(bh_keyring_merchants(t.keyring, &merchants, &count));
	assert_int_equal(count, 21);
	for (size_t i = 0; i < count; i++)
		bh_merchant_info_clear(&merchants[i]);
	free(merchants);
	bh_keyring_close(t.keyring);
	assert_done(fixture_try_open(f, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_merchant_survives_reopen, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_add_refuses, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_states_survive_reopen, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_why_it_is_suspended_is_kept, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_each_suspension_has_a_parking_of_its_own, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_lock_forgets_the_keys, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_unlock_keeps_the_reasons_apart, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_lists, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_destroy_leaves_no_wrap, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_shredding_gives_no_key_back, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_compacts_at_the_threshold, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_compact_keeps_everything, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_threads, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("keyring", tests, NULL, NULL);
}
