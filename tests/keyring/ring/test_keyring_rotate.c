/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_rotate.c: generations of DEKs over a real local KMS: added, marked, retired, rewrapped under another version and
 * under another CMK; what is in memory, in KEYRING, and in the log afterwards; a kill at every step.
 */
#include "keyring_fixture.h"

#include "keyring/base/crashpoint.h"
#include "keyring/ring/ring.h"

typedef struct rig {
	keyring_fixture f;
	bh_keyring *keyring;
	bh_kms *console;
	char other_uri[192];
} rig;

static const bh_scope profile = { .merchant = "acme", .cls = "profile" };

static int setup(void **state)
{
	rig *r = calloc(1, sizeof(*r));

	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	r->f = fixture_make_keyring();
	r->keyring = fixture_open(&r->f);
	fixture_add(&r->f, r->keyring, "acme");
	assert_done(bh_keyring_merchant_set_state(r->keyring, "acme", BH_MERCHANT_ACTIVE));
	assert_done(bh_kms_open(r->f.acme_uri, NULL, &r->console));
	text_format(r->other_uri, sizeof(r->other_uri), "local:%s#other", r->f.kms);
	assert_done(bh_kms_create(r->other_uri, "eu", NULL));
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

static void reopen(rig *r)
{
	bh_keyring_close(r->keyring);
	r->keyring = fixture_open(&r->f);
}

/* The merchant's DEKs: profile and events of generation 1, then of 2, and so on. */
static size_t deks_of(rig *r, bh_dek_info out[8])
{
	bh_dek_info *infos = NULL;
	size_t count = 0;

	assert_done(bh_keyring_deks(r->keyring, &infos, &count));
	assert_true(count >= 1 && count <= 9);
	memcpy(out, infos + 1, (count - 1) * sizeof(*out));
	free(infos);
	return count - 1;
}

static uint32_t current(rig *r)
{
	bh_dek *dek = NULL;

	assert_done(bh_keyring_dek_current(r->keyring, &profile, &dek));
	uint32_t generation = bh_dek_generation(dek);
	bh_dek_unref(dek);
	return generation;
}

static bh_status find(rig *r, const uint8_t *id)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	return bh_keyring_dek_find(r->keyring, id, &dek);
}

static bool log_has(rig *r, const char *text)
{
	bh_buf log = file_load(r->f.audit);
	bool has = memmem(log.data, log.len, text, strlen(text)) != NULL;

	bh_buf_clear(&log);
	return has;
}

/* Every wrap that KEYRING has of the merchant. */
static bh_buf wraps_of(rig *r)
{
	const bh_merchant_record *merchant = bh_keyring_state_find(&r->keyring->state, "acme");
	bh_buf out = { 0 };

	for (size_t i = 0; i < merchant->dek_count; i++)
		assert_done(bh_buf_append_blob16(&out, bh_buf_view(&merchant->deks[i].wrapped)));
	return out;
}

static void assert_no_wrap_of(rig *r, bh_view wraps)
{
	bh_buf file = file_load(r->f.file);
	bh_reader reader = bh_reader_of(wraps);

	while (reader.rest.len > 0) {
		bh_view wrap = bh_read_blob16(&reader);
		assert_true(bh_reader_ok(&reader) && wrap.len > 0);
		assert_null(memmem(file.data, file.len, wrap.data, wrap.len));
	}
	bh_buf_clear(&file);
}

