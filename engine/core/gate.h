/* SPDX-License-Identifier: Apache-2.0
 *
 * gate.h: the door that every operation on a merchant passes.
 *
 * Entering counts first and looks at the reason second; closing sets the reason first and waits for the count second. So once
 * bh_gate_close() has returned nobody is inside and nobody comes in. Both are a few ns: two atomic operations on one line, and a
 * look at a clock that the kernel keeps in memory.
 *
 * Writes are counted once more, on one of two sides. Whoever has changed what every write looks at first (suppress.h) turns to the
 * other side and waits until the one before is empty, then once more the other way round: after that, no write is under way that
 * has not seen the change, however many have come meanwhile.
 *
 * Who comes again and again, as an iterator does for every step, has a seat. It is the caller's own, so that taking it needs no
 * atomic read-modify-write and no fence: a store, and a look at the reason. What orders the two is left to the one who closes, who
 * has the kernel put a barrier into every running thread of the process (membarrier(2)), and then waits for the seats. Where the
 * kernel has no such call, taking a seat costs a fence.
 *
 * A gate may have a deadline, the end of its merchant's lease. It is the second line of defence: the leaser closes the gate when a
 * lease ends; should its thread be stalled, nobody enters all the same.
 */
#ifndef BH_GATE_H
#define BH_GATE_H

#include "keyring/base/base.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

typedef struct bh_gate {
	_Atomic uint64_t inside;     /* operations under way: all in the low 24 bits, writes in 20 more for each side */
	_Atomic unsigned side;       /* 0 or 1: where writes are counted */
	_Atomic int reason;          /* bh_status: BH_OK while open, else what those who come are told */
	_Atomic int64_t deadline_ms; /* of CLOCK_MONOTONIC_COARSE; 0: none */
} bh_gate;

typedef struct bh_gate_seat {
	_Atomic bool taken;
} bh_gate_seat;

/* Whether seats may be taken without a fence; set once, by bh_gate_seats_init(). */
extern _Atomic bool bh_gate_seats_light;

/* Of CLOCK_MONOTONIC_COARSE: without a system call, and without reading a device. */
static inline int64_t bh_gate_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Closed for a reason; the deadline does not count. */
static inline bool bh_gate_is_shut(const bh_gate *gate)
{
	return atomic_load(&gate->reason) != (int)BH_OK;
}

static inline bool bh_gate_is_late(const bh_gate *gate)
{
	int64_t deadline_ms = atomic_load_explicit(&gate->deadline_ms, memory_order_relaxed);

	return deadline_ms != 0 && bh_gate_now_ms() >= deadline_ms;
}

static inline void bh_gate_leave(bh_gate *gate)
{
	atomic_fetch_sub_explicit(&gate->inside, 1, memory_order_release);
}

/* Whether bh_gate_enter() would let in right now, for what needs nothing to stay as it is: nothing is owed. Else the reason, with a
 * message naming `who`; BH_E_KMS_UNREACHABLE after the deadline. */
BH_MUST_CHECK bh_status bh_gate_check(const bh_gate *gate, const char *who);

/* What a write counts as: what bh_gate_leave_write() takes. */
typedef uint64_t bh_gate_ticket;
static inline bh_gate_ticket bh_gate_write_ticket(unsigned side)
{
	return 1 + (UINT64_C(1) << (24 + 20 * side));
}

static inline void bh_gate_leave_write(bh_gate *gate, bh_gate_ticket ticket)
{
	atomic_fetch_sub_explicit(&gate->inside, ticket, memory_order_release);
}

BH_MUST_CHECK static inline bh_status bh_gate_enter_as(bh_gate *gate, const char *who, bh_gate_ticket ticket)
{
	bh_status status = BH_OK;

	atomic_fetch_add(&gate->inside, ticket);
	if (bh_gate_is_shut(gate) || bh_gate_is_late(gate))
		status = bh_gate_check(gate, who);
	if (status != BH_OK)
		bh_gate_leave_write(gate, ticket);
	return status;
}

