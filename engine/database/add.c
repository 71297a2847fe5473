/* SPDX-License-Identifier: Apache-2.0
 *
 * add.c: a merchant joins.
 *
 * Recorded in the keyring as CREATING with its DEKs (a kill before leaves nothing; after, the next open goes on from here),
 * directories, column families, recorded as ACTIVE.
 */
#include "engine/core/claim.h"
#include "engine/core/drop.h"
#include "engine/core/family.h"
#include "engine/wall/leaser.h"
#include "keyring/base/crashpoint.h"

static bh_status add_claimed(bh_db *db, const char *name, const char *cmk_uri, const bh_merchant_options *options)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_merchant *merchant = NULL;
	bh_status status;

	const bh_lease_time asked = bh_leaser_now(db->leaser);

	BH_TRY(bh_cmk_check_free(db, cmk_uri, NULL));
	BH_TRY(bh_keyring_merchant_add(db->keyring, name, cmk_uri, options->classes, options->class_count));
	bh_crash_point("merchant.add.recorded");
	BH_TRY(bh_keyring_merchant(db->keyring, name, &info));
	BH_TRY(bh_merchant_new(db, &info, &merchant));
	status = bh_merchant_complete(db, merchant);
	if (status != BH_OK) {
		bh_merchant_shut(merchant, BH_E_BUSY);
		bh_merchant_close_handles(merchant);
		bh_merchant_unref(merchant);
		return bh_fail_prefix(status, "merchant '%s' is recorded, and the next open completes it; now", name);
	}
	bh_merchant_link(db, merchant);
	return bh_leaser_granted(db->leaser, name, asked);
}

static bh_status merchant_add_inside(bh_db *db, const char *name, const char *cmk_uri, const bh_merchant_options *options)
{
	bh_claim claim = { .name = name, .cmk_uri = cmk_uri };
	bh_status status;

	BH_TRY(bh_db_check_writable(db));
	BH_TRY(bh_name_check("merchant", name));
	if (options == NULL || options->class_count == 0)
		return bh_fail(BH_E_INVALID, "merchant '%s': needs at least one data class", name);
	if (cmk_uri == NULL)
		return bh_fail(BH_E_INVALID, "merchant '%s': no CMK URI was given; one looks like local:DIR#KEY", name);
	bh_claim_take(db, &claim);
	status = add_claimed(db, name, cmk_uri, options);
	bh_claim_end(db, &claim);
	return status;
}

bh_status bh_merchant_add(bh_db *db, const char *name, const char *cmk_uri, const bh_merchant_options *options)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_add_inside(db, name, cmk_uri, options));
}
