/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lease_kills.c: a lease ends, because the KMS refuses or because it is not reached, and the process is killed at each durable
 * step of what follows: A is off after that as long as its KMS does not allow its keys, then on with every acknowledged row; B,
 * which is at work all the while, has every one of its own.
 *
 * The stage is in memory that all children share, so that the next one knows what was acknowledged when the one before was killed.
 */
#include "lease_stage.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keyring/base/crashpoint.h"
#include "suspend_fixture.h"

#ifdef BH_SANITIZED
enum { STRIDE = 7 }; /* one in as many of the kill points, from another first one each time */
#else
enum { STRIDE = 1 };
#endif

typedef struct run {
	stage s;
	bool unreachable; /* else: refused */
	int at;           /* the N-th crash point of all */
} run;

/* ---- A's KMS */

static void move_kms(stage *s, bool away)
{
	char aside[PATH_SIZE];

	path_join(aside, s->ws->root, "aside");
	if (away)
		test_check(rename(s->kms, aside) == 0 && mkdir(s->kms, 0700) == 0);
	else
		test_check(rmdir(s->kms) == 0 && rename(aside, s->kms) == 0);
}

static void set_kms(run *r, bool well)
{
	if (r->unreachable)
		move_kms(&r->s, !well);
	else
		set_enabled(&r->s, well);
}

/* ---- children */

static void make(void *arg)
{
	run *r = arg;

	begin(&r->s);
	write_rows(&r->s);
	end(&r->s);
}

/* Rows in SSTs and rows in the WAL alone; then the lease ends. */
static void lease_ends(void *arg)
{
	run *r = arg;
	stage *s = &r->s;

	begin_again(s);
	s->a = test_cf(s->db, "a", "events");
	test_ok(bh_flush(s->a));
	write_rows(s);
	set_kms(r, false);
	arm(r->at);
	pass(s, r->unreachable ? LIMIT * 11 / 10 : LIMIT * 7 / 10);
	if (r->unreachable)
		is_detached(s, BH_SUSPEND_KMS_UNREACHABLE, BH_LEASE_LOST);
	else
		is_detached(s, BH_SUSPEND_KMS_REFUSED, BH_LEASE_REFUSED);
	bh_crash_arm(NULL);
	end(s);
}

static void off(void *arg)
{
	run *r = arg;

	begin_again(&r->s);
	test_status(bh_cf_open(r->s.db, "a", "events", &r->s.a), r->unreachable ? BH_E_KMS_UNREACHABLE : BH_E_KMS_REFUSED);
	b_goes_on(&r->s, 2);
	end(&r->s);
}

static void on(void *arg)
{
	run *r = arg;

	begin_again(&r->s);
	r->s.a = test_cf(r->s.db, "a", "events");
	is_back(&r->s);
	end(&r->s);
}

static void killed_at_every_step(workspace *ws, bool unreachable)
{
	run *r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool survived = false;

	test_check(r != MAP_FAILED);
	r->s.ws = ws;
	r->unreachable = unreachable;
	test_child_ok(make, r);
	for (r->at = 1 + (int)(time(NULL) % STRIDE); !survived; r->at += STRIDE) {
		survived = test_child_survives(lease_ends, r);
		test_child_ok(off, r);
		set_kms(r, true);
		test_child_ok(on, r);
	}
	print_message("%d steps, %u rows of A, %u of B\n", r->at - STRIDE - 1, r->s.rows, atomic_load(&r->s.b_ops));
	test_check(r->at > 10);
	munmap(r, sizeof(*r));
}

static void killed_at_every_step_of_a_refusal(void **state)
{
	killed_at_every_step(*state, false);
}

static void killed_at_every_step_of_a_lease_that_runs_out(void **state)
{
	killed_at_every_step(*state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(killed_at_every_step_of_a_refusal),
		SUSPEND_CASE(killed_at_every_step_of_a_lease_that_runs_out),
	};

	return cmocka_run_group_tests_name("lease_kills", tests, NULL, NULL);
}
