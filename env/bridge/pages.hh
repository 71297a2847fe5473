// SPDX-License-Identifier: Apache-2.0
//
// pages.hh: SST and blob files: sealed pages behind RocksDB's file classes.
// Part of bridge.cc, and of nothing else.
#ifndef BH_BRIDGE_PAGES_HH
#define BH_BRIDGE_PAGES_HH

#include "blame.hh"
#include "common.hh"

#include <atomic>
#include <functional>
#include <vector>

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

// ---- sealed pages, reading

// What a reader reads from while this lives: the file may be exchanged for another of the same bytes at any time (page_readers.h).
class Source
{
public:
	explicit Source(bh_page_reader *reader) : source_(bh_page_reader_enter(reader)) {}
	~Source() { bh_page_reader_leave(source_); }
	Source(const Source &) = delete;
	Source &operator=(const Source &) = delete;
	const bh_page_file *file() const { return source_->file; }
	FSRandomAccessFile &below() const { return *static_cast<FSRandomAccessFile *>(source_->below); }
	uint64_t serial() const { return source_->serial; }

private:
	const bh_page_source *const source_;
};

class PagedRandomAccessFile : public FSRandomAccessFile
{
public:
	PagedRandomAccessFile(Owner owner, FileSystem *fs, const FileOptions &options, PageWindow window)
		: owner_(std::move(owner)), fs_(fs), options_(options), window_(std::move(window))
	{
	}

	// Once, before any other call; while `readers` is held.
	bh_status Start(bh_page_readers *readers, PageFile file, std::unique_ptr<FSRandomAccessFile> base)
	{
		bh_page_reader *made = nullptr;
		size_ = bh_page_file_size(file.get());
		BH_TRY(bh_page_reader_new(readers, owner_.path().c_str(), file.get(), base.get(), &kBelow, this, &made));
		(void)file.release(); // the reader's, both of them
		(void)base.release();
		reader_.reset(made);
		return BH_OK;
	}

	// What could not be opened ahead is read as it was asked for, so that a failure is that of the bytes it concerns.
	IOStatus Read(uint64_t off, size_t n, const IOOptions &options, Slice *result, char *scratch,
		      IODebugContext *dbg) const override
	{
		uint8_t *dst = reinterpret_cast<uint8_t *>(scratch);
		bh_page_ahead ahead;
		size_t served = bh_page_window_take(window_.get(), off, n, dst, &ahead);
		if (ahead.len > 0) {
			Slice opened;
			IOStatus s = ReadRange(ahead.off, ahead.len, options, &opened, reinterpret_cast<char *>(ahead.buffer), dbg);
			served = bh_page_window_fill(window_.get(), &ahead, s.ok() ? opened.size() : 0, n, dst);
		}
		if (served == 0)
			return owner_.Told(ReadRange(off, n, options, result, scratch, dbg));
		*result = Slice(scratch, served);
		return IOStatus::OK();
	}

	IOStatus MultiRead(FSReadRequest *reqs, size_t count, const IOOptions &options, IODebugContext *dbg) override
	{
		std::vector<FSReadRequest> below;
		std::vector<PhysicalRead> plan;
		size_t total = 0;
		Source source(reader_.get());
		plan.reserve(count);
		for (size_t i = 0; i < count; i++) {
			plan.emplace_back(bh_page_file_range(source.file(), reqs[i].offset, reqs[i].len), source.below());
			total += (plan[i].len + AlignedMemory::kAlignment - 1) / AlignedMemory::kAlignment *
				 AlignedMemory::kAlignment;
		}
		AlignedMemory large;
		char *buffer = ReadBuffer(total, &large);
		if (buffer == nullptr && total > 0)
			return NoMemory(owner_.path());
		below.reserve(count);
		for (size_t i = 0; i < count; i++) {
			if (plan[i].len == 0)
				continue;
			FSReadRequest req;
			req.offset = plan[i].off;
			req.len = plan[i].len;
			req.scratch = buffer;
			below.push_back(std::move(req));
			buffer += (plan[i].len + AlignedMemory::kAlignment - 1) / AlignedMemory::kAlignment *
				  AlignedMemory::kAlignment;
		}
		if (!below.empty()) {
			IOStatus s = source.below().MultiRead(below.data(), below.size(), options, dbg);
			if (!s.ok())
				return owner_.Told(owner_.Again(s));
		}
		for (size_t i = 0, next = 0; i < count; i++) {
			reqs[i].result = Slice(reqs[i].scratch, 0);
			reqs[i].status = IOStatus::OK();
			if (plan[i].len == 0)
				continue;
			const FSReadRequest &req = below[next++];
			bh_page_range range = bh_page_file_range(source.file(), reqs[i].offset, reqs[i].len);
			reqs[i].status = owner_.Told(req.status.ok() ? Open(source, reqs[i].offset, reqs[i].len, range, plan[i],
									    req.result, reqs[i].scratch, &reqs[i].result)
								     : owner_.Again(req.status));
		}
		return IOStatus::OK();
	}

