/* SPDX-License-Identifier: Apache-2.0
 *
 * test_io_features.c: RocksDB's ways to read and write files give the same answers over sealed ones: batched, asynchronous, direct
 * and read-ahead I/O, hints, rate limits, blob files and their collection, range deletions, ingestion, a WAL directory. The options
 * that would break a promise are refused by name, and a refusal leaves the database as it was.
 */
#include "tests/support/harness.h"

#include "engine/core/merchant.h"

enum { KEYS = 3000, VALUE_MAX = 20000 };

/* async_io.cc */
void test_readoptions_set_async_io(rocksdb_readoptions_t *options);

/* ---- what a class should hold: for each key the version of its value, 0 for none */

typedef struct model {
	uint8_t versions[KEYS];
} model;

typedef struct entry {
	char key[16];
	uint8_t value[VALUE_MAX];
	size_t len;
} entry;

static bh_view key_of(entry *e, unsigned i)
{
	snprintf(e->key, sizeof(e->key), "key%06u", i);
	return bh_view_str(e->key);
}

/* Some are empty, some are larger than several pages; none compresses well, so that pages fill. */
static bh_view value_of(entry *e, unsigned i, unsigned version)
{
	uint64_t x = ((uint64_t)i << 32 | version) * 0x9e3779b97f4a7c15u + 1;

	e->len = i % 11 == 0 ? 0 : i % 97 == 0 ? VALUE_MAX - version : 20 + i % 700 + version;
	for (size_t at = 0; at < e->len; at++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		e->value[at] = (uint8_t)x;
	}
	return bh_view_of(e->value, e->len);
}

static void check_value(entry *e, unsigned i, unsigned version, const void *got, size_t len)
{
	bh_view want = value_of(e, i, version);

	if (len != want.len || (len > 0 && memcmp(got, want.data, len) != 0))
		test_fail_at(__FILE__, __LINE__, "key %u has not version %u of its value, of %zu bytes, but %zu bytes", i, version,
			     want.len, len);
}

static void put_some(bh_cf *cf, model *m, unsigned from, unsigned to, unsigned step, unsigned version)
{
	entry e;

	for (unsigned i = from; i < to; i += step) {
		test_ok(bh_put(cf, NULL, key_of(&e, i), value_of(&e, i, version)));
		m->versions[i] = (uint8_t)version;
	}
}

static void delete_range(bh_cf *cf, model *m, unsigned from, unsigned to)
{
	entry a, b;

	test_ok(bh_delete_range(cf, NULL, key_of(&a, from), key_of(&b, to)));
	memset(m->versions + from, 0, to - from);
}

/* Many small SSTs over several levels, with overwritten and deleted keys. */
static void put_history(bh_cf *cf, model *m)
{
	for (unsigned version = 1; version <= 3; version++) {
		put_some(cf, m, 0, KEYS, version, version);
		delete_range(cf, m, 100 * version, 100 * version + 37);
		test_ok(bh_flush(cf));
	}
}

/* ---- looking at it, each in another way */

static void check_gets(bh_cf *cf, const model *m)
{
	bh_buf got = { 0 };
	entry e;

	for (unsigned i = 0; i < KEYS; i += 3) {
		bh_status status = bh_get(cf, NULL, key_of(&e, i), &got);

		test_status(status, m->versions[i] != 0 ? BH_OK : BH_E_NO_SUCH_KEY);
		if (status == BH_OK)
			check_value(&e, i, m->versions[i], got.data, got.len);
	}
	bh_buf_clear(&got);
}

