/* SPDX-License-Identifier: Apache-2.0
 *
 * room.c: see room.h.
 */
#include "room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "keyring/base/io.h"

#define FLOOR_DEFAULT (64ull << 20)
#define FLOOR_SHARE 20 /* of a small file system: one part in so many */
#define FLOOR_INODES 64
#define FLOOR_DESCRIPTORS 16
#define SPARE_DESCRIPTORS 8
#define RESERVE_SHARE 32 /* of a small file system: no more than one part in so many */
#define LOOK_AGAIN_MS 10
#define DESCRIPTORS_EVERY_MS 500 /* with 10,000 of them, counting takes some ms */
#define PROBE_EVERY_MS 50
#define HAD_ROOM_MS 500
#define PROBE_BYTES (1u << 20) /* a log's step */
#define GREW_MIN (256ull << 10)

struct bh_room {
	char *dir;
	uint64_t floor_asked; /* 0: the default */
	_Atomic bool low;
	_Atomic unsigned users;
	_Atomic uint64_t grew, look_after; /* bytes since the last look, and when it is due */
	_Atomic uint64_t above;            /* bytes above the floor at the last look */
	_Atomic int64_t looked_at_ms;

	pthread_mutex_t lock;
	bh_room_log log;
	char log_why[512];
	int64_t probe_at_ms, descriptors_at_ms; /* not before that */
	int64_t had_room_until_ms;              /* for who uses the reserve: it was tried */
	_Atomic bool lacks;                     /* the try failed */
	bh_room_info seen;
	uint64_t total_bytes;
	DIR *descriptors;              /* /proc/self/fd, kept open: opening it would need one. NULL: there is no /proc */
	int spares[SPARE_DESCRIPTORS]; /* -1: lent */
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool path_make(const bh_room *room, const char *name, bh_buf *out)
{
	return bh_buf_printf(out, "%s/%s", room->dir, name) == BH_OK;
}

/* ---- looking; under `lock` */

static void look_at_descriptors(bh_room *room)
{
	struct rlimit limit;
	uint64_t used = 0;

	if (!atomic_load(&room->low) && now_ms() < room->descriptors_at_ms)
		return;
	room->descriptors_at_ms = now_ms() + DESCRIPTORS_EVERY_MS;
	room->seen.free_descriptors = UINT64_MAX;
	if (room->descriptors == NULL || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return;
	rewinddir(room->descriptors);
	for (const struct dirent *entry; (entry = readdir(room->descriptors)) != NULL;)
		used += entry->d_name[0] != '.';
	room->seen.free_descriptors = limit.rlim_cur > used ? limit.rlim_cur - used : 0;
	room->seen.floor_descriptors = BH_MIN((uint64_t)FLOOR_DESCRIPTORS, limit.rlim_cur / 16);
}

static void look_at_files(bh_room *room)
{
	bh_room_info *seen = &room->seen;
	struct statvfs st;

	if (statvfs(room->dir, &st) != 0) /* as it was: the write will say what is the matter */
		return;
	room->total_bytes = (uint64_t)st.f_blocks * st.f_frsize;
	seen->free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	seen->floor_bytes = room->floor_asked != 0 ? room->floor_asked : BH_MIN(FLOOR_DEFAULT, room->total_bytes / FLOOR_SHARE);
	seen->free_inodes = st.f_files != 0 ? (uint64_t)st.f_favail : UINT64_MAX;
	seen->floor_inodes = BH_MIN((uint64_t)FLOOR_INODES, (uint64_t)st.f_files / FLOOR_SHARE);
}

/* Whether room can be had: a quota is in no statvfs(2). */
static bool probe(const bh_room *room)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(bh_io_closep) int fd = -1;
	bool fits;

	if (!path_make(room, BH_RESERVE_PROBE, &path))
		return false;
	fd = bh_io_make(AT_FDCWD, (const char *)path.data, O_WRONLY, 0640);
	fits = fd >= 0 && posix_fallocate(fd, 0, PROBE_BYTES) == 0;
	(void)unlink((const char *)path.data);
	return fits;
}

static void look_at_log(bh_room *room)
{
	if (room->log != BH_ROOM_LOG_REFUSED || now_ms() < room->probe_at_ms)
		return;
	room->probe_at_ms = now_ms() + PROBE_EVERY_MS;
	if (probe(room))
		room->log = BH_ROOM_LOG_FINE;
}

static bool look(bh_room *room)
{
	bh_room_info *seen = &room->seen;
	uint64_t above;

	look_at_files(room);
	look_at_descriptors(room);
	look_at_log(room);
	above = seen->free_bytes > seen->floor_bytes ? seen->free_bytes - seen->floor_bytes : 0;
	seen->is_low = above == 0 || seen->free_inodes < seen->floor_inodes || seen->free_descriptors < seen->floor_descriptors;
	atomic_store(&room->above, above);
	atomic_store(&room->grew, 0);
	atomic_store(&room->look_after, BH_MAX(above / 8, GREW_MIN));
	atomic_store(&room->looked_at_ms, now_ms());
	atomic_store(&room->low, seen->is_low || room->log != BH_ROOM_LOG_FINE);
	return atomic_load(&room->low);
}

bool bh_room_look(bh_room *room)
{
	bool low;

	pthread_mutex_lock(&room->lock);
	low = look(room);
	pthread_mutex_unlock(&room->lock);
	return low;
}

void bh_room_info_get(bh_room *room, bh_room_info *out)
{
	pthread_mutex_lock(&room->lock);
	*out = room->seen;
	pthread_mutex_unlock(&room->lock);
}

/* ---- asking */

bool bh_room_is_low(const bh_room *room)
{
	return atomic_load_explicit(&room->low, memory_order_relaxed);
}

bool bh_room_fits(const bh_room *room, uint64_t bytes)
{
	return !atomic_load_explicit(&room->lacks, memory_order_relaxed) &&
	       bytes < atomic_load_explicit(&room->above, memory_order_relaxed) -
			       BH_MIN(atomic_load_explicit(&room->above, memory_order_relaxed),
				      atomic_load_explicit(&room->grew, memory_order_relaxed));
}

static bh_status say_what(const bh_room *room, const bh_room_info *seen, uint64_t bytes, uint64_t inodes, uint64_t descriptors)
{
	if (seen->free_descriptors < seen->floor_descriptors + descriptors)
		return bh_fail(BH_E_FULL,
			       "descriptors are used up: %llu of this process's limit are left, and %llu have to stay; raise it "
			       "(ulimit -n), or lower max_open_files",
			       (unsigned long long)seen->free_descriptors,
			       (unsigned long long)(seen->floor_descriptors + descriptors));
	if (seen->free_inodes < seen->floor_inodes + inodes)
		return bh_fail(BH_E_FULL, "%s: the file system's inodes are used up: %llu are left, and %llu have to stay",
			       room->dir, (unsigned long long)seen->free_inodes, (unsigned long long)(seen->floor_inodes + inodes));
	return bh_fail(
		BH_E_FULL,
		"%s: the disk is full: %llu bytes are free, and %llu have to stay (min_free_bytes); writes go on when there is "
		"room",
		room->dir, (unsigned long long)seen->free_bytes, (unsigned long long)(seen->floor_bytes + bytes));
}

static bh_status say_log(bh_room *room)
{
	char why[sizeof(room->log_why)];
	bh_room_log log;

	pthread_mutex_lock(&room->lock);
	log = room->log;
	memcpy(why, room->log_why, sizeof(why));
	pthread_mutex_unlock(&room->lock);
	if (log == BH_ROOM_LOG_FINE)
		return BH_OK;
	if (log == BH_ROOM_LOG_REFUSED)
		return bh_fail(BH_E_FULL, "%s; writes go on when there is room", why);
	return bh_fail(BH_E_IO,
		       "%s; writes go on when RocksDB has begun another log: if that does not come, close the database and open it "
		       "again",
		       why);
}

static bool is_stale(const bh_room *room)
{
	return now_ms() - atomic_load(&room->looked_at_ms) >= LOOK_AGAIN_MS;
}

bh_status bh_room_check(bh_room *room)
{
	bh_room_info seen;

	if (!bh_room_is_low(room) || (is_stale(room) && !bh_room_look(room)))
		return BH_OK;
	bh_room_info_get(room, &seen);
	return seen.is_low ? say_what(room, &seen, 0, 0, 0) : say_log(room);
}

bh_status bh_room_check_log(bh_room *room)
{
	bool broken;

	if (!bh_room_is_low(room))
		return BH_OK;
	pthread_mutex_lock(&room->lock);
	broken = room->log == BH_ROOM_LOG_BROKEN;
	pthread_mutex_unlock(&room->lock);
	return broken ? say_log(room) : BH_OK;
}

void bh_room_set_log(bh_room *room, bh_room_log state, const char *why)
{
	pthread_mutex_lock(&room->lock);
	if (state == BH_ROOM_LOG_FINE || room->log != BH_ROOM_LOG_BROKEN) {
		room->log = state;
		snprintf(room->log_why, sizeof(room->log_why), "%.400s", why);
	}
	room->probe_at_ms = now_ms() + PROBE_EVERY_MS;
	atomic_store(&room->low, room->seen.is_low || room->log != BH_ROOM_LOG_FINE);
	pthread_mutex_unlock(&room->lock);
}

bh_status bh_room_need(bh_room *room, uint64_t bytes, uint64_t inodes, uint64_t descriptors)
{
	bh_room_info seen;

	(void)bh_room_look(room);
	bh_room_info_get(room, &seen);
	if (seen.free_bytes >= seen.floor_bytes + bytes && seen.free_inodes >= seen.floor_inodes + inodes &&
	    seen.free_descriptors >= seen.floor_descriptors + descriptors)
		return BH_OK;
	return say_what(room, &seen, bytes, inodes, descriptors);
}

void bh_room_grew(bh_room *room, uint64_t bytes)
{
	if (atomic_fetch_add_explicit(&room->grew, bytes, memory_order_relaxed) + bytes >=
	    atomic_load_explicit(&room->look_after, memory_order_relaxed))
		(void)bh_room_look(room);
}

/* ---- the reserves; under `lock` */

static void descriptors_keep(bh_room *room)
{
	for (size_t i = 0; i < SPARE_DESCRIPTORS; i++)
		if (room->spares[i] < 0)
			room->spares[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static bool descriptors_lend(bh_room *room)
{
	bool any = false;

	for (size_t i = 0; i < SPARE_DESCRIPTORS; i++) {
		any |= room->spares[i] >= 0;
		bh_io_closep(&room->spares[i]);
	}
	return any;
}

static void reserve_remove(bh_room *room)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	if (path_make(room, BH_RESERVE_FILE, &path) && (unlink((const char *)path.data) == 0 || errno == ENOENT))
		room->seen.reserve_bytes = 0;
}

/* Really allocated: a file that is all hole reserves nothing. One with a second name is somebody's, who put it there. */
static bool reserve_is_there(const char *path, uint64_t len)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && (uint64_t)st.st_size >= len &&
	       (uint64_t)st.st_blocks * 512 >= len;
}

static void reserve_make(bh_room *room, uint64_t wanted)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(bh_io_closep) int fd = -1;
	const uint64_t len = BH_MIN(wanted, room->total_bytes / RESERVE_SHARE) / 4096 * 4096;

