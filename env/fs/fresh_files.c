/* SPDX-License-Identifier: Apache-2.0
 *
 * fresh_files.c: see fresh_files.h.
 */
#include "fresh_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/files/raw_file.h"
#include "env/files/stream_file.h"
#include "keyring/base/io.h"
#include "path.h"
#include "small_file.h"

#define OLDER_MAX (64u << 20)
#define CURRENT_MAX (64u * 1024)
#define MANIFEST_PREFIX "MANIFEST-"

void bh_fresh_name(bh_file_kind kind, uint64_t number, char out[BH_FRESH_NAME_SIZE])
{
	snprintf(out, BH_FRESH_NAME_SIZE, kind == BH_KIND_WAL ? "%06llu.log" : MANIFEST_PREFIX "%06llu",
		 (unsigned long long)number);
}

/* Digits, then `rest`. */
static bool parse_number(const char *text, const char *rest, uint64_t *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && strcmp(end, rest) == 0;
}

bool bh_fresh_wal_number(const char *name, uint64_t *number_out)
{
	return parse_number(name, ".log", number_out);
}

/* ---- logs */

static void reader_free(bh_stream_reader **r)
{
	bh_stream_reader_free(*r);
}

static bh_status open_log(const char *path, const bh_scopes *scopes, int *fd_out, bh_stream_reader **out)
{
	uint8_t header[BH_HEADER_LEN];

	BH_TRY(bh_raw_open(path, fd_out));
	BH_TRY(bh_raw_header_stable(*fd_out, path, header));
	return bh_fail_prefix(bh_stream_reader_new(bh_view_of(header, sizeof(header)), scopes, true, out), "%s", path);
}

bh_status bh_fresh_look_at(const char *root, const char *name, const bh_scopes *scopes, bh_fresh_look *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(bh_raw_close) int fd = -1;
	BH_CLEANUP(reader_free) bh_stream_reader *reader = NULL;
	bh_path_info info;
	struct stat st;

	BH_TRY(bh_buf_printf(&path, "%s/%s", root, name));
	BH_TRY(bh_path_classify(root, (const char *)path.data, &info));
	BH_TRY(open_log((const char *)path.data, scopes, &fd, &reader));
	BH_TRY(bh_path_check_place((const char *)path.data, &info, bh_stream_reader_key(reader)));
	if (fstat(fd, &st) != 0)
		return bh_raw_fail((const char *)path.data, "looked at");
	*out = (bh_fresh_look){ .header = bh_stream_reader_key(reader)->header,
				.marked = bh_stream_reader_mark(reader).physical,
				.keyring = bh_stream_reader_keyring(reader),
				.size = (uint64_t)st.st_size };
	return BH_OK;
}

bh_status bh_fresh_measure(const char *root, const char *name, const bh_scopes *scopes, uint64_t end, uint64_t *end_out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(bh_raw_close) int fd = -1;
	BH_CLEANUP(reader_free) bh_stream_reader *reader = NULL;

	BH_TRY(bh_buf_printf(&path, "%s/%s", root, name));
	BH_TRY(open_log((const char *)path.data, scopes, &fd, &reader));
	bh_stream_reader_raise(reader, end);
	BH_TRY(bh_fail_prefix(bh_stream_read_through(fd, (const char *)path.data, UINT64_MAX, reader, NULL, NULL), "%s",
			      (const char *)path.data));
	*end_out = bh_stream_reader_offset(reader);
	return BH_OK;
}

bh_status bh_fresh_read_current(const char *path, const bh_scopes *scopes, uint64_t *number_out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	const size_t skip = strlen(MANIFEST_PREFIX);

	BH_TRY(bh_stream_read_small(path, scopes, CURRENT_MAX, &text));
	BH_TRY(bh_buf_append_u8(&text, 0));
	if (text.len <= skip || memcmp(text.data, MANIFEST_PREFIX, skip) != 0 ||
	    !parse_number((const char *)text.data + skip, "\n", number_out))
		return bh_fail(BH_E_FORMAT, "%s: names no MANIFEST", path);
	return BH_OK;
}

bh_status bh_fresh_each(const char *root, bh_status (*each)(void *arg, const char *name), void *arg)
{
	bh_status status = BH_OK;
	struct dirent *entry;
	DIR *dir = opendir(root);

	if (dir == NULL)
		return bh_raw_fail(root, "listed");
	while (status == BH_OK && (entry = readdir(dir)) != NULL)
		status = each(arg, entry->d_name);
	closedir(dir);
	return status;
}

/* ---- the file of older ones */

static bh_status read_if_right(const bh_io_dir *dir, const char *name, const bh_ledger *ledger, bh_buf *out, bool *right)
{
	uint8_t digest[BH_SHA256_LEN];

	out->len = 0;
	*right = false;
	if (bh_io_read_file(dir, name, OLDER_MAX, out) != BH_OK)
		return BH_OK;
	BH_TRY(bh_sha256(bh_buf_view(out), digest));
	*right = out->len == (size_t)ledger->older_count * BH_LEDGER_LOG_LEN &&
		 memcmp(digest, ledger->older_digest, BH_SHA256_LEN) == 0;
	return BH_OK;
}

bh_status bh_fresh_older_read(const char *root, const bh_ledger *ledger, bh_buf *out, bool *temp_out)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	bool right;

	BH_TRY(bh_io_dir_open(root, &dir));
	for (int i = 0; i < 2; i++) {
		*temp_out = i == 1;
		BH_TRY(read_if_right(&dir, *temp_out ? BH_FRESH_OLDER_TEMP : BH_FRESH_OLDER_FILE, ledger, out, &right));
		if (right)
			return BH_OK;
	}
	return bh_fail(BH_E_ROLLBACK,
		       "%s/" BH_FRESH_OLDER_FILE ": is missing, or is not the one that belongs to KEYRING; put it back, or all of "
		       "the directory from one backup",
		       root);
}

bh_status bh_fresh_older_write(const char *root, bh_view bytes)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;

	BH_TRY(bh_io_dir_open(root, &dir));
	BH_TRY(bh_io_unlink(&dir, BH_FRESH_OLDER_TEMP));
	BH_TRY(bh_io_write_file(&dir, BH_FRESH_OLDER_TEMP, bytes));
	return bh_io_dir_sync(&dir);
}

bh_status bh_fresh_older_rename(const char *root)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;

	BH_TRY(bh_io_dir_open(root, &dir));
	BH_TRY(bh_io_rename(&dir, BH_FRESH_OLDER_TEMP, BH_FRESH_OLDER_FILE));
	return bh_io_dir_sync(&dir);
}

/* ---- syncing */

bh_status bh_fresh_sync_file(const char *root, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(bh_raw_close) int fd = -1;

	BH_TRY(bh_buf_printf(&path, "%s/%s", root, name));
	BH_TRY(bh_raw_open((const char *)path.data, &fd));
	return fdatasync(fd) == 0 ? BH_OK : bh_raw_fail((const char *)path.data, "synced");
}

bh_status bh_fresh_sync_dir(const char *root)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;

	BH_TRY(bh_io_dir_open(root, &dir));
	return bh_io_dir_sync(&dir);
}
