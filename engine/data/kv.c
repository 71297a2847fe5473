/* SPDX-License-Identifier: Apache-2.0
 *
 * kv.c: single reads and writes. Each enters the merchant's gate, calls RocksDB, leaves.
 */

#include "kv.h"

#include <bulkhead/env.h>

#include <stdlib.h>
#include <bulkhead/db.h>

#include "engine/core/wal.h"
#include "env/bridge/bridge.h"
#include "engine/core/suppressed.h"
#include "engine/core/unmerged.h"
#include "keyring/base/base.h"
#include "snapshot.h"
#include "engine/core/flush.h"
#include "engine/core/hurt.h"

static inline const char *chars(bh_view v)
{
	return v.len > 0 ? (const char *)v.data : "";
}

rocksdb_writeoptions_t *bh_write_options_pick(const bh_db *db, const bh_write_options *options)
{
	if (options == NULL)
		return db->write;
	if (options->no_wal)
		return db->write_no_wal;
	return options->sync ? db->write_sync : db->write;
}

bh_status bh_merge_check(const bh_db *db)
{
	return db->merges ? BH_OK : bh_fail(BH_E_UNSUPPORTED, "there is no merge operator: give one with bh_db_options.rocksdb");
}

bh_status bh_read_options_make(bh_merchant *merchant, const bh_read_options *options, rocksdb_readoptions_t **out, bool *owned_out)
{
	const rocksdb_snapshot_t *raw = NULL;
	rocksdb_readoptions_t *made;

	*owned_out = false;
	*out = merchant->db->read;
	if (options == NULL)
		return BH_OK;
	if (options->snapshot != NULL)
		BH_TRY(bh_snapshot_raw(options->snapshot, merchant, &raw));
	made = rocksdb_readoptions_create();
	rocksdb_readoptions_set_total_order_seek(made, !options->prefix);
	rocksdb_readoptions_set_prefix_same_as_start(made, options->prefix);
	rocksdb_readoptions_set_snapshot(made, raw);
	rocksdb_readoptions_set_fill_cache(made, !options->no_fill_cache);
	if (options->lower_bound.len > 0)
		rocksdb_readoptions_set_iterate_lower_bound(made, chars(options->lower_bound), options->lower_bound.len);
	if (options->upper_bound.len > 0)
		rocksdb_readoptions_set_iterate_upper_bound(made, chars(options->upper_bound), options->upper_bound.len);
	*out = made;
	*owned_out = true;
	return BH_OK;
}

static void release_read_options(rocksdb_readoptions_t *options, bool owned)
{
	if (owned)
		rocksdb_readoptions_destroy(options);
}

/* ---- writes */

typedef enum write_op {
	WRITE_PUT,
	WRITE_MERGE,
	WRITE_DELETE,
	WRITE_DELETE_RANGE,
} write_op;

static bh_status write_inside(bh_cf *cf, const bh_write_options *options, write_op op, bh_view a, bh_view b)
{
	bh_db *db = cf->merchant->db;
	rocksdb_writeoptions_t *how = bh_write_options_pick(db, options);
	char *error = NULL;

	BH_TRY(bh_wal_check(db));
	BH_TRY(bh_room_check(db->room));
	if (op == WRITE_PUT || op == WRITE_MERGE)
		BH_TRY(bh_suppressed_check(cf->merchant->name, cf->cls, a));
	if (op == WRITE_MERGE)
		BH_TRY(bh_merge_check(db));
	switch (op) {
	case WRITE_PUT: rocksdb_put_cf(db->rocks, how, cf->cls->handle, chars(a), a.len, chars(b), b.len, &error); break;
	case WRITE_MERGE: rocksdb_merge_cf(db->rocks, how, cf->cls->handle, chars(a), a.len, chars(b), b.len, &error); break;
	case WRITE_DELETE: rocksdb_delete_cf(db->rocks, how, cf->cls->handle, chars(a), a.len, &error); break;
	case WRITE_DELETE_RANGE:
		rocksdb_delete_range_cf(db->rocks, how, cf->cls->handle, chars(a), a.len, chars(b), b.len, &error);
		break;
	}
	return bh_status_of_rocksdb(error);
}

