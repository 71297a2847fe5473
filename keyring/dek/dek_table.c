/* SPDX-License-Identifier: Apache-2.0
 *
 * dek_table.c: the unwrapped DEKs of a keyring, found by id or by scope in a few comparisons: the engine asks for one on nearly
 * every append to a shared file. Changes cost a move of the arrays, and come once in the life of a merchant.
 *
 * Thread-safety: none; the keyring's `lock` guards it.
 */
#include <stdlib.h>

#include "dek_table.h"

bh_status bh_dek_table_reserve(bh_dek_table *table, size_t extra)
{
	if (extra <= table->cap - table->count)
		return BH_OK;

	size_t cap = BH_MAX(table->cap * 2, table->count + extra);
	bh_dek **by_id = realloc(table->by_id, cap * sizeof(*by_id));
	if (by_id != NULL)
		table->by_id = by_id;
	bh_dek **by_scope = realloc(table->by_scope, cap * sizeof(*by_scope));
	if (by_scope != NULL)
		table->by_scope = by_scope;
	if (by_id == NULL || by_scope == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu DEKs", cap);
	table->cap = cap;
	return BH_OK;
}

static int scope_compare(const bh_dek *dek, const bh_scope *scope)
{
	int order = strcmp(bh_dek_scope(dek)->merchant, scope->merchant);

	return order != 0 ? order : strcmp(bh_dek_scope(dek)->cls, scope->cls);
}

/* Index of the first DEK whose id is not below `id`. */
static size_t id_bound(const bh_dek_table *table, const uint8_t id[BH_ID_LEN])
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memcmp(bh_dek_id(table->by_id[middle]), id, BH_ID_LEN) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Index of the first DEK that comes behind all of `scope` up to `generation`. */
static size_t scope_bound(const bh_dek_table *table, const bh_scope *scope, uint32_t generation)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = scope_compare(table->by_scope[middle], scope);
		if (order < 0 || (order == 0 && bh_dek_generation(table->by_scope[middle]) <= generation))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void slot_open(bh_dek **slots, size_t count, size_t at)
{
	memmove(slots + at + 1, slots + at, (count - at) * sizeof(*slots));
}

void bh_dek_table_insert(bh_dek_table *table, bh_dek *dek)
{
	if (bh_dek_table_find(table, bh_dek_id(dek)) != NULL)
		return;

	size_t by_id = id_bound(table, bh_dek_id(dek));
	size_t by_scope = scope_bound(table, bh_dek_scope(dek), bh_dek_generation(dek));
	slot_open(table->by_id, table->count, by_id);
	slot_open(table->by_scope, table->count, by_scope);
	table->by_id[by_id] = bh_dek_ref(dek);
	table->by_scope[by_scope] = dek;
	table->count++;
}

static bool is_of(const bh_dek *dek, const char *merchant)
{
	return strcmp(bh_dek_scope(dek)->merchant, merchant) == 0;
}

/* by_scope first: it only borrows what by_id then lets go. */
void bh_dek_table_remove_merchant(bh_dek_table *table, const char *merchant)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->count; i++) {
		if (!is_of(table->by_scope[i], merchant))
			table->by_scope[kept++] = table->by_scope[i];
	}
	kept = 0;
	for (size_t i = 0; i < table->count; i++) {
		if (is_of(table->by_id[i], merchant))
			bh_dek_unref(table->by_id[i]);
		else
			table->by_id[kept++] = table->by_id[i];
	}
	table->count = kept;
}

void bh_dek_table_remove(bh_dek_table *table, const uint8_t id[BH_ID_LEN])
{
	bh_dek *dek = bh_dek_table_find(table, id);

	if (dek == NULL)
		return;
	size_t by_id = id_bound(table, id), by_scope = 0;
	while (table->by_scope[by_scope] != dek)
		by_scope++;
	table->count--;
	memmove(table->by_id + by_id, table->by_id + by_id + 1, (table->count - by_id) * sizeof(*table->by_id));
	memmove(table->by_scope + by_scope, table->by_scope + by_scope + 1, (table->count - by_scope) * sizeof(*table->by_scope));
	bh_dek_unref(dek);
}

bh_dek *bh_dek_table_find(const bh_dek_table *table, const uint8_t id[BH_ID_LEN])
{
	size_t at = id_bound(table, id);

	if (at == table->count || memcmp(bh_dek_id(table->by_id[at]), id, BH_ID_LEN) != 0)
		return NULL;
	return table->by_id[at];
}

bh_dek *bh_dek_table_current(const bh_dek_table *table, const bh_scope *scope)
{
	size_t behind = scope_bound(table, scope, UINT32_MAX);

	if (behind == 0 || scope_compare(table->by_scope[behind - 1], scope) != 0)
		return NULL;
	return table->by_scope[behind - 1];
}

void bh_dek_table_clear(bh_dek_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		bh_dek_unref(table->by_id[i]);
	free(table->by_id);
	free(table->by_scope);
	*table = (bh_dek_table){ 0 };
}
