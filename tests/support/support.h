/* SPDX-License-Identifier: Apache-2.0
 *
 * support.h: what the system tests share: scratch directories with a local KMS beside a database, copies of whole trees, child
 * processes that are watched, and a census of bytes.
 *
 * A check that fails ends the cmocka test. In a child process (child_run) cmocka must not be used: there, use child_check, which
 * says why and ends the child with CHILD_FAILED.
 */
#ifndef BH_TESTS_SYSTEM_SUPPORT_H
#define BH_TESTS_SYSTEM_SUPPORT_H

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/bulkhead.h>

#include "keyring/base/base.h"

#define PATH_SIZE 512

/* Fails the test, with the status's own sentence, unless `call` ends with BH_OK; or with `want`. */
#define OK(call) expect_status((call), BH_OK, #call, __FILE__, __LINE__)
#define ENDS_WITH(want, call) expect_status((call), (want), #call, __FILE__, __LINE__)
void expect_status(bh_status got, bh_status want, const char *call, const char *file, int line);

/* ---- scratch directories */
typedef struct workspace {
	char root[PATH_SIZE]; /* under $TMPDIR or /tmp; holds everything below */
	char db[PATH_SIZE];   /* root/db, not made yet */
	char kms[PATH_SIZE];  /* root/kms, made with its first key */
} workspace;
void workspace_open(workspace *ws);
void workspace_close(workspace *ws); /* removes it with all it holds */

/* "local:<kms>#<key>" in a static buffer of four, used in turn. */
const char *workspace_cmk(const workspace *ws, const char *key);
/* Makes the CMKs "platform" and one of each name (NULL ends them), and the database under `platform`. */
void workspace_create(const workspace *ws, const bh_db_options *options, const char *const *merchants);
/* Adds the merchant under the CMK of its name. */
void workspace_add(const workspace *ws, bh_db *db, const char *merchant, const char *const *classes, size_t count);

void path_join(char out[PATH_SIZE], const char *dir, const char *name);

/* ---- trees: regular files and directories alone; a file that goes away meanwhile is left out */
void tree_copy(const char *from, const char *to);
void tree_remove(const char *path);
/* Calls `each` for every regular file; `path` begins with `root`. */
void tree_walk(const char *root, void (*each)(void *arg, const char *path), void *arg);
/* Over names, sizes and contents; not over times, and not over what every open changes: see audit_mask(). */
uint64_t tree_hash(const char *root);
/* Leaves nothing of an AUDIT, which every use of a key appends to, and takes what KEYRING's commit mark says of it out of a
 * KEYRING; does nothing to other files. */
void audit_mask(const char *path, bh_buf *bytes);

bool file_exists(const char *path);
bh_buf file_read(const char *path); /* empty where it does not exist */
void file_write(const char *path, bh_view bytes);
/* The first file below `root` whose name ends in `suffix`, skipping `skip` of them in the order of their names; false: none. */
bool file_find(const char *root, const char *suffix, size_t skip, char out[PATH_SIZE]);
/* Waits, for 10 s at most, until `count` files below `root` or fewer end in `suffix`: RocksDB removes what a compaction has
 * replaced a moment later where something else holds it yet. */
bool file_settle(const char *root, const char *suffix, size_t count);

/* ---- child processes */
#define CHILD_FAILED 99

typedef struct child_end {
	bool timed_out; /* and killed for it */
	int signal;     /* that ended it; 0: none */
	int code;       /* exit code where no signal did */
	bh_buf said;    /* what it wrote to `out_fd` */
} child_end;
/* Runs `body` in a forked child, which exits with 0 when it returns; waits for at most `timeout_ms`. Fork before this process uses
 * RocksDB. */
child_end child_run(unsigned timeout_ms, void (*body)(void *arg, int out_fd), void *arg);

#define child_check(condition) child_expect((condition), #condition, __FILE__, __LINE__)
#define child_ok(call) child_expect((call) == BH_OK, #call, __FILE__, __LINE__)
void child_expect(bool holds, const char *what, const char *file, int line);
void child_say(int out_fd, const void *bytes, size_t len);

/* ---- bytes */
size_t bytes_count(bh_view haystack, bh_view needle); /* occurrences, overlapping ones included */

#endif
