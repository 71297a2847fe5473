/* SPDX-License-Identifier: Apache-2.0
 *
 * worker.c: a thread's keys, values, random numbers and clock; see workload.h.
 */
#include "workload.h"

#include <time.h>

#include "turns.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_now_ns(void)
{
	uint64_t stopped, now;

	do { /* as one: a stop may come between the two */
		stopped = bench_turns_stopped_ns();
		now = clock_ns(CLOCK_MONOTONIC);
	} while (stopped != bench_turns_stopped_ns());
	return now - stopped;
}

uint64_t bench_cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* xorshift64* (Vigna 2016): quick, and good enough to choose keys. */
uint64_t worker_random(worker *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return w->random * 2685821657736338717u;
}

bh_view worker_key(worker *w, uint64_t number)
{
	size_t len = w->run->config->key_size;

	for (size_t i = 0; i < 8; i++)
		w->key.data[i] = (uint8_t)(number >> (56 - 8 * i));
	memset(w->key.data + 8, '0', len - 8);
	return bh_view_of(w->key.data, len);
}

bh_view worker_value(worker *w)
{
	size_t len = w->run->config->value_size;

	return bh_view_of(w->run->text + worker_random(w) % (BENCH_TEXT_LEN - len), len);
}

unsigned worker_merchant_of(const worker *w, uint64_t number)
{
	return (unsigned)(number % w->run->config->merchants);
}

void worker_count(worker *w, uint64_t ops, uint64_t bytes)
{
	uint64_t now = bench_now_ns();

	histogram_add(&w->times, now - w->clock);
	w->clock = now;
	w->done += ops;
	w->bytes += bytes;
}
