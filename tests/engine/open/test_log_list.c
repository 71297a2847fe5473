/* SPDX-License-Identifier: Apache-2.0
 *
 * test_log_list.c: the list of logs in KEYRING's mark over a database's life: many WALs at once, which do not fit there; WALs that
 * go; MANIFESTs that follow each other; logs that are sealed anew. A kill at each step that makes something durable leaves a
 * database that `verify` finds right, that opens, and that has every row that was acknowledged, of both merchants.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/rotation.h>

#include "env/fs/fresh.h"
#include "keyring/base/crashpoint.h"
#include "keyring/ring/keyring.h"
#include "tests/engine/wall/suspend_fixture.h"

enum { LOGS = 13 }; /* more than KEYRING's mark has room for */

typedef struct life {
	workspace *ws;
	char whole[PATH_SIZE]; /* as it was made */
	const char *crash_at;
	int *acked;      /* rows of b's, shared with the child */
	bool stays_full; /* ends, by a kill, with all WALs there */
} life;

static int life_setup(void **state)
{
	life *l = calloc(1, sizeof(*l));

	test_check(test_workspace_make((void **)&l->ws) == 0);
	path_join(l->whole, l->ws->root, "whole");
	l->acked = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	test_check(l->acked != MAP_FAILED);
	test_child_ok(make_two_child, l->ws);
	tree_copy(l->ws->db, l->whole);
	*state = l;
	return 0;
}

static int life_teardown(void **state)
{
	life *l = *state;

	munmap(l->acked, sizeof(int));
	test_workspace_drop((void **)&l->ws);
	free(l);
	return 0;
}

static void put_counted(life *l, bh_cf *b, int i)
{
	char key[16];

	snprintf(key, sizeof(key), "row%03d", i);
	test_ok(bh_put(b, &(bh_write_options){ .sync = true }, bh_view_str(key), bh_view_str("b")));
	*l->acked = i + 1;
}

/* a's one row keeps every WAL from going while b's are flushed. */
static void live(void *arg)
{
	life *l = arg;
	bh_cf *b, *idle;
	bh_db *db;

	bh_crash_arm(l->crash_at);
	db = test_db_open(l->ws, NULL);
	idle = test_cf(db, "a", "profile");
	b = test_cf(db, "b", "events");
	test_ok(bh_put(idle, &(bh_write_options){ .sync = true }, bh_view_str("p"), bh_view_str("idle")));
	for (int i = 0; i < LOGS; i++) {
		put_counted(l, b, i);
		test_ok(bh_flush(b));
	}
	if (l->stays_full)
		_exit(0);
	test_ok(bh_merchant_rotate(db, "a", &(bh_rotate_options){ .sweep = true }));
	test_ok(bh_merchant_sweep(db, "a", NULL));
	test_ok(bh_flush(idle));
	for (int i = LOGS; i < LOGS + 2; i++) {
		put_counted(l, b, i);
		test_ok(bh_flush(b));
	}
	bh_cf_close(idle);
	bh_cf_close(b);
	bh_db_close(db);
}

static void expect_acknowledged(void *arg)
{
	const life *l = arg;
	bh_db *db = test_db_open(l->ws, NULL);
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events"), *idle = test_cf(db, "a", "profile");

	test_expect(a, "k1", "a1");
	test_expect(a, "k2", "a2");
	test_expect(b, "k2", "b2");
	if (*l->acked > 0)
		test_expect(idle, "p", "idle");
	for (int i = 0; i < *l->acked; i++) {
		char key[16];

		snprintf(key, sizeof(key), "row%03d", i);
		test_expect(b, key, "b");
	}
	bh_cf_close(a);
	bh_cf_close(b);
	bh_cf_close(idle);
	bh_db_close(db);
}

static int verify(const life *l, const char *what)
{
	char command[3 * PATH_SIZE];
	int code;

	snprintf(command, sizeof(command), "%s --db %s verify >%s/verify.txt 2>&1", BH_TEST_BHCTL, l->ws->db, l->ws->root);
	code = WEXITSTATUS(system(command));
	if (code != 0)
		fprintf(stderr, "%s: verify: %d\n", what, code);
	return code;
}

static void begin_anew(life *l)
{
	tree_remove(l->ws->db);
	tree_copy(l->whole, l->ws->db);
	*l->acked = 0;
}

static const char *const points[] = {
	"logs.older.written",   "logs.older.listed",  "logs.struck-out",  "logs.strike-synced",   "logs.current.listed",
	"logs.current.renamed", "logs.reseal.listed", "reseal.exchanged", "logs.reseal.replaced", "logs.ended",
};

