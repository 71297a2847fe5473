/* SPDX-License-Identifier: Apache-2.0
 *
 * cache_kinds.h: caches that RocksDB's C API cannot make or look into.
 */
#ifndef BH_TESTS_CACHE_KINDS_H
#define BH_TESTS_CACHE_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <rocksdb/c.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cache_kind {
	CACHE_LRU,
	CACHE_HYPER_CLOCK,
	CACHE_SECONDARY,      /* an LRU cache with a compressed second tier */
	CACHE_COMPRESSED,     /* block_cache_compressed */
	CACHE_BLOBS,          /* an LRU cache for blobs alone */
	CACHE_BLOBS_SECONDARY /* the same with a second tier */
} cache_kind;

/* Whether this RocksDB has it. */
bool cache_kind_exists(cache_kind kind);
/* Sets one for `options`, of `capacity` bytes, uncompressed small blocks, index and filter blocks in the cache, too. */
void cache_kind_set(rocksdb_options_t *options, cache_kind kind, size_t capacity);
/* Bytes in the options' block cache, or their blob cache, if they have one; its capacity. */
size_t cache_kind_usage(const rocksdb_options_t *options);
size_t cache_kind_capacity(const rocksdb_options_t *options);

#ifdef __cplusplus
}
#endif
#endif
