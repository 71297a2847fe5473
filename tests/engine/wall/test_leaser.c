/* SPDX-License-Identifier: Apache-2.0
 *
 * test_leaser.c: the leaser's threads over a host of the test's own, whose KMSs say yes, no, nothing or hang, and under a clock
 * that the test moves. What is waited for is waited for as long as it takes (up to a minute); nothing depends on how fast the
 * machine is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "engine/core/gate.h"
#include "engine/wall/leaser.h"

#define LIMIT 300000
#define MERCHANTS 12
#define PATIENCE_S 60

typedef struct merchant {
	bh_status says; /* its KMS */
	bool hangs;     /* instead */
	unsigned hanging;
	unsigned calls, attaches, detaches, closes, quarantines;
	bool attached;
	bh_suspend_cause cause;
	int64_t deadline_ms;
} merchant;

typedef struct rig {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	merchant merchants[MERCHANTS]; /* named "0" to "11" */
	unsigned alarms;
	bool attach_refused; /* as of an operator's suspension */
	_Atomic int64_t boot_ms, wall_ms;
	bh_leaser *leaser;
} rig;

static merchant *by_name(rig *r, const char *name)
{
	unsigned number = 0;

	for (const char *p = name; *p != '\0'; p++)
		number = number * 10 + (unsigned)(*p - '0');
	return &r->merchants[number];
}

/* What its KMS does now. The lock is held. */
static bh_status ask(rig *r, merchant *m)
{
	m->hanging++;
	pthread_cond_broadcast(&r->changed);
	while (m->hangs)
		pthread_cond_wait(&r->changed, &r->lock);
	m->hanging--;
	return m->says == BH_OK ? BH_OK : bh_fail(m->says, "the KMS said so");
}

static bh_status fake_renew(void *arg, const char *name)
{
	rig *r = arg;
	bh_status status;

	pthread_mutex_lock(&r->lock);
	by_name(r, name)->calls++;
	status = ask(r, by_name(r, name));
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return status;
}

static bh_status fake_attach(void *arg, const char *name)
{
	rig *r = arg;
	bh_status status;

	pthread_mutex_lock(&r->lock);
	status = r->attach_refused ? bh_fail(BH_E_SUSPENDED, "an operator suspended it") : ask(r, by_name(r, name));
	by_name(r, name)->attaches += status == BH_OK;
	by_name(r, name)->attached = by_name(r, name)->attached || status == BH_OK;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return status;
}

static bh_status fake_detach(void *arg, const char *name, bh_suspend_cause cause, const char *note)
{
	rig *r = arg;

	pthread_mutex_lock(&r->lock);
	assert_true(strlen(note) > 0);
	by_name(r, name)->detaches++;
	by_name(r, name)->attached = false;
	by_name(r, name)->cause = cause;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return BH_OK;
}

static bh_status fake_quarantine(void *arg, const char *name)
{
	rig *r = arg;
	bh_status status;

	pthread_mutex_lock(&r->lock);
	by_name(r, name)->quarantines++;
	status = by_name(r, name)->quarantines < 2 ? bh_fail(BH_E_IO, "not yet") : BH_OK;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return status;
}

static void fake_gate_close(void *arg, const char *name, bh_status reason)
{
	rig *r = arg;

	(void)reason;
	pthread_mutex_lock(&r->lock);
	by_name(r, name)->closes++;
	pthread_mutex_unlock(&r->lock);
}

static void fake_deadline(void *arg, const char *name, int64_t deadline_ms)
{
	rig *r = arg;

	pthread_mutex_lock(&r->lock);
	by_name(r, name)->deadline_ms = deadline_ms;
	pthread_mutex_unlock(&r->lock);
}

static bool fake_is_detached(void *arg, const char *name, bh_suspend_cause *cause_out)
{
	rig *r = arg;
	bool detached;

	pthread_mutex_lock(&r->lock);
	detached = !by_name(r, name)->attached;
	*cause_out = by_name(r, name)->cause;
	pthread_mutex_unlock(&r->lock);
	return detached;
}

