/* SPDX-License-Identifier: Apache-2.0
 *
 * lease.h: how long a merchant's unwrapped DEKs may be used before its KMS must say yes again.
 *
 * A pure state machine, one for each merchant: events go in (what the KMS answered, what an operator did, what became of a detach),
 * decisions come out (ask now, close the gate, detach, attach, look again in so many ms). No I/O, no threads, no clock of its own:
 * the engine's leaser drives it.
 *
 * Invariants:
 *   - DEKs are in use (bh_lease_is_serving) for less than `limit_ms` after the *beginning* of the newest call that the KMS said yes
 *     to. The answer may have been decided at any moment of the call, so the earliest is taken.
 *   - One call to the KMS at a time; an answer that is older than what is known by now changes nothing.
 *   - One detach or attach at a time; each decision is handed out once.
 *   - A clock that jumps never lengthens a lease: of the two clocks the one counts that has gone further (bh_lease_elapsed_ms).
 *
 * Thread-safety: none; the owner's lock.
 */
#ifndef BH_LEASE_H
#define BH_LEASE_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_LEASE_LIMIT_DEFAULT_MS 300000
#define BH_LEASE_LIMIT_MIN_MS 1000
#define BH_LEASE_LIMIT_MAX_MS 900000
#define BH_LEASE_RENEW_PERCENT 60        /* of the limit: from here on it is renewed */
#define BH_LEASE_RENEW_JITTER_PERCENT 10 /* of the limit: spread of the first try */
#define BH_LEASE_RETRY_FIRST_MS 1000     /* after a call without an answer; doubles with each */
#define BH_LEASE_RETRY_MAX_MS 30000      /* while serving */
#define BH_LEASE_DOUBT_MAX_MS 30000      /* how long a KMS has to end a doubt; and never longer than the limit */
#define BH_LEASE_DETACH_RETRY_MS 5000    /* after a detach that failed */
#define BH_LEASE_PROBE_MAX_MS 60000      /* while detached; and at least this long after a refusal */

/* ---- time */

/* How far both clocks have gone forward since the first reading, in ms. Neither goes back. */
typedef struct bh_lease_time {
	int64_t boot_ms;
	int64_t wall_ms;
} bh_lease_time;

/* Turns readings of CLOCK_BOOTTIME and CLOCK_REALTIME into progress: a clock that was set back has made none on that reading and
 * counts on from where it is now. All zero: nothing read yet. */
typedef struct bh_lease_clock {
	bool started;
	int64_t boot_ms, wall_ms; /* last readings */
	bh_lease_time progress;
} bh_lease_clock;
bh_lease_time bh_lease_clock_read(bh_lease_clock *clock, int64_t boot_ms, int64_t wall_ms);

/* From `since` to `now`, ms: by the clock that has gone further. */
int64_t bh_lease_elapsed_ms(bh_lease_time since, bh_lease_time now);

/* ---- the machine */

typedef enum bh_lease_state {
	BH_LEASE_OFF = 0,     /* no business of the lease: suspended by an operator, or not there yet. No calls, no decisions */
	BH_LEASE_HELD = 1,    /* the KMS said yes; serving. Renewed from 60 % of the limit */
	BH_LEASE_LATE = 2,    /* the last call got no answer; serving until the limit, asking again with growing pauses */
	BH_LEASE_LOST = 3,    /* no answer up to the limit: gate closed, detached. Probed; attached when the KMS answers */
	BH_LEASE_REFUSED = 4, /* the KMS said no: gate closed, detached. Probed once a minute; attached when it says yes */
	BH_LEASE_DAMAGED =
		5, /* what the KMS answered fails authentication: gate closed, detached. Left alone until an operator resumes */
	BH_LEASE_ATTACHING = 6, /* a probe was answered with yes: attach under way. The lease of the keys it unwraps runs already */
	BH_LEASE_DOUBTED = 7, /* the limit has passed, but by a clock that jumped, or while nobody looked: nobody enters, the KMS is
				 asked at once, and what it says decides. Keys are not used, but still there: not for long */
} bh_lease_state;
const char *bh_lease_state_name(bh_lease_state state); /* "held"; static */

