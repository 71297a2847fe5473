// SPDX-License-Identifier: Apache-2.0
//
// fs_calls.cc: fs_calls.h's other half.
#include "fs_calls.h"

#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/statistics.h>
#include <rocksdb/utilities/backup_engine.h>
#include <rocksdb/utilities/checkpoint.h>

#include <cstring>
#include <memory>
#include <vector>

#include "env/bridge/handles.hh"
#include "env/bridge/pages.hh"
#include "env/spans/crc32c.h"

using namespace ROCKSDB_NAMESPACE;

namespace
{

bh_status Meant(const Status &s)
{
	if (s.ok())
		return BH_OK;
	bh_status status = bh_status_of_rocksdb(strdup(s.ToString().c_str()));
	return s.IsNotFound() || s.IsPathNotFound() ? BH_E_NOT_FOUND : status;
}

FileSystem *Fs(rocksdb_env_t *env)
{
	return env->rep->GetFileSystem().get();
}

const IOOptions kNone;

} // namespace

rocksdb_env_t *fs_env_of_uri(const char *uri)
{
	std::shared_ptr<FileSystem> fs;
	bh_status status = Meant(FileSystem::CreateFromString(ConfigOptions(), uri, &fs));
	return status == BH_OK ? new rocksdb_env_t{ NewCompositeEnv(fs).release(), false } : nullptr;
}

// ---- names

bh_status fs_exists(rocksdb_env_t *env, const char *path)
{
	return Meant(Fs(env)->FileExists(path, kNone, nullptr));
}

bh_status fs_make_dir(rocksdb_env_t *env, const char *path)
{
	return Meant(Fs(env)->CreateDir(path, kNone, nullptr));
}

bh_status fs_make_dir_if_missing(rocksdb_env_t *env, const char *path)
{
	return Meant(Fs(env)->CreateDirIfMissing(path, kNone, nullptr));
}

bh_status fs_remove_dir(rocksdb_env_t *env, const char *path)
{
	return Meant(Fs(env)->DeleteDir(path, kNone, nullptr));
}

bh_status fs_sync_dir(rocksdb_env_t *env, const char *path)
{
	std::unique_ptr<FSDirectory> dir;
	IOStatus s = Fs(env)->NewDirectory(path, kNone, &dir, nullptr);
	return Meant(s.ok() ? dir->Fsync(kNone, nullptr) : s);
}

bh_status fs_is_dir(rocksdb_env_t *env, const char *path, bool *out)
{
	return Meant(Fs(env)->IsDirectory(path, kNone, out, nullptr));
}

bh_status fs_list(rocksdb_env_t *env, const char *path, size_t *count_out)
{
	std::vector<std::string> names;
	IOStatus s = Fs(env)->GetChildren(path, kNone, &names, nullptr);
	*count_out = 0;
	for (const std::string &name : names)
		*count_out += name != "." && name != "..";
	return Meant(s);
}

bh_status fs_rename(rocksdb_env_t *env, const char *from, const char *to)
{
	return Meant(Fs(env)->RenameFile(from, to, kNone, nullptr));
}

bh_status fs_link(rocksdb_env_t *env, const char *from, const char *to)
{
	return Meant(Fs(env)->LinkFile(from, to, kNone, nullptr));
}

bh_status fs_remove(rocksdb_env_t *env, const char *path)
{
	return Meant(Fs(env)->DeleteFile(path, kNone, nullptr));
}

bh_status fs_lock(rocksdb_env_t *env, const char *path)
{
	FileLock *lock = nullptr;
	IOStatus s = Fs(env)->LockFile(path, kNone, &lock, nullptr);
	return Meant(s.ok() ? Fs(env)->UnlockFile(lock, kNone, nullptr) : s);
}

bh_status fs_logger(rocksdb_env_t *env, const char *path)
{
	std::shared_ptr<Logger> logger;
	return Meant(Fs(env)->NewLogger(path, kNone, &logger, nullptr));
}

// ---- content

