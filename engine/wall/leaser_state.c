/* SPDX-License-Identifier: Apache-2.0
 *
 * leaser_state.c: see leaser_state.h.
 */
#include "leaser_state.h"

int64_t bh_leaser_read_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bh_lease_time bh_leaser_now_locked(bh_leaser *leaser)
{
	const bh_clock *clock = &leaser->clock;

	return bh_lease_clock_read(&leaser->progress, clock->boottime_ms(clock->arg), clock->realtime_ms(clock->arg));
}

void bh_leaser_scan_within(bh_leaser *leaser, int64_t wait_ms)
{
	int64_t at_ms = bh_leaser_read_ms(CLOCK_MONOTONIC) + BH_MIN(BH_MAX(wait_ms, NAP_MIN_MS), NAP_MAX_MS);

	if (at_ms >= leaser->scan_at_ms)
		return;
	leaser->scan_at_ms = at_ms;
	pthread_cond_signal(&leaser->wake);
}
