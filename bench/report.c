/* SPDX-License-Identifier: Apache-2.0
 *
 * report.c: a benchmark's line, as db_bench writes it, or as JSON.
 */
#include <stdio.h>

#include "workload.h"

static void report_json(const bench_config *c, const char *name, const worker *sum, bench_times times)
{
	const histogram *h = &sum->times;

	printf("{\"engine\":\"%s\",\"benchmark\":\"%s\",\"ops\":%llu,\"seconds\":%.6f,\"micros_per_op\":%.4f,"
	       "\"cpu_micros_per_op\":%.4f,\"ops_per_sec\":%.0f,\"mb_per_sec\":%.2f,\"found\":%llu,\"p50_us\":%.3f,\"p99_us\":%.3f,"
	       "\"p999_us\":%.3f,\"max_us\":%.3f,\"threads\":%u,\"merchants\":%u,\"value_size\":%zu,\"cache_size\":%zu",
	       c->engine, name, (unsigned long long)sum->done, times.wall_s, times.wall_s * 1e6 / (double)BH_MAX(sum->done, 1),
	       times.cpu_s * 1e6 / (double)BH_MAX(sum->done, 1), (double)sum->done / times.wall_s,
	       (double)sum->bytes / 1048576.0 / times.wall_s, (unsigned long long)sum->found, histogram_percentile(h, 50) / 1e3,
	       histogram_percentile(h, 99) / 1e3, histogram_percentile(h, 99.9) / 1e3, (double)h->max / 1e3, c->threads,
	       c->merchants, c->value_size, c->cache_size);
	if (sum->heap_bytes != 0)
		printf(",\"heap_bytes\":%lld,\"resident_bytes\":%lld", sum->heap_bytes, sum->resident_bytes);
	if (sum->files_rewritten != 0)
		printf(",\"files_rewritten\":%llu,\"bytes_rewritten\":%llu", (unsigned long long)sum->files_rewritten,
		       (unsigned long long)sum->bytes);
	printf("}\n");
}

static void report_histogram(const histogram *h)
{
	static const double percents[] = { 50, 75, 99, 99.9, 99.99 };

	printf("Microseconds per op:\nCount: %llu Average: %.4f\nMin: %.3f  Median: %.4f  Max: %.3f\nPercentiles:",
	       (unsigned long long)h->count, (double)h->sum / 1e3 / (double)BH_MAX(h->count, 1), (double)h->min / 1e3,
	       histogram_percentile(h, 50) / 1e3, (double)h->max / 1e3);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
		printf(" P%g: %.2f", percents[i], histogram_percentile(h, percents[i]) / 1e3);
	printf("\n");
}

static void report_text(const bench_config *c, const char *name, const worker *sum, bench_times times)
{
	printf("%-12s : %11.3f micros/op %.0f ops/sec %.3f seconds %llu operations; %6.1f MB/s (%llu found) "
	       "p50 %.1f p99 %.1f p99.9 %.1f us\n",
	       name, times.wall_s * 1e6 / (double)BH_MAX(sum->done, 1), (double)sum->done / times.wall_s, times.wall_s,
	       (unsigned long long)sum->done, (double)sum->bytes / 1048576.0 / times.wall_s, (unsigned long long)sum->found,
	       histogram_percentile(&sum->times, 50) / 1e3, histogram_percentile(&sum->times, 99) / 1e3,
	       histogram_percentile(&sum->times, 99.9) / 1e3);
	if (sum->heap_bytes != 0)
		printf("%-12s : %lld bytes of heap, %lld resident, %u merchants\n", name, sum->heap_bytes, sum->resident_bytes,
		       c->merchants);
	if (sum->files_rewritten != 0)
		printf("%-12s : %llu files of %llu bytes rewritten\n", name, (unsigned long long)sum->files_rewritten,
		       (unsigned long long)sum->bytes);
	if (c->histogram)
		report_histogram(&sum->times);
}

void bench_report(const bench_run_state *run, const char *name, const worker *sum, bench_times times)
{
	if (run->config->json)
		report_json(run->config, name, sum, times);
	else
		report_text(run->config, name, sum, times);
	fflush(stdout);
}
