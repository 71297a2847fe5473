/* SPDX-License-Identifier: Apache-2.0
 *
 * switch_merchant.c: switch_merchant DB suspend|resume NAME, for tests that are scripts.
 */
#include <stdio.h>
#include <string.h>

#include <bulkhead/bulkhead.h>

int main(int argc, char **argv)
{
	bh_db *db = NULL;
	bh_status status;

	if (argc != 4)
		return 2;
	status = bh_db_open(argv[1], NULL, &db);
	if (status == BH_OK)
		status = strcmp(argv[2], "suspend") == 0 ? bh_merchant_suspend(db, argv[3], NULL)
							 : bh_merchant_resume(db, argv[3], NULL);
	if (status != BH_OK)
		fprintf(stderr, "%s\n", bh_status_message());
	bh_db_close(db);
	return bh_status_exit_code(status);
}
