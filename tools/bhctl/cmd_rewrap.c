/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_rewrap.c: DEKs under the newest version of their CMK, or under another CMK.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bulkhead/rotation.h>

#include "bhctl.h"
#include "live.h"

/* `name` "": the platform. */
static json_t *result_json(const char *name, const bh_rewrap_result *result)
{
	json_t *item = json_pack("{s:I, s:I, s:I, s:b}", "cmk_version", (json_int_t)result->version, "rewrapped",
				 (json_int_t)result->rewrapped, "behind", (json_int_t)result->behind, "rotated", result->rotated);

	json_object_set_new(item, "merchant", name[0] != '\0' ? json_string(name) : json_null());
	return item;
}

static void print_result(const char *name, const bh_rewrap_result *result)
{
	if (name[0] != '\0')
		printf("merchant '%s'", name);
	else
		printf("platform");
	printf(": %zu DEKs rewrapped; %zu wraps below version %u of its CMK\n", result->rewrapped, result->behind,
	       (unsigned)result->version);
}

/* What a move leaves open: who has an older KEYRING and the old CMK has the DEKs. */
static void print_move(const char *name, const bh_rewrap_result *result)
{
	if (!result->moved)
		return;
	if (result->rotated && name[0] == '\0')
		printf("  its data lies under new DEKs, which the CMK before never wrapped; the root secret is the one that it has "
		       "wrapped\n");
	else if (result->rotated)
		printf("  its data lies under new DEKs, which the CMK before never wrapped\n");
	else
		printf("  its DEKs are those that the CMK before can unwrap out of an older KEYRING: 'bhctl rotate %s'\n",
		       name[0] != '\0' ? name : "--platform");
}

static bh_status rewrap_one(const bhctl *ctl, live *db, const char *name, const bh_rewrap_options *options)
{
	const char *whose = name[0] != '\0' ? name : "--platform";
	bh_rewrap_result result;
	bh_status status = BH_OK;

	BH_TRY(live_rewrap(db, name, options, &result));
	if (result.rotated)
		status = bh_fail_prefix(live_sweep(db, name, NULL),
					"%s: is moved to the other CMK and has new DEKs; 'bhctl rotate %s --sweep' goes on", whose,
					whose);
	if (status == BH_E_BUSY && name[0] == '\0') /* what is parked is swept when it is back: the move is done */
		fprintf(stderr, "bhctl: %s\n", bh_status_message());
	else
		BH_TRY(status);
	if (ctl->json)
		return out_json(json_pack("{s:[o]}", "rewraps", result_json(name, &result)));
	print_result(name, &result);
	print_move(name, &result);
	return BH_OK;
}

/* One of many: its failure is said, and the others go on. */
static bh_status rewrap_next(const bhctl *ctl, live *db, const char *name, json_t *list)
{
	bh_rewrap_result result;
	bh_status status = live_rewrap(db, name, NULL, &result);

	if (status != BH_OK) {
		fprintf(stderr, "bhctl: %s\n", bh_status_message());
		json_array_append_new(list, json_pack("{s:s, s:o}", "merchant", name, "error", bh_json_error(status)));
		return status;
	}
	json_array_append_new(list, result_json(name, &result));
	if (!ctl->json)
		print_result(name, &result);
	return BH_OK;
}

static bh_status rewrap_all(bhctl *ctl, live *db)
{
	json_t *names = NULL;
	const bool shown = !ctl->json && isatty(STDERR_FILENO);
	bh_status first = BH_OK;
	size_t failed = 0;

	BH_TRY(live_names(db, &names));
	const size_t count = json_array_size(names);
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++) {
		if (shown)
			fprintf(stderr, "\r%zu of %zu\r", i, count);
		bh_status status = rewrap_next(ctl, db, json_string_value(json_array_get(names, i)), list);
		failed += status != BH_OK;
		first = first != BH_OK ? first : status;
	}
	json_decref(names);
	if (ctl->json) {
		ctl->reported = true;
		BH_TRY(out_json(json_pack("{s:o}", "rewraps", list)));
	} else {
		json_decref(list);
	}
	return first == BH_OK ? BH_OK : bh_fail(first, "%zu of %zu merchants were not rewrapped, or not wholly", failed, count);
}

bh_status cmd_rewrap(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(live_close) live db = LIVE_CLOSED;
	BH_CLEANUP(bhctl_freep) char *uri = NULL;
	bool all = false, platform = false, keep = false;
	const char *cmk = NULL;
	const bhctl_option options[] = {
		{ .name = "all", .flag = &all },
		{ .name = "platform", .flag = &platform },
		{ .name = "cmk", .value = &cmk },
		{ .name = "no-rotate", .flag = &keep },
		{ 0 },
	};
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, 1, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	if (count + all + platform != 1)
		return bhctl_usage_error(ctl, "whose keys? give a merchant's name, --all or --platform");
	if (all && cmk != NULL)
		return bhctl_usage_error(ctl, "--cmk: each merchant needs a CMK of its own; move them one by one");
	if (count > 0)
		BH_TRY(bh_name_check("merchant", args[0]));
	if (cmk != NULL)
		BH_TRY(bhctl_cmk_uri(ctl->db, cmk, &uri));
	BH_TRY(live_open(ctl, &db));
	const bh_rewrap_options rewrap = { .cmk_uri = uri, .keep_deks = keep };
	return all ? rewrap_all(ctl, &db) : rewrap_one(ctl, &db, platform ? "" : args[0], &rewrap);
}
