// SPDX-License-Identifier: Apache-2.0
//
// bridge.cc: RocksDB's FileSystem on one side, the sealed formats of pages.h and stream.h on the other. Converts and forwards: what
// a file is and whose key seals it is decided in fs.c, what its bytes look like in pages.c and stream.c. With its parts
// (bridge_*.hh) the only C++ of the project, because the C API cannot express a custom Env.
//
// All of RocksDB's I/O features are passed down as larger physical ranges: MultiRead, ReadAsync, Prefetch, hints, direct I/O,
// preallocation. Towards RocksDB no file asks for aligned buffers: where the file below wants them (direct I/O), they are made
// here.
#include "bridge.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/table.h>

#include <cstring>
#include <memory>

#include "clock.hh"
#include "directory.hh"
#include "frozen.hh"
#include "fs.hh"
#include "handles.hh"
#include "log.hh"
#include "pages.hh"
#include "stream_reads.hh"
#include "streams.hh"

using namespace ROCKSDB_NAMESPACE;
using namespace bridge;

namespace
{

// ---- the file system

class BulkheadFileSystem : public FileSystemWrapper
{
public:
	BulkheadFileSystem(bh_fs *fs, const std::shared_ptr<FileSystem> &base) : FileSystemWrapper(base), fs_(fs) {}
	~BulkheadFileSystem() override { bh_fs_free(fs_); }

	static const char *kClassName() { return "Bulkhead"; }
	const char *Name() const override { return kClassName(); }

	IOStatus NewSequentialFile(const std::string &path, const FileOptions &options, std::unique_ptr<FSSequentialFile> *result,
				   IODebugContext *dbg) override
	{
		bh_path_info info;
		IOStatus s = ClassifyFile(path, &info);
		if (!s.ok() || !info.sealed)
			return s.ok() ? Below(target()->NewSequentialFile(path, options, result, dbg)) : s;
		if (bh_file_kind_is_paged(info.kind)) {
			std::unique_ptr<PagedRandomAccessFile> file;
			s = OwnerOf(path, info).Told(OpenPaged(path, info, options, &file, dbg));
			if (s.ok())
				result->reset(new PagedSequentialFile(std::move(file)));
			return s;
		}
		return OpenStream(path, info, options, result, dbg);
	}

	IOStatus NewRandomAccessFile(const std::string &path, const FileOptions &options,
				     std::unique_ptr<FSRandomAccessFile> *result, IODebugContext *dbg) override
	{
		bh_path_info info;
		IOStatus s = ClassifyFile(path, &info);
		if (!s.ok())
			return s;
		if (!info.sealed)
			return Below(target()->NewRandomAccessFile(path, options, result, dbg));
		if (options.use_mmap_reads)
			return Refused(path, "reading through memory maps (allow_mmap_reads)");
		if (info.kind == BH_KIND_OTHER)
			return OpenText(path, info, options, result, dbg);
		if (!bh_file_kind_is_paged(info.kind))
			return Refused(path, "random access to a log");
		std::unique_ptr<PagedRandomAccessFile> file;
		s = OwnerOf(path, info).Told(OpenPaged(path, info, options, &file, dbg));
		if (s.ok())
			*result = std::move(file);
		return s;
	}

	IOStatus NewWritableFile(const std::string &path, const FileOptions &options, std::unique_ptr<FSWritableFile> *result,
				 IODebugContext *dbg) override
	{
		bh_path_info info;
		IOStatus s = ClassifyFile(path, &info);
		if (!s.ok() || !info.sealed)
			return s.ok() ? Below(target()->NewWritableFile(path, options, result, dbg)) : s;
		if (options.use_mmap_writes)
			return Refused(path, "writing through memory maps (allow_mmap_writes)");
		FileKey key;
		uint8_t header[BH_HEADER_LEN];
		s = ToIOStatus(bh_fs_new_file(fs_, path.c_str(), &info, &key, header));
		if (!s.ok())
			return s;
		return bh_file_kind_is_paged(info.kind)
			       ? OwnerOf(path, info).Told(CreatePaged(path, info, options, &key, header, result, dbg))
			       : CreateStream(path, info, options, &key, header, result);
	}

