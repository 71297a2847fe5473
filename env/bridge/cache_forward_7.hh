// SPDX-License-Identifier: Apache-2.0
//
// cache_forward_7.hh: cache_forward.hh's for RocksDB 7.8. Part of version.hh.
#ifndef BH_BRIDGE_CACHE_FORWARD_7_HH
#define BH_BRIDGE_CACHE_FORWARD_7_HH

#include <rocksdb/cache.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

template <class Visit> void ForEachCached(Cache *cache, Visit visit)
{
	cache->ApplyToAllEntries([&](const Slice &key, void *, size_t, Cache::DeleterFn) { visit(key); }, {});
}

class CacheForward : public Cache
{
public:
	CacheForward(std::shared_ptr<Cache> target, std::shared_ptr<MemoryAllocator> allocator)
		: Cache(std::move(allocator)), target_(std::move(target))
	{
	}

	const std::shared_ptr<Cache> &target() const { return target_; }

	Status Insert(const Slice &key, void *value, size_t charge, DeleterFn deleter, Handle **handle, Priority priority) override
	{
		if (!Takes(charge))
			return Status::NotSupported("an entry that takes no room");
		Status s = target_->Insert(key, value, charge, deleter, handle, priority);
		Took(key);
		return s;
	}
	Status Insert(const Slice &key, void *value, const CacheItemHelper *helper, size_t charge, Handle **handle,
		      Priority priority) override
	{
		Status s = target_->Insert(key, value, helper, charge, handle, priority);
		Took(key);
		return s;
	}
	Handle *Lookup(const Slice &key, Statistics *stats) override { return target_->Lookup(key, stats); }
	Handle *Lookup(const Slice &key, const CacheItemHelper *helper, const CreateCallback &create, Priority priority, bool wait,
		       Statistics *stats) override
	{
		return target_->Lookup(key, helper, create, priority, wait, stats);
	}
	bool Ref(Handle *handle) override { return target_->Ref(handle); }
	bool Release(Handle *handle, bool erase_if_last_ref) override { return target_->Release(handle, erase_if_last_ref); }
	bool Release(Handle *handle, bool useful, bool erase_if_last_ref) override
	{
		return target_->Release(handle, useful, erase_if_last_ref);
	}
	void *Value(Handle *handle) override { return target_->Value(handle); }
	void Erase(const Slice &key) override { target_->Erase(key); }
	uint64_t NewId() override { return target_->NewId(); }
	void SetCapacity(size_t capacity) override { target_->SetCapacity(capacity); }
	void SetStrictCapacityLimit(bool strict) override { target_->SetStrictCapacityLimit(strict); }
	bool HasStrictCapacityLimit() const override { return target_->HasStrictCapacityLimit(); }
	size_t GetCapacity() const override { return target_->GetCapacity(); }
	size_t GetUsage() const override { return target_->GetUsage(); }
	size_t GetOccupancyCount() const override { return target_->GetOccupancyCount(); }
	size_t GetTableAddressCount() const override { return target_->GetTableAddressCount(); }
	size_t GetUsage(Handle *handle) const override { return target_->GetUsage(handle); }
	size_t GetPinnedUsage() const override { return target_->GetPinnedUsage(); }
	size_t GetCharge(Handle *handle) const override { return target_->GetCharge(handle); }
	DeleterFn GetDeleter(Handle *handle) const override { return target_->GetDeleter(handle); }
	void DisownData() override { target_->DisownData(); }
	void ApplyToAllEntries(const std::function<void(const Slice &, void *, size_t, DeleterFn)> &callback,
			       const ApplyToAllEntriesOptions &opts) override
	{
		target_->ApplyToAllEntries(callback, opts);
	}
	void EraseUnRefEntries() override { target_->EraseUnRefEntries(); }
	std::string GetPrintableOptions() const override { return target_->GetPrintableOptions(); }
	bool IsReady(Handle *handle) override { return target_->IsReady(handle); }
	void Wait(Handle *handle) override { target_->Wait(handle); }
	void WaitAll(std::vector<Handle *> &handles) override { target_->WaitAll(handles); }

protected:
	virtual bool Takes(size_t charge) const = 0;
	virtual void Took(const Slice &key) = 0;

private:
	const std::shared_ptr<Cache> target_;
};

} // namespace bridge

#endif
