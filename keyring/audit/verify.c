/* SPDX-License-Identifier: Apache-2.0
 *
 * verify.c: see verify.h.
 */
#include "verify.h"
#include "keyring/crypto/sign.h"
#include "keyring/base/io.h"
#include "event.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#define LOOKS 10
#define LOOK_PAUSE_NS 100000000

static bh_status file_scan(const char *path, const bh_audit_scan_options *options, bh_audit_scan_result *out)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_buf_clear) bh_buf parent = { 0 };
	const char *slash = strrchr(path, '/');
	uint64_t len = 0;

	BH_TRY(bh_buf_printf(&parent, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1, slash != NULL ? path : "."));
	BH_TRY(bh_buf_append_u8(&parent, 0));
	BH_TRY(bh_io_dir_open((const char *)parent.data, &dir));
	BH_TRY(bh_io_open(&dir, slash != NULL ? slash + 1 : path, O_RDONLY, &fd, &len, NULL));
	return bh_fail_prefix(bh_audit_scan(fd, path, len, options, out), "%s", path);
}

static bh_status ends_well(const char *path, const bh_audit_scan_result *found)
{
	if (found->file_len != found->good_len)
		return bh_fail(
			BH_E_TRUNCATED,
			"%s: %llu bytes behind the checkpoint in line %llu are an append that did not end: a crash, which the next "
			"open makes good, or a cut",
			path, (unsigned long long)(found->file_len - found->good_len), (unsigned long long)found->lines);
	if (found->checkpoints == 0)
		return bh_fail(BH_E_TRUNCATED, "%s: is empty; every log begins with the making of its database", path);
	return BH_OK;
}

/* The last file of a log, which may be written meanwhile. */
static bh_status last_scan(const char *path, const bh_audit_scan_options *options, bh_audit_scan_result *out)
{
	const struct timespec pause = { .tv_nsec = LOOK_PAUSE_NS };
	uint64_t before;

	BH_TRY(file_scan(path, options, out));
	for (int look = 1; look < LOOKS && ends_well(path, out) != BH_OK; look++) {
		before = out->file_len;
		nanosleep(&pause, NULL);
		BH_TRY(file_scan(path, options, out));
		if (out->file_len == before)
			break;
	}
	return ends_well(path, out);
}

/* Those that lie beyond the file are not its to reach. */
static bh_status floors_within(const char *path, const bh_audit_scan_options *options, const bh_audit_scan_result *first)
{
	for (size_t i = 0; i < options->floor_count; i++)
		if (options->floors[i].size != 0 && options->floors[i].size < first->first)
			return bh_fail(
				BH_E_NOT_FOUND,
				"%s: begins behind entry %llu, and a floor of %llu entries is to be looked at: give the files "
				"of its archive, too, before it",
				path, (unsigned long long)first->first, (unsigned long long)options->floors[i].size);
	return BH_OK;
}

static bh_status begins_well(const char *path, const bh_audit_scan_result *first)
{
	if (first->first == 0 || first->is_told)
		return BH_OK;
	return bh_fail(BH_E_TAG,
		       "%s: begins behind entry %llu, and has no entry that says that these were archived: they were cut off", path,
		       (unsigned long long)first->first);
}

/* All but the last. */
static bh_status scan_before(const char *path, const bh_audit_scan_options *options, bh_audit_scan_result *out)
{
	bh_audit_scan_options alone = *options;

	alone.more = true;
	BH_TRY(file_scan(path, &alone, out));
	return out->anchored == out->file_len ? BH_OK
					      : bh_fail(BH_E_TRUNCATED, "%s: does not end as a file of an archive does", path);
}

bh_status bh_audit_verify(const char *const *paths, size_t count, const bh_audit_scan_options *options, bh_audit_scan_result *out)
{
	bh_audit_scan_result first = { 0 }, before = { 0 }, found = { 0 };
	bh_audit_scan_options each = *options;
	uint64_t lines = 0, checkpoints = 0;

	for (size_t i = 0; i < count; i++) {
		each.before = i > 0 ? &before : NULL;
		BH_TRY(i + 1 < count ? scan_before(paths[i], &each, &found) : last_scan(paths[i], &each, &found));
		if (i == 0) {
			BH_TRY(begins_well(paths[0], &found));
			BH_TRY(floors_within(paths[0], options, &found));
			first = found;
		}
		lines += found.lines - (i > 0);
		checkpoints += found.checkpoints - (i > 0); /* the anchor that ends the one before */
		before = found;
	}
	found.first = first.first;
	found.base = first.base;
	found.lines = lines;
	found.checkpoints = checkpoints;
	*out = found;
	return BH_OK;
}

bh_status bh_audit_read(const char *const *paths, size_t count, bh_audit_each each, void *arg, bh_audit_scan_result *out)
{
	bh_audit_scan_options options = { .each = each, .arg = arg };
	bh_audit_scan_result before;

	for (size_t i = 0; i < count; i++) {
		BH_TRY(file_scan(paths[i], &options, out));
		before = *out;
		options.before = &before;
	}
	return BH_OK;
}
