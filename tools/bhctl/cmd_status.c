/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_status.c: what an operator looks at: status, merchant list, merchant show. Built as one JSON document, which the text is
 * printed from.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/rotation/survey.h"
#include "keyring/crypto/aead.h"
#include "bhctl.h"
#include "inspect.h"
#include "status_live.h"
#include "tree.h"

#define PARKED_PATH_SIZE (sizeof(BH_PARKED_DIR) + BH_NAME_MAX + 2)

typedef struct view {
	bhctl *ctl;
	inspect in;
	tree files;
} view;

static void view_clear(view *v)
{
	inspect_clear(&v->in);
	tree_clear(&v->files);
}

static bh_status view_open(bhctl *ctl, view *v)
{
	v->ctl = ctl;
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(inspect_open(ctl, ctl->db, &v->in));
	BH_TRY(inspect_files(ctl->db, &v->in));
	return tree_list(ctl->db, &v->files);
}

/* ---- why a merchant is switched off */

void suspension_json(json_t *object, const bh_merchant_info *merchant)
{
	if (merchant->cause == BH_SUSPEND_NONE)
		return;
	json_object_set_new(object, "cause", json_string(bh_suspend_cause_name(merchant->cause)));
	out_set_bytes(object, "note", bh_view_str(merchant->note), false);
	out_set_time(object, "since", merchant->changed_at_s);
}

void suspension_print(const bh_merchant_info *merchant)
{
	char since[OUT_TIME_SIZE];

	if (merchant->cause == BH_SUSPEND_NONE)
		return;
	out_time(merchant->changed_at_s, since);
	printf(" (%s, since %s", bh_suspend_cause_name(merchant->cause), since);
	if (merchant->note[0] != '\0')
		printf(": ");
	out_bytes(bh_view_str(merchant->note), false, 0);
	putchar(')');
}

/* ---- the document */

