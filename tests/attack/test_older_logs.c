/* SPDX-License-Identifier: Apache-2.0
 *
 * test_older_logs.c: after a rotation with a sweep, a WAL, MANIFEST, SST or blob file of before is put back under its name. A log
 * is refused as one that KEYRING does not know, whatever is in it. And where KEYRING is told of it, by who has the platform's key,
 * or nobody is asked, as with SSTs and blob files: what a living merchant has in it lies under a DEK that is destroyed, and the
 * open is refused, or this merchant is not served; never are there rows, or bounds, of zero bytes. With the right file back every
 * row is there, the other merchant's too.
 */
#include <signal.h>

#include <bulkhead/rotation.h>

#include "keyring/ring/keyring.h"
#include "tests/engine/rotation/rotation_fixture.h"

typedef struct stage {
	const workspace *ws;
	char before[PATH_SIZE]; /* the directory as it was before the sweep */
	char attacked[PATH_SIZE];
	const char *name; /* of what is put back, in its directory */
	bool is_wal, is_page_file;
	bool listed; /* KEYRING knows the older log */
} stage;

static rocksdb_options_t *with_blobs(void)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_enable_blob_files(options, 1);
	rocksdb_options_set_disable_auto_compactions(options, 1);
	return options;
}

/* Rows in an SST and a blob file, and in a WAL that stays; killed, so that nothing is flushed at the end. */
static void fill_and_sweep(void *arg)
{
	const bh_write_options durable = { .sync = true };
	const stage *s = arg;
	bh_cf *a, *b;
	bh_db *db;

	make_two(s->ws);
	db = test_db_open(s->ws, with_blobs());
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	test_put(a, "k0", "a0");
	test_put(b, "k0", "b0");
	test_ok(bh_flush(a));
	test_ok(bh_put(b, &durable, bh_view_str("k3"), bh_view_str("b3")));
	test_ok(bh_put(a, &durable, bh_view_str("k3"), bh_view_str("a3")));
	tree_copy(s->ws->db, s->before);
	test_ok(bh_merchant_rotate(db, "a", &(bh_rotate_options){ .sweep = true }));
	test_ok(bh_merchant_sweep(db, "a", NULL));
	expect_generations(db, "a", 2, 2, 2);
	raise(SIGKILL);
}

static void expect_rows(void *arg)
{
	const stage *s = arg;
	bh_db *db = test_db_open(s->ws, NULL);

	expect_numbered(db, 0, 3);
	bh_db_close(db);
}

/* What can be read is right; `some_fail`: not all of it can, else all. */
static void expect_right(bh_cf *a, bool some_fail)
{
	unsigned failed = 0;

	for (int i = 0; i <= 3; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
		char key[8], value[8];
		bh_status status;

		snprintf(key, sizeof(key), "k%d", i);
		snprintf(value, sizeof(value), "a%d", i);
		status = bh_get(a, NULL, bh_view_str(key), &got);
		if (status == BH_OK)
			test_check(got.len == strlen(value) && memcmp(got.data, value, got.len) == 0);
		else
			test_check(status != BH_E_NO_SUCH_KEY);
		failed += status != BH_OK;
	}
	test_check((failed > 0) == some_fail);
}

/* A is refused for what was found; what B had in a WAL is there all the same. (An older MANIFEST is B's older list of files, too:
 * that is not looked at here.) */
static void expect_a_refused(const stage *s, bh_db *db)
{
	bh_cf *a = NULL;
	bh_status status = bh_cf_open(db, "a", "events", &a);

	test_check(s->listed || s->is_page_file);
	/* Of a page file it is found when it is read. Of a log nothing may be needed, or all of a's may be. */
	if (status == BH_OK)
		expect_right(a, s->is_page_file);
	else
		test_status(status, BH_E_DAMAGED);
	bh_cf_close(a);
	if (s->is_wal || s->is_page_file) {
		bh_cf *b = test_cf(db, "b", "events");

		test_expect(b, "k0", "b0");
		test_expect(b, "k1", "b1");
		test_expect(b, "k2", "b2");
		test_expect(b, "k3", "b3");
		bh_cf_close(b);
	}
}