	// Nobody is inside of a source while such a read is under way, since it may be asked after long later, or never: what comes
	// from a file that was exchanged meanwhile is read anew.
	IOStatus ReadAsync(FSReadRequest &req, const IOOptions &options, ReadDone done, void *arg, void **io_handle,
			   IOHandleDeleter *del_fn, IODebugContext *dbg) override
	{
		Source source(reader_.get());
		bh_page_range range = bh_page_file_range(source.file(), req.offset, req.len);
		if (range.len == 0)
			return FSRandomAccessFile::ReadAsync(req, options, done, arg, io_handle, del_fn, dbg);
		PhysicalRead physical(range, source.below());
		auto memory = std::make_shared<AlignedMemory>();
		FSReadRequest below;
		below.offset = physical.off;
		below.len = physical.len;
		below.scratch = memory->Reserve(physical.len);
		if (below.scratch == nullptr)
			return NoMemory(owner_.path());
		uint64_t off = req.offset, serial = source.serial();
		size_t len = req.len;
		char *scratch = req.scratch;
		auto opened = [this, off, len, scratch, range, physical, memory, serial, done](const FSReadRequest &got,
											       void *cb_arg) {
			FSReadRequest out;
			out.offset = off;
			out.len = len;
			out.scratch = scratch;
			out.result = Slice(scratch, 0);
			out.status = owner_.Told(
				got.status.ok() ? OpenLate(serial, off, len, range, physical, got.result, scratch, &out.result)
						: owner_.Again(got.status));
			done(out, cb_arg);
		};
		return owner_.Told(source.below().ReadAsync(below, options, opened, arg, io_handle, del_fn, dbg));
	}

	IOStatus Prefetch(uint64_t off, size_t n, const IOOptions &options, IODebugContext *dbg) override
	{
		Source source(reader_.get());
		bh_page_range range = bh_page_file_range(source.file(), off, n);
		return source.below().Prefetch(range.off, range.len, options, dbg);
	}

	IOStatus InvalidateCache(size_t off, size_t len) override
	{
		Source source(reader_.get());
		bh_page_range range = bh_page_file_range(source.file(), off, len);
		return len == 0 ? source.below().InvalidateCache(0, 0) : source.below().InvalidateCache(range.off, range.len);
	}

	size_t GetUniqueId(char *id, size_t max_size) const override
	{
		return Source(reader_.get()).below().GetUniqueId(id, max_size);
	}
	void Hint(AccessPattern pattern) override
	{
		hint_ = pattern;
		Source(reader_.get()).below().Hint(pattern);
	}
	IOStatus GetFileSize(uint64_t *size) BH_OVERRIDE_SINCE_10_5
	{
		*size = size_;
		return IOStatus::OK();
	}
	Temperature GetTemperature() const override { return Source(reader_.get()).below().GetTemperature(); }
	uint64_t size() const { return size_; }

private:
	static bh_status OpenBelow(void *arg, const char *path, void **below_out)
	{
		const PagedRandomAccessFile *file = static_cast<PagedRandomAccessFile *>(arg);
		std::unique_ptr<FSRandomAccessFile> base;
		IOStatus s = file->fs_->NewRandomAccessFile(path, file->options_, &base, nullptr);
		if (!s.ok())
			return bh_fail(BH_E_IO, "%s: cannot be opened: %s", path, s.ToString().c_str());
		if (file->hint_ != kNormal)
			base->Hint(file->hint_);
		*below_out = base.release();
		return BH_OK;
	}
	static void CloseBelow(void *below) { delete static_cast<FSRandomAccessFile *>(below); }
	static constexpr bh_page_below_ops kBelow = { OpenBelow, CloseBelow };

	IOStatus ReadRange(uint64_t off, size_t n, const IOOptions &options, Slice *result, char *scratch,
			   IODebugContext *dbg) const
	{
		Source source(reader_.get());
		bh_page_range range = bh_page_file_range(source.file(), off, n);
		*result = Slice(scratch, 0);
		if (range.len == 0)
			return IOStatus::OK();
		PhysicalRead physical(range, source.below());
		AlignedMemory large;
		char *buffer = ReadBuffer(physical.len, &large);
		if (buffer == nullptr)
			return NoMemory(owner_.path());
		Slice got;
		IOStatus s = source.below().Read(physical.off, physical.len, options, &got, buffer, dbg);
		return s.ok() ? Open(source, off, n, range, physical, got, scratch, result) : owner_.Again(s);
	}

