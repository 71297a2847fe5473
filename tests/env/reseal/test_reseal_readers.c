/* SPDX-License-Identifier: Apache-2.0
 *
 * test_reseal_readers.c: who has a file open goes on while it is resealed, and nothing holds the old key afterwards; every call
 * that fails leaves one whole file and its readers. The files below the readers are file descriptors here.
 */
#include "reseal_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "env/files/raw_file.h"
#include "tests/support/random.h"

/* ---- calls that fail when their turn comes */

static _Atomic int turn; /* counts down to the call that fails; 0: none does */

static bool fails(void)
{
	if (atomic_load(&turn) == 0 || atomic_fetch_sub(&turn, 1) != 1)
		return false;
	errno = EIO;
	return true;
}

#define FAILING(type, name, params, args, failed)                                                                                  \
	type __real_##name params;                                                                                                 \
	type __wrap_##name params;                                                                                                 \
	type __wrap_##name params                                                                                                  \
	{                                                                                                                          \
		return fails() ? (failed) : __real_##name args;                                                                    \
	}
FAILING(void *, malloc, (size_t n), (n), NULL)
FAILING(void *, calloc, (size_t n, size_t size), (n, size), NULL)
FAILING(void *, realloc, (void *p, size_t n), (p, n), NULL)
FAILING(ssize_t, pread, (int fd, void *p, size_t n, off_t off), (fd, p, n, off), -1)
FAILING(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), -1)
FAILING(int, fsync, (int fd), (fd), -1)
FAILING(int, fstat, (int fd, struct stat *st), (fd, st), -1)
FAILING(int, stat, (const char *path, struct stat *st), (path, st), -1)
FAILING(int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
FAILING(int, futimens, (int fd, const struct timespec times[2]), (fd, times), -1)
FAILING(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), -1)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if ((flags & O_CREAT) != 0) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return fails() ? -1 : __real_open(path, flags, mode);
}

/* ---- readers */

typedef struct below {
	_Atomic int *open; /* of one reader, how many of these there are */
	int fd;
} below;

typedef struct reader {
	bh_page_reader *reader;
	_Atomic int open;
	bool refuses; /* to open another file */
} reader;

static bh_status below_open(void *arg, const char *path, void **out)
{
	reader *r = arg;
	below *b = r->refuses ? NULL : calloc(1, sizeof(*b));

	if (b == NULL)
		return bh_fail(BH_E_NOMEM, "%s: is not opened", path);
	*b = (below){ .open = &r->open, .fd = open(path, O_RDONLY) };
	if (b->fd < 0) {
		free(b);
		return bh_raw_fail(path, "opened");
	}
	atomic_fetch_add(&r->open, 1);
	*out = b;
	return BH_OK;
}

static void below_close(void *p)
{
	below *b = p;

	close(b->fd);
	atomic_fetch_sub(b->open, 1);
	free(b);
}

static const bh_page_below_ops ops = { below_open, below_close };

static void reader_open(rig *r, const char *path, reader *out)
{
	uint8_t header[BH_HEADER_LEN];
	bh_page_file *file = NULL;
	struct stat st;
	void *opened = NULL;

	*out = (reader){ 0 };
	bh_page_readers_hold(bh_fs_page_readers(r->fs));
	assert_done(below_open(out, path, &opened));
	const below *b = opened;
	if (b == NULL || fstat(b->fd, &st) != 0)
		abort();
	assert_done(bh_raw_header(b->fd, path, header));
	assert_done(bh_page_file_new(bh_view_of(header, sizeof(header)), (uint64_t)st.st_size, bh_fs_scopes(r->fs), &file));
	assert_done(bh_page_reader_new(bh_fs_page_readers(r->fs), path, file, opened, &ops, out, &out->reader));
	bh_page_readers_let_go(bh_fs_page_readers(r->fs));
}

/* A source that it had before may be closed a little later, by who switched it. */
static void reader_close(reader *out)
{
	bh_page_reader_free(out->reader);
	while (atomic_load(&out->open) > 0)
		usleep(100);
}

