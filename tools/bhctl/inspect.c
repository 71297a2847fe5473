/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect.c: see inspect.h.
 */
#include "inspect.h"

#include <stdio.h>
#include <stdlib.h>

static bool always_attached(void *arg, bh_view name)
{
	(void)arg;
	(void)name;
	return true;
}

bh_status inspect_open(bhctl *ctl, const char *dir, inspect *out)
{
	bh_keyring_options options = { .kms = ctl->kms,
				       .audit_optional = ctl->audit_optional,
				       .pin = ctl->pin,
				       .pin_changed = bhctl_keep_pin,
				       .pin_arg = ctl };

	BH_TRY(bh_keyring_open(dir, &options, false, &out->keyring));
	BH_TRY(bh_keyring_merchants(out->keyring, &out->merchants, &out->merchant_count));
	out->unlocked = calloc(BH_MAX(out->merchant_count, 1u), sizeof(*out->unlocked));
	if (out->unlocked == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", dir);
	return bh_keyring_deks(out->keyring, &out->deks, &out->dek_count);
}

static bh_status unlock_one(bh_unlock *unlock, const bh_merchant_info *merchant)
{
	if (merchant->state == BH_MERCHANT_SHREDDING || merchant->state == BH_MERCHANT_SHREDDED)
		return BH_E_SHREDDED;
	if (merchant->cause == BH_SUSPEND_OPERATOR)
		return BH_E_SUSPENDED;
	return bh_unlock_add(unlock, merchant->name);
}

void inspect_scopes(const bh_fs *fs, bh_scopes *out)
{
	*out = *bh_fs_scopes(fs);
	out->cf_attached = always_attached;
	out->hides_default_files = false;
	out->hides_blank_files = false;
	out->sieves_logs = false;
}

bh_status inspect_files(const char *dir, inspect *in)
{
	if (in->fs != NULL)
		return BH_OK;
	BH_TRY(bh_fs_new(dir, in->keyring, &in->fs));
	inspect_scopes(in->fs, &in->scopes);
	return BH_OK;
}

bh_status inspect_unlock(const char *dir, inspect *in)
{
	bh_unlock *unlock = NULL;

	BH_TRY(bh_unlock_new(in->keyring, &unlock));
	for (size_t i = 0; i < in->merchant_count; i++)
		in->unlocked[i] = unlock_one(unlock, &in->merchants[i]);
	bh_status status = bh_unlock_commit(unlock);
	bh_unlock_free(unlock);
	BH_TRY(status);
	return inspect_files(dir, in);
}

void inspect_fs_gone(inspect *in)
{
	in->fs = NULL;
	in->keyring = NULL;
}

void inspect_clear(inspect *in)
{
	if (in->fs != NULL)
		bh_fs_free(in->fs);
	else if (in->keyring != NULL)
		bh_keyring_close(in->keyring);
	for (size_t i = 0; i < in->merchant_count; i++)
		bh_merchant_info_clear(&in->merchants[i]);
	free(in->merchants);
	free(in->unlocked);
	free(in->deks);
	*in = (inspect){ 0 };
}

const bh_dek_info *inspect_dek(const inspect *in, const uint8_t id[BH_ID_LEN])
{
	for (size_t i = 0; i < in->dek_count; i++)
		if (memcmp(in->deks[i].id, id, BH_ID_LEN) == 0)
			return &in->deks[i];
	return NULL;
}

bh_status inspect_why_locked(const inspect *in, const bh_dek_info *dek)
{
	for (size_t i = 0; i < in->merchant_count; i++)
		if (memcmp(in->merchants[i].id, dek->merchant_id, BH_ID_LEN) == 0)
			return in->unlocked[i];
	return BH_OK;
}

void inspect_owner(const inspect *in, const uint8_t dek_id[BH_ID_LEN], char out[BH_CF_NAME_SIZE])
{
	const bh_dek_info *dek = inspect_dek(in, dek_id);

	if (dek == NULL)
		snprintf(out, BH_CF_NAME_SIZE, "unknown");
	else if (bh_scope_is_platform(&dek->scope))
		snprintf(out, BH_CF_NAME_SIZE, "platform");
	else
		bh_cf_name_format(&dek->scope, out);
}