bh_status fs_size(rocksdb_env_t *env, const char *path, uint64_t *out)
{
	return Meant(Fs(env)->GetFileSize(path, kNone, out, nullptr));
}

static IOStatus Step(FSWritableFile *file, char step, const Slice &bytes)
{
	switch (step) {
	case 'a': return file->Append(bytes, kNone, nullptr);
	case '0': return file->Append(Slice(), kNone, nullptr);
	case 's': return file->Sync(kNone, nullptr);
	case 'f': return file->Flush(kNone, nullptr);
	case 'c': return file->Close(kNone, nullptr);
	default: return IOStatus::InvalidArgument("no such step");
	}
}

bh_status fs_write(rocksdb_env_t *env, const char *path, bh_view bytes, const char *steps, bool mmap)
{
	FileOptions options;
	std::unique_ptr<FSWritableFile> file;
	options.use_mmap_writes = mmap;
	IOStatus s = Fs(env)->NewWritableFile(path, options, &file, nullptr);
	for (; s.ok() && *steps != '\0'; steps++)
		s = Step(file.get(), *steps, Slice(reinterpret_cast<const char *>(bytes.data), bytes.len));
	return Meant(s.ok() ? file->Close(kNone, nullptr) : s);
}

bh_status fs_write_checked(rocksdb_env_t *env, const char *path, bh_view bytes, bh_view claimed)
{
	uint8_t checksum[4];
	DataVerificationInfo info;
	std::unique_ptr<FSWritableFile> file;
	bh_put_u32(checksum, bh_crc32c(0, claimed.data, claimed.len));
	info.checksum = Slice(reinterpret_cast<const char *>(checksum), sizeof(checksum));
	IOStatus s = Fs(env)->NewWritableFile(path, FileOptions(), &file, nullptr);
	if (s.ok())
		s = file->Append(Slice(reinterpret_cast<const char *>(bytes.data), bytes.len), kNone, info, nullptr);
	return Meant(s.ok() ? file->Close(kNone, nullptr) : s);
}

bh_status fs_cut(rocksdb_env_t *env, const char *path, uint64_t size)
{
	std::unique_ptr<FSWritableFile> file;
	IOStatus s = Fs(env)->ReopenWritableFile(path, FileOptions(), &file, nullptr);
	if (s.ok())
		s = file->Truncate(size, kNone, nullptr);
	if (s.ok())
		s = file->Fsync(kNone, nullptr);
	if (s.ok())
		s = file->Append(Slice(), kNone, nullptr);
	return Meant(s.ok() ? file->Close(kNone, nullptr) : s);
}

bh_status fs_read(rocksdb_env_t *env, const char *path, bh_buf *out)
{
	std::unique_ptr<FSSequentialFile> file;
	IOStatus s = Fs(env)->NewSequentialFile(path, FileOptions(), &file, nullptr);
	std::string scratch(1000, '\0');
	while (s.ok()) {
		Slice got;
		s = file->Read(scratch.size(), kNone, &got, &scratch[0], nullptr);
		if (s.ok() && got.empty())
			break;
		if (s.ok())
			BH_TRY(bh_buf_append(out, got.data(), got.size()));
	}
	return Meant(s);
}

// Since 10.5 RocksDB asks a file that it has open for its size, too, and means the logical one.
static IOStatus CheckOwnSize(FSRandomAccessFile *file, uint64_t read)
{
	auto *paged = dynamic_cast<bridge::PagedRandomAccessFile *>(file);
	uint64_t size = read;
	IOStatus s = paged != nullptr ? paged->GetFileSize(&size) : IOStatus::OK();
	return s.ok() && size != read ? IOStatus::Corruption("a file says that it has another size") : s;
}

