/* SPDX-License-Identifier: Apache-2.0
 *
 * fs_stage.h: a database of the merchants ann and bob, seen through one of two Envs: its own (bh_env_create()), and a scratch of
 * the plugin, which is linked in here; and files of each kind.
 *
 * Thread-safety: none.
 */
#ifndef BH_TESTS_FS_STAGE_H
#define BH_TESTS_FS_STAGE_H

#include "tests/support/harness.h"

#include "fs_calls.h"

typedef struct stage {
	const workspace *ws;
	rocksdb_env_t *env;
	char dir[PATH_SIZE];  /* where files are tried; exists */
	char logs[PATH_SIZE]; /* where WALs are */
} stage;

/* The path of that name in the stage's directory, or of a WAL in its own: one of eight, used in turn. */
const char *at(const stage *s, const char *name);

/* Makes the database; both merchants have the class data. */
void stage_make_database(const workspace *ws);
/* Makes it, and opens the Env of the database that is `spelled` so (NULL: ws->db), in ann's directory: all there has an owner. */
stage stage_open_own(const workspace *ws, const char *spelled);
stage stage_open_scratch(const workspace *ws);
void stage_close(stage *s);

/* A body that runs once for each Env, in a child with a database of its own, and is ended by a signal if it hangs. */
typedef void (*stage_body)(stage *s);
void stage_for_each_env(stage_body body);
#define FOR_EACH_ENV(body)                                                                                                         \
	static void test_##body(void **state)                                                                                      \
	{                                                                                                                          \
		(void)state;                                                                                                       \
		stage_for_each_env(body);                                                                                          \
	}

/* ---- a file of each kind, with content that it may have */

typedef struct file_kind {
	const char *name;
	bool log;    /* RocksDB's log format */
	bool paged;  /* sealed at its sync */
	size_t size; /* of the content */
} file_kind;
enum { KIND_SST, KIND_BLOB, KIND_WAL, KIND_MANIFEST, KIND_OPTIONS, KIND_DBTMP, KIND_OTHER, KIND_COUNT };
extern const file_kind kinds[KIND_COUNT];

/* One append's worth, for the beginning of a file. */
void kind_content(const file_kind *k, bh_buf *out);
void make_file(const stage *s, const file_kind *k, const char *path);
/* It is what make_file() makes, by reading and by its size. */
void expect_file(const stage *s, const file_kind *k, const char *path);

#endif
