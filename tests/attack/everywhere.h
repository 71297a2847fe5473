/* SPDX-License-Identifier: Apache-2.0
 *
 * everywhere.h: merchant acme's marked keys and values, in every place where RocksDB puts keys and values, and copies of the
 * directory at every moment on the way. test_per_tenant_everywhere.c says what for.
 */
#ifndef BH_TESTS_SYSTEM_EVERYWHERE_H
#define BH_TESTS_SYSTEM_EVERYWHERE_H

#include "tests/support/harness.h"

enum { MARK_LEN = 24, PART_LEN = 8 };

/* The moments of the copies. */
enum moment {
	LOGGED,  /* written and synced, no SST yet */
	FLUSHED, /* the same in SSTs; overwritten since */
	CHANGED, /* overwritten, deleted, range-deleted, merged, all in the log */
	SETTLED, /* that flushed: old values and tombstones side by side in SSTs; a value of 3 MiB in the log */
	MANY,    /* a value of 3 MiB in a blob file, many small SSTs */
	COMPACTING,
	COMPACTED, /* by a key range; the LOG tells */
	REOPENED,
	BEFORE, /* just before the shred, with unflushed writes */
	AFTER,  /* just after it */
	LATER,  /* ... and after more writes and flushes */
	LAST,   /* ... and after a reopen */
	MOMENTS,
};

typedef struct everywhere {
	workspace ws;
	char mark[3][MARK_LEN + 1]; /* of acme, bolt, the platform */
	rocksdb_options_t *rocksdb;
	bh_db *db;
	bh_cf *a, *b;
	unsigned rows_a, rows_b; /* keys so far; bolt's are 0 to rows_b, each written once */
	char copies[MOMENTS][PATH_SIZE];
} everywhere;

enum { ACME, BOLT, PLATFORM };

/* Random marks, a workspace, options; no database yet. */
void everywhere_init(everywhere *e, bool compressed);
void everywhere_clear(everywhere *e); /* the database is closed */

/* Key and value number `number` of one of the three; `place` stands behind the mark. */
bh_view everywhere_key(const everywhere *e, int who, unsigned number, const char *place, char out[128]);
bh_view everywhere_value(const everywhere *e, int who, unsigned number, const char *place, char out[128]);

/* Makes the database, open from here on, and all the copies LOGGED to BEFORE; and then, once acme is shredded, AFTER and LATER. */
void everywhere_before(everywhere *e);
void everywhere_after(everywhere *e);
void everywhere_open(everywhere *e); /* acme's class, too, while there is one */
void everywhere_close(everywhere *e);
void everywhere_copy(everywhere *e, enum moment moment);

#endif
