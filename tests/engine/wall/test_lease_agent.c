/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lease_agent.c: leases over a KMS that is a process of its own: stopped, killed, started again, and its key disabled, while
 * the database runs and while it opens. Merchant A's CMK is there; B's is in files. B never waits for A's KMS, and A comes back by
 * itself with all that was acknowledged.
 *
 * Time is the test's own clock; how long an operation of B took is the machine's.
 */
#include "tests/support/kms_process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "engine/core/merchant.h"
#include "engine/wall/leaser.h"

#define LIMIT 300000
#define PATIENCE_MS 60000
#define KMS_TIMEOUT_MS 2000 /* the provider's: whoever waits for a stopped process waits as long */

typedef struct stage {
	workspace *ws;
	kms_process kms;
	bh_db *db;
	bh_cf *a, *b;
	unsigned rows; /* of A, acknowledged */
	pthread_t worker;
	atomic_bool over;
	atomic_uint b_ops;
	atomic_llong slowest_ns; /* operation of B */
} stage;

static _Atomic int64_t clock_ms;

static int64_t now(void *arg)
{
	(void)arg;
	return atomic_load(&clock_ms);
}

static void open_stage(stage *s)
{
	static const bh_clock clock = { now, now, NULL };
	const bh_db_options options = { .clock = &clock };

	test_ok(bh_db_open(s->ws->db, &options, &s->db));
}

static int64_t real_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *work_on_b(void *arg)
{
	stage *s = arg;

	while (!atomic_load(&s->over)) {
		char key[32];
		int64_t began = real_ns(), took;

		snprintf(key, sizeof(key), "b%u", atomic_load(&s->b_ops));
		test_put(s->b, key, key);
		test_expect(s->b, key, key);
		took = real_ns() - began;
		if (took > atomic_load(&s->slowest_ns))
			atomic_store(&s->slowest_ns, took);
		atomic_fetch_add(&s->b_ops, 1);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return NULL;
}

/* A has a KMS of its own, in a directory of its own, behind the process. */
static void add_a(stage *s)
{
	static const char *const classes[] = { "events" };
	const bh_merchant_options options = { classes, 1 };
	char dir[PATH_SIZE], socket[PATH_SIZE], uri[PATH_SIZE + 16];

	path_join(dir, s->ws->root, "kms-a");
	path_join(socket, s->ws->root, "socket");
	snprintf(uri, sizeof(uri), "local:%s#a", dir);
	test_ok(bh_kms_create(uri, NULL, NULL));
	kms_process_start(&s->kms, dir, socket, false);
	test_ok(bh_merchant_add(s->db, "a", kms_process_cmk(&s->kms, "a"), &options));
}

static void begin(stage *s)
{
	test_db_create(s->ws, NULL);
	atomic_store(&clock_ms, 1700000000000);
	open_stage(s);
	add_a(s);
	test_merchant_add(s->ws, s->db, "b", "events", NULL);
	s->a = test_cf(s->db, "a", "events");
	s->b = test_cf(s->db, "b", "events");
	test_check(pthread_create(&s->worker, NULL, work_on_b, s) == 0);
}

static void end(stage *s)
{
	atomic_store(&s->over, true);
	pthread_join(s->worker, NULL);
	for (unsigned i = 0; i < atomic_load(&s->b_ops); i++) {
		char key[32];

		snprintf(key, sizeof(key), "b%u", i);
		test_expect(s->b, key, key);
	}
	fprintf(stderr, "B: %u writes and reads, the slowest pair %.1f ms\n", atomic_load(&s->b_ops),
		(double)atomic_load(&s->slowest_ns) / 1e6);
	test_check(atomic_load(&s->slowest_ns) < (int64_t)KMS_TIMEOUT_MS * 1000000);
	bh_cf_close(s->a);
	bh_cf_close(s->b);
	bh_db_close(s->db);
	kms_process_end(&s->kms);
}

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 }, NULL);
}

/* Waits for the condition, and does `meanwhile` while it does not hold. */
#define WAIT_WHILE_DOING(condition, meanwhile)                                                                                     \
	do {                                                                                                                       \
		for (unsigned waited_ms = 0; !(condition) && waited_ms < PATIENCE_MS; waited_ms += 5) {                            \
			pause_ms(5);                                                                                               \
			meanwhile;                                                                                                 \
		}                                                                                                                  \
		test_check(condition);                                                                                             \
	} while (0)
#define WAIT_UNTIL(condition) WAIT_WHILE_DOING(condition, (void)0)

static bh_leaser_info look(stage *s, const char *name)
{
	bh_leaser_info info;

	test_ok(bh_leaser_look(s->db->leaser, name, &info));
	return info;
}

/* Lets time pass in steps, so that B is renewed in between. */
static void pass(stage *s, int64_t ms)
{
	for (int64_t step; ms > 0; ms -= step) {
		step = BH_MIN(ms, LIMIT / 20);
		atomic_fetch_add(&clock_ms, step);
		bh_leaser_wake(s->db->leaser);
		WAIT_UNTIL(look(s, "b").age_ms < LIMIT * 7 / 10);
	}
}

/* On a slow machine the answer to a call can come after the time that was to pass, and A pauses from then on. So time goes on while
 * A waits for its next call; not while it is being attached, since its new lease runs. */
static void pass_if_pausing(stage *s)
{
	bh_lease_state state = look(s, "a").state;

	if (state == BH_LEASE_LATE || state == BH_LEASE_LOST || state == BH_LEASE_REFUSED)
		pass(s, 1000);
}

