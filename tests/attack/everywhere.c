/* SPDX-License-Identifier: Apache-2.0
 *
 * everywhere.c: see everywhere.h.
 */
#include "everywhere.h"

#include <pthread.h>
#include <unistd.h>

#include "tests/support/random.h"

enum { ROWS = 120, HUGE_LEN = 3 << 20, SMALL_SSTS = 24 };

static void marks_init(everywhere *e)
{
	test_random random = test_random_new();

	for (int who = ACME; who <= PLATFORM; who++)
		for (int i = 0; i < MARK_LEN; i++)
			e->mark[who][i] = (char)('a' + test_random_below(&random, 26));
}

void everywhere_init(everywhere *e, bool compressed)
{
	memset(e, 0, sizeof(*e));
	marks_init(e);
	workspace_open(&e->ws);
	e->rocksdb = rocksdb_options_create();
	rocksdb_options_set_compression(e->rocksdb, compressed ? rocksdb_zstd_compression : rocksdb_no_compression);
	rocksdb_options_set_enable_blob_files(e->rocksdb, 1);
	rocksdb_options_set_min_blob_size(e->rocksdb, 2048);
	rocksdb_options_set_merge_operator(e->rocksdb, test_append_operator());
}

void everywhere_clear(everywhere *e)
{
	rocksdb_options_destroy(e->rocksdb);
	workspace_close(&e->ws);
}

/* ---- what is written */

/* Keys differ in their first bytes, so that no file shortens them by a common prefix. */
bh_view everywhere_key(const everywhere *e, int who, unsigned number, const char *place, char out[128])
{
	return bh_view_of(out, (size_t)snprintf(out, 128, "%05u-%s%s", number, e->mark[who], place));
}

bh_view everywhere_value(const everywhere *e, int who, unsigned number, const char *place, char out[128])
{
	return bh_view_of(out, (size_t)snprintf(out, 128, "value-%u-%s%s", number, e->mark[who], place));
}

static void put_a(everywhere *e, unsigned number, const char *place)
{
	const bh_write_options synced = { .sync = true };
	char key[128], value[128];

	test_ok(bh_put(e->a, number % 16 == 0 ? &synced : NULL, everywhere_key(e, ACME, number, "", key),
		       everywhere_value(e, ACME, number, place, value)));
}

static void put_b(everywhere *e)
{
	unsigned number = e->rows_b++;
	char key[128], value[128];

	test_ok(bh_put(e->b, NULL, everywhere_key(e, BOLT, number, "", key), everywhere_value(e, BOLT, number, "", value)));
}

/* One write batch with acme, bolt and the default column family, by the raw handles. */
static void put_together(everywhere *e, const char *place)
{
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
	char key[128], value[128], *error = NULL;
	bh_view k, v;

	for (int i = 0; i < 10; i++) {
		k = everywhere_key(e, ACME, e->rows_a++, place, key);
		v = everywhere_value(e, ACME, 0, place, value);
		rocksdb_writebatch_put_cf(batch, bh_cf_handle(e->a), key, k.len, value, v.len);
		k = everywhere_key(e, BOLT, e->rows_b, "", key);
		v = everywhere_value(e, BOLT, e->rows_b++, "", value);
		rocksdb_writebatch_put_cf(batch, bh_cf_handle(e->b), key, k.len, value, v.len);
		k = everywhere_key(e, PLATFORM, (unsigned)i, "", key);
		rocksdb_writebatch_put(batch, key, k.len, "x", 1);
	}
	rocksdb_write(bh_db_rocksdb(e->db), options, batch, &error);
	test_rocks_ok(error);
	rocksdb_writeoptions_destroy(options);
	rocksdb_writebatch_destroy(batch);
}

static void put_huge(everywhere *e)
{
	char *value = malloc(HUGE_LEN), key[128], piece[128];
	bh_view p = everywhere_value(e, ACME, 7, "huge", piece);

	for (size_t at = 0; at < HUGE_LEN; at++)
		value[at] = piece[at % p.len];
	test_ok(bh_put(e->a, NULL, everywhere_key(e, ACME, e->rows_a++, "huge", key), bh_view_of(value, HUGE_LEN)));
	free(value);
}

static void delete_some(everywhere *e)
{
	char begin[128], end[128];

	for (unsigned i = 40; i < 60; i++)
		test_ok(bh_delete(e->a, NULL, everywhere_key(e, ACME, i, "", begin)));
	test_ok(bh_delete_range(e->a, NULL, everywhere_key(e, ACME, 60, "rangebegin", begin),
				everywhere_key(e, ACME, 80, "rangeend", end)));
}

