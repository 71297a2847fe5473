/* SPDX-License-Identifier: Apache-2.0
 *
 * family_table.c: see family_table.h.
 */
#include "family_table.h"

#include <stdlib.h>

typedef struct bh_known_family {
	bh_scope scope;
	bh_dek *dek; /* newest; NULL: not asked yet */
	uint64_t log_number;
} family;

bool bh_family_table_init(bh_family_table *table)
{
	*table = (bh_family_table){ .changes = 0 };
	return pthread_rwlock_init(&table->lock, NULL) == 0;
}

static void family_free(family *f)
{
	if (f == NULL)
		return;
	bh_dek_unrefp(&f->dek);
	free(f);
}

void bh_family_table_clear(bh_family_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		family_free(table->families[i]);
	free(table->families);
	pthread_rwlock_destroy(&table->lock);
}

static family *family_of(const bh_family_table *table, uint32_t cf_id)
{
	return cf_id < table->count ? table->families[cf_id] : NULL;
}

static void note_change(bh_family_table *table)
{
	__atomic_add_fetch(&table->changes, 1, __ATOMIC_RELEASE);
}

uint64_t bh_family_table_changes(const bh_family_table *table)
{
	return __atomic_load_n(&table->changes, __ATOMIC_ACQUIRE);
}

bool bh_family_table_find(bh_family_table *table, uint32_t cf_id, bh_scope *scope_out, uint64_t *log_number_out, bh_dek **dek_out)
{
	const family *f;

	pthread_rwlock_rdlock(&table->lock);
	f = family_of(table, cf_id);
	if (f != NULL && scope_out != NULL)
		*scope_out = f->scope;
	if (f != NULL && log_number_out != NULL)
		*log_number_out = f->log_number;
	if (f != NULL && dek_out != NULL)
		*dek_out = f->dek != NULL ? bh_dek_ref(f->dek) : NULL;
	pthread_rwlock_unlock(&table->lock);
	return f != NULL;
}

static bh_status grow(bh_family_table *table, uint32_t cf_id)
{
	size_t count = BH_MAX((size_t)cf_id + 1, 2 * table->count);
	family **grown;

	if (cf_id < table->count)
		return BH_OK;
	if (cf_id >= BH_CF_ID_MAX)
		return bh_fail(BH_E_FORMAT, "column-family id %u is out of range", cf_id);
	grown = realloc(table->families, count * sizeof(*grown));
	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu column families", count);
	memset(grown + table->count, 0, (count - table->count) * sizeof(*grown));
	table->families = grown;
	table->count = count;
	return BH_OK;
}

/* A MANIFEST that is begun anew adds what there is already: log numbers only grow. */
static bh_status set(bh_family_table *table, uint32_t cf_id, const bh_scope *scope)
{
	const family *was;
	family *f;

	BH_TRY(grow(table, cf_id));
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for column family %u", cf_id);
	was = table->families[cf_id];
	*f = (family){ .scope = *scope, .log_number = was != NULL && bh_scope_is_same(&was->scope, scope) ? was->log_number : 0 };
	family_free(table->families[cf_id]);
	table->families[cf_id] = f;
	note_change(table);
	return BH_OK;
}

bh_status bh_family_table_set(bh_family_table *table, uint32_t cf_id, const bh_scope *scope)
{
	bh_status status;

	pthread_rwlock_wrlock(&table->lock);
	status = set(table, cf_id, scope);
	pthread_rwlock_unlock(&table->lock);
	return status;
}

void bh_family_table_drop(bh_family_table *table, uint32_t cf_id)
{
	pthread_rwlock_wrlock(&table->lock);
	if (family_of(table, cf_id) != NULL) {
		family_free(table->families[cf_id]);
		table->families[cf_id] = NULL;
		note_change(table);
	}
	pthread_rwlock_unlock(&table->lock);
}

void bh_family_table_note_log(bh_family_table *table, uint32_t cf_id, uint64_t number)
{
	family *f;

	pthread_rwlock_wrlock(&table->lock);
	f = family_of(table, cf_id);
	if (f != NULL)
		f->log_number = BH_MAX(f->log_number, number);
	pthread_rwlock_unlock(&table->lock);
}

void bh_family_table_keep_dek(bh_family_table *table, uint32_t cf_id, bh_dek *dek, uint64_t changes)
{
	family *f;

	pthread_rwlock_wrlock(&table->lock);
	f = family_of(table, cf_id);
	if (f != NULL && f->dek == NULL && table->changes == changes)
		f->dek = bh_dek_ref(dek);
	pthread_rwlock_unlock(&table->lock);
}

void bh_family_table_forget(bh_family_table *table)
{
	pthread_rwlock_wrlock(&table->lock);
	for (size_t i = 0; i < table->count; i++)
		if (table->families[i] != NULL)
			bh_dek_unrefp(&table->families[i]->dek);
	note_change(table);
	pthread_rwlock_unlock(&table->lock);
}
