/* SPDX-License-Identifier: Apache-2.0
 *
 * image.c: see image.h.
 *
 * Invariant: `apart_ns` is how far the clocks were apart when they were looked at last, to the nearest drift; it changes with
 * `generation` where they have jumped. Two threads that notice the same jump may both count it.
 */
#include "image.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define JUMP_NS 500000000ll
#define DRIFT_NS 20000000ll  /* NTP's slewing, and the tick of the coarse clocks: followed */
#define SAMPLE_NS 50000000ll /* a look during which this thread was not kept from running */
#define VMCLOCK "/dev/vmclock0"
#define VMCLOCK_MAGIC 0x4b4c4356u
#define VMCLOCK_MARKER 2 /* where the disruption marker stands, in 8 bytes */
#define VMCLOCK_LEN 4096

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic uint64_t generation = 1;
static _Atomic int64_t apart_ns;
static const _Atomic uint64_t *_Atomic page; /* NULL: there is none */
static _Atomic uint64_t marker;

/* ---- clocks */

static int64_t read_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t read_apart(void)
{
	return read_ns(CLOCK_REALTIME_COARSE) - read_ns(CLOCK_MONOTONIC_COARSE);
}

/* The same, by a thread that may have been stopped between two clocks. */
static int64_t read_apart_surely(void)
{
	int64_t before, apart;

	do {
		before = read_ns(CLOCK_MONOTONIC_COARSE);
		apart = read_apart();
	} while (read_ns(CLOCK_MONOTONIC_COARSE) - before > SAMPLE_NS);
	return apart;
}

static int64_t distance(int64_t a, int64_t b)
{
	return a < b ? b - a : a - b;
}

static bool clocks_jumped(void)
{
	int64_t before = atomic_load_explicit(&apart_ns, memory_order_relaxed), now = read_apart();

	if (distance(now, before) < DRIFT_NS)
		return false;
	now = read_apart_surely();
	before = atomic_exchange(&apart_ns, now);
	return distance(now, before) >= JUMP_NS;
}

/* ---- the hypervisor's word */

static bool watch(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *map = fd >= 0 ? mmap(NULL, VMCLOCK_LEN, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	if (map != MAP_FAILED && bh_get_u32(map) != VMCLOCK_MAGIC) {
		munmap(map, VMCLOCK_LEN);
		map = MAP_FAILED;
	}
	if (map != MAP_FAILED)
		atomic_store(&marker, ((const _Atomic uint64_t *)map)[VMCLOCK_MARKER]);
	atomic_store(&page,
		     map != MAP_FAILED ? map : NULL); /* one that was there before stays mapped: somebody may be reading it */
	return map != MAP_FAILED;
}

static bool marker_moved(void)
{
	const _Atomic uint64_t *at = atomic_load_explicit(&page, memory_order_acquire);
	uint64_t now;

	if (at == NULL)
		return false;
	now = atomic_load_explicit(&at[VMCLOCK_MARKER], memory_order_relaxed);
	return now != atomic_load_explicit(&marker, memory_order_relaxed) && atomic_exchange(&marker, now) != now;
}

/* ---- both */

static void begin(void)
{
	atomic_store(&apart_ns, read_apart_surely());
	(void)watch(VMCLOCK);
}

bool bh_image_watch(const char *path)
{
	pthread_once(&once, begin);
	return watch(path);
}

uint64_t bh_image_generation(void)
{
	bool jumped, moved;

	pthread_once(&once, begin);
	jumped = clocks_jumped();
	moved = marker_moved(); /* looked at in any case: each remembers what it saw */
	if (jumped || moved)
		atomic_fetch_add(&generation, 1);
	return atomic_load(&generation);
}