	if (!path_make(room, BH_RESERVE_FILE, &path))
		return;
	if (!reserve_is_there((const char *)path.data, len)) {
		if (atomic_load(&room->above) > 2 * len)
			fd = bh_io_make(AT_FDCWD, (const char *)path.data, O_WRONLY, 0640);
		if (fd < 0 || posix_fallocate(fd, 0, (off_t)len) != 0) {
			reserve_remove(room); /* half of one would be no use to anybody */
			return;
		}
	}
	room->seen.reserve_bytes = len;
	room->had_room_until_ms = 0;
	atomic_store(&room->lacks, false);
}

/* A quota is met by trying alone; not at each renewal of a lease, and not while the reserve is what there is to be had. */
static bool has_room(bh_room *room)
{
	if (!atomic_load(&room->lacks) && now_ms() >= room->had_room_until_ms) {
		atomic_store(&room->lacks, !probe(room));
		room->had_room_until_ms = now_ms() + HAD_ROOM_MS;
	}
	return !atomic_load(&room->lacks);
}

void bh_room_refill(bh_room *room, uint64_t bytes)
{
	pthread_mutex_lock(&room->lock);
	if (atomic_load(&room->users) == 0 && !room->seen.is_low) {
		descriptors_keep(room);
		if (room->seen.reserve_bytes == 0)
			reserve_make(room, bytes);
	}
	pthread_mutex_unlock(&room->lock);
}