static void check_iterator(rocksdb_iterator_t *iter, const model *m, bool backwards)
{
	char *error = NULL;
	entry e;

	if (backwards)
		rocksdb_iter_seek_to_last(iter);
	else
		rocksdb_iter_seek_to_first(iter);
	for (unsigned n = 0; n < KEYS; n++) {
		unsigned i = backwards ? KEYS - 1 - n : n;
		size_t key_len, value_len;
		const char *key, *value;

		if (m->versions[i] == 0)
			continue;
		test_check(rocksdb_iter_valid(iter));
		key = rocksdb_iter_key(iter, &key_len);
		value = rocksdb_iter_value(iter, &value_len);
		test_check(key_of(&e, i).len == key_len && memcmp(e.key, key, key_len) == 0);
		check_value(&e, i, m->versions[i], value, value_len);
		if (backwards)
			rocksdb_iter_prev(iter);
		else
			rocksdb_iter_next(iter);
	}
	test_check(!rocksdb_iter_valid(iter));
	rocksdb_iter_get_error(iter, &error);
	test_rocks_ok(error);
}

static void check_iterators(bh_db *db, bh_cf *cf, const model *m, rocksdb_readoptions_t *how)
{
	rocksdb_iterator_t *iter = rocksdb_create_iterator_cf(bh_db_rocksdb(db), how, bh_cf_handle(cf));

	check_iterator(iter, m, false);
	check_iterator(iter, m, true);
	rocksdb_iter_destroy(iter);
}

enum { BATCH = 64 };

/* One batched read of keys that are far apart, so that it takes many blocks of many files; some keys were never there. */
static void check_batch(bh_db *db, bh_cf *cf, const model *m, rocksdb_readoptions_t *how, unsigned from)
{
	rocksdb_pinnableslice_t *values[BATCH] = { NULL };
	const char *keys[BATCH];
	char *errors[BATCH] = { NULL };
	size_t lens[BATCH];
	entry e[BATCH];

	for (unsigned n = 0; n < BATCH; n++) {
		lens[n] = key_of(&e[n], from + n * (KEYS / (BATCH - 2))).len;
		keys[n] = e[n].key;
	}
	rocksdb_batched_multi_get_cf(bh_db_rocksdb(db), how, bh_cf_handle(cf), BATCH, keys, lens, values, errors, 1);
	for (unsigned n = 0; n < BATCH; n++) {
		unsigned i = from + n * (KEYS / (BATCH - 2));
		unsigned version = i < KEYS ? m->versions[i] : 0;
		const char *value;
		size_t len = 0;

		test_rocks_ok(errors[n]);
		test_check((values[n] != NULL) == (version != 0));
		if (values[n] == NULL)
			continue;
		value = rocksdb_pinnableslice_value(values[n], &len);
		check_value(&e[n], i, version, value, len);
		rocksdb_pinnableslice_destroy(values[n]);
	}
}

static void check_batches(bh_db *db, bh_cf *cf, const model *m, rocksdb_readoptions_t *how)
{
	rocksdb_perfcontext_t *perf = rocksdb_perfcontext_create();

	rocksdb_set_perf_level(rocksdb_enable_count);
	rocksdb_perfcontext_reset(perf);
	for (unsigned from = 0; from < KEYS / BATCH; from += 5)
		check_batch(db, cf, m, how, from);
	test_check(rocksdb_perfcontext_metric(perf, rocksdb_block_read_count) > BATCH); /* files were read, not a cache */
	rocksdb_set_perf_level(rocksdb_disable);
	rocksdb_perfcontext_destroy(perf);
}

static void check_all_reads(bh_db *db, bh_cf *cf, const model *m)
{
	static const size_t readahead[] = { 0, 4097, 2 << 20 };

	check_gets(cf, m);
	for (size_t n = 0; n < 2 * sizeof(readahead) / sizeof(readahead[0]); n++) {
		rocksdb_readoptions_t *how = rocksdb_readoptions_create();

		rocksdb_readoptions_set_readahead_size(how, readahead[n / 2]);
		if (n % 2 == 1)
			test_readoptions_set_async_io(how);
		check_iterators(db, cf, m, how);
		if (n < 2)
			check_batches(db, cf, m, how);
		rocksdb_readoptions_destroy(how);
	}
}

/* ---- one round trip with these options, then with those */

