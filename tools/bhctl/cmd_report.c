/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_report.c: a report for an auditor, or for one customer.
 */
#include <stdio.h>

#include "audit.h"
#include "report.h"

static void release(json_t **report)
{
	json_decref(*report);
}

static bh_status write_page(const json_t *report, const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	BH_TRY(report_html(report, &text));
	return bhctl_write_file(path, bh_buf_view(&text));
}

bh_status cmd_report(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(release) json_t *report = NULL;
	const char *merchant = NULL, *html = NULL;
	const bhctl_option options[] = { { .name = "html", .value = &html }, { .name = "merchant", .value = &merchant }, { 0 } };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, AUDIT_FILES_MAX, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	if (html == NULL && !ctl->json)
		return bhctl_usage_error(ctl, "where to? give --html FILE, or --json");
	if (merchant != NULL)
		BH_TRY(bh_name_check("merchant", merchant));
	BH_TRY(report_gather(ctl, merchant, args, count, &report));
	if (html != NULL)
		BH_TRY(write_page(report, html));
	if (ctl->json)
		return out_json(json_incref(report));
	printf("%s: %zu merchants, the audit log up to %s\n", html, json_array_size(json_object_get(report, "merchants")),
	       bh_json_text_of(json_object_get(report, "database"), "floor"));
	return BH_OK;
}
