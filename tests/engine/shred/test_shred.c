/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shred.c: a shred and its certificate: FINAL when the KMS destroys the CMK, PENDING when it sets a date, refuses or is away,
 * and finalized later; of active merchants and of suspended ones, killed at every step.
 */
#include "engine/core/home.h"
#include "tests/support/harness.h"

#include <jansson.h>
#include <time.h>
#include <unistd.h>

#include "env/format/header.h"
#include "keyring/base/crashpoint.h"

#define CANARY "canary-of-merchant-a"

/* The KMS of merchant a is one of its own, so that it can be taken away. */
static const char *cmk_of_a(const workspace *ws, const char *key)
{
	static char uris[2][PATH_SIZE + 80];
	static unsigned next;
	char *uri = uris[next++ % 2];

	snprintf(uri, sizeof(uris[0]), "local:%s-a#%s", ws->kms, key);
	return uri;
}

static bh_db *open_db(const workspace *ws)
{
	rocksdb_options_t *options = rocksdb_options_create(); /* no compression: a canary stays one */
	bh_db *db = test_db_open(ws, options);

	rocksdb_options_destroy(options);
	return db;
}

static void add_a(const workspace *ws, bh_db *db, const char *key, uint32_t deletion_window_s)
{
	static const char *const classes[] = { "events", "profile" };
	const bh_merchant_options options = { classes, 2 };
	const bh_kms_options kms = { .deletion_window_s = deletion_window_s };
	const char *uri = cmk_of_a(ws, key);
	bh_cf *cf;

	test_ok(bh_kms_create(uri, "eu-1", &kms));
	test_ok(bh_merchant_add(db, "a", uri, &options));
	cf = test_cf(db, "a", "events");
	test_put(cf, "k1", CANARY "-1");
	test_ok(bh_flush(cf));
	test_put(cf, "k2", CANARY "-2");
	bh_cf_close(cf);
}

static void make(const workspace *ws, uint32_t deletion_window_s)
{
	bh_db *db;
	bh_cf *b;

	test_db_create(ws, NULL);
	db = open_db(ws);
	add_a(ws, db, "a", deletion_window_s);
	test_merchant_add(ws, db, "b", "events", NULL);
	b = test_cf(db, "b", "events");
	test_put(b, "k1", "b1");
	bh_cf_close(b);
	bh_db_close(db);
}

static void make_plain(void *arg)
{
	make(arg, 0);
}

static void expect_b(bh_db *db)
{
	bh_cf *b = test_cf(db, "b", "events");

	test_put(b, "k2", "b2");
	test_ok(bh_flush(b));
	test_expect(b, "k1", "b1");
	test_expect(b, "k2", "b2");
	bh_cf_close(b);
}

static void expect_nothing_of_a(const workspace *ws, bh_db *db)
{
	bh_cf *cf = NULL;
	char path[PATH_SIZE];

	test_status(bh_cf_open(db, "a", "events", &cf), BH_E_SHREDDED);
	test_status(bh_merchant_shred(db, "a", NULL), BH_E_SHREDDED);
	path_join(path, ws->db, "tenants/a");
	test_check(!file_exists(path));
	path_join(path, ws->db, "parked/a");
	test_check(!file_exists(path));
}

/* ---- certificates */

static json_t *parse(bh_db *db, const bh_buf *text)
{
	uint8_t public_key[BH_PUBLIC_KEY_LEN];
	json_t *json;

	bh_db_public_key(db, public_key);
	test_ok(bh_certificate_verify(bh_buf_view(text), public_key, NULL));
	json = json_loadb((const char *)text->data, text->len, 0, NULL);
	test_check(json != NULL);
	return json;
}

static json_t *certificate(bh_db *db)
{
	bh_buf text = { 0 };
	json_t *json;

	test_ok(bh_merchant_certificate(db, "a", &text));
	json = parse(db, &text);
	bh_buf_clear(&text);
	return json;
}

static const char *text_at(const json_t *json, const char *part, const char *name)
{
	const char *text = json_string_value(json_object_get(part != NULL ? json_object_get(json, part) : json, name));

	return text != NULL ? text : "";
}

