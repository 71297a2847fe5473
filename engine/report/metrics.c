/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.c: a report as a file for Prometheus: HELP and TYPE once a metric, then its samples, one line each.
 */
#include <bulkhead/report.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "keyring/base/io.h"
#include "metrics.h"

/* Backslash, quote and newline are escaped, as the format has it. */
bh_status bh_metrics_label(bh_buf *out, const char *value)
{
	for (const char *p = value; *p != '\0'; p++) {
		if (*p == '\n')
			BH_TRY(bh_buf_append(out, "\\n", 2));
		else if (*p == '\\' || *p == '"')
			BH_TRY(bh_buf_append(out, (const char[]){ '\\', *p }, 2));
		else
			BH_TRY(bh_buf_append(out, p, 1));
	}
	return BH_OK;
}

/* name{merchant="NAME",KEY="VALUE"} number; `key` NULL: without. */
static bh_status sample(bh_buf *out, const char *name, const bh_merchant_report *m, const char *key, const char *value,
			double number)
{
	BH_TRY(bh_buf_printf(out, "%s{merchant=\"", name));
	BH_TRY(bh_metrics_label(out, m->name));
	if (key != NULL) {
		BH_TRY(bh_buf_printf(out, "\",%s=\"", key));
		BH_TRY(bh_metrics_label(out, value));
	}
	return bh_buf_printf(out, "\"} %.15g\n", number);
}

typedef struct metric {
	const char *name, *type, *help;
	bh_status (*each)(bh_buf *out, const char *name, const bh_merchant_report *m);
} metric;

static bh_status state(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return sample(out, name, m, "state", m->state, 1);
}

static bh_status suspended(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return m->cause[0] != '\0' ? sample(out, name, m, "cause", m->cause, 1) : BH_OK;
}

static bh_status lease_state(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return sample(out, name, m, "lease", m->lease, 1);
}

static bh_status lease_age(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return m->lease_age_ms >= 0 ? sample(out, name, m, NULL, NULL, (double)m->lease_age_ms / 1000) : BH_OK;
}

static bh_status lease_limit(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return sample(out, name, m, NULL, NULL, (double)m->lease_limit_ms / 1000);
}

static bh_status files(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	BH_TRY(sample(out, name, m, "place", "live", (double)m->live_files));
	return sample(out, name, m, "place", "parked", (double)m->parked_files);
}

static bh_status bytes(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	BH_TRY(sample(out, name, m, "place", "live", (double)m->live_bytes));
	return sample(out, name, m, "place", "parked", (double)m->parked_bytes);
}

static bh_status deks(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return sample(out, name, m, NULL, NULL, m->dek_count);
}

static bh_status sealed(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return sample(out, name, m, NULL, NULL, (double)m->sealed_bytes);
}

static bh_status suppressed_prefixes(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return sample(out, name, m, NULL, NULL, (double)m->suppressed);
}

static bh_status cmk_version(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return sample(out, name, m, "cmk", m->cmk_uri, m->cmk_version);
}

static bh_status lease_left(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return m->lease_left_ms >= 0 ? sample(out, name, m, NULL, NULL, (double)m->lease_left_ms / 1000) : BH_OK;
}

static bh_status kms_calls(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return sample(out, name, m, NULL, NULL, (double)m->kms.calls);
}

static bh_status kms_failures(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	BH_TRY(sample(out, name, m, "kind", "refused", (double)m->kms.refused));
	BH_TRY(sample(out, name, m, "kind", "not-found", (double)m->kms.not_found));
	BH_TRY(sample(out, name, m, "kind", "unreachable", (double)m->kms.unreachable));
	BH_TRY(sample(out, name, m, "kind", "throttled", (double)m->kms.throttled));
	BH_TRY(sample(out, name, m, "kind", "sealed", (double)m->kms.sealed));
	BH_TRY(sample(out, name, m, "kind", "damaged", (double)m->kms.damaged));
	return sample(out, name, m, "kind", "other", (double)m->kms.other);
}

static bh_status kms_seconds(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return sample(out, name, m, NULL, NULL, (double)m->kms.latency_sum_us / 1e6);
}

static bh_status kms_slowest(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return sample(out, name, m, NULL, NULL, (double)m->kms.latency_max_us / 1e6);
}

static bh_status kms_success(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return m->kms.last_success_at_s != 0 ? sample(out, name, m, NULL, NULL, (double)m->kms.last_success_at_s) : BH_OK;
}

static bh_status kms_last(bh_buf *out, const char *name, const bh_merchant_report *m)
{
	return m->kms_last_ms >= 0 ? sample(out, name, m, NULL, NULL, (double)m->kms_last_ms / 1000) : BH_OK;
}

