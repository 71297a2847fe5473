/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lease_agent.c: leases over a KMS that is a process of its own: stopped, killed, started again, and its key disabled, while
 * the database runs and while it opens. Merchant A's CMK is there; B's is in files. B never waits for A's KMS, and A comes back by
 * itself with all that was acknowledged.
 */
#include "tests/support/kms_process.h"

#include "lease_stage.h"

#define KMS_TIMEOUT_MS 2000 /* the provider's: whoever waits for a stopped process waits as long */

typedef struct agent_stage {
	stage s;
	kms_process kms; /* A's */
} agent_stage;

/* A has a KMS of its own, in a directory of its own, behind the process. */
static void add_a_at_the_agent(agent_stage *g)
{
	static const char *const classes[] = { "events" };
	const bh_merchant_options options = { classes, 1 };
	char socket[PATH_SIZE], uri[PATH_SIZE + 16];
	stage *s = &g->s;

	path_join(s->kms, s->ws->root, "kms-a");
	path_join(socket, s->ws->root, "socket");
	snprintf(uri, sizeof(uri), "local:%s#a", s->kms);
	test_ok(bh_kms_create(uri, NULL, NULL));
	kms_process_start(&g->kms, s->kms, socket, false);
	test_ok(bh_merchant_add(s->db, "a", kms_process_cmk(&g->kms, "a"), &options));
	s->a = test_cf(s->db, "a", "events");
}

static void begin_at_the_agent(agent_stage *g)
{
	begin_with_b(&g->s);
	add_a_at_the_agent(g);
	write_rows(&g->s);
}

static void end_at_the_agent(agent_stage *g)
{
	fprintf(stderr, "B: %u writes and reads, the slowest pair %.1f ms\n", atomic_load(&g->s.b_ops),
		(double)atomic_load(&g->s.slowest_ns) / 1e6);
	test_check(atomic_load(&g->s.slowest_ns) < (int64_t)KMS_TIMEOUT_MS * 1000000);
	end(&g->s);
	kms_process_end(&g->kms);
}

/* It does not answer: served until the limit, then off. */
static void runs_out(stage *s)
{
	pass(s, LIMIT * 8 / 10);
	write_rows(s);
	pass(s, LIMIT * 4 / 10);
	is_detached(s, BH_SUSPEND_KMS_UNREACHABLE, BH_LEASE_LOST);
	is_refused(s, BH_E_KMS_UNREACHABLE);
}

static void stopped(void *arg)
{
	agent_stage g = { .s.ws = arg };

	begin_at_the_agent(&g);
	kms_process_stop(&g.kms);
	runs_out(&g.s);
	kms_process_cont(&g.kms);
	is_back(&g.s);
	end_at_the_agent(&g);
}

static void killed(void *arg)
{
	agent_stage g = { .s.ws = arg };

	begin_at_the_agent(&g);
	kms_process_kill(&g.kms);
	runs_out(&g.s);
	kms_process_restart(&g.kms);
	is_back(&g.s);
	end_at_the_agent(&g);
}

/* Told from silence: off at the next renewal, long before the limit. */
static void disabled(void *arg)
{
	agent_stage g = { .s.ws = arg };

	begin_at_the_agent(&g);
	set_enabled(&g.s, false);
	pass(&g.s, LIMIT * 8 / 10);
	is_detached(&g.s, BH_SUSPEND_KMS_REFUSED, BH_LEASE_REFUSED);
	is_refused(&g.s, BH_E_KMS_REFUSED);
	set_enabled(&g.s, true);
	is_back(&g.s);
	end_at_the_agent(&g);
}

/* The process is not there when the database opens: B is served at once, A when it is there. */
static void down_at_open(void *arg)
{
	agent_stage g = { .s.ws = arg };
	bh_cf *none = NULL;

	begin_at_the_agent(&g);
	kms_process_kill(&g.kms);
	end(&g.s);
	begin_again(&g.s);
	test_status(bh_cf_open(g.s.db, "a", "events", &none), BH_E_KMS_UNREACHABLE);
	b_goes_on(&g.s, 10);
	kms_process_restart(&g.kms);
	WAIT_WHILE_DOING(is_in(&g.s, BH_MERCHANT_ACTIVE, BH_SUSPEND_NONE), pass_if_pausing(&g.s));
	WAIT_UNTIL(g.s.a != NULL || bh_cf_open(g.s.db, "a", "events", &g.s.a) == BH_OK);
	all_rows_are_there(&g.s);
	end_at_the_agent(&g);
}

#define IN_A_CHILD(name, body)                                                                                                     \
	static void name(void **state)                                                                                             \
	{                                                                                                                          \
		test_child_ok(body, *state);                                                                                       \
	}

IN_A_CHILD(stopped_kms_is_unreachable_and_comes_back, stopped)
IN_A_CHILD(killed_kms_is_unreachable_and_comes_back, killed)
IN_A_CHILD(disabled_key_is_refused_and_comes_back, disabled)
IN_A_CHILD(kms_that_is_down_at_open_costs_its_merchant_alone, down_at_open)

#define CASE(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(stopped_kms_is_unreachable_and_comes_back),
		CASE(killed_kms_is_unreachable_and_comes_back),
		CASE(disabled_key_is_refused_and_comes_back),
		CASE(kms_that_is_down_at_open_costs_its_merchant_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
