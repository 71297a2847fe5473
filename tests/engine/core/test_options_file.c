/* SPDX-License-Identifier: Apache-2.0
 *
 * test_options_file.c: RocksDB's OPTIONS file is not written while merchants come and go, since all writers would wait for it, but
 * when the database is closed; with fail_if_options_file_error it is written each time, and has to be. After a kill it is older
 * than the MANIFEST, and nothing follows from that.
 */
#include "tests/support/harness.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/fs/small_file.h"
#include "env/fs/fs.h"

enum { NAME_SIZE = 256, OPTIONS_MAX = 1 << 20 };

/* ---- what lies there */

static bool is_options(const char *name)
{
	return strncmp(name, "OPTIONS-", 8) == 0;
}

/* The newest, by its name; the number of them is returned. None has a temporary name. */
static size_t newest(const workspace *ws, char out[NAME_SIZE])
{
	DIR *dir = opendir(ws->db);
	struct dirent *entry;
	size_t count = 0;

	test_check(dir != NULL);
	out[0] = '\0';
	while ((entry = readdir(dir)) != NULL) {
		if (!is_options(entry->d_name) || entry->d_type == DT_DIR)
			continue;
		test_check(strstr(entry->d_name, ".dbtmp") == NULL);
		if (strcmp(entry->d_name, out) > 0)
			snprintf(out, NAME_SIZE, "%s", entry->d_name);
		count++;
	}
	closedir(dir);
	test_check(count > 0);
	return count;
}

/* What the newest says of the family, of a database that is closed. */
static bool names_family(const workspace *ws, const char *family)
{
	char name[NAME_SIZE], path[PATH_SIZE], section[128];
	bh_keyring *keyring = NULL;
	bh_buf text = { 0 };
	bh_fs *fs = NULL;
	bool found;

	(void)newest(ws, name);
	path_join(path, ws->db, name);
	test_ok(bh_keyring_open(ws->db, NULL, false, &keyring));
	test_ok(bh_fs_new(ws->db, keyring, &fs));
	test_ok(bh_stream_read_small(path, bh_fs_scopes(fs), OPTIONS_MAX, &text));
	test_check(bytes_count(bh_buf_view(&text), bh_view_str("[CFOptions \"default\"]")) == 1);
	snprintf(section, sizeof(section), "[CFOptions \"%s\"]", family);
	found = bytes_count(bh_buf_view(&text), bh_view_str(section)) == 1;
	bh_buf_clear(&text);
	bh_fs_free(fs);
	return found;
}

static void newest_is(const workspace *ws, const char *want, bool same)
{
	char name[NAME_SIZE];

	(void)newest(ws, name);
	if ((strcmp(name, want) == 0) != same)
		test_fail_at(__FILE__, __LINE__, "the newest is %s, and was %s", name, want);
}

/* ---- while it is open */

static void put_in(bh_db *db, const char *merchant, const char *value)
{
	bh_cf *cf = test_cf(db, merchant, "rows");

	test_put(cf, "key", value);
	bh_cf_close(cf);
}

static void expect_in(bh_db *db, const char *merchant, const char *value)
{
	bh_cf *cf = test_cf(db, merchant, "rows");

	test_expect(cf, "key", value);
	bh_cf_close(cf);
}

static void come_and_go(const workspace *ws, bh_db *db)
{
	test_merchant_add(ws, db, "cat", "rows", NULL);
	put_in(db, "cat", "cat's");
	test_ok(bh_merchant_suspend(db, "ann", NULL));
	test_ok(bh_merchant_resume(db, "ann", NULL));
	test_ok(bh_merchant_shred(db, "bob", NULL));
}

/* With ann and bob; closed. */
static void make(const workspace *ws, const rocksdb_options_t *options)
{
	bh_db *db;

	test_db_create(ws, options);
	db = test_db_open(ws, options);
	test_merchant_add(ws, db, "ann", "rows", NULL);
	test_merchant_add(ws, db, "bob", "rows", NULL);
	put_in(db, "ann", "ann's");
	bh_db_close(db);
}

static void held_while_open(void *arg)
{
	const workspace *ws = arg;
	char before[NAME_SIZE];
	bh_db *db;

	make(ws, NULL);
	test_check(names_family(ws, "ann/rows") && names_family(ws, "bob/rows"));
	db = test_db_open(ws, NULL);
	(void)newest(ws, before);
	come_and_go(ws, db);
	newest_is(ws, before, true);
	expect_in(db, "ann", "ann's");
	bh_db_close(db);
	newest_is(ws, before, false);
	test_check(names_family(ws, "ann/rows") && names_family(ws, "cat/rows") && !names_family(ws, "bob/rows"));
	db = test_db_open(ws, NULL);
	expect_in(db, "cat", "cat's");
	(void)newest(ws, before);
	bh_db_close(db); /* nobody came, nobody went */
	newest_is(ws, before, true);
}

static void it_is_written_when_the_database_is_closed(void **state)
{
	test_child_ok(held_while_open, *state);
}

/* ---- after a kill */

static void make_child(void *arg)
{
	make(arg, NULL);
}

static void killed_with_cat(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);

	come_and_go(ws, db);
	test_ok(bh_sync_wal(db));
	kill(getpid(), SIGKILL);
}

