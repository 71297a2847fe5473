/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c: the workloads, their threads, their clocks.
 *
 * Each thread works on its share of the operations and times every one of them into its own histogram; the histograms are merged
 * when all are done. Keys are numbers below --num, big-endian, so that fillseq writes in key order; they spread over the merchants
 * by number.
 */
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "histogram.h"
#include "keyring/base.h"

typedef struct run {
	const bench_config *config;
	const bench_engine *engine;
	bench_store *store;
	uint8_t *text; /* compressible by half, as db_bench's */
	_Atomic bool stop_writer;
	pthread_mutex_t fail_lock; /* guards failed and message */
	bh_status failed;
	char message[512];
} run;

typedef struct worker {
	run *run;
	uint64_t ops;   /* to do */
	uint64_t first; /* number of its first operation, for sequential keys */
	uint64_t random;
	uint64_t done, bytes, found;
	histogram times;
	bh_buf key, value;
} worker;

typedef bh_status (*workload_fn)(worker *w);

#define TEXT_LEN (1u << 20)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64* (Vigna 2016): quick, and good enough to choose keys. */
static uint64_t next_random(worker *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return w->random * 2685821657736338717u;
}

static bh_view make_key(worker *w, uint64_t number)
{
	size_t len = w->run->config->key_size;

	for (size_t i = 0; i < 8; i++)
		w->key.data[i] = (uint8_t)(number >> (56 - 8 * i));
	memset(w->key.data + 8, '0', len - 8);
	return bh_view_of(w->key.data, len);
}

static bh_view make_value(worker *w)
{
	size_t len = w->run->config->value_size;

	return bh_view_of(w->run->text + next_random(w) % (TEXT_LEN - BH_MIN(len, TEXT_LEN - 1)), len);
}

static unsigned merchant_of(const worker *w, uint64_t number)
{
	return (unsigned)(number % w->run->config->merchants);
}

static void count(worker *w, uint64_t started, uint64_t bytes)
{
	histogram_add(&w->times, now_ns() - started);
	w->done++;
	w->bytes += bytes;
}

/* ---- workloads */

static bh_status write_keys(worker *w, bool sequential, bool sync)
{
	const bench_config *c = w->run->config;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t n = sequential ? w->first + i : next_random(w) % c->num;
		uint64_t started = now_ns();

		BH_TRY(w->run->engine->put(w->run->store, merchant_of(w, n), make_key(w, n), make_value(w), sync));
		count(w, started, c->key_size + c->value_size);
	}
	return BH_OK;
}

static bh_status fill_seq(worker *w)
{
	return write_keys(w, true, w->run->config->sync);
}
static bh_status fill_random(worker *w)
{
	return write_keys(w, false, w->run->config->sync);
}
static bh_status fill_sync(worker *w)
{
	return write_keys(w, false, true);
}

/* `batch` keys of one merchant: numbers that are equal modulo the number of merchants. */
static unsigned batch_keys(worker *w, bh_view *keys, uint8_t *memory)
{
	const bench_config *c = w->run->config;
	unsigned merchant = (unsigned)(next_random(w) % c->merchants);

	for (size_t i = 0; i < c->batch_size; i++) {
		uint64_t n = next_random(w) % (c->num / c->merchants + 1) * c->merchants + merchant;

		keys[i] = make_key(w, n);
		memcpy(memory + i * c->key_size, keys[i].data, c->key_size);
		keys[i].data = memory + i * c->key_size;
	}
	return merchant;
}

static bh_status fill_batch(worker *w)
{
	const bench_config *c = w->run->config;
	bh_view *keys = calloc(c->batch_size, sizeof(*keys));
	uint8_t *memory = malloc(c->batch_size * c->key_size);
	bh_status status = BH_OK;

	for (uint64_t i = 0; i < w->ops && status == BH_OK; i += c->batch_size) {
		unsigned merchant = batch_keys(w, keys, memory);
		uint64_t started = now_ns();

		status = w->run->engine->put_batch(w->run->store, merchant, c->batch_size, keys, make_value(w), c->sync);
		count(w, started, c->batch_size * (c->key_size + c->value_size));
		w->done += c->batch_size - 1;
	}
	free(keys);
	free(memory);
	return status;
}

static bh_status read_keys(worker *w, uint64_t offset)
{
	const bench_config *c = w->run->config;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t n = next_random(w) % c->num;
		uint64_t started = now_ns();
		bh_status status = w->run->engine->get(w->run->store, merchant_of(w, n), make_key(w, n + offset), &w->value);

		if (status != BH_OK && status != BH_E_NOT_FOUND)
			return status;
		w->found += status == BH_OK;
		count(w, started, status == BH_OK ? c->key_size + w->value.len : 0);
	}
	return BH_OK;
}

static bh_status read_random(worker *w)
{
	return read_keys(w, 0);
}
static bh_status read_missing(worker *w)
{
	return read_keys(w, (uint64_t)1 << 56);
}

