// SPDX-License-Identifier: Apache-2.0
//
// sst.cc: see sst.h. A file system of one file, which is read through the callback.
#include "sst.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table_properties.h>

#include <memory>

using namespace ROCKSDB_NAMESPACE;

namespace
{

// Keeps the status of a failed read, which RocksDB's own status would flatten. Its message is the thread's last one until then.
struct ReadState {
	const bh_sst_source *source;
	bh_status failed = BH_OK;
};

class CallbackFile : public FSRandomAccessFile
{
public:
	explicit CallbackFile(ReadState *state) : state_(state) {}
	IOStatus Read(uint64_t off, size_t n, const IOOptions &, Slice *result, char *scratch, IODebugContext *) const override
	{
		uint64_t size = state_->source->size;
		size_t len = off < size ? static_cast<size_t>(BH_MIN(static_cast<uint64_t>(n), size - off)) : 0;
		bh_status status =
			len > 0 ? state_->source->read(state_->source->arg, off, len, reinterpret_cast<uint8_t *>(scratch)) : BH_OK;
		*result = Slice(scratch, status == BH_OK ? len : 0);
		if (status == BH_OK)
			return IOStatus::OK();
		state_->failed = status;
		return IOStatus::IOError(bh_status_message());
	}

private:
	ReadState *const state_;
};

class CallbackFileSystem : public FileSystemWrapper
{
public:
	explicit CallbackFileSystem(ReadState *state) : FileSystemWrapper(FileSystem::Default()), state_(state) {}
	static const char *kClassName() { return "BulkheadOneFile"; }
	const char *Name() const override { return kClassName(); }
	IOStatus NewRandomAccessFile(const std::string &, const FileOptions &, std::unique_ptr<FSRandomAccessFile> *result,
				     IODebugContext *) override
	{
		result->reset(new CallbackFile(state_));
		return IOStatus::OK();
	}
	IOStatus GetFileSize(const std::string &, const IOOptions &, uint64_t *size, IODebugContext *) override
	{
		*size = state_->source->size;
		return IOStatus::OK();
	}

private:
	ReadState *const state_;
};

bh_status ToStatus(const ReadState &state, const Status &s)
{
	if (s.ok())
		return BH_OK;
	if (state.failed != BH_OK)
		return state.failed;
	return bh_fail(s.IsCorruption() ? BH_E_FORMAT : BH_E_ROCKSDB, "RocksDB cannot read it as an SST: %s", s.ToString().c_str());
}

bh_status ShowProperties(const TableProperties &p, const bh_sst_visitor *visitor)
{
	bh_sst_properties out = {};
	out.family = p.column_family_name.c_str();
	out.comparator = p.comparator_name.c_str();
	out.compression = p.compression_name.c_str();
	out.entries = p.num_entries;
	out.deletions = p.num_deletions;
	out.range_deletions = p.num_range_deletions;
	out.merges = p.num_merge_operands;
	out.data_blocks = p.num_data_blocks;
	out.data_size = p.data_size;
	out.key_bytes = p.raw_key_size;
	out.value_bytes = p.raw_value_size;
	return visitor->properties(visitor->arg, &out);
}

bh_view ToView(const Slice &s)
{
	return bh_view_of(s.data(), s.size());
}

} // namespace

bh_status bh_bridge_sst_scan(const bh_sst_source *source, const bh_sst_visitor *visitor)
{
	ReadState state = { source };
	std::unique_ptr<Env> env = NewCompositeEnv(std::make_shared<CallbackFileSystem>(&state));
	Options options;
	options.env = env.get();
	SstFileReader reader(options);
	BH_TRY(ToStatus(state, reader.Open("sst")));
	BH_TRY(ShowProperties(*reader.GetTableProperties(), visitor));
	ReadOptions read;
	read.fill_cache = false;
	read.total_order_seek = true;
	std::unique_ptr<Iterator> iter(reader.NewIterator(read));
	bool stop = false;
	for (iter->SeekToFirst(); iter->Valid() && !stop; iter->Next())
		BH_TRY(visitor->entry(visitor->arg, ToView(iter->key()), ToView(iter->value()), &stop));
	return stop ? BH_OK : ToStatus(state, iter->status());
}
