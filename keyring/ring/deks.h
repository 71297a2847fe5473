/* SPDX-License-Identifier: Apache-2.0
 *
 * deks.h: DEKs made and unwrapped by a KMS, one at a time.
 */
#ifndef BH_RING_DEKS_H
#define BH_RING_DEKS_H

#include "ring.h"

/* In place of a generation: the root secret, a DEK of the platform's scope that seals nothing. Its id is made by another label, so
 * that no DEK's wrap can take its place, nor it a DEK's. */
#define BH_ROOT_GENERATION 0u

/* Makes a DEK of fresh random bytes for `scope`, with an id made from them, and wraps it. */
BH_MUST_CHECK bh_status bh_keyring_dek_make(bh_kms *kms, const uint8_t database_id[BH_ID_LEN], const char *region,
					    const bh_scope *scope, uint32_t generation, bh_dek **dek_out, bh_buf *wrapped_out,
					    uint32_t *version_out);
/* Unwraps one. Further error: BH_E_TAG (what the KMS answers is not the DEK of this id). */
BH_MUST_CHECK bh_status bh_keyring_dek_open(bh_kms *kms, const uint8_t database_id[BH_ID_LEN], const char *region,
					    const bh_scope *scope, const uint8_t id[BH_ID_LEN], uint32_t generation,
					    bh_view wrapped, bh_dek **out);

/* Unwraps the DEK of a record of the merchant, by `kms`. */
BH_MUST_CHECK bh_status bh_keyring_record_open(const bh_keyring *keyring, bh_kms *kms, const bh_merchant_record *merchant,
					       const bh_dek_record *record, bh_dek **out);
/* Whether the merchant has other wraps, or another CMK, than `copy` says, which was made before a KMS was asked: what came of that
 * then says nothing. */
bool bh_keyring_has_moved(bh_keyring *keyring, const bh_merchant_record *copy);

/* One merchant's record in a state of its own, so that it can be used without the lock. Errors: BH_E_NO_SUCH_MERCHANT,
 * BH_E_SHREDDED (from SHREDDING on), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_keyring_merchant_copy(bh_keyring *keyring, const char *name, bh_keyring_state *out);
/* The same, and for the name "" the platform as a merchant, with region and CMK. */
BH_MUST_CHECK bh_status bh_keyring_owner_copy(bh_keyring *keyring, const char *name, bh_keyring_state *out);
/* Both names are checked ones. */
void bh_scope_set(bh_scope *scope, const char *merchant, const char *cls);

#endif
