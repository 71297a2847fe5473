/* SPDX-License-Identifier: Apache-2.0
 *
 * home.c: see home.h.
 */
#include "home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "keyring/base/crashpoint.h"
#include "keyring/base/io.h"
#include "keyring/crypto/kdf.h"

#define MACHINE_FILE "/etc/machine-id"
#define LINE_LEN (2 * BH_SHA256_LEN + 1)

static void machine_add(bh_buf *place)
{
	char id[64];
	int fd = open(MACHINE_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, id, sizeof(id)) : 0;

	bh_io_closep(&fd);
	for (ssize_t i = 0; i < len && id[i] != '\n'; i++)
		(void)!bh_buf_append_u8(place, (uint8_t)id[i]);
}

/* The line that HOME has here. */
static bh_status line_of(const bh_io_dir *dir, char out[LINE_LEN + 1])
{
	BH_CLEANUP(bh_buf_clear) bh_buf place = { 0 };
	uint8_t digest[BH_SHA256_LEN];
	struct statfs fs;
	struct stat st;
	uint64_t fs_id = 0;

	if (fstatfs(dir->fd, &fs) != 0 || fstat(dir->fd, &st) != 0)
		return bh_fail(bh_io_status(errno), "%s: cannot be looked at: %s", dir->path, strerror(errno));
	memcpy(&fs_id, &fs.f_fsid, BH_MIN(sizeof(fs_id), sizeof(fs.f_fsid)));
	BH_TRY(bh_buf_append(&place, "bulkhead/1/home", sizeof("bulkhead/1/home")));
	machine_add(&place);
	BH_TRY(bh_buf_append_u8(&place, 0));
	BH_TRY(bh_buf_append_u64(&place, fs_id));
	BH_TRY(bh_buf_append_u64(&place, (uint64_t)st.st_ino));
	BH_TRY(bh_sha256(bh_buf_view(&place), digest));
	bh_hex(digest, sizeof(digest), out);
	out[LINE_LEN - 1] = '\n';
	out[LINE_LEN] = '\0';
	return BH_OK;
}

bh_status bh_home_set(const char *path)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	char line[LINE_LEN + 1];

	BH_TRY(bh_io_dir_open(path, &dir));
	BH_TRY(line_of(&dir, line));
	BH_TRY(bh_io_write_file(&dir, BH_HOME_TEMP, bh_view_str(line)));
	bh_crash_point("home.tmp-synced");
	BH_TRY(bh_io_rename(&dir, BH_HOME_TEMP, BH_HOME_FILE));
	bh_crash_point("home.renamed");
	return bh_io_dir_sync(&dir);
}

/* What cannot be removed harms nothing. */
static void remove_file(const char *path, const char *name)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	const bh_message message = bh_message_keep();

	if (bh_io_dir_open(path, &dir) == BH_OK)
		(void)!bh_io_unlink(&dir, name);
	bh_message_restore(&message);
}

void bh_home_unset(const char *path)
{
	remove_file(path, BH_HOME_FILE);
}

void bh_home_tidy(const char *path)
{
	remove_file(path, BH_HOME_TEMP);
}

static bh_status look(const char *path, bool *here)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	char line[LINE_LEN + 1];

	BH_TRY(bh_io_dir_open(path, &dir));
	BH_TRY(line_of(&dir, line));
	BH_TRY(bh_io_read_file(&dir, BH_HOME_FILE, LINE_LEN, &bytes));
	*here = bytes.len == LINE_LEN && memcmp(bytes.data, line, LINE_LEN) == 0;
	return BH_OK;
}

bool bh_home_is_here(const char *path)
{
	const bh_message message = bh_message_keep();
	bool here = false;

	(void)!look(path, &here);
	bh_message_restore(&message);
	return here;
}
