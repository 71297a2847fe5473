/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring.c: making, opening and closing a keyring, and what can be asked of it. Changes of merchants are in keyring_merchants.c,
 * DEKs in keyring_deks.c.
 */
#include "ring.h"

#include <stdlib.h>
#include <time.h>

#define SIGNER_INFO "bulkhead ed25519 v1"

static const bh_keyring_options default_options;

static const bh_scope platform_scope;

/* Create */

static bh_status head_make(bh_kms *kms, const char *region, const char *uri, bh_keyring_head *head, bh_dek **dek)
{
	BH_CLEANUP(bh_buf_clear) bh_buf wrapped = { 0 };

	BH_TRY(bh_random(head->database_id, BH_ID_LEN));
	BH_TRY(bh_keyring_dek_make(kms, head->database_id, region, &platform_scope, 1, dek, &wrapped, &head->cmk_version));
	memcpy(head->platform_dek_id, bh_dek_id(*dek), BH_ID_LEN);
	memcpy(head->region, region, strlen(region) + 1);
	memcpy(head->cmk_uri, uri, strlen(uri) + 1);
	memcpy(head->wrapped, wrapped.data, wrapped.len);
	head->wrapped_len = wrapped.len;
	head->created_at_s = (int64_t)time(NULL);
	return BH_OK;
}

/* What is derived from the platform's DEK. */
static bh_status derive(const bh_dek *dek, const uint8_t database_id[BH_ID_LEN], bh_secret *mac_key, bh_signer **signer)
{
	BH_CLEANUP(bh_secret_clear) bh_secret key = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret seed = { 0 };

	BH_TRY(bh_secret_copy(&key, bh_dek_key(dek)));
	BH_TRY(bh_keyring_mac_key(&key, database_id, mac_key));
	BH_TRY(bh_hkdf_secret(bh_secret_view(&key), bh_view_of(database_id, BH_ID_LEN), bh_view_str(SIGNER_INFO), BH_SIGN_SEED_LEN,
			      &seed));
	return bh_signer_new(bh_secret_view(&seed), signer);
}

static void signer_freep(bh_signer **signer)
{
	bh_signer_free(*signer);
}

bh_status bh_keyring_create(const char *dir, const char *region, const char *platform_cmk_uri, const bh_keyring_options *options)
{
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	BH_CLEANUP(bh_secret_clear) bh_secret mac_key = { 0 };
	BH_CLEANUP(signer_freep) bh_signer *signer = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf snapshot = { 0 };
	BH_CLEANUP(bh_io_dir_close) bh_io_dir locked = BH_IO_DIR_CLOSED;
	bh_keyring_state empty = { 0 };
	bh_keyring_head head = { 0 };

	BH_TRY(bh_name_check("region", region));
	if (options == NULL)
		options = &default_options;
	BH_TRY(bh_fail_prefix(bh_kms_open(platform_cmk_uri, &options->kms, &kms), "platform CMK"));
	BH_TRY(bh_fail_prefix(bh_keyring_region_check(kms, platform_cmk_uri, region), "platform CMK"));
	BH_TRY(bh_fail_prefix(head_make(kms, region, platform_cmk_uri, &head, &dek), "platform CMK"));
	BH_TRY(derive(dek, head.database_id, &mac_key, &signer));
	BH_TRY(bh_keyring_state_encode(&empty, &snapshot));
	BH_TRY(bh_keyring_file_create(dir, &head, &mac_key, bh_buf_view(&snapshot), &locked));
	/* A kill here leaves a keyring that knows of no log: the next open makes it. */
	return bh_keyring_audit_create(&locked, &head, signer, options);
}

/* Open */

static bh_status passphrase_keep(const bh_kms_options *options, bh_secret *out)
{
	if (options->passphrase == NULL)
		return BH_OK;
	return bh_secret_copy(out, bh_view_of(options->passphrase, strlen(options->passphrase) + 1));
}

static bh_status platform_unwrap(bh_keyring *keyring)
{
	const bh_keyring_head *head = &keyring->file.head;
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;

	bh_status status = bh_keyring_kms_open(keyring, head->cmk_uri, &kms);
	if (status == BH_OK)
		status = bh_keyring_region_check(kms, head->cmk_uri, head->region);
	if (status == BH_OK)
		status = bh_keyring_dek_open(kms, head->database_id, head->region, &platform_scope, head->platform_dek_id, 1,
					     bh_view_of(head->wrapped, head->wrapped_len), &keyring->platform);
	/* "Not found" is what an open says where there is no keyring; a caller could take it for leave to make one. */
	if (status == BH_E_NOT_FOUND)
		status = BH_E_NO_KEY;
	return bh_fail_prefix(status, "platform CMK '%s'", head->cmk_uri);
}

