/* SPDX-License-Identifier: Apache-2.0
 *
 * lease_rig.h: a lease with a clock of the test's own, brought into each of its states.
 */
#ifndef BH_TEST_LEASE_RIG_H
#define BH_TEST_LEASE_RIG_H

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

static inline bh_lease_time now(rig *r)
{
	return bh_lease_clock_read(&r->clock, r->boot_ms, r->wall_ms);
}

static inline unsigned decide(rig *r)
{
	bh_lease_decide(&r->lease, now(r), &r->last);
	return r->last.acts;
}

static inline void sleep_ms(rig *r, int64_t ms)
{
	r->boot_ms += ms;
	r->wall_ms += ms;
}

/* Lets at most `ms` go by in the steps that the machine asks for, until it decides something. Returns that, or 0. */
static inline unsigned wait_for_act(rig *r, int64_t ms)
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

static inline bool answer(rig *r, bh_lease_answer what)
{
	return bh_lease_answered(&r->lease, r->last.call, what, now(r));
}

static inline rig held(int64_t limit_ms)
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
static inline rig calling(int64_t limit_ms)
{
	rig r = held(limit_ms);

	assert_int_equal(wait_for_act(&r, limit_ms), BH_LEASE_CALL);
	return r;
}

/* Out of reach up to the limit; detached. */
static inline rig lost(void)
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

static inline rig refused(void)
{
	rig r = calling(LIMIT);

	assert_true(answer(&r, BH_LEASE_NO));
	assert_int_equal(decide(&r), BH_LEASE_CLOSE | BH_LEASE_DETACH);
	bh_lease_detached(&r.lease, true, now(&r));
	assert_int_equal(r.lease.state, BH_LEASE_REFUSED);
	return r;
}

#endif
