// SPDX-License-Identifier: Apache-2.0
//
// common.hh: what the bridge's parts share: statuses on their way through RocksDB, owners of C objects, memory for direct
// I/O. Part of bridge.cc and plugin.cc.
#ifndef BH_BRIDGE_COMMON_HH
#define BH_BRIDGE_COMMON_HH

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <fcntl.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "env/fs/fs.h"
#include "env/fs/rename.h"
#include "env/files/live.h"
#include "env/files/page_window.h"
#include "env/format/pages.h"
#include "env/spans/crc32c.h"
#include "env/stream/stream.h"
#include "keyring/base/io.h"
#include "version.hh"

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

constexpr size_t kReadChunk = 256 * 1024; // bytes asked of a stream's file at once

// The status of the failing call before, with its name in the text so that bh_bridge_error_take() finds it again on the other side
// of RocksDB.
inline IOStatus ToIOStatus(bh_status status)
{
	if (status == BH_OK)
		return IOStatus::OK();
	std::string text = std::string("bulkhead[") + bh_status_name(status) + "]: " + bh_status_message();
	switch (status) {
	case BH_E_NOT_FOUND: return IOStatus::NotFound(text);
	case BH_E_UNSUPPORTED: return IOStatus::NotSupported(text);
	case BH_E_INVALID: return IOStatus::InvalidArgument(text);
	default: break;
	}
	IOStatus failed = IOStatus::IOError(text); // never Corruption: some recovery modes pass over that
	failed.SetRetryable(status == BH_E_FULL || status == BH_E_NOMEM);
	return failed;
}

// What a call to the file system below says, as RocksDB is to take it. A failure of a disk or of the system may pass, so RocksDB
// tries again by itself, once a second, until it has (DBOptions::bgerror_resume_retry_interval). Otherwise one failure would end
// its writes until it is opened again; and to its own code for a full disk it has an answer of its own, which ends the same way.
inline IOStatus Below(IOStatus s)
{
	if (s.ok() || !s.IsIOError() || s.IsPathNotFound())
		return s;
	const std::string text = s.ToString();
	for (int full : { ENOSPC, EDQUOT, EMFILE, ENFILE })
		if (text.find(strerror(full)) != std::string::npos)
			return ToIOStatus(bh_fail(BH_E_FULL, "%s", text.c_str()));
	s.SetRetryable(true);
	s.SetDataLoss(false);
	return s;
}

// A small file under another name (rename.h). RocksDB tries again after what may pass, as with the file system's own rename.
inline IOStatus RenameResealed(bh_fs *fs, const std::string &from, const std::string &to)
{
	bh_status status = bh_rename_resealed(fs, from.c_str(), to.c_str());
	IOStatus s = ToIOStatus(status);
	if (status == BH_E_IO)
		s.SetRetryable(true);
	return s;
}

// RocksDB's own way to make a file follows and empties what has the name already. So each is made before, empty: not the same
// file as what has the name (bh_io_make()), and with the mode that it keeps.
inline IOStatus MadeAnew(const std::string &path)
{
	int fd = bh_io_make(AT_FDCWD, path.c_str(), O_WRONLY, 0640);
	if (fd >= 0) {
		bh_io_closep(&fd);
		return IOStatus::OK();
	}
	const int error = errno;
	const std::string why = path + ": cannot be made: " + strerror(error);
	return error == ENOSPC ? IOStatus::NoSpace(why) : error == ENOENT ? IOStatus::PathNotFound(why) : IOStatus::IOError(why);
}

inline IOStatus Refused(const std::string &path, const char *what)
{
	return ToIOStatus(bh_fail(BH_E_UNSUPPORTED, "%s: %s does not work on sealed files", path.c_str(), what));
}

inline IOStatus FromStatus(bh_status status, const std::string &path)
{
	return ToIOStatus(bh_fail_prefix(status, "%s", path.c_str()));
}

// Whether the bytes are those whose checksum RocksDB hands over with them (checksum_handoff_file_types), if it does.
inline IOStatus CheckHandoff(const std::string &path, const Slice &data, const DataVerificationInfo &info)
{
	if (info.checksum.empty())
		return IOStatus::OK();
	if (info.checksum.size() == sizeof(uint32_t) &&
	    bh_get_u32(reinterpret_cast<const uint8_t *>(info.checksum.data())) == bh_crc32c(0, data.data(), data.size()))
		return IOStatus::OK();
	return ToIOStatus(bh_fail(BH_E_FORMAT,
				  "%s: %zu bytes differ from their checksum: they were damaged in memory, before they were "
				  "sealed",
				  path.c_str(), data.size()));
}

