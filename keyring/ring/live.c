/* SPDX-License-Identifier: Apache-2.0
 *
 * live.c: see live.h.
 */
#include "live.h"

bool bh_keyring_is_live(const bh_keyring *keyring, const bh_merchant_record *merchant)
{
	for (size_t i = 0; i < merchant->dek_count; i++) {
		if (!bh_dek_record_is_tombstone(&merchant->deks[i]) &&
		    bh_dek_table_find(&keyring->live, merchant->deks[i].id) == NULL)
			return false;
	}
	return bh_deks_wrapped(merchant->deks, merchant->dek_count) != NULL;
}

bh_status bh_keyring_live_reserve(bh_keyring *keyring, size_t extra)
{
	BH_TRY(bh_tally_table_reserve(&keyring->tallies, extra));
	return bh_dek_table_reserve(&keyring->live, extra);
}

void bh_keyring_live_insert(bh_keyring *keyring, bh_dek *dek, uint64_t sealed)
{
	bh_tally *known = bh_tally_table_find(&keyring->tallies, bh_dek_id(dek));

	bh_tally_raise(bh_dek_tally(dek), sealed);
	if (known != NULL)
		bh_dek_count_in(dek, known);
	else
		bh_tally_table_insert(&keyring->tallies, bh_dek_id(dek), bh_dek_tally(dek));
	bh_dek_table_insert(&keyring->live, dek);
}

uint64_t bh_keyring_sealed_of(const bh_keyring *keyring, const bh_dek_record *dek)
{
	const bh_tally *tally = bh_tally_table_find(&keyring->tallies, dek->id);

	if (bh_dek_record_is_tombstone(dek))
		return 0;
	return tally != NULL ? bh_tally_get(tally) : dek->sealed;
}

static void forget_tombstones(bh_keyring *keyring, const bh_merchant_record *owner)
{
	for (size_t i = 0; i < owner->dek_count; i++)
		if (bh_dek_record_is_tombstone(&owner->deks[i]))
			bh_tally_table_remove(&keyring->tallies, owner->deks[i].id);
}

void bh_keyring_sealed_forget(bh_keyring *keyring)
{
	forget_tombstones(keyring, &keyring->state.platform);
	for (size_t i = 0; i < keyring->state.count; i++)
		forget_tombstones(keyring, &keyring->state.merchants[i]);
}
