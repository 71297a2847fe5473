/* SPDX-License-Identifier: Apache-2.0
 *
 * forgery_database.c: see forgery_database.h.
 */
#include "forgery_database.h"

#include "engine/wall/detach.h"

const char *const forgery_merchants[FORGERY_MERCHANTS] = { "live", "other", "asleep", "taken" };
const char *const forgery_classes[FORGERY_CLASSES] = { "rows", "blobs" };

bh_view forgery_key(char out[16], int i)
{
	return bh_view_of(out, (size_t)snprintf(out, 16, "row%06d", i));
}

bh_view forgery_value(uint8_t out[400], const char *merchant, int i)
{
	size_t len = i % 5 == 0 ? 400 : 90;

	for (size_t at = 0; at < len; at++)
		out[at] = (uint8_t)((unsigned char)merchant[0] + (size_t)i * 13 + at * at);
	return bh_view_of(out, len);
}

rocksdb_options_t *forgery_options(void)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_enable_blob_files(options, 1);
	rocksdb_options_set_min_blob_size(options, 200);
	rocksdb_options_set_max_open_files(options, 100);
	return options;
}

static void fill(bh_db *db, const char *merchant, const char *cls, int from, int to)
{
	bh_cf *cf = test_cf(db, merchant, cls);
	uint8_t value[400];
	char key[16];

	for (int i = from; i < to; i++)
		test_ok(bh_put(cf, &(bh_write_options){ .sync = i == to - 1 }, forgery_key(key, i),
			       forgery_value(value, merchant, i)));
	bh_cf_close(cf);
}

static void flush_all(bh_db *db, const char *merchant)
{
	for (size_t c = 0; c < 2; c++) {
		bh_cf *cf = test_cf(db, merchant, forgery_classes[c]);

		test_ok(bh_flush(cf));
		bh_cf_close(cf);
	}
}

void forgery_database_make(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = forgery_options();
	bh_db *db;

	test_db_create(ws, options);
	db = test_db_open(ws, options);
	for (size_t m = 0; m < 4; m++) {
		test_merchant_add(ws, db, forgery_merchants[m], forgery_classes[0], forgery_classes[1]);
		for (int part = 0; part < 2; part++) {
			for (size_t c = 0; c < 2; c++)
				fill(db, forgery_merchants[m], forgery_classes[c], part * FORGERY_ROWS / 3,
				     (part + 1) * FORGERY_ROWS / 3);
			flush_all(db, forgery_merchants[m]);
		}
		for (size_t c = 0; c < 2; c++)
			fill(db, forgery_merchants[m], forgery_classes[c], 2 * FORGERY_ROWS / 3, FORGERY_ROWS);
	}
	test_ok(bh_merchant_suspend(db, "asleep", NULL));
	test_ok(bh_merchant_detach(db, "taken", BH_SUSPEND_KMS_DAMAGED, "its KMS answers with something wrong"));
	flush_all(db, "live"); /* so that some of it is in SSTs alone, too */
	bh_db_close(db);
	rocksdb_options_destroy(options);
}
