// SPDX-License-Identifier: Apache-2.0
//
// streams.hh: WAL, MANIFEST and small files: sealed streams behind RocksDB's file classes.
// Part of bridge.cc, and of nothing else.
#ifndef BH_BRIDGE_STREAMS_HH
#define BH_BRIDGE_STREAMS_HH

#include "common.hh"

#include <mutex>

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

// ---- sealed streams

class StreamSequentialFile : public FSSequentialFile
{
public:
	StreamSequentialFile(std::string path, bh_fs *fs, bh_file_kind kind, std::unique_ptr<FSRandomAccessFile> base,
			     StreamReader reader)
		: path_(std::move(path)), fs_(fs), kind_(kind), base_(std::move(base)), reader_(std::move(reader))
	{
	}

	// RocksDB takes a short read for the end of a log, so an error is returned at once, never after the bytes in front of it.
	IOStatus Read(size_t n, const IOOptions &options, Slice *result, char *scratch, IODebugContext *dbg) override
	{
		size_t have = 0;
		*result = Slice(scratch, 0);
		for (bool more = true; have < n && more;) {
			size_t take = TakeReady(scratch + have, n - have);
			have += take;
			if (take > 0)
				continue;
			IOStatus s = Fill(options, dbg, &more);
			if (!s.ok())
				return s;
		}
		*result = Slice(scratch, have);
		return IOStatus::OK();
	}

	IOStatus Skip(uint64_t n) override
	{
		std::string sink(kReadChunk, '\0');
		while (n > 0) {
			Slice got;
			IOStatus s = Read(BH_MIN(n, sink.size()), IOOptions(), &got, &sink[0], nullptr);
			if (!s.ok() || got.empty())
				return s;
			n -= got.size();
		}
		return IOStatus::OK();
	}
	IOStatus InvalidateCache(size_t, size_t) override { return base_->InvalidateCache(0, 0); }

private:
	size_t TakeReady(char *scratch, size_t room)
	{
		bh_view ready = bh_stream_reader_ready(reader_.get());
		size_t take = BH_MIN(room, ready.len);
		if (take > 0) {
			memcpy(scratch, ready.data, take);
			bh_stream_reader_consume(reader_.get(), take);
			return take;
		}
		take = BH_MIN(room, stub_.size());
		memcpy(scratch, stub_.data(), take);
		stub_.erase(0, take);
		return take;
	}

	// Brings more logical bytes in; *more false: this is the end, for now (a log still being written) or for good.
	IOStatus Fill(const IOOptions &options, IODebugContext *dbg, bool *more)
	{
		*more = failed_.ok() && !finished_;
		if (!*more)
			return failed_;
		chunk_.resize(kReadChunk);
		// Asked before the read: if the writer closes in between, the next call sees it. What lies behind the end of a log
		// that is being written is room, or a frame on its way.
		uint64_t end = UINT64_MAX;
		bool live = bh_live_end(bh_fs_live(fs_), path_.c_str(), &end);
		Slice got;
		IOStatus s;
		if (off_ < end)
			s = base_->Read(off_, BH_MIN(chunk_.size(), end - off_), options, &got, &chunk_[0], dbg);
		if (!s.ok())
			return s;
		off_ += got.size();
		bh_status status = BH_OK;
		if (!got.empty())
			status = bh_stream_reader_push(reader_.get(), bh_view_of(got.data(), got.size()));
		bh_fs_pause(fs_);
		bool damaged = bh_stream_reader_end(reader_.get()) == BH_STREAM_DAMAGED;
		finished_ = status == BH_OK && (damaged || (got.empty() && !live));
		if (finished_)
			status = bh_stream_reader_finish(reader_.get());
		failed_ = status == BH_OK ? AtEnd() : FromStatus(status, path_);
		*more = failed_.ok() && (!got.empty() || finished_);
		return failed_;
	}

	// Above the last synced point a log just ends. How it ends is shown to RocksDB as the kind of record it has rules for: a
	// torn one, or one whose checksum is wrong. Only logs have such an end.
	IOStatus AtEnd()
	{
		bh_stream_end end = bh_stream_reader_end(reader_.get());
		if (end == BH_STREAM_OPEN || end == BH_STREAM_CLEAN)
			return IOStatus::OK();
		if (kind_ == BH_KIND_WAL || (kind_ == BH_KIND_MANIFEST && end == BH_STREAM_TORN)) {
			uint8_t stub[BH_STREAM_STUB_MAX];
			stub_.assign(reinterpret_cast<char *>(stub), bh_stream_end_stub(reader_.get(), stub));
			return IOStatus::OK();
		}
		return FromStatus(bh_fail(BH_E_TAG, "the file is torn or damaged; restore it from a backup"), path_);
	}

