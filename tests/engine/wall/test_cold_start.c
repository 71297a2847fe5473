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
enum { STRIDE = 4, CROWD = 40, GONE = 12 }; /* one in STRIDE of the kill points, from another first one each time */
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

/* ---- a crowd, of which the first GONE have no usable CMK: each of the three ways in turn */

typedef enum loss { NOT_LOST, DISABLED, DESTROYED, UNREACHABLE } loss;

static loss loss_of(int i)
{
	return i < GONE ? (loss)(DISABLED + i % 3) : NOT_LOST;
}

static void crowd_name(char out[16], int i)
{
	snprintf(out, 16, "m%03d", i);
}

/* Those that will be out of reach have a KMS of their own. */
static void crowd_kms(const workspace *ws, char out[PATH_SIZE])
{
	path_join(out, ws->root, "kms-far");
}

static void crowd_cmk(const workspace *ws, int i, char out[PATH_SIZE + 32])
{
	char name[16], dir[PATH_SIZE];

	crowd_name(name, i);
	crowd_kms(ws, dir);
	snprintf(out, PATH_SIZE + 32, "local:%s#%s", loss_of(i) == UNREACHABLE ? dir : ws->kms, name);
}

static void make_crowd(void *arg)
{
	static const char *const classes[] = { "data" };
	const workspace *ws = arg;
	char name[16], cmk[PATH_SIZE + 32];
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	for (int i = 0; i < CROWD; i++) {
		bh_cf *cf;

		crowd_name(name, i);
		crowd_cmk(ws, i, cmk);
		test_ok(bh_kms_create(cmk, "eu-1", NULL));
		test_ok(bh_merchant_add(db, name, cmk, &(bh_merchant_options){ classes, 1 }));
		cf = test_cf(db, name, "data");
		test_put(cf, "k", name);
		bh_cf_close(cf);
	}
	test_ok(bh_sync_wal(db));
	bh_db_close(db);
}

static void change_cmk(const workspace *ws, int i, bh_status (*change)(bh_kms *kms))
{
	char cmk[PATH_SIZE + 32];
	bh_kms *kms = NULL;

	crowd_cmk(ws, i, cmk);
	test_ok(bh_kms_open(cmk, NULL, &kms));
	test_ok(change(kms));
	bh_kms_close(kms);
}

static bh_status destroy(bh_kms *kms)
{
	return bh_kms_destroy(kms, NULL);
}

static void crowd_loses(const workspace *ws)
{
	char far[PATH_SIZE], away[PATH_SIZE];

	for (int i = 0; i < GONE; i++) {
		if (loss_of(i) == DISABLED)
			change_cmk(ws, i, bh_kms_disable);
		else if (loss_of(i) == DESTROYED)
			change_cmk(ws, i, destroy);
	}
	crowd_kms(ws, far);
	path_join(away, ws->root, "away");
	test_check(rename(far, away) == 0);
}

/* All that can be: what is destroyed stays so. */
static void crowd_gets_back(const workspace *ws)
{
	char far[PATH_SIZE], away[PATH_SIZE];

	for (int i = 0; i < GONE; i++)
		if (loss_of(i) == DISABLED)
			change_cmk(ws, i, bh_kms_enable);
	crowd_kms(ws, far);
	path_join(away, ws->root, "away");
	test_check(rename(away, far) == 0);
}

static bh_status status_of(int i, bool lost)
{
	switch (loss_of(i)) {
	case DISABLED: return lost ? BH_E_KMS_REFUSED : BH_OK;
	case DESTROYED: return BH_E_KMS_REFUSED;
	case UNREACHABLE: return lost ? BH_E_KMS_UNREACHABLE : BH_OK;
	default: return BH_OK;
	}
}

static void expect_crowd(bh_db *db, bool lost)
{
	char name[16];

	for (int i = 0; i < CROWD; i++) {
		bh_status want = status_of(i, lost);
		bh_cf *cf = NULL;

		crowd_name(name, i);
		test_status(bh_cf_open(db, name, "data", &cf), want);
		if (want != BH_OK)
			test_message_names(name);
		else
			test_expect(cf, "k", name);
		bh_cf_close(cf);
	}
}

static void open_part_of_the_crowd(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	crowd_loses(ws);
	db = test_db_open(ws, NULL);
	expect_crowd(db, true);
	bh_db_close(db);
	crowd_gets_back(ws);
	db = test_db_open(ws, NULL);
	expect_crowd(db, false);
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
