/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_merchant.c: merchants: add. cmd_suspend.c switches them off and on, their end is in cmd_shred.c, what shows them in
 * cmd_status.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bhctl.h"
#include "live.h"

static const char *const default_classes[] = { "data" };

static bh_status print_added(const bhctl *ctl, const char *name, const char *uri, const bh_merchant_options *options)
{
	json_t *classes, *document;

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
	document = json_pack("{s:s, s:o}", "merchant", name, "classes", classes);
	bh_json_set_text(document, "cmk", uri);
	return out_json(document);
}

bh_status cmd_merchant_add(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_freep) char *uri = NULL;
	BH_CLEANUP(bhctl_list_clear) bhctl_list classes = { 0 };
	BH_CLEANUP(live_close) live db = LIVE_CLOSED;
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
	BH_TRY(live_open(ctl, &db));
	BH_TRY(live_add(&db, args[0], uri, &merchant));
	return print_added(ctl, args[0], uri, &merchant);
}
