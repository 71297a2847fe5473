/* SPDX-License-Identifier: Apache-2.0
 *
 * suppressed.h: the prefixes that nothing may be written under in a class, as every write looks at them.
 *
 * A set is replaced as a whole and never changed. It has the digest and the length of each prefix, never its bytes. A class without
 * any has no set, and its writes pay one load for that. In a class with some a write pays one HMAC for each length that they have.
 *
 * Where it could not be found out what is suppressed, the set says why, and refuses every write: who cannot know what was erased
 * must not bring it back.
 *
 * Thread-safety: a set may be looked at by whoever has entered the gate to write (bh_gate_enter_write). It is published under the
 * merchant's `marking`, inside the gate, and what was replaced is freed once no write can look at it any more.
 */
#ifndef BH_ENGINE_SUPPRESSED_H
#define BH_ENGINE_SUPPRESSED_H

#include "class.h"
#include "keyring/crypto/kdf.h"

typedef struct bh_suppressed bh_suppressed;

/* Empty. NULL: no memory. */
bh_suppressed *bh_suppressed_new(void);
void bh_suppressed_free(bh_suppressed *set); /* wipes it; NULL-safe */
/* Adds the digest of a prefix of `len` bytes. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_suppressed_add(bh_suppressed *set, uint32_t len, const uint8_t digest[BH_SHA256_LEN]);
size_t bh_suppressed_count(const bh_suppressed *set);
/* After the last prefix: takes over the secret that the digests are made with. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_suppressed_finish(bh_suppressed *set, bh_secret *secret);
/* From now on it refuses every write with this status, and with this thread's message. */
void bh_suppressed_fail(bh_suppressed *set, bh_status status);
/* BH_OK, or why it refuses every write. */
BH_MUST_CHECK bh_status bh_suppressed_status(const bh_suppressed *set, const char *merchant, const char *cls);

/* The name of a prefix: HMAC-SHA256 under the class's secret. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_suppressed_digest(const bh_secret *secret, bh_view prefix, uint8_t out[BH_SHA256_LEN]);

/* Under `marking`, or with nobody inside: makes it what writes of the class look at, and takes it over. What was there stays until
 * bh_suppressed_free_replaced(). */
void bh_suppressed_publish(bh_class *cls, bh_suppressed *set);
/* Once no write looks at them any more. */
void bh_suppressed_free_replaced(bh_class *cls);
/* With the gate closed and nobody inside: wipes and frees those of all classes. */
void bh_suppressed_unload(bh_class *classes, size_t count);

/* The slow half of bh_suppressed_check(). */
BH_MUST_CHECK bh_status bh_suppressed_look(const bh_suppressed *set, const char *merchant, const char *cls, bh_view key);

/* Whether a row may be written under `key`. Errors: BH_E_ERASED, BH_E_CRYPTO, and what kept the markers from being read. */
BH_MUST_CHECK static inline bh_status bh_suppressed_check(const char *merchant, const bh_class *cls, bh_view key)
{
	const bh_suppressed *set = atomic_load(&cls->suppressed);

	return set == NULL ? BH_OK : bh_suppressed_look(set, merchant, cls->name, key);
}

static inline bool bh_suppressed_any(const bh_class *cls)
{
	return atomic_load(&cls->suppressed) != NULL;
}

#endif
