/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fresh_logs.c: who has no key but writes the disk while the database is closed removes, empties, renames, cuts or exchanges a
 * WAL, MANIFEST, CURRENT or KEYRING, puts a directory in its place, or an older copy of it; after a kill, and after a clean close,
 * where nothing at all may be cut. The open is refused, the file named, and nothing overwritten; `verify` names it, too. With the
 * right file back every row of both merchants is there.
 */
#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/rotation.h>

#include "env/format/header.h"
#include "keyring/ring/keyring.h"
#include "tests/engine/wall/suspend_fixture.h"
#include "tests/support/slow_build.h"

typedef struct stage {
	const workspace *ws;
	char before[PATH_SIZE];  /* the directory as it was in the middle of its last use */
	char earlier[PATH_SIZE]; /* ... and before that */
	char attacked[PATH_SIZE];
	char verified[PATH_SIZE]; /* what `verify` said */
	bool killed;
	const char *name;    /* of the file that is attacked */
	const char *how;     /* it is attacked; NULL: see the test */
	off_t end;           /* what is synced of it; room may lie behind */
	const char *culprit; /* of the file that is named; NULL: that one */
} stage;

/* ---- the database */

static void put(bh_cf *cf, const char *key, const char *value, bool sync)
{
	test_ok(bh_put(cf, &(bh_write_options){ .sync = sync }, bh_view_str(key), bh_view_str(value)));
}

