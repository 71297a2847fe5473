/* SPDX-License-Identifier: Apache-2.0
 *
 * document.c: see document.h.
 */
#include "document.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/core/home.h"
#include "engine/rotation/survey.h"
#include "env/fs/path.h"
#include "json.h"
#include "keyring/audit/audit.h"
#include "keyring/crypto/aead.h"

#define PARKED_PATH_SIZE (sizeof(BH_PARKED_DIR) + BH_NAME_MAX + 2)

bh_status bh_document_open(const bh_place *place, bh_document *out)
{
	*out = (bh_document){ .place = *place };
	BH_TRY(bh_keyring_merchants(place->keyring, &out->merchants, &out->merchant_count));
	BH_TRY(bh_keyring_deks(place->keyring, &out->deks, &out->dek_count));
	return bh_tree_list(place->dir, &out->files);
}

void bh_document_clear(bh_document *d)
{
	for (size_t i = 0; i < d->merchant_count; i++)
		bh_merchant_info_clear(&d->merchants[i]);
	free(d->merchants);
	free(d->deks);
	bh_tree_clear(&d->files);
	*d = (bh_document){ 0 };
}

/* ---- merchants */

static void set_suspension(json_t *object, const bh_merchant_info *merchant)
{
	if (merchant->cause == BH_SUSPEND_NONE)
		return;
	json_object_set_new(object, "cause", json_string(bh_suspend_cause_name(merchant->cause)));
	bh_json_set_bytes(object, "note", bh_view_str(merchant->note), false);
	bh_json_set_time(object, "since", merchant->changed_at_s);
}

/* The CMK as its KMS sees it now, or why it cannot be asked. */
static json_t *cmk_json(const bh_document *d, const char *uri)
{
	json_t *cmk = bh_json_with_text("uri", uri);
	bh_kms_key_info info;
	bh_kms *kms = NULL;
	bh_status status = bh_kms_open(uri, bh_keyring_kms_options(d->place.keyring), &kms);

	if (status == BH_OK) {
		status = bh_kms_describe(kms, &info);
		bh_kms_close(kms);
	}
	if (status == BH_OK)
		json_object_update_new(cmk, bh_json_kms_key(&info));
	else
		json_object_set_new(cmk, "error", bh_json_error(status));
	return cmk;
}

/* What an older generation is still needed for. */
static void pins_json(const bh_survey *survey, const bh_dek_info *dek, json_t *item)
{
	for (size_t i = 0; i < survey->count; i++) {
		const bh_old_dek *old = &survey->deks[i];

		if (memcmp(old->dek.id, dek->id, BH_ID_LEN) != 0)
			continue;
		json_object_set_new(item, "needed_by",
				    json_pack("{s:I, s:I, s:I, s:I}", "files", (json_int_t)old->files, "bytes",
					      (json_int_t)old->bytes, "wals", (json_int_t)old->wals, "manifests",
					      (json_int_t)old->manifests));
		if (old->log[0] != '\0')
			json_object_set_new(json_object_get(item, "needed_by"), "log", json_string(old->log));
	}
}

/* Nothing, with no word of it, where the files are not to be had: a damaged one is verify's to tell. */
static void survey_generations(const bh_document *d, const bh_merchant_info *merchant, bh_survey *out)
{
	const bh_place place = { d->place.dir, d->place.fs, d->place.keyring };
	const bool serves = merchant->state == BH_MERCHANT_ACTIVE || merchant->name[0] == '\0'; /* the platform always does */

	if (!serves || bh_survey_make(&place, merchant->name, out) != BH_OK)
		*out = (bh_survey){ 0 };
}

static json_t *deks_json(const bh_document *d, const bh_survey *survey, const bh_merchant_info *merchant, const char *cls)
{
	json_t *deks = json_array();

	for (size_t i = 0; i < d->dek_count; i++) {
		const bh_dek_info *dek = &d->deks[i];
		json_t *item;

		if (memcmp(dek->merchant_id, merchant->id, BH_ID_LEN) != 0 || strcmp(dek->scope.cls, cls) != 0)
			continue;
		item = json_pack("{s:i, s:b}", "generation", (int)dek->generation, "destroyed", dek->tombstone);
		bh_json_set_id(item, "id", dek->id);
		if (!dek->tombstone) {
			json_object_set_new(item, "cmk_version", json_integer((json_int_t)dek->cmk_version));
			if (!bh_scope_is_platform(&dek->scope)) /* of which logs are not counted */
				json_object_set_new(item, "sealed", json_integer((json_int_t)dek->sealed));
		}
		bh_json_set_time(item, "created_at", dek->created_at_s);
		if ((dek->marks & BH_DEK_SWEEP) != 0)
			json_object_set_new(item, "sweep", json_true());
		if ((dek->marks & BH_DEK_EXPOSED) != 0)
			json_object_set_new(item, "exposed", json_true());
		if (dek->retired_at_s != 0)
			bh_json_set_time(item, "retired_at", dek->retired_at_s);
		pins_json(survey, dek, item);
		json_array_append_new(deks, item);
	}
	return deks;
}

