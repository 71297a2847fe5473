/* SPDX-License-Identifier: Apache-2.0
 *
 * merchant.c: merchants in memory, and how one is added.
 *
 * Adding: recorded in the keyring as CREATING with its DEKs (a kill before leaves nothing; after, the next open goes on from here),
 * directories, column families, recorded as ACTIVE.
 */
#include "internal.h"

#include <bulkhead/env.h>

#include <stdlib.h>

#include "env/bridge/bridge.h"
#include "files.h"
#include "keyring/base/crashpoint.h"
#include "keyring/kms/kms.h"
#include "engine/wall/leaser.h"
#include "engine/erase/suppress.h"

/* ---- in memory */

bh_status bh_merchant_new(bh_db *db, const bh_merchant_info *info, bh_merchant **out)
{
	bh_merchant *merchant = calloc(1, sizeof(*merchant));
	bh_class *classes = calloc(info->class_count, sizeof(*classes));

	if (merchant == NULL || classes == NULL) {
		free(merchant);
		free(classes);
		return bh_fail(BH_E_NOMEM, "merchant '%s': no memory", info->name);
	}
	for (size_t i = 0; i < info->class_count; i++)
		memcpy(classes[i].name, info->classes[i], sizeof(classes[i].name));
	memcpy(merchant->name, info->name, sizeof(merchant->name));
	merchant->refs = 1;
	merchant->db = db;
	merchant->classes = classes;
	merchant->class_count = info->class_count;
	pthread_mutex_init(&merchant->op, NULL);
	pthread_mutex_init(&merchant->marking, NULL);
	pthread_mutex_init(&merchant->lock, NULL);
	*out = merchant;
	return BH_OK;
}

bh_merchant *bh_merchant_ref(bh_merchant *merchant)
{
	atomic_fetch_add_explicit(&merchant->refs, 1, memory_order_relaxed);
	return merchant;
}

