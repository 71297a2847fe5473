/* SPDX-License-Identifier: Apache-2.0
 *
 * dek_table.h: the unwrapped DEKs of a keyring, by id and by scope. Thread-safety: none; the keyring guards it with its `lock`.
 */
#ifndef BH_DEK_TABLE_H
#define BH_DEK_TABLE_H

#include "dek.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Unwrapped DEKs, one counted reference each, in two orders. */
typedef struct bh_dek_table {
	bh_dek **by_id;
	bh_dek **by_scope; /* merchant, class, then generation; borrows */
	size_t count;
	size_t cap;
} bh_dek_table;

/* All calls change the table, but for find and current, which return borrowed references or NULL. */
BH_MUST_CHECK bh_status bh_dek_table_reserve(bh_dek_table *table, size_t extra);
void bh_dek_table_insert(bh_dek_table *table,
			 bh_dek *dek); /* takes a reference of its own; room is reserved; a known id is left alone */
void bh_dek_table_remove(bh_dek_table *table, const uint8_t id[BH_ID_LEN]); /* nothing, if it is not there */
void bh_dek_table_remove_merchant(bh_dek_table *table, const char *merchant);
bh_dek *bh_dek_table_find(const bh_dek_table *table, const uint8_t id[BH_ID_LEN]);
bh_dek *bh_dek_table_current(const bh_dek_table *table, const bh_scope *scope); /* newest generation */
void bh_dek_table_clear(bh_dek_table *table);

#ifdef __cplusplus
}
#endif
#endif
