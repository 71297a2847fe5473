/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_provider.c: a service's own KMS provider, as <bulkhead/kms_provider.h> has it: registered, called through the wrappers,
 * and each of its outcomes told apart, in the statistics and in what becomes of a lease.
 */
#include "tests/support/harness.h"

#include "keyring/dek/lease.h"
#include "keyring/kms/kms.h"

#define CONTEXT "class=data\nmerchant=acme\n"

static const uint8_t dek[BH_DEK_LEN] = { 3, 1, 4, 1, 5 };

/* ---- a KMS of the test's own. It does as it is told */

static bh_status ends_with;
static bool writes_nothing;
static size_t wraps_to = 40;
static uint32_t version = 7;
static bh_kms_evidence evidence = { .state = BH_KMS_DESTROYED };

/* What it keeps: a wrap's first byte says where. */
static uint8_t kept[256][BH_DEK_LEN];
static uint8_t kept_count;

static bh_status end(void)
{
	bh_kms_request_id_set("call-1");
	bh_kms_principal_set("role/billing");
	return ends_with == BH_OK ? BH_OK : bh_fail(ends_with, "the test's KMS ends so");
}

static bh_status own_open(const char *uri, const bh_kms_options *options, bh_kms_session *session, void **self_out)
{
	(void)session;
	assert_non_null(options);
	assert_int_equal(strncmp(uri, "own-kms+1:", 10), 0);
	*self_out = &ends_with;
	return BH_OK;
}

static void own_close(void *self)
{
	assert_ptr_equal(self, &ends_with);
}

static bh_status own_describe(void *self, bh_kms_key_info *out)
{
	(void)self;
	out->state = BH_KMS_ENABLED;
	snprintf(out->region, sizeof(out->region), "eu-1");
	return end();
}

static bh_status own_wrap(void *self, const uint8_t *key, bh_view context, bh_kms_wrapped *out)
{
	(void)self;
	(void)context;
	out->len = wraps_to;
	out->version = version;
	memcpy(kept[kept_count], key, BH_DEK_LEN);
	out->bytes[0] = kept_count++;
	return end();
}

static bh_status own_unwrap(void *self, bh_view wrapped, bh_view context, uint8_t *dek_out)
{
	(void)self;
	(void)context;
	assert_true(wrapped.len > 0);
	if (!writes_nothing)
		memcpy(dek_out, kept[wrapped.data[0]], BH_DEK_LEN);
	return end();
}

static bh_status own_destroy(void *self, bh_kms_evidence *out)
{
	(void)self;
	*out = evidence;
	return end();
}

static const bh_kms_provider own = {
	.size = sizeof(bh_kms_provider),
	.scheme = "own-kms+1",
	.example = "own-kms+1:KEY",
	.console = "at the key desk",
	.open = own_open,
	.close = own_close,
	.describe = own_describe,
	.wrap = own_wrap,
	.unwrap = own_unwrap,
	.destroy = own_destroy,
};

static int setup(void **state)
{
	(void)state;
	ends_with = BH_OK;
	writes_nothing = false;
	wraps_to = 40;
	version = 7;
	evidence = (bh_kms_evidence){ .state = BH_KMS_DESTROYED };
	memcpy(kept['w'], dek, sizeof(dek));
	return 0;
}

static bh_kms *own_kms(void)
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open("own-kms+1:acme", NULL, &kms));
	return kms;
}

static bh_status wrap(bh_kms *kms, bh_buf *wrapped)
{
	uint32_t by = 0;

	bh_status status = bh_kms_wrap(kms, bh_view_of(dek, sizeof(dek)), bh_view_str(CONTEXT), wrapped, &by);
	assert_true(by == (status == BH_OK ? version : 0));
	return status;
}

static bh_status unwrap(bh_kms *kms)
{
	bh_secret out = { 0 };

	bh_status status = bh_kms_unwrap(kms, bh_view_str("wrap"), bh_view_str(CONTEXT), &out);
	assert_true((status == BH_OK) == (out.data != NULL));
	bh_secret_clear(&out);
	return status;
}

/* ---- tests. The first one registers */

static void a_table_that_is_not_whole_is_refused(void **state)
{
	bh_kms_provider bad = own;

	(void)state;
	test_status(bh_kms_provider_register(NULL), BH_E_INVALID);
	bad.size--;
	test_status(bh_kms_provider_register(&bad), BH_E_INVALID);
	bad = own;
	bad.unwrap = NULL;
	test_status(bh_kms_provider_register(&bad), BH_E_INVALID);
	test_message_names("unwrap");
	static const char *const schemes[] = { NULL, "", "Own", "own:", "own kms" };
	for (size_t i = 0; i < 5; i++) {
		bad = own;
		bad.scheme = schemes[i];
		test_status(bh_kms_provider_register(&bad), BH_E_INVALID);
	}
	bad.scheme = "local";
	test_status(bh_kms_provider_register(&bad), BH_E_EXISTS);
}

