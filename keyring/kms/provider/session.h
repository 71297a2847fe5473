/* SPDX-License-Identifier: Apache-2.0
 *
 * session.h: what one user of KMSs need not work out again for each key he opens: the root secrets of local KMS directories
 * under a passphrase, whose derivation is slow on purpose (scrypt).
 *
 * One session has one passphrase. A secret is found by what it was derived from and checked against (salt and check value, as the
 * directory's root.json has them now), not by a path, so a directory that was exchanged for another one has nothing in common with
 * the secrets of the first. Two threads that come for the same directory at once may both derive it.
 *
 * Thread-safety: all calls may come from many threads; nobody waits for a derivation. After a fork the child finds nothing.
 */
#ifndef BH_KMS_SESSION_H
#define BH_KMS_SESSION_H

#include "provider.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_KMS_SESSION_TAG_LEN 64 /* bytes that a secret is found by */

/* Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_kms_session_new(bh_kms_session **out);
void bh_kms_session_free(bh_kms_session *session); /* wipes; NULL-safe */
/* A copy of the secret with this tag; false: there is none. `session` may be NULL. */
bool bh_kms_session_find(bh_kms_session *session, const uint8_t tag[BH_KMS_SESSION_TAG_LEN], bh_secret *out);
/* Keeps a copy; without memory for it, it will be derived again. `session` may be NULL. */
void bh_kms_session_keep(bh_kms_session *session, const uint8_t tag[BH_KMS_SESSION_TAG_LEN], const bh_secret *secret);

#ifdef __cplusplus
}
#endif
#endif
