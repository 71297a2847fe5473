/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_liar.c: a KMS agent that lies, in every way, and a keyring over it and over the real one: each trouble is told from each
 * other: unreachable, refused, damaged.
 */
#include <signal.h>
#include <sys/stat.h>

#include "keyring/ring/keyring.h"
#include "tests/support/kms_agent_fixture.h"

static const char *const one_class[] = { "data" };

static void test_each_lie_is_told_apart(void **state)
{
	static const struct {
		liar_lie lie;
		bh_status status;
	} lies[] = {
		{ LIAR_TRUE, BH_OK },
		{ LIAR_HANGS_UP, BH_E_KMS_UNREACHABLE },
		{ LIAR_READS_ONLY, BH_E_KMS_UNREACHABLE },
		{ LIAR_OTHER_REQUEST, BH_E_FORMAT },
		{ LIAR_OTHER_COMMAND, BH_E_FORMAT },
		{ LIAR_OTHER_NAME, BH_E_FORMAT },
		{ LIAR_OTHER_VERSION, BH_E_VERSION },
		{ LIAR_GARBAGE, BH_E_FORMAT },
		{ LIAR_HUGE, BH_E_FORMAT },
		{ LIAR_EMPTY, BH_E_FORMAT },
		{ LIAR_REFUSES, BH_E_KMS_REFUSED },
		{ LIAR_TRUE, BH_OK },
	};
	fixture *f = *state;
	const char *uri = lie_start(f);
	bh_kms *kms = kms_open(uri, LONG_MS), *console = console_open(f, "acme");
	bh_buf wrapped = { 0 }, more = { 0 };
	bh_kms_key_info info;

	/* SIGPIPE, were there one, would end this process: nothing here ignores it. */
	test_check(signal(SIGPIPE, SIG_DFL) == SIG_DFL);
	test_ok(wrap(console, &wrapped));
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		bh_kms *again = NULL;
		liar_set(&f->liar, lies[i].lie, 0);
		test_status(unwrap(kms, &wrapped), lies[i].status);
		test_status(wrap(kms, &more), lies[i].status);
		test_status(bh_kms_describe(kms, &info), lies[i].status);
		if (lies[i].lie != LIAR_OTHER_COMMAND) /* which is "open" */
			test_status(bh_kms_open(uri, NULL, &again), lies[i].status);
		bh_kms_close(again);
	}
	bh_buf_clear(&more);
	bh_buf_clear(&wrapped);
	bh_kms_close(console);
	bh_kms_close(kms);
}

static void test_every_truncated_answer_is_damaged(void **state)
{
	fixture *f = *state;
	bh_kms *kms = kms_open(lie_start(f), LONG_MS), *console = console_open(f, "acme");
	bh_buf wrapped = { 0 };
	size_t whole = BH_AGENT_LENGTH_SIZE + 4 + 4 + 16 + 6 + 1 + 2 + BH_DEK_LEN;

	test_ok(wrap(console, &wrapped));
	liar_set(&f->liar, LIAR_CUT, whole);
	test_ok(unwrap(kms, &wrapped));
	for (size_t cut = 0; cut < whole; cut++) {
		liar_set(&f->liar, LIAR_CUT, cut);
		test_status(unwrap(kms, &wrapped), cut == 0 ? BH_E_KMS_UNREACHABLE : BH_E_FORMAT);
	}
	bh_buf_clear(&wrapped);
	bh_kms_close(console);
	bh_kms_close(kms);
}

static void test_silence_is_unreachable_wherever_it_begins(void **state)
{
	fixture *f = *state;
	bh_kms *kms = kms_open(lie_start(f), SHORT_MS), *console = console_open(f, "acme");
	bh_buf wrapped = { 0 };

	test_ok(wrap(console, &wrapped));
	liar_set(&f->liar, LIAR_SILENT, 0);
	test_status(unwrap(kms, &wrapped), BH_E_KMS_UNREACHABLE);
	for (size_t cut = 2; cut < 60; cut += 19) {
		liar_set(&f->liar, LIAR_TRUE, 0);
		liar_set(&f->liar, LIAR_CUT_SILENT, cut);
		test_status(unwrap(kms, &wrapped), BH_E_KMS_UNREACHABLE);
	}
	bh_buf_clear(&wrapped);
	bh_kms_close(console);
	bh_kms_close(kms);
}

/* A slow answer is an answer; and meanwhile another key's calls go on. */
static void test_a_slow_key_holds_up_no_other(void **state)
{
	fixture *f = *state;
	caller slow = { .uri = lie_start(f) };
	bh_kms *other = kms_open(kms_process_cmk(&f->agent, "beta"), LONG_MS);
	bh_buf wrapped = { 0 };

	liar_set(&f->liar, LIAR_HOLD, 0);
	test_check(pthread_create(&slow.thread, NULL, caller_main, &slow) == 0);
	while (liar_calls(&f->liar) == 0)
		usleep(1000);
	for (int i = 0; i < 10; i++) {
		test_ok(wrap(other, &wrapped));
		test_ok(unwrap(other, &wrapped));
		bh_buf_clear(&wrapped);
	}
	test_check(!atomic_load(&slow.done));
	liar_set(&f->liar, LIAR_TRUE, 0);
	pthread_join(slow.thread, NULL);
	test_status(slow.status, BH_OK);
	bh_kms_close(other);
}

/* ---- a keyring over it */