static bool is_in(stage *s, bh_merchant_state state, bh_suspend_cause cause)
{
	bh_merchant_info info;
	bool is;

	test_ok(bh_keyring_merchant(s->db->keyring, "a", &info));
	is = info.state == state && info.cause == cause;
	bh_merchant_info_clear(&info);
	return is;
}

/* Acknowledged, and neither synced nor flushed. */
static void write_rows(stage *s)
{
	for (unsigned i = 0; i < 100; i++, s->rows++) {
		char key[32];

		snprintf(key, sizeof(key), "a%u", s->rows);
		test_put(s->a, key, key);
	}
}

static void all_rows_are_there(stage *s)
{
	for (unsigned i = 0; i < s->rows; i++) {
		char key[32];

		snprintf(key, sizeof(key), "a%u", i);
		test_expect(s->a, key, key);
	}
}

/* It does not answer: served until the limit, then off. */
static void runs_out(stage *s)
{
	bh_buf value = { 0 };

	pass(s, LIMIT * 8 / 10);
	test_put(s->a, "still", "served");
	pass(s, LIMIT * 4 / 10);
	WAIT_WHILE_DOING(is_in(s, BH_MERCHANT_SUSPENDED, BH_SUSPEND_KMS_UNREACHABLE), pass_if_pausing(s));
	test_status(bh_put(s->a, NULL, bh_view_str("k"), bh_view_str("v")), BH_E_KMS_UNREACHABLE);
	test_status(bh_get(s->a, NULL, bh_view_str("a0"), &value), BH_E_KMS_UNREACHABLE);
	bh_buf_clear(&value);
}

/* It answers again: back without anybody's asking. */
static void comes_back(stage *s)
{
	WAIT_WHILE_DOING(is_in(s, BH_MERCHANT_ACTIVE, BH_SUSPEND_NONE) && look(s, "a").state == BH_LEASE_HELD, pass_if_pausing(s));
	all_rows_are_there(s);
	test_expect(s->a, "still", "served");
	write_rows(s);
}

static void stopped(void *arg)
{
	stage s = { .ws = arg };

	begin(&s);
	write_rows(&s);
	kms_process_stop(&s.kms);
	runs_out(&s);
	kms_process_cont(&s.kms);
	comes_back(&s);
	end(&s);
}

static void killed(void *arg)
{
	stage s = { .ws = arg };

	begin(&s);
	write_rows(&s);
	kms_process_kill(&s.kms);
	runs_out(&s);
	kms_process_restart(&s.kms);
	comes_back(&s);
	end(&s);
}

static void set_enabled(const stage *s, bool enabled)
{
	char uri[PATH_SIZE + 16];
	bh_kms *console = NULL;

	snprintf(uri, sizeof(uri), "local:%s#a", s->kms.dir);
	test_ok(bh_kms_open(uri, NULL, &console));
	test_ok(enabled ? bh_kms_enable(console) : bh_kms_disable(console));
	bh_kms_close(console);
}

/* Told from silence: off at the next renewal, long before the limit. */
static void disabled(void *arg)
{
	stage s = { .ws = arg };

	begin(&s);
	write_rows(&s);
	test_put(s.a, "still", "served");
	set_enabled(&s, false);
	pass(&s, LIMIT * 8 / 10);
	WAIT_WHILE_DOING(is_in(&s, BH_MERCHANT_SUSPENDED, BH_SUSPEND_KMS_REFUSED), pass_if_pausing(&s));
	test_status(bh_put(s.a, NULL, bh_view_str("k"), bh_view_str("v")), BH_E_KMS_REFUSED);
	set_enabled(&s, true);
	comes_back(&s);
	end(&s);
}

/* The process is not there when the database opens: B is served at once, A when it is there. */
static void down_at_open(void *arg)
{
	stage s = { .ws = arg };
	bh_cf *none = NULL;

	begin(&s);
	write_rows(&s);
	test_put(s.a, "still", "served");
	kms_process_kill(&s.kms);
	atomic_store(&s.over, true);
	pthread_join(s.worker, NULL);
	bh_cf_close(s.a);
	bh_cf_close(s.b);
	bh_db_close(s.db);
	open_stage(&s);
	test_status(bh_cf_open(s.db, "a", "events", &none), BH_E_KMS_UNREACHABLE);
	s.b = test_cf(s.db, "b", "events");
	atomic_store(&s.over, false);
	test_check(pthread_create(&s.worker, NULL, work_on_b, &s) == 0);
	kms_process_restart(&s.kms);
	WAIT_WHILE_DOING(is_in(&s, BH_MERCHANT_ACTIVE, BH_SUSPEND_NONE), pass_if_pausing(&s));
	s.a = NULL;
	WAIT_UNTIL(s.a != NULL || bh_cf_open(s.db, "a", "events", &s.a) == BH_OK);
	all_rows_are_there(&s);
	end(&s);
}

#define IN_A_CHILD(name, body)                                                                                                     \
	static void name(void **state)                                                                                             \
	{                                                                                                                          \
		test_child_ok(body, *state);                                                                                       \
	}

IN_A_CHILD(stopped_kms_is_unreachable_and_comes_back, stopped)
IN_A_CHILD(killed_kms_is_unreachable_and_comes_back, killed)
IN_A_CHILD(disabled_key_is_refused_and_comes_back, disabled)
IN_A_CHILD(kms_that_is_down_at_open_costs_its_merchant_alone, down_at_open)

#define CASE(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(stopped_kms_is_unreachable_and_comes_back),
		CASE(killed_kms_is_unreachable_and_comes_back),
		CASE(disabled_key_is_refused_and_comes_back),
		CASE(kms_that_is_down_at_open_costs_its_merchant_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
