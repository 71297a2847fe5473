/* SPDX-License-Identifier: Apache-2.0
 *
 * workloads_merchant.c: what concerns whole merchants: opening a database that has many, and what only Bulkhead can do to one; see
 * workload.h.
 */
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/core/gate.h"
#include "workload.h"

/* Bytes that the allocator has handed out. */
static long long heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return (long long)info.uordblks + (long long)info.hblkhd;
}

/* Bytes of physical memory of this process; 0 where /proc does not tell. */
static long long resident_bytes(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	char line[128] = "";
	long long total = 0, resident = 0;

	if (statm == NULL)
		return 0;
	if (fgets(line, sizeof(line), statm) == NULL ||
	    sscanf(line, "%lld %lld", &total, &resident) != 2) /* NOLINT(cert-err34-c) */
		resident = 0;
	(void)fclose(statm);
	return resident * sysconf(_SC_PAGESIZE);
}

/* Closes the database if it is open (not timed) and opens it. The memory it then holds is in the report. The first open of a
 * process is the honest one for resident memory: later ones use again what was freed. */
bh_status workload_open(worker *w)
{
	bench_run_state *r = w->run;
	long long heap, resident;

	if (r->store != NULL)
		r->engine->close(r->store);
	r->store = NULL;
	heap = heap_bytes();
	resident = resident_bytes();
	w->clock = bench_now_ns();
	BH_TRY(r->engine->open(r->config, false, &r->store));
	worker_count(w, 1, 0);
	w->heap_bytes = heap_bytes() - heap;
	w->resident_bytes = resident_bytes() - resident;
	return BH_OK;
}

static bh_status each_merchant(worker *w, bh_status (*act)(bench_store *store, unsigned merchant), const char *what)
{
	if (act == NULL)
		return bh_fail(BH_E_UNSUPPORTED, "%s has no %s", w->run->config->engine, what);
	for (unsigned i = 0; i < w->ops; i++) {
		BH_TRY(act(w->run->store, i));
		worker_count(w, 1, 0);
	}
	return BH_OK;
}

bh_status workload_suspend(worker *w)
{
	return each_merchant(w, w->run->engine->suspend, "suspend");
}

bh_status workload_resume(worker *w)
{
	return each_merchant(w, w->run->engine->resume, "resume");
}

bh_status workload_shred(worker *w)
{
	return each_merchant(w, w->run->engine->shred, "shred");
}

bh_status workload_rotate(worker *w)
{
	return each_merchant(w, w->run->engine->rotate, "rotate");
}

/* What the customers do at their KMSs first is not timed. */
bh_status workload_rewrap(worker *w)
{
	const bench_engine *e = w->run->engine;

	for (unsigned i = 0; e->renew_cmk != NULL && i < w->ops; i++)
		BH_TRY(e->renew_cmk(w->run->store, i));
	w->clock = bench_now_ns();
	return each_merchant(w, e->rewrap, "rewrap");
}

/* The rows that lie in the middle of each merchant's, 256 keys' worth of all merchants together: those that share all but the last
 * byte of their number. All of it is in SSTs and blob files before (not timed). */
bh_status workload_erase(worker *w)
{
	enum { PREFIX_LEN = 7 };
	bench_run_state *r = w->run;
	bh_view prefix = worker_key(w, r->config->num / 2);
	bench_erased erased = { 0 };

	if (r->engine->erase == NULL)
		return bh_fail(BH_E_UNSUPPORTED, "%s has no erase", r->config->engine);
	BH_TRY(r->engine->flush(r->store));
	prefix.len = PREFIX_LEN;
	w->clock = bench_now_ns();
	for (unsigned i = 0; i < w->ops; i++) {
		BH_TRY(r->engine->erase(r->store, i, prefix, &erased));
		worker_count(w, 1, erased.bytes);
		w->found += erased.rows;
		w->files_rewritten += erased.files;
	}
	return BH_OK;
}

/* What the gate adds to every operation: entering and leaving one that is open and has a deadline, a thousand times for each look
 * at the clock. All threads share it, as those of one merchant do. */
bh_status workload_gate(worker *w)
{
	enum { ROUND = 1000 };
	static bh_gate gate;

	bh_gate_set_deadline_ms(&gate, INT64_MAX - 1);
	while (w->done < w->ops) {
		for (int i = 0; i < ROUND; i++) {
			BH_TRY(bh_gate_enter(&gate, "bench"));
			bh_gate_leave(&gate);
		}
		worker_count(w, ROUND, 0);
	}
	return BH_OK;
}
