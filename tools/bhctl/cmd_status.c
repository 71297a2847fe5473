/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_status.c: what an operator looks at: status, merchant list, merchant show. Built as one JSON document, which the text is
 * printed from.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bhctl.h"
#include "live.h"
#include "status_live.h"

/* ---- why a merchant is switched off */

/* What stands before a note, the note, and what does where it is no text. */
static void print_note(const json_t *merchant)
{
	const char *hex = bh_json_text_of(merchant, "note_hex");

	if (hex[0] != '\0') {
		printf(": (hex) %s", hex);
		return;
	}
	if (bh_json_text_of(merchant, "note")[0] != '\0')
		printf(": ");
	out_bytes(bh_view_str(bh_json_text_of(merchant, "note")), false, 0);
}

void suspension_print(const json_t *merchant)
{
	if (json_object_get(merchant, "cause") == NULL)
		return;
	printf(" (%s, since %s", bh_json_text_of(merchant, "cause"), bh_json_text_of(merchant, "since"));
	print_note(merchant);
	putchar(')');
}

/* ---- the text */

static long long number_of(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

static void print_cmk(const char *what, const json_t *cmk)
{
	const json_t *error = json_object_get(cmk, "error");

	printf("  %s %s\n", what, bh_json_text_of(cmk, "uri"));
	if (error != NULL)
		printf("      %s: %s\n", bh_json_text_of(error, "name"), bh_json_text_of(error, "message"));
	else
		printf("      %s, version %lld%s%s\n", bh_json_text_of(cmk, "state"), number_of(cmk, "version"),
		       json_object_get(cmk, "region") != NULL ? ", in " : "", bh_json_text_of(cmk, "region"));
}

static void print_pins(const json_t *pins)
{
	if (pins == NULL)
		return;
	printf("          still needed by %lld files (%lld bytes), %lld WALs, %lld MANIFESTs%s%s\n", number_of(pins, "files"),
	       number_of(pins, "bytes"), number_of(pins, "wals"), number_of(pins, "manifests"),
	       json_object_get(pins, "log") != NULL ? ": " : "", bh_json_text_of(pins, "log"));
}

static void print_wrapped(const json_t *dek)
{
	printf(", wrapped by CMK version %lld, of %s", number_of(dek, "cmk_version"), bh_json_text_of(dek, "created_at"));
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
		printf("      DEK %s generation %lld", bh_json_text_of(dek, "id"), number_of(dek, "generation"));
		if (json_is_true(json_object_get(dek, "destroyed")))
			printf(", %s%s\n", json_object_get(dek, "retired_at") != NULL ? "retired " : "destroyed",
			       bh_json_text_of(dek, "retired_at"));
		else
			print_wrapped(dek);
		print_pins(json_object_get(dek, "needed_by"));
	}
}

static void print_class(const json_t *cls)
{
	printf("  class %s: %lld SST files, %lld bytes; %lld blob files, %lld bytes\n", bh_json_text_of(cls, "name"),
	       number_of(cls, "sst_files"), number_of(cls, "sst_bytes"), number_of(cls, "blob_files"),
	       number_of(cls, "blob_bytes"));
	print_deks(json_object_get(cls, "deks"));
}

static void print_suspension(const json_t *merchant)
{
	printf("  %s since %s", bh_json_text_of(merchant, "cause"), bh_json_text_of(merchant, "since"));
	print_note(merchant);
	if (bh_json_text_of(merchant, "parked")[0] != '\0')
		printf("; its files are in %s", bh_json_text_of(merchant, "parked"));
	putchar('\n');
}

static void print_former(const json_t *list)
{
	const json_t *cmk;
	size_t i;

	json_array_foreach(list, i, cmk)
	{
		printf("  former CMK %s, left %s%s%s%s\n", bh_json_text_of(cmk, "uri"), bh_json_text_of(cmk, "left_at"),
		       json_is_true(json_object_get(cmk, "destroyed")) ? ", destroyed" : "",
		       json_object_get(cmk, "answer") != NULL ? ": " : "", bh_json_text_of(cmk, "answer"));
	}
}

