/* SPDX-License-Identifier: Apache-2.0
 *
 * test_engine.c: a merchant's life. A shred ends everything of the merchant that is open and nothing of anybody else's; a name used
 * again is somebody new; a creation or a shred that is killed at any step is finished by the next open.
 */
#include "engine/core/home.h"
#include "tests/support/harness.h"

#include <pthread.h>
#include <stdatomic.h>

#include "keyring/base/crashpoint.h"
#include "keyring/ring/keyring.h"

static const char *const two_classes[] = { "events", "profile" };

static void make_a_and_b(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "events", "profile");
	test_merchant_add(ws, db, "b", "events", NULL);
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");
	test_put(a, "k1", "a1");
	test_put(b, "k1", "b1");
	test_ok(bh_flush(a));
	test_put(a, "k2", "a2");
	test_put(b, "k2", "b2");
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void expect_b_complete(bh_db *db)
{
	bh_cf *b = test_cf(db, "b", "events");

	test_expect(b, "k1", "b1");
	test_expect(b, "k2", "b2");
	bh_cf_close(b);
}

/* ---- everything of A that is open ends with its shred */

static void shred_with_open_handles(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");
	bh_snapshot *snapshot = NULL;
	bh_batch *batch = NULL;
	bh_iter *iter = NULL;
	bh_buf value = { 0 };
	bh_view key, seen;

	test_ok(bh_snapshot_new(db, &snapshot));
	test_ok(bh_batch_new(db, &batch));
	test_ok(bh_batch_put(batch, b, bh_view_str("k3"), bh_view_str("b3")));
	test_ok(bh_batch_put(batch, a, bh_view_str("k3"), bh_view_str("a3")));
	test_ok(bh_iter_new(a, NULL, &iter));
	test_ok(bh_iter_first(iter));
	test_ok(bh_iter_entry(iter, &key, &seen));

	test_ok(bh_merchant_shred(db, "a", NULL));

	const bh_read_options then = { .snapshot = snapshot };
	test_check(key.len == 2 && memcmp(key.data, "k1", 2) == 0); /* the copy in the iterator stays */
	test_status(bh_iter_next(iter), BH_E_SHREDDED);
	test_check(!bh_iter_valid(iter));
	test_status(bh_iter_entry(iter, &key, NULL), BH_E_SHREDDED);
	test_status(bh_get(a, NULL, bh_view_str("k1"), &value), BH_E_SHREDDED);
	test_status(bh_get(a, &then, bh_view_str("k1"), &value), BH_E_SHREDDED);
	test_status(bh_put(a, NULL, bh_view_str("k1"), bh_view_str("x")), BH_E_SHREDDED);
	test_message_names("'a'");
	test_status(bh_batch_write(batch, NULL), BH_E_SHREDDED);
	test_status(bh_get(b, NULL, bh_view_str("k3"), &value), BH_E_NO_SUCH_KEY); /* refused whole */
	test_ok(bh_get(b, &then, bh_view_str("k1"), &value));
	test_status(bh_flush(a), BH_E_SHREDDED);
	test_status(bh_merchant_shred(db, "a", NULL), BH_E_SHREDDED);
	expect_b_complete(db);

	bh_cf *again = NULL;
	test_status(bh_cf_open(db, "a", "events", &again), BH_E_SHREDDED);
	bh_iter_free(iter);
	bh_batch_free(batch);
	bh_snapshot_free(snapshot);
	bh_buf_clear(&value);
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void shred_ends_what_is_open(void **state)
{
	const workspace *ws = *state;
	char path[PATH_SIZE];

	test_child_ok(make_a_and_b, *state);
	test_child_ok(shred_with_open_handles, *state);
	path_join(path, ws->db, "tenants/a");
	assert_false(file_exists(path));
}

/* ---- B goes on while A is shredded */

typedef struct load {
	bh_cf *cf;
	_Atomic bool stop;
	_Atomic unsigned writes;
} load;

static void *write_and_read(void *arg)
{
	load *l = arg;
	bh_buf value = { 0 };
	char key[32];

	for (unsigned i = 0; !atomic_load(&l->stop); i++) {
		snprintf(key, sizeof(key), "load%u", i);
		test_ok(bh_put(l->cf, NULL, bh_view_str(key), bh_view_str(key)));
		test_ok(bh_get(l->cf, NULL, bh_view_str(key), &value));
		test_check(value.len == strlen(key) && memcmp(value.data, key, value.len) == 0);
		atomic_fetch_add(&l->writes, 1);
	}
	bh_buf_clear(&value);
	return NULL;
}

static void *write_until_shredded(void *arg)
{
	load *l = arg;
	bh_status status = BH_OK;
	char key[32];

	for (unsigned i = 0; status == BH_OK; i++) {
		snprintf(key, sizeof(key), "load%u", i);
		status = bh_put(l->cf, NULL, bh_view_str(key), bh_view_str("some value that fills a little memtable before long"));
		atomic_fetch_add(&l->writes, 1);
	}
	test_check(status == BH_E_SHREDDED);
	return NULL;
}

static void shred_under_load(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	load a = { 0 }, b = { 0 };
	pthread_t threads[2];
	bh_db *db;

	rocksdb_options_set_write_buffer_size(options, 65536); /* flushes and compactions are under way all the time */
	db = test_db_open(ws, options);
	a.cf = test_cf(db, "a", "events");
	b.cf = test_cf(db, "b", "events");
	test_check(pthread_create(&threads[0], NULL, write_until_shredded, &a) == 0);
	test_check(pthread_create(&threads[1], NULL, write_and_read, &b) == 0);
	while (atomic_load(&a.writes) < 20000 || atomic_load(&b.writes) < 1000)
		sched_yield();
	test_ok(bh_merchant_shred(db, "a", NULL));
	pthread_join(threads[0], NULL);
	unsigned then = atomic_load(&b.writes);
	while (atomic_load(&b.writes) < then + 1000)
		sched_yield();
	atomic_store(&b.stop, true);
	pthread_join(threads[1], NULL);
	test_ok(bh_flush(b.cf)); /* no background error */
	expect_b_complete(db);
	bh_cf_close(a.cf);
	bh_cf_close(b.cf);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void shred_costs_nobody_else(void **state)
{
	test_child_ok(make_a_and_b, *state);
	test_child_ok(shred_under_load, *state);
}

/* ---- a name used again */

static void use_name_again(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = test_db_open(ws, NULL);
	const bh_merchant_options options = { two_classes, 2 };
	bh_cf *old = test_cf(db, "a", "events"), *fresh;
	bh_buf value = { 0 };

	test_status(bh_merchant_add(db, "a", test_cmk(ws, "other"), &options), BH_E_EXISTS);
	test_status(bh_merchant_add(db, "A", test_cmk(ws, "other"), &options), BH_E_EXISTS);
	test_status(bh_merchant_add(db, "c", test_cmk(ws, "b"), &options), BH_E_EXISTS);
	test_message_names("'b'");
	test_status(bh_merchant_add(db, "c", test_cmk(ws, "platform"), &options), BH_E_EXISTS);
	test_ok(bh_merchant_shred(db, "a", NULL));
	test_ok(bh_merchant_add(db, "a", test_cmk(ws, "other"), &options));
	fresh = test_cf(db, "a", "events");
	test_expect(fresh, "k1", NULL);
	test_put(fresh, "k1", "new");
	test_status(bh_get(old, NULL, bh_view_str("k1"), &value), BH_E_SHREDDED);
	test_expect(fresh, "k1", "new");
	expect_b_complete(db);
	bh_buf_clear(&value);
	bh_cf_close(old);
	bh_cf_close(fresh);
	bh_db_close(db);
}

static void expect_new_a(void *arg)
{
	bh_db *db = test_db_open(arg, NULL);
	bh_cf *a = test_cf(db, "a", "events");

	test_expect(a, "k1", "new");
	test_expect(a, "k2", NULL);
	expect_b_complete(db);
	bh_cf_close(a);
	bh_db_close(db);
}

static void name_used_again_is_a_new_merchant(void **state)
{
	test_child_ok(make_a_and_b, *state);
	test_child_ok(use_name_again, *state);
	test_child_ok(expect_new_a, *state);
}

/* ---- killed at every step */

typedef struct crash {
	const workspace *ws;
	const char *point; /* "name:N" */
} crash;

static void killed_add(void *arg)
{
	const crash *c = arg;
	bh_db *db = test_db_open(c->ws, NULL);
	const bh_merchant_options options = { two_classes, 2 };

	test_cmk(c->ws, "new");
	bh_crash_arm(c->point);
	test_ok(bh_merchant_add(db, "new", test_cmk(c->ws, "new"), &options));
}

static void expect_new_whole_or_absent(void *arg)
{
	const crash *c = arg;
	bh_db *db = test_db_open(c->ws, NULL);
	const bh_merchant_options options = { two_classes, 2 };
	bh_cf *cf = NULL;

	if (bh_cf_open(db, "new", "events", &cf) == BH_E_NO_SUCH_MERCHANT) {
		test_ok(bh_merchant_add(db, "new", test_cmk(c->ws, "new"), &options));
		cf = test_cf(db, "new", "events");
	}
	test_put(cf, "k", "v");
	bh_cf_close(cf);
	cf = test_cf(db, "new", "profile");
	test_put(cf, "k", "v");
	bh_cf_close(cf);
	expect_b_complete(db);
	test_ok(bh_merchant_shred(db, "new", NULL));
	bh_db_close(db);
}

static void killed_shred(void *arg)
{
	const crash *c = arg;
	bh_db *db = test_db_open(c->ws, NULL);

	bh_crash_arm(c->point);
	test_ok(bh_merchant_shred(db, "a", NULL));
}

static void expect_final_certificate(bh_db *db, const char *name)
{
	uint8_t public_key[BH_PUBLIC_KEY_LEN];
	bh_certificate_info info;
	bh_buf json = { 0 };

	bh_db_public_key(db, public_key);
	test_ok(bh_merchant_certificate(db, name, &json));
	test_ok(bh_certificate_verify(bh_buf_view(&json), public_key, &info));
	test_check(info.is_final && strcmp(info.merchant, name) == 0);
	test_check(bytes_count(bh_buf_view(&json), bh_view_str("\"salts\": [")) == 1); /* a kill does not lose the list */
	test_check(bytes_count(bh_buf_view(&json), bh_view_str("\"unreadable\": \"20")) == 1);
	bh_buf_clear(&json);
}

/* Before the intention is durable A is whole; from then on it is gone, with its files and its CMK, and certified. */
static void expect_a_whole_or_gone(void *arg)
{
	const crash *c = arg;
	bh_db *db = test_db_open(c->ws, NULL);
	char path[PATH_SIZE];
	bh_cf *a = NULL;
	bh_status status = bh_cf_open(db, "a", "events", &a);

	path_join(path, c->ws->db, "tenants/a");
	if (status == BH_OK) {
		test_expect(a, "k1", "a1");
		test_expect(a, "k2", "a2");
		bh_cf_close(a);
	} else {
		bh_kms_key_info info;
		bh_kms *kms;

		test_status(status, BH_E_SHREDDED);
		test_check(!file_exists(path));
		test_ok(bh_kms_open(workspace_cmk(c->ws, "a"), NULL, &kms));
		test_ok(bh_kms_describe(kms, &info));
		test_check(info.state == BH_KMS_DESTROYED);
		bh_kms_close(kms);
		expect_final_certificate(db, "a");
	}
	expect_b_complete(db);
	bh_db_close(db);
}

static const char *const add_points[] = {
	"keyring.append.record-written", "keyring.append.record-synced",    "keyring.append.mark-written",
	"keyring.append.mark-synced",    "merchant.add.recorded",           "merchant.add.family",
	"merchant.add.family:2",         "keyring.append.record-written:2", "keyring.append.record-synced:2",
	"keyring.append.mark-synced:2",
};

static const char *const shred_points[] = {
	/* recorded */
	"keyring.append.record-written", "keyring.append.record-synced", "keyring.append.mark-synced", "shred.recorded",
	/* files listed, in a first certificate and in the keyring */
	"certificate.store.tmp-synced", "certificate.store.renamed", "shred.files-listed", "keyring.append.record-written:2",
	"keyring.append.mark-synced:2",
	/* families, files */
	"shred.family-dropped", "shred.family-dropped:2", "shred.files-removed",
	/* CMK */
	"kms-local.store.tmp-synced", "kms-local.store.renamed", "shred.cmk-asked", "keyring.append.record-written:3",
	"keyring.append.mark-synced:3",
	/* DEKs */
	"keyring.replace.tmp-synced", "keyring.replace.renamed", "keyring.replace.dir-synced", "shred.keys-destroyed",
	/* certificate */
	"certificate.store.tmp-synced:2", "certificate.store.renamed:2", "shred.certificate-stored",
	"keyring.append.record-written:4", "keyring.append.mark-synced:4"
};

static void killed_creation_is_whole_or_absent(void **state)
{
	test_child_ok(make_a_and_b, *state);
	for (size_t i = 0; i < sizeof(add_points) / sizeof(add_points[0]); i++) {
		crash c = { *state, add_points[i] };
		workspace copy = *(workspace *)*state;

		path_join(copy.db, copy.root, "copy");
		path_join(copy.kms, copy.root, "copy-kms");
		c.ws = *state;
		print_message("kill at %s\n", c.point);
		tree_copy(c.ws->db, copy.db);
		tree_copy(c.ws->kms, copy.kms);
		test_child_killed(killed_add, &c);
		test_child_ok(expect_new_whole_or_absent, &c);
		tree_remove(c.ws->db);
		tree_remove(c.ws->kms);
		assert_int_equal(rename(copy.db, c.ws->db), 0);
		assert_int_equal(bh_home_set(c.ws->db), BH_OK);
		assert_int_equal(rename(copy.kms, c.ws->kms), 0);
	}
}

static void killed_shred_is_finished_by_the_next_open(void **state)
{
	test_child_ok(make_a_and_b, *state);
	for (size_t i = 0; i < sizeof(shred_points) / sizeof(shred_points[0]); i++) {
		crash c = { *state, shred_points[i] };
		workspace copy = *(workspace *)*state;

		path_join(copy.db, copy.root, "copy");
		path_join(copy.kms, copy.root, "copy-kms");
		print_message("kill at %s\n", c.point);
		tree_copy(c.ws->db, copy.db);
		tree_copy(c.ws->kms, copy.kms);
		test_child_killed(killed_shred, &c);
		test_child_ok(expect_a_whole_or_gone, &c);
		tree_remove(c.ws->db);
		tree_remove(c.ws->kms);
		assert_int_equal(rename(copy.db, c.ws->db), 0);
		assert_int_equal(bh_home_set(c.ws->db), BH_OK);
		assert_int_equal(rename(copy.kms, c.ws->kms), 0);
	}
}

/* ---- closing under open handles */

static void close_under_handles(void *arg)
{
	bh_db *db = test_db_open(arg, NULL);
	bh_cf *a = test_cf(db, "a", "events");
	bh_snapshot *snapshot = NULL;
	bh_iter *iter = NULL;

	test_ok(bh_snapshot_new(db, &snapshot));
	test_ok(bh_iter_new(a, NULL, &iter));
	test_ok(bh_iter_first(iter));
	bh_db_close(db);
	test_status(bh_iter_next(iter), BH_E_INVALID);
	bh_iter_free(iter);
	bh_snapshot_free(snapshot);
	bh_cf_close(a);
}

static void close_ends_open_handles(void **state)
{
	test_child_ok(make_a_and_b, *state);
	test_child_ok(close_under_handles, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shred_ends_what_is_open, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(shred_costs_nobody_else, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(name_used_again_is_a_new_merchant, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(killed_creation_is_whole_or_absent, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(killed_shred_is_finished_by_the_next_open, test_workspace_make,
						test_workspace_drop),
		cmocka_unit_test_setup_teardown(close_ends_open_handles, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
