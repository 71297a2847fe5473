/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shred_attacks.c: a suspended merchant that is shredded is not found in any older copy of the disk either, with all other
 * keys there are; and a shred that comes while the merchant is read, written, walked over, flushed and compacted ends all of that
 * and nothing else.
 */
#include "tests/attack/decryptor.h"
#include "tests/support/harness.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "keyring/ring/keyring.h"

#define CANARY "canary-of-merchant-a"

static void make_a_and_b(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "events", "profile");
	test_merchant_add(ws, db, "b", "events", NULL);
	bh_db_close(db);
}

/* ---- older copies of the disk */

enum { LIVE, SUSPENDED, SHREDDED, COPIES };

static void copy_path(const workspace *ws, int which, char out[PATH_SIZE])
{
	static const char *const names[] = { "live", "suspended", "shredded" };

	path_join(out, ws->root, names[which]);
}

static void copy(const workspace *ws, int which)
{
	char path[PATH_SIZE];

	copy_path(ws, which, path);
	tree_copy(ws->db, path);
}

static void replace_tree(const char *from, const char *to)
{
	tree_remove(to);
	tree_copy(from, to);
}

static void leave_copies(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = rocksdb_options_create(); /* no compression: a canary stays one */
	bh_db *db = test_db_open(ws, options);
	bh_cf *cf = test_cf(db, "a", "events");
	char before[PATH_SIZE];

	test_put(cf, CANARY "-1", CANARY "-1");
	test_ok(bh_flush(cf));
	test_put(cf, CANARY "-2", CANARY "-2");
	test_ok(bh_sync_wal(db));
	copy(ws, LIVE);
	test_ok(bh_merchant_suspend(db, "a", NULL));
	copy(ws, SUSPENDED);
	path_join(before, ws->root, "kms-before");
	tree_copy(ws->kms, before);
	test_ok(bh_merchant_shred(db, "a", NULL));
	copy(ws, SHREDDED);
	bh_cf_close(cf);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void count_canaries(void *arg, const decrypted *file)
{
	size_t *hits = arg;

	*hits += bytes_count(bh_buf_view(&file->stored), bh_view_str(CANARY));
	*hits += bytes_count(bh_buf_view(&file->raw), bh_view_str(CANARY));
	*hits += bytes_count(bh_buf_view(&file->opened), bh_view_str(CANARY));
}

static size_t canaries_in(const workspace *ws, int which)
{
	char path[PATH_SIZE];
	size_t hits = 0;
	decryptor d;

	copy_path(ws, which, path);
	decryptor_open(&d, path);
	decryptor_walk(&d, count_canaries, &hits);
	decryptor_close(&d);
	return hits;
}

static void search_copies(void *arg)
{
	const workspace *ws = arg;
	char before[PATH_SIZE];

	for (int which = 0; which < COPIES; which++)
		test_check(canaries_in(ws, which) == 0);
	/* With the CMK as it was before, they are all there: the search is worth something. */
	path_join(before, ws->root, "kms-before");
	replace_tree(before, ws->kms);
	test_check(canaries_in(ws, LIVE) > 0);
	test_check(canaries_in(ws, SUSPENDED) > 0);
	test_check(canaries_in(ws, SHREDDED) == 0);
}

static void nothing_of_a_suspended_merchant_is_found_after_its_shred(void **state)
{
	test_child_ok(make_a_and_b, *state);
	test_child_ok(leave_copies, *state);
	test_child_ok(search_copies, *state);
}

/* ---- while it is used */

typedef struct user {
	bh_db *db;
	bh_cf *cf;
	_Atomic bool stop;
} user;

static bh_status write_some(user *u, unsigned round)
{
	bh_status status = BH_OK;
	char key[32];

	for (unsigned i = 0; i < 200 && status == BH_OK; i++) {
		snprintf(key, sizeof(key), "key%08u", (round * 7919 + i) % 5000);
		status = bh_put(u->cf, NULL, bh_view_str(key), bh_view_str("some value that fills a little memtable before long"));
	}
	return status;
}

static bh_status read_some(user *u, unsigned round)
{
	bh_status status = BH_OK;
	bh_buf value = { 0 };
	char key[32];

	for (unsigned i = 0; i < 200 && status == BH_OK; i++) {
		snprintf(key, sizeof(key), "key%08u", (round * 7919 + i) % 5000);
		status = bh_get(u->cf, NULL, bh_view_str(key), &value);
		status = status == BH_E_NO_SUCH_KEY ? BH_OK : status;
	}
	bh_buf_clear(&value);
	return status;
}

static bh_status walk_over(user *u, unsigned round)
{
	bh_iter *iter = NULL;
	bh_status status = bh_iter_new(u->cf, NULL, &iter);

	(void)round;
	if (status == BH_OK)
		status = bh_iter_first(iter);
	while (status == BH_OK && bh_iter_valid(iter))
		status = bh_iter_next(iter);
	bh_iter_free(iter);
	return status;
}

static bh_status compact_it(user *u, unsigned round)
{
	(void)round;
	return bh_compact(u->cf, (bh_view){ 0 }, (bh_view){ 0 });
}

static bh_status flush_it(user *u, unsigned round)
{
	(void)round;
	return bh_flush(u->cf);
}

static bh_status (*const uses[])(user *u, unsigned round) = { write_some, read_some, walk_over, compact_it, flush_it };
#define USES (sizeof(uses) / sizeof(uses[0]))

typedef struct worker {
	user *user;
	bh_status (*use)(user *u, unsigned round);
	_Atomic unsigned rounds;
	_Atomic bh_status ended; /* how it did; BH_OK: it has not */
	pthread_t thread;
} worker;

static void *work(void *arg)
{
	worker *w = arg;

	while (atomic_load(&w->ended) == BH_OK && !atomic_load(&w->user->stop)) {
		atomic_store(&w->ended, w->use(w->user, atomic_load(&w->rounds)));
		atomic_fetch_add(&w->rounds, 1);
	}
	return NULL;
}

static void start(worker workers[USES], user *u)
{
	for (size_t i = 0; i < USES; i++) {
		workers[i].user = u;
		workers[i].use = uses[i];
		test_check(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
	}
}

static void wait_for_rounds(worker workers[USES], unsigned rounds)
{
	for (size_t i = 0; i < USES; i++) {
		unsigned from = atomic_load(&workers[i].rounds);

		while (atomic_load(&workers[i].rounds) < from + rounds && atomic_load(&workers[i].ended) == BH_OK)
			sched_yield();
	}
}

static void join(worker workers[USES], bh_status ended)
{
	for (size_t i = 0; i < USES; i++) {
		test_check(pthread_join(workers[i].thread, NULL) == 0);
		if (workers[i].ended != ended)
			test_fail_at(__FILE__, __LINE__, "use %zu ended with %s, not with %s", i, bh_status_name(workers[i].ended),
				     bh_status_name(ended));
	}
}

static void shred_in_use(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	worker of_a[USES] = { 0 }, of_b[USES] = { 0 };
	user a = { 0 }, b = { 0 };
	bh_buf text = { 0 };

	rocksdb_options_set_write_buffer_size(options, 65536); /* flushes and compactions are under way all the time */
	a.db = b.db = test_db_open(ws, options);
	a.cf = test_cf(a.db, "a", "events");
	b.cf = test_cf(b.db, "b", "events");
	start(of_a, &a);
	start(of_b, &b);
	wait_for_rounds(of_a, 3);
	test_ok(bh_merchant_shred(a.db, "a", &text));
	join(of_a, BH_E_SHREDDED);
	wait_for_rounds(of_b, 3); /* and no background error */
	atomic_store(&b.stop, true);
	join(of_b, BH_OK);
	test_ok(bh_certificate_verify(bh_buf_view(&text), NULL, NULL));
	bh_buf_clear(&text);
	bh_cf_close(a.cf);
	bh_cf_close(b.cf);
	bh_db_close(a.db);
	rocksdb_options_destroy(options);
}

static void a_shred_ends_all_use_and_nobody_elses(void **state)
{
	test_child_ok(make_a_and_b, *state);
	test_child_ok(shred_in_use, *state);
}

/* ---- a name used again */

static void id_of_a(const workspace *ws, uint8_t out[BH_ID_LEN])
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_keyring *keyring = NULL;

	test_ok(bh_keyring_open(ws->db, NULL, false, &keyring));
	test_ok(bh_keyring_merchant(keyring, "a", &info));
	memcpy(out, info.id, BH_ID_LEN);
	bh_keyring_close(keyring);
}

static void put_in_a(bh_db *db, const char *value)
{
	bh_cf *cf = test_cf(db, "a", "events");

	test_put(cf, "k1", value);
	test_ok(bh_flush(cf));
	bh_cf_close(cf);
}

static void table_of_a(const workspace *ws, char out[PATH_SIZE])
{
	char dir[PATH_SIZE];

	path_join(dir, ws->db, "tenants/a");
	test_check(file_find(dir, ".sst", 0, out));
}

static void expect_certificate_of(bh_db *db, const uint8_t id[BH_ID_LEN])
{
	bh_certificate_info info;
	char hex[BH_ID_HEX_SIZE];
	bh_buf text = { 0 };

	test_ok(bh_merchant_certificate(db, "a", &text));
	test_ok(bh_certificate_verify(bh_buf_view(&text), NULL, &info));
	bh_hex(id, BH_ID_LEN, hex);
	test_check(info.is_final && strcmp(info.merchant_id, hex) == 0);
	bh_buf_clear(&text);
}

/* Whatever opens with the file in it: its rows do not. */
static void expect_dead(const workspace *ws)
{
	const bh_db_options options = { 0 };
	bh_buf value = { 0 };
	bh_db *db = NULL;
	bh_status status = bh_db_open(ws->db, &options, &db);

	if (status == BH_OK) {
		bh_cf *cf = NULL;

		status = bh_cf_open(db, "a", "events", &cf);
		if (status == BH_OK)
			status = bh_get(cf, NULL, bh_view_str("k1"), &value);
		bh_cf_close(cf);
		bh_db_close(db);
	}
	test_check(status != BH_OK && status != BH_E_NO_SUCH_KEY);
	bh_buf_clear(&value);
}

static void use_the_name_again(void *arg)
{
	static const char *const classes[] = { "events", "profile" };
	const bh_merchant_options options = { classes, 2 };
	const workspace *ws = arg;
	uint8_t before[BH_ID_LEN], after[BH_ID_LEN];
	char path[PATH_SIZE];
	bh_db *db = test_db_open(ws, NULL);
	bh_buf old;

	put_in_a(db, CANARY);
	table_of_a(ws, path);
	old = file_read(path);
	bh_db_close(db);
	id_of_a(ws, before);
	db = test_db_open(ws, NULL);
	test_ok(bh_merchant_shred(db, "a", NULL));
	test_ok(bh_merchant_add(db, "a", test_cmk(ws, "again"), &options));
	put_in_a(db, "new");
	expect_certificate_of(db, before); /* and not of the living one */
	test_ok(bh_merchant_shred_finalize(db, "a", NULL));
	bh_cf *cf = test_cf(db, "a", "events");
	test_expect(cf, "k1", "new");
	bh_cf_close(cf);
	bh_db_close(db);
	id_of_a(ws, after);
	test_check(memcmp(before, after, BH_ID_LEN) != 0);

	table_of_a(ws, path);
	file_write(path, bh_buf_view(&old));
	expect_dead(ws);
	bh_buf_clear(&old);
}

static void a_name_used_again_has_new_ids_and_keys(void **state)
{
	test_child_ok(make_a_and_b, *state);
	test_child_ok(use_the_name_again, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_of_a_suspended_merchant_is_found_after_its_shred, test_workspace_make,
						test_workspace_drop),
		cmocka_unit_test_setup_teardown(a_shred_ends_all_use_and_nobody_elses, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(a_name_used_again_has_new_ids_and_keys, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
