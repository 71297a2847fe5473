/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_pkcs11.c: what pkcs11: URIs say: how they are read, PINs and where they come from, which modules are loaded, which token
 * and which key are meant. Against SoftHSM behind a shim. Beside A's key in the token stands B's, in files.
 */
#include <unistd.h>

#include "pkcs11_pair.h"

static pkcs11_fixture f;
static p11_shim_state *shim;
static int setup_all(void **state)
{
	(void)state;
	pkcs11_fixture_begin(&f);
	shim = pkcs11_shim(&f);
	return 0;
}

static int teardown_all(void **state)
{
	(void)state;
	pkcs11_fixture_end(&f);
	return 0;
}

/* ---- URIs */

static void uris_that_are_none(void **state)
{
	static const char *const bad[] = {
		"pkcs11:",
		"pkcs11:token=shop;object=k",
		"pkcs11:token=shop;object=k?module-path=relative.so",
		"pkcs11:token=shop?module-path=/m.so",
		"pkcs11:object=k?module-path=/m.so",
		"pkcs11:token=shop;object=k;colour=red?module-path=/m.so",
		"pkcs11:token=shop;object=k;token=other?module-path=/m.so",
		"pkcs11:token=shop;object=k;slot-id=1?module-path=/m.so",
		"pkcs11:token=shop;object=k;type=private?module-path=/m.so",
		"pkcs11:token=shop;id=?module-path=/m.so",
		"pkcs11:token=shop;object=%4?module-path=/m.so",
		"pkcs11:token=shop;object=a%00b?module-path=/m.so",
		"pkcs11:token;object=k?module-path=/m.so",
		"pkcs11:token=shop;;object=k?module-path=/m.so",
		"pkcs11:token=shop;object=k?module-path=/m.so&module-path=/n.so",
		"pkcs11:token=shop;object=k?module-path=/m.so&module-name=m",
		"pkcs11:token=shop;object=k?module-path=/m.so&pin-sorce=file:/pin",
		"pkcs11:token=shop;object=k?module-path=/m.so&pin-source=pin",
		"pkcs11:token=shop;object=k?module-path=/m.so&pin-source=file:pin",
		"pkcs11:token=shop;object=k?module-path=/m.so&pin-source=file:",
		"pkcs11:token=shop;object=k?module-path=/m.so&pin-source=%7C/bin/cat",
		"pkcs11:token=shop;object=k?module-path=/m.so&pin-source=fd:",
		"pkcs11:token=shop;object=k?module-path=/m.so&pin-source=fd:-1",
		"pkcs11:token=shop;object=k?module-path=/m.so&pin-source=fd:3x",
		"pkcs11:token=shop;object=k?module-path=/m.so&region=a/b",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (try_open(bad[i]) != BH_E_INVALID)
			test_fail_at(__FILE__, __LINE__, "'%s' is taken: %s", bad[i], bh_status_message());
}

/* In whichever way it is written: nobody repeats it. */
static void a_pin_in_a_uri_is_not_repeated(void **state)
{
	static const char *const with_pins[] = {
		"pkcs11:token=shop;object=k?module-path=/m.so&pin-value=" PKCS11_PIN,
		"PKCS11:token=shop;object=k?module-path=/m.so&pin-value=" PKCS11_PIN,
		"pkcs11:token=shop;object=k?PIN-VALUE=" PKCS11_PIN,
		"hsm:token=shop?pin-value=" PKCS11_PIN,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(with_pins) / sizeof(with_pins[0]); i++) {
		test_status(try_open(with_pins[i]), BH_E_INVALID);
		test_message_names("pin-source=file:");
		test_check(strstr(bh_status_message(), PKCS11_PIN) == NULL);
	}
}

/* ---- PINs */

static void a_pin_that_is_not_there_is_refused(void **state)
{
	pair p = pair_new(&f, "nopin");
	char uri[2 * PATH_SIZE], empty[PATH_SIZE];

	(void)state;
	bh_kms_close(p.a); /* nobody is logged in any more */
	p.a = NULL;
	path_join(empty, f.ws.root, "empty");
	pkcs11_text_write(empty, "\n" PKCS11_PIN "\n");
	snprintf(uri, sizeof(uri), "pkcs11:token=shop;object=nopin?module-path=%s&pin-source=file:%s", f.module, empty);
	test_status(try_open(uri), BH_E_KMS_REFUSED);
	test_message_names("empty");
	snprintf(uri, sizeof(uri), "pkcs11:token=shop;object=nopin?module-path=%s&pin-source=file:%s.gone", f.module, empty);
	test_status(try_open(uri), BH_E_KMS_REFUSED);
	test_message_names("empty.gone");
	snprintf(uri, sizeof(uri), "pkcs11:token=shop;object=nopin?module-path=%s", f.module);
	test_status(try_open(uri), BH_E_KMS_REFUSED);
	test_message_names("pin-source=");
	/* "///" as in other file: URIs, and a line's end of another system's. */
	pkcs11_text_write(empty, PKCS11_PIN "\r\n");
	snprintf(uri, sizeof(uri), "pkcs11:token=shop;object=nopin?module-path=%s&pin-source=file://%s", f.module, empty);
	test_ok(try_open(uri));
	test_ok(unwrap(p.b, &p.wrapped_b));
	pair_end(&p);
}

/* Tokens lock themselves. However many keys ask, a wrong PIN is tried once; the right one at once. */
static void a_wrong_pin_is_tried_once(void **state)
{
	pair p = pair_new(&f, "wrongpin");

	(void)state;
	bh_kms_close(p.a);
	p.a = NULL;
	pkcs11_text_write(f.pin_file, "not-the-pin\n");
	unsigned long before = shim->logins;
	for (int i = 0; i < 20; i++) {
		test_status(try_open(p.uri), BH_E_KMS_REFUSED);
		test_message_names(i == 0 ? "CKR_PIN_INCORRECT" : "not tried again");
		test_check(strstr(bh_status_message(), "not-the-pin") == NULL);
		test_ok(unwrap(p.b, &p.wrapped_b));
	}
	test_check(shim->logins == before + 1);
	pkcs11_text_write(f.pin_file, "neither-is-it\n");
	test_status(try_open(p.uri), BH_E_KMS_REFUSED);
	test_check(shim->logins == before + 2);
	pkcs11_text_write(f.pin_file, PKCS11_PIN);
	test_ok(bh_kms_open(p.uri, NULL, &p.a));
	both_served(&p);
	pair_end(&p);
}

static void the_last_try_is_not_made(void **state)
{
	pair p = pair_new(&f, "lasttry");
	unsigned long before;

	(void)state;
	bh_kms_close(p.a);
	p.a = NULL;
	before = shim->logins;
	shim->add_flags = CKF_USER_PIN_FINAL_TRY;
	test_status(try_open(p.uri), BH_E_KMS_REFUSED);
	test_message_names("one more wrong PIN");
	shim->add_flags = CKF_USER_PIN_LOCKED;
	test_status(try_open(p.uri), BH_E_KMS_REFUSED);
	test_message_names("security officer");
	test_check(shim->logins == before);
	shim->add_flags = 0;
	test_ok(bh_kms_open(p.uri, NULL, &p.a));
	both_served(&p);
	pair_end(&p);
}

/* A descriptor gives its PIN once; keys that are opened later have it all the same. */
static void a_descriptor_gives_the_pin_once(void **state)
{
	pair p = pair_new(&f, "descriptor");
	char uri[2 * PATH_SIZE];
	int ends[2];

	(void)state;
	bh_kms_close(p.a);
	p.a = NULL;
	test_check(pipe(ends) == 0);
	test_check(write(ends[1], PKCS11_PIN "\n", strlen(PKCS11_PIN) + 1) == (ssize_t)strlen(PKCS11_PIN) + 1);
	close(ends[1]);
	snprintf(uri, sizeof(uri), "pkcs11:token=shop;object=descriptor?module-path=%s&pin-source=fd:%d", f.module, ends[0]);
	for (int i = 0; i < 3; i++) {
		test_ok(bh_kms_open(uri, NULL, &p.a));
		both_served(&p);
		bh_kms_close(p.a);
		p.a = NULL;
	}
	close(ends[0]);
	test_ok(try_open(uri));
	pair_end(&p);
}

/* ---- modules */

static void file_copy(const char *from, const char *to)
{
	bh_buf bytes = file_read(from);

	test_check(bytes.len > 0);
	file_write(to, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

static bool is_mapped(const char *path)
{
	char line[1024];
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "r");

	test_check(maps != NULL);
	while (fgets(line, sizeof(line), maps) != NULL)
		found = found || strstr(line, path) != NULL;
	fclose(maps);
	return found;
}

/* A KEYRING that somebody else has written must not bring a library of his into this process. */
static void modules_come_from_the_system_or_a_list(void **state)
{
	char uri[2 * PATH_SIZE + 128], planted[PATH_SIZE], list[2 * PATH_SIZE];
	pair p = pair_new(&f, "modules");

	(void)state;
	path_join(planted, f.ws.root, "planted.so");
	file_copy(BH_TEST_P11_SHIM, planted);
	snprintf(uri, sizeof(uri), "pkcs11:token=shop;object=modules?module-path=%s&pin-source=file:%s", planted, f.pin_file);
	test_status(try_open(uri), BH_E_KMS_REFUSED); /* the list does not have it */
	test_message_names("BULKHEAD_PKCS11_MODULES");
	unsetenv("BULKHEAD_PKCS11_MODULES");
	test_status(try_open(uri), BH_E_KMS_REFUSED); /* it is not the system's */
	test_message_names("BULKHEAD_PKCS11_MODULES");
	test_check(!is_mapped("planted.so"));
	snprintf(uri, sizeof(uri), "pkcs11:token=shop;object=modules?module-path=%s&pin-source=file:%s", BH_TEST_SOFTHSM,
		 f.pin_file);
	test_ok(try_open(uri)); /* that is */
	both_served(&p);

	snprintf(list, sizeof(list), "%s:%s", BH_TEST_P11_SHIM, planted);
	setenv("BULKHEAD_PKCS11_MODULES", list, 1);
	snprintf(uri, sizeof(uri), "pkcs11:token=shop;object=modules?module-path=%s&pin-source=file:%s", planted, f.pin_file);
	test_ok(try_open(uri));
	test_check(is_mapped("planted.so"));
	snprintf(list, sizeof(list), BH_TEST_SOFTHSM ":" BH_TEST_P11_SHIM ":%s:/nowhere.so", f.pin_file);
	setenv("BULKHEAD_PKCS11_MODULES", list, 1);
	snprintf(uri, sizeof(uri), "pkcs11:token=shop;object=k?module-path=%s", f.pin_file);
	test_status(try_open(uri), BH_E_KMS_UNREACHABLE); /* no library */
	test_status(try_open("pkcs11:token=shop;object=k?module-path=/nowhere.so"), BH_E_KMS_UNREACHABLE);
	pair_end(&p);
}

/* ---- tokens */

static void which_token_is_meant(void **state)
{
	char uri[2 * PATH_SIZE], serial[17];
	pair p = pair_new(&f, "selected");
	CK_FUNCTION_LIST_PTR functions = pkcs11_functions(&f);
	CK_TOKEN_INFO info = { 0 };

	(void)state;
	test_check(functions->C_GetTokenInfo(pkcs11_first_slot(functions), &info) == CKR_OK);
	snprintf(serial, sizeof(serial), "%.16s", (const char *)info.serialNumber);
	snprintf(uri, sizeof(uri), "pkcs11:token=nowhere;object=selected?module-path=%s&pin-source=file:%s", f.module, f.pin_file);
	test_status(try_open(uri), BH_E_KMS_UNREACHABLE);
	test_message_names("'nowhere'");
	pkcs11_token_make("shop"); /* a second one of that name */
	bh_kms_close(p.a);
	p.a = NULL;
	test_check(functions->C_Finalize(NULL) == CKR_OK); /* SoftHSM looks for new ones at its start */
	test_status(try_open(p.uri), BH_E_UNSUPPORTED);
	test_message_names("serial=NUMBER");
	snprintf(uri, sizeof(uri), "pkcs11:serial=%s;token=shop;object=selected?module-path=%s&pin-source=file:%s", serial,
		 f.module, f.pin_file);
	bh_status first = try_open(uri);
	test_check(first == BH_OK);
	snprintf(uri, sizeof(uri), "pkcs11:manufacturer=nobody;serial=%s;object=selected?module-path=%s&pin-source=file:%s", serial,
		 f.module, f.pin_file);
	test_status(try_open(uri), BH_E_KMS_UNREACHABLE);
	pair_end(&p);
}

/* ---- keys that their owner has made in another way */

static void key_generate(const char *label, const char *id, CK_ULONG len)
{
	CK_FUNCTION_LIST_PTR functions = pkcs11_functions(&f);
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_BBOOL yes = CK_TRUE;
	char text[2][64];
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;

	snprintf(text[0], sizeof(text[0]), "%s", label);
	snprintf(text[1], sizeof(text[1]), "%s", id);
	CK_ATTRIBUTE template[] = { { CKA_TOKEN, &yes, sizeof(yes) },     { CKA_PRIVATE, &yes, sizeof(yes) },
				    { CKA_ENCRYPT, &yes, sizeof(yes) },   { CKA_DECRYPT, &yes, sizeof(yes) },
				    { CKA_VALUE_LEN, &len, sizeof(len) }, { CKA_LABEL, text[0], strlen(label) },
				    { CKA_ID, text[1], strlen(id) } };
	test_check(functions->C_OpenSession(pkcs11_first_slot(functions), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
					    &session) == CKR_OK);
	test_check(functions->C_GenerateKey(session, &mechanism, template, 7, &key) == CKR_OK);
	test_check(functions->C_CloseSession(session) == CKR_OK);
}

static void which_key_is_meant(void **state)
{
	char uri[2 * PATH_SIZE];
	pair p = pair_new(&f, "made"); /* keeps the token logged in */
	bh_kms *one = NULL;
	bh_kms_key_info info;

	(void)state;
	key_generate("short", "1", 16);
	pkcs11_uri(&f, "short", uri, sizeof(uri));
	test_status(try_open(uri), BH_E_UNSUPPORTED);
	test_message_names("256 bits");

	key_generate("named", "a-name-as-an-id", 32); /* one alone: whatever its id is */
	pkcs11_uri(&f, "named", uri, sizeof(uri));
	test_ok(try_open(uri));
	key_generate("named", "another-name", 32);
	test_status(try_open(uri), BH_E_UNSUPPORTED);
	test_message_names("id=");
	snprintf(uri, sizeof(uri),
		 "pkcs11:token=shop;object=named;type=secret-key;id=another-name?module-path=%s&pin-source=file:%s", f.module,
		 f.pin_file);
	test_ok(try_open(uri));

	key_generate("owned", "\x01", 32); /* versions of its owner's */
	key_generate("owned", "\x02", 32);
	pkcs11_uri(&f, "owned", uri, sizeof(uri));
	test_ok(bh_kms_open(uri, NULL, &one));
	test_ok(bh_kms_describe(one, &info));
	test_check(info.version == 2);
	bh_kms_close(one);
	key_generate("owned", "\x02", 32);
	test_status(try_open(uri), BH_E_UNSUPPORTED);
	test_message_names("same id");
	both_served(&p);
	pair_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uris_that_are_none),
		cmocka_unit_test(a_pin_in_a_uri_is_not_repeated),
		cmocka_unit_test(a_pin_that_is_not_there_is_refused),
		cmocka_unit_test(a_wrong_pin_is_tried_once),
		cmocka_unit_test(the_last_try_is_not_made),
		cmocka_unit_test(a_descriptor_gives_the_pin_once),
		cmocka_unit_test(modules_come_from_the_system_or_a_list),
		cmocka_unit_test(which_key_is_meant),
		cmocka_unit_test(which_token_is_meant), /* the last: there are two of one name then */
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