/* Whether [off, off + len) of the source is what it should be. May be called from any thread. */
static bool source_has(const bh_page_source *source, bh_view plain, uint64_t off, size_t len)
{
	bh_page_range range = bh_page_file_range(source->file, off, len);
	uint8_t *physical = malloc(range.len + 1), *got = malloc(len + 1);
	size_t have = 0;
	bool has = physical != NULL && got != NULL &&
		   bh_raw_read(((below *)source->below)->fd, "below", range.off, physical, range.len, &have) == BH_OK &&
		   bh_page_file_open_range(source->file, off, len, bh_view_of(physical, have), got) == BH_OK &&
		   memcmp(got, plain.data + off, len) == 0;

	free(physical);
	free(got);
	return has;
}

static bool reader_has(reader *r, bh_view plain, uint64_t off, size_t len)
{
	const bh_page_source *source = bh_page_reader_enter(r->reader);
	bool has = source_has(source, plain, off, len);

	bh_page_reader_leave(source);
	return has;
}

static void nothing_holds_the_old_key_afterwards(void **state)
{
	rig *r = *state;
	char link_path[sizeof(r->path)];
	reader readers[3];

	make_file(r, "000012.sst", 512, LARGE);
	text_format(link_path, sizeof(link_path), "%s/000013.sst", r->dir);
	assert_int_equal(link(r->path, link_path), 0);
	for (int i = 0; i < 3; i++)
		reader_open(r, i == 2 ? link_path : r->path, &readers[i]);
	rotate(r);
	assert_status(retire_first(r), BH_E_BUSY);
	assert_resealed(r);
	assert_done(retire_first(r));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(atomic_load(&readers[i].open), 1);
		assert_true(reader_has(&readers[i], bh_buf_view(&r->plain), 0, LARGE));
	}
	assert_false(under_newest(r, link_path)); /* a name of the old file */
	text_format(r->path, sizeof(r->path), "%s", link_path);
	bool done;
	assert_status(reseal(r, NULL, &done), BH_E_SHREDDED);

	text_format(r->path, sizeof(r->path), "%s/000012.sst", r->dir);
	for (int i = 0; i < 3; i++) { /* once more, and again in the first slot, with one reader fewer each time */
		rotate(r);
		assert_resealed(r);
		reader_close(&readers[i]);
		for (int k = i + 1; k < 3; k++)
			assert_true(reader_has(&readers[k], bh_buf_view(&r->plain), 1000, 100000));
	}
}

static void a_reader_that_cannot_follow_keeps_all_as_it_was(void **state)
{
	rig *r = *state;
	reader readers[3];

	make_file(r, "000012.sst", 2048, LARGE);
	for (int i = 0; i < 3; i++)
		reader_open(r, r->path, &readers[i]);
	rotate(r);
	readers[1].refuses = true;
	bh_buf before = file_load(r->path);
	bool done;
	assert_status(reseal(r, NULL, &done), BH_E_NOMEM);
	assert_file_is(r->path, bh_buf_view(&before));
	assert_false(file_exists(r->temp));
	bh_buf_clear(&before);
	readers[1].refuses = false;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(atomic_load(&readers[i].open), 1);
		assert_true(reader_has(&readers[i], bh_buf_view(&r->plain), 0, 5000));
	}
	assert_resealed(r);
	for (int i = 0; i < 3; i++)
		reader_close(&readers[i]);
	assert_done(retire_first(r));
}

static void *reseal_apart(void *arg)
{
	rig *r = arg;
	bool done = false;

	return bh_reseal_pages(r->fs, r->path, NULL, &done) == BH_OK && done ? r : NULL;
}

static void who_is_inside_is_waited_for(void **state)
{
	rig *r = *state;
	const bh_page_source *inside, *seen;
	reader open_reader;
	pthread_t thread;
	uint64_t serial = 0;
	void *well = NULL;

	make_file(r, "000012.sst", 2048, LARGE);
	reader_open(r, r->path, &open_reader);
	rotate(r);
	inside = bh_page_reader_enter(open_reader.reader);
	assert_int_equal(pthread_create(&thread, NULL, reseal_apart, r), 0);
	while (serial == 0) { /* others go on, with the new one */
		seen = bh_page_reader_enter(open_reader.reader);
		serial = seen->serial;
		assert_true(source_has(seen, bh_buf_view(&r->plain), 12345, 6789));
		bh_page_reader_leave(seen);
	}
	assert_int_equal(atomic_load(&open_reader.open), 2);
	assert_status(retire_first(r), BH_E_BUSY);
	assert_true(source_has(inside, bh_buf_view(&r->plain), 0, LARGE));
	bh_page_reader_leave(inside);
	pthread_join(thread, &well);
	assert_ptr_equal(well, r);
	assert_int_equal(serial, 1);
	assert_done(retire_first(r));
	reader_close(&open_reader);
}

