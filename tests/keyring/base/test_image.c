/* SPDX-License-Identifier: Apache-2.0
 *
 * test_image.c: what a process notices when it goes on from an image, and what is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "keyring/base/image.h"

#define MS 1000000ll
#define S (1000 * MS)

static int64_t wall_ns = 1000 * S, steady_ns = 7 * S;
static unsigned stop_after; /* reads; then this thread is kept from running for a while; 0: it is not */

int __wrap_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
	const bool wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
	const int64_t now = wall ? wall_ns : steady_ns;

	*out = (struct timespec){ now / S, now % S };
	if (stop_after > 0 && --stop_after == 0) {
		wall_ns += 3 * S;
		steady_ns += 3 * S;
	}
	return 0;
}

static void pass(int64_t wall, int64_t steady)
{
	wall_ns += wall;
	steady_ns += steady;
}

static void expect(uint64_t *known, bool moves)
{
	const uint64_t now = bh_image_generation();

	assert_true(moves ? now > *known : now == *known);
	*known = now;
	assert_int_equal(bh_image_generation(), now);
}

static void clocks_that_jump(void **state)
{
	uint64_t known = bh_image_generation();

	(void)state;
	pass(10 * S, 10 * S);
	expect(&known, false);
	pass(3600 * S, 0); /* set after a resume, or the machine slept */
	expect(&known, true);
	pass(-3600 * S, S); /* set back */
	expect(&known, true);
	pass(S, -3 * S); /* another kernel's */
	expect(&known, true);
	pass(600 * MS, 0);
	expect(&known, true);
}

static void clocks_that_drift(void **state)
{
	uint64_t known = bh_image_generation();

	(void)state;
	for (int i = 0; i < 10000; i++) {
		pass(1000500 * 1000, S); /* 500 ppm: an hour and a half of it are five seconds */
		expect(&known, false);
	}
	pass(10 * MS, 0); /* a tick of one between the two */
	expect(&known, false);
}

static void a_thread_that_is_stopped(void **state)
{
	uint64_t known = bh_image_generation();

	(void)state;
	for (unsigned i = 1; i <= 8; i++) {
		stop_after = i;
		expect(&known, false);
		stop_after = 0;
	}
}

static void what_the_hypervisor_says(void **state)
{
	char path[] = "/tmp/bh_image_XXXXXX";
	const int fd = mkstemp(path);
	uint8_t page[4096] = { 'V', 'C', 'L', 'K' };
	uint64_t known, marker = 7;

	(void)state;
	assert_true(fd >= 0);
	assert_false(bh_image_watch("/nowhere/vmclock0"));
	page[0] = 'X';
	assert_int_equal(pwrite(fd, page, sizeof(page), 0), (ssize_t)sizeof(page));
	assert_false(bh_image_watch(path)); /* something else */
	page[0] = 'V';
	memcpy(page + 16, &marker, sizeof(marker));
	assert_int_equal(pwrite(fd, page, sizeof(page), 0), (ssize_t)sizeof(page));
	assert_true(bh_image_watch(path));
	known = bh_image_generation();
	expect(&known, false);
	marker = 8;
	assert_int_equal(pwrite(fd, &marker, sizeof(marker), 16), (ssize_t)sizeof(marker));
	expect(&known, true);
	page[40] = 1; /* what else it says is of clocks */
	assert_int_equal(pwrite(fd, page + 40, 1, 40), 1);
	expect(&known, false);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_that_jump),
		cmocka_unit_test(clocks_that_drift),
		cmocka_unit_test(a_thread_that_is_stopped),
		cmocka_unit_test(what_the_hypervisor_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
