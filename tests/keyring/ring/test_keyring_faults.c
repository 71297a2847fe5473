/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_faults.c: the n-th system call or allocation fails, once or for good, under every change of a keyring and of a local
 * KMS. Each time: an error and not silence; what is on disk is the state before or the state after; another try, at the latest
 * after a reopen, works. Calls of our own objects alone are in reach of the linker's --wrap, so OpenSSL and jansson are left in
 * peace.
 */
#include "keyring_fixture.h"

#include <errno.h>
#include <time.h>

#include "keyring/kms/kms.h"

static struct {
	long left;     /* calls until the fault; below 0: none */
	bool for_good; /* all calls after it fail, too */
	bool fired;
	bool memory; /* allocations fail, not system calls */
	int error;
} fault = { .left = -1 };

enum kind { CALL, SLOW_CALL, MEMORY }; /* a slow call is one that a signal can interrupt */

static bool fault_now(enum kind kind)
{
	if (fault.left < 0 || (kind == MEMORY) != fault.memory || (fault.error == EINTR && kind != SLOW_CALL))
		return false;
	if (fault.left > 0) {
		fault.left--;
		return false;
	}
	fault.fired = true;
	if (!fault.for_good)
		fault.left = -1;
	errno = fault.error;
	return true;
}

#define WRAP(type, name, params, args, failed, kind)                                                                               \
	type __real_##name params;                                                                                                 \
	type __wrap_##name params;                                                                                                 \
	type __wrap_##name params                                                                                                  \
	{                                                                                                                          \
		return fault_now(kind) ? (failed) : __real_##name args;                                                            \
	}

WRAP(int, fsync, (int fd), (fd), -1, SLOW_CALL)
WRAP(ssize_t, pread, (int fd, void *p, size_t n, off_t off), (fd, p, n, off), -1, SLOW_CALL)
WRAP(int, fdatasync, (int fd), (fd), -1, SLOW_CALL)
WRAP(int, ftruncate, (int fd, off_t len), (fd, len), -1, SLOW_CALL)
WRAP(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), -1, CALL)
WRAP(int, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), -1, CALL)
WRAP(int, unlinkat, (int fd, const char *name, int flags), (fd, name, flags), -1, CALL)
WRAP(int, flock, (int fd, int how), (fd, how), -1, SLOW_CALL)
WRAP(int, fstat, (int fd, struct stat *st), (fd, st), -1, CALL)
WRAP(int, openat, (int fd, const char *name, int flags, mode_t mode), (fd, name, flags, mode), -1, SLOW_CALL)
WRAP(void *, malloc, (size_t n), (n), NULL, MEMORY)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL, MEMORY)
WRAP(void *, realloc, (void *p, size_t n), (p, n), NULL, MEMORY)
WRAP(char *, strdup, (const char *s), (s), NULL, MEMORY)
WRAP(char *, strndup, (const char *s, size_t n), (s, n), NULL, MEMORY)

/* The clock, for what a date brings about. */
static time_t clock_ahead_s;
time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);
time_t __wrap_time(time_t *out)
{
	time_t now = __real_time(NULL) + clock_ahead_s;

	if (out != NULL)
		*out = now;
	return now;
}

/* Half of what was asked for is written before the disk is full: the worst case. */
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t off);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t off);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t off)
{
	if (!fault_now(SLOW_CALL))
		return __real_pwrite(fd, p, n, off);
	if (fault.error == ENOSPC && n > 1 && __real_pwrite(fd, p, n / 2, off) < 0)
		abort();
	errno = fault.error;
	return -1;
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	if (!fault_now(SLOW_CALL))
		return __real_write(fd, p, n);
	if (fault.error == ENOSPC && n > 1 && __real_write(fd, p, n / 2) < 0)
		abort();
	errno = fault.error;
	return -1;
}

static void fault_arm(long n, int error, bool for_good, bool memory)
{
	fault.left = n;
	fault.error = error;
	fault.for_good = for_good;
	fault.memory = memory;
	fault.fired = false;
}