static void print_merchant(const json_t *merchant)
{
	const json_t *cls;
	size_t i;

	printf("merchant %s: %s (id %s)\n", bh_json_text_of(merchant, "name"), bh_json_text_of(merchant, "state"),
	       bh_json_text_of(merchant, "id"));
	if (json_object_get(merchant, "cause") != NULL)
		print_suspension(merchant);
	print_cmk("CMK", json_object_get(merchant, "cmk"));
	if (number_of(merchant, "behind") > 0)
		printf("      %lld wraps below version %lld: run 'bhctl rewrap %s'\n", number_of(merchant, "behind"),
		       number_of(json_object_get(merchant, "cmk"), "version"), bh_json_text_of(merchant, "name"));
	if (strcmp(bh_json_text_of(merchant, "certificate"), "PENDING") == 0)
		printf("      not known to be destroyed: run 'bhctl merchant shred %s --finalize'\n",
		       bh_json_text_of(merchant, "name"));
	print_former(json_object_get(merchant, "former_cmks"));
	status_live_print_merchant(merchant);
	json_array_foreach(json_object_get(merchant, "classes"), i, cls) print_class(cls);
}

static void print_database(const json_t *database)
{
	const json_t *logs = json_object_get(database, "logs");

	printf("database %s (id %s)\n  region %s, keyring generation %lld, AES-256-GCM by %s\n", bh_json_text_of(database, "path"),
	       bh_json_text_of(database, "id"), bh_json_text_of(database, "region"), number_of(database, "keyring_generation"),
	       bh_json_text_of(database, "aead"));
	printf("  signs certificates and the audit log with key %s\n", bh_json_text_of(database, "public_key"));
	printf("  audit floor %s\n", bh_json_text_of(database, "audit_floor"));
	printf("  pin %s\n", bh_json_text_of(database, "pin"));
	if (json_is_false(json_object_get(database, "home")))
		printf("  copied here, or moved: a shred leaves CMKs alone until 'bhctl adopt' says that it lives on here\n");
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

bh_status cmd_status(bhctl *ctl, int argc, char **argv)
{
	live_want want = { .database = true };
	const bhctl_option options[] = {
		{ .name = "prometheus", .value = &want.prometheus },
		{ .name = "live", .flag = &want.live },
		{ 0 },
	};
	json_t *document;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, 1, &args, &count));
	want.merchant = count > 0 ? args[0] : NULL;
	if (want.merchant != NULL)
		BH_TRY(bh_name_check("merchant", want.merchant));
	BH_TRY(live_document(ctl, &want, &document));
	return print(ctl, document);
}

bh_status cmd_merchant_show(bhctl *ctl, int argc, char **argv)
{
	live_want want = { 0 };
	json_t *document;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 1, 1, &args, &count));
	BH_TRY(bh_name_check("merchant", args[0]));
	want.merchant = args[0];
	BH_TRY(live_document(ctl, &want, &document));
	return print(ctl, document);
}

static void print_row(const json_t *merchant)
{
	const json_t *cls;
	size_t i;

	printf("%-24s %-11s", bh_json_text_of(merchant, "name"), bh_json_text_of(merchant, "state"));
	json_array_foreach(json_object_get(merchant, "classes"), i, cls) printf(" %s", bh_json_text_of(cls, "name"));
	printf("  %s", bh_json_text_of(json_object_get(merchant, "cmk"), "uri"));
	suspension_print(merchant);
	putchar('\n');
}

bh_status cmd_merchant_list(bhctl *ctl, int argc, char **argv)
{
	live_want want = { 0 };
	json_t *document;
	const json_t *merchant;
	char **args;
	size_t i;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 0, 0, &args, &count));
	want.brief = !ctl->json;
	BH_TRY(live_document(ctl, &want, &document));
	if (ctl->json)
		return out_json(document);
	json_array_foreach(json_object_get(document, "merchants"), i, merchant) print_row(merchant);
	json_decref(document);
	return BH_OK;
}
