/* SPDX-License-Identifier: Apache-2.0
 *
 * test_damage_jobs.c: A's flushes and compactions fail, for what they read or for what they write. It is never everybody's
 * background error: B writes, flushes and compacts on; A is detached, and comes back with every row.
 *
 * This program has system calls of its own, which the RocksDB library uses: they fail for A's files.
 */
#include "damage_fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/harness.h"

/* ---- system calls that fail for A's files */

static _Atomic int failing;    /* errno; 0: none fails */
static _Atomic unsigned spare; /* as many calls succeed before */

static bool is_hit(int fd)
{
	char link[64], path[PATH_SIZE];
	ssize_t len;

	if (atomic_load(&failing) == 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len <= 0)
		return false;
	path[len] = '\0';
	if (strstr(path, "/db/tenants/a/") == NULL)
		return false;
	if (atomic_load(&spare) > 0 && atomic_fetch_sub(&spare, 1) > 0)
		return false;
	errno = atomic_load(&failing);
	return true;
}

#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

__attribute__((visibility("default"))) ssize_t write(int fd, const void *buf, size_t len)
{
	return is_hit(fd) ? -1 : REAL(write)(fd, buf, len);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	return is_hit(fd) ? -1 : REAL(fdatasync)(fd);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
	return is_hit(fd) ? -1 : REAL(fsync)(fd);
}

/* ---- what A does */

static void put_more(bh_cf *a)
{
	for (int i = 0; i < 50; i++) {
		char key[16];

		test_ok(bh_put(a, &(bh_write_options){ .sync = i == 49 }, bh_view_of(key, (size_t)snprintf(key, 16, "more%03d", i)),
			       bh_view_str("written before")));
	}
}

static void expect_more(bh_db *db)
{
	bh_cf *a = test_cf(db, "a", "events");

	for (int i = 0; i < 50; i++) {
		char key[16];

		snprintf(key, sizeof(key), "more%03d", i);
		test_expect(a, key, "written before");
	}
	bh_cf_close(a);
}

static bh_status by_flush(bh_cf *a)
{
	return bh_flush(a);
}

static bh_status by_compaction(bh_cf *a)
{
	return bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 });
}

/* RocksDB's own: the write buffer is full. */
static bh_status by_writing(bh_cf *a)
{
	bh_status status = BH_OK;
	uint8_t value[1000] = { 1 };

	for (int i = 0; i < 5000 && status == BH_OK; i++) {
		char key[16];

		status = bh_put(a, NULL, bh_view_of(key, (size_t)snprintf(key, 16, "fill%05d", i)),
				bh_view_of(value, sizeof(value)));
	}
	return status;
}

typedef struct run {
	const workspace *ws;
	bh_status (*meet)(bh_cf *a);
	int error;      /* errno of writes; 0: what is read is damaged */
	unsigned spare; /* writes that succeed before */
	bool no_dir;    /* the directory takes no new files instead */
} run;

static rocksdb_options_t *small_buffers(void)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_write_buffer_size(options, 256 << 10);
	return options;
}

static void break_it(const run *r, char path[PATH_SIZE])
{
	char dir[PATH_SIZE];

	damage_file(r->ws, "tenants", 0, path);
	snprintf(dir, sizeof(dir), "%.300s/tenants/a/events", r->ws->db);
	atomic_store(&spare, r->spare);
	atomic_store(&failing, r->error);
	if (r->no_dir)
		test_check(chmod(dir, 0500) == 0);
	else if (r->error == 0)
		harm_file(path, path, HARM_FLIP_MIDDLE);
}

static void make_good(const run *r, const char *path)
{
	char dir[PATH_SIZE], parked[PATH_SIZE];

	atomic_store(&failing, 0);
	snprintf(dir, sizeof(dir), "%.300s/tenants/a/events", r->ws->db);
	if (r->no_dir)
		(void)chmod(dir, 0750);
	snprintf(parked, sizeof(parked), "%.200s/parked/a/tenants/a/events/%s", r->ws->db, strrchr(path, '/') + 1);
	if (!r->no_dir && r->error == 0)
		heal_file(path, parked);
}

static void wait_off(bh_db *db)
{
	for (int waited_ms = 0; waited_ms < 20000 && !damage_is_quarantined(db, "a"); waited_ms += 5)
		usleep(5000);
	test_check(damage_is_quarantined(db, "a"));
}

static void a_job_fails(void *arg)
{
	const run *r = arg;
	rocksdb_options_t *options = small_buffers();
	char path[PATH_SIZE];
	bh_cf *a, *b_cf;
	neighbour b;
	bh_db *db;

	if (r->no_dir)
		damage_as_nobody(r->ws);
	damage_make(r->ws, options);
	db = damage_open(r->ws, options);
	a = test_cf(db, "a", "events");
	put_more(a);
	neighbour_begin(&b, db);
	break_it(r, path);
	test_check(r->meet(a) != BH_OK);
	test_status(bh_put(a, NULL, bh_view_str("x"), bh_view_str("y")), BH_E_DAMAGED);
	if (r->no_dir)
		make_good(r, path); /* nothing can be parked from there until then */
	wait_off(db);
	b_cf = test_cf(db, "b", "events");
	test_ok(bh_compact(b_cf, (bh_view){ 0 }, (bh_view){ 0 }));
	neighbour_end(&b);
	if (!r->no_dir)
		make_good(r, path);
	test_ok(bh_merchant_resume(db, "a", NULL));
	damage_expect_all(db, "a");
	expect_more(db);
	test_ok(bh_flush(b_cf));
	bh_cf_close(a);
	bh_cf_close(b_cf);
	bh_db_close(db);
	db = damage_open(r->ws, options);
	damage_expect_all(db, "a");
	damage_expect_all(db, "b");
	expect_more(db);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void in_a_child(run r)
{
	workspace ws;

	workspace_open(&ws);
	r.ws = &ws;
	test_child_ok(a_job_fails, &r);
	workspace_close(&ws);
}

static void a_compaction_meets_a_damaged_page(void **state)
{
	(void)state;
	in_a_child((run){ .meet = by_compaction });
}

static void a_flush_cannot_write(void **state)
{
	static const int errors[] = { EIO, EACCES, EFBIG }; /* a quota that is used up may have room again: as a full disk */

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		for (unsigned spare_calls = 0; spare_calls < 3; spare_calls++)
			in_a_child((run){ .meet = by_flush, .error = errors[i], .spare = spare_calls });
}

static void a_flush_of_rocksdbs_own_cannot_write(void **state)
{
	(void)state;
	in_a_child((run){ .meet = by_writing, .error = EIO });
}

static void a_compaction_cannot_write(void **state)
{
	(void)state;
	in_a_child((run){ .meet = by_compaction, .error = EIO, .spare = 2 });
	in_a_child((run){ .meet = by_compaction, .error = EACCES, .spare = 4 });
}

static void a_directory_takes_no_files(void **state)
{
	(void)state;
	in_a_child((run){ .meet = by_flush, .no_dir = true });
	in_a_child((run){ .meet = by_compaction, .no_dir = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_compaction_cannot_write),  cmocka_unit_test(a_compaction_meets_a_damaged_page),
		cmocka_unit_test(a_flush_cannot_write),       cmocka_unit_test(a_flush_of_rocksdbs_own_cannot_write),
		cmocka_unit_test(a_directory_takes_no_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
