/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keeper.c: what a database does about generations of keys by itself: lazy retirement, rotation by age and by bytes, wraps
 * renewed, sweeps gone on with. And what it never does: call a KMS from a thread that reads or writes.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "rotation_fixture.h"

#include <stdatomic.h>
#include "keyring/base/random.h"

enum { LOOK_MS = 20, PATIENCE_MS = 60000 };

static bh_db *open_kept(const workspace *ws, bh_db_options options)
{
	bh_db *db = NULL;

	options.lease_ms = 900000; /* no renewals among what is counted */
	test_ok(bh_db_open(ws->db, &options, &db));
	return db;
}

/* Waits until `holds`. */
static void await(bh_db *db, bool (*holds)(bh_db *db), const char *what)
{
	for (int waited = 0; !holds(db); waited += 20) {
		if (waited > PATIENCE_MS)
			test_fail_at(__FILE__, __LINE__, "in vain: %s", what);
		usleep(20000);
	}
}

static bool one_generation(bh_db *db)
{
	const generations found = generations_of(db, "a");

	return found.newest > 1 && found.kept == 2;
}

static bool a_second_generation(bh_db *db)
{
	return generations_of(db, "a").newest > 1;
}

/* Every row of A written anew, and compacted. */
static void overwrite(bh_db *db)
{
	static const char *const classes[] = { "events", "profile" };

	for (size_t c = 0; c < 2; c++) {
		bh_cf *cf = test_cf(db, "a", classes[c]);
		bh_iter *iter = NULL;

		test_ok(bh_iter_new(cf, NULL, &iter));
		test_ok(bh_iter_first(iter));
		while (bh_iter_valid(iter)) {
			bh_view key, value;

			test_ok(bh_iter_entry(iter, &key, &value));
			test_ok(bh_put(cf, NULL, key, value));
			test_ok(bh_iter_next(iter));
		}
		bh_iter_free(iter);
		bh_cf_close(cf);
		compact_all(db, "a", classes[c]);
	}
}

/* ---- lazy means lazy */

static uint64_t kms_calls(bh_db *db, const char *merchant)
{
	bh_kms_statistics stats;

	test_ok(bh_keyring_kms_stats(db->keyring, merchant, &stats));
	return stats.calls;
}

static void retired_by_compaction(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = LOOK_MS }));

	test_ok(bh_merchant_rotate(db, "a", NULL));
	usleep(10 * LOOK_MS * 1000);
	expect_generations(db, "a", 4, 0, 2); /* nothing is moved for it */
	overwrite(db);
	overwrite(db);
	await(db, one_generation, "the old generation's retirement");
	expect_both(db, false);
	bh_db_close(db);
	db = test_db_open(ws, NULL);
	expect_generations(db, "a", 2, 2, 2);
	expect_both(db, false);
	bh_db_close(db);
}

/* Without the database's own thread there is nobody to call a KMS, and nobody does. */
static void no_call_from_who_reads_and_writes(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = UINT_MAX }));
	uint64_t before;

	test_ok(bh_merchant_rotate(db, "a", NULL));
	before = kms_calls(db, "a");
	overwrite(db);
	overwrite(db);
	test_ok(bh_merchant_sweep(db, "a", NULL));
	test_check(kms_calls(db, "a") == before);
	expect_both(db, false);
	bh_db_close(db);
}

/* ---- rotation by itself */

static void rotated_by_age(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = LOOK_MS, .dek_age_s = 1 }));

	await(db, a_second_generation, "a rotation by age");
	expect_both(db, false);
	bh_db_close(db);
}

static _Atomic int ahead_s; /* of the wall clock */

time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);
time_t __wrap_time(time_t *out)
{
	time_t now = __real_time(NULL) + atomic_load(&ahead_s);

	if (out != NULL)
		*out = now;
	return now;
}

/* Its DEKs will be made only tomorrow. */
static void rotated_though_made_ahead_of_time(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	atomic_store(&ahead_s, 24 * 3600);
	make_two(ws);
	atomic_store(&ahead_s, 0);
	db = open_kept(ws, (bh_db_options){ .maintenance_ms = LOOK_MS });
	await(db, a_second_generation, "a rotation of what is younger than nothing");
	usleep(10 * LOOK_MS * 1000);
	test_check(generations_of(db, "a").newest == 2); /* once is enough */
	expect_both(db, false);
	bh_db_close(db);
}

