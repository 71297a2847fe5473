/* SPDX-License-Identifier: Apache-2.0
 *
 * damage_fixture.h: what the tests of damaged files share: merchants A ("a", class "events") with SSTs of some pages, and B ("b")
 * likewise, who works beside and is to notice nothing; ways to damage a file, and to make it good again.
 */
#ifndef BH_TESTS_DAMAGE_FIXTURE_H
#define BH_TESTS_DAMAGE_FIXTURE_H

#include <pthread.h>

#include "engine/core/merchant.h"
#include "tests/support/harness.h"

enum { DAMAGE_ROWS = 600, DAMAGE_SSTS = 2 };

typedef enum harm {
	HARM_FLIP_HEADER,
	HARM_FLIP_FIRST, /* a bit of the first page, the middle one, the last one */
	HARM_FLIP_MIDDLE,
	HARM_FLIP_LAST,
	HARM_CUT_HALF,
	HARM_CUT_PAGE, /* the last page is gone */
	HARM_EMPTY,
	HARM_MISSING,
	HARM_EXCHANGED, /* for another file of the class */
	HARM_DIRECTORY,
	HARM_FIFO,
	HARM_SYMLINK,
	HARM_UNREADABLE, /* for whoever is not root */
	HARM_COUNT,
} harm;
const char *harm_name(harm h);
/* `other`: another file of the class, for HARM_EXCHANGED. What the file was is kept beside the database. */
void harm_file(const char *path, const char *other, harm h);
/* Gives up root's power over the workspace's files, if this process has it: for HARM_UNREADABLE. */
void damage_as_nobody(const workspace *ws);
/* The file that was there, to `path` or to another place. */
void heal_file(const char *path, const char *to);

/* A and B with DAMAGE_SSTS files each; left closed. */
void damage_make(const workspace *ws, const rocksdb_options_t *rocksdb);
void damage_make_child(void *arg);
/* As test_db_open(); with BH_TEST_LOG set in the environment what the database says is printed. */
bh_db *damage_open(const workspace *ws, const rocksdb_options_t *rocksdb);
bh_status damage_try_open(const workspace *ws, const rocksdb_options_t *rocksdb, bh_db **out);
/* The value of row `i`. */
void damage_value(uint8_t out[200], int i);
/* All of a merchant's rows are there. */
void damage_expect_all(bh_db *db, const char *merchant);
/* The `skip`-th SST of A, in the order of names; below `where`, "tenants" or "parked". */
void damage_file(const workspace *ws, const char *where, size_t skip, char out[PATH_SIZE]);

/* Until A is detached for damage; its note names `file`. At most 20 s. */
void damage_wait_quarantined(bh_db *db, const char *file);
bool damage_is_quarantined(bh_db *db, const char *merchant);

/* B at work in a thread of its own, synced writes and reads, from _begin to _end; then every call has succeeded, none took longer
 * than a second, and RocksDB has no background error. */
typedef struct neighbour {
	bh_db *db;
	pthread_t thread;
	_Atomic bool stop;
	uint64_t calls, failures, slowest_ms;
	char what[200];
} neighbour;
void neighbour_begin(neighbour *n, bh_db *db);
void neighbour_end(neighbour *n);

#endif
