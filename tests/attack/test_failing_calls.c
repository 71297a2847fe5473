/* SPDX-License-Identifier: Apache-2.0
 *
 * test_failing_calls.c: the n-th system call on a file of the database fails, once or for ever, in the middle of everything that
 * can be done to a merchant; by a preloaded library (failing_calls.h), so that RocksDB's own calls fail as well.
 *
 * Each variant is a child process over a fresh copy of one database: three merchants, one of them suspended. What must hold:
 *   - the process does not end by a signal, and nothing waits for ever;
 *   - once calls work again, the neighbour is read and written, in the same process or after an open, which never fails;
 *   - no row that was acknowledged is lost, of anybody who is not shredded;
 *   - what failed can be done again.
 * Short: a sample, the same each time, for BH_FAILING_SECONDS (40). BH_FAILING_CALLS=all: every n of every call.
 * BH_FAILING_ONLY="op call error n forever" runs one variant, as a failure prints it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/core/home.h"
#include "failing_calls.h"
#include "tests/support/harness.h"
#include "tests/support/random.h"

enum { ROWS = 20, NEW_ROWS = 8, PATIENCE_MS = 15000, VARIANT_MS = 90000 };

static const char *const call_names[FAILING_CALLS] = { "none",   "open", "read",   "write",   "sync",
						       "rename", "link", "unlink", "allocate" };
static const int errors[] = { EIO, ENOSPC, EMFILE, EINTR };

static failing_arm_fn *arm;

/* ---- the database */

typedef struct stage {
	workspace ws;
	char template_db[PATH_SIZE], template_kms[PATH_SIZE];
	char said[PATH_SIZE]; /* what the child prints */
} stage;

static const char *row(char *out, int i)
{
	snprintf(out, 32, "%s:%06d", i % 2 != 0 ? "user1" : "user2", i);
	return out;
}

static bh_status put_row(bh_cf *cf, int i)
{
	char key[32];

	return bh_put(cf, &(bh_write_options){ .sync = true }, bh_view_str(row(key, i)), bh_view_str("value"));
}

static void make(void *arg)
{
	static const char *const names[] = { "a", "b", "s" };
	const stage *st = arg;
	bh_db *db;

	test_db_create(&st->ws, NULL);
	db = test_db_open(&st->ws, NULL);
	for (size_t m = 0; m < 3; m++) {
		bh_cf *cf;

		test_merchant_add(&st->ws, db, names[m], "data", NULL);
		cf = test_cf(db, names[m], "data");
		for (int i = 0; i < ROWS; i++) {
			test_ok(put_row(cf, i));
			if (i == ROWS / 2)
				test_ok(bh_flush(cf));
		}
		bh_cf_close(cf);
	}
	test_ok(bh_merchant_suspend(db, "s", NULL));
	bh_db_close(db);
	(void)test_cmk(&st->ws, "n");
}

/* ---- what can be done */

typedef struct variant {
	const stage *st;
	size_t op;
	failing_plan *plan; /* shared with the child */
	int *acked;         /* new rows of a and of b, shared */
	int *reopened;      /* it took an open until the neighbour was written again */
} variant;

static bh_status do_write(const stage *st, bh_db *db, const variant *v)
{
	bh_cf *a = test_cf(db, "a", "data"), *b = test_cf(db, "b", "data");
	bh_status status = BH_OK;

	(void)st;
	for (int i = 0; i < NEW_ROWS && status == BH_OK; i++) {
		status = put_row(a, ROWS + i);
		if (status == BH_OK)
			v->acked[0] = i + 1;
		if (status == BH_OK)
			status = put_row(b, ROWS + i);
		if (status == BH_OK)
			v->acked[1] = i + 1;
		if (status == BH_OK && i == NEW_ROWS / 2)
			status = bh_flush(b);
	}
	bh_cf_close(a);
	bh_cf_close(b);
	return status;
}

