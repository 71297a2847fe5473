/* SPDX-License-Identifier: Apache-2.0
 *
 * iter.c: iterators that end with their merchant.
 *
 * An open iterator pins files and blocks, so it cannot outlive its merchant's keys: it is a guest of its merchant (merchant.h),
 * and when the gate closes, RocksDB's half is destroyed. The caller's half stays, refuses, and still holds the copy of the last
 * entry looked at, until it is freed.
 */

#include <bulkhead/env.h>

#include <stddef.h>
#include <stdlib.h>
#include <bulkhead/db.h>
#include <bulkhead/bytes.h>
#include <stdatomic.h>

#include "engine/core/merchant.h"
#include "engine/core/unmerged.h"
#include "engine/core/gate.h"
#include "keyring/base/base.h"
#include "kv.h"

#include "engine/core/hurt.h"

#define SMALL 512u /* bytes of an entry that need no memory of their own */

/* Of an entry: what is wanted, what is copied. */
enum { KEY = 1, VALUE = 2 };

struct bh_iter {
	bh_guest guest;             /* first: the merchant ends it, and RocksDB's half with it */
	bh_merchant *merchant;      /* counted */
	bh_gate_seat seat;          /* in the merchant's gate: taken for every step */
	rocksdb_iterator_t *raw;    /* NULL once ended; touched from the seat, or with the gate closed and the seat free */
	_Atomic bool ended;         /* whether raw is NULL, for who has not taken the seat */
	rocksdb_readoptions_t *how; /* owned; NULL: the defaults */
	bool valid;
	bool on_entry;    /* RocksDB's half stands on one: nobody else moves it */
	unsigned copied;  /* of the entry it stands on */
	unsigned wanted;  /* what was looked at last: the next move, which is inside the gate anyway, copies it */
	uint8_t *entry;   /* the copy: the key, then the value; `small` or owned */
	size_t cap;       /* bytes at `entry` */
	size_t key_len;   /* 0: no key is copied, or an empty one */
	size_t value_len; /* the same */
	bool unmerged;    /* the value is a list of merges: unmerged.h */
	uint8_t small[SMALL];
};

/* ---- the copy */

static void drop_entry(bh_iter *iter)
{
	bh_wipe(iter->entry, iter->cap);
	if (iter->entry != iter->small)
		free(iter->entry);
}