	IOStatus ReopenWritableFile(const std::string &path, const FileOptions &options, std::unique_ptr<FSWritableFile> *result,
				    IODebugContext *dbg) override
	{
		bh_path_info info;
		uint64_t size = 0;
		std::unique_ptr<FSWritableFile> base;
		IOStatus s = ClassifyFile(path, &info);
		if (s.ok() && info.kind == BH_KIND_BLOB && !info.trash)
			return ToIOStatus(
				bh_fail(BH_E_UNSUPPORTED,
					"%s: the BlobDB of utilities/blob_db, which goes on writing in blob files that it "
					"reads, does not work on sealed files; use enable_blob_files",
					path.c_str()));
		if (s.ok())
			s = GetFileSize(path, IOOptions(), &size, dbg);
		if (s.ok())
			s = Below(target()->ReopenWritableFile(path, options, &base, dbg));
		if (s.ok())
			result->reset(new FrozenWritableFile(path, size, info.trash, std::move(base)));
		return s;
	}

	IOStatus ReuseWritableFile(const std::string &path, const std::string &, const FileOptions &,
				   std::unique_ptr<FSWritableFile> *, IODebugContext *) override
	{
		return Refused(path, "recycling (recycle_log_file_num)");
	}
	IOStatus NewRandomRWFile(const std::string &path, const FileOptions &, std::unique_ptr<FSRandomRWFile> *,
				 IODebugContext *) override
	{
		return Refused(path, "writing in place");
	}
	IOStatus NewMemoryMappedFileBuffer(const std::string &path, std::unique_ptr<MemoryMappedFileBuffer> *) override
	{
		return Refused(path, "memory mapping");
	}
	IOStatus Truncate(const std::string &path, size_t, const IOOptions &, IODebugContext *) override
	{
		return Refused(path, "truncation");
	}

	IOStatus GetFileSize(const std::string &path, const IOOptions &options, uint64_t *size, IODebugContext *dbg) override
	{
		const SizeAsked asked;
		bh_path_info info;
		IOStatus s = ClassifyFile(path, &info);
		if (s.ok() && info.trash) // it may be cut, or its key be gone: what it takes on the disk
			return target()->GetFileSize(path, options, size, dbg);
		if (s.ok() && info.sealed && bh_file_kind_is_paged(info.kind)) {
			s = PagedSize(path, options, size, dbg);
			// RocksDB asks for sizes of what a compaction has just removed. Who misses a file is who opens it.
			return s.IsNotFound() || s.IsPathNotFound() ? s : OwnerOf(path, info).Told(s);
		}
		uint64_t physical = 0;
		if (s.ok())
			s = target()->GetFileSize(path, options, &physical, dbg);
		if (!s.ok())
			return s;
		if (!info.sealed || physical < BH_HEADER_LEN) { // shorter: left behind by a kill before anything was written
			*size = info.sealed ? 0 : physical;
			return IOStatus::OK();
		}
		return StreamSize(path, info, size, dbg);
	}

	// Directories, too: one at the place of a log is opened, and refused, where RocksDB would take the log for one that never
	// was.
	IOStatus GetChildren(const std::string &dir, const IOOptions &options, std::vector<std::string> *result,
			     IODebugContext *dbg) override
	{
		IOOptions all = options;
		all.do_not_recurse = false;
		return target()->GetChildren(dir, all, result, dbg);
	}
	IOStatus GetChildrenFileAttributes(const std::string &dir, const IOOptions &options, std::vector<FileAttributes> *result,
					   IODebugContext *dbg) override
	{
		bool before = bh_fs_hush(true);
		// Asks GetFileSize() above for each, of which some may go meanwhile.
		IOStatus s = FileSystem::GetChildrenFileAttributes(dir, options, result, dbg);
		bh_fs_hush(before);
		return s;
	}

