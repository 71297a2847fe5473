/* SPDX-License-Identifier: Apache-2.0
 *
 * test_others_never_wait.c: whatever A's KMS does, no operation of B waits for it: a KMS that is stopped, hangs, is slow, answers
 * with lies, or is there and not by turns, while A is served, late, detached, probed and attached again.
 *
 * Two things are asked. While a call for A is out, and stays out, B does everything that it can do many times over: the KMS's own
 * deadline is longer than the test, so whoever waited for it would not come back. And B's slowest operation takes less than 100 ms,
 * or than three times the slowest in a stretch of the same length in which nothing happens to A: other programs on this machine
 * make both longer. One round of several has to keep that, because a stall of the machine can hit a single one; a wait that is in
 * the code is in every round, since each round is a whole life: served, late, detached, probed, attached.
 */
#include "tests/support/kms_liar.h"
#include "tests/support/kms_process.h"
#include "lease_stage.h"

#include <time.h>

enum {
	ROUNDS = 5,
	KMS_TIMEOUT_MS = 600000, /* longer than any test: who waits for A's KMS does not come back */
	WAIT_NS = 100000000,
	OPS_MEANWHILE = 10,
};

/* ---- what B does, and how long it takes at most */

typedef enum op { PUT, GET, MULTI_GET, BATCH, STEP, FLUSH, OPS } op;

static const char *const op_names[OPS] = { "put", "get", "multi-get", "batch", "iterator step", "flush" };

typedef struct meter {
	bh_db *db;
	bh_cf *b;
	pthread_t thread;
	atomic_bool over;
	atomic_uint laps; /* all operations once */
	int64_t slowest_ns[OPS];
} meter;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void note(meter *m, op what, int64_t began_ns)
{
	int64_t took = now_ns() - began_ns;

	m->slowest_ns[what] = BH_MAX(m->slowest_ns[what], took);
}

/* Times the call as this operation. */
#define TIMED(m, what, call)                                                                                                       \
	do {                                                                                                                       \
		int64_t began_ns_ = now_ns();                                                                                      \
		test_ok(call);                                                                                                     \
		note((m), (what), began_ns_);                                                                                      \
	} while (0)

static void write_and_read(meter *m, unsigned lap)
{
	char key[32], other[32];
	bh_buf values[2] = { { 0 }, { 0 } };
	bh_status statuses[2];
	bh_batch *batch = NULL;

	snprintf(key, sizeof(key), "m%u", lap);
	snprintf(other, sizeof(other), "n%u", lap);
	TIMED(m, PUT, bh_put(m->b, NULL, bh_view_str(key), bh_view_str(key)));
	TIMED(m, GET, bh_get(m->b, NULL, bh_view_str(key), &values[0]));
	test_ok(bh_batch_new(m->db, &batch));
	test_ok(bh_batch_put(batch, m->b, bh_view_str(key), bh_view_str(other)));
	test_ok(bh_batch_put(batch, m->b, bh_view_str(other), bh_view_str(key)));
	TIMED(m, BATCH, bh_batch_write(batch, NULL));
	bh_batch_free(batch);
	TIMED(m, MULTI_GET,
	      bh_multi_get(m->b, NULL, 2, (const bh_view[]){ bh_view_str(key), bh_view_str(other) }, values, statuses));
	test_check(values[0].len == strlen(other) && memcmp(values[0].data, other, values[0].len) == 0);
	bh_buf_clear(&values[0]);
	bh_buf_clear(&values[1]);
}

static void walk(meter *m)
{
	bh_iter *iter = NULL;

	test_ok(bh_iter_new(m->b, NULL, &iter));
	TIMED(m, STEP, bh_iter_first(iter));
	for (int i = 0; i < 20 && bh_iter_valid(iter); i++)
		TIMED(m, STEP, bh_iter_next(iter));
	bh_iter_free(iter);
}

static void *meter_main(void *arg)
{
	meter *m = arg;

	for (unsigned lap = 0; !atomic_load(&m->over); lap++) {
		write_and_read(m, lap);
		walk(m);
		if (lap % 4 == 3)
			TIMED(m, FLUSH, bh_flush(m->b));
		atomic_fetch_add(&m->laps, 1);
		pause_ms(2);
	}
	return NULL;
}

static void meter_begin(meter *m, const stage *s)
{
	*m = (meter){ .db = s->db, .b = s->b };
	test_check(pthread_create(&m->thread, NULL, meter_main, m) == 0);
}

static void meter_end(meter *m)
{
	atomic_store(&m->over, true);
	pthread_join(m->thread, NULL);
}

