/* SPDX-License-Identifier: Apache-2.0
 *
 * family_table.h: which column families a database has: what MANIFEST edits have added, and none dropped. Of each its class, its
 * newest DEK as far as it was asked for, and from which WAL on it has rows that are in no SST.
 *
 * Ids grow for as long as the database lives: the table is indexed by id, and the ids of the past cost a pointer each.
 * Thread-safety: all calls but init and clear.
 */
#ifndef BH_FAMILY_TABLE_H
#define BH_FAMILY_TABLE_H

#include <pthread.h>

#include "env/format/scopes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_family_table {
	pthread_rwlock_t lock;
	struct bh_known_family **families; /* [count], by id; owned; NULL: unknown */
	size_t count;
	uint64_t changes; /* of the table and its DEKs; grows under the lock, read without it */
} bh_family_table;

BH_MUST_CHECK bool bh_family_table_init(bh_family_table *table);
void bh_family_table_clear(bh_family_table *table);

/* What is known of a family; false: it is not. `dek_out`: counted, NULL where it has to be asked for. Any output may be NULL. */
bool bh_family_table_find(bh_family_table *table, uint32_t cf_id, bh_scope *scope_out, uint64_t *log_number_out, bh_dek **dek_out);
/* The id is of this class from now on. Errors: BH_E_FORMAT (an id out of range), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_family_table_set(bh_family_table *table, uint32_t cf_id, const bh_scope *scope);
void bh_family_table_drop(bh_family_table *table, uint32_t cf_id);
/* It has a log number, of which the largest counts. */
void bh_family_table_note_log(bh_family_table *table, uint32_t cf_id, uint64_t number);

uint64_t bh_family_table_changes(const bh_family_table *table);
/* Keeps the DEK that was asked for when there had been `changes`: not if there are more by now, for it may be an old one, or one
 * that was taken away. */
void bh_family_table_keep_dek(bh_family_table *table, uint32_t cf_id, bh_dek *dek, uint64_t changes);
/* Lets go of all DEKs. */
void bh_family_table_forget(bh_family_table *table);

#ifdef __cplusplus
}
#endif
#endif
