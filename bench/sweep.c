/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.c: what a sweep costs those who read and write meanwhile, beside what a manual compaction of the same bytes costs them.
 *
 * A reader and a writer work on merchants A and B without pause. In each round A is compacted as a whole, then rotated and swept;
 * the times of gets and puts are kept apart by what went on. No word of it is about the time that either takes: a sweep is paced, a
 * compaction is not.
 *
 *     bh_sweep [--db DIR] [--rounds N] [--rows N] [--rate MIB_PER_S]
 */
#include <bulkhead/bulkhead.h>

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "histogram.h"
#include "keyring/base/base.h"
#include "tools/hide.h"

enum { VALUE_LEN = 400, ROUNDS_MAX = 1000, MERCHANTS = 2 };
enum { AT_REST, COMPACTED, SWEPT, PHASES };

static const char *const phase_names[PHASES] = { "nothing else", "a manual compaction of A", "a sweep of A" };

static const char *dir = "/tmp/bh_sweep";
static int rounds = 5, rows = 200000, rate_mib = 64;

static bh_cf *cfs[MERCHANTS];
static _Atomic bool stop;
static _Atomic int phase;

/* One thread's times, by phase. */
typedef struct times {
	bool writes;
	histogram by_phase[PHASES];
} times;

static void must(bh_status status, const char *what)
{
	if (status == BH_OK)
		return;
	fprintf(stderr, "bh_sweep: %s: %s\n", what, bh_status_message());
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the database */

static void cmk_uri(char out[512], const char *name)
{
	snprintf(out, 512, "local:%s.kms#%s", dir, name);
}

static void add_merchant(bh_db *db, const char *name, bh_cf **out)
{
	static const char *const classes[] = { "data" };
	const bh_merchant_options options = { classes, 1 };
	char uri[512];

	cmk_uri(uri, name);
	must(bh_kms_create(uri, NULL, NULL), name);
	must(bh_merchant_add(db, name, uri, &options), name);
	must(bh_cf_open(db, name, "data", out), name);
}

static bh_view key_of(char out[24], uint64_t i)
{
	return bh_view_of(out, (size_t)snprintf(out, 24, "%016llu", (unsigned long long)i));
}

/* xorshift64* (Vigna 2016). */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717u;
}

static void put_row(bh_cf *cf, uint64_t row, uint64_t *random)
{
	uint8_t value[VALUE_LEN];
	char key[24];

	for (size_t i = 0; i < VALUE_LEN; i += 8)
		bh_put_u64(value + i, next_random(random));
	must(bh_put(cf, NULL, key_of(key, row), bh_view_of(value, sizeof(value))), "put");
}

static void fill(void)
{
	uint64_t random = 1;

	for (int m = 0; m < MERCHANTS; m++) {
		for (int i = 0; i < rows; i++)
			put_row(cfs[m], (uint64_t)i, &random);
		must(bh_flush(cfs[m]), "flush");
	}
}

/* ---- the load */

static void *work(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg;
	bh_buf value = { 0 };
	times *t = arg;
	char key[24];

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t row = (next_random(&random) >> 20) % (uint64_t)rows;
		bh_cf *cf = cfs[(random >> 50) % MERCHANTS];
		uint64_t began = now_ns();

		if (t->writes)
			put_row(cf, row, &random);
		else
			must(bh_get(cf, NULL, key_of(key, row), &value), "get");
		histogram_add(&t->by_phase[atomic_load_explicit(&phase, memory_order_relaxed)], now_ns() - began);
	}
	bh_buf_clear(&value);
	return NULL;
}

/* ---- rounds */

static void keep_progress(void *arg, const bh_sweep_progress *p)
{
	*(bh_sweep_progress *)arg = *p;
}

/* How many bytes were sealed for each that lay under the older generation. */
static double sweep(bh_db *db)
{
	bh_sweep_progress p = { 0 };
	const bh_sweep_options options = { (uint64_t)rate_mib << 20, keep_progress, &p };

	must(bh_merchant_rotate(db, "a", NULL), "rotate");
	must(bh_merchant_sweep(db, "a", &options), "sweep");
	return p.bytes_total > 0 ? (double)p.bytes_done / (double)p.bytes_total : 0;
}