	// RocksDB keeps one for each column family for as long as it has it.
	IOStatus NewDirectory(const std::string &dir, const IOOptions &options, std::unique_ptr<FSDirectory> *result,
			      IODebugContext *dbg) override
	{
		bh_scope scope = { "", "" };
		IOStatus s = target()->FileExists(dir, options, dbg);
		(void)bh_fs_owner(fs_, dir.c_str(), &scope);
		if (s.ok())
			result->reset(new LazyDirectory(Owner(fs_, dir, scope), target(),
							bh_fs_is_in_root(fs_, dir.c_str(), "") ? bh_fs_fresh(fs_) : nullptr));
		s = s.IsNotFound() ? IOStatus::PathNotFound(dir) : Owner(fs_, dir, scope).Again(s);
		return !s.ok() && bh_fs_owner(fs_, dir.c_str(), &scope) ? Owner(fs_, dir, scope).Told(s) : s;
	}

	IOStatus RenameFile(const std::string &from, const std::string &to, const IOOptions &options, IODebugContext *dbg) override
	{
		bool kept = false, resealed = false;
		const bool current = bh_fs_is_in_root(fs_, to.c_str(), "CURRENT");
		IOStatus s = ToIOStatus(bh_rename_needs_reseal(fs_, from.c_str(), to.c_str(), &resealed));
		if (s.ok() && !resealed)
			s = ToIOStatus(bh_fs_check_move(fs_, from.c_str(), to.c_str()));
		if (s.ok() && !resealed)
			s = StrikeOut(from);
		if (s.ok() && !resealed)
			s = ToIOStatus(bh_fs_keep(fs_, from.c_str(), &kept));
		if (s.ok() && current)
			s = ToIOStatus(bh_fresh_switch(bh_fs_fresh(fs_), from.c_str()));
		if (!s.ok())
			return s;
		if (resealed)
			s = RenameResealed(fs_, from, to);
		else
			s = kept ? LinkBelow(from, to, options, dbg) : Below(target()->RenameFile(from, to, options, dbg));
		if (current)
			bh_fresh_switched(bh_fs_fresh(fs_));
		return s;
	}
	IOStatus LinkFile(const std::string &from, const std::string &to, const IOOptions &options, IODebugContext *dbg) override
	{
		IOStatus s = ToIOStatus(bh_fs_check_move(fs_, from.c_str(), to.c_str()));
		return s.ok() ? LinkBelow(from, to, options, dbg) : s;
	}

	IOStatus LockFile(const std::string &path, const IOOptions &options, FileLock **lock, IODebugContext *dbg) override
	{
		IOStatus s = ToIOStatus(bh_fs_look(fs_, path.c_str()));
		return s.ok() ? target()->LockFile(path, options, lock, dbg) : s;
	}
	IOStatus NewLogger(const std::string &path, const IOOptions &, std::shared_ptr<Logger> *result, IODebugContext *) override
	{
		bh_infolog_file *file = nullptr;
		IOStatus s = ToIOStatus(bh_fs_look(fs_, path.c_str()));
		if (s.ok())
			s = ToIOStatus(bh_infolog_file_new(path.c_str(), &file));
		if (s.ok())
			*result = std::make_shared<RedactingLogger>(std::make_shared<FileLogger>(file), !bh_fs_is_view(fs_));
		return s;
	}
	IOStatus DeleteFile(const std::string &path, const IOOptions &options, IODebugContext *dbg) override
	{
		bool kept = false;
		IOStatus s = StrikeOut(path);
		if (s.ok())
			s = ToIOStatus(bh_fs_keep(fs_, path.c_str(), &kept));
		return !s.ok() || kept ? s : Below(target()->DeleteFile(path, options, dbg));
	}

private:
	// A log is taken off the list before it is gone.
	IOStatus StrikeOut(const std::string &path)
	{
		bh_path_info info;
		if (bh_fs_is_in_root(fs_, path.c_str(), "CURRENT"))
			return ToIOStatus(bh_fresh_no_database(bh_fs_fresh(fs_)));
		if (bh_fs_classify(fs_, path.c_str(), &info) != BH_OK || info.kind != BH_KIND_WAL ||
		    !bh_fs_lists(fs_, path.c_str(), &info))
			return IOStatus::OK();
		return ToIOStatus(bh_fresh_gone(bh_fs_fresh(fs_), info.number));
	}

