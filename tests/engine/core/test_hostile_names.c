/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile_names.c: names, classes and CMKs that no merchant may have. Each is refused with the status and the words for it,
 * leaves the same files with the same bytes, and costs the others nothing.
 */
#include "tests/support/harness.h"

#include <unistd.h>

static const char *const one_class[] = { "data" };
static const bh_merchant_options with_one_class = { one_class, 1 };

/* A database with merchant "a" and its class "data"; left open. */
static bh_db *make_database(const workspace *ws)
{
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "data", NULL);
	return db;
}

static void add_refused(const workspace *ws, bh_db *db, const char *name, const char *uri, const bh_merchant_options *options,
			bh_status want, const char *named)
{
	const uint64_t before = tree_hash(ws->root);

	test_status(bh_merchant_add(db, name, uri, options), want);
	test_message_names(named);
	test_check(tree_hash(ws->root) == before);
}

static bh_status destroy(bh_kms *kms)
{
	return bh_kms_destroy(kms, NULL);
}

static void set_state(const workspace *ws, const char *key, bh_status (*set)(bh_kms *kms))
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(test_cmk(ws, key), NULL, &kms));
	test_ok(set(kms));
	bh_kms_close(kms);
}

/* ---- names */

#define NAME_64 "n123456789012345678901234567890123456789012345678901234567890123"
#define NAME_65 (NAME_64 "4")
#define NAME_255 (NAME_64 NAME_64 NAME_64 "012345678901234567890123456789012345678901234567890123456789012")

static const char *const hostile_names[] = {
	"",    ".",     "..",  "../x", ".hidden", "-x",  "_x",  "a/b", "/",        "/etc", "a\\b",  "a b",
	"a\n", "\x01x", "a%s", "a\"b", "a;b",     "a#b", "a:b", "a*",  "\xc3\xa4", "\xff", NAME_65, NAME_255,
};

static void names_refused(const workspace *ws, bh_db *db, const char *name)
{
	const char *const cls[] = { name };
	const bh_merchant_options with_cls = { cls, 1 };
	bh_cf *cf = NULL;

	add_refused(ws, db, name, workspace_cmk(ws, "b"), &with_one_class, BH_E_INVALID, "merchant name");
	add_refused(ws, db, "b", workspace_cmk(ws, "b"), &with_cls, BH_E_INVALID, "class name");
	for (const char *p = bh_status_message(); *p != '\0'; p++)
		test_check(*p >= 0x20 && *p < 0x7f); /* a name cannot write to the reader's terminal */
	test_status(bh_cf_open(db, name, "data", &cf), BH_E_NO_SUCH_MERCHANT);
	test_status(bh_cf_open(db, "a", name, &cf), BH_E_NO_SUCH_CLASS);
	test_status(bh_merchant_shred(db, name, NULL), BH_E_NO_SUCH_MERCHANT);
	test_check(cf == NULL);
}

static void classes_refused(const workspace *ws, bh_db *db)
{
	static const char *const twice[] = { "data", "more", "data" }, *const twins[] = { "data", "DATA" };
	static const char *const null_class[] = { NULL };
	static char many_names[300][8];
	const char *many[300];
	const bh_merchant_options none = { NULL, 0 }, with_null = { null_class, 1 }, with_twice = { twice, 3 };
	const bh_merchant_options with_twins = { twins, 2 }, with_many = { many, 300 };

	for (size_t i = 0; i < 300; i++) {
		snprintf(many_names[i], sizeof(many_names[i]), "c%zu", i);
		many[i] = many_names[i];
	}
	add_refused(ws, db, "b", workspace_cmk(ws, "b"), NULL, BH_E_INVALID, "merchant 'b'");
	add_refused(ws, db, "b", workspace_cmk(ws, "b"), &none, BH_E_INVALID, "merchant 'b'");
	add_refused(ws, db, "b", workspace_cmk(ws, "b"), &with_null, BH_E_INVALID, "class name is empty");
	add_refused(ws, db, "b", workspace_cmk(ws, "b"), &with_twice, BH_E_INVALID, "class 'data'");
	add_refused(ws, db, "b", workspace_cmk(ws, "b"), &with_twins, BH_E_INVALID, "class 'DATA'");
	add_refused(ws, db, "b", workspace_cmk(ws, "b"), &with_many, BH_E_INVALID, "300 classes");
}

/* Names that only look alike are strangers to each other: each has its own row under the same key. */
static void names_side_by_side(const workspace *ws, bh_db *db)
{
	static const char *const names[] = { "a", "a.", "a-", "a.b", "ab", "a_data", NAME_64 };
	const size_t count = sizeof(names) / sizeof(names[0]);

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			test_merchant_add(ws, db, names[i], "data", NULL);
		bh_cf *cf = test_cf(db, names[i], "data");
		test_expect(cf, "name", NULL);
		test_put(cf, "name", names[i]);
		bh_cf_close(cf);
	}
	for (size_t i = 0; i < count; i++) {
		bh_cf *cf = test_cf(db, names[i], "data");
		test_expect(cf, "name", names[i]);
		bh_cf_close(cf);
	}
}