#define SMALL_FILES "write_buffer_size=262144;target_file_size_base=131072;max_bytes_for_level_base=524288;"

/* Without a block cache, so that every read is one of a file. */
static rocksdb_options_t *options_of(const char *changes)
{
	rocksdb_options_t *options = test_options_with(test_options_with(rocksdb_options_create(), SMALL_FILES), changes);
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_no_block_cache(table, 1);
	rocksdb_block_based_options_set_block_size(table, 2048);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
	return options;
}

static bh_db *make_a_and_b(const workspace *ws, const rocksdb_options_t *options)
{
	test_db_create(ws, NULL);
	bh_db *db = test_db_open(ws, options);

	test_merchant_add(ws, db, "a", "events", NULL);
	test_merchant_add(ws, db, "b", "events", NULL);
	return db;
}

static void check_reopened(const workspace *ws, const rocksdb_options_t *options, const model *m)
{
	bh_db *db = test_db_open(ws, options);
	bh_cf *cf = test_cf(db, "a", "events");

	check_all_reads(db, cf, m);
	bh_cf_close(cf);
	bh_db_close(db);
}

static void round_trip(const workspace *ws, rocksdb_options_t *options)
{
	rocksdb_options_t *plain = options_of("");
	bh_db *db = make_a_and_b(ws, options);
	bh_cf *cf = test_cf(db, "a", "events");
	model m = { { 0 } };

	put_history(cf, &m);
	check_all_reads(db, cf, &m);
	test_ok(bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 }));
	put_some(cf, &m, 5, KEYS, 13, 4); /* stays in the WAL */
	bh_cf_close(cf);
	bh_db_close(db);
	check_reopened(ws, options, &m);
	check_reopened(ws, plain, &m);
	rocksdb_options_destroy(plain);
	rocksdb_options_destroy(options);
}

static void buffered_io(void *arg)
{
	round_trip(arg, options_of(""));
}

static void direct_reads(void *arg)
{
	round_trip(arg, options_of("use_direct_reads=true"));
}

static void direct_writes(void *arg)
{
	round_trip(arg, options_of("use_direct_reads=true;use_direct_io_for_flush_and_compaction=true;"
				   "compaction_readahead_size=65536;writable_file_max_buffer_size=8192"));
}

static void files_closed_between_reads(void *arg)
{
	round_trip(arg, options_of("max_open_files=20;skip_stats_update_on_db_open=true"));
}

static void synced_as_written(void *arg)
{
	round_trip(arg, options_of("bytes_per_sync=4096;wal_bytes_per_sync=4096;strict_bytes_per_sync=true;use_fsync=true;"
				   "writable_file_max_buffer_size=5000"));
}

static void hinted(void *arg)
{
	round_trip(arg, options_of("access_hint_on_compaction_start=WILLNEED;advise_random_on_open=false;"
				   "compaction_readahead_size=2097152;allow_fallocate=true"));
}

static void rate_limited(void *arg)
{
	rocksdb_ratelimiter_t *limiter = rocksdb_ratelimiter_create(64 << 20, 10000, 10);
	rocksdb_options_t *options = options_of("");

	rocksdb_options_set_ratelimiter(options, limiter);
	round_trip(arg, options);
	rocksdb_ratelimiter_destroy(limiter);
}

/* ---- blob files: written, read, collected */

static void blob_files(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = options_of("enable_blob_files=true;min_blob_size=200;blob_file_size=65536;"
						"enable_blob_garbage_collection=true;blob_garbage_collection_age_cutoff=1.0");
	bh_db *db = make_a_and_b(ws, options);
	bh_cf *cf = test_cf(db, "a", "events");
	char first[PATH_SIZE], dir[PATH_SIZE];
	model m = { { 0 } };

	path_join(dir, ws->db, "tenants/a");
	put_history(cf, &m);
	test_check(file_find(dir, ".blob", 0, first));
	check_all_reads(db, cf, &m);
	for (unsigned version = 4; version <= 6; version++) {
		put_some(cf, &m, version, KEYS, 2, version);
		test_ok(bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 }));
	}
	test_check(!file_exists(first));
	test_check(file_find(dir, ".blob", 0, first)); /* those that the collection wrote */
	bh_cf_close(cf);
	bh_db_close(db);
	check_reopened(ws, options, &m);
	rocksdb_options_destroy(options);
}

