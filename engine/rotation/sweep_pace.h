/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep_pace.h: one sweep under way, and how it is paced and told to stop.
 */
#ifndef BH_ENGINE_SWEEP_PACE_H
#define BH_ENGINE_SWEEP_PACE_H

#include <bulkhead/rotation.h>

#include "engine/core/merchant.h"
#include "survey.h"

/* Of one sweep: paces it, counts, and ends it when its merchant leaves. The platform never does. */
typedef struct bh_sweep {
	bh_db *db;
	bh_place place;             /* its */
	const char *name;           /* of the merchant; "": the platform */
	bh_merchant *merchant;      /* NULL: the platform */
	char who[BH_NAME_MAX + 16]; /* for messages */
	const _Atomic bool *stop;   /* set: the sweep shall end; NULL: it goes on to its end */
	uint64_t bytes_per_s;       /* 0: no limit */
	int64_t begun_ms;
	uint64_t taken; /* bytes since then */
	bh_sweep_progress progress;
	void (*report)(void *arg, const bh_sweep_progress *progress); /* may be NULL */
	void *report_arg;
} bh_sweep;

int64_t bh_sweep_now_ms(void); /* of CLOCK_MONOTONIC */
void bh_sweep_sleep_ms(int64_t ms);
/* Whether it may go on: BH_OK, or why it has to end. */
BH_MUST_CHECK bh_status bh_sweep_check(const bh_sweep *sweep);
/* After `bytes` more were taken: sleeps until they are due. `sweep`: a bh_sweep. A bh_pace's function. Errors: as bh_sweep_check().
 */
BH_MUST_CHECK bh_status bh_sweep_take(void *sweep, uint64_t bytes);

#endif
