// SPDX-License-Identifier: Apache-2.0
//
// frozen.hh: a file that was written before, opened to be written again. Part of bridge.cc, and of nothing else.
#ifndef BH_BRIDGE_FROZEN_HH
#define BH_BRIDGE_FROZEN_HH

#include "common.hh"

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

// What recovery holds when it "truncates" an old log to the size it has: nothing to do, and nothing else allowed. Of trash, which
// nobody reads any more, RocksDB cuts off a piece at a time.
class FrozenWritableFile : public FSWritableFileOwnerWrapper
{
public:
	FrozenWritableFile(std::string path, uint64_t size, bool trash, std::unique_ptr<FSWritableFile> base)
		: FSWritableFileOwnerWrapper(std::move(base)), path_(std::move(path)), size_(size), trash_(trash)
	{
	}
	IOStatus Append(const Slice &data, const IOOptions &, IODebugContext *) override
	{
		return data.empty() ? IOStatus::OK() : Refused(path_, "appending after reopening");
	}
	IOStatus Append(const Slice &data, const IOOptions &options, const DataVerificationInfo &, IODebugContext *dbg) override
	{
		return Append(data, options, dbg);
	}
	IOStatus PositionedAppend(const Slice &, uint64_t, const IOOptions &, IODebugContext *) override
	{
		return Refused(path_, "a positioned write");
	}
	IOStatus PositionedAppend(const Slice &, uint64_t, const IOOptions &, const DataVerificationInfo &,
				  IODebugContext *) override
	{
		return Refused(path_, "a positioned write");
	}
	IOStatus Truncate(uint64_t size, const IOOptions &options, IODebugContext *dbg) override
	{
		if (size == size_)
			return IOStatus::OK();
		if (!trash_ || size > size_)
			return Refused(path_, "truncation");
		IOStatus s = target()->Truncate(size, options, dbg);
		size_ = s.ok() ? size : size_;
		return s;
	}
	uint64_t GetFileSize(const IOOptions &, IODebugContext *) override { return size_; }

private:
	const std::string path_;
	uint64_t size_;
	const bool trash_;
};

} // namespace bridge

#endif