/* Clocks of several hosts differ by a little. */
static void not_rotated_for_a_minute_ahead(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	atomic_store(&ahead_s, 60);
	make_two(ws);
	atomic_store(&ahead_s, 0);
	db = open_kept(ws, (bh_db_options){ .maintenance_ms = LOOK_MS });
	usleep(10 * LOOK_MS * 1000);
	test_check(generations_of(db, "a").newest == 1);
	bh_db_close(db);
}

static void rotated_by_bytes(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = LOOK_MS, .dek_bytes = 1 }));

	await(db, a_second_generation, "a rotation by bytes");
	expect_both(db, false);
	bh_db_close(db);
}

static void not_rotated_before(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = LOOK_MS, .dek_bytes = UINT64_MAX }));

	usleep(10 * LOOK_MS * 1000);
	expect_generations(db, "a", 2, 0, 1);
	bh_db_close(db);
}

/* ---- bytes are those that were sealed, not those that lie there */

enum { FEW_ROWS = 8, ROW_LEN = 2048, LIMIT = 256 * 1024 };

static bh_generation newest_of(bh_db *db, const char *cls)
{
	bh_generation *all = NULL, newest = { 0 };
	size_t count = 0;

	test_ok(bh_merchant_generations(db, "a", &all, &count));
	for (size_t i = 0; i < count; i++)
		if (strcmp(all[i].cls, cls) == 0 && all[i].generation > newest.generation)
			newest = all[i];
	free(all);
	return newest;
}

/* The same few rows again, to an SST: WAL and file, about 2 * FEW_ROWS * ROW_LEN bytes. */
static void write_rows_again(bh_db *db, const char *cls)
{
	bh_cf *cf = test_cf(db, "a", cls);
	uint8_t value[ROW_LEN];

	for (int i = 0; i < FEW_ROWS; i++) {
		char key[16];

		test_ok(bh_random(value, sizeof(value)));
		test_ok(bh_put(cf, NULL, row_key(key, i), bh_view_of(value, sizeof(value))));
	}
	bh_cf_close(cf);
	compact_all(db, "a", cls);
}

static void rotated_by_what_was_sealed(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = LOOK_MS, .dek_bytes = LIMIT }));
	uint64_t per_round = 2 * FEW_ROWS * ROW_LEN, most = 4 * LIMIT / per_round, rounds = 0;

	usleep(10 * LOOK_MS * 1000);
	test_check(!a_second_generation(db));
	for (; !a_second_generation(db) && rounds < most; rounds++) {
		write_rows_again(db, "events");
		usleep(2 * LOOK_MS * 1000);
	}
	/* Not before there was reason to: a round writes WAL and SST, and compacts once or twice. */
	test_check(rounds < most && rounds * 3 * per_round > LIMIT);
	/* What is there now would not have been enough. */
	compact_all(db, "a", "events");
	test_check(newest_of(db, "events").sealed < LIMIT / 2);
	expect_both(db, false);
	bh_db_close(db);
}

static void who_only_reads_is_not_rotated(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = LOOK_MS, .dek_bytes = LIMIT }));
	uint64_t before;

	write_rows_again(db, "events");
	usleep(5 * LOOK_MS * 1000);
	before = newest_of(db, "events").sealed;
	test_check(before > 2 * FEW_ROWS * ROW_LEN && before < LIMIT);
	for (size_t read = 0; read < 4 * LIMIT; read += ROW_LEN) {
		bh_cf *cf = test_cf(db, "a", "events");
		bh_buf value = { 0 };
		char key[16];

		test_ok(bh_get(cf, NULL, row_key(key, (int)(read / ROW_LEN % FEW_ROWS)), &value));
		test_check(value.len == ROW_LEN);
		bh_buf_clear(&value);
		bh_cf_close(cf);
	}
	usleep(5 * LOOK_MS * 1000);
	test_check(newest_of(db, "events").sealed == before);
	expect_generations(db, "a", 2, 0, 1);
	bh_db_close(db);
}

