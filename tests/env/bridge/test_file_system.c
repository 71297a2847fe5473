/* SPDX-License-Identifier: Apache-2.0
 *
 * test_file_system.c: the FileSystem call by call, below the databases that use it: nothing but regular files is opened, each kind
 * of file stays of its kind, appends of nothing change nothing, and what cannot work is refused by name.
 */
#include "fs_stage.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "env/format/header.h"
#include "env/spans/logfmt.h"

/* ---- appends of nothing */

static void follow_steps(const stage *s, const file_kind *k, const char *steps, size_t appends)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };

	kind_content(k, &bytes);
	test_ok(fs_write(s->env, at(s, k->name), bh_buf_view(&bytes), steps, false));
	test_ok(fs_read(s->env, at(s, k->name), &got));
	test_check(got.len == appends * bytes.len && (appends == 0 || memcmp(got.data, bytes.data, bytes.len) == 0));
	test_ok(fs_remove(s->env, at(s, k->name)));
}

static void nothing_can_be_appended(stage *s)
{
	for (size_t i = 0; i < KIND_COUNT; i++) {
		follow_steps(s, &kinds[i], "0", 0);
		follow_steps(s, &kinds[i], "0s0f0", 0);
		follow_steps(s, &kinds[i], "a0", 1);
		follow_steps(s, &kinds[i], "as0", 1);
		follow_steps(s, &kinds[i], "0a0fs0s0", 1);
		if (!kinds[i].paged)
			follow_steps(s, &kinds[i], "as0as0", 2);
		make_file(s, &kinds[i], at(s, kinds[i].name));
		if (strstr(kinds[i].name, ".blob") != NULL) /* see test_blob_db_is_refused() */
			continue;
		test_ok(fs_cut(s->env, at(s, kinds[i].name), kinds[i].size));
		expect_file(s, &kinds[i], at(s, kinds[i].name));
		test_status(fs_cut(s->env, at(s, kinds[i].name), 1), BH_E_UNSUPPORTED);
	}
}
FOR_EACH_ENV(nothing_can_be_appended)

/* ---- checksums that RocksDB hands over */

/* One bit of what is written is not as it was when its checksum was made; then none. */
static void checksums_are_looked_at(stage *s)
{
	for (size_t i = 0; i < KIND_COUNT; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf claimed = { 0 };
		BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

		kind_content(&kinds[i], &claimed);
		kind_content(&kinds[i], &bytes);
		for (size_t at_byte = 0; at_byte < bytes.len; at_byte += 1 + bytes.len / 20) {
			bytes.data[at_byte] ^= 4;
			test_status(fs_write_checked(s->env, at(s, kinds[i].name), bh_buf_view(&bytes), bh_buf_view(&claimed)),
				    BH_E_FORMAT);
			test_message_names(kinds[i].name);
			bytes.data[at_byte] ^= 4;
		}
		test_status(
			fs_write_checked(s->env, at(s, kinds[i].name), bh_buf_view(&bytes), bh_view_of(bytes.data, bytes.len - 1)),
			BH_E_FORMAT);
		test_ok(fs_write_checked(s->env, at(s, kinds[i].name), bh_buf_view(&bytes), bh_buf_view(&claimed)));
		expect_file(s, &kinds[i], at(s, kinds[i].name));
	}
}
FOR_EACH_ENV(checksums_are_looked_at)

/* A log's records have checksums of their own, which end when they are sealed. */
static void records_are_looked_at(stage *s)
{
	for (size_t i = KIND_WAL; i <= KIND_MANIFEST; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

		kind_content(&kinds[i], &bytes);
		for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
			bh_status status;

			bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			status = fs_write(s->env, at(s, kinds[i].name), bh_buf_view(&bytes), "as", false);
			/* Another type or length may mean something else, or that more is to come. */
			if (bit / 8 < BH_LOG_CRC || bit / 8 >= BH_LOG_HEADER)
				test_status(status, BH_E_FORMAT);
			bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		make_file(s, &kinds[i], at(s, kinds[i].name));
		expect_file(s, &kinds[i], at(s, kinds[i].name));
	}
}
FOR_EACH_ENV(records_are_looked_at)

