/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram.c: see histogram.h.
 */
#include "histogram.h"

/* Below 16 a bucket a value; above, the top four bits behind the leading one choose among 16 of the doubling. */
static unsigned bucket_of(uint64_t ns)
{
	unsigned log;

	if (ns < 16)
		return (unsigned)ns;
	log = 63u - (unsigned)__builtin_clzll(ns);
	return (log - 3) * 16 + (unsigned)(ns >> (log - 4) & 15);
}

static double middle_of(unsigned bucket)
{
	unsigned log = bucket / 16 + 3;

	if (bucket < 16)
		return bucket;
	return ((double)(16 + bucket % 16) + 0.5) * (double)(1ull << (log - 4));
}

void histogram_add(histogram *h, uint64_t ns)
{
	if (h->count == 0 || ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
	h->sum += ns;
	h->count++;
	h->buckets[bucket_of(ns)]++;
}

void histogram_merge(histogram *into, const histogram *from)
{
	if (from->count == 0)
		return;
	if (into->count == 0 || from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
	into->sum += from->sum;
	into->count += from->count;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

double histogram_percentile(const histogram *h, double percent)
{
	double wanted = percent / 100.0 * (double)h->count, seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += (double)h->buckets[i];
		if (h->buckets[i] > 0 && seen >= wanted)
			return middle_of(i);
	}
	return 0;
}