static bh_status multi_read_random(worker *w)
{
	const bench_config *c = w->run->config;
	bh_view *keys = calloc(c->batch_size, sizeof(*keys));
	bh_buf *values = calloc(c->batch_size, sizeof(*values));
	bh_status *found = calloc(c->batch_size, sizeof(*found));
	uint8_t *memory = malloc(c->batch_size * c->key_size);
	bh_status status = BH_OK;

	for (uint64_t i = 0; i < w->ops && status == BH_OK; i += c->batch_size) {
		unsigned merchant = batch_keys(w, keys, memory);
		uint64_t started = now_ns();

		status = w->run->engine->multi_get(w->run->store, merchant, c->batch_size, keys, values, found);
		count(w, started, 0);
		w->done += c->batch_size - 1;
		for (size_t k = 0; k < c->batch_size; k++) {
			w->found += found[k] == BH_OK;
			w->bytes += found[k] == BH_OK ? c->key_size + values[k].len : 0;
		}
	}
	for (size_t k = 0; k < c->batch_size; k++)
		bh_buf_clear(&values[k]);
	free(keys);
	free(values);
	free(found);
	free(memory);
	return status;
}

static bh_status scan(worker *w, bool forward)
{
	const bench_engine *e = w->run->engine;
	uint64_t left = w->ops;

	for (unsigned m = 0; m < w->run->config->merchants && left > 0; m++) {
		bench_cursor *cursor = NULL;
		bh_status status = e->cursor_open(w->run->store, m, &cursor);

		if (status == BH_OK)
			status = forward ? e->seek(cursor, (bh_view){ 0 }) : e->last(cursor);
		for (; status == BH_OK && left > 0 && e->valid(cursor); left--) {
			uint64_t started = now_ns();
			size_t bytes = e->entry(cursor);

			status = forward ? e->next(cursor) : e->prev(cursor);
			count(w, started, bytes);
		}
		e->cursor_close(cursor);
		BH_TRY(status);
	}
	return BH_OK;
}

static bh_status read_seq(worker *w)
{
	return scan(w, true);
}
static bh_status read_reverse(worker *w)
{
	return scan(w, false);
}

static bh_status seek_random(worker *w)
{
	const bench_engine *e = w->run->engine;
	const bench_config *c = w->run->config;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t n = next_random(w) % c->num, started = now_ns();
		bench_cursor *cursor = NULL;
		bh_status status = e->cursor_open(w->run->store, merchant_of(w, n), &cursor);
		size_t bytes = 0;

		if (status == BH_OK)
			status = e->seek(cursor, make_key(w, n));
		if (status == BH_OK && e->valid(cursor)) {
			bytes = e->entry(cursor);
			w->found++;
		}
		e->cursor_close(cursor);
		BH_TRY(status);
		count(w, started, bytes);
	}
	return BH_OK;
}

static bh_status compact(worker *w)
{
	uint64_t started = now_ns();

	BH_TRY(w->run->engine->flush(w->run->store));
	BH_TRY(w->run->engine->compact(w->run->store));
	count(w, started, 0);
	return BH_OK;
}

/* ---- running */

typedef struct workload {
	const char *name;
	workload_fn fn;
	bool fresh;         /* makes the database anew */
	bool reads;         /* --reads operations, not --num */
	bool single;        /* one operation, one thread */
	bool beside_writer; /* one more thread overwrites meanwhile */
} workload;

static const workload workloads[] = {
	{ "fillseq", fill_seq, true, false, false, false },
	{ "fillrandom", fill_random, true, false, false, false },
	{ "fillsync", fill_sync, true, false, false, false },
	{ "fillbatch", fill_batch, true, false, false, false },
	{ "overwrite", fill_random, false, false, false, false },
	{ "readrandom", read_random, false, true, false, false },
	{ "readmissing", read_missing, false, true, false, false },
	{ "multireadrandom", multi_read_random, false, true, false, false },
	{ "readseq", read_seq, false, true, false, false },
	{ "readreverse", read_reverse, false, true, false, false },
	{ "seekrandom", seek_random, false, true, false, false },
	{ "readwhilewriting", read_random, false, true, false, true },
	{ "compact", compact, false, false, true, false },
};

typedef struct task {
	worker w;
	workload_fn fn;
	pthread_t thread;
} task;

static void note_failure(run *r, bh_status status)
{
	pthread_mutex_lock(&r->fail_lock);
	if (status != BH_OK && r->failed == BH_OK) {
		r->failed = status;
		snprintf(r->message, sizeof(r->message), "%s", bh_status_message());
	}
	pthread_mutex_unlock(&r->fail_lock);
}

static void *task_main(void *arg)
{
	task *t = arg;

	note_failure(t->w.run, t->fn(&t->w));
	return NULL;
}

static bh_status write_until_stopped(worker *w)
{
	while (!atomic_load(&w->run->stop_writer)) {
		w->ops = 100;
		BH_TRY(write_keys(w, false, false));
	}
	return BH_OK;
}

