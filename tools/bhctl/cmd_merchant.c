/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_merchant.c: merchants: add, shred. What shows them is in cmd_status.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/bhctl/bhctl.h"

static const char *const default_classes[] = { "data" };

static bh_status print_added(const bhctl *ctl, const char *name, const char *uri, const bh_merchant_options *options)
{
	json_t *classes;

	if (!ctl->json) {
		printf("merchant '%s' is added, under %s; classes:", name, uri);
		for (size_t i = 0; i < options->class_count; i++)
			printf(" %s", options->classes[i]);
		putchar('\n');
		return BH_OK;
	}
	classes = json_array();
	for (size_t i = 0; i < options->class_count; i++)
		json_array_append_new(classes, json_string(options->classes[i]));
	return out_json(json_pack("{s:s, s:s, s:o}", "merchant", name, "cmk", uri, "classes", classes));
}

bh_status cmd_merchant_add(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_freep) char *uri = NULL;
	BH_CLEANUP(bhctl_list_clear) bhctl_list classes = { 0 };
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;
	bh_merchant_options merchant = { default_classes, 1 };
	const char *given = NULL;
	const bhctl_option options[] = {
		{ .name = "cmk", .value = &given },
		{ .name = "class", .list = &classes },
		{ 0 },
	};
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	if (given == NULL)
		return bhctl_usage_error(ctl, "under which key? give --cmk URI; 'bhctl kms create' makes one");
	BH_TRY(bh_name_check("merchant", args[0]));
	for (size_t i = 0; i < classes.count; i++)
		BH_TRY(bh_name_check("class", classes.items[i]));
	if (classes.count > 0)
		merchant = (bh_merchant_options){ classes.items, classes.count };
	BH_TRY(bhctl_cmk_uri(ctl->db, given, &uri));
	BH_TRY(bhctl_open(ctl, 0, &db));
	BH_TRY(bh_merchant_add(db, args[0], uri, &merchant));
	return print_added(ctl, args[0], uri, &merchant);
}

/* Without --yes: whoever sits at a terminal types the name. */
static bh_status confirm(const char *name)
{
	char line[BH_NAME_MAX + 2];

	if (!isatty(STDIN_FILENO))
		return bh_fail(BH_E_INVALID, "shredding '%s' cannot be undone; add --yes to do it", name);
	fprintf(stderr, "This destroys the keys and the data of '%s' for good. Type its name to go on: ", name);
	if (fgets(line, sizeof(line), stdin) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, name) != 0)
		return bh_fail(BH_E_INVALID, "not confirmed: '%s' was not shredded", name);
	return BH_OK;
}

bh_status cmd_merchant_shred(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;
	bool yes = false;
	const bhctl_option options[] = { { .name = "yes", .flag = &yes }, { 0 } };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(bh_name_check("merchant", args[0]));
	if (!yes)
		BH_TRY(confirm(args[0]));
	BH_TRY(bhctl_open(ctl, 0, &db));
	BH_TRY(bh_merchant_shred(db, args[0], NULL));
	if (ctl->json)
		return out_json(json_pack("{s:s, s:s}", "merchant", args[0], "state", "shredded"));
	printf("merchant '%s' is shredded: its data, its DEKs and its CMK are gone\n", args[0]);
	return BH_OK;
}
