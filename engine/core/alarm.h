/* SPDX-License-Identifier: Apache-2.0
 *
 * alarm.h: wakes a thread that sleeps until something is to be done, or until a time has passed. Rung while nobody sleeps, it is
 * heard by the next one who wants to. Thread-safety: ring by anybody, wait by one thread.
 */
#ifndef BH_ENGINE_ALARM_H
#define BH_ENGINE_ALARM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct bh_alarm {
	pthread_mutex_t lock; /* guards `rung` */
	pthread_cond_t cond;
	bool rung;
} bh_alarm;

void bh_alarm_init(bh_alarm *alarm);
void bh_alarm_clear(bh_alarm *alarm);
void bh_alarm_ring(bh_alarm *alarm);
/* Sleeps until it is rung, `ms` at most, of CLOCK_MONOTONIC. */
void bh_alarm_wait(bh_alarm *alarm, int64_t ms);

#endif
