/* SPDX-License-Identifier: Apache-2.0
 *
 * test_file_names.c: every spelling of a path means the same file, a file's kind follows its name through renames, and what RocksDB
 * builds out of these (slow deletion, backups, checkpoints, exports) works.
 */
#include "fs_stage.h"

#include <sys/stat.h>
#include <unistd.h>

#include "env/format/header.h"
#include "env/spans/logfmt.h"

/* ---- spellings */

/* Of what is called "new" in a directory that has a "sub". */
static const char *const spellings[] = {
	"new", "/new", "./new", "sub/../new", "sub/.././/new", "new/", "new///", "./new/.", "sub/../new/",
};
#define SPELLING_COUNT (sizeof(spellings) / sizeof(spellings[0]))

/* Makes, finds, lists and removes the directory in every spelling, and nothing else. */
static void directories_are_meant_as_spelled(stage *s)
{
	size_t count = 0;

	test_ok(fs_make_dir(s->env, at(s, "sub")));
	for (size_t i = 0; i < SPELLING_COUNT; i++) {
		char path[PATH_SIZE];
		bool is_dir = false;

		path_join(path, s->dir, spellings[i]);
		test_status(fs_exists(s->env, path), BH_E_NOT_FOUND);
		test_check(fs_remove_dir(s->env, path) != BH_OK);
		test_check(fs_list(s->env, path, &count) != BH_OK);
		test_check(fs_sync_dir(s->env, path) != BH_OK);
		if (strstr(path, "new/.") != NULL) /* nobody can make that */
			test_ok(fs_make_dir(s->env, at(s, "new")));
		test_ok(fs_make_dir_if_missing(s->env, path));
		test_check(file_exists(at(s, "new")) && file_exists(s->dir));
		test_ok(fs_make_dir_if_missing(s->env, path));
		test_check(fs_make_dir(s->env, path) != BH_OK);
		test_ok(fs_exists(s->env, path));
		test_ok(fs_is_dir(s->env, path, &is_dir));
		test_check(is_dir);
		test_ok(fs_list(s->env, path, &count));
		test_check(count == 0);
		test_ok(fs_sync_dir(s->env, path));
		test_ok(fs_remove_dir(s->env, at(s, "new")));
		test_ok(fs_list(s->env, s->dir, &count));
		test_check(count == 1); /* sub */
	}
}
FOR_EACH_ENV(directories_are_meant_as_spelled)

static void expect_sealed_for_ann(const stage *s, const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	bh_header header;
	uint64_t size;

	expect_file(s, &kinds[KIND_SST], path);
	expect_file(s, &kinds[KIND_SST], at(s, "new.sst")); /* as it would be refused if it was sealed for somebody else */
	test_ok(fs_size(s->env, path, &size));
	bytes = file_read(at(s, "new.sst"));
	test_ok(bh_header_parse(bh_buf_view(&bytes), &header));
}

/* A file has the owner that its place has, in every spelling; with a slash behind it there is none. */
static void files_are_meant_as_spelled(stage *s)
{
	test_ok(fs_make_dir(s->env, at(s, "sub")));
	for (size_t i = 0; i < 5; i++) {
		char name[32], path[PATH_SIZE], slashed[PATH_SIZE + 1];

		snprintf(name, sizeof(name), "%s.sst", spellings[i]);
		path_join(path, s->dir, name);
		make_file(s, &kinds[KIND_SST], path);
		expect_sealed_for_ann(s, path);
		snprintf(slashed, sizeof(slashed), "%s/", path);
		test_check(fs_exists(s->env, slashed) != BH_OK);
		test_ok(fs_link(s->env, path, at(s, "sub/../link.sst")));
		test_ok(fs_rename(s->env, at(s, "./link.sst"), at(s, "sub//other.sst")));
		expect_file(s, &kinds[KIND_SST], at(s, "sub/other.sst"));
		test_ok(fs_remove(s->env, at(s, "sub/./other.sst")));
		test_ok(fs_remove(s->env, path));
	}
}
FOR_EACH_ENV(files_are_meant_as_spelled)

