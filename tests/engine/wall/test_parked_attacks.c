/* SPDX-License-Identifier: Apache-2.0
 *
 * test_parked_attacks.c: somebody changes the files of a merchant that is suspended. A resume either refuses, and says what is
 * wrong, or gives exactly what was acknowledged: never less. It changes nothing, so that the right files, put back, bring back all
 * of it. Nobody else notices.
 *
 * The stage: A has rows in an SST and in two WALs, C the same; both were revoked, then suspended by an operator. B serves. An
 * attack is made while the database is open, and again while it is closed.
 */
#include "suspend_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "env/format/frame.h"
#include "env/format/header.h"
#include "env/stream/stream.h"
#include "engine/wall/inventory.h"
#include "engine/wall/park.h"
#include "keyring/ring/ring.h"
#include "keyring/ring/edit.h"
#include "keyring/ring/keyring.h"

enum { IN_TABLE = 10, IN_FIRST_LOG = 20, ROWS = 30, ROW_LEN = 120 };

typedef struct stage {
	const workspace *ws;
	char good[PATH_SIZE];   /* the database as it should be */
	char early[PATH_SIZE];  /* its WALs and MANIFEST of before: rows were added since */
	char older[PATH_SIZE];  /* parked/a of an earlier suspension */
	char parked[PATH_SIZE]; /* DB/parked/a */
} stage;

/* ---- making it */

