// SPDX-License-Identifier: Apache-2.0
//
// streams.hh: WAL, MANIFEST and small files as they are written: sealed streams behind RocksDB's file classes.
// Part of bridge.cc, and of nothing else.
#ifndef BH_BRIDGE_STREAMS_HH
#define BH_BRIDGE_STREAMS_HH

#include "blame.hh"
#include "common.hh"

#include "env/reseal/reseal_log.h"
#include "env/spans/wal_void.h"
#include "keyring/base/image.h"

#include <atomic>
#include <functional>
#include <mutex>

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

// Append and Sync may come from two threads at once (a WAL): the writer's own lock covers what they share. A MANIFEST can be
// replaced while it is open (live.h): all that uses its file waits for that.
class StreamWritableFile : public FSWritableFile
{
public:
	// Makes the file, with its header, durably where it has a name only then; `name_too`: its name is to be durable as well.
	using Make = std::function<IOStatus(bool name_too, std::unique_ptr<FSWritableFile> *)>;

	StreamWritableFile(std::string path, bh_fs *fs, FileSystem *base_fs, Make make, StreamWriter writer, bh_file_kind kind,
			   bool listed)
		: path_(std::move(path)), fs_(fs), base_fs_(base_fs), is_log_(kind == BH_KIND_WAL),
		  replaceable_(kind == BH_KIND_MANIFEST), listed_(listed), make_(std::move(make)), writer_(std::move(writer))
	{
	}
	~StreamWritableFile() override { bh_live_remove(bh_fs_live(fs_), path_.c_str()); }

	// Once, before any other call. A WAL that cannot be made is made when the first record is written, which is refused until
	// then: where RocksDB fails to begin another WAL, its next try at that may end the process.
	IOStatus Begin()
	{
		IOStatus s = Made(false);
		if (s.ok() || !IsLog() || !bh_fs_voids(fs_))
			return s;
		bh_room_set_log(bh_fs_room(fs_), BH_ROOM_LOG_REFUSED, s.ToString().c_str());
		return IOStatus::OK();
	}

