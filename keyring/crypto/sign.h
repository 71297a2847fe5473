/* SPDX-License-Identifier: Apache-2.0
 *
 * sign.h: Ed25519 (RFC 8032, pure, without context) by OpenSSL: what a database signs with, and how anybody checks it.
 *
 * A signer keeps its seed in locked memory; OpenSSL has the expanded key for the length of one signature, and wipes it. Signatures
 * are deterministic: the same message gives the same bytes. After a fork the seed reads as zeros, and the child signs nothing. One
 * key signs messages of several kinds: each kind begins with bytes, or has a field, that no other one has.
 *
 * Thread-safety: a bh_signer is immutable; checking is pure.
 */
#ifndef BH_SIGN_H
#define BH_SIGN_H

#include "keyring/base/secret.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_SIGN_SEED_LEN 32   /* bytes of a private key, RFC 8032, 5.1.5 */
#define BH_SIGN_PUBLIC_LEN 32 /* bytes of a public key */
#define BH_SIGNATURE_LEN 64   /* bytes of a signature */

typedef struct bh_signer bh_signer;

/* A signer of the private key `seed` (BH_SIGN_SEED_LEN bytes, copied; the caller wipes its own). Ownership: bh_signer_free().
 * Errors: BH_E_INVALID (length), BH_E_NOMEM (also: cannot be locked), BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_signer_new(bh_view seed, bh_signer **out);
void bh_signer_free(bh_signer *signer); /* wipes; NULL-safe */
void bh_signer_public(const bh_signer *signer, uint8_t out[BH_SIGN_PUBLIC_LEN]);

/* Signs `message`, of any length. Errors: BH_E_NO_KEY (inherited over a fork), BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_sign(const bh_signer *signer, bh_view message, uint8_t signature_out[BH_SIGNATURE_LEN]);
/* Whether `signature` is that of `message` by the owner of `public_key`. A signature that has been varied (S not below the order of
 * the group) is none. Errors: BH_E_TAG (it is not, or the key is no point), BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_sign_verify(const uint8_t public_key[BH_SIGN_PUBLIC_LEN], bh_view message,
				       const uint8_t signature[BH_SIGNATURE_LEN]);

#ifdef __cplusplus
}
#endif
#endif
