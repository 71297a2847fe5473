/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_state.c: what the payloads of KEYRING's records say. Round trips, every truncation, every flipped bit; edits that
 * cannot be; the state machine, every pair.
 */
#include "tests/keyring/ring/keyring_fixture.h"

#include "keyring/manifest/state_former.h"
#include "keyring/manifest/state.h"

static void flip(uint8_t *bytes, size_t bit)
{
	bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static bh_merchant_record merchant_sample(const char *name, uint8_t id, size_t dek_count)
{
	bh_merchant_record merchant = {
		.state = BH_MERCHANT_CREATING, .created_at_s = 100, .changed_at_s = 200, .dek_count = dek_count
	};

	memset(merchant.id, id, BH_ID_LEN);
	text_format(merchant.name, sizeof(merchant.name), "%s", name);
	text_format(merchant.region, sizeof(merchant.region), "eu");
	merchant.cmk_uri = strdup("local:/kms#acme");
	merchant.deks = calloc(dek_count, sizeof(*merchant.deks));
	if (merchant.cmk_uri == NULL || merchant.deks == NULL)
		abort();
	for (size_t i = 0; i < dek_count; i++) {
		bh_dek_record *dek = &merchant.deks[i];
		memset(dek->id, (int)(id + i), BH_ID_LEN);
		text_format(dek->cls, sizeof(dek->cls), "class%zu", i);
		dek->generation = 1;
		dek->cmk_version = 2;
		dek->created_at_s = 100;
		dek->sealed = i == 0 ? 0 : UINT64_MAX - i; /* with and without */
		assert_done(bh_buf_append(&dek->wrapped, "wrapped-dek-bytes", 17));
	}
	return merchant;
}

static bh_dek_record platform_dek(uint8_t id, uint32_t generation)
{
	bh_dek_record dek = { .generation = generation, .cmk_version = 1, .created_at_s = 50 };

	memset(dek.id, id, BH_ID_LEN);
	assert_done(bh_buf_append(&dek.wrapped, "wrapped-platform", 16));
	return dek;
}

/* Generation 1 is destroyed, 2 is retiring, 3 is the one in use. */
static void platform_sample(bh_keyring_state *state)
{
	bh_merchant_record *platform = &state->platform;

	platform->state = BH_MERCHANT_ACTIVE;
	platform->deks = calloc(3, sizeof(*platform->deks));
	if (platform->deks == NULL)
		abort();
	for (uint32_t i = 0; i < 3; i++)
		platform->deks[platform->dek_count++] = platform_dek((uint8_t)(0x70 + i), i + 1);
	assert_done(bh_dek_record_bury(&platform->deks[0], 70));
	platform->deks[1].marks = BH_DEK_SWEEP;
	platform->deks[1].marked_at_s = 60;
}

static bh_keyring_state state_sample(void)
{
	bh_keyring_state state = { 0 };
	bh_merchant_record acme = merchant_sample("acme", 0x10, 2), zeta = merchant_sample("zeta", 0x20, 1);
	bh_buf payload = { 0 };

	platform_sample(&state);
	assert_done(bh_merchant_record_encode(&acme, &payload));
	assert_done(bh_keyring_state_apply(&state, BH_KEYRING_MERCHANT_ADDED, bh_buf_view(&payload)));
	payload.len = 0;
	assert_done(bh_merchant_record_encode(&zeta, &payload));
	assert_done(bh_keyring_state_apply(&state, BH_KEYRING_MERCHANT_ADDED, bh_buf_view(&payload)));
	bh_buf_clear(&payload);
	bh_merchant_record_clear(&acme);
	bh_merchant_record_clear(&zeta);
	/* it was moved twice */
	assert_done(bh_former_cmk_leave(bh_keyring_state_find(&state, "acme"), "local:/kms#second", 150));
	assert_done(bh_former_cmk_leave(bh_keyring_state_find(&state, "acme"), "local:/kms#third", 160));
	return state;
}

static bh_status change(bh_keyring_state *state, uint8_t id, bh_merchant_state to)
{
	uint8_t merchant_id[BH_ID_LEN];
	bh_buf payload = { 0 };

	memset(merchant_id, id, BH_ID_LEN);
	const bh_state_change change = { .state = to, .at_s = 300, .cause = BH_SUSPEND_OPERATOR, .note = "unpaid" };
	assert_done(bh_state_change_encode(merchant_id, &change, &payload));
	bh_status status = bh_keyring_state_apply(state, BH_KEYRING_STATE_CHANGED, bh_buf_view(&payload));
	bh_buf_clear(&payload);
	return status;
}

static bh_shred_record shred_sample(void)
{
	bh_shred_record shred = {
		.asked_at_ms = 300500,
		.unreadable_at_ms = 300600,
		.file_count = 7,
		.cmk = { .at_ms = 300700, .state = BH_KMS_DESTROYED, .destroyed_at_s = 300, .request_id = "req-1", .message = "m" },
		.unwrap = { .at_ms = 300701, .status = BH_E_KMS_REFUSED },
		.wrap = { .at_ms = 300702, .status = BH_E_KMS_UNREACHABLE },
		.issued = true,
	};

	memset(shred.salts, 0xa5, sizeof(shred.salts));
	return shred;
}

static bh_status note_shred(bh_keyring_state *state, uint8_t id, const bh_shred_record *shred)
{
	uint8_t merchant_id[BH_ID_LEN];
	bh_buf payload = { 0 };

	memset(merchant_id, id, BH_ID_LEN);
	assert_done(bh_shred_edit_encode(merchant_id, shred, &payload));
	bh_status status = bh_keyring_state_apply(state, BH_KEYRING_SHRED, bh_buf_view(&payload));
	bh_buf_clear(&payload);
	return status;
}

static bh_status suspend_with(bh_keyring_state *state, uint8_t parking, bh_merchant_state to)
{
	bh_state_change change = { .state = to, .at_s = 300, .cause = BH_SUSPEND_KMS_REFUSED, .note = "gone" };
	uint8_t merchant_id[BH_ID_LEN];
	bh_buf payload = { 0 };

	memset(merchant_id, 0x20, BH_ID_LEN);
	memset(change.parking, parking, BH_ID_LEN);
	assert_done(bh_state_change_encode(merchant_id, &change, &payload));
	bh_status status = bh_keyring_state_apply(state, BH_KEYRING_STATE_CHANGED, bh_buf_view(&payload));
	for (size_t len = 0; len < payload.len; len++)
		assert_status(bh_keyring_state_apply(state, BH_KEYRING_STATE_CHANGED, bh_view_of(payload.data, len)), BH_E_FORMAT);
	bh_buf_clear(&payload);
	return status;
}

/* What a CMK that was left said when a shred came. */
static bh_status answered(bh_keyring_state *state, uint8_t id, size_t index, const bh_former_cmk *former)
{
	uint8_t merchant_id[BH_ID_LEN];
	bh_buf payload = { 0 };

	memset(merchant_id, id, BH_ID_LEN);
	assert_done(bh_former_answered_encode(merchant_id, index, former, &payload));
	bh_status status = bh_keyring_state_apply(state, BH_KEYRING_FORMER_ANSWERED, bh_buf_view(&payload));
	for (size_t len = 0; len < payload.len; len++)
		assert_status(bh_keyring_state_apply(state, BH_KEYRING_FORMER_ANSWERED, bh_view_of(payload.data, len)),
			      BH_E_FORMAT);
	bh_buf_clear(&payload);
	return status;
}

static void test_former_cmks(void **state)
{
	bh_keyring_state sample = state_sample();
	bh_merchant_record *acme = bh_keyring_state_find(&sample, "acme");
	bh_shred_record shred = shred_sample();
	(void)state;

	assert_string_equal(acme->cmk_uri, "local:/kms#third");
	assert_int_equal(acme->former_count, 2);
	assert_string_equal(acme->former[0].uri, "local:/kms#acme");
	assert_int_equal(acme->former[0].left_at_s, 150);
	/* Back to the first: no URI is there twice. */
	assert_done(bh_former_cmk_leave(acme, "local:/kms#acme", 170));
	assert_string_equal(acme->cmk_uri, "local:/kms#acme");
	assert_int_equal(acme->former_count, 2);
	assert_string_equal(acme->former[0].uri, "local:/kms#second");
	assert_string_equal(acme->former[1].uri, "local:/kms#third");
	assert_true(bh_merchant_knows_cmk(acme, "local:/kms#third"));
	assert_false(bh_merchant_knows_cmk(acme, "local:/kms#fourth"));

	bh_former_cmk former = acme->former[1];
	former.answer = shred.cmk;
	former.wrap = shred.unwrap;
	assert_true(bh_former_cmk_is_gone(&former));
	assert_status(answered(&sample, 0x10, 1, &former), BH_E_FORMAT); /* nobody has asked for a shred */
	assert_done(note_shred(&sample, 0x10, &shred));
	assert_status(answered(&sample, 0x10, 0, &former), BH_E_FORMAT); /* it is another one */
	assert_status(answered(&sample, 0x10, 2, &former), BH_E_FORMAT);
	assert_status(answered(&sample, 0x20, 1, &former), BH_E_FORMAT);
	assert_false(bh_former_cmk_is_gone(&acme->former[1]));
	assert_done(answered(&sample, 0x10, 1, &former));
	assert_true(bh_former_cmk_is_gone(&acme->former[1]));
	assert_false(bh_former_cmk_is_gone(&acme->former[0]));
	bh_keyring_state_clear(&sample);
}

static void test_too_many_former_cmks(void **state)
{
	bh_keyring_state sample = state_sample();
	bh_merchant_record *zeta = bh_keyring_state_find(&sample, "zeta");
	char uri[64];
	(void)state;

	for (int i = 0; i < BH_FORMER_CMKS_MAX; i++) {
		text_format(uri, sizeof(uri), "local:/kms#%d", i);
		assert_done(bh_former_cmk_leave(zeta, uri, 100 + i));
	}
	assert_status(bh_former_cmk_leave(zeta, "local:/kms#last", 500), BH_E_INVALID);
	assert_done(bh_former_cmk_leave(zeta, "local:/kms#7", 500)); /* back */
	assert_int_equal(zeta->former_count, BH_FORMER_CMKS_MAX);
	bh_keyring_state_clear(&sample);
}

/* Who has gone, or is on the way, may have a parking; and may have none, as builds of before wrote it. */
static void test_parkings(void **state)
{
	bh_keyring_state sample = state_sample(), decoded = { 0 };
	bh_merchant_record *zeta = bh_keyring_state_find(&sample, "zeta");
	bh_shred_record shred = shred_sample();
	bh_buf bytes = { 0 };
	(void)state;

	assert_status(suspend_with(&sample, 0x77, BH_MERCHANT_ACTIVE), BH_E_FORMAT);
	assert_done(suspend_with(&sample, 0, BH_MERCHANT_ACTIVE));
	assert_done(suspend_with(&sample, 0x77, BH_MERCHANT_SUSPENDING));
	assert_int_equal(zeta->parking[BH_ID_LEN - 1], 0x77);
	assert_done(bh_keyring_state_encode(&sample, &bytes));
	assert_done(bh_keyring_state_decode(bh_buf_view(&bytes), &decoded));
	assert_memory_equal(decoded.merchants[1].parking, zeta->parking, BH_ID_LEN);
	assert_int_equal(decoded.merchants[1].cause, BH_SUSPEND_KMS_REFUSED);
	bh_keyring_state_clear(&decoded);
	for (size_t len = 0; len < bytes.len; len++)
		assert_status(bh_keyring_state_decode(bh_view_of(bytes.data, len), &decoded), BH_E_FORMAT);
	assert_done(suspend_with(&sample, 0, BH_MERCHANT_SUSPENDED));
	assert_int_equal(zeta->parking[0], 0);
	assert_done(suspend_with(&sample, 0x78, BH_MERCHANT_RESUMING));
	assert_done(note_shred(&sample, 0x20, &shred));
	assert_int_equal(zeta->parking[0], 0);
	bh_buf_clear(&bytes);
	bh_keyring_state_clear(&sample);
}

static bh_keyring_state shredded_sample(void)
{
	bh_keyring_state sample = state_sample();
	bh_shred_record shred = shred_sample();

	assert_done(note_shred(&sample, 0x20, &shred));
	assert_done(bh_merchant_record_destroy(bh_keyring_state_find(&sample, "zeta"), 400000));
	assert_done(note_shred(&sample, 0x10, &shred));
	return sample;
}

static void test_snapshot_round_trip_and_truncations(void **state)
{
	bh_keyring_state sample = shredded_sample(), decoded = { 0 };
	bh_buf bytes = { 0 }, again = { 0 };
	(void)state;

	assert_done(bh_keyring_state_encode(&sample, &bytes));
	assert_done(bh_keyring_state_decode(bh_buf_view(&bytes), &decoded));
	assert_int_equal(decoded.platform.dek_count, 3);
	assert_int_equal(decoded.platform.state, BH_MERCHANT_ACTIVE);
	assert_true(bh_dek_record_is_tombstone(&decoded.platform.deks[0]));
	assert_int_equal(decoded.platform.deks[1].marks, BH_DEK_SWEEP);
	assert_int_equal(decoded.count, 2);
	assert_string_equal(decoded.merchants[0].name, "acme");
	assert_int_equal(decoded.merchants[1].state, BH_MERCHANT_SHREDDED);
	assert_true(bh_dek_record_is_tombstone(&decoded.merchants[1].deks[0]));
	assert_done(bh_keyring_state_encode(&decoded, &again));
	assert_int_equal(again.len, bytes.len);
	assert_memory_equal(again.data, bytes.data, bytes.len);
	bh_keyring_state_clear(&decoded);
	for (size_t len = 0; len < bytes.len; len++)
		assert_status(bh_keyring_state_decode(bh_view_of(bytes.data, len), &decoded), BH_E_FORMAT);
	assert_done(bh_buf_append_u8(&bytes, 0));
	assert_status(bh_keyring_state_decode(bh_buf_view(&bytes), &decoded), BH_E_FORMAT);
	bh_buf_clear(&bytes);
	bh_buf_clear(&again);
	bh_keyring_state_clear(&sample);
}

/* Payloads are authenticated, so this is not about refusal: whatever is in them, decode neither crashes nor takes what encode never
 * writes. */
static void test_snapshot_survives_every_flip(void **state)
{
	bh_keyring_state sample = shredded_sample();
	bh_buf bytes = { 0 };
	(void)state;

	assert_done(bh_keyring_state_encode(&sample, &bytes));
	for (size_t bit = 0; bit < bytes.len * 8; bit++) {
		bh_keyring_state decoded = { 0 };
		bh_buf again = { 0 };

		flip(bytes.data, bit);
		bh_status status = bh_keyring_state_decode(bh_buf_view(&bytes), &decoded);
		if (status == BH_OK) {
			assert_done(bh_keyring_state_encode(&decoded, &again));
			assert_int_equal(again.len, bytes.len);
			assert_memory_equal(again.data, bytes.data, bytes.len);
		} else {
			assert_status(status, BH_E_FORMAT);
		}
		flip(bytes.data, bit);
		bh_buf_clear(&again);
		bh_keyring_state_clear(&decoded);
	}
	bh_buf_clear(&bytes);
	bh_keyring_state_clear(&sample);
}

static const uint8_t platform_id[BH_ID_LEN];

/* One more generation of the platform's, of this class. */
static bh_status add_platform_dek(bh_keyring_state *state, const char *cls, uint32_t generation)
{
	bh_dek_record dek = platform_dek(0x7f, generation);
	const bh_deks_added added = { .deks = &dek, .count = 1, .marks = BH_DEK_SWEEP, .at_s = 400 };
	bh_buf payload = { 0 };

	text_format(dek.cls, sizeof(dek.cls), "%s", cls);
	assert_done(bh_deks_added_encode(platform_id, &added, &payload));
	bh_status status = bh_keyring_state_apply(state, BH_KEYRING_DEKS_ADDED, bh_buf_view(&payload));
	bh_buf_clear(&payload);
	bh_dek_record_clear(&dek);
	return status;
}

static bh_status raise_platform_dek(bh_keyring_state *state, uint8_t id, uint64_t bytes)
{
	uint8_t dek_id[BH_ID_LEN];
	bh_buf payload = { 0 };

	memset(dek_id, id, BH_ID_LEN);
	assert_done(bh_dek_sealed_encode(platform_id, dek_id, bytes, &payload));
	bh_status status = bh_keyring_state_apply(state, BH_KEYRING_DEKS_SEALED, bh_buf_view(&payload));
	bh_buf_clear(&payload);
	return status;
}

static void test_the_platforms_generations(void **state)
{
	bh_keyring_state sample = state_sample(), decoded = { 0 };
	const bh_shred_record shred = shred_sample();
	bh_buf bytes = { 0 };
	(void)state;

	assert_done(add_platform_dek(&sample, "", 4));
	assert_int_equal(sample.platform.dek_count, 4);
	assert_true(sample.platform.deks[2].marks == BH_DEK_SWEEP && sample.platform.deks[3].marks == 0);
	assert_done(raise_platform_dek(&sample, 0x71, 5));
	assert_status(raise_platform_dek(&sample, 0x71, 5), BH_E_FORMAT);
	assert_status(raise_platform_dek(&sample, 0x70, 5), BH_E_FORMAT); /* destroyed */
	/* It is ACTIVE for ever, and nobody's merchant. */
	assert_status(change(&sample, 0, BH_MERCHANT_SUSPENDING), BH_E_FORMAT);
	assert_status(note_shred(&sample, 0, &shred), BH_E_FORMAT);
	assert_null(bh_keyring_state_find(&sample, ""));
	assert_null(bh_keyring_state_find_id(&sample, platform_id));
	/* Its one class has no name, and no merchant has such a class. */
	text_format(sample.platform.deks[3].cls, sizeof(sample.platform.deks[3].cls), "logs");
	assert_done(bh_keyring_state_encode(&sample, &bytes));
	assert_status(bh_keyring_state_decode(bh_buf_view(&bytes), &decoded), BH_E_FORMAT);
	sample.platform.deks[3].cls[0] = '\0';
	sample.merchants[1].deks[0].cls[0] = '\0';
	bytes.len = 0;
	assert_done(bh_keyring_state_encode(&sample, &bytes));
	assert_status(bh_keyring_state_decode(bh_buf_view(&bytes), &decoded), BH_E_FORMAT);
	bh_buf_clear(&bytes);
	bh_keyring_state_clear(&sample);
	/* What was applied in part is of no use. */
	sample = state_sample();
	assert_status(add_platform_dek(&sample, "", 5), BH_E_FORMAT);
	bh_keyring_state_clear(&sample);
	sample = state_sample();
	assert_status(add_platform_dek(&sample, "logs", 4), BH_E_FORMAT);
	bh_keyring_state_clear(&sample);
}

static void test_edits_that_cannot_be(void **state)
{
	bh_keyring_state sample = state_sample();
	bh_merchant_record twin = merchant_sample("ACME", 0x30, 1), same_id = merchant_sample("other", 0x10, 1);
	bh_merchant_record active = merchant_sample("other", 0x40, 1);
	bh_buf payload = { 0 };
	(void)state;

	active.state = BH_MERCHANT_ACTIVE;
	bh_merchant_record *const wrong[] = { &twin, &same_id, &active };
	for (size_t i = 0; i < 3; i++) {
		payload.len = 0;
		assert_done(bh_merchant_record_encode(wrong[i], &payload));
		assert_status(bh_keyring_state_apply(&sample, BH_KEYRING_MERCHANT_ADDED, bh_buf_view(&payload)), BH_E_FORMAT);
		bh_merchant_record_clear(wrong[i]);
	}
	assert_status(change(&sample, 0x99, BH_MERCHANT_ACTIVE), BH_E_FORMAT);
	assert_status(bh_keyring_state_apply(&sample, BH_KEYRING_STATE_CHANGED, bh_view_of(payload.data, 24)), BH_E_FORMAT);
	assert_status(bh_keyring_state_apply(&sample, 99, bh_buf_view(&payload)), BH_E_VERSION);
	/* A shred comes with its record, and its end with the destruction of the wraps. */
	assert_status(change(&sample, 0x10, BH_MERCHANT_SHREDDING), BH_E_FORMAT);
	assert_status(change(&sample, 0x10, BH_MERCHANT_SHREDDED), BH_E_FORMAT);
	assert_int_equal(sample.count, 2);
	bh_buf_clear(&payload);
	bh_keyring_state_clear(&sample);
}

static bh_status note_sealed(bh_keyring_state *state, uint8_t merchant, uint8_t dek, uint64_t bytes)
{
	uint8_t merchant_id[BH_ID_LEN], dek_id[BH_ID_LEN];
	bh_buf payload = { 0 };

	memset(merchant_id, merchant, BH_ID_LEN);
	memset(dek_id, dek, BH_ID_LEN);
	assert_done(bh_dek_sealed_encode(merchant_id, dek_id, bytes, &payload));
	bh_status status = bh_keyring_state_apply(state, BH_KEYRING_DEKS_SEALED, bh_buf_view(&payload));
	for (size_t len = 0; len < payload.len; len++)
		assert_status(bh_keyring_state_apply(state, BH_KEYRING_DEKS_SEALED, bh_view_of(payload.data, len)), BH_E_FORMAT);
	bh_buf_clear(&payload);
	return status;
}

static void test_what_was_sealed_only_grows_and_ends_with_the_wrap(void **state)
{
	bh_keyring_state sample = state_sample();
	const bh_dek_record *dek = &sample.merchants[0].deks[0];
	bh_shred_record shred = shred_sample();
	(void)state;

	assert_done(note_sealed(&sample, 0x10, 0x10, 5));
	assert_status(note_sealed(&sample, 0x10, 0x10, 5), BH_E_FORMAT);
	assert_status(note_sealed(&sample, 0x10, 0x10, 4), BH_E_FORMAT);
	assert_status(note_sealed(&sample, 0x20, 0x10, 9), BH_E_FORMAT); /* another merchant's */
	assert_status(note_sealed(&sample, 0x99, 0x10, 9), BH_E_FORMAT);
	assert_int_equal(dek->sealed, 5);
	assert_done(note_shred(&sample, 0x10, &shred));
	assert_status(note_sealed(&sample, 0x10, 0x10, 9), BH_E_FORMAT);
	assert_done(bh_merchant_record_destroy(&sample.merchants[0], 400000));
	assert_int_equal(dek->sealed, 0);
	bh_keyring_state_clear(&sample);
}

static void test_shreds_that_cannot_be(void **state)
{
	bh_keyring_state sample = state_sample();
	bh_shred_record shred = shred_sample(), ended = shred, timeless = shred;
	(void)state;

	ended.destroyed_at_ms = 400000;
	timeless.asked_at_ms = 0;
	assert_status(note_shred(&sample, 0x99, &shred), BH_E_FORMAT);
	assert_status(note_shred(&sample, 0x10, &ended), BH_E_FORMAT);
	assert_status(note_shred(&sample, 0x10, &timeless), BH_E_FORMAT);
	assert_int_equal(sample.merchants[0].state, BH_MERCHANT_CREATING);
	assert_done(note_shred(&sample, 0x10, &shred));
	assert_int_equal(sample.merchants[0].state, BH_MERCHANT_SHREDDING);
	assert_int_equal(sample.merchants[0].changed_at_s, 300);
	assert_status(note_shred(&sample, 0x10, &ended), BH_E_FORMAT);
	assert_status(change(&sample, 0x10, BH_MERCHANT_ACTIVE), BH_E_FORMAT);
	assert_done(bh_merchant_record_destroy(&sample.merchants[0], 400000));
	assert_status(note_shred(&sample, 0x10, &shred), BH_E_FORMAT);
	assert_done(note_shred(&sample, 0x10, &ended));
	assert_int_equal(sample.merchants[0].state, BH_MERCHANT_SHREDDED);
	bh_keyring_state_clear(&sample);
}

static void test_fingerprints(void **state)
{
	bh_merchant_record merchant = merchant_sample("acme", 0x10, 2);
	uint8_t first[BH_SHA256_LEN], second[BH_SHA256_LEN], kept[BH_SHA256_LEN], expected[BH_SHA256_LEN];
	bh_buf bytes = { 0 };
	(void)state;

	assert_done(bh_dek_record_fingerprint(&merchant.deks[0], first));
	assert_done(bh_dek_record_fingerprint(&merchant.deks[1], second));
	assert_memory_not_equal(first, second, sizeof(first));
	assert_done(bh_buf_append(&bytes, "bulkhead dek fingerprint v1", 27));
	assert_done(bh_buf_append(&bytes, merchant.deks[0].id, BH_ID_LEN));
	assert_done(bh_buf_append(&bytes, "wrapped-dek-bytes", 17));
	assert_done(bh_sha256(bh_buf_view(&bytes), expected));
	assert_memory_equal(first, expected, sizeof(first));
	assert_done(bh_merchant_record_destroy(&merchant, 400000));
	assert_true(bh_dek_record_is_tombstone(&merchant.deks[0]));
	assert_done(bh_dek_record_fingerprint(&merchant.deks[0], kept));
	assert_memory_equal(first, kept, sizeof(first));
	bh_buf_clear(&bytes);
	bh_merchant_record_clear(&merchant);
}

static void test_state_machine(void **state)
{
	/* Rows: from; columns: to; both CREATING .. SHREDDED. */
	static const char *const legal[] = { ".xx..x.", "..x..x.", "...x.x.", "...xxx.", ".x.x.x.", "......x", "......." };
	(void)state;

	for (int from = BH_MERCHANT_CREATING; from <= BH_MERCHANT_SHREDDED; from++) {
		for (int to = BH_MERCHANT_CREATING; to <= BH_MERCHANT_SHREDDED; to++)
			assert_int_equal(bh_merchant_state_may((bh_merchant_state)from, (bh_merchant_state)to),
					 legal[from - 1][to - 1] == 'x');
		assert_false(bh_merchant_state_may((bh_merchant_state)from, (bh_merchant_state)0));
		assert_false(bh_merchant_state_may((bh_merchant_state)from, (bh_merchant_state)8));
		assert_string_not_equal(bh_merchant_state_name((bh_merchant_state)from), "unknown");
	}
	assert_string_equal(bh_merchant_state_name((bh_merchant_state)0), "unknown");
	assert_string_equal(bh_merchant_state_name((bh_merchant_state)8), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshot_round_trip_and_truncations),
		cmocka_unit_test(test_snapshot_survives_every_flip),
		cmocka_unit_test(test_the_platforms_generations),
		cmocka_unit_test(test_edits_that_cannot_be),
		cmocka_unit_test(test_what_was_sealed_only_grows_and_ends_with_the_wrap),
		cmocka_unit_test(test_shreds_that_cannot_be),
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_former_cmks),
		cmocka_unit_test(test_too_many_former_cmks),
		cmocka_unit_test(test_parkings),
		cmocka_unit_test(test_state_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