	// Room comes first: where there is none, nothing was sealed, and a WAL goes on without that record (Refuse). RocksDB
	// forgets what it was told has failed, and takes it for written all the same: what was sealed and not wholly written stays,
	// and is written in front of the next bytes, if there are any. A failure to seal is for good: a frame after a hole would be
	// refused as damage.
	IOStatus Append(const Slice &data, const IOOptions &options, IODebugContext *dbg) override
	{
		IOStatus s = RenewManifest();
		if (!s.ok())
			return s;
		Guard guard(*this);
		if (!failed_.ok())
			return failed_;
		s = Made(true);
		if (s.ok() && IsStale() && CanRefuse(data))
			return Refuse(data, IOStatus::Busy(path_, "another log is begun, for this process goes on from an image"));
		if (s.ok() && pending_)
			s = WriteOut(options, dbg);
		if (s.ok())
			s = Reserve(owed_.size() + data.size(), options, dbg);
		if (!s.ok())
			return Refuse(data, s);
		bh_view bytes = bh_view_of(data.data(), data.size());
		if (!owed_.empty()) {
			owed_.append(data.data(), data.size());
			bytes = bh_view_of(owed_.data(), owed_.size());
		}
		out_off_ = bh_stream_writer_physical(writer_.get());
		bh_status status = bh_stream_writer_append(writer_.get(), bytes, &out_);
		owed_.clear();
		if (status != BH_OK)
			return Broken(failed_ = FromStatus(status, path_));
		return Broken(WriteOut(options, dbg));
	}
	IOStatus Append(const Slice &data, const IOOptions &options, const DataVerificationInfo &info, IODebugContext *dbg) override
	{
		if (failed_.ok())
			failed_ = CheckHandoff(path_, data, info);
		return failed_.ok() ? Append(data, options, dbg) : failed_;
	}
	IOStatus PositionedAppend(const Slice &, uint64_t, const IOOptions &, IODebugContext *) override
	{
		return Refused(path_, "a positioned write");
	}
	IOStatus PositionedAppend(const Slice &, uint64_t, const IOOptions &, const DataVerificationInfo &,
				  IODebugContext *) override
	{
		return Refused(path_, "a positioned write");
	}
	IOStatus Truncate(uint64_t size, const IOOptions &, IODebugContext *) override
	{
		Guard guard(*this);
		return size == bh_stream_writer_logical(writer_.get()) ? IOStatus::OK() : Refused(path_, "truncation");
	}
	IOStatus Flush(const IOOptions &options, IODebugContext *dbg) override
	{
		Guard guard(*this);
		return IsMade() ? Below(base_->Flush(options, dbg)) : IOStatus::OK();
	}
	IOStatus Sync(const IOOptions &options, IODebugContext *dbg) override
	{
		Guard guard(*this);
		bh_sync_point point = bh_stream_writer_point(writer_.get());
		IOStatus s = Kicked(IsMade() ? Below(base_->Sync(options, dbg)) : IOStatus::OK());
		return Broken(s.ok() ? Mark(point) : s);
	}
	IOStatus Fsync(const IOOptions &options, IODebugContext *dbg) override
	{
		Guard guard(*this);
		bh_sync_point point = bh_stream_writer_point(writer_.get());
		IOStatus s = Kicked(IsMade() ? Below(base_->Fsync(options, dbg)) : IOStatus::OK());
		return Broken(s.ok() ? Mark(point) : s);
	}
	IOStatus Close(const IOOptions &options, IODebugContext *dbg) override
	{
		if (IsMade()) {
			WriteMark();
			GiveBackRoom(options, dbg);
			CloseLog(options, dbg);
		}
		bh_live_remove(bh_fs_live(fs_), path_.c_str()); // waits for who replaces it
		return IsMade() ? Below(base_->Close(options, dbg)) : IOStatus::OK();
	}
	// Frames add a few bytes an append: logical ranges are close enough for hints, and rounding up covers them.
	IOStatus RangeSync(uint64_t off, uint64_t n, const IOOptions &options, IODebugContext *dbg) override
	{
		Guard guard(*this);
		return IsMade() ? Below(base_->RangeSync(BH_HEADER_LEN + off, n, options, dbg)) : IOStatus::OK();
	}
	// An append has its room beforehand, in steps of this file's own.
	void PrepareWrite(size_t, size_t, const IOOptions &, IODebugContext *) override {}
	IOStatus Allocate(uint64_t, uint64_t, const IOOptions &, IODebugContext *) override { return IOStatus::OK(); }
	IOStatus InvalidateCache(size_t, size_t) override
	{
		Guard guard(*this);
		return IsMade() ? base_->InvalidateCache(0, 0) : IOStatus::OK();
	}
	uint64_t GetFileSize(const IOOptions &, IODebugContext *) override
	{
		Guard guard(*this);
		return bh_stream_writer_logical(writer_.get());
	}
	void SetWriteLifeTimeHint(Env::WriteLifeTimeHint hint) override
	{
		Guard guard(*this);
		if (IsMade())
			base_->SetWriteLifeTimeHint(hint);
	}
	void SetPreallocationBlockSize(size_t size) override
	{
		Guard guard(*this);
		step_ = BH_MAX(kLeastStep, BH_MIN(size, kMostStep));
	}
	bool use_direct_io() const override { return false; }
	bool IsSyncThreadSafe() const override { return true; } // as POSIX files are

private:
	// Held by all that uses the file of a MANIFEST; a WAL, whose appends and syncs overlap, is never replaced and needs none.
	struct Guard : std::unique_lock<std::mutex> {
		explicit Guard(StreamWritableFile &file) : std::unique_lock<std::mutex>(file.mutex_, std::defer_lock)
		{
			if (file.replaceable_)
				lock();
		}
	};

	// ---- making

	bool IsMade() const { return made_.load(std::memory_order_acquire); }

	// From then to the end of its life it is known as live.
	IOStatus Made(bool late)
	{
		static const bh_live_ops ops = { Hold, LetGo, Prepare, Settle };
		if (IsMade())
			return IOStatus::OK();
		const bh_live_stream stream = { writer_.get(), this, replaceable_ ? &ops : nullptr };
		IOStatus s = Below(make_(late, &base_));
		if (s.ok() && (is_log_ || replaceable_))
			s = ToIOStatus(bh_live_add(bh_fs_live(fs_), path_.c_str(), &stream));
		if (s.ok() && is_log_ && listed_)
			s = ToIOStatus(bh_fresh_made(bh_fs_fresh(fs_), bh_stream_writer_header(writer_.get())));
		made_.store(s.ok(), std::memory_order_release);
		if (s.ok() && IsLog())
			bh_room_set_log(bh_fs_room(fs_), BH_ROOM_LOG_FINE, "");
		return s;
	}

