/* SPDX-License-Identifier: Apache-2.0
 *
 * cmk.c: see cmk.h.
 */
#include "cmk.h"

#include "cmks.h"
#include "keyring/dek/dek.h"
#include "keyring/dek/dek_table.h"
#include "keyring/dek/tally.h"
#include "ring.h"
#include "keyring/manifest/file.h"

bh_status bh_keyring_kms_open(const bh_keyring *keyring, const char *uri, bh_kms **out)
{
	return bh_cmk_table_open(keyring->cmks, uri, out);
}

bh_status bh_keyring_region_check(bh_kms *kms, const char *uri, const char *region)
{
	bh_kms_key_info info;

	BH_TRY(bh_kms_describe(kms, &info));
	if (info.region[0] != '\0' && strcmp(info.region, region) != 0)
		return bh_fail(BH_E_REGION, "'%s' is in region '%s', the database in '%s'; use a CMK of that region", uri,
			       info.region, region);
	return BH_OK;
}

bh_status bh_keyring_kms_stats(bh_keyring *keyring, const char *merchant, bh_kms_statistics *out)
{
	char uri[BH_KMS_URI_MAX + 1];

	BH_TRY(bh_keyring_cmk_uri(keyring, merchant, uri));
	bh_cmk_table_statistics(keyring->cmks, uri, out);
	return BH_OK;
}

bh_status bh_keyring_cmk_uri(bh_keyring *keyring, const char *merchant, char out[BH_KMS_URI_MAX + 1])
{
	const char *uri = NULL;

	bh_keyring_read_lock(keyring);
	if (merchant[0] != '\0') {
		const bh_merchant_record *record = bh_keyring_state_find(&keyring->state, merchant);
		uri = record != NULL ? record->cmk_uri : NULL;
	} else {
		uri = keyring->file.head.cmk_uri;
	}
	if (uri != NULL)
		memcpy(out, uri, strlen(uri) + 1);
	bool known = uri != NULL;
	bh_keyring_unlock(keyring);
	return known ? BH_OK : bh_fail(BH_E_NO_SUCH_MERCHANT, "merchant '%s': does not exist in this database", merchant);
}

void bh_keyring_cmk_close(bh_keyring *keyring, const char *merchant)
{
	char uri[BH_KMS_URI_MAX + 1];

	if (merchant[0] != '\0' && bh_keyring_cmk_uri(keyring, merchant, uri) == BH_OK)
		bh_cmk_table_close(keyring->cmks, uri);
}