static bh_status do_add(const stage *st, bh_db *db, const variant *v)
{
	const char *classes[] = { "data", "more" };
	bh_status status = bh_merchant_add(db, "n", workspace_cmk(&st->ws, "n"), &(bh_merchant_options){ classes, 2 });

	(void)v;
	return status == BH_E_EXISTS ? BH_OK : status; /* an open completed it */
}

static bh_status do_suspend(const stage *st, bh_db *db, const variant *v)
{
	(void)st, (void)v;
	return bh_merchant_suspend(db, "a", NULL);
}

static bh_status do_resume(const stage *st, bh_db *db, const variant *v)
{
	bh_status status = bh_merchant_resume(db, "s", NULL);

	(void)st, (void)v;
	return status == BH_E_EXISTS ? BH_OK : status;
}

static bh_status do_shred(const stage *st, bh_db *db, const variant *v)
{
	bh_status status = bh_merchant_shred(db, "a", NULL);

	(void)st, (void)v;
	return status == BH_E_SHREDDED ? BH_OK : status;
}

static bh_status do_rotate(const stage *st, bh_db *db, const variant *v)
{
	(void)st, (void)v;
	return bh_merchant_rotate(db, "a", NULL);
}

static bh_status do_sweep(const stage *st, bh_db *db, const variant *v)
{
	bh_status status = do_rotate(st, db, v);

	return status == BH_OK ? bh_merchant_sweep(db, "a", &(bh_sweep_options){ .bytes_per_s = UINT64_MAX }) : status;
}

static bh_status do_rewrap(const stage *st, bh_db *db, const variant *v)
{
	(void)st, (void)v;
	return bh_merchant_rewrap(db, "a", NULL, NULL);
}

static bh_status do_erase(const stage *st, bh_db *db, const variant *v)
{
	bh_cf *a = test_cf(db, "a", "data");
	bh_status status = bh_erase_range(a, bh_view_str("user1"), NULL, NULL);

	(void)st, (void)v;
	bh_cf_close(a);
	return status;
}

typedef struct operation {
	const char *name;
	bh_status (*run)(const stage *st, bh_db *db, const variant *v); /* NULL: the open, or the close, itself */
	bool keeps_a, keeps_user1;                                      /* a is there afterwards, and all of its rows */
} operation;

static const operation operations[] = {
	{ "write", do_write, true, true },   { "add", do_add, true, true },       { "suspend", do_suspend, true, true },
	{ "resume", do_resume, true, true }, { "shred", do_shred, false, false }, { "rotate", do_rotate, true, true },
	{ "sweep", do_sweep, true, true },   { "rewrap", do_rewrap, true, true }, { "erase", do_erase, true, false },
	{ "open", NULL, true, true },        { "close", NULL, true, true },
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static bool is_op(const variant *v, const char *name)
{
	return strcmp(operations[v->op].name, name) == 0;
}

/* ---- the child */

/* Rows [from, to) of a merchant; those of user1 may be gone where `user1` is false. */
static void expect_rows(bh_db *db, const char *merchant, int from, int to, bool user1)
{
	bh_cf *cf = test_cf(db, merchant, "data");
	bh_buf value = { 0 };
	char key[32];

	for (int i = from; i < to; i++) {
		bh_status status = bh_get(cf, NULL, bh_view_str(row(key, i)), &value);

		if (status != BH_OK && (user1 || i % 2 == 0 || status != BH_E_NO_SUCH_KEY))
			test_fail_at(__FILE__, __LINE__, "%s/data %s: %s %s", merchant, key, bh_status_name(status),
				     status != BH_E_NO_SUCH_KEY ? bh_status_message() : "");
	}
	bh_buf_clear(&value);
	bh_cf_close(cf);
}

/* An I/O error on its own file takes a merchant out; the file is whole, so it comes back. */
static void take_back_in(bh_db *db, const char *merchant)
{
	bh_cf *cf = NULL;
	bh_status status = bh_cf_open(db, merchant, "data", &cf);

	if (status == BH_E_DAMAGED)
		test_ok(bh_merchant_resume(db, merchant, NULL));
	bh_cf_close(cf);
}

static bool is_written(bh_db *db, const char *merchant)
{
	bh_cf *cf = NULL;
	bh_status status = bh_cf_open(db, merchant, "data", &cf);

	if (status == BH_OK)
		status = put_row(cf, 900);
	bh_cf_close(cf);
	return status == BH_OK;
}

/* The neighbour: read at once, written when RocksDB has recovered. */
static bool neighbour_is_served(bh_db *db)
{
	take_back_in(db, "b");
	expect_rows(db, "b", 0, ROWS, true);
	for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += 50) {
		if (is_written(db, "b"))
			return true;
		usleep(50000);
	}
	return false;
}

