/* SPDX-License-Identifier: Apache-2.0
 *
 * test_close.c: bh_db_close() waits for every call that is under way in another thread, whatever it is, and ends those that would
 * go on for long. What is called afterwards, through a handle that is still there, is refused.
 */
#include <bulkhead/erase.h>
#include <bulkhead/report.h>
#include <bulkhead/rotation.h>

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "tests/engine/wall/suspend_fixture.h"

enum { ROUNDS = 6, ROWS = 1500 };

static void nap_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

/* ---- calls in other threads */

typedef struct stage {
	const workspace *ws;
	bh_db *db;
	bh_cf *a, *b;
	unsigned delay_ms;
	_Atomic int under_way; /* callers that have not ended */
	_Atomic bool over;     /* no further call: the database is about to be closed */
} stage;

static void suspend_and_resume(stage *s)
{
	(void)!bh_merchant_suspend(s->db, "a", NULL);
	if (!atomic_load(&s->over))
		(void)!bh_merchant_resume(s->db, "a", NULL);
}

static void rotate_and_sweep(stage *s)
{
	const bh_sweep_options slow = { .bytes_per_s = 64 << 10 };

	(void)!bh_merchant_rotate(s->db, "b", NULL);
	if (!atomic_load(&s->over))
		(void)!bh_merchant_sweep(s->db, "b", &slow);
}

static void add(stage *s)
{
	static _Atomic int number;
	static const char *const classes[] = { "events" };
	const bh_merchant_options options = { classes, 1 };
	char name[16], uri[PATH_SIZE + 32];
	int n = atomic_fetch_add(&number, 1);

	snprintf(name, sizeof(name), "n%d", n);
	snprintf(uri, sizeof(uri), "local:%s#%s", s->ws->kms, name);
	(void)!bh_kms_create(uri, "eu-1", NULL);
	if (!atomic_load(&s->over))
		(void)!bh_merchant_add(s->db, name, uri, &options);
}

static void look(stage *s)
{
	bh_db_report *report = NULL;

	if (bh_db_status(s->db, &report) == BH_OK)
		bh_db_report_free(report);
}

static void take_snapshots(stage *s)
{
	bh_snapshot *snapshot = NULL;

	if (bh_snapshot_new(s->db, &snapshot) == BH_OK)
		bh_snapshot_free(snapshot);
}

static void open_classes(stage *s)
{
	bh_cf *cf = NULL;

	if (bh_cf_open(s->db, "b", "events", &cf) == BH_OK)
		bh_cf_close(cf);
}

static void sync_wal(stage *s)
{
	(void)!bh_sync_wal(s->db);
}

/* Waits for a snapshot that nobody ends, for a minute if it is let. */
static void erase(stage *s)
{
	const bh_erase_options patient = { .wait_ms = 60000 };
	bh_erase_result result = { 0 };
	bh_snapshot *snapshot = NULL;

	if (bh_snapshot_new(s->db, &snapshot) != BH_OK)
		return;
	(void)!bh_erase_range(s->b, bh_view_str("row00001"), &patient, &result);
	bh_erase_result_clear(&result);
	bh_snapshot_free(snapshot);
}

typedef struct caller {
	stage *s;
	void (*call)(stage *s);
} caller;

/* One is under way when the database is closed, and none is begun after. */
static void *call_on(void *arg)
{
	const caller *c = arg;

	while (!atomic_load(&c->s->over))
		c->call(c->s);
	atomic_fetch_sub(&c->s->under_way, 1);
	return NULL;
}

static void open_stage(stage *s)
{
	s->db = test_db_open(s->ws, NULL);
	(void)!bh_merchant_resume(s->db, "a", NULL);
	s->a = test_cf(s->db, "a", "events");
	s->b = test_cf(s->db, "b", "events");
}

/* Who has looked at `over` before it was set has begun its call by then, and begins no other: what the header asks of callers. */
static bool is_inside_or_gone(stage *s)
{
	return atomic_load(&s->under_way) == 0 || atomic_load(&s->db->calls) != 0 || atomic_load(&s->b->merchant->gate.inside) != 0;
}

static void close_under(stage *s, void (*call)(stage *s), int round)
{
	caller c = { s, call };
	pthread_t thread;
	time_t began;

	open_stage(s);
	atomic_store(&s->over, false);
	atomic_store(&s->under_way, 1);
	test_check(pthread_create(&thread, NULL, call_on, &c) == 0);
	nap_ms(3 + round * 17);
	atomic_store(&s->over, true);
	while (!is_inside_or_gone(s))
		nap_ms(1);
	began = time(NULL);
	bh_db_close(s->db);
	test_check(time(NULL) - began < 20);
	pthread_join(thread, NULL);
	bh_cf_close(s->a);
	bh_cf_close(s->b);
}

