/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs.h: flushes and compactions that fail, before RocksDB takes the failure for everybody's. Part of the bridge: converts and
 * forwards.
 *
 * A failed job is a background error of the whole database, unless a listener says that it is none. Then RocksDB goes on as if
 * nothing had been tried; but who waits inside of RocksDB for that flush waits on, so that flushes are waited for here.
 */
#ifndef BH_BRIDGE_JOBS_H
#define BH_BRIDGE_JOBS_H

#include "bridge.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bh_job_verdict {
	BH_JOB_EVERYBODYS, /* a background error, as RocksDB has it */
	BH_JOB_OWN,        /* of one merchant, who is taken out: forgotten */
	BH_JOB_AWAITED,    /* the same, but somebody waits who does not hear of it otherwise: all stop until bh_bridge_resume() */
} bh_job_verdict;

typedef struct bh_job_failure {
	const char *family; /* whose job it was; NULL: not known */
	const char *text;   /* RocksDB's words */
	bool flush;         /* else a compaction */
	bool lack;          /* of room, descriptors, memory: nobody's damage */
} bh_job_failure;
/* From RocksDB's threads; none of its locks is held. */
typedef bh_job_verdict (*bh_job_judge)(void *arg, const bh_job_failure *failure);

typedef struct bh_jobs bh_jobs;
bh_jobs *bh_jobs_new(bh_job_judge judge, void *arg);
void bh_jobs_free(bh_jobs *jobs); /* after the last database that listens; NULL-safe */
/* Before it is opened: listens to the database of these options, before everybody who is added later. */
void bh_jobs_listen(bh_jobs *jobs, rocksdb_options_t *options);
uint64_t bh_jobs_forgotten(const bh_jobs *jobs); /* how many were OWN */

/* As rocksdb_flush_cf() with wait, but ends, as a failure, once *stop becomes true: it may be set by an atomic store. `now`:
 * without waiting for a time when one more memtable or file would hold no writes back, which is right where nobody writes any more.
 * `limit_ms`: ends then as well; negative: never. */
void bh_jobs_flush(bh_jobs *jobs, rocksdb_t *db, rocksdb_column_family_handle_t *cf, bool now, const bool *stop, int limit_ms,
		   char **error);
/* The family holds nobody's writes back any more, however many memtables and files it gathers, and is not compacted by itself. Who
 * waits is not woken by it. Waits for writers itself. Errors: those of RocksDB. */
BH_MUST_CHECK bh_status bh_jobs_relax(rocksdb_t *db, rocksdb_column_family_handle_t *cf);
/* Everybody goes on after an AWAITED failure. Errors: those of RocksDB. */
BH_MUST_CHECK bh_status bh_bridge_resume(rocksdb_t *db);

/* Ends one rocksdb_disable_file_deletions(). A failure is left in *error, as the C API does it, whose own call takes other
 * arguments in other versions. */
void bh_bridge_enable_file_deletions(rocksdb_t *db, char **error);

#ifdef __cplusplus
}
#endif
#endif
