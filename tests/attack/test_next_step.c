/* SPDX-License-Identifier: Apache-2.0
 *
 * test_next_step.c: a suspension, a resume or a shred fails at its n-th system call, once or from there on, and then the next step
 * is asked for, whatever that is: never is the last copy of the merchant's files removed. After a reopen the merchant is there
 * with all of its rows, or, where a shred was asked for, shredded; B is there in any case.
 *
 * Calls of our own objects on the thread that asks are in reach of the linker's --wrap: those that record, link, rename, remove and
 * sync. BH_NEXT_STEP_STRIDE: every so many-th call is failed (1: each).
 */
#include "engine/wall/detach.h"
#include "tests/engine/wall/suspend_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SYNCED_ROWS = 40, DEFAULT_STRIDE = 17 };

static _Thread_local struct {
	long left; /* calls until the fault; below 0: none */
	bool for_good, fired;
	int error;
} fault = { .left = -1 };

static bool fault_now(void)
{
	if (fault.left < 0 || fault.left-- > 0)
		return false;
	fault.fired = true;
	if (fault.for_good)
		fault.left = 0;
	errno = fault.error;
	return true;
}

#define WRAP(type, name, params, args)                                                                                             \
	type __real_##name params;                                                                                                 \
	type __wrap_##name params;                                                                                                 \
	type __wrap_##name params                                                                                                  \
	{                                                                                                                          \
		return fault_now() ? -1 : __real_##name args;                                                                      \
	}

WRAP(int, fsync, (int fd), (fd))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, ftruncate, (int fd, off_t len), (fd, len))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(int, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
WRAP(int, unlinkat, (int fd, const char *name, int flags), (fd, name, flags))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t off), (fd, p, n, off))

/* ---- steps */

typedef enum step { SUSPEND, REVOKE, RESUME, SHRED, STEP_COUNT } step;
static const char *const step_names[STEP_COUNT] = { "suspend", "revoke", "resume", "shred" };

static bh_status take_step(bh_db *db, step s)
{
	switch (s) {
	case SUSPEND: return bh_merchant_suspend(db, "a", NULL);
	case REVOKE: return bh_merchant_detach(db, "a", BH_SUSPEND_KMS_REFUSED, "its CMK is disabled");
	case RESUME: return bh_merchant_resume(db, "a", NULL);
	default: return bh_merchant_shred(db, "a", NULL);
	}
}

/* One run: `first` fails at its call `at`, then `next` is asked for. */
typedef struct run {
	const workspace *ws;
	step first, next;
	long at;
	bool for_good;
	int report; /* a pipe: one byte, whether the fault came */
} run;

/* A pipe, not a status: whatever else happens in the child is a failure of the test. */
static void fail_then_go_on(void *arg)
{
	const run *r = arg;
	bh_db *db = test_db_open(r->ws, NULL);
	bh_cf *b = test_cf(db, "b", "events");
	bool fired;

	fault.left = r->at;
	fault.for_good = r->for_good;
	fault.error = r->at % 2 == 0 ? EIO : ENOSPC;
	fault.fired = false;
	(void)!take_step(db, r->first);
	fault.left = -1;
	fired = fault.fired;
	(void)!take_step(db, r->next);
	test_expect(b, "k1", "b1");
	test_put(b, "still", "served");
	bh_cf_close(b);
	bh_db_close(db);
	test_check(write(r->report, &fired, 1) == 1);
}

static bool is_shredded(bh_db *db)
{
	bh_cf *cf = NULL;
	bh_status status = bh_cf_open(db, "a", "events", &cf);

	bh_cf_close(cf);
	return status == BH_E_SHREDDED;
}

static void expect_rows(bh_db *db)
{
	bh_cf *a = test_cf(db, "a", "events");

	for (int i = 0; i < SYNCED_ROWS; i++)
		expect_put_row(a, i, row_len(i));
	bh_cf_close(a);
	expect_both(db, false);
}

static void find_all(void *arg)
{
	const run *r = arg;
	bh_db *db = test_db_open(r->ws, NULL);
	bh_cf *b = test_cf(db, "b", "events");
	bh_status status;

	test_expect(b, "still", "served");
	bh_cf_close(b);
	if (is_shredded(db)) {
		test_check(r->first == SHRED || r->next == SHRED);
	} else {
		status = bh_merchant_resume(db, "a", NULL);
		if (status != BH_OK && status != BH_E_EXISTS)
			test_fail_at(__FILE__, __LINE__, "cannot be resumed: %s", bh_status_message());
		expect_rows(db);
	}
	bh_db_close(db);
}

