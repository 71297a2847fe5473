/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_fixture.h: what the tests of erasures share: rows of several users in one class, and the search for those of one.
 *
 * Erased is what begins with "user7/"; keys end in "k7mark" and values are made of "v7mark", so that a shortened key counts, too.
 * Other users' rows lie on both sides of it, in the same files. Every file is decrypted with all keys of all merchants and of the
 * platform, by the formats alone.
 */
#ifndef BH_TESTS_ERASE_FIXTURE_H
#define BH_TESTS_ERASE_FIXTURE_H

#include <bulkhead/erase.h>

#include "tests/attack/decryptor.h"
#include "tests/engine/wall/suspend_fixture.h"

enum { USERS = 12, ROWS = 40, ERASED = 7 };

/* Hits by kind of file; 0 is for files that are not sealed. */
typedef struct findings {
	size_t hits[BH_KIND_OTHER + 1];
} findings;

findings search_dir(const char *dir);
findings search_now(const workspace *ws); /* of a copy: the database may be open */
size_t hits_of_all(const findings *f);

bh_view user_key(char out[64], int user, int row);
bh_view user_value(char out[4096], int user, int row, int version); /* every fifth is large enough for a blob file */
void put_user(bh_cf *cf, int user, int version);
void put_all(bh_cf *cf, int version);
size_t count_user(bh_cf *cf, int user);
void expect_others(bh_cf *cf, int version); /* all rows of all users but the erased one */
/* Plain blocks, so that what is searched for is seen; blob files; several levels. */
rocksdb_options_t *plain_options(void);

/* An open database of A and B, and A's class "events". */
typedef struct stage {
	const workspace *ws;
	rocksdb_options_t *options; /* NULL: the defaults */
	bh_db *db;
	bh_cf *a;
} stage;
stage stage_make(const workspace *ws, rocksdb_options_t *options); /* a new database; takes the options over */
stage stage_open(const workspace *ws, rocksdb_options_t *options); /* what is there; likewise */
void stage_reopen(stage *s);
void stage_close(stage *s);                           /* may be opened again */
void stage_end(stage *s);                             /* closes it, and frees the options */
void stage_expect_hits(const stage *s, size_t count); /* of the rows' bytes, in a copy of the files of now */

size_t stage_count_log(const stage *s, const char *text); /* how often the audit log has it */
size_t stage_count_notes(const stage *s);                 /* of erasures in A's events that are not done */

/* Erases the rows, to the end, and returns the evidence without what it owns. */
bh_erase_result erase_whole(bh_cf *cf, const bh_erase_options *options);
bh_erase_result erase_user(bh_cf *cf, const bh_erase_options *options);
void expect_pending(const bh_erase_result *result, const char *what);
void expect_done(const bh_erase_result *result);

#endif