	// What RocksDB may answer by copying instead, where the file system cannot link, or not these two names.
	IOStatus LinkBelow(const std::string &from, const std::string &to, const IOOptions &options, IODebugContext *dbg)
	{
		IOStatus s = Below(target()->LinkFile(from, to, options, dbg));
		const std::string text = s.ToString();
		for (int unable : { EPERM, EMLINK, EOPNOTSUPP, ENOSYS })
			if (!s.ok() && text.find(strerror(unable)) != std::string::npos)
				return IOStatus::NotSupported(text);
		return s;
	}

	IOStatus Classify(const std::string &path, bh_path_info *info) const
	{
		return ToIOStatus(bh_fs_classify(fs_, path.c_str(), info));
	}

	Owner OwnerOf(const std::string &path, const bh_path_info &info) const { return Owner(fs_, path, info.scope); }

	// The same for a file that is to be opened or made: nothing else is, and nobody is waited for.
	IOStatus ClassifyFile(const std::string &path, bh_path_info *info) const
	{
		IOStatus s = Classify(path, info);
		if (!s.ok())
			return s;
		s = ToIOStatus(bh_fs_look(fs_, path.c_str()));
		return s.ok() ? s : OwnerOf(path, *info).Told(s);
	}

	IOStatus ReadHeader(const std::string &path, uint8_t header[BH_HEADER_LEN], size_t *len, IODebugContext *dbg)
	{
		std::unique_ptr<FSSequentialFile> file;
		IOStatus s = target()->NewSequentialFile(path, FileOptions(), &file, dbg);
		Slice got;
		if (s.ok())
			s = file->Read(BH_HEADER_LEN, IOOptions(), &got, reinterpret_cast<char *>(header), dbg);
		*len = got.size();
		return s;
	}

	// Reads go on where descriptors are used up: a few are kept for that.
	IOStatus OpenPaged(const std::string &path, const bh_path_info &info, const FileOptions &options,
			   std::unique_ptr<PagedRandomAccessFile> *result, IODebugContext *dbg)
	{
		IOStatus s = OpenPagedOnce(path, info, options, result, dbg);
		bh_room *room = bh_fs_room(fs_);
		if (s.IsIOError() && s.ToString().find(strerror(EMFILE)) != std::string::npos && room != nullptr &&
		    bh_room_lend_descriptors(room))
			s = OpenPagedOnce(path, info, options, result, dbg);
		return s;
	}

	IOStatus OpenPagedOnce(const std::string &path, const bh_path_info &info, const FileOptions &options,
			       std::unique_ptr<PagedRandomAccessFile> *result, IODebugContext *dbg)
	{
		uint8_t header[BH_HEADER_LEN];
		size_t header_len = 0;
		uint64_t physical = 0;
		std::unique_ptr<FSRandomAccessFile> base;
		NamesHeld held(fs_);
		IOStatus s = target()->NewRandomAccessFile(path, options, &base, dbg);
		if (s.ok())
			s = ReadHeader(path, header, &header_len, dbg);
		if (s.ok())
			s = target()->GetFileSize(path, IOOptions(), &physical, dbg);
		if (!s.ok())
			return OwnerOf(path, info).Again(s);
		bh_page_file *opened = nullptr;
		bh_page_window *window = nullptr;
		bh_status status = bh_page_file_new(bh_view_of(header, header_len), physical, bh_fs_scopes(fs_), &opened);
		PageFile file(opened);
		if (status == BH_OK)
			status = bh_path_check_place(path.c_str(), &info, bh_page_file_key(opened));
		if (status == BH_OK)
			status = bh_page_window_new(bh_page_file_size(opened), &window);
		std::unique_ptr<PagedRandomAccessFile> made(
			status == BH_OK ? new PagedRandomAccessFile(OwnerOf(path, info), target(), options, PageWindow(window))
					: nullptr);
		if (status == BH_OK)
			status = made->Start(bh_fs_page_readers(fs_), std::move(file), std::move(base));
		if (status == BH_OK)
			*result = std::move(made);
		return FromStatus(status, path);
	}

