/* SPDX-License-Identifier: Apache-2.0
 *
 * test_secret.c: the arena. What the kernel says about the memory is read back from /proc/self/smaps.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>

#include <cmocka.h>

#include "keyring/base/secret.h"
#include "tests/support/random.h"

enum { FLAGS_SIZE = 512 };

/* The sanitizers make mlock() a call that does nothing and says OK. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOCKS_ARE_REAL false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LOCKS_ARE_REAL false
#endif
#endif
#ifndef LOCKS_ARE_REAL
#define LOCKS_ARE_REAL true
#endif

static bool is_zero(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

/* The VmFlags of the mapping that `p` is in, as "rd wr mr ..."; "" if there is none. */
static void vm_flags(const void *p, char out[FLAGS_SIZE])
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	bool inside = false;
	char line[FLAGS_SIZE];

	assert_non_null(smaps);
	out[0] = '\0';
	while (out[0] == '\0' && fgets(line, sizeof(line), smaps)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(out, FLAGS_SIZE, "%s", line + 8);
	}
	fclose(smaps);
}

static bool has_flag(const void *p, const char *flag)
{
	char flags[FLAGS_SIZE], word[8];

	vm_flags(p, flags);
	snprintf(word, sizeof(word), " %s ", flag);
	return strstr(flags, word) != NULL;
}

static bool is_locked(const void *p)
{
	return !LOCKS_ARE_REAL || has_flag(p, "lo");
}

/* Bytes that this process has locked. */
static size_t locked_bytes(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long kib = 0;
	char line[256];

	assert_non_null(status);
	while (fgets(line, sizeof(line), status)) {
		if (sscanf(line, "VmLck: %lu kB", &kib) == 1)
			break;
	}
	fclose(status);
	return kib * 1024;
}

static void secrets_start_as_zeros(void **state)
{
	size_t len;

	(void)state;
	for (len = 1; len < 9000; len += len < 300 ? 1 : 257) {
		bh_secret secret = { 0 };

		assert_int_equal(bh_secret_init(&secret, len), BH_OK);
		assert_int_equal(secret.len, len);
		assert_true(is_zero(secret.data, len));
		memset(secret.data, 0xa5, len);
		bh_secret_clear(&secret);
		assert_null(secret.data);
		assert_int_equal(secret.len, 0);
		bh_secret_clear(&secret);
	}
	bh_secret_clear(NULL);
	assert_int_equal(bh_secret_in_use(), 0);
}

static void copy_take_random(void **state)
{
	bh_secret a = { 0 }, b = { 0 }, empty = { 0 };

	(void)state;
	assert_int_equal(bh_secret_copy(&a, bh_view_str("some key")), BH_OK);
	b = bh_secret_take(&a);
	assert_null(a.data);
	assert_int_equal(bh_secret_view(&b).len, 8);
	assert_memory_equal(bh_secret_view(&b).data, "some key", 8);
	assert_int_equal(bh_secret_random(&a, BH_DEK_LEN), BH_OK);
	assert_false(is_zero(a.data, a.len));
	bh_secret_clear(&a);
	bh_secret_clear(&b);
	assert_int_equal(bh_secret_copy(&empty, (bh_view){ 0 }), BH_OK);
	assert_null(empty.data);
	assert_int_equal(bh_secret_in_use(), 0);
}

static void an_impossible_size_is_refused(void **state)
{
	bh_secret secret = { 0 };

	(void)state;
	assert_int_equal(bh_secret_init(&secret, SIZE_MAX), BH_E_NOMEM);
	assert_int_equal(bh_secret_init(&secret, SIZE_MAX / 4), BH_E_NOMEM);
	assert_null(secret.data);
	assert_null(bh_secret_alloc(SIZE_MAX - 100));
}

/* The address is read after release: the slab is still mapped, as another secret in it lives. */
static void memory_is_wiped_on_release(void **state)
{
	bh_secret keeper = { 0 }, secret = { 0 };
	const uint8_t *data;

	(void)state;
	assert_int_equal(bh_secret_init(&keeper, 32), BH_OK);
	assert_int_equal(bh_secret_init(&secret, 32), BH_OK);
	data = secret.data;
	memset(secret.data, 0xa5, 32);
	bh_secret_clear(&secret);
	/* The first bytes link free chunks. */
	assert_true(is_zero(data + sizeof(void *), 32 - sizeof(void *)));
	assert_int_equal(bh_secret_init(&secret, 32), BH_OK);
	assert_ptr_equal(secret.data, data);
	assert_true(is_zero(secret.data, 32));
	bh_secret_clear(&secret);
	bh_secret_clear(&keeper);
}

