/* SPDX-License-Identifier: Apache-2.0
 *
 * test_clock_step.c: the wall clock of a running service steps forward by an hour, as NTP or a VM's host does it. Every KMS is
 * asked at once: whoever is confirmed serves on, with its iterators, and was not detached; whose KMS says no is.
 */
#include <stdatomic.h>
#include <time.h>

#include "engine/wall/leaser.h"
#include "suspend_fixture.h"

enum { MERCHANTS = 8, PATIENCE_MS = 30000, STEP_MS = 3600 * 1000 };

static _Atomic int64_t step_ms;

static int64_t read_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t boottime_ms(void *arg)
{
	(void)arg;
	return read_ms(CLOCK_BOOTTIME);
}

static int64_t realtime_ms(void *arg)
{
	(void)arg;
	return read_ms(CLOCK_REALTIME) + atomic_load(&step_ms);
}

typedef struct stage {
	const workspace *ws;
	bh_db *db;
	bh_cf *cfs[MERCHANTS];
	bh_iter *iters[MERCHANTS];
} stage;

static void name_of(int i, char out[8])
{
	snprintf(out, 8, "m%d", i);
}

static void open_stage(stage *s)
{
	static const bh_clock clock = { boottime_ms, realtime_ms, NULL };
	const bh_db_options options = { .clock = &clock };

	test_db_create(s->ws, NULL);
	test_ok(bh_db_open(s->ws->db, &options, &s->db));
	for (int i = 0; i < MERCHANTS; i++) {
		char name[8];

		name_of(i, name);
		test_merchant_add(s->ws, s->db, name, "events", NULL);
		s->cfs[i] = test_cf(s->db, name, "events");
		test_put(s->cfs[i], "k1", name);
		test_put(s->cfs[i], "k2", name);
		test_ok(bh_iter_new(s->cfs[i], NULL, &s->iters[i]));
		test_ok(bh_iter_first(s->iters[i]));
	}
}

static void disable(const stage *s, const char *key)
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(workspace_cmk(s->ws, key), NULL, &kms));
	test_ok(bh_kms_disable(kms));
	bh_kms_close(kms);
}

/* Until it gets `want`; nothing in between but that its time is over. */
static void wait_for(bh_cf *cf, bh_status want)
{
	bh_buf value = { 0 };
	bh_status status = bh_get(cf, NULL, bh_view_str("k1"), &value);

	for (int waited_ms = 0; status != want && waited_ms < PATIENCE_MS; waited_ms += 5) {
		test_check(status == BH_OK || status == BH_E_KMS_UNREACHABLE);
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
		status = bh_get(cf, NULL, bh_view_str("k1"), &value);
	}
	bh_buf_clear(&value);
	test_status(status, want);
}

static bool is_parked(const stage *s, const char *name)
{
	char below[32], path[PATH_SIZE];

	snprintf(below, sizeof(below), "parked/%s", name);
	path_join(path, s->ws->db, below);
	return file_exists(path);
}

/* Merchant 0's KMS has come to say no; the others' are well. */
static void step_forward(void *arg)
{
	stage s = { .ws = arg };
	char name[8];

	open_stage(&s);
	disable(&s, "m0");
	atomic_fetch_add(&step_ms, STEP_MS);
	bh_leaser_wake(s.db->leaser);
	wait_for(s.cfs[0], BH_E_KMS_REFUSED);
	for (int i = 1; i < MERCHANTS; i++) {
		name_of(i, name);
		wait_for(s.cfs[i], BH_OK);
		test_check(!is_parked(&s, name));
		test_ok(bh_iter_next(s.iters[i])); /* a detach would have ended it */
		test_check(bh_iter_valid(s.iters[i]));
	}
	for (int i = 0; i < MERCHANTS; i++) {
		bh_iter_free(s.iters[i]);
		bh_cf_close(s.cfs[i]);
	}
	bh_db_close(s.db);
}

static void who_is_confirmed_serves_on(void **state)
{
	test_child_ok(step_forward, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(who_is_confirmed_serves_on),
	};

	return cmocka_run_group_tests_name("clock_step", tests, NULL, NULL);
}