/* ---- runs */

/* A and B with rows in SSTs and in the WAL; A suspended where the first step is a resume. */
typedef struct origin {
	workspace ws;
	step first;
} origin;

static void make_origin(void *arg)
{
	const origin *o = arg;
	bh_cf *a;
	bh_db *db;

	make_two(&o->ws);
	db = test_db_open(&o->ws, NULL);
	a = test_cf(db, "a", "events");
	for (int i = 0; i < SYNCED_ROWS; i++) {
		put_row(a, i, row_len(i));
		if (i == SYNCED_ROWS / 2)
			test_ok(bh_flush(a));
	}
	test_ok(bh_sync_wal(db));
	bh_cf_close(a);
	if (o->first == RESUME)
		test_ok(bh_merchant_detach(db, "a", BH_SUSPEND_KMS_DAMAGED, "rows are in the WALs that are parked"));
	bh_db_close(db);
}

/* The KMS's directory is of the database's record, so it is put back where it was. */
static void put_back(const workspace *ws, const char *saved)
{
	char from[PATH_SIZE];

	tree_remove(ws->db);
	tree_remove(ws->kms);
	path_join(from, saved, "db");
	tree_copy(from, ws->db);
	path_join(from, saved, "kms");
	tree_copy(from, ws->kms);
}

static bool run_once(run *r)
{
	bool fired = false;
	int ends[2];

	test_check(pipe(ends) == 0);
	r->report = ends[1];
	test_child_ok(fail_then_go_on, r);
	close(ends[1]);
	test_check(read(ends[0], &fired, 1) == 1);
	close(ends[0]);
	test_child_ok(find_all, r);
	return fired;
}

static long stride(void)
{
	const char *text = getenv("BH_NEXT_STEP_STRIDE");
	long n = text != NULL ? strtol(text, NULL, 10) : 0;

	return n > 0 ? n : DEFAULT_STRIDE;
}

/* Every pair begins at another call, so that all of them together fail each. */
static void run_pair(const workspace *ws, const char *saved, step first, step next)
{
	run r = { .ws = ws, .first = first, .next = next };
	long runs = 0;
	bool fired = true;

	for (r.at = (long)next % stride(); fired; r.at += stride()) {
		fired = false;
		for (int for_good = 0; for_good < 2; for_good++, runs++) {
			r.for_good = for_good != 0;
			put_back(ws, saved);
			print_message("%s fails at %ld%s, then %s\n", step_names[first], r.at, r.for_good ? " and on" : "",
				      step_names[next]);
			fired |= run_once(&r);
		}
	}
	print_message("%s, then %s: %ld runs\n", step_names[first], step_names[next], runs);
	test_check(runs > 1);
}

static void run_all(step first)
{
	origin o = { .first = first };
	char saved[PATH_SIZE], part[PATH_SIZE];

	workspace_open(&o.ws);
	test_child_ok(make_origin, &o);
	path_join(saved, o.ws.root, "saved");
	test_check(mkdir(saved, 0700) == 0);
	path_join(part, saved, "db");
	tree_copy(o.ws.db, part);
	path_join(part, saved, "kms");
	tree_copy(o.ws.kms, part);
	for (step next = SUSPEND; next < STEP_COUNT; next++)
		run_pair(&o.ws, saved, first, next);
	workspace_close(&o.ws);
}

static void after_a_failed_suspension(void **state)
{
	(void)state;
	run_all(SUSPEND);
}

static void after_a_failed_revocation(void **state)
{
	(void)state;
	run_all(REVOKE);
}

static void after_a_failed_resume(void **state)
{
	(void)state;
	run_all(RESUME);
}

static void after_a_failed_shred(void **state)
{
	(void)state;
	run_all(SHRED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_a_failed_resume),
		cmocka_unit_test(after_a_failed_suspension),
		cmocka_unit_test(after_a_failed_revocation),
		cmocka_unit_test(after_a_failed_shred),
	};

	return cmocka_run_group_tests_name("next_step", tests, NULL, NULL);
}
