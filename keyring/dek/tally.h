/* SPDX-License-Identifier: Apache-2.0
 *
 * tally.h: how many bytes were sealed under a DEK, that is under the keys derived from it.
 *
 * Whoever seals adds, with one relaxed atomic addition for many bytes at once. A tally outlives the DEK's stay in memory, so that a
 * merchant that is suspended and comes back goes on counting where it was. It only grows.
 *
 * Thread-safety: a tally may be used from many threads; the table has none, the keyring's `lock` guards it.
 */
#ifndef BH_TALLY_H
#define BH_TALLY_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Counted. */
typedef struct bh_tally bh_tally;
/* At 0. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_tally_new(bh_tally **out);
bh_tally *bh_tally_ref(bh_tally *tally);
void bh_tally_unref(bh_tally *tally); /* NULL-safe */
void bh_tally_add(bh_tally *tally, uint64_t bytes);
/* From now on it is `bytes` at least. */
void bh_tally_raise(bh_tally *tally, uint64_t bytes);
uint64_t bh_tally_get(const bh_tally *tally);

/* Tallies by the ids of their DEKs. All zero: empty. */
typedef struct bh_tally_entry {
	uint8_t id[BH_ID_LEN];
	bh_tally *tally;
} bh_tally_entry;
typedef struct bh_tally_table {
	bh_tally_entry *entries; /* owned, in the order of ids */
	size_t count;
	size_t cap;
} bh_tally_table;
/* Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_tally_table_reserve(bh_tally_table *table, size_t extra);
/* Borrowed; NULL: there is none of this DEK. */
bh_tally *bh_tally_table_find(const bh_tally_table *table, const uint8_t id[BH_ID_LEN]);
/* Takes a reference of its own; the id is not there yet, and room is reserved. */
void bh_tally_table_insert(bh_tally_table *table, const uint8_t id[BH_ID_LEN], bh_tally *tally);
void bh_tally_table_remove(bh_tally_table *table, const uint8_t id[BH_ID_LEN]); /* nothing, if it is not there */
void bh_tally_table_clear(bh_tally_table *table);

#ifdef __cplusplus
}
#endif
#endif
