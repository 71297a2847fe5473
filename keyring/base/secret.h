/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.h: memory for keys.
 *
 * A secret lives in an arena of its own: locked (mlock, so never in swap), left out of core dumps (MADV_DONTDUMP), wiped in a
 * forked child (MADV_WIPEONFORK), wiped on release, between two guard pages. Nothing here prints a secret. Where a lock cannot be
 * had for a key, the allocation fails: keys are never kept in ordinary memory. Expanded cipher contexts come from the same arena by
 * bh_secret_alloc(); they too are wiped and left out of dumps, and locked while all of them together stay below half of
 * RLIMIT_MEMLOCK: the other half is for keys. Both madvise calls must succeed (Linux 4.14), or the allocation fails. After a fork
 * the child reads every secret as zeros, may clear and free what it inherited, and gets locked memory of its own for new ones.
 *
 * Thread-safety: the arena has a lock of its own; a bh_secret belongs to its owner.
 */
#ifndef BH_SECRET_H
#define BH_SECRET_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_DEK_LEN 32 /* bytes of a DEK, of an AES-256 key, of a SHA-256 output */

/* An owned secret; all zero is empty. Move it with bh_secret_take(), never by assignment. */
typedef struct bh_secret {
	uint8_t *data; /* in the arena */
	size_t len;    /* bytes */
} bh_secret;

/* Fills `out`, which must be empty, with `len` zero bytes in the arena; 0 bytes is an empty secret. Errors: BH_E_NOMEM (also:
 * cannot be locked). */
BH_MUST_CHECK bh_status bh_secret_init(bh_secret *out, size_t len);
/* A secret holding a copy of `bytes`; the caller wipes its own copy. */
BH_MUST_CHECK bh_status bh_secret_copy(bh_secret *out, bh_view bytes);
/* `len` bytes from the random generator. Errors: BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_secret_random(bh_secret *out, size_t len);
/* Hands the secret over: returns it and leaves `from` empty. */
bh_secret bh_secret_take(bh_secret *from);
/* Wipes and releases; NULL-safe, idempotent. */
void bh_secret_clear(bh_secret *secret);
static inline bh_view bh_secret_view(const bh_secret *s)
{
	return bh_view_of(s->data, s->len);
}
/* Whether a key, which is never all zero, reads as zeros: it was inherited over a fork, and must not be used for anything. */
static inline bool bh_secret_is_wiped(const bh_secret *s)
{
	uint8_t seen = 0;

	for (size_t i = 0; i < s->len; i++)
		seen |= s->data[i];
	return seen == 0;
}

/* Memory for an expanded key schedule: `len` bytes, zeroed, aligned to 64, non-dumpable, wiped by bh_secret_free(). NULL if none is
 * left. */
void *bh_secret_alloc(size_t len);
void bh_secret_free(void *p, size_t len);

/* Bytes of memory for expanded keys that are not locked now, and so could get into swap; *limit_needed_out: the RLIMIT_MEMLOCK
 * under which all of it would be. */
size_t bh_secret_unlocked(size_t *limit_needed_out);

/* Bytes now held in the arena, for leak tests and metrics. */
size_t bh_secret_in_use(void);

#ifdef __cplusplus
}
#endif
#endif
