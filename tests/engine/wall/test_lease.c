/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lease.c: a merchant whose KMS says no, nothing, or something wrong, beside one whose KMS is well (a KMS that is down, slow,
 * wrong, flapping, not mounted; a clock set back).
 *
 * The clock is the test's own, the database and the CMKs are real. A's KMS refuses while the key is disabled and is damaged while
 * its file has a changed byte; it hangs or is out of reach while the test holds its calls back or fails them; it is not mounted
 * while its directory is another one. What goes on beside it is in lease_stage.h.
 */
#include "lease_stage.h"

#include <sys/stat.h>
#include <unistd.h>

#include "keyring/kms/kms.h"
#include "tests/support/traces.h"

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

/* What an operator sees of A and B. */
static void is_reported(stage *s, const char *cause, const char *lease)
{
	char path[PATH_SIZE];
	bh_db_report *report = NULL;
	bh_buf text;

	test_ok(bh_db_status(s->db, &report));
	test_check(report->merchant_count == 2 && report->background_errors == 0 && report->wal_files > 0);
	test_check(report->audit_entries > 0 && report->audit_bytes > 0);
	test_check(strcmp(report->merchants[0].name, "a") == 0 && strcmp(report->merchants[0].cause, cause) == 0);
	test_check(strcmp(report->merchants[0].lease, lease) == 0 && report->merchants[0].lease_age_ms == -1);
	test_check(report->merchants[0].parked_files > 0 && report->merchants[0].live_files == 0);
	test_check(report->merchants[0].dek_count == 1 && report->merchants[0].cmk_version == 1);
	test_check(strcmp(report->merchants[1].lease, "held") == 0 && report->merchants[1].cause[0] == '\0');
	test_check(report->merchants[1].kms.calls > 0 && report->merchants[1].kms.refused == 0);
	test_check(report->merchants[0].kms.refused > 0 && report->merchants[0].lease_left_ms == -1);
	test_check(report->merchants[1].lease_age_ms + report->merchants[1].lease_left_ms == LIMIT);
	test_check(report->platform_kms.calls > 0 && report->platform_kms.latency_max_us <= report->platform_kms.latency_sum_us);
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

/* A's DEK, of which the halves are looked for: its own, and those that a key schedule begins with. */
static traced_key trace_of_a(stage *s)
{
	const bh_scope scope = { .merchant = "a", .cls = "events" };
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	test_ok(bh_keyring_dek_current(s->db->keyring, &scope, &dek));
	return trace_of(bh_dek_key(dek).data);
}

static void expect_traces(const traced_key *key, bool some)
{
#ifdef BH_SANITIZED
	(void)key;
	(void)some;
#else
	test_check((traces_count(key, 1) > 0) == some);
#endif
}

static void unreachable(void *arg)
{
	stage s = { .ws = arg };
	traced_key key;

	begin(&s);
	write_rows(&s);
	key = trace_of_a(&s);
	expect_traces(&key, true);
	atomic_store(&is_cut, true);
	pass(&s, LIMIT * 7 / 10);
	WAIT_UNTIL(look(&s).state == BH_LEASE_LATE);
	write_rows(&s); /* served up to the limit */
	all_rows_are_there(&s);
	pass(&s, LIMIT * 3 / 10);
	is_detached(&s, BH_SUSPEND_KMS_UNREACHABLE, BH_LEASE_LOST);
	is_refused(&s, BH_E_KMS_UNREACHABLE);
	expect_traces(&key, false); /* nor is it kept for when the KMS is back */
	b_goes_on(&s, 20);
	atomic_store(&is_cut, false);
	pass(&s, BH_LEASE_PROBE_MAX_MS);
	is_back(&s);
	end(&s);
}

/* The disk with A's KMS is unmounted: the empty directory below it is no word of the KMS, however often it is asked. A key file
 * that is gone from a KMS is. */
static void unmounted(void *arg)
{
	stage s = { .ws = arg };
	char aside[PATH_SIZE];

	begin(&s);
	write_rows(&s);
	path_join(aside, s.ws->root, "aside");
	test_check(rename(s.kms, aside) == 0 && mkdir(s.kms, 0700) == 0);
	pass(&s, LIMIT * 7 / 10);
	WAIT_WHILE_DOING(look(&s).unreachable >= 3, pass_if_pausing(&s));
	test_check(look(&s).state == BH_LEASE_LATE && look(&s).refused == 0);
	write_rows(&s);
	pass(&s, LIMIT * 3 / 10);
	is_detached(&s, BH_SUSPEND_KMS_UNREACHABLE, BH_LEASE_LOST);
	test_check(rmdir(s.kms) == 0 && rename(aside, s.kms) == 0);
	pass(&s, BH_LEASE_PROBE_MAX_MS);
	is_back(&s);
	test_check(rename(s.key, aside) == 0);
	pass(&s, LIMIT * 7 / 10);
	is_detached(&s, BH_SUSPEND_KMS_REFUSED, BH_LEASE_REFUSED);
	test_check(rename(aside, s.key) == 0);
	pass(&s, BH_LEASE_PROBE_MAX_MS * 11 / 10);
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

static void *add_a_meanwhile(void *arg)
{
	add_a(arg);
	return NULL;
}

/* A is being added, and its KMS hangs: the others are not kept waiting. */
static void slow_while_added(void *arg)
{
	stage s = { .ws = arg };
	pthread_t adder;

	test_db_create(s.ws, NULL);
	test_ok(bh_db_open(s.ws->db, NULL, &s.db));
	hold(true);
	test_check(pthread_create(&adder, NULL, add_a_meanwhile, &s) == 0);
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
IN_A_CHILD(unmounted)
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
		cmocka_unit_test(test_renewed),  cmocka_unit_test(test_refused),   cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_damaged),  cmocka_unit_test(test_slow),      cmocka_unit_test(test_slow_while_added),
		cmocka_unit_test(test_flapping), cmocka_unit_test(test_clocks),    cmocka_unit_test(test_reopened),
		cmocka_unit_test(test_limits),   cmocka_unit_test(test_unmounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
