/* SPDX-License-Identifier: Apache-2.0
 *
 * archive.c: see archive.h.
 */
#include "archive.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scan.h"
#include "keyring/base/crashpoint.h"

#define COPY_STEP (256u << 10)
#define NAME_SIZE BH_AUDIT_ARCHIVE_NAME_SIZE

/* What leaves: the file's first `len` bytes, the last line of which is the anchor at `anchor`. All zero: nothing. */
typedef struct part {
	uint64_t anchor, len;
	uint64_t first, last; /* entries */
} part;

/* ---- where to cut */

static bh_status part_find(int fd, const uint8_t public_key[BH_SIGN_PUBLIC_LEN], uint64_t file_len, const bh_audit_position *known,
			   part *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	const bh_audit_scan_options options = { .public_key = public_key, .floors = known, .floor_count = 1, .from_anchor = true };
	bh_audit_scan_result found;
	bh_audit_line line;

	BH_TRY(bh_audit_scan(fd, BH_AUDIT_FILE, file_len, &options, &found));
	*out = (part){ 0 };
	if (found.begin == 0)
		return BH_OK;
	const size_t len = (size_t)BH_MIN(file_len - found.begin, (uint64_t)BH_AUDIT_LINE_MAX);
	BH_TRY(bh_buf_reserve(&bytes, len));
	BH_TRY(bh_io_read_at(fd, BH_AUDIT_FILE, found.begin, bytes.data, len));
	const uint8_t *end = memchr(bytes.data, '\n', len); /* the scan has read the line */
	const size_t line_len = end != NULL ? (size_t)(end - bytes.data) + 1 : len;
	BH_TRY(bh_audit_line_decode(bh_view_of(bytes.data, line_len), &line));
	*out = (part){ .anchor = found.begin,
		       .len = found.begin + line_len,
		       .first = found.first + 1,
		       .last = line.checkpoint.position.size };
	return BH_OK;
}

/* ---- the copy */

static bh_status bytes_copy(int from, int to, const char *name, uint64_t len)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

	BH_TRY(bh_buf_reserve(&bytes, COPY_STEP));
	for (uint64_t off = 0; off < len; off += COPY_STEP) {
		const size_t step = (size_t)BH_MIN(len - off, (uint64_t)COPY_STEP);

		BH_TRY(bh_io_read_at(from, BH_AUDIT_FILE, off, bytes.data, step));
		BH_TRY(bh_io_write_at(to, name, off, bh_view_of(bytes.data, step)));
	}
	return bh_io_sync(to, name);
}

/* Whether the file in the archive, as it is read from there, is the part and proves itself. */
static bh_status copy_check(const bh_io_dir *archive, const char *name, const uint8_t public_key[BH_SIGN_PUBLIC_LEN], const part *p)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;
	const bh_audit_scan_options options = { .public_key = public_key };
	bh_audit_scan_result found;
	uint64_t len = 0;

	BH_TRY(bh_io_open(archive, name, O_RDONLY, &fd, &len, NULL));
	BH_TRY(bh_audit_scan(fd, name, len, &options, &found));
	if (len != p->len || found.good_len != len || found.tree.size != p->last || found.first + 1 != p->first)
		return bh_fail(BH_E_EXISTS, "%s/%s: is there already, with other entries", archive->path, name);
	return BH_OK;
}

static bh_status copy_make(int from, const bh_io_dir *archive, const char *name, const uint8_t public_key[BH_SIGN_PUBLIC_LEN],
			   const part *p)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;
	char temp[NAME_SIZE + 8];
	struct stat st;

	if (fstatat(archive->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) /* a call before this one was killed */
		return copy_check(archive, name, public_key, p);
	snprintf(temp, sizeof(temp), "%s.tmp", name);
	fd = bh_io_make(archive->fd, temp, O_RDWR, 0640);
	if (fd < 0)
		return bh_fail(bh_io_status(errno), "%s/%s: cannot be made: %s", archive->path, temp, strerror(errno));
	bh_status status = bytes_copy(from, fd, temp, p->len);
	bh_crash_point("audit.archive.copied");
	if (status == BH_OK)
		status = copy_check(archive, temp, public_key, p);
	if (status == BH_OK)
		status = bh_io_rename_new(archive, temp, name);
	if (status == BH_OK)
		status = bh_io_dir_sync(archive);
	if (status != BH_OK)
		unlinkat(archive->fd, temp, 0); /* leaves the message alone */
	return bh_fail_prefix(status, "%s", archive->path);
}

/* ---- all of it */

/* What is part of the database's own directory would be taken for something else there, and leave with it. */
static bh_status refuse_within(const bh_io_dir *dir, const char *to)
{
	char database[PATH_MAX], archive[PATH_MAX];

	if (realpath(dir->path, database) == NULL || realpath(to, archive) == NULL)
		return BH_OK; /* which is found out where it is opened */
	const size_t len = strlen(database);
	if (strncmp(database, archive, len) == 0 && (archive[len] == '/' || archive[len] == '\0'))
		return bh_fail(BH_E_INVALID, "%s: lies in the database's own directory; an archive is kept elsewhere", to);
	return BH_OK;
}

static bh_status told(bh_audit *audit, const bh_io_dir *archive, const bh_audit_archived *made)
{
	BH_CLEANUP(bh_buf_clear) bh_buf detail = { 0 };
	bh_audit_event event = { .action = BH_AUDIT_LOG_ARCHIVED, .archived = made->last };

	BH_TRY(bh_buf_printf(&detail, "entries %llu to %llu, %llu bytes, are in %s/%s", (unsigned long long)made->first,
			     (unsigned long long)made->last, (unsigned long long)made->bytes, archive->path, made->name));
	BH_TRY(bh_buf_append_u8(&detail, 0));
	event.detail = (const char *)detail.data;
	return bh_audit_append(audit, &event);
}

bh_status bh_audit_archive(bh_audit *audit, const bh_io_dir *dir, const bh_signer *signer, const bh_audit_position *known,
			   const char *to, bh_audit_archived *out)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;
	BH_CLEANUP(bh_io_dir_close) bh_io_dir archive = BH_IO_DIR_CLOSED;
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
	bh_audit_archived made;
	uint64_t len = 0;
	part p;

	BH_TRY(refuse_within(dir, to));
	BH_TRY(bh_io_dir_open(to, &archive));
	bh_signer_public(signer, public_key);
	BH_TRY(bh_io_open(dir, BH_AUDIT_FILE, O_RDONLY, &fd, &len, NULL));
	BH_TRY(bh_fail_prefix(part_find(fd, public_key, len, known, &p), "%s/" BH_AUDIT_FILE, dir->path));
	*out = (bh_audit_archived){ 0 };
	if (p.len == 0)
		return BH_OK;
	made = (bh_audit_archived){ .first = p.first, .last = p.last, .bytes = p.len };
	snprintf(made.name, sizeof(made.name), BH_AUDIT_FILE "-%012llu-%012llu", (unsigned long long)p.first,
		 (unsigned long long)p.last);
	BH_TRY(copy_make(fd, &archive, made.name, public_key, &p));
	bh_crash_point("audit.archive.stored");
	BH_TRY(told(audit, &archive, &made));
	bh_crash_point("audit.archive.told");
	BH_TRY(bh_audit_cut(audit, dir, p.anchor));
	*out = made;
	return BH_OK;
}
