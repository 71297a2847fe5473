// SPDX-License-Identifier: Apache-2.0
//
// clock.hh: the system's clock, but for one sleep. A thread of RocksDB's whose job failed sleeps for a second, in case that passes:
// where the failure is a merchant's own, the others' jobs would wait for that thread.
// Part of the bridge, and of nothing else.
#ifndef BH_BRIDGE_CLOCK_HH
#define BH_BRIDGE_CLOCK_HH

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/system_clock.h>

#include <memory>

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

// This thread's job failed for a reason that is forgotten: its next sleep is short.
extern thread_local bool next_sleep_is_short;

class Clock : public SystemClockWrapper
{
public:
	Clock() : SystemClockWrapper(SystemClock::Default()) {}
	const char *Name() const override { return "BulkheadClock"; }
	void SleepForMicroseconds(int micros) override
	{
		const bool is_short = next_sleep_is_short && micros > kShort;
		next_sleep_is_short = false;
		target_->SleepForMicroseconds(is_short ? kShort : micros);
	}

private:
	static constexpr int kShort = 20000; // long enough for a detach to come in between
};

// An Env of these two over `base`, which it owns.
class ClockedEnv : public EnvWrapper
{
public:
	explicit ClockedEnv(std::unique_ptr<Env> base) : EnvWrapper(std::move(base))
	{
		file_system_ = target()->GetFileSystem();
		system_clock_ = std::make_shared<Clock>();
	}
	static const char *kClassName() { return "BulkheadEnv"; }
	const char *Name() const override { return kClassName(); }
};

} // namespace bridge

#endif