static void keys_are_locked_and_left_out_of_dumps(void **state)
{
	static const size_t lens[] = { 16, 32, 33, 64, 2048, 2049, 100000 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		bh_secret secret = { 0 };

		assert_int_equal(bh_secret_init(&secret, lens[i]), BH_OK);
		assert_true(is_locked(secret.data));
		assert_true(has_flag(secret.data, "dd"));
		assert_true(has_flag(secret.data, "wf"));
		assert_true(is_locked(secret.data + lens[i] - 1));
		assert_true(!LOCKS_ARE_REAL || locked_bytes() >= lens[i]);
		bh_secret_clear(&secret);
	}
}

static void key_schedules_are_left_out_of_dumps(void **state)
{
	static const size_t lens[] = { 1, 64, 1088, 2049 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint8_t *p = bh_secret_alloc(lens[i]);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 64, 0);
		assert_true(is_zero(p, lens[i]));
		assert_true(has_flag(p, "dd") && has_flag(p, "wf"));
		bh_secret_free(p, lens[i]);
	}
	bh_secret_free(NULL, 1);
	assert_int_equal(bh_secret_in_use(), 0);
}

/* Exit code 0 if reading `p` ends the process as it should. */
static int touch_in_child(const volatile uint8_t *p)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		(void)*p;
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? 0 : 1;
}

static void guard_pages_are_on_both_sides(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), len = 4 * page - 64;
	uint8_t *p = bh_secret_alloc(len);

	(void)state;
	/* One of its own: a header of 64 bytes, then all of four pages. */
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % page, 64);
	p[len - 1] = 1;
	assert_int_equal(touch_in_child(p - 65), 0);
	assert_int_equal(touch_in_child(p + len), 0);
	bh_secret_free(p, len);
}

/* What a child process finds; 0 if all is well. Runs between fork and _exit. */
static int child(bh_secret *inherited, bh_secret *large, uint8_t *schedule)
{
	bh_secret fresh = { 0 };
	size_t i;

	if (!is_zero(inherited->data, 32) || !is_zero(large->data, 5000) || !is_zero(schedule, 1088))
		return 1;
	if (bh_secret_in_use() != 0)
		return 2;
	for (i = 0; i < 600; i++) {
		if (bh_secret_init(&fresh, 32) != BH_OK || !is_locked(fresh.data))
			return 3;
		fresh.data[0] = 1;
		if (i != 0)
			bh_secret_clear(&fresh);
	}
	if (bh_secret_in_use() != 32)
		return 4;
	bh_secret_clear(inherited);
	bh_secret_clear(large);
	bh_secret_free(schedule, 1088);
	return bh_secret_in_use() == 32 ? 0 : 5;
}

static void a_forked_child_finds_zeros(void **state)
{
	bh_secret secret = { 0 }, large = { 0 };
	uint8_t *schedule = bh_secret_alloc(1088);
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(bh_secret_copy(&secret, bh_view_str("0123456789abcdef0123456789abcdef")), BH_OK);
	assert_int_equal(bh_secret_init(&large, 5000), BH_OK);
	large.data[4999] = 1;
	assert_non_null(schedule);
	schedule[0] = 1;
	pid = fork();
	if (pid == 0)
		_exit(child(&secret, &large, schedule));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_memory_equal(secret.data, "0123456789abcdef0123456789abcdef", 32);
	bh_secret_clear(&secret);
	bh_secret_clear(&large);
	bh_secret_free(schedule, 1088);
	assert_int_equal(bh_secret_in_use(), 0);
}

typedef struct block {
	uint8_t *data;
	size_t len;
	uint8_t fill;
	bool is_key;
} block;

static void block_free(block *b)
{
	bh_secret secret = { b->data, b->len };
	size_t i;

	for (i = 0; i < b->len; i++)
		assert_int_equal(b->data[i], b->fill);
	if (b->is_key)
		bh_secret_clear(&secret);
	else
		bh_secret_free(b->data, b->len);
	b->data = NULL;
}

