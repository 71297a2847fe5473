/* SPDX-License-Identifier: Apache-2.0
 *
 * renew.c: asks the KMS whether a merchant's DEKs may be used on: the call behind a lease (lease.h).
 *
 * One call for a merchant however many DEKs it has: they are all wrapped by one CMK, and it is the CMK that is enabled or not.
 */
#include "ring.h"
#include "keyring/dek/dek.h"
#include "keyring/dek/dek_table.h"
#include "keyring/dek/tally.h"
#include "keyring/manifest/file.h"
#include "events.h"
#include "keyring.h"
#include "cmk.h"
#include "deks.h"
#include "keyring/manifest/format.h"

/* The one in memory, counted; NULL: none. */
static bh_dek *live_dek(bh_keyring *keyring, const uint8_t id[BH_ID_LEN])
{
	bh_keyring_read_lock(keyring);
	bh_dek *dek = bh_dek_table_find(&keyring->live, id);
	if (dek != NULL)
		bh_dek_ref(dek);
	bh_keyring_unlock(keyring);
	return dek;
}

static bh_status compare(bh_keyring *keyring, const bh_dek *answer)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *live = live_dek(keyring, bh_dek_id(answer));
	char hex[BH_ID_HEX_SIZE];

	if (live == NULL || bh_equal_ct(bh_dek_key(live).data, bh_dek_key(answer).data, BH_DEK_LEN))
		return BH_OK;
	bh_hex(bh_dek_id(answer), BH_ID_LEN, hex);
	return bh_fail(BH_E_TAG, "DEK %s: its KMS answered with another key than before", hex);
}

static bh_status renew(bh_keyring *keyring, const bh_merchant_record *merchant)
{
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	const bh_dek_record *record = bh_deks_wrapped(merchant->deks, merchant->dek_count);

	if (record == NULL)
		return bh_fail(BH_E_NO_KEY, "there is no DEK to be unwrapped");
	BH_TRY(bh_keyring_kms_open(keyring, merchant->cmk_uri, &kms));
	BH_TRY(bh_keyring_record_open(keyring, kms, merchant, record, &dek));
	BH_TRY(compare(keyring, dek));
	return bh_keyring_audit_renewed(keyring, merchant, record);
}

/* `*again_out`: the merchant was moved to another CMK meanwhile, so that the answer is none of the CMK it has. */
static bh_status renew_once(bh_keyring *keyring, const char *name, bool *again_out)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state copy = { 0 };

	*again_out = false;
	BH_TRY(bh_keyring_merchant_copy(keyring, name, &copy));
	bh_status status = renew(keyring, &copy.merchants[0]);
	/* "Not found" would say that there is no such merchant. */
	if (status == BH_E_NOT_FOUND)
		status = BH_E_NO_KEY;
	*again_out = status != BH_OK && bh_keyring_has_moved(keyring, &copy.merchants[0]);
	if (status != BH_OK && !*again_out)
		bh_keyring_audit_not_renewed(keyring, &copy.merchants[0], status);
	return bh_fail_prefix(status, "merchant '%s'", name);
}

bh_status bh_keyring_merchant_renew(bh_keyring *keyring, const char *name)
{
	bh_status status;
	bool again;

	do
		status = renew_once(keyring, name, &again);
	while (again);
	return status;
}
