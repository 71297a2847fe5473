/* SPDX-License-Identifier: Apache-2.0
 *
 * test_status.c: every code has a name and an exit code; messages are cut, prefixed, per thread, and survive their own arguments.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keyring/base/base.h"

static void names_are_distinct(void **state)
{
	int i, j;

	(void)state;
	for (i = 0; i < BH_E_COUNT_; i++) {
		assert_true(strlen(bh_status_name((bh_status)i)) > 0);
		for (j = 0; j < i; j++)
			assert_string_not_equal(bh_status_name((bh_status)i), bh_status_name((bh_status)j));
	}
	assert_string_equal(bh_status_name(BH_E_TAG), "tag-mismatch");
}

static void exit_codes_are_the_documented_ones(void **state)
{
	static const struct {
		bh_status status;
		int exit_code;
	} cases[] = {
		{ BH_OK, 0 },
		{ BH_E_ROCKSDB, 1 },
		{ BH_E_NOMEM, 1 },
		{ BH_E_INVALID, 2 },
		{ BH_E_UNSUPPORTED, 2 },
		{ BH_E_EXISTS, 2 },
		{ BH_E_ERASED, 2 },
		{ BH_E_NOT_FOUND, 3 },
		{ BH_E_SUSPENDED, 4 },
		{ BH_E_NO_KEY, 4 },
		{ BH_E_SHREDDED, 5 },
		{ BH_E_TAG, 6 },
		{ BH_E_FORMAT, 6 },
		{ BH_E_TRUNCATED, 6 },
		{ BH_E_VERSION, 6 },
		{ BH_E_ROLLBACK, 6 },
		{ BH_E_KMS_REFUSED, 7 },
		{ BH_E_KMS_UNREACHABLE, 8 },
		{ BH_E_REGION, 9 },
		{ BH_E_DAMAGED, 6 },
		{ BH_E_IO, 10 },
		{ BH_E_FULL, 10 },
		{ BH_E_NO_SUCH_KEY, 3 },
		{ BH_E_NO_SUCH_MERCHANT, 3 },
		{ BH_E_NO_SUCH_CLASS, 3 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(bh_status_exit_code(cases[i].status), cases[i].exit_code);
}

static void numbers_that_are_no_code(void **state)
{
	(void)state;
	assert_string_equal(bh_status_name((bh_status)BH_E_COUNT_), "unknown-status");
	assert_int_equal(bh_status_exit_code((bh_status)BH_E_COUNT_), 1);
}

static void a_message_is_kept_and_errno_too(void **state)
{
	(void)state;
	errno = ENOSPC;
	assert_int_equal(bh_fail(BH_E_IO, "%s: %d", "file", 7), BH_E_IO);
	assert_int_equal(errno, ENOSPC);
	assert_string_equal(bh_status_message(), "file: 7");
}

static void a_message_may_be_made_of_the_one_before(void **state)
{
	(void)state;
	assert_int_equal(bh_fail(BH_E_IO, "inner"), BH_E_IO);
	assert_int_equal(bh_fail(BH_E_TAG, "outer (%s)", bh_status_message()), BH_E_TAG);
	assert_string_equal(bh_status_message(), "outer (inner)");
}

static void prefixes_stack(void **state)
{
	(void)state;
	assert_int_equal(bh_fail(BH_E_TAG, "page 7"), BH_E_TAG);
	assert_int_equal(bh_fail_prefix(BH_E_TAG, "file %s", "a"), BH_E_TAG);
	assert_int_equal(bh_fail_prefix(BH_OK, "nothing"), BH_OK);
	assert_string_equal(bh_status_message(), "file a: page 7");
}

/* Lengths of prefix and message around the 511 bytes that fit. */
static void long_messages_are_cut(void **state)
{
	char text[600], expected[1300];
	size_t prefix, message;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (prefix = 505; prefix < 516; prefix++) {
		for (message = 0; message < 12; message++) {
			assert_int_equal(bh_fail(BH_E_IO, "%.*s", (int)message, "abcdefghijkl"), BH_E_IO);
			assert_int_equal(bh_fail_prefix(BH_E_IO, "%.*s", (int)prefix, text), BH_E_IO);
			snprintf(expected, sizeof(expected), "%.*s: %.*s", (int)prefix, text, (int)message, "abcdefghijkl");
			assert_true(strlen(bh_status_message()) >= 509 || strlen(expected) <= 511);
			assert_memory_equal(bh_status_message(), expected, strlen(bh_status_message()));
		}
	}
	assert_int_equal(bh_fail(BH_E_IO, "%.*s", 600, text), BH_E_IO);
	assert_int_equal(strlen(bh_status_message()), 511);
}

static void *other_thread(void *arg)
{
	(void)arg;
	assert_string_equal(bh_status_message(), "");
	assert_int_equal(bh_fail(BH_E_IO, "theirs"), BH_E_IO);
	return NULL;
}

static void messages_belong_to_their_thread(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(bh_fail(BH_E_IO, "mine"), BH_E_IO);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
	pthread_join(thread, NULL);
	assert_string_equal(bh_status_message(), "mine");
}

static void what_went_well_leaves_no_message(void **state)
{
	(void)state;
	assert_int_equal(bh_fail(BH_E_IO, "before"), BH_E_IO);
	assert_int_equal(bh_done(BH_E_TAG), BH_E_TAG);
	assert_string_equal(bh_status_message(), "before");
	assert_int_equal(bh_done(BH_OK), BH_OK);
	assert_string_equal(bh_status_message(), "");
	assert_int_equal(bh_fail_with(BH_E_NO_SUCH_KEY, "text"), BH_E_NO_SUCH_KEY);
	assert_int_equal(bh_fail_prefix(BH_E_NO_SUCH_KEY, "class"), BH_E_NO_SUCH_KEY);
	assert_string_equal(bh_status_message(), "class: text");
}

static void a_message_can_be_kept(void **state)
{
	bh_message kept;

	(void)state;
	assert_int_equal(bh_fail(BH_E_IO, "first"), BH_E_IO);
	kept = bh_message_keep();
	assert_int_equal(bh_fail(BH_E_TAG, "second"), BH_E_TAG);
	bh_message_restore(&kept);
	assert_string_equal(bh_status_message(), "first");
	assert_int_equal(bh_done(BH_OK), BH_OK);
	kept = bh_message_keep();
	assert_int_equal(bh_fail(BH_E_TAG, "second"), BH_E_TAG);
	bh_message_restore(&kept);
	assert_string_equal(bh_status_message(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_distinct),
		cmocka_unit_test(exit_codes_are_the_documented_ones),
		cmocka_unit_test(numbers_that_are_no_code),
		cmocka_unit_test(a_message_is_kept_and_errno_too),
		cmocka_unit_test(a_message_may_be_made_of_the_one_before),
		cmocka_unit_test(prefixes_stack),
		cmocka_unit_test(long_messages_are_cut),
		cmocka_unit_test(messages_belong_to_their_thread),
		cmocka_unit_test(what_went_well_leaves_no_message),
		cmocka_unit_test(a_message_can_be_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