	IOStatus OpenLate(uint64_t serial, uint64_t off, size_t n, const bh_page_range &range, const PhysicalRead &physical,
			  const Slice &got, char *scratch, Slice *result) const
	{
		Source source(reader_.get());
		return source.serial() == serial ? Open(source, off, n, range, physical, got, scratch, result)
						 : ReadRange(off, n, IOOptions(), result, scratch, nullptr);
	}

	IOStatus Open(const Source &source, uint64_t off, size_t n, const bh_page_range &range, const PhysicalRead &physical,
		      const Slice &got, char *scratch, Slice *result) const
	{
		size_t have = got.size() > physical.skip ? BH_MIN(got.size() - physical.skip, range.len) : 0;
		bh_view pages = bh_view_of(got.data() + (have > 0 ? physical.skip : 0), have);
		bh_status status = bh_page_file_open_range(source.file(), off, n, pages, reinterpret_cast<uint8_t *>(scratch));
		if (status == BH_OK)
			*result = Slice(scratch, range.out_len);
		return FromStatus(status, owner_.path());
	}

	const Owner owner_;
	FileSystem *const fs_; // the one below, and what it was asked for
	const FileOptions options_;
	const PageWindow window_;
	uint64_t size_ = 0;
	std::atomic<AccessPattern> hint_{ kNormal };
	PageReader reader_;
};

// A paged file read from the front: what copies and checksums of whole files do.
class PagedSequentialFile : public FSSequentialFile
{
public:
	explicit PagedSequentialFile(std::unique_ptr<PagedRandomAccessFile> file) : file_(std::move(file)) {}
	IOStatus Read(size_t n, const IOOptions &options, Slice *result, char *scratch, IODebugContext *dbg) override
	{
		IOStatus s = file_->Read(off_, n, options, result, scratch, dbg);
		if (s.ok())
			off_ += result->size();
		return s;
	}
	IOStatus Skip(uint64_t n) override
	{
		off_ = BH_MIN(off_ + n, file_->size());
		return IOStatus::OK();
	}

private:
	const std::unique_ptr<PagedRandomAccessFile> file_;
	uint64_t off_ = 0;
};

// ---- sealed pages, writing

class PagedWritableFile : public FSWritableFileOwnerWrapper
{
public:
	PagedWritableFile(Owner owner, bh_room *room, std::unique_ptr<FSWritableFile> base, PageWriter writer, PageClaim claim)
		: FSWritableFileOwnerWrapper(std::move(base)), owner_(std::move(owner)), path_(owner_.path()), room_(room),
		  writer_(std::move(writer)), claim_(std::move(claim)), direct_(target()->use_direct_io())
	{
	}