	IOStatus OpenStream(const std::string &path, const bh_path_info &info, const FileOptions &options,
			    std::unique_ptr<FSSequentialFile> *result, IODebugContext *dbg)
	{
		FileOptions buffered = options;
		buffered.use_direct_reads = false; // frames have no alignment
		std::unique_ptr<FSRandomAccessFile> base;
		IOStatus s = target()->NewRandomAccessFile(path, buffered, &base, dbg);
		uint8_t header[BH_HEADER_LEN];
		Slice got;
		if (s.ok())
			s = base->Read(0, BH_HEADER_LEN, IOOptions(), &got, reinterpret_cast<char *>(header), dbg);
		if (!s.ok())
			return Below(s);
		bh_stream_reader *opened = nullptr;
		bh_status status = bh_stream_reader_new(bh_view_of(got.data(), got.size()), bh_fs_scopes(fs_), false, &opened);
		StreamReader reader(opened);
		if (status == BH_OK)
			status = bh_path_check_place(path.c_str(), &info, bh_stream_reader_key(opened));
		if (status == BH_OK && info.kind == BH_KIND_WAL)
			status = bh_stream_reader_quiet(opened);
		if (status == BH_OK && bh_fs_lists(fs_, path.c_str(), &info))
			status = bh_fs_expect(fs_, opened);
		if (status == BH_OK)
			result->reset(new StreamSequentialFile(path, fs_, info.kind, std::move(base), std::move(reader)));
		return FromStatus(status, path);
	}

	IOStatus CreatePaged(const std::string &path, const bh_path_info &info, const FileOptions &options, FileKey *key,
			     const uint8_t header[BH_HEADER_LEN], std::unique_ptr<FSWritableFile> *result, IODebugContext *dbg)
	{
		bh_page_writer *made = nullptr;
		uint8_t dek_id[BH_ID_LEN];
		memcpy(dek_id, key->header.dek_id, sizeof(dek_id)); // the writer takes the key
		bh_status status = bh_page_writer_new(key, header, &made);
		if (status != BH_OK)
			return FromStatus(status, path);
		PageWriter writer(made);
		std::unique_ptr<FSWritableFile> base;
		bh_page_claim *claim = nullptr;
		NamesHeld held(fs_);
		IOStatus s = MadeAnew(path);
		if (s.ok())
			s = target()->NewWritableFile(path, options, &base, dbg);
		s = OwnerOf(path, info).Again(s);
		if (s.ok())
			s = ToIOStatus(bh_page_claim_made(bh_fs_page_readers(fs_), path.c_str(), dek_id, &claim));
		if (s.ok())
			result->reset(new PagedWritableFile(OwnerOf(path, info), bh_fs_room(fs_), std::move(base),
							    std::move(writer), PageClaim(claim)));
		return s;
	}

