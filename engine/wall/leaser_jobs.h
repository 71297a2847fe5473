/* SPDX-License-Identifier: Apache-2.0
 *
 * leaser_jobs.h: what the leaser decides, and what its workers do. All functions want bh_leaser.lock held.
 */
#ifndef BH_LEASER_JOBS_H
#define BH_LEASER_JOBS_H

#include "leaser_state.h"

/* The first job that may run now, see leaser.h on slow ones; NULL: none. */
bh_lease_job *bh_lease_queue_take(bh_leaser *leaser, bh_lease_queue *q);
/* Takes a job that nobody runs yet off its queue; false: it is not there. */
bool bh_lease_queue_cancel(bh_lease_queue *q, bh_lease_job *j);
/* Queues a quarantine that is due. */
void bh_leaser_push_quarantine(bh_leaser *leaser, bh_lease_row *r);
/* Does what is due for one lease. */
void bh_leaser_decide(bh_leaser *leaser, bh_lease_row *r, bh_lease_time now);
/* Does the job; `lock` is released while somebody else is asked. */
void bh_leaser_run(bh_leaser *leaser, bh_lease_job *j);
void bh_leaser_set_deadline(bh_leaser *leaser, bh_lease_row *r, int64_t deadline_ms);
bh_lease_state bh_leaser_state_of(bh_suspend_cause cause);

#endif
