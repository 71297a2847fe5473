/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bad_input.c: what is wrong is refused with the status and the words for it, before anything on disk changes, and does not
 * stand in the way of what is right: each refusal leaves the same files with the same bytes, and the next correct call works.
 */
#include "tests/support/harness.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const one_class[] = { "data" };
static const bh_merchant_options with_one_class = { one_class, 1 };

/* ---- what all have in common */

/* A database with merchant "a", whose class "data" has the row k = v; left closed. */
static void make_database(const workspace *ws)
{
	bh_db *db;
	bh_cf *a;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "data", NULL);
	a = test_cf(db, "a", "data");
	test_put(a, "k", "v");
	test_ok(bh_flush(a));
	bh_cf_close(a);
	bh_db_close(db);
}

static void expect_works(const workspace *ws)
{
	bh_db *db = test_db_open(ws, NULL);
	bh_cf *a = test_cf(db, "a", "data");

	test_expect(a, "k", "v");
	bh_cf_close(a);
	bh_db_close(db);
}

static void open_refused(const workspace *ws, const bh_db_options *options, bh_status want, const char *named)
{
	const uint64_t before = tree_hash(ws->root);
	bh_db *db = NULL;

	test_status(bh_db_open(ws->db, options, &db), want);
	test_message_names(named);
	test_check(db == NULL);
	test_check(tree_hash(ws->root) == before);
}

static void create_refused(const workspace *ws, const char *region, const char *uri, bh_status want, const char *named)
{
	const uint64_t before = tree_hash(ws->root);

	test_status(bh_db_create(ws->db, region, uri, NULL), want);
	test_message_names(named);
	test_check(tree_hash(ws->root) == before);
}

static void move_file(const char *from, const char *to)
{
	test_check(rename(from, to) == 0);
}

static bh_status destroy(bh_kms *kms)
{
	return bh_kms_destroy(kms, NULL);
}

static void set_state(const workspace *ws, const char *key, bh_status (*set)(bh_kms *kms))
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(test_cmk(ws, key), NULL, &kms));
	test_ok(set(kms));
	bh_kms_close(kms);
}

/* ---- the passphrase of a local KMS */

static void passphrases(void *arg)
{
	const workspace *ws = arg;
	const bh_kms_options right = { .passphrase = "correct horse" }, wrong = { .passphrase = "battery staple" },
			     nothing = { .passphrase = "" };
	const bh_db_options open_right = { .kms = right }, open_wrong = { .kms = wrong }, open_nothing = { .kms = nothing };
	bh_db *db = NULL;

	test_ok(bh_kms_create(workspace_cmk(ws, "platform"), "eu-1", &right));
	test_status(bh_kms_create(workspace_cmk(ws, "a"), "eu-1", &wrong), BH_E_KMS_REFUSED);
	test_ok(bh_kms_create(workspace_cmk(ws, "a"), "eu-1", &right));
	test_ok(bh_db_create(ws->db, "eu-1", workspace_cmk(ws, "platform"), &open_right));

	open_refused(ws, &open_wrong, BH_E_KMS_REFUSED, "wrong passphrase");
	test_message_names(ws->kms);
	test_check(strstr(bh_status_message(), wrong.passphrase) == NULL);
	open_refused(ws, &open_nothing, BH_E_KMS_REFUSED, "BULKHEAD_KMS_PASSPHRASE");
	open_refused(ws, NULL, BH_E_KMS_REFUSED, "BULKHEAD_KMS_PASSPHRASE");

	test_ok(bh_db_open(ws->db, &open_right, &db));
	test_ok(bh_merchant_add(db, "a", workspace_cmk(ws, "a"), &with_one_class));
	bh_db_close(db);
}

/* ---- CMKs at open */

/* The database opens without the merchant, says so, and names it to whoever asks for its rows. */
static void merchant_refused(const workspace *ws, const char *merchant)
{
	bh_db *db = test_db_open(ws, NULL);
	bh_cf *cf = NULL;

	test_status(bh_cf_open(db, merchant, "data", &cf), BH_E_KMS_REFUSED);
	test_message_names(merchant);
	bh_db_close(db);
}

