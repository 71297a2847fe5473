/* SPDX-License-Identifier: Apache-2.0
 *
 * gate.h: the door that every operation on a merchant passes.
 *
 * Entering counts first and looks at the reason second; closing sets the reason first and waits for the count second. So once
 * bh_gate_close() has returned nobody is inside and nobody comes in. Both are a few ns: two atomic operations on one line.
 */
#ifndef BH_GATE_H
#define BH_GATE_H

#include "keyring/base.h"

#include <stdatomic.h>

typedef struct bh_gate {
	_Atomic uint32_t inside; /* operations under way */
	_Atomic int reason;      /* bh_status: BH_OK while open, else what those who come are told */
} bh_gate;

/* BH_OK: inside, and bh_gate_leave() is owed. Else the reason, with a message naming `who`. */
BH_MUST_CHECK bh_status bh_gate_enter(bh_gate *gate, const char *who);

static inline void bh_gate_leave(bh_gate *gate)
{
	atomic_fetch_sub_explicit(&gate->inside, 1, memory_order_release);
}

/* Closes the gate for `reason` and waits until nobody is inside. */
void bh_gate_close(bh_gate *gate, bh_status reason);

#endif
