/* SPDX-License-Identifier: Apache-2.0
 *
 * pin.h: what is kept elsewhere of a database (bulkhead/pin.h), as text and as fields. README.md has the form. Pure: no I/O.
 *
 * Identity (database, signing key, CMK) is checked against KEYRING's head while that is not authenticated yet, so that nobody's KMS
 * is asked for a stranger's; that the head tells the truth is found out once its keys are there. Thread-safety: all calls are pure.
 */
#ifndef BH_MANIFEST_PIN_H
#define BH_MANIFEST_PIN_H

#include <bulkhead/pin.h>

#include "format.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_pin {
	uint8_t database_id[BH_ID_LEN];
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
	uint8_t cmk[BH_ID_LEN];  /* SHA-256 of the platform CMK's URI, its first bytes */
	uint64_t generation;     /* of KEYRING */
	bh_audit_position audit; /* of a log that has entries */
} bh_pin;

/* Fills in what the head says. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_pin_identity(const bh_keyring_head *head, bh_pin *out);
/* Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_pin_format(const bh_pin *pin, char out[BH_PIN_SIZE]);
/* Takes what format writes, and nothing else. Errors: BH_E_INVALID, saying what is expected; BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_pin_parse(const char *text, bh_pin *out);
/* Whether a KEYRING that begins with this head may be the one that was pinned. Errors: BH_E_TAG, naming what is another;
 * BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_pin_check(const bh_pin *pin, const bh_keyring_head *head);

#ifdef __cplusplus
}
#endif
#endif
