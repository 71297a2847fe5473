/* SPDX-License-Identifier: Apache-2.0
 *
 * isolation.c: what one merchant's end or absence costs the others.
 *
 * Two threads read and write merchant B without pause. Time is cut into windows that alternate: in a control window nothing else
 * happens; in an event window merchant A is suspended, revoked, resumed, damaged (a bit of an SST is flipped, and A is read until
 * that is met and A is in quarantine), resumed with the right file or salvaged without, or another merchant is shredded. A stays as
 * the event left it in the control window behind it. The ratio is B's operations a second in an event window over those in the two
 * control windows beside it. Two threads on two cores leave nothing idle: the event's own work is in the ratio, so it says more
 * with a longer window. B's block-cache hits are those of its own reads (RocksDB's perf context of its threads), in the event's
 * window and in the control windows: hits and misses of whoever works for A are in RocksDB's statistics, too, and say nothing of B.
 *
 *     bh_isolation [--db DIR] [--window-ms N] [--rounds N] [--rows N] [--idle N]
 *
 * By itself 7 rounds with windows of 700 ms: some 4 minutes.
 *
 * --idle: so many merchants more, who do nothing. Beside the ratio stand how long the event took, the CPU time of all threads but
 * B's meanwhile, and the longest that an operation of B took in the window: medians all.
 */
#include <bulkhead/bulkhead.h>

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <bulkhead/rotation.h>

#include "engine/core/merchant.h"
#include "engine/wall/detach.h"
#include "tools/hide.h"

enum { THREADS = 2, VALUE_LEN = 100, ROUNDS_MAX = 1000, CACHE_BYTES = 64 << 20, TELL_EVERY = 64, DETACH_MS = 20000 };

static const char *dir = "/tmp/bh_isolation";
static int window_ms = 700, rounds = 7, rows = 100000, idle = 0;

static bh_cf *cf_a;
static pthread_t workers[THREADS];
static _Atomic bool stop;
static _Atomic uint64_t done;
static _Atomic uint64_t hits, misses; /* of B's reads in the block cache */
static _Atomic int64_t slowest_us;    /* operation of B, since it was set to 0 */

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

/* ---- B: what it reads was flushed before, and what it puts are other rows, so that reads go to tables, by the block cache. */

static void keep_slowest(int64_t took_us)
{
	int64_t slowest = atomic_load_explicit(&slowest_us, memory_order_relaxed);

	while (took_us > slowest && !atomic_compare_exchange_weak(&slowest_us, &slowest, took_us))
		;
}

static void tell(rocksdb_perfcontext_t *context)
{
	atomic_fetch_add_explicit(&hits, rocksdb_perfcontext_metric(context, rocksdb_block_cache_hit_count), memory_order_relaxed);
	atomic_fetch_add_explicit(&misses, rocksdb_perfcontext_metric(context, rocksdb_block_read_count), memory_order_relaxed);
	rocksdb_perfcontext_reset(context);
}

static void *work(void *arg)
{
	rocksdb_perfcontext_t *context = rocksdb_perfcontext_create();
	int64_t before = now_us(), now;
	uint64_t seed = (uint64_t)(uintptr_t)&seed;
	bh_buf value = { 0 };
	bh_cf *cf = arg;
	char key[24];

	rocksdb_set_perf_level(rocksdb_enable_count);
	for (unsigned i = 0; !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
		if (i % TELL_EVERY == 0)
			tell(context);
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		const uint64_t row = (seed >> 33) % (uint64_t)rows;
		const bool puts = seed >> 62 == 0;
		bh_view k = key_of(key, puts ? row + (uint64_t)rows : row);
		bh_status status = puts ? bh_put(cf, NULL, k, bh_view_of(key, 16)) : bh_get(cf, NULL, k, &value);

		must(status, "merchant B");
		atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
		now = now_us();
		keep_slowest(now - before);
		before = now;
	}
	bh_buf_clear(&value);
	rocksdb_perfcontext_destroy(context);
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

static char harmed[1024]; /* A's SST, below the database's directory */
static off_t harmed_at;

static void flip(const char *below)
{
	char path[2048];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, below);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &byte, 1, harmed_at) != 1 || (byte ^= 1, pwrite(fd, &byte, 1, harmed_at)) != 1) {
		perror(path);
		exit(1);
	}
	close(fd);
}

