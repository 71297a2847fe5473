/* SPDX-License-Identifier: Apache-2.0
 *
 * damage_fixture.c: see damage_fixture.h.
 */
#include "damage_fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "env/format/header.h"
#include "env/format/pages.h"

static const char *const names[] = {
	[HARM_FLIP_HEADER] = "a flip in the header",
	[HARM_FLIP_FIRST] = "a flip in the first page",
	[HARM_FLIP_MIDDLE] = "a flip in the middle",
	[HARM_FLIP_LAST] = "a flip in the last page",
	[HARM_CUT_HALF] = "cut in half",
	[HARM_CUT_PAGE] = "a page short",
	[HARM_EMPTY] = "empty",
	[HARM_MISSING] = "missing",
	[HARM_EXCHANGED] = "another one",
	[HARM_DIRECTORY] = "a directory",
	[HARM_FIFO] = "a FIFO",
	[HARM_SYMLINK] = "a dangling link",
	[HARM_UNREADABLE] = "unreadable",
};

const char *harm_name(harm h)
{
	return names[h];
}

/* Beside the database, so that it stays where it is. */
static void right_path(const char *path, char out[PATH_SIZE])
{
	const char *root_end = strstr(path, "/db/");

	test_check(root_end != NULL);
	snprintf(out, PATH_SIZE, "%.*s/right-%s", (int)(root_end - path), path, strrchr(path, '/') + 1);
}

