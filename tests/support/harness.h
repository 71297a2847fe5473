/* SPDX-License-Identifier: Apache-2.0
 *
 * harness.h: for system tests that kill, fork and reopen: checks and children on top of support.h's workspaces, databases, a merge
 * operator.
 *
 * RocksDB does not survive a fork: its threads stay behind. So a test whose children open a database never opens one itself:
 * everything that touches RocksDB runs inside a child, and the parent looks at how it ended. An assertion of RocksDB's or a kill
 * then is a result like any other. The checks here work on both sides: they end a child with CHILD_FAILED, or fail the cmocka test
 * that runs.
 *
 * Thread-safety: the checks may be called from any thread of a child.
 */
#ifndef BH_TESTS_HARNESS_H
#define BH_TESTS_HARNESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "keyring/dek/dek.h"
#include "support.h"

/* ---- checks */
void test_fail_at(const char *file, int line, const char *fmt, ...) BH_PRINTF(3, 4) __attribute__((noreturn));
void test_status_at(bh_status got, bh_status want, const char *what, const char *file, int line);
void test_rocks_at(const char *error, const char *what, const char *file, int line);

#define test_check(cond)                                                                                                           \
	do {                                                                                                                       \
		if (!(cond))                                                                                                       \
			test_fail_at(__FILE__, __LINE__, "%s", #cond);                                                             \
	} while (0)
#define test_ok(call) test_status_at((call), BH_OK, #call, __FILE__, __LINE__)
#define test_status(call, want) test_status_at((call), (want), #call, __FILE__, __LINE__)
/* `error` is what RocksDB's C API left there: NULL, or it fails. */
#define test_rocks_ok(error) test_rocks_at((error), "RocksDB", __FILE__, __LINE__)
/* This thread's last message names `what`. */
#define test_message_names(what) test_message_at((what), __FILE__, __LINE__)
void test_message_at(const char *what, const char *file, int line);

/* ---- setup and teardown of a test whose state is a workspace of its own */
int test_workspace_make(void **state);
int test_workspace_drop(void **state);

/* ---- children: `body` runs in a fork, which leaves with 0 */
pid_t test_child_start(void (*body)(void *arg), void *arg);
int test_child_wait(pid_t child); /* what waitpid() says of it */
/* Fails unless it ends with 0; or with SIGKILL: its own, or a crash point's. */
void test_child_ok(void (*body)(void *arg), void *arg);
void test_child_killed(void (*body)(void *arg), void *arg);
/* True: it ended with 0; false: by SIGKILL. Fails on anything else. */
bool test_child_survives(void (*body)(void *arg), void *arg);

/* ---- databases; `rocksdb` NULL: the defaults */
/* The URI of a CMK of the workspace, made if it is missing. As workspace_cmk(): borrowed, one of four. */
const char *test_cmk(const workspace *ws, const char *name);
void test_db_create(const workspace *ws, const rocksdb_options_t *rocksdb);
bh_db *test_db_open(const workspace *ws, const rocksdb_options_t *rocksdb);
/* The platform's newest DEK of the closed database in `dir`, as somebody has it who has got hold of it; bh_dek_unref(). */
bh_dek *test_platform_dek(const char *dir);
/* Adds a merchant under the CMK of its own name. `cls2` may be NULL. */
void test_merchant_add(const workspace *ws, bh_db *db, const char *name, const char *cls1, const char *cls2);
bh_cf *test_cf(bh_db *db, const char *merchant, const char *cls);
void test_put(bh_cf *cf, const char *key, const char *value);
/* The value of `key` is `value`; NULL: it is not there. */
void test_expect(bh_cf *cf, const char *key, const char *value);
/* Appends operands to the value; for rocksdb_options_set_merge_operator(). */
rocksdb_mergeoperator_t *test_append_operator(void);
/* `options` changed by an option string of RocksDB's, "name=value;..."; frees `options`. */
rocksdb_options_t *test_options_with(rocksdb_options_t *options, const char *changes);
/* A sorted file at `path`, written through `env` (NULL: in the clear), and filled between the two calls. */
typedef struct test_sst {
	rocksdb_options_t *options;
	rocksdb_envoptions_t *env_options;
	rocksdb_sstfilewriter_t *writer;
} test_sst;
test_sst test_sst_begin(rocksdb_env_t *env, const char *path);
void test_sst_put(test_sst *sst, const char *key, const char *value);
void test_sst_end(test_sst *sst);
/* Whether files below `ws` can be opened for direct I/O. */
bool test_direct_io_works(const workspace *ws);

#endif