/* The CMK as its KMS sees it now, or why it cannot be asked. */
static json_t *cmk_json(const view *v, const char *uri)
{
	json_t *cmk = out_with_text("uri", uri);
	bh_kms_key_info info;
	bh_kms *kms = NULL;
	bh_status status = bh_kms_open(uri, &v->ctl->kms, &kms);

	if (status == BH_OK) {
		status = bh_kms_describe(kms, &info);
		bh_kms_close(kms);
	}
	if (status == BH_OK)
		json_object_update_new(cmk, kms_key_json(&info));
	else
		json_object_set_new(cmk, "error", out_error(status));
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
static void survey_generations(const view *v, const bh_merchant_info *merchant, bh_survey *out)
{
	const bh_place place = { v->ctl->db, v->in.fs, v->in.keyring };
	const bool serves = merchant->state == BH_MERCHANT_ACTIVE || merchant->name[0] == '\0'; /* the platform always does */

	if (!serves || bh_survey_make(&place, merchant->name, out) != BH_OK)
		*out = (bh_survey){ 0 };
}

static json_t *deks_json(const view *v, const bh_survey *survey, const bh_merchant_info *merchant, const char *cls)
{
	json_t *deks = json_array();

	for (size_t i = 0; i < v->in.dek_count; i++) {
		const bh_dek_info *dek = &v->in.deks[i];
		json_t *item;

		if (memcmp(dek->merchant_id, merchant->id, BH_ID_LEN) != 0 || strcmp(dek->scope.cls, cls) != 0)
			continue;
		item = json_pack("{s:i, s:b}", "generation", (int)dek->generation, "destroyed", dek->tombstone);
		out_set_id(item, "id", dek->id);
		if (!dek->tombstone) {
			json_object_set_new(item, "cmk_version", json_integer((json_int_t)dek->cmk_version));
			if (!bh_scope_is_platform(&dek->scope)) /* of which logs are not counted */
				json_object_set_new(item, "sealed", json_integer((json_int_t)dek->sealed));
		}
		out_set_time(item, "created_at", dek->created_at_s);
		if ((dek->marks & BH_DEK_SWEEP) != 0)
			json_object_set_new(item, "sweep", json_true());
		if ((dek->marks & BH_DEK_EXPOSED) != 0)
			json_object_set_new(item, "exposed", json_true());
		if (dek->retired_at_s != 0)
			out_set_time(item, "retired_at", dek->retired_at_s);
		pins_json(survey, dek, item);
		json_array_append_new(deks, item);
	}
	return deks;
}

/* How many of its wraps are below the CMK's newest version, where the KMS says which that is. */
static void behind_json(const view *v, const bh_merchant_info *merchant, json_t *item)
{
	const json_t *version = json_object_get(json_object_get(item, "cmk"), "version");
	json_int_t behind = 0;

	if (version == NULL || merchant->state == BH_MERCHANT_SHREDDED)
		return;
	for (size_t i = 0; i < v->in.dek_count; i++)
		behind += memcmp(v->in.deks[i].merchant_id, merchant->id, BH_ID_LEN) == 0 && !v->in.deks[i].tombstone &&
			  (json_int_t)v->in.deks[i].cmk_version < json_integer_value(version);
	json_object_set_new(item, "behind", json_integer(behind));
}

static void parked_path(const bh_merchant_info *merchant, char out[PARKED_PATH_SIZE])
{
	snprintf(out, PARKED_PATH_SIZE, BH_PARKED_DIR "/%s", merchant->name);
}

/* Whether its files are outside of the live database. */
static bool is_parked(const view *v, const bh_merchant_info *merchant)
{
	char path[PARKED_PATH_SIZE];

	parked_path(merchant, path);
	return merchant->cause != BH_SUSPEND_NONE && tree_has(&v->files, path);
}

static json_t *class_json(const view *v, const bh_survey *survey, const bh_merchant_info *merchant, const char *cls)
{
	tree_usage usage = { 0 };

	/* A shredded merchant has no directory; what is there of that name is its successor's. */
	if (merchant->state != BH_MERCHANT_SHREDDED)
		usage = tree_class_usage(&v->files, merchant->name, cls, is_parked(v, merchant));
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "name", cls, "sst_files", (json_int_t)usage.sst_files, "sst_bytes",
			 (json_int_t)usage.sst_bytes, "blob_files", (json_int_t)usage.blob_files, "blob_bytes",
			 (json_int_t)usage.blob_bytes, "deks", deks_json(v, survey, merchant, cls));
}

/* CMKs that it had before. They are asked for nothing but the end. */
static void former_json(const view *v, const bh_merchant_info *merchant, json_t *item)
{
	bh_former_cmk *former = NULL;
	json_t *list = json_array();
	size_t count = 0;

	if (bh_keyring_former_cmks(v->in.keyring, merchant->id, &former, &count) != BH_OK)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		json_t *cmk = out_with_text("uri", former[i].uri);

		out_set_time(cmk, "left_at", former[i].left_at_s);
		json_object_set_new(cmk, "destroyed", json_boolean(bh_former_cmk_is_gone(&former[i])));
		if (former[i].answer.at_ms != 0 && former[i].answer.status != BH_OK)
			out_set_text(cmk, "answer", former[i].answer.message);
		json_array_append_new(list, cmk);
	}
	free(former);
	json_object_set_new(item, "former_cmks", list);
}

static json_t *merchant_json(const view *v, const bh_merchant_info *merchant)
{
	BH_CLEANUP(bh_survey_clear) bh_survey survey = { 0 };
	json_t *classes = json_array();
	char parked[PARKED_PATH_SIZE];
	json_t *item;

	survey_generations(v, merchant, &survey);

	for (size_t i = 0; i < merchant->class_count; i++)
		json_array_append_new(classes, class_json(v, &survey, merchant, merchant->classes[i]));
	item = json_pack("{s:s, s:s, s:o, s:o}", "name", merchant->name, "state", bh_merchant_state_name(merchant->state), "cmk",
			 cmk_json(v, merchant->cmk_uri), "classes", classes);
	behind_json(v, merchant, item);
	former_json(v, merchant, item);
	out_set_id(item, "id", merchant->id);
	suspension_json(item, merchant);
	if (is_parked(v, merchant)) {
		parked_path(merchant, parked);
		out_set_text(item, "parked", parked);
	}
	if (merchant->state == BH_MERCHANT_SHREDDED)
		json_object_set_new(item, "certificate", json_string(merchant->cmk_pending ? "PENDING" : "FINAL"));
	return item;
}

