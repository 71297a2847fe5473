/* SPDX-License-Identifier: Apache-2.0
 *
 * store_bulkhead.c: Bulkhead by its own API, gate and all, with a local KMS beside the database.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>

#include "keyring/base/base.h"

struct bench_store {
	const bench_config *config;
	bh_db *db;
	unsigned count; /* merchants */
	bh_cf **cfs;
};

struct bench_cursor {
	bh_iter *iter;
};

static bh_status make_database(const bench_config *config, const bh_db_options *options)
{
	char uri[4096];

	snprintf(uri, sizeof(uri), "local:%s-kms#platform", config->dir);
	BH_TRY(bh_kms_create(uri, "bench", NULL));
	return bh_db_create(config->dir, "bench", uri, options);
}

static bh_status make_merchant(const bench_config *config, bench_store *store, unsigned i)
{
	const char *classes[] = { "data" };
	const bh_merchant_options options = { classes, 1 };
	char uri[4096], name[32];

	snprintf(name, sizeof(name), "m%u", i);
	snprintf(uri, sizeof(uri), "local:%s-kms#%s", config->dir, name);
	BH_TRY(bh_kms_create(uri, "bench", NULL));
	return bh_merchant_add(store->db, name, uri, &options);
}

static bh_status open_steps(const bench_config *config, bool fresh, const bh_db_options *options, bench_store *store)
{
	if (fresh)
		BH_TRY(make_database(config, options));
	BH_TRY(bh_db_open(config->dir, options, &store->db));
	for (unsigned i = 0; i < store->count; i++) {
		char name[32];

		if (fresh)
			BH_TRY(make_merchant(config, store, i));
		snprintf(name, sizeof(name), "m%u", i);
		BH_TRY(bh_cf_open(store->db, name, "data", &store->cfs[i]));
	}
	return BH_OK;
}

static bh_status bulkhead_open(const bench_config *config, bool fresh, bench_store **out)
{
	rocksdb_options_t *rocksdb = bench_rocksdb_options(config);
	const bh_db_options options = { .rocksdb = rocksdb };
	bench_store *store = calloc(1, sizeof(*store));
	bh_status status;

	if (store == NULL)
		abort();
	store->config = config;
	store->count = config->merchants;
	store->cfs = calloc(store->count, sizeof(store->cfs[0]));
	if (store->cfs == NULL)
		abort();
	*out = store;
	status = open_steps(config, fresh, &options, store);
	rocksdb_options_destroy(rocksdb);
	return status;
}

static void bulkhead_close(bench_store *store)
{
	for (unsigned i = 0; i < store->count; i++)
		bh_cf_close(store->cfs[i]);
	bh_db_close(store->db);
	free(store->cfs);
	free(store);
}

static bh_status bulkhead_put(bench_store *store, unsigned merchant, bh_view key, bh_view value, bool sync)
{
	const bh_write_options options = { .sync = sync };

	return bh_put(store->cfs[merchant], &options, key, value);
}

static bh_status bulkhead_get(bench_store *store, unsigned merchant, bh_view key, bh_buf *value)
{
	return bh_get(store->cfs[merchant], NULL, key, value);
}

static bh_status bulkhead_multi_get(bench_store *store, unsigned merchant, size_t count, const bh_view *keys, bh_buf *values,
				    bh_status *found)
{
	return bh_multi_get(store->cfs[merchant], NULL, count, keys, values, found);
}

static bh_status bulkhead_put_batch(bench_store *store, unsigned merchant, size_t count, const bh_view *keys, bh_view value,
				    bool sync)
{
	const bh_write_options options = { .sync = sync };
	bh_batch *batch = NULL;
	bh_status status;

	BH_TRY(bh_batch_new(store->db, &batch));
	status = BH_OK;
	for (size_t i = 0; i < count && status == BH_OK; i++)
		status = bh_batch_put(batch, store->cfs[merchant], keys[i], value);
	if (status == BH_OK)
		status = bh_batch_write(batch, &options);
	bh_batch_free(batch);
	return status;
}

static bh_status bulkhead_delete_range(bench_store *store, unsigned merchant, bh_view begin, bh_view end)
{
	return bh_delete_range(store->cfs[merchant], NULL, begin, end);
}

static bh_status bulkhead_cursor_open(bench_store *store, unsigned merchant, bench_cursor **out)
{
	*out = calloc(1, sizeof(**out));
	return bh_iter_new(store->cfs[merchant], NULL, &(*out)->iter);
}

static void bulkhead_cursor_close(bench_cursor *cursor)
{
	bh_iter_free(cursor->iter);
	free(cursor);
}

static bh_status bulkhead_seek(bench_cursor *cursor, bh_view key)
{
	return key.len == 0 ? bh_iter_first(cursor->iter) : bh_iter_seek(cursor->iter, key);
}

