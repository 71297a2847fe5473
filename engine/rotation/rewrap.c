/* SPDX-License-Identifier: Apache-2.0
 *
 * rewrap.c: a merchant's DEKs, or the platform's, under a newer or another CMK.
 *
 * A move claims the CMK as adding a merchant does, so that no two of them get the same one. The lease needs no word of it: each
 * renewal asks the CMK that the keyring says, and one that was under way meanwhile is asked again by the keyring.
 */
#include <bulkhead/rotation.h>

#include "engine/core/claim.h"
#include "keyring/base/base.h"
#include "keyring/ring/keyring.h"
#include "engine/core/db.h"

/* What the old CMK can unwrap out of an older KEYRING shall be of no use for what is written from now on, nor, once it is swept,
 * for what lies there. Who does not serve has nobody to do it for him now. */
static bh_status rotate_moved(bh_db *db, const char *name, bh_rewrap_result *result)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { .state = BH_MERCHANT_ACTIVE };

	if (name[0] != '\0')
		BH_TRY(bh_keyring_merchant(db->keyring, name, &merchant));
	if (merchant.state != BH_MERCHANT_ACTIVE)
		return BH_OK;
	BH_TRY(bh_fail_prefix(bh_merchant_rotate(db, name, &(bh_rotate_options){ .sweep = true }),
			      "is moved to the other CMK, but its DEKs are those that the old one can unwrap still; rotate it"));
	result->rotated = true;
	return BH_OK;
}

static bh_status merchant_rewrap_inside(bh_db *db, const char *name, const bh_rewrap_options *options, bh_rewrap_result *out)
{
	const char *cmk_uri = options != NULL ? options->cmk_uri : NULL;
	const bool keeps_deks = options != NULL && options->keep_deks;
	char room[BH_KMS_URI_MAX + 1];
	bh_claim claim = { .name = name };
	bh_rewrap_result result = { 0 };
	bh_status status = BH_OK;

	BH_TRY(bh_db_check_writable(db));
	if (name[0] != '\0')
		BH_TRY(bh_name_check("merchant", name));
	if (cmk_uri != NULL)
		status = bh_cmk_resolve(db, cmk_uri, room, &claim.cmk_uri);
	if (status != BH_OK) /* "not found" would say that there is no such merchant */
		return bh_fail_prefix(status == BH_E_NOT_FOUND ? BH_E_NO_KEY : status, "rewrap");
	bh_claim_take(db, &claim);
	if (cmk_uri != NULL)
		status = bh_cmk_check_free(db, claim.cmk_uri, name);
	if (status == BH_OK)
		status = bh_keyring_merchant_rewrap(db->keyring, name, claim.cmk_uri, &result);
	bh_claim_end(db, &claim);
	if (status == BH_OK && result.moved && !keeps_deks)
		status = rotate_moved(db, name, &result);
	if (status == BH_OK && out != NULL)
		*out = result;
	return name[0] != '\0' ? bh_fail_prefix(status, "merchant '%s'", name) : bh_fail_prefix(status, "platform");
}

bh_status bh_merchant_rewrap(bh_db *db, const char *name, const bh_rewrap_options *options, bh_rewrap_result *out)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_rewrap_inside(db, name, options, out));
}