static void copy_to_early(void *arg, const char *path)
{
	const stage *s = arg;
	char to[PATH_SIZE];
	bh_buf bytes;

	if (strstr(path, "/parked/") != NULL || (strstr(path, ".log") == NULL && strstr(path, "MANIFEST-") == NULL))
		return;
	bytes = file_read(path);
	path_join(to, s->early, strrchr(path, '/') + 1);
	file_write(to, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

static void put_rows(bh_db *db, bh_cf *cf, int from, int to)
{
	for (int i = from; i < to; i++)
		put_row(cf, i, ROW_LEN);
	test_ok(bh_sync_wal(db));
}

/* Its WALs are parked, and nothing but an operator brings it back. */
static void put_away(bh_db *db, const char *name)
{
	switch_off(db, name, REVOKED);
	switch_off(db, name, BY_OPERATOR);
}

static void make_stage(void *arg)
{
	static const char *const names[] = { "a", "b", "c" };
	const stage *s = arg;
	bh_cf *cf[3];
	bh_db *db;

	test_db_create(s->ws, NULL);
	db = test_db_open(s->ws, NULL);
	for (int i = 0; i < 3; i++) {
		test_merchant_add(s->ws, db, names[i], "events", NULL);
		cf[i] = test_cf(db, names[i], "events");
		put_rows(db, cf[i], 0, IN_TABLE);
		test_ok(bh_flush(cf[i]));
	}
	put_rows(db, cf[0], IN_TABLE, IN_TABLE + 1);
	put_away(db, "a");
	tree_copy(s->parked, s->older);
	test_ok(bh_merchant_resume(db, "a", NULL));
	for (int i = 0; i < 3; i++)
		put_rows(db, cf[i], IN_TABLE, IN_FIRST_LOG - 5);
	test_check(mkdir(s->early, 0700) == 0);
	tree_walk(s->ws->db, copy_to_early, arg);
	for (int i = 0; i < 3; i++)
		put_rows(db, cf[i], IN_FIRST_LOG - 5, IN_FIRST_LOG);
	test_ok(bh_flush(cf[1])); /* the next WAL; the one before stays, for A and C */
	for (int i = 0; i < 3; i++)
		put_rows(db, cf[i], IN_FIRST_LOG, ROWS);
	put_away(db, "a");
	put_away(db, "c");
	for (int i = 0; i < 3; i++)
		bh_cf_close(cf[i]);
	bh_db_close(db);
}

static void stage_make(stage *s, const workspace *ws)
{
	s->ws = ws;
	path_join(s->good, ws->root, "good");
	path_join(s->early, ws->root, "early");
	path_join(s->older, ws->root, "older");
	path_join(s->parked, ws->db, "parked/a");
	test_child_ok(make_stage, s);
	tree_copy(ws->db, s->good);
}

static void put_back(const stage *s)
{
	char good[PATH_SIZE];

	path_join(good, s->good, "parked/a");
	unlink(s->parked); /* where it is no directory */
	tree_remove(s->parked);
	tree_copy(good, s->parked);
}

/* ---- what is expected */

static void expect_rows(bh_db *db, const char *name)
{
	bh_cf *cf = test_cf(db, name, "events");
	bh_iter *iter = NULL;
	int count = 0;

	test_ok(bh_iter_new(cf, NULL, &iter));
	for (test_ok(bh_iter_first(iter)); bh_iter_valid(iter); test_ok(bh_iter_next(iter)))
		count++;
	bh_iter_free(iter);
	test_check(count == ROWS);
	for (int i = 0; i < ROWS; i++)
		expect_put_row(cf, i, ROW_LEN);
	bh_cf_close(cf);
}

/* By the operator; or, after a resume that met the damage, for that. */
static void expect_suspended(const stage *s, bh_db *db)
{
	char left[PATH_SIZE];
	bh_cf *cf = NULL;
	bh_status status = bh_cf_open(db, "a", "events", &cf);

	test_check(status == BH_E_SUSPENDED || status == BH_E_DAMAGED);
	path_join(left, s->ws->db, BH_PARKED_DIR "/" BH_PARKED_LENT_PREFIX "a");
	test_check(!file_exists(left));
	expect_rows(db, "b");
}

/* Of damage, or of a file that is not what it should be; and the message says which. */
static void expect_refused(const stage *s, bh_db *db, const char *attack, int variant)
{
	const bh_status status = bh_merchant_resume(db, "a", NULL);
	const int code = bh_status_exit_code(status);

	if (status == BH_OK || (code != 6 && code != 10))
		test_fail_at(__FILE__, __LINE__, "%s, %d: the resume ends with %s: %s", attack, variant, bh_status_name(status),
			     bh_status_message());
	test_message_names("merchant 'a': stays suspended: ");
	test_message_names("parked/");
	expect_suspended(s, db);
}

/* ---- attacks: each returns false where it has no such variant */

typedef bool (*attack_fn)(const stage *s, int variant);

static bool parked_file(const stage *s, const char *suffix, size_t skip, char out[PATH_SIZE])
{
	return file_find(s->parked, suffix, skip, out);
}

/* In a file of its own: the one that was there may be a link to others. */
static void replace(const char *path, bh_view bytes)
{
	test_check(unlink(path) == 0);
	file_write(path, bytes);
}

static bool manifest_of(const stage *s, char out[PATH_SIZE])
{
	char name[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "MANIFEST-%06d", i);
		path_join(out, s->parked, name);
		if (file_exists(out))
			return true;
	}
	return false;
}

/* All of the files that are attacked one by one. */
static bool target(const stage *s, int idx, char out[PATH_SIZE])
{
	if (idx == 0)
		return manifest_of(s, out);
	if (idx < 3)
		return parked_file(s, idx == 1 ? "CURRENT" : BH_INVENTORY_FILE, 0, out);
	if (idx < 5)
		return parked_file(s, ".log", (size_t)idx - 3, out);
	return idx == 5 && parked_file(s, ".sst", 0, out);
}
enum { TARGETS = 6 };

static bool file_is_removed(const stage *s, int variant)
{
	char path[PATH_SIZE];

	return target(s, variant, path) && unlink(path) == 0;
}

static bool file_is_a_symlink(const stage *s, int variant)
{
	char path[PATH_SIZE], away[PATH_SIZE];

	if (!target(s, variant, path))
		return false;
	path_join(away, s->ws->root, "away");
	return rename(path, away) == 0 && symlink(away, path) == 0;
}

static bool file_is_a_directory(const stage *s, int variant)
{
	char path[PATH_SIZE];

	return target(s, variant, path) && unlink(path) == 0 && mkdir(path, 0700) == 0;
}

/* Nobody ever writes to it. */
static bool file_is_a_pipe(const stage *s, int variant)
{
	char path[PATH_SIZE];

	return target(s, variant, path) && unlink(path) == 0 && mkfifo(path, 0600) == 0;
}

static bool file_is_empty(const stage *s, int variant)
{
	char path[PATH_SIZE];

	if (!target(s, variant, path))
		return false;
	replace(path, (bh_view){ 0 });
	return true;
}

static bool file_is_longer(const stage *s, int variant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	char path[PATH_SIZE];

	if (!target(s, variant, path))
		return false;
	bytes = file_read(path);
	test_ok(bh_buf_append_u8(&bytes, 0));
	replace(path, bh_buf_view(&bytes));
	return true;
}

/* Where a flipped bit is to be tried: in every field of the header, the sync mark, and through the rest. */
static bool flip_at(size_t len, int step, size_t *at_out)
{
	static const size_t head[] = { 0, 8, 10, 11, 12, 16, 24, 56, 72, 104, 120, 200, 512, 520, 528, 536, 551, 552, 4095 };
	const size_t fields = sizeof(head) / sizeof(head[0]);
	const int rest = 12;

	if (step < (int)fields)
		*at_out = head[step];
	else
		*at_out = BH_HEADER_LEN + (len - BH_HEADER_LEN) * ((size_t)step - fields) / (size_t)rest;
	return step < (int)fields + rest && *at_out < len;
}

/* An SST's pages are authenticated when they are read, as in any database: its header is what tells it from others. */
static bool one_bit_is_flipped(const stage *s, int variant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	char path[PATH_SIZE];
	size_t at;

	for (int idx = 0; idx < TARGETS; idx++) {
		test_check(target(s, idx, path));
		bytes = file_read(path);
		for (int step = 0; flip_at(idx == 5 ? BH_HEADER_LEN : bytes.len, step, &at); step++)
			if (variant-- == 0) {
				bytes.data[at] ^= 4;
				replace(path, bh_buf_view(&bytes));
				return true;
			}
		bh_buf_clear(&bytes);
	}
	return false;
}

/* At every boundary between frames, and in the middle of each. */
static bool log_is_cut(const stage *s, int variant)
{
	char path[PATH_SIZE];

	for (size_t log = 0; parked_file(s, ".log", log, path); log++) {
		BH_CLEANUP(bh_buf_clear) bh_buf bytes = file_read(path);
		size_t end = BH_HEADER_LEN;

		while (end < bytes.len) {
			bh_frame_head head;
			size_t size;

			test_check(bh_frame_head_read(BH_KIND_WAL, bh_view_of(bytes.data + end, bytes.len - end), &head));
			size = bh_frame_size(&head);
			for (int half = 0; half < 2; half++)
				if (variant-- == 0) {
					replace(path, bh_view_of(bytes.data, end + (size_t)half * size / 2));
					return true;
				}
			end += size;
		}
	}
	return false;
}

/* The database closed the logs itself, so all of each is below the mark; and a header page of before fits to a cut. */
static bool is_same(const char *path, const bh_buf *bytes)
{
	BH_CLEANUP(bh_buf_clear) bh_buf now = file_read(path);

	return now.len == bytes->len && memcmp(now.data, bytes->data, now.len) == 0;
}

static bool log_or_manifest_is_an_older_copy(const stage *s, int variant)
{
	char path[PATH_SIZE], early[PATH_SIZE];

	for (int idx = 0; idx < TARGETS; idx++) {
		BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

		test_check(target(s, idx, path));
		path_join(early, s->early, strrchr(path, '/') + 1);
		if (!file_exists(early))
			continue;
		bytes = file_read(early);
		if (is_same(path, &bytes)) /* a log that was closed before */
			bh_buf_clear(&bytes);
		if (bytes.len == 0 || variant-- > 0)
			continue;
		replace(path, bh_buf_view(&bytes));
		return true;
	}
	test_check(variant > -2); /* there was one at least */
	return false;
}

/* C's file of that name, or C's first of that kind: its logs are the same files, and may lie here. */
static bool file_is_another_merchants(const stage *s, int variant)
{
	static const char *const suffixes[] = { ".sst", BH_INVENTORY_FILE };
	char path[PATH_SIZE], theirs[PATH_SIZE], dir[PATH_SIZE];
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

	path_join(dir, s->ws->db, "parked/c");
	if (variant >= 2 || !parked_file(s, suffixes[variant], 0, path) || !file_find(dir, suffixes[variant], 0, theirs))
		return false;
	bytes = file_read(theirs);
	replace(path, bh_buf_view(&bytes));
	return true;
}

static bool logs_are_exchanged(const stage *s, int variant)
{
	char first[PATH_SIZE], second[PATH_SIZE], away[PATH_SIZE];

	if (variant > 0)
		return false;
	test_check(parked_file(s, ".log", 0, first) && parked_file(s, ".log", 1, second));
	path_join(away, s->ws->root, "exchanged");
	return rename(first, away) == 0 && rename(second, first) == 0 && rename(away, second) == 0;
}

/* All of the directory: as C's, as it was at an earlier suspension, with MANIFEST and CURRENT of then, gone, a file. */
static bool directory_is_another(const stage *s, int variant)
{
	char theirs[PATH_SIZE];

	path_join(theirs, s->ws->db, "parked/c");
	if (variant > 3)
		return false;
	tree_remove(s->parked);
	if (variant < 2)
		tree_copy(variant == 0 ? theirs : s->older, s->parked);
	else if (variant == 3)
		file_write(s->parked, bh_view_str("no directory"));
	return true;
}

static bool older_files_beside_the_new_inventory(const stage *s, int variant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf inventory = { 0 };
	char path[PATH_SIZE];

	if (variant > 0)
		return false;
	test_check(parked_file(s, BH_INVENTORY_FILE, 0, path));
	inventory = file_read(path);
	tree_remove(s->parked);
	tree_copy(s->older, s->parked);
	replace(path, bh_buf_view(&inventory));
	return true;
}

static const struct {
	const char *name;
	attack_fn make;
} attacks[] = {
	{ "a file is removed", file_is_removed },
	{ "a file is a symbolic link", file_is_a_symlink },
	{ "a file is a directory", file_is_a_directory },
	{ "a file is a pipe", file_is_a_pipe },
	{ "a file is empty", file_is_empty },
	{ "a file is longer", file_is_longer },
	{ "a bit is flipped", one_bit_is_flipped },
	{ "a log is cut", log_is_cut },
	{ "a log or the MANIFEST is an older copy", log_or_manifest_is_an_older_copy },
	{ "a file is another merchant's", file_is_another_merchants },
	{ "two logs are exchanged", logs_are_exchanged },
	{ "the directory is another", directory_is_another },
	{ "older files beside the new inventory", older_files_beside_the_new_inventory },
};
#define ATTACKS (sizeof(attacks) / sizeof(attacks[0]))

/* ---- while the database is open: every variant */

static void attack_open_database(void *arg)
{
	const stage *s = arg;
	bh_db *db = test_db_open(s->ws, NULL);
	int tried = 0;

	expect_suspended(s, db);
	for (size_t i = 0; i < ATTACKS; i++) {
		int variant = 0;

		for (; attacks[i].make(s, variant); variant++, tried++) {
			expect_refused(s, db, attacks[i].name, variant);
			put_back(s);
		}
		print_message("%s: %d\n", attacks[i].name, variant);
		test_check(variant > 0);
	}
	test_check(tried > 200);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_rows(db, "a");
	test_ok(bh_merchant_resume(db, "c", NULL));
	expect_rows(db, "c");
	expect_rows(db, "b");
	bh_db_close(db);
}

static void no_attack_on_parked_files_loses_a_row_unnoticed(void **state)
{
	stage s;

	stage_make(&s, *state);
	test_child_ok(attack_open_database, &s);
}

/* ---- while it is closed: each attack once; the right files bring all of it back */

typedef struct cold_run {
	const stage *stage;
	size_t attack;
} cold_run;

static void open_after_attack(void *arg)
{
	const cold_run *run = arg;
	bh_db *db = test_db_open(run->stage->ws, NULL);

	expect_suspended(run->stage, db);
	expect_refused(run->stage, db, attacks[run->attack].name, 0);
	bh_db_close(db);
}

static void resume_whole(void *arg)
{
	const stage *s = arg;
	bh_db *db = test_db_open(s->ws, NULL);

	expect_suspended(s, db);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_rows(db, "a");
	expect_rows(db, "b");
	bh_db_close(db);
}

static void the_right_files_put_back_bring_back_every_row(void **state)
{
	stage s;

	stage_make(&s, *state);
	for (size_t i = 0; i < ATTACKS; i++) {
		const cold_run run = { &s, i };

		test_check(attacks[i].make(&s, 0));
		test_child_ok(open_after_attack, (void *)(uintptr_t)&run);
		put_back(&s);
		test_child_ok(resume_whole, &s);
		tree_remove(s.ws->db);
		tree_copy(s.good, s.ws->db);
	}
}

/* ---- what is no harm */

static void resume_beside_strangers(void *arg)
{
	static const char *const names[] = { "000001.log", "999999.log", "000001.sst", "IDENTITY", "MANIFEST-999999" };
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	const stage *s = arg;
	char path[PATH_SIZE];

	/* A log that is A's, and authentic, and was in no way a part of this. */
	test_check(file_find(s->older, ".log", 0, path));
	log = file_read(path);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_join(path, s->parked, names[i]);
		file_write(path, bh_buf_view(&log));
	}
	resume_whole(arg);
}

