/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lease_machine.c: the lease state machine under a clock of the test's own: each rule by name, then every sequence of events
 * up to a depth, with the invariants checked by an observer that knows the true time and nothing of the machine's inside.
 */
#include "lease_rig.h"

/* ---- renewal */

static void renewed_from_sixty_percent_with_jitter(void **state)
{
	int64_t least = INT64_MAX, most = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 2000; seed++) {
		rig r = { 0 };
		bh_lease_init(&r.lease, LIMIT, seed);
		bh_lease_granted(&r.lease, now(&r));
		assert_int_equal(decide(&r), 0);
		least = BH_MIN(least, r.last.wake_ms);
		most = BH_MAX(most, r.last.wake_ms);
	}
	assert_true(least >= LIMIT * 60 / 100);
	assert_true(most < LIMIT * 70 / 100);
	assert_true(most - least > LIMIT * 9 / 100);
}

static void a_yes_counts_from_the_beginning_of_its_call(void **state)
{
	rig r = calling(LIMIT);

	(void)state;
	sleep_ms(&r, 20 * SECOND);
	assert_int_equal(decide(&r), 0);
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(r.lease.state, BH_LEASE_HELD);
	assert_true(bh_lease_age_ms(&r.lease, now(&r)) == 20 * SECOND);
	assert_true(bh_lease_remaining_ms(&r.lease, now(&r)) == LIMIT - 20 * SECOND);
}

static void one_call_at_a_time(void **state)
{
	rig r = calling(LIMIT);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		sleep_ms(&r, SECOND);
		assert_int_equal(decide(&r) & BH_LEASE_CALL, 0);
		if (r.lease.work == BH_LEASE_WORK_DETACH)
			bh_lease_detached(&r.lease, true, now(&r));
	}
	assert_int_equal(r.lease.state, BH_LEASE_LOST);
}

static void renewed_for_ever_while_the_kms_says_yes(void **state)
{
	rig r = held(LIMIT);
	unsigned calls = 0;
	const int64_t day = 86400 * (int64_t)SECOND;

	(void)state;
	for (int64_t end = r.boot_ms + day; r.boot_ms < end; calls++) {
		assert_int_equal(wait_for_act(&r, LIMIT), BH_LEASE_CALL);
		assert_true(answer(&r, BH_LEASE_YES));
	}
	assert_in_range(calls, day / (LIMIT * 70 / 100), day / (LIMIT * 60 / 100) + 1);
}

/* ---- no answer */

static void retries_back_off_while_serving(void **state)
{
	rig r = calling(BH_LEASE_LIMIT_MAX_MS);
	int64_t want = BH_LEASE_RETRY_FIRST_MS;

	(void)state;
	for (int i = 0; i < 7; i++) {
		assert_true(answer(&r, BH_LEASE_NO_ANSWER));
		assert_int_equal(r.lease.state, BH_LEASE_LATE);
		assert_int_equal(decide(&r), 0);
		assert_in_range(r.last.wake_ms, want * 3 / 4, want);
		assert_int_equal(wait_for_act(&r, want), BH_LEASE_CALL);
		want = BH_MIN(want * 2, BH_LEASE_RETRY_MAX_MS);
	}
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(r.lease.state, BH_LEASE_HELD);
}

static void a_short_limit_has_room_for_retries(void **state)
{
	rig r = calling(BH_LEASE_LIMIT_MIN_MS);
	unsigned calls = 1, acts = BH_LEASE_CALL;

	(void)state;
	while ((acts & BH_LEASE_CLOSE) == 0) {
		assert_true(answer(&r, BH_LEASE_NO_ANSWER));
		acts = wait_for_act(&r, BH_LEASE_LIMIT_MIN_MS);
		calls += (acts & BH_LEASE_CALL) != 0;
	}
	assert_in_range(calls, 4, 12);
}

static void served_up_to_the_limit_and_not_a_ms_longer(void **state)
{
	rig r = held(LIMIT);
	int64_t granted = r.boot_ms;

	(void)state;
	assert_int_equal(wait_for_act(&r, LIMIT), BH_LEASE_CALL);
	r.boot_ms = granted + LIMIT - 1;
	assert_int_equal(decide(&r), 0);
	assert_true(bh_lease_is_serving(&r.lease));
	assert_true(r.last.wake_ms == 1);
	sleep_ms(&r, 1);
	assert_int_equal(decide(&r), BH_LEASE_CLOSE | BH_LEASE_DETACH);
	assert_false(bh_lease_is_serving(&r.lease));
	assert_int_equal(decide(&r), 0);
}

