/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_suspend.c: a merchant is switched off and on.
 */
#include <stdio.h>

#include "bhctl.h"
#include "inspect.h"
#include "recorded.h"

typedef bh_status (*change_fn)(bh_db *db, const char *name, const bh_suspend_options *options);

/* The merchant as the keyring has it while no process has the database open. */
static bh_status look(bhctl *ctl, const char *name, bh_merchant_info *out)
{
	BH_CLEANUP(inspect_clear) inspect in = { 0 };

	BH_TRY(inspect_open(ctl, ctl->db, &in));
	return bh_keyring_merchant(in.keyring, name, out);
}

/* `salvaged` NULL: nothing was. */
static bh_status print_state(bhctl *ctl, const char *name, const bh_buf *salvaged)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };
	json_t *document;

	BH_TRY(look(ctl, name, &merchant));
	if (ctl->json) {
		document = json_pack("{s:s, s:s}", "merchant", name, "state", bh_merchant_state_name(merchant.state));
		suspension_json(document, &merchant);
		if (salvaged != NULL)
			out_set_bytes(document, "salvaged", bh_buf_view(salvaged), false);
		return out_json(document);
	}
	printf("merchant '%s' is %s", name, bh_merchant_state_name(merchant.state));
	suspension_print(&merchant);
	putchar('\n');
	if (salvaged != NULL)
		printf("%.*s", (int)salvaged->len, (const char *)salvaged->data);
	return BH_OK;
}

/* Opens, changes, closes. */
static bh_status change(bhctl *ctl, const char *name, const bh_suspend_options *options, change_fn fn)
{
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;

	BH_TRY(bhctl_open(ctl, 0, &db));
	return fn(db, name, options);
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
	status = change(ctl, name, &options, bh_merchant_suspend);
	BH_TRY(recorded_is_way(status) ? recorded_suspend(ctl, name, &options) : status);
	return print_state(ctl, name, NULL);
}

/* A merchant that no operator has suspended comes back when the database is opened, if its KMS lets it: then all is done. */
static bool is_back(bh_status status, bh_merchant_state before)
{
	return status == BH_E_EXISTS && before != BH_MERCHANT_ACTIVE;
}

bh_status cmd_merchant_resume(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info before = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf salvaged = { 0 };
	bh_suspend_options options = { .salvaged_out = &salvaged };
	const char *name;
	bh_status status;

	BH_TRY(parse(ctl, argc, argv, true, &options, &name));
	BH_TRY(look(ctl, name, &before));
	status = change(ctl, name, &options, bh_merchant_resume);
	if (!is_back(status, before.state))
		BH_TRY(status);
	return print_state(ctl, name, options.salvage ? &salvaged : NULL);
}
