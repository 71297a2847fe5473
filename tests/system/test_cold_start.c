/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cold_start.c: a database opens with the merchants whose keys it gets. The others lose nothing and are back when their keys
 * are.
 */
#include "suspend_fixture.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#ifdef BH_SANITIZED
enum { STRIDE = 4, CROWD = 40, GONE = 10 }; /* one in STRIDE of the kill points, from another first one each time */
#else
enum { STRIDE = 1, CROWD = 200, GONE = 50 };
#endif

static void set_cmk(const workspace *ws, const char *name, bh_status (*change)(bh_kms *kms))
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(workspace_cmk(ws, name), NULL, &kms));
	test_ok(change(kms));
	bh_kms_close(kms);
}

static void leave_unflushed(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);
	bh_cf *p = test_cf(db, "a", "profile");

	test_ok(bh_put(p, &(bh_write_options){ .sync = true }, bh_view_str("last"), bh_view_str("word")));
	kill(getpid(), SIGKILL);
}

static void cold_start_killed(void *arg)
{
	const kill_run *k = arg;

	arm(k->at);
	bh_db_close(test_db_open(k->ws, NULL));
}

static void served_without_a(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);
	bh_cf *cf = NULL;

	test_status(bh_cf_open(db, "a", "events", &cf), BH_E_KMS_REFUSED);
	cf = test_cf(db, "b", "events");
	test_expect(cf, "k1", "b1");
	test_expect(cf, "k2", "b2");
	bh_cf_close(cf);
	bh_db_close(db);
}

static void served_with_a(void *arg)
{
	bh_db *db = test_db_open(arg, NULL);

	expect_both(db, true);
	bh_db_close(db);
}

/* The CMK is gone when the database opens after a crash: parked without a key, from WAL and MANIFEST as the kill left them. */
static void cold_start_without_a_cmk_killed_at_every_step(void **state)
{
	kill_run k = { .ws = *state };
	bool survived = false;

	test_child_ok(make_two_child, *state);
	for (k.at = 1 + (int)(time(NULL) % STRIDE); !survived; k.at += STRIDE) {
		test_child_killed(leave_unflushed, *state);
		set_cmk(k.ws, "a", bh_kms_disable);
		survived = test_child_survives(cold_start_killed, &k);
		test_child_ok(served_without_a, *state);
		set_cmk(k.ws, "a", bh_kms_enable);
		test_child_ok(served_with_a, *state);
	}
	test_check(k.at > 5);
}

static void count_line(void *arg, const char *line)
{
	(void)line;
	++*(int *)arg;
}

/* Every KMS but the platform's is down: open, nobody attached, all said, nothing lost. */
static void open_with_no_merchant(void *arg)
{
	const workspace *ws = arg;
	int lines = 0;
	const bh_db_options options = { .log = count_line, .log_arg = &lines };
	bh_cf *cf = NULL;
	bh_db *db = NULL;

	test_ok(bh_db_open(ws->db, &options, &db));
	test_check(lines >= 2);
	test_status(bh_cf_open(db, "a", "events", &cf), BH_E_KMS_REFUSED);
	test_status(bh_cf_open(db, "b", "events", &cf), BH_E_KMS_REFUSED);
	bh_db_close(db);
}

static void cold_start_with_nobody(void **state)
{
	test_child_ok(make_two_child, *state);
	test_child_killed(leave_unflushed, *state);
	set_cmk(*state, "a", bh_kms_disable);
	set_cmk(*state, "b", bh_kms_disable);
	test_child_ok(open_with_no_merchant, *state);
	test_child_ok(open_with_no_merchant, *state);
	set_cmk(*state, "a", bh_kms_enable);
	set_cmk(*state, "b", bh_kms_enable);
	test_child_ok(served_with_a, *state);
}

static void crowd_name(char out[16], int i)
{
	snprintf(out, 16, "m%03d", i);
}

static void make_crowd(void *arg)
{
	const workspace *ws = arg;
	char name[16];
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	for (int i = 0; i < CROWD; i++) {
		bh_cf *cf;

		crowd_name(name, i);
		test_merchant_add(ws, db, name, "data", NULL);
		cf = test_cf(db, name, "data");
		test_put(cf, "k", name);
		bh_cf_close(cf);
	}
	test_ok(bh_sync_wal(db));
	bh_db_close(db);
}

static void expect_crowd(bh_db *db, int from)
{
	char name[16];

	for (int i = 0; i < CROWD; i++) {
		bh_cf *cf = NULL;

		crowd_name(name, i);
		if (i < from) {
			test_status(bh_cf_open(db, name, "data", &cf), BH_E_KMS_REFUSED);
			continue;
		}
		cf = test_cf(db, name, "data");
		test_expect(cf, "k", name);
		bh_cf_close(cf);
	}
}

static void open_part_of_the_crowd(void *arg)
{
	const workspace *ws = arg;
	char name[16];
	bh_db *db;

	for (int i = 0; i < GONE; i++) {
		crowd_name(name, i);
		set_cmk(ws, name, bh_kms_disable);
	}
	db = test_db_open(ws, NULL);
	expect_crowd(db, GONE);
	bh_db_close(db);
	for (int i = 0; i < GONE; i++) {
		crowd_name(name, i);
		set_cmk(ws, name, bh_kms_enable);
	}
	db = test_db_open(ws, NULL);
	expect_crowd(db, 0);
	bh_db_close(db);
}

static void cold_start_of_two_hundred_with_fifty_gone(void **state)
{
	test_child_ok(make_crowd, *state);
	test_child_ok(open_part_of_the_crowd, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(cold_start_without_a_cmk_killed_at_every_step),
		SUSPEND_CASE(cold_start_with_nobody),
		SUSPEND_CASE(cold_start_of_two_hundred_with_fifty_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