static void merchants_cmk_gone(const workspace *ws, const char *merchant, const char *file)
{
	char path[PATH_SIZE], aside[PATH_SIZE];

	path_join(path, ws->kms, file);
	path_join(aside, ws->root, "aside");
	move_file(path, aside);
	merchant_refused(ws, merchant);
	move_file(aside, path);
	expect_works(ws);
}

static void merchants_cmk_disabled(const workspace *ws, const char *merchant)
{
	set_state(ws, merchant, bh_kms_disable);
	merchant_refused(ws, merchant);
	merchant_refused(ws, merchant); /* parked by now */
	set_state(ws, merchant, bh_kms_enable);
	expect_works(ws);
}

static void cmk_gone(const workspace *ws, const char *file, bh_status want, const char *named)
{
	char path[PATH_SIZE], aside[PATH_SIZE];

	path_join(path, ws->kms, file);
	path_join(aside, ws->root, "aside");
	move_file(path, aside);
	open_refused(ws, NULL, want, named);
	move_file(aside, path);
	expect_works(ws);
}

static void cmk_disabled(const workspace *ws, const char *key, const char *named)
{
	set_state(ws, key, bh_kms_disable);
	open_refused(ws, NULL, BH_E_KMS_REFUSED, named);
	test_message_names("is disabled");
	set_state(ws, key, bh_kms_enable);
	expect_works(ws);
}

static void cmks_at_open(void *arg)
{
	const workspace *ws = arg;
	char root_key[PATH_SIZE];

	make_database(ws);
	merchants_cmk_gone(ws, "a", "a.key.json");
	cmk_gone(ws, "platform.key.json", BH_E_NO_KEY, "platform CMK");
	cmk_gone(ws, "root.key", BH_E_KMS_UNREACHABLE, ws->kms);
	merchants_cmk_disabled(ws, "a");
	cmk_disabled(ws, "platform", "platform CMK");

	path_join(root_key, ws->kms, "root.key");
	test_check(chmod(root_key, 0644) == 0);
	open_refused(ws, NULL, BH_E_KMS_REFUSED, "root.key");
	test_check(chmod(root_key, 0600) == 0);

	set_state(ws, "a", destroy);
	merchant_refused(ws, "a");
}

static void absent_kms(void *arg)
{
	const workspace *ws = arg;
	char aside[PATH_SIZE];

	make_database(ws);
	path_join(aside, ws->root, "aside");
	move_file(ws->kms, aside);
	open_refused(ws, NULL, BH_E_KMS_UNREACHABLE, ws->kms);
	test_check(!file_exists(ws->kms));
	move_file(aside, ws->kms);
	expect_works(ws);
}

/* ---- KEYRING and CURRENT */

static void put_symlink(const char *path, const char *aside)
{
	test_check(symlink(aside, path) == 0);
}

static void put_directory(const char *path, const char *aside)
{
	(void)aside;
	test_check(mkdir(path, 0700) == 0);
}

static void put_fifo(const char *path, const char *aside)
{
	(void)aside;
	test_check(mkfifo(path, 0600) == 0);
}

static void put_nothing(const char *path, const char *aside)
{
	(void)path, (void)aside;
}

static void put_empty(const char *path, const char *aside)
{
	(void)aside;
	file_write(path, bh_view_str(""));
}

static void put_stub(const char *path, const char *aside)
{
	(void)aside;
	file_write(path, bh_view_str("BH"));
}

static void put_text(const char *path, const char *aside)
{
	BH_CLEANUP(bh_buf_clear) bh_buf whole = file_read(aside);

	memset(whole.data, 'x', whole.len);
	file_write(path, bh_buf_view(&whole));
}

typedef struct in_its_place {
	const char *what;
	void (*put)(const char *path, const char *aside);
	bh_status want;
} in_its_place;

static void replaced(const workspace *ws, const char *name, const in_its_place *cases, size_t count)
{
	char path[PATH_SIZE], aside[PATH_SIZE];

	make_database(ws);
	path_join(path, ws->db, name);
	path_join(aside, ws->root, "aside");
	for (size_t i = 0; i < count; i++) {
		printf("# %s: %s\n", name, cases[i].what);
		move_file(path, aside);
		cases[i].put(path, aside);
		open_refused(ws, NULL, cases[i].want, ws->db);
		if (file_exists(path))
			test_check(remove(path) == 0);
		move_file(aside, path);
	}
	expect_works(ws);
}

