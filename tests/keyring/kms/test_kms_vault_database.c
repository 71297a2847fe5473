/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_vault_database.c: a database whose merchant A has its key in a real OpenBao, beside B, whose key lies in files: written,
 * opened again, taken away by its owner and given back, moved there from files, and shredded.
 */
#include <unistd.h>

#include "keyring/kms/kms.h"
#include "vault_fixture.h"

#define ROWS 100

static vault_fixture f;

static const char *uri_of(const char *name)
{
	static char uri[256];

	snprintf(uri, sizeof(uri), "vault+http://127.0.0.1:%d/transit/keys/%s?region=eu-1", f.proxy.port, name);
	return uri;
}

static int setup(void **state)
{
	(void)state;
	vault_fixture_begin(&f, false);
	setenv("VAULT_TOKEN", BAO_ROOT_TOKEN, 1);
	test_db_create(&f.ws, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vault_fixture_end(&f);
	return 0;
}

static void merchant_add(bh_db *db, const char *name, const char *cmk)
{
	static const char *const classes[] = { "data", "more" };
	const bh_merchant_options options = { classes, 2 };

	test_ok(bh_merchant_add(db, name, cmk, &options));
}

static void rows_put(bh_db *db, const char *merchant)
{
	bh_cf *cf = test_cf(db, merchant, "data");
	char key[16];

	for (int i = 0; i < ROWS; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		test_put(cf, key, merchant);
	}
	bh_cf_close(cf);
}

static void rows_are_there(bh_db *db, const char *merchant)
{
	bh_cf *cf = test_cf(db, merchant, "data");
	char key[16];

	for (int i = 0; i < ROWS; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		test_expect(cf, key, merchant);
	}
	bh_cf_close(cf);
}

static bh_status first_row(bh_db *db, const char *merchant)
{
	bh_cf *cf = NULL;
	bh_buf value = { 0 };
	bh_status status = bh_cf_open(db, merchant, "data", &cf);

	if (status == BH_OK)
		status = bh_get(cf, NULL, bh_view_str("key0"), &value);
	bh_cf_close(cf);
	bh_buf_clear(&value);
	return status;
}

static void owner_takes_the_key(const char *name, bool away)
{
	char path[128];

	snprintf(path, sizeof(path), "transit/keys/%s/%s", name, away ? "soft-delete" : "soft-delete-restore");
	bao_do(&f.bao, away ? "DELETE" : "POST", path, away ? NULL : "{}");
}

static void taken_away_and_given_back(void **state)
{
	bh_db *db = test_db_open(&f.ws, NULL);

	(void)state;
	vault_key_make(&f, "ann");
	merchant_add(db, "ann", uri_of("ann"));
	merchant_add(db, "bob", test_cmk(&f.ws, "bob"));
	rows_put(db, "ann");
	rows_put(db, "bob");
	bh_db_close(db);

	db = test_db_open(&f.ws, NULL);
	/* Reads and writes ask no KMS. */
	size_t asked = kms_proxy_requests(&f.proxy);
	rows_are_there(db, "ann");
	rows_put(db, "ann");
	test_check(kms_proxy_requests(&f.proxy) == asked);
	rows_are_there(db, "bob");
	bh_db_close(db);

	owner_takes_the_key("ann", true);
	db = test_db_open(&f.ws, NULL);
	test_status(first_row(db, "ann"), BH_E_KMS_REFUSED);
	rows_are_there(db, "bob");
	rows_put(db, "bob");
	bh_db_close(db);

	owner_takes_the_key("ann", false);
	db = test_db_open(&f.ws, NULL);
	rows_are_there(db, "ann");
	rows_are_there(db, "bob");
	bh_db_close(db);
}

/* From files to Vault, to a newer version there, and away: the data is what it was. */
static void moved_rotated_and_shredded(void **state)
{
	const bh_rewrap_options move = { .cmk_uri = uri_of("carol") };
	bh_db *db = test_db_open(&f.ws, NULL);
	bh_rewrap_result result;
	bh_buf certificate = { 0 };

	(void)state;
	vault_key_make(&f, "carol");
	merchant_add(db, "carol", test_cmk(&f.ws, "carol"));
	rows_put(db, "carol");
	test_ok(bh_merchant_rewrap(db, "carol", &move, &result));
	test_check(result.moved && result.rewrapped >= 2);
	bao_do(&f.bao, "POST", "transit/keys/carol/rotate", "{}");
	test_ok(bh_merchant_rewrap(db, "carol", NULL, &result));
	test_check(result.version == 2 && result.behind == 0 && result.rewrapped >= 2);
	bh_db_close(db);
	db = test_db_open(&f.ws, NULL);
	rows_are_there(db, "carol");
	rows_are_there(db, "bob");
	test_ok(bh_merchant_shred(db, "carol", &certificate));
	test_check(memmem(certificate.data, certificate.len, "\"FINAL\"", 7) != NULL ||
		   memmem(certificate.data, certificate.len, "final", 5) != NULL);
	json_decref(bao_ask(&f.bao, BAO_ROOT_TOKEN, "GET", "transit/keys/carol", NULL, 404));
	test_status(first_row(db, "carol"), BH_E_SHREDDED);
	rows_are_there(db, "bob");
	bh_db_close(db);
	bh_buf_clear(&certificate);
}

/* What the log has of a call can be found in Vault's own, by the id, and says as whom. */
static void the_log_says_who_asked(void **state)
{
	char path[PATH_SIZE], line[8192];
	size_t told = 0;

	(void)state;
	path_join(path, f.ws.db, "AUDIT");
	FILE *log = fopen(path, "r");
	test_check(log != NULL);
	while (fgets(line, sizeof(line), log) != NULL) {
		told += strstr(line, "\"action\":\"dek.unwrapped\"") != NULL &&
			strstr(line, "\"kms_principal\":\"token\"") != NULL && strstr(line, "\"kms_request\":\"") != NULL;
		test_check(strstr(line, BAO_ROOT_TOKEN) == NULL);
	}
	fclose(log);
	test_check(told >= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken_away_and_given_back),
		cmocka_unit_test(moved_rotated_and_shredded),
		cmocka_unit_test(the_log_says_who_asked),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
