/* SPDX-License-Identifier: Apache-2.0
 *
 * newer_tables.c: newer_tables [DIR MERCHANT...]: rewrites the class `data` of these merchants into tables of the newest format
 * that this RocksDB writes of its own accord, which an older one may not read. Without arguments: prints the newest that it reads.
 */
#include <bulkhead/bulkhead.h>

#include <stdio.h>
#include <stdlib.h>

#include "env/bridge/options.h"

static void must(bh_status status)
{
	if (status == BH_OK)
		return;
	fprintf(stderr, "newer_tables: %s\n", bh_status_message());
	exit(bh_status_exit_code(status));
}

static void rewrite(bh_db *db, const char *merchant)
{
	bh_cf *cf = NULL;

	must(bh_cf_open(db, merchant, "data", &cf));
	must(bh_put(cf, NULL, bh_view_str("newer"), bh_view_str(merchant)));
	must(bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 }));
	bh_cf_close(cf);
}

int main(int argc, char **argv)
{
	rocksdb_options_t *rocksdb = rocksdb_options_create();
	const bh_db_options options = { .rocksdb = rocksdb, .newer_table_format = true };
	bh_db *db = NULL;

	if (argc < 2) {
		printf("%u\n", bh_bridge_newest_table_format());
	} else {
		must(bh_db_open(argv[1], &options, &db));
		for (int i = 2; i < argc; i++)
			rewrite(db, argv[i]);
		bh_db_close(db);
	}
	rocksdb_options_destroy(rocksdb);
	return 0;
}
