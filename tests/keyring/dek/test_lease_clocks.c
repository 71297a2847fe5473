/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lease_clocks.c: clocks that jump or go back, and KMSs and CMKs that come and go by the second, never lengthen a lease.
 */
#include "lease_rig.h"

/* Nobody is served, nothing is detached, and the KMS is asked at once. */
static rig doubted(void)
{
	rig r = held(LIMIT);

	r.wall_ms += LIMIT;
	assert_int_equal(decide(&r), BH_LEASE_CALL);
	assert_int_equal(r.lease.state, BH_LEASE_DOUBTED);
	assert_false(bh_lease_is_serving(&r.lease));
	assert_int_equal(bh_lease_remaining_ms(&r.lease, now(&r)), 0);
	return r;
}

static void after_a_jump_forward_the_kms_decides(void **state)
{
	static const struct {
		bh_lease_answer says;
		bh_lease_state then;
		unsigned acts;
	} cases[] = {
		{ BH_LEASE_YES, BH_LEASE_HELD, 0 },
		{ BH_LEASE_NO, BH_LEASE_REFUSED, BH_LEASE_CLOSE | BH_LEASE_DETACH },
		{ BH_LEASE_NO_ANSWER, BH_LEASE_LOST, BH_LEASE_CLOSE | BH_LEASE_DETACH },
		{ BH_LEASE_WRONG, BH_LEASE_DAMAGED, BH_LEASE_CLOSE | BH_LEASE_DETACH },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig r = doubted();

		sleep_ms(&r, 200);
		assert_true(answer(&r, cases[i].says));
		assert_int_equal(decide(&r), cases[i].acts);
		assert_int_equal(r.lease.state, cases[i].then);
	}
}

/* It is served from the beginning of that call on, and renewed as ever. */
static void a_doubt_that_ended_well_leaves_an_ordinary_lease(void **state)
{
	rig r = doubted();

	(void)state;
	sleep_ms(&r, 200);
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(decide(&r), 0);
	assert_int_equal(bh_lease_remaining_ms(&r.lease, now(&r)), LIMIT - 200);
	assert_int_equal(wait_for_act(&r, LIMIT), BH_LEASE_CALL);
	assert_true(answer(&r, BH_LEASE_YES));
}

static void a_doubt_ends_without_an_answer(void **state)
{
	rig r = doubted();

	(void)state;
	assert_int_equal(wait_for_act(&r, BH_LEASE_DOUBT_MAX_MS - 1), 0);
	sleep_ms(&r, 2);
	assert_int_equal(decide(&r), BH_LEASE_CLOSE | BH_LEASE_DETACH);
	assert_int_equal(r.lease.state, BH_LEASE_LOST);
}

/* What was asked before the clock jumped is answered for a time that is over: it is asked once more, and nothing is detached. */
static void a_jump_under_a_call_waits_for_its_answer(void **state)
{
	rig r = calling(LIMIT);

	(void)state;
	r.wall_ms += 3600 * (int64_t)SECOND;
	assert_int_equal(decide(&r), 0);
	assert_int_equal(r.lease.state, BH_LEASE_DOUBTED);
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(decide(&r), BH_LEASE_CALL);
	assert_int_equal(r.lease.state, BH_LEASE_DOUBTED);
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(decide(&r), 0);
	assert_int_equal(r.lease.state, BH_LEASE_HELD);
}

/* One that does not answer is no doubt: the limit is the limit. */
static void a_kms_out_of_reach_is_no_doubt(void **state)
{
	rig r = calling(LIMIT);

	(void)state;
	assert_true(answer(&r, BH_LEASE_NO_ANSWER));
	r.wall_ms += LIMIT;
	assert_int_equal(decide(&r) & (BH_LEASE_CLOSE | BH_LEASE_DETACH), BH_LEASE_CLOSE | BH_LEASE_DETACH);
	assert_int_equal(r.lease.state, BH_LEASE_LOST);
}

static void a_jump_back_does_not_lengthen_it(void **state)
{
	rig r = held(LIMIT);
	int64_t granted = r.boot_ms;

	(void)state;
	for (int i = 0; i < 10; i++) {
		r.wall_ms -= 3600 * (int64_t)SECOND;
		(void)wait_for_act(&r, LIMIT / 20);
	}
	r.boot_ms = granted + LIMIT;
	(void)decide(&r);
	assert_false(bh_lease_is_serving(&r.lease));
}

static void a_flapping_clock_does_not_lengthen_it(void **state)
{
	rig r = calling(LIMIT);
	int64_t granted = 5000;

	(void)state;
	while (bh_lease_is_serving(&r.lease)) {
		r.wall_ms += (r.boot_ms / SECOND) % 2 == 0 ? 30 * SECOND : -30 * SECOND;
		sleep_ms(&r, SECOND);
		(void)decide(&r);
		assert_true(r.boot_ms - granted <= LIMIT);
	}
}

/* A KMS that answers and does not answer by turns, each second: never detached. */
static void a_flapping_kms_is_survived(void **state)
{
	rig r = calling(LIMIT);
	unsigned calls = 0;

	(void)state;
	for (int64_t end = r.boot_ms + 3600 * (int64_t)SECOND; r.boot_ms < end; calls++) {
		unsigned acts;

		assert_true(answer(&r, r.boot_ms / SECOND % 2 == 0 ? BH_LEASE_YES : BH_LEASE_NO_ANSWER));
		assert_true(bh_lease_is_serving(&r.lease));
		acts = wait_for_act(&r, LIMIT);
		assert_int_equal(acts, BH_LEASE_CALL);
	}
	assert_true(calls < 200);
}

/* One that says yes and no by turns: no more often than once a minute. */
static void a_flapping_cmk_costs_one_detach_a_minute(void **state)
{
	rig r = calling(LIMIT);
	unsigned detaches = 0;

	(void)state;
	for (int64_t end = r.boot_ms + 3600 * (int64_t)SECOND; r.boot_ms < end;) {
		unsigned acts;

		assert_true(answer(&r, bh_lease_is_serving(&r.lease) ? BH_LEASE_NO : BH_LEASE_YES));
		for (acts = decide(&r); (acts & BH_LEASE_CALL) == 0; acts = wait_for_act(&r, LIMIT)) {
			if (acts & BH_LEASE_DETACH) {
				detaches++;
				bh_lease_detached(&r.lease, true, now(&r));
			}
			if (acts & BH_LEASE_ATTACH)
				bh_lease_attached(&r.lease, BH_LEASE_YES, now(&r));
		}
	}
	assert_in_range(detaches, 10, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_a_jump_forward_the_kms_decides),
		cmocka_unit_test(a_doubt_that_ended_well_leaves_an_ordinary_lease),
		cmocka_unit_test(a_doubt_ends_without_an_answer),
		cmocka_unit_test(a_jump_under_a_call_waits_for_its_answer),
		cmocka_unit_test(a_kms_out_of_reach_is_no_doubt),
		cmocka_unit_test(a_jump_back_does_not_lengthen_it),
		cmocka_unit_test(a_flapping_clock_does_not_lengthen_it),
		cmocka_unit_test(a_flapping_kms_is_survived),
		cmocka_unit_test(a_flapping_cmk_costs_one_detach_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