static void close_under_calls(void *arg)
{
	static void (*const callers[])(stage * s) = { suspend_and_resume, rotate_and_sweep, add,      look,
						      take_snapshots,     open_classes,     sync_wal, erase };
	stage s = { .ws = arg };

	make_two(s.ws);
	open_stage(&s);
	for (int i = 0; i < ROWS; i++) {
		put_row(s.a, i, row_len(i));
		put_row(s.b, i, row_len(i));
	}
	test_ok(bh_flush(s.b));
	bh_cf_close(s.a);
	bh_cf_close(s.b);
	bh_db_close(s.db);
	for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++)
		for (int round = 0; round < ROUNDS; round++)
			close_under(&s, callers[i], round);
	open_stage(&s);
	expect_both(s.db, false);
	for (int i = 0; i < ROWS; i++)
		expect_put_row(s.a, i, row_len(i));
	bh_cf_close(s.a);
	bh_cf_close(s.b);
	bh_db_close(s.db);
}

static void a_close_waits_for_every_call(void **state)
{
	test_child_ok(close_under_calls, *state);
}

/* ---- afterwards */

static void call_afterwards(void *arg)
{
	stage s = { .ws = arg };
	const bh_view keys[] = { bh_view_str("k1") };
	bh_batch *empty, *filled;
	bh_snapshot *snapshot;
	bh_buf value = { 0 };
	bh_status found[1];
	bh_iter *iter, *made = NULL;

	make_two(s.ws);
	open_stage(&s);
	test_ok(bh_batch_new(s.db, &empty));
	test_ok(bh_batch_new(s.db, &filled));
	test_ok(bh_batch_put(filled, s.b, keys[0], keys[0]));
	test_ok(bh_snapshot_new(s.db, &snapshot));
	test_ok(bh_iter_new(s.b, NULL, &iter));
	test_ok(bh_iter_first(iter));
	bh_db_close(s.db);
	test_status(bh_batch_put(empty, s.b, keys[0], keys[0]), BH_E_INVALID);
	test_status(bh_batch_merge(empty, s.b, keys[0], keys[0]), BH_E_INVALID);
	test_status(bh_batch_delete(empty, s.b, keys[0]), BH_E_INVALID);
	test_status(bh_batch_delete_range(empty, s.b, keys[0], keys[0]), BH_E_INVALID);
	test_status(bh_batch_put(filled, s.b, keys[0], keys[0]), BH_E_INVALID);
	test_status(bh_batch_write(filled, NULL), BH_E_INVALID);
	test_ok(bh_batch_write(empty, NULL)); /* nothing to write */
	test_status(bh_put(s.b, NULL, keys[0], keys[0]), BH_E_INVALID);
	test_status(bh_get(s.b, NULL, keys[0], &value), BH_E_INVALID);
	test_status(bh_get(s.b, &(bh_read_options){ .snapshot = snapshot }, keys[0], &value), BH_E_INVALID);
	test_status(bh_multi_get(s.b, NULL, 1, keys, &value, found), BH_E_INVALID);
	test_status(bh_delete_range(s.b, NULL, keys[0], keys[0]), BH_E_INVALID);
	test_status(bh_flush(s.b), BH_E_INVALID);
	test_status(bh_compact(s.b, (bh_view){ 0 }, (bh_view){ 0 }), BH_E_INVALID);
	test_status(bh_iter_new(s.b, NULL, &made), BH_E_INVALID);
	test_status(bh_iter_next(iter), BH_E_INVALID);
	test_status(bh_iter_entry(iter, NULL, NULL), BH_E_INVALID);
	test_status(bh_erase_range(s.b, keys[0], NULL, NULL), BH_E_INVALID);
	test_status(bh_erase_unsuppress(s.b, keys[0]), BH_E_INVALID);
	test_check(bh_cf_handle(s.b) == NULL);
	bh_batch_free(empty);
	bh_batch_free(filled);
	bh_snapshot_free(snapshot);
	bh_iter_free(iter);
	bh_cf_close(s.a);
	bh_cf_close(s.b);
}

static void what_is_called_afterwards_is_refused(void **state)
{
	test_child_ok(call_afterwards, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(what_is_called_afterwards_is_refused),
		SUSPEND_CASE(a_close_waits_for_every_call),
	};

	return cmocka_run_group_tests_name("close", tests, NULL, NULL);
}