static bh_keyring *keyring_open(const fixture *f, uint32_t timeout_ms)
{
	const bh_keyring_options options = { .kms = { .timeout_ms = timeout_ms } };
	bh_keyring *keyring = NULL;

	test_ok(bh_keyring_open(f->ws.db, &options, true, &keyring));
	return keyring;
}

static void keyring_create(const fixture *f, const char *acme_uri)
{
	test_check(mkdir(f->ws.db, 0700) == 0);
	test_ok(bh_keyring_create(f->ws.db, "eu-1", kms_process_cmk(&f->agent, "platform"), NULL));
	bh_keyring *keyring = keyring_open(f, LONG_MS);
	test_ok(bh_keyring_merchant_add(keyring, "acme", acme_uri, one_class, 1));
	test_ok(bh_keyring_merchant_add(keyring, "beta", kms_process_cmk(&f->agent, "beta"), one_class, 1));
	bh_keyring_close(keyring);
}

/* However its KMS fails or lies, a merchant stays locked, for the right reason; the other one is served; then it comes back. */
static void test_a_keyring_tells_the_reasons_apart(void **state)
{
	static const struct {
		liar_lie lie;
		bh_status status;
	} lies[] = {
		{ LIAR_OTHER_DEK, BH_E_TAG },     { LIAR_HANGS_UP, BH_E_KMS_UNREACHABLE }, { LIAR_REFUSES, BH_E_KMS_REFUSED },
		{ LIAR_GARBAGE, BH_E_FORMAT },    { LIAR_OTHER_REQUEST, BH_E_FORMAT },     { LIAR_OTHER_VERSION, BH_E_VERSION },
		{ LIAR_OTHER_NAME, BH_E_FORMAT },
	};
	fixture *f = *state;

	size_t in_use = bh_secret_in_use();

	keyring_create(f, lie_start(f));
	bh_keyring *keyring = keyring_open(f, LONG_MS);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		liar_set(&f->liar, lies[i].lie, 0);
		test_status(bh_keyring_merchant_unlock(keyring, "acme"), lies[i].status);
		test_ok(bh_keyring_merchant_unlock(keyring, "beta"));
		test_ok(bh_keyring_merchant_lock(keyring, "beta"));
	}
	liar_set(&f->liar, LIAR_TRUE, 0);
	test_ok(bh_keyring_merchant_unlock(keyring, "acme"));
	bh_keyring_close(keyring);
	liar_end(&f->liar);
	f->lying = false;
	test_check(bh_secret_in_use() == in_use); /* no answer's key was left behind */
}

static void test_a_keyring_whose_agent_is_gone(void **state)
{
	fixture *f = *state;
	const bh_keyring_options options = { .kms = { .timeout_ms = SHORT_MS } };
	bh_keyring *keyring = NULL;

	keyring_create(f, kms_process_cmk(&f->agent, "acme"));
	kms_process_kill(&f->agent);
	test_status(bh_keyring_open(f->ws.db, NULL, true, &keyring), BH_E_KMS_UNREACHABLE);
	kms_process_restart(&f->agent);
	keyring = keyring_open(f, SHORT_MS);
	kms_process_stop(&f->agent);
	test_status(bh_keyring_merchant_unlock(keyring, "acme"), BH_E_KMS_UNREACHABLE);
	kms_process_cont(&f->agent);
	bh_keyring_close(keyring);
	keyring = keyring_open(f, LONG_MS);
	test_ok(bh_keyring_merchant_unlock(keyring, "acme"));
	bh_keyring_close(keyring);
	/* The KMS's failures with its own deadline are those of one that answers with it. */
	kms_process_kill(&f->agent);
	test_status(bh_keyring_open(f->ws.db, &options, true, &keyring), BH_E_KMS_UNREACHABLE);
}

static bool audit_has(const fixture *f, const char *text)
{
	char path[PATH_SIZE];

	path_join(path, f->ws.db, "AUDIT");
	bh_buf log = file_read(path);
	bool found = bytes_count(bh_buf_view(&log), bh_view_str(text)) > 0;
	bh_buf_clear(&log);
	return found;
}

/* The KMS's own log and the database's speak of a call by the same id, be it granted or not. */
static void test_the_audit_log_has_the_request_ids(void **state)
{
	fixture *f = *state;
	char granted[BH_KMS_REQUEST_ID_SIZE];

	keyring_create(f, lie_start(f));
	bh_keyring *keyring = keyring_open(f, LONG_MS);
	test_ok(bh_keyring_merchant_unlock(keyring, "acme"));
	snprintf(granted, sizeof(granted), "%s", bh_kms_request_id());
	liar_set(&f->liar, LIAR_REFUSES, 0);
	test_status(bh_keyring_merchant_renew(keyring, "acme"), BH_E_KMS_REFUSED);
	test_check(strlen(granted) == 32 && strcmp(granted, bh_kms_request_id()) != 0);
	test_check(audit_has(f, granted));
	bh_keyring_close(keyring);
	test_check(audit_has(f, bh_kms_request_id()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_lie_is_told_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_truncated_answer_is_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence_is_unreachable_wherever_it_begins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_slow_key_holds_up_no_other, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_keyring_tells_the_reasons_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_audit_log_has_the_request_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_keyring_whose_agent_is_gone, setup, teardown),
	};

	return cmocka_run_group_tests_name("kms_liar", tests, NULL, NULL);
}
