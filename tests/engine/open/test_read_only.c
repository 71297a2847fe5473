/* SPDX-License-Identifier: Apache-2.0
 *
 * test_read_only.c: a database opened read-only shows what lies there, WALs included, and changes nothing but AUDIT, whatever state
 * its merchants are in; what would change it is refused; it is readable where nothing can be written.
 */
#include "tests/support/harness.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring/base/crashpoint.h"
#include "keyring/kms/kms.h"

static const bh_db_options to_look = { .read_only = true };

static void fill(const workspace *ws)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	for (size_t i = 0; i < 4; i++) {
		bh_cf *cf;

		test_merchant_add(ws, db, names[i], "events", NULL);
		cf = test_cf(db, names[i], "events");
		test_put(cf, "flushed", names[i]);
		test_ok(bh_flush(cf));
		test_ok(bh_put(cf, &(bh_write_options){ .sync = true }, bh_view_str("logged"), bh_view_str(names[i])));
		bh_cf_close(cf);
	}
	test_ok(bh_merchant_suspend(db, "c", NULL));
	bh_crash_arm("suspend.recorded");
	(void)!bh_merchant_suspend(db, "d", NULL); /* killed half-way */
}

static void fill_and_die(void *arg)
{
	fill(arg);
}

static void change_cmk(const workspace *ws, const char *name, bh_status (*change)(bh_kms *kms))
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(workspace_cmk(ws, name), NULL, &kms));
	test_ok(change(kms));
	bh_kms_close(kms);
}

static void is_shown(bh_db *db, const char *name)
{
	bh_cf *cf = test_cf(db, name, "events");

	test_expect(cf, "flushed", name);
	test_expect(cf, "logged", name);
	bh_cf_close(cf);
}

static void look(void *arg)
{
	const workspace *ws = arg;
	uint64_t before = tree_hash(ws->db);
	bh_cf *cf = NULL;
	bh_db *db = NULL;

	test_ok(bh_db_open(ws->db, &to_look, &db));
	test_status(bh_cf_open(db, "a", "events", &cf), BH_E_KMS_REFUSED);
	is_shown(db, "b");
	test_status(bh_cf_open(db, "c", "events", &cf), BH_E_SUSPENDED);
	test_status(bh_cf_open(db, "d", "events", &cf), BH_E_SUSPENDED);
	bh_db_close(db);
	test_check(tree_hash(ws->db) == before);
}

static void all_is_there(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);

	test_ok(bh_merchant_resume(db, "c", NULL));
	test_ok(bh_merchant_resume(db, "d", NULL));
	is_shown(db, "a");
	is_shown(db, "b");
	is_shown(db, "c");
	is_shown(db, "d");
	bh_db_close(db);
}

static void nobody_is_detached_or_finished(void **state)
{
	const workspace *ws = *state;

	test_child_killed(fill_and_die, *state);
	change_cmk(ws, "a", bh_kms_disable);
	test_child_ok(look, *state);
	test_child_ok(look, *state);
	change_cmk(ws, "a", bh_kms_enable);
	test_child_ok(all_is_there, *state);
}

static void is_refused(bh_status got)
{
	test_status(got, BH_E_UNSUPPORTED);
	test_message_names("read");
}

static void change_anything(void *arg)
{
	const workspace *ws = arg;
	const char *const classes[] = { "events" };
	const bh_view key = bh_view_str("logged"), none = { 0 };
	uint64_t before = tree_hash(ws->db);
	bh_batch *batch = NULL;
	bh_db *db = NULL;
	bh_cf *cf;

	test_ok(bh_db_open(ws->db, &to_look, &db));
	cf = test_cf(db, "b", "events");
	is_refused(bh_merchant_add(db, "e", test_cmk(ws, "e"), &(bh_merchant_options){ classes, 1 }));
	is_refused(bh_merchant_suspend(db, "b", NULL));
	is_refused(bh_merchant_resume(db, "c", NULL));
	is_refused(bh_merchant_shred(db, "b", NULL));
	is_refused(bh_merchant_shred_finalize(db, "b", NULL));
	is_refused(bh_merchant_rotate(db, "b", NULL));
	is_refused(bh_merchant_sweep(db, "b", NULL));
	is_refused(bh_merchant_rewrap(db, "b", NULL, NULL));
	is_refused(bh_erase_range(cf, key, NULL, NULL));
	is_refused(bh_erase_unsuppress(cf, key));
	is_refused(bh_put(cf, NULL, key, key));
	is_refused(bh_delete(cf, NULL, key));
	is_refused(bh_delete_range(cf, NULL, key, key));
	is_refused(bh_flush(cf));
	is_refused(bh_compact(cf, none, none));
	test_ok(bh_batch_new(db, &batch));
	test_ok(bh_batch_put(batch, cf, key, key));
	is_refused(bh_batch_write(batch, NULL));
	bh_batch_free(batch);
	is_shown(db, "b");
	bh_cf_close(cf);
	bh_db_close(db);
	test_check(tree_hash(ws->db) == before);
}

