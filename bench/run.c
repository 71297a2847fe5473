/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c: runs workloads: their order, their threads, their sums; see workload.h.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "turns.h"
#include "workload.h"

/* Under `valgrind --tool=callgrind` each benchmark leaves a dump of its own; elsewhere these are a few instructions. */
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#endif

static const workload workloads[] = {
	{ "fillseq", workload_fill_seq, OPS_NUM, ON_FRESH },
	{ "fillrandom", workload_fill_random, OPS_NUM, ON_FRESH },
	{ "fillsync", workload_fill_sync, OPS_NUM, ON_FRESH },
	{ "fillbatch", workload_fill_batch, OPS_NUM, ON_FRESH },
	{ "overwrite", workload_fill_random, OPS_NUM, ON_WHAT_IS },
	{ "deleterange", workload_delete_range, OPS_RANGES, ON_WHAT_IS },
	{ "compact", workload_compact, OPS_ONE, ON_WHAT_IS },
	{ "readrandom", workload_read_random, OPS_READS, ON_WHAT_IS },
	{ "readmissing", workload_read_missing, OPS_READS, ON_WHAT_IS },
	{ "multireadrandom", workload_multi_read_random, OPS_READS, ON_WHAT_IS },
	{ "readseq", workload_read_seq, OPS_READS, ON_WHAT_IS },
	{ "readreverse", workload_read_reverse, OPS_READS, ON_WHAT_IS },
	{ "seekrandom", workload_seek_random, OPS_READS, ON_WHAT_IS },
	{ "readwhilewriting", workload_read_random, OPS_READS, BESIDE_WRITER },
	{ "readrandomwriterandom", workload_read_write_random, OPS_READS, ON_WHAT_IS },
	{ "mixeduniform", workload_mixed_uniform, OPS_READS, ON_WHAT_IS },
	{ "mixedzipf", workload_mixed_zipf, OPS_READS, ON_WHAT_IS },
	{ "open", workload_open, OPS_ONE, OPENS },
	{ "suspend", workload_suspend, OPS_MERCHANTS, ON_WHAT_IS },
	{ "resume", workload_resume, OPS_MERCHANTS, ON_WHAT_IS },
	{ "shred", workload_shred, OPS_MERCHANTS, ON_WHAT_IS },
	{ "rotate", workload_rotate, OPS_MERCHANTS, ON_WHAT_IS },
	{ "rewrap", workload_rewrap, OPS_MERCHANTS, TIMES_ITSELF },
	{ "erase", workload_erase, OPS_MERCHANTS, TIMES_ITSELF },
	{ "gate", workload_gate, OPS_READS, ON_NOTHING },
};

typedef struct task {
	worker w;
	workload_fn fn;
	pthread_t thread;
} task;

static void note_failure(bench_run_state *r, bh_status status)
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

	t->w.clock = bench_now_ns();
	note_failure(t->w.run, t->fn(&t->w));
	return NULL;
}

static void start(bench_run_state *r, task *t, workload_fn fn, uint64_t ops, uint64_t first, unsigned index)
{
	t->fn = fn;
	t->w.run = r;
	t->w.ops = ops;
	t->w.first = first;
	t->w.random = (r->config->seed + (uint64_t)r->ordinal * 4096 + index + 1) * 0x9e3779b97f4a7c15u;
	if (bh_buf_reserve(&t->w.key, r->config->key_size) != BH_OK ||
	    bh_buf_reserve(&t->w.end_key, r->config->key_size) != BH_OK || pthread_create(&t->thread, NULL, task_main, t) != 0)
		abort();
}

static void finish(task *t, worker *sum)
{
	pthread_join(t->thread, NULL);
	bh_buf_clear(&t->w.key);
	bh_buf_clear(&t->w.end_key);
	bh_buf_clear(&t->w.value);
	if (sum == NULL)
		return;
	sum->done += t->w.done;
	sum->bytes += t->w.bytes;
	sum->found += t->w.found;
	sum->heap_bytes += t->w.heap_bytes;
	sum->resident_bytes += t->w.resident_bytes;
	sum->files_rewritten += t->w.files_rewritten;
	histogram_merge(&sum->times, &t->w.times);
}

static uint64_t ops_of(const workload *load, const bench_config *c)
{
	switch (load->ops) {
	case OPS_READS: return c->reads;
	case OPS_RANGES: return BH_MAX(c->num / c->tombstone_width / 10, (uint64_t)1);
	case OPS_MERCHANTS: return c->merchants;
	case OPS_ONE: return 1;
	default: return c->num;
	}
}

static bool is_single(const workload *load)
{
	return load->ops == OPS_MERCHANTS || load->ops == OPS_ONE;
}