static void a_rotation_adds_a_generation_for_every_class(void **state)
{
	rig *r = *state;
	bh_dek_info deks[8];

	assert_int_equal(current(r), 1);
	assert_done(bh_keyring_merchant_rotate(r->keyring, "acme", BH_DEK_EXPOSED));
	assert_int_equal(current(r), 2);
	assert_int_equal(deks_of(r, deks), 4);
	assert_string_equal(deks[2].scope.cls, "profile");
	assert_string_equal(deks[3].scope.cls, "events");
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(deks[i].generation, i / 2 + 1);
		assert_int_equal(deks[i].marks, i < 2 ? BH_DEK_EXPOSED : 0);
		assert_int_equal(deks[i].marked_at_s != 0, i < 2);
		assert_done(find(r, deks[i].id));
	}
	assert_true(log_has(r, "merchant.rotated") && log_has(r, "dek.marked"));
	reopen(r);
	assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
	assert_int_equal(current(r), 2);
	assert_done(bh_keyring_merchant_mark(r->keyring, "acme", BH_DEK_SWEEP));
	uint64_t generation = bh_keyring_generation(r->keyring);
	assert_done(bh_keyring_merchant_mark(r->keyring, "acme", BH_DEK_SWEEP)); /* nothing to say */
	assert_int_equal(bh_keyring_generation(r->keyring), generation);
	deks_of(r, deks);
	assert_int_equal(deks[1].marks, BH_DEK_EXPOSED | BH_DEK_SWEEP);
	assert_int_equal(deks[2].marks, 0);
}

static void a_rotation_needs_an_active_merchant_with_its_keys(void **state)
{
	rig *r = *state;
	bh_dek_info deks[8];

	assert_status(bh_keyring_merchant_rotate(r->keyring, "nobody", 0), BH_E_NO_SUCH_MERCHANT);
	assert_status(bh_keyring_merchant_rotate(r->keyring, "acme", 4), BH_E_INVALID);
	assert_done(bh_keyring_merchant_lock(r->keyring, "acme"));
	assert_status(bh_keyring_merchant_rotate(r->keyring, "acme", 0), BH_E_NO_KEY);
	assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
	assert_done(bh_kms_disable(r->console));
	assert_status(bh_keyring_merchant_rotate(r->keyring, "acme", 0), BH_E_KMS_REFUSED);
	assert_done(bh_kms_enable(r->console));
	assert_done(bh_keyring_merchant_set_suspended(r->keyring, "acme", BH_MERCHANT_SUSPENDING, BH_SUSPEND_OPERATOR, ""));
	assert_status(bh_keyring_merchant_rotate(r->keyring, "acme", 0), BH_E_SUSPENDED);
	assert_done(bh_keyring_merchant_set_state(r->keyring, "acme", BH_MERCHANT_SHREDDING));
	assert_status(bh_keyring_merchant_rotate(r->keyring, "acme", 0), BH_E_SHREDDED);
	assert_int_equal(deks_of(r, deks), 2);
}

static uint64_t sealed_of(rig *r, size_t idx)
{
	bh_dek_info deks[8];

	assert_true(idx < deks_of(r, deks));
	return deks[idx].sealed;
}

static void seal(rig *r, uint64_t bytes)
{
	bh_dek *dek = NULL;

	assert_done(bh_keyring_dek_current(r->keyring, &profile, &dek));
	bh_tally_add(bh_dek_tally(dek), bytes);
	bh_dek_unref(dek);
}

/* Over a lock, a reopening, a rotation, a rewrap; written down when it is asked for, and once. */
static void what_was_sealed_is_counted_for_the_life_of_a_dek(void **state)
{
	rig *r = *state;
	bh_rewrap_result result;
	bh_dek_info deks[8];
	uint32_t version;

	seal(r, 100);
	assert_int_equal(sealed_of(r, 0), 100);
	assert_int_equal(sealed_of(r, 1), 0);
	assert_done(bh_keyring_merchant_lock(r->keyring, "acme"));
	assert_int_equal(sealed_of(r, 0), 100);
	assert_done(bh_keyring_sealed_store(r->keyring));
	uint64_t generation = bh_keyring_generation(r->keyring);
	assert_done(bh_keyring_sealed_store(r->keyring)); /* nothing new */
	assert_int_equal(bh_keyring_generation(r->keyring), generation);
	assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
	seal(r, 11);
	assert_int_equal(sealed_of(r, 0), 111);
	reopen(r);
	assert_int_equal(sealed_of(r, 0), 100); /* as a kill leaves it */
	assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
	deks_of(r, deks);
	bh_keyring_sealed_raise(r->keyring, deks[0].id, 90);
	assert_int_equal(sealed_of(r, 0), 100);
	bh_keyring_sealed_raise(r->keyring, deks[0].id, 105);
	assert_done(bh_keyring_merchant_rotate(r->keyring, "acme", 0));
	seal(r, 7);
	assert_done(bh_keyring_sealed_store(r->keyring));
	assert_done(bh_kms_rotate(r->console, &version));
	assert_done(bh_keyring_merchant_rewrap(r->keyring, "acme", NULL, &result));
	reopen(r);
	assert_int_equal(sealed_of(r, 0), 105);
	assert_int_equal(sealed_of(r, 2), 7);
	assert_done(bh_keyring_deks_retire(r->keyring, "acme", deks[0].id, 1, NULL));
	assert_int_equal(sealed_of(r, 0), 0);
	reopen(r);
	assert_int_equal(sealed_of(r, 0), 0);
	assert_int_equal(sealed_of(r, 2), 7);
}

