/* SPDX-License-Identifier: Apache-2.0
 *
 * leaser_jobs.c: see leaser_jobs.h.
 */
#include <stdarg.h>
#include <stdio.h>

#include "engine/core/gate.h"
#include "leaser_jobs.h"

/* ---- jobs */

static void queue_push(bh_leaser *leaser, bh_lease_queue *q, bh_lease_job *j)
{
	j->queued = true;
	j->next = NULL;
	*q->last = j;
	q->last = &j->next;
	pthread_cond_broadcast(&leaser->jobs);
}

static void queue_remove(bh_lease_queue *q, bh_lease_job **link)
{
	bh_lease_job *j = *link;

	*link = j->next;
	if (q->last == &j->next)
		q->last = link;
	j->queued = false;
}

bool bh_lease_queue_cancel(bh_lease_queue *q, bh_lease_job *j)
{
	if (!j->queued)
		return false;
	for (bh_lease_job **link = &q->first; *link != NULL; link = &(*link)->next) {
		if (*link == j) {
			queue_remove(q, link);
			return true;
		}
	}
	return false;
}

static bool is_detach(const bh_lease_job *j)
{
	return j == &j->row->work && j->row->work_act == BH_LEASE_DETACH;
}

/* An attach takes its time when it has WALs to read. Detaching is not for the KMS workers. */
static bool is_long(const bh_lease_job *j)
{
	return !is_detach(j) && j != &j->row->quarantine && (j->row->slow || j == &j->row->work);
}

/* One KMS worker is left to what is soon done: the renewals of everybody else. */
static bool may_run(const bh_leaser *leaser, const bh_lease_job *j)
{
	if (j->row->slow && leaser->slow_running >= BH_LEASER_SLOW_WORKERS)
		return false;
	return !is_long(j) || leaser->long_running < BH_LEASER_KMS_WORKERS - 1;
}

bh_lease_job *bh_lease_queue_take(bh_leaser *leaser, bh_lease_queue *q)
{
	for (bh_lease_job **link = &q->first; *link != NULL; link = &(*link)->next) {
		bh_lease_job *j = *link;

		if (q == &leaser->kms && !may_run(leaser, j))
			continue;
		queue_remove(q, link);
		return j;
	}
	return NULL;
}

/* ---- leases */

static bh_suspend_cause cause_of(bh_lease_state state)
{
	switch (state) {
	case BH_LEASE_REFUSED: return BH_SUSPEND_KMS_REFUSED;
	case BH_LEASE_DAMAGED: return BH_SUSPEND_KMS_DAMAGED;
	default: return BH_SUSPEND_KMS_UNREACHABLE;
	}
}

bh_lease_state bh_leaser_state_of(bh_suspend_cause cause)
{
	switch (cause) {
	case BH_SUSPEND_KMS_REFUSED: return BH_LEASE_REFUSED;
	case BH_SUSPEND_KMS_DAMAGED: return BH_LEASE_DAMAGED;
	default: return BH_LEASE_LOST;
	}
}

static bh_status reason_of(const bh_lease_row *r)
{
	switch (r->lease.state) {
	case BH_LEASE_REFUSED: return BH_E_KMS_REFUSED;
	case BH_LEASE_DAMAGED: return BH_E_TAG;
	default: return r->own_fault ? BH_E_IO : BH_E_KMS_UNREACHABLE;
	}
}

void bh_leaser_set_deadline(bh_leaser *leaser, bh_lease_row *r, int64_t deadline_ms)
{
	int64_t moved = deadline_ms - r->deadline_ms;

	if (moved < DEADLINE_CHANGE_MS && moved > -DEADLINE_CHANGE_MS)
		return;
	r->deadline_ms = deadline_ms;
	leaser->host->deadline(leaser->arg, r->name, deadline_ms);
}

/* While an attach is under way the deadline stays over, so that the gate it opens lets nobody in before the lease is known to hold.
 */
static void follow_deadline(bh_leaser *leaser, bh_lease_row *r, bh_lease_time now)
{
	if (r->lease.state == BH_LEASE_HELD || r->lease.state == BH_LEASE_LATE)
		bh_leaser_set_deadline(leaser, r, bh_gate_now_ms() + bh_lease_remaining_ms(&r->lease, now) - DEADLINE_EARLY_MS);
}