static void fake_log(void *arg, const char *line)
{
	rig *r = arg;

	pthread_mutex_lock(&r->lock);
	r->alarms += strstr(line, "integrity alarm") != NULL;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static const bh_leaser_host host = {
	.renew = fake_renew,
	.attach = fake_attach,
	.detach = fake_detach,
	.quarantine = fake_quarantine,
	.gate_close = fake_gate_close,
	.deadline = fake_deadline,
	.is_detached = fake_is_detached,
	.log = fake_log,
};

static int64_t boot(void *arg)
{
	return atomic_load(&((rig *)arg)->boot_ms);
}

static int64_t wall(void *arg)
{
	return atomic_load(&((rig *)arg)->wall_ms);
}

static rig *set_up(unsigned merchants)
{
	static rig r;
	const bh_clock clock = { boot, wall, &r };

	memset(&r, 0, sizeof(r));
	pthread_mutex_init(&r.lock, NULL);
	pthread_cond_init(&r.changed, NULL);
	assert_int_equal(bh_leaser_new(&host, &r, LIMIT, &clock, &r.leaser), BH_OK);
	for (unsigned i = 0; i < merchants; i++) {
		char name[12];

		snprintf(name, sizeof(name), "%u", i);
		r.merchants[i].attached = true;
		assert_int_equal(bh_leaser_granted(r.leaser, name, bh_leaser_now(r.leaser)), BH_OK);
	}
	assert_int_equal(bh_leaser_start(r.leaser), BH_OK);
	return &r;
}

static void tear_down(rig *r)
{
	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < MERCHANTS; i++)
		r->merchants[i].hangs = false;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	bh_leaser_free(r->leaser);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
}

static void pass(rig *r, int64_t ms)
{
	atomic_fetch_add(&r->boot_ms, ms);
	atomic_fetch_add(&r->wall_ms, ms);
	bh_leaser_wake(r->leaser);
}

/* Sets what a KMS does. */
static void set(rig *r, unsigned number, bh_status says, bool hangs)
{
	pthread_mutex_lock(&r->lock);
	r->merchants[number].says = says;
	r->merchants[number].hangs = hangs;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* Waits until `*counter` is at least `least`. */
static void wait_for(rig *r, const unsigned *counter, unsigned least, int line)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&r->lock);
	while (*counter < least)
		if (pthread_cond_timedwait(&r->changed, &r->lock, &until) != 0)
			break;
	pthread_mutex_unlock(&r->lock);
	if (*counter < least)
		fail_msg("line %d: waited for nothing", line);
}
#define WAIT_FOR(r, counter, least) wait_for((r), &(counter), (least), __LINE__)

static bh_leaser_info look(rig *r, const char *name)
{
	bh_leaser_info info;

	assert_int_equal(bh_leaser_look(r->leaser, name, &info), BH_OK);
	return info;
}

