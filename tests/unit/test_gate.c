/* SPDX-License-Identifier: Apache-2.0
 *
 * test_gate.c: the gate: open, closed with a reason, past its deadline; and that closing waits for those inside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "engine/gate.h"

static void open_while_all_zero(void **state)
{
	bh_gate gate = { 0 };

	(void)state;
	assert_int_equal(bh_gate_enter(&gate, "a"), BH_OK);
	bh_gate_leave(&gate);
	assert_int_equal(atomic_load(&gate.inside), 0);
}

static void closed_it_tells_why(void **state)
{
	static const bh_status reasons[] = { BH_E_SHREDDED, BH_E_SUSPENDED };

	(void)state;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		bh_gate gate = { 0 };

		bh_gate_close(&gate, reasons[i]);
		assert_int_equal(bh_gate_enter(&gate, "acme"), reasons[i]);
		assert_non_null(strstr(bh_status_message(), "acme"));
		assert_int_equal(atomic_load(&gate.inside), 0);
	}
}

static void after_the_deadline_nobody_enters(void **state)
{
	bh_gate gate = { 0 };

	(void)state;
	bh_gate_set_deadline_ms(&gate, bh_gate_now_ms() + 3600000);
	assert_int_equal(bh_gate_enter(&gate, "acme"), BH_OK);
	bh_gate_set_deadline_ms(&gate, bh_gate_now_ms()); /* while somebody is inside */
	assert_int_equal(bh_gate_enter(&gate, "acme"), BH_E_KMS_UNREACHABLE);
	assert_non_null(strstr(bh_status_message(), "acme"));
	assert_int_equal(atomic_load(&gate.inside), 1);
	bh_gate_leave(&gate);
	bh_gate_set_deadline_ms(&gate, -5); /* a lease that was over before it began */
	assert_int_equal(bh_gate_enter(&gate, "acme"), BH_E_KMS_UNREACHABLE);
	bh_gate_set_deadline_ms(&gate, INT64_MAX);
	assert_int_equal(bh_gate_enter(&gate, "acme"), BH_OK);
}

static void a_reason_comes_before_the_deadline(void **state)
{
	bh_gate gate = { 0 };

	(void)state;
	bh_gate_set_deadline_ms(&gate, 1);
	bh_gate_close(&gate, BH_E_SHREDDED);
	assert_int_equal(bh_gate_enter(&gate, "acme"), BH_E_SHREDDED);
}

static void *come_and_go(void *arg)
{
	bh_gate *gate = arg;

	while (bh_gate_enter(gate, "acme") == BH_OK) {
		sched_yield();
		bh_gate_leave(gate);
	}
	return NULL;
}

static void closing_waits_for_those_inside(void **state)
{
	bh_gate gate = { 0 };
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &gate), 0);
	bh_gate_close(&gate, BH_E_SUSPENDED);
	assert_int_equal(bh_gate_enter(&gate, "acme"), BH_E_SUSPENDED);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&gate.inside), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_while_all_zero),
		cmocka_unit_test(closed_it_tells_why),
		cmocka_unit_test(after_the_deadline_nobody_enters),
		cmocka_unit_test(a_reason_comes_before_the_deadline),
		cmocka_unit_test(closing_waits_for_those_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
