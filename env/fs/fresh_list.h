/* SPDX-License-Identifier: Apache-2.0
 *
 * fresh_list.h: the list of logs in memory, and how it is written down: in KEYRING's commit mark, and in the file of older ones.
 * For fresh.c alone. All calls under its `lock`.
 */
#ifndef BH_FRESH_LIST_H
#define BH_FRESH_LIST_H

#include "fresh.h"

/* Where the first WAL of this number stands, or would; whether one of it stands there. */
size_t bh_fresh_list_at(const bh_fresh *f, uint64_t number);
bool bh_fresh_list_has(const bh_fresh *f, size_t i, uint64_t number);
/* Whether it is this very file. */
bool bh_fresh_list_is(const bh_ledger_log *log, const bh_header *header);
bh_fresh_wal *bh_fresh_list_find(const bh_fresh *f, const bh_header *header); /* NULL: there is none */
BH_MUST_CHECK bh_status bh_fresh_list_insert(bh_fresh *f, const bh_fresh_wal *wal);
void bh_fresh_list_remove(bh_fresh *f, size_t i);
bh_ledger_log bh_fresh_list_log(const bh_header *header, uint64_t end);
/* The WAL or MANIFEST on the list, to be changed; NULL: it is not there. */
bh_ledger_log *bh_fresh_list_listed(bh_fresh *f, const bh_header *header);

/* Writes the commit mark. Only for a list that fits in it. */
BH_MUST_CHECK bh_status bh_fresh_list_put(bh_fresh *f);
/* Writes the list down. What this fails with leaves the one on the disk behind; the next one is written as a whole. */
BH_MUST_CHECK bh_status bh_fresh_list_write(bh_fresh *f);
/* A failure that nobody is told of: what this thread was told before stays. */
void bh_fresh_list_try_write(bh_fresh *f);

#endif