/* What follows an event a moment later. */
static void wait_for_state(rig *r, const char *name, bh_lease_state state)
{
	for (int i = 0; i < PATIENCE_S * 100 && look(r, name).state != state; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	assert_string_equal(bh_lease_state_name(look(r, name).state), bh_lease_state_name(state));
}

/* ---- tests */

static void limits_are_checked(void **state)
{
	static const int64_t bad[] = { 0, -1, BH_LEASE_LIMIT_MIN_MS - 1, BH_LEASE_LIMIT_MAX_MS + 1 };
	bh_leaser *leaser = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(bh_leaser_new(&host, NULL, bad[i], NULL, &leaser), BH_E_INVALID);
	assert_int_equal(bh_leaser_new(&host, NULL, BH_LEASE_LIMIT_MIN_MS, NULL, &leaser), BH_OK);
	bh_leaser_free(leaser); /* never started */
}

static void renewed_and_the_deadline_moves_on(void **state)
{
	rig *r = set_up(1);
	merchant *a = &r->merchants[0];
	int64_t first = a->deadline_ms;

	(void)state;
	assert_in_range(first - bh_gate_now_ms(), LIMIT - PATIENCE_S * 1000, LIMIT);
	pass(r, LIMIT * 7 / 10);
	WAIT_FOR(r, a->calls, 1);
	wait_for_state(r, "0", BH_LEASE_HELD);
	while (look(r, "0").calls < 1)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	assert_true(look(r, "0").age_ms == 0);
	assert_int_equal(a->closes, 0);
	tear_down(r);
}

static void refused_closed_detached_and_back(void **state)
{
	rig *r = set_up(2);
	merchant *a = &r->merchants[0];

	(void)state;
	set(r, 0, BH_E_KMS_REFUSED, false);
	pass(r, LIMIT * 7 / 10);
	WAIT_FOR(r, a->detaches, 1);
	assert_int_equal(a->cause, BH_SUSPEND_KMS_REFUSED);
	assert_int_equal(a->closes, 1);
	assert_int_equal(a->deadline_ms, 1);
	wait_for_state(r, "0", BH_LEASE_REFUSED);
	assert_int_equal(look(r, "0").refused, 1);
	assert_string_equal(look(r, "0").note, "the KMS said so");
	WAIT_FOR(r, r->merchants[1].calls, 1);
	wait_for_state(r, "1", BH_LEASE_HELD);

	set(r, 0, BH_OK, false);
	pass(r, BH_LEASE_PROBE_MAX_MS * 11 / 10);
	WAIT_FOR(r, a->attaches, 1);
	wait_for_state(r, "0", BH_LEASE_HELD);
	assert_true(a->deadline_ms > bh_gate_now_ms());
	assert_int_equal(r->merchants[1].closes, 0);
	assert_int_equal(r->alarms, 0);
	tear_down(r);
}

static void damaged_raises_an_alarm_and_is_left_alone(void **state)
{
	rig *r = set_up(1);
	merchant *a = &r->merchants[0];

	(void)state;
	set(r, 0, BH_E_TAG, false);
	pass(r, LIMIT * 7 / 10);
	WAIT_FOR(r, r->alarms, 1);
	assert_int_equal(a->cause, BH_SUSPEND_KMS_DAMAGED);
	wait_for_state(r, "0", BH_LEASE_DAMAGED);
	set(r, 0, BH_OK, false);
	for (int i = 0; i < 20; i++)
		pass(r, LIMIT);
	assert_int_equal(a->calls, 1);
	assert_int_equal(a->attaches, 0);
	tear_down(r);
}

/* The call hangs for longer than the lease: the keys go all the same. */
static void a_call_that_hangs_does_not_keep_the_keys(void **state)
{
	rig *r = set_up(1);
	merchant *a = &r->merchants[0];

	(void)state;
	set(r, 0, BH_OK, true);
	pass(r, LIMIT * 7 / 10);
	WAIT_FOR(r, a->hanging, 1);
	pass(r, LIMIT * 3 / 10);
	WAIT_FOR(r, a->detaches, 1);
	assert_int_equal(a->cause, BH_SUSPEND_KMS_UNREACHABLE);
	assert_int_equal(a->calls, 1);
	wait_for_state(r, "0", BH_LEASE_LOST);
	set(r, 0, BH_OK, false); /* the late yes */
	WAIT_FOR(r, a->attaches, 1);
	wait_for_state(r, "0", BH_LEASE_HELD);
	tear_down(r);
}

/* Nine whose KMS did not answer and then hangs; the tenth is renewed as ever. */
static void dead_kmss_do_not_delay_anybody_else(void **state)
{
	rig *r = set_up(10);
	merchant *b = &r->merchants[9];

	(void)state;
	for (unsigned i = 0; i < 9; i++)
		set(r, i, BH_E_KMS_UNREACHABLE, false);
	pass(r, LIMIT * 7 / 10);
	for (unsigned i = 0; i < 9; i++)
		WAIT_FOR(r, r->merchants[i].calls, 1);
	for (unsigned i = 0; i < 9; i++) {
		char name[2] = { (char)('0' + i), '\0' };

		wait_for_state(r, name, BH_LEASE_LATE);
		set(r, i, BH_E_KMS_UNREACHABLE, true);
	}
	for (unsigned renewals = 1; renewals < 20; renewals++) {
		WAIT_FOR(r, b->calls, renewals);
		while (look(r, "9").calls < renewals)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		pass(r, LIMIT * 7 / 10);
	}
	for (unsigned i = 0; i < 9; i++)
		WAIT_FOR(r, r->merchants[i].detaches, 1);
	assert_int_equal(b->closes, 0);
	tear_down(r);
}

static void an_operators_suspension_ends_it(void **state)
{
	rig *r = set_up(1);
	merchant *a = &r->merchants[0];

	(void)state;
	bh_leaser_stop(r->leaser, "0");
	bh_leaser_stop(r->leaser, "11"); /* unknown: fine */
	for (int i = 0; i < 10; i++)
		pass(r, LIMIT);
	assert_int_equal(look(r, "0").state, BH_LEASE_OFF);
	assert_int_equal(a->calls + a->detaches + a->closes, 0);
	assert_int_equal(bh_leaser_granted(r->leaser, "0", bh_leaser_now(r->leaser)), BH_OK);
	assert_int_equal(look(r, "0").state, BH_LEASE_HELD);
	pass(r, LIMIT * 7 / 10);
	WAIT_FOR(r, a->calls, 1);
	tear_down(r);
}

/* Also of somebody who has no lease; one that fails is tried again. Nobody's KMS is asked for it. */
static void a_quarantine_is_done_until_it_is_done(void **state)
{
	rig *r = set_up(1);

	(void)state;
	set(r, 0, BH_OK, true);
	bh_leaser_hurt(r->leaser, "0");
	bh_leaser_hurt(r->leaser, "7");
	WAIT_FOR(r, r->merchants[0].quarantines, 2);
	WAIT_FOR(r, r->merchants[7].quarantines, 2);
	assert_int_equal(r->merchants[0].calls + r->merchants[0].detaches, 0);
	bh_leaser_hurt(r->leaser, "0");
	WAIT_FOR(r, r->merchants[0].quarantines, 3);
	set(r, 0, BH_OK, false);
	tear_down(r);
}

/* Suspended while detached: the attach says so, and nothing more is tried. */
static void an_attach_that_finds_it_suspended_ends_it(void **state)
{
	rig *r = set_up(0);
	merchant *a = &r->merchants[0];

	(void)state;
	pthread_mutex_lock(&r->lock);
	r->attach_refused = true;
	pthread_mutex_unlock(&r->lock);
	assert_int_equal(bh_leaser_found(r->leaser, "0", BH_SUSPEND_KMS_UNREACHABLE), BH_OK);
	pass(r, BH_LEASE_RETRY_FIRST_MS);
	WAIT_FOR(r, a->calls, 1);
	wait_for_state(r, "0", BH_LEASE_OFF);
	for (int i = 0; i < 10; i++)
		pass(r, LIMIT);
	assert_int_equal(a->calls, 1);
	tear_down(r);
}

/* All are asked before anything is done about any of them; who is confirmed is served again, the others go their way. */
static void after_a_clock_set_forward_who_is_confirmed_was_never_detached(void **state)
{
	rig *r = set_up(MERCHANTS);

	(void)state;
	set(r, 1, BH_E_KMS_REFUSED, false);
	set(r, 2, BH_E_KMS_UNREACHABLE, false);
	atomic_fetch_add(&r->wall_ms, 3600000);
	bh_leaser_wake(r->leaser);
	for (unsigned i = 0; i < MERCHANTS; i++)
		WAIT_FOR(r, r->merchants[i].calls, 1);
	WAIT_FOR(r, r->merchants[1].detaches, 1);
	WAIT_FOR(r, r->merchants[2].detaches, 1);
	wait_for_state(r, "1", BH_LEASE_REFUSED);
	wait_for_state(r, "2", BH_LEASE_LOST);
	for (unsigned i = 0; i < MERCHANTS; i++) {
		char name[12];

		if (i == 1 || i == 2)
			continue;
		snprintf(name, sizeof(name), "%u", i);
		wait_for_state(r, name, BH_LEASE_HELD);
		assert_int_equal(r->merchants[i].detaches, 0);
		assert_int_equal(r->merchants[i].closes, 0);
		assert_true(r->merchants[i].deadline_ms > bh_gate_now_ms());
	}
	tear_down(r);
}

/* Until it is confirmed nobody is let in. */
static void while_it_is_in_doubt_nobody_enters(void **state)
{
	rig *r = set_up(1);
	merchant *a = &r->merchants[0];

	(void)state;
	set(r, 0, BH_OK, true);
	atomic_fetch_add(&r->wall_ms, 3600000);
	bh_leaser_wake(r->leaser);
	WAIT_FOR(r, a->hanging, 1);
	wait_for_state(r, "0", BH_LEASE_DOUBTED);
	assert_int_equal(a->deadline_ms, 1);
	set(r, 0, BH_OK, false);
	wait_for_state(r, "0", BH_LEASE_HELD);
	assert_true(a->deadline_ms > bh_gate_now_ms());
	assert_int_equal(a->detaches, 0);
	tear_down(r);
}

static void a_clock_set_forward_ends_leases_and_a_clock_set_back_does_not_lengthen_them(void **state)
{
	rig *r = set_up(1);
	merchant *a = &r->merchants[0];

	(void)state;
	atomic_fetch_sub(&r->wall_ms, 86400000);
	bh_leaser_wake(r->leaser);
	set(r, 0, BH_E_KMS_UNREACHABLE, false);
	atomic_fetch_add(&r->boot_ms, LIMIT);
	bh_leaser_wake(r->leaser);
	WAIT_FOR(r, a->detaches, 1);
	set(r, 0, BH_OK, false);
	pass(r, BH_LEASE_RETRY_FIRST_MS);
	WAIT_FOR(r, a->attaches, 1);
	wait_for_state(r, "0", BH_LEASE_HELD);
	set(r, 0, BH_E_KMS_UNREACHABLE, false);
	atomic_fetch_add(&r->wall_ms, 86400000);
	bh_leaser_wake(r->leaser);
	WAIT_FOR(r, a->detaches, 2);
	tear_down(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_checked),
		cmocka_unit_test(renewed_and_the_deadline_moves_on),
		cmocka_unit_test(refused_closed_detached_and_back),
		cmocka_unit_test(damaged_raises_an_alarm_and_is_left_alone),
		cmocka_unit_test(a_call_that_hangs_does_not_keep_the_keys),
		cmocka_unit_test(dead_kmss_do_not_delay_anybody_else),
		cmocka_unit_test(an_operators_suspension_ends_it),
		cmocka_unit_test(a_quarantine_is_done_until_it_is_done),
		cmocka_unit_test(an_attach_that_finds_it_suspended_ends_it),
		cmocka_unit_test(after_a_clock_set_forward_who_is_confirmed_was_never_detached),
		cmocka_unit_test(while_it_is_in_doubt_nobody_enters),
		cmocka_unit_test(a_clock_set_forward_ends_leases_and_a_clock_set_back_does_not_lengthen_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