static void expect_all(const variant *v, bh_db *db)
{
	const operation *op = &operations[v->op];

	take_back_in(db, "b");
	expect_rows(db, "b", 0, ROWS + v->acked[1], true);
	if (op->keeps_a) {
		bh_status status = bh_merchant_resume(db, "a", NULL);

		test_check(status == BH_OK || status == BH_E_EXISTS);
		expect_rows(db, "a", 0, ROWS + v->acked[0], op->keeps_user1);
	}
	bh_status status = bh_merchant_resume(db, "s", NULL);
	if (status != BH_OK && status != BH_E_EXISTS)
		test_fail_at(__FILE__, __LINE__, "s cannot be resumed: %s", bh_status_message());
	expect_rows(db, "s", 0, ROWS, true);
}

static bh_db *open_until(const variant *v, bool faulty)
{
	bh_db *db = NULL;

	if (faulty)
		arm(v->plan);
	bh_status status = bh_db_open(v->st->ws.db, NULL, &db);
	arm(NULL);
	if (!faulty)
		test_status_at(status, BH_OK, "an open, when calls work again", __FILE__, __LINE__);
	return status == BH_OK ? db : NULL;
}

static void run_op(const variant *v, bh_db *db)
{
	const operation *op = &operations[v->op];

	if (op->run == NULL)
		return;
	arm(v->plan);
	bh_status status = op->run(v->st, db, v);
	arm(NULL);
	if (v->plan->failed == 0 && v->plan->error != 0 && v->plan->from <= v->plan->seen)
		test_fail_at(__FILE__, __LINE__, "nothing failed");
	if (v->plan->error == 0 || v->plan->error == EOPNOTSUPP)
		test_status_at(status, BH_OK, "without a failure, or without links", __FILE__, __LINE__);
}

static void close_faulty(const variant *v, bh_db *db)
{
	if (is_op(v, "close"))
		arm(v->plan);
	bh_db_close(db);
	arm(NULL);
}

static void again(const variant *v, bh_db *db)
{
	const operation *op = &operations[v->op];

	if (op->run == NULL || v->plan->error == 0)
		return;
	bh_status status = op->run(v->st, db, v);
	if (status != BH_OK)
		test_fail_at(__FILE__, __LINE__, "%s, done again: %s: %s", op->name, bh_status_name(status), bh_status_message());
}

