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

bh_status bh_audit_verify(const char *path, const bh_audit_scan_options *options, bh_audit_scan_result *out)
{
	const struct timespec pause = { .tv_nsec = LOOK_PAUSE_NS };
	bh_audit_scan_result found;
	uint64_t before;

	BH_TRY(file_scan(path, options, &found));
	for (int look = 1; look < LOOKS && ends_well(path, &found) != BH_OK; look++) {
		before = found.file_len;
		nanosleep(&pause, NULL);
		BH_TRY(file_scan(path, options, &found));
		if (found.file_len == before)
			break;
	}
	BH_TRY(ends_well(path, &found));
	*out = found;
	return BH_OK;
}

bh_status bh_audit_read(const char *path, bh_audit_each each, void *arg, bh_audit_scan_result *out)
{
	const bh_audit_scan_options options = { .each = each, .arg = arg };

	return file_scan(path, &options, out);
}
