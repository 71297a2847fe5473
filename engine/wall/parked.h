/* SPDX-License-Identifier: Apache-2.0
 *
 * parked.h: what was parked, opened by RocksDB where it is lent, through a view of the Env in which its merchant is alone.
 *
 * Thread-safety: one thread.
 */
#ifndef BH_PARKED_H
#define BH_PARKED_H

#include "engine/core/family_set.h"
#include "engine/core/merchant.h"
#include "pacer.h"

/* All zero is closed. */
typedef struct bh_parked {
	bh_buf path;    /* where it is lent, with a NUL behind it: the caller's to set before */
	bh_pacer pacer; /* its WALs may hold everybody's rows */
	bh_fs *view;    /* env's */
	rocksdb_env_t *env;
	rocksdb_options_t *options;
	bh_family_set set;
	rocksdb_t *rocks;
	_Atomic bool hurt; /* a file was found to be damaged */
} bh_parked;

/* Without these SSTs, whatever its MANIFEST says. It is to be closed after a failure, too. Errors: those of RocksDB and the Env. */
BH_MUST_CHECK bh_status bh_parked_open(bh_db *db, const char *merchant, const uint64_t *hidden, size_t hidden_count, bh_parked *p);
void bh_parked_close(bh_parked *p);
/* The family of one class; NULL: it was never made. */
rocksdb_column_family_handle_t *bh_parked_handle(const bh_parked *p, const bh_merchant *merchant, const bh_class *cls);

#endif
