// SPDX-License-Identifier: Apache-2.0
//
// options.cc: the RocksDB options that a database refuses, each with its reason. What is not named here is the user's to choose
// (engine/README.md has the table; tests/engine/open/test_refused_options.c and test_accepted_options.c go through it).
#include "options.h"

#include <rocksdb/comparator.h>
#include <rocksdb/convenience.h>
#include <rocksdb/memtablerep.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "handles.hh"

using namespace ROCKSDB_NAMESPACE;

namespace
{

struct Rule {
	bool broken;
	const char *what;
	const char *why; // and what to do instead
};

bh_status Apply(const Rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].broken)
			return bh_fail(BH_E_UNSUPPORTED, "RocksDB option %s: is refused: %s", rules[i].what, rules[i].why);
	return BH_OK;
}

// Where files lie. Parking, sweeps, erasures, retirement and bhctl look in the database's directory, whatever a template says.
bh_status CheckPlaces(const Options &o)
{
	const Rule rules[] = {
		{ !o.wal_dir.empty(), "wal_dir",
		  "logs lie in the database's own directory, where all that works on keys looks; leave it empty, and put the "
		  "whole database on the faster disk" },
		{ !o.db_paths.empty(), "db_paths",
		  "files lie in the database's own directory and below its tenants/; leave it empty" },
		{ !o.cf_paths.empty(), "cf_paths", "they are the tenants' directories; leave it empty" },
	};

	return Apply(rules, sizeof(rules) / sizeof(rules[0]));
}

// What a recovery brings back.
bh_status CheckRecovery(const Options &o)
{
	const Rule rules[] = {
		{ o.recycle_log_file_num != 0, "recycle_log_file_num", "a sealed log is written once; leave it 0" },
		{ o.wal_compression != kNoCompression, "wal_compression",
		  "each merchant's rows in a log are under keys of their own; leave it off" },
		{ !o.paranoid_checks, "paranoid_checks=false", "damage would pass in silence; leave it on" },
		{ o.wal_recovery_mode == WALRecoveryMode::kSkipAnyCorruptedRecords, "wal_recovery_mode=kSkipAnyCorruptedRecords",
		  "damage would pass in silence; choose another mode" },
		{ !o.verify_sst_unique_id_in_manifest, "verify_sst_unique_id_in_manifest=false",
		  "a file that was exchanged for another would pass; leave it on" },
		{ o.best_efforts_recovery, "best_efforts_recovery", "missing files would pass in silence; leave it off" },
		{ o.wal_filter != nullptr, "wal_filter",
		  "what it leaves out or changes is lost to every merchant whose rows are recovered; leave it out" },
	};

	return Apply(rules, sizeof(rules) / sizeof(rules[0]));
}

// A cache does not give its second tier away, but it prints it.
bool HasSecondary(const Cache *cache)
{
	return cache != nullptr && cache->GetPrintableOptions().find("secondary_cache") != std::string::npos;
}

// What holds rows where Bulkhead cannot take them away, or lets them out.
bh_status CheckSecrecy(const Options &o)
{
	const auto *table = o.table_factory->GetOptions<BlockBasedTableOptions>();
	const Rule rules[] = {
		{ o.allow_mmap_reads, "allow_mmap_reads", "what is mapped is ciphertext; leave it off" },
		{ o.allow_mmap_writes, "allow_mmap_writes", "what is mapped is ciphertext; leave it off" },
		{ o.allow_data_in_errors, "allow_data_in_errors", "keys would stand in messages and in LOG; leave it off" },
		{ o.row_cache != nullptr, "row_cache", "it would outlive a merchant's keys; give the memory to the block cache" },
		{ table != nullptr && table->persistent_cache != nullptr, "persistent_cache",
		  "it keeps rows in the clear in a file that no key closes; give a larger block cache" },
		{ table != nullptr && bridge::HasCompressedBlockCache(*table), "block_cache_compressed",
		  "it would outlive a merchant's keys; give the memory to the block cache" },
		{ table != nullptr && HasSecondary(table->block_cache.get()), "secondary_cache of the block cache",
		  "it would outlive a merchant's keys; give the memory to the block cache" },
		{ HasSecondary(o.blob_cache.get()), "secondary_cache of the blob cache",
		  "it would outlive a merchant's keys; give the memory to the block cache" },
		{ o.compaction_service != nullptr, "compaction_service",
		  "it compacts in processes that have no keys; leave it out" },
	};

	return Apply(rules, sizeof(rules) / sizeof(rules[0]));
}

bool IsHashed(const MemTableRepFactory &memtable)
{
	const std::string name = memtable.Name();
	return name != "SkipListFactory" && name != "VectorRepFactory";
}

// What a merchant could not come back from, or reads could not keep their promises with.
bh_status CheckShape(const Options &o)
{
	const Rule rules[] = {
		{ strcmp(o.table_factory->Name(), TableFactory::kBlockBasedTableName()) != 0, "table_factory",
		  "a merchant is suspended and resumed with block-based tables alone; leave the default" },
		{ IsHashed(*o.memtable_factory), "memtable_factory",
		  "hashed memtables have no order across prefixes; choose skip_list or vector" },
		{ o.compaction_style == kCompactionStyleFIFO, "compaction_style=kCompactionStyleFIFO",
		  "it leaves range deletions that a resume needs compacted away; choose level or universal" },
		{ o.compaction_style == kCompactionStyleNone, "compaction_style=kCompactionStyleNone",
		  "it leaves range deletions and blobs that a resume needs compacted away; choose level with "
		  "disable_auto_compactions" },
		{ o.allow_ingest_behind, "allow_ingest_behind", "what is ingested behind would survive a deletion; leave it off" },
		{ o.inplace_update_support, "inplace_update_support", "there are no snapshots with it; leave it off" },
		{ o.persist_stats_to_disk, "persist_stats_to_disk",
		  "it makes a column family that is no merchant's; leave it off" },
	};

	return Apply(rules, sizeof(rules) / sizeof(rules[0]));
}