/* RocksDB's first BlobDB opens blob files to write on. */
static void blob_db_is_refused(stage *s)
{
	test_status(fs_cut(s->env, at(s, "000001.blob"), 0), BH_E_UNSUPPORTED);
	test_message_names("utilities/blob_db");
	test_message_names("enable_blob_files");
	test_check(!file_exists(at(s, "000001.blob")));
	make_file(s, &kinds[KIND_BLOB], at(s, kinds[KIND_BLOB].name));
	test_status(fs_cut(s->env, at(s, kinds[KIND_BLOB].name), 3000), BH_E_UNSUPPORTED);
	test_message_names("utilities/blob_db");
	expect_file(s, &kinds[KIND_BLOB], at(s, kinds[KIND_BLOB].name));
}
FOR_EACH_ENV(blob_db_is_refused)

/* ---- memory maps */

static void maps_are_refused_by_name(stage *s)
{
	BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };

	for (size_t i = 0; i < KIND_COUNT; i++) {
		test_status(fs_write(s->env, at(s, kinds[i].name), bh_view_str("x"), "as", true), BH_E_UNSUPPORTED);
		test_message_names("allow_mmap_writes");
		test_message_names(kinds[i].name);
		test_check(!file_exists(at(s, kinds[i].name)));
		make_file(s, &kinds[i], at(s, kinds[i].name));
		test_status(fs_read_random(s->env, at(s, kinds[i].name), true, &got), BH_E_UNSUPPORTED);
		test_message_names("allow_mmap_reads");
		test_message_names(kinds[i].name);
		test_check(got.len == 0);
		expect_file(s, &kinds[i], at(s, kinds[i].name));
	}
}
FOR_EACH_ENV(maps_are_refused_by_name)

/* ---- one kind at another one's place */

static void kinds_do_not_pass_for_others(stage *s)
{
	for (size_t from = 0; from < KIND_COUNT; from++)
		for (size_t to = 0; to < KIND_COUNT; to++) {
			BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
			BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
			uint64_t size;
			bh_status status;

			/* The last three are of one kind, which binds no number. */
			if (from == to || (from >= KIND_OPTIONS && to >= KIND_OPTIONS))
				continue;
			make_file(s, &kinds[from], at(s, kinds[from].name));
			bytes = file_read(at(s, kinds[from].name));
			file_write(at(s, kinds[to].name), bh_buf_view(&bytes));
			status = fs_read(s->env, at(s, kinds[to].name), &got);
			test_check(status == BH_E_TAG || status == BH_E_FORMAT);
			test_message_names(kinds[to].name);
			status = fs_read_random(s->env, at(s, kinds[to].name), false, &got);
			test_check(status == BH_E_TAG || status == BH_E_FORMAT || status == BH_E_UNSUPPORTED);
			test_check(got.len == 0);
			(void)fs_size(s->env, at(s, kinds[to].name), &size); /* ends */
			expect_file(s, &kinds[from], at(s, kinds[from].name));
			test_check(unlink(at(s, kinds[to].name)) == 0);
		}
}
FOR_EACH_ENV(kinds_do_not_pass_for_others)

/* ---- what is no regular file */

static void put_pipe(const stage *s, const char *path)
{
	(void)s;
	test_check(mkfifo(path, 0600) == 0);
}

static void put_directory(const stage *s, const char *path)
{
	(void)s;
	test_check(mkdir(path, 0700) == 0);
}

