// SPDX-License-Identifier: Apache-2.0
//
// cache_kinds.cc: see cache_kinds.h.
#include "cache_kinds.h"

#include "env/bridge/version.hh"

using namespace ROCKSDB_NAMESPACE;

namespace
{

// The C API's handle begins with the object, see rocksdb/db/c.cc.
Options &OptionsOf(const rocksdb_options_t *options)
{
	return *reinterpret_cast<Options *>(const_cast<rocksdb_options_t *>(options));
}

std::shared_ptr<Cache> LruWithSecond(size_t capacity, bool second)
{
	LRUCacheOptions lru;
	lru.capacity = capacity;
	if (second)
		lru.secondary_cache = NewCompressedSecondaryCache(capacity);
	return NewLRUCache(lru);
}

// RocksDB had such a cache up to 7.10.
template <class Table>
auto SetCompressed(Table *table, const std::shared_ptr<Cache> &cache, int) -> decltype(table->block_cache_compressed = cache, true)
{
	table->block_cache_compressed = cache;
	return true;
}

template <class Table> bool SetCompressed(Table *, const std::shared_ptr<Cache> &, long)
{
	return false;
}

std::shared_ptr<Cache> CacheOf(const rocksdb_options_t *options)
{
	Options &o = OptionsOf(options);
	const auto *table = o.table_factory->GetOptions<BlockBasedTableOptions>();
	return o.blob_cache != nullptr || table == nullptr ? o.blob_cache : table->block_cache;
}

} // namespace

bool cache_kind_exists(cache_kind kind)
{
	BlockBasedTableOptions table;
	return kind != CACHE_COMPRESSED || SetCompressed(&table, nullptr, 0);
}

void cache_kind_set(rocksdb_options_t *options, cache_kind kind, size_t capacity)
{
	BlockBasedTableOptions table;
	table.cache_index_and_filter_blocks = true;
	table.block_size = 1024;
	if (kind == CACHE_HYPER_CLOCK)
		table.block_cache = HyperClockCacheOptions(capacity, 1024).MakeSharedCache();
	else
		table.block_cache = LruWithSecond(capacity, kind == CACHE_SECONDARY);
	if (kind == CACHE_COMPRESSED)
		(void)SetCompressed(&table, NewLRUCache(capacity), 0);
	if (kind == CACHE_BLOBS || kind == CACHE_BLOBS_SECONDARY)
		OptionsOf(options).blob_cache = LruWithSecond(capacity, kind == CACHE_BLOBS_SECONDARY);
	OptionsOf(options).table_factory.reset(NewBlockBasedTableFactory(table));
	OptionsOf(options).compression = kNoCompression;
}

size_t cache_kind_usage(const rocksdb_options_t *options)
{
	return CacheOf(options)->GetUsage();
}

size_t cache_kind_capacity(const rocksdb_options_t *options)
{
	return CacheOf(options)->GetCapacity();
}