/* BH_OK: inside, and bh_gate_leave() is owed. Else what bh_gate_check() says. */
BH_MUST_CHECK static inline bh_status bh_gate_enter(bh_gate *gate, const char *who)
{
	return bh_gate_enter_as(gate, who, 1);
}

/* The same for a write, which bh_gate_await_writes() waits for: bh_gate_leave_write() is owed. */
BH_MUST_CHECK static inline bh_status bh_gate_enter_write(bh_gate *gate, const char *who, bh_gate_ticket *ticket_out)
{
	bh_gate_ticket ticket = bh_gate_write_ticket(atomic_load_explicit(&gate->side, memory_order_relaxed));

	BH_TRY(bh_gate_enter_as(gate, who, ticket));
	*ticket_out = ticket;
	return BH_OK;
}

/* Waits until every write that was under way at the time of the call has ended; those that come later are not waited for. From one
 * thread at a time. Errors: the reason, if the gate is closed meanwhile. */
BH_MUST_CHECK bh_status bh_gate_await_writes(bh_gate *gate, const char *who);

/* Before the first seat is taken; again does nothing. */
void bh_gate_seats_init(void);

static inline void bh_gate_seat_leave(bh_gate_seat *seat)
{
	atomic_store_explicit(&seat->taken, false, memory_order_release);
}

/* As bh_gate_enter(), by a seat that one thread at a time takes; bh_gate_seat_leave() is owed. Whoever closes the gate knows the
 * seats, and calls bh_gate_seat_wait() for each of them after bh_gate_close(). */
BH_MUST_CHECK static inline bh_status bh_gate_seat_enter(const bh_gate *gate, bh_gate_seat *seat, const char *who)
{
	bh_status status = BH_OK;

	if (atomic_load_explicit(&bh_gate_seats_light, memory_order_relaxed)) {
		atomic_store_explicit(&seat->taken, true, memory_order_relaxed);
		atomic_signal_fence(memory_order_seq_cst); /* the compiler's part; the processor's is the closer's */
	} else {
		atomic_store(&seat->taken, true);
	}
	if (bh_gate_is_shut(gate) || bh_gate_is_late(gate))
		status = bh_gate_check(gate, who);
	if (status != BH_OK)
		bh_gate_seat_leave(seat);
	return status;
}

/* After bh_gate_close() has returned: waits until nobody has the seat. Who takes it from then on sees the gate closed. */
void bh_gate_seat_wait(const bh_gate_seat *seat);

/* Closes the gate for `reason` without waiting for those inside. */
static inline void bh_gate_shut(bh_gate *gate, bh_status reason)
{
	atomic_store(&gate->reason, (int)reason);
}
/* The same where it is open; who has closed it before has said why. */
static inline void bh_gate_shut_if_open(bh_gate *gate, bh_status reason)
{
	int open = (int)BH_OK;

	(void)atomic_compare_exchange_strong(&gate->reason, &open, (int)reason);
}
/* Closes the gate for `reason` and waits until nobody is inside but those with a seat. */
void bh_gate_close(bh_gate *gate, bh_status reason);
static inline void bh_gate_open(bh_gate *gate)
{
	atomic_store(&gate->reason, (int)BH_OK);
}

/* From this time on nobody enters; those inside are left to end. INT64_MAX: no deadline, as for a gate that is all zero. The coarse
 * clock is up to a tick (1 to 10 ms) behind, so the deadline is noticed that much late: whoever sets it allows for that. */
static inline void bh_gate_set_deadline_ms(bh_gate *gate, int64_t coarse_monotonic_ms)
{
	atomic_store_explicit(&gate->deadline_ms, coarse_monotonic_ms == INT64_MAX ? 0 : BH_MAX(coarse_monotonic_ms, 1),
			      memory_order_relaxed);
}

#endif
