/* SPDX-License-Identifier: Apache-2.0
 *
 * lease_stage.h: a database whose clock is the test's own, with a merchant A whose KMS (local, a directory of its own) the test
 * plays with, and a merchant B on which a thread works all the time: none of its operations may fail, and every write of it has to
 * be there. Nothing depends on how fast the machine is: what follows from an event is waited for.
 */
#ifndef LEASE_STAGE_H
#define LEASE_STAGE_H

#include "tests/support/harness.h"

#include <pthread.h>
#include <stdatomic.h>

#include "engine/core/merchant.h"
#include "engine/wall/leaser.h"

#define LIMIT 300000 /* of a lease, ms */
#define PATIENCE_MS 30000

typedef struct stage {
	workspace *ws;
	bh_db *db;
	bh_cf *a, *b;
	char kms[PATH_SIZE];     /* A's, a directory of its own */
	char key[PATH_SIZE];     /* A's CMK in it */
	uint32_t kms_timeout_ms; /* of the providers; 0: their default. Set before begin() */
	unsigned rows;           /* of A, acknowledged */
	pthread_t worker;
	atomic_bool over;
	atomic_uint b_ops;
	atomic_llong slowest_ns; /* write and read of B */
	atomic_uint alarms;
} stage;

extern _Atomic int64_t boot_ms, wall_ms; /* the clocks; bh_leaser_wake() when one was moved */

void begin(stage *s);        /* with A and B, and at work */
void begin_with_b(stage *s); /* with B alone: who has another KMS for A adds it */
void begin_again(
	stage *s);  /* the database as an earlier process left it, with B at work; A is opened by who knows that it is there */
void end(stage *s); /* B has lost nothing, and RocksDB has not noticed a thing; closes */
void open_stage(stage *s);
void add_a(stage *s);

void pause_ms(unsigned ms);
/* Waits for the condition, and does `meanwhile` while it does not hold. */
#define WAIT_WHILE_DOING(condition, meanwhile)                                                                                     \
	do {                                                                                                                       \
		for (unsigned waited_ms = 0; !(condition) && waited_ms < PATIENCE_MS; waited_ms += 5) {                            \
			pause_ms(5);                                                                                               \
			meanwhile;                                                                                                 \
		}                                                                                                                  \
		test_check(condition);                                                                                             \
	} while (0)
#define WAIT_UNTIL(condition) WAIT_WHILE_DOING(condition, (void)0)

bh_leaser_info look(stage *s); /* at A's lease */
/* Lets time pass in steps, so that B, whose KMS is well, is renewed in between. */
void pass(stage *s, int64_t ms);
/* On a slow machine the answer to a call can come after the time that was to pass, and A pauses from then on. So time goes on while
 * A waits for its next call; not while it is being attached, since its new lease runs. */
void pass_if_pausing(stage *s);

void write_rows(stage *s); /* of A; acknowledged, and neither synced nor flushed */
void all_rows_are_there(stage *s);
void is_refused(stage *s, bh_status want);
void is_detached(stage *s, bh_suspend_cause cause, bh_lease_state state);
void is_back(stage *s); /* with all its rows; writes some more */
bool is_in(stage *s, bh_merchant_state state, bh_suspend_cause cause);
void b_goes_on(stage *s, unsigned more);  /* is served `more` times from now, whatever A's KMS does */
void set_enabled(stage *s, bool enabled); /* A's CMK */
void flip(stage *s);                      /* one byte of it */

#endif
