/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.c: writes to several classes, perhaps of several merchants, that become visible and durable together.
 */

#include <bulkhead/env.h>

#include <stdlib.h>
#include <bulkhead/db.h>

#include "env/bridge/erase.h"
#include "engine/core/suppressed.h"
#include "engine/core/merchant.h"
#include "keyring/ring/keyring.h"
#include "engine/core/gate.h"
#include "engine/core/db.h"
#include "engine/core/wal.h"
#include "kv.h"

typedef struct member {
	bh_merchant *merchant; /* counted */
	uint64_t attached;     /* when it was recorded: the families it names are those of that time */
	bh_gate_ticket ticket; /* while it is being written */
} member;

struct bh_batch {
	bh_db *db; /* valid while inside the gate of one of its merchants: it may be closed */
	rocksdb_writebatch_t *raw;
	uint64_t checked; /* bh_db.suppressions when the rows were looked at: if it is the same still, none of them is suppressed */
	member *members;  /* [count], each merchant once */
	size_t count;
	size_t cap;
};

bh_status bh_batch_new(bh_db *db, bh_batch **out)
{
	bh_batch *batch = calloc(1, sizeof(*batch));

	if (batch == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a batch");
	batch->db = db;
	batch->raw = rocksdb_writebatch_create();
	*out = batch;
	return bh_done(BH_OK);
}

void bh_batch_clear(bh_batch *batch)
{
	rocksdb_writebatch_clear(batch->raw);
	for (size_t i = 0; i < batch->count; i++)
		bh_merchant_unref(batch->members[i].merchant);
	batch->count = 0;
}

void bh_batch_free(bh_batch *batch)
{
	if (batch == NULL)
		return;
	bh_batch_clear(batch);
	rocksdb_writebatch_destroy(batch->raw);
	free(batch->members);
	free(batch);
}

size_t bh_batch_count(const bh_batch *batch)
{
	return (size_t)rocksdb_writebatch_count(batch->raw);
}

static bh_status same_time(const member *m)
{
	if (m->attached == atomic_load(&m->merchant->attached))
		return BH_OK;
	return bh_fail(BH_E_SUSPENDED, "merchant '%s': was suspended after this batch was begun; clear it and record it again",
		       m->merchant->name);
}

/* Inside the merchant's gate. */
static bh_status join(bh_batch *batch, bh_merchant *merchant)
{
	for (size_t i = batch->count; i > 0; i--)
		if (batch->members[i - 1].merchant == merchant)
			return same_time(&batch->members[i - 1]);
	if (batch->count == batch->cap) {
		size_t cap = batch->cap * 2 + 4;
		member *grown = realloc(batch->members, cap * sizeof(*grown));

		if (grown == NULL)
			return bh_fail(BH_E_NOMEM, "no memory for a batch of %zu merchants", cap);
		batch->members = grown;
		batch->cap = cap;
	}
	batch->members[batch->count++] = (member){ bh_merchant_ref(merchant), atomic_load(&merchant->attached), 0 };
	return BH_OK;
}

/* Recording reads the handle's id, so it passes the gate like everything that touches RocksDB. */
static bh_status enter_for(bh_batch *batch, bh_cf *cf, bh_gate_ticket *ticket_out)
{
	bh_status status = BH_OK;

	BH_TRY(bh_gate_enter_write(&cf->merchant->gate, cf->merchant->name, ticket_out));
	if (cf->merchant->db != batch->db)
		status = bh_fail(BH_E_INVALID, "merchant '%s': is of another database than the batch", cf->merchant->name);
	if (status == BH_OK && batch->count == 0) /* before any row is looked at */
		batch->checked = atomic_load(&batch->db->suppressions);
	if (status == BH_OK)
		status = join(batch, cf->merchant);
	if (status != BH_OK)
		bh_gate_leave_write(&cf->merchant->gate, *ticket_out);
	return status;
}

/* The same for a row: one that is suppressed is not recorded. */
static bh_status enter_for_row(bh_batch *batch, bh_cf *cf, bh_view key, bh_gate_ticket *ticket_out)
{
	bh_status status;

	BH_TRY(enter_for(batch, cf, ticket_out));
	status = bh_suppressed_check(cf->merchant->name, cf->cls, key);
	if (status != BH_OK)
		bh_gate_leave_write(&cf->merchant->gate, *ticket_out);
	return status;
}

bh_status bh_batch_put(bh_batch *batch, bh_cf *cf, bh_view key, bh_view value)
{
	bh_gate_ticket ticket;

	BH_TRY(enter_for_row(batch, cf, key, &ticket));
	rocksdb_writebatch_put_cf(batch->raw, cf->cls->handle, (const char *)key.data, key.len, (const char *)value.data,
				  value.len);
	bh_gate_leave_write(&cf->merchant->gate, ticket);
	return bh_done(BH_OK);
}

bh_status bh_batch_merge(bh_batch *batch, bh_cf *cf, bh_view key, bh_view operand)
{
	bh_gate_ticket ticket;
	bh_status status;

	BH_TRY(enter_for_row(batch, cf, key, &ticket));
	status = bh_merge_check(batch->db);
	if (status == BH_OK)
		rocksdb_writebatch_merge_cf(batch->raw, cf->cls->handle, (const char *)key.data, key.len,
					    (const char *)operand.data, operand.len);
	bh_gate_leave_write(&cf->merchant->gate, ticket);
	return bh_done(status);
}

bh_status bh_batch_delete(bh_batch *batch, bh_cf *cf, bh_view key)
{
	bh_gate_ticket ticket;

	BH_TRY(enter_for(batch, cf, &ticket));
	rocksdb_writebatch_delete_cf(batch->raw, cf->cls->handle, (const char *)key.data, key.len);
	bh_gate_leave_write(&cf->merchant->gate, ticket);
	return bh_done(BH_OK);
}

bh_status bh_batch_delete_range(bh_batch *batch, bh_cf *cf, bh_view begin, bh_view end)
{
	bh_gate_ticket ticket;

	BH_TRY(enter_for(batch, cf, &ticket));
	rocksdb_writebatch_delete_range_cf(batch->raw, cf->cls->handle, (const char *)begin.data, begin.len, (const char *)end.data,
					   end.len);
	bh_gate_leave_write(&cf->merchant->gate, ticket);
	return bh_done(BH_OK);
}

/* ---- writing */

static void leave_first(bh_batch *batch, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bh_gate_leave_write(&batch->members[i].merchant->gate, batch->members[i].ticket);
}

static bh_status enter_one(member *m)
{
	bh_gate *gate = &m->merchant->gate;
	bh_status status;

	BH_TRY(bh_gate_enter_write(gate, m->merchant->name, &m->ticket));
	status = same_time(m);
	if (status != BH_OK)
		bh_gate_leave_write(gate, m->ticket);
	return status;
}

/* Enters every merchant's gate, or none. */
static bh_status enter_all(bh_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		bh_status status = enter_one(&batch->members[i]);

		if (status == BH_OK)
			continue;
		leave_first(batch, i);
		return status;
	}
	return BH_OK;
}