	IOStatus Append(const Slice &data, const IOOptions &options, IODebugContext *dbg) override
	{
		if (failed_.ok())
			failed_ = CheckRoom(data.size());
		if (!failed_.ok())
			return failed_;
		bh_status status = bh_page_writer_append(writer_.get(), bh_view_of(data.data(), data.size()), &out_);
		return owner_.Told(status == BH_OK ? Drain(options, dbg) : FromStatus(status, path_));
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
		return size == bh_page_writer_logical(writer_.get()) ? IOStatus::OK() : Refused(path_, "truncation");
	}
	// RocksDB syncs an SST or blob file once, when it is complete: the last page is sealed then, so that the sync covers it.
	IOStatus Sync(const IOOptions &options, IODebugContext *dbg) override
	{
		IOStatus s = Finish(options, dbg);
		return owner_.Told(s.ok() ? owner_.Again(target()->Sync(options, dbg)) : s);
	}
	IOStatus Fsync(const IOOptions &options, IODebugContext *dbg) override
	{
		IOStatus s = Finish(options, dbg);
		return owner_.Told(s.ok() ? owner_.Again(target()->Fsync(options, dbg)) : s);
	}
	IOStatus Close(const IOOptions &options, IODebugContext *dbg) override
	{
		IOStatus s = Finish(options, dbg);
		IOStatus closed = owner_.Again(target()->Close(options, dbg));
		claim_.reset();
		return owner_.Told(s.ok() ? closed : s);
	}
	IOStatus RangeSync(uint64_t off, uint64_t n, const IOOptions &options, IODebugContext *dbg) override
	{
		uint64_t from = bh_pages_physical_offset(off, BH_PAGE_SIZE_DEFAULT);
		uint64_t to =
			BH_MIN(bh_pages_physical_offset(off + n, BH_PAGE_SIZE_DEFAULT), bh_page_writer_physical(writer_.get()));
		return to > from ? owner_.Again(target()->RangeSync(from, to - from, options, dbg)) : IOStatus::OK();
	}
	// Allocating ahead, 64 MiB at once perhaps, is for disks that have it.
	void PrepareWrite(size_t off, size_t len, const IOOptions &options, IODebugContext *dbg) override
	{
		if (room_ != nullptr && !bh_room_fits(room_, 2 * ahead_))
			return;
		uint64_t from = bh_pages_physical_offset(off, BH_PAGE_SIZE_DEFAULT);
		target()->PrepareWrite(from, bh_pages_physical_size(off + len, BH_PAGE_SIZE_DEFAULT) - from, options, dbg);
	}
	void SetPreallocationBlockSize(size_t size) override
	{
		ahead_ = size;
		target()->SetPreallocationBlockSize(size);
	}
	IOStatus Allocate(uint64_t off, uint64_t len, const IOOptions &options, IODebugContext *dbg) override
	{
		uint64_t from = bh_pages_physical_offset(off, BH_PAGE_SIZE_DEFAULT);
		return target()->Allocate(from, bh_pages_physical_size(off + len, BH_PAGE_SIZE_DEFAULT) - from, options, dbg);
	}
	IOStatus InvalidateCache(size_t, size_t) override { return target()->InvalidateCache(0, 0); }
	uint64_t GetFileSize(const IOOptions &, IODebugContext *) override { return bh_page_writer_logical(writer_.get()); }
	bool use_direct_io() const override { return false; }
	bool IsSyncThreadSafe() const override { return false; }

private:
	// What a compaction writes may wait: below the floor only what makes room goes on. A flush may not, and goes on to the end:
	// writes are refused meanwhile, and the rows it brings out of memory are acknowledged.
	IOStatus CheckRoom(size_t len)
	{
		if (room_ == nullptr)
			return IOStatus::OK();
		bh_room_grew(room_, len);
		if (!bh_room_is_low(room_) || GetIOPriority() != Env::IO_LOW || bh_room_is_used(room_))
			return IOStatus::OK();
		return FromStatus(bh_room_check(room_), path_);
	}

	IOStatus Finish(const IOOptions &options, IODebugContext *dbg)
	{
		if (bh_page_writer_finished(writer_.get()) || !failed_.ok())
			return failed_;
		bh_status status = bh_page_writer_finish(writer_.get(), &out_);
		if (status != BH_OK)
			return FromStatus(status, path_);
		IOStatus s = Drain(options, dbg);
		return s.ok() && direct_ ? DrainTail(options, dbg) : s;
	}

	// A failure is sticky: bytes after a hole would never authenticate.
	IOStatus Drain(const IOOptions &options, IODebugContext *dbg)
	{
		if (out_.len == 0 || !failed_.ok())
			return failed_;
		if (!direct_)
			failed_ = owner_.Again(target()->Append(out_.slice(), options, dbg));
		else if (!aligned_.Append(out_.data, out_.len))
			failed_ = NoMemory(path_);
		else
			failed_ = DrainAligned(aligned_.used() / Alignment() * Alignment(), options, dbg);
		out_.len = 0;
		return failed_;
	}

	// Direct I/O: `len` bytes, a multiple of the alignment, from the front of the aligned buffer.
	IOStatus DrainAligned(size_t len, const IOOptions &options, IODebugContext *dbg)
	{
		if (len == 0)
			return IOStatus::OK();
		IOStatus s = owner_.Again(target()->PositionedAppend(Slice(aligned_.data(), len), direct_off_, options, dbg));
		if (s.ok()) {
			direct_off_ += len;
			aligned_.DropFront(len);
		}
		return s;
	}

	// Direct I/O cannot write a partial block: the last one is padded, then cut off again.
	IOStatus DrainTail(const IOOptions &options, IODebugContext *dbg)
	{
		uint64_t size = direct_off_ + aligned_.used();
		size_t pad = (Alignment() - aligned_.used() % Alignment()) % Alignment();
		std::string zeros(pad, '\0');
		if (!aligned_.Append(zeros.data(), pad))
			return NoMemory(path_);
		IOStatus s = DrainAligned(aligned_.used(), options, dbg);
		return s.ok() ? owner_.Again(target()->Truncate(size, options, dbg)) : s;
	}

	size_t Alignment() const { return target()->GetRequiredBufferAlignment(); }

	const Owner owner_;
	const std::string path_;
	bh_room *const room_; // nullptr: nobody counts
	size_t ahead_ = 0;    // bytes that RocksDB wants allocated ahead
	const PageWriter writer_;
	PageClaim claim_; // until it is closed
	const bool direct_;
	Buf out_;
	IOStatus failed_;
	AlignedMemory aligned_;
	uint64_t direct_off_ = 0;
};

} // namespace bridge

#endif
