/* SPDX-License-Identifier: Apache-2.0
 *
 * info.c: what can be asked of an open keyring: copies, without secrets.
 */
#include <stdlib.h>

#include "live.h"

const uint8_t *bh_keyring_database_id(const bh_keyring *keyring)
{
	return keyring->file.head.database_id;
}

const char *bh_keyring_region(const bh_keyring *keyring)
{
	return keyring->file.head.region;
}

const bh_kms_options *bh_keyring_kms_options(const bh_keyring *keyring)
{
	return &keyring->kms;
}

const bh_signer *bh_keyring_signer(const bh_keyring *keyring)
{
	return keyring->signer;
}

uint64_t bh_keyring_generation(bh_keyring *keyring)
{
	bh_keyring_read_lock(keyring);
	uint64_t generation = keyring->generation;
	bh_keyring_unlock(keyring);
	return generation;
}

bool bh_keyring_is_in_doubt(bh_keyring *keyring)
{
	pthread_mutex_lock(&keyring->change);
	bool in_doubt = keyring->file.failed;
	pthread_mutex_unlock(&keyring->change);
	return in_doubt;
}

void bh_merchant_info_clear(bh_merchant_info *info)
{
	free(info->cmk_uri);
	free(info->classes);
	*info = (bh_merchant_info){ 0 };
}

bh_status bh_merchant_info_copy(const bh_merchant_info *info, bh_merchant_info *out)
{
	bh_merchant_info copy = *info;

	copy.cmk_uri = strdup(info->cmk_uri);
	copy.classes = calloc(info->class_count, sizeof(*copy.classes));
	if (copy.cmk_uri == NULL || copy.classes == NULL) {
		bh_merchant_info_clear(&copy);
		return bh_fail(BH_E_NOMEM, "merchant '%s': no memory to describe it", info->name);
	}
	memcpy(copy.classes, info->classes, info->class_count * sizeof(*copy.classes));
	*out = copy;
	return BH_OK;
}

/* All that ever wrapped one of its DEKs. */
static bool cmks_are_gone(const bh_merchant_record *merchant)
{
	for (size_t i = 0; i < merchant->former_count; i++)
		if (!bh_former_cmk_is_gone(&merchant->former[i]))
			return false;
	return bh_shred_is_final(&merchant->shred);
}

static bh_status info_fill(const bh_keyring *keyring, const bh_merchant_record *merchant, bh_merchant_info *out)
{
	memcpy(out->name, merchant->name, sizeof(out->name));
	memcpy(out->id, merchant->id, BH_ID_LEN);
	memcpy(out->region, merchant->region, sizeof(out->region));
	out->state = merchant->state;
	out->changed_at_s = merchant->changed_at_s;
	out->cause = merchant->cause;
	out->cmk_pending = merchant->state >= BH_MERCHANT_SHREDDING && !cmks_are_gone(merchant);
	out->certificate_due = merchant->state == BH_MERCHANT_SHREDDED && !merchant->shred.issued;
	memcpy(out->note, merchant->note, sizeof(out->note));
	memcpy(out->parking, merchant->parking, sizeof(out->parking));
	out->unlocked = bh_keyring_is_live(keyring, merchant);
	out->cmk_uri = strdup(merchant->cmk_uri);
	out->class_count = bh_deks_class_count(merchant->deks, merchant->dek_count);
	out->classes = calloc(out->class_count, sizeof(*out->classes));
	if (out->cmk_uri == NULL || out->classes == NULL) {
		bh_merchant_info_clear(out);
		return bh_fail(BH_E_NOMEM, "merchant '%s': no memory to describe it", merchant->name);
	}
	for (size_t i = 0; i < out->class_count; i++)
		memcpy(out->classes[i], merchant->deks[i].cls, sizeof(*out->classes));
	return BH_OK;
}

bh_status bh_keyring_merchant(bh_keyring *keyring, const char *name, bh_merchant_info *out)
{
	bh_merchant_info info = { 0 };

	bh_keyring_read_lock(keyring);
	const bh_merchant_record *merchant = bh_keyring_state_find(&keyring->state, name);
	bh_status status = merchant != NULL
				   ? info_fill(keyring, merchant, &info)
				   : bh_fail(BH_E_NO_SUCH_MERCHANT, "merchant '%s': does not exist in this database", name);
	bh_keyring_unlock(keyring);
	BH_TRY(status);
	*out = info;
	return BH_OK;
}

static bh_status infos_fill(const bh_keyring *keyring, bh_merchant_info *infos)
{
	for (size_t i = 0; i < keyring->state.count; i++) {
		bh_status status = info_fill(keyring, &keyring->state.merchants[i], &infos[i]);
		if (status != BH_OK) {
			while (i > 0)
				bh_merchant_info_clear(&infos[--i]);
			return status;
		}
	}
	return BH_OK;
}

bh_status bh_keyring_merchants(bh_keyring *keyring, bh_merchant_info **out, size_t *count_out)
{
	bh_keyring_read_lock(keyring);
	size_t count = keyring->state.count;
	bh_merchant_info *infos = calloc(count > 0 ? count : 1, sizeof(*infos));
	bh_status status =
		infos != NULL ? infos_fill(keyring, infos) : bh_fail(BH_E_NOMEM, "no memory to list %zu merchants", count);
	bh_keyring_unlock(keyring);
	if (status != BH_OK) {
		free(infos);
		return status;
	}
	*out = infos;
	*count_out = count;
	return BH_OK;
}
