/* SPDX-License-Identifier: Apache-2.0
 *
 * consumer.c DB: a program outside of this tree, built against an installed Bulkhead alone, as C and as C++ (run.sh). It prints the
 * row "key" of ann's class "data".
 */
#include <bulkhead/bulkhead.h>

#include <stdio.h>

int main(int argc, char **argv)
{
	bh_cf *cf = NULL;
	bh_db *db = NULL;
	static bh_buf value; /* empty, in C and in C++ */

	if (argc != 2 || bh_db_open(argv[1], NULL, &db) != BH_OK || bh_cf_open(db, "ann", "data", &cf) != BH_OK ||
	    bh_get(cf, NULL, bh_view_str("key"), &value) != BH_OK) {
		fprintf(stderr, "consumer: %s\n", bh_status_message());
		return 1;
	}
	printf("%.*s\n", (int)value.len, (const char *)value.data);
	bh_buf_clear(&value);
	bh_cf_close(cf);
	bh_db_close(db);
	return 0;
}
