/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pins.c: with a pin that was kept elsewhere, a database in which somebody put a KEYRING of his own, another database, and the
 * whole directory as it was earlier are refused: by the library, an Env of one's own, the plugin and bhctl. No byte changes, and
 * where it can be known from KEYRING's head no KMS is asked. With the right directory back, everything is there.
 */
#include <sys/stat.h>

#include "env/plugin/plugin.h"
#include "forged_keyring.h"
#include "keyring/manifest/pin.h"
#include "tests/support/harness.h"

typedef struct stage {
	const workspace *ws;
	char earlier[PATH_SIZE];  /* the whole directory as it was */
	char later[PATH_SIZE];    /* ... and as it is */
	char other[PATH_SIZE];    /* another database under the same keys */
	char stolen[PATH_SIZE];   /* the attacker's KMS */
	char pin_file[PATH_SIZE]; /* the last pin, kept elsewhere */
	char first_pin[BH_PIN_SIZE], pin[BH_PIN_SIZE];
} stage;

/* ---- the hook */

typedef struct kept {
	bh_pin last;
	unsigned count;
	char text[BH_PIN_SIZE];
} kept;

/* Never goes back, and is always of the same database. */
static void keep(void *arg, const char *text)
{
	kept *k = arg;
	bh_pin pin;

	test_ok(bh_pin_parse(text, &pin));
	if (k->count++ > 0) {
		test_check(pin.generation >= k->last.generation && pin.audit.size >= k->last.audit.size);
		test_check(memcmp(pin.database_id, k->last.database_id, BH_ID_LEN) == 0);
		test_check(memcmp(pin.public_key, k->last.public_key, BH_SIGN_PUBLIC_LEN) == 0);
	}
	k->last = pin;
	snprintf(k->text, sizeof(k->text), "%s", text);
}

static bh_db *open_kept(const char *dir, kept *k)
{
	bh_db *db = NULL;

	test_ok(bh_db_open(dir, &(bh_db_options){ .pin_changed = keep, .pin_arg = k }, &db));
	return db;
}

