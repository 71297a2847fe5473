/* SPDX-License-Identifier: Apache-2.0
 *
 * leaser.c: the leaser's clocks and threads, and what its database tells it; see leaser.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "leaser.h"
#include "leaser_jobs.h"
#include "leaser_state.h"

/* ---- clocks */

static int64_t system_boottime_ms(void *arg)
{
	(void)arg;
	return bh_leaser_read_ms(CLOCK_BOOTTIME);
}

static int64_t system_realtime_ms(void *arg)
{
	(void)arg;
	return bh_leaser_read_ms(CLOCK_REALTIME);
}

bh_lease_time bh_leaser_now(bh_leaser *leaser)
{
	bh_lease_time now;

	pthread_mutex_lock(&leaser->lock);
	now = bh_leaser_now_locked(leaser);
	pthread_mutex_unlock(&leaser->lock);
	return now;
}

/* ---- threads */

static void *scheduler_main(void *arg)
{
	bh_leaser *leaser = arg;

	pthread_mutex_lock(&leaser->lock);
	while (!leaser->stopping) {
		bh_lease_time now = bh_leaser_now_locked(leaser);
		struct timespec until;

		leaser->scan_at_ms = INT64_MAX;
		bh_leaser_scan_within(leaser, NAP_MAX_MS);
		for (bh_lease_row *r = leaser->rows; r != NULL; r = r->next)
			bh_leaser_decide(leaser, r, now);
		while (!leaser->stopping && bh_leaser_read_ms(CLOCK_MONOTONIC) < leaser->scan_at_ms) {
			until.tv_sec = (time_t)(leaser->scan_at_ms / 1000);
			until.tv_nsec = (long)(leaser->scan_at_ms % 1000) * 1000000;
			pthread_cond_timedwait(&leaser->wake, &leaser->lock, &until);
		}
	}
	pthread_mutex_unlock(&leaser->lock);
	return NULL;
}

static void work_off(bh_leaser *leaser, bh_lease_queue *q)
{
	pthread_mutex_lock(&leaser->lock);
	while (!leaser->stopping) {
		bh_lease_job *j = bh_lease_queue_take(leaser, q);

		if (j != NULL)
			bh_leaser_run(leaser, j);
		else
			pthread_cond_wait(&leaser->jobs, &leaser->lock);
	}
	pthread_mutex_unlock(&leaser->lock);
}

static void *kms_worker_main(void *arg)
{
	bh_leaser *leaser = arg;

	work_off(leaser, &leaser->kms);
	return NULL;
}

static void *local_worker_main(void *arg)
{
	bh_leaser *leaser = arg;

	work_off(leaser, &leaser->local);
	return NULL;
}

static bh_status start_thread(bh_leaser *leaser, void *(*body)(void *arg))
{
	if (pthread_create(&leaser->threads[leaser->thread_count], NULL, body, leaser) != 0)
		return bh_fail(BH_E_NOMEM, "no thread to be had for the leases of merchants");
	leaser->thread_count++;
	return BH_OK;
}

bh_status bh_leaser_start(bh_leaser *leaser)
{
	for (unsigned i = 0; i < BH_LEASER_KMS_WORKERS; i++)
		BH_TRY(start_thread(leaser, kms_worker_main));
	BH_TRY(start_thread(leaser, local_worker_main));
	return start_thread(leaser, scheduler_main);
}

void bh_leaser_end(bh_leaser *leaser)
{
	if (leaser == NULL)
		return;
	pthread_mutex_lock(&leaser->lock);
	leaser->stopping = true;
	pthread_cond_broadcast(&leaser->wake);
	pthread_cond_broadcast(&leaser->jobs);
	pthread_mutex_unlock(&leaser->lock);
	for (unsigned i = 0; i < leaser->thread_count; i++)
		pthread_join(leaser->threads[i], NULL);
	leaser->thread_count = 0;
}

/* ---- made and freed */

