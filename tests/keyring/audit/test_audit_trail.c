/* SPDX-License-Identifier: Apache-2.0
 *
 * test_audit_trail.c: what a database's life leaves in its audit log; what happens where the log cannot be written; kills in the
 * middle of appends. The log's file is the only one that is synced by fdatasync, and its lines begin like no other write, so these
 * are what is made to fail here.
 */
#include "tests/support/harness.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "engine/core/merchant.h"
#include "engine/wall/leaser.h"
#include "keyring/audit/verify.h"
#include "keyring/base/crashpoint.h"

static atomic_bool log_fails;
static atomic_int log_syncs;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	atomic_fetch_add(&log_syncs, 1);
	if (!atomic_load(&log_fails))
		return __real_fdatasync(fd);
	errno = ENOSPC;
	return -1;
}

static atomic_bool disk_is_full;

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
	if (!atomic_load(&disk_is_full) || len < 7 || memcmp(bytes, "{\"seq\":", 7) != 0)
		return __real_write(fd, bytes, len);
	errno = ENOSPC;
	return -1;
}

/* The actions of one merchant, in order, each followed by a space; one that comes several times in a row once. */
typedef struct trail {
	const char *merchant;
	char said[2048];
	char last[64];
} trail;

static bool text_member(bh_view line, const char *name, char *out, size_t size)
{
	char key[32];
	const char *from, *to;

	snprintf(key, sizeof(key), "\"%s\":\"", name);
	from = memmem(line.data, line.len, key, strlen(key));
	if (from == NULL)
		return false;
	from += strlen(key);
	to = memchr(from, '"', line.len - (size_t)(from - (const char *)line.data));
	snprintf(out, size, "%.*s", (int)(to - from), from);
	return true;
}

static bh_status trail_take(void *arg, uint64_t seq, bh_view line)
{
	trail *t = arg;
	char merchant[BH_NAME_MAX + 1] = "", action[64] = "";

	(void)seq;
	(void)text_member(line, "merchant", merchant, sizeof(merchant));
	test_check(text_member(line, "action", action, sizeof(action)));
	if (strcmp(merchant, t->merchant) != 0 || strcmp(action, t->last) == 0)
		return BH_OK;
	memcpy(t->last, action, sizeof(action));
	test_check(strlen(t->said) + strlen(action) + 2 < sizeof(t->said));
	strcat(strcat(t->said, action), " ");
	return BH_OK;
}

static void trail_is(const workspace *ws, const char *merchant, const char *want)
{
	trail t = { .merchant = merchant };
	bh_audit_scan_result found;
	char path[PATH_SIZE];

	path_join(path, ws->db, BH_AUDIT_FILE);
	test_ok(bh_audit_read((const char *const[]){ path }, 1, trail_take, &t, &found));
	if (strcmp(t.said, want) != 0)
		test_fail_at(__FILE__, __LINE__, "'%s':\n    %s\n, not\n    %s", merchant, t.said, want);
}

/* The whole log, by the key of the database. */
static void verify_log(const workspace *ws, const uint8_t key[BH_PUBLIC_KEY_LEN])
{
	const bh_audit_scan_options options = { .public_key = key };
	bh_audit_scan_result found;
	char path[PATH_SIZE];

	path_join(path, ws->db, BH_AUDIT_FILE);
	test_ok(bh_audit_verify((const char *const[]){ path }, 1, &options, &found));
	test_check(found.tree.size > 5);
}

/* ---- what a life leaves */

static void live(void *arg)
{
	const workspace *ws = arg;
	uint8_t key[BH_PUBLIC_KEY_LEN];
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	bh_db_public_key(db, key);
	test_merchant_add(ws, db, "ann", "rows", "more");
	test_merchant_add(ws, db, "bob", "rows", NULL);
	test_ok(bh_merchant_suspend(db, "ann", NULL));
	test_ok(bh_merchant_resume(db, "ann", NULL));
	test_ok(bh_merchant_shred(db, "ann", NULL));
	bh_db_close(db);
	verify_log(ws, key);
	trail_is(ws, "ann",
		 "kms.asked dek.wrapped merchant.added keys.granted state.changed keys.wiped state.changed kms.asked "
		 "dek.unwrapped keys.granted "
		 "state.changed cmk.destroy-asked cmk.destroy-answered keys.wiped state.changed dek.destroyed certificate.issued ");
	trail_is(ws, "bob", "kms.asked dek.wrapped merchant.added keys.granted state.changed ");
	trail_is(ws, "",
		 "database.created dek.wrapped keyring.opened dek.unwrapped keyring.closed keyring.opened dek.unwrapped "
		 "keyring.closed ");
}

static void a_life_is_told_in_order(void **state)
{
	test_child_ok(live, *state);
}

/* ---- a log that cannot be written */