static void start(run *r, task *t, workload_fn fn, uint64_t ops, uint64_t first, unsigned index)
{
	t->fn = fn;
	t->w.run = r;
	t->w.ops = ops;
	t->w.first = first;
	t->w.random = (r->config->seed + index + 1) * 0x9e3779b97f4a7c15u;
	if (bh_buf_reserve(&t->w.key, r->config->key_size) != BH_OK || pthread_create(&t->thread, NULL, task_main, t) != 0)
		abort();
}

static void finish(task *t)
{
	pthread_join(t->thread, NULL);
	bh_buf_clear(&t->w.key);
	bh_buf_clear(&t->w.value);
}

static void report(const run *r, const workload *load, const worker *sum, double seconds)
{
	double micros = seconds * 1e6 / (double)BH_MAX(sum->done, 1), mb_per_s = (double)sum->bytes / 1048576.0 / seconds;
	double p50 = histogram_percentile(&sum->times, 50) / 1e3, p99 = histogram_percentile(&sum->times, 99) / 1e3;
	double p999 = histogram_percentile(&sum->times, 99.9) / 1e3, per_s = (double)sum->done / seconds;
	unsigned long long done = sum->done, found = sum->found;

	if (r->config->json)
		printf("{\"engine\":\"%s\",\"benchmark\":\"%s\",\"ops\":%llu,\"seconds\":%.6f,\"micros_per_op\":%.4f,"
		       "\"ops_per_sec\":%.0f,\"mb_per_sec\":%.2f,\"found\":%llu,"
		       "\"p50_us\":%.3f,\"p99_us\":%.3f,\"p999_us\":%.3f}\n",
		       r->engine->name, load->name, done, seconds, micros, per_s, mb_per_s, found, p50, p99, p999);
	else
		printf("%-16s : %11.3f micros/op %.0f ops/sec %.3f seconds %llu operations; %6.1f MB/s (%llu found) "
		       "p50 %.1f p99 %.1f p99.9 %.1f us\n",
		       load->name, micros, per_s, seconds, done, mb_per_s, found, p50, p99, p999);
	fflush(stdout);
}

static bh_status run_workload(run *r, const workload *load)
{
	const bench_config *c = r->config;
	unsigned threads = load->single ? 1 : c->threads;
	uint64_t ops = load->single ? 1 : (load->reads ? c->reads : c->num);
	task *tasks = calloc(threads + 1, sizeof(*tasks));
	worker sum = { .run = r };
	uint64_t started = now_ns();

	if (tasks == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %u threads", threads);
	if (load->beside_writer)
		start(r, &tasks[threads], write_until_stopped, 0, 0, threads);
	for (unsigned i = 0; i < threads; i++)
		start(r, &tasks[i], load->fn, ops / threads, i * (ops / threads), i);
	for (unsigned i = 0; i < threads; i++) {
		finish(&tasks[i]);
		sum.done += tasks[i].w.done;
		sum.bytes += tasks[i].w.bytes;
		sum.found += tasks[i].w.found;
		histogram_merge(&sum.times, &tasks[i].w.times);
	}
	double seconds = (double)(now_ns() - started) / 1e9;
	atomic_store(&r->stop_writer, true);
	if (load->beside_writer)
		finish(&tasks[threads]);
	atomic_store(&r->stop_writer, false);
	free(tasks);
	if (r->failed != BH_OK)
		return bh_fail(r->failed, "%s: %s", load->name, r->message);
	report(r, load, &sum, seconds);
	return BH_OK;
}

static const workload *find_workload(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		if (strlen(workloads[i].name) == len && memcmp(workloads[i].name, name, len) == 0)
			return &workloads[i];
	return NULL;
}

static bh_status run_named(run *r, const char *name, size_t len)
{
	const workload *load = find_workload(name, len);

	if (load == NULL)
		return bh_fail(BH_E_INVALID, "no benchmark is named '%.*s'", (int)len, name);
	if (load->fresh && r->store != NULL)
		return bh_fail(BH_E_INVALID, "%s makes a database anew: it comes first, in an empty --db", load->name);
	if (r->store == NULL)
		BH_TRY(r->engine->open(r->config, load->fresh, &r->store));
	return run_workload(r, load);
}

static void make_text(uint8_t *text)
{
	worker w = { .random = 301 };

	/* Runs of 100 bytes that begin with 50 random printable ones, repeated once: halves under compression. */
	for (size_t i = 0; i < TEXT_LEN; i++)
		text[i] = i % 100 < 50 ? (uint8_t)(' ' + next_random(&w) % 95) : text[i - 50];
}

bh_status bench_run(const bench_config *config)
{
	run r = { .config = config, .engine = bench_engine_find(config->engine), .fail_lock = PTHREAD_MUTEX_INITIALIZER };
	const char *name = config->benchmarks;
	bh_status status = BH_OK;

	r.text = malloc(TEXT_LEN);
	if (r.text == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for values");
	make_text(r.text);
	while (status == BH_OK && *name != '\0') {
		size_t len = strcspn(name, ",");

		status = run_named(&r, name, len);
		name += len + (name[len] == ',');
	}
	if (r.store != NULL)
		r.engine->close(r.store);
	free(r.text);
	return status;
}
