/* SPDX-License-Identifier: Apache-2.0
 *
 * pacer.c: see pacer.h.
 */
#include "pacer.h"

#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define NAP_NS INT64_C(50000000) /* how long a hurry may go unnoticed */

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

/* Signals do not shorten it: a program may get one every millisecond. */
static void rest(const bh_pacer *pacer, int64_t rest_ns)
{
	while (rest_ns > 0 && !atomic_load(pacer->hurry)) {
		int64_t nap_ns = rest_ns < NAP_NS ? rest_ns : NAP_NS;
		struct timespec left = { 0 };

		if (nanosleep(&(struct timespec){ .tv_nsec = nap_ns }, &left) != 0)
			nap_ns -= left.tv_nsec;
		rest_ns -= nap_ns;
	}
}

void bh_pacer_pause(void *arg)
{
	bh_pacer *pacer = arg;
	const int64_t percent = BH_PACER_PERCENT * sysconf(_SC_NPROCESSORS_ONLN); /* of one processor */

	rest(pacer, (worked_ns() - pacer->worked_ns) * (100 - percent) / percent);
	pacer->worked_ns = worked_ns();
}
