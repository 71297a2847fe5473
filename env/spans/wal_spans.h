/* SPDX-License-Identifier: Apache-2.0
 *
 * wal_spans.h: which bytes of a WAL record belong to a column family.
 *
 * The payload of a WAL record is a write batch: u64 sequence, u32 count, then entries [u8 tag][varint32 family, by tag][strings, by
 * tag], each string a varint32 length and its bytes. The strings of an entry of family N (key, value, bounds of a range delete,
 * merge operand, wide columns, blob index) are N's spans; those of the default family, of LogData and of the two-phase-commit
 * markers are the platform's. A tag this build does not know is refused.
 *
 * A push parser: it keeps no bytes but the batch's header and may be stopped at any one. It is told structure and nothing of a span
 * but how much of it has passed, so it follows a log without its spans as well as one with them. Thread-safety: none.
 */
#ifndef BH_WAL_SPANS_H
#define BH_WAL_SPANS_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_WAL_BATCH_HEADER 12u /* u64 sequence number of the first entry, u32 number of entries that have one */

/* Where in a record; the numbers are those of README.md. */
enum {
	BH_WAL_OUTSIDE = 0,
	BH_WAL_HEADER = 1, /* `left` bytes of the batch's header to come */
	BH_WAL_TAG = 2,    /* between entries */
	BH_WAL_FAMILY = 3, /* in the varint of the family */
	BH_WAL_LENGTH = 4, /* in the varint of a string's length */
	BH_WAL_STRING = 5, /* `left` bytes of a string to come */
};

/* All zero: outside of a record. */
typedef struct bh_wal_parser {
	uint8_t state;
	uint8_t tag;          /* of the current entry */
	uint8_t strings_left; /* of the current entry, the current one included */
	uint8_t varint_len;   /* bytes of the current varint that have passed */
	uint32_t varint;
	uint32_t left;  /* bytes of the current string, or of the batch header, still to come */
	uint32_t cf_id; /* whose strings: BH_CF_DEFAULT for the platform's */
	uint32_t index; /* entries of the batch before the current one that take a sequence number */
	bool numbered;  /* the current entry takes one */
	bool spanned;   /* the current entry has had a span */
	bool bare;      /* an entry of this record had none: the platform's, a marker, or one whose strings are all empty */
	uint8_t header[BH_WAL_BATCH_HEADER]; /* so far as it has passed */
} bh_wal_parser;

typedef struct bh_wal_piece {
	size_t skip;    /* bytes that are no span */
	uint32_t cf_id; /* among them, or behind them, are bytes of an entry of this family; BH_CF_DEFAULT: none */
	uint32_t span;  /* bytes of its span that follow, of which bh_wal_span() is told; 0: none does */
} bh_wal_piece;

/* A record begins. */
void bh_wal_begin(bh_wal_parser *p);
/* Says what the first bytes of data[0..len) are, up to the next span or the end of an entry. Errors: BH_E_UNSUPPORTED (a tag),
 * BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_wal_next(bh_wal_parser *p, const uint8_t *data, size_t len, bh_wal_piece *out);
/* `len` bytes of the span that bh_wal_next() has come to have passed; at most as many as it said. */
void bh_wal_span(bh_wal_parser *p, uint32_t len);
/* Whether the next byte belongs to an entry that has begun. */
static inline bool bh_wal_in_entry(const bh_wal_parser *p)
{
	return p->state >= BH_WAL_FAMILY;
}
/* The record ends here. Errors: BH_E_FORMAT, when it ends inside an entry. */
BH_MUST_CHECK bh_status bh_wal_end(bh_wal_parser *p);

/* One entry of a batch that lies in memory as a whole: for who shows it to people. */
typedef struct bh_wal_entry {
	const char *name; /* of the tag, such as "put"; static */
	bool numbered;    /* takes a sequence number */
	uint32_t cf_id;
	unsigned string_count;
	bh_view strings[2]; /* borrowed from the record */
} bh_wal_entry;
/* Reads the entry at the front of *rest, what is left of the record behind the batch's header, and moves past it.
 * Errors: BH_E_UNSUPPORTED (a tag), BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_wal_entry_read(bh_view *rest, bh_wal_entry *out);

#ifdef __cplusplus
}
#endif
#endif