static bh_status write_one(bh_cf *cf, const bh_write_options *options, write_op op, bh_view a, bh_view b)
{
	bh_gate_ticket ticket;
	bh_status status;

	if (options != NULL && options->sync && options->no_wal)
		return bh_fail(BH_E_INVALID, "a write cannot be both synced and without the WAL");
	BH_TRY(bh_gate_enter_write(&cf->merchant->gate, cf->merchant->name, &ticket));
	status = write_inside(cf, options, op, a, b);
	bh_gate_leave_write(&cf->merchant->gate, ticket);
	return status;
}

bh_status bh_put(bh_cf *cf, const bh_write_options *options, bh_view key, bh_view value)
{
	return bh_done(write_one(cf, options, WRITE_PUT, key, value));
}

bh_status bh_merge(bh_cf *cf, const bh_write_options *options, bh_view key, bh_view operand)
{
	return bh_done(write_one(cf, options, WRITE_MERGE, key, operand));
}

bh_status bh_delete(bh_cf *cf, const bh_write_options *options, bh_view key)
{
	return bh_done(write_one(cf, options, WRITE_DELETE, key, (bh_view){ 0 }));
}

bh_status bh_delete_range(bh_cf *cf, const bh_write_options *options, bh_view begin, bh_view end)
{
	return bh_done(write_one(cf, options, WRITE_DELETE_RANGE, begin, end));
}

/* ---- reads */

static bh_status copy_value(bh_view got, bh_buf *value)
{
	if (got.len > value->cap)
		BH_TRY(bh_buf_reserve(value, got.len - value->len));
	if (got.len > 0)
		memcpy(value->data, got.data, got.len);
	value->len = got.len;
	return BH_OK;
}

/* Moves what RocksDB pinned into `value`; NULL is a key that is not there, of which the caller has to say so. */
static bh_status take_value(const bh_db *db, rocksdb_pinnableslice_t *pinned, bh_buf *value)
{
	bh_status status;
	bool unmerged;
	bh_view got;

	if (pinned == NULL)
		return BH_E_NO_SUCH_KEY;
	got.data = (const uint8_t *)rocksdb_pinnableslice_value(pinned, &got.len);
	unmerged = bh_unmerged_is(db, &got);
	status = copy_value(got, value);
	rocksdb_pinnableslice_destroy(pinned);
	return status == BH_OK && unmerged ? bh_unmerged_fail() : status;
}

static bh_status get_inside(bh_cf *cf, rocksdb_readoptions_t *how, bh_view key, bh_buf *value)
{
	char *error = NULL;
	rocksdb_pinnableslice_t *pinned =
		rocksdb_get_pinned_cf(cf->merchant->db->rocks, how, cf->cls->handle, chars(key), key.len, &error);
	bh_status status;

	BH_TRY(bh_hurt_look(cf->merchant, bh_status_of_rocksdb(error)));
	status = take_value(cf->merchant->db, pinned, value);
	return status == BH_E_NO_SUCH_KEY ? bh_fail_with(status, "the class has no such key") : status;
}

bh_status bh_get(bh_cf *cf, const bh_read_options *options, bh_view key, bh_buf *value)
{
	rocksdb_readoptions_t *how;
	bh_status status;
	bool owned;

	BH_TRY(bh_gate_enter(&cf->merchant->gate, cf->merchant->name));
	status = bh_read_options_make(cf->merchant, options, &how, &owned);
	if (status == BH_OK) {
		status = get_inside(cf, how, key, value);
		release_read_options(how, owned);
	}
	bh_gate_leave(&cf->merchant->gate);
	return bh_done(status);
}

/* What rocksdb_batched_multi_get_cf() wants, in one allocation a kind. */
typedef struct multi_args {
	const char **keys;
	size_t *lens;
	rocksdb_pinnableslice_t **values;
	char **errors;
} multi_args;

static void multi_args_clear(multi_args *args)
{
	free(args->keys);
	free(args->lens);
	free(args->values);
	free(args->errors);
}