static void a_registered_one_is_found_by_its_scheme(void **state)
{
	bh_kms *kms = NULL;

	(void)state;
	test_status(bh_kms_open("own-kms+1:acme", NULL, &kms), BH_E_INVALID);
	test_message_names("local:DIR#KEY");
	test_ok(bh_kms_provider_register(&own));
	test_status(bh_kms_provider_register(&own), BH_E_EXISTS);
	kms = own_kms();
	bh_kms_close(kms);
	static const char *const others[] = { "own-kms:acme", "own-kms+1", "own-kms+12:acme", "OWN-KMS+1:acme", ":acme", "acme" };
	for (size_t i = 0; i < 6; i++) {
		test_status(bh_kms_open(others[i], NULL, &kms), BH_E_INVALID);
		test_message_names("own-kms+1:KEY");
	}
	/* What both have is the same key; what differs is another one, where the provider does not say. */
	assert_true(bh_kms_same_key("own-kms+1:a", "own-kms+1:a"));
	assert_false(bh_kms_same_key("own-kms+1:a", "own-kms+1:b"));
	assert_false(bh_kms_same_key("own-kms+1:a", "local:/a#b"));
}

static void what_it_says_of_a_call_is_kept(void **state)
{
	bh_buf wrapped = { 0 };
	bh_kms *kms = own_kms();

	(void)state;
	test_ok(wrap(kms, &wrapped));
	assert_string_equal(bh_kms_request_id(), "call-1");
	assert_string_equal(bh_kms_principal(), "role/billing");
	test_ok(unwrap(kms));
	/* Of the last call, and of no earlier one. */
	bh_kms *again = own_kms();
	assert_string_equal(bh_kms_request_id(), "");
	assert_string_equal(bh_kms_principal(), "");
	bh_kms_close(again);
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

static void what_it_answers_is_checked(void **state)
{
	bh_buf wrapped = { 0 };
	bh_kms *kms = own_kms();

	(void)state;
	wraps_to = 0;
	test_status(wrap(kms, &wrapped), BH_E_FORMAT);
	wraps_to = BH_KMS_WRAPPED_MAX + 1;
	test_status(wrap(kms, &wrapped), BH_E_FORMAT);
	wraps_to = BH_KMS_WRAPPED_MAX;
	test_ok(wrap(kms, &wrapped));
	version = 0;
	test_status(wrap(kms, &wrapped), BH_E_FORMAT);
	writes_nothing = true;
	test_status(unwrap(kms), BH_E_FORMAT);
	test_message_names("zeros");
	evidence.state = BH_KMS_ENABLED;
	test_status(bh_kms_destroy(kms, NULL), BH_E_FORMAT);
	evidence.state = BH_KMS_PENDING_DELETION; /* without a date */
	test_status(bh_kms_destroy(kms, NULL), BH_E_FORMAT);
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

static void what_it_leaves_out_is_the_owners(void **state)
{
	bh_kms *kms = own_kms();
	uint32_t by = 0;

	(void)state;
	test_status(bh_kms_create("own-kms+1:new", "eu-1", NULL), BH_E_UNSUPPORTED);
	test_message_names("at the key desk");
	test_status(bh_kms_rotate(kms, &by), BH_E_UNSUPPORTED);
	test_status(bh_kms_enable(kms), BH_E_UNSUPPORTED);
	test_status(bh_kms_disable(kms), BH_E_UNSUPPORTED);
	test_status(bh_kms_list("own-kms+1:", NULL, NULL, NULL), BH_E_UNSUPPORTED);
	test_message_names("at the key desk");
	bh_kms_close(kms);
}

/* What each outcome is counted as, and what a lease makes of it. */
static void outcomes_stay_apart(void **state)
{
	static const struct {
		bh_status status;
		size_t counter;
		bh_lease_answer answer;
	} outcomes[] = {
#define AT(member) offsetof(bh_kms_statistics, member)
		{ BH_E_KMS_REFUSED, AT(refused), BH_LEASE_NO },
		{ BH_E_NOT_FOUND, AT(not_found), BH_LEASE_NO },
		{ BH_E_REGION, AT(other), BH_LEASE_NO },
		{ BH_E_TAG, AT(damaged), BH_LEASE_WRONG },
		{ BH_E_FORMAT, AT(damaged), BH_LEASE_WRONG },
		{ BH_E_TRUNCATED, AT(damaged), BH_LEASE_WRONG },
		{ BH_E_VERSION, AT(damaged), BH_LEASE_WRONG },
		{ BH_E_KMS_UNREACHABLE, AT(unreachable), BH_LEASE_NO_ANSWER },
		{ BH_E_KMS_THROTTLED, AT(throttled), BH_LEASE_NO_ANSWER },
		{ BH_E_KMS_SEALED, AT(sealed), BH_LEASE_NO_ANSWER },
		{ BH_E_NOMEM, AT(other), BH_LEASE_NO_ANSWER },
	};
	bh_kms_statistics before, after;
	bh_kms *kms = own_kms();

	(void)state;
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		ends_with = outcomes[i].status;
		bh_kms_stats(kms, &before);
		test_status(unwrap(kms), ends_with);
		bh_kms_stats(kms, &after);
		for (size_t at = AT(refused); at <= AT(other); at += sizeof(uint64_t)) {
			uint64_t now = *(const uint64_t *)(const void *)((const char *)&after + at);
			uint64_t then = *(const uint64_t *)(const void *)((const char *)&before + at);
			assert_int_equal(now - then, at == outcomes[i].counter);
		}
		assert_int_equal(bh_lease_answer_of(ends_with), outcomes[i].answer);
		bool waits = outcomes[i].answer == BH_LEASE_NO_ANSWER && ends_with != BH_E_NOMEM;
		assert_int_equal(bh_kms_gave_no_answer(ends_with), waits);
		if (waits)
			assert_int_equal(bh_status_exit_code(ends_with), 8);
	}
	bh_kms_close(kms);
}

/* A merchant of a registered provider in a database: told as whom, in the audit log. */
static void a_database_works_with_it(void **state)
{
	workspace ws;
	char path[PATH_SIZE];
	bh_db *db = NULL;

	(void)state;
	workspace_open(&ws);
	test_db_create(&ws, NULL);
	db = test_db_open(&ws, NULL);
	const char *const classes[] = { "data" };
	const bh_merchant_options options = { .classes = classes, .class_count = 1 };
	test_ok(bh_merchant_add(db, "acme", "own-kms+1:acme", &options));
	for (int opens = 0; opens < 2; opens++) {
		bh_cf *cf = test_cf(db, "acme", "data");
		if (opens == 0)
			test_put(cf, "key", "value");
		test_expect(cf, "key", "value");
		bh_cf_close(cf);
		bh_db_close(db);
		if (opens == 0)
			db = test_db_open(&ws, NULL);
	}
	/* Whatever keeps its KMS from being asked, the others are served. */
	static const bh_status ends[] = { BH_E_UNSUPPORTED, BH_E_KMS_THROTTLED, BH_E_KMS_SEALED, BH_E_KMS_UNREACHABLE };
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		ends_with = ends[i];
		db = test_db_open(&ws, NULL);
		if (i == 0)
			test_merchant_add(&ws, db, "beta", "data", NULL);
		bh_cf *off = NULL, *cf = test_cf(db, "beta", "data");
		test_status(bh_cf_open(db, "acme", "data", &off), BH_E_KMS_UNREACHABLE);
		test_put(cf, "key", "value");
		test_expect(cf, "key", "value");
		bh_cf_close(cf);
		bh_db_close(db);
	}
	ends_with = BH_OK;
	db = test_db_open(&ws, NULL);
	bh_cf *back = test_cf(db, "acme", "data");
	test_expect(back, "key", "value");
	bh_cf_close(back);
	bh_db_close(db);
	path_join(path, ws.db, "AUDIT");
	FILE *log = fopen(path, "r");
	char line[8192];
	size_t told = 0;
	assert_non_null(log);
	while (fgets(line, sizeof(line), log) != NULL)
		told += strstr(line, "\"kms_request\":\"call-1\",\"kms_principal\":\"role/billing\"") != NULL;
	fclose(log);
	assert_true(told >= 1);
	workspace_close(&ws);
}