/* The database's own path may be spelled otherwise than the paths in it. */
static void spelled_databases(void *ws_of)
{
	static const char *const spelled[] = { "/db/", "/./db", "//db", "/db/tenants/..", "/link", "db", "./db", "link/." };
	const workspace *ws = ws_of;
	char link_path[PATH_SIZE];

	stage_make_database(ws);
	path_join(link_path, ws->root, "link");
	test_check(symlink("db", link_path) == 0 && chdir(ws->root) == 0);
	for (size_t i = 0; i < sizeof(spelled) / sizeof(spelled[0]); i++) {
		stage s = { .ws = ws };
		char path[PATH_SIZE];

		snprintf(path, sizeof(path), "%s%s", spelled[i][0] == '/' ? ws->root : "", spelled[i]);
		test_ok(bh_env_create(path, NULL, &s.env));
		for (size_t k = 0; k < sizeof(spelled) / sizeof(spelled[0]); k++) {
			snprintf(path, sizeof(path), "%s%s", spelled[k][0] == '/' ? ws->root : "", spelled[k]);
			path_join(s.dir, path, "tenants/ann/data");
			make_file(&s, &kinds[KIND_BLOB], at(&s, kinds[KIND_BLOB].name));
			path_join(s.dir, ws->db, "tenants/ann/data");
			expect_file(&s, &kinds[KIND_BLOB], at(&s, kinds[KIND_BLOB].name));
			/* Bob's it is in no spelling. */
			test_status(fs_rename(s.env, at(&s, kinds[KIND_BLOB].name), at(&s, "../../bob/data/000902.blob")),
				    BH_E_INVALID);
			test_ok(fs_remove(s.env, at(&s, kinds[KIND_BLOB].name)));
		}
		stage_close(&s);
	}
}

static void test_spelled_databases(void **state)
{
	test_child_ok(spelled_databases, *state);
}

/* ---- odd names */

static void odd_names_are_names(stage *s)
{
	char longest[256], too_long[PATH_SIZE];

	memset(longest, 'n', sizeof(longest));
	memcpy(longest + 251, ".sst", 5);
	const char *const names[] = { "\xff\xfe\x80.sst", "a b\t\n.sst", "\x01.sst", "-.sst", "...sst", "%s%n.sst", longest };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };

		test_status(fs_read(s->env, at(s, names[i]), &got), BH_E_NOT_FOUND);
		make_file(s, &kinds[KIND_SST], at(s, names[i]));
		expect_file(s, &kinds[KIND_SST], at(s, names[i]));
		file_write(at(s, names[i]), bh_view_str("damaged"));
		test_status(fs_read(s->env, at(s, names[i]), &got), BH_E_TRUNCATED);
		test_ok(fs_remove(s->env, at(s, names[i])));
	}
	/* A component, then a path, that no file system has. */
	path_join(too_long, at(s, "n"), longest);
	too_long[strlen(s->dir) + 2] = 'n'; /* no slash */
	test_check(fs_write(s->env, too_long, bh_view_str("x"), "as", false) != BH_OK);
	test_check(fs_exists(s->env, too_long) != BH_OK);
	test_check(fs_exists(s->env, "") != BH_OK);
	BH_CLEANUP(bh_buf_clear) bh_buf deep = { 0 };
	test_ok(bh_buf_printf(&deep, "%s", s->dir));
	for (int i = 0; i < 5000; i++)
		test_ok(bh_buf_printf(&deep, "/d"));
	test_check(fs_write(s->env, (const char *)deep.data, bh_view_str("x"), "as", false) != BH_OK);
	test_check(fs_make_dir_if_missing(s->env, (const char *)deep.data) != BH_OK);
}
FOR_EACH_ENV(odd_names_are_names)

/* ---- renaming */

static void files_keep_their_kind(stage *s)
{
	static const struct {
		const char *from, *to;
		unsigned kind; /* of the content */
		bool works;
	} cases[] = {
		{ "000012.sst.tmp", "000012.sst", KIND_SST, true },
		{ ".000012.sst.tmp", "000012_s1_2.sst", KIND_SST, true },
		{ "000012.sst", "000013.sst", KIND_SST, true },
		{ "000012.ldb.tmp", "000012.sst", KIND_SST, true },
		{ "000902.blob.tmp", "000902.blob", KIND_BLOB, true },
		{ ".000902_5_7.blob.tmp", "000902_5_7.blob", KIND_BLOB, true },
		{ "000902.blob", "000903.blob", KIND_BLOB, false }, /* the number is sealed */
		{ "000903.log.tmp", "000903.log", KIND_WAL, true },
		{ "000903.log", "000904.log", KIND_WAL, false },
		{ "MANIFEST-000904.tmp", "MANIFEST-000904", KIND_MANIFEST, true },
		{ "000905.dbtmp", "CURRENT", KIND_DBTMP, true },
		{ "OPTIONS-000005.dbtmp", "OPTIONS-000007", KIND_OPTIONS, true },
		{ "file.tmp", "000012.sst", KIND_OTHER, false },
		{ "file.tmp", "000902.blob", KIND_OTHER, false },
		{ "file.tmp", "000903.log", KIND_OTHER, false },
		{ "file.tmp", "file", KIND_OTHER, true },
		{ "file", "LOG", KIND_OTHER, false },
		{ "000012.sst", "file", KIND_SST, false },
		{ "000012.sst", "000012.blob", KIND_SST, false },
		{ "000012.sst", "000012.sst.trash", KIND_SST, true },
		{ "000902.blob", "000902.blob.trash", KIND_BLOB, true },
		{ "000902.blob", "000902.blob0.trash", KIND_BLOB, true },
		{ "000903.log", "000903.log17.trash", KIND_WAL, true },
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const char *from = at(s, cases[i / 2].from), *to = at(s, cases[i / 2].to);
		const file_kind *k = &kinds[cases[i / 2].kind];
		/* A small file is sealed anew for its other name; of a link, the one file would have two. */
		bool links = i % 2 == 1, works = cases[i / 2].works && !(links && strstr(from, ".dbtmp") != NULL);

		make_file(s, k, from);
		test_status(links ? fs_link(s->env, from, to) : fs_rename(s->env, from, to), works ? BH_OK : BH_E_INVALID);
		if (strstr(to, ".trash") == NULL || !works)
			expect_file(s, k, works ? to : from);
		test_check(links || !works || !file_exists(from));
		(void)unlink(from);
		(void)unlink(to);
	}
}
FOR_EACH_ENV(files_keep_their_kind)