void bh_merchant_unref(bh_merchant *merchant)
{
	if (merchant == NULL || atomic_fetch_sub(&merchant->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&merchant->op);
	pthread_mutex_destroy(&merchant->marking);
	pthread_mutex_destroy(&merchant->lock);
	free(merchant->classes);
	free(merchant);
}

void bh_merchant_link(bh_db *db, bh_merchant *merchant)
{
	pthread_mutex_lock(&db->lock);
	merchant->next = db->merchants;
	db->merchants = merchant;
	pthread_mutex_unlock(&db->lock);
}

bh_merchant *bh_merchant_find(bh_db *db, const char *name)
{
	bh_merchant *merchant;

	pthread_mutex_lock(&db->lock);
	for (merchant = db->merchants; merchant != NULL && strcmp(merchant->name, name) != 0; merchant = merchant->next)
		;
	if (merchant != NULL)
		bh_merchant_ref(merchant);
	pthread_mutex_unlock(&db->lock);
	return merchant;
}

bh_class *bh_merchant_class(bh_merchant *merchant, const char *cls)
{
	for (size_t i = 0; i < merchant->class_count; i++)
		if (strcmp(merchant->classes[i].name, cls) == 0)
			return &merchant->classes[i];
	return NULL;
}

bh_merchant *bh_merchant_find_locked(bh_db *db, const char *name)
{
	bh_merchant *merchant = bh_merchant_find(db, name);

	while (merchant != NULL) {
		bh_merchant *now;

		pthread_mutex_lock(&merchant->op);
		now = bh_merchant_find(db, name);
		bh_merchant_unref(now);
		if (now == merchant)
			return merchant;
		/* It was shredded meanwhile; the name may be another merchant's by now. */
		bh_merchant_unlock(merchant);
		merchant = bh_merchant_find(db, name);
	}
	return NULL;
}

void bh_merchant_unlock(bh_merchant *merchant)
{
	if (merchant == NULL)
		return;
	pthread_mutex_unlock(&merchant->op);
	bh_merchant_unref(merchant);
}

void bh_merchant_shut(bh_merchant *merchant, bh_status reason)
{
	bh_gate_shut(&merchant->gate, reason); /* first, so that what is cut short can say why */
	atomic_store(&merchant->closing, true);
	bh_gate_close(&merchant->gate, reason);
	bh_suppress_unload(merchant);
	pthread_mutex_lock(&merchant->lock);
	bh_iter_end_all(merchant);
	pthread_mutex_unlock(&merchant->lock);
}

/* ---- adding */

bh_status bh_merchant_make_family(bh_db *db, const bh_merchant *merchant, bh_class *cls)
{
	rocksdb_options_t *options = rocksdb_options_create_copy(db->options);
	char name[BH_CF_NAME_SIZE];
	bh_scope scope = { 0 };
	char *error = NULL;
	bh_status status;

	memcpy(scope.merchant, merchant->name, sizeof(scope.merchant));
	memcpy(scope.cls, cls->name, sizeof(scope.cls));
	bh_cf_name_format(&scope, name);
	status = bh_options_use_class(options, db->dir, scope.merchant, scope.cls);
	if (status == BH_OK) {
		bh_options_file_hold(db);
		cls->handle = rocksdb_create_column_family(db->rocks, options, name, &error);
		bh_options_file_release();
		if (error != NULL && !bh_bridge_family_is_made(cls->handle)) {
			rocksdb_column_family_handle_destroy(cls->handle);
			cls->handle = NULL;
		}
		status = bh_status_of_rocksdb(error);
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

static bh_status check_families(const bh_db *db, const bh_merchant *merchant)
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
		return check_families(db, merchant);
	BH_TRY(make_families(db, merchant));
	return bh_keyring_merchant_set_state(db->keyring, merchant->name, BH_MERCHANT_ACTIVE);
}

/* One CMK, one merchant: a shred destroys the CMK, and must not take anybody else's data with it. */
bh_status bh_cmk_check_free(bh_db *db, const char *cmk_uri, const char *except)
{
	bh_merchant_info *infos = NULL;
	bh_status status = BH_OK;
	size_t count = 0;
	char platform[BH_KMS_URI_MAX + 1];

	BH_TRY(bh_keyring_cmk_uri(db->keyring, "", platform));
	if ((except == NULL || except[0] != '\0') && bh_kms_same_key(cmk_uri, platform))
		return bh_fail(BH_E_EXISTS, "%s: is the platform's CMK; a merchant needs one of its own", cmk_uri);
	BH_TRY(bh_keyring_merchants(db->keyring, &infos, &count));
	for (size_t i = 0; i < count; i++) {
		bool own = except != NULL && infos[i].state < BH_MERCHANT_SHREDDING && strcmp(infos[i].name, except) == 0;
		/* A shredded one's counts until it is destroyed: finalizing that shred will do it. */
		if (!own && (infos[i].state != BH_MERCHANT_SHREDDED || infos[i].cmk_pending) &&
		    bh_kms_same_key(infos[i].cmk_uri, cmk_uri))
			status = bh_fail(BH_E_EXISTS, "%s: is the CMK of merchant '%s'; each merchant needs one of its own",
					 cmk_uri, infos[i].name);
		bh_merchant_info_clear(&infos[i]);
	}
	free(infos);
	return status;
}

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

bh_status bh_merchant_add(bh_db *db, const char *name, const char *cmk_uri, const bh_merchant_options *options)
{
	bh_claim claim = { .name = name, .cmk_uri = cmk_uri };
	bh_status status;

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

/* ---- class handles */

/* Says why a merchant is not among the living ones. */
static bh_status not_listed(bh_db *db, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	BH_TRY(bh_keyring_merchant(db->keyring, name, &info));
	switch (info.state) {
	case BH_MERCHANT_SHREDDING:
	case BH_MERCHANT_SHREDDED:
		return bh_fail(BH_E_SHREDDED, "merchant '%s' is shredded: its keys and data are destroyed", name);
	case BH_MERCHANT_CREATING: return bh_fail(BH_E_BUSY, "merchant '%s' is being created; the next open completes it", name);
	default: return bh_fail(BH_E_BUSY, "merchant '%s': is being taken up or given away right now", name);
	}
}

bh_status bh_cf_open(bh_db *db, const char *merchant_name, const char *cls_name, bh_cf **out)
{
	bh_merchant *merchant = bh_merchant_find(db, merchant_name);
	bh_status status;
	bh_class *cls;
	bh_cf *cf;

	if (merchant == NULL)
		return not_listed(db, merchant_name);
	status = bh_gate_enter(&merchant->gate, merchant->name);
	if (status != BH_OK) {
		bh_merchant_unref(merchant);
		return status;
	}
	bh_gate_leave(&merchant->gate);
	cls = bh_merchant_class(merchant, cls_name);
	cf = cls != NULL ? calloc(1, sizeof(*cf)) : NULL;
	if (cf == NULL) {
		bh_merchant_unref(merchant);
		return cls != NULL ? bh_fail(BH_E_NOMEM, "no memory")
				   : bh_fail(BH_E_NOT_FOUND, "merchant '%s' has no class '%s'", merchant_name, cls_name);
	}
	cf->merchant = merchant;
	cf->cls = cls;
	*out = cf;
	return BH_OK;
}

void bh_cf_close(bh_cf *cf)
{
	if (cf == NULL)
		return;
	bh_merchant_unref(cf->merchant);
	free(cf);
}

rocksdb_column_family_handle_t *bh_cf_handle(bh_cf *cf)
{
	return cf->cls->handle;
}
