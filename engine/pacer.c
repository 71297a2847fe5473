/* SPDX-License-Identifier: Apache-2.0
 *
 * pacer.c: see pacer.h.
 */
#include "pacer.h"

#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

static int64_t worked_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

void bh_pacer_begin(bh_pacer *pacer, const _Atomic bool *hurry)
{
	*pacer = (bh_pacer){ .hurry = hurry, .worked_ns = worked_ns() };
}

void bh_pacer_pause(void *arg)
{
	bh_pacer *pacer = arg;
	const int64_t percent = BH_PACER_PERCENT * sysconf(_SC_NPROCESSORS_ONLN); /* of one processor */
	int64_t rest_ns = (worked_ns() - pacer->worked_ns) * (100 - percent) / percent;

	if (rest_ns > 0 && !atomic_load(pacer->hurry))
		nanosleep(&(struct timespec){ .tv_sec = rest_ns / NS_PER_S, .tv_nsec = rest_ns % NS_PER_S }, NULL);
	pacer->worked_ns = worked_ns();
}
