/* SPDX-License-Identifier: Apache-2.0
 *
 * store_rocksdb.c: RocksDB by its C API, on its default Env (plain) or on a rival's (rivals.h).
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>

#include "env/bridge/bridge.h"
#include "keyring/base/base.h"
#include "rivals.h"

struct bench_store {
	rocksdb_t *db;
	rocksdb_env_t *env; /* NULL: the default one */
	unsigned count;     /* column families: the default one, then one a merchant */
	rocksdb_column_family_handle_t **handles;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write, *write_sync;
};

struct bench_cursor {
	rocksdb_iterator_t *raw;
};

static bh_status make_env(const char *engine, rocksdb_env_t **out)
{
	BH_TRY(bh_bridge_check_layout());
	if (strcmp(engine, "stock-ctr") == 0)
		return bench_stock_ctr_env(out);
	return strcmp(engine, "evp-ctr") == 0 ? bench_evp_ctr_env(out) : BH_OK;
}

/* A copy of `base`: all families share its block cache. */
static rocksdb_options_t *family_options(const bench_config *config, const rocksdb_options_t *base, unsigned merchant)
{
	rocksdb_options_t *options = rocksdb_options_create_copy((rocksdb_options_t *)(uintptr_t)base); /* only read */
	char name[32];

	snprintf(name, sizeof(name), "m%u", merchant);
	if (bh_options_use_class(options, config->dir, name, "data") != BH_OK)
		abort();
	return options;
}

static bh_status open_existing(const bench_config *config, rocksdb_options_t *base, bench_store *store)
{
	const rocksdb_options_t **options = calloc(store->count, sizeof(*options));
	char **names = calloc(store->count, sizeof(*names));
	char *error = NULL;

	if (options == NULL || names == NULL)
		abort();
	options[0] = base;
	names[0] = strdup("default");
	for (unsigned i = 1; i < store->count; i++) {
		char name[32];

		snprintf(name, sizeof(name), "m%u/data", i - 1);
		names[i] = strdup(name);
		options[i] = family_options(config, base, i - 1);
	}
	store->db = rocksdb_open_column_families(base, config->dir, (int)store->count, (const char *const *)names, options,
						 store->handles, &error);
	for (unsigned i = 0; i < store->count; i++) {
		if (i > 0)
			rocksdb_options_destroy((rocksdb_options_t *)(uintptr_t)options[i]);
		free(names[i]);
	}
	free(options);
	free(names);
	return bh_status_of_rocksdb(error);
}

static bh_status open_fresh(const bench_config *config, rocksdb_options_t *base, bench_store *store)
{
	char *error = NULL;

	rocksdb_options_set_create_if_missing(base, 1);
	rocksdb_options_set_error_if_exists(base, 1);
	store->db = rocksdb_open(base, config->dir, &error);
	BH_TRY(bh_status_of_rocksdb(error));
	for (unsigned i = 1; i < store->count; i++) {
		rocksdb_options_t *options = family_options(config, base, i - 1);
		char name[32];

		snprintf(name, sizeof(name), "m%u/data", i - 1);
		store->handles[i] = rocksdb_create_column_family(store->db, options, name, &error);
		rocksdb_options_destroy(options);
		BH_TRY(bh_status_of_rocksdb(error));
	}
	return BH_OK;
}

