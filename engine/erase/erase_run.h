/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_run.h: one erasure under way, and how it waits.
 */
#ifndef BH_ENGINE_ERASE_RUN_H
#define BH_ENGINE_ERASE_RUN_H

#include "engine/core/merchant.h"
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

/* Whether the merchant still serves: between two steps, and in every wait, since a gate that closes waits for us. */
BH_MUST_CHECK bh_status bh_erasure_go_on(const bh_erasure *e);
/* The same, after a short sleep. */
BH_MUST_CHECK bh_status bh_erasure_pause(const bh_erasure *e);
bool bh_erasure_is_late(const bh_erasure *e);
/* Waits for snapshots that are older than `sequence`, if the caller is patient. */
BH_MUST_CHECK bh_status bh_erasure_wait_for_snapshots(const bh_erasure *e, uint64_t sequence, bool *held_out);

#endif
