/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_adopt.c: a database that was copied or moved lives on where it is now.
 */
#include <stdio.h>

#include "live.h"

bh_status cmd_adopt(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(live_close) live l = LIVE_CLOSED;
	const bhctl_option options[] = { { 0 } };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, 0, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(live_open(ctl, &l));
	BH_TRY(live_adopt(&l));
	if (ctl->json) {
		json_t *document = bh_json_with_text("database", ctl->db);

		json_object_set_new(document, "home", json_true());
		return out_json(document);
	}
	printf("%s: lives on here; a shred in it has CMKs destroyed\n", ctl->db);
	return BH_OK;
}
