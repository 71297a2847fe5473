// SPDX-License-Identifier: Apache-2.0
//
// log.hh: the info log, with keys and values withheld.
// Part of bridge.cc, and of nothing else.
#ifndef BH_BRIDGE_LOG_HH
#define BH_BRIDGE_LOG_HH

#include "common.hh"

#include "env/infolog/infolog.h"
#include "env/infolog/infolog_file.h"

namespace bridge
{
using namespace ROCKSDB_NAMESPACE;

// ---- the info log

// Where it ends up: the file.
class FileLogger : public Logger
{
public:
	explicit FileLogger(bh_infolog_file *file) : file_(file) {}
	~FileLogger() override
	{
		if (!closed_)
			closed_ = true;
	}
	using Logger::Logv;
	__attribute__((format(printf, 2, 0))) void Logv(const char *format, va_list ap) override
	{
		char *text = nullptr;
		int len = vasprintf(&text, format, ap);
		if (len < 0)
			return;
		bh_infolog_file_write(file_.get(), bh_view_of(text, static_cast<size_t>(len)));
		free(text);
	}
	size_t GetLogFileSize() const override { return bh_infolog_file_size(file_.get()); }

protected:
	Status CloseImpl() override { return Status::OK(); }

private:
	const std::unique_ptr<bh_infolog_file, Freer<bh_infolog_file_free>> file_;
};

class RedactingLogger : public Logger
{
public:
	explicit RedactingLogger(std::shared_ptr<Logger> target, bool with_headers = true)
		: Logger(target->GetInfoLogLevel()), target_(std::move(target)), with_headers_(with_headers)
	{
	}
	~RedactingLogger() override
	{
		if (!closed_)
			closed_ = true;
	}
	using Logger::Logv;
	void Logv(const char *format, va_list ap) override { Logv(InfoLogLevel::INFO_LEVEL, format, ap); }
	void Logv(const InfoLogLevel level, const char *format, va_list ap) override
	{
		if (level < GetInfoLogLevel())
			return;
		Buf line;
		if (bh_infolog_render(format, ap, &line) == BH_OK)
			Log(level, target_.get(), "%.*s", static_cast<int>(line.len), reinterpret_cast<const char *>(line.data));
	}
	// Options, a hundred lines for each family that a MANIFEST ever had.
	void LogHeader(const char *format, va_list ap) override
	{
		if (with_headers_)
			Logv(InfoLogLevel::HEADER_LEVEL, format, ap);
	}
	size_t GetLogFileSize() const override { return target_->GetLogFileSize(); }
	void Flush() override { target_->Flush(); }
	void SetInfoLogLevel(const InfoLogLevel level) override
	{
		Logger::SetInfoLogLevel(level);
		target_->SetInfoLogLevel(level);
	}

protected:
	Status CloseImpl() override { return target_->Close(); }

private:
	const std::shared_ptr<Logger> target_;
	const bool with_headers_;
};

} // namespace bridge

#endif
