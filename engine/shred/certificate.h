/* SPDX-License-Identifier: Apache-2.0
 *
 * certificate.h (internal): certificates of shreds: made out of what the keyring knows, kept in DB/certificates, read again.
 *
 * One file a shredded merchant, DB/certificates/<merchant>-<merchant id>.json. It is there, PENDING, before the first file of the
 * merchant is removed: it alone keeps the list of their salts. Thread-safety: none of its own.
 */
#ifndef BH_ENGINE_CERTIFICATE_H
#define BH_ENGINE_CERTIFICATE_H

#include <bulkhead/certificate.h>

#include "env/format/header.h"
#include "keyring/ring/keyring.h"

#define BH_CERTIFICATES_DIR "certificates"
#define BH_CERTIFICATE_TEMP ".tmp" /* behind its name, while it is written */
#define BH_CERTIFICATE_FORMAT "bulkhead-shred-certificate"
#define BH_CERTIFICATE_VERSION 1
#define BH_CERTIFICATE_MAX ((size_t)64 << 20) /* bytes of a certificate that is read */

/* Salts of files, sorted, each once. */
typedef struct bh_salts {
	uint8_t (*items)[BH_SALT_LEN]; /* owned */
	size_t count;
	size_t cap;
} bh_salts;
void bh_salts_clear(bh_salts *salts);
/* Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_salts_add(bh_salts *salts, const uint8_t salt[BH_SALT_LEN]);
/* SHA-256 of a label and the salts. Errors: BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_salts_digest(const bh_salts *salts, uint8_t out[BH_SHA256_LEN]);

/* What a certificate is about. All borrowed. */
typedef struct bh_certificate_facts {
	bh_keyring *keyring;
	const bh_merchant_info *merchant; /* in SHREDDING or SHREDDED */
	const bh_shred_record *shred;
	const bh_salts *salts; /* NULL: the list is lost; their number and digest are in the record */
} bh_certificate_facts;

/* Makes and signs a certificate: FINAL if the CMK is known to be destroyed and the DEKs are, else PENDING. The JSON text, for
 * people to read, ending in a newline, is appended to `out`. Errors: BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_certificate_make(const bh_certificate_facts *facts, bh_buf *out);

/* The name of a merchant's certificate, in BH_CERTIFICATES_DIR. */
#define BH_CERTIFICATE_NAME_SIZE (BH_NAME_MAX + BH_ID_HEX_SIZE + 16)
void bh_certificate_name(const bh_merchant_info *merchant, char out[BH_CERTIFICATE_NAME_SIZE]);
/* Puts `json` in its place, atomically and durably. Errors: BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_certificate_store(const char *dir, const bh_merchant_info *merchant, bh_view json);
/* Reads the stored one and checks that this database has signed it, for this merchant. Appended to `out`. Errors: BH_E_NOT_FOUND,
 * BH_E_IO, those of bh_certificate_verify(). */
BH_MUST_CHECK bh_status bh_certificate_load(const char *dir, const bh_keyring *keyring, const bh_merchant_info *merchant,
					    bh_buf *out);
/* The salts that a checked certificate lists; none, where it has no list. Errors: BH_E_FORMAT, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_certificate_salts(bh_view json, bh_salts *out);

/* The shredded merchant of that name: the newest whose CMK is not known to be destroyed if there is one and `pending_first`, else
 * the newest. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_INVALID (lives, and nobody of its name was shredded), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_certificate_subject(bh_keyring *keyring, const char *name, bool pending_first, bh_merchant_info *out);
/* The certificate of a shredded merchant: the stored one, or, where that is lost, one made anew. Errors: BH_E_INVALID (it is not
 * shredded), BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_certificate_get(const char *dir, bh_keyring *keyring, const bh_merchant_info *merchant, bh_buf *out);

/* Seconds since 1970, milliseconds, as RFC 3339 in UTC. */
#define BH_TIME_SIZE 32
void bh_time_format(int64_t at_ms, char out[BH_TIME_SIZE]);

#endif