static void keep(const char *path)
{
	char right[PATH_SIZE];
	bh_buf bytes = file_read(path);

	right_path(path, right);
	file_write(right, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

/* In place, so that who has it open reads it, too. */
static void flip(const char *path, size_t at)
{
	FILE *file = fopen(path, "r+b");
	int c;

	test_check(file != NULL && fseek(file, (long)at, SEEK_SET) == 0);
	c = fgetc(file);
	test_check(c != EOF && fseek(file, (long)at, SEEK_SET) == 0 && fputc(c ^ 1, file) != EOF && fclose(file) == 0);
}

static size_t size_of(const char *path)
{
	struct stat st;

	test_check(stat(path, &st) == 0);
	return (size_t)st.st_size;
}

/* The last page's first byte. */
static size_t last_page(size_t size)
{
	return BH_HEADER_LEN + (size - BH_HEADER_LEN - 1) / BH_PAGE_SIZE_DEFAULT * BH_PAGE_SIZE_DEFAULT;
}

static void exchange(const char *path, const char *other)
{
	bh_buf bytes = file_read(other);

	file_write(path, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

static void replace(const char *path, harm h)
{
	test_check(unlink(path) == 0);
	if (h == HARM_DIRECTORY)
		test_check(mkdir(path, 0750) == 0);
	if (h == HARM_FIFO)
		test_check(mkfifo(path, 0640) == 0);
	if (h == HARM_SYMLINK)
		test_check(symlink("nowhere", path) == 0);
}

void harm_file(const char *path, const char *other, harm h)
{
	const size_t size = size_of(path);

	keep(path);
	switch (h) {
	case HARM_FLIP_HEADER: flip(path, 30); break;
	case HARM_FLIP_FIRST: flip(path, BH_HEADER_LEN + 9); break;
	case HARM_FLIP_MIDDLE: flip(path, BH_HEADER_LEN + (size - BH_HEADER_LEN) / 2); break;
	case HARM_FLIP_LAST: flip(path, last_page(size) + 3); break;
	case HARM_CUT_HALF: test_check(truncate(path, (off_t)(size / 2)) == 0); break;
	case HARM_CUT_PAGE: test_check(truncate(path, (off_t)last_page(size)) == 0); break;
	case HARM_EMPTY: test_check(truncate(path, 0) == 0); break;
	case HARM_EXCHANGED: exchange(path, other); break;
	case HARM_UNREADABLE: test_check(chmod(path, 0) == 0); break;
	default: replace(path, h); break;
	}
}

void heal_file(const char *path, const char *to)
{
	char right[PATH_SIZE];

	right_path(path, right);
	if (unlink(to) != 0)
		test_check(errno == ENOENT || rmdir(to) == 0);
	test_check(rename(right, to) == 0);
}

void damage_as_nobody(const workspace *ws)
{
	if (geteuid() != 0)
		return;
	test_check(chown(ws->root, 65534, 65534) == 0);
	test_check(setgid(65534) == 0 && setuid(65534) == 0);
}

/* ---- A and B */

static bh_view key_of(char out[16], int i)
{
	return bh_view_of(out, (size_t)snprintf(out, 16, "row%06d", i));
}

static bh_view value_of(uint8_t out[200], int i)
{
	for (int at = 0; at < 200; at++)
		out[at] = (uint8_t)((unsigned)(i * 31 + at * at * 7 + (at * i) / 3));
	return bh_view_of(out, 200);
}

void damage_value(uint8_t out[200], int i)
{
	(void)value_of(out, i);
}

static void fill(bh_db *db, const char *merchant)
{
	bh_cf *cf = test_cf(db, merchant, "events");
	uint8_t value[200];
	char key[16];

	for (int part = 0; part < DAMAGE_SSTS; part++) {
		for (int i = part; i < DAMAGE_ROWS; i += DAMAGE_SSTS)
			test_ok(bh_put(cf, NULL, key_of(key, i), value_of(value, i)));
		test_ok(bh_flush(cf));
	}
	bh_cf_close(cf);
}

static void say(void *arg, const char *line)
{
	(void)arg;
	if (getenv("BH_TEST_LOG") != NULL)
		fprintf(stderr, "   log: %s\n", line);
}

bh_status damage_try_open(const workspace *ws, const rocksdb_options_t *rocksdb, bh_db **out)
{
	return bh_db_open(ws->db, &(bh_db_options){ .rocksdb = rocksdb, .log = say }, out);
}

bh_db *damage_open(const workspace *ws, const rocksdb_options_t *rocksdb)
{
	bh_db *db = NULL;

	test_ok(damage_try_open(ws, rocksdb, &db));
	return db;
}

void damage_make(const workspace *ws, const rocksdb_options_t *rocksdb)
{
	bh_db *db;

	test_db_create(ws, rocksdb);
	db = test_db_open(ws, rocksdb);
	test_merchant_add(ws, db, "a", "events", NULL);
	test_merchant_add(ws, db, "b", "events", NULL);
	fill(db, "a");
	fill(db, "b");
	bh_db_close(db);
}

void damage_make_child(void *arg)
{
	damage_make(arg, NULL);
}

void damage_expect_all(bh_db *db, const char *merchant)
{
	bh_cf *cf = test_cf(db, merchant, "events");
	bh_buf value = { 0 };
	uint8_t want[200];
	char key[16];

	for (int i = 0; i < DAMAGE_ROWS; i++) {
		test_ok(bh_get(cf, NULL, key_of(key, i), &value));
		test_check(value.len == 200 && memcmp(value.data, value_of(want, i).data, 200) == 0);
	}
	bh_buf_clear(&value);
	bh_cf_close(cf);
}

void damage_file(const workspace *ws, const char *where, size_t skip, char out[PATH_SIZE])
{
	char dir[PATH_SIZE];

	snprintf(dir, sizeof(dir), "%.300s/%s%s/events", ws->db, where, strcmp(where, "parked") == 0 ? "/a/tenants/a" : "/a");
	test_check(file_find(dir, ".sst", skip, out));
}

/* ---- quarantine */

bool damage_is_quarantined(bh_db *db, const char *merchant)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	test_ok(bh_keyring_merchant(db->keyring, merchant, &info));
	return info.state == BH_MERCHANT_SUSPENDED && info.cause == BH_SUSPEND_DAMAGED;
}

void damage_wait_quarantined(bh_db *db, const char *file)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	const char *slash = strrchr(file, '/');

	for (int waited_ms = 0; waited_ms < 20000 && !damage_is_quarantined(db, "a"); waited_ms += 5)
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	test_check(damage_is_quarantined(db, "a"));
	test_ok(bh_keyring_merchant(db->keyring, "a", &info));
	if (strstr(info.note, slash != NULL ? slash + 1 : file) == NULL)
		test_fail_at(__FILE__, __LINE__, "the note does not name %s: %s", file, info.note);
}

/* ---- B */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void one_turn(neighbour *n, bh_cf *cf, int i)
{
	const bh_write_options synced = { .sync = true };
	uint64_t began = now_ms();
	bh_buf value = { 0 };
	uint8_t bytes[200];
	bh_status status;
	char key[16];

	status = bh_put(cf, &synced, key_of(key, i % DAMAGE_ROWS), value_of(bytes, i % DAMAGE_ROWS));
	if (status == BH_OK)
		status = bh_get(cf, NULL, key_of(key, (i * 7) % DAMAGE_ROWS), &value);
	n->calls++;
	if (status != BH_OK && n->failures++ == 0)
		snprintf(n->what, sizeof(n->what), "%s", bh_status_message());
	n->slowest_ms = BH_MAX(n->slowest_ms, now_ms() - began);
	bh_buf_clear(&value);
}

static void *neighbour_main(void *arg)
{
	neighbour *n = arg;
	bh_cf *cf = test_cf(n->db, "b", "events");

	for (int i = 0; !atomic_load(&n->stop); i++) {
		one_turn(n, cf, i);
		if (i % 50 == 49 && bh_flush(cf) != BH_OK && n->failures++ == 0)
			snprintf(n->what, sizeof(n->what), "%s", bh_status_message());
	}
	bh_cf_close(cf);
	return NULL;
}

void neighbour_begin(neighbour *n, bh_db *db)
{
	*n = (neighbour){ .db = db };
	test_check(pthread_create(&n->thread, NULL, neighbour_main, n) == 0);
}

void neighbour_end(neighbour *n)
{
	bh_db_report *report = NULL;

	atomic_store(&n->stop, true);
	pthread_join(n->thread, NULL);
	if (n->failures > 0)
		test_fail_at(__FILE__, __LINE__, "B: %llu of %llu calls failed: %s", (unsigned long long)n->failures,
			     (unsigned long long)n->calls, n->what);
	test_check(n->calls > 0);
	if (n->slowest_ms > 3000)
		test_fail_at(__FILE__, __LINE__, "B waited %llu ms", (unsigned long long)n->slowest_ms);
	test_ok(bh_db_status(n->db, &report));
	test_check(report->background_errors == 0);
	bh_db_report_free(report);
	damage_expect_all(n->db, "b");
}