static void keyring_replaced(void *arg)
{
	static const in_its_place cases[] = {
		{ "missing", put_nothing, BH_E_NOT_FOUND },    { "a symbolic link", put_symlink, BH_E_FORMAT },
		{ "a directory", put_directory, BH_E_FORMAT }, { "a FIFO", put_fifo, BH_E_FORMAT },
		{ "empty", put_empty, BH_E_TRUNCATED },        { "two bytes", put_stub, BH_E_TRUNCATED },
		{ "another text", put_text, BH_E_FORMAT },
	};

	replaced(arg, "KEYRING", cases, sizeof(cases) / sizeof(cases[0]));
}

static void current_replaced(void *arg)
{
	static const in_its_place cases[] = {
		{ "missing", put_nothing, BH_E_ROLLBACK },
		{ "empty", put_empty, BH_E_TRUNCATED },
		{ "two bytes", put_stub, BH_E_TRUNCATED },
		{ "another text", put_text, BH_E_FORMAT },
	};

	replaced(arg, "CURRENT", cases, sizeof(cases) / sizeof(cases[0]));
}

/* The keyring of another database with the same merchant under the same KMS: all of it opens but the files. */
static void move_from(const char *name, const char *from, const char *to)
{
	char source[PATH_SIZE], target[PATH_SIZE];

	path_join(source, from, name);
	path_join(target, to, name);
	move_file(source, target);
}

static void foreign_keyring(void *arg)
{
	const workspace *ws = arg;
	workspace other = *ws;
	char aside[PATH_SIZE];

	path_join(other.db, ws->root, "other");
	path_join(aside, ws->root, "aside");
	test_check(mkdir(aside, 0700) == 0);
	make_database(ws);
	make_database(&other);

	move_from("KEYRING", ws->db, aside);
	move_from("KEYRING", other.db, ws->db);
	open_refused(ws, NULL, BH_E_NO_KEY, "CURRENT"); /* the first that is sealed */
	move_from("AUDIT", ws->db, aside);
	move_from("AUDIT", other.db, ws->db);
	open_refused(ws, NULL, BH_E_NO_KEY, "CURRENT"); /* with an audit log that goes with it, too */
	test_message_names(ws->db);
	move_from("KEYRING", ws->db, other.db);
	move_from("AUDIT", ws->db, other.db);
	move_from("KEYRING", aside, ws->db);
	move_from("AUDIT", aside, ws->db);
	expect_works(ws);
	expect_works(&other);
}

/* ---- directories */

static void make_plain_rocksdb(const char *dir)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_writeoptions_t *how = rocksdb_writeoptions_create();
	rocksdb_t *db;
	char *error = NULL;

	rocksdb_options_set_create_if_missing(options, 1);
	db = rocksdb_open(options, dir, &error);
	test_rocks_ok(error);
	rocksdb_put(db, how, "k", 1, "v", 1, &error);
	test_rocks_ok(error);
	rocksdb_close(db);
	rocksdb_writeoptions_destroy(how);
	rocksdb_options_destroy(options);
}

static void plain_rocksdb(void *arg)
{
	const workspace *ws = arg;
	workspace sealed = *ws;

	path_join(sealed.db, ws->root, "sealed");
	make_database(&sealed);
	make_plain_rocksdb(ws->db);
	open_refused(ws, NULL, BH_E_NOT_FOUND, ws->db);
	create_refused(ws, "eu-1", workspace_cmk(ws, "platform"), BH_E_EXISTS, ws->db);

	move_from("KEYRING", sealed.db, ws->db);
	move_from("AUDIT", sealed.db, ws->db);
	open_refused(ws, NULL, BH_E_TRUNCATED, "CURRENT"); /* plain bytes are never read for sealed ones */
}

