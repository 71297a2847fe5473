/* SPDX-License-Identifier: Apache-2.0
 *
 * spans.h: the span codec: in a WAL or MANIFEST, encrypts in place the bytes that belong to a column family under that family's
 * DEK.
 *
 * It follows RocksDB's formats from the bytes alone (log records of 32 KiB blocks; write batches; version edits) and uses none of
 * its headers. Spans keep their length and position; the keystream is addressed by logical file offset (aead.h, bh_ctr), keyed by
 * HKDF(DEK of the family, file salt). A log record's CRC, which is derived from the plaintext, is stored as zero and recomputed on
 * read (CRC-32C, masked). The first use of a family in a file, and each change of its DEK, yields an announcement (CF id, DEK id),
 * which the stream seals with the frame, so that a reader needs no map.
 *
 * On read, a span whose DEK is not available is blanked: zeros in a WAL; in a MANIFEST, boundary keys become zeros with a valid
 * trailer, so RocksDB can parse and drop them. When a MANIFEST ends, families that scopes->cf_attached() refuses get a synthetic
 * edit each (MaxColumnFamily, ColumnFamily, ColumnFamilyDrop).
 *
 * What the codec does not understand is refused at write time (BH_E_UNSUPPORTED); family bytes never fall back to the platform's
 * key. Streaming: records may cross blocks and calls at any byte. Thread-safety: one thread at a time.
 */
#ifndef BH_SPANS_H
#define BH_SPANS_H

#include "env/format/header.h"
#include "span_families.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_spans bh_spans;

typedef enum bh_spans_mode {
	BH_SPANS_SEAL, /* plaintext in, spans encrypted out */
	BH_SPANS_OPEN, /* the reverse */
} bh_spans_mode;

/* kind: BH_KIND_WAL or BH_KIND_MANIFEST. `scopes` must outlive the codec. */
BH_MUST_CHECK bh_status bh_spans_new(bh_file_kind kind, bh_spans_mode mode, const uint8_t salt[BH_SALT_LEN],
				     const bh_scopes *scopes, bh_spans **out);
void bh_spans_free(bh_spans *s);

/* Feeds the next logical bytes; they are copied. Sticky errors: BH_E_UNSUPPORTED, BH_E_FORMAT, and those of scopes. */
BH_MUST_CHECK bh_status bh_spans_feed(bh_spans *s, bh_view data);
/* End of input, when opening. A WAL's incomplete record is released as it is, by a sieve as a header that is cut off; a MANIFEST's
 * incomplete record, or incomplete atomic group of records, is left out (RocksDB ignores both, but not in front of another record),
 * then the synthetic drops come. Idempotent. */
BH_MUST_CHECK bh_status bh_spans_finish(bh_spans *s);
/* The same where the rest is damaged: what is incomplete stays held back. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_spans_break_off(bh_spans *s);
/* Bytes that are final. Borrowed until the next call; given back with consume. When sealing, take what is ready and the
 * announcements after every feed: a family's DEK is asked for anew only when nothing was left behind, so that an announcement never
 * comes too late or too early. */
bh_view bh_spans_ready(const bh_spans *s);
void bh_spans_consume(bh_spans *s, size_t len);
/* Sealing: announcements that must go with (before) the bytes now ready; consumed by reading them. */
const bh_announcement *bh_spans_announcements(const bh_spans *s, size_t *count_out);
void bh_spans_announcements_clear(bh_spans *s);
/* Sealing: wipes the expanded keys of all families, between two feeds. What is fed next derives what it needs. */
void bh_spans_forget(bh_spans *s);
/* Sealing: the same, and asks `scopes` from now on. */
void bh_spans_rebind(bh_spans *s, const bh_scopes *scopes);
/* Opening: takes an announcement that came with a frame, before that frame's bytes are fed. */
BH_MUST_CHECK bh_status bh_spans_announced(bh_spans *s, const bh_announcement *a);

/* Which family owns which logical bytes, for dump: called for each span in file order while feeding. */
typedef void (*bh_spans_observer)(void *arg, uint64_t off, size_t len, uint32_t cf_id);
void bh_spans_observe(bh_spans *s, bh_spans_observer fn, void *arg);
/* Opening: the DEK that a family's spans are under at this place of the file, as announced last, and whether it is available (else
 * they were blanked). Errors: BH_E_NOT_FOUND (nothing was announced), those of bh_spans_announced() and scopes. */
BH_MUST_CHECK bh_status bh_spans_family(bh_spans *s, uint32_t cf_id, uint8_t dek_id_out[BH_ID_LEN], bool *available_out);

#ifdef __cplusplus
}
#endif
#endif