static off_t size_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return st.st_size;
	perror(path);
	exit(1);
}

/* The first of A's SSTs that the directory lists: its name, and its middle. */
static void choose_sst(void)
{
	char path[1024];
	struct dirent *entry;
	DIR *tables;

	snprintf(path, sizeof(path), "%s/tenants/a/data", dir);
	tables = opendir(path);
	while (tables != NULL && (entry = readdir(tables)) != NULL)
		if (strstr(entry->d_name, ".sst") != NULL)
			break;
	if (tables == NULL || entry == NULL) {
		fprintf(stderr, "bh_isolation: %s: no SST\n", path);
		exit(1);
	}
	snprintf(harmed, sizeof(harmed), "tenants/a/data/%.255s", entry->d_name);
	closedir(tables);
	snprintf(path, sizeof(path), "%.700s/%.300s", dir, harmed);
	harmed_at = size_of(path) / 2;
}

static bool is_out(bh_db *db)
{
	bh_merchant_info info = { 0 };
	bool out;

	must(bh_keyring_merchant(db->keyring, "a", &info), "a");
	out = info.state == BH_MERCHANT_SUSPENDED;
	bh_merchant_info_clear(&info);
	return out;
}

/* False: that ended with an error. */
static bool read_all(bh_cf *cf, bool fill_cache)
{
	bh_iter *iter = NULL;
	bh_status status = bh_iter_new(cf, &(bh_read_options){ .no_fill_cache = !fill_cache }, &iter);

	if (status == BH_OK)
		status = bh_iter_first(iter);
	while (status == BH_OK && bh_iter_valid(iter))
		status = bh_iter_next(iter);
	bh_iter_free(iter);
	return status == BH_OK;
}

static void damage(bh_db *db, int round)
{
	(void)round;
	must(bh_flush(cf_a), "a");
	choose_sst();
	flip(harmed);
	if (read_all(cf_a, false)) {
		fprintf(stderr, "bh_isolation: %s: a flipped bit was not met\n", harmed);
		exit(1);
	}
	for (int waited_ms = 0; !is_out(db) && waited_ms < DETACH_MS; waited_ms++)
		sleep_ms(1);
}

/* The right bytes are put back where the file lies now. */
static void heal(bh_db *db, int round)
{
	char parked[1100];

	snprintf(parked, sizeof(parked), "parked/a/%.1000s", harmed);
	flip(parked);
	resume(db, round);
}

static void salvage(bh_db *db, int round)
{
	(void)round;
	must(bh_merchant_resume(db, "a", &(bh_suspend_options){ .salvage = true }), "salvage");
}

static void shred(bh_db *db, int round)
{
	char name[24];

	snprintf(name, sizeof(name), "gone%d", round);
	must(bh_merchant_shred(db, name, NULL), "shred");
}

static const event events[] = {
	{ "nothing", nothing },
	{ "suspend", suspend },
	{ "resume", resume },
	{ "revoke, idle", revoke_idle },
	{ "resume", resume },
	{ "revoke, written to", revoke_written },
	{ "resume", resume },
	{ "damaged, to quarantine", damage },
	{ "resume, healed", heal },
	{ "damaged, to quarantine", damage },
	{ "resume, salvaged", salvage },
	{ "shred", shred },
};
#define EVENTS (sizeof(events) / sizeof(events[0]))

typedef struct sample {
	double ops_per_ms; /* of B, in the window */
	double took_ms;    /* the event alone */
	double cpu_ms;     /* of others than B, while it took place */
	double slowest_ms; /* operation of B in the window */
	double hit_rate;   /* of B's reads, in the window */
} sample;

