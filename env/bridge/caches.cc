// SPDX-License-Identifier: Apache-2.0
//
// caches.cc: see caches.h.
//
// Lock order: the list of merchants, one merchant's notes, then the cache's own locks.
#include "caches.h"

#include <rocksdb/memory_allocator.h>
#include <rocksdb/table.h>

#include <malloc.h>

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "handles.hh"

using namespace ROCKSDB_NAMESPACE;

namespace
{

// A type of our own, so that RocksDB's sets of numbers do not come to use this object's code: a sanitizer would see half of it.
struct PrefixHash {
	size_t operator()(uint64_t prefix) const { return static_cast<size_t>(prefix); }
};
using Prefixes = std::unordered_set<uint64_t, PrefixHash>;

uint64_t PrefixOf(const Slice &key)
{
	uint64_t prefix = 0;
	memcpy(&prefix, key.data(), std::min(key.size(), sizeof(prefix)));
	return prefix;
}

std::vector<std::string> KeysOf(Cache *cache, const Prefixes &prefixes)
{
	std::vector<std::string> keys;
	bridge::ForEachCached(cache, [&](const Slice &key) {
		if (prefixes.count(PrefixOf(key)) != 0)
			keys.push_back(key.ToString());
	});
	return keys;
}

void EraseFrom(Cache *cache, const Prefixes &prefixes)
{
	if (prefixes.empty())
		return;
	for (const std::string &key : KeysOf(cache, prefixes))
		cache->Erase(key);
}

// Which files have had blocks in one cache for one merchant.
class Notes
{
public:
	// After the block went in, so that whoever goes through the cache finds the one or the other. Blocks come in runs of the
	// same files, hence the look without the lock first.
	void Note(const Slice &key, Cache *cache)
	{
		uint64_t prefix = PrefixOf(key);
		if (prefix == 0) // no block's: what RocksDB reserves memory by
			return;
		std::atomic<uint64_t> &recent = recent_[prefix % recent_.size()];
		if (recent.load() == prefix)
			return;
		std::lock_guard<std::mutex> lock(mutex_);
		prefixes_.insert(prefix);
		recent.store(prefix);
		if (prefixes_.size() >= limit_)
			Prune(cache);
	}

	Prefixes Take()
	{
		std::lock_guard<std::mutex> lock(mutex_);
		ForgetRecent();
		return std::move(prefixes_);
	}

private:
	void ForgetRecent()
	{
		for (auto &recent : recent_)
			recent.store(0);
	}

	// Files come and go: those without a block in the cache are not remembered for ever.
	void Prune(Cache *cache)
	{
		Prefixes left;
		ForgetRecent();
		for (const std::string &key : KeysOf(cache, prefixes_))
			left.insert(PrefixOf(key));
		prefixes_ = std::move(left);
		limit_ = std::max(kLimitMin, 2 * prefixes_.size());
	}

	static constexpr size_t kLimitMin = 1024;
	std::mutex mutex_; // guards the next two
	Prefixes prefixes_;
	size_t limit_ = kLimitMin;
	std::array<std::atomic<uint64_t>, 64> recent_{};
};

// Lives for ever: blocks may outlive whoever put them into a cache.
class WipingAllocator : public MemoryAllocator
{
public:
	const char *Name() const override { return "BulkheadWipingAllocator"; }
	void *Allocate(size_t size) override { return malloc(size); }
	void Deallocate(void *p) override
	{
		if (p != nullptr)
			bh_wipe(p, malloc_usable_size(p));
		free(p);
	}
	size_t UsableSize(void *p, size_t) const override { return malloc_usable_size(p); }
};

std::shared_ptr<MemoryAllocator> AllocatorFor(const std::shared_ptr<Cache> &cache)
{
	static WipingAllocator *const wiping = new WipingAllocator();
	if (cache->memory_allocator() != nullptr)
		return std::shared_ptr<MemoryAllocator>(cache, cache->memory_allocator());
	return std::shared_ptr<MemoryAllocator>(wiping, [](MemoryAllocator *) {});
}

// A cache, with notes of what goes in.
class TaggedCache : public bridge::CacheForward
{
public:
	explicit TaggedCache(const std::shared_ptr<Cache> &target) : CacheForward(target, AllocatorFor(target)) {}

	void EraseAll() { EraseFrom(target().get(), notes_.Take()); }
	Prefixes Take() { return notes_.Take(); }
	const char *Name() const override { return "BulkheadTaggedCache"; }

protected:
	// Not RocksDB's collector of statistics, which stays in the cache with pointers to the front and to the clock of the
	// database that it was put in by, and is found there by the next one when these are gone.
	bool Takes(size_t charge) const override { return charge != 0; }
	void Took(const Slice &key) override { notes_.Note(key, target().get()); }

private:
	Notes notes_;
};

// What one merchant's options have in place of the template's: its fronts, and the table factory that uses one.
struct Fronts {
	std::vector<std::shared_ptr<TaggedCache>> caches;
	std::shared_ptr<TableFactory> made_from, factory;

	std::shared_ptr<Cache> FrontOf(const std::shared_ptr<Cache> &cache)
	{
		for (const auto &front : caches)
			if (front == cache || front->target() == cache)
				return front;
		caches.push_back(std::make_shared<TaggedCache>(cache));
		return caches.back();
	}
};

} // namespace

struct bh_block_caches {
	std::mutex mutex; // guards the map and what is in it, but for what the fronts note
	std::map<std::string, Fronts> merchants;
};

bh_block_caches *bh_block_caches_new(void)
{
	return new bh_block_caches();
}

void bh_block_caches_free(bh_block_caches *caches)
{
	if (caches == nullptr)
		return;
	std::map<std::shared_ptr<Cache>, Prefixes> all; // one walk a cache
	for (auto &merchant : caches->merchants)
		for (const auto &front : merchant.second.caches)
			all[front->target()].merge(front->Take());
	for (const auto &cache : all)
		EraseFrom(cache.first.get(), cache.second);
	delete caches;
}

void bh_block_caches_tag(bh_block_caches *caches, rocksdb_options_t *options, const char *merchant)
{
	Options &o = options->rep;
	const auto *table = o.table_factory != nullptr ? o.table_factory->GetOptions<BlockBasedTableOptions>() : nullptr;
	std::lock_guard<std::mutex> lock(caches->mutex);
	Fronts &fronts = caches->merchants[merchant];
	if (o.blob_cache != nullptr)
		o.blob_cache = fronts.FrontOf(o.blob_cache);
	if (table == nullptr || table->block_cache == nullptr)
		return;
	if (fronts.made_from != o.table_factory && fronts.factory != o.table_factory) {
		BlockBasedTableOptions own = *table;
		own.block_cache = fronts.FrontOf(own.block_cache);
		fronts.made_from = o.table_factory;
		fronts.factory.reset(NewBlockBasedTableFactory(own));
	}
	o.table_factory = fronts.factory;
}

void bh_block_caches_forget(bh_block_caches *caches, const char *merchant)
{
	std::vector<std::shared_ptr<TaggedCache>> fronts;
	{
		std::lock_guard<std::mutex> lock(caches->mutex);
		auto found = caches->merchants.find(merchant);
		if (found != caches->merchants.end())
			fronts = found->second.caches;
	}
	for (const auto &front : fronts)
		front->EraseAll();
}