/* Returns whether the fault came. */
static bool fault_disarm(void)
{
	fault.left = -1;
	return fault.fired;
}

static int teardown(void **state)
{
	fault_disarm();
	fixture_remove(*state);
	free(*state);
	return 0;
}

typedef bh_status (*change_fn)(const keyring_fixture *f, bh_keyring *keyring);

static bh_status change_add(const keyring_fixture *f, bh_keyring *keyring)
{
	static const char *const classes[] = { "profile", "events" };

	return bh_keyring_merchant_add(keyring, "beta", f->acme_uri, classes, 2);
}

static bh_status change_state(const keyring_fixture *f, bh_keyring *keyring)
{
	(void)f;
	return bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE);
}

static bh_status change_compact(const keyring_fixture *f, bh_keyring *keyring)
{
	(void)f;
	return bh_keyring_compact(keyring);
}

static bh_status change_destroy(const keyring_fixture *f, bh_keyring *keyring)
{
	(void)f;
	return bh_keyring_merchant_destroy(keyring, "gone");
}

static bh_status change_unlock(const keyring_fixture *f, bh_keyring *keyring)
{
	(void)f;
	return bh_keyring_merchant_unlock(keyring, "acme");
}

#define BEFORE "acme=creating gone=shredding "

static const struct {
	const char *name;
	change_fn change;
	const char *after;
	uint64_t generation; /* after it */
	bool closes;         /* happens even where it cannot be logged */
} changes[] = {
	{ "add", change_add, BEFORE "beta=creating ", 5, false },
	{ "state", change_state, "acme=active gone=shredding ", 5, false },
	{ "compact", change_compact, BEFORE, 5, false },
	{ "destroy", change_destroy, "acme=creating gone=shredded ", 5, true },
	{ "unlock", change_unlock, BEFORE, 4, false },
};

static void describe(bh_keyring *keyring, char *out, size_t size)
{
	bh_merchant_info *merchants = NULL;
	size_t count = 0, at = 0;

	assert_done(bh_keyring_merchants(keyring, &merchants, &count));
	out[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		text_format(out + at, size - at, "%s=%s ", merchants[i].name, bh_merchant_state_name(merchants[i].state));
		at += strlen(out + at);
		bh_merchant_info_clear(&merchants[i]);
	}
	free(merchants);
}

/* The keyring on disk and in memory, before or after change `i`; true: after. */
static bool settle(const keyring_fixture *f, size_t i)
{
	char said[256];
	bh_keyring *keyring = fixture_open(f);

	describe(keyring, said, sizeof(said));
	uint64_t generation = bh_keyring_generation(keyring);
	bool after = generation == changes[i].generation && strcmp(said, changes[i].after) == 0;
	if (!after) {
		assert_int_equal(generation, 4);
		assert_string_equal(said, BEFORE);
	}
	bh_keyring_close(keyring);
	return after;
}

/* One change with the n-th call failing. Returns whether the fault came at all. */
static bool try_fault(const keyring_fixture *f, size_t i, long n, int error, bool for_good, bool memory)
{
	bh_keyring *keyring = fixture_open(f);
	char said[256];

	fault_arm(n, error, for_good, memory);
	bh_status status = changes[i].change(f, keyring);
	bool fired = fault_disarm();
	if (fired && status == BH_OK && !changes[i].closes)
		fail_msg("%s: call %ld failed and nobody said so", changes[i].name, n);
	if (!fired)
		assert_done(status);
	if (status != BH_OK) {
		describe(keyring, said, sizeof(said));
		assert_string_equal(said, BEFORE); /* a failed change is not seen */
		/* Works again, here or after a reopen. */
		if (changes[i].change(f, keyring) != BH_OK) {
			bh_keyring_close(keyring);
			bool after = settle(f, i);
			keyring = fixture_open(f);
			if (!after)
				assert_done(changes[i].change(f, keyring));
		}
	}
	bh_keyring_close(keyring);
	assert_true(settle(f, i));
	return fired;
}