static json_t *merchants_json(const view *v, const char *name)
{
	json_t *merchants = json_array();

	for (size_t i = 0; i < v->in.merchant_count; i++)
		if (name == NULL || strcmp(v->in.merchants[i].name, name) == 0)
			json_array_append_new(merchants, merchant_json(v, &v->in.merchants[i]));
	return merchants;
}

static json_t *logs_json(const view *v)
{
	uint64_t files = 0, bytes = 0;

	for (size_t i = 0; i < v->files.count; i++) {
		const tree_entry *entry = &v->files.entries[i];

		if (entry->type == TREE_FILE && strchr(entry->path, '/') == NULL && tree_has_suffix(entry->path, ".log")) {
			files++;
			bytes += entry->size;
		}
	}
	return json_pack("{s:I, s:I}", "files", (json_int_t)files, "bytes", (json_int_t)bytes);
}

static json_t *platform_deks_json(const view *v)
{
	BH_CLEANUP(bh_survey_clear) bh_survey survey = { 0 };
	const bh_merchant_info platform = { 0 };

	survey_generations(v, &platform, &survey);
	return deks_json(v, &survey, &platform, "");
}

static json_t *database_json(const view *v)
{
	bh_keyring *keyring = v->in.keyring;
	char platform[BH_KMS_URI_MAX + 1] = "";
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
	char floor[BH_AUDIT_FLOOR_SIZE], pin[BH_PIN_SIZE] = "";
	bh_audit_position position;
	char hex[2 * BH_SIGN_PUBLIC_LEN + 1];

	(void)(bh_keyring_cmk_uri(keyring, "", platform) == BH_OK); /* the platform always has one */
	json_t *database =
		json_pack("{s:s, s:I, s:s, s:o, s:o, s:o}", "region", bh_keyring_region(keyring), "keyring_generation",
			  (json_int_t)bh_keyring_generation(v->in.keyring), "aead", bh_aead_engine_name(bh_aead_default()),
			  "platform_cmk", cmk_json(v, platform), "platform_deks", platform_deks_json(v), "logs", logs_json(v));

	out_set_text(database, "path", v->ctl->db);
	out_set_id(database, "id", bh_keyring_database_id(keyring));
	bh_signer_public(bh_keyring_signer(keyring), public_key);
	bh_hex(public_key, sizeof(public_key), hex);
	json_object_set_new(database, "public_key", json_string(hex));
	bh_audit_position_get(bh_keyring_audit(v->in.keyring), &position);
	bh_audit_floor_format(&position, floor);
	json_object_set_new(database, "audit_floor", json_string(floor));
	if (bh_keyring_pin(keyring, pin) == BH_OK)
		json_object_set_new(database, "pin", json_string(pin));
	return database;
}

/* ---- the text */

