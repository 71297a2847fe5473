/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_kms.c: the customer's console of the local KMS.
 */
#include <stdio.h>
#include <string.h>

#include "bhctl.h"
#include "env/fs/fresh_check.h"
#include "inspect.h"

#define DELETION_WINDOW_DAYS_MAX 3650
#define SECONDS_A_DAY 86400u

static void kms_close(bh_kms **kms)
{
	if (*kms != NULL)
		bh_kms_close(*kms);
}

static void print_key(const bh_kms_key_info *info)
{
	bool pending = info->state == BH_KMS_PENDING_DELETION;
	char when[BH_TIME_TEXT_SIZE];

	bh_time_text(pending ? info->scheduled_s : info->changed_at_s, when);
	printf("%-24s %-16s version %-4u %-16s %s %s\n", info->name, bh_kms_key_state_name(info->state), (unsigned)info->version,
	       info->region[0] != '\0' ? info->region : "-", pending ? "until" : "changed", when);
}

static json_t *with_uri(json_t *document, const char *uri)
{
	bh_json_set_text(document, "uri", uri);
	return document;
}

/* Prints the key of `uri` as it is now. */
static bh_status show_key(const bhctl *ctl, const char *uri)
{
	BH_CLEANUP(kms_close) bh_kms *kms = NULL;
	bh_kms_key_info info;

	BH_TRY(bh_kms_open(uri, &ctl->kms, &kms));
	BH_TRY(bh_kms_describe(kms, &info));
	if (ctl->json)
		return out_json(with_uri(json_pack("{s:o}", "key", bh_json_kms_key(&info)), uri));
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
	} else if (ctl->db != NULL && inspect_open(ctl, ctl->db, &in) == BH_OK) {
		snprintf(region_out, BH_NAME_MAX + 1, "%s", bh_keyring_region(in.keyring));
	}
	return BH_OK;
}

static bh_status deletion_window(const char *days, uint32_t *seconds_out)
{
	uint64_t number = 0;

	if (days != NULL)
		BH_TRY(bhctl_number("--deletion-window-days", days, &number));
	if (number > DELETION_WINDOW_DAYS_MAX)
		return bh_fail(BH_E_INVALID, "--deletion-window-days %s: %d are the most", days, DELETION_WINDOW_DAYS_MAX);
	*seconds_out = (uint32_t)number * SECONDS_A_DAY;
	return BH_OK;
}

bh_status cmd_kms_create(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_freep) char *uri = NULL;
	const char *given = NULL, *days = NULL;
	const bhctl_option options[] = { { .name = "region", .value = &given },
					 { .name = "deletion-window-days", .value = &days },
					 { 0 } };
	bh_kms_options kms;
	char region[BH_NAME_MAX + 1];
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	BH_TRY(bhctl_cmk_uri(ctl->db, args[0], &uri));
	BH_TRY(key_region(ctl, given, region));
	BH_TRY(bhctl_act_as_kms_owner(uri));
	kms = ctl->kms; /* with the passphrase, which has been read by now */
	BH_TRY(deletion_window(days, &kms.deletion_window_s));
	BH_TRY(bh_kms_create(uri, region, &kms));
	return show_key(ctl, uri);
}

static bh_status collect_key(void *arg, const bh_kms_key_info *info)
{
	json_t *key = bh_json_kms_key(info);

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
	BH_TRY(bhctl_act_as_kms_owner(args[0]));
	if (!ctl->json)
		return bh_kms_list(args[0], &ctl->kms, print_each, NULL);
	keys = json_array();
	status = bh_kms_list(args[0], &ctl->kms, collect_key, keys);
	if (status == BH_OK)
		return out_json(with_uri(json_pack("{s:o}", "keys", keys), args[0]));
	json_decref(keys);
	return status;
}

static bh_status destroy(bh_kms *kms)
{
	return bh_kms_destroy(kms, NULL);
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
	BH_TRY(bhctl_act_as_kms_owner(args[0]));
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
	return change_key(ctl, argc, argv, destroy);
}

/* ---- relocate */

typedef struct moves {
	const bhctl *ctl;
	json_t *list;
} moves;

static void print_move(void *arg, const char *merchant, bh_status status)
{
	moves *m = arg;
	json_t *item = json_object();

	json_object_set_new(item, "merchant", merchant[0] != '\0' ? json_string(merchant) : json_null());
	if (status != BH_OK)
		json_object_set_new(item, "error", bh_json_error(status));
	json_array_append_new(m->list, item);
	if (m->ctl->json)
		return;
	if (status == BH_OK)
		printf("%s%s: moved\n", merchant[0] != '\0' ? "merchant " : "the platform", merchant);
	else
		printf("merchant %s: stays where it is: %s\n", merchant, bh_status_message());
}

bh_status cmd_kms_relocate(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_freep) char *from = NULL;
	BH_CLEANUP(bhctl_freep) char *to = NULL;
	moves m = { .ctl = ctl };
	bh_keyring_options options;
	json_t *document;
	bh_status status;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 2, 2, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(bhctl_cmk_uri(NULL, args[0], &from));
	BH_TRY(bhctl_cmk_uri(ctl->db, args[1], &to));
	if (strchr(from, '#') != NULL || strchr(to, '#') != NULL)
		return bhctl_usage_error(ctl, "a KMS is named without a key: local:DIR");
	options = (bh_keyring_options){ .kms = ctl->kms,
					.inspect = bh_fresh_inspect,
					.pin = ctl->pin,
					.pin_changed = bhctl_keep_pin,
					.pin_arg = ctl,
					.moved_from = from,
					.moved_to = to };
	m.list = json_array();
	status = bh_keyring_relocate(ctl->db, &options, print_move, &m);
	document = json_pack("{s:o}", "cmks", m.list);
	if (!ctl->json || json_array_size(m.list) == 0) {
		json_decref(document);
		return status;
	}
	if (status != BH_OK)
		json_object_set_new(document, "error", bh_json_error(status));
	bh_json_set_text(document, "from", from);
	bh_json_set_text(document, "to", to);
	ctl->reported = true;
	BH_TRY(out_json(document));
	return status;
}
