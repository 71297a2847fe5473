/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pacer.c: paced work gets its share of the machine and no more, whatever the number of processors; a hurry ends the pauses; a
 * signal does not.
 *
 * Two clocks matter: what was worked is the thread's CPU time, and the pause is what it asks to sleep for. Both are the process's
 * own, so a machine that is busy with something else changes nothing. Seen from outside, in the last test, load can only make the
 * share smaller.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "engine/wall/pacer.h"

#define MS INT64_C(1000000) /* ns */

/* ---- what the pacer asks of the system */

static long processors;      /* 0: as many as there are */
static bool asleep_for_real; /* else: no time passes */
static int interruptions;    /* of the next sleeps, half way */
static int64_t slept_ns;     /* since ask_anew() */
static unsigned sleeps;
static _Atomic bool *hurry_when_asleep;

int __real_nanosleep(const struct timespec *want, struct timespec *left);
int __wrap_nanosleep(const struct timespec *want, struct timespec *left);
int __wrap_nanosleep(const struct timespec *want, struct timespec *left)
{
	int64_t ns = (int64_t)want->tv_sec * 1000 * MS + want->tv_nsec;

	sleeps++;
	if (hurry_when_asleep != NULL)
		atomic_store(hurry_when_asleep, true);
	if (interruptions > 0) {
		interruptions--;
		ns /= 2;
		if (left != NULL)
			*left = (struct timespec){ .tv_sec = ns / (1000 * MS), .tv_nsec = ns % (1000 * MS) };
		slept_ns += ns;
		errno = EINTR;
		return -1;
	}
	slept_ns += ns;
	return asleep_for_real ? __real_nanosleep(want, left) : 0;
}

long __real_sysconf(int name);
long __wrap_sysconf(int name);
long __wrap_sysconf(int name)
{
	return name == _SC_NPROCESSORS_ONLN && processors != 0 ? processors : __real_sysconf(name);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 * MS + t.tv_nsec;
}

static void work(int64_t ns)
{
	int64_t until = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}

static void ask_anew(void)
{
	slept_ns = 0;
	sleeps = 0;
}

static int setup(void **state)
{
	(void)state;
	processors = 1;
	asleep_for_real = false;
	interruptions = 0;
	hurry_when_asleep = NULL;
	ask_anew();
	return 0;
}

/* The pause that work of `ns` calls for, give or take what the thread did besides. */
static void assert_paused_for(int64_t ns, int64_t percent)
{
	int64_t want = ns * (100 - percent) / percent;

	assert_true(slept_ns >= want);
	assert_true(slept_ns < want * 3 / 2 + 10 * MS);
}

/* ---- tests */

static void the_pause_follows_the_work(void **state)
{
	static const struct {
		long processors;
		int64_t percent; /* of one of them */
	} cases[] = { { 1, 3 }, { 2, 6 }, { 8, 24 }, { 33, 99 } };
	_Atomic bool hurry = false;
	bh_pacer pacer;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		processors = cases[i].processors;
		bh_pacer_begin(&pacer, &hurry);
		for (int64_t ms = 1; ms <= 16; ms *= 4) {
			ask_anew();
			work(ms * MS);
			bh_pacer_pause(&pacer);
			assert_paused_for(ms * MS, cases[i].percent);
		}
	}
}

/* One thread takes less than the share of so large a machine by itself. */
static void a_large_machine_needs_no_pause(void **state)
{
	_Atomic bool hurry = false;
	bh_pacer pacer;

	(void)state;
	processors = 64;
	bh_pacer_begin(&pacer, &hurry);
	work(5 * MS);
	bh_pacer_pause(&pacer);
	assert_int_equal(sleeps, 0);
}

static void only_work_since_the_last_pause_counts(void **state)
{
	_Atomic bool hurry = false;
	bh_pacer pacer;

	(void)state;
	work(20 * MS); /* before it began */
	bh_pacer_begin(&pacer, &hurry);
	bh_pacer_pause(&pacer);
	assert_true(slept_ns < 100 * MS);
	work(20 * MS);
	bh_pacer_pause(&pacer);
	ask_anew();
	bh_pacer_pause(&pacer);
	assert_true(slept_ns < 100 * MS);
}

static void in_a_hurry_there_is_no_pause_and_none_is_made_up_for(void **state)
{
	_Atomic bool hurry = true;
	bh_pacer pacer;

	(void)state;
	bh_pacer_begin(&pacer, &hurry);
	work(20 * MS);
	bh_pacer_pause(&pacer);
	assert_int_equal(sleeps, 0);
	atomic_store(&hurry, false);
	bh_pacer_pause(&pacer);
	assert_true(slept_ns < 100 * MS);
}

/* A program with a timer of its own gets signals all the time. */
static void a_signal_does_not_cut_the_pause_short(void **state)
{
	_Atomic bool hurry = false;
	bh_pacer pacer;

	(void)state;
	bh_pacer_begin(&pacer, &hurry);
	work(2 * MS);
	interruptions = 5;
	bh_pacer_pause(&pacer);
	assert_paused_for(2 * MS, BH_PACER_PERCENT);
}

/* Whoever closes a database does not wait for the rest of a long pause. */
static void a_hurry_ends_a_pause_that_has_begun(void **state)
{
	_Atomic bool hurry = false;
	bh_pacer pacer;

	(void)state;
	bh_pacer_begin(&pacer, &hurry);
	work(20 * MS); /* a pause of 650 ms */
	hurry_when_asleep = &hurry;
	bh_pacer_pause(&pacer);
	assert_true(slept_ns <= 100 * MS);
}

/* Seen from outside: CPU time over time, in a stretch of real sleep. */
static void its_share_of_a_stretch_is_bounded(void **state)
{
	_Atomic bool hurry = false;
	int64_t began, worked, took;
	bh_pacer pacer;

	(void)state;
	asleep_for_real = true;
	processors = 4; /* 12 % of one, so that this takes a second */
	bh_pacer_begin(&pacer, &hurry);
	began = clock_ns(CLOCK_MONOTONIC);
	worked = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (int i = 0; i < 60; i++) {
		work(2 * MS);
		bh_pacer_pause(&pacer);
	}
	took = clock_ns(CLOCK_MONOTONIC) - began;
	worked = clock_ns(CLOCK_THREAD_CPUTIME_ID) - worked;
	print_message("%.1f %% of a processor\n", 100.0 * (double)worked / (double)took);
	assert_true(worked * 100 <= took * 4 * BH_PACER_PERCENT * 11 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_pause_follows_the_work, setup),
		cmocka_unit_test_setup(a_large_machine_needs_no_pause, setup),
		cmocka_unit_test_setup(only_work_since_the_last_pause_counts, setup),
		cmocka_unit_test_setup(in_a_hurry_there_is_no_pause_and_none_is_made_up_for, setup),
		cmocka_unit_test_setup(a_signal_does_not_cut_the_pause_short, setup),
		cmocka_unit_test_setup(a_hurry_ends_a_pause_that_has_begun, setup),
		cmocka_unit_test_setup(its_share_of_a_stretch_is_bounded, setup),
	};

	return cmocka_run_group_tests_name("pacer", tests, NULL, NULL);
}