static void names(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	test_cmk(ws, "b");
	db = make_database(ws);
	for (size_t i = 0; i < sizeof(hostile_names) / sizeof(hostile_names[0]); i++)
		names_refused(ws, db, hostile_names[i]);
	add_refused(ws, db, NULL, workspace_cmk(ws, "b"), &with_one_class, BH_E_INVALID, "merchant name");
	add_refused(ws, db, "a", workspace_cmk(ws, "b"), &with_one_class, BH_E_EXISTS, "merchant 'a'");
	add_refused(ws, db, "A", workspace_cmk(ws, "b"), &with_one_class, BH_E_EXISTS, "merchant 'a'");
	classes_refused(ws, db);
	names_side_by_side(ws, db);
	bh_db_close(db);
}

/* ---- CMKs of new merchants */

typedef struct bad_uri {
	const char *uri;
	bh_status want;
	const char *named;
} bad_uri;

static void uris_refused(const workspace *ws, bh_db *db)
{
	static char endless[8192];
	static const bad_uri cases[] = {
		{ NULL, BH_E_INVALID, "CMK URI" },
		{ "", BH_E_INVALID, "CMK URI" },
		{ "key", BH_E_INVALID, "'key'" },
		{ "local:", BH_E_INVALID, "'local:'" },
		{ "local:/tmp", BH_E_INVALID, "names no key" },
		{ "local:#key", BH_E_INVALID, "names no directory" },
		{ "local:/tmp#", BH_E_INVALID, "KMS key name" },
		{ "local:/tmp#../key", BH_E_INVALID, "'../key'" },
		{ "local:/nowhere/kms#key", BH_E_KMS_UNREACHABLE, "/nowhere/kms" },
		{ "gopher://kms#key", BH_E_INVALID, "gopher" },
		{ "local:/tmp\n#key", BH_E_INVALID, "control character" },
		{ endless, BH_E_INVALID, "8191 bytes" },
	};

	memset(endless, 'x', sizeof(endless) - 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		add_refused(ws, db, "b", cases[i].uri, &with_one_class, cases[i].want, cases[i].named);
}

static void cmks_of_merchants(void *arg)
{
	const workspace *ws = arg;
	bh_db *db;

	test_ok(bh_kms_create(workspace_cmk(ws, "far"), "us-1", NULL));
	set_state(ws, "off", bh_kms_disable);
	set_state(ws, "gone", destroy);
	db = make_database(ws);
	uris_refused(ws, db);
	add_refused(ws, db, "b", workspace_cmk(ws, "nobody"), &with_one_class, BH_E_NOT_FOUND, "nobody");
	add_refused(ws, db, "b", workspace_cmk(ws, "off"), &with_one_class, BH_E_KMS_REFUSED, "is disabled");
	add_refused(ws, db, "b", workspace_cmk(ws, "gone"), &with_one_class, BH_E_KMS_REFUSED, "is destroyed");
	add_refused(ws, db, "b", workspace_cmk(ws, "far"), &with_one_class, BH_E_REGION, "'us-1'");
	add_refused(ws, db, "b", workspace_cmk(ws, "a"), &with_one_class, BH_E_EXISTS, "merchant 'a'");
	add_refused(ws, db, "b", workspace_cmk(ws, "platform"), &with_one_class, BH_E_EXISTS, "platform's CMK");
	test_merchant_add(ws, db, "b", "data", NULL);
	bh_db_close(db);
}

static void alias_refused(const workspace *ws, bh_db *db, const char *detour)
{
	char mine[2 * PATH_SIZE], platform[2 * PATH_SIZE];

	snprintf(mine, sizeof(mine), "local:%s%s#a", ws->kms, detour);
	snprintf(platform, sizeof(platform), "local:%s%s#platform", ws->kms, detour);
	add_refused(ws, db, "b", mine, &with_one_class, BH_E_EXISTS, "merchant 'a'");
	add_refused(ws, db, "b", platform, &with_one_class, BH_E_EXISTS, "platform's CMK");
}

/* Otherwise the shred of one merchant would destroy what others live by. */
static void aliases(void *arg)
{
	static const char *const detours[] = { "/", "//", "/.", "/../kms", "/../link" };
	const workspace *ws = arg;
	bh_db *db = make_database(ws);
	workspace other = *ws;
	char link[PATH_SIZE];

	path_join(link, ws->root, "link");
	test_check(symlink(ws->kms, link) == 0);
	for (size_t i = 0; i < sizeof(detours) / sizeof(detours[0]); i++)
		alias_refused(ws, db, detours[i]);
	path_join(other.kms, ws->root, "other-kms");
	test_ok(bh_kms_create(workspace_cmk(&other, "a"), "eu-1", NULL)); /* a key of the same name elsewhere is another key */
	test_ok(bh_merchant_add(db, "b", workspace_cmk(&other, "a"), &with_one_class));
	bh_db_close(db);
}

/* ---- each in a process of its own: see harness.h */

#define IN_A_CHILD(name, body)                                                                                                     \
	static void name(void **state)                                                                                             \
	{                                                                                                                          \
		test_child_ok(body, *state);                                                                                       \
	}

IN_A_CHILD(hostile_names_are_refused, names)
IN_A_CHILD(hostile_cmks_are_refused, cmks_of_merchants)
IN_A_CHILD(cmk_under_another_uri_is_the_same_cmk, aliases)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hostile_names_are_refused, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(hostile_cmks_are_refused, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(cmk_under_another_uri_is_the_same_cmk, test_workspace_make, test_workspace_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
