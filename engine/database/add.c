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

/* What an add may need on the disk: KEYRING begun anew, records in it, in AUDIT and in the MANIFEST; directories. */
#define ADD_BYTES (256u << 10)
#define ADD_CLASS_BYTES (16u << 10)
#define ADD_INODES 4
#define ADD_DESCRIPTORS 8 /* open at once, until it ends */

/* Nothing is begun that there is no room to end. */
static bh_status check_room(const bh_db *db, const char *name, size_t classes)
{
	const bh_status status =
		bh_room_need(db->room, ADD_BYTES + classes * ADD_CLASS_BYTES, ADD_INODES + classes, ADD_DESCRIPTORS);

	return bh_fail_prefix(status, "merchant '%s' is not added", name);
}

static bool is_same(const bh_merchant_info *info, const char *cmk_uri, const bh_merchant_options *options)
{
	if (info->state != BH_MERCHANT_CREATING || info->class_count != options->class_count || strcmp(info->cmk_uri, cmk_uri) != 0)
		return false;
	for (size_t i = 0; i < info->class_count; i++)
		if (strcmp(info->classes[i], options->classes[i]) != 0)
			return false;
	return true;
}

/* Recorded, unless an add of the very same failed after that. */
static bh_status record(bh_db *db, const char *name, const char *cmk_uri, const bh_merchant_options *options, bh_merchant_info *out)
{
	bh_merchant *listed = bh_merchant_find(db, name);
	const bool is_listed = listed != NULL;

	bh_merchant_unref(listed);
	if (!is_listed && bh_keyring_merchant(db->keyring, name, out) == BH_OK && is_same(out, cmk_uri, options))
		return bh_keyring_merchant_unlock(db->keyring, name);
	bh_merchant_info_clear(out);
	BH_TRY(bh_cmk_check_free(db, cmk_uri, NULL));
	BH_TRY(bh_keyring_merchant_add(db->keyring, name, cmk_uri, options->classes, options->class_count));
	bh_crash_point("merchant.add.recorded");
	return bh_keyring_merchant(db->keyring, name, out);
}

static bool has_all_families(const bh_merchant *merchant)
{
	for (size_t i = 0; i < merchant->class_count; i++)
		if (merchant->classes[i].handle == NULL)
			return false;
	return true;
}

/* So that the next try finds none of them. If all were made, it may be recorded that it is active: then the next open finds out. */
static void take_back(bh_db *db, bh_merchant *merchant)
{
	bh_merchant_shut(merchant, BH_E_BUSY);
	if (!has_all_families(merchant) && bh_merchant_drop_families(db, merchant, "merchant.add.undone") != BH_OK)
		bh_db_log(db, "%s", bh_status_message());
	bh_merchant_close_handles(merchant);
	bh_merchant_unref(merchant);
}

static bh_status add_claimed(bh_db *db, const char *name, const char *cmk_uri, const bh_merchant_options *options)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf why = { 0 };
	bh_merchant *merchant = NULL;
	bh_status status;

	const bh_lease_time asked = bh_leaser_now(db->leaser);

	BH_TRY(check_room(db, name, options->class_count));
	BH_TRY(record(db, name, cmk_uri, options, &info));
	BH_TRY(bh_merchant_new(db, &info, &merchant));
	status = bh_merchant_complete(db, merchant);
	if (status != BH_OK) {
		BH_TRY(bh_buf_printf(&why, "%s", bh_status_message()));
		take_back(db, merchant);
		return bh_fail(status,
			       "merchant '%s' is recorded: add it again, or open the database again, to complete it; now: %s", name,
			       (const char *)why.data);
	}
	bh_merchant_link(db, merchant);
	return bh_leaser_granted(db->leaser, name, asked);
}

static bh_status merchant_add_inside(bh_db *db, const char *name, const char *cmk_uri, const bh_merchant_options *options)
{
	char room[BH_KMS_URI_MAX + 1];
	bh_claim claim = { .name = name };
	bh_status status;

	BH_TRY(bh_db_check_writable(db));
	BH_TRY(bh_name_check("merchant", name));
	if (options == NULL || options->class_count == 0)
		return bh_fail(BH_E_INVALID, "merchant '%s': needs at least one data class", name);
	if (cmk_uri == NULL)
		return bh_fail(BH_E_INVALID, "merchant '%s': no CMK URI was given; one looks like local:DIR#KEY", name);
	BH_TRY(bh_fail_prefix(bh_cmk_resolve(db, cmk_uri, room, &claim.cmk_uri), "merchant '%s'", name));
	bh_claim_take(db, &claim);
	status = add_claimed(db, name, claim.cmk_uri, options);
	bh_claim_end(db, &claim);
	return status;
}

bh_status bh_merchant_add(bh_db *db, const char *name, const char *cmk_uri, const bh_merchant_options *options)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_add_inside(db, name, cmk_uri, options));
}
