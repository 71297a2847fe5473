/* SPDX-License-Identifier: Apache-2.0
 *
 * failing_calls.c: see failing_calls.h. A write that fails for lack of room at a file's end writes half of what it was given, as a
 * disk does.
 */
#include "failing_calls.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static _Atomic(failing_plan *) armed;

__attribute__((visibility("default"))) void failing_arm(failing_plan *plan);
void failing_arm(failing_plan *plan)
{
	if (plan != NULL)
		plan->seen = plan->failed = 0;
	atomic_store(&armed, plan);
}

/* The function of that name that would have been called. */
#define NEXT(name)                                                                                                                 \
	static __typeof__(name) *next;                                                                                             \
	if (next == NULL)                                                                                                          \
	*(void **)&next = dlsym(RTLD_NEXT, #name)

/* Whether this one fails; sets errno then. */
static bool fails(failing_call call, const char *path)
{
	failing_plan *plan = atomic_load(&armed);
	long n;

	if (plan == NULL || plan->call != call || path == NULL || strncmp(path, plan->below, strlen(plan->below)) != 0)
		return false;
	n = __atomic_add_fetch(&plan->seen, 1, __ATOMIC_RELAXED);
	if (plan->error == 0 || n < plan->from || (n > plan->from && !plan->for_ever))
		return false;
	__atomic_add_fetch(&plan->failed, 1, __ATOMIC_RELAXED);
	errno = plan->error;
	return true;
}

static bool is_armed_for(failing_call call)
{
	const failing_plan *plan = atomic_load(&armed);

	return plan != NULL && plan->call == call;
}

/* Where the descriptor leads; "" if nowhere. */
static const char *path_of(int fd, char out[512])
{
	char link[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, out, 511);
	out[len > 0 ? len : 0] = '\0';
	return out;
}

static bool fd_fails(failing_call call, int fd)
{
	char path[512];
	int saved = errno;

	if (!is_armed_for(call))
		return false;
	if (fails(call, path_of(fd, path)))
		return true;
	errno = saved;
	return false;
}

static bool at_fails(failing_call call, int dir, const char *name)
{
	char path[1024];
	size_t len;

	if (!is_armed_for(call) || name == NULL)
		return false;
	if (name[0] == '/' || dir == AT_FDCWD)
		return fails(call, name);
	path_of(dir, path);
	len = strlen(path);
	snprintf(path + len, sizeof(path) - len, "/%s", name);
	return fails(call, path);
}

/* ---- open */

#define OPENS(name)                                                                                                                \
	__attribute__((visibility("default"))) int name(const char *path, int flags, ...);                                         \
	int name(const char *path, int flags, ...)                                                                                 \
	{                                                                                                                          \
		va_list ap;                                                                                                        \
		mode_t mode;                                                                                                       \
		NEXT(name);                                                                                                        \
		va_start(ap, flags);                                                                                               \
		mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;                                              \
		va_end(ap);                                                                                                        \
		return at_fails(FAILING_OPEN, AT_FDCWD, path) ? -1 : next(path, flags, mode);                                      \
	}
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                                                                             \
	__attribute__((visibility("default"))) int name(int dir, const char *path, int flags, ...);                                \
	int name(int dir, const char *path, int flags, ...)                                                                        \
	{                                                                                                                          \
		va_list ap;                                                                                                        \
		mode_t mode;                                                                                                       \
		NEXT(name);                                                                                                        \
		va_start(ap, flags);                                                                                               \
		mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;                                              \
		va_end(ap);                                                                                                        \
		return at_fails(FAILING_OPEN, dir, path) ? -1 : next(dir, path, flags, mode);                                      \
	}
OPENS_AT(openat)
OPENS_AT(openat64)

#define EXPORT(type, name, parameters)                                                                                             \
	__attribute__((visibility("default"))) type name parameters;                                                               \
	type name parameters

EXPORT(DIR *, opendir, (const char *path))
{
	NEXT(opendir);
	return at_fails(FAILING_OPEN, AT_FDCWD, path) ? NULL : next(path);
}

/* ---- read and write */

static bool is_at_end(int fd, off_t off)
{
	struct stat st;
	int saved = errno;
	bool at_end = saved == ENOSPC && fstat(fd, &st) == 0 && off >= st.st_size;

	errno = saved;
	return at_end;
}

/* The end of a write that failed with `error`; `worse`: so did its half, with what errno says. */
static ssize_t half(int error, bool worse)
{
	if (!worse)
		errno = error;
	return -1;
}

EXPORT(ssize_t, read, (int fd, void *bytes, size_t len))
{
	NEXT(read);
	return fd_fails(FAILING_READ, fd) ? -1 : next(fd, bytes, len);
}

#define PREADS(name)                                                                                                               \
	EXPORT(ssize_t, name, (int fd, void *bytes, size_t len, off_t off))                                                        \
	{                                                                                                                          \
		NEXT(name);                                                                                                        \
		return fd_fails(FAILING_READ, fd) ? -1 : next(fd, bytes, len, off);                                                \
	}
PREADS(pread)
PREADS(pread64)

EXPORT(ssize_t, write, (int fd, const void *bytes, size_t len))
{
	NEXT(write);
	if (!fd_fails(FAILING_WRITE, fd))
		return next(fd, bytes, len);
	return half(errno, is_at_end(fd, lseek(fd, 0, SEEK_CUR)) && len > 1 && next(fd, bytes, len / 2) < 0);
}

#define PWRITES(name)                                                                                                              \
	EXPORT(ssize_t, name, (int fd, const void *bytes, size_t len, off_t off))                                                  \
	{                                                                                                                          \
		NEXT(name);                                                                                                        \
		if (!fd_fails(FAILING_WRITE, fd))                                                                                  \
			return next(fd, bytes, len, off);                                                                          \
		return half(errno, is_at_end(fd, off) && len > 1 && next(fd, bytes, len / 2, off) < 0);                            \
	}
PWRITES(pwrite)
PWRITES(pwrite64)

/* ---- the rest */

#define SYNCS(name)                                                                                                                \
	EXPORT(int, name, (int fd))                                                                                                \
	{                                                                                                                          \
		NEXT(name);                                                                                                        \
		return fd_fails(FAILING_SYNC, fd) ? -1 : next(fd);                                                                 \
	}
SYNCS(fsync)
SYNCS(fdatasync)

EXPORT(int, rename, (const char *from, const char *to))
{
	NEXT(rename);
	return at_fails(FAILING_RENAME, AT_FDCWD, from) ? -1 : next(from, to);
}

EXPORT(int, renameat, (int a, const char *from, int b, const char *to))
{
	NEXT(renameat);
	return at_fails(FAILING_RENAME, a, from) ? -1 : next(a, from, b, to);
}

EXPORT(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags))
{
	NEXT(renameat2);
	return at_fails(FAILING_RENAME, a, from) ? -1 : next(a, from, b, to, flags);
}