static long long number_of(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

static void print_cmk(const char *what, const json_t *cmk)
{
	const json_t *error = json_object_get(cmk, "error");

	printf("  %s %s\n", what, out_text_of(cmk, "uri"));
	if (error != NULL)
		printf("      %s: %s\n", out_text_of(error, "name"), out_text_of(error, "message"));
	else
		printf("      %s, version %lld%s%s\n", out_text_of(cmk, "state"), number_of(cmk, "version"),
		       json_object_get(cmk, "region") != NULL ? ", in " : "", out_text_of(cmk, "region"));
}

static void print_pins(const json_t *pins)
{
	if (pins == NULL)
		return;
	printf("          still needed by %lld files (%lld bytes), %lld WALs, %lld MANIFESTs%s%s\n", number_of(pins, "files"),
	       number_of(pins, "bytes"), number_of(pins, "wals"), number_of(pins, "manifests"),
	       json_object_get(pins, "log") != NULL ? ": " : "", out_text_of(pins, "log"));
}

static void print_wrapped(const json_t *dek)
{
	printf(", wrapped by CMK version %lld, of %s", number_of(dek, "cmk_version"), out_text_of(dek, "created_at"));
	if (json_object_get(dek, "sealed") != NULL)
		printf(", %lld bytes sealed", number_of(dek, "sealed"));
	printf("%s%s\n", json_object_get(dek, "sweep") != NULL ? ", to be swept" : "",
	       json_object_get(dek, "exposed") != NULL ? ", exposed" : "");
}

static void print_deks(const json_t *deks)
{
	const json_t *dek;
	size_t i;

	json_array_foreach(deks, i, dek)
	{
		printf("      DEK %s generation %lld", out_text_of(dek, "id"), number_of(dek, "generation"));
		if (json_is_true(json_object_get(dek, "destroyed")))
			printf(", %s%s\n", json_object_get(dek, "retired_at") != NULL ? "retired " : "destroyed",
			       out_text_of(dek, "retired_at"));
		else
			print_wrapped(dek);
		print_pins(json_object_get(dek, "needed_by"));
	}
}

static void print_class(const json_t *cls)
{
	printf("  class %s: %lld SST files, %lld bytes; %lld blob files, %lld bytes\n", out_text_of(cls, "name"),
	       number_of(cls, "sst_files"), number_of(cls, "sst_bytes"), number_of(cls, "blob_files"),
	       number_of(cls, "blob_bytes"));
	print_deks(json_object_get(cls, "deks"));
}

static void print_suspension(const json_t *merchant)
{
	const char *hex = out_text_of(merchant, "note_hex");

	printf("  %s since %s", out_text_of(merchant, "cause"), out_text_of(merchant, "since"));
	if (out_text_of(merchant, "note")[0] != '\0')
		printf(": ");
	out_bytes(bh_view_str(out_text_of(merchant, "note")), false, 0);
	if (hex[0] != '\0')
		printf(": (hex) %s", hex);
	if (out_text_of(merchant, "parked")[0] != '\0')
		printf("; its files are in %s", out_text_of(merchant, "parked"));
	putchar('\n');
}

static void print_former(const json_t *list)
{
	const json_t *cmk;
	size_t i;

	json_array_foreach(list, i, cmk)
	{
		printf("  former CMK %s, left %s%s%s%s\n", out_text_of(cmk, "uri"), out_text_of(cmk, "left_at"),
		       json_is_true(json_object_get(cmk, "destroyed")) ? ", destroyed" : "",
		       json_object_get(cmk, "answer") != NULL ? ": " : "", out_text_of(cmk, "answer"));
	}
}

static void print_merchant(const json_t *merchant)
{
	const json_t *cls;
	size_t i;

	printf("merchant %s: %s (id %s)\n", out_text_of(merchant, "name"), out_text_of(merchant, "state"),
	       out_text_of(merchant, "id"));
	if (json_object_get(merchant, "cause") != NULL)
		print_suspension(merchant);
	print_cmk("CMK", json_object_get(merchant, "cmk"));
	if (number_of(merchant, "behind") > 0)
		printf("      %lld wraps below version %lld: run 'bhctl rewrap %s'\n", number_of(merchant, "behind"),
		       number_of(json_object_get(merchant, "cmk"), "version"), out_text_of(merchant, "name"));
	if (strcmp(out_text_of(merchant, "certificate"), "PENDING") == 0)
		printf("      not known to be destroyed: run 'bhctl merchant shred %s --finalize'\n",
		       out_text_of(merchant, "name"));
	print_former(json_object_get(merchant, "former_cmks"));
	status_live_print_merchant(merchant);
	json_array_foreach(json_object_get(merchant, "classes"), i, cls) print_class(cls);
}

static void print_database(const json_t *database)
{
	const json_t *logs = json_object_get(database, "logs");

	printf("database %s (id %s)\n  region %s, keyring generation %lld, AES-256-GCM by %s\n", out_text_of(database, "path"),
	       out_text_of(database, "id"), out_text_of(database, "region"), number_of(database, "keyring_generation"),
	       out_text_of(database, "aead"));
	printf("  signs certificates and the audit log with key %s\n", out_text_of(database, "public_key"));
	printf("  audit floor %s\n", out_text_of(database, "audit_floor"));
	printf("  pin %s\n", out_text_of(database, "pin"));
	print_cmk("platform CMK", json_object_get(database, "platform_cmk"));
	print_deks(json_object_get(database, "platform_deks"));
	status_live_print_database(database);
	printf("  logs: %lld files, %lld bytes\n", number_of(logs, "files"), number_of(logs, "bytes"));
}

/* Prints and releases the document. */
static bh_status print(const bhctl *ctl, json_t *document)
{
	const json_t *merchant;
	size_t i;

	if (ctl->json || document == NULL)
		return out_json(document);
	if (json_object_get(document, "database") != NULL)
		print_database(json_object_get(document, "database"));
	json_array_foreach(json_object_get(document, "merchants"), i, merchant) print_merchant(merchant);
	json_decref(document);
	return BH_OK;
}

static bh_status check_known(const view *v, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };

	return name != NULL ? bh_keyring_merchant(v->in.keyring, name, &merchant) : BH_OK;
}