/* ---- many at once */

enum { THREADS = 3, ROUNDS = 25 };

typedef struct crowd {
	rig *r;
	reader shared;
	_Atomic bool over;
	_Atomic bool wrong;
	_Atomic unsigned reads;
	unsigned number; /* of the next thread */
} crowd;

static void *read_on(void *arg)
{
	crowd *c = arg;
	test_random random = { 7 * (uint64_t)(uintptr_t)&random };
	bh_view plain = bh_buf_view(&c->r->plain);

	while (!atomic_load(&c->over)) {
		size_t off = test_random_below(&random, LARGE), len = 1 + test_random_below(&random, BH_MIN(9000u, LARGE - off));

		if (!reader_has(&c->shared, plain, off, len))
			atomic_store(&c->wrong, true);
		atomic_fetch_add(&c->reads, 1);
	}
	return NULL;
}

/* Opens and closes, by the name. */
static void *open_on(void *arg)
{
	crowd *c = arg;

	while (!atomic_load(&c->over)) {
		reader mine;

		reader_open(c->r, c->r->path, &mine);
		if (!reader_has(&mine, bh_buf_view(&c->r->plain), 4321, 20000))
			atomic_store(&c->wrong, true);
		reader_close(&mine);
	}
	return NULL;
}

static void readers_go_on_through_many_generations(void **state)
{
	crowd c = { .r = *state };
	pthread_t threads[THREADS];
	unsigned reads = 0;

	make_file(c.r, "000012.sst", 2048, LARGE);
	reader_open(c.r, c.r->path, &c.shared);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i == 0 ? open_on : read_on, &c), 0);
	for (int i = 0; i < ROUNDS; i++) {
		rotate(c.r);
		assert_resealed(c.r);
		while (atomic_load(&c.reads) == reads)
			usleep(100);
		reads = atomic_load(&c.reads);
	}
	atomic_store(&c.over, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_false(atomic_load(&c.wrong));
	assert_done(retire_first(c.r));
	reader_close(&c.shared);
}

/* ---- every call fails once */

static void whatever_fails_leaves_one_whole_file(void **state)
{
	rig *r = *state;
	reader readers[2];
	bool done = false, survived = false;
	int at, old_ones = 0;

	make_file(r, "000012.sst", 2048, 300000);
	for (int i = 0; i < 2; i++)
		reader_open(r, r->path, &readers[i]);
	rotate(r);
	for (at = 1; !survived; at++) {
		atomic_store(&turn, at);
		bh_status status = reseal(r, NULL, &done);
		survived = atomic_exchange(&turn, 0) != 0;
		/* It did it, or says that it did not; a file that is in place but perhaps not durable is no success. */
		assert_true(status == BH_OK ? done || under_newest(r, r->path) : !done);
		assert_content(r, r->path);
		assert_false(file_exists(r->temp));
		old_ones += !under_newest(r, r->path);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(atomic_load(&readers[i].open), 1);
			assert_true(reader_has(&readers[i], bh_buf_view(&r->plain), 0, 300000));
		}
		if (!survived && under_newest(r, r->path))
			rotate(r);
	}
	assert_true(at > 30 && old_ones > 20);
	for (int i = 0; i < 2; i++)
		reader_close(&readers[i]);
	assert_done(retire_first(r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RESEAL_CASE(nothing_holds_the_old_key_afterwards), RESEAL_CASE(a_reader_that_cannot_follow_keeps_all_as_it_was),
		RESEAL_CASE(who_is_inside_is_waited_for),          RESEAL_CASE(readers_go_on_through_many_generations),
		RESEAL_CASE(whatever_fails_leaves_one_whole_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
