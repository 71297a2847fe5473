/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pin.c: the text of a pin: one spelling, and nothing else is taken; and what it says of a KEYRING's head.
 */
#include "tests/keyring/ring/keyring_fixture.h"

#include "keyring/manifest/pin.h"

static bh_keyring_head head_sample(void)
{
	bh_keyring_head head = { .cmk_uri = "local:/kms#platform" };

	memset(head.database_id, 0x11, BH_ID_LEN);
	memset(head.public_key, 0x22, BH_SIGN_PUBLIC_LEN);
	return head;
}

static bh_pin pin_sample(void)
{
	const bh_keyring_head head = head_sample();
	bh_pin pin = { .generation = 7, .audit.size = 42 };

	assert_done(bh_pin_identity(&head, &pin));
	memset(pin.audit.root, 0xcd, BH_SHA256_LEN);
	return pin;
}

static void test_spelling(void **state)
{
	const bh_pin pin = pin_sample();
	char text[BH_PIN_SIZE];
	(void)state;

	assert_done(bh_pin_format(&pin, text));
	/* Digest and sum by sha256sum. */
	assert_string_equal(text, "bhpin1:11111111111111111111111111111111:"
				  "2222222222222222222222222222222222222222222222222222222222222222:"
				  "f0ac33829ea70dc7f9ddd79e542b57ba:7:42:"
				  "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd:2889f301");
}

static void test_round_trip(void **state)
{
	static const uint64_t numbers[] = { 1, 9, UINT64_MAX };
	(void)state;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		bh_pin pin = pin_sample(), read = { 0 };
		char text[BH_PIN_SIZE], again[BH_PIN_SIZE];

		pin.generation = pin.audit.size = numbers[i];
		assert_done(bh_pin_format(&pin, text));
		assert_done(bh_pin_parse(text, &read));
		assert_int_equal(read.generation, numbers[i]);
		assert_int_equal(read.audit.size, numbers[i]);
		assert_memory_equal(read.database_id, pin.database_id, BH_ID_LEN);
		assert_memory_equal(read.public_key, pin.public_key, BH_SIGN_PUBLIC_LEN);
		assert_memory_equal(read.cmk, pin.cmk, BH_ID_LEN);
		assert_memory_equal(read.audit.root, pin.audit.root, BH_SHA256_LEN);
		assert_done(bh_pin_format(&read, again));
		assert_string_equal(again, text);
	}
}

static void expect_refused(const char *text)
{
	bh_pin pin, untouched;

	memset(&pin, 0xee, sizeof(pin));
	memset(&untouched, 0xee, sizeof(untouched));
	if (bh_pin_parse(text, &pin) != BH_E_INVALID)
		fail_msg("'%s' was taken", text);
	assert_non_null(strstr(bh_status_message(), "bhpin1:"));
	assert_memory_equal(&pin, &untouched, sizeof(pin));
}

/* Every cut, every byte changed, doubled or taken out, and what else somebody may hand over. */
static void test_hostile_texts(void **state)
{
	static const char *const texts[] = { "", "bhpin1", "bhpin1:", ":::::::", "bhpin2:", "SIZE:ROOT", "\n", "%s%s%n" };
	const bh_pin pin = pin_sample();
	char text[BH_PIN_SIZE], changed[2 * BH_PIN_SIZE];
	(void)state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect_refused(texts[i]);
	assert_done(bh_pin_format(&pin, text));
	for (size_t i = 0; i < strlen(text); i++) {
		text_format(changed, sizeof(changed), "%.*s", (int)i, text);
		expect_refused(changed);
		text_format(changed, sizeof(changed), "%.*s%s", (int)i, text, text + i + 1);
		expect_refused(changed);
		text_format(changed, sizeof(changed), "%.*s%c%s", (int)i, text, text[i], text + i);
		expect_refused(changed);
		text_format(changed, sizeof(changed), "%s", text);
		changed[i] = changed[i] == '1' ? '2' : '1';
		expect_refused(changed);
		changed[i] = (char)0xff;
		expect_refused(changed);
	}
	text_format(changed, sizeof(changed), "%s\n", text);
	expect_refused(changed);
	text_format(changed, sizeof(changed), " %s", text);
	expect_refused(changed);
	char *big = malloc(1 << 20);
	memset(big, 'a', 1 << 20);
	memcpy(big, "bhpin1:", 7);
	big[(1 << 20) - 1] = '\0';
	expect_refused(big);
	free(big);
}

static void test_identity(void **state)
{
	const bh_pin pin = pin_sample();
	bh_keyring_head head = head_sample();
	(void)state;

	assert_done(bh_pin_check(&pin, &head));
	head.database_id[3] ^= 1;
	assert_status(bh_pin_check(&pin, &head), BH_E_TAG);
	assert_non_null(strstr(bh_status_message(), "database id"));
	head = head_sample();
	head.public_key[31] ^= 1;
	assert_status(bh_pin_check(&pin, &head), BH_E_TAG);
	assert_non_null(strstr(bh_status_message(), "signing key"));
	head = head_sample();
	head.cmk_uri[7] = 'K';
	assert_status(bh_pin_check(&pin, &head), BH_E_TAG);
	assert_non_null(strstr(bh_status_message(), "local:/Kms#platform"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spelling),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_hostile_texts),
		cmocka_unit_test(test_identity),
	};
	return cmocka_run_group_tests_name("pin", tests, NULL, NULL);
}
