/* SPDX-License-Identifier: Apache-2.0
 *
 * format.h: the bytes of DB/AUDIT: an entry's line, a checkpoint's, an anchor's, and what these two sign. Pure: no I/O.
 *
 * A line is all its bytes, the newline included: that is what is hashed for the chain, and what is a leaf of the tree. README.md
 * has the tables. A checkpoint has one spelling alone, and so has an anchor: decode accepts what encode writes, and nothing else.
 *
 * Thread-safety: all calls are pure.
 */
#ifndef BH_AUDIT_FORMAT_H
#define BH_AUDIT_FORMAT_H

#include "event.h"
#include "keyring/crypto/merkle.h"
#include "keyring/crypto/sign.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_AUDIT_LINE_MAX (64u << 10)   /* bytes of a line, newline included */
#define BH_AUDIT_TIME_SIZE 32           /* room for "2026-01-31T12:00:00.000Z" with its NUL, whatever the year */
#define BH_AUDIT_SIGNED_LEN 112u        /* bytes that a checkpoint signs */
#define BH_AUDIT_ANCHOR_SIGNED_LEN 120u /* ... that an anchor does */
#define BH_AUDIT_HOST_MAX 64

/* Who writes: one open keyring of one process. */
typedef struct bh_audit_process {
	char id[BH_ID_HEX_SIZE]; /* random, for each open */
	char host[BH_AUDIT_HOST_MAX + 1];
	long pid;
	char actor[BH_NAME_MAX + 1];
} bh_audit_process;

/* RFC 3339, UTC, milliseconds. */
void bh_audit_time_format(int64_t at_ms, char out[BH_AUDIT_TIME_SIZE]);
/* What format writes, exactly. Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_audit_time_parse(bh_view text, int64_t *at_ms_out);

/* How an entry has these numbers. No text in an entry can look like that: its quotes are escaped. */
#define BH_AUDIT_KEYRING ",\"keyring\":"
#define BH_AUDIT_ARCHIVED ",\"archived\":"
/* The number that the entry has behind `member`, one of these; 0: it has none. */
uint64_t bh_audit_line_number(bh_view line, const char *member);
/* The part of an entry that does not depend on its place in the log. Appended to `out`. Errors: BH_E_INVALID (too many DEK ids),
 * BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_audit_body_encode(const bh_audit_process *process, int64_t at_ms, const bh_audit_event *event,
					     bh_buf *out);
/* Appends the line of an entry. */
BH_MUST_CHECK bh_status bh_audit_entry_encode(uint64_t seq, const uint8_t prev[BH_SHA256_LEN], bh_view body, bh_buf *out);

/* An anchor is a checkpoint from which the log can be gone on with by who has not read what comes before: it has the tree's peaks,
 * and says where it lies. */
typedef struct bh_audit_checkpoint {
	bh_audit_position position;
	int64_t at_ms;
	uint64_t offset;             /* of an anchor: bytes of the log before its line; 0: a plain checkpoint */
	uint8_t prev[BH_SHA256_LEN]; /* SHA-256 of the line before it */
	uint8_t signature[BH_SIGNATURE_LEN];
} bh_audit_checkpoint;

/* The bytes that `signature` signs: how many. */
size_t bh_audit_checkpoint_message(const bh_audit_checkpoint *checkpoint, uint8_t out[BH_AUDIT_ANCHOR_SIGNED_LEN]);
/* `tree`: that of the checkpoint, whose peaks an anchor has; a plain one needs none. */
BH_MUST_CHECK bh_status bh_audit_checkpoint_encode(const bh_audit_checkpoint *checkpoint, const bh_merkle *tree, bh_buf *out);

/* A line as far as the chain needs it. */
typedef struct bh_audit_line {
	bool is_checkpoint;             /* or an anchor */
	uint64_t seq;                   /* of an entry */
	uint8_t prev[BH_SHA256_LEN];    /* of either */
	bh_audit_checkpoint checkpoint; /* of a checkpoint */
	bh_merkle tree;                 /* of an anchor alone, whose root it has; else not set */
} bh_audit_line;

/* `*out` is of no use on failure. Errors: BH_E_FORMAT, BH_E_TAG (an anchor whose peaks are not its root's). */
BH_MUST_CHECK bh_status bh_audit_line_decode(bh_view line, bh_audit_line *out);
/* What every anchor's line begins with. */
#define BH_AUDIT_ANCHOR_BEGIN "{\"anchor\":"
/* Whether it begins as a checkpoint or an anchor does. */
bool bh_audit_line_looks_like_checkpoint(bh_view line);

#ifdef __cplusplus
}
#endif
#endif
