/* SPDX-License-Identifier: Apache-2.0
 *
 * shred_record.h: what the keyring keeps of a merchant's shred, from the moment it is asked for: all that its certificate says and
 * that cannot be found out again once files, DEKs and CMK are gone. Byte table in README.md. Pure: no I/O, no secrets.
 *
 * Times are in milliseconds since 1970; 0: not yet. Thread-safety: all calls are pure.
 */
#ifndef BH_SHRED_RECORD_H
#define BH_SHRED_RECORD_H

#include <bulkhead/kms.h>

#include "keyring/base/base.h"
#include "keyring/crypto/kdf.h"
#include "keyring/kms/kms.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_SHRED_MESSAGE_MAX 255 /* bytes of what a KMS or we said, without the NUL */

/* What the KMS said when it was asked to destroy the CMK. */
typedef struct bh_shred_answer {
	int64_t at_ms;          /* 0: not asked yet */
	bh_status status;       /* of the call */
	bh_kms_key_state state; /* of the CMK, as the KMS says; 0 where the call failed */
	int64_t destroyed_at_s; /* when the KMS did it, by its own clock; 0: it does not say */
	int64_t scheduled_s;    /* when it is going to; 0: no date */
	char request_id[BH_KMS_REQUEST_ID_SIZE];
	char message[BH_SHRED_MESSAGE_MAX + 1]; /* why it failed */
} bh_shred_answer;

/* An operation that a destroyed CMK has to refuse, tried afterwards. */
typedef struct bh_shred_probe {
	int64_t at_ms;    /* 0: not tried */
	bh_status status; /* BH_OK: the CMK still did it */
} bh_shred_probe;

typedef struct bh_shred_record {
	int64_t asked_at_ms;
	int64_t unreadable_at_ms;     /* no call returned any of its data from then on */
	int64_t destroyed_at_ms;      /* its wrapped DEKs are gone from the keyring */
	uint64_t file_count;          /* files it had, by header */
	uint8_t salts[BH_SHA256_LEN]; /* digest of their salts; engine/README.md */
	bh_shred_answer cmk;
	bh_shred_probe unwrap; /* of its first wrapped DEK, before that was forgotten */
	bh_shred_probe wrap;   /* of bytes of no use, when the KMS was asked again later */
	bool issued;           /* the certificate that says all this is stored */
} bh_shred_record;

/* A CMK that wrapped DEKs of a merchant before it was moved to another one. Whoever has an older KEYRING can ask it still, so a
 * shred is about it as well. */
typedef struct bh_former_cmk {
	char uri[BH_KMS_URI_MAX + 1];
	int64_t left_at_s;      /* when its last wrap left KEYRING */
	bh_shred_answer answer; /* to the request to destroy it; all zero while the merchant lives */
	bh_shred_probe wrap;    /* tried afterwards */
} bh_former_cmk;
#define BH_FORMER_CMKS_MAX 255 /* of one merchant */

/* Whether it is known to be destroyed. */
bool bh_former_cmk_is_gone(const bh_former_cmk *former);
/* Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_former_cmk_encode(const bh_former_cmk *former, bh_buf *out);
/* Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_former_cmk_decode(bh_reader *r, bh_former_cmk *out);

/* Whether the CMK that the merchant has is known to be destroyed: its KMS says so, and it refused what was tried last. */
bool bh_shred_is_final(const bh_shred_record *record);

/* Appends the record to `out`. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_shred_record_encode(const bh_shred_record *record, bh_buf *out);
/* Reads it from where `r` stands. Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_shred_record_decode(bh_reader *r, bh_shred_record *out);

#ifdef __cplusplus
}
#endif
#endif