/* Whoever writes the disk puts each in the place of each, and an older one of the same name's beginning. */
static void small_files_are_bound_to_their_names(stage *s)
{
	static const char *const names[] = { "CURRENT",       "IDENTITY",     "OPTIONS-000005",       "OPTIONS-000007",
					     "000000.dbtmp",  "000009.dbtmp", "OPTIONS-000005.dbtmp", "INVENTORY",
					     "anything else", "current" };
	const size_t count = sizeof(names) / sizeof(names[0]);

	for (size_t i = 0; i < count; i++)
		make_file(s, &kinds[KIND_OTHER], at(s, names[i]));
	for (size_t i = 0; i < count * count; i++) {
		const char *from = at(s, names[i / count]), *to = at(s, names[i % count]);
		BH_CLEANUP(bh_buf_clear) bh_buf bytes = file_read(from);
		BH_CLEANUP(bh_buf_clear) bh_buf before = file_read(to);
		BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };

		if (from == to || strcmp(names[i / count], names[i % count]) == 0)
			continue;
		file_write(to, bh_buf_view(&bytes));
		test_status(fs_read(s->env, to, &got), BH_E_TAG);
		test_message_names(names[i % count]);
		test_check(got.len == 0);
		test_status(fs_read_random(s->env, to, false, &got), BH_E_TAG);
		test_status(fs_rename(s->env, to, at(s, "taken.dbtmp")), BH_E_TAG); /* nor does it get another name */
		test_check(!file_exists(at(s, "taken.dbtmp")) && !file_exists(at(s, "taken.dbtmp.bhtmp")));
		file_write(to, bh_buf_view(&before));
		expect_file(s, &kinds[KIND_OTHER], to);
	}
}
FOR_EACH_ENV(small_files_are_bound_to_their_names)

/* ---- trash */

static void trash_is_cut_and_removed(stage *s)
{
	for (size_t i = 0; i < 3; i++) {
		char trash[PATH_SIZE];
		uint64_t size = 0;

		snprintf(trash, sizeof(trash), "%s.trash", at(s, kinds[i].name));
		make_file(s, &kinds[i], at(s, kinds[i].name));
		test_ok(fs_rename(s->env, at(s, kinds[i].name), trash));
		test_ok(fs_size(s->env, trash, &size));
		test_check(size > 0);
		for (uint64_t left = size; left > 0; left -= BH_MIN(left, (uint64_t)700)) {
			test_ok(fs_cut(s->env, trash, left));
			test_ok(fs_size(s->env, trash, &size));
			test_check(size == left);
		}
		test_ok(fs_remove(s->env, trash));
	}
}
FOR_EACH_ENV(trash_is_cut_and_removed)

static void count_trash(void *arg, const char *path)
{
	*(unsigned *)arg += strstr(path, ".trash") != NULL;
}

static void slow_deletion(void *ws)
{
	stage s = stage_open_scratch(ws);
	uint64_t deleted = 0;
	unsigned left = 0;

	test_ok(fs_delete_slowly(s.env, at(&s, "whole"), 50 << 20, 0, &deleted));
	test_check(deleted > 4);
	test_ok(fs_delete_slowly(s.env, at(&s, "pieces"), 50 << 20, 16 << 10, &deleted));
	test_check(deleted > 4);
	tree_walk(s.dir, count_trash, &left);
	test_check(left == 0);
	stage_close(&s);
}

static void test_slow_deletion_ends(void **state)
{
	test_child_ok(slow_deletion, *state);
}