EXPORT(int, link, (const char *from, const char *to))
{
	NEXT(link);
	return at_fails(FAILING_LINK, AT_FDCWD, from) ? -1 : next(from, to);
}

EXPORT(int, linkat, (int a, const char *from, int b, const char *to, int flags))
{
	NEXT(linkat);
	return at_fails(FAILING_LINK, a, from) ? -1 : next(a, from, b, to, flags);
}

EXPORT(int, unlink, (const char *path))
{
	NEXT(unlink);
	return at_fails(FAILING_UNLINK, AT_FDCWD, path) ? -1 : next(path);
}

EXPORT(int, unlinkat, (int dir, const char *path, int flags))
{
	NEXT(unlinkat);
	return at_fails(FAILING_UNLINK, dir, path) ? -1 : next(dir, path, flags);
}

EXPORT(int, rmdir, (const char *path))
{
	NEXT(rmdir);
	return at_fails(FAILING_UNLINK, AT_FDCWD, path) ? -1 : next(path);
}

#define ALLOCATES(name)                                                                                                            \
	EXPORT(int, name, (int fd, int mode, off_t off, off_t len))                                                                \
	{                                                                                                                          \
		NEXT(name);                                                                                                        \
		return fd_fails(FAILING_ALLOCATE, fd) ? -1 : next(fd, mode, off, len);                                             \
	}
ALLOCATES(fallocate)
ALLOCATES(fallocate64)

#define POSIX_ALLOCATES(name)                                                                                                      \
	EXPORT(int, name, (int fd, off_t off, off_t len))                                                                          \
	{                                                                                                                          \
		NEXT(name);                                                                                                        \
		return fd_fails(FAILING_ALLOCATE, fd) ? errno : next(fd, off, len);                                                \
	}
POSIX_ALLOCATES(posix_fallocate)
POSIX_ALLOCATES(posix_fallocate64)
