/* SPDX-License-Identifier: Apache-2.0
 *
 * token.h: the tokens in PKCS#11 modules. A token is shared by all keys that are opened on it in the same way, and logged in to
 * once.
 *
 * A session is opened for each call and closed after it. One more stays open as long as the token is used, which keeps it logged
 * in. When that one is gone, since the token was taken out, or its module ended by the host program, the next call looks for the
 * token anew and logs in again. A module does its work in the caller's thread, and nothing can end it: a call into an HSM that
 * hangs, hangs.
 *
 * Tokens lock themselves after a few wrong PINs. So a PIN that the token has refused is not tried again by this process, however
 * many keys ask; another one is. The last try that a token says it has left is not made at all.
 *
 * Thread-safety: all calls may come from many threads; modules are initialised for that. A child after a fork gets no answer.
 */
#ifndef BH_KMS_PKCS11_TOKEN_H
#define BH_KMS_PKCS11_TOKEN_H

#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_P11_ID_MAX 64

/* What a URI says. */
typedef struct bh_p11_place {
	char module[BH_P11_TEXT_MAX];     /* absolute path */
	char init[BH_P11_TEXT_MAX];       /* what the module wants in C_Initialize's pReserved; "" */
	char pin_source[BH_P11_TEXT_MAX]; /* "file:PATH", "fd:N"; "": the token needs none */
	char label[33], serial[17];       /* of the token; "" is any */
	char manufacturer[33], model[17]; /* likewise */
	char object[BH_P11_TEXT_MAX];     /* CKA_LABEL; "" where `id` alone is given */
	uint8_t id[BH_P11_ID_MAX];        /* CKA_ID */
	size_t id_len;
	char region[BH_NAME_MAX + 1];
} bh_p11_place;

/* uri.c. Errors: BH_E_INVALID, BH_E_UNSUPPORTED (no libp11-kit). */
BH_MUST_CHECK bh_status bh_p11_place_parse(const char *uri, bh_p11_place *out);

typedef struct bh_p11_token bh_p11_token;

/* Counted: bh_p11_token_unref() it. Errors: those of bh_p11_module_get(). */
BH_MUST_CHECK bh_status bh_p11_token_get(const bh_p11_place *place, bh_p11_token **out);
void bh_p11_token_unref(bh_p11_token *token); /* NULL-safe */

/* One call's session, logged in. Errors: BH_E_KMS_UNREACHABLE (no such token), BH_E_KMS_REFUSED (no PIN, or a wrong one),
 * BH_E_UNSUPPORTED (several tokens fit). */
typedef struct bh_p11_session {
	CK_FUNCTION_LIST_PTR module;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE handle;
} bh_p11_session;
BH_MUST_CHECK bh_status bh_p11_session_open(bh_p11_token *token, bool for_writing, bh_p11_session *out);
void bh_p11_session_close(bh_p11_session *session); /* nothing if it is not open */
/* Whether it is logged in still, where it has to be: only then does a key that is not found not exist. */
bool bh_p11_session_is_whole(const bh_p11_token *token, const bh_p11_session *session);

#ifdef __cplusplus
}
#endif
#endif