/* What was left of it when the process ended is removed by the next open, also of a class. */
static void trash_of_before(void *ws_of)
{
	static const char *const places[] = { "", "tenants/ann/data", "tenants/bob/data" };
	const workspace *ws = ws_of;
	unsigned left = 0;

	stage_make_database(ws);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char dir[PATH_SIZE], path[PATH_SIZE];

		path_join(dir, ws->db, places[i]);
		path_join(path, dir, "000099.sst.trash");
		file_write(path, bh_view_str("a piece"));
		path_join(path, dir, "000098.blob3.trash");
		file_write(path, bh_view_str(""));
	}
	bh_db_close(test_db_open(ws, NULL));
	tree_walk(ws->db, count_trash, &left);
	test_check(left == 0);
}

static void test_trash_of_before(void **state)
{
	test_child_ok(trash_of_before, *state);
}

/* ---- copies, and what RocksDB makes of files */

static void copies_are_files(stage *s)
{
	for (size_t i = 0; i < KIND_COUNT; i++) {
		char tmp[PATH_SIZE];

		snprintf(tmp, sizeof(tmp), "%s.tmp", at(s, kinds[i].name));
		make_file(s, &kinds[i], at(s, kinds[i].name));
		/* Truncation, as RocksDB's own tests do it: a part is copied, and put in the place of the whole. */
		test_ok(fs_copy(s->env, at(s, kinds[i].name), tmp, kinds[i].log ? 0 : 100));
		test_ok(fs_rename(s->env, tmp, at(s, kinds[i].name)));
		BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
		test_ok(fs_read(s->env, at(s, kinds[i].name), &got));
		test_check(got.len == (kinds[i].log ? kinds[i].size : 100u));
	}
}
FOR_EACH_ENV(copies_are_files)

/* Through the file system below, sealed files are no files of RocksDB's, and plain ones none of ours. */
static void other_file_systems_say_no(stage *s)
{
	rocksdb_env_t *plain = rocksdb_create_default_env();

	for (size_t i = 0; i < KIND_COUNT; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
		uint64_t size;

		make_file(s, &kinds[i], at(s, kinds[i].name));
		test_ok(fs_read(plain, at(s, kinds[i].name), &got));
		test_check(got.len > BH_HEADER_LEN && memcmp(got.data, "BULKHEAD", 8) == 0);
		got.len = 0;
		test_ok(bh_buf_reserve(&got, 2 * BH_HEADER_LEN));
		memset(got.data, 'p', 2 * BH_HEADER_LEN);
		test_ok(fs_write(plain, at(s, kinds[i].name), bh_view_of(got.data, 2 * BH_HEADER_LEN), "as", false));
		test_status(fs_read(s->env, at(s, kinds[i].name), &got), BH_E_FORMAT);
		test_message_names("not read as plaintext");
		test_status(fs_size(s->env, at(s, kinds[i].name), &size), BH_E_FORMAT);
	}
	rocksdb_env_destroy(plain);
}
FOR_EACH_ENV(other_file_systems_say_no)

static void backups(void *ws)
{
	stage s = stage_open_scratch(ws);

	test_ok(fs_back_up(s.env, at(&s, "db1"), at(&s, "backup1"), at(&s, "restored1"), true));
	test_ok(fs_back_up(s.env, at(&s, "db2"), at(&s, "backup2/"), at(&s, "restored2"), true));
	test_ok(fs_back_up(s.env, at(&s, "db3"), at(&s, "backup3"), at(&s, "restored3"), false));
	test_ok(fs_checkpoint(s.env, at(&s, "db4"), at(&s, "checkpoint")));
	test_ok(fs_checkpoint(s.env, at(&s, "db5"), at(&s, "./x/../checkpoint5")));
	test_ok(fs_export_import(s.env, at(&s, "db6"), at(&s, "exported")));
	stage_close(&s);
}

static void test_backups_can_be_opened(void **state)
{
	test_child_ok(backups, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directories_are_meant_as_spelled),
		cmocka_unit_test(test_files_are_meant_as_spelled),
		cmocka_unit_test_setup_teardown(test_spelled_databases, test_workspace_make, test_workspace_drop),
		cmocka_unit_test(test_odd_names_are_names),
		cmocka_unit_test(test_files_keep_their_kind),
		cmocka_unit_test(test_small_files_are_bound_to_their_names),
		cmocka_unit_test(test_trash_is_cut_and_removed),
		cmocka_unit_test_setup_teardown(test_slow_deletion_ends, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_trash_of_before, test_workspace_make, test_workspace_drop),
		cmocka_unit_test(test_copies_are_files),
		cmocka_unit_test(test_other_file_systems_say_no),
		cmocka_unit_test_setup_teardown(test_backups_can_be_opened, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