/* A WAL that stays, since a has rows in it, and a newer one. The last rows are not synced: a clean close does that. */
static void fill(void *arg)
{
	const stage *s = arg;
	bh_cf *a, *b, *profile;
	bh_db *db;

	make_two(s->ws);
	tree_copy(s->ws->db, s->earlier);
	db = test_db_open(s->ws, NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	profile = test_cf(db, "a", "profile");
	put(a, "k3", "a3", true);
	put(b, "k3", "b3", true);
	tree_copy(s->ws->db, s->before);
	put(a, "k4", "a4", true);
	put(profile, "p", "p", true);
	test_ok(bh_flush(profile));
	put(b, "k4", "b4", true);
	put(a, "k5", "a5", s->killed);
	put(b, "k5", "b5", s->killed);
	if (s->killed)
		raise(SIGKILL);
	bh_cf_close(a);
	bh_cf_close(b);
	bh_cf_close(profile);
	bh_db_close(db);
}

static void stage_begin(stage *s, const workspace *ws, bool killed)
{
	*s = (stage){ .ws = ws, .killed = killed };
	path_join(s->before, ws->root, "before");
	path_join(s->earlier, ws->root, "earlier");
	path_join(s->attacked, ws->root, "attacked");
	path_join(s->verified, ws->root, "verified.txt");
	if (killed)
		test_child_killed(fill, s);
	else
		test_child_ok(fill, s);
}

static void expect_all_rows(void *arg)
{
	workspace at = *((const stage *)arg)->ws;
	bh_db *db;

	snprintf(at.db, sizeof(at.db), "%s", ((const stage *)arg)->attacked);
	db = test_db_open(&at, NULL);
	expect_numbered(db, 1, 5);
	bh_db_close(db);
}

/* ---- the attack */

static void attacked_path(const stage *s, const char *name, char out[PATH_SIZE])
{
	path_join(out, s->attacked, name);
}

static void take_copy(const stage *s)
{
	tree_remove(s->attacked);
	tree_copy(s->ws->db, s->attacked);
}

static void put_file(const stage *s, const char *from_dir, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	char from[PATH_SIZE], to[PATH_SIZE];

	path_join(from, from_dir, name);
	attacked_path(s, name, to);
	bytes = file_read(from);
	(void)rmdir(to);
	file_write(to, bh_buf_view(&bytes));
}

static void expect_refused(void *arg)
{
	const stage *s = arg;
	bh_db *db = NULL;
	bh_status status = bh_db_open(s->attacked, NULL, &db);
	int code = bh_status_exit_code(status);

	if (code != 6 && code != 10)
		test_fail_at(__FILE__, __LINE__, "%s %s: open: %s: %s", s->name, s->how != NULL ? s->how : "",
			     bh_status_name(status), bh_status_message());
	test_message_names(s->culprit != NULL ? s->culprit : s->name);
	test_message_names("put the right one back, or all of the directory from one backup");
}

static int verify(const stage *s)
{
	char command[3 * PATH_SIZE];

	snprintf(command, sizeof(command), "%s --db %s verify >%s 2>&1", BH_TEST_BHCTL, s->attacked, s->verified);
	return WEXITSTATUS(system(command));
}

static void expect_verify_names(const stage *s)
{
	char command[3 * PATH_SIZE];

	test_check(verify(s) == 6);
	snprintf(command, sizeof(command), "sed -n '/FAIL log list/,/^[a-z]/p' %s | grep -q '%s'", s->verified,
		 s->culprit != NULL ? s->culprit : s->name);
	if (system(command) != 0)
		test_fail_at(__FILE__, __LINE__, "%s: verify does not name it", s->name);
}

static void expect_found(stage *s)
{
	uint64_t hash = tree_hash(s->attacked);

	test_child_ok(expect_refused, s);
	test_check(tree_hash(s->attacked) == hash);
	expect_verify_names(s);
}

static void file_removed(const stage *s, const char *path)
{
	(void)s;
	test_check(unlink(path) == 0);
}

static void file_emptied(const stage *s, const char *path)
{
	(void)s;
	test_check(truncate(path, 0) == 0);
}

static void file_cut_by_one(const stage *s, const char *path)
{
	test_check(truncate(path, s->end - 1) == 0);
}

static void file_cut_in_the_middle(const stage *s, const char *path)
{
	test_check(truncate(path, BH_HEADER_LEN + (s->end - BH_HEADER_LEN) / 2) == 0);
}

static void file_cut_to_its_header(const stage *s, const char *path)
{
	(void)s;
	test_check(truncate(path, BH_HEADER_LEN) == 0);
}

static void file_renamed(const stage *s, const char *path)
{
	char to[PATH_SIZE];

	attacked_path(s, strstr(path, "MANIFEST") != NULL ? "MANIFEST-999999" : "999999.log", to);
	test_check(rename(path, to) == 0);
}

static void file_a_directory(const stage *s, const char *path)
{
	(void)s;
	test_check(unlink(path) == 0 && mkdir(path, 0750) == 0);
}

static const struct {
	const char *what;
	void (*make)(const stage *s, const char *path);
	bool cuts;
} attacks[] = {
	{ "removed", file_removed, false },
	{ "emptied", file_emptied, false },
	{ "cut by a byte", file_cut_by_one, true },
	{ "cut in the middle", file_cut_in_the_middle, true },
	{ "cut to its header", file_cut_to_its_header, true },
	{ "renamed", file_renamed, false },
	{ "replaced by a directory", file_a_directory, false },
};
#define ATTACK_COUNT (sizeof(attacks) / sizeof(attacks[0]))

static void attack_one(stage *s, const char *name, uint64_t end)
{
	char path[PATH_SIZE];
	struct stat st;

	s->name = name;
	attacked_path(s, name, path);
	for (size_t i = 0; i < ATTACK_COUNT; i++) {
		take_copy(s);
		s->end = end != 0 ? (off_t)end : stat(path, &st) == 0 ? st.st_size : 0;
		/* A WAL that was begun and not used yet has nothing behind its header. */
		if (attacks[i].cuts && s->end <= (off_t)BH_HEADER_LEN + 1)
			continue;
		s->how = attacks[i].what;
		attacks[i].make(s, path);
		expect_found(s);
		put_file(s, s->ws->db, name);
		if (i == 0) {
			test_check(verify(s) == 0);
			test_child_ok(expect_all_rows, s);
		}
	}
}

/* ---- which files */

typedef struct names {
	char names[16][64];
	uint64_t ends[16]; /* 0: all of it */
	size_t count;
} names;

static void add_log(void *arg, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	size_t len = strlen(name);
	names *n = arg;

	if ((len > 4 && strcmp(name + len - 4, ".log") == 0) || strncmp(name, "MANIFEST-", 9) == 0 ||
	    strcmp(name, "CURRENT") == 0) {
		test_check(n->count < 16);
		snprintf(n->names[n->count++], sizeof(n->names[0]), "%s", name);
	}
}

/* The logs that KEYRING knows, and CURRENT. */
static names listed(const stage *s)
{
	bh_keyring *keyring = NULL;
	bh_ledger ledger;
	names n = { .names = { "CURRENT" }, .count = 1 };

	test_ok(bh_keyring_open(s->ws->db, NULL, false, &keyring));
	bh_keyring_ledger(keyring, &ledger);
	bh_keyring_close(keyring);
	test_check(ledger.manifest_count == 1 && ledger.wal_count >= 2 && ledger.older_count == 0);
	n.ends[n.count] = ledger.manifests[0].end;
	snprintf(n.names[n.count++], sizeof(n.names[0]), "MANIFEST-%06u", (unsigned)ledger.manifests[0].number);
	for (size_t i = 0; i < ledger.wal_count; i++) {
		n.ends[n.count] = ledger.wals[i].end;
		snprintf(n.names[n.count++], sizeof(n.names[0]), "%06u.log", (unsigned)ledger.wals[i].number);
	}
	return n;
}

/* ---- 32 */

static void each_log_alone(const workspace *ws, bool killed)
{
	stage s;
	names n;

	stage_begin(&s, ws, killed);
	n = listed(&s);
	for (size_t i = 0; i < n.count; i++)
		attack_one(&s, n.names[i], n.ends[i]);
}

static void a_log_alone_after_a_kill(void **state)
{
	each_log_alone(*state, true);
}

static void a_log_alone_after_a_clean_close(void **state)
{
	each_log_alone(*state, false);
}

/* A log as it was in the middle of the last use. False: it was not there yet. */
static bool was_before(const stage *s, const char *name, bh_buf *out)
{
	char path[PATH_SIZE];

	path_join(path, s->before, name);
	if (!file_exists(path))
		return false;
	*out = file_read(path);
	return true;
}

/* Its own older copy, as it lay there a few rows before; and with as many zeros behind it as the disk may have had room for. */
static void older_copies(const workspace *ws, bool killed)
{
	static const uint8_t room[64 * 1024];
	unsigned older = 0;
	stage s;
	names n;

	stage_begin(&s, ws, killed);
	n = listed(&s);
	for (size_t i = 1; i < n.count; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf was = { 0 };
		char path[PATH_SIZE];

		if (!was_before(&s, n.names[i], &was) || was.len >= n.ends[i])
			continue;
		older++;
		s.name = n.names[i];
		take_copy(&s);
		put_file(&s, s.before, s.name);
		expect_found(&s);
		test_ok(bh_buf_append(&was, room, sizeof(room)));
		attacked_path(&s, s.name, path);
		file_write(path, bh_buf_view(&was));
		expect_found(&s);
		put_file(&s, s.ws->db, s.name);
		test_child_ok(expect_all_rows, &s);
	}
	test_check(older > 0);
}

static void an_older_copy_after_a_kill(void **state)
{
	older_copies(*state, true);
}

static void an_older_copy_after_a_clean_close(void **state)
{
	older_copies(*state, false);
}

/* ---- 33: several files put back together, and KEYRING */

static void put_all_back(const stage *s, const char *dir, bool (*wanted)(const char *name))
{
	names n = { .count = 0 };

	tree_walk(dir, add_log, &n);
	for (size_t i = 0; i < n.count; i++)
		if (strchr(n.names[i], '/') == NULL && wanted(n.names[i]))
			put_file(s, dir, n.names[i]);
}

static bool is_current_or_manifest(const char *name)
{
	return !isdigit((unsigned char)name[0]);
}

/* The database is opened once more, so that CURRENT names another MANIFEST. */
static void open_once_more(void *arg)
{
	bh_db *db = test_db_open(((const stage *)arg)->ws, NULL);

	bh_db_close(db);
}

static void current_and_its_manifest(void **state)
{
	stage s;

	stage_begin(&s, *state, false);
	test_child_ok(open_once_more, &s);
	s.name = "CURRENT";
	take_copy(&s);
	put_all_back(&s, s.before, is_current_or_manifest);
	expect_found(&s);
	put_file(&s, s.ws->db, "CURRENT");
	test_check(verify(&s) == 0);
	test_child_ok(expect_all_rows, &s);
}

static void all_but_keyring_and_audit(void **state)
{
	stage s;

	stage_begin(&s, *state, false);
	s.name = "CURRENT";
	s.culprit = "";
	tree_remove(s.attacked);
	tree_copy(s.before, s.attacked);
	put_file(&s, s.ws->db, BH_KEYRING_FILE);
	put_file(&s, s.ws->db, BH_AUDIT_FILE);
	expect_found(&s);
}

/* ... and nothing is lost by having tried: opened again and again, KEYRING does not grow into what the logs ask for. */
static void expect_keyring_found(stage *s)
{
	s->name = BH_KEYRING_FILE;
	for (int i = 0; i < 8; i++)
		test_child_ok(expect_refused, s);
	expect_found(s);
	put_file(s, s->ws->db, BH_KEYRING_FILE);
	put_file(s, s->ws->db, BH_AUDIT_FILE);
	test_check(verify(s) == 0);
	test_child_ok(expect_all_rows, s);
}

static void an_older_keyring(stage *s, const char *from, bool with_audit)
{
	take_copy(s);
	put_file(s, from, BH_KEYRING_FILE);
	if (with_audit)
		put_file(s, from, BH_AUDIT_FILE);
	expect_keyring_found(s);
}

static void an_older_keyring_after_a_clean_close(void **state)
{
	stage s;

	stage_begin(&s, *state, false);
	an_older_keyring(&s, s.before, false);
	an_older_keyring(&s, s.before, true);
	an_older_keyring(&s, s.earlier, false);
	an_older_keyring(&s, s.earlier, true);
	tree_remove(s.attacked); /* with all logs of its time; the audit log alone has gone on */
	tree_copy(s.before, s.attacked);
	put_file(&s, s.ws->db, BH_AUDIT_FILE);
	expect_found(&s);
}

/* As it was when it was synced last, a power cut may leave it; see a_power_cut_takes_keyrings_mark_back(). */
static void an_older_keyring_after_a_kill(void **state)
{
	stage s;

	stage_begin(&s, *state, true);
	an_older_keyring(&s, s.earlier, false);
	an_older_keyring(&s, s.earlier, true);
}

/* A session in which nothing but keys was used: its mark and its part of the audit log vanish together. */
static void a_mark_with_its_audit(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf was = { 0 }, is = { 0 };
	char path[PATH_SIZE];
	stage s;

	stage_begin(&s, *state, false);
	tree_remove(s.before);
	tree_copy(s.ws->db, s.before);
	test_child_ok(open_once_more, &s);
	take_copy(&s);
	path_join(path, s.before, BH_KEYRING_FILE);
	was = file_read(path);
	attacked_path(&s, BH_KEYRING_FILE, path);
	is = file_read(path);
	test_check(was.len >= 4096 && was.len <= is.len);
	memcpy(is.data + 3584, was.data + 3584, 512);
	file_write(path, bh_buf_view(&is));
	put_file(&s, s.before, BH_AUDIT_FILE);
	expect_keyring_found(&s);
}

/* ---- 21: what was not synced may be lost, and nothing that was acknowledged is refused for it */

static void a_power_cut_takes_keyrings_mark_back(void **state)
{
	stage s;

	stage_begin(&s, *state, true);
	take_copy(&s);
	put_file(&s, s.before, BH_KEYRING_FILE);
	test_check(verify(&s) == 0);
	test_child_ok(expect_all_rows, &s);
}

/* KEYRING's newer mark may be there all the same: then it says how far the log was synced, and what is damaged below is no end. */
static void a_power_cut_takes_a_logs_own_mark_back(void **state)
{
	stage s;
	names n;

	stage_begin(&s, *state, true);
	n = listed(&s);
	for (size_t i = 1; i < n.count; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf was = { 0 }, is = { 0 };
		char path[PATH_SIZE];

		if (!was_before(&s, n.names[i], &was))
			continue;
		s.name = n.names[i];
		take_copy(&s);
		attacked_path(&s, s.name, path);
		is = file_read(path);
		memcpy(is.data + BH_SYNC_MARK_OFFSET, was.data + BH_SYNC_MARK_OFFSET, BH_SYNC_MARK_LEN);
		file_write(path, bh_buf_view(&is));
		test_check(verify(&s) == 0);
		if (was.len < n.ends[i]) {
			is.data[n.ends[i] - 3] ^= 1;
			file_write(path, bh_buf_view(&is));
			expect_found(&s);
			is.data[n.ends[i] - 3] ^= 1;
			file_write(path, bh_buf_view(&is));
		}
		test_child_ok(expect_all_rows, &s);
	}
}

/* ---- 35: all of it put back, together. Nothing in it tells; who has kept a floor elsewhere is told. */

static void expect_all_of_before(void *arg)
{
	bh_db *db = NULL;
	bh_cf *a;

	test_ok(bh_db_open(((const stage *)arg)->attacked, NULL, &db));
	a = test_cf(db, "a", "events");
	test_expect(a, "k3", "a3");
	test_expect(a, "k4", NULL);
	bh_cf_close(a);
	bh_db_close(db);
}

typedef struct floors {
	stage s;
	char audit[BH_AUDIT_FLOOR_SIZE];
} floors;

static void expect_floor_refuses(void *arg)
{
	const floors *f = arg;
	bh_db *db = NULL;

	test_status(bh_db_open(f->s.attacked, &(bh_db_options){ .audit_floor = f->audit }, &db), BH_E_ROLLBACK);
}

static void all_of_it(void **state)
{
	bh_audit_position position;
	bh_keyring *keyring = NULL;
	floors f = { 0 };

	stage_begin(&f.s, *state, false);
	test_ok(bh_keyring_open(f.s.ws->db, NULL, false, &keyring));
	bh_audit_position_get(bh_keyring_audit(keyring), &position);
	bh_audit_floor_format(&position, f.audit);
	bh_keyring_close(keyring);
	tree_remove(f.s.attacked);
	tree_copy(f.s.before, f.s.attacked);
	test_child_ok(expect_floor_refuses, &f);
	test_child_ok(expect_all_of_before, &f.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(a_log_alone_after_a_kill),
		SUSPEND_CASE(a_log_alone_after_a_clean_close),
		SUSPEND_CASE(an_older_copy_after_a_kill),
		SUSPEND_CASE(an_older_copy_after_a_clean_close),
		SUSPEND_CASE(current_and_its_manifest),
		SUSPEND_CASE(all_but_keyring_and_audit),
		SUSPEND_CASE(an_older_keyring_after_a_clean_close),
		SUSPEND_CASE(an_older_keyring_after_a_kill),
		SUSPEND_CASE(a_mark_with_its_audit),
		SUSPEND_CASE(a_power_cut_takes_keyrings_mark_back),
		SUSPEND_CASE(a_power_cut_takes_a_logs_own_mark_back),
		SUSPEND_CASE(all_of_it),
	};

	return cmocka_run_group_tests_name("fresh logs", tests, NULL, NULL);
}