/* How many of its wraps are below the CMK's newest version, where the KMS says which that is. */
static void behind_json(const bh_document *d, const bh_merchant_info *merchant, json_t *item)
{
	const json_t *version = json_object_get(json_object_get(item, "cmk"), "version");
	json_int_t behind = 0;

	if (version == NULL || merchant->state == BH_MERCHANT_SHREDDED)
		return;
	for (size_t i = 0; i < d->dek_count; i++)
		behind += memcmp(d->deks[i].merchant_id, merchant->id, BH_ID_LEN) == 0 && !d->deks[i].tombstone &&
			  (json_int_t)d->deks[i].cmk_version < json_integer_value(version);
	json_object_set_new(item, "behind", json_integer(behind));
}

static void parked_path(const bh_merchant_info *merchant, char out[PARKED_PATH_SIZE])
{
	snprintf(out, PARKED_PATH_SIZE, BH_PARKED_DIR "/%s", merchant->name);
}

/* Whether its files are outside of the live database. */
static bool is_parked(const bh_document *d, const bh_merchant_info *merchant)
{
	char path[PARKED_PATH_SIZE];

	parked_path(merchant, path);
	return merchant->cause != BH_SUSPEND_NONE && bh_tree_has(&d->files, path);
}

/* What is read from the keyring alone. */
static json_t *brief_json(const bh_merchant_info *merchant)
{
	json_t *classes = json_array(), *item;

	for (size_t i = 0; i < merchant->class_count; i++)
		json_array_append_new(classes, json_pack("{s:s}", "name", merchant->classes[i]));
	item = json_pack("{s:s, s:s, s:o, s:o}", "name", merchant->name, "state", bh_merchant_state_name(merchant->state), "cmk",
			 bh_json_with_text("uri", merchant->cmk_uri), "classes", classes);
	set_suspension(item, merchant);
	return item;
}

static json_t *class_json(const bh_document *d, const bh_survey *survey, const bh_merchant_info *merchant, const char *cls)
{
	bh_tree_usage usage = { 0 };

	/* A shredded merchant has no directory; what is there of that name is its successor's. */
	if (merchant->state != BH_MERCHANT_SHREDDED)
		usage = bh_tree_class_usage(&d->files, merchant->name, cls, is_parked(d, merchant));
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "name", cls, "sst_files", (json_int_t)usage.sst_files, "sst_bytes",
			 (json_int_t)usage.sst_bytes, "blob_files", (json_int_t)usage.blob_files, "blob_bytes",
			 (json_int_t)usage.blob_bytes, "deks", deks_json(d, survey, merchant, cls));
}

/* CMKs that it had before. They are asked for nothing but the end. */
static void former_json(const bh_document *d, const bh_merchant_info *merchant, json_t *item)
{
	bh_former_cmk *former = NULL;
	json_t *list = json_array();
	size_t count = 0;

	if (bh_keyring_former_cmks(d->place.keyring, merchant->id, &former, &count) != BH_OK)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		json_t *cmk = bh_json_with_text("uri", former[i].uri);

		bh_json_set_time(cmk, "left_at", former[i].left_at_s);
		json_object_set_new(cmk, "destroyed", json_boolean(bh_former_cmk_is_gone(&former[i])));
		if (former[i].answer.at_ms != 0 && former[i].answer.status != BH_OK)
			bh_json_set_text(cmk, "answer", former[i].answer.message);
		json_array_append_new(list, cmk);
	}
	free(former);
	json_object_set_new(item, "former_cmks", list);
}

