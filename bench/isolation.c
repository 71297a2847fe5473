/* SPDX-License-Identifier: Apache-2.0
 *
 * isolation.c: what one merchant's end or absence costs the others.
 *
 * Two threads read and write merchant B without pause. Time is cut into windows that alternate: in a control window nothing else
 * happens; in an event window merchant A is suspended, revoked or resumed, or another merchant is shredded. The ratio is B's
 * operations in an event window over those in the control window before it. Two threads on two cores leave nothing idle: the
 * event's own work is in the ratio, so it says more with a longer window.
 *
 *     bh_isolation [--db DIR] [--window-ms N] [--rounds N] [--rows N]
 */
#include <bulkhead/bulkhead.h>

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/internal.h"

enum { THREADS = 2, VALUE_LEN = 100, ROUNDS_MAX = 1000 };

static const char *dir = "/tmp/bh_isolation";
static int window_ms = 1000, rounds = 10, rows = 100000;

static bh_cf *cf_a;
static _Atomic bool stop;
static _Atomic uint64_t done;

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

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
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

/* ---- B */

static void *work(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)&seed;
	bh_buf value = { 0 };
	bh_cf *cf = arg;
	char key[24];

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		bh_view k = key_of(key, (seed >> 33) % (uint64_t)rows);
		bh_status status = seed >> 62 == 0 ? bh_put(cf, NULL, k, bh_view_of(key, 16)) : bh_get(cf, NULL, k, &value);

		must(status == BH_E_NOT_FOUND ? BH_OK : status, "merchant B");
		atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
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

/* Operations of B in one window, in which `happens` begins with the window; a window lasts at least as long as the event. */
static double window(bh_db *db, const event *e, int round, int64_t *took_ms)
{
	const int64_t began = now_ms();
	const uint64_t before = atomic_load(&done);

	e->happens(db, round);
	*took_ms = now_ms() - began;
	while (now_ms() - began < window_ms)
		sleep_ms(1);
	return (double)(atomic_load(&done) - before) / (double)(now_ms() - began);
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void report(const char *name, double *ratios, int64_t took_ms)
{
	qsort(ratios, (size_t)rounds, sizeof(*ratios), by_value);
	printf("| %s | %.3f | %.3f | %.3f | %.0f ms |\n", name, ratios[rounds / 2], ratios[0], ratios[rounds - 1],
	       (double)took_ms / rounds);
}

static void measure(bh_db *db)
{
	static double ratios[EVENTS][ROUNDS_MAX];
	int64_t took[EVENTS] = { 0 }, once;

	for (int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < EVENTS; i++) {
			double control = window(db, &events[0], round, &once);

			ratios[i][round] = window(db, &events[i], round, &once) / control;
			took[i] += once;
		}
	}
	printf("| event in the window | B's ratio to control: median | min | max | the event took |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < EVENTS; i++)
		report(events[i].name, ratios[i], took[i]);
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
		{ "db", required_argument, NULL, 'd' },
		{ "window-ms", required_argument, NULL, 'w' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "rows", required_argument, NULL, 'n' },
		{ 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		switch (c) {
		case 'd': dir = optarg; break;
		case 'w': window_ms = number(optarg, 3600000); break;
		case 'r': rounds = number(optarg, ROUNDS_MAX); break;
		case 'n': rows = number(optarg, 100000000); break;
		default: fprintf(stderr, "usage: bh_isolation [--db DIR] [--window-ms N] [--rounds N] [--rows N]\n"); exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	bh_db *db = NULL;
	bh_cf *b;
	char uri[512];

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
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, b);
	sleep_ms(window_ms);
	measure(db);
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	bh_cf_close(cf_a);
	bh_cf_close(b);
	bh_db_close(db);
	return 0;
}
