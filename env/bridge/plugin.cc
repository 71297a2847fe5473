// SPDX-License-Identifier: Apache-2.0
//
// plugin.cc: libbulkhead_plugin.so's way into RocksDB: a FileSystem for bulkhead:// URIs, registered when the library is
// loaded. Converts and forwards: which path is meant, and whether it may be touched, is decided in plugin.c; what is in
// the files, by the sealed file system below.
#include "env/plugin/plugin.h"

#include <rocksdb/file_system.h>
#include <rocksdb/utilities/object_registry.h>

#include <algorithm>
#include <memory>

#include "common.hh"
#include "fs.hh"

using namespace ROCKSDB_NAMESPACE;
using namespace bridge;

namespace
{

using Plugin = std::unique_ptr<bh_plugin, Freer<bh_plugin_free>>;

class SilentLogger : public Logger
{
public:
	using Logger::Logv;
	void Logv(const char *, va_list) override {}
};

// sst_dump closes its output even where it could not be made: it gets a file whose every write fails.
class RefusedFile : public FSWritableFile
{
public:
	explicit RefusedFile(IOStatus why) : why_(std::move(why)) {}
	IOStatus Append(const Slice &, const IOOptions &, IODebugContext *) override { return why_; }
	IOStatus Append(const Slice &, const IOOptions &, const DataVerificationInfo &, IODebugContext *) override { return why_; }
	IOStatus Close(const IOOptions &, IODebugContext *) override { return IOStatus::OK(); }
	IOStatus Flush(const IOOptions &, IODebugContext *) override { return why_; }
	IOStatus Sync(const IOOptions &, IODebugContext *) override { return why_; }
	uint64_t GetFileSize(const IOOptions &, IODebugContext *) override { return 0; }

private:
	const IOStatus why_;
};

class PluginFileSystem : public FileSystemWrapper
{
public:
	PluginFileSystem(Plugin plugin, const std::shared_ptr<FileSystem> &sealed)
		: FileSystemWrapper(sealed), plugin_(std::move(plugin))
	{
	}

	static const char *kClassName() { return "BulkheadPlugin"; }
	const char *Name() const override { return kClassName(); }

