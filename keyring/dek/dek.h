/* SPDX-License-Identifier: Apache-2.0
 *
 * dek.h: an unwrapped DEK, in memory: counted, wiped with its last reference.
 *
 * Thread-safety: all calls; a bh_dek is immutable but for the count.
 */
#ifndef BH_DEK_H
#define BH_DEK_H

#include "context.h"
#include "tally.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An unwrapped DEK. Immutable but for the count. */
typedef struct bh_dek bh_dek;
bh_dek *bh_dek_ref(bh_dek *dek);
void bh_dek_unref(bh_dek *dek); /* the last one wipes the key; NULL-safe */
void bh_dek_unrefp(bh_dek **dek);
const uint8_t *bh_dek_id(const bh_dek *dek); /* BH_ID_LEN bytes */
const bh_scope *bh_dek_scope(const bh_dek *dek);
uint32_t bh_dek_generation(const bh_dek *dek);
bh_view bh_dek_context(const bh_dek *dek); /* canonical encryption context */
bh_view bh_dek_key(const bh_dek *dek);     /* the 32 secret bytes; for HKDF alone */
bh_tally *bh_dek_tally(const bh_dek *dek); /* where who seals under it adds; borrowed */
/* A DEK outside of any keyring: one that nobody keeps (env/reseal/reseal_log.c), or of a unit test. Copies `key`. */
BH_MUST_CHECK bh_status bh_dek_new(const uint8_t id[BH_ID_LEN], const bh_scope *scope, uint32_t generation, bh_view context,
				   bh_view key, bh_dek **out);

/* Whether somebody besides the one who asks, who holds one reference, holds another. */
bool bh_dek_is_shared(const bh_dek *dek);
/* Whether the DEK was inherited over a fork: its bytes are zeros now, and nothing may be sealed under them. */
bool bh_dek_is_wiped(const bh_dek *dek);
/* From now on `tally` is the DEK's. Before anybody else has it. */
void bh_dek_count_in(bh_dek *dek, bh_tally *tally);

#ifdef __cplusplus
}
#endif
#endif
