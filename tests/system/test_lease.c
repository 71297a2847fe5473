/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lease.c: a merchant whose KMS says no, nothing, or something wrong, beside one whose KMS is well (a KMS that is down, slow,
 * wrong, flapping; a clock set back).
 *
 * The clock is the test's own, the database and the CMKs are real. A's KMS refuses while the key is disabled and is damaged while
 * its file has a changed byte; it hangs or is out of reach while the test holds its calls back or fails them. All the time a thread
 * works on B: none of its operations may fail, none may wait for A's KMS, and every write of it has to be there. Nothing depends on
 * how fast the machine is: what follows from an event is waited for.
 */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "engine/internal.h"
#include "engine/leaser.h"
#include "keyring/kms.h"

#define LIMIT 300000
#define PATIENCE_MS 30000
#define ROWS 200 /* of A, at a time */

/* ---- a KMS whose calls can be held, or cut off */

static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hold_ended = PTHREAD_COND_INITIALIZER;
static bool held;           /* calls for A wait */
static atomic_uint waiting; /* and so many do */
static atomic_bool is_cut;  /* calls for A get no answer */

static bh_status way_to_kms(bh_view context)
{
	if (memmem(context.data, context.len, "merchant=a\n", 11) == NULL)
		return BH_OK;
	if (atomic_load(&is_cut))
		return bh_fail(BH_E_KMS_UNREACHABLE, "nobody answers");
	pthread_mutex_lock(&hold_lock);
	atomic_fetch_add(&waiting, 1);
	while (held)
		pthread_cond_wait(&hold_ended, &hold_lock);
	atomic_fetch_sub(&waiting, 1);
	pthread_mutex_unlock(&hold_lock);
	return BH_OK;
}

bh_status __real_bh_kms_unwrap(bh_kms *kms, bh_view wrapped, bh_view context, bh_secret *out);
bh_status __wrap_bh_kms_unwrap(bh_kms *kms, bh_view wrapped, bh_view context, bh_secret *out);
bh_status __wrap_bh_kms_unwrap(bh_kms *kms, bh_view wrapped, bh_view context, bh_secret *out)
{
	BH_TRY(way_to_kms(context));
	return __real_bh_kms_unwrap(kms, wrapped, context, out);
}

bh_status __real_bh_kms_wrap(bh_kms *kms, bh_view plaintext, bh_view context, bh_buf *wrapped_out, uint32_t *version_out);
bh_status __wrap_bh_kms_wrap(bh_kms *kms, bh_view plaintext, bh_view context, bh_buf *wrapped_out, uint32_t *version_out);
bh_status __wrap_bh_kms_wrap(bh_kms *kms, bh_view plaintext, bh_view context, bh_buf *wrapped_out, uint32_t *version_out)
{
	BH_TRY(way_to_kms(context));
	return __real_bh_kms_wrap(kms, plaintext, context, wrapped_out, version_out);
}

static void hold(bool on)
{
	pthread_mutex_lock(&hold_lock);
	held = on;
	pthread_cond_broadcast(&hold_ended);
	pthread_mutex_unlock(&hold_lock);
}

/* ---- the stage */

typedef struct stage {
	workspace *ws;
	bh_db *db;
	bh_cf *a, *b;
	char key[PATH_SIZE]; /* A's CMK */
	unsigned rows;       /* of A, acknowledged */
	pthread_t worker;
	atomic_bool over;
	atomic_uint b_ops;
	atomic_uint alarms;
} stage;

static _Atomic int64_t boot_ms, wall_ms;

static int64_t boot(void *arg)
{
	(void)arg;
	return atomic_load(&boot_ms);
}

static int64_t wall(void *arg)
{
	(void)arg;
	return atomic_load(&wall_ms);
}

static void log_line(void *arg, const char *line)
{
	stage *s = arg;

	if (strstr(line, "integrity alarm") != NULL)
		atomic_fetch_add(&s->alarms, 1);
}