static double run_rounds(bh_db *db)
{
	const struct timespec rest = { .tv_sec = 2 };
	double amplification = 0;

	for (int i = 0; i < rounds; i++) {
		atomic_store(&phase, AT_REST);
		nanosleep(&rest, NULL);
		atomic_store(&phase, COMPACTED);
		must(bh_compact(cfs[0], (bh_view){ 0 }, (bh_view){ 0 }), "compact");
		atomic_store(&phase, SWEPT);
		amplification += sweep(db) / rounds;
	}
	return amplification;
}

static void report(const times *gets, const times *puts, double amplification)
{
	printf("| beside | gets: p50 | p99 | p99.9 | puts: p50 | p99 | p99.9 (us) |\n|---|---|---|---|---|---|---|\n");
	for (int i = 0; i < PHASES; i++) {
		const histogram *g = &gets->by_phase[i], *p = &puts->by_phase[i];

		printf("| %s | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n", phase_names[i], histogram_percentile(g, 50) / 1e3,
		       histogram_percentile(g, 99) / 1e3, histogram_percentile(g, 99.9) / 1e3, histogram_percentile(p, 50) / 1e3,
		       histogram_percentile(p, 99) / 1e3, histogram_percentile(p, 99.9) / 1e3);
	}
	printf("p99 beside a sweep over p99 beside a compaction: gets %.2f, puts %.2f; bytes written for each byte swept: %.3f\n",
	       histogram_percentile(&gets->by_phase[SWEPT], 99) / histogram_percentile(&gets->by_phase[COMPACTED], 99),
	       histogram_percentile(&puts->by_phase[SWEPT], 99) / histogram_percentile(&puts->by_phase[COMPACTED], 99),
	       amplification);
}

static void say_generations(bh_db *db)
{
	bh_generation *all = NULL;
	size_t count = 0, destroyed = 0;

	must(bh_merchant_generations(db, "a", &all, &count), "generations");
	for (size_t i = 0; i < count; i++)
		destroyed += all[i].retired;
	free(all);
	printf("%zu generations of A's keys were begun under load, %zu are destroyed\n", count, destroyed);
}

/* ---- arguments */

static int number(const char *text, long max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text != '\0' && *end == '\0' && value >= 1 && value <= max)
		return (int)value;
	fprintf(stderr, "bh_sweep: '%s' is no number from 1 to %ld\n", text, max);
	exit(2);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "db", required_argument, NULL, 'd' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "rows", required_argument, NULL, 'n' },
		{ "rate", required_argument, NULL, 'm' },
		{ 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		switch (c) {
		case 'd': dir = optarg; break;
		case 'r': rounds = number(optarg, ROUNDS_MAX); break;
		case 'n': rows = number(optarg, 100000000); break;
		case 'm': rate_mib = number(optarg, 1 << 20); break;
		default: fprintf(stderr, "usage: bh_sweep [--db DIR] [--rounds N] [--rows N] [--rate MIB_PER_S]\n"); exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	static times gets = { .writes = false }, puts = { .writes = true };
	times *const all[] = { &gets, &puts };
	pthread_t threads[2];
	bh_db *db = NULL;
	double amplification;
	char uri[512];

	if (!tool_hide())
		return 1;
	parse(argc, argv);
	cmk_uri(uri, "platform");
	must(bh_kms_create(uri, NULL, NULL), "platform CMK");
	must(bh_db_create(dir, "bench", uri, NULL), "database");
	must(bh_db_open(dir, NULL, &db), "database");
	add_merchant(db, "a", &cfs[0]);
	add_merchant(db, "b", &cfs[1]);
	fill();
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, work, all[i]);
	amplification = run_rounds(db);
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	report(&gets, &puts, amplification);
	say_generations(db);
	for (int m = 0; m < MERCHANTS; m++)
		bh_cf_close(cfs[m]);
	bh_db_close(db);
	return 0;
}
