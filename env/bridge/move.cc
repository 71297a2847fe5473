// SPDX-License-Identifier: Apache-2.0
//
// move.cc: see move.h.
#include "move.h"

#include <bulkhead/env.h>

#include <rocksdb/comparator.h>
#include <rocksdb/metadata.h>
#include <rocksdb/sst_file_reader.h>

#include <cstring>

#include "handles.hh"

using namespace ROCKSDB_NAMESPACE;

struct bh_export {
	ExportImportFilesMetaData files;
	bool lossy;
};

namespace
{

bh_status ToStatus(const Status &s)
{
	return s.ok() ? BH_OK : bh_status_of_rocksdb(strdup(s.ToString().c_str()));
}

LiveFileMetaData ToLive(const SstFileMetaData &file, int level, const std::string &family)
{
	LiveFileMetaData live;
	static_cast<SstFileMetaData &>(live) = file;
	live.level = level;
	live.column_family_name = family;
	return live;
}

bool HasRangeTombstones(const TablePropertiesCollection &tables)
{
	for (const auto &table : tables)
		if (table.second->num_range_deletions > 0)
			return true;
	return false;
}

} // namespace

bh_status bh_bridge_export(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_export **out)
{
	ColumnFamilyMetaData family;
	TablePropertiesCollection tables;
	db->rep->GetColumnFamilyMetaData(cf->rep, &family);
	BH_TRY(ToStatus(db->rep->GetPropertiesOfAllTables(cf->rep, &tables)));
	if (tables.size() != family.file_count)
		return bh_fail(BH_E_ROCKSDB, "column family %s: %zu files, but properties of %zu", family.name.c_str(),
			       family.file_count, tables.size());
	std::unique_ptr<bh_export> made(new bh_export{});
	made->files.db_comparator_name = cf->rep->GetComparator()->Name();
	made->lossy = (!bridge::kImportKeepsTombstones && HasRangeTombstones(tables)) || family.blob_file_count > 0;
	for (const LevelMetaData &level : family.levels)
		for (const SstFileMetaData &file : level.files)
			made->files.files.push_back(ToLive(file, level.level, family.name));
	*out = made.release();
	return BH_OK;
}

void bh_export_free(bh_export *export_)
{
	delete export_;
}

size_t bh_export_count(const bh_export *export_)
{
	return export_->files.files.size();
}

const char *bh_export_name(const bh_export *export_, size_t i)
{
	return export_->files.files[i].relative_filename.c_str();
}

const char *bh_export_dir(const bh_export *export_, size_t i)
{
	return export_->files.files[i].directory.c_str();
}

bool bh_export_is_lossy(const bh_export *export_)
{
	return export_->lossy;
}

bh_status bh_bridge_check_ends(rocksdb_t *db, rocksdb_column_family_handle_t *cf, const bh_export *export_)
{
	const Options options = db->rep->GetOptions(cf->rep);
	ReadOptions read;
	read.fill_cache = false;
	read.total_order_seek = true;
	for (const LiveFileMetaData &file : export_->files.files) {
		SstFileReader reader(options);
		BH_TRY(ToStatus(reader.Open(file.directory + "/" + file.relative_filename)));
		std::unique_ptr<Iterator> iter(reader.NewIterator(read));
		iter->SeekToFirst();
		BH_TRY(ToStatus(iter->status()));
		iter->SeekToLast();
		BH_TRY(ToStatus(iter->status()));
	}
	return BH_OK;
}

bh_status bh_bridge_family_files(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_status (*each)(void *arg, const char *name),
				 void *arg)
{
	ColumnFamilyMetaData family;
	db->rep->GetColumnFamilyMetaData(cf->rep, &family);
	for (const LevelMetaData &level : family.levels)
		for (const SstFileMetaData &file : level.files)
			BH_TRY(each(arg, file.relative_filename.c_str()));
	for (const BlobMetaData &file : family.blob_files)
		BH_TRY(each(arg, file.blob_file_name.c_str()));
	return BH_OK;
}

bool bh_bridge_is_bytewise(const rocksdb_column_family_handle_t *cf)
{
	return cf->rep->GetComparator() == BytewiseComparator();
}

bh_status bh_bridge_settle(rocksdb_t *db, rocksdb_column_family_handle_t *cf)
{
	CompactRangeOptions options;
	options.bottommost_level_compaction = BottommostLevelCompaction::kForce;
	options.blob_garbage_collection_policy = BlobGarbageCollectionPolicy::kForce;
	options.blob_garbage_collection_age_cutoff = 1.0;
	return ToStatus(db->rep->CompactRange(options, cf->rep, nullptr, nullptr));
}

bh_status bh_bridge_import(rocksdb_t *db, const rocksdb_options_t *options, const char *name, const bh_export *export_,
			   const char *dir, const char *prefix, rocksdb_column_family_handle_t **out)
{
	ExportImportFilesMetaData files = export_->files;
	ImportColumnFamilyOptions how;
	how.move_files = true;
	for (LiveFileMetaData &file : files.files) {
		file.db_path = dir;
		file.name = std::string(prefix) + file.relative_filename;
	}
	ColumnFamilyHandle *handle = nullptr;
	bh_status status =
		ToStatus(db->rep->CreateColumnFamilyWithImport(ColumnFamilyOptions(options->rep), name, how, files, &handle));
	if (handle != nullptr) {
		*out = new rocksdb_column_family_handle_t{};
		(*out)->rep = handle;
	}
	return status;
}

void bh_bridge_options_for_export(rocksdb_options_t *options)
{
	options->rep.listeners.clear(); // they are the live database's
	options->rep.create_if_missing = false;
	options->rep.error_if_exists = false;
	options->rep.wal_dir.clear(); // nothing of the live database's
	options->rep.db_paths.clear();
	options->rep.db_log_dir.clear();
	options->rep.listeners.clear();            // they are the live database's
	bridge::LetOptionsFileFail(&options->rep); // a view has none: fs.h
	options->rep.disable_auto_compactions = true;
	options->rep.max_file_opening_threads = 1;
	options->rep.skip_stats_update_on_db_open = true;
	// A periodic task of a database stays in the process's timer until it would have been due, closed or not.
	options->rep.stats_dump_period_sec = 0;
	options->rep.stats_persist_period_sec = 0;
	options->rep.avoid_flush_during_recovery = false;
	options->rep.track_and_verify_wals_in_manifest = false;
	options->rep.enable_blob_files = false;
	options->rep.enable_blob_garbage_collection = true;
	options->rep.blob_garbage_collection_age_cutoff = 1.0;
}
