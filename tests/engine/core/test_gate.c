/* SPDX-License-Identifier: Apache-2.0
 *
 * test_gate.c: the gate: open, closed with a reason, past its deadline; and that closing waits for those inside, by count
 * and by seat.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "engine/core/gate.h"

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

typedef struct awaiting {
	bh_gate gate;
	atomic_bool ended;
	bh_status status;
} awaiting;

static void *await_writes(void *arg)
{
	awaiting *a = arg;

	a->status = bh_gate_await_writes(&a->gate, "acme");
	atomic_store(&a->ended, true);
	return NULL;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* Of those before on either side, also where others come and go; not for readers, nor for those that come later. */
static void writes_are_awaited(void **state)
{
	bh_gate_ticket before = 0, later = 0;
	pthread_t thread;

	(void)state;
	for (unsigned side = 0; side < 2; side++) {
		awaiting a = { .gate.side = side };

		assert_int_equal(bh_gate_enter(&a.gate, "acme"), BH_OK);
		assert_int_equal(bh_gate_enter_write(&a.gate, "acme", &before), BH_OK);
		assert_int_equal(pthread_create(&thread, NULL, await_writes, &a), 0);
		for (int i = 0; i < 20; i++) {
			sleep_ms(1);
			assert_int_equal(bh_gate_enter_write(&a.gate, "acme", &later), BH_OK);
			assert_false(atomic_load(&a.ended));
			bh_gate_leave_write(&a.gate, later);
		}
		assert_int_equal(bh_gate_enter_write(&a.gate, "acme", &later), BH_OK);
		bh_gate_leave_write(&a.gate, before);
		sleep_ms(20);
		bh_gate_leave_write(&a.gate, later); /* it may have come to either side */
		pthread_join(thread, NULL);
		assert_int_equal(a.status, BH_OK);
		bh_gate_leave(&a.gate);
		assert_int_equal(atomic_load(&a.gate.inside), 0);
	}
}

/* A write that has looked at the side before others turned it is waited for by the next who turns it. */
static void a_late_count_is_awaited(void **state)
{
	const bh_gate_ticket ticket = bh_gate_write_ticket(1);
	awaiting a = { .gate.side = 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(bh_gate_enter_as(&a.gate, "acme", ticket), BH_OK);
	assert_int_equal(pthread_create(&thread, NULL, await_writes, &a), 0);
	sleep_ms(20);
	assert_false(atomic_load(&a.ended));
	bh_gate_leave_write(&a.gate, ticket);
	pthread_join(thread, NULL);
	assert_int_equal(a.status, BH_OK);
}

static void a_gate_that_closes_ends_the_wait(void **state)
{
	awaiting a = { .gate.side = 0 };
	bh_gate_ticket ticket = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(bh_gate_enter_write(&a.gate, "acme", &ticket), BH_OK);
	assert_int_equal(pthread_create(&thread, NULL, await_writes, &a), 0);
	bh_gate_shut(&a.gate, BH_E_SUSPENDED);
	pthread_join(thread, NULL);
	assert_int_equal(a.status, BH_E_SUSPENDED);
	bh_gate_leave_write(&a.gate, ticket);
	bh_gate_close(&a.gate, BH_E_SUSPENDED);
}

/* ---- seats: with the fence that a kernel without membarrier(2) takes, and without */

typedef struct seated {
	bh_gate gate;
	bh_gate_seat seat;
	atomic_bool let_go;
	bool closed_early; /* whether the gate's closer was through while the seat was taken */
	int thing;         /* of who has the seat, then the closer's; no atomic, so that a sanitizer sees them race */
	atomic_bool came;
} seated;

static void *take_a_seat_again_and_again(void *arg)
{
	seated *s = arg;

	while (bh_gate_seat_enter(&s->gate, &s->seat, "acme") == BH_OK) {
		if (s->thing != 1)
			s->closed_early = true;
		bh_gate_seat_leave(&s->seat);
		atomic_store_explicit(&s->came, true, memory_order_relaxed);
	}
	return NULL;
}

static void closing_races_with_seats(bool light, unsigned rounds)
{
	bool before = atomic_exchange(&bh_gate_seats_light, light);

	for (unsigned i = 0; i < rounds; i++) {
		seated s = { .thing = 1 };
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, take_a_seat_again_and_again, &s), 0);
		while (!atomic_load(&s.came))
			sched_yield();
		for (unsigned spin = 0; spin < (i % 64) * 200; spin++)
			(void)bh_gate_is_shut(&s.gate);
		bh_gate_close(&s.gate, BH_E_SUSPENDED);
		bh_gate_seat_wait(&s.seat);
		s.thing = 0;
		pthread_join(thread, NULL);
		assert_false(s.closed_early);
	}
	atomic_store(&bh_gate_seats_light, before);
}

static void closing_waits_for_seats(void **state)
{
	(void)state;
	bh_gate_seats_init();
	if (atomic_load(&bh_gate_seats_light))
		closing_races_with_seats(true, 300);
	closing_races_with_seats(false, 300);
}

static void *close_and_wait(void *arg)
{
	seated *s = arg;

	bh_gate_close(&s->gate, BH_E_SHREDDED);
	bh_gate_seat_wait(&s->seat);
	s->closed_early = !atomic_load(&s->let_go);
	return NULL;
}

static void a_seat_is_refused_as_an_entry_is(void **state)
{
	seated s = { 0 };
	pthread_t thread;

	(void)state;
	bh_gate_seats_init();
	bh_gate_set_deadline_ms(&s.gate, 1);
	assert_int_equal(bh_gate_seat_enter(&s.gate, &s.seat, "acme"), BH_E_KMS_UNREACHABLE);
	assert_false(atomic_load(&s.seat.taken));
	bh_gate_set_deadline_ms(&s.gate, INT64_MAX);

	assert_int_equal(bh_gate_seat_enter(&s.gate, &s.seat, "acme"), BH_OK);
	assert_int_equal(pthread_create(&thread, NULL, close_and_wait, &s), 0);
	sleep_ms(20);
	atomic_store(&s.let_go, true);
	bh_gate_seat_leave(&s.seat);
	pthread_join(thread, NULL);
	assert_false(s.closed_early);
	assert_int_equal(bh_gate_seat_enter(&s.gate, &s.seat, "acme"), BH_E_SHREDDED);
	assert_non_null(strstr(bh_status_message(), "acme"));
	assert_false(atomic_load(&s.seat.taken));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_while_all_zero),
		cmocka_unit_test(closed_it_tells_why),
		cmocka_unit_test(after_the_deadline_nobody_enters),
		cmocka_unit_test(a_reason_comes_before_the_deadline),
		cmocka_unit_test(closing_waits_for_those_inside),
		cmocka_unit_test(writes_are_awaited),
		cmocka_unit_test(a_late_count_is_awaited),
		cmocka_unit_test(a_gate_that_closes_ends_the_wait),
		cmocka_unit_test(closing_waits_for_seats),
		cmocka_unit_test(a_seat_is_refused_as_an_entry_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
