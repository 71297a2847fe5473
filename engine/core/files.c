/* SPDX-License-Identifier: Apache-2.0
 *
 * files.c: see files.h.
 */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring/base/io.h"

bool bh_path_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

bool bh_dir_has(const char *dir, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	return bh_buf_printf(&path, "%s/%s", dir, name) == BH_OK && bh_path_exists((const char *)path.data);
}

bool bh_path_is_file(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool bh_path_is_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bh_status bh_dir_make(const char *path)
{
	if (mkdir(path, 0750) != 0 && errno != EEXIST)
		return bh_fail(bh_io_status(errno), "%s: cannot make the directory: %s", path, strerror(errno));
	return BH_OK;
}

static bh_status sync_path(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
	bh_status status = BH_OK;

	if (fd < 0 || fsync(fd) != 0)
		status = bh_fail(bh_io_status(errno), "%s: cannot be synced: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return status;
}

bh_status bh_dir_sync(const char *path)
{
	return sync_path(path, O_DIRECTORY);
}

bh_status bh_file_sync(const char *path)
{
	return sync_path(path, O_NOFOLLOW);
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

bh_status bh_dir_each(const char *path, bh_status (*each)(void *arg, const char *name), void *arg)
{
	bh_status status = BH_OK;
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (dir == NULL)
		return errno == ENOENT ? BH_OK : bh_fail(bh_io_status(errno), "%s: cannot be listed: %s", path, strerror(errno));
	while (status == BH_OK && (entry = readdir(dir)) != NULL)
		if (!is_dots(entry->d_name))
			status = each(arg, entry->d_name);
	closedir(dir);
	return status;
}

static bh_status remove_at(int parent, const char *name);

static bh_status remove_entries(int fd, const char *name)
{
	bh_status status = BH_OK;
	struct dirent *entry;
	DIR *dir = fdopendir(fd); /* takes fd over */

	if (dir == NULL) {
		close(fd);
		return bh_fail(bh_io_status(errno), "%s: cannot be listed: %s", name, strerror(errno));
	}
	while (status == BH_OK && (entry = readdir(dir)) != NULL)
		if (!is_dots(entry->d_name))
			status = remove_at(dirfd(dir), entry->d_name);
	closedir(dir);
	return status;
}

static bh_status remove_at(int parent, const char *name)
{
	int fd;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return BH_OK;
	if (errno != EISDIR && errno != EPERM)
		return bh_fail(bh_io_status(errno), "%s: cannot be removed: %s", name, strerror(errno));
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? BH_OK : bh_fail(bh_io_status(errno), "%s: cannot be opened: %s", name, strerror(errno));
	BH_TRY(remove_entries(fd, name));
	if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		return bh_fail(bh_io_status(errno), "%s: cannot be removed: %s", name, strerror(errno));
	return BH_OK;
}

static bh_status remove_tree(const char *parent, const char *name, bool durably)
{
	bh_status status;
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? BH_OK : bh_fail(bh_io_status(errno), "%s: cannot be opened: %s", parent, strerror(errno));
	status = remove_at(fd, name);
	/* What was below it cannot be reached once its own name is gone, durably. */
	if (status == BH_OK && durably && fsync(fd) != 0)
		status = bh_fail(bh_io_status(errno), "%s: cannot be synced: %s", parent, strerror(errno));
	close(fd);
	return bh_fail_prefix(status, "%s", parent);
}

bh_status bh_tree_remove(const char *parent, const char *name)
{
	return remove_tree(parent, name, true);
}

bh_status bh_tree_discard(const char *parent, const char *name)
{
	return remove_tree(parent, name, false);
}

/* ---- links, or copies */

static bh_status copy_bytes(int in, int out, const char *to)
{
	static const size_t chunk = 256u << 10;
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

	if (ioctl(out, FICLONE, in) == 0) /* the same blocks, on file systems that have that */
		return BH_OK;
	BH_TRY(bh_buf_reserve(&bytes, chunk));
	for (;;) {
		ssize_t got = TEMP_FAILURE_RETRY(read(in, bytes.data, chunk));

		if (got <= 0)
			return got == 0 ? BH_OK : bh_fail(bh_io_status(errno), "%s: cannot be copied: %s", to, strerror(errno));
		BH_TRY(bh_io_append(out, to, bh_view_of(bytes.data, (size_t)got)));
	}
}

/* Half of a copy is none: whoever made the directory it lies in gives it its name at the end. */
static bh_status copy_file(const char *from, const char *to)
{
	BH_CLEANUP(bh_io_closep) int in = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	BH_CLEANUP(bh_io_closep) int out = -1;
	struct stat st;
	bh_status status;

	if (in < 0 || fstat(in, &st) != 0)
		return bh_fail(bh_io_status(errno), "%s: cannot be opened: %s", from, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return bh_fail(BH_E_FORMAT, "%s: is no regular file", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, st.st_mode & 0777);
	if (out < 0)
		return bh_fail(bh_io_status(errno), "%s: cannot be made: %s", to, strerror(errno));
	status = copy_bytes(in, out, to);
	if (status == BH_OK)
		status = bh_io_sync(out, to);
	if (status != BH_OK)
		(void)unlink(to);
	return status;
}

bh_status bh_file_link(const char *from, const char *to)
{
	if (linkat(AT_FDCWD, from, AT_FDCWD, to, 0) == 0)
		return BH_OK;
	if (bh_io_cannot_link(errno))
		return copy_file(from, to);
	return bh_fail(bh_io_status(errno), "%s: cannot be linked to %s: %s", from, to, strerror(errno));
}
