/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.c: writes to several classes, perhaps of several merchants, that become visible and durable together.
 */
#include "internal.h"

#include <bulkhead/env.h>

#include <stdlib.h>

struct bh_batch {
	bh_db *db;
	rocksdb_writebatch_t *raw;
	bh_merchant **merchants; /* [merchant_count], each once, counted */
	size_t merchant_count;
	size_t merchant_cap;
};

bh_status bh_batch_new(bh_db *db, bh_batch **out)
{
	bh_batch *batch = calloc(1, sizeof(*batch));

	if (batch == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a batch");
	batch->db = db;
	batch->raw = rocksdb_writebatch_create();
	*out = batch;
	return BH_OK;
}

void bh_batch_clear(bh_batch *batch)
{
	rocksdb_writebatch_clear(batch->raw);
	for (size_t i = 0; i < batch->merchant_count; i++)
		bh_merchant_unref(batch->merchants[i]);
	batch->merchant_count = 0;
}

void bh_batch_free(bh_batch *batch)
{
	if (batch == NULL)
		return;
	bh_batch_clear(batch);
	rocksdb_writebatch_destroy(batch->raw);
	free(batch->merchants);
	free(batch);
}

size_t bh_batch_count(const bh_batch *batch)
{
	return (size_t)rocksdb_writebatch_count(batch->raw);
}

static bh_status join(bh_batch *batch, bh_merchant *merchant)
{
	if (batch->merchant_count > 0 && batch->merchants[batch->merchant_count - 1] == merchant)
		return BH_OK;
	for (size_t i = 0; i < batch->merchant_count; i++)
		if (batch->merchants[i] == merchant)
			return BH_OK;
	if (batch->merchant_count == batch->merchant_cap) {
		size_t cap = batch->merchant_cap * 2 + 4;
		bh_merchant **grown = realloc(batch->merchants, cap * sizeof(*grown));

		if (grown == NULL)
			return bh_fail(BH_E_NOMEM, "no memory for a batch of %zu merchants", cap);
		batch->merchants = grown;
		batch->merchant_cap = cap;
	}
	batch->merchants[batch->merchant_count++] = bh_merchant_ref(merchant);
	return BH_OK;
}

/* Recording reads the handle's id, so it passes the gate like everything that touches RocksDB. */
static bh_status enter_for(bh_batch *batch, bh_cf *cf)
{
	BH_TRY(join(batch, cf->merchant));
	return bh_gate_enter(&cf->merchant->gate, cf->merchant->name);
}

bh_status bh_batch_put(bh_batch *batch, bh_cf *cf, bh_view key, bh_view value)
{
	BH_TRY(enter_for(batch, cf));
	rocksdb_writebatch_put_cf(batch->raw, cf->cls->handle, (const char *)key.data, key.len, (const char *)value.data,
				  value.len);
	bh_gate_leave(&cf->merchant->gate);
	return BH_OK;
}

bh_status bh_batch_merge(bh_batch *batch, bh_cf *cf, bh_view key, bh_view operand)
{
	BH_TRY(enter_for(batch, cf));
	rocksdb_writebatch_merge_cf(batch->raw, cf->cls->handle, (const char *)key.data, key.len, (const char *)operand.data,
				    operand.len);
	bh_gate_leave(&cf->merchant->gate);
	return BH_OK;
}

bh_status bh_batch_delete(bh_batch *batch, bh_cf *cf, bh_view key)
{
	BH_TRY(enter_for(batch, cf));
	rocksdb_writebatch_delete_cf(batch->raw, cf->cls->handle, (const char *)key.data, key.len);
	bh_gate_leave(&cf->merchant->gate);
	return BH_OK;
}

bh_status bh_batch_delete_range(bh_batch *batch, bh_cf *cf, bh_view begin, bh_view end)
{
	BH_TRY(enter_for(batch, cf));
	rocksdb_writebatch_delete_range_cf(batch->raw, cf->cls->handle, (const char *)begin.data, begin.len, (const char *)end.data,
					   end.len);
	bh_gate_leave(&cf->merchant->gate);
	return BH_OK;
}

/* Enters every merchant's gate, or none. */
static bh_status enter_all(bh_batch *batch)
{
	for (size_t i = 0; i < batch->merchant_count; i++) {
		bh_status status = bh_gate_enter(&batch->merchants[i]->gate, batch->merchants[i]->name);

		if (status == BH_OK)
			continue;
		while (i-- > 0)
			bh_gate_leave(&batch->merchants[i]->gate);
		return status;
	}
	return BH_OK;
}

bh_status bh_batch_write(bh_batch *batch, const bh_write_options *options)
{
	char *error = NULL;

	if (options != NULL && options->sync && options->no_wal)
		return bh_fail(BH_E_INVALID, "a write cannot be both synced and without the WAL");
	if (batch->merchant_count == 0)
		return BH_OK;
	BH_TRY(enter_all(batch));
	rocksdb_write(batch->db->rocks, bh_write_options_pick(batch->db, options), batch->raw, &error);
	for (size_t i = 0; i < batch->merchant_count; i++)
		bh_gate_leave(&batch->merchants[i]->gate);
	return bh_status_of_rocksdb(error);
}