static void expect_refused(void *arg)
{
	const stage *s = arg;
	bh_db *db = NULL;
	bh_status status = bh_db_open(s->attacked, NULL, &db);

	if (status == BH_OK) {
		expect_a_refused(s, db);
		bh_db_close(db);
		return;
	}
	test_check(!s->is_page_file);
	test_status(status, s->listed ? BH_E_TAG : BH_E_ROLLBACK);
	test_message_names(s->listed ? "a/events" : s->name);
	test_message_names(s->listed ? "of before a rotation" : "put the right one back");
}

/* KEYRING's list has the older log in the place of the newer. */
static void list_older(const stage *s, bh_view older)
{
	bh_keyring *keyring = NULL;
	bh_ledger ledger;
	bh_header header;

	test_ok(bh_header_parse(older, &header));
	test_ok(bh_keyring_open(s->attacked, NULL, true, &keyring));
	bh_keyring_ledger(keyring, &ledger);
	for (size_t i = 0; i < BH_LEDGER_WALS + BH_LEDGER_MANIFESTS; i++) {
		bh_ledger_log *log = i < BH_LEDGER_WALS ? &ledger.wals[i] : &ledger.manifests[i - BH_LEDGER_WALS];

		if (log->number == header.number) {
			memcpy(log->salt, header.salt, BH_LEDGER_SALT_LEN);
			log->end = BH_HEADER_LEN;
		}
	}
	test_ok(bh_keyring_ledger_put(keyring, &ledger));
	bh_keyring_close(keyring);
}

/* The directory as it is, but for the one file. */
static void put_back_older(stage *s, const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf older = file_read(path);
	BH_CLEANUP(bh_buf_clear) bh_buf newer = { 0 };
	char target[PATH_SIZE];

	path_join(s->attacked, s->ws->root, "attacked");
	tree_remove(s->attacked);
	tree_copy(s->ws->db, s->attacked);
	path_join(target, s->attacked, path + strlen(s->before) + 1);
	s->name = strrchr(path, '/') + 1;
	newer = file_read(target);
	test_check(newer.len > 0 && (newer.len != older.len || memcmp(newer.data, older.data, older.len) != 0));
	file_write(target, bh_buf_view(&older));
	if (s->listed)
		list_older(s, bh_buf_view(&older));
	test_child_ok(expect_refused, s);
}

/* Those that are still there, and are others by now. */
static unsigned put_back_each(stage *s, const char *suffix)
{
	unsigned count = 0;
	char path[PATH_SIZE];

	for (size_t i = 0; file_find(s->before, suffix, i, path); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf older = file_read(path), newer = { 0 };
		char now[PATH_SIZE];

		path_join(now, s->ws->db, path + strlen(s->before) + 1);
		if (!file_exists(now))
			continue;
		newer = file_read(now);
		if (newer.len == older.len && memcmp(newer.data, older.data, older.len) == 0)
			continue;
		put_back_older(s, path);
		count++;
	}
	return count;
}

static unsigned put_back_manifest(stage *s)
{
	unsigned count = 0;

	for (unsigned number = 0; number < 100; number++) {
		char name[32];

		snprintf(name, sizeof(name), "MANIFEST-%06u", number);
		count += put_back_each(s, name);
	}
	return count;
}

static void an_older_file_is_refused(void **state)
{
	stage s = { .ws = *state };

	path_join(s.before, s.ws->root, "before");
	test_child_killed(fill_and_sweep, &s);
	for (int listed = 0; listed < 2; listed++) {
		s.listed = listed == 1;
		s.is_wal = true;
		test_check(put_back_each(&s, ".log") > 0);
		s.is_wal = false;
		test_check(put_back_manifest(&s) > 0);
	}
	s.listed = false;
	s.is_page_file = true;
	test_check(put_back_each(&s, ".sst") > 0);
	test_check(put_back_each(&s, ".blob") > 0);
	test_child_ok(expect_rows, &s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(an_older_file_is_refused),
	};

	return cmocka_run_group_tests_name("older files", tests, NULL, NULL);
}
