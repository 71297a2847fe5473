/* SPDX-License-Identifier: Apache-2.0
 *
 * test_full_disk.c: disks that fill, inodes and descriptors that are used up, with real ones: a tmpfs of 24 MiB, or of so many
 * inodes, in a mount namespace of its own; RLIMIT_NOFILE. What must hold: writes end with BH_E_FULL and say what is used up, reads
 * go on, what makes room works, and when there is room writes go on in the same process. Nothing acknowledged is lost.
 *
 * Mounting needs root (or CAP_SYS_ADMIN): those tests are skipped without it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/harness.h"
#include "tests/support/random.h"

enum { PATIENCE_MS = 10000, CANNOT_MOUNT = 77, MANY = 120 };

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

static void expect_rows(bh_cf *cf, int count)
{
	bh_buf value = { 0 };

	for (int i = 0; i < count; i++) {
		test_ok(bh_get(cf, NULL, bh_view_str(key_of(i)), &value));
		test_check(value.len == 1500);
	}
	bh_buf_clear(&value);
}

/* Where there is no room it fails, which concerns nobody else. */
static void flush_perhaps(bh_cf *cf)
{
	bh_status status = bh_flush(cf);

	test_check(status == BH_OK || status == BH_E_FULL);
}

/* ---- a small disk, with the database on it and the KMS beside it */

typedef struct disk {
	workspace ws; /* its `db` lies on the disk */
	char dir[PATH_SIZE], ballast[PATH_SIZE];
	bh_db *db;
	bh_cf *a, *b;
} disk;

static void disk_mount(disk *d, const workspace *ws, const char *options)
{
	d->ws = *ws;
	path_join(d->dir, ws->root, "disk");
	path_join(d->ws.db, d->dir, "db");
	path_join(d->ballast, d->dir, "ballast");
	test_check(mkdir(d->dir, 0755) == 0);
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("disk", d->dir, "tmpfs", 0, options) != 0)
		_exit(CANNOT_MOUNT);
}

static void disk_open(disk *d)
{
	d->db = test_db_open(&d->ws, NULL);
	d->a = test_cf(d->db, "a", "data");
	d->b = test_cf(d->db, "b", "data");
}

static void disk_close(disk *d)
{
	bh_cf_close(d->a);
	bh_cf_close(d->b);
	bh_db_close(d->db);
}

static void disk_start(disk *d, const workspace *ws, const char *options)
{
	disk_mount(d, ws, options);
	test_db_create(&d->ws, NULL);
	d->db = test_db_open(&d->ws, NULL);
	test_merchant_add(&d->ws, d->db, "a", "data", NULL);
	test_merchant_add(&d->ws, d->db, "b", "data", NULL);
	d->a = test_cf(d->db, "a", "data");
	d->b = test_cf(d->db, "b", "data");
	for (int i = 0; i < 20; i++) {
		test_ok(put_row(d->a, i));
		test_ok(put_row(d->b, i));
	}
	usleep(1300000); /* the reserve is there */
}

/* To the last block. */
static void fill(const disk *d)
{
	static char block[4096];
	int fd = open(d->ballast, O_WRONLY | O_CREAT | O_APPEND, 0644);

	for (int quiet = 0; quiet < 40; quiet++, usleep(10000)) /* what the reserve gives up is taken as well */
		while (write(fd, block, sizeof(block)) == (ssize_t)sizeof(block))
			quiet = 0;
	close(fd);
}

static void expect_refused(bh_cf *cf, const char *why)
{
	test_status(put_row(cf, 900), BH_E_FULL);
	test_message_names(why);
}

static void expect_writes_go_on(bh_cf *cf)
{
	bh_status status = BH_E_FULL;

	for (int waited_ms = 0; waited_ms < PATIENCE_MS && status != BH_OK; waited_ms += 20) {
		status = put_row(cf, 901);
		if (status == BH_OK)
			status = bh_flush(cf);
		usleep(20000);
	}
	test_status_at(status, BH_OK, "a write, when there is room again", __FILE__, __LINE__);
}

static void run_on_disk(void (*body)(void *arg), void *arg)
{
	int end = test_child_wait(test_child_start(body, arg));

	if (WIFEXITED(end) && WEXITSTATUS(end) == CANNOT_MOUNT)
		skip();
	assert_int_equal(end, 0);
}

/* ---- a disk that others fill */

static void a_full_disk_body(void *arg)
{
	disk d;

	disk_start(&d, arg, "size=24m");
	fill(&d);
	for (int i = 0; i < 100; i++) {
		expect_refused(d.a, "bytes are free");
		expect_rows(d.b, 20);
	}
	flush_perhaps(d.b);
	expect_rows(d.a, 20);
	unlink(d.ballast);
	expect_writes_go_on(d.a);
	expect_writes_go_on(d.b);
	disk_close(&d);
	disk_open(&d);
	expect_rows(d.a, 20);
	expect_rows(d.b, 20);
	disk_close(&d);
}

