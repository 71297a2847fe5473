/* SPDX-License-Identifier: Apache-2.0
 *
 * pacer.h: work that takes a bounded share of the machine, so that others do not feel it.
 *
 * Not by priority: a thread of the lowest one still takes what others leave while they wait for each other, and caches, memory and
 * wake-ups with it (bench/README.md). It works a little and sleeps for the rest of the time. Thread-safety: one thread a pacer.
 */
#ifndef BH_PACER_H
#define BH_PACER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BH_PACER_PERCENT 3 /* of the CPU time of all processors */

typedef struct bh_pacer {
	const _Atomic bool *hurry; /* while it is set, there is nobody to give way to */
	int64_t worked_ns;         /* CPU time of the thread when the last pause ended */
} bh_pacer;

/* On the thread that does the work. `hurry` lives as long as the pacer. */
void bh_pacer_begin(bh_pacer *pacer, const _Atomic bool *hurry);
/* Sleeps for as long as what was done since the last call asks for, or until there is a hurry. `arg`: the pacer. */
void bh_pacer_pause(void *arg);

#endif