/* The two files of a keyring, which belong together. */
typedef struct files {
	bh_buf keyring, audit;
} files;

static void files_restore(const keyring_fixture *f, const files *before)
{
	file_store(f->file, bh_buf_view(&before->keyring));
	file_store(f->audit, bh_buf_view(&before->audit));
}

static void files_clear(files *before)
{
	bh_buf_clear(&before->keyring);
	bh_buf_clear(&before->audit);
}

static void prepare(const keyring_fixture *f, files *out)
{
	bh_keyring *keyring = fixture_open(f);

	fixture_add(f, keyring, "acme");
	fixture_add(f, keyring, "gone");
	assert_done(bh_keyring_merchant_set_state(keyring, "gone", BH_MERCHANT_SHREDDING));
	bh_keyring_close(keyring);
	out->keyring = file_load(f->file);
	out->audit = file_load(f->audit);
}

static void run_changes(const keyring_fixture *f, int error, bool for_good, bool memory)
{
	files before = { 0 };

	prepare(f, &before);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		long n = 0;
		bool fired = true;
		for (; fired; n++) {
			files_restore(f, &before);
			fired = try_fault(f, i, n, error, for_good, memory);
		}
		assert_true(n > 2);
	}
	files_clear(&before);
}

static void test_nth_call_fails_with_eio(void **state)
{
	run_changes(*state, EIO, false, false);
}

static void test_nth_call_fails_with_enospc(void **state)
{
	run_changes(*state, ENOSPC, false, false);
}

static void test_all_calls_fail_from_the_nth(void **state)
{
	run_changes(*state, EIO, true, false);
}

static void test_nth_allocation_fails(void **state)
{
	run_changes(*state, ENOMEM, false, true);
}

/* Interrupted calls are carried on, and nobody hears of it. */
static void test_nth_call_is_interrupted(void **state)
{
	const keyring_fixture *f = *state;
	files before = { 0 };

	prepare(f, &before);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		bool fired = true;
		for (long n = 0; fired; n++) {
			files_restore(f, &before);
			fault_arm(n, EINTR, false, false);
			bh_keyring *keyring = fixture_open(f);
			assert_done(changes[i].change(f, keyring));
			fired = fault_disarm();
			bh_keyring_close(keyring);
			assert_true(settle(f, i));
		}
	}
	files_clear(&before);
}

static void test_open_fails_at_each_call(void **state)
{
	const keyring_fixture *f = *state;
	files before = { 0 };

	prepare(f, &before);
	for (int kind = 0; kind < 2; kind++) {
		bool fired = true;
		for (long n = 0; fired; n++) {
			bh_keyring *keyring = NULL;
			files_restore(f, &before);
			fault_arm(n, kind == 0 ? EIO : ENOMEM, false, kind == 1);
			bh_status status = bh_keyring_open(f->db, NULL, true, &keyring);
			fired = fault_disarm();
			bh_keyring_close(keyring);
			assert_true((status == BH_OK) == !fired);
			/* Damage is never said where there is none, nor is "there is no keyring". */
			assert_true(status != BH_E_TAG && status != BH_E_FORMAT && status != BH_E_NOT_FOUND &&
				    status != BH_E_TRUNCATED);
			assert_keyring_is(f->file, bh_buf_view(&before.keyring));
		}
	}
	files_clear(&before);
}

static void test_create_fails_at_each_call(void **state)
{
	const keyring_fixture *f = *state;

	for (int kind = 0; kind < 2; kind++) {
		bool fired = true;
		for (long n = 0; fired; n++) {
			unlink(f->file);
			unlink(f->audit);
			fault_arm(n, kind == 0 ? EIO : ENOMEM, false, kind == 1);
			bh_status status = bh_keyring_create(f->db, "eu", f->platform_uri, NULL);
			fired = fault_disarm();
			assert_true((status == BH_OK) == !fired);
			/* Never half of one. */
			if (file_exists(f->file))
				assert_done(fixture_try_open(f, true));
		}
	}
}

