/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_init.c: makes a database, and where no platform key is named, a local KMS beside it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bhctl.h"

static const char worth[] =
	"local KMS: it keeps the platform key in files on this machine: good for development, but whoever reads both "
	"directories reads what that key protects. In production name a key kept elsewhere with --platform-cmk.";

/* bh_db_create() looks as well, but by then a key would have been made. */
static bh_status check_free(const char *dir)
{
	static const char *const names[] = { "KEYRING", "CURRENT", "IDENTITY" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
		struct stat st;

		BH_TRY(bh_buf_printf(&path, "%s/%s", dir, names[i]));
		if (lstat((const char *)path.data, &st) == 0)
			return bh_fail(BH_E_EXISTS, "%s: there is a database already (it has a file %s); nothing was changed", dir,
				       names[i]);
	}
	return BH_OK;
}

static bh_status make_local_kms(bhctl *ctl, const char *region, char **uri_out)
{
	BH_CLEANUP(bhctl_freep) char *dir = NULL;
	BH_CLEANUP(bhctl_freep) char *uri = NULL;
	bh_status status;

	BH_TRY(bhctl_absolute(ctl->db, &dir));
	if (asprintf(&uri, "local:%s-kms#platform", dir) < 0)
		return bh_fail(BH_E_NOMEM, "%s: no memory", ctl->db);
	status = bh_kms_create(uri, region, &ctl->kms);
	/* An init that was cut off has made it before; nothing but a database in this very place uses it. */
	if (status != BH_OK && status != BH_E_EXISTS)
		return status;
	*uri_out = uri;
	uri = NULL;
	return BH_OK;
}

static bh_status print_result(const bhctl *ctl, const char *region, const char *uri, bool local)
{
	if (ctl->json) {
		json_t *document = json_pack("{s:s, s:s, s:b}", "region", region, "pin", ctl->last_pin, "local_kms_made", local);

		bh_json_set_text(document, "database", ctl->db);
		bh_json_set_text(document, "platform_cmk", uri);
		if (local && document != NULL)
			json_object_set_new(document, "note", json_string(worth));
		return out_json(document);
	}
	printf("%s: a database at home in region %s\nplatform key: %s\npin: %s\n", ctl->db, region, uri, ctl->last_pin);
	if (local)
		printf("%s\n", worth);
	return BH_OK;
}

bh_status cmd_init(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_freep) char *uri = NULL;
	const char *region = NULL, *given = NULL;
	const bhctl_option options[] = {
		{ .name = "region", .value = &region },
		{ .name = "platform-cmk", .value = &given },
		{ 0 },
	};
	bh_db_options db_options = { 0 };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, 0, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	if (region == NULL)
		return bhctl_usage_error(ctl, "in which region is it at home? give --region R");
	BH_TRY(bh_name_check("region", region));
	BH_TRY(check_free(ctl->db));
	if (given != NULL)
		BH_TRY(bhctl_cmk_uri(ctl->db, given, &uri));
	else
		BH_TRY(make_local_kms(ctl, region, &uri));
	db_options.kms = ctl->kms;
	db_options.pin_changed = bhctl_keep_pin;
	db_options.pin_arg = ctl;
	BH_TRY(bh_db_create(ctl->db, region, uri, &db_options));
	return print_result(ctl, region, uri, given == NULL);
}
