// SPDX-License-Identifier: Apache-2.0
//
// listener.cc: see listener.h.
#include "listener.h"

#include <climits>

#include <rocksdb/listener.h>
#include <rocksdb/options.h>

#include "handles.hh"

using namespace ROCKSDB_NAMESPACE;

namespace
{

class ErrorListener : public EventListener
{
public:
	explicit ErrorListener(const bh_bridge_errors &errors) : errors_(errors) {}
	const char *Name() const override { return "Bulkhead"; }
	// A compaction that failed and may be tried again stops nobody.
	void OnBackgroundError(BackgroundErrorReason reason, Status *error) override
	{
		if (!error->ok() && reason != BackgroundErrorReason::kCompaction)
			errors_.stopped(errors_.arg, IsTried(*error));
	}
	void OnErrorRecoveryEnd(const BackgroundErrorRecoveryInfo &info) override
	{
		errors_.ended(errors_.arg, info.new_bg_error.ok());
	}

private:
	// As RocksDB's error handler has it.
	static bool IsTried(const Status &error)
	{
		const IOStatus io = status_to_io_status(Status(error));
		return io.subcode() != IOStatus::SubCode::kNoSpace &&
		       (io.GetRetryable() || io.GetScope() == IOStatus::IOErrorScope::kIOErrorScopeFile);
	}

	const bh_bridge_errors errors_;
};

} // namespace

void bh_bridge_listen(rocksdb_options_t *options, const bh_bridge_errors *errors)
{
	options->rep.listeners.push_back(std::make_shared<ErrorListener>(*errors));
}

void bh_bridge_set_recovery(rocksdb_options_t *options)
{
	options->rep.max_bgerror_resume_count = INT_MAX;
}

bool bh_bridge_writes_each_record(const rocksdb_options_t *options)
{
	return !options->rep.manual_wal_flush;
}

void bh_bridge_bound_open_files(rocksdb_options_t *options, int bound)
{
	if (options->rep.max_open_files < 0)
		options->rep.max_open_files = bound;
}