static void changes_are_refused(void **state)
{
	test_child_killed(fill_and_die, *state);
	test_child_ok(change_anything, *state);
}

/* ---- where nothing can be written */

static void look_at_a_snapshot(void *arg)
{
	const workspace *ws = arg;
	char place[PATH_SIZE];
	bh_db *db = NULL;

	path_join(place, ws->root, "snapshot");
	test_status(bh_db_open(place, &to_look, &db), BH_E_IO);
	test_message_names("AUDIT");
	test_ok(bh_db_open(place, &(bh_db_options){ .read_only = true, .audit_optional = true }, &db));
	is_shown(db, "b");
	bh_db_close(db);
	test_check(bh_db_open(place, &(bh_db_options){ .audit_optional = true }, &db) != BH_OK);
}

/* A read-only bind mount for root, who may write anything else; for others no permission. */
static bool make_unwritable(const workspace *ws, const char *place)
{
	test_check(mkdir(place, 0700) == 0);
	if (mount(ws->db, place, NULL, MS_BIND, NULL) != 0)
		return false;
	if (mount(NULL, place, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0)
		return true;
	umount(place);
	return false;
}

static void readable_where_nothing_can_be_written(void **state)
{
	const workspace *ws = *state;
	char place[PATH_SIZE];
	int end;

	test_child_killed(fill_and_die, *state);
	path_join(place, ws->root, "snapshot");
	if (!make_unwritable(ws, place)) {
		print_message("no read-only mounts here: test_cli.sh has a directory without permission\n");
		return;
	}
	end = test_child_wait(test_child_start(look_at_a_snapshot, *state));
	test_check(umount(place) == 0); /* however that ended */
	test_check(end == 0);
}

/* ---- damage */

static void flip_in_last_page(const char *path)
{
	bh_buf bytes = file_read(path);

	test_check(bytes.len > 4096);
	bytes.data[bytes.len - 20] ^= 1;
	file_write(path, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

static void look_beside_damage(void *arg)
{
	const workspace *ws = arg;
	uint64_t before = tree_hash(ws->db);
	bh_cf *cf = NULL;
	bh_db *db = NULL;

	test_ok(bh_db_open(ws->db, &to_look, &db));
	is_shown(db, "b");
	test_status(bh_cf_open(db, "a", "events", &cf), BH_E_DAMAGED);
	bh_db_close(db);
	test_check(tree_hash(ws->db) == before);
}

static void others_are_shown_beside_damage(void **state)
{
	const workspace *ws = *state;
	char dir[PATH_SIZE], path[PATH_SIZE];

	test_child_killed(fill_and_die, *state);
	path_join(dir, ws->db, "tenants/a");
	test_check(file_find(dir, ".sst", 0, path));
	flip_in_last_page(path);
	test_child_ok(look_beside_damage, *state);
}

/* ---- a lease, and no more */

static void look_too_long(void *arg)
{
	const workspace *ws = arg;
	bh_buf value = { 0 };
	bh_db *db = NULL;
	bh_cf *cf;

	test_ok(bh_db_open(ws->db, &(bh_db_options){ .read_only = true, .lease_ms = 1000 }, &db));
	cf = test_cf(db, "b", "events");
	test_expect(cf, "logged", "b");
	sleep(2);
	test_status(bh_get(cf, NULL, bh_view_str("logged"), &value), BH_E_KMS_UNREACHABLE);
	bh_cf_close(cf);
	bh_db_close(db);
}

static void served_for_one_lease(void **state)
{
	test_child_killed(fill_and_die, *state);
	test_child_ok(look_too_long, *state);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)
	const struct CMUnitTest tests[] = {
		CASE(nobody_is_detached_or_finished), CASE(changes_are_refused),  CASE(readable_where_nothing_can_be_written),
		CASE(others_are_shown_beside_damage), CASE(served_for_one_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
