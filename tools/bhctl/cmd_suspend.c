/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_suspend.c: a merchant is switched off and on.
 */
#include <stdio.h>

#include "bhctl.h"
#include "live.h"
#include "recorded.h"
#include "keyring/ring/keyring.h"

typedef bh_status (*change_fn)(live *l, const char *name, const bh_suspend_options *options);

/* The merchant as it is now, {"name": ..., "state": ...}; the caller releases the document. */
static bh_status look(bhctl *ctl, const char *name, json_t **document_out, const json_t **merchant_out)
{
	const live_want want = { .merchant = name, .brief = true };
	const json_t *merchants;

	BH_TRY(live_document(ctl, &want, document_out));
	merchants = json_object_get(*document_out, "merchants");
	*merchant_out = json_array_get(merchants, json_array_size(merchants) - 1); /* shredded ones of that name come before */
	return BH_OK;
}

static bh_status print_json(const char *name, const json_t *merchant, const bh_buf *salvaged)
{
	static const char *const kept[] = { "cause", "note", "note_hex", "since" };
	json_t *document = json_pack("{s:s, s:s}", "merchant", name, "state", bh_json_text_of(merchant, "state"));

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (json_object_get(merchant, kept[i]) != NULL)
			json_object_set(document, kept[i], json_object_get(merchant, kept[i]));
	if (salvaged != NULL)
		bh_json_set_bytes(document, "salvaged", bh_buf_view(salvaged), false);
	return out_json(document);
}

static void print_text(const char *name, const json_t *merchant, const bh_buf *salvaged)
{
	printf("merchant '%s' is %s", name, bh_json_text_of(merchant, "state"));
	suspension_print(merchant);
	putchar('\n');
	if (salvaged != NULL)
		printf("%.*s", (int)salvaged->len, (const char *)salvaged->data);
}

/* `salvaged` NULL: nothing was. */
static bh_status print_state(bhctl *ctl, const char *name, const bh_buf *salvaged)
{
	const json_t *merchant;
	json_t *document = NULL;
	bh_status status = BH_OK;

	BH_TRY(look(ctl, name, &document, &merchant));
	if (ctl->json)
		status = print_json(name, merchant, salvaged);
	else
		print_text(name, merchant, salvaged);
	json_decref(document);
	return status;
}

/* Opens, changes, closes. */
static bh_status change(bhctl *ctl, const char *name, const bh_suspend_options *options, change_fn fn)
{
	BH_CLEANUP(live_close) live db = LIVE_CLOSED;

	BH_TRY(live_open(ctl, &db));
	return fn(&db, name, options);
}

/* What suspend and resume have in common: the command line. */
static bh_status parse(bhctl *ctl, int argc, char **argv, bool resumes, bh_suspend_options *out, const char **name_out)
{
	const bhctl_option options[] = {
		{ .name = "reason", .value = &out->reason },
		{ .name = "operator", .value = &out->operator_name },
		{ .name = resumes ? "salvage" : NULL, .flag = &out->salvage },
		{ 0 },
	};
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	*name_out = args[0];
	return bh_name_check("merchant", args[0]);
}

bh_status cmd_merchant_suspend(bhctl *ctl, int argc, char **argv)
{
	bh_suspend_options options = { 0 };
	const char *name;
	bh_status status;

	BH_TRY(parse(ctl, argc, argv, false, &options, &name));
	status = change(ctl, name, &options, live_suspend);
	BH_TRY(recorded_is_way(status) ? recorded_suspend(ctl, name, &options) : status);
	return print_state(ctl, name, NULL);
}

/* A merchant that no operator has suspended comes back when the database is opened, if its KMS lets it: then all is done. */
static bh_status was_off(bhctl *ctl, const char *name, bool *out)
{
	const json_t *merchant;
	json_t *document = NULL;

	BH_TRY(look(ctl, name, &document, &merchant));
	*out = strcmp(bh_json_text_of(merchant, "state"), bh_merchant_state_name(BH_MERCHANT_ACTIVE)) != 0;
	json_decref(document);
	return BH_OK;
}

bh_status cmd_merchant_resume(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bh_buf_clear) bh_buf salvaged = { 0 };
	bh_suspend_options options = { .salvaged_out = &salvaged };
	const char *name;
	bool off = false;
	bh_status status;

	BH_TRY(parse(ctl, argc, argv, true, &options, &name));
	BH_TRY(was_off(ctl, name, &off));
	status = change(ctl, name, &options, live_resume);
	if (status != BH_E_EXISTS || !off)
		BH_TRY(status);
	return print_state(ctl, name, options.salvage ? &salvaged : NULL);
}
