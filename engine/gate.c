/* SPDX-License-Identifier: Apache-2.0
 *
 * gate.c: the slow half of gate.h.
 */
#include "gate.h"

#include <time.h>

static bh_status refuse(bh_status reason, const char *who)
{
	switch (reason) {
	case BH_E_SHREDDED: return bh_fail(reason, "merchant '%s' is shredded: its keys and data are destroyed", who);
	case BH_E_SUSPENDED: return bh_fail(reason, "merchant '%s' is suspended; resume it first", who);
	default: return bh_fail(reason, "merchant '%s': the database is closed", who);
	}
}

bh_status bh_gate_enter(bh_gate *gate, const char *who)
{
	int reason;

	atomic_fetch_add(&gate->inside, 1);
	reason = atomic_load(&gate->reason);
	if (reason == BH_OK)
		return BH_OK;
	bh_gate_leave(gate);
	return refuse((bh_status)reason, who);
}

void bh_gate_close(bh_gate *gate, bh_status reason)
{
	const struct timespec pause = { .tv_nsec = 50000 };

	atomic_store(&gate->reason, (int)reason);
	while (atomic_load(&gate->inside) != 0)
		nanosleep(&pause, NULL);
}
