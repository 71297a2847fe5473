/* SPDX-License-Identifier: Apache-2.0
 *
 * spans_internal.h: the span codec's state, shared by spans.c and by what knows one of the two formats (spans_wal.h,
 * spans_manifest.h).
 *
 * Sealing: `part` has room for the place, then the platform's part of the frame that is due; `pieces` are its spans, in `source`.
 * Opening: buf[head..ready) is final and waits to be taken, buf[ready..len) is held back: a fragment of a WAL, an atomic group of a
 * MANIFEST. Positions that live longer than one call are logical file offsets, because the buffer moves.
 */
#ifndef BH_SPANS_INTERNAL_H
#define BH_SPANS_INTERNAL_H

#include "logfmt.h"
#include "manifest_spans.h"
#include "span_families.h"
#include "spans.h"
#include "wal_quiet.h"
#include "wal_sieve.h"
#include "wal_spans.h"

#define BH_PART_AT (BH_PLACE_LEN + 1u) /* of the structure in `part`, as long as nothing is announced */

/* A run of span bytes of the current frame. */
typedef struct bh_span_piece {
	size_t at; /* sealing: in `source`; opening: in buf */
	size_t len;
	unsigned share;
} bh_span_piece;

/* A fragment that is complete with the current frame. */
typedef struct bh_wal_done {
	size_t begin; /* in buf: its header */
	size_t end;
	uint64_t shares; /* by bits: the families that have bytes between this one and the one before */
	bool record_end;
	bool bare; /* record_end: bh_wal_parser's */
} bh_wal_done;

/* A fragment of a MANIFEST's record. */
typedef struct bh_fragment {
	size_t at;  /* of its header, behind the beginning of the frame */
	size_t len; /* of its payload */
} bh_fragment;

/* A family that the MANIFEST has added and not dropped. */
typedef struct bh_live_family {
	uint32_t cf_id;
	char *name; /* owned; `name_len` bytes, no NUL */
	size_t name_len;
	bool opened; /* the edit that added it was, by its own key */
} bh_live_family;

typedef struct bh_manifest_state {
	bh_fragment *fragments; /* of the current record */
	size_t fragment_count;
	size_t fragment_cap;
	size_t record_len; /* payload bytes of the current record */
	uint8_t *joined;   /* scratch: the payload of a record of several fragments */
	size_t joined_cap;
	bh_version_edit edit; /* scratch */
	bool in_group;        /* an atomic group has begun ... */
	uint32_t group_left;  /* ... of which as many edits are to come */
	uint32_t max_cf_id;
	uint64_t last_sequence; /* the largest that an edit has named */
	bh_live_family *live;   /* opening */
	size_t live_count;
	size_t live_cap;
} bh_manifest_state;

struct bh_spans {
	bh_file_kind kind;
	bh_spans_mode mode;
	bh_status failed; /* sticky */
	bool finished;
	uint64_t off; /* logical offset of the next byte to come in */
	bh_log_parser log;
	bh_wal_parser wal;
	bh_families families;
	bh_span_piece *pieces;
	size_t piece_count;
	size_t piece_cap;

	/* sealing */
	bh_buf part;
	const uint8_t *source;
	uint32_t fragment_crc; /* of what has come of the current fragment */

	/* opening; a MANIFEST that is sealed as well: the record that is held */
	uint8_t *buf;
	size_t cap;
	size_t head;
	size_t ready;
	size_t len;
	uint64_t base;   /* logical offset of buf[0] */
	size_t frame_at; /* in buf: where the current frame begins; a MANIFEST being sealed: 0 */
	bh_buf spans;    /* the frame's spans, opened or to be sealed, one family behind the other */

	/* opening a WAL */
	uint64_t fragment_off; /* logical offset of the current fragment's header */
	bh_wal_done *done;     /* of the current frame */
	size_t done_count;
	size_t done_cap;
	uint64_t touched;    /* shares that have bytes behind the last of these */
	bh_wal_sieve *sieve; /* NULL: everything is shown. Else it has what is ready, and buf none of it */
	bh_wal_quiet *quiet; /* NULL: what is blank stays as it is */
	bool of_use;         /* the current record has bytes of a family whose DEK is available */

	bh_manifest_state manifest;
	bh_spans_observer observer;
	void *observer_arg;
};

/* Adds a run. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_spans_add_piece(bh_spans *s, size_t at, size_t len, unsigned share);
/* Room for `extra` more bytes in buf; what it leaves behind is wiped. */
BH_MUST_CHECK bh_status bh_spans_reserve(bh_spans *s, size_t extra);
/* Sealing: `part` begins with the place of the frame that begins now, and has room for `structure` bytes behind. */
BH_MUST_CHECK bh_status bh_spans_begin_part(bh_spans *s, size_t structure);
/* Sealing: the last look at the CRC that RocksDB made, with the piece at `data`. What was damaged in memory since would be
 * authenticated as it is. Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_spans_check_crc(bh_spans *s, const bh_log_piece *piece, const uint8_t *data);
/* Appends the bytes of a header that are behind the CRC. `at`: index of the first byte in the header. */
static inline void bh_spans_put_header(bh_buf *out, const uint8_t *data, size_t len, size_t at)
{
	const size_t crc = at < BH_LOG_CRC ? BH_MIN(len, (size_t)BH_LOG_CRC - at) : 0;

	memcpy(out->data + out->len, data + crc, len - crc);
	out->len += len - crc;
}
/* Opening: what comes next in the log, of structure alone: the next piece of it at the front of *rest, which it moves past, copied
 * into buf with zeros for a CRC. For payload the caller says how much of it it is. Errors: BH_E_FORMAT, BH_E_UNSUPPORTED. */
BH_MUST_CHECK bh_status bh_spans_take_structure(bh_spans *s, bh_view *rest, size_t len, bh_log_piece *out);
/* Opening: all sections, into `spans`. */
BH_MUST_CHECK bh_status bh_spans_open_sections(bh_spans *s, uint64_t number, bh_frame_content *frame);

#endif
