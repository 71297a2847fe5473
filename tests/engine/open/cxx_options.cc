// SPDX-License-Identifier: Apache-2.0
//
// cxx_options.cc: options that RocksDB's C API has no call for, or another one in another version.
#include <rocksdb/c.h>
#include <rocksdb/options.h>
#include <rocksdb/persistent_cache.h>
#include <rocksdb/table.h>
#include <rocksdb/wal_filter.h>

using namespace ROCKSDB_NAMESPACE;

extern "C" void test_options_set_wal_filter(rocksdb_options_t *options);
extern "C" void test_options_set_plain_table(rocksdb_options_t *options);
extern "C" void test_options_set_persistent_cache(rocksdb_options_t *options);
extern "C" void test_options_set_compaction_service(rocksdb_options_t *options);

namespace
{

class Filter : public WalFilter
{
public:
	const char *Name() const override { return "all"; }
};

class Service : public CompactionService
{
public:
	const char *Name() const override { return "none"; }
};

class NoCache final : public PersistentCache
{
public:
	Status Insert(const Slice &, const char *, size_t) override { return Status::NotSupported(); }
	Status Lookup(const Slice &, std::unique_ptr<char[]> *, size_t *) override { return Status::NotFound(); }
	bool IsCompressed() override { return false; }
	StatsType Stats() override { return StatsType(); }
	std::string GetPrintableOptions() const override { return ""; }
	uint64_t NewId() override { return 1; }
};

// The C API's handle begins with the object, see rocksdb/db/c.cc.
Options *Of(rocksdb_options_t *options)
{
	return reinterpret_cast<Options *>(options);
}

} // namespace

extern "C" void test_options_set_wal_filter(rocksdb_options_t *options)
{
	static Filter filter;
	Of(options)->wal_filter = &filter;
}

extern "C" void test_options_set_plain_table(rocksdb_options_t *options)
{
	PlainTableOptions table;
	table.user_key_len = kPlainTableVariableLength;
	Of(options)->table_factory.reset(NewPlainTableFactory(table));
}

extern "C" void test_options_set_persistent_cache(rocksdb_options_t *options)
{
	BlockBasedTableOptions table;
	table.persistent_cache = std::make_shared<NoCache>();
	Of(options)->table_factory.reset(NewBlockBasedTableFactory(table));
}

extern "C" void test_options_set_compaction_service(rocksdb_options_t *options)
{
	Of(options)->compaction_service = std::make_shared<Service>();
}