/* ---- range deletions through compactions, with a snapshot that still sees what they hide */

static void check_in_snapshot(bh_cf *cf, const bh_snapshot *snapshot, const model *m)
{
	const bh_read_options then = { .snapshot = snapshot };
	bh_buf got = { 0 };
	entry e;

	for (unsigned i = 0; i < KEYS; i += 7) {
		test_ok(bh_get(cf, &then, key_of(&e, i), &got));
		check_value(&e, i, m->versions[i], got.data, got.len);
	}
	bh_buf_clear(&got);
}

static void range_deletions(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = options_of("");
	bh_db *db = make_a_and_b(ws, options);
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");
	model in_a = { { 0 } }, in_b = { { 0 } }, before;
	bh_snapshot *snapshot = NULL;

	put_some(a, &in_a, 0, KEYS, 1, 1);
	put_some(b, &in_b, 0, KEYS, 1, 2);
	test_ok(bh_flush(a));
	before = in_a;
	test_ok(bh_snapshot_new(db, &snapshot));
	delete_range(a, &in_a, 1000, 2500);
	delete_range(a, &in_a, 0, 10);
	test_ok(bh_flush(a));
	put_some(a, &in_a, 1500, 1600, 2, 3);
	test_ok(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }));
	check_all_reads(db, a, &in_a);
	check_in_snapshot(a, snapshot, &before);
	bh_snapshot_free(snapshot);
	delete_range(a, &in_a, 2400, KEYS);
	test_ok(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }));
	check_all_reads(db, a, &in_a);
	check_gets(b, &in_b);
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
	check_reopened(ws, options, &in_a);
	rocksdb_options_destroy(options);
}

/* ---- ingestion */

static void write_sst(bh_db *db, const char *path, model *m, unsigned from, unsigned to, unsigned version)
{
	rocksdb_envoptions_t *env_options = rocksdb_envoptions_create();
	rocksdb_sstfilewriter_t *writer = rocksdb_sstfilewriter_create(env_options, db->options);
	char *error = NULL;
	entry e;

	rocksdb_sstfilewriter_open(writer, path, &error);
	test_rocks_ok(error);
	for (unsigned i = from; i < to; i++) {
		bh_view key = key_of(&e, i), value = value_of(&e, i, version);

		rocksdb_sstfilewriter_put(writer, (const char *)key.data, key.len, (const char *)value.data, value.len, &error);
		test_rocks_ok(error);
		m->versions[i] = (uint8_t)version;
	}
	rocksdb_sstfilewriter_finish(writer, &error);
	test_rocks_ok(error);
	rocksdb_sstfilewriter_destroy(writer);
	rocksdb_envoptions_destroy(env_options);
}

static bh_status ingest(bh_db *db, bh_cf *cf, const char *path, bool move)
{
	rocksdb_ingestexternalfileoptions_t *how = rocksdb_ingestexternalfileoptions_create();
	char *error = NULL;

	rocksdb_ingestexternalfileoptions_set_move_files(how, move);
	rocksdb_ingest_external_file_cf(bh_db_rocksdb(db), bh_cf_handle(cf), &path, 1, how, &error);
	rocksdb_ingestexternalfileoptions_destroy(how);
	return bh_status_of_rocksdb(error);
}

