/* SPDX-License-Identifier: Apache-2.0
 *
 * mechanism.h: how a token seals a DEK, bound to a context:
 *     1  CKM_AES_GCM            12-byte random nonce, 32-byte ciphertext, 16-byte tag; the context is associated data
 *     2  CKM_AES_KEY_WRAP_PAD   88 bytes: RFC 5649 of 16 random bytes, the DEK and SHA-256 of the context, since this mechanism
 *                               takes no associated data; what comes out is compared here. The module has the DEK as a key of the
 *                               session for that time. Where there is no GCM
 *
 * Thread-safety: a session is one call's.
 */
#ifndef BH_KMS_PKCS11_MECHANISM_H
#define BH_KMS_PKCS11_MECHANISM_H

#include "token.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_P11_GCM 1
#define BH_P11_KWP 2

/* The one that this token seals by; 0: it has neither. */
uint8_t bh_p11_mechanism(const bh_p11_session *s);
size_t bh_p11_sealed_len(uint8_t mechanism); /* bytes; 0: there is no such mechanism */
/* Writes bh_p11_sealed_len() bytes. Errors: bh_p11_error()'s. */
BH_MUST_CHECK bh_status bh_p11_seal(const bh_p11_session *s, uint8_t mechanism, CK_OBJECT_HANDLE handle, const uint8_t *dek,
				    bh_view context, uint8_t *out);
/* Further errors: BH_E_TAG. */
BH_MUST_CHECK bh_status bh_p11_unseal(const bh_p11_session *s, uint8_t mechanism, CK_OBJECT_HANDLE handle, const uint8_t *sealed,
				      bh_view context, uint8_t *dek_out);
/* What a key has to be allowed for that: a key is disabled by these. */
CK_ATTRIBUTE_TYPE bh_p11_use_to_wrap(const bh_p11_session *s);
CK_ATTRIBUTE_TYPE bh_p11_use_to_unwrap(const bh_p11_session *s);
/* Whether this one is allowed both. Errors: bh_p11_error()'s. */
BH_MUST_CHECK bh_status bh_p11_may_work(const bh_p11_session *s, CK_OBJECT_HANDLE handle, bool *out);

#ifdef __cplusplus
}
#endif
#endif