static void what_was_not_parked_does_not_come_back(void **state)
{
	stage s;

	stage_make(&s, *state);
	test_child_ok(resume_beside_strangers, &s);
}

/* ---- suspended by a build without inventories */

/* The record as such a build wrote it. */
static void forget_parking(void *arg)
{
	const bh_state_change change = { .state = BH_MERCHANT_SUSPENDED, .at_s = 1, .cause = BH_SUSPEND_OPERATOR, .note = "" };
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };
	bh_keyring *keyring = NULL;
	const stage *s = arg;

	test_ok(bh_keyring_open(s->ws->db, NULL, true, &keyring));
	test_ok(bh_keyring_merchant(keyring, "a", &info));
	test_check(bh_inventory_is_due(&info));
	test_ok(bh_state_change_encode(info.id, &change, &payload));
	pthread_mutex_lock(&keyring->change);
	test_ok(bh_keyring_edit(keyring, BH_KEYRING_STATE_CHANGED, bh_buf_view(&payload)));
	pthread_mutex_unlock(&keyring->change);
	bh_keyring_close(keyring);
}

static void who_was_suspended_without_an_inventory_comes_back_without(void **state)
{
	char inventory[PATH_SIZE];
	stage s;

	stage_make(&s, *state);
	test_child_ok(forget_parking, &s);
	test_check(parked_file(&s, BH_INVENTORY_FILE, 0, inventory) && unlink(inventory) == 0);
	test_child_ok(resume_whole, &s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(no_attack_on_parked_files_loses_a_row_unnoticed),
		SUSPEND_CASE(the_right_files_put_back_bring_back_every_row),
		SUSPEND_CASE(what_was_not_parked_does_not_come_back),
		SUSPEND_CASE(who_was_suspended_without_an_inventory_comes_back_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