	const std::string path_;
	bh_fs *const fs_;
	const bh_file_kind kind_;
	const std::unique_ptr<FSRandomAccessFile> base_; // a sequential one reads ahead, and would keep room for what it was
	const StreamReader reader_;
	uint64_t off_ = BH_HEADER_LEN;
	std::string chunk_;
	IOStatus failed_;
	bool finished_ = false;
	std::string stub_; // what is left to hand up of the record that stands for a bad end
};

// A small stream, read whole when it is opened: RocksDB opens CURRENT like this to learn whether the file system can do what its
// options ask.
class TextRandomAccessFile : public FSRandomAccessFile
{
public:
	explicit TextRandomAccessFile(std::string text) : text_(std::move(text)) {}
	IOStatus Read(uint64_t off, size_t n, const IOOptions &, Slice *result, char *scratch, IODebugContext *) const override
	{
		size_t from = static_cast<size_t>(BH_MIN(off, text_.size())), len = BH_MIN(n, text_.size() - from);
		memcpy(scratch, text_.data() + from, len);
		*result = Slice(scratch, len);
		return IOStatus::OK();
	}

private:
	const std::string text_;
};

// Append and Sync may come from two threads at once (a WAL): the writer's own lock covers what they share. A MANIFEST can be
// replaced while it is open (live.h): all that uses its file waits for that.
class StreamWritableFile : public FSWritableFile
{
public:
	StreamWritableFile(std::string path, bh_fs *fs, FileSystem *base_fs, std::unique_ptr<FSWritableFile> base,
			   StreamWriter writer, bool replaceable)
		: path_(std::move(path)), fs_(fs), base_fs_(base_fs), replaceable_(replaceable), base_(std::move(base)),
		  writer_(std::move(writer))
	{
	}
	~StreamWritableFile() override { bh_live_remove(bh_fs_live(fs_), path_.c_str()); }

	// To be called once it has its name. From then to the end of its life it is known as live.
	IOStatus Announce()
	{
		static const bh_live_ops ops = { Hold, LetGo, Prepare, Settle };
		const bh_live_stream stream = { writer_.get(), this, replaceable_ ? &ops : nullptr };
		return ToIOStatus(bh_live_add(bh_fs_live(fs_), path_.c_str(), &stream));
	}

	// A failure is sticky: a frame after a hole would be refused as damage.
	IOStatus Append(const Slice &data, const IOOptions &options, IODebugContext *dbg) override
	{
		Guard guard(*this);
		if (!failed_.ok())
			return failed_;
		bh_status status = bh_stream_writer_append(writer_.get(), bh_view_of(data.data(), data.size()), &out_);
		if (status != BH_OK)
			failed_ = FromStatus(status, path_);
		else if (out_.len > 0)
			failed_ = base_->Append(out_.slice(), options, dbg);
		out_.len = 0;
		if (failed_.ok()) {
			bh_stream_writer_written(writer_.get());
			MakeRoom();
		}
		return failed_;
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
		return base_->Flush(options, dbg);
	}
	IOStatus Sync(const IOOptions &options, IODebugContext *dbg) override
	{
		Guard guard(*this);
		bh_sync_point point = bh_stream_writer_point(writer_.get());
		IOStatus s = base_->Sync(options, dbg);
		return s.ok() ? Mark(point) : s;
	}
	IOStatus Fsync(const IOOptions &options, IODebugContext *dbg) override
	{
		Guard guard(*this);
		bh_sync_point point = bh_stream_writer_point(writer_.get());
		IOStatus s = base_->Fsync(options, dbg);
		return s.ok() ? Mark(point) : s;
	}
	IOStatus Close(const IOOptions &options, IODebugContext *dbg) override
	{
		if (bh_stream_writer_room_left(writer_.get()))
			base_->Truncate(bh_stream_writer_point(writer_.get()).physical, options, dbg).PermitUncheckedError();
		bh_live_remove(bh_fs_live(fs_), path_.c_str()); // waits for who replaces it
		return base_->Close(options, dbg);
	}
	// Frames add a few bytes an append: logical ranges are close enough for hints, and rounding up covers them.
	IOStatus RangeSync(uint64_t off, uint64_t n, const IOOptions &options, IODebugContext *dbg) override
	{
		Guard guard(*this);
		return base_->RangeSync(BH_HEADER_LEN + off, n, options, dbg);
	}
	void PrepareWrite(size_t, size_t len, const IOOptions &options, IODebugContext *dbg) override
	{
		Guard guard(*this);
		base_->PrepareWrite(bh_stream_writer_physical(writer_.get()), len, options, dbg);
	}
	IOStatus Allocate(uint64_t off, uint64_t len, const IOOptions &options, IODebugContext *dbg) override
	{
		Guard guard(*this);
		return base_->Allocate(off, len + BH_HEADER_LEN, options, dbg);
	}
	IOStatus InvalidateCache(size_t, size_t) override
	{
		Guard guard(*this);
		return base_->InvalidateCache(0, 0);
	}
	uint64_t GetFileSize(const IOOptions &, IODebugContext *) override
	{
		Guard guard(*this);
		return bh_stream_writer_logical(writer_.get());
	}
	void SetWriteLifeTimeHint(Env::WriteLifeTimeHint hint) override
	{
		Guard guard(*this);
		base_->SetWriteLifeTimeHint(hint);
	}
	void SetPreallocationBlockSize(size_t size) override
	{
		Guard guard(*this);
		base_->SetPreallocationBlockSize(size);
	}
	void GetPreallocationStatus(size_t *block_size, size_t *last_allocated_block) override
	{
		Guard guard(*this);
		base_->GetPreallocationStatus(block_size, last_allocated_block);
	}
	bool use_direct_io() const override { return false; }
	bool IsSyncThreadSafe() const override { return base_->IsSyncThreadSafe(); }

private:
	// Held by all that uses the file of a MANIFEST; a WAL, whose appends and syncs overlap, is never replaced and needs none.
	struct Guard : std::unique_lock<std::mutex> {
		explicit Guard(StreamWritableFile &file) : std::unique_lock<std::mutex>(file.mutex_, std::defer_lock)
		{
			if (file.replaceable_)
				lock();
		}
	};

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

