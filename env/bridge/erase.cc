// SPDX-License-Identifier: Apache-2.0
//
// erase.cc: see erase.h.
#include "erase.h"

#include <bulkhead/env.h>

#include <rocksdb/comparator.h>
#include <rocksdb/metadata.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table_properties.h>
#include <rocksdb/write_batch.h>

#include <cstring>
#include <memory>

#include "handles.hh"

using namespace ROCKSDB_NAMESPACE;

namespace
{

constexpr size_t kVersionsAtOnce = 1024;

bh_status ToStatus(const Status &s)
{
	return s.ok() ? BH_OK : bh_status_of_rocksdb(strdup(s.ToString().c_str()));
}

Slice ToSlice(bh_view v)
{
	return v.len > 0 ? Slice(reinterpret_cast<const char *>(v.data), v.len) : Slice("", 0);
}

bh_view ToView(const Slice &s)
{
	return bh_view_of(s.data(), s.size());
}

bool Overlaps(const SstFileMetaData &file, bh_view begin, bh_view end)
{
	return Slice(file.largestkey).compare(ToSlice(begin)) >= 0 &&
	       (end.len == 0 || Slice(file.smallestkey).compare(ToSlice(end)) < 0);
}

// Also a file that has come since the properties were read: the caller looks again.
bool MayHaveTombstones(const TablePropertiesCollection &tables, const std::string &path)
{
	auto found = tables.find(path);
	return found == tables.end() || found->second->num_range_deletions > 0;
}

bh_status Append(const bh_class_file &file, bh_buf *out)
{
	return bh_buf_append(out, &file, sizeof(file));
}

// What brings rows is shown, what removes them passes, and what nobody recorded by the C API ends it.
class KeyHandler : public WriteBatch::Handler
{
public:
	KeyHandler(bh_status (*visit)(void *, uint32_t, bh_view), void *arg) : visit_(visit), arg_(arg) {}
	Status PutCF(uint32_t family, const Slice &key, const Slice &) override { return Show(family, key); }
	Status MergeCF(uint32_t family, const Slice &key, const Slice &) override { return Show(family, key); }
	Status DeleteCF(uint32_t, const Slice &) override { return Status::OK(); }
	Status SingleDeleteCF(uint32_t, const Slice &) override { return Status::OK(); }
	Status DeleteRangeCF(uint32_t, const Slice &, const Slice &) override { return Status::OK(); }
	bh_status failed() const { return failed_; }

private:
	Status Show(uint32_t family, const Slice &key)
	{
		failed_ = visit_(arg_, family, ToView(key));
		return failed_ == BH_OK ? Status::OK() : Status::Aborted();
	}
	bh_status (*const visit_)(void *, uint32_t, bh_view);
	void *const arg_;
	bh_status failed_ = BH_OK;
};

} // namespace

bh_status bh_bridge_erase_check(rocksdb_t *db, rocksdb_column_family_handle_t *cf)
{
	Options o = db->rep->GetOptions(cf->rep);
	const struct {
		bool broken;
		const char *what;
	} rules[] = {
		{ o.comparator != BytewiseComparator(), "comparator (a prefix is a range of bytewise order alone)" },
		{ o.compaction_pri == kRoundRobin, "compaction_pri=kRoundRobin (it keeps keys in the MANIFEST)" },
	};

	for (const auto &rule : rules)
		if (rule.broken)
			return bh_fail(BH_E_UNSUPPORTED, "RocksDB option %s: with it, nothing can be erased for good", rule.what);
	return BH_OK;
}

bh_status bh_bridge_erase_delete(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_view begin, bh_view end,
				 uint64_t *sequence_out)
{
	WriteBatch batch;
	WriteOptions options;
	options.sync = true;
	BH_TRY(ToStatus(batch.DeleteRange(cf->rep, ToSlice(begin), ToSlice(end))));
	BH_TRY(ToStatus(db->rep->Write(options, &batch)));
	// RocksDB has left the number it gave the batch in its first eight bytes. The newest number of all serves as well: rows
	// written in between are then taken for erased ones that are still there, and found again.
	uint64_t sequence = bh_get_u64(reinterpret_cast<const uint8_t *>(batch.Data().data()));
	*sequence_out = sequence != 0 ? sequence : db->rep->GetLatestSequenceNumber();
	return BH_OK;
}