static void a_retired_dek_leaves_a_tombstone_and_no_wrap(void **state)
{
	rig *r = *state;
	bh_buf before = wraps_of(r);
	bh_dek_info deks[8];
	bh_dek *held = NULL;

	assert_done(bh_keyring_merchant_rotate(r->keyring, "acme", 0));
	deks_of(r, deks);
	assert_status(bh_keyring_deks_retire(r->keyring, "acme", deks[2].id, 1, NULL), BH_E_INVALID); /* the newest */
	assert_done(bh_keyring_dek_find(r->keyring, deks[1].id, &held));
	uint8_t ids[2 * BH_ID_LEN];
	memcpy(ids, deks[0].id, BH_ID_LEN);
	memcpy(ids + BH_ID_LEN, deks[1].id, BH_ID_LEN);
	assert_status(bh_keyring_deks_retire(r->keyring, "acme", ids, 2, NULL), BH_E_BUSY);
	assert_done(find(r, deks[0].id)); /* all or none */
	bh_dek_unref(held);
	assert_done(bh_keyring_deks_retire(r->keyring, "acme", ids, 2, "nothing refers to them"));
	assert_done(bh_keyring_deks_retire(r->keyring, "acme", ids, 2, NULL)); /* once more is nothing */
	assert_no_wrap_of(r, bh_buf_view(&before));
	assert_true(log_has(r, "dek.retired") && log_has(r, "nothing refers to them"));
	for (unsigned turn = 0; turn < 2; turn++) {
		assert_status(find(r, deks[0].id), BH_E_SHREDDED);
		assert_non_null(strstr(bh_status_message(), "retired"));
		assert_int_equal(current(r), 2);
		reopen(r);
		assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
		assert_done(bh_keyring_merchant_renew(r->keyring, "acme"));
	}
	deks_of(r, deks);
	assert_true(deks[0].tombstone && deks[0].retired_at_s != 0 && !deks[2].tombstone);
	bh_buf_clear(&before);
}

static void a_shred_after_a_rotation_leaves_tombstones_alone(void **state)
{
	rig *r = *state;
	bh_shred_record record = { 0 };
	bh_merchant_info info;
	bh_dek_info deks[8];

	assert_done(bh_keyring_merchant_rotate(r->keyring, "acme", BH_DEK_SWEEP));
	deks_of(r, deks);
	assert_done(bh_keyring_deks_retire(r->keyring, "acme", deks[0].id, 1, NULL));
	assert_done(bh_keyring_merchant_set_state(r->keyring, "acme", BH_MERCHANT_SHREDDING));
	assert_done(bh_keyring_shred_ask(r->keyring, deks[0].merchant_id, &record));
	assert_status(record.unwrap.status, BH_E_KMS_REFUSED); /* of a DEK that has a wrap */
	assert_done(bh_keyring_merchant_destroy(r->keyring, "acme"));
	reopen(r);
	assert_int_equal(deks_of(r, deks), 4);
	for (size_t i = 0; i < 4; i++)
		assert_true(deks[i].tombstone && (deks[i].retired_at_s != 0) == (i == 0));
	assert_done(bh_keyring_merchant(r->keyring, "acme", &info));
	assert_false(info.unlocked);
	assert_int_equal(info.class_count, 2);
	bh_merchant_info_clear(&info);
}