/* The second file lies over keys that are there, and needs a sequence number that RocksDB would like to write into it. */
static void ingestion(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = options_of("");
	bh_db *db = make_a_and_b(ws, options);
	bh_cf *a = test_cf(db, "a", "events");
	char path[PATH_SIZE];
	model m = { { 0 } };

	path_join(path, ws->db, "tenants/a/events/ingest.sst");
	put_some(a, &m, 0, 900, 1, 1);
	test_ok(bh_flush(a));
	write_sst(db, path, &m, 1000, 2000, 2);
	test_ok(ingest(db, a, path, false));
	test_check(file_exists(path));
	write_sst(db, path, &m, 500, 1500, 3);
	test_ok(ingest(db, a, path, true));
	test_check(!file_exists(path));
	check_all_reads(db, a, &m);
	test_ok(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }));
	bh_cf_close(a);
	bh_db_close(db);
	check_reopened(ws, options, &m);
	rocksdb_options_destroy(options);
}

/* Somebody with access to the disk lays a file of A's into B's directory. */
static void ingestion_of_a_strangers_file(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = options_of("");
	bh_db *db = make_a_and_b(ws, options);
	bh_cf *b = test_cf(db, "b", "events");
	char in_a[PATH_SIZE], in_b[PATH_SIZE];
	model of_a = { { 0 } }, of_b = { { 0 } };

	path_join(in_a, ws->db, "tenants/a/events/ingest.sst");
	path_join(in_b, ws->db, "tenants/b/events/ingest.sst");
	write_sst(db, in_a, &of_a, 0, 500, 2);
	put_some(b, &of_b, 0, KEYS, 2, 1);
	bh_buf bytes = file_read(in_a);
	for (int move = 0; move < 2; move++) {
		file_write(in_b, bh_buf_view(&bytes));
		bh_status status = ingest(db, b, in_b, move);

		if (status != BH_E_TAG && status != BH_E_FORMAT && status != BH_E_INVALID)
			test_fail_at(__FILE__, __LINE__, "%s: %s", bh_status_name(status), bh_status_message());
		test_message_names("tenants/b/events/ingest.sst");
		put_some(b, &of_b, 1, KEYS, 5, 2); /* goes on */
		test_ok(bh_flush(b));
		check_all_reads(db, b, &of_b);
	}
	bh_buf_clear(&bytes);
	bh_cf_close(b);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

/* ---- each in a process of its own, for RocksDB's threads outlive its databases */

static const struct feature {
	const char *name;
	void (*body)(void *arg);
	bool direct_io;
} features[] = {
	{ "buffered_io", buffered_io, false },
	{ "direct_reads", direct_reads, true },
	{ "direct_writes", direct_writes, true },
	{ "files_closed_between_reads", files_closed_between_reads, false },
	{ "synced_as_written", synced_as_written, false },
	{ "hinted", hinted, false },
	{ "rate_limited", rate_limited, false },
	{ "blob_files", blob_files, false },
	{ "range_deletions", range_deletions, false },
	{ "ingestion", ingestion, false },
	{ "ingestion_of_a_strangers_file", ingestion_of_a_strangers_file, false },
};
enum { FEATURES = sizeof(features) / sizeof(features[0]) };

typedef struct fixture {
	const struct feature *feature;
	workspace ws;
} fixture;

static int make_fixture(void **state)
{
	fixture *f = calloc(1, sizeof(*f));

	f->feature = *state;
	workspace_open(&f->ws);
	*state = f;
	return 0;
}

static int drop_fixture(void **state)
{
	fixture *f = *state;

	workspace_close(&f->ws);
	free(f);
	return 0;
}

static void run_feature(void **state)
{
	fixture *f = *state;

	if (f->feature->direct_io && !test_direct_io_works(&f->ws))
		skip();
	test_child_ok(f->feature->body, &f->ws);
}

int main(void)
{
	struct CMUnitTest tests[FEATURES];

	for (size_t n = 0; n < FEATURES; n++)
		tests[n] = (struct CMUnitTest){ features[n].name, run_feature, make_fixture, drop_fixture,
						(void *)(uintptr_t)&features[n] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
