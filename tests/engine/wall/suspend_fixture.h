/* SPDX-License-Identifier: Apache-2.0
 *
 * suspend_fixture.h: what the tests of suspension share: merchants A ("a", classes "events" and "profile") and B ("b", class
 * "events"), the two ways of switching A off, and kills at the N-th crash point of all.
 */
#ifndef BH_TESTS_SUSPEND_FIXTURE_H
#define BH_TESTS_SUSPEND_FIXTURE_H

#include "engine/core/merchant.h"
#include "tests/support/harness.h"

typedef enum way {
	BY_OPERATOR,
	REVOKED, /* nothing is flushed any more: WALs are parked */
} way;
void switch_off(bh_db *db, const char *name, way how);
bh_status off_status(way how);

typedef struct kill_run {
	const workspace *ws;
	way how;
	int at; /* the N-th crash point of all */
} kill_run;
void arm(int at);

/* A and B with a row in an SST and one in the WAL each; left closed. */
void make_two(const workspace *ws);
void make_two_child(void *arg);
/* Their rows; `last`: also the one that a child wrote before it was killed. */
void expect_both(bh_db *db, bool last);

/* Small rows of A's and B's "events", from the first to the last: "k1" is "a1" and "b1", as make_two() has it. */
void expect_numbered(bh_db *db, int first, int last);

/* Rows numbered `i`: every seventh is large enough for a blob file. */
bh_view row_key(char out[16], int i);
void put_row(bh_cf *cf, int i, size_t len);
void expect_put_row(bh_cf *cf, int i, size_t len);
size_t row_len(int i);

#define SUSPEND_CASE(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)

#endif