static bh_status bulkhead_next(bench_cursor *cursor)
{
	return bh_iter_next(cursor->iter);
}

static bh_status bulkhead_prev(bench_cursor *cursor)
{
	return bh_iter_prev(cursor->iter);
}

static bh_status bulkhead_last(bench_cursor *cursor)
{
	return bh_iter_last(cursor->iter);
}

static bool bulkhead_valid(bench_cursor *cursor)
{
	return bh_iter_valid(cursor->iter);
}

static size_t bulkhead_entry(bench_cursor *cursor)
{
	bh_view key = { 0 }, value = { 0 };

	return bh_iter_entry(cursor->iter, &key, &value) == BH_OK ? key.len + value.len : 0;
}

static bh_status bulkhead_flush(bench_store *store)
{
	for (unsigned i = 0; i < store->count; i++)
		BH_TRY(bh_flush(store->cfs[i]));
	return BH_OK;
}

static bh_status bulkhead_compact(bench_store *store)
{
	for (unsigned i = 0; i < store->count; i++)
		BH_TRY(bh_compact(store->cfs[i], (bh_view){ 0 }, (bh_view){ 0 }));
	return BH_OK;
}

static const bh_suspend_options by_bench = { .reason = "measuring", .operator_name = "bh_bench" };

static bh_status bulkhead_suspend(bench_store *store, unsigned merchant)
{
	char name[32];

	snprintf(name, sizeof(name), "m%u", merchant);
	return bh_merchant_suspend(store->db, name, &by_bench);
}

static bh_status bulkhead_resume(bench_store *store, unsigned merchant)
{
	char name[32];

	snprintf(name, sizeof(name), "m%u", merchant);
	return bh_merchant_resume(store->db, name, &by_bench);
}

static bh_status bulkhead_shred(bench_store *store, unsigned merchant)
{
	char name[32];

	snprintf(name, sizeof(name), "m%u", merchant);
	return bh_merchant_shred(store->db, name, NULL);
}

static bh_status bulkhead_rotate(bench_store *store, unsigned merchant)
{
	char name[32];

	snprintf(name, sizeof(name), "m%u", merchant);
	return bh_merchant_rotate(store->db, name, NULL);
}

static bh_status bulkhead_erase(bench_store *store, unsigned merchant, bh_view prefix, bench_erased *out)
{
	bh_erase_result result = { 0 };
	bool complete;

	BH_TRY(bh_erase_range(store->cfs[merchant], prefix, NULL, &result));
	*out = (bench_erased){ result.rows, result.files_rewritten, result.bytes_rewritten };
	complete = result.complete;
	bh_erase_result_clear(&result);
	return complete ? BH_OK : bh_fail(BH_E_BUSY, "merchant 'm%u': its erasure is not complete", merchant);
}

static bh_status bulkhead_renew_cmk(bench_store *store, unsigned merchant)
{
	uint32_t version;
	bh_kms *kms = NULL;
	bh_status status;
	char uri[4096];

	snprintf(uri, sizeof(uri), "local:%s-kms#m%u", store->config->dir, merchant);
	BH_TRY(bh_kms_open(uri, NULL, &kms));
	status = bh_kms_rotate(kms, &version);
	bh_kms_close(kms);
	return status;
}

static bh_status bulkhead_rewrap(bench_store *store, unsigned merchant)
{
	bh_rewrap_result result = { 0 };
	char name[32];

	snprintf(name, sizeof(name), "m%u", merchant);
	BH_TRY(bh_merchant_rewrap(store->db, name, NULL, &result));
	if (result.rewrapped == 0 || result.behind != 0)
		return bh_fail(BH_E_INVALID, "merchant '%s': %zu wraps renewed, %zu left behind", name, result.rewrapped,
			       result.behind);
	return BH_OK;
}

const bench_engine bench_engine_bulkhead = {
	.open = bulkhead_open,
	.close = bulkhead_close,
	.put = bulkhead_put,
	.get = bulkhead_get,
	.multi_get = bulkhead_multi_get,
	.put_batch = bulkhead_put_batch,
	.delete_range = bulkhead_delete_range,
	.cursor_open = bulkhead_cursor_open,
	.cursor_close = bulkhead_cursor_close,
	.seek = bulkhead_seek,
	.next = bulkhead_next,
	.prev = bulkhead_prev,
	.last = bulkhead_last,
	.valid = bulkhead_valid,
	.entry = bulkhead_entry,
	.flush = bulkhead_flush,
	.compact = bulkhead_compact,
	.suspend = bulkhead_suspend,
	.resume = bulkhead_resume,
	.shred = bulkhead_shred,
	.rotate = bulkhead_rotate,
	.erase = bulkhead_erase,
	.renew_cmk = bulkhead_renew_cmk,
	.rewrap = bulkhead_rewrap,
};
