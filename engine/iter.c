/* SPDX-License-Identifier: Apache-2.0
 *
 * iter.c: iterators that end with their merchant.
 *
 * An open iterator pins files and blocks, so it cannot outlive its merchant's keys: when the gate closes, bh_iter_end_all()
 * destroys RocksDB's half. The caller's half stays, refuses, and still holds the copy of the last entry looked at, until it is
 * freed.
 */
#include "internal.h"

#include <bulkhead/env.h>

#include <stdlib.h>

struct bh_iter {
	bh_merchant *merchant;      /* counted */
	rocksdb_iterator_t *raw;    /* NULL once ended; touched inside the gate, or with it closed */
	_Atomic bool ended;         /* whether raw is NULL, for who is not inside */
	rocksdb_readoptions_t *how; /* owned; NULL: the defaults */
	bool valid;
	bool has_key, has_value;     /* the copies are those of the entry it stands on */
	bool wants_key, wants_value; /* what was looked at last: the next move, which is inside the gate anyway, copies it */
	bh_buf key, value;
	bh_iter *next, **link; /* in merchant->iters, under merchant->lock */
};

static void end_raw(bh_iter *iter)
{
	if (iter->raw != NULL)
		rocksdb_iter_destroy(iter->raw);
	if (iter->how != NULL)
		rocksdb_readoptions_destroy(iter->how);
	iter->raw = NULL;
	iter->how = NULL;
	atomic_store(&iter->ended, true);
	*iter->link = iter->next;
	if (iter->next != NULL)
		iter->next->link = iter->link;
}

void bh_iter_end_all(bh_merchant *merchant)
{
	while (merchant->iters != NULL)
		end_raw(merchant->iters);
}

static void link_iter(bh_merchant *merchant, bh_iter *iter)
{
	pthread_mutex_lock(&merchant->lock);
	iter->next = merchant->iters;
	iter->link = &merchant->iters;
	if (iter->next != NULL)
		iter->next->link = &iter->next;
	merchant->iters = iter;
	pthread_mutex_unlock(&merchant->lock);
}

static bh_status make_raw(bh_cf *cf, const bh_read_options *options, bh_iter *iter)
{
	rocksdb_readoptions_t *how;
	bool owned;

	BH_TRY(bh_read_options_make(cf->merchant, options, &how, &owned));
	iter->how = owned ? how : NULL;
	iter->raw = rocksdb_create_iterator_cf(cf->merchant->db->rocks, how, cf->cls->handle);
	link_iter(cf->merchant, iter);
	return BH_OK;
}