static void a_rewrap_brings_every_wrap_to_the_newest_version(void **state)
{
	rig *r = *state;
	bh_buf before = wraps_of(r);
	bh_rewrap_result result = { 0 };
	uint32_t version;
	bh_dek_info deks[8];

	assert_done(bh_kms_rotate(r->console, &version));
	assert_done(bh_keyring_merchant_rotate(r->keyring, "acme", 0)); /* wrapped by version 2 at once */
	assert_done(bh_keyring_merchant_rewrap(r->keyring, "acme", NULL, &result));
	assert_int_equal(result.version, 2);
	assert_int_equal(result.behind, 0);
	assert_int_equal(result.rewrapped, 2);
	assert_no_wrap_of(r, bh_buf_view(&before));
	assert_done(bh_keyring_merchant_rewrap(r->keyring, "acme", NULL, &result));
	assert_int_equal(result.rewrapped, 0);
	reopen(r);
	assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
	for (size_t i = deks_of(r, deks); i-- > 0;)
		assert_int_equal(deks[i].cmk_version, 2);
	assert_true(log_has(r, "dek.rewrapped"));
	bh_buf_clear(&before);
}

static void after_a_move_the_old_cmk_may_be_destroyed(void **state)
{
	rig *r = *state;
	bh_buf before = wraps_of(r);
	bh_rewrap_result result = { 0 };
	char uri[BH_KMS_URI_MAX + 1];

	assert_done(bh_keyring_merchant_rewrap(r->keyring, "acme", r->other_uri, &result));
	assert_int_equal(result.rewrapped, 2);
	assert_int_equal(result.behind, 0);
	assert_no_wrap_of(r, bh_buf_view(&before));
	assert_done(bh_kms_destroy(r->console, NULL));
	assert_done(bh_keyring_merchant_renew(r->keyring, "acme"));
	assert_done(bh_keyring_merchant_rotate(r->keyring, "acme", 0));
	reopen(r);
	assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
	assert_done(bh_keyring_cmk_uri(r->keyring, "acme", uri));
	assert_string_equal(uri, r->other_uri);
	assert_true(log_has(r, "merchant.moved"));
	bh_buf_clear(&before);
}

/* Who has revoked his CMK is not passed by with the keys that are in memory. */
static void a_move_needs_both_cmks(void **state)
{
	rig *r = *state;
	bh_rewrap_result result = { .version = 77 };
	bh_kms *other = NULL;
	char uri[BH_KMS_URI_MAX + 1];

	assert_done(bh_kms_disable(r->console));
	assert_status(bh_keyring_merchant_rewrap(r->keyring, "acme", r->other_uri, &result), BH_E_KMS_REFUSED);
	assert_done(bh_kms_enable(r->console));
	assert_done(bh_kms_open(r->other_uri, NULL, &other));
	assert_done(bh_kms_disable(other));
	assert_status(bh_keyring_merchant_rewrap(r->keyring, "acme", r->other_uri, &result), BH_E_KMS_REFUSED);
	bh_kms_close(other);
	assert_status(bh_keyring_merchant_rewrap(r->keyring, "nobody", NULL, &result), BH_E_NO_SUCH_MERCHANT);
	assert_int_equal(result.version, 77);
	assert_done(bh_keyring_cmk_uri(r->keyring, "acme", uri));
	assert_string_equal(uri, r->f.acme_uri);
	reopen(r);
	assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
}

static void the_platform_is_rewrapped_and_moved(void **state)
{
	rig *r = *state;
	bh_rewrap_result result = { 0 };
	bh_kms *platform = NULL;
	uint32_t version;

	assert_done(bh_kms_open(r->f.platform_uri, NULL, &platform));
	assert_done(bh_kms_rotate(platform, &version));
	assert_done(bh_keyring_merchant_rewrap(r->keyring, "", NULL, &result));
	assert_true(result.version == 2 && result.rewrapped == 2 && result.behind == 0);
	reopen(r);
	assert_done(bh_keyring_merchant_rewrap(r->keyring, "", r->other_uri, &result));
	assert_int_equal(result.rewrapped, 2);
	assert_done(bh_kms_destroy(platform, NULL));
	bh_kms_close(platform);
	reopen(r);
	assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
	assert_int_equal(current(r), 1);
}