static void expect_text(const json_t *json, const char *part, const char *name, const char *want)
{
	if (strcmp(text_at(json, part, name), want) != 0)
		test_fail_at(__FILE__, __LINE__, "%s is '%s', not '%s'", name, text_at(json, part, name), want);
}

static void expect_status_of_certificate(bh_db *db, const char *status)
{
	json_t *json = certificate(db);

	expect_text(json, NULL, "status", status);
	json_decref(json);
}

static bool lists_salt(const json_t *json, const char *hex)
{
	const json_t *salts = json_object_get(json_object_get(json_object_get(json, "scope"), "files"), "salts"), *salt;
	size_t i;

	json_array_foreach(salts, i, salt) if (strcmp(json_string_value(salt), hex) == 0) return true;
	return false;
}

struct headers {
	const json_t *json;
	unsigned seen;
};

static void expect_listed(void *arg, const char *path)
{
	struct headers *headers = arg;
	bh_buf bytes = file_read(path);
	char hex[2 * BH_SALT_LEN + 1];
	bh_header header;

	test_ok(bh_header_parse(bh_view_of(bytes.data, BH_MIN(bytes.len, (size_t)BH_HEADER_LEN)), &header));
	bh_hex(header.salt, BH_SALT_LEN, hex);
	if (!lists_salt(headers->json, hex))
		test_fail_at(__FILE__, __LINE__, "%s: its salt is not in the certificate", path);
	headers->seen++;
	bh_buf_clear(&bytes);
}

static void expect_in_order(const json_t *json)
{
	const char *asked = text_at(json, "times", "asked"), *unreadable = text_at(json, "times", "unreadable");
	const char *finished = text_at(json, "times", "finished");

	test_check(strlen(asked) == 24 && strlen(unreadable) == 24 && strlen(finished) == 24);
	test_check(strcmp(asked, unreadable) <= 0 && strcmp(unreadable, finished) <= 0);
}

static void shred_and_look(void *arg)
{
	const workspace *ws = arg;
	char copy[PATH_SIZE], files[PATH_SIZE];
	bh_db *db = open_db(ws);
	bh_buf text = { 0 }, again = { 0 };

	path_join(copy, ws->root, "copy");
	tree_copy(ws->db, copy);
	test_ok(bh_merchant_shred(db, "a", &text));
	json_t *json = parse(db, &text);
	struct headers headers = { json, 0 };
	expect_text(json, NULL, "status", "FINAL");
	expect_text(json, "cmk", "state", "destroyed");
	expect_text(json, "cmk", "uri", cmk_of_a(ws, "a"));
	expect_text(json, "merchant", "region", "eu-1");
	expect_text(json_array_get(json_object_get(json, "proof"), 0), NULL, "result", "kms-refused");
	test_check(text_at(json, "cmk", "request_id")[0] != '\0');
	test_check(json_array_size(json_object_get(json_object_get(json, "scope"), "deks")) == 2);
	expect_in_order(json);
	path_join(files, copy, "tenants/a");
	tree_walk(files, expect_listed, &headers);
	test_check(headers.seen >= 1);
	json_decref(json);
	bh_db_close(db);

	db = open_db(ws);
	test_ok(bh_merchant_certificate(db, "a", &again));
	test_check(again.len == text.len && memcmp(again.data, text.data, text.len) == 0);
	again.len = 0;
	test_ok(bh_merchant_shred_finalize(db, "a", &again));
	test_check(again.len == text.len && memcmp(again.data, text.data, text.len) == 0);
	test_status(bh_merchant_certificate(db, "b", &again), BH_E_INVALID);
	test_status(bh_merchant_shred_finalize(db, "b", NULL), BH_E_INVALID);
	test_status(bh_merchant_certificate(db, "nobody", &again), BH_E_NO_SUCH_MERCHANT);
	expect_nothing_of_a(ws, db);
	expect_b(db);
	bh_db_close(db);
	bh_buf_clear(&text);
	bh_buf_clear(&again);
}

static void a_certificate_says_what_is_gone(void **state)
{
	test_child_ok(make_plain, *state);
	test_child_ok(shred_and_look, *state);
}

/* ---- PENDING */

static void make_with_window(void *arg)
{
	make(arg, 4);
}

static time_t date_of(const json_t *json)
{
	struct tm tm = { 0 };

	test_check(strptime(text_at(json, "cmk", "scheduled_for"), "%Y-%m-%dT%H:%M:%S", &tm) != NULL);
	return timegm(&tm);
}

