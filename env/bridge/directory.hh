// SPDX-License-Identifier: Apache-2.0
//
// directory.hh: directories, behind RocksDB's class for them. Part of bridge.cc, and of nothing else.
#ifndef BH_BRIDGE_DIRECTORY_HH
#define BH_BRIDGE_DIRECTORY_HH

#include "blame.hh"
#include "common.hh"

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

// A directory that is open only while it is synced.
class LazyDirectory : public FSDirectory
{
public:
	// `fresh` not null: the root's.
	LazyDirectory(Owner owner, FileSystem *below, bh_fresh *fresh) : owner_(std::move(owner)), below_(below), fresh_(fresh) {}
	IOStatus Fsync(const IOOptions &options, IODebugContext *dbg) override
	{
		return FsyncWithDirOptions(options, dbg, DirFsyncOptions());
	}
	IOStatus FsyncWithDirOptions(const IOOptions &options, IODebugContext *dbg, const DirFsyncOptions &how) override
	{
		std::unique_ptr<FSDirectory> dir;
		const uint64_t switches = fresh_ != nullptr ? bh_fresh_switches(fresh_) : 0;
		IOStatus s = below_->NewDirectory(owner_.path(), options, &dir, dbg);
		if (s.ok())
			s = dir->FsyncWithDirOptions(options, dbg, how);
		if (s.ok() && fresh_ != nullptr)
			bh_fresh_dir_synced(fresh_, switches);
		return owner_.Again(s);
	}
	IOStatus Close(const IOOptions &, IODebugContext *) override { return IOStatus::OK(); }

private:
	const Owner owner_;
	FileSystem *const below_;
	bh_fresh *const fresh_;
};

} // namespace bridge

#endif