bh_status bh_leaser_new(const bh_leaser_host *host, void *arg, int64_t limit_ms, const bh_clock *clock, bh_leaser **out)
{
	static const bh_clock system_clock = { system_boottime_ms, system_realtime_ms, NULL };
	pthread_condattr_t monotonic;
	bh_leaser *leaser;

	if (limit_ms < BH_LEASE_LIMIT_MIN_MS || limit_ms > BH_LEASE_LIMIT_MAX_MS)
		return bh_fail(BH_E_INVALID, "a lease of %lld ms: it has to be from %d to %d ms", (long long)limit_ms,
			       BH_LEASE_LIMIT_MIN_MS, BH_LEASE_LIMIT_MAX_MS);
	leaser = calloc(1, sizeof(*leaser));
	if (leaser == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the leases of merchants");
	leaser->host = host;
	leaser->arg = arg;
	leaser->clock = clock != NULL ? *clock : system_clock;
	leaser->limit_ms = limit_ms;
	leaser->kms.last = &leaser->kms.first;
	leaser->local.last = &leaser->local.first;
	pthread_mutex_init(&leaser->lock, NULL);
	pthread_cond_init(&leaser->jobs, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&leaser->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*out = leaser;
	return BH_OK;
}

void bh_leaser_free(bh_leaser *leaser)
{
	bh_lease_row *next;

	if (leaser == NULL)
		return;
	bh_leaser_end(leaser);
	for (bh_lease_row *r = leaser->rows; r != NULL; r = next) {
		next = r->next;
		free(r);
	}
	pthread_cond_destroy(&leaser->wake);
	pthread_cond_destroy(&leaser->jobs);
	pthread_mutex_destroy(&leaser->lock);
	free(leaser);
}

/* ---- what the database tells */

static bh_lease_row *find(bh_leaser *leaser, const char *name)
{
	bh_lease_row *r;

	for (r = leaser->rows; r != NULL && strcmp(r->name, name) != 0; r = r->next)
		;
	return r;
}

static bh_lease_row *find_or_add(bh_leaser *leaser, const char *name)
{
	bh_lease_row *r = find(leaser, name);
	struct timespec t;

	if (r != NULL)
		return r;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(r->name, sizeof(r->name), "%s", name);
	bh_lease_init(&r->lease, leaser->limit_ms, (uint64_t)t.tv_nsec ^ (uint64_t)(uintptr_t)r);
	r->call.row = r->work.row = r->quarantine.row = r;
	r->seen.last_ms = -1;
	r->next = leaser->rows;
	leaser->rows = r;
	return r;
}

/* The lease is off; what was to be done for it and is not under way is not done any more. */
static void stop_row(bh_leaser *leaser, bh_lease_row *r)
{
	bh_lease_time now = bh_leaser_now_locked(leaser);

	bh_lease_stop(&r->lease);
	if (bh_lease_queue_cancel(&leaser->kms, &r->call))
		(void)bh_lease_answered(&r->lease, r->call_id, BH_LEASE_NO_ANSWER, now);
	if (bh_lease_queue_cancel(r->work_act == BH_LEASE_DETACH ? &leaser->local : &leaser->kms, &r->work))
		bh_lease_detached(&r->lease, true, now);
	r->seen.note[0] = '\0';
	r->slow = false;
}

bh_status bh_leaser_granted(bh_leaser *leaser, const char *name, bh_lease_time asked)
{
	bh_lease_row *r;

	pthread_mutex_lock(&leaser->lock);
	r = find_or_add(leaser, name);
	if (r != NULL) {
		stop_row(leaser, r);
		bh_lease_granted(&r->lease, asked);
		bh_leaser_decide(leaser, r, bh_leaser_now_locked(leaser));
	} else {
		leaser->host->deadline(leaser->arg, name, 1);
	}
	pthread_mutex_unlock(&leaser->lock);
	return r != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "merchant '%s': no memory for its lease; it stays closed", name);
}

bh_status bh_leaser_found(bh_leaser *leaser, const char *name, bh_suspend_cause cause)
{
	bh_lease_row *r;

	pthread_mutex_lock(&leaser->lock);
	r = find_or_add(leaser, name);
	if (r != NULL) {
		stop_row(leaser, r);
		bh_lease_found(&r->lease, bh_leaser_state_of(cause), bh_leaser_now_locked(leaser));
		bh_leaser_set_deadline(leaser, r, 1);
		bh_leaser_decide(leaser, r, bh_leaser_now_locked(leaser));
	}
	pthread_mutex_unlock(&leaser->lock);
	return r != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "merchant '%s': no memory for its lease", name);
}

void bh_leaser_stop(bh_leaser *leaser, const char *name)
{
	bh_lease_row *r;

	pthread_mutex_lock(&leaser->lock);
	r = find(leaser, name);
	if (r != NULL)
		stop_row(leaser, r);
	pthread_mutex_unlock(&leaser->lock);
}

void bh_leaser_hurt(bh_leaser *leaser, const char *name)
{
	bh_lease_row *r;

	pthread_mutex_lock(&leaser->lock);
	r = find_or_add(leaser, name);
	if (r != NULL) { /* else its gate is closed, and the next open finds the same */
		r->hurt = true;
		bh_leaser_push_quarantine(leaser, r);
	}
	pthread_mutex_unlock(&leaser->lock);
}

void bh_leaser_wake(bh_leaser *leaser)
{
	pthread_mutex_lock(&leaser->lock);
	bh_leaser_scan_within(leaser, 0);
	pthread_mutex_unlock(&leaser->lock);
}

bh_status bh_leaser_look(bh_leaser *leaser, const char *name, bh_leaser_info *out)
{
	const bh_lease_row *r;

	pthread_mutex_lock(&leaser->lock);
	r = find(leaser, name);
	if (r != NULL) {
		bh_lease_time now = bh_leaser_now_locked(leaser);

		*out = r->seen;
		out->state = r->lease.state;
		out->age_ms = bh_lease_age_ms(&r->lease, now);
		out->remaining_ms = bh_lease_remaining_ms(&r->lease, now);
		out->limit_ms = leaser->limit_ms;
	}
	pthread_mutex_unlock(&leaser->lock);
	return r != NULL ? BH_OK : bh_fail(BH_E_NO_SUCH_MERCHANT, "merchant '%s' has no lease", name);
}
