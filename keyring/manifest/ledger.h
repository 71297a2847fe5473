/* SPDX-License-Identifier: Apache-2.0
 *
 * ledger.h: which logs the database has to have, as KEYRING's commit mark says it. Byte table in README.md. Data alone: what a log
 * is, and when this changes, is env/fs/fresh.h's.
 *
 * Invariants: what put wrote, get gives back; get accepts nothing else (unused slots are zero). Thread-safety: pure.
 */
#ifndef BH_LEDGER_H
#define BH_LEDGER_H

#include "keyring/base/base.h"
#include "keyring/crypto/kdf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_LEDGER_MANIFESTS 2u /* CURRENT names one of them */
#define BH_LEDGER_WALS 8u      /* the newest; older ones are in a file of their own */
#define BH_LEDGER_SALT_LEN 16u /* the first half of a file's salt */
#define BH_LEDGER_LOG_LEN (8u + BH_LEDGER_SALT_LEN + 8u)
#define BH_LEDGER_LEN (16u + BH_SHA256_LEN + (BH_LEDGER_MANIFESTS + BH_LEDGER_WALS) * BH_LEDGER_LOG_LEN)

typedef struct bh_ledger_log {
	uint64_t number;
	uint8_t salt[BH_LEDGER_SALT_LEN];
	uint64_t end; /* bytes of the file that were synced at least */
} bh_ledger_log;

typedef struct bh_ledger {
	bool begins; /* the first MANIFEST is being made: CURRENT may be missing */
	uint8_t manifest_count, wal_count;
	uint32_t older_count;                /* logs in that file; 0: there is none */
	uint8_t older_digest[BH_SHA256_LEN]; /* SHA-256 of it */
	uint64_t gone;                       /* of its logs those up to this number do not count any more */
	bh_ledger_log manifests[BH_LEDGER_MANIFESTS];
	bh_ledger_log wals[BH_LEDGER_WALS]; /* by number; two of one number: either may be there */
} bh_ledger;

/* One log, as it stands here and in the file of older ones. */
void bh_ledger_log_put(const bh_ledger_log *log, uint8_t out[BH_LEDGER_LOG_LEN]);
void bh_ledger_log_get(const uint8_t bytes[BH_LEDGER_LOG_LEN], bh_ledger_log *out);
/* What encoded bytes say, which nobody has checked: WALs listed. */
static inline size_t bh_ledger_wal_count(const uint8_t bytes[BH_LEDGER_LEN])
{
	return bytes[2];
}
void bh_ledger_put(const bh_ledger *ledger, uint8_t out[BH_LEDGER_LEN]);
/* Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_ledger_get(const uint8_t bytes[BH_LEDGER_LEN], bh_ledger *out);

#ifdef __cplusplus
}
#endif
#endif
