/* SPDX-License-Identifier: Apache-2.0
 *
 * live.h: which DEKs are in memory, and what was sealed under each.
 *
 * KEYRING has what a tally was when it was written down last (sealed.c). A tally begins there when its DEK comes into memory for
 * the first time, and stays in the table while KEYRING has the DEK's wrap, whether the DEK is in memory or not.
 */
#ifndef BH_RING_LIVE_H
#define BH_RING_LIVE_H

#include "ring.h"

/* Whether all wraps of the merchant are in memory as DEKs. The caller holds `lock`. */
bool bh_keyring_is_live(const bh_keyring *keyring, const bh_merchant_record *merchant);

/* The caller of these holds `lock`. DEKs come into `live` this way alone: `sealed` is what is known to be sealed
 * under it already. Room is reserved. */
BH_MUST_CHECK bh_status bh_keyring_live_reserve(bh_keyring *keyring, size_t extra);
void bh_keyring_live_insert(bh_keyring *keyring, bh_dek *dek, uint64_t sealed);
/* What was sealed under it; 0 for a tombstone. */
uint64_t bh_keyring_sealed_of(const bh_keyring *keyring, const bh_dek_record *dek);
/* Lets the tallies of tombstones go. */
void bh_keyring_sealed_forget(bh_keyring *keyring);

#endif