static void fill_but(const disk *d, uint64_t left)
{
	static char block[4096];
	int fd = open(d->ballast, O_WRONLY | O_CREAT | O_APPEND, 0644);
	struct statvfs st;

	while (statvfs(d->dir, &st) == 0 && (uint64_t)st.f_bavail * st.f_bsize > left &&
	       write(fd, block, sizeof(block)) == (ssize_t)sizeof(block))
		continue;
	close(fd);
}

/* Nothing that compression makes smaller. */
static bh_status put_noise(bh_cf *cf, int i)
{
	uint8_t value[1500];
	test_random random = { (uint64_t)i };

	for (size_t k = 0; k < sizeof(value); k++)
		value[k] = (uint8_t)test_random_u64(&random);
	return bh_put(cf, &(bh_write_options){ .sync = true }, bh_view_str(key_of(i)), bh_view_of(value, sizeof(value)));
}

/* One after the other: RocksDB would wait for the first before it begins the next, and the first cannot end. */
static void flushes_end_body(void *arg)
{
	disk d;

	disk_start(&d, arg, "size=24m");
	fill_but(&d, 300000);
	alarm(60); /* for what does not end */
	for (int i = 20; i < 500 && put_noise(i % 2 != 0 ? d.b : d.a, i) == BH_OK; i++)
		if (i % 50 == 49)
			flush_perhaps(d.a);
	for (int i = 0; i < 5; i++)
		test_status(bh_flush(d.a), BH_E_FULL);
	alarm(0);
	expect_rows(d.b, 20);
	unlink(d.ballast);
	expect_writes_go_on(d.a);
	expect_writes_go_on(d.b);
	disk_close(&d);
}

static void flushes_end_on_a_full_disk(void **state)
{
	run_on_disk(flushes_end_body, *state);
}

static void a_full_disk_refuses_writes_alone(void **state)
{
	run_on_disk(a_full_disk_body, *state);
}

/* A disk that fills between two looks at it: RocksDB itself meets the end, while many write. */
static void it_fills_itself_body(void *arg)
{
	int rows = 20, refused = 0;
	disk d;

	disk_start(&d, arg, "size=24m");
	for (; rows < 100000 && refused == 0; rows++) {
		bh_status status = put_row(d.a, rows);

		test_check(status == BH_OK || status == BH_E_FULL);
		refused += status != BH_OK;
		if (rows % 500 == 0)
			flush_perhaps(d.a);
	}
	test_check(refused == 1);
	expect_rows(d.a, rows - 1);
	/* An end user's rows leave, and the disk is the service's own again. */
	test_ok(bh_merchant_shred(d.db, "a", NULL));
	expect_rows(d.b, 20);
	expect_writes_go_on(d.b);
	bh_cf_close(d.a);
	bh_cf_close(d.b);
	bh_db_close(d.db);
}

static void a_database_that_fills_its_disk_stops_and_a_shred_helps(void **state)
{
	run_on_disk(it_fills_itself_body, *state);
}

/* ---- what makes room, and what must not wait for it */

static void makes_room_body(void *arg)
{
	bh_buf certificate = { 0 };
	bh_erase_result erased = { 0 };
	disk d;

	disk_start(&d, arg, "size=24m");
	test_merchant_add(&d.ws, d.db, "c", "data", NULL);
	usleep(1300000);
	fill(&d);
	expect_refused(d.b, "bytes are free");
	test_status(bh_merchant_add(d.db, "n", test_cmk(&d.ws, "n"), &(bh_merchant_options){ &(const char *){ "data" }, 1 }),
		    BH_E_FULL);
	test_message_names("not added");
	test_ok(bh_merchant_suspend(d.db, "c", NULL));
	test_ok(bh_merchant_shred(d.db, "a", &certificate));
	test_check(certificate.len > 0);
	expect_rows(d.b, 20);
	bh_buf_clear(&certificate);
	unlink(d.ballast);
	expect_writes_go_on(d.b);
	usleep(1300000); /* the reserve is made anew */
	fill(&d);
	test_ok(bh_erase_range(d.b, bh_view_str("row:000001"), NULL, &erased));
	bh_erase_result_clear(&erased);
	unlink(d.ballast);
	bh_cf_close(d.a);
	bh_cf_close(d.b);
	bh_db_close(d.db);
	d.db = test_db_open(&d.ws, NULL);
	test_ok(bh_merchant_resume(d.db, "c", NULL));
	bh_db_close(d.db);
}