static void lost_is_probed_with_backoff_and_attached(void **state)
{
	rig r = lost();
	int64_t want = BH_LEASE_RETRY_FIRST_MS;

	(void)state;
	for (int i = 0; i < 9; i++) {
		assert_int_equal(wait_for_act(&r, want), BH_LEASE_CALL);
		assert_true(answer(&r, BH_LEASE_NO_ANSWER));
		assert_int_equal(r.lease.state, BH_LEASE_LOST);
		assert_int_equal(decide(&r), 0);
		assert_in_range(r.last.wake_ms, want * 3 / 4, want);
		want = BH_MIN(want * 2, BH_LEASE_PROBE_MAX_MS);
	}
	assert_int_equal(want, BH_LEASE_PROBE_MAX_MS);
	assert_int_equal(wait_for_act(&r, want), BH_LEASE_CALL);
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(decide(&r), BH_LEASE_ATTACH);
	bh_lease_attached(&r.lease, BH_LEASE_YES, now(&r));
	assert_int_equal(r.lease.state, BH_LEASE_HELD);
}

static void an_attach_that_gets_no_answer_goes_on_backing_off(void **state)
{
	rig r = lost();

	(void)state;
	assert_int_equal(wait_for_act(&r, 2 * SECOND), BH_LEASE_CALL);
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(decide(&r), BH_LEASE_ATTACH);
	bh_lease_attached(&r.lease, BH_LEASE_NO_ANSWER, now(&r));
	assert_int_equal(r.lease.state, BH_LEASE_LOST);
	assert_int_equal(decide(&r) & ~(unsigned)BH_LEASE_CLOSE, BH_LEASE_DETACH);
	bh_lease_detached(&r.lease, true, now(&r));
	assert_int_equal(decide(&r), 0);
	assert_in_range(r.last.wake_ms, 1, BH_LEASE_RETRY_FIRST_MS);
}

/* An attach may take longer than a lease: the keys are renewed meanwhile, and given up if that fails. */
static void the_lease_runs_while_attaching(void **state)
{
	rig r = lost();

	(void)state;
	assert_int_equal(wait_for_act(&r, 2 * SECOND), BH_LEASE_CALL);
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(decide(&r), BH_LEASE_ATTACH);
	assert_int_equal(wait_for_act(&r, LIMIT), BH_LEASE_CALL);
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(r.lease.state, BH_LEASE_ATTACHING);
	assert_int_equal(wait_for_act(&r, LIMIT), BH_LEASE_CALL);
	assert_true(answer(&r, BH_LEASE_NO));
	assert_int_equal(decide(&r), BH_LEASE_CLOSE); /* the detach waits for the end of the attach */
	bh_lease_attached(&r.lease, BH_LEASE_YES, now(&r));
	assert_int_equal(r.lease.state, BH_LEASE_REFUSED);
	assert_int_equal(decide(&r), BH_LEASE_CLOSE | BH_LEASE_DETACH); /* the attach has opened it */
}

static void a_slow_yes_after_the_limit_attaches_once_detached(void **state)
{
	rig r = calling(LIMIT);

	(void)state;
	assert_int_equal(wait_for_act(&r, LIMIT), BH_LEASE_CLOSE | BH_LEASE_DETACH);
	sleep_ms(&r, SECOND);
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(decide(&r), 0); /* the detach is still under way */
	assert_false(bh_lease_is_serving(&r.lease));
	bh_lease_detached(&r.lease, true, now(&r));
	assert_int_equal(decide(&r), BH_LEASE_ATTACH);
}

static void a_slow_yes_that_nobody_waited_for_does_not_revive(void **state)
{
	rig r = calling(LIMIT);

	(void)state;
	sleep_ms(&r, LIMIT); /* and no decision was asked for */
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(r.lease.state, BH_LEASE_LOST);
	assert_int_equal(decide(&r), BH_LEASE_CLOSE | BH_LEASE_DETACH);
}

