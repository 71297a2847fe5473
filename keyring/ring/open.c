/* SPDX-License-Identifier: Apache-2.0
 *
 * open.c: a keyring is made, opened, closed.
 */
#include "ring.h"
#include "keyring/base/random.h"
#include "deks.h"
#include "keyring.h"
#include "cmk.h"
#include "events.h"
#include "keyring/manifest/file.h"
#include "keyring/kms/provider/registry.h"
#include "live.h"
#include "pinned.h"
#include "relocate.h"

#include <stdlib.h>
#include <time.h>

static const bh_keyring_options default_options;

static const bh_scope platform_scope;

/* Create */

static bh_status head_make(bh_kms *kms, const char *region, const char *uri, bh_keyring_head *head, bh_dek **root)
{
	BH_CLEANUP(bh_buf_clear) bh_buf wrapped = { 0 };

	BH_TRY(bh_random(head->database_id, BH_ID_LEN));
	BH_TRY(bh_keyring_dek_make(kms, head->database_id, region, &platform_scope, BH_ROOT_GENERATION, root, &wrapped,
				   &head->cmk_version));
	memcpy(head->root_id, bh_dek_id(*root), BH_ID_LEN);
	memcpy(head->region, region, strlen(region) + 1);
	memcpy(head->cmk_uri, uri, strlen(uri) + 1);
	memcpy(head->wrapped, wrapped.data, wrapped.len);
	head->wrapped_len = wrapped.len;
	head->created_at_s = (int64_t)time(NULL);
	return BH_OK;
}

/* The first of the platform's DEKs. */
static bh_status platform_make(bh_kms *kms, const bh_keyring_head *head, bh_keyring_state *out)
{
	bh_dek_record *record = calloc(1, sizeof(*record));
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	if (record == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the platform's DEK");
	out->platform.deks = record;
	out->platform.dek_count = 1;
	BH_TRY(bh_keyring_dek_make(kms, head->database_id, head->region, &platform_scope, 1, &dek, &record->wrapped,
				   &record->cmk_version));
	memcpy(record->id, bh_dek_id(dek), BH_ID_LEN);
	record->generation = 1;
	record->created_at_s = head->created_at_s;
	return BH_OK;
}

static bh_status derive(const bh_dek *root, const uint8_t database_id[BH_ID_LEN], bh_secret *mac_key, bh_signer **signer)
{
	BH_TRY(bh_keyring_mac_key(bh_dek_key(root), database_id, mac_key));
	return bh_keyring_signer_make(bh_dek_key(root), database_id, signer);
}

static void signer_freep(bh_signer **signer)
{
	bh_signer_free(*signer);
}

bh_status bh_keyring_create(const char *dir, const char *region, const char *platform_cmk_uri, const bh_keyring_options *options)
{
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;
	BH_CLEANUP(bh_dek_unrefp) bh_dek *root = NULL;
	BH_CLEANUP(bh_secret_clear) bh_secret mac_key = { 0 };
	BH_CLEANUP(signer_freep) bh_signer *signer = NULL;
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state first = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf snapshot = { 0 };
	BH_CLEANUP(bh_io_dir_close) bh_io_dir locked = BH_IO_DIR_CLOSED;
	bh_keyring_head head = { 0 };
	char room[BH_KMS_URI_MAX + 1];

	BH_TRY(bh_name_check("region", region));
	if (options == NULL)
		options = &default_options;
	BH_TRY(bh_fail_prefix(bh_kms_resolve(platform_cmk_uri, &options->kms, room), "platform CMK"));
	if (room[0] != '\0')
		platform_cmk_uri = room;
	BH_TRY(bh_fail_prefix(bh_kms_open(platform_cmk_uri, &options->kms, &kms), "platform CMK"));
	BH_TRY(bh_fail_prefix(bh_keyring_region_check(kms, platform_cmk_uri, region), "platform CMK"));
	BH_TRY(bh_fail_prefix(head_make(kms, region, platform_cmk_uri, &head, &root), "platform CMK"));
	BH_TRY(bh_fail_prefix(platform_make(kms, &head, &first), "platform CMK"));
	BH_TRY(derive(root, head.database_id, &mac_key, &signer));
	bh_signer_public(signer, head.public_key);
	BH_TRY(bh_keyring_state_encode(&first, &snapshot));
	BH_TRY(bh_keyring_file_create(dir, &head, &mac_key, bh_buf_view(&snapshot), &locked));
	/* A kill here leaves a keyring that knows of no log: the next open makes it. */
	return bh_keyring_audit_create(&locked, &head, &first, signer, options);
}

/* Open */

static bh_status passphrase_keep(const bh_kms_options *options, bh_secret *out)
{
	if (options->passphrase == NULL)
		return BH_OK;
	return bh_secret_copy(out, bh_view_of(options->passphrase, strlen(options->passphrase) + 1));
}

/* What a pin says that has to be true before anybody's KMS is asked. */
static bh_status pin_begin(const bh_keyring *keyring, const bh_keyring_options *options, const bh_pin *pin)
{
	if (options->pin == NULL)
		return BH_OK;
	return bh_fail_prefix(bh_pin_check(pin, &keyring->file.head), "%s/" BH_KEYRING_FILE, keyring->file.dir.path);
}

/* The head says which key this database signs with. Its MAC says so, too; but who wraps a DEK of his own under the right CMK can
 * make one, and not the key. */
static bh_status signer_check(const bh_keyring *keyring)
{
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];

	bh_signer_public(keyring->signer, public_key);
	if (memcmp(public_key, keyring->file.head.public_key, BH_SIGN_PUBLIC_LEN) == 0)
		return BH_OK;
	return bh_fail(BH_E_TAG, "%s/" BH_KEYRING_FILE ": its root secret is not that of the signing key that it names",
		       keyring->file.dir.path);
}

