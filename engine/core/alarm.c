/* SPDX-License-Identifier: Apache-2.0
 *
 * alarm.c: see alarm.h.
 */
#include "alarm.h"

#include <errno.h>
#include <time.h>

void bh_alarm_init(bh_alarm *alarm)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&alarm->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&alarm->cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	alarm->rung = false;
}

void bh_alarm_clear(bh_alarm *alarm)
{
	pthread_cond_destroy(&alarm->cond);
	pthread_mutex_destroy(&alarm->lock);
}

void bh_alarm_ring(bh_alarm *alarm)
{
	pthread_mutex_lock(&alarm->lock);
	alarm->rung = true;
	pthread_cond_signal(&alarm->cond);
	pthread_mutex_unlock(&alarm->lock);
}

void bh_alarm_wait(bh_alarm *alarm, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms % 1000 * 1000000;
	until.tv_sec += (time_t)(ms / 1000 + until.tv_nsec / 1000000000);
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&alarm->lock);
	while (!alarm->rung && pthread_cond_timedwait(&alarm->cond, &alarm->lock, &until) != ETIMEDOUT)
		;
	alarm->rung = false;
	pthread_mutex_unlock(&alarm->lock);
}