bh_status bh_iter_new(bh_cf *cf, const bh_read_options *options, bh_iter **out)
{
	bh_iter *iter = calloc(1, sizeof(*iter));
	bh_status status;

	if (iter == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for an iterator");
	status = bh_gate_enter(&cf->merchant->gate, cf->merchant->name);
	if (status == BH_OK) {
		status = make_raw(cf, options, iter);
		bh_gate_leave(&cf->merchant->gate);
	}
	if (status != BH_OK) {
		free(iter);
		return status;
	}
	iter->merchant = bh_merchant_ref(cf->merchant);
	*out = iter;
	return BH_OK;
}

void bh_iter_free(bh_iter *iter)
{
	if (iter == NULL)
		return;
	pthread_mutex_lock(&iter->merchant->lock);
	if (iter->raw != NULL)
		end_raw(iter);
	pthread_mutex_unlock(&iter->merchant->lock);
	if (iter->key.data != NULL)
		bh_wipe(iter->key.data, iter->key.cap);
	if (iter->value.data != NULL)
		bh_wipe(iter->value.data, iter->value.cap);
	bh_buf_clear(&iter->key);
	bh_buf_clear(&iter->value);
	bh_merchant_unref(iter->merchant);
	free(iter);
}

/* ---- copies */

static bh_status copy(bh_buf *buf, const char *data, size_t len)
{
	if (len > buf->cap)
		BH_TRY(bh_buf_reserve(buf, len - buf->len));
	if (len > 0)
		memcpy(buf->data, data, len);
	buf->len = len;
	return BH_OK;
}

/* Inside. */
static bh_status copy_wanted(bh_iter *iter)
{
	const char *data;
	size_t len;

	if (iter->wants_key && !iter->has_key) {
		data = rocksdb_iter_key(iter->raw, &len);
		BH_TRY(copy(&iter->key, data, len));
		iter->has_key = true;
	}
	if (iter->wants_value && !iter->has_value) {
		data = rocksdb_iter_value(iter->raw, &len);
		BH_TRY(copy(&iter->value, data, len));
		iter->has_value = true;
	}
	return BH_OK;
}

/* ---- moving */

/* Into the gate, and only with RocksDB's half still there: it does not come back when the merchant does. */
static bh_status enter(bh_iter *iter)
{
	BH_TRY(bh_gate_enter(&iter->merchant->gate, iter->merchant->name));
	if (iter->raw != NULL)
		return BH_OK;
	bh_gate_leave(&iter->merchant->gate);
	return bh_fail(BH_E_SUSPENDED, "merchant '%s': was suspended after this iterator was made; make a new one",
		       iter->merchant->name);
}

static bh_status enter_to_move(bh_iter *iter)
{
	iter->valid = iter->has_key = iter->has_value = false;
	return enter(iter);
}

static bh_status leave(bh_iter *iter)
{
	char *error = NULL;
	bh_status status = BH_OK;

	iter->valid = rocksdb_iter_valid(iter->raw);
	if (iter->valid) {
		status = copy_wanted(iter);
		iter->valid = status == BH_OK;
	} else {
		rocksdb_iter_get_error(iter->raw, &error);
	}
	bh_gate_leave(&iter->merchant->gate);
	return error != NULL ? bh_status_of_rocksdb(error) : status;
}

bh_status bh_iter_seek(bh_iter *iter, bh_view key)
{
	BH_TRY(enter_to_move(iter));
	rocksdb_iter_seek(iter->raw, (const char *)key.data, key.len);
	return leave(iter);
}

bh_status bh_iter_seek_for_prev(bh_iter *iter, bh_view key)
{
	BH_TRY(enter_to_move(iter));
	rocksdb_iter_seek_for_prev(iter->raw, (const char *)key.data, key.len);
	return leave(iter);
}

bh_status bh_iter_first(bh_iter *iter)
{
	BH_TRY(enter_to_move(iter));
	rocksdb_iter_seek_to_first(iter->raw);
	return leave(iter);
}

bh_status bh_iter_last(bh_iter *iter)
{
	BH_TRY(enter_to_move(iter));
	rocksdb_iter_seek_to_last(iter->raw);
	return leave(iter);
}

/* RocksDB asserts that an iterator which moves stands on an entry; one that does not simply stays where it is. */
bh_status bh_iter_next(bh_iter *iter)
{
	BH_TRY(enter_to_move(iter));
	if (rocksdb_iter_valid(iter->raw))
		rocksdb_iter_next(iter->raw);
	return leave(iter);
}

bh_status bh_iter_prev(bh_iter *iter)
{
	BH_TRY(enter_to_move(iter));
	if (rocksdb_iter_valid(iter->raw))
		rocksdb_iter_prev(iter->raw);
	return leave(iter);
}

bool bh_iter_valid(const bh_iter *iter)
{
	return iter->valid;
}

/* ---- looking */

static bh_status copy_inside(bh_iter *iter)
{
	bh_status status;

	BH_TRY(enter(iter));
	status = iter->valid ? copy_wanted(iter) : bh_fail(BH_E_NOT_FOUND, "the iterator stands on no entry");
	bh_gate_leave(&iter->merchant->gate);
	return status;
}

bh_status bh_iter_entry(bh_iter *iter, bh_view *key_out, bh_view *value_out)
{
	iter->wants_key = key_out != NULL;
	iter->wants_value = value_out != NULL;
	/* The copies are this thread's own: they are handed up without counting at the gate, but not past a closed one. */
	if (iter->valid && iter->has_key >= iter->wants_key && iter->has_value >= iter->wants_value && !atomic_load(&iter->ended))
		BH_TRY(bh_gate_check(&iter->merchant->gate, iter->merchant->name));
	else
		BH_TRY(copy_inside(iter));
	if (key_out != NULL)
		*key_out = bh_buf_view(&iter->key);
	if (value_out != NULL)
		*value_out = bh_buf_view(&iter->value);
	return BH_OK;
}
