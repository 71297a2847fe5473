/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed.c: how much was sealed under each DEK: counted in memory (keyring/dek/tally.h), written down in KEYRING now and then.
 */
#include "live.h"
#include "edit.h"
#include "keyring.h"
#include "ring.h"

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
	bh_status status;

	bh_keyring_read_lock(keyring);
	status = merchant_collect(keyring, &keyring->state.platform, out);
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
