/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lease_sequences.c: lease time, and the lease state machine under every sequence of events up to a depth: answers early, late
 * and out of date, clocks that jump, an operator in between, and decisions that come late. The promises are checked by an observer
 * that knows the true time and nothing of the machine's inside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "keyring/dek/lease.h"

#define LIMIT 300000
#define SECOND 1000

#define DEPTH 6

/* What an observer knows: true time, what was handed out, what was answered. */
typedef struct world {
	bh_lease lease;
	bh_lease_clock clock;
	int64_t boot_ms, wall_ms; /* what the clocks show */
	bh_lease_decision last;
	int64_t true_ms;
	int64_t yes_ms;  /* true time at which the newest call began that was answered with yes */
	int64_t call_ms; /* of the call under way */
	bool call_out, call_stale;
	uint64_t call;
	unsigned work_out;   /* BH_LEASE_DETACH or BH_LEASE_ATTACH under way */
	bool open;           /* the gate */
	bool said_no, wrong; /* the newest answer that counted */
	bool off;
} world;

static bh_lease_time now(world *w)
{
	return bh_lease_clock_read(&w->clock, w->boot_ms, w->wall_ms);
}

/* ---- time */

static void of_two_clocks_the_further_counts(void **state)
{
	static const struct {
		int64_t boot, wall, elapsed;
	} cases[] = {
		{ 100, 100, 100 },      { 100, 5000, 5000 }, /* wall set forward */
		{ 100, -3600000, 100 },                      /* wall set back */
		{ 0, 700, 700 },                             /* a machine whose boot time stands still */
		{ -50, -50, 0 },                             /* both back: a restored image */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world w = { .boot_ms = 1000000, .wall_ms = 1000000 };
		bh_lease_time began = now(&w);

		w.boot_ms += cases[i].boot;
		w.wall_ms += cases[i].wall;
		assert_true(bh_lease_elapsed_ms(began, now(&w)) == cases[i].elapsed);
	}
}

static void a_wall_clock_set_back_counts_on_from_there(void **state)
{
	world w = { .boot_ms = 0, .wall_ms = 0 };
	bh_lease_time began = now(&w);

	(void)state;
	w.wall_ms -= 3600000;
	now(&w);
	w.wall_ms += 250; /* boot time stands still */
	assert_true(bh_lease_elapsed_ms(began, now(&w)) == 250);
}

/* ---- the machine */

/* Decides, and holds the machine to its promises. */
static void observe(world *w)
{
	unsigned acts;

	bh_lease_decide(&w->lease, now(w), &w->last);
	acts = w->last.acts;

	if (acts & BH_LEASE_CLOSE)
		w->open = false;
	assert_false((acts & BH_LEASE_DETACH) && (acts & BH_LEASE_ATTACH));
	if (acts & (BH_LEASE_DETACH | BH_LEASE_ATTACH)) {
		assert_int_equal(w->work_out, 0);
		w->work_out = acts & (BH_LEASE_DETACH | BH_LEASE_ATTACH);
	}
	if (acts & BH_LEASE_DETACH)
		assert_false(w->open);
	if (acts & BH_LEASE_ATTACH) { /* an attach asks the KMS itself, from now on */
		assert_false(w->wrong || w->off);
		w->yes_ms = w->true_ms;
		w->said_no = false;
		w->call_stale = w->call_out;
	}
	if (acts & BH_LEASE_CALL) {
		assert_false(w->call_out);
		assert_false(w->wrong || w->off);
		w->call_out = true;
		w->call_stale = false;
		w->call = w->last.call;
		w->call_ms = w->true_ms;
	}
	/* The promise itself. In doubt nobody is let in, whatever the gate is. */
	if (w->open && w->lease.state != BH_LEASE_DOUBTED) {
		assert_true(w->true_ms - w->yes_ms < w->lease.limit_ms);
		assert_false(w->said_no || w->wrong);
	}
	if (w->open && !w->off)
		assert_true(bh_lease_is_serving(&w->lease) || w->lease.state == BH_LEASE_DOUBTED);
	/* It never falls asleep for good while it should be asking. */
	if (!w->off && !w->wrong && !w->call_out && w->work_out == 0)
		assert_true(w->last.wake_ms <= BH_MAX(w->lease.limit_ms, BH_LEASE_PROBE_MAX_MS * 11 / 10));
}

