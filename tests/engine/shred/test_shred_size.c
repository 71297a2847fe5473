/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shred_size.c: a shred costs the same whatever the size of the data: of each file one header is read, nothing is overwritten.
 * Merchants of a thousandth of the size and of all of it are shredded side by side, and one whose files are a gigabyte each, as far
 * as anybody can see who does not read them.
 *
 * What is asked is counted by the kernel (/proc/self/io: bytes and calls of this process), so no busy machine can spoil it. Times
 * are shown, and the promised two seconds to unreadable are asked. BH_SHRED_BYTES=10G for more; the default is 256M.
 */
#include "tests/support/harness.h"

#include <jansson.h>
#include <time.h>
#include <unistd.h>

#include "env/format/header.h"

enum {
	FILES = 160,         /* about, at any size */
	READS_EACH = 2,      /* headers of a file: before the first file goes, and before the last */
	BYTES_AROUND = 1024, /* for each file: its salt in two certificates, entries of directories, lines in the LOG */
	BYTES_ONCE = 1 << 20,
};

typedef struct cost {
	uint64_t files, data;   /* of the merchant: number, bytes */
	uint64_t read, written; /* bytes */
	uint64_t reads, writes; /* calls */
	double unreadable_s, finished_s;
} cost;

/* ---- what this process reads and writes */

static uint64_t io_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	test_check(at != NULL);
	return strtoull(at + strlen(name), NULL, 10);
}

/* Adds it, times `sign`. */
static void add_io(cost *c, int sign)
{
	bh_buf text = file_read("/proc/self/io");

	test_ok(bh_buf_append_u8(&text, 0));
	c->read += (uint64_t)sign * io_of((const char *)text.data, "rchar: ");
	c->written += (uint64_t)sign * io_of((const char *)text.data, "wchar: ");
	c->reads += (uint64_t)sign * io_of((const char *)text.data, "syscr: ");
	c->writes += (uint64_t)sign * io_of((const char *)text.data, "syscw: ");
	bh_buf_clear(&text);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- data */

static uint64_t asked_bytes(void)
{
	const char *text = getenv("BH_SHRED_BYTES");
	char *end = NULL;
	uint64_t n = text != NULL ? strtoull(text, &end, 10) : 256 << 20;

	if (text != NULL && *end == 'G')
		n <<= 30;
	else if (text != NULL && *end == 'M')
		n <<= 20;
	return n;
}

static rocksdb_options_t *options_for(uint64_t bytes)
{
	rocksdb_options_t *options = rocksdb_options_create(); /* no compression */

	rocksdb_options_set_write_buffer_size(options, BH_MAX(bytes / FILES, (uint64_t)1 << 20));
	rocksdb_options_set_target_file_size_base(options, BH_MAX(bytes / FILES, (uint64_t)1 << 20));
	return options;
}

static bh_cf *add_merchant(const workspace *ws, bh_db *db, const char *name)
{
	test_merchant_add(ws, db, name, "events", NULL);
	return test_cf(db, name, "events");
}

/* In order, so that compactions only move files. */
static void fill(const workspace *ws, bh_db *db, const char *name, uint64_t bytes)
{
	static uint8_t value[256 << 10];
	const bh_write_options no_wal = { .no_wal = true };
	bh_cf *cf = add_merchant(ws, db, name);
	uint32_t word = 1;

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t)((word = word * 1664525 + 1013904223) >> 24);
	for (uint64_t at = 0; at < bytes; at += sizeof(value)) {
		char key[24];

		snprintf(key, sizeof(key), "%016llx", (unsigned long long)at);
		test_ok(bh_put(cf, &no_wal, bh_view_str(key), bh_view_of(value, sizeof(value))));
	}
	test_ok(bh_flush(cf));
	bh_cf_close(cf);
}

static void class_dir(const workspace *ws, const char *name, char out[PATH_SIZE])
{
	char tail[64];

	snprintf(tail, sizeof(tail), "tenants/%s/events", name);
	path_join(out, ws->db, tail);
}