void bh_leaser_push_quarantine(bh_leaser *leaser, bh_lease_row *r)
{
	if (!r->hurt || r->quarantine.queued || bh_leaser_read_ms(CLOCK_MONOTONIC) < r->hurt_at_ms)
		return;
	r->hurt = false;
	queue_push(leaser, &leaser->local, &r->quarantine);
}

void bh_leaser_decide(bh_leaser *leaser, bh_lease_row *r, bh_lease_time now)
{
	bh_lease_decision decision;

	bh_leaser_push_quarantine(leaser, r);
	bh_lease_decide(&r->lease, now, &decision);
	if (decision.acts & BH_LEASE_CLOSE) {
		leaser->host->gate_close(leaser->arg, r->name, reason_of(r));
		bh_leaser_set_deadline(leaser, r, 1);
	}
	if (r->lease.state == BH_LEASE_DOUBTED)
		bh_leaser_set_deadline(leaser, r, 1);
	follow_deadline(leaser, r, now);
	if (decision.acts & (BH_LEASE_DETACH | BH_LEASE_ATTACH)) {
		r->work_act = decision.acts & (BH_LEASE_DETACH | BH_LEASE_ATTACH);
		queue_push(leaser, r->work_act == BH_LEASE_DETACH ? &leaser->local : &leaser->kms, &r->work);
	}
	if (decision.acts & BH_LEASE_CALL) {
		r->call_id = decision.call;
		queue_push(leaser, &leaser->kms, &r->call);
	}
	bh_leaser_scan_within(leaser, decision.wake_ms);
}

static void note(bh_lease_row *r, bh_status status, const char *message)
{
	snprintf(r->seen.note, sizeof(r->seen.note), "%s", status != BH_OK ? message : "");
}

/* What these say concerns the merchant, not its KMS: the lease ends with it. */
static bool is_over(bh_status status)
{
	return status == BH_E_SUSPENDED || status == BH_E_DAMAGED || status == BH_E_SHREDDED || status == BH_E_NO_SUCH_MERCHANT;
}

static void say(const bh_leaser *leaser, const char *fmt, ...) BH_PRINTF(2, 3);
static void say(const bh_leaser *leaser, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	leaser->host->log(leaser->arg, line);
}

/* ---- what workers do; `lock` is held on entry and exit, and not while somebody else is asked */

static void count_answer(bh_lease_row *r, bh_lease_answer answer, int64_t took_ms)
{
	r->seen.calls++;
	r->seen.last_ms = took_ms;
	r->seen.refused += answer == BH_LEASE_NO;
	r->seen.unreachable += answer == BH_LEASE_NO_ANSWER;
	r->seen.damaged += answer == BH_LEASE_WRONG;
	r->slow = answer == BH_LEASE_NO_ANSWER || took_ms > BH_LEASER_SLOW_MS;
}

static void run_call(bh_leaser *leaser, bh_lease_row *r)
{
	bh_lease_state before = r->lease.state;
	uint64_t id = r->call_id;
	int64_t began = bh_leaser_read_ms(CLOCK_MONOTONIC), left_ms;
	bh_lease_answer answer;
	bh_lease_time now;
	bh_status status;
	bool turned_late;

	pthread_mutex_unlock(&leaser->lock);
	status = leaser->host->renew(leaser->arg, r->name);
	pthread_mutex_lock(&leaser->lock);
	now = bh_leaser_now_locked(leaser);
	answer = bh_lease_answer_of(status);
	count_answer(r, answer, bh_leaser_read_ms(CLOCK_MONOTONIC) - began);
	r->own_fault = answer == BH_LEASE_NO_ANSWER && !bh_kms_gave_no_answer(status);
	if (bh_lease_answered(&r->lease, id, answer, now))
		note(r, status, bh_status_message());
	if (is_over(status))
		bh_lease_stop(&r->lease);
	left_ms = bh_lease_remaining_ms(&r->lease, now);
	turned_late = before == BH_LEASE_HELD && r->lease.state == BH_LEASE_LATE;
	bh_leaser_decide(leaser, r, now);
	if (!turned_late)
		return;
	pthread_mutex_unlock(&leaser->lock);
	say(leaser, "%s; it is served for another %lld s", bh_status_message(), (long long)(left_ms / 1000));
	pthread_mutex_lock(&leaser->lock);
}