	// A WAL or MANIFEST gets its name when its header is durable: one that is empty or short is always a damaged one.
	IOStatus CreateStream(const std::string &path, const bh_path_info &info, const FileOptions &options, FileKey *key,
			      const uint8_t header[BH_HEADER_LEN], std::unique_ptr<FSWritableFile> *result)
	{
		bool named_late = info.kind == BH_KIND_WAL || info.kind == BH_KIND_MANIFEST;
		std::string first_path = named_late ? path + BH_TEMP_SUFFIX : path;
		FileOptions buffered = options;
		buffered.use_direct_writes = false; // frames have no alignment
		uint8_t first[BH_HEADER_LEN];
		bh_stream_writer *made = nullptr;
		bh_status status = bh_stream_writer_new(key, header, bh_fs_scopes(fs_), first, &made);
		if (status != BH_OK)
			return FromStatus(status, path);
		StreamWriter writer(made);
		FileSystem *below = target();
		const bh_fs *fs = fs_;
		const std::string header_bytes(reinterpret_cast<const char *>(first), sizeof(first));
		auto make = [=](bool name_too, std::unique_ptr<FSWritableFile> *base) {
			IOStatus s = ToIOStatus(bh_fs_look(fs, first_path.c_str()));
			if (s.ok())
				s = MadeAnew(first_path);
			if (s.ok())
				s = below->NewWritableFile(first_path, buffered, base, nullptr);
			if (s.ok())
				s = (*base)->Append(header_bytes, IOOptions(), nullptr);
			if (s.ok() && named_late)
				s = (*base)->Sync(IOOptions(), nullptr);
			if (s.ok() && named_late)
				s = below->RenameFile(first_path, path, IOOptions(), nullptr);
			if (s.ok() && named_late && name_too)
				s = LazyDirectory(Owner(fs, path.substr(0, path.rfind('/')), bh_scope{}), below, nullptr)
					    .Fsync(IOOptions(), nullptr);
			if (s.ok())
				return s;
			base->reset(); // half a log has nobody's name, and the next open would have to remove it
			(void)below->DeleteFile(first_path, IOOptions(), nullptr);
			return s;
		};
		std::unique_ptr<StreamWritableFile> file(new StreamWritableFile(path, fs_, target(), make, std::move(writer),
										info.kind, bh_fs_lists(fs_, path.c_str(), &info)));
		IOStatus s = file->Begin();
		if (s.ok())
			*result = std::move(file);
		return s;
	}

	IOStatus PagedSize(const std::string &path, const IOOptions &options, uint64_t *size, IODebugContext *dbg)
	{
		uint8_t bytes[BH_HEADER_LEN];
		uint64_t physical = 0;
		size_t len = 0;
		NamesHeld held(fs_);
		IOStatus s = target()->GetFileSize(path, options, &physical, dbg);
		if (s.ok() && physical < BH_HEADER_LEN) { // left behind by a kill before anything was written
			*size = 0;
			return s;
		}
		if (s.ok())
			s = ReadHeader(path, bytes, &len, dbg);
		bh_header header;
		bh_status status = s.ok() ? bh_header_parse(bh_view_of(bytes, len), &header) : BH_OK;
		if (s.ok() && status == BH_OK)
			status = bh_pages_logical_size(physical, header.page_size, size);
		return s.ok() ? FromStatus(status, path) : s;
	}

	IOStatus OpenText(const std::string &path, const bh_path_info &info, const FileOptions &options,
			  std::unique_ptr<FSRandomAccessFile> *result, IODebugContext *dbg)
	{
		std::unique_ptr<FSRandomAccessFile> probe; // what the options ask of the file below is checked there
		std::unique_ptr<FSSequentialFile> file;
		std::string text;
		IOStatus s = target()->NewRandomAccessFile(path, options, &probe, dbg);
		if (s.ok())
			s = OpenStream(path, info, options, &file, dbg);
		if (s.ok())
			s = ReadThrough(
				file.get(), [&text](const Slice &got) { text.append(got.data(), got.size()); }, dbg);
		if (s.ok())
			result->reset(new TextRandomAccessFile(std::move(text)));
		return s;
	}

	// Only the frames know: read through. RocksDB asks this of a log at recovery and for a list of logs, never on a hot path.
	IOStatus StreamSize(const std::string &path, const bh_path_info &info, uint64_t *size, IODebugContext *dbg)
	{
		std::unique_ptr<FSSequentialFile> file;
		uint64_t total = 0;
		IOStatus s = OpenStream(path, info, FileOptions(), &file, dbg);
		if (s.ok())
			s = ReadThrough(
				file.get(), [&total](const Slice &got) { total += got.size(); }, dbg);
		if (s.ok())
			*size = total;
		return s;
	}

	static IOStatus ReadThrough(FSSequentialFile *file, const std::function<void(const Slice &)> &take, IODebugContext *dbg)
	{
		std::string chunk(kReadChunk, '\0');
		for (;;) {
			Slice got;
			IOStatus s = file->Read(chunk.size(), IOOptions(), &got, &chunk[0], dbg);
			if (!s.ok() || got.empty())
				return s;
			take(got);
		}
	}

