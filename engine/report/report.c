/* SPDX-License-Identifier: Apache-2.0
 *
 * report.c: collects what <bulkhead/report.h> promises.
 */
#include <bulkhead/report.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/bridge/jobs.h"
#include "keyring/audit/audit.h"
#include "engine/wall/leaser.h"
#include "engine/wall/park.h"
#include "engine/erase/suppress.h"

/* ---- files */

typedef struct usage {
	uint64_t files, bytes;
} usage;

static void add_file(usage *out, const struct stat *st)
{
	out->files++;
	out->bytes += (uint64_t)st->st_size;
}

/* Regular files below the directory `fd`, which is taken over; what goes away meanwhile is not counted. */
static bh_status add_below(int fd, usage *out)
{
	DIR *dir = fdopendir(fd);
	bh_status status = BH_OK;
	struct dirent *entry;
	struct stat st;

	if (dir == NULL) {
		close(fd);
		return bh_fail(BH_E_IO, "a directory cannot be listed: %s", strerror(errno));
	}
	while (status == BH_OK && (entry = readdir(dir)) != NULL) {
		int below;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || bh_is_temp_name(entry->d_name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISREG(st.st_mode))
			add_file(out, &st);
		below = S_ISDIR(st.st_mode) ? openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
					    : -1;
		if (below >= 0)
			status = add_below(below, out);
	}
	closedir(dir);
	return status;
}

static bh_status add_tree(const char *path, usage *out)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? BH_OK : bh_fail(BH_E_IO, "%s: cannot be listed: %s", path, strerror(errno));
	return add_below(fd, out);
}

static bool is_wal(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && strcmp(name + len - 4, ".log") == 0;
}