typedef enum bh_lease_answer {
	BH_LEASE_YES,       /* the KMS unwrapped the DEK, and it is the one we have */
	BH_LEASE_NO,        /* disabled, deleted, denied, in another region */
	BH_LEASE_NO_ANSWER, /* unreachable; also a failure of our own, such as no memory: it may be tried again */
	BH_LEASE_WRONG,     /* does not authenticate, cannot be parsed, or is another key */
} bh_lease_answer;
/* What a status of bh_keyring_merchant_renew() or of an attach means to the lease. */
bh_lease_answer bh_lease_answer_of(bh_status status);

/* What is to be done, bits of bh_lease_decision.acts. */
enum {
	BH_LEASE_CALL = 1,   /* ask the KMS; bh_lease_answered() is owed */
	BH_LEASE_CLOSE = 2,  /* close the gate, before anything else */
	BH_LEASE_DETACH = 4, /* detach, and record why (bh_lease.state); bh_lease_detached() is owed */
	BH_LEASE_ATTACH = 8, /* attach; bh_lease_attached() is owed */
};

typedef struct bh_lease_decision {
	unsigned acts;
	uint64_t call;   /* with BH_LEASE_CALL: the number to give back with its answer */
	int64_t wake_ms; /* decide again after this time, or after an event; INT64_MAX: after an event only */
} bh_lease_decision;

typedef enum bh_lease_work {
	BH_LEASE_IDLE = 0,
	BH_LEASE_WORK_DETACH = 1,
	BH_LEASE_WORK_ATTACH = 2,
} bh_lease_work;

/* Fields are for lease.c; `state` may be read. */
typedef struct bh_lease {
	bh_lease_state state;
	int64_t limit_ms;
	bh_lease_time started;   /* when the call began that was last answered with yes */
	bh_lease_time paused_at; /* the next call is due pause_ms after this */
	int64_t pause_ms;
	unsigned failures;       /* calls without an answer, in a row */
	bool calling;            /* a call is under way */
	uint64_t call;           /* its number */
	bh_lease_time called_at; /* when it began */
	uint64_t newest;         /* number of the newest call or grant */
	uint64_t known;          /* answers to calls below this one are out of date */
	bh_lease_work work;      /* handed out and not ended yet */
	bool close_due, detach_due, attach_due;
	bh_lease_time doubted_at;
	bh_lease_time detach_from; /* a detach that is due begins detach_pause_ms after this */
	int64_t detach_pause_ms;
	uint64_t random; /* of the jitter */
} bh_lease;

/* OFF. `limit_ms` is BH_LEASE_LIMIT_MIN_MS to BH_LEASE_LIMIT_MAX_MS; `seed` spreads the jitter of many merchants. */
void bh_lease_init(bh_lease *lease, int64_t limit_ms, uint64_t seed);

/* Its DEKs were unwrapped by somebody else (open, add, an operator's resume), by calls that began at `asked` or later: HELD,
 * whatever was before. The answer of a call that is under way is out of date. */
void bh_lease_granted(bh_lease *lease, bh_lease_time asked);
/* It was found detached, for the cause that `state` stands for (LOST, REFUSED, DAMAGED): probed from `now` on. */
void bh_lease_found(bh_lease *lease, bh_lease_state state, bh_lease_time now);
/* It was suspended by an operator, or shredded: OFF. Work that is under way is still to be reported. */
void bh_lease_stop(bh_lease *lease);

/* The answer of call number `call`, which was received at `now`. Returns whether it counted: false for one out of date. */
bool bh_lease_answered(bh_lease *lease, uint64_t call, bh_lease_answer answer, bh_lease_time now);
/* The detach ended. One that failed is tried again after a pause; the gate is closed in any case. */
void bh_lease_detached(bh_lease *lease, bool done, bh_lease_time now);
/* The attach ended: YES, attached; else it is as detached as before. */
void bh_lease_attached(bh_lease *lease, bh_lease_answer answer, bh_lease_time now);

/* Lets time pass, and takes out what is to be done. */
void bh_lease_decide(bh_lease *lease, bh_lease_time now, bh_lease_decision *out);

/* Whether DEKs may be in use. DOUBTED is not: nobody is let in until the state is another. */
bool bh_lease_is_serving(const bh_lease *lease);
/* Since the beginning of the newest call that was answered with yes, ms; -1: not serving. */
int64_t bh_lease_age_ms(const bh_lease *lease, bh_lease_time now);
/* Until the limit, ms; 0: over, or not serving. */
int64_t bh_lease_remaining_ms(const bh_lease *lease, bh_lease_time now);

#ifdef __cplusplus
}
#endif
#endif
