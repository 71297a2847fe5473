/* SPDX-License-Identifier: Apache-2.0
 *
 * isolation.c: what one merchant's end or absence costs the others.
 *
 * Two threads read and write merchant B without pause. Time is cut into windows that alternate: in a control window nothing else
 * happens; in an event window merchant A is suspended, revoked or resumed, or another merchant is shredded. The ratio is B's
 * operations a second in an event window over those in the two control windows beside it. Two threads on two cores leave nothing
 * idle: the event's own work is in the ratio, so it says more with a longer window.
 *
 *     bh_isolation [--db DIR] [--window-ms N] [--rounds N] [--rows N] [--idle N]
 *
 * --idle: so many merchants more, who do nothing. Beside the ratio stand how long the event took, the CPU time of all threads but
 * B's meanwhile, and the longest that an operation of B took in the window: medians all.
 */
#include <bulkhead/bulkhead.h>

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <bulkhead/rotation.h>

#include "engine/core/merchant.h"
#include "engine/wall/detach.h"
#include "tools/hide.h"

enum { THREADS = 2, VALUE_LEN = 100, ROUNDS_MAX = 1000 };

static const char *dir = "/tmp/bh_isolation";
static int window_ms = 1000, rounds = 10, rows = 100000, idle = 0;

static bh_cf *cf_a;
static pthread_t workers[THREADS];
static _Atomic bool stop;
static _Atomic uint64_t done;
static _Atomic int64_t slowest_us; /* operation of B, since it was set to 0 */

static void must(bh_status status, const char *what)
{
	if (status == BH_OK)
		return;
	fprintf(stderr, "bh_isolation: %s: %s\n", what, bh_status_message());
	exit(1);
}

static void sleep_ms(int ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t now_ms(void)
{
	return now_us() / 1000;
}

static double cpu_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

/* CPU time of all threads but B's. */
static double others_cpu_ms(void)
{
	double ms = cpu_ms(CLOCK_PROCESS_CPUTIME_ID);
	clockid_t clock;

	for (int i = 0; i < THREADS; i++)
		if (pthread_getcpuclockid(workers[i], &clock) == 0)
			ms -= cpu_ms(clock);
	return ms;
}

/* ---- the database */

static void cmk_uri(char out[512], const char *name)
{
	snprintf(out, 512, "local:%s.kms#%s", dir, name);
}

static void add_merchant(bh_db *db, const char *name)
{
	static const char *const classes[] = { "data" };
	const bh_merchant_options options = { classes, 1 };
	char uri[512];

	cmk_uri(uri, name);
	must(bh_kms_create(uri, NULL, NULL), name);
	must(bh_merchant_add(db, name, uri, &options), name);
}

static bh_view key_of(char out[24], uint64_t i)
{
	return bh_view_of(out, (size_t)snprintf(out, 24, "%016llu", (unsigned long long)i));
}

static void fill(bh_cf *cf)
{
	uint8_t value[VALUE_LEN];
	char key[24];

	for (int i = 0; i < rows; i++) {
		memset(value, i & 0xff, sizeof(value));
		must(bh_put(cf, NULL, key_of(key, (uint64_t)i), bh_view_of(value, sizeof(value))), "fill");
	}
}

/* One merchant to shred in each round. */
static void add_doomed(bh_db *db)
{
	char name[24];

	for (int i = 0; i < rounds; i++) {
		bh_cf *cf;

		snprintf(name, sizeof(name), "gone%d", i);
		add_merchant(db, name);
		must(bh_cf_open(db, name, "data", &cf), name);
		must(bh_put(cf, NULL, bh_view_str("k"), bh_view_str("v")), name);
		must(bh_flush(cf), name);
		bh_cf_close(cf);
	}
}

/* Merchants that do nothing: what RocksDB does for each column family it does for theirs, too. */
static void add_idle(bh_db *db)
{
	char name[24];

	for (int i = 0; i < idle; i++) {
		snprintf(name, sizeof(name), "idle%d", i);
		add_merchant(db, name);
	}
}

/* ---- B */

static void keep_slowest(int64_t took_us)
{
	int64_t slowest = atomic_load_explicit(&slowest_us, memory_order_relaxed);

	while (took_us > slowest && !atomic_compare_exchange_weak(&slowest_us, &slowest, took_us))
		;
}

static void *work(void *arg)
{
	int64_t before = now_us(), now;
	uint64_t seed = (uint64_t)(uintptr_t)&seed;
	bh_buf value = { 0 };
	bh_cf *cf = arg;
	char key[24];

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		bh_view k = key_of(key, (seed >> 33) % (uint64_t)rows);
		bh_status status = seed >> 62 == 0 ? bh_put(cf, NULL, k, bh_view_of(key, 16)) : bh_get(cf, NULL, k, &value);

		must(status == BH_E_NO_SUCH_KEY ? BH_OK : status, "merchant B");
		atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
		now = now_us();
		keep_slowest(now - before);
		before = now;
	}
	bh_buf_clear(&value);
	return NULL;
}

/* ---- events */

typedef struct event {
	const char *name;
	void (*happens)(bh_db *db, int round);
} event;

static void nothing(bh_db *db, int round)
{
	(void)db;
	(void)round;
}

static void suspend(bh_db *db, int round)
{
	(void)round;
	must(bh_merchant_suspend(db, "a", NULL), "suspend");
}

/* All of A's rows are in SSTs. */
static void revoke_idle(bh_db *db, int round)
{
	(void)round;
	must(bh_merchant_detach(db, "a", BH_SUSPEND_KMS_REFUSED, "bench"), "revoke");
}

