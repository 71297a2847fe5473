/* SPDX-License-Identifier: Apache-2.0
 *
 * workload.h: what a workload is made of: its threads' state, keys, values and clock; and the table of all workloads.
 *
 * Each thread works on its share of the operations and times every one of them into its own histogram, with one look at the clock
 * an operation (the end of one is the start of the next). Keys are numbers below --num, big-endian, so that fillseq writes in key
 * order; they spread over the merchants by number.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

#include "histogram.h"
#include "keyring/base/base.h"

typedef struct bench_run_state {
	const bench_config *config;
	const bench_engine *engine;
	bench_store *store;
	unsigned ordinal; /* of the benchmark on the command line: each draws other random numbers */
	uint8_t *text;    /* values: compressible by half, as db_bench's */
	double *zipf;     /* [merchants]: cumulated shares, when a workload wants them */
	_Atomic bool stop_writer;
	pthread_mutex_t fail_lock; /* guards failed and message */
	bh_status failed;
	char message[512];
} bench_run_state;

typedef struct worker {
	bench_run_state *run;
	uint64_t ops;   /* to do */
	uint64_t first; /* number of its first operation, for sequential keys */
	uint64_t random;
	uint64_t clock; /* when the last operation ended, ns */
	uint64_t done, bytes, found;
	histogram times;
	bh_buf key, end_key, value;
	long long heap_bytes, resident_bytes; /* what opening added, where that was measured */
	uint64_t files_rewritten;             /* by erasures; `bytes` are theirs then */
} worker;

typedef bh_status (*workload_fn)(worker *w);

typedef struct workload {
	const char *name;
	workload_fn fn;
	enum { OPS_NUM, OPS_READS, OPS_RANGES, OPS_MERCHANTS, OPS_ONE } ops; /* how many; the last two by one thread */
	enum {
		ON_FRESH,      /* makes the database anew */
		ON_WHAT_IS,    /* uses the one that is there */
		BESIDE_WRITER, /* ... and one more thread overwrites meanwhile */
		OPENS,         /* opens it itself */
		TIMES_ITSELF,  /* uses the one that is there; its time is the sum of its operations' */
		ON_NOTHING,    /* needs no database */
	} how;
} workload;

#define BENCH_TEXT_LEN (1u << 20)

uint64_t bench_now_ns(void); /* without what passes while others have their turns (turns.h) */
uint64_t bench_cpu_ns(void); /* that this process has used so far, on all threads */
uint64_t worker_random(worker *w);
/* Borrowed until the next call with the same buffer. */
bh_view worker_key(worker *w, uint64_t number);
bh_view worker_value(worker *w);
unsigned worker_merchant_of(const worker *w, uint64_t number);
/* One operation (or `ops`, as one) ended now and moved `bytes`. */
void worker_count(worker *w, uint64_t ops, uint64_t bytes);

/* workloads_write.c */
bh_status workload_fill_seq(worker *w);
bh_status workload_fill_random(worker *w);
bh_status workload_fill_sync(worker *w);
bh_status workload_fill_batch(worker *w);
bh_status workload_delete_range(worker *w);
bh_status workload_compact(worker *w);
/* `batch_size` keys of one merchant, into keys[] and memory[batch_size * key_size]. */
unsigned worker_batch_keys(worker *w, bh_view *keys, uint8_t *memory);

/* workloads_read.c */
bh_status workload_read_random(worker *w);
bh_status workload_read_missing(worker *w);
bh_status workload_multi_read_random(worker *w);
bh_status workload_read_seq(worker *w);
bh_status workload_read_reverse(worker *w);
bh_status workload_seek_random(worker *w);

/* workloads_mixed.c */
bh_status workload_read_write_random(worker *w);
bh_status workload_mixed_uniform(worker *w);
bh_status workload_mixed_zipf(worker *w);
bh_status worker_overwrite_until_stopped(worker *w);

/* workloads_merchant.c */
bh_status workload_open(worker *w);
bh_status workload_suspend(worker *w);
bh_status workload_resume(worker *w);
bh_status workload_shred(worker *w);
bh_status workload_rotate(worker *w);
bh_status workload_rewrap(worker *w);
bh_status workload_erase(worker *w);
bh_status workload_gate(worker *w);

/* report.c: one line, or one JSON document. */
typedef struct bench_times {
	double wall_s, cpu_s;
} bench_times;
void bench_report(const bench_run_state *run, const char *name, const worker *sum, bench_times times);

#endif
