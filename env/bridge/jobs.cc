// SPDX-License-Identifier: Apache-2.0
//
// jobs.cc: see jobs.h.
#include "jobs.h"

#include <bulkhead/env.h>

#include <rocksdb/listener.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "blame.hh"
#include "clock.hh"
#include "handles.hh"

using namespace ROCKSDB_NAMESPACE;

namespace
{

// The job that this thread is at. RocksDB tells of an error on the thread of the job.
thread_local std::string job_family;

class JobListener : public EventListener
{
public:
	JobListener(bh_job_judge judge, void *arg) : judge_(judge), arg_(arg) {}
	const char *Name() const override { return "BulkheadJobs"; }

	void OnFlushBegin(DB *, const FlushJobInfo &info) override { job_family = info.cf_name; }
	void OnFlushCompleted(DB *, const FlushJobInfo &) override { job_family.clear(); }
	void OnCompactionBegin(DB *, const CompactionJobInfo &info) override { job_family = info.cf_name; }
	void OnCompactionCompleted(DB *, const CompactionJobInfo &) override { job_family.clear(); }

	void OnMemTableSealed(const MemTableInfo &info) override
	{
		std::lock_guard<std::mutex> guard(mutex_);
		sealed_[info.cf_name]++;
	}

	void OnBackgroundError(BackgroundErrorReason reason, Status *error) override
	{
		const bool flush = reason == BackgroundErrorReason::kFlush || reason == BackgroundErrorReason::kFlushNoWAL;
		if (error->ok())
			return;
		if (flush || reason == BackgroundErrorReason::kCompaction)
			Judge(flush, error);
		if (!error->ok() && reason != BackgroundErrorReason::kCompaction)
			Note(error->ToString());
	}

	// How many memtables of the family were ever sealed.
	uint64_t Sealed(const std::string &family)
	{
		std::lock_guard<std::mutex> guard(mutex_);
		return sealed_[family];
	}
	uint64_t Errors() const { return errors_.load(); }
	uint64_t Forgotten() const { return forgotten_.load(); }
	std::string Last()
	{
		std::lock_guard<std::mutex> guard(mutex_);
		return last_;
	}

private:
	void Judge(bool flush, Status *error)
	{
		const std::string text = error->ToString(), family = job_family;
		const bh_job_failure failure = { family.empty() ? nullptr : family.c_str(), text.c_str(), flush,
						 error->IsNoSpace() || bridge::IsLack(text) };
		job_family.clear();
		switch (judge_(arg_, &failure)) {
		case BH_JOB_EVERYBODYS: break;
		case BH_JOB_OWN:
			*error = Status::OK();
			bridge::next_sleep_is_short = true;
			forgotten_++;
			break;
		case BH_JOB_AWAITED: *error = Status(*error, Status::Severity::kHardError); break;
		}
	}

	void Note(const std::string &text)
	{
		std::lock_guard<std::mutex> guard(mutex_);
		last_ = text;
		errors_++;
	}

	const bh_job_judge judge_;
	void *const arg_;
	std::mutex mutex_; // guards the two below
	std::map<std::string, uint64_t> sealed_;
	std::string last_;
	std::atomic<uint64_t> errors_{ 0 }, forgotten_{ 0 };
};

} // namespace

struct bh_jobs {
	std::shared_ptr<JobListener> listener;
};

bh_jobs *bh_jobs_new(bh_job_judge judge, void *arg)
{
	return new bh_jobs{ std::make_shared<JobListener>(judge, arg) };
}

void bh_jobs_free(bh_jobs *jobs)
{
	delete jobs;
}

void bh_jobs_listen(bh_jobs *jobs, rocksdb_options_t *options)
{
	options->rep.listeners.push_back(jobs->listener);
}

uint64_t bh_jobs_forgotten(const bh_jobs *jobs)
{
	return jobs->listener->Forgotten();
}

namespace
{

// What was sealed and is not waiting any more was flushed, the oldest first. Read in this order it is never too many.
uint64_t Flushed(JobListener *listener, rocksdb_t *db, rocksdb_column_family_handle_t *cf)
{
	uint64_t sealed = listener->Sealed(cf->rep->GetName()), waiting = 0;
	if (!db->rep->GetIntProperty(cf->rep, DB::Properties::kNumImmutableMemTable, &waiting))
		return 0;
	return sealed > waiting ? sealed - waiting : 0;
}

Status Flush(JobListener *listener, rocksdb_t *db, rocksdb_column_family_handle_t *cf, bool now, const bool *stop, int limit_ms)
{
	const auto begun = std::chrono::steady_clock::now();
	auto is_late = [&]() {
		return limit_ms >= 0 && std::chrono::steady_clock::now() - begun > std::chrono::milliseconds(limit_ms);
	};
	FlushOptions options;
	options.wait = false;
	options.allow_write_stall = now;
	const uint64_t errors = listener->Errors();
	Status s;
	while ((s = db->rep->Flush(options, cf->rep)).IsTryAgain() && !__atomic_load_n(stop, __ATOMIC_ACQUIRE) && !is_late())
		Env::Default()->SleepForMicroseconds(1000); // writes are stopped for a moment
	const uint64_t sealed = listener->Sealed(cf->rep->GetName());
	for (int round = 0; s.ok() && Flushed(listener, db, cf) < sealed; round++) {
		if (__atomic_load_n(stop, __ATOMIC_ACQUIRE))
			return Status::Aborted("its merchant is taken out");
		if (is_late())
			return Status::TimedOut("it is not flushed within the time that there is");
		if (listener->Errors() != errors)
			return Status::IOError(listener->Last());
		Env::Default()->SleepForMicroseconds(round < 20 ? 100 : 1000);
	}
	return s;
}

} // namespace

void bh_jobs_flush(bh_jobs *jobs, rocksdb_t *db, rocksdb_column_family_handle_t *cf, bool now, const bool *stop, int limit_ms,
		   char **error)
{
	Status s = Flush(jobs->listener.get(), db, cf, now, stop, limit_ms);
	if (!s.ok())
		*error = strdup(s.ToString().c_str());
}

bh_status bh_jobs_relax(rocksdb_t *db, rocksdb_column_family_handle_t *cf)
{
	Status s = db->rep->SetOptions(cf->rep, { { "disable_auto_compactions", "true" },
						  { "max_write_buffer_number", "1000" },
						  { "level0_slowdown_writes_trigger", "1000000" },
						  { "level0_stop_writes_trigger", "1000000" },
						  { "soft_pending_compaction_bytes_limit", "0" },
						  { "hard_pending_compaction_bytes_limit", "0" } });
	return s.ok() ? BH_OK : bh_status_of_rocksdb(strdup(s.ToString().c_str()));
}

bh_status bh_bridge_resume(rocksdb_t *db)
{
	Status s = db->rep->Resume();
	return s.ok() ? BH_OK : bh_status_of_rocksdb(strdup(s.ToString().c_str()));
}

void bh_bridge_enable_file_deletions(rocksdb_t *db, char **error)
{
	ROCKSDB_NAMESPACE::Status s = bridge::EnableFileDeletions(db->rep);
	if (!s.ok())
		*error = strdup(s.ToString().c_str());
}