	bh_fs *const fs_;
};

} // namespace

thread_local bool bridge::next_sleep_is_short;

std::shared_ptr<FileSystem> bh_bridge_file_system_new(bh_fs *fs)
{
	return std::make_shared<BulkheadFileSystem>(fs, FileSystem::Default());
}

bh_status bh_bridge_env_new(bh_fs *fs, rocksdb_env_t **out)
{
	*out = new rocksdb_env_t{ new ClockedEnv(NewCompositeEnv(bh_bridge_file_system_new(fs))), false };
	return BH_OK;
}

static bh_status LayoutStatus(bool same)
{
	if (same)
		return BH_OK;
	return bh_fail(BH_E_UNSUPPORTED,
		       "this RocksDB library lays out its handles otherwise than the headers Bulkhead was built with (%d.%d.%d); "
		       "build against the library that is installed",
		       ROCKSDB_MAJOR, ROCKSDB_MINOR, ROCKSDB_PATCH);
}

bh_status bh_bridge_check_layout(void)
{
	const std::string built = std::to_string(ROCKSDB_MAJOR) + "." + std::to_string(ROCKSDB_MINOR);
	if (GetRocksVersionAsString(/*with_patch=*/false) != built)
		return LayoutStatus(false);
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_env_t *env = rocksdb_create_default_env();
	bool same = env->rep == Env::Default() && env->is_default;

	rocksdb_options_set_max_open_files(options, 4711);
	rocksdb_options_set_write_buffer_size(options, 1234567);
	rocksdb_options_set_env(options, env);
	same = same && options->rep.max_open_files == 4711 && options->rep.write_buffer_size == 1234567 &&
	       options->rep.env == env->rep;
	options->rep.max_manifest_file_size = 7654321;
	same = same && rocksdb_options_get_max_manifest_file_size(options) == 7654321;
	rocksdb_env_destroy(env);
	rocksdb_options_destroy(options);
	return LayoutStatus(same);
}

bh_status bh_bridge_check_handles(rocksdb_t *db, rocksdb_column_family_handle_t *cf, const char *dir)
{
	size_t len = 0;
	char *name = rocksdb_column_family_handle_get_name(cf, &len);
	bool same = cf->rep->GetName() == std::string(name, len) && cf->rep->GetID() == rocksdb_column_family_handle_get_id(cf) &&
		    db->rep->GetName() == dir && db->rep->GetLatestSequenceNumber() == rocksdb_get_latest_sequence_number(db);

	rocksdb_free(name);
	return LayoutStatus(same && DefaultHandleIsAsOurs(db));
}

void bh_bridge_set_cf_path(rocksdb_options_t *options, const char *dir)
{
	options->rep.cf_paths.assign(1, DbPath(dir, UINT64_MAX));
}

void bh_bridge_compact(rocksdb_t *db, rocksdb_column_family_handle_t *cf, bh_view begin, bh_view end, bool *canceled, char **error)
{
	CompactRangeOptions options;
	options.bottommost_level_compaction = BottommostLevelCompaction::kForceOptimized;
	options.canceled = reinterpret_cast<std::atomic<bool> *>(canceled);
	Slice from(reinterpret_cast<const char *>(begin.data), begin.len);
	Slice to(reinterpret_cast<const char *>(end.data), end.len);
	Status s = db->rep->CompactRange(options, cf->rep, begin.len > 0 ? &from : nullptr, end.len > 0 ? &to : nullptr);
	if (!s.ok())
		*error = strdup(s.ToString().c_str());
}

bool bh_bridge_family_is_made(const rocksdb_column_family_handle_t *handle)
{
	return handle->rep != nullptr;
}

void bh_bridge_redact_info_log(rocksdb_options_t *options)
{
	if (options->rep.info_log != nullptr)
		options->rep.info_log = std::make_shared<RedactingLogger>(options->rep.info_log);
}