static void report_free(bh_db_report **report)
{
	bh_db_report_free(*report);
}

/* These are the live database's, so it is opened for them, to look. */
static bh_status look_live(bhctl *ctl, const char *prometheus, bh_db_report **out)
{
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;
	bh_status status = BH_OK;

	BH_TRY(bhctl_open_to_look(ctl, &db));
	bhctl_callers_files(true);
	if (prometheus != NULL)
		status = bh_db_metrics_write(db, prometheus);
	bhctl_callers_files(false);
	BH_TRY(status);
	return bh_db_status(db, out);
}

bh_status cmd_status(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(report_free) bh_db_report *report = NULL;
	BH_CLEANUP(view_clear) view v = { 0 };
	const char *prometheus = NULL, *name;
	bool live = false;
	const bhctl_option options[] = {
		{ .name = "prometheus", .value = &prometheus },
		{ .name = "live", .flag = &live },
		{ 0 },
	};
	json_t *document;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, 1, &args, &count));
	name = count > 0 ? args[0] : NULL;
	if (name != NULL)
		BH_TRY(bh_name_check("merchant", name));
	if (live || prometheus != NULL)
		BH_TRY(look_live(ctl, prometheus, &report));
	BH_TRY(view_open(ctl, &v));
	BH_TRY(check_known(&v, name));
	document = json_pack("{s:o, s:o}", "database", database_json(&v), "merchants", merchants_json(&v, name));
	if (report != NULL)
		status_live_add(document, report);
	return print(ctl, document);
}

bh_status cmd_merchant_show(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(view_clear) view v = { 0 };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 1, 1, &args, &count));
	BH_TRY(bh_name_check("merchant", args[0]));
	BH_TRY(view_open(ctl, &v));
	BH_TRY(check_known(&v, args[0]));
	return print(ctl, json_pack("{s:o}", "merchants", merchants_json(&v, args[0])));
}

static void print_row(const bh_merchant_info *merchant)
{
	printf("%-24s %-11s", merchant->name, bh_merchant_state_name(merchant->state));
	for (size_t i = 0; i < merchant->class_count; i++)
		printf(" %s", merchant->classes[i]);
	printf("  %s", merchant->cmk_uri);
	suspension_print(merchant);
	putchar('\n');
}

bh_status cmd_merchant_list(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(view_clear) view v = { 0 };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 0, 0, &args, &count));
	BH_TRY(view_open(ctl, &v));
	if (ctl->json)
		return out_json(json_pack("{s:o}", "merchants", merchants_json(&v, NULL)));
	for (size_t i = 0; i < v.in.merchant_count; i++)
		print_row(&v.in.merchants[i]);
	return BH_OK;
}
