// SPDX-License-Identifier: Apache-2.0
//
// cache_forward.hh: a cache that is another one, for RocksDB 8.9 and later. Part of version.hh.
#ifndef BH_BRIDGE_CACHE_FORWARD_HH
#define BH_BRIDGE_CACHE_FORWARD_HH

#include <rocksdb/advanced_cache.h>

#include <memory>
#include <string>
#include <utility>

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

// The key of each entry.
template <class Visit> void ForEachCached(Cache *cache, Visit visit)
{
	cache->ApplyToAllEntries([&](const Slice &key, Cache::ObjectPtr, size_t, const Cache::CacheItemHelper *) { visit(key); },
				 {});
}

// Entries and handles are the target's own. What derives from this is asked before an entry goes in, and told after.
class CacheForward : public CacheWrapper
{
public:
	CacheForward(std::shared_ptr<Cache> target, std::shared_ptr<MemoryAllocator> allocator) : CacheWrapper(std::move(target))
	{
		memory_allocator_ = std::move(allocator);
	}

	const std::shared_ptr<Cache> &target() const { return target_; }

	Status Insert(const Slice &key, ObjectPtr value, const CacheItemHelper *helper, size_t charge, Handle **handle,
		      Priority priority, const Slice &compressed, CompressionType type) override
	{
		if (!Takes(charge))
			return Status::NotSupported("an entry that takes no room");
		Status s = target_->Insert(key, value, helper, charge, handle, priority, compressed, type);
		Took(key);
		return s;
	}
	bool Release(Handle *handle, bool erase_if_last_ref) override { return target_->Release(handle, erase_if_last_ref); }
	bool Release(Handle *handle, bool useful, bool erase_if_last_ref) override
	{
		return target_->Release(handle, useful, erase_if_last_ref);
	}
	std::string GetPrintableOptions() const override { return target_->GetPrintableOptions(); }
	void DisownData() override { target_->DisownData(); }

protected:
	virtual bool Takes(size_t charge) const = 0;
	virtual void Took(const Slice &key) = 0;
};

} // namespace bridge

#endif