/* One durable change, tried in a child that may be killed in it. */
typedef struct step {
	const char *name;
	bh_status (*run)(rig *r);
} step;

static bh_status run_rotate(rig *r)
{
	return bh_keyring_merchant_rotate(r->keyring, "acme", BH_DEK_SWEEP);
}

static bh_status run_mark(rig *r)
{
	return bh_keyring_merchant_mark(r->keyring, "acme", BH_DEK_EXPOSED);
}

static bh_status run_retire(rig *r)
{
	bh_dek_info deks[8];

	deks_of(r, deks);
	return bh_keyring_deks_retire(r->keyring, "acme", deks[0].id, 1, NULL);
}

static bh_status run_rewrap(rig *r)
{
	bh_rewrap_result result;

	return bh_keyring_merchant_rewrap(r->keyring, "acme", NULL, &result);
}

static bh_status run_move(rig *r)
{
	bh_rewrap_result result;

	return bh_keyring_merchant_rewrap(r->keyring, "acme", r->other_uri, &result);
}

static bh_status run_platform(rig *r)
{
	bh_rewrap_result result;

	return bh_keyring_merchant_rewrap(r->keyring, "", NULL, &result);
}

/* More than whoever was killed before had written down. */
static bh_status run_sealed(rig *r)
{
	seal(r, 100);
	return bh_keyring_sealed_store(r->keyring);
}

/* Whether the child was killed at the N-th point of its change. */
static bool killed_at(rig *r, const step *s, unsigned n)
{
	int status = 0;
	pid_t child;

	bh_keyring_close(r->keyring);
	r->keyring = NULL;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char spec[32];

		r->keyring = fixture_open(&r->f);
		assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
		(void)snprintf(spec, sizeof(spec), "*:%u", n);
		bh_crash_arm(spec);
		_exit(s->run(r) == BH_OK ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	r->keyring = fixture_open(&r->f);
	return WIFSIGNALED(status);
}

static void a_kill_at_any_point_leaves_the_state_before_or_after(void **state)
{
	static const step steps[] = {
		{ "rotate", run_rotate }, { "mark", run_mark },     { "rewrap", run_rewrap },     { "sealed", run_sealed },
		{ "move", run_move },     { "retire", run_retire }, { "platform", run_platform },
	};
	rig *r = *state;
	bh_kms *platform = NULL;
	uint32_t version;

	assert_done(bh_kms_open(r->f.platform_uri, NULL, &platform));
	assert_done(bh_keyring_merchant_rotate(r->keyring, "acme", 0));
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		bool killed = true;
		unsigned points = 0;
		uint64_t sealed = 0;

		assert_done(bh_kms_rotate(r->console, &version));
		assert_done(bh_kms_rotate(platform, &version));
		while (killed) {
			bh_dek_info deks[8];

			killed = killed_at(r, &steps[i], ++points);
			assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
			assert_true(deks_of(r, deks) % 2 == 0);
			assert_false(file_exists(r->f.tmp));
			if (steps[i].run == run_sealed) { /* as before, or as after */
				uint64_t now = sealed_of(r, deks_of(r, deks) - 2);
				assert_true(now == sealed || now == sealed + 100);
				assert_true(killed || now == sealed + 100);
				sealed = now;
			}
			/* A rotation that came to be before the kill is not made many times. */
			if (steps[i].run == run_rotate && deks_of(r, deks) > 4)
				break;
		}
		assert_true(points > 2);
	}
	bh_kms_close(platform);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_rotation_adds_a_generation_for_every_class, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rotation_needs_an_active_merchant_with_its_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_sealed_is_counted_for_the_life_of_a_dek, setup, teardown),
		cmocka_unit_test_setup_teardown(a_retired_dek_leaves_a_tombstone_and_no_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(a_shred_after_a_rotation_leaves_tombstones_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rewrap_brings_every_wrap_to_the_newest_version, setup, teardown),
		cmocka_unit_test_setup_teardown(after_a_move_the_old_cmk_may_be_destroyed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_move_needs_both_cmks, setup, teardown),
		cmocka_unit_test_setup_teardown(the_platform_is_rewrapped_and_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(a_kill_at_any_point_leaves_the_state_before_or_after, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