static double hit_rate(uint64_t hits_before, uint64_t misses_before)
{
	const double hit = (double)(atomic_load(&hits) - hits_before), missed = (double)(atomic_load(&misses) - misses_before);

	return hit + missed > 0 ? hit / (hit + missed) : 0;
}

/* A window in which `e` happens, from its begin on; it lasts at least as long as the event. */
static sample window(bh_db *db, const event *e, int round)
{
	const int64_t began = now_ms();
	const uint64_t before = atomic_load(&done), hits_before = atomic_load(&hits), misses_before = atomic_load(&misses);
	const double cpu = others_cpu_ms();
	sample s;

	atomic_store(&slowest_us, 0);
	e->happens(db, round);
	s.took_ms = (double)(now_ms() - began);
	s.cpu_ms = others_cpu_ms() - cpu;
	while (now_ms() - began < window_ms)
		sleep_ms(1);
	s.slowest_ms = (double)atomic_load(&slowest_us) / 1000;
	s.hit_rate = hit_rate(hits_before, misses_before);
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

/* Of one event, a value for each round. */
typedef struct column {
	double ratio[ROUNDS_MAX], took[ROUNDS_MAX], cpu[ROUNDS_MAX], slowest[ROUNDS_MAX];
	double hit_rate[ROUNDS_MAX], control[ROUNDS_MAX]; /* the latter: hit rate of the window before and that behind */
} column;

static void take(column *c, int round, const sample *before, const sample *s, const sample *after)
{
	c->ratio[round] = 2 * s->ops_per_ms / (before->ops_per_ms + after->ops_per_ms);
	c->took[round] = s->took_ms;
	c->cpu[round] = s->cpu_ms;
	c->slowest[round] = s->slowest_ms;
	c->hit_rate[round] = s->hit_rate;
	c->control[round] = (before->hit_rate + after->hit_rate) / 2;
}

static void report(const char *name, column *c)
{
	const double middle = median(c->ratio);

	printf("| %s | %.3f | %.3f | %.3f | %.3f / %.3f | %.0f ms | %.0f ms | %.0f ms |\n", name, middle, c->ratio[0],
	       c->ratio[rounds - 1], median(c->hit_rate), median(c->control), median(c->took), median(c->cpu), median(c->slowest));
}

static void measure(bh_db *db)
{
	static column columns[EVENTS];

	for (int round = 0; round < rounds; round++) {
		sample before = window(db, &events[0], round);

		for (size_t i = 0; i < EVENTS; i++) {
			const sample s = window(db, &events[i], round), after = window(db, &events[0], round);

			take(&columns[i], round, &before, &s, &after);
			before = after;
		}
	}
	printf("| event in the window | B's ratio to control: median | min | max | B's cache hits / in control | the event took | "
	       "CPU time beside B's | B's slowest operation |\n"
	       "|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < EVENTS; i++)
		report(events[i].name, &columns[i]);
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

/* All of B's blocks have room. */
static rocksdb_options_t *options_with_cache(void)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_cache_t *cache = rocksdb_cache_create_lru(CACHE_BYTES);
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
	rocksdb_cache_destroy(cache);
	return options;
}

int main(int argc, char **argv)
{
	rocksdb_options_t *options;
	bh_db *db = NULL;
	bh_cf *b;
	char uri[512];

	if (!tool_hide())
		return 1;
	parse(argc, argv);
	cmk_uri(uri, "platform");
	must(bh_kms_create(uri, NULL, NULL), "platform CMK");
	must(bh_db_create(dir, "bench", uri, NULL), "database");
	options = options_with_cache();
	must(bh_db_open(dir, &(bh_db_options){ .rocksdb = options }, &db), "database");
	rocksdb_options_destroy(options);
	add_merchant(db, "a");
	add_merchant(db, "b");
	must(bh_cf_open(db, "a", "data", &cf_a), "a");
	must(bh_cf_open(db, "b", "data", &b), "b");
	fill(cf_a);
	fill(b);
	must(bh_flush(b), "b");
	add_doomed(db);
	add_idle(db);
	(void)read_all(b, true);
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
