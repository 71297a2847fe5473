/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lease_machine.c: the lease state machine under a clock of the test's own: each rule by name, then every sequence of events
 * up to a depth, with the invariants checked by an observer that knows the true time and nothing of the machine's inside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keyring/dek/lease.h"

#define LIMIT 300000
#define SECOND 1000

/* A lease with its clock, driven as the engine does it. */
typedef struct rig {
	bh_lease lease;
	bh_lease_clock clock;
	int64_t boot_ms, wall_ms; /* what the clocks show */
	bh_lease_decision last;
} rig;

static bh_lease_time now(rig *r)
{
	return bh_lease_clock_read(&r->clock, r->boot_ms, r->wall_ms);
}

static unsigned decide(rig *r)
{
	bh_lease_decide(&r->lease, now(r), &r->last);
	return r->last.acts;
}

static void sleep_ms(rig *r, int64_t ms)
{
	r->boot_ms += ms;
	r->wall_ms += ms;
}

/* Lets at most `ms` go by in the steps that the machine asks for, until it decides something. Returns that, or 0. */
static unsigned wait_for_act(rig *r, int64_t ms)
{
	while (ms >= 0) {
		unsigned acts = decide(r);
		int64_t step = BH_MAX(BH_MIN(r->last.wake_ms, ms), 1);

		if (acts != 0)
			return acts;
		sleep_ms(r, step);
		ms -= step;
	}
	return 0;
}

static bool answer(rig *r, bh_lease_answer what)
{
	return bh_lease_answered(&r->lease, r->last.call, what, now(r));
}

static rig held(int64_t limit_ms)
{
	rig r = { .boot_ms = 5000, .wall_ms = 1700000000000 };

	bh_lease_init(&r.lease, limit_ms, 1);
	assert_int_equal(r.lease.state, BH_LEASE_OFF);
	assert_int_equal(decide(&r), 0);
	assert_true(r.last.wake_ms == INT64_MAX);
	bh_lease_granted(&r.lease, now(&r));
	assert_int_equal(decide(&r), 0);
	return r;
}

/* Up to a first call, which is under way. */
static rig calling(int64_t limit_ms)
{
	rig r = held(limit_ms);

	assert_int_equal(wait_for_act(&r, limit_ms), BH_LEASE_CALL);
	return r;
}

/* Out of reach up to the limit; detached. */
static rig lost(void)
{
	rig r = calling(LIMIT);
	unsigned acts = BH_LEASE_CALL;

	while (acts == BH_LEASE_CALL) {
		assert_true(answer(&r, BH_LEASE_NO_ANSWER));
		acts = wait_for_act(&r, LIMIT);
	}
	assert_int_equal(acts, BH_LEASE_CLOSE | BH_LEASE_DETACH);
	bh_lease_detached(&r.lease, true, now(&r));
	assert_int_equal(r.lease.state, BH_LEASE_LOST);
	return r;
}

static rig refused(void)
{
	rig r = calling(LIMIT);

	assert_true(answer(&r, BH_LEASE_NO));
	assert_int_equal(decide(&r), BH_LEASE_CLOSE | BH_LEASE_DETACH);
	bh_lease_detached(&r.lease, true, now(&r));
	assert_int_equal(r.lease.state, BH_LEASE_REFUSED);
	return r;
}

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

/* ---- clocks */

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
		cmocka_unit_test(after_a_jump_forward_the_kms_decides),
		cmocka_unit_test(a_doubt_that_ended_well_leaves_an_ordinary_lease),
		cmocka_unit_test(a_doubt_ends_without_an_answer),
		cmocka_unit_test(a_jump_under_a_call_waits_for_its_answer),
		cmocka_unit_test(a_kms_out_of_reach_is_no_doubt),
		cmocka_unit_test(a_jump_back_does_not_lengthen_it),
		cmocka_unit_test(a_flapping_clock_does_not_lengthen_it),
		cmocka_unit_test(a_flapping_kms_is_survived),
		cmocka_unit_test(a_flapping_cmk_costs_one_detach_a_minute),
		cmocka_unit_test(an_answer_older_than_a_grant_changes_nothing),
		cmocka_unit_test(an_answer_nobody_asked_for_changes_nothing),
		cmocka_unit_test(stopped_means_no_calls_and_no_attach),
		cmocka_unit_test(found_detached_it_is_probed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