static bh_status look_elsewhere(const bh_keyring_options *options, bh_keyring_head *head)
{
	char uri[BH_KMS_URI_MAX + 1];

	if (options->moved_from == NULL || !bh_relocate_uri(head->cmk_uri, options, uri))
		return BH_OK;
	memcpy(head->cmk_uri, uri, strlen(uri) + 1);
	return BH_OK;
}

static bh_status platform_failed(const bh_keyring_head *head, bh_status status)
{
	/* "Not found" is what an open says where there is no keyring; a caller could take it for leave to make one. */
	if (status == BH_E_NOT_FOUND || bh_kms_gave_no_answer(status))
		status = bh_fail(status == BH_E_NOT_FOUND ? BH_E_NO_KEY : status,
				 "%s; if its KMS lies elsewhere now: bhctl kms relocate", bh_status_message());
	return bh_fail_prefix(status, "platform CMK '%s'", bh_kms_uri_shown(head->cmk_uri));
}

static bh_status root_unwrap(bh_keyring *keyring, bh_dek **out)
{
	const bh_keyring_head *head = &keyring->file.head;
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;

	BH_TRY(bh_keyring_kms_open(keyring, head->cmk_uri, &kms));
	BH_TRY(bh_keyring_region_check(kms, head->cmk_uri, head->region));
	return bh_keyring_dek_open(kms, head->database_id, head->region, &platform_scope, head->root_id, BH_ROOT_GENERATION,
				   bh_view_of(head->wrapped, head->wrapped_len), out);
}

/* The root leaves memory again. */
static bh_status root_use(bh_keyring *keyring, bh_secret *mac_key)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *root = NULL;

	BH_TRY(platform_failed(&keyring->file.head, root_unwrap(keyring, &root)));
	return derive(root, keyring->file.head.database_id, mac_key, &keyring->signer);
}

/* All generations that have a wrap: there are files under each of them. */
static bh_status deks_unwrap(bh_keyring *keyring)
{
	const bh_keyring_head *head = &keyring->file.head;
	const bh_merchant_record *platform = &keyring->state.platform;
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;

	BH_TRY(bh_keyring_kms_open(keyring, head->cmk_uri, &kms));
	BH_TRY(bh_keyring_live_reserve(keyring, platform->dek_count));
	for (size_t i = 0; i < platform->dek_count; i++) {
		const bh_dek_record *record = &platform->deks[i];
		BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

		if (bh_dek_record_is_tombstone(record))
			continue;
		BH_TRY(bh_keyring_dek_open(kms, head->database_id, head->region, &platform_scope, record->id, record->generation,
					   bh_buf_view(&record->wrapped), &dek));
		bh_keyring_live_insert(keyring, dek, record->sealed);
	}
	return BH_OK;
}

static bh_status platform_unwrap(bh_keyring *keyring)
{
	if (keyring->state.platform.dek_count == 0)
		return bh_fail(BH_E_FORMAT, "%s/" BH_KEYRING_FILE ": has no DEK of the platform", keyring->file.dir.path);
	return platform_failed(&keyring->file.head, deks_unwrap(keyring));
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
	bh_pin pin = { 0 };

	if (options->pin != NULL)
		BH_TRY(bh_pin_parse(options->pin, &pin));
	BH_TRY(passphrase_keep(&options->kms, &keyring->passphrase));
	keyring->kms = options->kms;
	keyring->kms.passphrase = (const char *)keyring->passphrase.data;
	BH_TRY(bh_cmk_table_new(&keyring->kms, &keyring->cmks));
	BH_TRY(bh_repeats_new(options->repeats_span_ms, &keyring->repeats));
	BH_TRY(bh_keyring_file_open(dir, writable, &keyring->file));
	BH_TRY(pin_begin(keyring, options, &pin));
	BH_TRY(look_elsewhere(options, &keyring->file.head));
	BH_TRY(root_use(keyring, &mac_key));
	BH_TRY(signer_check(keyring));
	BH_TRY(bh_keyring_file_load(&keyring->file, &mac_key, BH_MAX(options->generation_floor, pin.generation), apply_record,
				    keyring));
	keyring->generation = keyring->file.mark.generation;
	keyring->pin_changed = options->pin_changed;
	keyring->pin_arg = options->pin_arg;
	BH_TRY(platform_unwrap(keyring));
	if (options->inspect != NULL)
		BH_TRY(options->inspect(keyring, dir));
	return bh_keyring_audit_open(keyring, options, &pin.audit);
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
	bh_keyring_audit_close(keyring);
	bh_signer_free(keyring->signer);
	bh_keyring_state_clear(&keyring->state);
	bh_keyring_file_close(&keyring->file);
	bh_cmk_table_free(keyring->cmks);
	bh_repeats_free(keyring->repeats);
	bh_secret_clear(&keyring->passphrase);
	pthread_rwlock_destroy(&keyring->lock);
	pthread_mutex_destroy(&keyring->change);
	free(keyring);
}