bh_status fs_read_random(rocksdb_env_t *env, const char *path, bool mmap, bh_buf *out)
{
	FileOptions options;
	options.use_mmap_reads = mmap;
	std::unique_ptr<FSRandomAccessFile> file;
	IOStatus s = Fs(env)->NewRandomAccessFile(path, options, &file, nullptr);
	std::string scratch(1000, '\0');
	for (uint64_t off = 0; s.ok();) {
		Slice got;
		s = file->Read(off, scratch.size(), kNone, &got, &scratch[0], nullptr);
		if (s.ok() && got.empty())
			break;
		if (s.ok())
			BH_TRY(bh_buf_append(out, got.data(), got.size()));
		off += got.size();
	}
	if (s.ok())
		s = CheckOwnSize(file.get(), out->len);
	return Meant(s);
}

bh_status fs_copy(rocksdb_env_t *env, const char *from, const char *to, uint64_t size)
{
	bh_buf all{};
	bh_status status = fs_read(env, from, &all);
	bh_view bytes = bh_view_of(all.data, size > 0 ? BH_MIN(size, all.len) : all.len);
	if (status == BH_OK)
		status = fs_write(env, to, bytes, "as", false);
	bh_buf_clear(&all);
	return status;
}

// ---- what RocksDB does with them

namespace
{

constexpr int kRows = 1000;

std::string KeyOf(int i)
{
	return "row" + std::to_string(100000 + i);
}

std::string ValueOf(int i)
{
	return std::string(i % 3 == 0 ? 900 : 40, static_cast<char>('a' + i % 26)) + std::to_string(i);
}

Options BaseOptions(rocksdb_env_t *env)
{
	Options options;
	options.env = env->rep;
	options.create_if_missing = true;
	options.enable_blob_files = true;
	options.min_blob_size = 500;
	return options;
}

// Rows 0 to 999: most in SSTs and blob files, the last ones in the WAL alone.
Status Fill(DB *db, ColumnFamilyHandle *cf)
{
	WriteOptions synced;
	synced.sync = true;
	Status s;
	for (int i = 0; s.ok() && i < kRows; i++) {
		s = db->Put(WriteOptions(), cf, KeyOf(i), ValueOf(i));
		if (s.ok() && i == kRows - 100)
			s = db->Flush(FlushOptions(), cf);
	}
	return s.ok() ? db->Put(synced, cf, "last", "row") : s;
}

Status Check(DB *db, ColumnFamilyHandle *cf)
{
	std::string value;
	for (int i = 0; i < kRows; i++) {
		Status s = db->Get(ReadOptions(), cf, KeyOf(i), &value);
		if (!s.ok())
			return s;
		if (value != ValueOf(i))
			return Status::Corruption("row " + std::to_string(i) + " has another value");
	}
	return Status::OK();
}

// RocksDB takes such a pointer since 11.0.
template <class Dir>
auto OpenInto(const Options &options, const Dir &dir, std::unique_ptr<DB> *out, int) -> decltype(DB::Open(options, dir, out))
{
	return DB::Open(options, dir, out);
}

template <class Dir> Status OpenInto(const Options &options, const Dir &dir, std::unique_ptr<DB> *out, long)
{
	DB *db = nullptr;
	Status s = DB::Open(options, dir, &db);
	out->reset(db);
	return s;
}

Status CheckAt(rocksdb_env_t *env, const std::string &dir)
{
	Options options = BaseOptions(env);
	options.create_if_missing = false;
	std::unique_ptr<DB> db;
	Status s = OpenInto(options, dir, &db, 0);
	return s.ok() ? Check(db.get(), db->DefaultColumnFamily()) : s;
}

Status OpenFilled(rocksdb_env_t *env, const char *dir, std::unique_ptr<DB> *out)
{
	Status s = OpenInto(BaseOptions(env), dir, out, 0);
	return s.ok() ? Fill(out->get(), (*out)->DefaultColumnFamily()) : s;
}

} // namespace