static bh_status check_row(void *arg, uint32_t family, bh_view key)
{
	const bh_batch *batch = arg;

	for (size_t i = 0; i < batch->count; i++) {
		const bh_merchant *merchant = batch->members[i].merchant;

		for (size_t c = 0; c < merchant->class_count; c++)
			if (rocksdb_column_family_handle_get_id(merchant->classes[c].handle) == family)
				return bh_suppressed_check(merchant->name, &merchant->classes[c], key);
	}
	return bh_fail(BH_E_INVALID, "a batch with a row of a family that none of its merchants has");
}

/* What was suppressed after the rows were recorded counts, too. Inside the gates of all. */
static bh_status check_rows(bh_batch *batch)
{
	const uint64_t now = atomic_load(&batch->db->suppressions);
	const char *data;
	size_t len;

	if (now == batch->checked)
		return BH_OK;
	data = rocksdb_writebatch_data(batch->raw, &len);
	BH_TRY(bh_bridge_batch_keys(bh_view_of(data, len), check_row, batch));
	batch->checked = now;
	return BH_OK;
}

bh_status bh_batch_write(bh_batch *batch, const bh_write_options *options)
{
	char *error = NULL;
	bh_status status;

	if (options != NULL && options->sync && options->no_wal)
		return bh_fail(BH_E_INVALID, "a write cannot be both synced and without the WAL");
	if (batch->count == 0)
		return bh_done(BH_OK);
	BH_TRY(enter_all(batch));
	status = bh_wal_check(batch->db);
	if (status == BH_OK)
		status = bh_room_check(batch->db->room);
	if (status == BH_OK)
		status = check_rows(batch);
	if (status == BH_OK)
		rocksdb_write(batch->db->rocks, bh_write_options_pick(batch->db, options), batch->raw, &error);
	leave_first(batch, batch->count);
	return bh_done(status == BH_OK ? bh_status_of_rocksdb(error) : status);
}
