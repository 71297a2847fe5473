/* SPDX-License-Identifier: Apache-2.0
 *
 * test_quota.c: a quota that is used up, of bytes or of files, while the disk has room: statvfs(2) knows nothing of it, a call just
 * ends with EDQUOT. Writes end with BH_E_FULL, reads go on, what makes room works, nothing aborts, nothing acknowledged is lost,
 * and writes go on in the same process when there is room again.
 *
 * Few kernels that tests run on count quotas. So this program has system calls of its own, which the RocksDB library uses as well:
 * they count what lies in the database's directory as a quota would, and refuse what it would refuse. No mount, no root.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bulkhead/erase.h>

#include "tests/support/harness.h"

enum { ROWS = 20, PATIENCE_MS = 10000, PUTS_MAX = 20000 };
#define BLOCK 4096u
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* ---- the quota */

static char limited[PATH_SIZE];                   /* the directory that has it */
static _Atomic uint64_t limit_bytes, limit_files; /* 0: none */
static _Atomic unsigned refusals;

static _Thread_local struct {
	uint64_t bytes, files;
} counted;

static uint64_t rounded(uint64_t bytes)
{
	return (bytes + BLOCK - 1) / BLOCK * BLOCK;
}

static uint64_t size_of(const struct stat *st)
{
	return BH_MAX((uint64_t)st->st_blocks * 512, rounded((uint64_t)st->st_size));
}

static int count_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path;
	(void)at;
	counted.files++;
	if (type == FTW_F && st->st_nlink > 0)
		counted.bytes += size_of(st) / st->st_nlink;
	return 0;
}

static void count_all(void)
{
	counted.bytes = counted.files = 0;
	nftw(limited, count_one, 8, FTW_PHYS);
}

static bool refuse(void)
{
	atomic_fetch_add(&refusals, 1);
	errno = EDQUOT;
	return true;
}

static bool is_limited(int fd, struct stat *st)
{
	char link[64], path[PATH_SIZE];
	ssize_t len;

	if (atomic_load(&limit_bytes) == 0 || fstat(fd, st) != 0 || !S_ISREG(st->st_mode))
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	return len > (ssize_t)strlen(limited) && strncmp(path, limited, strlen(limited)) == 0;
}

/* Whether the file would have to become longer than there is room for. */
static bool too_long(int fd, uint64_t end)
{
	struct stat st;

	if (!is_limited(fd, &st) || rounded(end) <= size_of(&st))
		return false;
	count_all();
	return counted.bytes + rounded(end) - size_of(&st) > atomic_load(&limit_bytes) && refuse();
}

static bool too_many(int dir, const char *path)
{
	char link[64], whole[PATH_SIZE] = "";
	struct stat st;

	if (atomic_load(&limit_files) == 0 || fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return false;
	if (dir != AT_FDCWD && path[0] != '/') {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
		if (readlink(link, whole, sizeof(whole) - 1) <= 0)
			return false;
	} else {
		snprintf(whole, sizeof(whole), "%s", path);
	}
	if (strncmp(whole, limited, strlen(limited)) != 0)
		return false;
	count_all();
	return counted.files >= atomic_load(&limit_files) && refuse();
}

static uint64_t end_of_write(int fd, size_t len)
{
	struct stat st;

	if ((fcntl(fd, F_GETFL) & O_APPEND) != 0 && fstat(fd, &st) == 0)
		return (uint64_t)st.st_size + len;
	return (uint64_t)lseek(fd, 0, SEEK_CUR) + len;
}

#define OURS __attribute__((visibility("default")))

OURS ssize_t write(int fd, const void *buf, size_t len)
{
	return atomic_load(&limit_bytes) != 0 && too_long(fd, end_of_write(fd, len)) ? -1 : REAL(write)(fd, buf, len);
}

OURS ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	return too_long(fd, (uint64_t)off + len) ? -1 : REAL(pwrite)(fd, buf, len, off);
}

OURS int fallocate(int fd, int mode, off_t off, off_t len)
{
	return too_long(fd, (uint64_t)(off + len)) ? -1 : REAL(fallocate)(fd, mode, off, len);
}

