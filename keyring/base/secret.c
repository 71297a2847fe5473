/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.c: the arena that keys and expanded key schedules live in.
 *
 * Two kinds of slab, never mixed. Key slabs are locked or not made at all. Schedule slabs are locked while all of them together
 * stay below half of RLIMIT_MEMLOCK, so that a thousand open files cannot take the room that the next key needs.
 *
 *     guard page | header, chunk, chunk, ... | guard page        one slab, aligned to its size: a chunk's address gives its slab
 *
 * A chunk is its size class: 32 bytes, or a multiple of 64 up to CHUNK_MAX. What is larger has a slab of its own.
 * A free chunk is all zero but for its first bytes, which link it to the next one.
 *
 * Fork: slabs read as zeros in the child (MADV_WIPEONFORK, which the kernel must grant), the header included. So a child finds
 * no key; every slab it inherits is dead (magic is 0), frees into it do nothing, and the next allocation starts new slabs, locked
 * for the child: locks are not inherited.
 *
 * Thread-safety: `arena.lock` guards all of `arena`, every slab's header and every free chunk.
 */
#include "secret.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "random.h"

#define SLAB_MAGIC 0x42485345u
#define CHUNK_UNIT 64
#define CHUNK_SMALL 32
#define CHUNK_MAX 2048
#define CLASS_COUNT (1 + CHUNK_MAX / CHUNK_UNIT)

typedef enum slab_kind { KIND_KEY, KIND_SCHEDULE, KIND_COUNT } slab_kind;

/* Bytes of a slab, a power of two: small for keys, as all of it is locked memory. */
static const size_t slab_sizes[KIND_COUNT] = { [KIND_KEY] = 16 * 1024, [KIND_SCHEDULE] = 64 * 1024 };

typedef struct chunk {
	struct chunk *next;
} chunk;

typedef struct slab {
	_Alignas(CHUNK_UNIT) uint32_t magic; /* SLAB_MAGIC; 0: inherited over a fork */
	uint32_t used;                       /* chunks handed out */
	bool locked;
	chunk *free;              /* chunks given back */
	uint8_t *fresh;           /* chunks never used start here... */
	uint8_t *end;             /* ...and end here */
	struct slab *prev, *next; /* the list of slabs of this class that have a chunk to give */
} slab;
_Static_assert(sizeof(slab) == CHUNK_UNIT, "the first chunk follows the header");

static struct {
	pthread_mutex_t lock;
	pid_t owner;                         /* the process that all of this is about */
	slab *open[KIND_COUNT][CLASS_COUNT]; /* slabs with a chunk to give */
	size_t in_use;                       /* bytes handed out, by class size */
	size_t schedules;                    /* bytes of schedule slabs */
	size_t schedules_locked;             /* ... that are locked */
} arena = { .lock = PTHREAD_MUTEX_INITIALIZER };

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t class_of(slab_kind kind, size_t len)
{
	return kind == KIND_KEY && len <= CHUNK_SMALL ? 0 : (len + CHUNK_UNIT - 1) / CHUNK_UNIT;
}

static size_t class_size(size_t cls)
{
	return cls == 0 ? CHUNK_SMALL : cls * CHUNK_UNIT;
}

/* Bytes between the guard pages of a slab that holds one large chunk. */
static size_t large_size(size_t len)
{
	return (sizeof(slab) + len + page_size() - 1) & ~(page_size() - 1);
}

/* Maps `size` bytes aligned to `align` (a power of two, at least a page) between two guard pages. NULL if there is no memory. */
static void *map_guarded(size_t size, size_t align)
{
	size_t page = page_size(), span = size + align + page;
	uint8_t *map = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *base, *end;

	if (map == MAP_FAILED)
		return NULL;
	/* `base` is at least one page and at most `align` bytes above `map`. */
	base = (uint8_t *)(((uintptr_t)map + page + align - 1) & ~((uintptr_t)align - 1));
	end = base + size + page;
	if (base - page > map)
		munmap(map, (size_t)(base - page - map));
	if (map + span > end)
		munmap(end, (size_t)(map + span - end));
	if (mprotect(base, size, PROT_READ | PROT_WRITE) == 0)
		return base;
	munmap(base - page, size + 2 * page);
	return NULL;
}