/* Of merchants; those of the KMSs are the platform's as well, under the name "". */
static const metric metrics[] = {
	{ "bulkhead_merchant_state", "gauge", "1 for the state that the merchant is in", state },
	{ "bulkhead_merchant_suspended", "gauge", "1 while the merchant is suspended, by cause", suspended },
	{ "bulkhead_lease_state", "gauge", "1 for the state that the lease of the merchant's keys is in", lease_state },
	{ "bulkhead_lease_age_seconds", "gauge", "Since the KMS last allowed the merchant's keys; absent while they are not in use",
	  lease_age },
	{ "bulkhead_lease_left_seconds", "gauge", "Until the merchant's keys are given up; absent while they are not in use",
	  lease_left },
	{ "bulkhead_lease_limit_seconds", "gauge", "The age at which the merchant's keys are given up", lease_limit },
	{ "bulkhead_merchant_files", "gauge", "Files of the merchant, by place", files },
	{ "bulkhead_merchant_bytes", "gauge", "Bytes of the merchant's files, by place", bytes },
	{ "bulkhead_merchant_deks", "gauge", "DEK generations of the merchant that are not destroyed", deks },
	{ "bulkhead_merchant_sealed_bytes", "gauge",
	  "Bytes ever sealed under the newest generation of the merchant's DEKs; of the class that has most", sealed },
	{ "bulkhead_merchant_cmk_version", "gauge", "Newest version of the CMK that wrapped one of them", cmk_version },
	{ "bulkhead_suppressed_prefixes", "gauge", "Erased prefixes that are kept out of the merchant's classes",
	  suppressed_prefixes },
	{ "bulkhead_kms_last_call_seconds", "gauge", "How long the last call for the merchant's lease took", kms_last },
};

static const metric kms_metrics[] = {
	{ "bulkhead_kms_calls_total", "counter", "Calls to the merchant's CMK", kms_calls },
	{ "bulkhead_kms_failures_total", "counter", "Those that were not answered with yes, by kind", kms_failures },
	{ "bulkhead_kms_call_seconds_total", "counter", "How long all of them took together", kms_seconds },
	{ "bulkhead_kms_slowest_call_seconds", "gauge", "How long the slowest took", kms_slowest },
	{ "bulkhead_kms_last_success_timestamp_seconds", "gauge", "When the last one was answered with yes", kms_success },
};

static bh_status head(bh_buf *out, const char *name, const char *type, const char *help)
{
	return bh_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static bh_status of_database(bh_buf *out, const char *name, const char *help, uint64_t value)
{
	BH_TRY(head(out, name, "gauge", help));
	return bh_buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static bh_status of_merchants(bh_buf *out, const metric *of, const bh_merchant_report *merchants, size_t count)
{
	for (size_t i = 0; i < count; i++)
		BH_TRY(of->each(out, of->name, &merchants[i]));
	return BH_OK;
}

bh_status bh_metrics_format(const bh_db_report *report, bh_buf *out)
{
	const bh_merchant_report platform = { .kms = report->platform_kms };

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
		BH_TRY(head(out, metrics[i].name, metrics[i].type, metrics[i].help));
		BH_TRY(of_merchants(out, &metrics[i], report->merchants, report->merchant_count));
	}
	for (size_t i = 0; i < sizeof(kms_metrics) / sizeof(kms_metrics[0]); i++) {
		BH_TRY(head(out, kms_metrics[i].name, kms_metrics[i].type, kms_metrics[i].help));
		BH_TRY(of_merchants(out, &kms_metrics[i], &platform, 1));
		BH_TRY(of_merchants(out, &kms_metrics[i], report->merchants, report->merchant_count));
	}
	BH_TRY(of_database(out, "bulkhead_background_errors", "Background errors of RocksDB since the open",
			   report->background_errors));
	BH_TRY(of_database(out, "bulkhead_wal_files", "Write-ahead logs", report->wal_files));
	BH_TRY(of_database(out, "bulkhead_wal_bytes", "Their bytes", report->wal_bytes));
	BH_TRY(of_database(out, "bulkhead_audit_entries", "Entries of the audit log", report->audit_entries));
	return of_database(out, "bulkhead_audit_bytes", "Its bytes", report->audit_bytes);
}

/* ---- the file */

static bh_status write_all(int fd, const char *path, bh_view text)
{
	for (size_t at = 0; at < text.len;) {
		ssize_t n = TEMP_FAILURE_RETRY(write(fd, text.data + at, text.len - at));

		if (n < 0)
			return bh_fail(BH_E_IO, "%s: cannot be written: %s", path, strerror(errno));
		at += (size_t)n;
	}
	if (fsync(fd) != 0)
		return bh_fail(BH_E_IO, "%s: cannot be synced: %s", path, strerror(errno));
	return BH_OK;
}

static bh_status replace(const char *path, const char *temp, bh_view text)
{
	int fd = bh_io_make(AT_FDCWD, temp, O_WRONLY, 0644);
	bh_status status;

	if (fd < 0)
		return bh_fail(BH_E_IO, "%s: cannot be made: %s", temp, strerror(errno));
	status = write_all(fd, temp, text);
	close(fd);
	if (status == BH_OK && rename(temp, path) != 0)
		status = bh_fail(BH_E_IO, "%s: cannot be replaced: %s", path, strerror(errno));
	if (status != BH_OK)
		(void)unlink(temp);
	return status;
}

bh_status bh_metrics_store(const char *path, bh_view text)
{
	BH_CLEANUP(bh_buf_clear) bh_buf temp = { 0 };

	if (path == NULL || path[0] == '\0' || strlen(path) > 4000)
		return bh_fail(BH_E_INVALID, "a file for metrics needs a path of 1 to 4000 bytes");
	BH_TRY(bh_buf_printf(&temp, "%s.tmp", path));
	return replace(path, (const char *)temp.data, text);
}

bh_status bh_db_metrics(bh_db *db, bh_buf *out)
{
	bh_db_report *report = NULL;
	bh_status status;

	BH_TRY(bh_db_status(db, &report));
	status = bh_metrics_format(report, out);
	bh_db_report_free(report);
	return bh_done(status);
}

bh_status bh_db_metrics_write(bh_db *db, const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	BH_TRY(bh_db_metrics(db, &text));
	return bh_done(bh_metrics_store(path, bh_buf_view(&text)));
}
