/* SPDX-License-Identifier: Apache-2.0
 *
 * family.c: see family.h.
 */
#include "family.h"

#include <bulkhead/env.h>

#include "env/bridge/bridge.h"
#include "family_set.h"
#include "files.h"
#include "keyring/base/crashpoint.h"
#include "options_file.h"
#include "watch.h"
#include "keyring/base/base.h"

bh_status bh_merchant_make_family(bh_db *db, const bh_merchant *merchant, bh_class *cls)
{
	rocksdb_options_t *options = rocksdb_options_create_copy(db->options);
	char name[BH_CF_NAME_SIZE];
	bh_family_claim claim;
	bh_scope scope = { 0 };
	char *error = NULL;
	bh_status status;

	memcpy(scope.merchant, merchant->name, sizeof(scope.merchant));
	memcpy(scope.cls, cls->name, sizeof(scope.cls));
	bh_cf_name_format(&scope, name);
	status = bh_class_options_set(options, db->caches, db->dir, &scope);
	if (status == BH_OK) {
		bh_options_file_hold(db);
		bh_fs_family_begin(db->fs, &claim, &scope);
		cls->handle = rocksdb_create_column_family(db->rocks, options, name, &error);
		bh_fs_family_end(db->fs, &claim);
		bh_options_file_release();
		if (error != NULL && !bh_bridge_family_is_made(cls->handle)) {
			rocksdb_column_family_handle_destroy(cls->handle);
			cls->handle = NULL;
		}
		status = bh_status_of_rocksdb(error);
		if (status != BH_OK)
			bh_watch_manifest_failed(db->watch);
	}
	rocksdb_options_destroy(options);
	return status;
}

bh_status bh_merchant_sync_dirs(const bh_db *db, const bh_merchant *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	size_t parent;

	BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR "/%s", db->dir, merchant->name));
	parent = path.len;
	for (size_t i = 0; i < merchant->class_count; i++) {
		path.len = parent;
		BH_TRY(bh_buf_printf(&path, "/%s", merchant->classes[i].name));
		BH_TRY(bh_dir_sync((const char *)path.data));
	}
	path.data[parent] = '\0';
	BH_TRY(bh_dir_sync((const char *)path.data));
	path.len = 0;
	BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR, db->dir));
	BH_TRY(bh_dir_sync((const char *)path.data));
	return bh_dir_sync(db->dir);
}

static bh_status make_families(bh_db *db, bh_merchant *merchant)
{
	for (size_t i = 0; i < merchant->class_count; i++) {
		if (merchant->classes[i].handle != NULL)
			continue;
		BH_TRY(bh_merchant_make_family(db, merchant, &merchant->classes[i]));
		bh_crash_point("merchant.add.family");
	}
	return bh_merchant_sync_dirs(db, merchant);
}

bh_status bh_merchant_check_families(const bh_db *db, const bh_merchant *merchant)
{
	for (size_t i = 0; i < merchant->class_count; i++)
		if (merchant->classes[i].handle == NULL)
			return bh_fail(BH_E_FORMAT,
				       "%s: the MANIFEST lacks the class '%s/%s' of the keyring; one of them was rolled back",
				       db->dir, merchant->name, merchant->classes[i].name);
	return BH_OK;
}

bh_status bh_merchant_complete(bh_db *db, bh_merchant *merchant)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	BH_TRY(bh_keyring_merchant(db->keyring, merchant->name, &info));
	if (info.state != BH_MERCHANT_CREATING)
		return bh_merchant_check_families(db, merchant);
	BH_TRY(make_families(db, merchant));
	return bh_keyring_merchant_set_state(db->keyring, merchant->name, BH_MERCHANT_ACTIVE);
}
