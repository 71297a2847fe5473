/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.h: sealed streams, the format of WAL, MANIFEST, CURRENT, IDENTITY, OPTIONS and temporary files. Pure computation: no I/O
 * here.
 *
 * Physical: header (BH_HEADER_LEN) with a sync mark in it, then frames (frame.h), numbered from 0 by the nonce. WAL and MANIFEST
 * bytes pass the span codec (spans.h), which seals what is a family's of each frame.
 *
 * The sync mark is a fixed slot of the header page, rewritten in place after every fsync: how many physical bytes and frames were
 * durable. A frame that is damaged or missing below the mark is an error (BH_E_TAG or BH_E_TRUNCATED); above it, the log ends
 * there: an incomplete frame is a torn tail, a complete one that does not authenticate is damage. Both leave an exact prefix.
 *
 * Thread-safety: a reader belongs to one thread. In a writer, bh_stream_writer_point and _sync_mark may run beside everything else
 * (own lock); append, written, logical and physical belong to one thread at a time.
 */
#ifndef BH_STREAM_H
#define BH_STREAM_H

#include "env/format/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

/* So many zeros right behind what was synced are room that a writer made ahead; fewer are a torn tail. */
#define BH_STREAM_ROOM_MIN 4u

/* ---- writing */
typedef struct bh_stream_writer bh_stream_writer;
/* Takes `*key` over. WAL and MANIFEST streams get a span codec that asks `scopes` (which must outlive the writer). The first
 * BH_HEADER_LEN bytes to write, with the initial sync mark, are put into header_out: header as given, mark filled in. */
BH_MUST_CHECK bh_status bh_stream_writer_new(bh_file_key *key, const uint8_t header[BH_HEADER_LEN], const bh_scopes *scopes,
					     uint8_t header_out[BH_HEADER_LEN], bh_stream_writer **out);
void bh_stream_writer_free(bh_stream_writer *w);
/* Takes `data` in and appends to `out` the frames that became final. A MANIFEST record is held until it is complete.
 * Errors: BH_E_UNSUPPORTED (the span codec does not understand the bytes; the message names what), BH_E_NO_KEY, BH_E_SHREDDED,
 * BH_E_SUSPENDED, BH_E_CRYPTO. After an error the writer refuses everything: a log with a hole is never written. */
BH_MUST_CHECK bh_status bh_stream_writer_append(bh_stream_writer *w, bh_view data, bh_buf *out);
/* Wipes the expanded keys of all column families; may come from any thread. The next append derives what it needs. */
void bh_stream_writer_forget(bh_stream_writer *w);
/* Asks `scopes` from now on, about every family anew. */
void bh_stream_writer_rebind(bh_stream_writer *w, const bh_scopes *scopes);
/* Called by the appender when `out` of the appends so far has reached the file: what a sync started from now on makes durable. */
void bh_stream_writer_written(bh_stream_writer *w);
/* Snapshot to take before an fsync, and the mark to write at BH_SYNC_MARK_OFFSET after it succeeded. *needed_out false: nothing
 * new. Marks have to reach the file in the order in which they were made: hold a lock from here to the end of that write. A mark
 * that could not be written may be dropped, the next one supersedes it. Errors: BH_E_INVALID (a point that never was), BH_E_CRYPTO.
 */
bh_sync_point bh_stream_writer_point(bh_stream_writer *w);
BH_MUST_CHECK bh_status bh_stream_writer_sync_mark(bh_stream_writer *w, bh_sync_point point, bool *needed_out,
						   uint8_t mark_out[BH_SYNC_MARK_LEN]);
/* The mark once more, of the same point, with what is known of KEYRING's by now. */
BH_MUST_CHECK bh_status bh_stream_writer_mark_again(bh_stream_writer *w, uint8_t mark_out[BH_SYNC_MARK_LEN]);
/* Of the file that is written. Borrowed. */
const bh_header *bh_stream_writer_header(const bh_stream_writer *w);
/* A WAL that is synced every few bytes would have each sync commit its new size as well, which costs more than the bytes. So once
 * eight syncs in a row had at most 16 KiB each, zeros are to be written ahead of the frames: returns how many, at *off_out; 0:
 * none. Called by the appender after bh_stream_writer_written(), and done by it before it appends again. If that fails nothing is
 * lost: bh_stream_writer_no_room() ends it. When the file is closed it is cut to bh_stream_writer_point().physical if there is
 * _room_left. */
size_t bh_stream_writer_room(bh_stream_writer *w, uint64_t *off_out);
void bh_stream_writer_no_room(bh_stream_writer *w);
bool bh_stream_writer_room_left(const bh_stream_writer *w);
uint64_t bh_stream_writer_logical(const bh_stream_writer *w);  /* bytes appended, held ones included */
uint64_t bh_stream_writer_physical(const bh_stream_writer *w); /* bytes handed out, header included */

