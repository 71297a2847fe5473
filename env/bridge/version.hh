// SPDX-License-Identifier: Apache-2.0
//
// version.hh: where RocksDB's versions differ in what the bridge uses of them: 7.8, and 8.9 to 11. No other file asks for a
// version. Part of the bridge, and of nothing else. What is on disk and differs is in env/README.md ("RocksDB's versions").
#ifndef BH_BRIDGE_VERSION_HH
#define BH_BRIDGE_VERSION_HH

#include <rocksdb/c.h>
#include <rocksdb/db.h>
#include <rocksdb/file_system.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/debug.h>
#include <rocksdb/version.h>

#include <functional>
#include <string>
#include <vector>

#define BH_ROCKSDB_SINCE(major, minor) (ROCKSDB_MAJOR > (major) || (ROCKSDB_MAJOR == (major) && ROCKSDB_MINOR >= (minor)))

#if BH_ROCKSDB_SINCE(8, 9)
#include "cache_forward.hh"
#else
#include "cache_forward_7.hh"
#endif

struct rocksdb_column_family_handle_t {
	ROCKSDB_NAMESPACE::ColumnFamilyHandle *rep;
#if BH_ROCKSDB_SINCE(9, 4)
	bool immortal; // the default family's own, which rocksdb_column_family_handle_destroy() leaves alone
#endif
};

#if BH_ROCKSDB_SINCE(10, 5)
#define BH_OVERRIDE_SINCE_10_5 override
#else
#define BH_OVERRIDE_SINCE_10_5
#endif

namespace bridge
{
// Whether the library's own handle of the default family is laid out as ours: it reads all of those that we make.
inline bool DefaultHandleIsAsOurs(rocksdb_t *db)
{
#if BH_ROCKSDB_SINCE(9, 4)
	rocksdb_column_family_handle_t *handle = rocksdb_get_default_column_family_handle(db);
	const bool same = handle->immortal && handle->rep->GetID() == 0;
	rocksdb_column_family_handle_destroy(handle);
	return same;
#else
	(void)db;
	return true;
#endif
}

#if BH_ROCKSDB_SINCE(9, 0)
using ReadDone = std::function<void(ROCKSDB_NAMESPACE::FSReadRequest &, void *)>;
#else
using ReadDone = std::function<void(const ROCKSDB_NAMESPACE::FSReadRequest &, void *)>;
#endif

// Counted: as often as they were disabled.
inline ROCKSDB_NAMESPACE::Status EnableFileDeletions(ROCKSDB_NAMESPACE::DB *db)
{
#if BH_ROCKSDB_SINCE(9, 0)
	return db->EnableFileDeletions();
#else
	return db->EnableFileDeletions(/*force=*/false);
#endif
}

// fail_if_options_file_error; without the option a failure is always one.
inline bool OptionsFileMustBeWritten(const ROCKSDB_NAMESPACE::DBOptions &options)
{
#if BH_ROCKSDB_SINCE(10, 2)
	(void)options;
	return true;
#else
	return options.fail_if_options_file_error;
#endif
}

inline void LetOptionsFileFail(ROCKSDB_NAMESPACE::DBOptions *options)
{
#if BH_ROCKSDB_SINCE(10, 2)
	(void)options;
#else
	options->fail_if_options_file_error = false;
#endif
}

// The versions of keys from `from` on, the key `to` included; without `to`, up to the end. An empty end is none before 10.1, and
// the key "" since.
inline ROCKSDB_NAMESPACE::Status KeyVersions(ROCKSDB_NAMESPACE::DB *db, ROCKSDB_NAMESPACE::ColumnFamilyHandle *family,
					     const std::string &from, const std::string *to, size_t limit,
					     std::vector<ROCKSDB_NAMESPACE::KeyVersion> *out)
{
#if BH_ROCKSDB_SINCE(10, 1)
	const auto end = to != nullptr ? ROCKSDB_NAMESPACE::OptSlice(*to) : ROCKSDB_NAMESPACE::OptSlice();
#else
	const auto end = to != nullptr ? ROCKSDB_NAMESPACE::Slice(*to) : ROCKSDB_NAMESPACE::Slice();
#endif
	return GetAllKeyVersions(db, family, from, end, limit, out);
}

// The newest format_version of a block-based table that can be read.
constexpr unsigned kNewestTableFormat = BH_ROCKSDB_SINCE(10, 4) ? 7 : BH_ROCKSDB_SINCE(8, 6) ? 6 : 5;

// Whether an import takes a file's bounds as it is told them, those of its range tombstones included. Before 8.1 it takes those of
// the point keys, and forgets tombstones that lie outside of them.
constexpr bool kImportKeepsTombstones = BH_ROCKSDB_SINCE(8, 1);

// Whether a log has records of their own about the sizes of timestamps in keys.
constexpr bool kLogsNameTimestamps = BH_ROCKSDB_SINCE(8, 3);

// Options that some versions have, and Bulkhead refuses.
inline bool HasCompressedBlockCache(const ROCKSDB_NAMESPACE::BlockBasedTableOptions &table)
{
#if BH_ROCKSDB_SINCE(8, 0)
	(void)table;
	return false;
#else
	return table.block_cache_compressed != nullptr;
#endif
}

} // namespace bridge

#endif
