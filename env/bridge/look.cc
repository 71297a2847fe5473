// SPDX-License-Identifier: Apache-2.0
//
// look.cc: see look.h.
#include "look.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <cstring>
#include <memory>

#include "common.hh"
#include "fs.hh"
#include "handles.hh"

using namespace ROCKSDB_NAMESPACE;
using namespace bridge;

namespace
{

class NoLogger : public Logger
{
public:
	using Logger::Logv;
	void Logv(const char *, va_list) override {}
};

class LookingFileSystem : public FileSystemWrapper
{
public:
	using FileSystemWrapper::FileSystemWrapper;

	static const char *kClassName() { return "BulkheadLook"; }
	const char *Name() const override { return kClassName(); }

	IOStatus NewWritableFile(const std::string &path, const FileOptions &, std::unique_ptr<FSWritableFile> *,
				 IODebugContext *) override
	{
		return Left(path);
	}
	IOStatus ReopenWritableFile(const std::string &path, const FileOptions &, std::unique_ptr<FSWritableFile> *,
				    IODebugContext *) override
	{
		return Left(path);
	}
	IOStatus DeleteFile(const std::string &path, const IOOptions &, IODebugContext *) override { return Left(path); }
	IOStatus CreateDir(const std::string &path, const IOOptions &, IODebugContext *) override { return Left(path); }
	IOStatus CreateDirIfMissing(const std::string &path, const IOOptions &, IODebugContext *) override { return Left(path); }
	IOStatus DeleteDir(const std::string &path, const IOOptions &, IODebugContext *) override { return Left(path); }
	IOStatus RenameFile(const std::string &from, const std::string &, const IOOptions &, IODebugContext *) override
	{
		return Left(from);
	}
	IOStatus LinkFile(const std::string &from, const std::string &, const IOOptions &, IODebugContext *) override
	{
		return Left(from);
	}
	IOStatus LockFile(const std::string &path, const IOOptions &, FileLock **, IODebugContext *) override { return Left(path); }
	IOStatus NewLogger(const std::string &path, const IOOptions &, std::shared_ptr<Logger> *, IODebugContext *) override
	{
		return Left(path);
	}

private:
	static IOStatus Left(const std::string &path)
	{
		return ToIOStatus(bh_fail(BH_E_UNSUPPORTED, "%s: is looked at, and left as it is", path.c_str()));
	}
};

} // namespace

bh_status bh_bridge_look_env_new(bh_fs *fs, rocksdb_env_t **out)
{
	auto looking = std::make_shared<LookingFileSystem>(bh_bridge_file_system_new(fs));
	*out = new rocksdb_env_t{ NewCompositeEnv(looking).release(), false };
	return BH_OK;
}

void bh_bridge_be_silent(rocksdb_options_t *options)
{
	options->rep.info_log = std::make_shared<NoLogger>();
}

void bh_bridge_check_blocks(rocksdb_t *db, char **error)
{
	Status s = db->rep->VerifyChecksum(ReadOptions());
	if (!s.ok())
		*error = strdup(s.ToString().c_str());
}
