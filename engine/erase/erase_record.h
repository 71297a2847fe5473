/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_record.h: what a database remembers of erasures, in the platform's own column family: never the identity that was erased.
 *
 * A prefix is known by its digest (bh_suppressed_digest()), HMAC-SHA256 under a secret of its class. The secret is random and lies
 * sealed under the class's newest DEK: it outlives retired generations, since it is sealed anew before they go (bh_erase_rekey),
 * and ends with the merchant's keys. A note is there from the beginning of an erasure until no file holds a byte of the rows, a
 * marker from an erasure that wants the rows kept out until that is lifted; byte tables in README.md. Thread-safety: all calls.
 */
#ifndef BH_ERASE_RECORD_H
#define BH_ERASE_RECORD_H

#include <bulkhead/erase.h>

#include "engine/core/db.h"
#include "keyring/crypto/kdf.h"

/* Whose: a class of a living merchant. */
typedef struct bh_erase_scope {
	uint8_t merchant_id[BH_ID_LEN];
	bh_scope scope;
} bh_erase_scope;

/* Whose, with the merchant as it is in the keyring. */
bh_erase_scope bh_erase_scope_of(const bh_merchant_info *merchant, const char *cls);

/* The class's secret; `make`: a new one where it has none. Errors: BH_E_NOT_FOUND, BH_E_TAG, BH_E_FORMAT, those of the keyring and
 * of RocksDB. */
BH_MUST_CHECK bh_status bh_erase_secret(const bh_db *db, const bh_erase_scope *scope, bool make, bh_secret *out);
/* Seals the secrets of a merchant's classes under their newest DEKs, durably; nothing where there are none, or they are already.
 * Before an older generation is retired. Errors: as of bh_erase_secret(). */
BH_MUST_CHECK bh_status bh_erase_rekey(const bh_db *db, const bh_merchant_info *merchant);

typedef enum bh_erase_phase {
	BH_ERASE_BEGUN = 1,  /* rows may be in SSTs, blob files and WALs: whoever wants them gone has to erase again */
	BH_ERASE_LOGGED = 2, /* they are in none of these any more, but in logs that the next open leaves behind */
} bh_erase_phase;

typedef struct bh_erase_note {
	bh_erase_phase phase;
	uint64_t sequence; /* of the deletion; 0: not known yet */
	uint64_t logs;     /* LOGGED: WALs and MANIFESTs of this number and below may hold bytes of the rows */
	int64_t at_s;      /* when it began, seconds since 1970 */
} bh_erase_note;

/* Errors: those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_erase_note_put(const bh_db *db, const bh_erase_scope *scope, const uint8_t digest[BH_SHA256_LEN],
					  const bh_erase_note *note);
BH_MUST_CHECK bh_status bh_erase_note_remove(const bh_db *db, const bh_erase_scope *scope, const uint8_t digest[BH_SHA256_LEN]);
/* Calls `each` for every note of a merchant's class, until one fails. Errors: BH_E_FORMAT, those of `each` and of RocksDB. */
BH_MUST_CHECK bh_status bh_erase_notes(const bh_db *db, const bh_erase_scope *scope,
				       bh_status (*each)(void *arg, const uint8_t digest[BH_SHA256_LEN], const bh_erase_note *note),
				       void *arg);

/* ---- markers */

/* Durable when the call returns. Errors: those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_erase_marker_put(const bh_db *db, const bh_erase_scope *scope, const bh_erase_marker *marker);
BH_MUST_CHECK bh_status bh_erase_marker_remove(const bh_db *db, const bh_erase_scope *scope,
					       const uint8_t digest[BH_ERASE_DIGEST_LEN]);
/* Calls `each` for every marker of a merchant's class, until one fails. Errors: BH_E_FORMAT, BH_E_VERSION, those of `each` and of
 * RocksDB. */
BH_MUST_CHECK bh_status bh_erase_marker_each(const bh_db *db, const bh_erase_scope *scope,
					     bh_status (*each)(void *arg, const bh_erase_marker *marker), void *arg);

/* Removes all that is remembered of a merchant's erasures, whose keys are about to be destroyed. Durable when the call returns.
 * Errors: those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_erase_records_remove(const bh_db *db, const uint8_t merchant_id[BH_ID_LEN]);

#endif