	// Without preallocation: what RocksDB allocates ahead it cuts off at close, to the bytes that it appended itself.
	bh_status Prepare(const char *fresh_path)
	{
		if (!failed_.ok())
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
		mark_file_.reset();
	}

	// Rewrites the sync mark in place. Not synced itself: until the next sync a power cut can only make it older, which weakens
	// the check but never refuses good bytes.
	IOStatus Mark(bh_sync_point point)
	{
		std::lock_guard<std::mutex> guard(mark_mutex_);
		uint8_t mark[BH_SYNC_MARK_LEN];
		bool needed = false;
		bh_status status = bh_stream_writer_sync_mark(writer_.get(), point, &needed, mark);
		if (status != BH_OK || !needed)
			return FromStatus(status, path_);
		return WriteAt(BH_SYNC_MARK_OFFSET, Slice(reinterpret_cast<const char *>(mark), sizeof(mark)));
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
				return s;
		}
		return mark_file_->Write(off, bytes, IOOptions(), nullptr);
	}

	const std::string path_;
	bh_fs *const fs_;
	FileSystem *const base_fs_;
	const bool replaceable_;
	std::mutex mutex_; // of a replaceable file: guards the rest
	std::unique_ptr<FSWritableFile> base_;
	std::unique_ptr<FSWritableFile> fresh_; // between prepare and settle or let_go
	StreamWriter writer_;
	Buf out_;
	IOStatus failed_;       // of an append; the appender's alone
	std::mutex mark_mutex_; // guards mark_file_ and the order of marks
	std::unique_ptr<FSRandomRWFile> mark_file_;
};

// What recovery holds when it "truncates" an old log to the size it has: nothing to do, and nothing else allowed. Of trash, which
// nobody reads any more, RocksDB cuts off a piece at a time.
class FrozenWritableFile : public FSWritableFileOwnerWrapper
{
public:
	FrozenWritableFile(std::string path, uint64_t size, bool trash, std::unique_ptr<FSWritableFile> base)
		: FSWritableFileOwnerWrapper(std::move(base)), path_(std::move(path)), size_(size), trash_(trash)
	{
	}
	IOStatus Append(const Slice &data, const IOOptions &, IODebugContext *) override
	{
		return data.empty() ? IOStatus::OK() : Refused(path_, "appending after reopening");
	}
	IOStatus Append(const Slice &data, const IOOptions &options, const DataVerificationInfo &, IODebugContext *dbg) override
	{
		return Append(data, options, dbg);
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
	IOStatus Truncate(uint64_t size, const IOOptions &options, IODebugContext *dbg) override
	{
		if (size == size_)
			return IOStatus::OK();
		if (!trash_ || size > size_)
			return Refused(path_, "truncation");
		IOStatus s = target()->Truncate(size, options, dbg);
		size_ = s.ok() ? size : size_;
		return s;
	}
	uint64_t GetFileSize(const IOOptions &, IODebugContext *) override { return size_; }

private:
	const std::string path_;
	uint64_t size_;
	const bool trash_;
};

} // namespace bridge

#endif