/* ---- reading: push physical bytes in, take logical bytes out */
typedef struct bh_stream_reader bh_stream_reader;
typedef enum bh_stream_end {
	BH_STREAM_OPEN = 0, /* not at the end yet */
	BH_STREAM_CLEAN, /* ended on a frame boundary at or above the sync mark; or at the mark, with nothing but zeros behind it */
	BH_STREAM_TORN,  /* an incomplete frame above the sync mark, or nothing but zeros there (a size that reached the disk before
			    its  data) */
	BH_STREAM_DAMAGED, /* a complete frame above the sync mark does not authenticate */
} bh_stream_end;
/* From the first BH_HEADER_LEN bytes. `scopes` must outlive the reader. Errors: those of bh_header_open, BH_E_FORMAT (not a stream,
 * impossible mark), BH_E_TAG (sync mark), BH_E_NOMEM. `raw` true: what the file's own DEK alone opens is handed out, frame by
 * frame: the sections as they are, then the structure. */
BH_MUST_CHECK bh_status bh_stream_reader_new(bh_view header, const bh_scopes *scopes, bool raw, bh_stream_reader **out);
void bh_stream_reader_free(bh_stream_reader *r);
/* Calls `fn` with every DEK that a frame announces for a column family, raw or not; before the first push. */
void bh_stream_reader_on_announcement(bh_stream_reader *r, void (*fn)(void *arg, const uint8_t dek_id[BH_ID_LEN]), void *arg);
/* What is blank in a WAL does nothing (wal_quiet.h): for who follows it. Before the first push. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_stream_reader_quiet(bh_stream_reader *r);
const bh_file_key *bh_stream_reader_key(const bh_stream_reader *r);
/* After a failure with BH_E_TAG: the class whose bytes, and nobody else's, are not what its key sealed, as far as that shows; NULL:
 * the file itself is wrong. Borrowed. */
const bh_scope *bh_stream_reader_blamed(const bh_stream_reader *r);
/* Gives the reader the next physical bytes (after the header). Errors, all sticky: BH_E_TAG and BH_E_FORMAT below the sync mark;
 * BH_E_FORMAT anywhere for a frame that authenticates and is malformed; those of the span codec, BH_E_TAG among them anywhere;
 * BH_E_NOMEM; BH_E_CRYPTO.
 * Damage above the mark is BH_OK: the reader goes to BH_STREAM_DAMAGED and takes no more. */
BH_MUST_CHECK bh_status bh_stream_reader_push(bh_stream_reader *r, bh_view physical);
/* Tells the reader that the file ends here; idempotent. A record that the end cuts off is handed out as far as it goes;
 * behind damage it is held back. In a MANIFEST this is
 * where dropped-by-view records come. Errors: BH_E_TRUNCATED below the sync mark, and those of push. */
BH_MUST_CHECK bh_status bh_stream_reader_finish(bh_stream_reader *r);
/* Logical bytes ready to be taken; borrowed until the next call on the reader. */
bh_view bh_stream_reader_ready(const bh_stream_reader *r);
void bh_stream_reader_consume(bh_stream_reader *r, size_t len);
bh_stream_end bh_stream_reader_end(const bh_stream_reader *r);
/* How RocksDB is told of a WAL that ends badly: bytes to hand up behind the last ready one, at most BH_STREAM_STUB_MAX, so that its
 * log reader finds there what it has rules for. TORN: a record header cut off (none if the log already ends inside of a fragment).
 * DAMAGED: a record with a wrong checksum. Both behind the trailer of the 32 KiB block where one is due. 0 bytes for every other
 * stream and end. */
#define BH_STREAM_STUB_MAX 13u
size_t bh_stream_end_stub(const bh_stream_reader *r, uint8_t stub_out[BH_STREAM_STUB_MAX]);
/* The span codec of a WAL or MANIFEST that is not read raw, to see whose bytes are where (spans.h: observe, family); else NULL.
 * Borrowed. */
struct bh_spans *bh_stream_reader_spans(bh_stream_reader *r);
/* The sync mark that the file had. */
bh_sync_point bh_stream_reader_mark(const bh_stream_reader *r);
/* The sequence of KEYRING's commit mark that the file's own mark tells of: KEYRING cannot be older. */
uint64_t bh_stream_reader_keyring(const bh_stream_reader *r);
/* Others know that the file was synced up to here, which its own mark does not, or not yet, say. Before the first push. */
void bh_stream_reader_raise(bh_stream_reader *r, uint64_t physical);
/* Where frame boundaries lie, for verify and dump: number and physical offset of the frame that comes next. */
uint64_t bh_stream_reader_frame(const bh_stream_reader *r);
uint64_t bh_stream_reader_offset(const bh_stream_reader *r);

#ifdef __cplusplus
}
#endif
#endif
