/* SPDX-License-Identifier: Apache-2.0
 *
 * leaser_state.h: the leaser's rows, queues and clock, which its threads (leaser.c) and their jobs (leaser_jobs.c) share.
 *
 * A row a merchant. Its three jobs, a call, a piece of work and a quarantine, are part of the row: each is queued or running at
 * most once, so that nothing is allocated once the row is there. Rows stay until the leaser is freed, since a job may still be
 * running for one.
 *
 * All functions here want bh_leaser.lock held, but for bh_leaser_read_ms().
 */
#ifndef BH_LEASER_STATE_H
#define BH_LEASER_STATE_H

#include <pthread.h>
#include <time.h>

#include "leaser.h"

#define NAP_MAX_MS 1000         /* a clock that jumps wakes nobody: so look that often */
#define HURT_PAUSE_MAX_MS 60000 /* between two tries of a quarantine */
#define NAP_MIN_MS 5            /* not more often than that, however many leases are due */
#define DEADLINE_EARLY_MS 10    /* the coarse clock is up to a tick behind */
#define DEADLINE_CHANGE_MS 20   /* a deadline that moved by less is left alone */

typedef struct bh_lease_row bh_lease_row;

typedef struct bh_lease_job {
	bh_lease_row *row;
	struct bh_lease_job *next;
	bool queued; /* and not yet taken by a worker */
} bh_lease_job;

struct bh_lease_row {
	char name[BH_NAME_MAX + 1];
	bh_lease lease;
	bh_lease_job call, work, quarantine;
	bool hurt;          /* `quarantine` is to be done */
	int64_t hurt_at_ms; /* not before this, of CLOCK_MONOTONIC */
	int64_t hurt_pause_ms;
	unsigned work_act; /* BH_LEASE_DETACH or BH_LEASE_ATTACH */
	uint64_t call_id;
	bool own_fault;      /* its last call ended with what is no KMS's doing: the lease was not renewed all the same */
	bool slow;           /* its last call was slow or unanswered */
	int64_t deadline_ms; /* as it was set at the gate */
	bh_leaser_info seen;
	bh_lease_row *next;
};

typedef struct bh_lease_queue {
	bh_lease_job *first, **last;
} bh_lease_queue;

struct bh_leaser {
	const bh_leaser_host *host;
	void *arg;
	bh_clock clock;
	int64_t limit_ms;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake;  /* the scheduler's */
	pthread_cond_t jobs;  /* the workers' */
	bh_lease_clock progress;
	bh_lease_row *rows;
	bh_lease_queue kms, local;
	unsigned slow_running;
	unsigned long_running; /* of the KMS workers: slow ones, and those that attach */
	int64_t scan_at_ms;    /* when the scheduler looks next, of CLOCK_MONOTONIC */
	bool stopping;
	unsigned thread_count;
	pthread_t threads[1 + BH_LEASER_KMS_WORKERS + 1];
};

int64_t bh_leaser_read_ms(clockid_t id);
bh_lease_time bh_leaser_now_locked(bh_leaser *leaser);
/* The scheduler looks in `wait_ms` at the latest. */
void bh_leaser_scan_within(bh_leaser *leaser, int64_t wait_ms);

#endif