void bh_room_use(bh_room *room)
{
	bool has;

	atomic_fetch_add(&room->users, 1);
	pthread_mutex_lock(&room->lock);
	has = has_room(room);
	if (look(room) || !has) {
		reserve_remove(room);
		(void)descriptors_lend(room);
		(void)look(room);
	}
	pthread_mutex_unlock(&room->lock);
}

void bh_room_use_end(bh_room *room)
{
	atomic_fetch_sub(&room->users, 1);
}

bool bh_room_is_used(const bh_room *room)
{
	return atomic_load_explicit(&room->users, memory_order_relaxed) > 0;
}

bool bh_room_lend_descriptors(bh_room *room)
{
	bool any;

	pthread_mutex_lock(&room->lock);
	any = descriptors_lend(room);
	pthread_mutex_unlock(&room->lock);
	return any;
}

/* ---- life */

bh_status bh_room_new(const char *dir, uint64_t floor_bytes, bh_room **out)
{
	bh_room *room = calloc(1, sizeof(*room));

	if (room == NULL || (room->dir = strdup(dir)) == NULL) {
		free(room);
		return bh_fail(BH_E_NOMEM, "%s: no memory", dir);
	}
	room->floor_asked = floor_bytes;
	for (size_t i = 0; i < SPARE_DESCRIPTORS; i++)
		room->spares[i] = -1;
	pthread_mutex_init(&room->lock, NULL);
	room->descriptors = opendir("/proc/self/fd");
	(void)bh_room_look(room);
	*out = room;
	return BH_OK;
}

void bh_room_free(bh_room *room)
{
	if (room == NULL)
		return;
	(void)descriptors_lend(room);
	if (room->descriptors != NULL)
		closedir(room->descriptors);
	pthread_mutex_destroy(&room->lock);
	free(room->dir);
	free(room);
}