static void unmap_guarded(void *base, size_t size)
{
	munmap((uint8_t *)base - page_size(), size + 2 * page_size());
}

/* Whether schedule slabs may lock `size` more bytes. */
static bool schedule_may_lock(size_t size)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return false;
	return limit.rlim_cur == RLIM_INFINITY || arena.schedules_locked + size <= limit.rlim_cur / 2;
}

static bool lock_slab(slab_kind kind, void *base, size_t size)
{
	if (kind == KIND_SCHEDULE && !schedule_may_lock(size))
		return false;
	if (mlock(base, size) != 0)
		return false;
	if (kind == KIND_SCHEDULE)
		arena.schedules_locked += size;
	return true;
}

static bh_status slab_new(slab_kind kind, size_t size, size_t align, slab **out)
{
	slab *s = map_guarded(size, align);
	bool locked;

	if (!s)
		return bh_fail(BH_E_NOMEM, "no memory for keys (%zu bytes)", size);
	if (madvise(s, size, MADV_DONTDUMP) != 0 || madvise(s, size, MADV_WIPEONFORK) != 0) {
		unmap_guarded(s, size);
		return bh_fail(BH_E_NOMEM,
			       "memory cannot be kept out of core dumps and forked children: Linux 4.14 or newer is needed");
	}
	locked = lock_slab(kind, s, size);
	if (!locked && kind == KIND_KEY) {
		unmap_guarded(s, size);
		return bh_fail(BH_E_NOMEM, "memory for keys cannot be locked: raise RLIMIT_MEMLOCK (ulimit -l)");
	}
	arena.schedules += kind == KIND_SCHEDULE ? size : 0;
	*s = (slab){ .magic = SLAB_MAGIC, .locked = locked, .fresh = (uint8_t *)(s + 1), .end = (uint8_t *)s + size };
	*out = s;
	return BH_OK;
}

static void slab_free(slab_kind kind, slab *s, size_t size)
{
	if (kind == KIND_SCHEDULE) {
		arena.schedules -= size;
		arena.schedules_locked -= s->locked ? size : 0;
	}
	unmap_guarded(s, size);
}

static void list_add(slab **head, slab *s)
{
	s->prev = NULL;
	s->next = *head;
	if (*head)
		(*head)->prev = s;
	*head = s;
}

static void list_remove(slab **head, slab *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		*head = s->next;
	if (s->next)
		s->next->prev = s->prev;
}

static bool slab_is_full(const slab *s, size_t chunk_size)
{
	return !s->free && (size_t)(s->end - s->fresh) < chunk_size;
}

/* The first free chunk of a slab that is not full; zeroed. */
static void *slab_take(slab *s, size_t chunk_size)
{
	chunk *c = s->free;

	s->used++;
	if (c) {
		s->free = c->next;
		c->next = NULL;
		return c;
	}
	s->fresh += chunk_size;
	return s->fresh - chunk_size;
}

/* In a forked child the lists still point to the parent's slabs, now dead: forget them all. */
static void arena_own(void)
{
	pid_t pid = getpid();

	if (arena.owner == pid)
		return;
	memset(arena.open, 0, sizeof(arena.open));
	arena.in_use = 0;
	arena.schedules = 0;
	arena.schedules_locked = 0;
	arena.owner = pid;
}

static bh_status alloc_small(slab_kind kind, size_t cls, void **out)
{
	slab **head = &arena.open[kind][cls];

	if (!*head) {
		slab *s;

		BH_TRY(slab_new(kind, slab_sizes[kind], slab_sizes[kind], &s));
		list_add(head, s);
	}
	*out = slab_take(*head, class_size(cls));
	if (slab_is_full(*head, class_size(cls)))
		list_remove(head, *head);
	arena.in_use += class_size(cls);
	return BH_OK;
}