bh_status bh_bridge_erase_rewrite(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_view begin, bh_view end, bool *canceled)
{
	CompactRangeOptions options;
	options.exclusive_manual_compaction = false;
	options.bottommost_level_compaction = BottommostLevelCompaction::kForce;
	options.blob_garbage_collection_policy = BlobGarbageCollectionPolicy::kForce;
	options.blob_garbage_collection_age_cutoff = 1.0;
	options.canceled = reinterpret_cast<std::atomic<bool> *>(canceled);
	Slice from = ToSlice(begin);
	Slice to = ToSlice(end);
	return ToStatus(db->rep->CompactRange(options, cf->rep, begin.len > 0 ? &from : nullptr, end.len > 0 ? &to : nullptr));
}

bh_status bh_bridge_class_files(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_view begin, bh_view end, bh_buf *out)
{
	ColumnFamilyMetaData family;
	TablePropertiesCollection tables;
	BH_TRY(ToStatus(db->rep->GetPropertiesOfAllTables(cf->rep, &tables)));
	db->rep->GetColumnFamilyMetaData(cf->rep, &family);
	for (const LevelMetaData &level : family.levels)
		for (const SstFileMetaData &file : level.files)
			BH_TRY(Append({ file.file_number, file.size, false, Overlaps(file, begin, end),
					MayHaveTombstones(tables, file.directory + "/" + file.relative_filename),
					file.smallest_seqno },
				      out));
	for (const BlobMetaData &file : family.blob_files)
		BH_TRY(Append({ file.blob_file_number, file.blob_file_size, true, false, false, 0 }, out));
	return BH_OK;
}

bh_status bh_bridge_versions(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_view begin, bh_view end,
			     bh_status (*visit)(void *arg, bh_view key, uint64_t sequence), void *arg)
{
	std::string from = ToSlice(begin).ToString();
	const std::string to = ToSlice(end).ToString(); // RocksDB takes it as the last key
	for (size_t limit = kVersionsAtOnce;;) {
		std::vector<KeyVersion> found;
		BH_TRY(ToStatus(bridge::KeyVersions(db->rep, cf->rep, from, end.len > 0 ? &to : nullptr, limit, &found)));
		for (const KeyVersion &version : found)
			if (end.len == 0 || version.user_key != to)
				BH_TRY(visit(arg, ToView(version.user_key), version.sequence));
		if (found.size() < limit)
			return BH_OK;
		// The last key again: its other versions may follow.
		limit = found.back().user_key == from ? 2 * limit : kVersionsAtOnce;
		from = found.back().user_key;
	}
}

bh_status bh_bridge_batch_keys(bh_view batch, bh_status (*visit)(void *arg, uint32_t family, bh_view key), void *arg)
{
	KeyHandler handler(visit, arg);
	Status s = WriteBatch(ToSlice(batch).ToString()).Iterate(&handler);
	if (handler.failed() != BH_OK)
		return handler.failed();
	return s.ok() ? BH_OK : bh_fail(BH_E_UNSUPPORTED, "a batch with more than rows and deletions: %s", s.ToString().c_str());
}

bh_status bh_bridge_sst_keys(rocksdb_t *db, rocksdb_column_family_handle_t *cf, const char *path,
			     bh_status (*visit)(void *arg, bh_view key), void *arg)
{
	SstFileReader reader(db->rep->GetOptions(cf->rep));
	BH_TRY(ToStatus(reader.Open(path)));
	ReadOptions read;
	read.fill_cache = false;
	read.total_order_seek = true;
	std::unique_ptr<Iterator> iter(reader.NewIterator(read));
	for (iter->SeekToFirst(); iter->Valid(); iter->Next())
		BH_TRY(visit(arg, ToView(iter->key())));
	return ToStatus(iter->status());
}
