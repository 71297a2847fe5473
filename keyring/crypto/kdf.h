/* SPDX-License-Identifier: Apache-2.0
 *
 * kdf.h: HKDF-SHA256 (RFC 5869), HMAC-SHA256 (RFC 2104, FIPS 198-1), and SHA-256, all by OpenSSL.
 *
 * Thread-safety: all calls are pure.
 */
#ifndef BH_KDF_H
#define BH_KDF_H

#include "keyring/base/secret.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_SHA256_LEN 32
#define BH_SALT_LEN 32

/* HKDF extract-and-expand into `okm_out` (already `len` bytes, at most 255*32); `salt` and `info` may be empty, `ikm` not.
 * Errors: BH_E_INVALID (lengths), BH_E_CRYPTO (also: `info` over OpenSSL's limit, some KiB), and then `okm_out` is wiped. */
BH_MUST_CHECK bh_status bh_hkdf(bh_view ikm, bh_view salt, bh_view info, uint8_t *okm_out, size_t len);
/* The same, into a new secret. */
BH_MUST_CHECK bh_status bh_hkdf_secret(bh_view ikm, bh_view salt, bh_view info, size_t len, bh_secret *out);
/* HMAC over the concatenation of `n` parts. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_hmac(bh_view key, const bh_view *parts, size_t n, uint8_t mac_out[BH_SHA256_LEN]);
/* Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_sha256(bh_view data, uint8_t out[BH_SHA256_LEN]);
/* Over the concatenation of `n` parts. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_sha256_parts(const bh_view *parts, size_t n, uint8_t out[BH_SHA256_LEN]);

#ifdef __cplusplus
}
#endif
#endif