static void block_new(block *b, test_random *random)
{
	bh_secret secret = { 0 };

	b->len = 1 + test_random_below(random, test_random_below(random, 20) == 0 ? 6000 : 200);
	b->fill = (uint8_t)test_random_u64(random);
	b->is_key = test_random_below(random, 2) == 0;
	if (b->is_key)
		assert_int_equal(bh_secret_init(&secret, b->len), BH_OK);
	b->data = b->is_key ? secret.data : bh_secret_alloc(b->len);
	assert_non_null(b->data);
	assert_true(is_zero(b->data, b->len));
	memset(b->data, b->fill, b->len);
}

/* Blocks come and go; none overlaps another, and at the end nothing is held. */
static void churn(test_random random, int steps)
{
	block blocks[400] = { 0 };
	size_t i;

	while (steps-- > 0) {
		block *b = &blocks[test_random_below(&random, 400)];

		if (b->data)
			block_free(b);
		else
			block_new(b, &random);
	}
	for (i = 0; i < 400; i++) {
		if (blocks[i].data)
			block_free(&blocks[i]);
	}
}

static void blocks_come_and_go(void **state)
{
	size_t locked;

	(void)state;
	churn(test_random_new(), 20000);
	assert_int_equal(bh_secret_in_use(), 0);
	locked = locked_bytes();
	churn(test_random_new(), 20000);
	assert_int_equal(bh_secret_in_use(), 0);
	/* What stays is at most one slab a class. */
	assert_true(locked_bytes() <= locked + (33 * 16 + 33 * 64) * 1024);
}

static void *churn_thread(void *arg)
{
	churn((test_random){ (uintptr_t)arg }, 5000);
	return NULL;
}

static void threads_share_the_arena(void **state)
{
	pthread_t threads[4];
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn_thread, (void *)(i + 1)), 0);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(bh_secret_in_use(), 0);
}

enum { MANY = 16 * 1024, SCHEDULE_LEN = 1088 };

/* In a process that may lock 8 MiB: 16 MiB of schedules leave room for keys; keys then stop at the limit with an error. */
static int limited_child(void)
{
	static void *schedules[MANY];
	static bh_secret keys[16 * MANY];
	size_t i, n;

	for (i = 0; i < MANY; i++) {
		schedules[i] = bh_secret_alloc(SCHEDULE_LEN);
		if (!schedules[i])
			return 1;
	}
	if (locked_bytes() > 4 << 20)
		return 2;
	for (n = 0; n < 16 * MANY && bh_secret_init(&keys[n], 32) == BH_OK; n++)
		;
	if (n < 90000 || n == 16 * MANY || keys[n].data)
		return 3;
	for (i = 0; i < n; i++)
		bh_secret_clear(&keys[i]);
	for (i = 0; i < MANY; i++)
		bh_secret_free(schedules[i], SCHEDULE_LEN);
	if (bh_secret_in_use() != 0)
		return 4;
	return locked_bytes() < 1 << 20 ? 0 : 5;
}

static void the_lock_limit_is_kept_to(void **state)
{
	struct rlimit limit = { 8 << 20, 8 << 20 };
	int status;
	pid_t pid;

	(void)state;
	if (!LOCKS_ARE_REAL)
		skip();
	pid = fork();
	if (pid == 0) {
		/* Root is not bound by the limit. */
		if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || (geteuid() == 0 && setuid(65534) != 0))
			_exit(9);
		_exit(limited_child());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_start_as_zeros),
		cmocka_unit_test(copy_take_random),
		cmocka_unit_test(an_impossible_size_is_refused),
		cmocka_unit_test(memory_is_wiped_on_release),
		cmocka_unit_test(keys_are_locked_and_left_out_of_dumps),
		cmocka_unit_test(key_schedules_are_left_out_of_dumps),
		cmocka_unit_test(guard_pages_are_on_both_sides),
		cmocka_unit_test(a_forked_child_finds_zeros),
		cmocka_unit_test(blocks_come_and_go),
		cmocka_unit_test(threads_share_the_arena),
		cmocka_unit_test(the_lock_limit_is_kept_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
