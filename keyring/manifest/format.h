/* SPDX-License-Identifier: Apache-2.0
 *
 * format.h: the bytes of DB/KEYRING around its records: head, commit mark, record frame. Byte tables in README.md. Pure: no
 * I/O.
 *
 * Three proofs, each for its own question: XXH3-64 says whether bytes are as they were written (a torn tail, a bad disk), without
 * any key; the head's HMAC and the records' HMAC chain say that they were written by who holds the root secret, in this order, in
 * this database; the commit mark says how far they have to reach, so that a cut at a record's end is seen.
 *
 * Invariants: what encode wrote decodes to the same; decode accepts nothing else (non-zero padding and trailing bytes are refused).
 * Thread-safety: all calls are pure.
 */
#ifndef BH_KEYRING_FORMAT_H
#define BH_KEYRING_FORMAT_H

#include "keyring/audit/event.h"
#include "keyring/dek/context.h"
#include "keyring/crypto/hmac_series.h"
#include "keyring/crypto/kdf.h"
#include "keyring/crypto/sign.h"
#include "keyring/kms/kms.h"
#include "ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_KEYRING_VERSION 5
#define BH_KEYRING_HEAD_LEN 3584u /* bytes of the head, at offset 0 */
#define BH_KEYRING_MARK_LEN 512u  /* bytes of the commit mark, one sector right after the head */
#define BH_KEYRING_RECORDS_OFF (BH_KEYRING_HEAD_LEN + BH_KEYRING_MARK_LEN)
#define BH_KEYRING_RECORD_OVERHEAD (13u + BH_SHA256_LEN + 8u) /* a record's bytes around its payload */

/* Written when the database is made; anew, in a new file, when the root secret gets another wrap. The root seals nothing: the key
 * of all HMACs in this file and the signing key are derived from it, and its id. */
typedef struct bh_keyring_head {
	uint8_t database_id[BH_ID_LEN];
	uint8_t root_id[BH_ID_LEN];
	uint8_t public_key[BH_SIGN_PUBLIC_LEN]; /* that the database signs with: here, so that a pin can be compared without a key
						 */
	int64_t created_at_s;
	uint32_t cmk_version; /* of the platform CMK, that wrapped the root */
	char region[BH_NAME_MAX + 1];
	char cmk_uri[BH_KMS_URI_MAX + 1];
	uint8_t wrapped[BH_KMS_WRAPPED_MAX]; /* the root */
	size_t wrapped_len;                  /* bytes */
} bh_keyring_head;

/* The key of all HMACs below: HKDF-SHA256 of the root, salted with the database id. */
BH_MUST_CHECK bh_status bh_keyring_mac_key(bh_view root, const uint8_t database_id[BH_ID_LEN], bh_secret *out);
/* What the database signs with; likewise. */
BH_MUST_CHECK bh_status bh_keyring_signer_make(bh_view root, const uint8_t database_id[BH_ID_LEN], bh_signer **out);

/* `mac_out` is the HMAC that the head ends in, where the records' chain starts. */
BH_MUST_CHECK bh_status bh_keyring_head_encode(const bh_keyring_head *head, const bh_secret *mac_key,
					       uint8_t out[BH_KEYRING_HEAD_LEN], uint8_t mac_out[BH_SHA256_LEN]);
/* What can be had without the key, which is in there. Errors: BH_E_FORMAT (no magic, padding, lengths), BH_E_VERSION, BH_E_TAG
 * (XXH3). */
BH_MUST_CHECK bh_status bh_keyring_head_decode(const uint8_t bytes[BH_KEYRING_HEAD_LEN], bh_keyring_head *out);
/* Checks the HMAC of a decoded head. Errors: BH_E_TAG. */
BH_MUST_CHECK bh_status bh_keyring_head_verify(const uint8_t bytes[BH_KEYRING_HEAD_LEN], const bh_secret *mac_key,
					       uint8_t mac_out[BH_SHA256_LEN]);

/* Says how far KEYRING is committed, how far AUDIT had come by then, and which logs there are. */
typedef struct bh_keyring_mark {
	uint64_t generation;          /* of the last committed record */
	uint64_t committed_len;       /* bytes of the file up to its end */
	uint8_t chain[BH_SHA256_LEN]; /* its chain MAC */
	bh_audit_position audit;      /* what AUDIT holds at least */
	uint64_t sequence;            /* of the mark itself: grows with each that is written */
	bh_ledger ledger;
} bh_keyring_mark;

BH_MUST_CHECK bh_status bh_keyring_mark_encode(const bh_keyring_mark *mark, const bh_secret *mac_key,
					       uint8_t out[BH_KEYRING_MARK_LEN]);
/* The same, by a series of HMACs under the same key. */
BH_MUST_CHECK bh_status bh_keyring_mark_encode_next(const bh_keyring_mark *mark, bh_hmac_series *series,
						    uint8_t out[BH_KEYRING_MARK_LEN]);
/* Errors: BH_E_TAG, BH_E_FORMAT (padding, a length before the first record). */
BH_MUST_CHECK bh_status bh_keyring_mark_decode(const uint8_t bytes[BH_KEYRING_MARK_LEN], const bh_secret *mac_key,
					       bh_keyring_mark *out);

typedef enum bh_keyring_record_type {
	BH_KEYRING_SNAPSHOT = 1,        /* all merchants; first in the file and nowhere else */
	BH_KEYRING_MERCHANT_ADDED = 2,  /* one merchant with its first DEKs */
	BH_KEYRING_STATE_CHANGED = 3,   /* of one merchant */
	BH_KEYRING_SHRED = 4,           /* begun, or got further: all that is known of it */
	BH_KEYRING_DEKS_ADDED = 5,      /* of one merchant: a generation for all of its classes */
	BH_KEYRING_DEKS_MARKED = 6,     /* of one merchant: all but the newest generation */
	BH_KEYRING_DEKS_SEALED = 7,     /* of any: how much was sealed under them */
	BH_KEYRING_FORMER_ANSWERED = 8, /* of a merchant's end: what a CMK said that it had before */
} bh_keyring_record_type;

typedef struct bh_keyring_record {
	uint8_t type; /* as read: may be one that this build does not know */
	uint64_t generation;
	bh_view payload;              /* borrowed from what was parsed */
	uint8_t chain[BH_SHA256_LEN]; /* its chain MAC */
	size_t len;                   /* bytes of the whole record */
} bh_keyring_record;

/* Appends one record to `out`. `chain` is the MAC before it on entry, its own on return. Errors: BH_E_INVALID (over 4 GiB),
 * BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_keyring_record_encode(bh_keyring_record_type type, uint64_t generation, bh_view payload,
						 const bh_secret *mac_key, uint8_t chain[BH_SHA256_LEN], bh_buf *out);
/* Reads the record that `bytes` begins with. Errors, in the order of the checks: BH_E_TRUNCATED (ends before the record does),
 * BH_E_FORMAT (XXH3: damaged or half-written), BH_E_TAG (whole, but not what was written after `chain`). */
BH_MUST_CHECK bh_status bh_keyring_record_decode(bh_view bytes, const bh_secret *mac_key, const uint8_t chain[BH_SHA256_LEN],
						 bh_keyring_record *out);

#ifdef __cplusplus
}
#endif
#endif