static void say_detached(const bh_leaser *leaser, const bh_lease_row *r, bh_suspend_cause cause, const char *why)
{
	if (cause == BH_SUSPEND_KMS_DAMAGED)
		say(leaser, "integrity alarm: merchant '%s' is detached until an operator resumes it: %s", r->name, why);
	else
		say(leaser, "merchant '%s' is detached until its KMS allows its keys again: %s", r->name, why);
}

/* An operator's resume may have come before this detach and have been told of before its end. */
static void settle(bh_leaser *leaser, bh_lease_row *r, bh_lease_time now, bool is_detached, bh_suspend_cause cause)
{
	if (!is_detached || !bh_lease_is_serving(&r->lease))
		return;
	bh_lease_found(&r->lease, bh_leaser_state_of(cause), now);
	bh_leaser_set_deadline(leaser, r, 1);
}

static void run_detach(bh_leaser *leaser, bh_lease_row *r)
{
	bh_suspend_cause cause = cause_of(r->lease.state), now_cause = cause;
	char why[BH_LEASER_NOTE_MAX + 1];
	bh_lease_time now;
	bh_status status;
	bool is_detached;

	snprintf(why, sizeof(why), "%s", r->seen.note[0] != '\0' ? r->seen.note : "its KMS did not answer in time");
	pthread_mutex_unlock(&leaser->lock);
	status = leaser->host->detach(leaser->arg, r->name, cause, why);
	if (status == BH_OK)
		say_detached(leaser, r, cause, why);
	else if (!is_over(status))
		say(leaser, "merchant '%s' is closed, but cannot be detached yet: %s", r->name, bh_status_message());
	is_detached = leaser->host->is_detached(leaser->arg, r->name, &now_cause);
	pthread_mutex_lock(&leaser->lock);
	now = bh_leaser_now_locked(leaser);
	bh_lease_detached(&r->lease, status == BH_OK, now);
	if (is_over(status))
		bh_lease_stop(&r->lease);
	settle(leaser, r, now, is_detached, now_cause);
	bh_leaser_decide(leaser, r, now);
}

static void run_attach(bh_leaser *leaser, bh_lease_row *r)
{
	bh_lease_time now;
	bh_status status;

	pthread_mutex_unlock(&leaser->lock);
	status = leaser->host->attach(leaser->arg, r->name);
	if (status == BH_OK)
		say(leaser, "merchant '%s' is attached again: its KMS allows its keys", r->name);
	else if (!is_over(status))
		say(leaser, "merchant '%s' cannot be attached again yet: %s", r->name, bh_status_message());
	pthread_mutex_lock(&leaser->lock);
	now = bh_leaser_now_locked(leaser);
	note(r, status, bh_status_message());
	bh_lease_attached(&r->lease, bh_lease_answer_of(status), now);
	if (is_over(status))
		bh_lease_stop(&r->lease);
	bh_leaser_decide(leaser, r, now);
}

/* What it says of its success is the host's to log. */
static void run_quarantine(bh_leaser *leaser, bh_lease_row *r)
{
	bh_status status;

	pthread_mutex_unlock(&leaser->lock);
	status = leaser->host->quarantine(leaser->arg, r->name);
	if (status != BH_OK)
		say(leaser, "merchant '%s' is closed, since a file of its is damaged, but cannot be detached yet: %s", r->name,
		    bh_status_message());
	pthread_mutex_lock(&leaser->lock);
	r->hurt = r->hurt || status != BH_OK;
	r->hurt_pause_ms = status == BH_OK ? 0 : BH_MIN(r->hurt_pause_ms * 2 + NAP_MAX_MS, HURT_PAUSE_MAX_MS);
	r->hurt_at_ms = bh_leaser_read_ms(CLOCK_MONOTONIC) + r->hurt_pause_ms;
}

void bh_leaser_run(bh_leaser *leaser, bh_lease_job *j)
{
	bh_lease_row *r = j->row;
	const bool slow = r->slow, takes_long = is_long(j);

	leaser->slow_running += slow;
	leaser->long_running += takes_long;
	if (j == &r->call)
		run_call(leaser, r);
	else if (j == &r->quarantine)
		run_quarantine(leaser, r);
	else if (is_detach(j))
		run_detach(leaser, r);
	else
		run_attach(leaser, r);
	leaser->slow_running -= slow;
	leaser->long_running -= takes_long;
	pthread_cond_broadcast(&leaser->jobs); /* one more slow or long one may run */
}
