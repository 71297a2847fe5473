/* SPDX-License-Identifier: Apache-2.0
 *
 * test_page_window.c: whatever the order of reads, a window serves the file's own bytes or none; when it opens ahead, and when it
 * lets go. The file here is an array.
 */
#include "tests/env/format/sealed_fixture.h"

#include "env/files/page_window.h"
#include "tests/support/random.h"

#include <pthread.h>

#define FILE_LEN (600u * 1024 + 77)
#define BLOCK 2300u

typedef struct fake {
	bh_page_window *window;
	uint8_t *bytes;
	unsigned served, ahead, alone; /* reads out of the window; fills; reads that took their own way */
	bool broken;                   /* nothing can be opened ahead */
} fake;

static int make(void **state)
{
	fake *f = calloc(1, sizeof(*f));

	f->bytes = pattern(FILE_LEN);
	assert_int_equal(bh_page_window_new(FILE_LEN, &f->window), BH_OK);
	*state = f;
	return 0;
}

static int clear(void **state)
{
	fake *f = *state;

	bh_page_window_free(f->window);
	free(f->bytes);
	free(f);
	return 0;
}

/* As the bridge does it. */
static size_t read_at(fake *f, uint64_t off, size_t len, uint8_t *dst)
{
	bh_page_ahead ahead;
	size_t got = bh_page_window_take(f->window, off, len, dst, &ahead);

	if (got > 0)
		f->served++;
	if (ahead.len > 0) {
		assert_true(got == 0 && ahead.off == off && ahead.len <= FILE_LEN - off && ahead.len <= 65536);
		f->ahead++;
		if (!f->broken)
			memcpy(ahead.buffer, f->bytes + off, ahead.len);
		got = bh_page_window_fill(f->window, &ahead, f->broken ? 0 : ahead.len, len, dst);
	}
	if (got > 0 || off >= FILE_LEN)
		return got;
	f->alone++;
	got = BH_MIN(len, (size_t)(FILE_LEN - off));
	memcpy(dst, f->bytes + off, got);
	return got;
}

static void check_read(fake *f, uint64_t off, size_t len)
{
	uint8_t *dst = malloc(len + 1);
	size_t want = off < FILE_LEN ? BH_MIN(len, (size_t)(FILE_LEN - off)) : 0;

	dst[len] = 0x5a;
	assert_int_equal(read_at(f, off, len, dst), want);
	if (want > 0)
		assert_memory_equal(dst, f->bytes + off, want);
	assert_int_equal(dst[len], 0x5a);
	free(dst);
}

static void walk(fake *f, uint64_t from, uint64_t to)
{
	for (uint64_t off = from; off < to; off += BLOCK)
		check_read(f, off, BLOCK);
}

static void test_a_walk_is_served_ahead(void **state)
{
	fake *f = *state;

	walk(f, 0, FILE_LEN);
	assert_int_equal(f->alone, 2);
	/* 8, 16, 32, then 64 KiB at once; the block that does not fit into a fill begins the next one. */
	assert_in_range(f->ahead, 11, 13);
	assert_int_equal(f->served, (FILE_LEN + BLOCK - 1) / BLOCK - f->alone - f->ahead);
	/* The end was handed up: nothing is left to serve from. */
	f->served = f->ahead = 0;
	check_read(f, FILE_LEN - 2 * BLOCK, BLOCK);
	assert_int_equal(f->served + f->ahead, 0);
}

static void test_reads_here_and_there_are_left_alone(void **state)
{
	fake *f = *state;

	for (unsigned i = 0; i < 2000; i++)
		check_read(f, (uint64_t)i * 7919 * 13 % (FILE_LEN - BLOCK), BLOCK);
	assert_int_equal(f->ahead + f->served, 0);
}

static void test_large_reads_are_left_alone(void **state)
{
	fake *f = *state;

	for (uint64_t off = 0; off + 40000 < FILE_LEN; off += 40000)
		check_read(f, off, 40000);
	assert_int_equal(f->ahead + f->served, 0);
}

static void test_strangers_do_not_end_a_walk_before_there_are_many(void **state)
{
	fake *f = *state;
	unsigned served;

	walk(f, 0, 20 * BLOCK);
	for (unsigned i = 0; i < 63; i++)
		check_read(f, 500000 - i * 4001, 100);
	served = f->served + f->ahead;
	check_read(f, 20 * BLOCK, BLOCK);
	assert_int_equal(f->served + f->ahead, served + 1);
	for (unsigned i = 0; i < 64; i++)
		check_read(f, 500000 - i * 4001, 100);
	check_read(f, 21 * BLOCK, BLOCK);
	assert_int_equal(f->served + f->ahead, served + 1);
}

static void test_what_cannot_be_opened_ahead_is_read_alone(void **state)
{
	fake *f = *state;

	f->broken = true;
	walk(f, 0, FILE_LEN);
	assert_int_equal(f->served, 0);
	assert_true(f->ahead > 0);
	assert_int_equal(f->alone, (FILE_LEN + BLOCK - 1) / BLOCK);
}

static void test_any_reads_get_the_files_bytes(void **state)
{
	fake *f = *state;
	test_random random = test_random_new();
	uint64_t at = 0;

	for (unsigned i = 0; i < 20000; i++) {
		size_t len = test_random_below(&random, i % 50 == 0 ? 70000 : 5000);

		if (test_random_below(&random, 30) == 0)
			at = test_random_below(&random, FILE_LEN + 100);
		check_read(f, at, len);
		at += len;
	}
	assert_true(f->served > 1000);
}

static void test_no_more_than_64_windows(void **state)
{
	fake *f = *state, files[70] = { 0 };
	unsigned with = 0;

	for (unsigned i = 0; i < 70; i++) {
		files[i].bytes = f->bytes;
		assert_int_equal(bh_page_window_new(FILE_LEN, &files[i].window), BH_OK);
		walk(&files[i], 0, 10 * BLOCK);
		with += files[i].ahead > 0;
	}
	assert_int_equal(with, 64);
	for (unsigned i = 0; i < 70; i++)
		bh_page_window_free(files[i].window);
	walk(f, 0, 10 * BLOCK);
	assert_true(f->ahead > 0);
}

/* Not NULL: some bytes were wrong. */
static void *walk_many_times(void *arg)
{
	fake own = *(fake *)arg;
	uint8_t block[BLOCK];

	for (uint64_t i = 0; i < 20; i++)
		for (uint64_t off = i * 1000; off < FILE_LEN - BLOCK; off += BLOCK)
			if (read_at(&own, off, BLOCK, block) != BLOCK || memcmp(block, own.bytes + off, BLOCK) != 0)
				return arg;
	return NULL;
}

static void test_many_threads_get_the_files_bytes(void **state)
{
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, walk_many_times, *state), 0);
	for (size_t i = 0; i < 4; i++) {
		void *wrong = NULL;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_walk_is_served_ahead),
		TEST(test_reads_here_and_there_are_left_alone),
		TEST(test_large_reads_are_left_alone),
		TEST(test_strangers_do_not_end_a_walk_before_there_are_many),
		TEST(test_what_cannot_be_opened_ahead_is_read_alone),
		TEST(test_any_reads_get_the_files_bytes),
		TEST(test_no_more_than_64_windows),
		TEST(test_many_threads_get_the_files_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