/* Without a keeper: the close alone writes it down. */
static void the_count_survives_a_reopening(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = UINT_MAX }));
	uint64_t before, after;

	for (int i = 0; i < 4; i++)
		write_rows_again(db, "events");
	before = newest_of(db, "events").sealed;
	test_check(before > 8 * FEW_ROWS * ROW_LEN);
	bh_db_close(db);
	db = open_kept(ws, (bh_db_options){ .maintenance_ms = UINT_MAX });
	after = newest_of(db, "events").sealed;
	test_check(after >= before && after < before + ROW_LEN); /* an open writes a MANIFEST */
	test_ok(bh_merchant_suspend(db, "a", NULL));
	test_ok(bh_merchant_resume(db, "a", NULL));
	test_check(newest_of(db, "events").sealed >= after);
	bh_db_close(db);
}

static void write_until_killed(void *arg)
{
	bh_db *db = open_kept(arg, (bh_db_options){ .maintenance_ms = LOOK_MS });

	for (int i = 0; i < 6; i++)
		write_rows_again(db, "events");
	usleep(20 * LOOK_MS * 1000); /* a look at least */
	raise(SIGKILL);
}

static void killed_before_a_look(void *arg)
{
	bh_db *db = open_kept(arg, (bh_db_options){ .maintenance_ms = UINT_MAX });

	write_rows_again(db, "profile");
	raise(SIGKILL);
}

static void look_after_the_kill(void *arg)
{
	bh_db *db = open_kept(arg, (bh_db_options){ .maintenance_ms = UINT_MAX });
	uint64_t events = newest_of(db, "events").sealed, profile = newest_of(db, "profile").sealed;

	test_check(events > 12 * FEW_ROWS * ROW_LEN && profile < FEW_ROWS * ROW_LEN);
	bh_db_close(db);
	/* What lies there was sealed: the next look finds it. */
	db = open_kept(arg, (bh_db_options){ .maintenance_ms = LOOK_MS });
	usleep(20 * LOOK_MS * 1000);
	test_check(newest_of(db, "events").sealed >= events);
	test_check(newest_of(db, "profile").sealed >= FEW_ROWS * ROW_LEN);
	bh_db_close(db);
}

static void test_the_count_survives_kills(void **state)
{
	test_child_ok(make_two_child, *state);
	test_child_killed(write_until_killed, *state);
	test_child_killed(killed_before_a_look, *state);
	test_child_ok(look_after_the_kill, *state);
}

/* What a sweep seals anew counts for the new generation. */
static void a_sweep_counts_for_the_new_generation(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = UINT_MAX }));
	uint64_t before;

	write_rows_again(db, "events");
	test_ok(bh_merchant_rotate(db, "a", NULL));
	before = newest_of(db, "events").sealed;
	test_ok(bh_merchant_sweep(db, "a", NULL));
	test_check(before < FEW_ROWS * ROW_LEN && newest_of(db, "events").sealed > before + FEW_ROWS * ROW_LEN);
	bh_db_close(db);
}

/* ---- wraps */

static bool all_wraps_are_new(bh_db *db)
{
	bh_dek_info *deks = NULL;
	size_t count = 0, behind = 0;

	test_ok(bh_keyring_deks(db->keyring, &deks, &count));
	for (size_t i = 0; i < count; i++)
		behind += strcmp(deks[i].scope.merchant, "a") == 0 && deks[i].cmk_version < 2;
	free(deks);
	return behind == 0;
}

static void rewrapped_when_put_to_use(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = LOOK_MS }));
	bh_kms *console = NULL;
	uint32_t version;

	test_ok(bh_kms_open(test_cmk(ws, "a"), NULL, &console));
	test_ok(bh_kms_rotate(console, &version));
	test_check(version == 2 && !all_wraps_are_new(db));
	overwrite(db);
	await(db, all_wraps_are_new, "wraps of the newest version");
	expect_both(db, false);
	bh_kms_close(console);
	bh_db_close(db);
}

/* ---- sweeps */

static void an_interrupted_sweep_is_gone_on_with(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = UINT_MAX }));

	test_ok(bh_merchant_rotate(db, "a", &(bh_rotate_options){ .sweep = true }));
	bh_db_close(db);
	db = open_kept(ws, (bh_db_options){ 0 });
	await(db, one_generation, "the end of a sweep that was asked for before the open");
	expect_both(db, false);
	bh_db_close(db);
}

