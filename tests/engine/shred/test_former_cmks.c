/* SPDX-License-Identifier: Apache-2.0
 *
 * test_former_cmks.c: a merchant that was moved to another CMK. Who has an older KEYRING and the CMK of before has the same DEKs:
 * so the move begins new ones, KEYRING keeps the old CMK's URI, and a shred is PENDING until that one is destroyed, too.
 */
#include <bulkhead/rotation.h>

#include <jansson.h>
#include <sys/stat.h>

#include "keyring/base/crashpoint.h"
#include "keyring/ring/keyring.h"
#include "tests/support/harness.h"

typedef struct uris {
	char old_kms[PATH_SIZE], away[PATH_SIZE], backup[PATH_SIZE];
	char old_cmk[PATH_SIZE + 16], new_cmk[PATH_SIZE + 16];
} uris;

/* The old CMK lies in a KMS of its own, which can go away. */
static uris uris_of(const workspace *ws)
{
	uris u;

	path_join(u.old_kms, ws->root, "old-kms");
	path_join(u.away, ws->root, "old-kms-away");
	path_join(u.backup, ws->root, "backup");
	snprintf(u.old_cmk, sizeof(u.old_cmk), "local:%s#a", u.old_kms);
	snprintf(u.new_cmk, sizeof(u.new_cmk), "local:%s#a2", ws->kms);
	return u;
}

static bh_merchant_options one_class(void)
{
	static const char *const classes[] = { "events" };

	return (bh_merchant_options){ classes, 1 };
}