static bool do_answer(world *w, bh_lease_answer what)
{
	bool counted;

	if (!w->call_out)
		return false;
	counted = bh_lease_answered(&w->lease, w->call, what, now(w));
	w->call_out = false;
	if (w->call_stale)
		assert_false(counted);
	if (!counted)
		return true;
	if (what == BH_LEASE_YES) {
		w->yes_ms = w->call_ms;
		w->said_no = false;
	}
	w->said_no = w->said_no || what == BH_LEASE_NO;
	w->wrong = w->wrong || what == BH_LEASE_WRONG;
	return true;
}

static bool do_detached(world *w, bool done)
{
	if (w->work_out != BH_LEASE_DETACH)
		return false;
	w->work_out = 0;
	bh_lease_detached(&w->lease, done, now(w));
	return true;
}

static bool do_attached(world *w, bh_lease_answer what)
{
	if (w->work_out != BH_LEASE_ATTACH)
		return false;
	w->work_out = 0;
	bh_lease_attached(&w->lease, what, now(w));
	w->open = what == BH_LEASE_YES && !w->off;
	w->said_no = w->said_no || (what == BH_LEASE_NO && w->lease.state == BH_LEASE_REFUSED);
	w->wrong = w->wrong || w->lease.state == BH_LEASE_DAMAGED;
	return true;
}

static bool do_time(world *w, int64_t boot, int64_t wall)
{
	w->boot_ms += boot;
	w->wall_ms += wall;
	w->true_ms += boot; /* boot time is the true one here; the wall clock jumps */
	return true;
}

/* The end of the machine's own pause, where there is one. */
static bool do_sleep(world *w)
{
	if (w->last.wake_ms == INT64_MAX)
		return false;
	return do_time(w, w->last.wake_ms, w->last.wake_ms);
}

static bool do_grant(world *w)
{
	if (w->work_out != 0) /* an operator's resume waits for it */
		return false;
	w->call_stale = w->call_out;
	bh_lease_granted(&w->lease, now(w));
	w->yes_ms = w->true_ms;
	w->open = true;
	w->said_no = w->wrong = w->off = false;
	return true;
}

static bool do_stop(world *w)
{
	w->call_stale = w->call_out;
	bh_lease_stop(&w->lease);
	w->open = false;
	w->off = true;
	return true;
}

/* Event number `event`; false: it cannot happen here. */
static bool happen(world *w, unsigned event)
{
	switch (event) {
	case 0: return do_sleep(w);
	case 1: return do_time(w, 7 * SECOND, 7 * SECOND);
	case 2: return do_time(w, LIMIT / 2, -86400000);
	case 3: return do_time(w, 10, LIMIT);
	case 4: return do_answer(w, BH_LEASE_YES);
	case 5: return do_answer(w, BH_LEASE_NO);
	case 6: return do_answer(w, BH_LEASE_NO_ANSWER);
	case 7: return do_answer(w, BH_LEASE_WRONG);
	case 8: return do_detached(w, true);
	case 9: return do_detached(w, false);
	case 10: return do_attached(w, BH_LEASE_YES);
	case 11: return do_attached(w, BH_LEASE_NO);
	case 12: return do_attached(w, BH_LEASE_NO_ANSWER);
	case 13: return do_attached(w, BH_LEASE_WRONG);
	case 14: return do_grant(w);
	default: return do_stop(w);
	}
}
#define EVENTS 16

static uint64_t explored;
static char path[DEPTH + 1]; /* the events so far, as letters */
static unsigned path_len;

static void explore(const world *from, unsigned depth)
{
	for (unsigned event = 0; event < EVENTS; event++) {
		world w = *from;

		if (!happen(&w, event))
			continue;
		path[path_len++] = (char)('a' + event);
		/* Without a decision in between too: whoever drives it may be late. */
		if (depth > 1 && event != 0)
			explore(&w, depth - 1);
		observe(&w);
		explored++;
		if (depth > 1)
			explore(&w, depth - 1);
		path[--path_len] = '\0';
	}
}

static void every_sequence_keeps_the_promise(void **state)
{
	world w = { .boot_ms = 5000, .wall_ms = 1700000000000, .open = true };

	(void)state;
	bh_lease_init(&w.lease, LIMIT, 1);
	bh_lease_granted(&w.lease, now(&w));
	observe(&w);
	explored = 0;
	explore(&w, DEPTH);
	assert_true(explored > 100000);
	print_message("%llu steps explored\n", (unsigned long long)explored);
}

/* The sequence that broke a promise. */
static int show_path(void **state)
{
	(void)state;
	if (path_len > 0)
		print_error("after the events '%s' (a is 0)\n", path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_two_clocks_the_further_counts),
		cmocka_unit_test(a_wall_clock_set_back_counts_on_from_there),
		cmocka_unit_test_teardown(every_sequence_keeps_the_promise, show_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
