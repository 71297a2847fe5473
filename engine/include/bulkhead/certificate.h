/* SPDX-License-Identifier: Apache-2.0
 *
 * certificate.h: checking the certificate of a shred, offline: no database, no key, no KMS.
 *
 * A certificate is a JSON object, signed with the database's Ed25519 key; engine/README.md has its fields and says which bytes are
 * signed. White space, the order of members and the way characters are escaped count for nothing, everything else does.
 *
 * Thread-safety: the calls are pure.
 */
#ifndef BULKHEAD_CERTIFICATE_H
#define BULKHEAD_CERTIFICATE_H

#include <bulkhead/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BH_PUBLIC_KEY_LEN 32 /* bytes of the key that checks signatures, bh_db_public_key() */

typedef struct bh_certificate_info {
	bool is_final;                         /* false: PENDING, the CMK is not known to be destroyed */
	uint8_t public_key[BH_PUBLIC_KEY_LEN]; /* whose signature it bears */
	char database_id[33];                  /* hex */
	char merchant[65];
	char merchant_id[33]; /* hex */
} bh_certificate_info;

/* Checks the certificate `json`. `public_key` (BH_PUBLIC_KEY_LEN bytes): that of the database which must have signed it; NULL: any
 * key may have, and the caller compares info_out->public_key with what is known of the database from elsewhere. `info_out` may be
 * NULL. Errors: BH_E_TAG (changed, or signed with another key), BH_E_FORMAT (no certificate), BH_E_VERSION, BH_E_NOMEM,
 * BH_E_CRYPTO. */
BH_API BH_MUST_CHECK bh_status bh_certificate_verify(bh_view json, const uint8_t *public_key, bh_certificate_info *info_out);

#ifdef __cplusplus
}
#endif
#endif