static void open_goes_by_the_manifest(void *arg)
{
	const workspace *ws = arg;
	bh_cf *none = NULL;
	bh_db *db;

	test_check(names_family(ws, "bob/rows") && !names_family(ws, "cat/rows"));
	db = test_db_open(ws, NULL);
	expect_in(db, "ann", "ann's");
	expect_in(db, "cat", "cat's");
	test_status(bh_cf_open(db, "bob", "rows", &none), BH_E_SHREDDED);
	kill(getpid(), SIGKILL); /* the open has written it */
}

static void open_has_written_it(void *arg)
{
	test_check(names_family(arg, "cat/rows") && !names_family(arg, "bob/rows"));
}

static void after_a_kill_the_manifest_counts(void **state)
{
	test_child_ok(make_child, *state);
	test_child_killed(killed_with_cat, *state);
	test_child_killed(open_goes_by_the_manifest, *state);
	test_child_ok(open_has_written_it, *state);
}

/* ---- where it cannot be written: directories have the next names that it would be written under */

static void occupy(const workspace *ws, bool on)
{
	for (unsigned number = 1; number < 400; number++) {
		char name[NAME_SIZE], path[PATH_SIZE];

		snprintf(name, sizeof(name), "OPTIONS-%06u.dbtmp", number);
		path_join(path, ws->db, name);
		test_check((on ? mkdir(path, 0700) : rmdir(path)) == 0);
	}
}

static void note_line(void *arg, const char *line)
{
	*(bool *)arg = *(bool *)arg || strstr(line, "OPTIONS") != NULL;
}

static void nowhere_to_write(void *arg)
{
	const workspace *ws = arg;
	bool said = false;
	const bh_db_options options = { .log = note_line, .log_arg = &said };
	bh_db *db = NULL;

	make(ws, NULL);
	test_ok(bh_db_open(ws->db, &options, &db));
	occupy(ws, true);
	come_and_go(ws, db);
	expect_in(db, "ann", "ann's");
	test_check(!said);
	bh_db_close(db);
	test_check(said); /* that it stays behind */
	test_check(names_family(ws, "bob/rows") && !names_family(ws, "cat/rows"));
	db = test_db_open(ws, NULL);
	expect_in(db, "cat", "cat's");
	occupy(ws, false);
	bh_db_close(db);
}

static void that_it_cannot_be_written_is_said_and_costs_nobody_anything(void **state)
{
	test_child_ok(nowhere_to_write, *state);
}

/* ---- fail_if_options_file_error */

static rocksdb_options_t *strict(void)
{
	return test_options_with(rocksdb_options_create(), "fail_if_options_file_error=true");
}

/* ---- what a kill left of one */

static void a_leftover_goes(void *arg)
{
	const workspace *ws = arg;
	char options[PATH_SIZE], current[PATH_SIZE];

	test_db_create(ws, NULL);
	path_join(options, ws->db, "OPTIONS-000999.dbtmp");
	path_join(current, ws->db, "000999.dbtmp");
	file_write(options, bh_view_str("half of it"));
	file_write(current, bh_view_str("half of it"));
	bh_db_close(test_db_open(ws, NULL));
	test_check(!file_exists(options));
	test_check(!file_exists(current));
}

static void what_a_kill_left_is_removed(void **state)
{
	test_child_ok(a_leftover_goes, *state);
}

static void written_each_time(void *arg)
{
	static const char *const classes[] = { "rows" };
	const bh_merchant_options one_class = { classes, 1 };
	const workspace *ws = arg;
	rocksdb_options_t *options = strict();
	char before[NAME_SIZE];
	bh_db *db;

	make(ws, options);
	db = test_db_open(ws, options);
	(void)newest(ws, before);
	test_merchant_add(ws, db, "cat", "rows", NULL);
	newest_is(ws, before, false);
	(void)newest(ws, before);
	test_ok(bh_merchant_suspend(db, "ann", NULL));
	newest_is(ws, before, false);
	(void)newest(ws, before);
	bh_db_close(db); /* it is up to date */
	newest_is(ws, before, true);
	test_check(names_family(ws, "cat/rows") && !names_family(ws, "ann/rows"));

	db = test_db_open(ws, options);
	occupy(ws, true);
	test_check(bh_merchant_add(db, "dan", test_cmk(ws, "dan"), &one_class) != BH_OK);
	test_message_names("dan");
	/* Nobody's keys stay in use for it. */
	test_ok(bh_merchant_suspend(db, "cat", NULL));
	test_status(bh_merchant_shred(db, "bob", NULL), BH_OK);
	test_status(bh_merchant_resume(db, "ann", NULL), BH_E_FORMAT);
	test_status(bh_merchant_resume(db, "ann", NULL), BH_E_FORMAT); /* the same again: nothing of the first try is left */
	bh_db_close(db);
	occupy(ws, false);
	db = test_db_open(ws, options); /* completes what was begun */
	put_in(db, "dan", "dan's");
	expect_in(db, "dan", "dan's");
	test_ok(bh_merchant_resume(db, "ann", NULL));
	expect_in(db, "ann", "ann's");
	test_ok(bh_merchant_resume(db, "cat", NULL));
	put_in(db, "cat", "cat's");
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void whoever_insists_on_it_has_it_written_each_time(void **state)
{
	test_child_ok(written_each_time, *state);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(it_is_written_when_the_database_is_closed),
		CASE(after_a_kill_the_manifest_counts),
		CASE(that_it_cannot_be_written_is_said_and_costs_nobody_anything),
		CASE(what_a_kill_left_is_removed),
		CASE(whoever_insists_on_it_has_it_written_each_time),
	};

	return cmocka_run_group_tests_name("options_file", tests, NULL, NULL);
}