static bh_status plain_open(const bench_config *config, bool fresh, bench_store **out)
{
	bench_store *store = calloc(1, sizeof(*store));
	rocksdb_options_t *base;
	bh_status status;

	if (store == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a store");
	store->count = config->merchants + 1;
	store->handles = calloc(store->count, sizeof(store->handles[0]));
	store->read = rocksdb_readoptions_create();
	store->write = rocksdb_writeoptions_create();
	store->write_sync = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(store->write_sync, 1);
	*out = store;
	if (store->handles == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %u column families", store->count);
	BH_TRY(make_env(config->engine, &store->env));
	base = bench_rocksdb_options(config);
	if (store->env != NULL)
		rocksdb_options_set_env(base, store->env);
	status = fresh ? open_fresh(config, base, store) : open_existing(config, base, store);
	rocksdb_options_destroy(base);
	return status;
}

static void plain_close(bench_store *store)
{
	for (unsigned i = 0; store->handles != NULL && i < store->count; i++)
		if (store->handles[i] != NULL)
			rocksdb_column_family_handle_destroy(store->handles[i]);
	if (store->db != NULL)
		rocksdb_close(store->db);
	if (store->env != NULL)
		rocksdb_env_destroy(store->env);
	rocksdb_readoptions_destroy(store->read);
	rocksdb_writeoptions_destroy(store->write);
	rocksdb_writeoptions_destroy(store->write_sync);
	free(store->handles);
	free(store);
}

static bh_status plain_put(bench_store *store, unsigned merchant, bh_view key, bh_view value, bool sync)
{
	char *error = NULL;

	rocksdb_put_cf(store->db, sync ? store->write_sync : store->write, store->handles[merchant + 1], (const char *)key.data,
		       key.len, (const char *)value.data, value.len, &error);
	return bh_status_of_rocksdb(error);
}

static bh_status take(rocksdb_pinnableslice_t *pinned, bh_buf *value)
{
	const char *data;
	size_t len;

	if (pinned == NULL)
		return BH_E_NO_SUCH_KEY;
	data = rocksdb_pinnableslice_value(pinned, &len);
	value->len = 0;
	BH_TRY(bh_buf_append(value, data, len));
	rocksdb_pinnableslice_destroy(pinned);
	return BH_OK;
}

static bh_status plain_get(bench_store *store, unsigned merchant, bh_view key, bh_buf *value)
{
	char *error = NULL;
	rocksdb_pinnableslice_t *pinned = rocksdb_get_pinned_cf(store->db, store->read, store->handles[merchant + 1],
								(const char *)key.data, key.len, &error);

	BH_TRY(bh_status_of_rocksdb(error));
	return take(pinned, value);
}

static bh_status plain_multi_get(bench_store *store, unsigned merchant, size_t count, const bh_view *keys, bh_buf *values,
				 bh_status *found)
{
	const char **data = calloc(count, sizeof(*data));
	size_t *lens = calloc(count, sizeof(*lens));
	rocksdb_pinnableslice_t **pinned = calloc(count, sizeof(*pinned));
	char **errors = calloc(count, sizeof(*errors));

	for (size_t i = 0; i < count; i++) {
		data[i] = (const char *)keys[i].data;
		lens[i] = keys[i].len;
	}
	rocksdb_batched_multi_get_cf(store->db, store->read, store->handles[merchant + 1], count, data, lens, pinned, errors,
				     false);
	for (size_t i = 0; i < count; i++) {
		found[i] = bh_status_of_rocksdb(errors[i]);
		if (found[i] == BH_OK)
			found[i] = take(pinned[i], &values[i]);
	}
	free(data);
	free(lens);
	free(pinned);
	free(errors);
	return BH_OK;
}

static bh_status plain_put_batch(bench_store *store, unsigned merchant, size_t count, const bh_view *keys, bh_view value, bool sync)
{
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	char *error = NULL;

	for (size_t i = 0; i < count; i++)
		rocksdb_writebatch_put_cf(batch, store->handles[merchant + 1], (const char *)keys[i].data, keys[i].len,
					  (const char *)value.data, value.len);
	rocksdb_write(store->db, sync ? store->write_sync : store->write, batch, &error);
	rocksdb_writebatch_destroy(batch);
	return bh_status_of_rocksdb(error);
}

static bh_status plain_delete_range(bench_store *store, unsigned merchant, bh_view begin, bh_view end)
{
	char *error = NULL;

	rocksdb_delete_range_cf(store->db, store->write, store->handles[merchant + 1], (const char *)begin.data, begin.len,
				(const char *)end.data, end.len, &error);
	return bh_status_of_rocksdb(error);
}

static bh_status plain_cursor_open(bench_store *store, unsigned merchant, bench_cursor **out)
{
	*out = calloc(1, sizeof(**out));
	(*out)->raw = rocksdb_create_iterator_cf(store->db, store->read, store->handles[merchant + 1]);
	return BH_OK;
}

static void plain_cursor_close(bench_cursor *cursor)
{
	rocksdb_iter_destroy(cursor->raw);
	free(cursor);
}

static bh_status plain_seek(bench_cursor *cursor, bh_view key)
{
	if (key.len == 0)
		rocksdb_iter_seek_to_first(cursor->raw);
	else
		rocksdb_iter_seek(cursor->raw, (const char *)key.data, key.len);
	return BH_OK;
}

static bh_status plain_next(bench_cursor *cursor)
{
	rocksdb_iter_next(cursor->raw);
	return BH_OK;
}

static bh_status plain_prev(bench_cursor *cursor)
{
	rocksdb_iter_prev(cursor->raw);
	return BH_OK;
}

static bh_status plain_last(bench_cursor *cursor)
{
	rocksdb_iter_seek_to_last(cursor->raw);
	return BH_OK;
}

static bool plain_valid(bench_cursor *cursor)
{
	return rocksdb_iter_valid(cursor->raw);
}

static size_t plain_entry(bench_cursor *cursor)
{
	size_t key_len, value_len;

	rocksdb_iter_key(cursor->raw, &key_len);
	rocksdb_iter_value(cursor->raw, &value_len);
	return key_len + value_len;
}

static bh_status plain_flush(bench_store *store)
{
	rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
	char *error = NULL;

	for (unsigned i = 1; i < store->count && error == NULL; i++)
		rocksdb_flush_cf(store->db, options, store->handles[i], &error);
	rocksdb_flushoptions_destroy(options);
	return bh_status_of_rocksdb(error);
}

static bh_status plain_compact(bench_store *store)
{
	rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();

	rocksdb_compactoptions_set_bottommost_level_compaction(options, 3); /* kForceOptimized, as bh_compact() */
	for (unsigned i = 1; i < store->count; i++)
		rocksdb_compact_range_cf_opt(store->db, store->handles[i], options, NULL, 0, NULL, 0);
	rocksdb_compactoptions_destroy(options);
	return BH_OK;
}

const bench_engine bench_engine_rocksdb = {
	.open = plain_open,
	.close = plain_close,
	.put = plain_put,
	.get = plain_get,
	.multi_get = plain_multi_get,
	.put_batch = plain_put_batch,
	.delete_range = plain_delete_range,
	.cursor_open = plain_cursor_open,
	.cursor_close = plain_cursor_close,
	.seek = plain_seek,
	.next = plain_next,
	.prev = plain_prev,
	.last = plain_last,
	.valid = plain_valid,
	.entry = plain_entry,
	.flush = plain_flush,
	.compact = plain_compact,
};