	// ---- images (image.h)

	// Another process may go on with this file's key at this file's positions: nothing more is sealed under it.
	bool IsStale() const { return image_ != bh_image_generation(); }

	// A MANIFEST goes on as a file with another key. One that is in the middle of a record, or of a group of them, goes on to
	// its end first. One that fails at it is one that RocksDB cannot write to: it begins another.
	IOStatus RenewManifest()
	{
		const uint64_t now = replaceable_ ? bh_image_generation() : image_;
		bool done = false;
		if (image_ == now || !IsMade())
			return IOStatus::OK();
		bh_status status = bh_reseal_manifest(fs_, path_.c_str(), false, nullptr, &done);
		image_ = done ? now : image_;
		return status == BH_E_BUSY ? IOStatus::OK() : FromStatus(status, path_);
	}

	// ---- room

	// What sealing adds to the bytes of one append: tags of its entries and frames, and the announcements of some hundred
	// families. More than that is rare, and met by the write itself.
	static uint64_t Sealed(size_t len) { return 2 * len + 16 * 1024; }

	// A step ahead where that leaves the disk's floor alone, else no more than is needed now. A file system that cannot
	// allocate is not asked again.
	IOStatus Reserve(size_t len, const IOOptions &options, IODebugContext *dbg)
	{
		const uint64_t at = bh_stream_writer_physical(writer_.get()), end = at + Sealed(len);
		if (end <= reserved_ || !can_reserve_)
			return IOStatus::OK();
		const uint64_t from = BH_MAX(reserved_, at), ahead = (end / step_ + 1) * step_;
		bh_room *room = bh_fs_room(fs_);
		IOStatus s = IOStatus::NoSpace();
		if (room == nullptr || bh_room_fits(room, ahead - from + kMostStep))
			s = base_->Allocate(from, ahead - from, options, dbg);
		reserved_ = s.ok() ? ahead : reserved_;
		if (s.ok())
			return s;
		s = base_->Allocate(from, end - from, options, dbg);
		reserved_ = s.ok() ? end : reserved_;
		if (s.ok() || s.ToString().find(strerror(EOPNOTSUPP)) == std::string::npos)
			return Below(s);
		can_reserve_ = false;
		return IOStatus::OK();
	}

	// What lies behind the last frame: some file systems give it back only when a file gets shorter. A kill between the two
	// steps leaves as many zeros as are read as room.
	void GiveBackRoom(const IOOptions &options, IODebugContext *dbg)
	{
		const uint64_t end = bh_stream_writer_point(writer_.get()).physical;
		if (reserved_ <= end && !bh_stream_writer_room_left(writer_.get()) && !pending_)
			return;
		if (reserved_ > end)
			base_->Truncate(end + BH_STREAM_ROOM_MIN, options, dbg).PermitUncheckedError();
		base_->Truncate(end, options, dbg).PermitUncheckedError();
	}

	// ---- the list of logs

	// When the newest WAL is closed, so is the database: what is in its WALs is made durable, so that nothing can be cut off
	// unseen. Others are closed when they are soon removed: they are not synced for that.
	void CloseLog(const IOOptions &options, IODebugContext *dbg)
	{
		bh_fresh *fresh = bh_fs_fresh(fs_);
		const bh_header *header = bh_stream_writer_header(writer_.get());
		if (!listed_ || !is_log_)
			return;
		bh_sync_point point = bh_stream_writer_point(writer_.get());
		const bool newest = bh_fresh_is_newest(fresh, header);
		if (newest && base_->Sync(options, dbg).ok())
			Mark(point).PermitUncheckedError();
		bh_fresh_closed(fresh, header, point.physical);
		if (newest)
			bh_fresh_end(fresh);
		if (newest && !IsStale())
			MarkAgain(options, dbg);
	}