static void child(void *arg)
{
	const variant *v = arg;
	int out_fd = open(v->st->said, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	bh_db *db;

	dup2(out_fd, STDERR_FILENO);
	dup2(out_fd, STDOUT_FILENO);
	setvbuf(stdout, NULL, _IONBF, 0);
	db = open_until(v, is_op(v, "open"));
	if (db == NULL)
		db = open_until(v, false);
	run_op(v, db);
	if (!neighbour_is_served(db)) {
		*v->reopened = 1;
		printf("the neighbour is not written: %s\n", bh_status_message());
	}
	close_faulty(v, db);
	db = open_until(v, false);
	if (!is_op(v, "suspend") && !is_op(v, "shred"))
		expect_all(v, db);
	again(v, db);
	expect_all(v, db);
	test_check(is_written(db, "b"));
	bh_db_close(db);
}

/* ---- the parent */

static void place(const stage *st)
{
	tree_remove(st->ws.db);
	tree_remove(st->ws.kms);
	tree_copy(st->template_db, st->ws.db);
	test_ok(bh_home_set(st->ws.db)); /* it stands in for what it was copied from */
	tree_copy(st->template_kms, st->ws.kms);
}

typedef struct tally {
	long variants, failed, reopened;
} tally;

/* How the child ended, as waitpid() says it; it is killed when it takes too long. */
static int wait_for(pid_t pid, bool *hangs_out)
{
	int end = 0;

	for (int waited_ms = 0; waited_ms < VARIANT_MS; waited_ms += 5, usleep(5000))
		if (waitpid(pid, &end, WNOHANG) == pid)
			return end;
	*hangs_out = true;
	kill(pid, SIGKILL);
	return test_child_wait(pid);
}

static void print_variant(const variant *v, const char *what, int end)
{
	bh_buf said = file_read(v->st->said);

	fprintf(stderr, "%s: BH_FAILING_ONLY=\"%s %s %d %ld %d\", %s %d: %.*s\n", what, operations[v->op].name,
		call_names[v->plan->call], v->plan->error, v->plan->from, v->plan->for_ever,
		WIFSIGNALED(end) ? "signal" : "exit code", WIFSIGNALED(end) ? WTERMSIG(end) : WEXITSTATUS(end), (int)said.len,
		(const char *)said.data);
	bh_buf_clear(&said);
}

/* Returns how many calls there were. */
static long run(const variant *v, tally *t)
{
	bool hangs = false;
	int end;

	place(v->st);
	v->acked[0] = v->acked[1] = *v->reopened = 0;
	end = wait_for(test_child_start(child, (void *)(uintptr_t)v), &hangs);
	t->variants++;
	t->reopened += *v->reopened;
	t->failed += end != 0;
	if (end != 0 || *v->reopened != 0)
		print_variant(v, hangs ? "HANGS" : end != 0 ? "FAILED" : "needed an open", end);
	return v->plan->seen;
}

static int stage_make(void **state)
{
	stage *st = calloc(1, sizeof(*st));

	workspace_open(&st->ws);
	test_child_ok(make, st);
	path_join(st->template_db, st->ws.root, "template-db");
	path_join(st->template_kms, st->ws.root, "template-kms");
	path_join(st->said, st->ws.root, "said");
	tree_copy(st->ws.db, st->template_db);
	tree_copy(st->ws.kms, st->template_kms);
	*state = st;
	return 0;
}

static int stage_drop(void **state)
{
	stage *st = *state;

	workspace_close(&st->ws);
	free(st);
	return 0;
}

static void *shared(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(at != MAP_FAILED);
	return at;
}

static variant variant_make(const stage *st)
{
	variant v = {
		.st = st, .plan = shared(sizeof(*v.plan)), .acked = shared(2 * sizeof(int)), .reopened = shared(sizeof(int))
	};

	snprintf(v.plan->below, sizeof(v.plan->below), "%s/", st->ws.db);
	return v;
}

/* False: no system does that. */
static bool plan_set(const variant *v, failing_call call, int error, long from, bool for_ever)
{
	v->plan->call = call;
	v->plan->error = error;
	v->plan->from = from;
	v->plan->for_ever = for_ever;
	return error != EINTR || !for_ever;
}

static bool run_only(variant *v, tally *t)
{
	const char *only = getenv("BH_FAILING_ONLY");
	char op[32], call[32];
	int error, for_ever;
	long from;

	if (only == NULL || sscanf(only, "%31s %31s %d %ld %d", op, call, &error, &from, &for_ever) != 5)
		return false;
	for (size_t i = 0; i < OPERATIONS; i++)
		v->op = strcmp(operations[i].name, op) == 0 ? i : v->op;
	for (int c = FAILING_OPEN; c < FAILING_CALLS; c++)
		if (strcmp(call_names[c], call) == 0)
			(void)plan_set(v, (failing_call)c, error, from, for_ever != 0);
	(void)run(v, t);
	return true;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long seen[OPERATIONS][FAILING_CALLS];

static void count_calls(variant *v, tally *t)
{
	for (v->op = 0; v->op < OPERATIONS; v->op++)
		for (int call = FAILING_OPEN; call < FAILING_CALLS; call++) {
			(void)plan_set(v, (failing_call)call, 0, 0, false);
			seen[v->op][call] = run(v, t);
		}
}

static void run_all(variant *v, tally *t)
{
	count_calls(v, t);
	for (v->op = 0; v->op < OPERATIONS; v->op++)
		for (int call = FAILING_OPEN; call < FAILING_CALLS; call++)
			for (long n = 1; n <= seen[v->op][call]; n++)
				for (size_t e = 0; e < 2 * sizeof(errors) / sizeof(errors[0]); e++)
					if (plan_set(v, (failing_call)call, errors[e / 2], n, e % 2 != 0))
						(void)run(v, t);
}

/* How often a call comes is not known without a run of its own, so small n are taken; one that is too large fails nothing, and is
 * a check of the rest. */
static void run_sample(variant *v, tally *t)
{
	const char *text = getenv("BH_FAILING_SECONDS");
	const double until = now_s() + (text != NULL ? atof(text) : 40);
	test_random random = { 20240501 };

	if (getenv("BH_SEED") != NULL)
		random = test_random_new();
	while (now_s() < until) {
		const int call = FAILING_OPEN + (int)test_random_below(&random, FAILING_CALLS - FAILING_OPEN);
		const long n = 1 + (long)test_random_below(&random, call <= FAILING_WRITE ? 40 : 12);

		v->op = test_random_below(&random, OPERATIONS);
		if (plan_set(v, (failing_call)call, errors[test_random_below(&random, 4)], n, test_random_below(&random, 2) != 0))
			(void)run(v, t);
	}
}

static void any_call_may_fail(void **state)
{
	const char *how = getenv("BH_FAILING_CALLS");
	variant v = variant_make(*state);
	tally t = { 0 };

	if (!run_only(&v, &t)) {
		if (how != NULL && strcmp(how, "all") == 0)
			run_all(&v, &t);
		else
			run_sample(&v, &t);
	}
	fprintf(stderr, "%ld variants: %ld failed; in %ld it took an open until the neighbour was written again\n", t.variants,
		t.failed, t.reopened);
	assert_int_equal(t.failed, 0);
}

/* Where files cannot be linked they are copied: nothing is refused for it. */
static void nothing_needs_links(void **state)
{
	variant v = variant_make(*state);
	tally t = { 0 };

	for (v.op = 0; v.op < OPERATIONS; v.op++) {
		(void)plan_set(&v, FAILING_LINK, EOPNOTSUPP, 1, true);
		(void)run(&v, &t);
	}
	assert_int_equal(t.failed, 0);
	assert_int_equal(t.reopened, 0);
}

/* The library has to be there from the first call on. */
static void with_library(char **argv)
{
	arm = (failing_arm_fn *)dlsym(RTLD_DEFAULT, FAILING_ARM);
	if (arm != NULL)
		return;
	if (getenv("LD_PRELOAD") != NULL || setenv("LD_PRELOAD", BH_FAILING_CALLS_LIBRARY, 1) != 0)
		exit(1);
	execv("/proc/self/exe", argv);
	exit(1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_needs_links, stage_make, stage_drop),
		cmocka_unit_test_setup_teardown(any_call_may_fail, stage_make, stage_drop),
	};

	(void)argc;
	with_library(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
