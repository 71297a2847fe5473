/* SPDX-License-Identifier: Apache-2.0
 *
 * audit_format.h: the bytes of DB/AUDIT: an entry's line, a checkpoint's line, and what a checkpoint signs. Pure: no I/O.
 *
 * A line is all its bytes, the newline included: that is what is hashed for the chain, and what is a leaf of the tree. README.md
 * has the tables. A checkpoint has one spelling alone: decode accepts what encode writes, and nothing else.
 *
 * Thread-safety: all calls are pure.
 */
#ifndef BH_AUDIT_FORMAT_H
#define BH_AUDIT_FORMAT_H

#include "audit.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_AUDIT_LINE_MAX (64u << 10) /* bytes of a line, newline included */
#define BH_AUDIT_TIME_SIZE 32         /* room for "2026-01-31T12:00:00.000Z" with its NUL, whatever the year */
#define BH_AUDIT_SIGNED_LEN 112u      /* bytes that a checkpoint signs */
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

/* The part of an entry that does not depend on its place in the log. Appended to `out`. Errors: BH_E_INVALID (too many DEK ids),
 * BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_audit_body_encode(const bh_audit_process *process, int64_t at_ms, const bh_audit_event *event,
					     bh_buf *out);
/* Appends the line of an entry. */
BH_MUST_CHECK bh_status bh_audit_entry_encode(uint64_t seq, const uint8_t prev[BH_SHA256_LEN], bh_view body, bh_buf *out);

typedef struct bh_audit_checkpoint {
	bh_audit_position position;
	int64_t at_ms;
	uint8_t prev[BH_SHA256_LEN]; /* SHA-256 of the line before it */
	uint8_t signature[BH_SIGNATURE_LEN];
} bh_audit_checkpoint;

/* The bytes that `signature` signs. */
void bh_audit_checkpoint_message(const bh_audit_checkpoint *checkpoint, uint8_t out[BH_AUDIT_SIGNED_LEN]);
BH_MUST_CHECK bh_status bh_audit_checkpoint_encode(const bh_audit_checkpoint *checkpoint, bh_buf *out);

/* A line as far as the chain needs it. */
typedef struct bh_audit_line {
	bool is_checkpoint;
	uint64_t seq;                   /* of an entry */
	uint8_t prev[BH_SHA256_LEN];    /* of either */
	bh_audit_checkpoint checkpoint; /* of a checkpoint */
} bh_audit_line;

/* Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_audit_line_decode(bh_view line, bh_audit_line *out);
/* Whether it begins as a checkpoint does. */
bool bh_audit_line_looks_like_checkpoint(bh_view line);

#ifdef __cplusplus
}
#endif
#endif
