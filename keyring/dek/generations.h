/* SPDX-License-Identifier: Apache-2.0
 *
 * generations.h: the DEKs of one merchant, in generations, as KEYRING keeps them: wraps, marks, tombstones. No I/O, no KMS, no
 * secrets.
 *
 * They lie generation after generation, and in each one DEK a class, always in the same order; so the newest generation is the last
 * ones. A rotation adds a generation for all classes; nothing is ever removed: what is retired stays as a tombstone.
 *
 * Invariants, which bh_deks_check() demands of what is read: generations are 1, 2, 3 ... without a gap, and each has every class
 * once; the newest has wraps, unless the merchant is shredded, when nothing has; the newest has no marks; a tombstone has the time
 * at which it was retired, or went with its merchant.
 * Thread-safety: none.
 */
#ifndef BH_GENERATIONS_H
#define BH_GENERATIONS_H

#include "context.h"
#include "keyring/crypto/kdf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_CLASSES_MAX 256 /* of a merchant */

/* Marks of a generation that is not the newest. */
enum {
	BH_DEK_SWEEP = 1,   /* its data is to be moved onto the newest one now, not when it comes along */
	BH_DEK_EXPOSED = 2, /* somebody may have the key */
};
#define BH_DEK_MARKS (BH_DEK_SWEEP | BH_DEK_EXPOSED)

typedef struct bh_dek_record {
	uint8_t id[BH_ID_LEN];
	char cls[BH_NAME_MAX + 1]; /* "": the platform's */
	uint32_t generation;       /* from 1, within its class */
	uint32_t cmk_version;      /* that wrapped it */
	int64_t created_at_s;
	unsigned marks;
	int64_t marked_at_s;                /* the last mark; 0 exactly without marks */
	uint64_t sealed;                    /* bytes sealed under it, when that was last written down; 0 in a tombstone */
	bh_buf wrapped;                     /* empty: a tombstone */
	int64_t retired_at_s;               /* of a tombstone; 0: it was not retired, but went with its merchant */
	uint8_t fingerprint[BH_SHA256_LEN]; /* of a tombstone: what the wrap was */
} bh_dek_record;
void bh_dek_record_clear(bh_dek_record *dek);
static inline bool bh_dek_record_is_tombstone(const bh_dek_record *dek)
{
	return dek->wrapped.len == 0;
}
static inline bool bh_dek_record_same_wrap(const bh_dek_record *a, const bh_dek_record *b)
{
	return a->wrapped.len == b->wrapped.len &&
	       (a->wrapped.len == 0 || memcmp(a->wrapped.data, b->wrapped.data, a->wrapped.len) == 0);
}
/* SHA-256 of a label, the DEK's id and its wrap: says which key was destroyed, and nothing about it. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_dek_record_fingerprint(const bh_dek_record *dek, uint8_t out[BH_SHA256_LEN]);
/* Drops the wrap and leaves a tombstone; `retired_at_s` 0: with its merchant. A tombstone stays what it is. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_dek_record_bury(bh_dek_record *dek, int64_t retired_at_s);

BH_MUST_CHECK bh_status bh_dek_record_encode(const bh_dek_record *dek, bh_buf *out);
/* Reads one into an empty record, which is the caller's to clear on failure, too. Errors: BH_E_FORMAT, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_dek_record_decode(bh_reader *r, bh_dek_record *out);

/* Several: `count` of them at `deks`, which keep the invariants. */
size_t bh_deks_class_count(const bh_dek_record *deks, size_t count);
uint32_t bh_deks_generation(const bh_dek_record *deks, size_t count); /* the newest */
bool bh_deks_is_newest(const bh_dek_record *deks, size_t count, size_t idx);
/* The newest that has a wrap; NULL: none has. */
const bh_dek_record *bh_deks_wrapped(const bh_dek_record *deks, size_t count);
const bh_dek_record *bh_deks_find(const bh_dek_record *deks, size_t count, const uint8_t id[BH_ID_LEN]);
/* Whether it has a wrap, and not all of the marks. */
bool bh_dek_record_takes(const bh_dek_record *dek, unsigned marks);
/* Sets marks on all but the newest generation and tombstones. How many of them it changed. */
size_t bh_deks_mark(bh_dek_record *deks, size_t count, unsigned marks, int64_t at_s);
/* Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_deks_check(const bh_dek_record *deks, size_t count, bool shredded);

#ifdef __cplusplus
}
#endif
#endif