static void fail_log(void *arg)
{
	const workspace *ws = arg;
	static const char *const classes[] = { "rows" };
	const bh_merchant_options merchant_options = { classes, 1 };
	uint8_t key[BH_PUBLIC_KEY_LEN];
	bh_cf *ann, *bob;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	bh_db_public_key(db, key);
	test_merchant_add(ws, db, "ann", "rows", NULL);
	test_merchant_add(ws, db, "bob", "rows", NULL);
	ann = test_cf(db, "ann", "rows");
	bob = test_cf(db, "bob", "rows");
	test_put(ann, "key", "ann's");
	test_put(bob, "key", "bob's");
	test_ok(bh_merchant_suspend(db, "bob", NULL));

	(void)test_cmk(ws, "cat");
	atomic_store(&log_fails, true);
	test_status(bh_merchant_add(db, "cat", test_cmk(ws, "cat"), &merchant_options), BH_E_FULL);
	test_message_names("AUDIT");
	test_status(bh_merchant_resume(db, "bob", NULL), BH_E_IO);
	test_expect(ann, "key", "ann's"); /* who has keys keeps them */
	test_put(ann, "more", "of ann's");
	atomic_store(&log_fails, false);
	bh_cf_close(ann);
	bh_cf_close(bob);
	bh_db_close(db);

	db = test_db_open(ws, NULL);
	test_ok(bh_merchant_resume(db, "bob", NULL));
	bob = test_cf(db, "bob", "rows");
	test_expect(bob, "key", "bob's");
	bh_cf_close(bob);
	bh_db_close(db);
	verify_log(ws, key);
}

static void no_log_no_key(void **state)
{
	test_child_ok(fail_log, *state);
}

static void close_without_log(void *arg)
{
	const workspace *ws = arg;
	bh_cf *ann, *bob;
	bh_buf value = { 0 };
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "ann", "rows", NULL);
	test_merchant_add(ws, db, "bob", "rows", NULL);
	ann = test_cf(db, "ann", "rows");
	bob = test_cf(db, "bob", "rows");
	test_put(ann, "key", "ann's");
	test_put(bob, "key", "bob's");
	atomic_store(&log_fails, true);
	test_ok(bh_merchant_suspend(db, "ann", NULL));
	test_status(bh_get(ann, NULL, bh_view_str("key"), &value), BH_E_SUSPENDED);
	test_ok(bh_merchant_shred(db, "bob", NULL));
	test_status(bh_get(bob, NULL, bh_view_str("key"), &value), BH_E_SHREDDED);
	atomic_store(&log_fails, false);
	bh_cf_close(ann);
	bh_cf_close(bob);
	bh_db_close(db);
	bh_buf_clear(&value);
}

/* Switching off and destroying wait for no log. */
static void a_gate_closes_without_a_log(void **state)
{
	test_child_ok(close_without_log, *state);
}

typedef struct killed {
	const workspace *ws;
	int pass;
} killed;

static void make_one(void *arg)
{
	const killed *k = arg;
	bh_db *db;

	test_db_create(k->ws, NULL);
	db = test_db_open(k->ws, NULL);
	test_merchant_add(k->ws, db, "ann", "rows", NULL);
	bh_db_close(db);
}

/* ---- leases, where the log cannot be written */

static _Atomic int64_t clock_ms;

static int64_t now(void *arg)
{
	(void)arg;
	return atomic_load(&clock_ms);
}

