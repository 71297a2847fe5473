// SPDX-License-Identifier: Apache-2.0
//
// blame.hh: what a file ended with, told to blame.h: a status of ours, or one of the file system below.
// Part of the bridge, and of nothing else.
#ifndef BH_BRIDGE_BLAME_HH
#define BH_BRIDGE_BLAME_HH

#include "common.hh"

#include "env/fs/blame.h"

#include <bulkhead/env.h>

#include <cerrno>

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

// What the whole process lacks, or the file system cannot do, is nobody's damage. The posix file system leaves the error's own text
// behind, no number.
inline bool IsLack(const std::string &text)
{
	static const int kinds[] = { ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM, EINTR, EAGAIN };
	for (int kind : kinds)
		if (text.find(strerror(kind)) != std::string::npos)
			return true;
	return text.find("bulkhead[no-memory]") != std::string::npos || text.find("bulkhead[full]") != std::string::npos;
}

// The status of ours that went into it, or the one that fits what the file system below said.
inline bh_status StatusOf(const IOStatus &s)
{
	std::string text = s.ToString();
	size_t tag = text.find("bulkhead["), said = text.find("]: ");
	if (tag != std::string::npos && said != std::string::npos)
		return bh_fail(bh_status_of_rocksdb(strdup(text.c_str())), "%s", text.c_str() + said + 3);
	return bh_fail(s.IsNotFound() || s.IsPathNotFound() ? BH_E_NOT_FOUND : BH_E_IO, "%s", text.c_str());
}

// While it lives, a size is asked for (bh_fs_hush_sizes).
class SizeAsked
{
public:
	SizeAsked() : before_(bh_fs_hush_for_size()) {}
	~SizeAsked() { bh_fs_hush(before_); }
	SizeAsked(const SizeAsked &) = delete;
	SizeAsked &operator=(const SizeAsked &) = delete;

private:
	const bool before_;
};

// A file's owner, and where what is wrong with it is told. Passes every status on.
class Owner
{
public:
	Owner(const bh_fs *fs, std::string path, const bh_scope &scope) : fs_(fs), path_(std::move(path)), scope_(scope) {}

	IOStatus Told(IOStatus s) const
	{
		if (!s.ok() && !bh_scope_is_platform(&scope_) && bh_fs_names_itself(path_.c_str()))
			Tell(s);
		return s;
	}
	// What the file system below said, as RocksDB is to take it. Of a merchant's file only what the whole process lacks is
	// tried again without end: the rest is that merchant's, who is taken out for it (engine/wall/quarantine.h).
	IOStatus Again(const IOStatus &s) const { return bh_scope_is_platform(&scope_) || IsLack(s.ToString()) ? Below(s) : s; }
	const std::string &path() const { return path_; }

private:
	void Tell(const IOStatus &s) const
	{
		if (!s.IsNoSpace() && !s.IsNotSupported() && !IsLack(s.ToString()))
			bh_fs_blame(fs_, &scope_, path_.c_str(), StatusOf(s));
	}

	const bh_fs *const fs_;
	const std::string path_;
	const bh_scope scope_;
};

} // namespace bridge

#endif
