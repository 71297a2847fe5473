/* SPDX-License-Identifier: Apache-2.0
 *
 * turns.h: several engines at once, each in a process of its own, of which one runs at a time.
 *
 * A machine that is shared with others is faster in one second than in the next, by more than the engines differ. So they are not
 * run one after another: each has a turn of some milliseconds, is stopped with all its threads (SIGSTOP), and the next one goes on.
 * What slows the machine down for a second or two meets all of them alike. Time in which a process is stopped does not count.
 * A benchmark begins when all have come to it.
 */
#ifndef BENCH_TURNS_H
#define BENCH_TURNS_H

#include <stdbool.h>
#include <stdint.h>

/* Runs run(arg, i) in a child for each i below `count`, by turns of `turn_ms`. True if all of them returned true; once one has
 * not, or dies, all are killed, and so they are when the parent dies. To be called by a process with one thread. */
bool bench_turns(unsigned count, unsigned turn_ms, bool (*run)(void *arg, unsigned i), void *arg);

/* In a child: waits until the others are here, too, or at their end. Elsewhere: nothing. */
void bench_turns_meet(void);
/* In a child: how long it has been stopped so far. Elsewhere 0. */
uint64_t bench_turns_stopped_ns(void);

#endif