static void wait_for_the_date(const json_t *json)
{
	while (time(NULL) <= date_of(json))
		usleep(100000);
}

static void shred_with_window(void *arg)
{
	static const char *const classes[] = { "events" };
	const bh_merchant_options options = { classes, 1 };
	const workspace *ws = arg;
	bh_db *db = open_db(ws);
	bh_buf text = { 0 };
	json_t *json;

	test_ok(bh_merchant_shred(db, "a", &text));
	json = parse(db, &text);
	expect_text(json, NULL, "status", "PENDING");
	expect_text(json, "cmk", "state", "pending-deletion");
	expect_nothing_of_a(ws, db);
	/* The CMK is going to be destroyed: nobody may have it. */
	test_status(bh_merchant_add(db, "c", cmk_of_a(ws, "a"), &options), BH_E_EXISTS);
	test_check(bh_merchant_shred_finalize(db, "a", NULL) == BH_E_BUSY || time(NULL) >= date_of(json));
	bh_db_close(db);

	wait_for_the_date(json);
	json_decref(json);
	db = open_db(ws);
	text.len = 0;
	test_ok(bh_merchant_shred_finalize(db, "a", &text));
	json = parse(db, &text);
	expect_text(json, NULL, "status", "FINAL");
	expect_text(json, "cmk", "state", "destroyed");
	test_check(json_array_size(json_object_get(json, "proof")) == 2);
	test_check(json_array_size(json_object_get(json_object_get(json_object_get(json, "scope"), "files"), "salts")) >= 1);
	json_decref(json);
	expect_status_of_certificate(db, "FINAL");
	expect_b(db);
	bh_db_close(db);
	bh_buf_clear(&text);
}

static void a_deletion_window_makes_it_pending_until_its_date(void **state)
{
	test_child_ok(make_with_window, *state);
	test_child_ok(shred_with_window, *state);
}

