/* SPDX-License-Identifier: Apache-2.0
 *
 * erase.h: what an erasure's parts share, and what an open does about erasures.
 */
#ifndef BH_ENGINE_ERASE_H
#define BH_ENGINE_ERASE_H

#include <bulkhead/erase.h>

#include "erase_record.h"

#define BH_ERASE_WAIT_MS 5000     /* where the caller does not say */
#define BH_ERASE_WAIT_MIN_MS 1000 /* for RocksDB itself, at the end of a long erasure */

/* One erasure under way. */
typedef struct bh_erasure {
	bh_merchant *merchant;
	bh_class *cls;
	bh_db *db;
	rocksdb_column_family_handle_t *family;
	bh_erase_scope scope;
	bh_view prefix;
	bh_buf end;       /* behind the last key of the prefix; empty: there is no such key */
	bh_buf last;      /* where the deletion ends: `end`, or behind the last key that was there */
	bool suppress;    /* nothing is to be written under the prefix any more */
	bool patient;     /* the caller said how long to wait */
	int64_t until_ms; /* of bh_gate_now_ms() */
	uint8_t digest[BH_SHA256_LEN];
	bh_erase_note note;
	const rocksdb_snapshot_t *snapshot; /* of the deletion */
	bh_buf before;                      /* bh_class_file: what there was when it began */
	uint64_t newest_log;                /* the highest number of a log when the rows were deleted */
	uint64_t versions;                  /* found by the scan under way */
	bool unclean;                       /* the rows are not out of the SSTs and blob files: it has to be asked for again */
	bh_erase_result result;
} bh_erasure;

/* erase.c */
/* Whether the merchant still serves: between two steps, and in every wait, since a gate that closes waits for us. */
BH_MUST_CHECK bh_status bh_erasure_go_on(const bh_erasure *e);
/* The same, after a short sleep. */
BH_MUST_CHECK bh_status bh_erasure_pause(const bh_erasure *e);
bool bh_erasure_is_late(const bh_erasure *e);
/* Waits for snapshots that are older than `sequence`, if the caller is patient. */
BH_MUST_CHECK bh_status bh_erasure_wait_for_snapshots(const bh_erasure *e, uint64_t sequence, bool *held_out);

/* erase_clean.c, after the deletion: each adds to result.pending what it cannot bring about. */
/* Has the SSTs and blob files rewritten; sets e->unclean. */
BH_MUST_CHECK bh_status bh_erasure_clean_files(bh_erasure *e);
/* Has the WALs left behind, and looks at the MANIFEST; sets e->note.logs. */
BH_MUST_CHECK bh_status bh_erasure_clean_logs(bh_erasure *e);
BH_MUST_CHECK bh_status bh_erasure_files(const bh_erasure *e, bh_buf *out); /* bh_class_file, in place of what is in `out` */

/* At open: completes what waited for logs to be left behind, and reports what a crash cut short. A failure is logged. */
void bh_erase_at_open(bh_db *db, const bh_merchant_info *merchant);

/* erase_files.c */

/* The numbered files in the class's directory: appends a uint64_t each. `foreign` (may be NULL): names of files that are not
 * RocksDB's, a line each. Errors: BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_erase_list_files(const bh_db *db, const bh_scope *scope, bh_buf *numbers, bh_buf *foreign);
bool bh_erase_numbers_have(const bh_buf *numbers, uint64_t number);

/* Which logs to look at. */
typedef enum bh_erase_logs {
	BH_ERASE_LIVE_WALS,     /* of the live database, its archive included */
	BH_ERASE_LIVE_MANIFEST, /* of the live database */
	BH_ERASE_PARKED,        /* both kinds, in the parked directories of all merchants */
} bh_erase_logs;
/* Appends the path, in the database's directory, of each of these logs of number `limit` and below that has bytes of the class
 * under a DEK that is not destroyed, a line each. Errors: BH_E_IO, BH_E_NOMEM, those of bh_file_references(). */
BH_MUST_CHECK bh_status bh_erase_list_logs(const bh_db *db, const bh_scope *scope, bh_erase_logs which, uint64_t limit,
					   bh_buf *paths);
/* The highest number of a WAL or MANIFEST of the live database. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_erase_newest_log(const bh_db *db, uint64_t *number_out);

#endif