static bh_status alloc_large(slab_kind kind, size_t len, void **out)
{
	slab *s;

	if (len > SIZE_MAX / 4)
		return bh_fail(BH_E_NOMEM, "no memory for a secret of %zu bytes", len);
	BH_TRY(slab_new(kind, large_size(len), page_size(), &s));
	arena.in_use += len;
	*out = s + 1;
	return BH_OK;
}

static bh_status arena_alloc(slab_kind kind, size_t len, void **out)
{
	bh_status status;

	pthread_mutex_lock(&arena.lock);
	arena_own();
	status = len <= CHUNK_MAX ? alloc_small(kind, class_of(kind, len), out) : alloc_large(kind, len, out);
	pthread_mutex_unlock(&arena.lock);
	return status;
}

static void free_small(slab_kind kind, size_t cls, void *p)
{
	slab **head = &arena.open[kind][cls];
	slab *s = (slab *)((uintptr_t)p & ~((uintptr_t)slab_sizes[kind] - 1));
	chunk *c = p;

	if (s->magic != SLAB_MAGIC)
		return;
	if (slab_is_full(s, class_size(cls)))
		list_add(head, s);
	c->next = s->free;
	s->free = c;
	s->used--;
	arena.in_use -= class_size(cls);
	/* One empty slab of a class stays, so that a key that comes and goes does not map and unmap each time. */
	if (s->used == 0 && (s->prev || s->next)) {
		list_remove(head, s);
		slab_free(kind, s, slab_sizes[kind]);
	}
}

static void free_large(slab_kind kind, void *p, size_t len)
{
	slab *s = (slab *)p - 1;

	if (s->magic != SLAB_MAGIC)
		return;
	arena.in_use -= len;
	slab_free(kind, s, large_size(len));
}

static void arena_free(slab_kind kind, void *p, size_t len)
{
	bh_wipe(p, len);
	pthread_mutex_lock(&arena.lock);
	if (len <= CHUNK_MAX)
		free_small(kind, class_of(kind, len), p);
	else
		free_large(kind, p, len);
	pthread_mutex_unlock(&arena.lock);
}

bh_status bh_secret_init(bh_secret *out, size_t len)
{
	void *data = NULL;

	if (len != 0)
		BH_TRY(arena_alloc(KIND_KEY, len, &data));
	*out = (bh_secret){ data, len };
	return BH_OK;
}

bh_status bh_secret_copy(bh_secret *out, bh_view bytes)
{
	BH_TRY(bh_secret_init(out, bytes.len));
	if (bytes.len != 0)
		memcpy(out->data, bytes.data, bytes.len);
	return BH_OK;
}

bh_status bh_secret_random(bh_secret *out, size_t len)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };

	BH_TRY(bh_secret_init(&secret, len));
	BH_TRY(bh_random(secret.data, len));
	*out = bh_secret_take(&secret);
	return BH_OK;
}

bh_secret bh_secret_take(bh_secret *from)
{
	bh_secret secret = *from;

	*from = (bh_secret){ 0 };
	return secret;
}

void bh_secret_clear(bh_secret *secret)
{
	if (!secret)
		return;
	if (secret->data)
		arena_free(KIND_KEY, secret->data, secret->len);
	*secret = (bh_secret){ 0 };
}

void *bh_secret_alloc(size_t len)
{
	void *p = NULL;

	return arena_alloc(KIND_SCHEDULE, BH_MAX(len, (size_t)1), &p) == BH_OK ? p : NULL;
}

void bh_secret_free(void *p, size_t len)
{
	if (p)
		arena_free(KIND_SCHEDULE, p, BH_MAX(len, (size_t)1));
}

size_t bh_secret_in_use(void)
{
	size_t in_use;

	pthread_mutex_lock(&arena.lock);
	arena_own();
	in_use = arena.in_use;
	pthread_mutex_unlock(&arena.lock);
	return in_use;
}

size_t bh_secret_unlocked(size_t *limit_needed_out)
{
	size_t unlocked;

	pthread_mutex_lock(&arena.lock);
	arena_own();
	unlocked = arena.schedules - arena.schedules_locked;
	*limit_needed_out = 2 * arena.schedules;
	pthread_mutex_unlock(&arena.lock);
	return unlocked;
}
