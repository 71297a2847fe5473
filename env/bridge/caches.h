/* SPDX-License-Identifier: Apache-2.0
 *
 * caches.h: whose blocks lie in a cache that all merchants share, so that one merchant's can be taken out of it.
 *
 * A block cache knows keys of blocks, and a key does not say whose block it is. So the tables of each merchant get the template's
 * cache through a thin front (caches.cc) that notes, for that merchant, which files' blocks went in: the first 8 bytes of a key are
 * the same for all blocks of a file. Taking out goes through the cache once and erases what has one of these. Capacity is never
 * touched, nor what other merchants, other databases or the platform have there. Memory of a merchant's blocks is wiped when it is
 * freed, whenever that is, unless the cache has an allocator of its user's.
 *
 * Thread-safety: all calls but free.
 */
#ifndef BH_BRIDGE_CACHES_H
#define BH_BRIDGE_CACHES_H

#include <rocksdb/c.h>

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_block_caches bh_block_caches;

bh_block_caches *bh_block_caches_new(void);
/* Takes out everything that any merchant has in them. After the database is closed. NULL-safe. */
void bh_block_caches_free(bh_block_caches *caches);

/* Lets tables and blob files that are opened with `options` fill their caches (of blocks, of blobs) as `merchant`'s; "": the
 * platform's. All families of a database get their options from here: RocksDB's statistics of what a cache holds are none then. */
void bh_block_caches_tag(bh_block_caches *caches, rocksdb_options_t *options, const char *merchant);

/* Takes out what is cached of the merchant. A block that is being read leaves when its reader has ended. */
void bh_block_caches_forget(bh_block_caches *caches, const char *merchant);

#ifdef __cplusplus
}
#endif
#endif