	// The last word: that KEYRING has all of it, so that an older one is known for what it is.
	void MarkAgain(const IOOptions &options, IODebugContext *dbg)
	{
		std::lock_guard<std::mutex> guard(mark_mutex_);
		mark_owed_ = bh_stream_writer_mark_again(writer_.get(), mark_) == BH_OK;
		WriteMark();
		base_->Sync(options, dbg).PermitUncheckedError();
	}

	// Under mark_mutex_, after a sync up to there. A log that is listed has to be there after a power cut, too: its name first.
	void List(bh_sync_point point)
	{
		if (!listed_)
			return;
		if (is_log_ && !name_durable_)
			name_durable_ = SyncName().ok();
		if (!is_log_ || name_durable_)
			bh_fresh_synced(bh_fs_fresh(fs_), bh_stream_writer_header(writer_.get()), point.physical);
	}

	IOStatus SyncName()
	{
		std::unique_ptr<FSDirectory> dir;
		IOStatus s = base_fs_->NewDirectory(path_.substr(0, path_.rfind('/')), IOOptions(), &dir, nullptr);
		return s.ok() ? dir->FsyncWithDirOptions(IOOptions(), nullptr, DirFsyncOptions()) : s;
	}

	// ---- refusing

	bool IsLog() const { return is_log_ && bh_fs_room(fs_) != nullptr; }

	// RocksDB takes nothing more for a WAL that failed, ends the process if it is asked to all the same, and may not begin
	// another where it has no rows in memory: so the engine has to know.
	IOStatus Broken(const IOStatus &s)
	{
		if (!s.ok() && IsLog())
			bh_room_set_log(bh_fs_room(fs_), BH_ROOM_LOG_BROKEN, s.ToString().c_str());
		return s;
	}

	IOStatus Kicked(const IOStatus &s)
	{
		if (!s.ok() || !is_log_ || !bh_fs_takes_failing_sync(fs_))
			return s;
		IOStatus failed = FromStatus(bh_fail(BH_E_BUSY, "is not synced, so that RocksDB recovers"), path_);
		failed.SetRetryable(true);
		return failed;
	}

	bool CanRefuse(const Slice &data) const { return IsLog() && bh_fs_voids(fs_) && owed_.size() + data.size() <= kMostOwed; }

	// At "busy" RocksDB fails the write alone: no background error, and the log goes on behind a record of nothing. That cannot
	// be where half a record was refused, and where its rows were acknowledged before (manual_wal_flush).
	IOStatus Refuse(const Slice &data, const IOStatus &why)
	{
		const size_t before = owed_.size();
		const uint64_t at = bh_stream_writer_logical(writer_.get()) + before;
		if (!CanRefuse(data))
			return Broken(failed_ = why);
		owed_.append(data.data(), data.size());
		if (bh_wal_void(at, reinterpret_cast<uint8_t *>(&owed_[before]), data.size()) != BH_OK)
			return Broken(failed_ = why);
		bh_room_set_log(bh_fs_room(fs_), BH_ROOM_LOG_REFUSED, why.ToString().c_str());
		IOStatus busy = IOStatus::Busy(why.ToString());
		busy.SetRetryable(true);
		return busy;
	}

	// ---- writing

	// out_ where it belongs, wherever a write that failed has left the file's own position.
	IOStatus WriteOut(const IOOptions &options, IODebugContext *dbg)
	{
		IOStatus s;
		if (out_.len > 0)
			s = Below(base_->PositionedAppend(out_.slice(), out_off_, options, dbg));
		pending_ = !s.ok();
		if (!s.ok())
			return s;
		if (bh_fs_room(fs_) != nullptr)
			bh_room_grew(bh_fs_room(fs_), out_.len);
		out_.len = 0;
		bh_stream_writer_written(writer_.get());
		MakeRoom();
		return s;
	}

	// ---- live.h

	static StreamWritableFile *Of(void *file) { return static_cast<StreamWritableFile *>(file); }
	static void Hold(void *file) { Of(file)->mutex_.lock(); }
	static void LetGo(void *file)
	{
		Of(file)->fresh_.reset();
		Of(file)->mutex_.unlock();
	}
	static bh_status Prepare(void *file, const char *fresh_path) { return Of(file)->Prepare(fresh_path); }
	static void Settle(void *file, bh_stream_writer *writer) { Of(file)->Settle(StreamWriter(writer)); }