bh_status fs_delete_slowly(rocksdb_env_t *env, const char *dir, int64_t rate, uint64_t chunk, uint64_t *deleted_out)
{
	Status s;
	std::shared_ptr<SstFileManager> manager(NewSstFileManager(env->rep, nullptr, "", rate, true, &s, 100.0, chunk));
	Options options = BaseOptions(env);
	options.sst_file_manager = manager;
	options.statistics = CreateDBStatistics();
	for (FileType type : { kWalFile, kDescriptorFile, kTableFile, kBlobFile })
		options.checksum_handoff_file_types.Add(type);
	manager->SetStatisticsPtr(options.statistics);
	std::unique_ptr<DB> db;
	if (s.ok())
		s = OpenInto(options, dir, &db, 0);
	for (int round = 0; s.ok() && round < 4; round++) {
		s = Fill(db.get(), db->DefaultColumnFamily());
		if (s.ok())
			s = db->Flush(FlushOptions());
	}
	if (s.ok())
		s = db->CompactRange(CompactRangeOptions(), nullptr, nullptr);
	*deleted_out = options.statistics->getTickerCount(FILES_MARKED_TRASH);
	for (int waited_ms = 0; s.ok() && manager->GetTotalTrashSize() > 0 && waited_ms < 30000; waited_ms += 10)
		env->rep->SleepForMicroseconds(10000);
	if (s.ok())
		s = Check(db.get(), db->DefaultColumnFamily());
	return Meant(s.ok() && manager->GetTotalTrashSize() > 0 ? Status::TimedOut("trash is left") : s);
}

bh_status fs_back_up(rocksdb_env_t *env, const char *dir, const char *backup, const char *restored, bool share_by_checksum)
{
	std::unique_ptr<DB> db;
	Status s = OpenFilled(env, dir, &db);
	BackupEngineOptions options(backup, env->rep);
	options.share_files_with_checksum = share_by_checksum;
	BackupEngine *engine = nullptr;
	if (s.ok())
		s = BackupEngine::Open(options, env->rep, &engine);
	std::unique_ptr<BackupEngine> owned(engine);
	for (int i = 0; s.ok() && i < 2; i++)
		s = engine->CreateNewBackup(db.get());
	if (s.ok())
		s = engine->VerifyBackup(2, true);
	if (s.ok())
		s = engine->RestoreDBFromLatestBackup(restored, restored);
	return Meant(s.ok() ? CheckAt(env, restored) : s);
}

bh_status fs_checkpoint(rocksdb_env_t *env, const char *dir, const char *checkpoint)
{
	std::unique_ptr<DB> db;
	Status s = OpenFilled(env, dir, &db);
	Checkpoint *made = nullptr;
	if (s.ok())
		s = Checkpoint::Create(db.get(), &made);
	std::unique_ptr<Checkpoint> owned(made);
	if (s.ok())
		s = made->CreateCheckpoint(checkpoint, UINT64_MAX); // with the WAL
	return Meant(s.ok() ? CheckAt(env, checkpoint) : s);
}

bh_status fs_export_import(rocksdb_env_t *env, const char *dir, const char *exported)
{
	Options options = BaseOptions(env);
	options.enable_blob_files = false; // RocksDB 7.8 imports none
	std::unique_ptr<DB> db;
	Status s = OpenInto(options, dir, &db, 0);
	ColumnFamilyHandle *from = nullptr, *to = nullptr;
	Checkpoint *checkpoint = nullptr;
	ExportImportFilesMetaData *metadata = nullptr;
	if (s.ok())
		s = db->CreateColumnFamily(options, "from", &from);
	if (s.ok())
		s = Fill(db.get(), from);
	if (s.ok())
		s = Checkpoint::Create(db.get(), &checkpoint);
	if (s.ok())
		s = checkpoint->ExportColumnFamily(from, exported, &metadata);
	if (s.ok())
		s = db->CreateColumnFamilyWithImport(options, "to", ImportColumnFamilyOptions(), *metadata, &to);
	if (s.ok())
		s = Check(db.get(), to);
	delete metadata;
	delete checkpoint;
	for (ColumnFamilyHandle *handle : { from, to })
		if (handle != nullptr)
			(void)db->DestroyColumnFamilyHandle(handle);
	return Meant(s);
}