static void a_detach_that_fails_is_tried_again(void **state)
{
	rig r = calling(LIMIT);

	(void)state;
	assert_true(answer(&r, BH_LEASE_NO));
	assert_int_equal(decide(&r), BH_LEASE_CLOSE | BH_LEASE_DETACH);
	bh_lease_detached(&r.lease, false, now(&r));
	assert_int_equal(decide(&r), 0);
	assert_int_equal(wait_for_act(&r, BH_LEASE_DETACH_RETRY_MS), BH_LEASE_DETACH);
}

/* ---- no */

static void refused_closes_at_once(void **state)
{
	rig r = refused();

	(void)state;
	assert_false(bh_lease_is_serving(&r.lease));
	assert_true(bh_lease_age_ms(&r.lease, now(&r)) == -1);
}

static void refused_is_probed_once_a_minute_and_attached(void **state)
{
	rig r = refused();

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(decide(&r), 0);
		assert_in_range(r.last.wake_ms, BH_LEASE_PROBE_MAX_MS, BH_LEASE_PROBE_MAX_MS * 11 / 10);
		assert_int_equal(wait_for_act(&r, BH_LEASE_PROBE_MAX_MS * 2), BH_LEASE_CALL);
		assert_true(answer(&r, i % 2 == 0 ? BH_LEASE_NO : BH_LEASE_NO_ANSWER));
		assert_int_equal(r.lease.state, BH_LEASE_REFUSED);
	}
	assert_int_equal(wait_for_act(&r, BH_LEASE_PROBE_MAX_MS * 2), BH_LEASE_CALL);
	assert_true(answer(&r, BH_LEASE_YES));
	assert_int_equal(decide(&r), BH_LEASE_ATTACH);
}

static void lost_and_then_refused_records_the_new_cause(void **state)
{
	rig r = lost();

	(void)state;
	assert_int_equal(wait_for_act(&r, 2 * SECOND), BH_LEASE_CALL);
	assert_true(answer(&r, BH_LEASE_NO));
	assert_int_equal(decide(&r), BH_LEASE_DETACH);
	assert_int_equal(r.lease.state, BH_LEASE_REFUSED);
}

/* ---- wrong */

static void damaged_is_left_alone(void **state)
{
	rig r = calling(LIMIT);

	(void)state;
	assert_true(answer(&r, BH_LEASE_WRONG));
	assert_int_equal(decide(&r), BH_LEASE_CLOSE | BH_LEASE_DETACH);
	bh_lease_detached(&r.lease, true, now(&r));
	assert_int_equal(wait_for_act(&r, 30 * 86400 * (int64_t)SECOND), 0);
	assert_int_equal(r.lease.state, BH_LEASE_DAMAGED);
	bh_lease_granted(&r.lease, now(&r)); /* an operator resumed it */
	assert_int_equal(wait_for_act(&r, LIMIT), BH_LEASE_CALL);
}

