/* SPDX-License-Identifier: Apache-2.0
 *
 * raw_db.c: raw_db.h's other half.
 */
#include "raw_db.h"

#include "tests/support/random.h"

static const char *const merchants[RAW_FAMILIES] = { NULL, "a", "a", "b", "b", "c", "c" };
static const char *const classes[RAW_FAMILIES] = { NULL, "x", "y", "x", "y", "x", "y" };
static const char *const names[RAW_FAMILIES] = { "default", "a/x", "a/y", "b/x", "b/y", "c/x", "c/y" };

/* The C API of 7.8 has no call for the write policy. This is RocksDB's TransactionDBOptions up to what is set here. */
typedef struct txn_options_layout {
	int64_t max_num_locks;
	uint32_t max_num_deadlocks;
	size_t num_stripes;
	int64_t transaction_lock_timeout;
	int64_t default_lock_timeout;
	void *custom_mutex_factory[2];
	int write_policy;
	bool rollback_merge_operands;
	void *lock_mgr_handle[2];
	bool skip_concurrency_control;
	int64_t default_write_batch_flush_threshold;
} txn_options_layout;

void raw_create(const workspace *ws)
{
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	for (int f = 1; f < RAW_FAMILIES; f += 2)
		test_merchant_add(ws, db, merchants[f], classes[f], classes[f + 1]);
	bh_db_close(db);
}

static rocksdb_options_t *make_options(const workspace *ws, rocksdb_env_t *env, const char *changes, int family)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_merge_operator(options, test_append_operator());
	if (changes != NULL)
		options = test_options_with(options, changes);
	rocksdb_options_set_env(options, env);
	test_ok(bh_options_check(options));
	if (merchants[family] != NULL)
		test_ok(bh_options_use_class(options, ws->db, merchants[family], classes[family]));
	return options;
}

static rocksdb_transactiondb_options_t *make_txn_options(raw_policy policy)
{
	rocksdb_transactiondb_options_t *options = rocksdb_transactiondb_options_create();
	txn_options_layout *layout = (txn_options_layout *)options;

	rocksdb_transactiondb_options_set_max_num_locks(options, 4711);
	rocksdb_transactiondb_options_set_default_lock_timeout(options, 4712);
	test_check(layout->max_num_locks == 4711 && layout->default_lock_timeout == 4712 && layout->num_stripes == 16 &&
		   layout->write_policy == RAW_WRITE_COMMITTED && layout->default_write_batch_flush_threshold == 0);
	layout->max_num_locks = -1;
	layout->write_policy = (int)policy;
	if (policy == RAW_WRITE_UNPREPARED)
		layout->default_write_batch_flush_threshold = 200; /* bytes: so that batches are written before they are prepared */
	return options;
}

static void open_any(const workspace *ws, const char *changes, bool txn, raw_policy policy, raw_db *out)
{
	const rocksdb_options_t *each[RAW_FAMILIES];
	rocksdb_options_t *made[RAW_FAMILIES];
	char *error = NULL;

	memset(out, 0, sizeof(*out));
	test_ok(bh_env_create(ws->db, NULL, &out->env));
	for (int f = 0; f < RAW_FAMILIES; f++)
		each[f] = made[f] = make_options(ws, out->env, changes, f);
	if (txn) {
		rocksdb_transactiondb_options_t *txn_options = make_txn_options(policy);

		out->txn = rocksdb_transactiondb_open_column_families(made[0], txn_options, ws->db, RAW_FAMILIES, names, each,
								      out->family, &error);
		rocksdb_transactiondb_options_destroy(txn_options);
	} else {
		out->db = rocksdb_open_column_families(made[0], ws->db, RAW_FAMILIES, names, each, out->family, &error);
	}
	test_rocks_ok(error);
	for (int f = 1; f < RAW_FAMILIES; f++)
		rocksdb_options_destroy(made[f]);
	out->options = made[0];
	out->read = rocksdb_readoptions_create();
	out->write = rocksdb_writeoptions_create();
	out->write_sync = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(out->write_sync, 1);
}

void raw_open(const workspace *ws, const char *changes, raw_db *out)
{
	open_any(ws, changes, false, RAW_WRITE_COMMITTED, out);
}

void raw_open_txn(const workspace *ws, const char *changes, raw_policy policy, raw_db *out)
{
	open_any(ws, changes, true, policy, out);
}

void raw_close(raw_db *raw)
{
	for (int f = 0; f < RAW_FAMILIES; f++)
		rocksdb_column_family_handle_destroy(raw->family[f]);
	if (raw->txn != NULL)
		rocksdb_transactiondb_close(raw->txn);
	else
		rocksdb_close(raw->db);
	rocksdb_options_destroy(raw->options);
	rocksdb_readoptions_destroy(raw->read);
	rocksdb_writeoptions_destroy(raw->write);
	rocksdb_writeoptions_destroy(raw->write_sync);
	rocksdb_env_destroy(raw->env);
}

