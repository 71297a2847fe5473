/* SPDX-License-Identifier: Apache-2.0
 *
 * fresh.h: which logs the database has to have, which they are, and how far they go: KEYRING's commit mark has the list
 * (keyring/manifest/ledger.h), and what lies in the directory is held against it. So a WAL, MANIFEST or CURRENT that is missing,
 * older, cut or another one is found at open; and an older KEYRING is, because each log tells which commit mark was durable when
 * it was synced. README.md has the order of all steps.
 *
 *   - A log is listed once it was synced and its name is durable. What is synced later is listed without a sync of KEYRING's: a
 *     kill leaves the list exact, a power cut may leave it behind, never ahead.
 *   - A WAL is taken off the list durably before it is removed.
 *   - CURRENT, and a log that is sealed anew, change with both, the old and the new, on the list.
 *   - When the last WAL is closed, all of them are synced and listed.
 *
 * Thread-safety: all calls but begin and clear. Lock order: a log's own locks, then `lock`, then the keyring's.
 */
#ifndef BH_FRESH_H
#define BH_FRESH_H

#include <pthread.h>

#include "env/format/header.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_FRESH_OLDER_FILE "WALS" /* the logs that the mark has no room for; plain, and held by its digest */
#define BH_FRESH_OLDER_TEMP BH_FRESH_OLDER_FILE ".bhtmp"

typedef struct bh_fresh_wal {
	bh_ledger_log log; /* `end` 0: nothing of it was synced yet, and it is not listed */
	uint64_t written;  /* closed by this process: bytes of it, synced or not */
	bool earlier;      /* an earlier process's */
	bool older;        /* it stands in the file of older ones */
} bh_fresh_wal;

typedef struct bh_fresh {
	bh_keyring *keyring; /* borrowed; NULL: there is no list here, and every call does nothing */
	const bh_scopes *scopes;
	const char *root;
	bool writes;          /* this process keeps the list */
	pthread_mutex_t lock; /* guards the rest */
	bh_ledger ledger;     /* but for its WALs, which are made of: */
	bh_fresh_wal *wals;   /* [wal_count], by number; owned */
	size_t wal_count;
	bool older_stale;  /* the file of older ones is to be written anew */
	bool replacing;    /* one of the two MANIFESTs is being put in the place of the other */
	bool switching;    /* CURRENT is being renamed */
	uint64_t switches; /* how often it was */
	bool strike_owed;  /* WALs were struck out of the list, which is not written yet */
	uint64_t struck;   /* sequence of a mark without the last WALs that were; 0: none was */
} bh_fresh;

/* Takes the list over from the keyring. `root` and `scopes` are borrowed. Errors: BH_E_NOMEM, BH_E_IO, BH_E_ROLLBACK (the file of
 * older ones is not the one that is due; not where the keyring is read-only). */
BH_MUST_CHECK bh_status bh_fresh_begin(bh_fresh *fresh, bh_keyring *keyring, const char *root, const bh_scopes *scopes);
void bh_fresh_clear(bh_fresh *fresh);

/* Whether the log with this header may be read at its place, and how far it has to go at least. Errors: BH_E_ROLLBACK. */
BH_MUST_CHECK bh_status bh_fresh_expect(bh_fresh *fresh, const bh_header *header, uint64_t *end_out);

/* ---- written. A failure to write the list down is no failure of the sync: the next mark has it. */

/* A WAL is made; nothing in it is synced. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_fresh_made(bh_fresh *fresh, const bh_header *header);
/* So much of the log is durable, and so is its name. */
void bh_fresh_synced(bh_fresh *fresh, const bh_header *header, uint64_t end);
/* Whether it is the newest WAL: its closing ends the database's use. It is synced then, and bh_fresh_end() called. */
bool bh_fresh_is_newest(bh_fresh *fresh, const bh_header *header);
/* The WAL is closed, with so much in it. */
void bh_fresh_closed(bh_fresh *fresh, const bh_header *header, uint64_t written);
/* Syncs and lists what was closed without. */
void bh_fresh_end(bh_fresh *fresh);

/* ---- removed and renamed */

/* The WAL of this number is about to be removed, and those below it are as little needed. Errors: BH_E_IO: it has to stay. */
BH_MUST_CHECK bh_status bh_fresh_gone(bh_fresh *fresh, uint64_t number);
/* CURRENT is about to name what the file `from`, a new CURRENT, names. Errors: those of reading it and the MANIFEST, BH_E_IO. */
BH_MUST_CHECK bh_status bh_fresh_switch(bh_fresh *fresh, const char *from);
/* It does. */
void bh_fresh_switched(bh_fresh *fresh);
/* Around a sync of the root directory: what was renamed before is durable afterwards. */
uint64_t bh_fresh_switches(bh_fresh *fresh);
void bh_fresh_dir_synced(bh_fresh *fresh, uint64_t switches);
/* CURRENT is about to be removed: there will be no database. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_fresh_no_database(bh_fresh *fresh);

/* ---- sealed anew: `header` is the new file's */

/* Before the exchange of names. Errors: BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_fresh_replace(bh_fresh *fresh, const bh_header *header, uint64_t end);
/* After it, durable; or it came to nothing. */
void bh_fresh_replaced(bh_fresh *fresh, const bh_header *header, uint64_t end, bool done);

#ifdef __cplusplus
}
#endif
#endif