static bh_status kms_rotate_once(const keyring_fixture *f)
{
	bh_kms *kms = NULL;
	uint32_t version = 0;

	bh_status status = bh_kms_open(f->acme_uri, NULL, &kms);
	if (status == BH_OK)
		status = bh_kms_rotate(kms, &version);
	bh_kms_close(kms);
	return status;
}

static uint32_t kms_version(const keyring_fixture *f)
{
	bh_kms *kms = NULL;
	bh_kms_key_info info;

	assert_done(bh_kms_open(f->acme_uri, NULL, &kms));
	assert_done(bh_kms_describe(kms, &info));
	bh_kms_close(kms);
	return info.version;
}

static void test_kms_change_fails_at_each_call(void **state)
{
	const keyring_fixture *f = *state;

	for (int kind = 0; kind < 2; kind++) {
		bool fired = true;
		for (long n = 0; fired; n++) {
			uint32_t before = kms_version(f);
			fault_arm(n, kind == 0 ? EIO : ENOMEM, false, kind == 1);
			bh_status status = kms_rotate_once(f);
			fired = fault_disarm();
			assert_true((status == BH_OK) == !fired);
			if (fired && kind == 0)
				assert_status(status, BH_E_KMS_UNREACHABLE);
			uint32_t after = kms_version(f);
			assert_true(after == before + 1 || (fired && after == before));
		}
	}
}

static bh_status kms_destroy_once(const char *uri, bh_kms_evidence *out)
{
	bh_kms *kms = NULL;

	bh_status status = bh_kms_open(uri, NULL, &kms);
	if (status == BH_OK)
		status = bh_kms_destroy(kms, out);
	bh_kms_close(kms);
	return status;
}

/* Scheduling a deletion, and the date: each step is done or not, and goes on where it stood. */
static void test_kms_deletion_fails_at_each_call(void **state)
{
	const bh_kms_options options = { .deletion_window_s = 1000 };
	const keyring_fixture *f = *state;
	char uri[256];

	for (int kind = 0; kind < 4; kind++) {
		bool memory = kind % 2 == 1, at_date = kind >= 2, fired = true;
		for (long n = 0; fired; n++) {
			bh_kms_evidence evidence = { 0 };
			text_format(uri, sizeof(uri), "local:%s#k%d.%ld", f->kms, kind, n);
			clock_ahead_s = 0;
			assert_done(bh_kms_create(uri, "eu", &options));
			if (at_date)
				assert_done(kms_destroy_once(uri, NULL));
			clock_ahead_s = at_date ? 1001 : 0;
			fault_arm(n, memory ? ENOMEM : EIO, false, memory);
			bh_status status = kms_destroy_once(uri, &evidence);
			fired = fault_disarm();
			assert_true((status == BH_OK) == !fired);
			if (fired && !memory)
				assert_status(status, BH_E_KMS_UNREACHABLE);
			assert_done(kms_destroy_once(uri, &evidence));
			assert_int_equal(evidence.state, at_date ? BH_KMS_DESTROYED : BH_KMS_PENDING_DELETION);
		}
	}
	clock_ahead_s = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nth_call_fails_with_eio, fixture_setup, teardown),
		cmocka_unit_test_setup_teardown(test_nth_call_fails_with_enospc, fixture_setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_calls_fail_from_the_nth, fixture_setup, teardown),
		cmocka_unit_test_setup_teardown(test_nth_allocation_fails, fixture_setup, teardown),
		cmocka_unit_test_setup_teardown(test_nth_call_is_interrupted, fixture_setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_fails_at_each_call, fixture_setup, teardown),
		cmocka_unit_test_setup_teardown(test_create_fails_at_each_call, fixture_setup, teardown),
		cmocka_unit_test_setup_teardown(test_kms_change_fails_at_each_call, fixture_setup, teardown),
		cmocka_unit_test_setup_teardown(test_kms_deletion_fails_at_each_call, fixture_setup, teardown),
	};

	return cmocka_run_group_tests_name("keyring_faults", tests, NULL, NULL);
}