	IOStatus NewSequentialFile(const std::string &path, const FileOptions &options, std::unique_ptr<FSSequentialFile> *result,
				   IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_READ,
			  [&](const std::string &at) { return target()->NewSequentialFile(at, options, result, dbg); });
	}
	IOStatus NewRandomAccessFile(const std::string &path, const FileOptions &options,
				     std::unique_ptr<FSRandomAccessFile> *result, IODebugContext *dbg) override
	{
		IOStatus s = At(path, BH_PLUGIN_READ,
				[&](const std::string &at) { return target()->NewRandomAccessFile(at, options, result, dbg); });
		// sst_dump keeps the reason to itself and speaks of an empty file.
		if (!s.ok() && !s.IsPathNotFound() && bh_plugin_inspects(plugin_.get()))
			bh_plugin_note(s.ToString().c_str());
		return s;
	}
	IOStatus NewWritableFile(const std::string &path, const FileOptions &options, std::unique_ptr<FSWritableFile> *result,
				 IODebugContext *dbg) override
	{
		if (bh_plugin_is_dump(plugin_.get(), path.c_str()))
			return NewDump(path, options, result, dbg);
		return At(path, BH_PLUGIN_CHANGE,
			  [&](const std::string &at) { return target()->NewWritableFile(at, options, result, dbg); });
	}
	IOStatus ReopenWritableFile(const std::string &path, const FileOptions &options, std::unique_ptr<FSWritableFile> *result,
				    IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_CHANGE,
			  [&](const std::string &at) { return target()->ReopenWritableFile(at, options, result, dbg); });
	}
	IOStatus NewDirectory(const std::string &path, const IOOptions &options, std::unique_ptr<FSDirectory> *result,
			      IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_LOOK,
			  [&](const std::string &at) { return target()->NewDirectory(at, options, result, dbg); });
	}

	IOStatus FileExists(const std::string &path, const IOOptions &options, IODebugContext *dbg) override
	{
		if (bh_plugin_hides(plugin_.get(), path.c_str()))
			return IOStatus::NotFound(path);
		return At(path, BH_PLUGIN_LOOK, [&](const std::string &at) { return target()->FileExists(at, options, dbg); });
	}
	IOStatus GetChildren(const std::string &path, const IOOptions &options, std::vector<std::string> *result,
			     IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_LOOK, [&](const std::string &at) {
			IOStatus s = target()->GetChildren(at, options, result, dbg);
			auto hidden = [&](const std::string &name) {
				return bh_plugin_hides(plugin_.get(), name.c_str());
			};
			result->erase(std::remove_if(result->begin(), result->end(), hidden), result->end());
			const char *name = nullptr;
			for (size_t i = 0; s.ok() && (name = bh_plugin_child(plugin_.get(), at.c_str(), i)) != nullptr; i++)
				result->emplace_back(name);
			return s;
		});
	}
	IOStatus GetChildrenFileAttributes(const std::string &path, const IOOptions &options, std::vector<FileAttributes> *result,
					   IODebugContext *dbg) override
	{
		return FileSystem::GetChildrenFileAttributes(path, options, result, dbg); // asks the calls above and below
	}
	IOStatus GetFileSize(const std::string &path, const IOOptions &options, uint64_t *size, IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_LOOK,
			  [&](const std::string &at) { return target()->GetFileSize(at, options, size, dbg); });
	}
	IOStatus GetFileModificationTime(const std::string &path, const IOOptions &options, uint64_t *time,
					 IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_LOOK,
			  [&](const std::string &at) { return target()->GetFileModificationTime(at, options, time, dbg); });
	}
	IOStatus IsDirectory(const std::string &path, const IOOptions &options, bool *result, IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_LOOK,
			  [&](const std::string &at) { return target()->IsDirectory(at, options, result, dbg); });
	}
	IOStatus NumFileLinks(const std::string &path, const IOOptions &options, uint64_t *count, IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_LOOK,
			  [&](const std::string &at) { return target()->NumFileLinks(at, options, count, dbg); });
	}

	IOStatus DeleteFile(const std::string &path, const IOOptions &options, IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_CHANGE, [&](const std::string &at) { return target()->DeleteFile(at, options, dbg); });
	}
	IOStatus CreateDir(const std::string &path, const IOOptions &options, IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_CHANGE, [&](const std::string &at) { return target()->CreateDir(at, options, dbg); });
	}
	IOStatus CreateDirIfMissing(const std::string &path, const IOOptions &options, IODebugContext *dbg) override
	{
		if (bh_plugin_inspects(plugin_.get()) && FileExists(path, options, dbg).ok())
			return IOStatus::OK();
		return At(path, BH_PLUGIN_CHANGE,
			  [&](const std::string &at) { return target()->CreateDirIfMissing(at, options, dbg); });
	}
	IOStatus DeleteDir(const std::string &path, const IOOptions &options, IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_CHANGE, [&](const std::string &at) { return target()->DeleteDir(at, options, dbg); });
	}
	IOStatus RenameFile(const std::string &from, const std::string &to, const IOOptions &options, IODebugContext *dbg) override
	{
		return At(from, BH_PLUGIN_CHANGE, [&](const std::string &a) {
			return At(to, BH_PLUGIN_CHANGE,
				  [&](const std::string &b) { return target()->RenameFile(a, b, options, dbg); });
		});
	}
	IOStatus LinkFile(const std::string &from, const std::string &to, const IOOptions &options, IODebugContext *dbg) override
	{
		return At(from, BH_PLUGIN_CHANGE, [&](const std::string &a) {
			return At(to, BH_PLUGIN_CHANGE,
				  [&](const std::string &b) { return target()->LinkFile(a, b, options, dbg); });
		});
	}
	IOStatus LockFile(const std::string &path, const IOOptions &options, FileLock **lock, IODebugContext *dbg) override
	{
		return At(path, BH_PLUGIN_CHANGE,
			  [&](const std::string &at) { return target()->LockFile(at, options, lock, dbg); });
	}
	IOStatus NewLogger(const std::string &path, const IOOptions &options, std::shared_ptr<Logger> *result,
			   IODebugContext *dbg) override
	{
		if (bh_plugin_inspects(plugin_.get())) {
			*result = std::make_shared<SilentLogger>();
			return IOStatus::OK();
		}
		return At(path, BH_PLUGIN_CHANGE,
			  [&](const std::string &at) { return target()->NewLogger(at, options, result, dbg); });
	}

private:
	// `call` with the path that is meant, unless that is refused.
	template <class Call> IOStatus At(const std::string &path, bh_plugin_access access, const Call &call) const
	{
		Buf place;
		IOStatus s = ToIOStatus(bh_plugin_place(plugin_.get(), path.c_str(), access, &place));
		return s.ok() ? call(place.slice().ToString()) : s;
	}

	IOStatus NewDump(const std::string &path, const FileOptions &options, std::unique_ptr<FSWritableFile> *result,
			 IODebugContext *dbg)
	{
		Buf place;
		IOStatus s = ToIOStatus(bh_plugin_dump_place(plugin_.get(), path.c_str(), &place));
		if (s.ok())
			return FileSystem::Default()->NewWritableFile(place.slice().ToString(), options, result, dbg);
		result->reset(new RefusedFile(s));
		return IOStatus::OK();
	}

	const Plugin plugin_;
};

FileSystem *Make(const std::string &uri, std::unique_ptr<FileSystem> *guard, std::string *message)
{
	bh_plugin *plugin = nullptr;
	bh_fs *fs = nullptr;
	IOStatus s = ToIOStatus(bh_plugin_open(uri.c_str(), &plugin, &fs));
	if (!s.ok()) {
		*message = s.getState();
		return nullptr;
	}
	guard->reset(new PluginFileSystem(Plugin(plugin), bh_bridge_file_system_new(fs)));
	return guard->get();
}

__attribute__((constructor)) void Register()
{
	bh_plugin_start();
	auto pattern = ObjectLibrary::PatternEntry(BH_PLUGIN_SCHEME, false).AddSeparator("://", false);
	ObjectLibrary::Default()->AddFactory<FileSystem>(pattern, Make);
}

} // namespace
