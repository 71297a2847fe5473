/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_kms.c: the customer's console of the local KMS.
 */
#include <stdio.h>
#include <string.h>

#include "tools/bhctl/bhctl.h"
#include "tools/bhctl/inspect.h"

static void kms_close(bh_kms **kms)
{
	if (*kms != NULL)
		bh_kms_close(*kms);
}

json_t *kms_key_json(const bh_kms_key_info *info)
{
	json_t *key = json_pack("{s:s, s:s, s:i}", "name", info->name, "state", kms_state_name(info->state), "version",
				(int)info->version);

	if (key == NULL)
		return NULL;
	if (info->region[0] != '\0')
		json_object_set_new(key, "region", json_string(info->region));
	out_set_time(key, "created_at", info->created_at_s);
	out_set_time(key, "changed_at", info->changed_at_s);
	return key;
}

const char *kms_state_name(bh_kms_key_state state)
{
	switch (state) {
	case BH_KMS_ENABLED: return "enabled";
	case BH_KMS_DISABLED: return "disabled";
	case BH_KMS_DESTROYED: return "destroyed";
	}
	return "unknown";
}

static void print_key(const bh_kms_key_info *info)
{
	char changed[OUT_TIME_SIZE];

	out_time(info->changed_at_s, changed);
	printf("%-24s %-10s version %-4u %-16s changed %s\n", info->name, kms_state_name(info->state), (unsigned)info->version,
	       info->region[0] != '\0' ? info->region : "-", changed);
}

/* Prints the key of `uri` as it is now. */
static bh_status show_key(const bhctl *ctl, const char *uri)
{
	BH_CLEANUP(kms_close) bh_kms *kms = NULL;
	bh_kms_key_info info;

	BH_TRY(bh_kms_open(uri, &ctl->kms, &kms));
	BH_TRY(bh_kms_describe(kms, &info));
	if (ctl->json)
		return out_json(json_pack("{s:s, s:o}", "uri", uri, "key", kms_key_json(&info)));
	print_key(&info);
	return BH_OK;
}

/* The region of a new key: as given, or that of the database, as far as it can be asked. */
static bh_status key_region(bhctl *ctl, const char *given, char region_out[BH_NAME_MAX + 1])
{
	BH_CLEANUP(inspect_clear) inspect in = { 0 };

	region_out[0] = '\0';
	if (given != NULL) {
		BH_TRY(bh_name_check("region", given));
		snprintf(region_out, BH_NAME_MAX + 1, "%s", given);
	} else if (ctl->db != NULL && inspect_open(ctl->db, &ctl->kms, &in) == BH_OK) {
		snprintf(region_out, BH_NAME_MAX + 1, "%s", bh_keyring_region(in.keyring));
	}
	return BH_OK;
}

bh_status cmd_kms_create(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_freep) char *uri = NULL;
	const char *given = NULL;
	const bhctl_option options[] = { { .name = "region", .value = &given }, { 0 } };
	char region[BH_NAME_MAX + 1];
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	BH_TRY(bhctl_cmk_uri(ctl->db, args[0], &uri));
	BH_TRY(key_region(ctl, given, region));
	BH_TRY(bh_kms_create(uri, region, &ctl->kms));
	return show_key(ctl, uri);
}

static bh_status collect_key(void *arg, const bh_kms_key_info *info)
{
	json_t *key = kms_key_json(info);

	return key != NULL && json_array_append_new(arg, key) == 0 ? BH_OK : bh_fail(BH_E_NOMEM, "no memory for the list of keys");
}

static bh_status print_each(void *arg, const bh_kms_key_info *info)
{
	(void)arg;
	print_key(info);
	return BH_OK;
}

bh_status cmd_kms_list(bhctl *ctl, int argc, char **argv)
{
	json_t *keys;
	bh_status status;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 1, 1, &args, &count));
	if (!ctl->json)
		return bh_kms_list(args[0], &ctl->kms, print_each, NULL);
	keys = json_array();
	status = bh_kms_list(args[0], &ctl->kms, collect_key, keys);
	if (status == BH_OK)
		return out_json(json_pack("{s:s, s:o}", "uri", args[0], "keys", keys));
	json_decref(keys);
	return status;
}

static bh_status rotate(bh_kms *kms)
{
	uint32_t version;

	return bh_kms_rotate(kms, &version);
}

/* Opens the key, changes it, shows it. */
static bh_status change_key(bhctl *ctl, int argc, char **argv, bh_status (*change)(bh_kms *kms))
{
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 1, 1, &args, &count));
	{
		BH_CLEANUP(kms_close) bh_kms *kms = NULL;

		BH_TRY(bh_kms_open(args[0], &ctl->kms, &kms));
		BH_TRY(change(kms));
	}
	return show_key(ctl, args[0]);
}

bh_status cmd_kms_rotate(bhctl *ctl, int argc, char **argv)
{
	return change_key(ctl, argc, argv, rotate);
}

bh_status cmd_kms_disable(bhctl *ctl, int argc, char **argv)
{
	return change_key(ctl, argc, argv, bh_kms_disable);
}

bh_status cmd_kms_enable(bhctl *ctl, int argc, char **argv)
{
	return change_key(ctl, argc, argv, bh_kms_enable);
}

bh_status cmd_kms_destroy(bhctl *ctl, int argc, char **argv)
{
	return change_key(ctl, argc, argv, bh_kms_destroy);
}