static void put_socket(const stage *s, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), dir = open(s->dir, O_PATH | O_DIRECTORY);

	/* Its own path may be too long for an address. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir, strrchr(path, '/') + 1);
	test_check(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	close(fd);
	close(dir);
}

static void put_link(const stage *s, const char *path)
{
	test_check(symlink(at(s, "aside"), path) == 0);
}

static void put_dead_link(const stage *s, const char *path)
{
	test_check(symlink(at(s, "nowhere"), path) == 0);
}

static void check_irregular(const stage *s, const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
	uint64_t size;

	test_status(fs_read(s->env, path, &got), BH_E_FORMAT);
	test_message_names(strrchr(path, '/') + 1);
	test_status(fs_read_random(s->env, path, false, &got), BH_E_FORMAT);
	test_status(fs_size(s->env, path, &size), BH_E_FORMAT);
	test_status(fs_write(s->env, path, bh_view_str("x"), "as", false), BH_E_FORMAT);
	test_status(fs_cut(s->env, path, 0), BH_E_FORMAT);
	test_status(fs_lock(s->env, path), BH_E_FORMAT);
	test_status(fs_logger(s->env, path), BH_E_FORMAT);
	test_check(!file_exists(at(s, "nowhere")));
}

static void nothing_but_files_is_opened(stage *s)
{
	static const char *const more[] = { "CURRENT", "IDENTITY", "LOG", "LOCK", "LOG.old.123" };
	void (*const puts[])(const stage *s, const char *path) = { put_pipe, put_directory, put_socket, put_link, put_dead_link };
	const size_t names = KIND_COUNT + sizeof(more) / sizeof(more[0]);

	make_file(s, &kinds[KIND_SST], at(s, "aside.sst"));
	test_check(rename(at(s, "aside.sst"), at(s, "aside")) == 0);
	for (size_t p = 0; p < sizeof(puts) / sizeof(puts[0]); p++)
		for (size_t i = 0; i < names; i++) {
			const char *name = i < KIND_COUNT ? kinds[i].name : more[i - KIND_COUNT];
			char path[PATH_SIZE];

			path_join(path, s->dir, name);
			puts[p](s, path);
			check_irregular(s, path);
			test_check(remove(path) == 0);
		}
}
FOR_EACH_ENV(nothing_but_files_is_opened)

/* A link in the place of a directory of the database would lead past parking and removing. */
static void linked_directories(void *ws_of)
{
	const workspace *ws = ws_of;
	stage s = stage_open_own(ws, NULL);
	BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
	char class_dir[PATH_SIZE], away[PATH_SIZE], link_to_db[PATH_SIZE];

	make_file(&s, &kinds[KIND_SST], at(&s, kinds[KIND_SST].name));
	path_join(class_dir, ws->db, "tenants/ann/data");
	path_join(away, ws->root, "away");
	test_check(rename(class_dir, away) == 0 && symlink(away, class_dir) == 0);
	test_status(fs_read(s.env, at(&s, kinds[KIND_SST].name), &got), BH_E_FORMAT);
	test_message_names("is a symbolic link");
	test_status(fs_write(s.env, at(&s, "000999.sst"), bh_view_str("x"), "as", false), BH_E_FORMAT);
	test_check(unlink(class_dir) == 0 && rename(away, class_dir) == 0);
	expect_file(&s, &kinds[KIND_SST], at(&s, kinds[KIND_SST].name));
	/* One that leads to the database is a spelling of its path. */
	path_join(link_to_db, ws->root, "link");
	test_check(symlink(ws->db, link_to_db) == 0);
	path_join(s.dir, link_to_db, "tenants/ann/data");
	expect_file(&s, &kinds[KIND_SST], at(&s, kinds[KIND_SST].name));
	stage_close(&s);
}

static void test_linked_directories(void **state)
{
	test_child_ok(linked_directories, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_can_be_appended),
		cmocka_unit_test(test_checksums_are_looked_at),
		cmocka_unit_test(test_records_are_looked_at),
		cmocka_unit_test(test_blob_db_is_refused),
		cmocka_unit_test(test_maps_are_refused_by_name),
		cmocka_unit_test(test_kinds_do_not_pass_for_others),
		cmocka_unit_test(test_nothing_but_files_is_opened),
		cmocka_unit_test_setup_teardown(test_linked_directories, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