static bh_status multi_args_make(size_t count, const bh_view *keys, multi_args *args)
{
	args->keys = calloc(count, sizeof(*args->keys));
	args->lens = calloc(count, sizeof(*args->lens));
	args->values = calloc(count, sizeof(*args->values));
	args->errors = calloc(count, sizeof(*args->errors));
	if (args->keys == NULL || args->lens == NULL || args->values == NULL || args->errors == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu keys", count);
	for (size_t i = 0; i < count; i++) {
		args->keys[i] = chars(keys[i]);
		args->lens[i] = keys[i].len;
	}
	return BH_OK;
}

static bh_status multi_get_inside(bh_cf *cf, rocksdb_readoptions_t *how, size_t count, const bh_view *keys, bh_buf *values,
				  bh_status *statuses_out)
{
	BH_CLEANUP(multi_args_clear) multi_args args = { 0 };
	bh_status failed = BH_OK;

	BH_TRY(multi_args_make(count, keys, &args));
	rocksdb_batched_multi_get_cf(cf->merchant->db->rocks, how, cf->cls->handle, count, args.keys, args.lens, args.values,
				     args.errors, false);
	/* From the last one on, so that the message is that of the first failure. */
	for (size_t i = count; i-- > 0;) {
		statuses_out[i] = bh_hurt_look(cf->merchant, bh_status_of_rocksdb(args.errors[i]));
		if (statuses_out[i] == BH_OK)
			statuses_out[i] = take_value(cf->merchant->db, args.values[i], &values[i]);
		else if (args.values[i] != NULL)
			rocksdb_pinnableslice_destroy(args.values[i]);
		if (statuses_out[i] != BH_OK && statuses_out[i] != BH_E_NO_SUCH_KEY)
			failed = statuses_out[i];
	}
	return failed;
}

bh_status bh_multi_get(bh_cf *cf, const bh_read_options *options, size_t count, const bh_view *keys, bh_buf *values,
		       bh_status *statuses_out)
{
	rocksdb_readoptions_t *how;
	bh_status status;
	bool owned;

	if (count == 0)
		return bh_done(BH_OK);
	BH_TRY(bh_gate_enter(&cf->merchant->gate, cf->merchant->name));
	status = bh_read_options_make(cf->merchant, options, &how, &owned);
	if (status == BH_OK) {
		status = multi_get_inside(cf, how, count, keys, values, statuses_out);
		release_read_options(how, owned);
	}
	bh_gate_leave(&cf->merchant->gate);
	return bh_done(status);
}

/* ---- storage */

/* What was cut short because its merchant left says so. */
static bh_status cut_short(bh_merchant *merchant, bh_status status)
{
	if (status == BH_OK || !atomic_load(&merchant->closing))
		return status;
	BH_TRY(bh_gate_enter(&merchant->gate, merchant->name));
	bh_gate_leave(&merchant->gate);
	return status;
}

/* RocksDB may wait for earlier flushes, and for ever where these fail for want of room: then it is not asked. */
static bh_status flush_inside(const bh_cf *cf)
{
	bh_room *room = cf->merchant->db->room;

	if (!bh_room_is_used(room))
		BH_TRY(bh_room_check(room));
	return bh_family_flush(cf->merchant->db, cf->cls->handle, &cf->merchant->closing);
}

bh_status bh_flush(bh_cf *cf)
{
	bh_status status;

	BH_TRY(bh_gate_enter(&cf->merchant->gate, cf->merchant->name));
	status = flush_inside(cf);
	bh_gate_leave(&cf->merchant->gate);
	return bh_done(cut_short(cf->merchant, status));
}

/* RocksDB flushes what is in the way itself, and waits for it in its own manner: there is little left of it, if anything. */
static bh_status compact_inside(bh_cf *cf, bh_view begin, bh_view end)
{
	bh_merchant *merchant = cf->merchant;
	char *error = NULL;

	BH_TRY(flush_inside(cf));
	atomic_fetch_add(&merchant->waiting, 1);
	bh_bridge_compact(merchant->db->rocks, cf->cls->handle, begin, end, (bool *)(uintptr_t)&merchant->closing, &error);
	atomic_fetch_sub(&merchant->waiting, 1);
	return bh_hurt_look(merchant, bh_status_of_rocksdb(error));
}

bh_status bh_compact(bh_cf *cf, bh_view begin, bh_view end)
{
	bh_status status;

	BH_TRY(bh_gate_enter(&cf->merchant->gate, cf->merchant->name));
	status = compact_inside(cf, begin, end);
	bh_gate_leave(&cf->merchant->gate);
	return bh_done(cut_short(cf->merchant, status));
}

bh_status bh_sync_wal(bh_db *db)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, bh_wal_sync(db));
}
