/* SPDX-License-Identifier: Apache-2.0
 *
 * leaser.h: the thread that keeps merchants' leases (keyring/dek/lease.h), and the workers that do what it decides.
 *
 * Threads of one leaser, and why there are so many:
 *   - The scheduler looks at all leases when one is due, and once a second: a clock that jumps wakes nobody. It closes gates
 * itself, because that waits for nothing, and hands everything else to workers. It never waits for a KMS, a disk or a lock that
 * somebody holds over either.
 *   - BH_LEASER_KMS_WORKERS ask KMSs and attach. A KMS may hang for as long as its provider waits, so they are several; a merchant
 * has one call at a time, and one whose last call was slow or unanswered shares BH_LEASER_SLOW_WORKERS of them with others of its
 *     kind. So a dead KMS costs others nothing from its second call on, and on the first call at most what it takes to fill all
 *     workers at once, which the 40 % of the limit that are left at renewal are for.
 *   - Attaching may take long, too: a merchant's rows are read out of everybody's WALs, slowly (pacer.h). One KMS worker is left to
 *     calls that are neither slow nor attach, however many merchants come back at once.
 *   - One worker detaches, also those whose files are damaged. It asks no KMS, so that taking keys from memory never queues behind
 * a call that hangs.
 *
 * It knows nothing of databases: what it does to merchants it does through bh_leaser_host.
 *
 * Lock order: `bh_leaser.lock` comes after bh_merchant.op and before bh_db.lock. Of the host's functions gate_close and deadline
 * are called with it held, the others with none.
 */
#ifndef BH_LEASER_H
#define BH_LEASER_H

#include <bulkhead/db.h>

#include "keyring/ring/keyring.h"
#include "keyring/dek/lease.h"

#define BH_LEASER_KMS_WORKERS 4
#define BH_LEASER_SLOW_WORKERS 2
#define BH_LEASER_SLOW_MS 1000 /* a call that took longer was slow */
#define BH_LEASER_NOTE_MAX 255 /* bytes, as the keyring keeps them */

typedef struct bh_leaser_host {
	/* One call to the KMS; may hang. As bh_keyring_merchant_renew(). */
	bh_status (*renew)(void *arg, const char *name);
	/* Unwraps and attaches; may hang. BH_E_SUSPENDED: an operator suspended it. */
	bh_status (*attach)(void *arg, const char *name);
	/* Idempotent. BH_E_SUSPENDED likewise. */
	bh_status (*detach)(void *arg, const char *name, bh_suspend_cause cause, const char *note);
	/* Detaches who was found to be damaged; BH_OK if it is none any more. */
	bh_status (*quarantine)(void *arg, const char *name);
	void (*gate_close)(void *arg, const char *name, bh_status reason);
	/* On CLOCK_MONOTONIC_COARSE; see gate.h. */
	void (*deadline)(void *arg, const char *name, int64_t coarse_monotonic_ms);
	/* Whether it is detached for a cause that is its KMS's, and then which. */
	bool (*is_detached)(void *arg, const char *name, bh_suspend_cause *cause_out);
	/* For operators; no newline, no tenant bytes. */
	void (*log)(void *arg, const char *line);
} bh_leaser_host;

typedef struct bh_leaser bh_leaser;

/* Without threads as yet. `clock` NULL: the system's. `host` and what it points to outlive the leaser. Errors: BH_E_INVALID
 * (limit), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_leaser_new(const bh_leaser_host *host, void *arg, int64_t limit_ms, const bh_clock *clock,
				      bh_leaser **out);
/* Errors: BH_E_NOMEM (threads). */
BH_MUST_CHECK bh_status bh_leaser_start(bh_leaser *leaser);
/* Ends the threads, waits for a call under way (for as long as its provider waits for an answer): from then on it decides nothing
 * and does nothing. NULL-safe, again is fine. */
void bh_leaser_end(bh_leaser *leaser);
/* Ends it, and frees it. NULL-safe. */
void bh_leaser_free(bh_leaser *leaser);

/* Now, for bh_leaser_granted(): to be taken before the KMS is asked. */
bh_lease_time bh_leaser_now(bh_leaser *leaser);
/* The merchant's DEKs were unwrapped at `asked` or later, and it is attached. Sets its gate's deadline. Errors: BH_E_NOMEM; then it
 * is as good as not attached: its gate does not open. */
BH_MUST_CHECK bh_status bh_leaser_granted(bh_leaser *leaser, const char *name, bh_lease_time asked);
/* It is detached for this cause, not OPERATOR: asked for from now on (DAMAGED: not). Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_leaser_found(bh_leaser *leaser, const char *name, bh_suspend_cause cause);
/* It is suspended by an operator, or shredded: nothing is done about it until it is granted again. Unknown names are fine. */
void bh_leaser_stop(bh_leaser *leaser, const char *name);
/* A file of its is damaged: host->quarantine() is called for it by the local worker, again after a second or more where that fails.
 * Waits for nothing. */
void bh_leaser_hurt(bh_leaser *leaser, const char *name);
/* Looks at the clocks and all leases now, for tests that move a clock. */
void bh_leaser_wake(bh_leaser *leaser);

typedef struct bh_leaser_info {
	bh_lease_state state;
	int64_t age_ms;       /* -1: not serving */
	int64_t remaining_ms; /* 0: not serving */
	int64_t limit_ms;
	uint64_t calls; /* to the KMS, by the leaser; their outcomes follow */
	uint64_t refused, unreachable, damaged;
	int64_t last_ms;                   /* how long the last call took; -1: none ended */
	char note[BH_LEASER_NOTE_MAX + 1]; /* what the last call said if it failed; "" otherwise */
} bh_leaser_info;
/* Errors: BH_E_NO_SUCH_MERCHANT (it has no lease). */
BH_MUST_CHECK bh_status bh_leaser_look(bh_leaser *leaser, const char *name, bh_leaser_info *out);

#endif
