/* SPDX-License-Identifier: Apache-2.0
 *
 * spans.h: the span codec: in a WAL or MANIFEST, takes out of each frame the bytes that belong to a column family, and seals them
 * under that family's DEK, with all that gives them meaning.
 *
 * It follows RocksDB's formats from the bytes alone (log records of 32 KiB blocks; write batches; version edits) and uses none of
 * its headers. What becomes of a frame is in README.md: sections, one a family, and the platform's part, which the stream seals. A
 * log record's CRC, which is derived from the plaintext, is not stored and computed again on read (CRC-32C, masked).
 *
 * On read, a span whose DEK is not available is blanked where nobody will use it: zeros in a WAL; in a MANIFEST, boundary keys
 * become zeros with a valid trailer, so RocksDB can parse and drop them. When a MANIFEST ends, families that scopes->cf_attached()
 * refuses get a synthetic edit each (MaxColumnFamily, ColumnFamily, ColumnFamilyDrop).
 *
 * What the codec does not understand is refused at write time (BH_E_UNSUPPORTED); family bytes never fall back to the platform's
 * key. Streaming: records may cross blocks, and in a WAL frames, at any byte. Thread-safety: one thread at a time.
 */
#ifndef BH_SPANS_H
#define BH_SPANS_H

#include "env/format/frame.h"
#include "logfmt.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_spans bh_spans;

typedef enum bh_spans_mode {
	BH_SPANS_SEAL, /* plaintext in, frames out */
	BH_SPANS_OPEN, /* the reverse */
} bh_spans_mode;

/* `header`: of the file, a WAL or MANIFEST. `scopes` must outlive the codec. */
BH_MUST_CHECK bh_status bh_spans_new(bh_spans_mode mode, const bh_header *header, const bh_scopes *scopes, bh_spans **out);
void bh_spans_free(bh_spans *s);

/* ---- sealing: gather, then seal what is due, and again until nothing is left of `data` */

/* Takes bytes from the front of *data until a frame is full or nothing is left. *due_out false: there is nothing to seal yet; a
 * MANIFEST's record is held until it is complete. Sticky errors: BH_E_UNSUPPORTED, BH_E_FORMAT, and those of scopes. */
BH_MUST_CHECK bh_status bh_spans_gather(bh_spans *s, bh_view *data, bool *due_out);
/* Of the frame that is due: bytes of its sections, and the platform's part. Until the next call of gather; what was `data` of the
 * last one has to be there still. */
size_t bh_spans_sections_len(const bh_spans *s);
bh_view bh_spans_part(const bh_spans *s);
/* Writes the sections of frame `number`, sealed. After an error, sticky, what is there is to be wiped. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_spans_seal(bh_spans *s, uint64_t number, uint8_t *sections_out);
/* Wipes the expanded keys of all families, between two frames. The next one derives what it needs. */
void bh_spans_forget(bh_spans *s);
/* The same, and asks `scopes` from now on. */
void bh_spans_rebind(bh_spans *s, const bh_scopes *scopes);

/* ---- opening */

/* In a WAL: entries that are blank are shown as ones that do nothing (wal_quiet.h). Before the first frame. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_spans_quiet(bh_spans *s);
/* Takes in frame `number`, of which the platform's part was opened; writes into frame->plain's room. Sticky errors: BH_E_FORMAT and
 * BH_E_UNSUPPORTED; BH_E_TAG, which is a family's (bh_spans_blamed()): not its section, not its DEK; those of scopes. */
BH_MUST_CHECK bh_status bh_spans_open(bh_spans *s, uint64_t number, bh_frame_content *frame);
/* Whose the failure is: of one class's bytes alone; NULL: of the file. Borrowed. */
const bh_scope *bh_spans_blamed(const bh_spans *s);
/* End of input. A WAL's incomplete record is released as it is, by a sieve as a header that is cut off; a MANIFEST's incomplete
 * atomic group of records is left out (RocksDB ignores it, but not in front of another record), then the synthetic drops come.
 * Further errors: BH_E_TAG (a family that is still there has bytes whose DEK is not available). Idempotent. */
BH_MUST_CHECK bh_status bh_spans_finish(bh_spans *s);
/* The same where the rest is damaged: what is incomplete stays held back. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_spans_break_off(bh_spans *s);
/* Logical bytes that are final. Borrowed until the next call; given back with consume. */
bh_view bh_spans_ready(const bh_spans *s);
void bh_spans_consume(bh_spans *s, size_t len);
/* Where in its record the log stands. */
const bh_log_parser *bh_spans_log(const bh_spans *s);

/* Which family owns which logical bytes, for dump: called for each span in file order while opening. */
typedef void (*bh_spans_observer)(void *arg, uint64_t off, size_t len, uint32_t cf_id);
void bh_spans_observe(bh_spans *s, bh_spans_observer fn, void *arg);
/* The DEK that a family's spans are under at this place of the file, as announced last, and whether it is available (else they were
 * blanked). Errors: BH_E_NOT_FOUND (nothing was announced), those of bh_spans_open() and scopes. */
BH_MUST_CHECK bh_status bh_spans_family(bh_spans *s, uint32_t cf_id, uint8_t dek_id_out[BH_ID_LEN], bool *available_out);

#ifdef __cplusplus
}
#endif
#endif
