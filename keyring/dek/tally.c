/* SPDX-License-Identifier: Apache-2.0
 *
 * tally.c: see tally.h.
 */
#include "tally.h"

#include <stdatomic.h>
#include <stdlib.h>

struct bh_tally {
	_Atomic uint64_t bytes;
	_Atomic uint32_t refs;
};

bh_status bh_tally_new(bh_tally **out)
{
	bh_tally *tally = malloc(sizeof(*tally));

	if (tally == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the tally of a DEK");
	atomic_init(&tally->bytes, 0);
	atomic_init(&tally->refs, 1);
	*out = tally;
	return BH_OK;
}

bh_tally *bh_tally_ref(bh_tally *tally)
{
	atomic_fetch_add_explicit(&tally->refs, 1, memory_order_relaxed);
	return tally;
}

void bh_tally_unref(bh_tally *tally)
{
	if (tally != NULL && atomic_fetch_sub_explicit(&tally->refs, 1, memory_order_acq_rel) == 1)
		free(tally);
}

void bh_tally_add(bh_tally *tally, uint64_t bytes)
{
	atomic_fetch_add_explicit(&tally->bytes, bytes, memory_order_relaxed);
}

void bh_tally_raise(bh_tally *tally, uint64_t bytes)
{
	uint64_t have = bh_tally_get(tally);

	while (have < bytes &&
	       !atomic_compare_exchange_weak_explicit(&tally->bytes, &have, bytes, memory_order_relaxed, memory_order_relaxed))
		;
}

uint64_t bh_tally_get(const bh_tally *tally)
{
	return atomic_load_explicit(&tally->bytes, memory_order_relaxed);
}

/* The table */

bh_status bh_tally_table_reserve(bh_tally_table *table, size_t extra)
{
	if (extra <= table->cap - table->count)
		return BH_OK;

	size_t cap = BH_MAX(table->cap * 2, table->count + extra);
	bh_tally_entry *entries = realloc(table->entries, cap * sizeof(*entries));
	if (entries == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu tallies", cap);
	table->entries = entries;
	table->cap = cap;
	return BH_OK;
}

/* Index of the first whose id is not below `id`. */
static size_t bound(const bh_tally_table *table, const uint8_t id[BH_ID_LEN])
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memcmp(table->entries[middle].id, id, BH_ID_LEN) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const bh_tally_table *table, size_t at, const uint8_t id[BH_ID_LEN])
{
	return at < table->count && memcmp(table->entries[at].id, id, BH_ID_LEN) == 0;
}

bh_tally *bh_tally_table_find(const bh_tally_table *table, const uint8_t id[BH_ID_LEN])
{
	size_t at = bound(table, id);

	return is_at(table, at, id) ? table->entries[at].tally : NULL;
}

void bh_tally_table_insert(bh_tally_table *table, const uint8_t id[BH_ID_LEN], bh_tally *tally)
{
	size_t at = bound(table, id);
	bh_tally_entry *entry = &table->entries[at];

	memmove(entry + 1, entry, (table->count - at) * sizeof(*entry));
	memcpy(entry->id, id, BH_ID_LEN);
	entry->tally = bh_tally_ref(tally);
	table->count++;
}

void bh_tally_table_remove(bh_tally_table *table, const uint8_t id[BH_ID_LEN])
{
	size_t at = bound(table, id);

	if (!is_at(table, at, id))
		return;
	bh_tally_unref(table->entries[at].tally);
	table->count--;
	memmove(&table->entries[at], &table->entries[at + 1], (table->count - at) * sizeof(*table->entries));
}

void bh_tally_table_clear(bh_tally_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		bh_tally_unref(table->entries[i].tally);
	free(table->entries);
	*table = (bh_tally_table){ 0 };
}