static void each_status_means_one_answer(void **state)
{
	static const struct {
		bh_status status;
		bh_lease_answer answer;
	} cases[] = {
		{ BH_OK, BH_LEASE_YES },          { BH_E_KMS_REFUSED, BH_LEASE_NO },
		{ BH_E_NOT_FOUND, BH_LEASE_NO },  { BH_E_NO_KEY, BH_LEASE_NO },
		{ BH_E_REGION, BH_LEASE_NO },     { BH_E_TAG, BH_LEASE_WRONG },
		{ BH_E_FORMAT, BH_LEASE_WRONG },  { BH_E_TRUNCATED, BH_LEASE_WRONG },
		{ BH_E_VERSION, BH_LEASE_WRONG }, { BH_E_KMS_UNREACHABLE, BH_LEASE_NO_ANSWER },
		{ BH_E_IO, BH_LEASE_NO_ANSWER },  { BH_E_NOMEM, BH_LEASE_NO_ANSWER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(bh_lease_answer_of(cases[i].status), cases[i].answer);
}

/* ---- out of date */

static void an_answer_older_than_a_grant_changes_nothing(void **state)
{
	static const bh_lease_answer answers[] = { BH_LEASE_YES, BH_LEASE_NO, BH_LEASE_NO_ANSWER, BH_LEASE_WRONG };

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		rig r = calling(LIMIT);
		bh_lease_time asked;

		sleep_ms(&r, SECOND);
		bh_lease_stop(&r.lease);
		asked = now(&r);
		sleep_ms(&r, SECOND);
		bh_lease_granted(&r.lease, asked);
		assert_false(answer(&r, answers[i]));
		assert_int_equal(r.lease.state, BH_LEASE_HELD);
		assert_true(bh_lease_age_ms(&r.lease, now(&r)) == SECOND);
		assert_int_equal(decide(&r), 0);
	}
}

static void an_answer_nobody_asked_for_changes_nothing(void **state)
{
	rig r = calling(LIMIT);
	uint64_t first = r.last.call;

	(void)state;
	assert_true(answer(&r, BH_LEASE_YES));
	assert_false(bh_lease_answered(&r.lease, first, BH_LEASE_NO, now(&r))); /* twice */
	assert_int_equal(wait_for_act(&r, LIMIT), BH_LEASE_CALL);
	assert_true(r.last.call != first);
	assert_false(bh_lease_answered(&r.lease, first, BH_LEASE_NO, now(&r)));
	assert_int_equal(r.lease.state, BH_LEASE_HELD);
	assert_true(answer(&r, BH_LEASE_YES));
}

static void stopped_means_no_calls_and_no_attach(void **state)
{
	rig r = lost();

	(void)state;
	assert_int_equal(wait_for_act(&r, 2 * SECOND), BH_LEASE_CALL);
	bh_lease_stop(&r.lease); /* an operator suspended it */
	assert_false(answer(&r, BH_LEASE_YES));
	assert_int_equal(wait_for_act(&r, 86400 * (int64_t)SECOND), 0);
	assert_int_equal(r.lease.state, BH_LEASE_OFF);
}

static void found_detached_it_is_probed(void **state)
{
	static const struct {
		bh_lease_state state;
		int64_t least_ms, most_ms;
	} cases[] = {
		{ BH_LEASE_LOST, BH_LEASE_RETRY_FIRST_MS * 3 / 4, BH_LEASE_RETRY_FIRST_MS },
		{ BH_LEASE_REFUSED, BH_LEASE_PROBE_MAX_MS, BH_LEASE_PROBE_MAX_MS * 11 / 10 },
		{ BH_LEASE_DAMAGED, INT64_MAX, INT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig r = { 0 };

		bh_lease_init(&r.lease, LIMIT, i);
		bh_lease_found(&r.lease, cases[i].state, now(&r));
		assert_int_equal(decide(&r), 0);
		assert_true(r.last.wake_ms >= cases[i].least_ms && r.last.wake_ms <= cases[i].most_ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renewed_from_sixty_percent_with_jitter),
		cmocka_unit_test(a_yes_counts_from_the_beginning_of_its_call),
		cmocka_unit_test(one_call_at_a_time),
		cmocka_unit_test(renewed_for_ever_while_the_kms_says_yes),
		cmocka_unit_test(retries_back_off_while_serving),
		cmocka_unit_test(a_short_limit_has_room_for_retries),
		cmocka_unit_test(served_up_to_the_limit_and_not_a_ms_longer),
		cmocka_unit_test(lost_is_probed_with_backoff_and_attached),
		cmocka_unit_test(an_attach_that_gets_no_answer_goes_on_backing_off),
		cmocka_unit_test(the_lease_runs_while_attaching),
		cmocka_unit_test(a_slow_yes_after_the_limit_attaches_once_detached),
		cmocka_unit_test(a_slow_yes_that_nobody_waited_for_does_not_revive),
		cmocka_unit_test(a_detach_that_fails_is_tried_again),
		cmocka_unit_test(refused_closes_at_once),
		cmocka_unit_test(refused_is_probed_once_a_minute_and_attached),
		cmocka_unit_test(lost_and_then_refused_records_the_new_cause),
		cmocka_unit_test(damaged_is_left_alone),
		cmocka_unit_test(each_status_means_one_answer),
		cmocka_unit_test(an_answer_older_than_a_grant_changes_nothing),
		cmocka_unit_test(an_answer_nobody_asked_for_changes_nothing),
		cmocka_unit_test(stopped_means_no_calls_and_no_attach),
		cmocka_unit_test(found_detached_it_is_probed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
