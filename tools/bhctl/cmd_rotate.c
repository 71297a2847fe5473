/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_rotate.c: a merchant gets a new generation of DEKs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tools/bhctl/bhctl.h"
#include "tools/bhctl/inspect.h"

static bh_status rotate(bhctl *ctl, const char *name)
{
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;

	BH_TRY(bhctl_open(ctl, 0, &db));
	return bh_merchant_rotate(db, name, NULL);
}

static void deks_free(bh_dek_info **deks)
{
	free(*deks);
}

/* Of one merchant: the newest generation, and how many of all have a wrap. */
static void count_generations(const bh_dek_info *deks, size_t count, const uint8_t merchant_id[BH_ID_LEN], uint32_t *newest_out,
			      size_t *kept_out)
{
	*newest_out = 0;
	*kept_out = 0;
	for (size_t i = 0; i < count; i++) {
		if (memcmp(deks[i].merchant_id, merchant_id, BH_ID_LEN) != 0)
			continue;
		*newest_out = BH_MAX(*newest_out, deks[i].generation);
		*kept_out += !deks[i].tombstone;
	}
}

static bh_status print_generations(const bhctl *ctl, const char *name)
{
	BH_CLEANUP(inspect_clear) inspect in = { 0 };
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };
	BH_CLEANUP(deks_free) bh_dek_info *deks = NULL;
	size_t count = 0, kept;
	uint32_t newest;

	BH_TRY(inspect_open(ctl, ctl->db, &in));
	BH_TRY(bh_keyring_merchant(in.keyring, name, &merchant));
	BH_TRY(bh_keyring_deks(in.keyring, &deks, &count));
	count_generations(deks, count, merchant.id, &newest, &kept);
	if (ctl->json)
		return out_json(json_pack("{s:s, s:I, s:I, s:I}", "merchant", name, "generation", (json_int_t)newest, "classes",
					  (json_int_t)merchant.class_count, "older", (json_int_t)(kept - merchant.class_count)));
	printf("merchant '%s': new files are sealed under generation %u of its keys; ", name, (unsigned)newest);
	printf("%zu older ones are kept for what lies under them\n", kept - merchant.class_count);
	return BH_OK;
}

bh_status cmd_rotate(bhctl *ctl, int argc, char **argv)
{
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 1, 1, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(bh_name_check("merchant", args[0]));
	BH_TRY(rotate(ctl, args[0]));
	return print_generations(ctl, args[0]);
}