/* Lets time pass, in steps, until both are, or are not, served. */
static void pass_until(bh_db *db, bh_cf *const cfs[2], bh_status want, int64_t step_ms)
{
	bh_buf value = { 0 };

	for (int waited_ms = 0; waited_ms < 30000; waited_ms += 10) {
		bh_status ann = bh_get(cfs[0], NULL, bh_view_str("key"), &value);
		bh_status bob = bh_get(cfs[1], NULL, bh_view_str("key"), &value);

		test_check(ann == BH_OK || ann == BH_E_KMS_UNREACHABLE || ann == BH_E_IO);
		if (ann == want && bob == want)
			break;
		atomic_fetch_add(&clock_ms, step_ms);
		bh_leaser_wake(db->leaser);
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	test_status(bh_get(cfs[0], NULL, bh_view_str("key"), &value), want);
	test_status(bh_get(cfs[1], NULL, bh_view_str("key"), &value), want);
	bh_buf_clear(&value);
}

/* Twenty steps are a limit. */
static void pass_served(bh_db *db, bh_cf *const cfs[2], int steps)
{
	for (int i = 0; i < steps; i++) {
		test_expect(cfs[0], "key", "ann's");
		test_expect(cfs[1], "key", "bob's");
		atomic_fetch_add(&clock_ms, BH_LEASE_LIMIT_DEFAULT_MS / 20);
		bh_leaser_wake(db->leaser);
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
}

static bool log_has(const workspace *ws, const char *action)
{
	char path[PATH_SIZE];
	bool found;
	bh_buf log;

	path_join(path, ws->db, "AUDIT");
	log = file_read(path);
	found = bytes_count(bh_buf_view(&log), bh_view_str(action)) > 0;
	bh_buf_clear(&log);
	return found;
}

/* A renewal that cannot be logged does not count: the KMSs say yes, and the leases run out all the same. But where the log has no
 * room it does, since reads go on where a disk is full; and the log says how many entries it lacks when there is room. */
static void renew_without_log(void *arg)
{
	static const bh_clock clock = { now, now, NULL };
	const workspace *ws = arg;
	const bh_db_options options = { .clock = &clock };
	uint8_t key[BH_PUBLIC_KEY_LEN];
	bh_db *db = NULL;
	bh_cf *cfs[2];

	test_db_create(ws, NULL);
	atomic_store(&clock_ms, 1700000000000);
	test_ok(bh_db_open(ws->db, &options, &db));
	bh_db_public_key(db, key);
	test_merchant_add(ws, db, "ann", "rows", NULL);
	test_merchant_add(ws, db, "bob", "rows", NULL);
	cfs[0] = test_cf(db, "ann", "rows");
	cfs[1] = test_cf(db, "bob", "rows");
	test_put(cfs[0], "key", "ann's");
	test_put(cfs[1], "key", "bob's");
	atomic_store(&disk_is_full, true);
	pass_served(db, cfs, 60);
	test_check(!log_has(ws, BH_AUDIT_LOG_GAP));
	atomic_store(&disk_is_full, false);
	pass_served(db, cfs, 20);
	test_check(log_has(ws, BH_AUDIT_LOG_GAP));
	test_expect(cfs[0], "key", "ann's");
	test_expect(cfs[1], "key", "bob's");
	/* A log that failed at a sync is in doubt, and is not written any more until it was looked through, at an open. */
	atomic_store(&log_fails, true);
	test_status(bh_merchant_rotate(db, "ann", NULL), BH_E_FULL);
	pass_until(db, cfs, BH_E_IO, BH_LEASE_LIMIT_DEFAULT_MS / 20);
	test_message_names("audit log");
	bh_cf_close(cfs[0]);
	bh_cf_close(cfs[1]);
	bh_db_close(db);
	atomic_store(&log_fails, false);
	db = test_db_open(ws, NULL);
	cfs[0] = test_cf(db, "ann", "rows");
	test_expect(cfs[0], "key", "ann's");
	bh_cf_close(cfs[0]);
	bh_db_close(db);
	verify_log(ws, key);
}

static void no_log_no_renewal(void **state)
{
	test_child_ok(renew_without_log, *state);
}

static void open_without_log(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = NULL;

	make_one(&(killed){ .ws = ws });
	atomic_store(&log_fails, true);
	test_status(bh_db_open(ws->db, NULL, &db), BH_E_FULL);
	test_message_names("AUDIT");
	atomic_store(&log_fails, false);
	bh_db_close(test_db_open(ws, NULL));
}

static void no_log_no_open(void **state)
{
	test_child_ok(open_without_log, *state);
}

/* ---- the cost of an open */

enum { MANY = 12 };

static void open_many(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "m%d", i);
		test_merchant_add(ws, db, name, "rows", NULL);
	}
	bh_db_close(db);
	atomic_store(&log_syncs, 0);
	db = test_db_open(ws, NULL);
	/* Opened, and all keys granted: not one for each merchant. */
	test_check(atomic_load(&log_syncs) <= 3);
	bh_db_close(db);
}

static void many_merchants_are_granted_with_one_sync(void **state)
{
	test_child_ok(open_many, *state);
}

/* ---- kills */

static void be_killed(void *arg)
{
	const killed *k = arg;
	char point[40];
	bh_db *db;

	snprintf(point, sizeof(point), "audit.append.written:%d", k->pass);
	bh_crash_arm(point);
	db = test_db_open(k->ws, NULL);
	test_ok(bh_merchant_suspend(db, "ann", NULL));
	test_ok(bh_merchant_resume(db, "ann", NULL));
	bh_db_close(db);
}

static void look_after(void *arg)
{
	const killed *k = arg;
	uint8_t key[BH_PUBLIC_KEY_LEN];
	bh_db *db = test_db_open(k->ws, NULL);

	bh_db_public_key(db, key);
	bh_db_close(db);
	verify_log(k->ws, key);
}

static void a_kill_in_an_append_leaves_a_log_that_verifies(void **state)
{
	killed k = { .ws = *state };

	test_child_ok(make_one, &k);
	for (k.pass = 1; k.pass < 30 && !test_child_survives(be_killed, &k); k.pass++)
		test_child_ok(look_after, &k);
	test_check(k.pass > 5 && k.pass < 30);
	test_child_ok(look_after, &k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_life_is_told_in_order, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(no_log_no_key, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(a_gate_closes_without_a_log, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(no_log_no_renewal, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(no_log_no_open, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(many_merchants_are_granted_with_one_sync, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(a_kill_in_an_append_leaves_a_log_that_verifies, test_workspace_make,
						test_workspace_drop),
	};

	return cmocka_run_group_tests_name("audit_trail", tests, NULL, NULL);
}