static void open_stage(stage *s)
{
	static const bh_clock clock = { boot, wall, NULL };
	const bh_db_options options = { .clock = &clock, .log = log_line, .log_arg = s };

	test_ok(bh_db_open(s->ws->db, &options, &s->db));
}

static void *work_on_b(void *arg)
{
	stage *s = arg;

	while (!atomic_load(&s->over)) {
		char key[32];

		snprintf(key, sizeof(key), "b%u", atomic_load(&s->b_ops));
		test_put(s->b, key, key);
		test_expect(s->b, key, key);
		atomic_fetch_add(&s->b_ops, 1);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return NULL;
}

static void begin(stage *s)
{
	test_db_create(s->ws, NULL);
	atomic_store(&boot_ms, 5000);
	atomic_store(&wall_ms, 1700000000000);
	open_stage(s);
	test_merchant_add(s->ws, s->db, "a", "events", NULL);
	test_merchant_add(s->ws, s->db, "b", "events", NULL);
	snprintf(s->key, sizeof(s->key), "%.400s/a.key.json", s->ws->kms);
	s->a = test_cf(s->db, "a", "events");
	s->b = test_cf(s->db, "b", "events");
	test_check(pthread_create(&s->worker, NULL, work_on_b, s) == 0);
}

/* B has lost nothing, and RocksDB has not noticed a thing. */
static void end(stage *s)
{
	unsigned ops;
	uint64_t errors = 1;

	atomic_store(&s->over, true);
	pthread_join(s->worker, NULL);
	ops = atomic_load(&s->b_ops);
	for (unsigned i = 0; i < ops; i++) {
		char key[32];

		snprintf(key, sizeof(key), "b%u", i);
		test_expect(s->b, key, key);
	}
	test_check(rocksdb_property_int(bh_db_rocksdb(s->db), "rocksdb.background-errors", &errors) == 0);
	test_check(errors == 0);
	bh_cf_close(s->a);
	bh_cf_close(s->b);
	bh_db_close(s->db);
}

/* ---- what happens */

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

static bh_leaser_info look_at(stage *s, const char *name)
{
	bh_leaser_info info;

	test_ok(bh_leaser_look(s->db->leaser, name, &info));
	return info;
}

static bh_leaser_info look(stage *s)
{
	return look_at(s, "a");
}

/* Lets time pass in steps, so that B, whose KMS is well, is renewed in between. */
static void pass(stage *s, int64_t ms)
{
	while (ms > 0) {
		int64_t step = BH_MIN(ms, LIMIT / 20);

		atomic_fetch_add(&boot_ms, step);
		atomic_fetch_add(&wall_ms, step);
		bh_leaser_wake(s->db->leaser);
		WAIT_UNTIL(look_at(s, "b").age_ms < LIMIT * 7 / 10);
		ms -= step;
	}
}

/* On a slow machine the answer to a call can come after the time that was to pass, and A pauses from then on. So time goes on while
 * A waits for its next call; not while it is being attached, since its new lease runs. */
static void pass_if_pausing(stage *s)
{
	bh_lease_state state = look(s).state;

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
	for (unsigned i = 0; i < ROWS; i++, s->rows++) {
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

static void is_refused(stage *s, bh_status want)
{
	bh_buf value = { 0 };

	test_status(bh_put(s->a, NULL, bh_view_str("k"), bh_view_str("v")), want);
	test_status(bh_get(s->a, NULL, bh_view_str("a0"), &value), want);
	bh_buf_clear(&value);
}

/* B is served, `more` times from now, whatever A's KMS does. */
static void b_goes_on(stage *s, unsigned more)
{
	unsigned before = atomic_load(&s->b_ops);

	WAIT_UNTIL(atomic_load(&s->b_ops) >= before + more);
}

static void set_enabled(stage *s, bool enabled)
{
	bh_kms *console = NULL;

	test_ok(bh_kms_open(test_cmk(s->ws, "a"), NULL, &console));
	test_ok(enabled ? bh_kms_enable(console) : bh_kms_disable(console));
	bh_kms_close(console);
}

static void flip(stage *s)
{
	bh_buf bytes = file_read(s->key);
	uint8_t *mac = memmem(bytes.data, bytes.len, "\"mac\"", 5);

	test_check(mac != NULL);
	mac[10] ^= 1;
	file_write(s->key, bh_view_of(bytes.data, bytes.len));
	bh_buf_clear(&bytes);
}

static void is_detached(stage *s, bh_suspend_cause cause, bh_lease_state state)
{
	WAIT_WHILE_DOING(is_in(s, BH_MERCHANT_SUSPENDED, cause) && look(s).state == state, pass_if_pausing(s));
}

static void is_back(stage *s)
{
	WAIT_WHILE_DOING(is_in(s, BH_MERCHANT_ACTIVE, BH_SUSPEND_NONE) && look(s).state == BH_LEASE_HELD, pass_if_pausing(s));
	all_rows_are_there(s);
	write_rows(s);
}

/* What an operator sees of A and B. */
static void is_reported(stage *s, const char *cause, const char *lease)
{
	char path[PATH_SIZE];
	bh_db_report *report = NULL;
	bh_buf text;

	test_ok(bh_db_report_make(s->db, &report));
	test_check(report->merchant_count == 2 && report->background_errors == 0 && report->wal_files > 0);
	test_check(report->audit_entries > 0 && report->audit_bytes > 0);
	test_check(strcmp(report->merchants[0].name, "a") == 0 && strcmp(report->merchants[0].cause, cause) == 0);
	test_check(strcmp(report->merchants[0].lease, lease) == 0 && report->merchants[0].lease_age_ms == -1);
	test_check(report->merchants[0].parked_files > 0 && report->merchants[0].live_files == 0);
	test_check(report->merchants[0].dek_count == 1 && report->merchants[0].cmk_version == 1);
	test_check(strcmp(report->merchants[1].lease, "held") == 0 && report->merchants[1].cause[0] == '\0');
	test_check(report->merchants[1].kms_calls > 0 && report->merchants[1].kms_refused == 0);
	bh_db_report_free(report);

	path_join(path, s->ws->root, "metrics.prom");
	file_write(path, bh_view_str("old"));
	test_ok(bh_db_metrics_write(s->db, path));
	text = file_read(path);
	test_check(bytes_count(bh_buf_view(&text),
			       bh_view_str("bulkhead_merchant_suspended{merchant=\"a\",cause=\"kms-refused\"} 1\n")) == 1);
	bh_buf_clear(&text);
	test_status(bh_db_metrics_write(s->db, ""), BH_E_INVALID);
	path_join(path, s->ws->root, "no/where");
	test_status(bh_db_metrics_write(s->db, path), BH_E_IO);
}

/* ---- tests, each in a child */

static void renewed(void *arg)
{
	stage s = { .ws = arg };

	begin(&s);
	write_rows(&s);
	for (unsigned calls = 1; calls <= 20; calls++) {
		pass(&s, LIMIT * 7 / 10);
		WAIT_UNTIL(look(&s).calls >= calls && look(&s).state == BH_LEASE_HELD);
	}
	all_rows_are_there(&s);
	test_check(look(&s).refused + look(&s).unreachable + look(&s).damaged == 0);
	end(&s);
}

static void refused(void *arg)
{
	stage s = { .ws = arg };

	begin(&s);
	write_rows(&s);
	set_enabled(&s, false);
	pass(&s, LIMIT * 7 / 10);
	is_detached(&s, BH_SUSPEND_KMS_REFUSED, BH_LEASE_REFUSED);
	is_refused(&s, BH_E_KMS_REFUSED);
	is_reported(&s, "kms-refused", "refused");
	b_goes_on(&s, 20);
	pass(&s, BH_LEASE_PROBE_MAX_MS * 11 / 10); /* asked again: still no */
	WAIT_UNTIL(look(&s).refused >= 2);
	set_enabled(&s, true);
	pass(&s, BH_LEASE_PROBE_MAX_MS * 11 / 10);
	is_back(&s);
	end(&s);
}

static void unreachable(void *arg)
{
	stage s = { .ws = arg };

	begin(&s);
	write_rows(&s);
	atomic_store(&is_cut, true);
	pass(&s, LIMIT * 7 / 10);
	WAIT_UNTIL(look(&s).state == BH_LEASE_LATE);
	write_rows(&s); /* served up to the limit */
	all_rows_are_there(&s);
	pass(&s, LIMIT * 3 / 10);
	is_detached(&s, BH_SUSPEND_KMS_UNREACHABLE, BH_LEASE_LOST);
	is_refused(&s, BH_E_KMS_UNREACHABLE);
	b_goes_on(&s, 20);
	atomic_store(&is_cut, false);
	pass(&s, BH_LEASE_PROBE_MAX_MS);
	is_back(&s);
	end(&s);
}

static void damaged(void *arg)
{
	stage s = { .ws = arg };
	unsigned calls;

	begin(&s);
	write_rows(&s);
	flip(&s);
	pass(&s, LIMIT * 7 / 10);
	is_detached(&s, BH_SUSPEND_KMS_DAMAGED, BH_LEASE_DAMAGED);
	is_refused(&s, BH_E_TAG);
	WAIT_UNTIL(atomic_load(&s.alarms) == 1);
	calls = (unsigned)look(&s).calls;
	test_check(calls == 1);
	for (int i = 0; i < 20; i++)
		pass(&s, LIMIT);
	b_goes_on(&s, 20);
	flip(&s); /* good again, but nobody has looked into it */
	pass(&s, LIMIT);
	test_check(look(&s).calls == calls);
	is_refused(&s, BH_E_TAG);
	test_ok(bh_merchant_resume(s.db, "a", &(bh_suspend_options){ .reason = "looked into" }));
	is_back(&s);
	end(&s);
}

/* A call that hangs for longer than the lease: A goes at its limit; meanwhile others are added, suspended, resumed and shredded. */
static void slow(void *arg)
{
	stage s = { .ws = arg };

	begin(&s);
	write_rows(&s);
	hold(true);
	pass(&s, LIMIT * 7 / 10);
	WAIT_UNTIL(atomic_load(&waiting) == 1);
	all_rows_are_there(&s);
	test_merchant_add(s.ws, s.db, "c", "events", NULL);
	test_ok(bh_merchant_suspend(s.db, "c", NULL));
	test_ok(bh_merchant_resume(s.db, "c", NULL));
	pass(&s, LIMIT * 3 / 10);
	is_detached(&s, BH_SUSPEND_KMS_UNREACHABLE, BH_LEASE_LOST);
	is_refused(&s, BH_E_KMS_UNREACHABLE);
	test_ok(bh_merchant_shred(s.db, "c", NULL));
	b_goes_on(&s, 20);
	test_check(atomic_load(&waiting) == 1); /* the one call is still out */
	hold(false);                            /* a yes that comes too late for the lease, and in time to come back */
	is_back(&s);
	end(&s);
}

static void *add_a(void *arg)
{
	stage *s = arg;

	test_merchant_add(s->ws, s->db, "a", "events", NULL);
	return NULL;
}

/* A is being added, and its KMS hangs: the others are not kept waiting. */
static void slow_while_added(void *arg)
{
	stage s = { .ws = arg };
	pthread_t adder;

	test_db_create(s.ws, NULL);
	test_ok(bh_db_open(s.ws->db, NULL, &s.db));
	(void)test_cmk(s.ws, "a");
	hold(true);
	test_check(pthread_create(&adder, NULL, add_a, &s) == 0);
	WAIT_UNTIL(atomic_load(&waiting) == 1);
	test_merchant_add(s.ws, s.db, "b", "events", NULL);
	test_ok(bh_merchant_suspend(s.db, "b", NULL));
	test_ok(bh_merchant_resume(s.db, "b", NULL));
	test_ok(bh_merchant_shred(s.db, "b", NULL));
	test_check(atomic_load(&waiting) == 1);
	hold(false);
	pthread_join(adder, NULL);
	s.a = test_cf(s.db, "a", "events");
	test_put(s.a, "k", "v");
	bh_cf_close(s.a);
	bh_db_close(s.db);
}

/* Reachable and not by turns, each second for a few leases: nobody loses anything, and the calls stay few. */
static void flapping(void *arg)
{
	stage s = { .ws = arg };

	begin(&s);
	write_rows(&s);
	for (int second = 0; second < 900; second++) {
		atomic_store(&is_cut, second % 2 == 0);
		pass(&s, 1000);
		if (second % 10 == 0)
			pause_ms(10);
	}
	pass(&s, BH_LEASE_PROBE_MAX_MS);
	is_back(&s);
	test_check(look(&s).calls < 200);
	end(&s);
}

static void clocks(void *arg)
{
	stage s = { .ws = arg };

	begin(&s);
	write_rows(&s);
	atomic_store(&is_cut, true);
	for (int i = 0; i < 10; i++) { /* set back an hour, again and again: the limit stays where it is */
		atomic_fetch_sub(&wall_ms, 3600000);
		bh_leaser_wake(s.db->leaser);
		pass(&s, LIMIT / 10);
	}
	is_detached(&s, BH_SUSPEND_KMS_UNREACHABLE, BH_LEASE_LOST);
	is_refused(&s, BH_E_KMS_UNREACHABLE);
	atomic_store(&is_cut, false);
	pass(&s, BH_LEASE_PROBE_MAX_MS);
	is_back(&s);
	end(&s);
}

/* Closed while A is outside, opened while its KMS is still away: B is served, and A comes by itself. */
static void reopened(void *arg)
{
	stage s = { .ws = arg };

	begin(&s);
	write_rows(&s);
	atomic_store(&is_cut, true);
	pass(&s, LIMIT);
	is_detached(&s, BH_SUSPEND_KMS_UNREACHABLE, BH_LEASE_LOST);
	end(&s);
	open_stage(&s);
	test_status(bh_cf_open(s.db, "a", "events", &s.a), BH_E_KMS_UNREACHABLE);
	s.b = test_cf(s.db, "b", "events");
	test_expect(s.b, "b0", "b0");
	atomic_store(&is_cut, false);
	pass(&s, BH_LEASE_PROBE_MAX_MS);
	WAIT_UNTIL(is_in(&s, BH_MERCHANT_ACTIVE, BH_SUSPEND_NONE));
	s.a = test_cf(s.db, "a", "events");
	is_back(&s);
	bh_cf_close(s.a);
	bh_cf_close(s.b);
	bh_db_close(s.db);
}

static void limits(void *arg)
{
	static const unsigned bad[] = { 1, 999, 900001 };
	const workspace *ws = arg;
	bh_db *db = NULL;

	test_db_create(ws, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		test_status(bh_db_open(ws->db, &(bh_db_options){ .lease_ms = bad[i] }, &db), BH_E_INVALID);
	test_ok(bh_db_open(ws->db, &(bh_db_options){ .lease_ms = 1000 }, &db));
	bh_db_close(db);
}

static void in_a_child(void (*body)(void *arg))
{
	workspace ws;

	workspace_open(&ws);
	test_child_ok(body, &ws);
	workspace_close(&ws);
}

#define IN_A_CHILD(name)                                                                                                           \
	static void test_##name(void **state)                                                                                      \
	{                                                                                                                          \
		(void)state;                                                                                                       \
		in_a_child(name);                                                                                                  \
	}
IN_A_CHILD(renewed)
IN_A_CHILD(refused)
IN_A_CHILD(unreachable)
IN_A_CHILD(damaged)
IN_A_CHILD(slow)
IN_A_CHILD(slow_while_added)
IN_A_CHILD(flapping)
IN_A_CHILD(clocks)
IN_A_CHILD(reopened)
IN_A_CHILD(limits)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_renewed),  cmocka_unit_test(test_refused), cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_damaged),  cmocka_unit_test(test_slow),    cmocka_unit_test(test_slow_while_added),
		cmocka_unit_test(test_flapping), cmocka_unit_test(test_clocks),  cmocka_unit_test(test_reopened),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