static void put_and_close(bh_db *db, const char *key)
{
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");

	test_put(a, key, "of a");
	test_put(b, key, "of b");
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void make(void *arg)
{
	stage *s = arg;
	char now[BH_PIN_SIZE];
	kept k = { 0 };
	bh_db *db;

	test_ok(bh_db_create(s->ws->db, "eu-1", test_cmk(s->ws, "platform"),
			     &(bh_db_options){ .pin_changed = keep, .pin_arg = &k }));
	test_check(k.count > 0);
	const unsigned at_create = k.count;
	db = open_kept(s->ws->db, &k);
	test_ok(bh_db_pin(db, now));
	test_check(strcmp(now, k.text) == 0);
	test_merchant_add(s->ws, db, "a", "events", NULL);
	test_merchant_add(s->ws, db, "b", "events", NULL);
	const unsigned before_close = k.count;
	test_check(before_close > at_create + 2); /* open, and what adding them made of it */
	put_and_close(db, "k1");
	test_check(k.count > before_close);
	file_write(s->pin_file, bh_view_str(k.text));
	tree_copy(s->ws->db, s->earlier);
	put_and_close(open_kept(s->ws->db, &k), "k2");
	file_write(s->stolen, bh_view_str(k.text)); /* for the parent, for now */
	tree_copy(s->ws->db, s->later);
	test_ok(bh_db_create(s->other, "eu-1", test_cmk(s->ws, "platform"), NULL));
}

/* ---- the four ways in, each with a pin, or without (NULL) */

static bh_status by_library(const char *dir, const char *pin)
{
	bh_db *db = NULL;
	bh_status status = bh_db_open(dir, &(bh_db_options){ .pin = pin }, &db);

	bh_db_close(db);
	return status;
}

static bh_status by_library_to_look(const char *dir, const char *pin)
{
	bh_db *db = NULL;
	bh_status status = bh_db_open(dir, &(bh_db_options){ .pin = pin, .read_only = true }, &db);

	bh_db_close(db);
	return status;
}

static bh_status by_env(const char *dir, const char *pin)
{
	rocksdb_env_t *env = NULL;
	bh_status status = bh_env_create(dir, &(bh_env_options){ .pin = pin }, &env);

	if (env != NULL)
		rocksdb_env_destroy(env);
	return status;
}

static bh_status by_plugin(const char *dir, const char *pin)
{
	char uri[PATH_SIZE + 32];
	bh_plugin *plugin = NULL;
	bh_fs *fs = NULL;

	snprintf(uri, sizeof(uri), "bulkhead://%s", dir);
	if (pin != NULL)
		setenv("BULKHEAD_PIN", pin, 1);
	bh_status status = bh_plugin_open(uri, &plugin, &fs);
	unsetenv("BULKHEAD_PIN");
	if (status == BH_OK) {
		bh_plugin_free(plugin);
		bh_fs_free(fs);
	}
	return status;
}

static bh_status of_exit_code(int code)
{
	static const bh_status statuses[] = { BH_OK, BH_E_TAG, BH_E_ROLLBACK, BH_E_INVALID, BH_E_KMS_UNREACHABLE };

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (bh_status_exit_code(statuses[i]) == code)
			return statuses[i];
	return BH_E_ROCKSDB;
}

/* `with` is what stands before the program, `option` what stands behind the command; both have the pin in them. */
static bh_status by_bhctl(const char *dir, const char *with, const char *option)
{
	char command[3 * PATH_SIZE + BH_PIN_SIZE];
	int end;

	snprintf(command, sizeof(command), "%s %s --db %s scan a/events %s >/dev/null 2>&1", with, BH_TEST_BHCTL, dir, option);
	end = system(command);
	return WIFEXITED(end) ? of_exit_code(WEXITSTATUS(end)) : BH_E_ROCKSDB;
}

static bh_status by_bhctl_variable(const char *dir, const char *pin)
{
	char with[BH_PIN_SIZE + 32] = "";

	if (pin != NULL)
		snprintf(with, sizeof(with), "BULKHEAD_PIN='%s'", pin);
	return by_bhctl(dir, with, "");
}

static bh_status by_bhctl_option(const char *dir, const char *pin)
{
	char option[BH_PIN_SIZE + 32] = "";

	if (pin != NULL)
		snprintf(option, sizeof(option), "--pin '%s'", pin);
	return by_bhctl(dir, "", option);
}

typedef struct way {
	const char *name;
	bh_status (*open)(const char *dir, const char *pin);
} way;
static const way ways[] = {
	{ "library", by_library }, { "library, read-only", by_library_to_look }, { "Env", by_env },
	{ "plugin", by_plugin },   { "bhctl, option", by_bhctl_option },         { "bhctl, variable", by_bhctl_variable },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* ---- attacks */

typedef struct attempt {
	const stage *s;
	const char *dir, *pin;
	bh_status want;
} attempt;

static bh_buf file_in(const char *dir, const char *name)
{
	char path[PATH_SIZE];

	path_join(path, dir, name);
	return file_read(path);
}

static void expect_same(const char *dir, const char *name, const bh_buf *before, const char *what)
{
	bh_buf now = file_in(dir, name);

	if (now.len != before->len || (now.len > 0 && memcmp(now.data, before->data, now.len) != 0))
		test_fail_at(__FILE__, __LINE__, "%s: %s was changed", what, name);
	bh_buf_clear(&now);
}

static void expect_refused(void *arg)
{
	const attempt *a = arg;
	bh_buf keyring = file_in(a->dir, "KEYRING"), audit = file_in(a->dir, "AUDIT");
	const uint64_t hash = tree_hash(a->dir);

	for (size_t i = 0; i < WAYS; i++) {
		bh_status status = ways[i].open(a->dir, a->pin);

		/* bhctl's exit code is the same for these two */
		if (bh_status_exit_code(status) != bh_status_exit_code(a->want))
			test_fail_at(__FILE__, __LINE__, "%s: %s, not %s: %s", ways[i].name, bh_status_name(status),
				     bh_status_name(a->want), bh_status_message());
		expect_same(a->dir, "KEYRING", &keyring, ways[i].name);
		expect_same(a->dir, "AUDIT", &audit, ways[i].name);
		test_check(tree_hash(a->dir) == hash);
	}
	bh_buf_clear(&keyring);
	bh_buf_clear(&audit);
}

static void refused(const stage *s, const char *dir, const char *pin, bh_status want)
{
	attempt a = { .s = s, .dir = dir, .pin = pin, .want = want };

	test_child_ok(expect_refused, &a);
}

/* What was there is there, for both. */
static void expect_whole(void *arg)
{
	stage *s = arg;
	kept k = { 0 };
	bh_db *db = NULL;

	for (size_t i = 0; i < WAYS; i++)
		test_ok(ways[i].open(s->ws->db, s->pin));
	test_ok(bh_db_open(s->ws->db, &(bh_db_options){ .pin = s->pin, .pin_changed = keep, .pin_arg = &k }, &db));
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");
	test_expect(a, "k1", "of a");
	test_expect(a, "k2", "of a");
	test_expect(b, "k1", "of b");
	test_expect(b, "k2", "of b");
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
	test_ok(by_library(s->ws->db, k.text));
	/* Who only looks leaves lines in the log as well, and is told. */
	k = (kept){ 0 };
	test_ok(bh_db_open(s->ws->db, &(bh_db_options){ .read_only = true, .pin_changed = keep, .pin_arg = &k }, &db));
	test_check(k.count == 1);
	bh_db_close(db);
	test_check(k.count == 2);
	test_ok(by_library(s->ws->db, k.text));
	/* An older pin is a floor: what has gone on since fits it. */
	test_ok(by_library(s->ws->db, s->first_pin));
}

static void put_back(const stage *s, const char *from)
{
	tree_remove(s->ws->db);
	tree_copy(from, s->ws->db);
}

static void read_text(const char *path, char out[BH_PIN_SIZE])
{
	bh_buf text = file_read(path);

	snprintf(out, BH_PIN_SIZE, "%.*s", (int)text.len, (const char *)text.data);
	bh_buf_clear(&text);
}

static void stage_set(stage *s, const workspace *ws)
{
	s->ws = ws;
	path_join(s->earlier, ws->root, "earlier");
	path_join(s->later, ws->root, "later");
	path_join(s->other, ws->root, "other");
	path_join(s->stolen, ws->root, "stolen");
	path_join(s->pin_file, ws->root, "pin");
	test_child_ok(make, s);
	read_text(s->pin_file, s->first_pin);
	read_text(s->stolen, s->pin);
	remove(s->stolen);
}

/* Who can write the directory, and has a key of his own, builds a keyring around the merchants' wraps. Without a pin it is one like
 * any other: their KMS unwraps for it. With one nobody is asked: his KMS is not even there. */
static void test_another_keyring(void **state)
{
	stage s = { 0 };
	bh_keyring *keyring = NULL;
	char uri[PATH_SIZE + 32], away[PATH_SIZE];

	stage_set(&s, *state);
	snprintf(uri, sizeof(uri), "local:%s#platform", s.stolen);
	OK(bh_kms_create(uri, "eu-1", NULL));
	forge_keyring(s.ws->db, &(forged_keyring){ .cmk_uri = uri });
	OK(bh_keyring_open(s.ws->db, NULL, true, &keyring));
	OK(bh_keyring_merchant_unlock(keyring, "a"));
	bh_keyring_close(keyring);
	path_join(away, s.ws->root, "away");
	assert_int_equal(rename(s.stolen, away), 0);
	refused(&s, s.ws->db, s.pin, BH_E_TAG);
	refused(&s, s.ws->db, s.first_pin, BH_E_TAG);
	refused(&s, s.ws->db, NULL, BH_E_KMS_UNREACHABLE);
	put_back(&s, s.later);
	test_child_ok(expect_whole, &s);
}

/* The head fits: real CMK, real signing key. But the root secret that it has wrapped there is the attacker's. */
static void test_another_root_under_the_right_key(void **state)
{
	stage s = { 0 };

	stage_set(&s, *state);
	forge_keyring(s.ws->db, &(forged_keyring){ .cmk_uri = test_cmk(s.ws, "platform"), .real_key = true });
	refused(&s, s.ws->db, s.pin, BH_E_TAG);
	refused(&s, s.ws->db, NULL, BH_E_TAG);
	put_back(&s, s.later);
	test_child_ok(expect_whole, &s);
}

/* Who has got hold of the key of the logs has its wrap as well, in KEYRING. It makes nothing of a keyring: not as its root, for the
 * real signing key or for one of its own, nor with a pin or without. */
static void test_the_logs_key_as_the_root(void **state)
{
	stage s = { 0 };
	bh_dek *log_key;

	stage_set(&s, *state);
	log_key = test_platform_dek(s.ws->db);
	put_back(&s, s.later);
	for (int real = 0; real <= 1; real++) {
		forge_keyring(s.ws->db, &(forged_keyring){
						.cmk_uri = test_cmk(s.ws, "platform"), .log_key = log_key, .real_key = real != 0 });
		refused(&s, s.ws->db, s.pin, BH_E_TAG);
		refused(&s, s.ws->db, NULL, BH_E_TAG);
		put_back(&s, s.later);
	}
	bh_dek_unref(log_key);
	test_child_ok(expect_whole, &s);
}

static void test_another_database(void **state)
{
	stage s = { 0 };

	stage_set(&s, *state);
	refused(&s, s.other, s.pin, BH_E_TAG);
	test_child_ok(expect_whole, &s);
}

static void test_the_whole_directory_put_back(void **state)
{
	stage s = { 0 };

	stage_set(&s, *state);
	put_back(&s, s.earlier);
	refused(&s, s.ws->db, s.pin, BH_E_ROLLBACK);
	put_back(&s, s.later);
	test_child_ok(expect_whole, &s);
}

/* As long as the log that was pinned, or longer, but another one. */
static void go_on(void *arg)
{
	const stage *s = arg;
	bh_db *db = NULL;

	for (int i = 0; i < 4; i++) {
		test_ok(bh_db_open(s->ws->db, NULL, &db));
		put_and_close(db, "k3");
	}
}

static void test_another_history(void **state)
{
	stage s = { 0 };

	stage_set(&s, *state);
	put_back(&s, s.earlier);
	test_child_ok(go_on, &s);
	refused(&s, s.ws->db, s.pin, BH_E_TAG);
	put_back(&s, s.later);
	test_child_ok(expect_whole, &s);
}

static void test_what_is_no_pin(void **state)
{
	stage s = { 0 };

	stage_set(&s, *state);
	refused(&s, s.ws->db, "", BH_E_INVALID);
	refused(&s, s.ws->db, "bhpin1:12", BH_E_INVALID);
	s.pin[20] = s.pin[20] == '0' ? '1' : '0';
	refused(&s, s.ws->db, s.pin, BH_E_INVALID);
	ENDS_WITH(BH_E_INVALID,
		  bh_db_create(s.earlier, "eu-1", test_cmk(s.ws, "platform"), &(bh_db_options){ .pin = s.first_pin }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_another_keyring, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_another_root_under_the_right_key, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_the_logs_key_as_the_root, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_another_database, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_the_whole_directory_put_back, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_another_history, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(test_what_is_no_pin, test_workspace_make, test_workspace_drop),
	};
	return cmocka_run_group_tests_name("pins", tests, NULL, NULL);
}
