/* SPDX-License-Identifier: Apache-2.0
 *
 * kv.h: what reads and writes of one class share.
 */
#ifndef BH_ENGINE_KV_H
#define BH_ENGINE_KV_H

#include "engine/core/merchant.h"

/* Read options for a call: the shared default, or ones of its own that *owned_out says must be destroyed. Inside the gate. */
BH_MUST_CHECK bh_status bh_read_options_make(bh_merchant *merchant, const bh_read_options *options, rocksdb_readoptions_t **out,
					     bool *owned_out);
/* Refuses a merge where there is no operator (BH_E_UNSUPPORTED): of a batch RocksDB would write it to the log, then find that it
 * cannot apply it, and take no write of anybody's any more. */
BH_MUST_CHECK bh_status bh_merge_check(const bh_db *db);
rocksdb_writeoptions_t *bh_write_options_pick(const bh_db *db, const bh_write_options *options);

#endif
