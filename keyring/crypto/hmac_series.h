/* SPDX-License-Identifier: Apache-2.0
 *
 * hmac_series.h: HMAC-SHA256 (RFC 2104, FIPS 198-1) of one message after another under one key, where each begins as the one
 * before: KEYRING's commit mark, which every sync of a log writes anew. The MAC is the same as bh_hmac()'s.
 *
 * What was hashed of the key, and of the blocks that two messages in a row had in common, is kept, so that only what has changed
 * is hashed. That is as good as the key, so it lies in the arena (secret.h); in a forked child it is zeros, like the key.
 *
 * Thread-safety: one call at a time for a series.
 */
#ifndef BH_HMAC_SERIES_H
#define BH_HMAC_SERIES_H

#include "kdf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_HMAC_SERIES_MAX 512u /* bytes of a message */

typedef struct bh_hmac_series bh_hmac_series;

/* `key` is read, not kept; at most 64 bytes. Errors: BH_E_INVALID (its length), BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_hmac_series_new(bh_view key, bh_hmac_series **out);
/* Wipes and releases; NULL-safe. */
void bh_hmac_series_free(bh_hmac_series *series);
static inline void bh_hmac_series_freep(bh_hmac_series **series)
{
	bh_hmac_series_free(*series);
}
/* Errors: BH_E_INVALID (longer than BH_HMAC_SERIES_MAX), BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_hmac_series_next(bh_hmac_series *series, bh_view message, uint8_t mac_out[BH_SHA256_LEN]);

#ifdef __cplusplus
}
#endif
#endif