static void what_makes_room_has_a_reserve(void **state)
{
	run_on_disk(makes_room_body, *state);
}

static void opens_full_body(void *arg)
{
	disk d;

	disk_start(&d, arg, "size=24m");
	disk_close(&d);
	fill(&d);
	disk_open(&d);
	expect_rows(d.a, 20);
	expect_rows(d.b, 20);
	expect_refused(d.a, "bytes are free");
	unlink(d.ballast);
	expect_writes_go_on(d.a);
	disk_close(&d);
}

static void a_full_disk_is_opened_and_read(void **state)
{
	run_on_disk(opens_full_body, *state);
}

/* ---- inodes */

static void no_inodes_body(void *arg)
{
	char path[PATH_SIZE];
	int made = 0;
	disk d;

	disk_start(&d, arg, "size=64m,nr_inodes=200");
	for (int fd = 0; fd >= 0; made++) {
		snprintf(path, sizeof(path), "%.400s/file%d", d.dir, made);
		fd = open(path, O_WRONLY | O_CREAT, 0644);
		close(fd);
	}
	usleep(300000);
	expect_refused(d.a, "inodes");
	expect_rows(d.a, 20);
	flush_perhaps(d.a);
	for (int i = 0; i < made; i++) {
		snprintf(path, sizeof(path), "%.400s/file%d", d.dir, i);
		unlink(path);
	}
	expect_writes_go_on(d.a);
	expect_writes_go_on(d.b);
	disk_close(&d);
	disk_open(&d);
	expect_rows(d.a, 20);
	disk_close(&d);
}

static void used_up_inodes_refuse_writes_alone(void **state)
{
	run_on_disk(no_inodes_body, *state);
}

/* ---- descriptors */

static void limit_descriptors(rlim_t limit)
{
	const struct rlimit r = { limit, limit };

	test_check(setrlimit(RLIMIT_NOFILE, &r) == 0);
}

static int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void no_descriptors_body(void *arg)
{
	const workspace *ws = arg;
	int taken[256], count = 0;
	bh_db *db;
	bh_cf *a;

	limit_descriptors(128);
	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "data", NULL);
	a = test_cf(db, "a", "data");
	for (int i = 0; i < 20; i++)
		test_ok(put_row(a, i));
	test_ok(bh_flush(a));
	usleep(1300000);
	while (count < 256 && (taken[count] = open("/dev/null", O_RDONLY)) >= 0)
		count++;
	usleep(700000);
	expect_refused(a, "descriptors");
	expect_rows(a, 20);
	close(taken[--count]); /* the call has a few to itself, and no more */
	test_status(bh_merchant_add(db, "n", "local:/nowhere#n", &(bh_merchant_options){ &(const char *){ "data" }, 1 }),
		    BH_E_FULL);
	while (count > 0)
		close(taken[--count]);
	expect_writes_go_on(a);
	bh_cf_close(a);
	bh_db_close(db);
	db = test_db_open(ws, NULL);
	a = test_cf(db, "a", "data");
	expect_rows(a, 20);
	bh_cf_close(a);
	bh_db_close(db);
}

static void used_up_descriptors_refuse_writes_alone(void **state)
{
	test_child_ok(no_descriptors_body, *state);
}

static void many_body(void *arg)
{
	const workspace *ws = arg;
	int before, after;
	bh_db *db;

	limit_descriptors(160);
	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "first", "data", "more");
	before = open_descriptors(); /* and perhaps eight that are kept: env/room/room.h */
	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "m%d", i);
		test_merchant_add(ws, db, name, "data", "more");
	}
	after = open_descriptors();
	if (after > before + 12)
		test_fail_at(__FILE__, __LINE__, "%d descriptors before, %d after", before, after);
	bh_db_close(db);
	db = test_db_open(ws, NULL);
	test_check(open_descriptors() <= before + 12);
	bh_db_close(db);
}

static void a_class_keeps_no_descriptor(void **state)
{
	test_child_ok(many_body, *state);
}

int main(void)
{
#define ON_DISK(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)
	const struct CMUnitTest tests[] = {
		ON_DISK(a_full_disk_refuses_writes_alone),
		ON_DISK(flushes_end_on_a_full_disk),
		ON_DISK(a_database_that_fills_its_disk_stops_and_a_shred_helps),
		ON_DISK(what_makes_room_has_a_reserve),
		ON_DISK(a_full_disk_is_opened_and_read),
		ON_DISK(used_up_inodes_refuse_writes_alone),
		ON_DISK(used_up_descriptors_refuse_writes_alone),
		ON_DISK(a_class_keeps_no_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
