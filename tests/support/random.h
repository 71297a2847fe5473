/* SPDX-License-Identifier: Apache-2.0
 *
 * random.h: a random run that can be run again. Prints its seed; BH_SEED=<number> in the environment replays it. Not for keys.
 */
#ifndef BH_TESTS_RANDOM_H
#define BH_TESTS_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct test_random {
	uint64_t state; /* splitmix64 */
} test_random;

static inline test_random test_random_new(void)
{
	const char *seed = getenv("BH_SEED");
	test_random r = { seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) };

	fprintf(stderr, "BH_SEED=%llu\n", (unsigned long long)r.state);
	return r;
}

static inline uint64_t test_random_u64(test_random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline size_t test_random_below(test_random *r, size_t n)
{
	return (size_t)(test_random_u64(r) % n);
}

static inline void test_random_fill(test_random *r, uint8_t *out, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		out[i] = (uint8_t)test_random_u64(r);
}

#endif
