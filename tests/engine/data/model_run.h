/* SPDX-License-Identifier: Apache-2.0
 *
 * model_run.h: a database beside the model: does each operation on it and checks every answer against the state it should be in.
 *
 * Thread-safety: none.
 */
#ifndef BH_TESTS_MODEL_RUN_H
#define BH_TESTS_MODEL_RUN_H

#include "model.h"
#include "tests/support/harness.h"

enum { RUN_SNAPSHOTS = 3 };

/* What varies from one opening to the next. */
typedef struct run_config {
	size_t write_buffer; /* bytes */
	int compression;
	int max_open_files;
	bool blobs, direct, manual_wal_flush, pipelined;
} run_config;

void run_config_make(test_random *random, bool direct_works, run_config *out);
void run_config_print(const run_config *config);

typedef struct model_run {
	const workspace *ws;
	run_config config;
	model_state *state; /* borrowed: what the database should hold */
	bh_db *db;
	bh_cf *families[MODEL_FAMILIES];
	struct {
		bh_snapshot *snapshot; /* NULL: none held here */
		model_state state;     /* when it was taken */
	} held[RUN_SNAPSHOTS];
} model_run;

/* Makes the database with its merchants. */
void run_create(const workspace *ws, const run_config *config);
void run_open(model_run *run);
void run_close(model_run *run);
/* The digest of all that the database holds; checks the order of keys on the way. */
uint64_t run_digest(model_run *run);
/* Does `op` and checks what it answers. Writes are applied to run->state. */
void run_op(model_run *run, const model_op *o);

#endif