static void b_is_served_meanwhile(meter *m)
{
	unsigned before = atomic_load(&m->laps);

	WAIT_UNTIL(atomic_load(&m->laps) >= before + OPS_MEANWHILE);
}

/* ---- rounds */

/* Time goes by while A's KMS is well: A is renewed, too. */
static void pass_served(stage *s)
{
	pass(s, LIMIT / 20);
	WAIT_UNTIL(look(s).state == BH_LEASE_HELD && look(s).age_ms < LIMIT * 7 / 10);
}

static void control(stage *s, int64_t took_ns, meter *m)
{
	int64_t until = now_ns() + took_ns;

	meter_begin(m, s);
	do
		pass_served(s);
	while (now_ns() < until);
	b_is_served_meanwhile(m);
	meter_end(m);
}

static bool was_quick(const meter *m, const meter *quiet)
{
	bool quick = true;

	for (int i = 0; i < OPS; i++) {
		int64_t most_ns = BH_MAX(3 * quiet->slowest_ns[i], (int64_t)WAIT_NS);

		quick = quick && m->slowest_ns[i] < most_ns;
		fprintf(stderr, "%s%s %.1f (%.1f)", i > 0 ? ", " : "B's slowest, ms (with nothing going on): ", op_names[i],
			(double)m->slowest_ns[i] / 1e6, (double)quiet->slowest_ns[i] / 1e6);
	}
	fprintf(stderr, "%s\n", quick ? "" : ": once more");
	return quick;
}

/* A life of A's: its KMS goes wrong and is well again. Returns with A back. */
typedef void (*life)(stage *s, meter *m, void *kms);

static void quick_in_one_round(stage *s, life one, void *kms)
{
	bool quick = false;

	for (int round = 0; round < ROUNDS && !quick; round++) {
		meter m, quiet;
		int64_t began;

		while (look(s).age_ms >= LIMIT / 10) /* a lease that has just begun */
			pass_served(s);
		began = now_ns();
		meter_begin(&m, s);
		one(s, &m, kms);
		b_is_served_meanwhile(&m);
		meter_end(&m);
		control(s, now_ns() - began, &quiet);
		quick = was_quick(&m, &quiet);
	}
	test_check(quick);
}

/* No answer, or none that can be waited for: served to the limit, then off. The call that is out stays out. */
static void runs_out(stage *s, meter *m)
{
	write_rows(s);
	pass(s, LIMIT * 7 / 10);
	b_is_served_meanwhile(m); /* the renewal is out */
	all_rows_are_there(s);
	pass(s, LIMIT * 4 / 10);
	WAIT_WHILE_DOING(is_in(s, BH_MERCHANT_SUSPENDED, BH_SUSPEND_KMS_UNREACHABLE), pass_if_pausing(s));
	b_is_served_meanwhile(m);
	is_refused(s, BH_E_KMS_UNREACHABLE);
	test_check(look(s).unreachable == 0); /* no call has come back */
}

static void comes_back(stage *s, meter *m)
{
	is_back(s);
	b_is_served_meanwhile(m);
}

/* ---- the KMSs */

static void add_behind(stage *s, const char *uri)
{
	static const char *const classes[] = { "events" };

	test_ok(bh_merchant_add(s->db, "a", uri, &(bh_merchant_options){ classes, 1 }));
}

static void stopped_life(stage *s, meter *m, void *kms)
{
	kms_process_stop(kms);
	runs_out(s, m);
	kms_process_cont(kms);
	comes_back(s, m);
}

/* Holds connections open and says nothing; at the end it answers the call that is out. */
static void hanging_life(stage *s, meter *m, void *kms)
{
	liar_set(kms, LIAR_HOLD, 0);
	runs_out(s, m);
	liar_set(kms, LIAR_TRUE, 0);
	comes_back(s, m);
}

/* Each answer comes, after B has done a lot. */
static void slow_life(stage *s, meter *m, void *kms)
{
	write_rows(s);
	for (int i = 0; i < 4; i++) {
		const size_t calls = liar_calls(kms);
		const uint64_t answered = look(s).calls;

		liar_set(kms, LIAR_HOLD, 0);
		pass(s, LIMIT * 7 / 10);
		WAIT_UNTIL(liar_calls(kms) > calls);
		b_is_served_meanwhile(m);
		liar_set(kms, LIAR_TRUE, 0);
		WAIT_UNTIL(look(s).calls > answered && look(s).state == BH_LEASE_HELD);
	}
	comes_back(s, m);
}

