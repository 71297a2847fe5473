/* SPDX-License-Identifier: Apache-2.0
 *
 * family_set.h: a RocksDB opened with all the column families that its MANIFEST shows, each in its class's directory.
 */
#ifndef BH_FAMILY_SET_H
#define BH_FAMILY_SET_H

#include <rocksdb/c.h>

#include "env/bridge/caches.h"
#include "keyring/dek/context.h"
#include "keyring/base/base.h"

/* All zero is empty. Released with bh_family_set_clear(), which leaves the handles to whoever took them. */
typedef struct bh_family_set {
	char **names;
	size_t count;
	rocksdb_options_t **options;
	rocksdb_column_family_handle_t **handles;
} bh_family_set;
void bh_family_set_clear(bh_family_set *set);

/* Makes options those of a class: where its files lie, and whose what it caches is. Errors: as bh_options_use_class(). */
BH_MUST_CHECK bh_status bh_class_options_set(rocksdb_options_t *options, bh_block_caches *caches, const char *dir,
					     const bh_scope *scope);

/* Opens the RocksDB in `dir` with copies of `options` (whose Env seals, and whose caches are shared through `caches`), or makes it
 * if it has no CURRENT and create_if_missing is set. `read_only`: WALs are recovered into memory alone, and nothing is written. On
 * failure of RocksDB there are no handles. Errors: those of RocksDB and the Env; BH_E_INVALID (a family's name), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_family_set_open(const rocksdb_options_t *options, bh_block_caches *caches, const char *dir,
					   bool read_only, bh_family_set *out, rocksdb_t **rocks_out);

#endif