OURS int posix_fallocate(int fd, off_t off, off_t len)
{
	return too_long(fd, (uint64_t)(off + len)) ? EDQUOT : REAL(posix_fallocate)(fd, off, len);
}

OURS int mkdir(const char *path, mode_t mode)
{
	return too_many(AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}

static mode_t mode_in(int flags, va_list ap)
{
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
}

OURS int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_in(flags, ap);
	va_end(ap);
	return (flags & O_CREAT) != 0 && too_many(AT_FDCWD, path) ? -1 : REAL(open)(path, flags, mode);
}

OURS int openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_in(flags, ap);
	va_end(ap);
	return (flags & O_CREAT) != 0 && too_many(dir, path) ? -1 : REAL(openat)(dir, path, flags, mode);
}

/* What lies there is all that may. */
static void quota_of_bytes(void)
{
	count_all();
	atomic_store(&limit_bytes, counted.bytes);
}

static void quota_of_files(void)
{
	count_all();
	atomic_store(&limit_files, counted.files);
}

static void no_quota(void)
{
	atomic_store(&limit_bytes, 0);
	atomic_store(&limit_files, 0);
}

/* ---- the database: A and B with rows, C to be shredded */

typedef struct place {
	const workspace *ws;
	bh_db *db;
	bh_cf *a, *b;
	int acknowledged; /* rows of A */
} place;

static const char *key_of(int i)
{
	static _Thread_local char key[32];

	snprintf(key, sizeof(key), "row:%06d", i);
	return key;
}

static bh_status put_row(bh_cf *cf, int i)
{
	static char value[1500];

	memset(value, 'a' + i % 26, sizeof(value));
	return bh_put(cf, &(bh_write_options){ .sync = true }, bh_view_str(key_of(i)), bh_view_of(value, sizeof(value)));
}

static void expect_rows_from(bh_cf *cf, int from, int count)
{
	bh_buf value = { 0 };

	for (int i = from; i < count; i++) {
		test_ok(bh_get(cf, NULL, bh_view_str(key_of(i)), &value));
		test_check(value.len == 1500 && value.data[0] == 'a' + i % 26);
	}
	bh_buf_clear(&value);
}

static void expect_rows(bh_cf *cf, int count)
{
	expect_rows_from(cf, 0, count);
}

static void place_open(place *p)
{
	p->db = test_db_open(p->ws, NULL);
	p->a = test_cf(p->db, "a", "data");
	p->b = test_cf(p->db, "b", "data");
}

static void place_close(place *p)
{
	bh_cf_close(p->a);
	bh_cf_close(p->b);
	bh_db_close(p->db);
}

static void place_make(place *p, const workspace *ws)
{
	static const char *const names[] = { "a", "b", "c" };

	*p = (place){ .ws = ws, .acknowledged = ROWS };
	snprintf(limited, sizeof(limited), "%s", ws->db);
	test_db_create(ws, NULL);
	p->db = test_db_open(ws, NULL);
	for (size_t m = 0; m < 3; m++)
		test_merchant_add(ws, p->db, names[m], "data", NULL);
	bh_db_close(p->db);
	place_open(p);
	for (int i = 0; i < ROWS; i++) {
		test_ok(put_row(p->a, i));
		test_ok(put_row(p->b, i));
	}
	usleep(1300000); /* the reserve is there */
}

/* What A is told to be safe is counted. */
static bh_status put_until_refused(place *p)
{
	bh_status status = BH_OK;

	for (int i = 0; i < PUTS_MAX && status == BH_OK; i++) {
		status = put_row(p->a, p->acknowledged);
		p->acknowledged += status == BH_OK;
	}
	return status;
}

static void expect_writes_go_on(bh_cf *cf)
{
	bh_status status = BH_E_FULL;

	for (int waited_ms = 0; waited_ms < PATIENCE_MS && status != BH_OK; waited_ms += 20) {
		status = put_row(cf, PUTS_MAX);
		if (status == BH_OK)
			status = bh_flush(cf);
		usleep(20000);
	}
	test_status_at(status, BH_OK, "a write, when there is room again", __FILE__, __LINE__);
}