static bh_status count_wals(const bh_db *db, usage *out)
{
	DIR *dir = opendir(db->dir);
	struct dirent *entry;
	struct stat st;

	if (dir == NULL)
		return bh_fail(BH_E_IO, "%s: cannot be listed: %s", db->dir, strerror(errno));
	while ((entry = readdir(dir)) != NULL)
		if (is_wal(entry->d_name) && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			add_file(out, &st);
	closedir(dir);
	return BH_OK;
}

/* ---- merchants */

static bh_status fill_files(const bh_db *db, bh_merchant_report *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf live = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf parked = { 0 };
	usage there = { 0 }, aside = { 0 };

	BH_TRY(bh_buf_printf(&live, "%s/" BH_TENANTS_DIR "/%s", db->dir, out->name));
	BH_TRY(bh_parked_path(db, out->name, &parked));
	BH_TRY(add_tree((const char *)live.data, &there));
	BH_TRY(add_tree((const char *)parked.data, &aside));
	out->live_files = there.files;
	out->live_bytes = there.bytes;
	out->parked_files = aside.files;
	out->parked_bytes = aside.bytes;
	return BH_OK;
}

static void fill_lease(const bh_db *db, bh_merchant_report *out)
{
	bh_leaser_info info = { .age_ms = -1, .last_ms = -1 };

	if (bh_leaser_look(db->leaser, out->name, &info) != BH_OK) /* one that was suspended when the database was opened */
		info.state = BH_LEASE_OFF;
	out->lease = bh_lease_state_name(info.state);
	out->lease_age_ms = info.age_ms;
	out->lease_left_ms = info.age_ms >= 0 ? info.remaining_ms : -1;
	out->lease_limit_ms = info.limit_ms;
	out->kms_last_ms = info.last_ms;
}

static void fill_deks(const bh_merchant_info *info, const bh_dek_info *deks, size_t count, bh_merchant_report *out)
{
	uint32_t newest = 0;

	for (size_t i = 0; i < count; i++) {
		if (deks[i].tombstone || memcmp(deks[i].merchant_id, info->id, BH_ID_LEN) != 0)
			continue;
		if (deks[i].generation > newest) {
			newest = deks[i].generation;
			out->sealed_bytes = 0;
		}
		if (deks[i].generation == newest)
			out->sealed_bytes = BH_MAX(out->sealed_bytes, deks[i].sealed);
		out->dek_count++;
		out->cmk_version = BH_MAX(out->cmk_version, deks[i].cmk_version);
	}
}

static void fill_suppressed(bh_db *db, bh_merchant_report *out)
{
	bh_merchant *merchant = bh_merchant_find(db, out->name);

	if (merchant != NULL)
		out->suppressed = bh_suppress_count(merchant);
	bh_merchant_unref(merchant);
}

static bh_status fill_merchant(bh_db *db, const bh_merchant_info *info, bh_merchant_report *out)
{
	memcpy(out->name, info->name, sizeof(out->name));
	memcpy(out->note, info->note, sizeof(out->note));
	out->state = bh_merchant_state_name(info->state);
	out->cause = info->cause != BH_SUSPEND_NONE ? bh_suspend_cause_name(info->cause) : "";
	out->cmk_uri = strdup(info->cmk_uri);
	if (out->cmk_uri == NULL)
		return bh_fail(BH_E_NOMEM, "merchant '%s': no memory for its report", info->name);
	fill_lease(db, out);
	fill_suppressed(db, out);
	BH_TRY(bh_keyring_kms_stats(db->keyring, info->name, &out->kms));
	return fill_files(db, out);
}

/* ---- the report */

static bh_status fill_merchants(bh_db *db, const bh_merchant_info *infos, size_t count, bh_db_report *report)
{
	bh_dek_info *deks = NULL;
	bh_status status = BH_OK;
	size_t dek_count = 0;

	report->merchants = calloc(count + 1, sizeof(*report->merchants));
	if (report->merchants == NULL)
		return bh_fail(BH_E_NOMEM, "no memory to report on %zu merchants", count);
	BH_TRY(bh_keyring_deks(db->keyring, &deks, &dek_count));
	for (size_t i = 0; i < count && status == BH_OK; i++) {
		if (infos[i].state == BH_MERCHANT_SHREDDED)
			continue;
		fill_deks(&infos[i], deks, dek_count, &report->merchants[report->merchant_count]);
		status = fill_merchant(db, &infos[i], &report->merchants[report->merchant_count++]);
	}
	free(deks);
	return status;
}

static bh_status fill_database(bh_db *db, bh_db_report *report)
{
	bh_audit_position audit = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	usage wals = { 0 };
	struct stat st;

	BH_TRY(bh_keyring_kms_stats(db->keyring, "", &report->platform_kms));
	BH_TRY(count_wals(db, &wals));
	report->wal_files = wals.files;
	report->wal_bytes = wals.bytes;
	if (rocksdb_property_int(db->rocks, "rocksdb.background-errors", &report->background_errors) != 0)
		return bh_fail(BH_E_ROCKSDB, "RocksDB does not tell of its background errors");
	report->background_errors -= BH_MIN(report->background_errors, bh_jobs_forgotten(db->jobs)); /* a merchant's own */
	bh_audit_position_get(bh_keyring_audit(db->keyring), &audit);
	report->audit_entries = audit.size;
	BH_TRY(bh_buf_printf(&path, "%s/" BH_AUDIT_FILE, db->dir));
	if (stat((const char *)path.data, &st) == 0)
		report->audit_bytes = (uint64_t)st.st_size;
	return BH_OK;
}

static bh_status fill(bh_db *db, bh_db_report *report)
{
	bh_merchant_info *infos = NULL;
	bh_status status;
	size_t count = 0;

	BH_TRY(fill_database(db, report));
	BH_TRY(bh_keyring_merchants(db->keyring, &infos, &count));
	status = fill_merchants(db, infos, count, report);
	for (size_t i = 0; i < count; i++)
		bh_merchant_info_clear(&infos[i]);
	free(infos);
	return status;
}

static bh_status db_status_inside(bh_db *db, bh_db_report **out)
{
	bh_db_report *report = calloc(1, sizeof(*report));
	bh_status status = report != NULL ? fill(db, report) : bh_fail(BH_E_NOMEM, "no memory for a report");

	if (status == BH_OK)
		*out = report;
	else
		bh_db_report_free(report);
	return status;
}

bh_status bh_db_status(bh_db *db, bh_db_report **out)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, db_status_inside(db, out));
}

void bh_db_report_free(bh_db_report *report)
{
	if (report == NULL)
		return;
	for (size_t i = 0; i < report->merchant_count; i++)
		free(report->merchants[i].cmk_uri);
	free(report->merchants);
	free(report);
}