	bh_status Prepare(const char *fresh_path)
	{
		if (!failed_.ok() || pending_)
			return bh_fail(BH_E_BUSY, "%s: a write to it failed before", path_.c_str());
		IOStatus s = base_fs_->ReopenWritableFile(fresh_path, FileOptions(), &fresh_, nullptr);
		if (!s.ok())
			return bh_fail(BH_E_IO, "%s: cannot be opened: %s", fresh_path, s.ToString().c_str());
		return BH_OK;
	}

	void Settle(StreamWriter writer)
	{
		(void)base_->Close(IOOptions(), nullptr); // it has no name any more
		base_ = std::move(fresh_);
		writer_ = std::move(writer);
		reserved_ = 0;
		mark_owed_ = false;
		mark_file_.reset();
	}

	// Rewrites the sync mark in place. Not synced itself: until the next sync a power cut can only make it older, which weakens
	// the check but never refuses good bytes. So one that cannot be written is no failure of the sync, and is tried again.
	IOStatus Mark(bh_sync_point point)
	{
		std::lock_guard<std::mutex> guard(mark_mutex_);
		bool needed = false;
		if (is_log_ && IsStale()) { // a mark is sealed as well: KEYRING alone is told
			List(point);
			return IOStatus::OK();
		}
		bh_status status = bh_stream_writer_sync_mark(writer_.get(), point, &needed, mark_);
		mark_owed_ |= status == BH_OK && needed;
		WriteMark();
		if (status == BH_OK && needed)
			List(point);
		return FromStatus(status, path_);
	}

	// Under mark_mutex_, or when nobody else is at the file.
	void WriteMark()
	{
		if (mark_owed_)
			mark_owed_ = !WriteAt(BH_SYNC_MARK_OFFSET, Slice(reinterpret_cast<char *>(mark_), sizeof(mark_))).ok();
	}

	// Where the room cannot be had (a full disk), appending goes on without it.
	void MakeRoom()
	{
		uint64_t off = 0;
		size_t len = bh_stream_writer_room(writer_.get(), &off);
		if (len == 0)
			return;
		std::lock_guard<std::mutex> guard(mark_mutex_);
		IOStatus s = WriteAt(off, Slice(std::string(len, '\0')));
		if (!s.ok())
			bh_stream_writer_no_room(writer_.get());
	}

	// Under mark_mutex_.
	IOStatus WriteAt(uint64_t off, const Slice &bytes)
	{
		if (mark_file_ == nullptr) {
			IOStatus s = base_fs_->NewRandomRWFile(path_, FileOptions(), &mark_file_, nullptr);
			if (!s.ok())
				return Below(s);
		}
		return Below(mark_file_->Write(off, bytes, IOOptions(), nullptr));
	}

	const std::string path_;
	bh_fs *const fs_;
	FileSystem *const base_fs_;
	const bool is_log_;
	const bool replaceable_;
	const bool listed_; // among the database's logs
	const Make make_;
	std::atomic<bool> made_{ false }; // base_ is there
	std::mutex mutex_;                // of a replaceable file: guards the rest
	std::unique_ptr<FSWritableFile> base_;
	std::unique_ptr<FSWritableFile> fresh_; // between prepare and settle or let_go
	StreamWriter writer_;
	uint64_t image_ = bh_image_generation(); // when its key was made; the appender's
	static constexpr size_t kLeastStep = 64 * 1024, kMostStep = 1024 * 1024;
	// The appender's alone, down to failed_.
	size_t step_ = kLeastStep;
	uint64_t reserved_ = 0; // up to here the file's room is allocated
	bool can_reserve_ = true;
	Buf out_;
	uint64_t out_off_ = 0; // where it belongs
	bool pending_ = false; // it is not, or not wholly, written
	static constexpr size_t kMostOwed = 1024 * 1024;
	std::string owed_;      // records of nothing, for those that were refused
	IOStatus failed_;       // for good
	std::mutex mark_mutex_; // guards the rest, and the order of marks
	uint8_t mark_[BH_SYNC_MARK_LEN];
	bool mark_owed_ = false; // it is newer than the file's
	bool name_durable_ = false;
	std::unique_ptr<FSRandomRWFile> mark_file_;
};

} // namespace bridge

#endif