static json_t *merchant_json(const bh_document *d, const bh_merchant_info *merchant)
{
	BH_CLEANUP(bh_survey_clear) bh_survey survey = { 0 };
	json_t *classes = json_array();
	char parked[PARKED_PATH_SIZE];
	json_t *item;

	survey_generations(d, merchant, &survey);

	for (size_t i = 0; i < merchant->class_count; i++)
		json_array_append_new(classes, class_json(d, &survey, merchant, merchant->classes[i]));
	item = json_pack("{s:s, s:s, s:o, s:o}", "name", merchant->name, "state", bh_merchant_state_name(merchant->state), "cmk",
			 cmk_json(d, merchant->cmk_uri), "classes", classes);
	behind_json(d, merchant, item);
	former_json(d, merchant, item);
	bh_json_set_id(item, "id", merchant->id);
	set_suspension(item, merchant);
	if (is_parked(d, merchant)) {
		parked_path(merchant, parked);
		bh_json_set_text(item, "parked", parked);
	}
	if (merchant->state == BH_MERCHANT_SHREDDED)
		json_object_set_new(item, "certificate", json_string(merchant->cmk_pending ? "PENDING" : "FINAL"));
	return item;
}

/* ---- the database */

static json_t *logs_json(const bh_document *d)
{
	uint64_t files = 0, bytes = 0;

	for (size_t i = 0; i < d->files.count; i++) {
		const bh_tree_entry *entry = &d->files.entries[i];

		if (entry->type == BH_TREE_FILE && strchr(entry->path, '/') == NULL && bh_tree_has_suffix(entry->path, ".log")) {
			files++;
			bytes += entry->size;
		}
	}
	return json_pack("{s:I, s:I}", "files", (json_int_t)files, "bytes", (json_int_t)bytes);
}

static json_t *platform_deks_json(const bh_document *d)
{
	BH_CLEANUP(bh_survey_clear) bh_survey survey = { 0 };
	const bh_merchant_info platform = { 0 };

	survey_generations(d, &platform, &survey);
	return deks_json(d, &survey, &platform, "");
}

static json_t *database_json(const bh_document *d)
{
	bh_keyring *keyring = d->place.keyring;
	char platform[BH_KMS_URI_MAX + 1] = "";
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
	char floor[BH_AUDIT_FLOOR_SIZE], pin[BH_PIN_SIZE] = "";
	bh_audit_position position;
	char hex[2 * BH_SIGN_PUBLIC_LEN + 1];

	(void)(bh_keyring_cmk_uri(keyring, "", platform) == BH_OK); /* the platform always has one */
	json_t *database =
		json_pack("{s:s, s:I, s:s, s:o, s:o, s:o}", "region", bh_keyring_region(keyring), "keyring_generation",
			  (json_int_t)bh_keyring_generation(d->place.keyring), "aead", bh_aead_engine_name(bh_aead_default()),
			  "platform_cmk", cmk_json(d, platform), "platform_deks", platform_deks_json(d), "logs", logs_json(d));

	bh_json_set_text(database, "path", d->place.dir);
	json_object_set_new(database, "home", json_boolean(bh_home_is_here(d->place.dir)));
	bh_json_set_id(database, "id", bh_keyring_database_id(keyring));
	bh_signer_public(bh_keyring_signer(keyring), public_key);
	bh_hex(public_key, sizeof(public_key), hex);
	json_object_set_new(database, "public_key", json_string(hex));
	bh_audit_position_get(bh_keyring_audit(d->place.keyring), &position);
	bh_audit_floor_format(&position, floor);
	json_object_set_new(database, "audit_floor", json_string(floor));
	if (bh_keyring_pin(keyring, pin) == BH_OK)
		json_object_set_new(database, "pin", json_string(pin));
	return database;
}

/* ---- whole documents */

bh_status bh_document_make(const bh_document *d, const bh_document_want *want, json_t **out)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info known = { 0 };
	json_t *document, *merchants;

	if (want->merchant != NULL)
		BH_TRY(bh_keyring_merchant(d->place.keyring, want->merchant, &known));
	document = json_object();
	merchants = json_array();
	if (want->database)
		json_object_set_new(document, "database", database_json(d));
	for (size_t i = 0; i < d->merchant_count; i++)
		if (want->merchant == NULL || strcmp(d->merchants[i].name, want->merchant) == 0)
			json_array_append_new(merchants,
					      want->brief ? brief_json(&d->merchants[i]) : merchant_json(d, &d->merchants[i]));
	if (json_object_set_new(document, "merchants", merchants) != 0) {
		json_decref(document);
		return bh_fail(BH_E_NOMEM, "%s: no memory to describe it", d->place.dir);
	}
	*out = document;
	return BH_OK;
}