/* a under the old CMK, b beside it, and a copy of the directory as it is then. */
static void make(void *arg)
{
	const workspace *ws = arg;
	const uris u = uris_of(ws);
	const bh_merchant_options options = one_class();
	bh_cf *a, *b;
	bh_db *db;

	test_ok(bh_kms_create(u.old_cmk, "eu-1", NULL));
	test_ok(bh_kms_create(u.new_cmk, "eu-1", NULL));
	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_ok(bh_merchant_add(db, "a", u.old_cmk, &options));
	test_merchant_add(ws, db, "b", "events", NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	test_put(a, "k1", "a1");
	test_put(b, "k1", "b1");
	test_ok(bh_flush(a));
	test_put(a, "k2", "a2");
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
	tree_copy(ws->db, u.backup);
}

static void move(const workspace *ws, bh_db *db, bool keep_deks)
{
	const uris u = uris_of(ws);
	bh_rewrap_result result;

	test_ok(bh_merchant_rewrap(db, "a", &(bh_rewrap_options){ .cmk_uri = u.new_cmk, .keep_deks = keep_deks }, &result));
	test_check(result.moved && result.rotated == !keep_deks);
}

/* What an operator with an old copy of the database tries. */
static bh_status unlock_backup(const uris *u)
{
	bh_keyring *keyring = NULL;
	bh_status status;

	test_ok(bh_keyring_open(u->backup, NULL, true, &keyring));
	status = bh_keyring_merchant_unlock(keyring, "a");
	bh_keyring_close(keyring);
	return status;
}

static void expect_rows(bh_db *db, bool a_lives)
{
	bh_cf *b = test_cf(db, "b", "events");

	test_expect(b, "k1", "b1");
	bh_cf_close(b);
	if (!a_lives)
		return;
	bh_cf *a = test_cf(db, "a", "events");
	test_expect(a, "k1", "a1");
	test_expect(a, "k2", "a2");
	bh_cf_close(a);
}

static void expect_certificate(bh_db *db, bool is_final, const char *pending_uri)
{
	bh_buf text = { 0 };
	bh_certificate_info info;
	json_t *json;
	const uint8_t *none = NULL;

	test_ok(bh_merchant_certificate(db, "a", &text));
	test_ok(bh_certificate_verify(bh_buf_view(&text), none, &info));
	test_check(info.is_final == is_final);
	json = json_loadb((const char *)text.data, text.len, 0, NULL);
	test_check(json_array_size(json_object_get(json, "former_cmks")) == 1);
	json_t *keys = json_object_get(json, "pending_cmks");
	test_check(json_array_size(keys) == (pending_uri != NULL ? 1u : 0u));
	if (pending_uri != NULL)
		test_check(strcmp(json_string_value(json_object_get(json_array_get(keys, 0), "uri")), pending_uri) == 0);
	json_decref(json);
	bh_buf_clear(&text);
}

/* ---- a shred asks both */

static void shred_with_both_there(void *arg)
{
	const workspace *ws = arg;
	const uris u = uris_of(ws);
	bh_db *db = test_db_open(ws, NULL);

	move(ws, db, true);
	bh_db_close(db);
	test_ok(unlock_backup(&u)); /* the DEKs of today, by the CMK of yesterday */
	db = test_db_open(ws, NULL);
	test_ok(bh_merchant_shred(db, "a", NULL));
	expect_certificate(db, true, NULL);
	expect_rows(db, false);
	bh_db_close(db);
	test_status(unlock_backup(&u), BH_E_KMS_REFUSED);
	db = test_db_open(ws, NULL);
	expect_certificate(db, true, NULL);
	bh_db_close(db);
}

static void test_a_shred_destroys_the_cmk_of_before(void **state)
{
	test_child_ok(make, *state);
	test_child_ok(shred_with_both_there, *state);
}

static void shred_while_the_old_one_is_away(void *arg)
{
	const workspace *ws = arg;
	const uris u = uris_of(ws);
	bh_db *db = test_db_open(ws, NULL);

	move(ws, db, true);
	test_check(rename(u.old_kms, u.away) == 0);
	bh_status status = bh_merchant_shred(db, "a", NULL);
	test_check(status == BH_E_KMS_UNREACHABLE || status == BH_E_KMS_REFUSED);
	test_message_names(u.old_cmk);
	expect_certificate(db, false, u.old_cmk);
	bh_db_close(db);
	/* It still works, and so would the backup: nothing else than PENDING is true. */
	test_check(rename(u.away, u.old_kms) == 0);
	test_ok(unlock_backup(&u));
	db = test_db_open(ws, NULL);
	expect_certificate(db, false, u.old_cmk);
	/* While it is due to be destroyed it is nobody else's. */
	const bh_merchant_options options = one_class();
	test_status(bh_merchant_add(db, "c", u.old_cmk, &options), BH_E_EXISTS);
	test_ok(bh_merchant_shred_finalize(db, "a", NULL));
	expect_certificate(db, true, NULL);
	expect_rows(db, false);
	bh_db_close(db);
	test_status(unlock_backup(&u), BH_E_KMS_REFUSED);
}

static void test_a_certificate_is_pending_until_it_is(void **state)
{
	test_child_ok(make, *state);
	test_child_ok(shred_while_the_old_one_is_away, *state);
}

static void move_only(void *arg)
{
	bh_db *db = test_db_open(arg, NULL);

	move(arg, db, true);
	bh_db_close(db);
}

static void shred_killed(void *arg)
{
	bh_db *db = test_db_open(arg, NULL);

	bh_crash_arm("shred.former-asked");
	test_ok(bh_merchant_shred(db, "a", NULL));
}

static void expect_finished(void *arg)
{
	bh_db *db = test_db_open(arg, NULL);

	expect_certificate(db, true, NULL);
	expect_rows(db, false);
	bh_db_close(db);
}

static void test_killed_once_it_was_asked(void **state)
{
	test_child_ok(make, *state);
	test_child_ok(move_only, *state);
	test_child_killed(shred_killed, *state);
	test_child_ok(expect_finished, *state);
}

/* ---- a move */

static void move_and_look(void *arg)
{
	const workspace *ws = arg;
	const uris u = uris_of(ws);
	const bh_merchant_options options = one_class();
	bh_generation *found = NULL;
	size_t count = 0;
	bh_rewrap_result back;
	bh_db *db = test_db_open(ws, NULL);

	move(ws, db, false);
	test_ok(bh_merchant_sweep(db, "a", NULL));
	test_ok(bh_merchant_generations(db, "a", &found, &count));
	test_check(count == 2 && found[0].retired && found[1].newest);
	free(found);
	expect_rows(db, true);
	/* Whoever had it would have it destroyed with a. */
	test_status(bh_merchant_add(db, "c", u.old_cmk, &options), BH_E_EXISTS);
	test_status(bh_merchant_rewrap(db, "b", &(bh_rewrap_options){ .cmk_uri = u.old_cmk }, NULL), BH_E_EXISTS);
	test_status(bh_merchant_rewrap(db, "", &(bh_rewrap_options){ .cmk_uri = u.old_cmk }, NULL), BH_E_EXISTS);
	/* a itself may go back, and then the other one is what it had before. */
	test_ok(bh_merchant_rewrap(db, "a", &(bh_rewrap_options){ .cmk_uri = u.old_cmk }, &back));
	test_status(bh_merchant_add(db, "c", u.new_cmk, &options), BH_E_EXISTS);
	bh_db_close(db);
	db = test_db_open(ws, NULL);
	expect_rows(db, true);
	test_ok(bh_merchant_shred(db, "a", NULL));
	expect_certificate(db, true, NULL);
	bh_db_close(db);
}

static void test_a_move_begins_new_deks(void **state)
{
	test_child_ok(make, *state);
	test_child_ok(move_and_look, *state);
}

/* Who is suspended moves as well, and has nobody to give it new DEKs. */
static void move_suspended(void *arg)
{
	const workspace *ws = arg;
	const uris u = uris_of(ws);
	bh_rewrap_result result;
	bh_db *db = test_db_open(ws, NULL);

	test_ok(bh_merchant_suspend(db, "a", NULL));
	test_ok(bh_merchant_rewrap(db, "a", &(bh_rewrap_options){ .cmk_uri = u.new_cmk }, &result));
	test_check(result.moved && !result.rotated);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_rows(db, true);
	test_ok(bh_merchant_shred(db, "a", NULL));
	expect_certificate(db, true, NULL);
	bh_db_close(db);
	test_status(unlock_backup(&u), BH_E_KMS_REFUSED);
}

static void test_a_suspended_one_moves(void **state)
{
	test_child_ok(make, *state);
	test_child_ok(move_suspended, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_shred_destroys_the_cmk_of_before, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_a_certificate_is_pending_until_it_is, test_workspace_make,
						test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_killed_once_it_was_asked, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_a_move_begins_new_deks, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_a_suspended_one_moves, test_workspace_make, test_workspace_drop),
	};
	return cmocka_run_group_tests_name("former CMKs", tests, NULL, NULL);
}