static void directories(void *arg)
{
	const workspace *ws = arg;
	workspace elsewhere = *ws;

	test_ok(bh_kms_create(workspace_cmk(ws, "platform"), "eu-1", NULL));
	open_refused(ws, NULL, BH_E_NOT_FOUND, ws->db);
	test_check(!file_exists(ws->db));
	path_join(elsewhere.db, ws->db, "below-nothing");
	create_refused(&elsewhere, "eu-1", workspace_cmk(ws, "platform"), BH_E_IO, elsewhere.db);
	path_join(elsewhere.db, ws->root, "file");
	file_write(elsewhere.db, bh_view_str("mine"));
	create_refused(&elsewhere, "eu-1", workspace_cmk(ws, "platform"), BH_E_INVALID, elsewhere.db);
	open_refused(&elsewhere, NULL, BH_E_INVALID, elsewhere.db);

	test_check(mkdir(ws->db, 0700) == 0);
	open_refused(ws, NULL, BH_E_NOT_FOUND, ws->db);
	create_refused(ws, "eu/1", workspace_cmk(ws, "platform"), BH_E_INVALID, "region name 'eu/1'");
	create_refused(ws, NULL, workspace_cmk(ws, "platform"), BH_E_INVALID, "region");
	create_refused(ws, "us-1", workspace_cmk(ws, "platform"), BH_E_REGION, "'us-1'");
	create_refused(ws, "eu-1", workspace_cmk(ws, "nobody"), BH_E_NOT_FOUND, "nobody");
	create_refused(ws, "eu-1", NULL, BH_E_INVALID, "CMK URI");
	make_database(ws);
	create_refused(ws, "eu-1", workspace_cmk(ws, "platform"), BH_E_EXISTS, ws->db);
	expect_works(ws);
}

/* ---- who has it open */

static void opened_twice(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	make_database(ws);
	db = test_db_open(ws, NULL);
	open_refused(ws, NULL, BH_E_BUSY, ws->db);
	create_refused(ws, "eu-1", workspace_cmk(ws, "platform"), BH_E_EXISTS, ws->db);
	bh_db_close(db);
	expect_works(ws);
}

typedef struct holder {
	const workspace *ws;
	int ready; /* written to once it is open */
} holder;

static void hold_open(void *arg)
{
	const holder *h = arg;

	make_database(h->ws);
	bh_db *db = test_db_open(h->ws, NULL);
	test_check(write(h->ready, "1", 1) == 1);
	pause();
	bh_db_close(db);
}

static void open_is_busy(void *arg)
{
	const workspace *ws = arg;

	open_refused(ws, NULL, BH_E_BUSY, ws->db);
}

static void open_works(void *arg)
{
	expect_works(arg);
}

static void second_open_in_another_process_is_refused(void **state)
{
	int pipe_fd[2];
	char byte;

	assert_int_equal(pipe(pipe_fd), 0);
	holder h = { *state, pipe_fd[1] };
	pid_t child = test_child_start(hold_open, &h);
	close(pipe_fd[1]);
	assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
	close(pipe_fd[0]);
	test_child_ok(open_is_busy, *state);
	kill(child, SIGKILL);
	test_child_wait(child);
	test_child_ok(open_works, *state);
}

/* ---- each in a process of its own: see harness.h */

#define IN_A_CHILD(name, body)                                                                                                     \
	static void name(void **state)                                                                                             \
	{                                                                                                                          \
		test_child_ok(body, *state);                                                                                       \
	}

IN_A_CHILD(wrong_passphrase_is_refused, passphrases)
IN_A_CHILD(cmk_that_is_not_usable_is_named, cmks_at_open)
IN_A_CHILD(kms_that_is_absent_is_named, absent_kms)
IN_A_CHILD(anything_else_than_the_keyring_is_refused, keyring_replaced)
IN_A_CHILD(anything_else_than_current_is_refused, current_replaced)
IN_A_CHILD(keyring_of_another_database_is_refused, foreign_keyring)
IN_A_CHILD(plain_rocksdb_is_left_alone, plain_rocksdb)
IN_A_CHILD(directories_that_are_no_database, directories)
IN_A_CHILD(second_open_in_this_process_is_refused, opened_twice)

#define CASE(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(wrong_passphrase_is_refused),
		CASE(cmk_that_is_not_usable_is_named),
		CASE(kms_that_is_absent_is_named),
		CASE(anything_else_than_the_keyring_is_refused),
		CASE(anything_else_than_current_is_refused),
		CASE(keyring_of_another_database_is_refused),
		CASE(plain_rocksdb_is_left_alone),
		CASE(directories_that_are_no_database),
		CASE(second_open_in_this_process_is_refused),
		CASE(second_open_in_another_process_is_refused),
	};

	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