// Options that RocksDB 7.8 does not have. So they are found by their names, whatever the headers know.
bh_status CheckNewer(const Options &o)
{
	static const struct {
		const char *name;
		const char *why;
	} refused[] = {
		{ "track_and_verify_wals",
		  "a log's end is held by its own sync mark, and logs of merchants that are out are not there; "
		  "leave it off" },
		{ "cf_allow_ingest_behind", "what is ingested behind would survive a deletion; leave it off" },
		{ "reuse_manifest_on_open", "a sealed MANIFEST is written once; leave it off" },
		{ "async_wal_precreate", "a log is made when its first record has its place; leave it off" },
		{ "enable_blob_direct_write", "values would be in files before their merchant's record of them; leave it off" },
	};
	ConfigOptions config;
	std::string db, family;

	config.delimiter = ";";
	(void)GetStringFromDBOptions(config, o, &db);
	(void)GetStringFromColumnFamilyOptions(config, o, &family);
	const std::string all = ";" + db + ";" + family;
	for (const auto &option : refused) {
		const Rule rule = { all.find(std::string(";") + option.name + "=true;") != std::string::npos, option.name,
				    option.why };
		BH_TRY(Apply(&rule, 1));
	}
	return BH_OK;
}

constexpr uint32_t kNewestOfAll = 5; // table format that every RocksDB reads that Bulkhead is made for

void SetTableFormat(rocksdb_options_t *options, uint32_t least, uint32_t most)
{
	const auto &factory = options->rep.table_factory;
	const auto *table = factory != nullptr ? factory->GetOptions<BlockBasedTableOptions>() : nullptr;
	if (table == nullptr || (table->format_version >= least && table->format_version <= most))
		return;
	BlockBasedTableOptions changed = *table;
	changed.format_version = std::min(std::max(table->format_version, least), most);
	options->rep.table_factory.reset(NewBlockBasedTableFactory(changed));
}

// A key that ends in a timestamp. RocksDB before 8.3 writes nothing of it that concerns the rest of a log.
bh_status CheckTimestamps(const Options &o)
{
	const Rule rule = { bridge::kLogsNameTimestamps && o.comparator->timestamp_size() > 0, "comparator with timestamps",
			    "since RocksDB 8.3 its logs have records of no family's about them; put versions into the keys" };

	return Apply(&rule, 1);
}

} // namespace

bh_status bh_bridge_check_options(const rocksdb_options_t *options)
{
	BH_TRY(CheckPlaces(options->rep));
	BH_TRY(CheckRecovery(options->rep));
	BH_TRY(CheckSecrecy(options->rep));
	BH_TRY(CheckNewer(options->rep));
	BH_TRY(CheckTimestamps(options->rep));
	return CheckShape(options->rep);
}

bh_status bh_bridge_check_promises(const rocksdb_options_t *options)
{
	const Rule rules[] = {
		{ options->rep.unordered_write, "unordered_write",
		  "snapshots and iterators would not keep to their point in time; leave it off" },
		{ options->rep.atomic_flush, "atomic_flush",
		  "all merchants' rows are flushed together or none, so one's damaged file would hold up everybody's; leave it "
		  "off" },
	};

	return Apply(rules, sizeof(rules) / sizeof(rules[0]));
}

bh_status bh_bridge_merge_operator(const rocksdb_options_t *options, bh_buf *out)
{
	const std::string id = options->rep.merge_operator != nullptr ? options->rep.merge_operator->GetId() : "";
	return bh_buf_append(out, id.data(), id.size());
}

bh_status bh_bridge_comparator(const rocksdb_options_t *options, bh_buf *out)
{
	const std::string id = options->rep.comparator->GetId();
	return bh_buf_append(out, id.data(), id.size());
}

bool bh_bridge_options_file_must_be_written(const rocksdb_options_t *options)
{
	return bridge::OptionsFileMustBeWritten(options->rep);
}

void bh_bridge_let_options_file_fail(rocksdb_options_t *options)
{
	bridge::LetOptionsFileFail(&options->rep);
}

bool bh_bridge_compresses_by_level(const rocksdb_options_t *options)
{
	return !options->rep.compression_per_level.empty();
}

void bh_bridge_bound_table_format(rocksdb_options_t *options)
{
	SetTableFormat(options, 0, kNewestOfAll);
}

void bh_bridge_keep_table_format(rocksdb_options_t *options, unsigned format)
{
	if (format > kNewestOfAll)
		SetTableFormat(options, format, UINT32_MAX);
}

unsigned bh_bridge_newest_table_format(void)
{
	return bridge::kNewestTableFormat;
}

bool bh_bridge_set_from_text(rocksdb_options_t *options, const char *name, bh_view value)
{
	ConfigOptions config;
	config.ignore_unknown_options = false;
	config.ignore_unsupported_options = false;
	ColumnFamilyOptions changed;
	const std::unordered_map<std::string, std::string> text = { { name, std::string(reinterpret_cast<const char *>(value.data),
											value.len) } };
	Status s = GetColumnFamilyOptionsFromMap(config, ColumnFamilyOptions(options->rep), text, &changed);
	if (s.ok())
		options->rep = Options(DBOptions(options->rep), changed);
	return s.ok();
}