static void no_more_than_there_is_room_for(void **state)
{
	static bh_kms_provider many[BH_KMS_PROVIDERS_MAX];
	static char schemes[BH_KMS_PROVIDERS_MAX][16];

	(void)state;
	for (size_t i = 0; i < BH_KMS_PROVIDERS_MAX; i++) {
		many[i] = own;
		snprintf(schemes[i], sizeof(schemes[i]), "own%zu", i);
		many[i].scheme = schemes[i];
		test_status(bh_kms_provider_register(&many[i]), i + 1 < BH_KMS_PROVIDERS_MAX ? BH_OK : BH_E_FULL);
	}
	bh_kms *kms = own_kms();
	bh_kms_close(kms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_table_that_is_not_whole_is_refused, setup),
		cmocka_unit_test_setup(a_registered_one_is_found_by_its_scheme, setup),
		cmocka_unit_test_setup(what_it_says_of_a_call_is_kept, setup),
		cmocka_unit_test_setup(what_it_answers_is_checked, setup),
		cmocka_unit_test_setup(what_it_leaves_out_is_the_owners, setup),
		cmocka_unit_test_setup(outcomes_stay_apart, setup),
		cmocka_unit_test_setup(a_database_works_with_it, setup),
		cmocka_unit_test_setup(no_more_than_there_is_room_for, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
