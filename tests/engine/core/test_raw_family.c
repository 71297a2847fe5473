/* SPDX-License-Identifier: Apache-2.0
 *
 * test_raw_family.c: a column family that is made by RocksDB's own handle is refused when it is made, whatever its name, and in
 * whatever state the merchant of that name is; nobody's writes end by it, and what the engine makes at the same time is made.
 */
#include <bulkhead/env.h>

#include "tests/support/harness.h"

#include <pthread.h>
#include <stdatomic.h>

static void is_refused(rocksdb_t *rocks, const char *name)
{
	rocksdb_options_t *options = rocksdb_options_create();
	char *error = NULL;
	rocksdb_column_family_handle_t *handle = rocksdb_create_column_family(rocks, options, name, &error);

	test_check(error != NULL);
	if (strstr(error, "bulkhead[") == NULL)
		test_fail_at(__FILE__, __LINE__, "'%s' is refused by RocksDB: %s", name, error);
	rocksdb_free(error);
	rocksdb_column_family_handle_destroy(handle);
	rocksdb_options_destroy(options);
}

static void all_serve(bh_db *db, const char *const *names, const char *value)
{
	for (; *names != NULL; names++) {
		bh_cf *cf = test_cf(db, *names, "events");

		test_ok(bh_put(cf, &(bh_write_options){ .sync = true }, bh_view_str("k"), bh_view_str(value)));
		test_ok(bh_flush(cf));
		test_expect(cf, "k", value);
		bh_cf_close(cf);
	}
}

static void make_families(void *arg)
{
	static const char *const two[] = { "a", "b", NULL }, *const one[] = { "b", NULL };
	static const char *const never[] = { "metrics", "a/extra", "b/extra", "c/events", "nobody/events", "a/", "/events" };
	const workspace *ws = arg;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "events", NULL);
	test_merchant_add(ws, db, "b", "events", NULL);
	test_merchant_add(ws, db, "c", "events", NULL);
	test_ok(bh_merchant_shred(db, "c", NULL));
	all_serve(db, two, "0");
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		is_refused(bh_db_rocksdb(db), never[i]);
		all_serve(db, two, never[i]);
	}
	test_ok(bh_merchant_suspend(db, "a", NULL));
	is_refused(bh_db_rocksdb(db), "a/events");
	all_serve(db, one, "suspended");
	test_ok(bh_merchant_resume(db, "a", NULL));
	all_serve(db, two, "resumed");
	bh_db_close(db);
	db = test_db_open(ws, NULL);
	all_serve(db, two, "reopened");
	bh_db_close(db);
}

static void refused_when_it_is_made(void **state)
{
	test_child_ok(make_families, *state);
}

/* ---- beside the engine's own */

typedef struct meddler {
	bh_db *db;
	_Atomic bool stop;
} meddler;

static void *meddle(void *arg)
{
	meddler *m = arg;

	while (!atomic_load(&m->stop)) {
		is_refused(bh_db_rocksdb(m->db), "a/extra");
		is_refused(bh_db_rocksdb(m->db), "metrics");
	}
	return NULL;
}

static void make_beside(void *arg)
{
	static const char *const one[] = { "b", NULL };
	const workspace *ws = arg;
	meddler m = { 0 };
	pthread_t thread;

	test_db_create(ws, NULL);
	m.db = test_db_open(ws, NULL);
	test_merchant_add(ws, m.db, "b", "events", NULL);
	test_check(pthread_create(&thread, NULL, meddle, &m) == 0);
	for (int i = 0; i < 8; i++) {
		char name[16];

		snprintf(name, sizeof(name), "m%d", i);
		test_merchant_add(ws, m.db, name, "events", "profile");
		test_ok(bh_merchant_suspend(m.db, "b", NULL));
		test_ok(bh_merchant_resume(m.db, "b", NULL));
		all_serve(m.db, one, name);
	}
	atomic_store(&m.stop, true);
	pthread_join(thread, NULL);
	bh_db_close(m.db);
}

static void engine_makes_its_own_meanwhile(void **state)
{
	test_child_ok(make_beside, *state);
}

/* ---- with the Env alone */

static void make_by_env(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = rocksdb_options_create(), *each[2];
	const char *const names[] = { "default", "b/events" };
	rocksdb_column_family_handle_t *handles[2];
	rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
	rocksdb_env_t *env = NULL;
	char *error = NULL;
	rocksdb_t *rocks;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "events", NULL);
	test_merchant_add(ws, db, "b", "events", NULL);
	test_ok(bh_merchant_suspend(db, "a", NULL));
	bh_db_close(db);
	test_ok(bh_env_create(ws->db, NULL, &env));
	rocksdb_options_set_env(options, env);
	each[0] = options;
	each[1] = rocksdb_options_create_copy(options);
	test_ok(bh_options_use_class(each[1], ws->db, "b", "events"));
	rocks = rocksdb_open_column_families(options, ws->db, 2, names, (const rocksdb_options_t *const *)each, handles, &error);
	test_rocks_ok(error);
	is_refused(rocks, "a/events"); /* suspended: it has no key */
	is_refused(rocks, "b/extra");
	is_refused(rocks, "metrics");
	rocksdb_put_cf(rocks, write, handles[1], "k", 1, "v", 1, &error);
	test_rocks_ok(error);
	rocksdb_column_family_handle_destroy(handles[0]);
	rocksdb_column_family_handle_destroy(handles[1]);
	rocksdb_close(rocks);
	rocksdb_writeoptions_destroy(write);
	rocksdb_options_destroy(each[1]);
	rocksdb_options_destroy(options);
	rocksdb_env_destroy(env);
}

static void refused_by_the_env(void **state)
{
	test_child_ok(make_by_env, *state);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)
	const struct CMUnitTest tests[] = {
		CASE(refused_when_it_is_made),
		CASE(engine_makes_its_own_meanwhile),
		CASE(refused_by_the_env),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