/* Files as RocksDB would make them, but for their content, which a shred does not look at: each a gigabyte that is not there. */
static void fill_with_holes(const workspace *ws, bh_db *db, const char *name)
{
	char dir[PATH_SIZE], copy[PATH_SIZE], file[32];
	bh_cf *cf = add_merchant(ws, db, name);
	bh_buf bytes;

	test_put(cf, "k", "v");
	test_ok(bh_flush(cf));
	bh_cf_close(cf);
	class_dir(ws, name, dir);
	test_check(file_find(dir, ".sst", 0, copy));
	bytes = file_read(copy);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(file, sizeof(file), "9%05u.sst", i);
		path_join(copy, dir, file);
		file_write(copy, bh_buf_view(&bytes));
		test_check(truncate(copy, (off_t)1 << 30) == 0);
	}
	bh_buf_clear(&bytes);
}

/* ---- shred */

static void count_file(void *arg, const char *path)
{
	FILE *file = fopen(path, "r");
	cost *c = arg;

	test_check(file != NULL && fseek(file, 0, SEEK_END) == 0);
	c->files++;
	c->data += (uint64_t)ftell(file);
	fclose(file);
}

static double seconds_of(const bh_buf *certificate, const char *which)
{
	json_t *json = json_loadb((const char *)certificate->data, certificate->len, 0, NULL);
	const char *text = json_string_value(json_object_get(json_object_get(json, "times"), which)), *rest;
	struct tm tm = { 0 };

	test_check(text != NULL);
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	test_check(rest != NULL);
	double seconds = (double)timegm(&tm) + strtod(rest, NULL);
	json_decref(json);
	return seconds;
}

static cost shred(const workspace *ws, bh_db *db, const char *name)
{
	char dir[PATH_SIZE];
	bh_buf text = { 0 };
	cost c = { 0 };
	double called;

	class_dir(ws, name, dir);
	tree_walk(dir, count_file, &c);
	called = now_s();
	add_io(&c, -1);
	test_ok(bh_merchant_shred(db, name, &text));
	add_io(&c, 1);
	c.finished_s = now_s() - called;
	c.unreadable_s = seconds_of(&text, "unreadable") - called;
	bh_buf_clear(&text);
	test_check(!file_exists(dir));
	printf("%8.1f MiB in %3llu files: unreadable after %4.0f ms, finished after %4.0f ms; %llu bytes read in %llu calls, %llu "
	       "written in %llu\n",
	       (double)c.data / (1 << 20), (unsigned long long)c.files, 1e3 * c.unreadable_s, 1e3 * c.finished_s,
	       (unsigned long long)c.read, (unsigned long long)c.reads, (unsigned long long)c.written,
	       (unsigned long long)c.writes);
	return c;
}

/* By the number of files alone. */
static void costs_as_little(const cost *large, const cost *small)
{
	uint64_t more_files = large->files - small->files;

	test_check(large->data > 100 * small->data && large->files > small->files);
	test_check(large->unreadable_s < 2.0 && small->unreadable_s < 2.0);
	test_check(large->read <= small->read + more_files * (READS_EACH * BH_HEADER_LEN + BYTES_AROUND) + BYTES_ONCE);
	test_check(large->written <= small->written + more_files * BYTES_AROUND + BYTES_ONCE);
	test_check(large->reads <= small->reads + more_files * (READS_EACH + 1) + 64);
}

static void shred_all_sizes(void *arg)
{
	const workspace *ws = arg;
	uint64_t bytes = asked_bytes();
	rocksdb_options_t *options = options_for(bytes);
	bh_db *db;

	test_db_create(ws, options);
	db = test_db_open(ws, options);
	fill(ws, db, "small", bytes / 1024);
	fill(ws, db, "large", bytes);
	fill_with_holes(ws, db, "holes");
	cost small = shred(ws, db, "small"), large = shred(ws, db, "large"), holes = shred(ws, db, "holes");
	costs_as_little(&large, &small);
	costs_as_little(&holes, &small);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void much_data_costs_no_more_than_little(void **state)
{
	test_child_ok(shred_all_sizes, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(much_data_costs_no_more_than_little, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests_name("shred_size", tests, NULL, NULL);
}