static bh_status make_room(bh_iter *iter, size_t len)
{
	size_t cap = BH_MAX(len, 2 * iter->cap);
	uint8_t *entry = malloc(cap);

	if (entry == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for an entry of %zu bytes", len);
	drop_entry(iter);
	iter->entry = entry;
	iter->cap = cap;
	return BH_OK;
}

static const char *value_of(bh_iter *iter, size_t *len_out)
{
	bh_view value = { 0 };

	value.data = (const uint8_t *)rocksdb_iter_value(iter->raw, &value.len);
	iter->unmerged = bh_unmerged_is(iter->merchant->db, &value);
	*len_out = value.len;
	return (const char *)value.data;
}

/* From the seat, on an entry. */
static bh_status copy_wanted(bh_iter *iter)
{
	const char *key = NULL, *value = NULL;
	size_t key_len = 0, value_len = 0;

	if (iter->wanted & KEY)
		key = rocksdb_iter_key(iter->raw, &key_len);
	if (iter->wanted & VALUE)
		value = value_of(iter, &value_len);
	iter->copied = 0;
	if (key_len + value_len > iter->cap)
		BH_TRY(make_room(iter, key_len + value_len));
	if (key_len > 0)
		memcpy(iter->entry, key, key_len);
	if (value_len > 0)
		memcpy(iter->entry + key_len, value, value_len);
	iter->key_len = key_len;
	iter->value_len = value_len;
	iter->copied = iter->wanted;
	return BH_OK;
}

/* ---- life */

static void end_raw(bh_iter *iter)
{
	if (iter->raw != NULL)
		rocksdb_iter_destroy(iter->raw);
	if (iter->how != NULL)
		rocksdb_readoptions_destroy(iter->how);
	iter->raw = NULL;
	iter->how = NULL;
	atomic_store(&iter->ended, true);
	bh_guest_remove(&iter->guest);
}

static void end_guest(bh_guest *guest)
{
	bh_iter *iter = (bh_iter *)guest;

	bh_gate_seat_wait(&iter->seat);
	end_raw(iter);
}

static bh_status make_raw(bh_cf *cf, const bh_read_options *options, bh_iter *iter)
{
	rocksdb_readoptions_t *how;
	bool owned;

	BH_TRY(bh_read_options_make(cf->merchant, options, &how, &owned));
	iter->how = owned ? how : NULL;
	iter->raw = rocksdb_create_iterator_cf(cf->merchant->db->rocks, how, cf->cls->handle);
	iter->guest.end = end_guest;
	bh_guest_add(cf->merchant, &iter->guest);
	return BH_OK;
}

bh_status bh_iter_new(bh_cf *cf, const bh_read_options *options, bh_iter **out)
{
	bh_iter *iter = malloc(sizeof(*iter)); /* calloc() would clear `small`, and go past the thread's own cache of free memory */
	bh_status status;

	if (iter == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for an iterator");
	memset(iter, 0, offsetof(bh_iter, small));
	iter->entry = iter->small;
	iter->cap = sizeof(iter->small);
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
	return bh_done(BH_OK);
}

void bh_iter_free(bh_iter *iter)
{
	if (iter == NULL)
		return;
	pthread_mutex_lock(&iter->merchant->lock);
	if (iter->raw != NULL)
		end_raw(iter);
	pthread_mutex_unlock(&iter->merchant->lock);
	drop_entry(iter);
	bh_merchant_unref(iter->merchant);
	free(iter);
}

/* ---- moving */

/* Into the gate, and only with RocksDB's half still there: it does not come back when the merchant does. */
static bh_status enter(bh_iter *iter)
{
	BH_TRY(bh_gate_seat_enter(&iter->merchant->gate, &iter->seat, iter->merchant->name));
	if (iter->raw != NULL)
		return BH_OK;
	bh_gate_seat_leave(&iter->seat);
	return bh_fail(BH_E_SUSPENDED, "merchant '%s': was suspended after this iterator was made; make a new one",
		       iter->merchant->name);
}

static bh_status enter_to_move(bh_iter *iter)
{
	iter->valid = false;
	iter->copied = 0;
	return enter(iter);
}

static bh_status leave(bh_iter *iter)
{
	char *error = NULL;
	bh_status status = BH_OK;

	iter->valid = iter->on_entry = rocksdb_iter_valid(iter->raw);
	if (iter->valid) {
		status = copy_wanted(iter);
		iter->valid = status == BH_OK;
	} else {
		rocksdb_iter_get_error(iter->raw, &error);
	}
	if (error != NULL)
		status = bh_hurt_look(iter->merchant, bh_status_of_rocksdb(error));
	bh_gate_seat_leave(&iter->seat);
	return status;
}

bh_status bh_iter_seek(bh_iter *iter, bh_view key)
{
	BH_TRY(enter_to_move(iter));
	rocksdb_iter_seek(iter->raw, (const char *)key.data, key.len);
	return bh_done(leave(iter));
}

bh_status bh_iter_seek_for_prev(bh_iter *iter, bh_view key)
{
	BH_TRY(enter_to_move(iter));
	rocksdb_iter_seek_for_prev(iter->raw, (const char *)key.data, key.len);
	return bh_done(leave(iter));
}

bh_status bh_iter_first(bh_iter *iter)
{
	BH_TRY(enter_to_move(iter));
	rocksdb_iter_seek_to_first(iter->raw);
	return bh_done(leave(iter));
}

bh_status bh_iter_last(bh_iter *iter)
{
	BH_TRY(enter_to_move(iter));
	rocksdb_iter_seek_to_last(iter->raw);
	return bh_done(leave(iter));
}

/* RocksDB asserts that an iterator which moves stands on an entry; one that does not simply stays where it is. */
bh_status bh_iter_next(bh_iter *iter)
{
	BH_TRY(enter_to_move(iter));
	if (iter->on_entry)
		rocksdb_iter_next(iter->raw);
	return bh_done(leave(iter));
}

bh_status bh_iter_prev(bh_iter *iter)
{
	BH_TRY(enter_to_move(iter));
	if (iter->on_entry)
		rocksdb_iter_prev(iter->raw);
	return bh_done(leave(iter));
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
	bh_gate_seat_leave(&iter->seat);
	return status;
}

/* The copy is this thread's own, and was made inside the gate: it is handed up without entering again, but not past a gate that was
 * closed since. */
static bool has_wanted(const bh_iter *iter)
{
	return iter->valid && (iter->wanted & ~iter->copied) == 0 && !atomic_load(&iter->ended) &&
	       !bh_gate_is_shut(&iter->merchant->gate);
}

bh_status bh_iter_entry(bh_iter *iter, bh_view *key_out, bh_view *value_out)
{
	iter->wanted = (key_out != NULL ? KEY : 0u) | (value_out != NULL ? VALUE : 0u);
	if (!has_wanted(iter))
		BH_TRY(copy_inside(iter));
	if (key_out != NULL)
		*key_out = bh_view_of(iter->entry, iter->key_len);
	if (value_out == NULL)
		return bh_done(BH_OK);
	*value_out = bh_view_of(iter->entry + iter->key_len, iter->value_len);
	return iter->unmerged ? bh_unmerged_fail() : bh_done(BH_OK);
}