static void merge_some(everywhere *e)
{
	char key[128], operand[128];

	for (unsigned i = 80; i < 100; i++)
		for (int n = 0; n < 2; n++)
			test_ok(bh_merge(e->a, NULL, everywhere_key(e, ACME, i, "", key),
					 everywhere_value(e, ACME, i, "operand", operand)));
}

static void flush(everywhere *e)
{
	test_ok(bh_flush(e->a));
	test_ok(bh_flush(e->b));
}

void everywhere_copy(everywhere *e, enum moment moment)
{
	char path[PATH_SIZE], name[32];

	snprintf(name, sizeof(name), "copy-%02d", (int)moment);
	path_join(path, e->ws.root, name);
	tree_copy(e->ws.db, path);
	memcpy(e->copies[moment], path, sizeof(path));
}

void everywhere_open(everywhere *e)
{
	e->db = test_db_open(&e->ws, e->rocksdb);
	e->a = NULL;
	if (e->copies[AFTER][0] == '\0')
		e->a = test_cf(e->db, "acme", "rows");
	e->b = test_cf(e->db, "bolt", "rows");
}

void everywhere_close(everywhere *e)
{
	bh_cf_close(e->a);
	bh_cf_close(e->b);
	bh_db_close(e->db);
}

static void *compact_all(void *arg)
{
	const everywhere *e = arg;

	for (int i = 0; i < 3; i++)
		test_ok(bh_compact(e->a, bh_view_of(NULL, 0), bh_view_of(NULL, 0)));
	return NULL;
}

static void copy_while_compacting(everywhere *e)
{
	pthread_t thread;

	test_check(pthread_create(&thread, NULL, compact_all, e) == 0);
	usleep(3000);
	everywhere_copy(e, COMPACTING);
	test_check(pthread_join(thread, NULL) == 0);
}

static void write_logged(everywhere *e)
{
	for (; e->rows_a < ROWS; e->rows_a++)
		put_a(e, e->rows_a, "first");
	for (int i = 0; i < ROWS; i++)
		put_b(e);
	put_together(e, "batch");
	test_ok(bh_sync_wal(e->db));
	everywhere_copy(e, LOGGED);
}

static void change(everywhere *e)
{
	flush(e);
	for (unsigned i = 0; i < 40; i++)
		put_a(e, i, "second");
	everywhere_copy(e, FLUSHED);
	delete_some(e);
	merge_some(e);
	everywhere_copy(e, CHANGED);
	flush(e);
	put_huge(e);
	everywhere_copy(e, SETTLED);
}

static void write_many(everywhere *e)
{
	for (int i = 0; i < SMALL_SSTS; i++) {
		put_a(e, e->rows_a++, "small");
		test_ok(bh_flush(e->a));
		put_b(e);
	}
	everywhere_copy(e, MANY);
}

static void compact_range(everywhere *e)
{
	char begin[128], end[128];

	copy_while_compacting(e);
	for (unsigned i = 0; i < 40; i++)
		put_a(e, i, "third");
	flush(e);
	test_ok(bh_compact(e->a, everywhere_key(e, ACME, 5, "manual", begin), everywhere_key(e, ACME, 90, "manual", end)));
	everywhere_copy(e, COMPACTED);
}

void everywhere_before(everywhere *e)
{
	/* Levels as before RocksDB 8.4, whose cursors stand between them. */
	e->rocksdb = test_options_with(e->rocksdb,
				       "compaction_pri=kRoundRobin;max_bytes_for_level_base=20000;target_file_size_base=4096;"
				       "level_compaction_dynamic_level_bytes=false");
	test_db_create(&e->ws, e->rocksdb);
	e->db = test_db_open(&e->ws, e->rocksdb);
	test_merchant_add(&e->ws, e->db, "acme", "rows", NULL);
	test_merchant_add(&e->ws, e->db, "bolt", "rows", NULL);
	bh_db_close(e->db);
	everywhere_open(e);
	write_logged(e);
	change(e);
	write_many(e);
	compact_range(e);
	everywhere_close(e);
	everywhere_open(e);
	everywhere_copy(e, REOPENED);
	for (int i = 0; i < ROWS; i++)
		put_a(e, e->rows_a++, "late");
	put_together(e, "batch");
	everywhere_copy(e, BEFORE);
}

void everywhere_after(everywhere *e)
{
	everywhere_copy(e, AFTER);
	for (int i = 0; i < ROWS; i++)
		put_b(e);
	test_ok(bh_flush(e->b));
	put_b(e);
	everywhere_copy(e, LATER);
}