/* One is not: the WALs are parked, with everybody's rows in them. */
static void revoke_written(bh_db *db, int round)
{
	must(bh_put(cf_a, NULL, bh_view_str("not flushed"), bh_view_str("v")), "a");
	revoke_idle(db, round);
}

static void resume(bh_db *db, int round)
{
	(void)round;
	must(bh_merchant_resume(db, "a", NULL), "resume");
}

static void shred(bh_db *db, int round)
{
	char name[24];

	snprintf(name, sizeof(name), "gone%d", round);
	must(bh_merchant_shred(db, name, NULL), "shred");
}

static const event events[] = {
	{ "nothing", nothing }, { "suspend", suspend },
	{ "resume", resume },   { "revoke, idle", revoke_idle },
	{ "resume", resume },   { "revoke, written to", revoke_written },
	{ "resume", resume },   { "shred", shred },
};
#define EVENTS (sizeof(events) / sizeof(events[0]))

typedef struct sample {
	double ops_per_ms; /* of B, in the window */
	double took_ms;    /* the event alone */
	double cpu_ms;     /* of others than B, while it took place */
	double slowest_ms; /* operation of B in the window */
} sample;

/* A window in which `e` happens, from its begin on; it lasts at least as long as the event. */
static sample window(bh_db *db, const event *e, int round)
{
	const int64_t began = now_ms();
	const uint64_t before = atomic_load(&done);
	const double cpu = others_cpu_ms();
	sample s;

	atomic_store(&slowest_us, 0);
	e->happens(db, round);
	s.took_ms = (double)(now_ms() - began);
	s.cpu_ms = others_cpu_ms() - cpu;
	while (now_ms() - began < window_ms)
		sleep_ms(1);
	s.slowest_ms = (double)atomic_load(&slowest_us) / 1000;
	s.ops_per_ms = (double)(atomic_load(&done) - before) / (double)(now_ms() - began);
	return s;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorts the `rounds` values. */
static double median(double *values)
{
	qsort(values, (size_t)rounds, sizeof(*values), by_value);
	return values[rounds / 2];
}

static void report(const char *name, double *ratios, double *took, double *cpu, double *slowest)
{
	const double middle = median(ratios);

	printf("| %s | %.3f | %.3f | %.3f | %.0f ms | %.0f ms | %.0f ms |\n", name, middle, ratios[0], ratios[rounds - 1],
	       median(took), median(cpu), median(slowest));
}

static void measure(bh_db *db)
{
	static double ratios[EVENTS][ROUNDS_MAX], took[EVENTS][ROUNDS_MAX], cpu[EVENTS][ROUNDS_MAX];
	static double slowest[EVENTS][ROUNDS_MAX];

	for (int round = 0; round < rounds; round++) {
		sample before = window(db, &events[0], round);

		for (size_t i = 0; i < EVENTS; i++) {
			const sample s = window(db, &events[i], round), after = window(db, &events[0], round);

			ratios[i][round] = 2 * s.ops_per_ms / (before.ops_per_ms + after.ops_per_ms);
			before = after;
			took[i][round] = s.took_ms;
			cpu[i][round] = s.cpu_ms;
			slowest[i][round] = s.slowest_ms;
		}
	}
	printf("| event in the window | B's ratio to control: median | min | max | the event took | CPU time beside B's | "
	       "B's slowest operation |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < EVENTS; i++)
		report(events[i].name, ratios[i], took[i], cpu[i], slowest[i]);
}

/* A number from 1 to `max`; what is none ends the program. */
static int number(const char *text, long max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text != '\0' && *end == '\0' && value >= 1 && value <= max)
		return (int)value;
	fprintf(stderr, "bh_isolation: '%s' is no number from 1 to %ld\n", text, max);
	exit(2);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "db", required_argument, NULL, 'd' },     { "window-ms", required_argument, NULL, 'w' },
		{ "rounds", required_argument, NULL, 'r' }, { "rows", required_argument, NULL, 'n' },
		{ "idle", required_argument, NULL, 'i' },   { 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		switch (c) {
		case 'd': dir = optarg; break;
		case 'w': window_ms = number(optarg, 3600000); break;
		case 'r': rounds = number(optarg, ROUNDS_MAX); break;
		case 'n': rows = number(optarg, 100000000); break;
		case 'i': idle = number(optarg, 100000); break;
		default:
			fprintf(stderr, "usage: bh_isolation [--db DIR] [--window-ms N] [--rounds N] [--rows N] [--idle N]\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	bh_db *db = NULL;
	bh_cf *b;
	char uri[512];

	if (!tool_hide())
		return 1;
	parse(argc, argv);
	cmk_uri(uri, "platform");
	must(bh_kms_create(uri, NULL, NULL), "platform CMK");
	must(bh_db_create(dir, "bench", uri, NULL), "database");
	must(bh_db_open(dir, NULL, &db), "database");
	add_merchant(db, "a");
	add_merchant(db, "b");
	must(bh_cf_open(db, "a", "data", &cf_a), "a");
	must(bh_cf_open(db, "b", "data", &b), "b");
	fill(cf_a);
	fill(b);
	add_doomed(db);
	add_idle(db);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&workers[i], NULL, work, b);
	sleep_ms(window_ms);
	measure(db);
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i], NULL);
	bh_cf_close(cf_a);
	bh_cf_close(b);
	bh_db_close(db);
	return 0;
}
