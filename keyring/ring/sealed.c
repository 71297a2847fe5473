/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring_sealed.c: how much was sealed under each DEK: counted in memory (tally.h), written down in KEYRING now and then.
 *
 * KEYRING has what a tally was when it was written down last. A tally begins there when its DEK comes into memory for the first
 * time, and stays in the table while KEYRING has the DEK's wrap, whether the DEK is in memory or not.
 */
#include "ring.h"

/* Into memory. The caller holds `lock`. */

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

/* What is counted */

uint64_t bh_keyring_sealed_of(const bh_keyring *keyring, const bh_dek_record *dek)
{
	const bh_tally *tally = bh_tally_table_find(&keyring->tallies, dek->id);

	if (bh_dek_record_is_tombstone(dek))
		return 0;
	return tally != NULL ? bh_tally_get(tally) : dek->sealed;
}

void bh_keyring_sealed_forget(bh_keyring *keyring)
{
	for (size_t i = 0; i < keyring->state.count; i++) {
		const bh_merchant_record *merchant = &keyring->state.merchants[i];
		for (size_t j = 0; j < merchant->dek_count; j++)
			if (bh_dek_record_is_tombstone(&merchant->deks[j]))
				bh_tally_table_remove(&keyring->tallies, merchant->deks[j].id);
	}
}

void bh_keyring_sealed_raise(bh_keyring *keyring, const uint8_t dek_id[BH_ID_LEN], uint64_t bytes)
{
	bh_keyring_read_lock(keyring);
	bh_tally *tally = bh_tally_table_find(&keyring->tallies, dek_id);
	if (tally != NULL)
		bh_tally_raise(tally, bytes);
	bh_keyring_unlock(keyring);
}

/* Written down */

static bh_status merchant_collect(const bh_keyring *keyring, const bh_merchant_record *merchant, bh_buf *out)
{
	for (size_t i = 0; i < merchant->dek_count; i++) {
		uint64_t sealed = bh_keyring_sealed_of(keyring, &merchant->deks[i]);
		if (sealed > merchant->deks[i].sealed)
			BH_TRY(bh_dek_sealed_encode(merchant->id, merchant->deks[i].id, sealed, out));
	}
	return BH_OK;
}

static bh_status collect(bh_keyring *keyring, bh_buf *out)
{
	bh_status status = BH_OK;

	bh_keyring_read_lock(keyring);
	for (size_t i = 0; status == BH_OK && i < keyring->state.count; i++)
		if (keyring->state.merchants[i].state < BH_MERCHANT_SHREDDING)
			status = merchant_collect(keyring, &keyring->state.merchants[i], out);
	bh_keyring_unlock(keyring);
	return status;
}

/* The caller holds `change`. */
static bh_status store(bh_keyring *keyring)
{
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };

	BH_TRY(collect(keyring, &payload));
	return payload.len > 0 ? bh_keyring_edit(keyring, BH_KEYRING_DEKS_SEALED, bh_buf_view(&payload)) : BH_OK;
}

bh_status bh_keyring_sealed_store(bh_keyring *keyring)
{
	BH_TRY(bh_keyring_writable_check(keyring));
	pthread_mutex_lock(&keyring->change);
	bh_status status = store(keyring);
	pthread_mutex_unlock(&keyring->change);
	return status;
}
