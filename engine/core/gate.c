/* SPDX-License-Identifier: Apache-2.0
 *
 * gate.c: the slow half of gate.h.
 */
#include "gate.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

_Atomic bool bh_gate_seats_light;

static const struct timespec pause_between_looks = { .tv_nsec = 50000 };

static bh_status refuse(bh_status reason, const char *who)
{
	switch (reason) {
	case BH_E_SHREDDED: return bh_fail(reason, "merchant '%s' is shredded: its keys and data are destroyed", who);
	case BH_E_SUSPENDED: return bh_fail(reason, "merchant '%s' is suspended; resume it first", who);
	case BH_E_KMS_REFUSED:
		return bh_fail(
			reason,
			"merchant '%s': its KMS refuses its CMK ('merchant show' says how it stands); it serves again once the "
			"KMS allows it, never if the key is destroyed",
			who);
	case BH_E_KMS_UNREACHABLE:
		return bh_fail(reason, "merchant '%s': its KMS has not answered for too long; it serves again when it does", who);
	case BH_E_IO: /* bh_leaser_decide() */
		return bh_fail(reason,
			       "merchant '%s': its lease ended, since its renewal failed here, not at its KMS (is the audit log "
			       "writable?); it serves again when one succeeds",
			       who);
	case BH_E_TAG:
		return bh_fail(reason, "merchant '%s': its KMS answered with something wrong; look into it, then resume it", who);
	case BH_E_DAMAGED:
		return bh_fail(
			reason,
			"merchant '%s': a file of its is damaged ('merchant show' names it); put the right one in its place, then "
			"resume the merchant",
			who);
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

/* ---- writes */

static bool has_writes(const bh_gate *gate, unsigned side)
{
	const uint64_t mask = (UINT64_C(1) << 20) - 1;

	return (atomic_load(&gate->inside) >> (24 + 20 * side) & mask) != 0;
}

/* Twice: a write may have looked at the side long ago and be counted on it just now. It has seen the change of this call, but may
 * miss that of the next one, which so has to look at both sides. */
bh_status bh_gate_await_writes(bh_gate *gate, const char *who)
{
	for (int turn = 0; turn < 2; turn++) {
		unsigned before = atomic_fetch_xor(&gate->side, 1u);

		while (has_writes(gate, before)) {
			if (bh_gate_is_shut(gate))
				return bh_gate_check(gate, who);
			nanosleep(&pause_between_looks, NULL);
		}
	}
	return BH_OK;
}

/* ---- seats */

static void seats_register(void)
{
	atomic_store(&bh_gate_seats_light, syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
}

void bh_gate_seats_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, seats_register);
}

/* Behind it, whoever took a seat before is seen to have it, or sees the gate closed. A process that has registered is refused only
 * by a filter that was put up since; then it is time that has a store leave its core's buffer, which takes no microsecond. */
static void barrier_in_all_threads(void)
{
	const struct timespec ages = { .tv_nsec = 10000000 };

	if (atomic_load(&bh_gate_seats_light) && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
		nanosleep(&ages, NULL);
}

void bh_gate_seat_wait(const bh_gate_seat *seat)
{
	while (atomic_load(&seat->taken))
		nanosleep(&pause_between_looks, NULL);
}

/* ---- closing */

void bh_gate_close(bh_gate *gate, bh_status reason)
{
	bh_gate_shut(gate, reason);
	barrier_in_all_threads();
	while (atomic_load(&gate->inside) != 0)
		nanosleep(&pause_between_looks, NULL);
}