static bh_status apply_record(void *arg, const bh_keyring_record *record)
{
	bh_keyring *keyring = arg;

	if (record->type == BH_KEYRING_SNAPSHOT)
		return bh_keyring_state_decode(record->payload, &keyring->state);
	return bh_keyring_state_apply(&keyring->state, record->type, record->payload);
}

static bh_status keyring_open(const char *dir, const bh_keyring_options *options, bool writable, bh_keyring *keyring)
{
	BH_CLEANUP(bh_secret_clear) bh_secret mac_key = { 0 };

	BH_TRY(passphrase_keep(&options->kms, &keyring->passphrase));
	keyring->kms = options->kms;
	keyring->kms.passphrase = (const char *)keyring->passphrase.data;
	BH_TRY(bh_cmk_table_new(&keyring->kms, &keyring->cmks));
	BH_TRY(bh_keyring_file_open(dir, writable, &keyring->file));
	BH_TRY(platform_unwrap(keyring));
	BH_TRY(derive(keyring->platform, keyring->file.head.database_id, &mac_key, &keyring->signer));
	BH_TRY(bh_keyring_file_load(&keyring->file, &mac_key, options->generation_floor, apply_record, keyring));
	BH_TRY(bh_keyring_audit_open(keyring, options));
	keyring->generation = keyring->file.mark.generation;
	BH_TRY(bh_keyring_live_reserve(keyring, 1));
	bh_keyring_live_insert(keyring, keyring->platform, 0);
	return BH_OK;
}

bh_status bh_keyring_open(const char *dir, const bh_keyring_options *options, bool writable, bh_keyring **out)
{
	bh_keyring *keyring = calloc(1, sizeof(*keyring));

	if (keyring == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory to open its keyring", dir);
	keyring->file = (bh_keyring_file)BH_KEYRING_FILE_CLOSED;
	pthread_mutex_init(&keyring->change, NULL);
	pthread_rwlock_init(&keyring->lock, NULL);

	bh_status status = keyring_open(dir, options != NULL ? options : &default_options, writable, keyring);
	if (status != BH_OK) {
		bh_keyring_close(keyring);
		return status;
	}
	*out = keyring;
	return BH_OK;
}

void bh_keyring_close(bh_keyring *keyring)
{
	if (keyring == NULL)
		return;
	bh_dek_table_clear(&keyring->live);
	bh_tally_table_clear(&keyring->tallies);
	bh_dek_unref(keyring->platform);
	bh_keyring_audit_close(keyring);
	bh_signer_free(keyring->signer);
	bh_keyring_state_clear(&keyring->state);
	bh_keyring_file_close(&keyring->file);
	bh_cmk_table_free(keyring->cmks);
	bh_secret_clear(&keyring->passphrase);
	pthread_rwlock_destroy(&keyring->lock);
	pthread_mutex_destroy(&keyring->change);
	free(keyring);
}

/* CMKs */

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
	return known ? BH_OK : bh_fail(BH_E_NOT_FOUND, "merchant '%s': does not exist in this database", merchant);
}

void bh_keyring_cmk_close(bh_keyring *keyring, const char *merchant)
{
	char uri[BH_KMS_URI_MAX + 1];

	if (merchant[0] != '\0' && bh_keyring_cmk_uri(keyring, merchant, uri) == BH_OK)
		bh_cmk_table_close(keyring->cmks, uri);
}

/* Questions */

const uint8_t *bh_keyring_database_id(const bh_keyring *keyring)
{
	return keyring->file.head.database_id;
}

const char *bh_keyring_region(const bh_keyring *keyring)
{
	return keyring->file.head.region;
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

bool bh_keyring_is_live(const bh_keyring *keyring, const bh_merchant_record *merchant)
{
	for (size_t i = 0; i < merchant->dek_count; i++) {
		if (!bh_dek_record_is_tombstone(&merchant->deks[i]) &&
		    bh_dek_table_find(&keyring->live, merchant->deks[i].id) == NULL)
			return false;
	}
	return bh_deks_wrapped(merchant->deks, merchant->dek_count) != NULL;
}

static bh_status info_fill(const bh_keyring *keyring, const bh_merchant_record *merchant, bh_merchant_info *out)
{
	memcpy(out->name, merchant->name, sizeof(out->name));
	memcpy(out->id, merchant->id, BH_ID_LEN);
	memcpy(out->region, merchant->region, sizeof(out->region));
	out->state = merchant->state;
	out->changed_at_s = merchant->changed_at_s;
	out->cause = merchant->cause;
	out->cmk_pending = merchant->state >= BH_MERCHANT_SHREDDING && !bh_shred_is_final(&merchant->shred);
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
	bh_status status = merchant != NULL ? info_fill(keyring, merchant, &info)
					    : bh_fail(BH_E_NOT_FOUND, "merchant '%s': does not exist in this database", name);
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
