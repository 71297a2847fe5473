/* SPDX-License-Identifier: Apache-2.0
 *
 * aead_engine.h (internal to aead*.c): what an engine is.
 *
 * A context is an engine's own struct, `size` bytes of the arena, that begins with a bh_aead. After a fork the child reads it as
 * zeros, so its `engine` is NULL there: the wrappers refuse it. That keeps a child from using the parent's nonces again, or an
 * all-zero key.
 *
 * Thread-safety: seal and open may be called from many threads on one context; init and clear may not.
 */
#ifndef BH_AEAD_ENGINE_H
#define BH_AEAD_ENGINE_H

#include "aead.h"

struct bh_aead {
	const bh_aead_engine *engine;
};

struct bh_aead_engine {
	const char *name;
	size_t size; /* bytes of its context */
	/* Fills in a zeroed context, but for `engine`. After a failure clear() is not called. */
	bh_status (*init)(bh_aead *self, const uint8_t key[BH_DEK_LEN]);
	/* Releases what the context owns outside of the arena. NULL: nothing. */
	void (*clear)(bh_aead *self);
	/* As bh_aead_seal() and bh_aead_open(), but a failing call may leave anything in `out` and `tag`: the wrappers wipe. */
	bh_status (*seal)(const bh_aead *self, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
			  uint8_t *out, uint8_t tag[BH_TAG_LEN]);
	/* BH_E_TAG here needs no message. */
	bh_status (*open)(const bh_aead *self, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
			  const uint8_t tag[BH_TAG_LEN], uint8_t *out);
};

#endif
