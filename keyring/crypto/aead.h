/* SPDX-License-Identifier: Apache-2.0
 *
 * aead.h: AES-256-GCM (NIST SP 800-38D; 96-bit nonce, 128-bit tag) behind one small interface.
 *
 * Two engines that agree bit for bit: Intel's Multi-Buffer library, chosen at run time where the CPU has AES-NI, and OpenSSL
 * everywhere. BH_AEAD=openssl|ipsec-mb in the environment, or bh_aead_select(), forces one. The caller owns nonce uniqueness: see
 * env/README.md.
 *
 * Memory: a context is in the arena of secret.h. What OpenSSL keeps of its own (the key schedules of its engine) is in OpenSSL's
 * heap: wiped when the context is freed, until then neither locked nor left out of core dumps. ipsec-mb has no such part.
 *
 * Fork: a child may free the contexts that it inherits; seal and open refuse with BH_E_CRYPTO, so no nonce is used twice.
 *
 * Thread-safety: a bh_aead may be used from many threads at once. No call allocates after `new`, save that OpenSSL needs an EVP
 * context for each thread that is inside the same bh_aead at the same time (up to 32 are kept for the next calls).
 */
#ifndef BH_AEAD_H
#define BH_AEAD_H

#include "keyring/base/secret.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_NONCE_LEN 12
#define BH_TAG_LEN 16

typedef struct bh_aead bh_aead;

/* One engine; a const table of its calls. Called only through the wrappers below. */
typedef struct bh_aead_engine bh_aead_engine;

extern const bh_aead_engine bh_aead_engine_openssl;
/* NULL where the library was not built in or the CPU lacks what it needs. */
const bh_aead_engine *bh_aead_engine_ipsecmb(void);
/* The engine that new contexts use: the forced one, else ipsec-mb where it can run, else OpenSSL.
 * NULL if BH_AEAD names none that can run here: bh_aead_new() then says what is wrong. */
const bh_aead_engine *bh_aead_default(void);
const char *bh_aead_engine_name(const bh_aead_engine *engine); /* "none" for NULL */
/* Forces the engine for contexts made from now on: "openssl", "ipsec-mb" or "auto". Errors: BH_E_INVALID, BH_E_UNSUPPORTED. */
BH_MUST_CHECK bh_status bh_aead_select(const char *name);

/* A GCM context for one 32-byte key. `engine` NULL means bh_aead_default().
 * Errors: BH_E_INVALID (length, BH_AEAD), BH_E_UNSUPPORTED (BH_AEAD), BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_aead_new(const bh_aead_engine *engine, bh_view key, bh_aead **out);
/* Wipes and frees; NULL-safe. */
void bh_aead_free(bh_aead *aead);
void bh_aead_freep(bh_aead **aead);

/* Seals `len` bytes: writes `len` bytes of ciphertext to `out` (may equal `in`; no other overlap) and the tag.
 * Where `len` is 0, `in` and `out` may be NULL. Errors: BH_E_INVALID (over 2^36-32 bytes; nothing is touched), BH_E_CRYPTO, and
 * then `out` and `tag` are wiped. */
BH_MUST_CHECK bh_status bh_aead_seal(const bh_aead *aead, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in,
				     size_t len, uint8_t *out, uint8_t tag[BH_TAG_LEN]);
/* Opens `len` bytes; `out` as in bh_aead_seal(). Errors: BH_E_INVALID as there; BH_E_TAG, BH_E_CRYPTO, and then `out` is wiped
 * (`in` as well where it is the same): nothing unauthenticated is handed up. */
BH_MUST_CHECK bh_status bh_aead_open(const bh_aead *aead, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in,
				     size_t len, const uint8_t tag[BH_TAG_LEN], uint8_t *out);

#ifdef __cplusplus
}
#endif
#endif