// While this lives, no paged file is exchanged for another.
class NamesHeld
{
public:
	explicit NamesHeld(const bh_fs *fs) : readers_(bh_fs_page_readers(fs)) { bh_page_readers_hold(readers_); }
	~NamesHeld() { bh_page_readers_let_go(readers_); }
	NamesHeld(const NamesHeld &) = delete;
	NamesHeld &operator=(const NamesHeld &) = delete;

private:
	bh_page_readers *const readers_;
};

// Owned pointers to C objects.
template <auto Free> struct Freer {
	template <class T> void operator()(T *p) const { Free(p); }
};
using PageFile = std::unique_ptr<bh_page_file, Freer<bh_page_file_free>>;
using PageReader = std::unique_ptr<bh_page_reader, Freer<bh_page_reader_free>>;
using PageClaim = std::unique_ptr<bh_page_claim, Freer<bh_page_claim_end>>;
using PageWindow = std::unique_ptr<bh_page_window, Freer<bh_page_window_free>>;
using PageWriter = std::unique_ptr<bh_page_writer, Freer<bh_page_writer_free>>;
using StreamReader = std::unique_ptr<bh_stream_reader, Freer<bh_stream_reader_free>>;
using StreamWriter = std::unique_ptr<bh_stream_writer, Freer<bh_stream_writer_free>>;

struct Buf : bh_buf {
	Buf() : bh_buf{} {}
	~Buf() { bh_buf_clear(this); }
	Buf(const Buf &) = delete;
	Buf &operator=(const Buf &) = delete;
	Slice slice() const { return Slice(reinterpret_cast<const char *>(data), len); }
};

struct FileKey : bh_file_key {
	FileKey() : bh_file_key{} {}
	~FileKey() { bh_file_key_clear(this); }
	FileKey(const FileKey &) = delete;
	FileKey &operator=(const FileKey &) = delete;
};

// Memory that direct I/O accepts, grown and kept. Holds ciphertext alone.
class AlignedMemory
{
public:
	~AlignedMemory() { free(data_); }
	char *Reserve(size_t len)
	{
		if (len <= capacity_)
			return data_;
		size_t wanted = (len + kAlignment - 1) / kAlignment * kAlignment;
		void *fresh = nullptr;
		if (posix_memalign(&fresh, kAlignment, wanted) != 0)
			return nullptr;
		if (used_ > 0)
			memcpy(fresh, data_, used_);
		free(data_);
		data_ = static_cast<char *>(fresh);
		capacity_ = wanted;
		return data_;
	}
	// A write buffer: bytes [0, used) are kept when it grows.
	bool Append(const void *bytes, size_t len)
	{
		if (Reserve(BH_MAX(used_ + len, capacity_)) == nullptr)
			return false;
		memcpy(data_ + used_, bytes, len);
		used_ += len;
		return true;
	}
	void DropFront(size_t len)
	{
		memmove(data_, data_ + len, used_ - len);
		used_ -= len;
	}
	char *data() { return data_; }
	size_t used() const { return used_; }
	size_t capacity() const { return capacity_; }
	static constexpr size_t kAlignment = 4096;

private:
	char *data_ = nullptr;
	size_t used_ = 0;
	size_t capacity_ = 0;
};

// A physical range as the file below wants it: as planned, or widened to the alignment of direct I/O.
struct PhysicalRead {
	uint64_t off;
	size_t len;
	size_t skip; // bytes in front of the planned range

	PhysicalRead(const bh_page_range &range, const FSRandomAccessFile &file)
	{
		size_t align = file.use_direct_io() ? file.GetRequiredBufferAlignment() : 1;
		off = range.off / align * align;
		skip = range.off - off;
		len = (skip + range.len + align - 1) / align * align;
	}
};

constexpr size_t kKeptReadBuffer = 1 << 20; // bytes; a larger read has memory of its own

inline char *ReadBuffer(size_t len, AlignedMemory *large)
{
	static thread_local AlignedMemory kept;
	return len <= kKeptReadBuffer ? kept.Reserve(len) : large->Reserve(len);
}

inline IOStatus NoMemory(const std::string &path)
{
	return ToIOStatus(bh_fail(BH_E_NOMEM, "%s: no memory for I/O", path.c_str()));
}

} // namespace bridge

#endif
