/* SPDX-License-Identifier: Apache-2.0
 *
 * test_damage.c: a file of A's is damaged while the database is open. Whoever meets it is told; A is refused from then on and
 * detached, its status says which file; B works beside and notices nothing; with the right file A is whole again.
 */
#include "damage_fixture.h"

#include <unistd.h>

#include <bulkhead/report.h>

#include "tests/support/harness.h"

static bh_status read_by_get(bh_cf *cf)
{
	bh_status status = BH_OK;
	bh_buf value = { 0 };
	char key[16];

	for (int i = 0; i < DAMAGE_ROWS && status == BH_OK; i++)
		status = bh_get(cf, NULL, bh_view_of(key, (size_t)snprintf(key, sizeof(key), "row%06d", i)), &value);
	bh_buf_clear(&value);
	return status;
}

static bh_status read_by_multi_get(bh_cf *cf)
{
	bh_status status = BH_OK, statuses[20];
	bh_buf values[20] = { 0 };
	bh_view keys[20];
	char text[20][16];

	for (int from = 0; from < DAMAGE_ROWS && status == BH_OK; from += 20) {
		for (int i = 0; i < 20; i++)
			keys[i] = bh_view_of(text[i], (size_t)snprintf(text[i], sizeof(text[i]), "row%06d", from + i));
		status = bh_multi_get(cf, NULL, 20, keys, values, statuses);
	}
	for (int i = 0; i < 20; i++)
		bh_buf_clear(&values[i]);
	return status;
}

static bh_status read_by_iterator(bh_cf *cf)
{
	bh_iter *iter = NULL;
	bh_status status;

	test_ok(bh_iter_new(cf, NULL, &iter));
	status = bh_iter_first(iter);
	while (status == BH_OK && bh_iter_valid(iter))
		status = bh_iter_next(iter);
	bh_iter_free(iter);
	return status;
}

static bh_status read_by_iterator_backwards(bh_cf *cf)
{
	bh_iter *iter = NULL;
	bh_status status;

	test_ok(bh_iter_new(cf, NULL, &iter));
	status = bh_iter_last(iter);
	while (status == BH_OK && bh_iter_valid(iter))
		status = bh_iter_prev(iter);
	bh_iter_free(iter);
	return status;
}

typedef struct run {
	const workspace *ws;
	bh_status (*meet)(bh_cf *cf);
	harm h;
} run;

/* From now on every kind of call says why. */
static void expect_refused(bh_cf *a)
{
	bh_buf value = { 0 };
	bh_iter *iter = NULL;

	test_status(bh_get(a, NULL, bh_view_str("row000000"), &value), BH_E_DAMAGED);
	test_message_names("damaged");
	test_status(bh_put(a, NULL, bh_view_str("x"), bh_view_str("y")), BH_E_DAMAGED);
	test_status(bh_iter_new(a, NULL, &iter), BH_E_DAMAGED);
	test_status(bh_flush(a), BH_E_DAMAGED);
	test_status(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }), BH_E_DAMAGED);
}

static void expect_reported(bh_db *db, const char *path)
{
	bh_db_report *report = NULL;

	test_ok(bh_db_status(db, &report));
	for (size_t i = 0; i < report->merchant_count; i++) {
		const bh_merchant_report *m = &report->merchants[i];

		if (strcmp(m->name, "a") != 0)
			test_check(strcmp(m->state, "active") == 0);
		else
			test_check(strcmp(m->cause, "damaged") == 0 && strstr(m->note, strrchr(path, '/') + 1) != NULL);
	}
	bh_db_report_free(report);
}

static void meet_it(void *arg)
{
	const run *r = arg;
	char path[PATH_SIZE], other[PATH_SIZE], parked[PATH_SIZE];
	neighbour b;
	bh_db *db;
	bh_cf *a;

	damage_make(r->ws, NULL);
	damage_file(r->ws, "tenants", 0, path);
	damage_file(r->ws, "tenants", 1, other);
	db = damage_open(r->ws, NULL);
	a = test_cf(db, "a", "events");
	neighbour_begin(&b, db);
	harm_file(path, other, r->h);
	test_check(r->meet(a) != BH_OK);
	expect_refused(a);
	damage_wait_quarantined(db, path);
	expect_reported(db, path);
	test_check(bh_merchant_resume(db, "a", NULL) != BH_OK);
	test_check(damage_is_quarantined(db, "a"));
	snprintf(parked, sizeof(parked), "%.200s/parked/a/tenants/a/events/%s", r->ws->db, strrchr(path, '/') + 1);
	heal_file(path, parked);
	test_ok(bh_merchant_resume(db, "a", NULL));
	damage_expect_all(db, "a");
	neighbour_end(&b);
	bh_cf_close(a);
	bh_db_close(db);
	db = damage_open(r->ws, NULL);
	damage_expect_all(db, "a");
	bh_db_close(db);
}

static void whoever_reads_it(void **state)
{
	static bh_status (*const ways[])(bh_cf *) = { read_by_get, read_by_multi_get, read_by_iterator,
						      read_by_iterator_backwards };
	static const harm harms[] = { HARM_FLIP_FIRST, HARM_FLIP_MIDDLE, HARM_CUT_HALF };

	(void)state;
	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		for (size_t h = 0; h < sizeof(harms) / sizeof(harms[0]); h++) {
			workspace ws;

			workspace_open(&ws);
			test_child_ok(meet_it, &(run){ &ws, ways[way], harms[h] });
			workspace_close(&ws);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
