// SPDX-License-Identifier: Apache-2.0
//
// stream_reads.hh: WAL, MANIFEST and small files as they are read: sealed streams behind RocksDB's file classes.
// Part of bridge.cc, and of nothing else.
#ifndef BH_BRIDGE_STREAM_READS_HH
#define BH_BRIDGE_STREAM_READS_HH

#include "blame.hh"
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
		if (kind_ == BH_KIND_WAL)
			bh_live_reader_add(bh_fs_live(fs_), &listed_);
	}
	~StreamSequentialFile() override
	{
		if (kind_ == BH_KIND_WAL)
			bh_live_reader_remove(bh_fs_live(fs_), &listed_);
	}

	// RocksDB takes a short read for the end of a log, so an error is returned at once, never after the bytes in front of it.
	IOStatus Read(size_t n, const IOOptions &options, Slice *result, char *scratch, IODebugContext *dbg) override
	{
		std::lock_guard<std::mutex> guard(mutex_);
		size_t have = 0;
		*result = Slice(scratch, 0);
		IOStatus again = reader_ == nullptr ? BeginAgain(options, dbg) : IOStatus::OK();
		if (!again.ok())
			return again;
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
	// A log may be followed for as long as it is written, and longer. When keys leave memory, this reader's go with them, and
	// what was opened and not handed up yet. The next read begins at the front again, and passes over what was handed up:
	// whatever keys there are then, the same bytes are at the same positions.
	static void Forget(bh_live_reader *listed)
	{
		StreamSequentialFile *file = static_cast<Listed *>(listed)->file;
		std::lock_guard<std::mutex> guard(file->mutex_);
		bool done = file->finished_ && (file->reader_ == nullptr || bh_stream_reader_ready(file->reader_.get()).len == 0);
		if (!done && file->failed_.ok())
			file->reader_.reset();
	}

	IOStatus BeginAgain(const IOOptions &options, IODebugContext *dbg)
	{
		uint64_t left = taken_;
		IOStatus s = OpenReader(options, dbg);
		off_ = BH_HEADER_LEN;
		finished_ = false;
		for (bool more = true; s.ok() && left > 0;) {
			bh_view ready = bh_stream_reader_ready(reader_.get());
			size_t n = BH_MIN(left, ready.len);
			bh_stream_reader_consume(reader_.get(), n);
			left -= n;
			if (n == 0 && !more)
				s = FromStatus(bh_fail(BH_E_IO, "the log has become shorter while it was read"), path_);
			else if (n == 0)
				s = Fill(options, dbg, &more);
		}
		if (!s.ok())
			failed_ = s;
		return s;
	}

	IOStatus OpenReader(const IOOptions &options, IODebugContext *dbg)
	{
		char header[BH_HEADER_LEN];
		bh_stream_reader *opened = nullptr;
		Slice got;
		IOStatus s = base_->Read(0, sizeof(header), options, &got, header, dbg);
		if (!s.ok())
			return s;
		bh_status status = bh_stream_reader_new(bh_view_of(got.data(), got.size()), bh_fs_scopes(fs_), false, &opened);
		reader_.reset(opened);
		if (status == BH_OK)
			status = bh_stream_reader_quiet(opened);
		return FromStatus(status, path_);
	}

	size_t TakeReady(char *scratch, size_t room)
	{
		bh_view ready = bh_stream_reader_ready(reader_.get());
		size_t take = BH_MIN(room, ready.len);
		if (take > 0) {
			memcpy(scratch, ready.data, take);
			bh_stream_reader_consume(reader_.get(), take);
			taken_ += take;
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
		if (status != BH_OK)
			Blame(status);
		failed_ = status == BH_OK ? AtEnd() : FromStatus(status, path_);
		*more = failed_.ok() && (!got.empty() || finished_);
		return failed_;
	}

	// What is wrong may be one merchant's bytes alone.
	void Blame(bh_status status) const
	{
		const bh_scope *whose = bh_stream_reader_blamed(reader_.get());
		if (whose != nullptr)
			bh_fs_blame(fs_, whose, path_.c_str(), status);
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
			bh_fs_bad_end(path_.c_str(), bh_stream_reader_offset(reader_.get()));
			return IOStatus::OK();
		}
		return FromStatus(bh_fail(BH_E_TAG, "the file is torn or damaged; restore it from a backup"), path_);
	}

	const std::string path_;
	bh_fs *const fs_;
	const bh_file_kind kind_;
	const std::unique_ptr<FSRandomAccessFile> base_; // a sequential one reads ahead, and would keep room for what it was
	struct Listed : bh_live_reader {
		explicit Listed(StreamSequentialFile *of) : bh_live_reader{}, file(of) { forget = Forget; }
		StreamSequentialFile *const file;
	};
	Listed listed_{ this };
	std::mutex mutex_;    // guards the rest
	StreamReader reader_; // nullptr: it is to begin again
	uint64_t taken_ = 0;  // logical bytes that were handed up
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

} // namespace bridge

#endif
