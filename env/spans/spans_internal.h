/* SPDX-License-Identifier: Apache-2.0
 *
 * spans_internal.h: the span codec's state, shared by spans.c (buffer, WAL) and spans_manifest.c.
 *
 * buf[head..ready) is final and waits to be taken, buf[ready..len) is held back: nothing when sealing a WAL, a fragment when
 * opening one, a record when sealing a MANIFEST, a record or an atomic group when opening one. Positions that live longer than one
 * call are logical file offsets, because the buffer moves.
 */
#ifndef BH_SPANS_INTERNAL_H
#define BH_SPANS_INTERNAL_H

#include "logfmt.h"
#include "manifest_spans.h"
#include "span_families.h"
#include "span_run.h"
#include "spans.h"
#include "wal_sieve.h"
#include "wal_spans.h"

/* A fragment of the MANIFEST record being collected. */
typedef struct bh_fragment {
	uint64_t off; /* logical offset of its header */
	size_t len;   /* of its payload */
} bh_fragment;

/* A family that the MANIFEST has added and not dropped. */
typedef struct bh_live_family {
	uint32_t cf_id;
	char *name; /* owned; `name_len` bytes, no NUL */
	size_t name_len;
} bh_live_family;

typedef struct bh_manifest_state {
	bh_fragment *fragments; /* of the current record */
	size_t fragment_count;
	size_t fragment_cap;
	size_t record_len; /* payload bytes of the current record */
	uint8_t *joined;   /* scratch: the payload of a record of several fragments */
	size_t joined_cap;
	bh_version_edit edit; /* scratch */
	bool in_group;        /* opening: an atomic group has begun ... */
	uint32_t group_left;  /* ... of which as many edits are to come */
	uint32_t max_cf_id;
	bh_live_family *live;
	size_t live_count;
	size_t live_cap;
} bh_manifest_state;

struct bh_spans {
	bh_file_kind kind;
	bh_spans_mode mode;
	bh_status failed; /* sticky */
	bool finished;
	uint8_t *buf;
	size_t cap;
	size_t head;
	size_t ready;
	size_t len;
	uint64_t base; /* logical offset of buf[0] */
	bh_log_parser log;
	bh_wal_parser wal;
	bh_wal_sieve *sieve;   /* NULL: everything is shown. Else it has what is ready, and buf none of it */
	bool of_use;           /* the current record has a span whose DEK is available */
	uint64_t fragment_off; /* logical offset of the current fragment's header */
	uint32_t fragment_crc; /* sealing: of what has come of it */
	bh_manifest_state manifest;
	bh_span_run run;
	bh_families families;
	bh_spans_observer observer;
	void *observer_arg;
};

/* Encrypts, decrypts or blanks buf[at..at+len), which are bytes of the family whose keystream is `ctr` (NULL: blank). */
BH_MUST_CHECK bh_status bh_spans_apply(bh_spans *s, uint32_t cf_id, bh_ctr *ctr, size_t at, size_t len);
/* The keystream for the family in this file, NULL: blank. */
BH_MUST_CHECK bh_status bh_spans_key(bh_spans *s, uint32_t cf_id, bh_ctr **out);
/* Room for `extra` more bytes; what the buffer leaves behind is wiped. */
BH_MUST_CHECK bh_status bh_spans_reserve(bh_spans *s, size_t extra);

/* MANIFEST: takes in the piece that begins at buf[at]. */
BH_MUST_CHECK bh_status bh_spans_manifest_piece(bh_spans *s, const bh_log_piece *piece, size_t at);
BH_MUST_CHECK bh_status bh_spans_manifest_finish(bh_spans *s);
void bh_spans_manifest_clear(bh_manifest_state *m);

#endif