/* In the place of the key there is one that this KMS's root did not seal: it refuses whatever is asked of it. */
static bh_buf put_foreign_key(const workspace *ws, char path[PATH_SIZE + 32])
{
	char foreign[PATH_SIZE + 32];
	bh_buf own, bytes;

	snprintf(path, PATH_SIZE + 32, "%s-a/a.key.json", ws->kms);
	own = file_read(path);
	snprintf(foreign, sizeof(foreign), "local:%s-foreign#a", ws->kms);
	test_ok(bh_kms_create(foreign, "eu-1", NULL));
	snprintf(foreign, sizeof(foreign), "%s-foreign/a.key.json", ws->kms);
	bytes = file_read(foreign);
	file_write(path, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
	return own;
}

static void shred_against_a_kms_that_refuses(void *arg)
{
	const workspace *ws = arg;
	char path[PATH_SIZE + 32];
	bh_db *db = open_db(ws);
	bh_buf own = put_foreign_key(ws, path);
	json_t *json;

	test_status(bh_merchant_shred(db, "a", NULL), BH_E_KMS_REFUSED);
	test_message_names("'a'");
	expect_nothing_of_a(ws, db);
	json = certificate(db);
	expect_text(json, NULL, "status", "PENDING");
	expect_text(json, "cmk", "error", "kms-refused");
	test_check(text_at(json, "cmk", "message")[0] != '\0');
	json_decref(json);
	test_status(bh_merchant_shred_finalize(db, "a", NULL), BH_E_KMS_REFUSED);
	expect_b(db);
	bh_db_close(db);

	db = open_db(ws);
	expect_status_of_certificate(db, "PENDING");
	file_write(path, bh_buf_view(&own));
	test_ok(bh_merchant_shred_finalize(db, "a", NULL));
	expect_status_of_certificate(db, "FINAL");
	bh_db_close(db);
	bh_buf_clear(&own);
}

static void a_kms_that_refuses_makes_it_pending(void **state)
{
	test_child_ok(make_plain, *state);
	test_child_ok(shred_against_a_kms_that_refuses, *state);
}

static void shred_while_the_kms_is_away(void *arg)
{
	const workspace *ws = arg;
	char kms[PATH_SIZE + 8], away[PATH_SIZE + 16];
	bh_status status;
	bh_db *db;

	snprintf(kms, sizeof(kms), "%s-a", ws->kms);
	snprintf(away, sizeof(away), "%s-away", kms);
	test_check(rename(kms, away) == 0);
	db = open_db(ws); /* without a */
	status = bh_merchant_shred(db, "a", NULL);
	test_check(status == BH_E_KMS_REFUSED || status == BH_E_KMS_UNREACHABLE);
	expect_nothing_of_a(ws, db);
	expect_status_of_certificate(db, "PENDING");
	expect_b(db);
	bh_db_close(db);
	test_check(rename(away, kms) == 0);
	db = open_db(ws);
	test_ok(bh_merchant_shred_finalize(db, "a", NULL));
	expect_status_of_certificate(db, "FINAL");
	bh_db_close(db);
}

static void a_merchant_whose_kms_is_away_is_shredded_and_finalized_later(void **state)
{
	test_child_ok(make_plain, *state);
	test_child_ok(shred_while_the_kms_is_away, *state);
}

/* ---- suspended, and killed */

static void suspend_a(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = open_db(ws);
	char path[PATH_SIZE];

	test_ok(bh_merchant_suspend(db, "a", NULL));
	path_join(path, ws->db, "parked/a");
	test_check(file_exists(path));
	bh_db_close(db);
}

typedef struct crash {
	const workspace *ws;
	const char *point;
} crash;

static void killed_shred(void *arg)
{
	const crash *c = arg;
	bh_db *db = open_db(c->ws);

	bh_crash_arm(c->point);
	test_ok(bh_merchant_shred(db, "a", NULL));
}

static void expect_finished(void *arg)
{
	const crash *c = arg;
	bh_db *db = open_db(c->ws);
	json_t *json = certificate(db);

	expect_nothing_of_a(c->ws, db);
	expect_text(json, NULL, "status", "FINAL");
	test_check(json_array_size(json_object_get(json_object_get(json_object_get(json, "scope"), "files"), "salts")) >= 1);
	expect_in_order(json);
	json_decref(json);
	expect_b(db);
	bh_db_close(db);
}

static void keep(const workspace *ws, const char *suffix, bool back)
{
	const char *const trees[] = { ws->db, ws->kms };
	char kms_a[PATH_SIZE + 8], copy[PATH_SIZE + 32];

	snprintf(kms_a, sizeof(kms_a), "%s-a", ws->kms);
	for (size_t i = 0; i < 3; i++) {
		const char *tree = i < 2 ? trees[i] : kms_a;

		snprintf(copy, sizeof(copy), "%s-%s", tree, suffix);
		if (back)
			tree_remove(tree);
		tree_copy(back ? copy : tree, back ? tree : copy);
		if (back && i == 0)
			test_ok(bh_home_set(tree));
	}
}

static void a_suspended_merchant_is_shredded_killed_anywhere(void **state)
{
	static const char *const points[] = {
		"shred.recorded",
		"certificate.store.renamed",
		"shred.files-listed",
		"keyring.append.mark-synced:2",
		"shred.files-removed",
		"kms-local.store.renamed",
		"shred.cmk-asked",
		"shred.erasures-forgotten",
		"keyring.replace.renamed",
		"shred.keys-destroyed",
		"certificate.store.renamed:2",
		"shred.certificate-stored",
		NULL,
	};

	test_child_ok(make_plain, *state);
	test_child_ok(suspend_a, *state);
	keep(*state, "kept", false);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		crash c = { *state, points[i] };

		print_message("kill at %s\n", points[i] != NULL ? points[i] : "no point");
		if (points[i] != NULL)
			test_child_killed(killed_shred, &c);
		else
			test_child_ok(killed_shred, &c);
		test_child_ok(expect_finished, &c);
		keep(*state, "kept", true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_certificate_says_what_is_gone, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(a_deletion_window_makes_it_pending_until_its_date, test_workspace_make,
						test_workspace_drop),
		cmocka_unit_test_setup_teardown(a_kms_that_refuses_makes_it_pending, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(a_merchant_whose_kms_is_away_is_shredded_and_finalized_later, test_workspace_make,
						test_workspace_drop),
		cmocka_unit_test_setup_teardown(a_suspended_merchant_is_shredded_killed_anywhere, test_workspace_make,
						test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
