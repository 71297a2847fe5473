/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep_pace.c: see sweep_pace.h.
 */
#include "sweep_pace.h"
#include "keyring/base/base.h"

#include <time.h>

#define PAUSE_MS 5 /* between looks at whether to go on */

int64_t bh_sweep_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void bh_sweep_sleep_ms(int64_t ms)
{
	const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
}

static int64_t due_ms(const bh_sweep *s)
{
	return s->bytes_per_s == 0 ? 0 : s->begun_ms + (int64_t)(s->taken * 1000 / s->bytes_per_s);
}

bh_status bh_sweep_check(const bh_sweep *sweep)
{
	if (sweep->stop != NULL && atomic_load(sweep->stop))
		return bh_fail(BH_E_BUSY, "%s: the sweep is gone on with later", sweep->who);
	return sweep->merchant != NULL ? bh_gate_check(&sweep->merchant->gate, sweep->name) : BH_OK;
}

bh_status bh_sweep_take(void *sweep, uint64_t bytes)
{
	bh_sweep *s = sweep;

	s->taken += bytes;
	for (;;) {
		int64_t left_ms = due_ms(s) - bh_sweep_now_ms();

		BH_TRY(bh_sweep_check(s));
		if (left_ms <= 0)
			return BH_OK;
		bh_sweep_sleep_ms(BH_MIN(PAUSE_MS, left_ms));
	}
}