/* ---- writing */

void raw_write(raw_db *raw, bool sync, rocksdb_writebatch_t *batch)
{
	const rocksdb_writeoptions_t *how = sync ? raw->write_sync : raw->write;
	char *error = NULL;

	if (raw->txn != NULL)
		rocksdb_transactiondb_write(raw->txn, how, batch, &error);
	else
		rocksdb_write(raw->db, how, batch, &error);
	test_rocks_ok(error);
	rocksdb_writebatch_destroy(batch);
}

void raw_put(raw_db *raw, int family, const char *key, const char *value)
{
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();

	rocksdb_writebatch_put_cf(batch, raw->family[family], key, strlen(key), value, strlen(value));
	raw_write(raw, false, batch);
}

void raw_flush(raw_db *raw, int family)
{
	rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
	char *error = NULL;

	rocksdb_flushoptions_set_wait(options, 1);
	if (raw->txn != NULL)
		rocksdb_transactiondb_flush_cf(raw->txn, options, raw->family[family], &error);
	else
		rocksdb_flush_cf(raw->db, options, raw->family[family], &error);
	test_rocks_ok(error);
	rocksdb_flushoptions_destroy(options);
}

void raw_compact(raw_db *raw, int family)
{
	rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();

	rocksdb_compactoptions_set_bottommost_level_compaction(options, 1);
	rocksdb_compact_range_cf_opt(raw->db, raw->family[family], options, NULL, 0, NULL, 0);
	rocksdb_compactoptions_destroy(options);
}

void raw_sync_wal(raw_db *raw, bool sync)
{
	char *error = NULL;

	if (raw->txn != NULL)
		rocksdb_transactiondb_flush_wal(raw->txn, sync, &error);
	else
		rocksdb_flush_wal(raw->db, sync, &error);
	test_rocks_ok(error);
}

/* ---- reading */

char *raw_get(raw_db *raw, int family, bh_view key, size_t *len_out)
{
	char *error = NULL, *value;

	if (raw->txn != NULL)
		value = rocksdb_transactiondb_get_cf(raw->txn, raw->read, raw->family[family], (const char *)key.data, key.len,
						     len_out, &error);
	else
		value = rocksdb_get_cf(raw->db, raw->read, raw->family[family], (const char *)key.data, key.len, len_out, &error);
	test_rocks_ok(error);
	return value;
}

void raw_expect(raw_db *raw, int family, bh_view key, bh_view value)
{
	size_t len = 0;
	char *got = raw_get(raw, family, key, &len);

	if ((got != NULL) != (value.data != NULL))
		test_fail_at(__FILE__, __LINE__, "%s: '%.*s' is %s", names[family], (int)BH_MIN(key.len, 40),
			     (const char *)key.data, got != NULL ? "there" : "missing");
	if (got != NULL && (len != value.len || memcmp(got, value.data, len) != 0))
		test_fail_at(__FILE__, __LINE__, "%s: '%.*s' has %zu other bytes than the %zu expected", names[family],
			     (int)BH_MIN(key.len, 40), (const char *)key.data, len, value.len);
	if (got != NULL)
		rocksdb_free(got);
}

void raw_expect_str(raw_db *raw, int family, const char *key, const char *value)
{
	raw_expect(raw, family, bh_view_str(key), value != NULL ? bh_view_str(value) : (bh_view){ 0 });
}

size_t raw_count(raw_db *raw, int family)
{
	rocksdb_iterator_t *iter = raw->txn != NULL
					   ? rocksdb_transactiondb_create_iterator_cf(raw->txn, raw->read, raw->family[family])
					   : rocksdb_create_iterator_cf(raw->db, raw->read, raw->family[family]);
	char *error = NULL;
	size_t count = 0;

	for (rocksdb_iter_seek_to_first(iter); rocksdb_iter_valid(iter); rocksdb_iter_next(iter))
		count++;
	rocksdb_iter_get_error(iter, &error);
	test_rocks_ok(error);
	rocksdb_iter_destroy(iter);
	return count;
}

char *raw_pattern(uint64_t seed, size_t len)
{
	test_random random = { seed };
	char *bytes = malloc(len + 1);

	test_check(bytes != NULL);
	for (size_t i = 0; i < len; i++)
		bytes[i] = i % 8 == 0 ? (char)test_random_u64(&random) : (char)(seed + i);
	return bytes;
}
