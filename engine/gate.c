/* SPDX-License-Identifier: Apache-2.0
 *
 * gate.c: the slow half of gate.h.
 */
#include "gate.h"

static bh_status refuse(bh_status reason, const char *who)
{
	switch (reason) {
	case BH_E_SHREDDED: return bh_fail(reason, "merchant '%s' is shredded: its keys and data are destroyed", who);
	case BH_E_SUSPENDED: return bh_fail(reason, "merchant '%s' is suspended; resume it first", who);
	case BH_E_KMS_REFUSED:
		return bh_fail(reason, "merchant '%s': its KMS refuses its CMK; it serves again once the key is enabled", who);
	case BH_E_KMS_UNREACHABLE:
		return bh_fail(reason, "merchant '%s': its KMS has not answered for too long; it serves again when it does", who);
	case BH_E_TAG:
		return bh_fail(reason, "merchant '%s': its KMS answered with something wrong; look into it, then resume it", who);
	case BH_E_BUSY: return bh_fail(reason, "merchant '%s': is being taken up right now; try again", who);
	default: return bh_fail(reason, "merchant '%s': the database is closed", who);
	}
}

static bh_status refuse_late(const char *who)
{
	return bh_fail(BH_E_KMS_UNREACHABLE, "merchant '%s': the time is over for which its KMS allowed its keys to be used", who);
}

bh_status bh_gate_check(const bh_gate *gate, const char *who)
{
	int reason = atomic_load(&gate->reason);

	if (reason != BH_OK)
		return refuse((bh_status)reason, who);
	return bh_gate_is_late(gate) ? refuse_late(who) : BH_OK;
}

void bh_gate_close(bh_gate *gate, bh_status reason)
{
	const struct timespec pause = { .tv_nsec = 50000 };

	bh_gate_shut(gate, reason);
	while (atomic_load(&gate->inside) != 0)
		nanosleep(&pause, NULL);
}
