/* SPDX-License-Identifier: Apache-2.0
 *
 * test_salvage.c: the right file is gone for good: the merchant comes back with what can be read, and what cannot is reported. The
 * others notice nothing; a kill leaves it as it was.
 */
#include "damage_fixture.h"

#include <bulkhead/report.h>

#include "tests/engine/wall/suspend_fixture.h"
#include "tests/support/harness.h"

typedef struct run {
	const workspace *ws;
	harm h;
	int kill_at; /* the N-th crash point; 0: none */
} run;

static void damage_it(const run *r, char path[PATH_SIZE])
{
	char other[PATH_SIZE];

	damage_file(r->ws, "tenants", 0, path);
	damage_file(r->ws, "tenants", 1, other);
	harm_file(path, other, r->h);
}

/* Every row that is there is right; how many are. */
static int rows_of(bh_db *db)
{
	bh_cf *cf = test_cf(db, "a", "events");
	bh_iter *iter = NULL;
	int count = 0;

	test_ok(bh_iter_new(cf, NULL, &iter));
	for (test_ok(bh_iter_first(iter)); bh_iter_valid(iter); test_ok(bh_iter_next(iter)), count++) {
		bh_view key, value;
		char number[16] = { 0 };
		uint8_t want[200];

		test_ok(bh_iter_entry(iter, &key, &value));
		test_check(key.len == 9);
		memcpy(number, key.data + 3, 6);
		damage_value(want, atoi(number));
		test_check(value.len == sizeof(want) && memcmp(value.data, want, sizeof(want)) == 0);
	}
	bh_iter_free(iter);
	bh_cf_close(cf);
	return count;
}

static void expect_report(const bh_buf *report, int count)
{
	char line[64];

	snprintf(line, sizeof(line), "events: %d rows\n", count);
	if (strstr((const char *)report->data, line) == NULL)
		test_fail_at(__FILE__, __LINE__, "%d rows are there; the report: %s", count, (const char *)report->data);
	test_check(strstr((const char *)report->data, "lost: from ") != NULL ||
		   strstr((const char *)report->data, "doubtful: from ") != NULL);
}

static void salvage(void *arg)
{
	const run *r = arg;
	bh_buf report = { 0 };
	const bh_suspend_options how = { .operator_name = "eve", .salvage = true, .salvaged_out = &report };
	char path[PATH_SIZE];
	neighbour b;
	bh_db *db;
	int count;

	damage_make(r->ws, NULL);
	damage_it(r, path);
	db = damage_open(r->ws, NULL);
	if (!damage_is_quarantined(db, "a")) { /* the damage is where only a read finds it */
		bh_cf *a = test_cf(db, "a", "events");

		test_check(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }) != BH_OK);
		bh_cf_close(a);
		damage_wait_quarantined(db, path);
	}
	test_check(bh_merchant_resume(db, "a", NULL) != BH_OK);
	neighbour_begin(&b, db);
	test_ok(bh_merchant_resume(db, "a", &how));
	neighbour_end(&b);
	count = rows_of(db);
	/* One of two files has every second row; of one with a bad page at most what lies around it is lost. */
	if (count < DAMAGE_ROWS / 2 - 60 || count >= DAMAGE_ROWS)
		test_fail_at(__FILE__, __LINE__, "%d rows are back: %s", count, (const char *)report.data);
	expect_report(&report, count);
	bh_buf_clear(&report);
	bh_db_close(db);
	db = damage_open(r->ws, NULL);
	test_check(rows_of(db) == count);
	damage_expect_all(db, "b");
	bh_db_close(db);
}

static void what_can_be_read_comes_back(void **state)
{
	static const harm harms[] = { HARM_FLIP_HEADER, HARM_FLIP_FIRST, HARM_FLIP_MIDDLE, HARM_FLIP_LAST,
				      HARM_CUT_HALF,    HARM_MISSING,    HARM_DIRECTORY,   HARM_EXCHANGED };

	(void)state;
	for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
		workspace ws;

		print_message("   %s\n", harm_name(harms[i]));
		workspace_open(&ws);
		test_child_ok(salvage, &(run){ .ws = &ws, .h = harms[i] });
		workspace_close(&ws);
	}
}

/* ---- kills */

static void make_damaged(void *arg)
{
	const run *r = arg;
	char path[PATH_SIZE];
	bh_db *db;

	damage_make(r->ws, NULL);
	damage_it(r, path);
	db = damage_open(r->ws, NULL);
	test_check(damage_is_quarantined(db, "a"));
	bh_db_close(db);
}

static void salvage_killed(void *arg)
{
	const run *r = arg;
	bh_db *db = damage_open(r->ws, NULL);

	arm(r->kill_at);
	test_ok(bh_merchant_resume(db, "a", &(bh_suspend_options){ .salvage = true }));
	bh_db_close(db);
}

/* Off still, with all that was parked, or on. */
static void off_or_on(void *arg)
{
	const run *r = arg;
	bh_db *db = damage_open(r->ws, NULL);

	damage_expect_all(db, "b");
	if (damage_is_quarantined(db, "a"))
		test_ok(bh_merchant_resume(db, "a", &(bh_suspend_options){ .salvage = true }));
	test_check(rows_of(db) >= DAMAGE_ROWS / 2);
	bh_db_close(db);
}

static void a_kill_leaves_it_off_or_on(void **state)
{
	bool killed = true;

	(void)state;
	for (int at = 1; killed; at++) {
		run r = { .h = HARM_FLIP_HEADER, .kill_at = at };
		workspace ws;

		workspace_open(&ws);
		r.ws = &ws;
		test_child_ok(make_damaged, &r);
		killed = !test_child_survives(salvage_killed, &r);
		test_child_ok(off_or_on, &r);
		workspace_close(&ws);
		test_check(at < 100);
	}
}

/* ---- the end of it all */

static void shred_damaged(void *arg)
{
	const run *r = arg;
	bh_db *db;

	make_damaged(arg);
	db = damage_open(r->ws, NULL);
	test_ok(bh_merchant_shred(db, "a", NULL));
	damage_expect_all(db, "b");
	bh_db_close(db);
	db = damage_open(r->ws, NULL);
	damage_expect_all(db, "b");
	bh_db_close(db);
}

static void a_shred_works_whatever_its_files_are(void **state)
{
	static const harm harms[] = { HARM_FLIP_HEADER, HARM_CUT_PAGE, HARM_MISSING, HARM_DIRECTORY, HARM_FIFO, HARM_SYMLINK };

	(void)state;
	for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
		workspace ws;

		workspace_open(&ws);
		test_child_ok(shred_damaged, &(run){ .ws = &ws, .h = harms[i] });
		workspace_close(&ws);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_can_be_read_comes_back),
		cmocka_unit_test(a_kill_leaves_it_off_or_on),
		cmocka_unit_test(a_shred_works_whatever_its_files_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