static void killed_at_each_step(void **state)
{
	life *l = *state;

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		bool survived = false;
		int kills = 0;

		for (int n = 1; n <= 3 && !survived; n++) {
			char spec[64];

			snprintf(spec, sizeof(spec), "%s:%d", points[i], n);
			begin_anew(l);
			l->crash_at = spec;
			survived = test_child_survives(live, l);
			kills += !survived;
			test_check(verify(l, spec) == 0);
			test_child_ok(expect_acknowledged, l);
			test_check(verify(l, spec) == 0);
		}
		if (kills == 0)
			test_fail_at(__FILE__, __LINE__, "%s: nobody comes by", points[i]);
	}
	l->crash_at = NULL;
}

static bh_ledger ledger_of(const life *l)
{
	bh_keyring *keyring = NULL;
	bh_ledger ledger;

	test_ok(bh_keyring_open(l->ws->db, NULL, false, &keyring));
	bh_keyring_ledger(keyring, &ledger);
	bh_keyring_close(keyring);
	return ledger;
}

static void expect_refused(void *arg)
{
	const char *name = ((const life *)arg)->crash_at;
	bh_db *db = NULL;

	test_status(bh_db_open(((const life *)arg)->ws->db, NULL, &db), BH_E_ROLLBACK);
	test_message_names(name);
}

/* Each of them is missed, also those that stand in the file of older ones; and so is that file. */
static void more_logs_than_the_mark_has_room_for(void **state)
{
	life *l = *state;
	char path[PATH_SIZE], kept[PATH_SIZE];
	bh_ledger ledger;
	unsigned found = 0;

	begin_anew(l);
	l->stays_full = true;
	test_child_ok(live, l);
	l->stays_full = false;
	ledger = ledger_of(l);
	test_check(ledger.older_count > 0 && ledger.older_count + ledger.wal_count > BH_LEDGER_WALS);
	path_join(kept, l->ws->root, "kept");
	for (unsigned number = 1; number < 200; number++) {
		char name[32];

		snprintf(name, sizeof(name), number == 1 ? BH_FRESH_OLDER_FILE : "%06u.log", number);
		path_join(path, l->ws->db, name);
		if (!file_exists(path))
			continue;
		test_check(rename(path, kept) == 0);
		l->crash_at = name;
		if (number == 1 || number > ledger.gone) {
			bool listed = number == 1 || verify(l, name) != 0;

			found += listed;
			if (listed)
				test_child_ok(expect_refused, l);
		}
		test_check(rename(kept, path) == 0);
	}
	l->crash_at = NULL;
	test_check(found == 1 + ledger.older_count + ledger.wal_count);
	test_check(verify(l, "all back") == 0);
	test_child_ok(expect_acknowledged, l);
}

/* KEYRING cannot be written when a WAL is about to go: it stays, and whoever asks again is let through only when the list without
 * it is durable. */
static void strike_out_twice(void *arg)
{
	const life *l = arg;
	const struct rlimit nothing = { 0, RLIM_INFINITY }, all = { RLIM_INFINITY, RLIM_INFINITY };
	const bh_header header = { .kind = BH_KIND_WAL, .number = 900, .salt = { 1 } };
	bh_fresh fresh = { .lock = PTHREAD_MUTEX_INITIALIZER };
	bh_scopes scopes = { 0 };
	bh_keyring *keyring = NULL;

	signal(SIGXFSZ, SIG_IGN);
	test_ok(bh_keyring_open(l->ws->db, NULL, true, &keyring));
	test_ok(bh_fresh_begin(&fresh, keyring, l->ws->db, &scopes));
	test_ok(bh_fresh_made(&fresh, &header));
	bh_fresh_synced(&fresh, &header, BH_HEADER_LEN + 1000);
	test_ok(bh_keyring_ledger_sync(keyring));
	test_check(setrlimit(RLIMIT_FSIZE, &nothing) == 0);
	test_status(bh_fresh_gone(&fresh, header.number), BH_E_IO);
	test_check(setrlimit(RLIMIT_FSIZE, &all) == 0);
	test_check(bh_keyring_durable(keyring) < bh_keyring_sequence(keyring));
	test_ok(bh_fresh_gone(&fresh, header.number));
	test_check(bh_keyring_durable(keyring) == bh_keyring_sequence(keyring));
	bh_fresh_clear(&fresh);
	bh_keyring_close(keyring);
}

static void a_strike_that_failed_is_made_up_for(void **state)
{
	life *l = *state;

	begin_anew(l);
	test_child_ok(strike_out_twice, l);
	test_check(verify(l, "a strike made up for") == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_logs_than_the_mark_has_room_for),
		cmocka_unit_test(killed_at_each_step),
		cmocka_unit_test(a_strike_that_failed_is_made_up_for),
	};

	return cmocka_run_group_tests_name("log list", tests, life_setup, life_teardown);
}
