/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram.h: times in logarithmic buckets, 16 a doubling: a percentile is right within about 4 %.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (64 * 16)

typedef struct histogram {
	uint64_t count;
	uint64_t sum, min, max; /* ns, exact; min 0 if empty */
	uint64_t buckets[HISTOGRAM_BUCKETS];
} histogram;

void histogram_add(histogram *h, uint64_t ns);
void histogram_merge(histogram *into, const histogram *from);
double histogram_percentile(const histogram *h, double percent); /* ns; 0 if empty */

#endif