static void lying_life(stage *s, meter *m, void *kms)
{
	write_rows(s);
	liar_set(kms, LIAR_GARBAGE, 0);
	pass(s, LIMIT * 7 / 10);
	WAIT_WHILE_DOING(is_in(s, BH_MERCHANT_SUSPENDED, BH_SUSPEND_KMS_DAMAGED), (void)0);
	is_refused(s, BH_E_TAG);
	b_is_served_meanwhile(m);
	liar_set(kms, LIAR_TRUE, 0);
	test_ok(bh_merchant_resume(s->db, "a", NULL));
	comes_back(s, m);
}

static void refusing_life(stage *s, meter *m, void *kms)
{
	write_rows(s);
	liar_set(kms, LIAR_REFUSES, 0);
	pass(s, LIMIT * 7 / 10);
	WAIT_WHILE_DOING(is_in(s, BH_MERCHANT_SUSPENDED, BH_SUSPEND_KMS_REFUSED), (void)0);
	is_refused(s, BH_E_KMS_REFUSED);
	b_is_served_meanwhile(m);
	liar_set(kms, LIAR_TRUE, 0);
	pass(s, BH_LEASE_PROBE_MAX_MS * 11 / 10);
	comes_back(s, m);
}

static void flapping_life(stage *s, meter *m, void *kms)
{
	write_rows(s);
	for (int second = 0; second < 600; second++) {
		liar_set(kms, second % 2 == 0 ? LIAR_HANGS_UP : LIAR_TRUE, 0);
		pass(s, 1000);
	}
	liar_set(kms, LIAR_TRUE, 0);
	pass(s, BH_LEASE_PROBE_MAX_MS);
	comes_back(s, m);
}

/* ---- the tests, each in a child */

static void kms_dir_make(const stage *s, char dir[PATH_SIZE], char socket[PATH_SIZE])
{
	char uri[PATH_SIZE + 16];

	path_join(dir, s->ws->root, "kms-a");
	path_join(socket, s->ws->root, "socket");
	snprintf(uri, sizeof(uri), "local:%s#a", dir);
	test_ok(bh_kms_create(uri, NULL, NULL));
}

static void beside_a_process(stage *s, life one)
{
	char dir[PATH_SIZE], socket[PATH_SIZE];
	kms_process kms;

	s->kms_timeout_ms = KMS_TIMEOUT_MS;
	begin_with_b(s);
	kms_dir_make(s, dir, socket);
	kms_process_start(&kms, dir, socket, false);
	add_behind(s, kms_process_cmk(&kms, "a"));
	s->a = test_cf(s->db, "a", "events");
	quick_in_one_round(s, one, &kms);
	end(s);
	kms_process_end(&kms);
}

static void beside_a_liar(stage *s, life one)
{
	char dir[PATH_SIZE], socket[PATH_SIZE], uri[PATH_SIZE + 80];
	liar kms;

	s->kms_timeout_ms = KMS_TIMEOUT_MS;
	begin_with_b(s);
	kms_dir_make(s, dir, socket);
	liar_start(&kms, dir, socket);
	snprintf(uri, sizeof(uri), "agent:%s#a", socket);
	add_behind(s, uri);
	s->a = test_cf(s->db, "a", "events");
	quick_in_one_round(s, one, &kms);
	end(s);
	liar_end(&kms);
}

#define BESIDE(name, rig, one)                                                                                                     \
	static void name##_body(void *arg)                                                                                         \
	{                                                                                                                          \
		stage s = { .ws = arg };                                                                                           \
                                                                                                                                   \
		rig(&s, one);                                                                                                      \
	}                                                                                                                          \
	static void name(void **state)                                                                                             \
	{                                                                                                                          \
		test_child_ok(name##_body, *state);                                                                                \
	}
BESIDE(for_a_kms_that_is_stopped, beside_a_process, stopped_life)
BESIDE(for_a_kms_that_hangs, beside_a_liar, hanging_life)
BESIDE(for_a_kms_that_is_slow, beside_a_liar, slow_life)
BESIDE(for_a_kms_that_lies, beside_a_liar, lying_life)
BESIDE(for_a_kms_that_refuses, beside_a_liar, refusing_life)
BESIDE(for_a_kms_that_flaps, beside_a_liar, flapping_life)

#define CASE(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(for_a_kms_that_is_stopped), CASE(for_a_kms_that_hangs),   CASE(for_a_kms_that_is_slow),
		CASE(for_a_kms_that_lies),       CASE(for_a_kms_that_refuses), CASE(for_a_kms_that_flaps),
	};

	return cmocka_run_group_tests_name("others_never_wait", tests, NULL, NULL);
}
