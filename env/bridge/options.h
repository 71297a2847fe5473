/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h: a template of RocksDB's options looked at and changed, for the C side: what the C API does not tell or set.
 */
#ifndef BH_BRIDGE_OPTIONS_H
#define BH_BRIDGE_OPTIONS_H

#include <rocksdb/c.h>

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Refuses options that break Bulkhead's promises, naming the option. Errors: BH_E_UNSUPPORTED. */
BH_MUST_CHECK bh_status bh_bridge_check_options(const rocksdb_options_t *options);
/* The same of those that break what bh_db promises and the Env alone does not: snapshots, merchants that do not wait for each
 * other. */
BH_MUST_CHECK bh_status bh_bridge_check_promises(const rocksdb_options_t *options);

/* The name of the merge operator ("": none), or of the comparator, appended to `out`. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_bridge_merge_operator(const rocksdb_options_t *options, bh_buf *out);
BH_MUST_CHECK bh_status bh_bridge_comparator(const rocksdb_options_t *options, bh_buf *out);

/* Whether RocksDB is to fail where it cannot write its OPTIONS file. */
bool bh_bridge_options_file_must_be_written(const rocksdb_options_t *options);
/* It is not, where RocksDB leaves the choice. */
void bh_bridge_let_options_file_fail(rocksdb_options_t *options);
/* Whether each level has a compression of its own (compression_per_level), for which the C API has no getter. */
bool bh_bridge_compresses_by_level(const rocksdb_options_t *options);
/* Lets new tables have block-based format version 5 at most: RocksDB 9.0 and later write a newer one of their own accord, which
 * RocksDB before 8.6 does not read. */
void bh_bridge_bound_table_format(rocksdb_options_t *options);
/* Lets new tables have `format` at least, where that is newer than what bh_bridge_bound_table_format() leaves. */
void bh_bridge_keep_table_format(rocksdb_options_t *options, unsigned format);
/* The newest block-based format version that this RocksDB reads. */
unsigned bh_bridge_newest_table_format(void);

/* Sets one option from its text in an OPTIONS file. Returns whether RocksDB itself can make what it names; `options` stay as they
 * are if not. */
bool bh_bridge_set_from_text(rocksdb_options_t *options, const char *name, bh_view value);

#ifdef __cplusplus
}
#endif
#endif
