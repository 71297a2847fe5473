/* SPDX-License-Identifier: Apache-2.0
 *
 * fresh_files.h: what lies in the directory, for fresh.c and fresh_check.c. Thread-safety: all calls.
 */
#ifndef BH_FRESH_FILES_H
#define BH_FRESH_FILES_H

#include "fresh.h"
#include "path.h"

/* What a log says of itself. */
typedef struct bh_fresh_look {
	bh_header header;
	uint64_t marked;  /* its own sync mark: bytes that were durable */
	uint64_t keyring; /* ... and the sequence of KEYRING's mark that was durable then */
	uint64_t size;    /* bytes */
} bh_fresh_look;
/* Of the log at ROOT/NAME, whose header and sync mark authenticate. Errors: those of bh_raw_open(), of bh_stream_reader_new(),
 * BH_E_TAG (another kind or number than its name's). */
BH_MUST_CHECK bh_status bh_fresh_look_at(const char *root, const char *name, const bh_scopes *scopes, bh_fresh_look *out);
/* Reads it frame by frame, as deep as the platform's key goes. `end`: how far it has to go at least. *end_out: how far it goes.
 * Errors: those of bh_stream_reader. */
BH_MUST_CHECK bh_status bh_fresh_measure(const char *root, const char *name, const bh_scopes *scopes, uint64_t end,
					 uint64_t *end_out);
/* The number of the MANIFEST that this CURRENT names. Errors: those of bh_raw_open() and bh_stream_reader, BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_fresh_read_current(const char *path, const bh_scopes *scopes, uint64_t *number_out);

#define BH_FRESH_NAME_SIZE 40
void bh_fresh_name(bh_file_kind kind, uint64_t number, char out[BH_FRESH_NAME_SIZE]);
/* The number of a WAL by its name; false: it is none. */
bool bh_fresh_wal_number(const char *name, uint64_t *number_out);
/* Calls `each` with every name in the directory until one fails. Errors: BH_E_IO, those of `each`. */
BH_MUST_CHECK bh_status bh_fresh_each(const char *root, bh_status (*each)(void *arg, const char *name), void *arg);

/* The file of older logs that the ledger means: ROOT/WALS, or its successor that a kill left under its temporary name. Errors:
 * BH_E_ROLLBACK (neither is it), BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_fresh_older_read(const char *root, const bh_ledger *ledger, bh_buf *out, bool *temp_out);
/* Writes its successor, durably, under its temporary name; and gives it its name. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_fresh_older_write(const char *root, bh_view bytes);
BH_MUST_CHECK bh_status bh_fresh_older_rename(const char *root);

BH_MUST_CHECK bh_status bh_fresh_sync_file(const char *root, const char *name);
BH_MUST_CHECK bh_status bh_fresh_sync_dir(const char *root);

#endif
