/* SPDX-License-Identifier: Apache-2.0
 *
 * test_damage_open.c: a file of A's is damaged while the database is closed. The open serves B at once and complete, presents A as
 * detached for damage with the file named, at the open or when it is first read, and A is whole again once the right file is there.
 */
#include "damage_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bulkhead/report.h>

#include "tests/support/harness.h"

typedef struct run {
	const workspace *ws;
	harm h;
	bool lazy;      /* max_open_files is small: files are opened when they are read */
	bool to_parked; /* where the right file is put */
} run;

static rocksdb_options_t *options_of(const run *r)
{
	rocksdb_options_t *options = rocksdb_options_create();

	if (r->lazy)
		rocksdb_options_set_max_open_files(options, 20);
	return options;
}

/* Whatever the open has not noticed is noticed here. */
static void read_all(bh_db *db)
{
	bh_iter *iter = NULL;
	bh_cf *cf = NULL;
	bh_status status;

	if (bh_cf_open(db, "a", "events", &cf) != BH_OK)
		return;
	status = bh_iter_new(cf, NULL, &iter);
	if (status == BH_OK)
		status = bh_iter_first(iter);
	while (status == BH_OK && bh_iter_valid(iter))
		status = bh_iter_next(iter);
	test_check(status != BH_OK);
	bh_iter_free(iter);
	bh_cf_close(cf);
}

static void open_over_it(void *arg)
{
	const run *r = arg;
	char path[PATH_SIZE], other[PATH_SIZE], parked[PATH_SIZE];
	rocksdb_options_t *options = options_of(r);
	neighbour b;
	bh_db *db;

	damage_as_nobody(r->ws);
	damage_make(r->ws, options);
	damage_file(r->ws, "tenants", 0, path);
	damage_file(r->ws, "tenants", 1, other);
	harm_file(path, other, r->h);
	db = damage_open(r->ws, options);
	neighbour_begin(&b, db);
	read_all(db);
	damage_wait_quarantined(db, path);
	test_check(bh_merchant_resume(db, "a", NULL) != BH_OK);
	test_check(damage_is_quarantined(db, "a"));
	neighbour_end(&b);
	bh_db_close(db);

	db = damage_open(r->ws, options);
	damage_expect_all(db, "b");
	test_check(damage_is_quarantined(db, "a"));
	snprintf(parked, sizeof(parked), "%.200s/parked/a/tenants/a/events/%s", r->ws->db, strrchr(path, '/') + 1);
	if (!r->to_parked) {
		char dir[PATH_SIZE];

		snprintf(dir, sizeof(dir), "%.200s/tenants/a", r->ws->db);
		(void)mkdir(dir, 0750);
		snprintf(dir, sizeof(dir), "%.200s/tenants/a/events", r->ws->db);
		(void)mkdir(dir, 0750);
	}
	heal_file(path, r->to_parked ? parked : path);
	test_ok(bh_merchant_resume(db, "a", NULL));
	damage_expect_all(db, "a");
	damage_expect_all(db, "b");
	bh_db_close(db);
	db = damage_open(r->ws, options);
	damage_expect_all(db, "a");
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void every_harm(bool lazy)
{
	for (int h = 0; h < HARM_COUNT; h++) {
		workspace ws;

		print_message("   %s%s\n", harm_name((harm)h), lazy ? ", files opened late" : "");
		workspace_open(&ws);
		test_child_ok(open_over_it, &(run){ &ws, (harm)h, lazy, h % 2 == 0 });
		workspace_close(&ws);
	}
}

static void an_open_serves_the_others(void **state)
{
	(void)state;
	every_harm(false);
}

static void an_open_that_opens_files_late_serves_the_others(void **state)
{
	(void)state;
	every_harm(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_serves_the_others),
		cmocka_unit_test(an_open_that_opens_files_late_serves_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