/* Runs the threads to their end; their sum, and how long it took. */
static bench_times run_tasks(bench_run_state *r, const workload *load, task *tasks, unsigned threads, worker *sum)
{
	uint64_t share = ops_of(load, r->config) / threads, started = bench_now_ns(), used = bench_cpu_ns();
	bench_times times;

	if (load->how == BESIDE_WRITER)
		start(r, &tasks[threads], worker_overwrite_until_stopped, 0, 0, threads);
	for (unsigned i = 0; i < threads; i++)
		start(r, &tasks[i], load->fn, share, i * share, i);
	for (unsigned i = 0; i < threads; i++)
		finish(&tasks[i], sum);
	times = (bench_times){ (double)(bench_now_ns() - started) / 1e9, (double)(bench_cpu_ns() - used) / 1e9 };
	atomic_store(&r->stop_writer, true);
	if (load->how == BESIDE_WRITER)
		finish(&tasks[threads], NULL);
	atomic_store(&r->stop_writer, false);
	return times;
}

static bh_status run_workload(bench_run_state *r, const workload *load)
{
	unsigned threads = is_single(load) ? 1 : r->config->threads;
	task *tasks = calloc(threads + 1, sizeof(*tasks));
	worker sum = { .run = r };
	bench_times times;

	if (tasks == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %u threads", threads);
	CALLGRIND_ZERO_STATS;
	times = run_tasks(r, load, tasks, threads, &sum);
	CALLGRIND_DUMP_STATS_AT(load->name);
	free(tasks);
	if (r->failed != BH_OK)
		return bh_fail(r->failed, "%s: %s", load->name, r->message);
	/* What came before the first operation is not a part of it: closing a database, renewing CMKs, flushing. */
	if (load->how == OPENS || load->how == TIMES_ITSELF)
		times.wall_s = (double)sum.times.sum / 1e9;
	bench_report(r, load->name, &sum, times);
	return BH_OK;
}

static const workload *find_workload(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		if (strlen(workloads[i].name) == len && memcmp(workloads[i].name, name, len) == 0)
			return &workloads[i];
	return NULL;
}

static bh_status run_named(bench_run_state *r, const char *name, size_t len)
{
	const workload *load = find_workload(name, len);

	if (load == NULL)
		return bh_fail(BH_E_INVALID, "no benchmark is named '%.*s'", (int)len, name);
	if (load->how == ON_FRESH && r->store != NULL)
		return bh_fail(BH_E_INVALID, "%s makes a database anew: it comes first, in an empty --db", load->name);
	if (r->store == NULL && load->how != OPENS && load->how != ON_NOTHING)
		BH_TRY(r->engine->open(r->config, load->how == ON_FRESH, &r->store));
	r->ordinal++;
	bench_turns_meet();
	return run_workload(r, load);
}

/* Pieces of 100 bytes: 50 random printable ones, twice. They halve under compression. */
static void make_text(uint8_t *text)
{
	worker w = { .random = 301 };

	for (size_t i = 0; i < BENCH_TEXT_LEN; i++)
		text[i] = i % 100 < 50 ? (uint8_t)(' ' + worker_random(&w) % 95) : text[i - 50];
}

/* Merchant k (from 0) has a share proportional to 1 / (k + 1)^theta. */
static void make_zipf(double *shares, unsigned count, double theta)
{
	double sum = 0;

	for (unsigned k = 0; k < count; k++)
		shares[k] = sum += pow(k + 1, -theta);
	for (unsigned k = 0; k < count; k++)
		shares[k] /= sum;
}

static bh_status run_all(bench_run_state *r)
{
	const char *name = r->config->benchmarks;

	while (*name != '\0') {
		size_t len = strcspn(name, ",");

		BH_TRY(run_named(r, name, len));
		name += len + (name[len] == ',');
	}
	return BH_OK;
}

bh_status bench_run(const bench_config *config, const bench_engine *engine)
{
	bench_run_state r = { .config = config, .engine = engine, .fail_lock = PTHREAD_MUTEX_INITIALIZER };
	bh_status status;

	r.text = malloc(BENCH_TEXT_LEN);
	r.zipf = calloc(config->merchants, sizeof(*r.zipf));
	if (r.text != NULL && r.zipf != NULL) {
		make_text(r.text);
		make_zipf(r.zipf, config->merchants, config->zipf_theta);
		status = run_all(&r);
	} else {
		status = bh_fail(BH_E_NOMEM, "no memory for values");
	}
	if (r.store != NULL)
		engine->close(r.store);
	free(r.text);
	free(r.zipf);
	return status;
}