static void the_exposed_go_at_once(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ 0 }));
	bh_generation *all = NULL;
	size_t count = 0;

	test_ok(bh_merchant_rotate(db, "a", &(bh_rotate_options){ .exposed = true }));
	await(db, one_generation, "the destruction of an exposed generation");
	test_ok(bh_merchant_generations(db, "a", &all, &count));
	for (size_t i = 0; i < count; i++)
		test_check(all[i].newest != all[i].retired && all[i].exposed == all[i].retired);
	free(all);
	expect_both(db, false);
	bh_db_close(db);
}

/* ---- a sweep and its merchant's end */

static void *sweep_slowly(void *arg)
{
	const bh_sweep_options options = { .bytes_per_s = 1 };

	test_status(bh_merchant_sweep(arg, "a", &options), BH_E_SUSPENDED);
	return NULL;
}

static void ends_at_suspend(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_kept(ws, (bh_db_options){ .maintenance_ms = UINT_MAX }));
	pthread_t thread;

	test_ok(bh_merchant_rotate(db, "a", NULL));
	test_check(pthread_create(&thread, NULL, sweep_slowly, db) == 0);
	usleep(100000);
	test_ok(bh_merchant_suspend(db, "a", NULL));
	pthread_join(thread, NULL);
	test_ok(bh_merchant_resume(db, "a", NULL));
	test_ok(bh_merchant_sweep(db, "a", NULL));
	expect_generations(db, "a", 2, 2, 2);
	expect_both(db, false);
	test_ok(bh_merchant_rotate(db, "a", &(bh_rotate_options){ .sweep = true }));
	test_ok(bh_merchant_shred(db, "a", NULL));
	test_status(bh_merchant_sweep(db, "a", NULL), BH_E_SHREDDED);
	bh_db_close(db);
}

/* ---- */

#define IN_A_CHILD(body)                                                                                                           \
	static void test_##body(void **state)                                                                                      \
	{                                                                                                                          \
		test_child_ok(body, *state);                                                                                       \
	}

IN_A_CHILD(retired_by_compaction)
IN_A_CHILD(no_call_from_who_reads_and_writes)
IN_A_CHILD(rotated_by_age)
IN_A_CHILD(rotated_though_made_ahead_of_time)
IN_A_CHILD(not_rotated_for_a_minute_ahead)
IN_A_CHILD(rotated_by_bytes)
IN_A_CHILD(not_rotated_before)
IN_A_CHILD(rotated_by_what_was_sealed)
IN_A_CHILD(who_only_reads_is_not_rotated)
IN_A_CHILD(the_count_survives_a_reopening)
IN_A_CHILD(a_sweep_counts_for_the_new_generation)
IN_A_CHILD(rewrapped_when_put_to_use)
IN_A_CHILD(an_interrupted_sweep_is_gone_on_with)
IN_A_CHILD(the_exposed_go_at_once)
IN_A_CHILD(ends_at_suspend)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(test_retired_by_compaction),
		SUSPEND_CASE(test_no_call_from_who_reads_and_writes),
		SUSPEND_CASE(test_rotated_by_age),
		SUSPEND_CASE(test_rotated_though_made_ahead_of_time),
		SUSPEND_CASE(test_not_rotated_for_a_minute_ahead),
		SUSPEND_CASE(test_rotated_by_bytes),
		SUSPEND_CASE(test_not_rotated_before),
		SUSPEND_CASE(test_rotated_by_what_was_sealed),
		SUSPEND_CASE(test_who_only_reads_is_not_rotated),
		SUSPEND_CASE(test_the_count_survives_a_reopening),
		SUSPEND_CASE(test_the_count_survives_kills),
		SUSPEND_CASE(test_a_sweep_counts_for_the_new_generation),
		SUSPEND_CASE(test_rewrapped_when_put_to_use),
		SUSPEND_CASE(test_an_interrupted_sweep_is_gone_on_with),
		SUSPEND_CASE(test_the_exposed_go_at_once),
		SUSPEND_CASE(test_ends_at_suspend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