static void expect_all_after_a_reopen(place *p)
{
	place_close(p);
	place_open(p);
	expect_rows(p->a, p->acknowledged);
	expect_rows_from(p->b, 1, ROWS); /* the first may be erased */
	place_close(p);
}

/* Whole or not at all. */
static void try_to_add(place *p)
{
	bh_status status =
		bh_merchant_add(p->db, "n", test_cmk(p->ws, "n"), &(bh_merchant_options){ &(const char *){ "data" }, 1 });

	test_check(status == BH_OK || status == BH_E_FULL);
	if (status == BH_OK)
		bh_cf_close(test_cf(p->db, "n", "data"));
}

/* All of B's rows but the first, which is erased. */
static void expect_shred_and_erase(place *p)
{
	BH_CLEANUP(bh_buf_clear) bh_buf value = { 0 };
	bh_erase_result erased = { 0 };

	test_ok(bh_merchant_shred(p->db, "c", NULL));
	test_ok(bh_erase_range(p->b, bh_view_str(key_of(0)), NULL, &erased));
	bh_erase_result_clear(&erased);
	test_status(bh_get(p->b, NULL, bh_view_str(key_of(0)), &value), BH_E_NO_SUCH_KEY);
}

/* ---- bytes */

static void bytes_body(void *arg)
{
	place p;

	place_make(&p, arg);
	quota_of_bytes();
	test_status(put_until_refused(&p), BH_E_FULL);
	test_message_names("quota");
	for (int i = 0; i < 50; i++) {
		bh_status status = put_row(p.b, PUTS_MAX);

		test_check(status == BH_OK || status == BH_E_FULL);
		expect_rows(p.b, ROWS);
	}
	test_check(atomic_load(&refusals) > 0);
	test_check(bh_flush(p.b) != BH_E_DAMAGED);
	expect_rows(p.a, p.acknowledged);
	no_quota();
	expect_writes_go_on(p.a);
	expect_writes_go_on(p.b);
	expect_all_after_a_reopen(&p);
}

static void a_quota_of_bytes_refuses_writes_alone(void **state)
{
	test_child_ok(bytes_body, *state);
}

/* With the reserve. */
static void makes_room_body(void *arg)
{
	place p;

	place_make(&p, arg);
	quota_of_bytes();
	test_status(put_until_refused(&p), BH_E_FULL);
	try_to_add(&p);
	expect_shred_and_erase(&p);
	test_check(atomic_load(&refusals) > 0);
	expect_rows(p.a, p.acknowledged);
	no_quota();
	expect_writes_go_on(p.b);
	expect_all_after_a_reopen(&p);
}

static void what_makes_room_works_with_a_quota_that_is_used_up(void **state)
{
	test_child_ok(makes_room_body, *state);
}

/* ---- files */

static void files_body(void *arg)
{
	bh_status status;
	place p;

	place_make(&p, arg);
	quota_of_files();
	status = bh_flush(p.a);
	test_check(status == BH_OK || status == BH_E_FULL);
	test_check(atomic_load(&refusals) > 0);
	try_to_add(&p);
	for (int i = 0; i < 50; i++) {
		status = put_row(p.a, p.acknowledged);
		test_check(status == BH_OK || status == BH_E_FULL);
		p.acknowledged += status == BH_OK;
		expect_rows(p.b, ROWS);
	}
	expect_rows(p.a, p.acknowledged);
	test_ok(bh_merchant_shred(p.db, "c", NULL));
	no_quota();
	expect_writes_go_on(p.a);
	expect_writes_go_on(p.b);
	expect_all_after_a_reopen(&p);
}

static void a_quota_of_files_refuses_writes_alone(void **state)
{
	test_child_ok(files_body, *state);
}

int main(void)
{
#define WITH_QUOTA(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)
	const struct CMUnitTest tests[] = {
		WITH_QUOTA(a_quota_of_bytes_refuses_writes_alone),
		WITH_QUOTA(what_makes_room_works_with_a_quota_that_is_used_up),
		WITH_QUOTA(a_quota_of_files_refuses_writes_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
