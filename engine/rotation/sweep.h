/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.h: what a sweep does, and how others tell it to stop.
 */
#ifndef BH_ENGINE_SWEEP_H
#define BH_ENGINE_SWEEP_H

#include <bulkhead/rotation.h>

#include "env/reseal/reseal.h"
#include "engine/core/internal.h"
#include "survey.h"

/* Of one sweep: paces it, counts, and ends it when its merchant leaves. */
typedef struct bh_sweep {
	bh_db *db;
	bh_place place; /* its */
	bh_merchant *merchant;
	const _Atomic bool *stop; /* set: the sweep shall end; NULL: it goes on to its end */
	uint64_t bytes_per_s;     /* 0: no limit */
	int64_t begun_ms;
	uint64_t taken; /* bytes since then */
	bh_sweep_progress progress;
	void (*report)(void *arg, const bh_sweep_progress *progress); /* may be NULL */
	void *report_arg;
} bh_sweep;

/* bh_merchant_sweep() at the default pace, ended by `stop` with BH_E_BUSY. */
BH_MUST_CHECK bh_status bh_sweep_until(bh_db *db, const char *name, const _Atomic bool *stop);
/* Whether it may go on: BH_OK, or why it has to end. */
BH_MUST_CHECK bh_status bh_sweep_check(const bh_sweep *sweep);

/* A moment in which a sweep holds nobody's keys: what it is at is given up, and done again later. Called by who takes keys from
 * memory, before it looks whether they are gone. */
void bh_sweeps_let_go(bh_db *db);

/* sweep_logs.c: seals anew the WALs and the MANIFEST that older generations of the merchant are still needed for. */
BH_MUST_CHECK bh_status bh_sweep_logs(bh_sweep *sweep);

#endif
