/* SPDX-License-Identifier: Apache-2.0
 *
 * file.h: the durable half of the keyring: DB/KEYRING, locked, read and checked, appended to, replaced.
 *
 * Rules (README.md has them with the crash table):
 *   - Up to the commit mark every byte has to be as written; what is not is refused, never repaired.
 *   - Behind it, whole records in the chain count (a kill came between a record's sync and the mark's). What is incomplete or does
 * not match its XXH3 is a torn tail, dropped when writable, left alone when not. A whole record with a wrong HMAC is refused.
 *   - Nothing is ever made anew over what is there, and the leftover of an unfinished replacement (KEYRING.tmp) is never read.
 *   - After a failure that leaves in doubt what is on disk, the handle refuses further changes; opening again finds out.
 *
 * Thread-safety: the keyring allows one call at a time, but for those about the ledger, which may come beside all others. Locks:
 * `syncing` comes before `marking`.
 */
#ifndef BH_KEYRING_FILE_H
#define BH_KEYRING_FILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "keyring/base/io.h"
#include "scan.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_keyring_file {
	bh_io_dir dir; /* the database's directory; its flock is held through this */
	int fd;        /* of KEYRING; -1 while closed */
	bool writable;
	_Atomic bool failed; /* what is on disk is in doubt: no more changes */
	bh_keyring_head head;
	bh_secret mac_key;
	bh_hmac_series *marks;   /* under `marking` */
	pthread_mutex_t syncing; /* held while the file is replaced, or synced beside other changes: `fd` stays what it is */
	pthread_mutex_t marking; /* guards the rest of `mark` from here on, and the order in which marks are written */
	bh_keyring_mark mark; /* as on disk; all but ledger and sequence are the caller's, who writes them under `marking`, too */
	_Atomic uint64_t durable; /* sequence of a mark that was synced */
	bool torn;                /* between load and repair: there is a torn tail */
	uint64_t stored_len;      /* between load and repair: what the mark on disk covers */
	bh_audit_position audit;  /* for the next mark: how far AUDIT has come */
	uint64_t snapshot_len;    /* bytes of the first record */
	bh_buf image;             /* the whole file, between open and load */
} bh_keyring_file;

#define BH_KEYRING_FILE_CLOSED                                                                                                     \
	{                                                                                                                          \
		.dir = BH_IO_DIR_CLOSED, .fd = -1, .syncing = PTHREAD_MUTEX_INITIALIZER, .marking = PTHREAD_MUTEX_INITIALIZER      \
	}

/* Makes DIR/KEYRING of generation 1 with `snapshot` as its only record, durably, and closes it again. `dir_out` is the directory,
 * still locked: bh_io_dir_close() lets go. Errors: BH_E_EXISTS (also: there is an AUDIT), BH_E_BUSY, BH_E_NOT_FOUND (no such
 * directory), BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_file_create(const char *dir, const bh_keyring_head *head, const bh_secret *mac_key,
					       bh_view snapshot, bh_io_dir *dir_out);

/* Locks DIR, opens KEYRING, reads it and decodes its head, which is not authenticated yet: bh_keyring_file_load() has to follow.
 * Errors: BH_E_NOT_FOUND, BH_E_BUSY, BH_E_TRUNCATED, BH_E_FORMAT, BH_E_VERSION, BH_E_TAG, BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_file_open(const char *dir, bool writable, bh_keyring_file *out);

/* Checks head, mark and every record with `mac_key` (taken), and calls `each` for the records in order. Nothing is written: before
 * the first change bh_keyring_file_repair() has to follow. Errors: as open's, BH_E_ROLLBACK (generation below `floor`), those of
 * `each`. */
BH_MUST_CHECK bh_status bh_keyring_file_load(bh_keyring_file *file, bh_secret *mac_key, uint64_t floor, bh_keyring_each each,
					     void *arg);

/* Finishes what a kill interrupted, if writable. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_file_repair(bh_keyring_file *file);

/* Whether an edit of `payload_len` bytes would let the edits outgrow the snapshot: then replace instead. */
bool bh_keyring_file_is_full(const bh_keyring_file *file, size_t payload_len);
/* One edit, durable on return. Errors: BH_E_INVALID (read-only), BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_file_append(bh_keyring_file *file, bh_keyring_record_type type, bh_view payload);
/* Puts a file of this head, with `snapshot` as its only record, in KEYRING's place, atomically and durably. `file->head` is not
 * set: it has readers. Errors: as append's. */
BH_MUST_CHECK bh_status bh_keyring_file_replace(bh_keyring_file *file, const bh_keyring_head *head, bh_view snapshot);

/* Writes the commit mark anew where `audit` has gone further than it says. Errors: as append's. */
BH_MUST_CHECK bh_status bh_keyring_file_mark_audit(bh_keyring_file *file);

/* The ledger, and the sequence of the mark, as they are now. */
void bh_keyring_file_ledger(bh_keyring_file *file, bh_ledger *out);
uint64_t bh_keyring_file_sequence(bh_keyring_file *file);
/* Writes the mark with this ledger, which a kill leaves, and a power cut perhaps not. Where that fails, the next mark has it.
 * Errors: as append's. */
BH_MUST_CHECK bh_status bh_keyring_file_ledger_put(bh_keyring_file *file, const bh_ledger *ledger);
/* What was put is durable on return. Errors: as append's. */
BH_MUST_CHECK bh_status bh_keyring_file_ledger_sync(bh_keyring_file *file);

/* Unlocks, wipes, closes; idempotent. */
void bh_keyring_file_close(bh_keyring_file *file);

#ifdef __cplusplus
}
#endif
#endif
