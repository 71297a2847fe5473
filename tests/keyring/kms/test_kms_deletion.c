/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_deletion.c: how a key of the local KMS ends: the evidence of it, deletion windows, and that no material outlives its
 * date. The clock is the test's: time() is wrapped.
 */
#include "tests/keyring/ring/keyring_fixture.h"

#include <signal.h>
#include <time.h>

#include "keyring/base/crashpoint.h"
#include "keyring/kms/kms.h"

#define CONTEXT "class=events\nmerchant=acme\n"
#define WINDOW_S 604800

static int64_t clock_ahead_s;

time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);
time_t __wrap_time(time_t *out)
{
	time_t now = __real_time(NULL) + clock_ahead_s;

	if (out != NULL)
		*out = now;
	return now;
}

static int setup(void **state)
{
	keyring_fixture *f = malloc(sizeof(*f));

	*f = fixture_make();
	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	clock_ahead_s = 0;
	*state = f;
	return 0;
}

static bh_kms *kms_make(const keyring_fixture *f, uint32_t window_s)
{
	const bh_kms_options options = { .deletion_window_s = window_s };
	bh_kms *kms = NULL;

	assert_done(bh_kms_create(f->acme_uri, "eu", &options));
	assert_done(bh_kms_open(f->acme_uri, NULL, &kms));
	return kms;
}

static bh_status wrap(bh_kms *kms, bh_buf *wrapped)
{
	static const uint8_t dek[BH_DEK_LEN] = { 7, 1, 2, 3 };
	uint32_t version = 0;

	return bh_kms_wrap(kms, bh_view_of(dek, sizeof(dek)), bh_view_str(CONTEXT), wrapped, &version);
}

static bh_status unwrap(bh_kms *kms, const bh_buf *wrapped)
{
	bh_secret out = { 0 };

	bh_status status = bh_kms_unwrap(kms, bh_buf_view(wrapped), bh_view_str(CONTEXT), &out);
	bh_secret_clear(&out);
	return status;
}

static bool material_on_disk(const keyring_fixture *f)
{
	char path[256];

	text_format(path, sizeof(path), "%s/acme.key.json", f->kms);
	bh_buf bytes = file_load(path);
	bool found = bytes_contain(bh_buf_view(&bytes), bh_view_str("material")) ||
		     bytes_contain(bh_buf_view(&bytes), bh_view_str("nonce"));
	bh_buf_clear(&bytes);
	return found;
}

static void assert_request_id(const char *id)
{
	assert_int_equal(strlen(id), 32);
	assert_int_equal(strspn(id, "0123456789abcdef"), 32);
}

/* Evidence */

static void test_evidence_of_a_destruction_at_once(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f, 0);
	bh_kms_evidence first = { 0 }, again = { 0 };
	bh_kms_key_info info;

	assert_done(bh_kms_destroy(kms, &first));
	assert_int_equal(first.state, BH_KMS_DESTROYED);
	assert_true(first.at_s > 1600000000);
	assert_int_equal(first.scheduled_s, 0);
	assert_request_id(first.request_id);
	assert_false(material_on_disk(f));
	/* Asked again, later, it tells of the first request. */
	clock_ahead_s = 100;
	assert_done(bh_kms_destroy(kms, &again));
	assert_memory_equal(&again, &first, sizeof(first));
	assert_done(bh_kms_describe(kms, &info));
	assert_int_equal(info.state, BH_KMS_DESTROYED);
	assert_int_equal(info.changed_at_s, first.at_s);
	assert_string_equal(info.request_id, first.request_id);
	bh_kms_close(kms);
}

static void test_each_change_has_a_request_id_of_its_own(void **state)
{
	bh_kms *kms = kms_make(*state, 0);
	bh_status (*const changes[])(bh_kms *) = { bh_kms_disable, bh_kms_enable };
	bh_kms_key_info before, after;

	assert_done(bh_kms_describe(kms, &before));
	assert_request_id(before.request_id);
	/* More of them than the file remembers. */
	for (size_t i = 0; i < 70; i++) {
		assert_done(changes[i % 2](kms));
		assert_done(bh_kms_describe(kms, &after));
		assert_request_id(after.request_id);
		assert_string_not_equal(after.request_id, before.request_id);
		before = after;
	}
	/* What changes nothing is not a change. */
	assert_done(bh_kms_enable(kms));
	assert_done(bh_kms_describe(kms, &after));
	assert_string_equal(after.request_id, before.request_id);
	bh_kms_close(kms);
}

/* Windows */

static void test_pending_refuses_at_once(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f, WINDOW_S);
	bh_buf wrapped = { 0 }, more = { 0 };
	bh_kms_evidence evidence = { 0 };
	bh_kms_key_info info;
	uint32_t version = 0;

	assert_done(wrap(kms, &wrapped));
	assert_done(bh_kms_destroy(kms, &evidence));
	assert_int_equal(evidence.state, BH_KMS_PENDING_DELETION);
	assert_int_equal(evidence.scheduled_s, evidence.at_s + WINDOW_S);
	assert_status(unwrap(kms, &wrapped), BH_E_KMS_REFUSED);
	assert_status(wrap(kms, &more), BH_E_KMS_REFUSED);
	assert_status(bh_kms_disable(kms), BH_E_KMS_REFUSED);
	assert_status(bh_kms_rotate(kms, &version), BH_E_KMS_REFUSED);
	assert_status(bh_kms_create(f->acme_uri, "eu", NULL), BH_E_EXISTS);
	assert_done(bh_kms_describe(kms, &info));
	assert_int_equal(info.state, BH_KMS_PENDING_DELETION);
	assert_int_equal(info.scheduled_s, evidence.scheduled_s);
	assert_int_equal(info.deletion_window_s, WINDOW_S);
	assert_string_equal(info.request_id, evidence.request_id);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
}

static void test_enable_cancels_before_the_date(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f, WINDOW_S);
	bh_buf wrapped = { 0 };
	bh_kms_evidence first = { 0 }, second = { 0 };
	bh_kms_key_info info;

	assert_done(wrap(kms, &wrapped));
	assert_done(bh_kms_destroy(kms, &first));
	clock_ahead_s = WINDOW_S - 60;
	assert_done(bh_kms_enable(kms));
	assert_done(unwrap(kms, &wrapped));
	assert_done(bh_kms_describe(kms, &info));
	assert_int_equal(info.state, BH_KMS_ENABLED);
	assert_int_equal(info.scheduled_s, 0);
	/* The old date is nothing to it any more; a new request has its own. */
	clock_ahead_s = WINDOW_S + 60;
	assert_done(unwrap(kms, &wrapped));
	assert_done(bh_kms_destroy(kms, &second));
	assert_int_equal(second.state, BH_KMS_PENDING_DELETION);
	assert_true(second.scheduled_s > first.scheduled_s);
	assert_string_not_equal(second.request_id, first.request_id);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
}

static void test_a_disabled_key_is_scheduled_too(void **state)
{
	bh_kms *kms = kms_make(*state, WINDOW_S);
	bh_kms_evidence evidence = { 0 };

	assert_done(bh_kms_disable(kms));
	assert_done(bh_kms_destroy(kms, &evidence));
	assert_int_equal(evidence.state, BH_KMS_PENDING_DELETION);
	bh_kms_close(kms);
}

/* After the date any operation finds the material gone, whichever comes first. */

static bh_status ask_describe(const keyring_fixture *f, bh_kms *kms, const bh_buf *wrapped)
{
	bh_kms_key_info info;
	(void)f;
	(void)wrapped;

	assert_done(bh_kms_describe(kms, &info));
	return info.state == BH_KMS_DESTROYED ? BH_E_KMS_REFUSED : BH_OK;
}

static bh_status ask_unwrap(const keyring_fixture *f, bh_kms *kms, const bh_buf *wrapped)
{
	(void)f;
	return unwrap(kms, wrapped);
}

static bh_status ask_wrap(const keyring_fixture *f, bh_kms *kms, const bh_buf *wrapped)
{
	bh_buf more = { 0 };
	(void)f;
	(void)wrapped;

	return wrap(kms, &more);
}

static bh_status ask_enable(const keyring_fixture *f, bh_kms *kms, const bh_buf *wrapped)
{
	(void)f;
	(void)wrapped;
	return bh_kms_enable(kms);
}

static bh_status ask_rotate(const keyring_fixture *f, bh_kms *kms, const bh_buf *wrapped)
{
	uint32_t version = 0;
	(void)f;
	(void)wrapped;

	return bh_kms_rotate(kms, &version);
}

static bh_status ask_open(const keyring_fixture *f, bh_kms *kms, const bh_buf *wrapped)
{
	bh_kms *again = NULL;
	(void)kms;
	(void)wrapped;

	assert_done(bh_kms_open(f->acme_uri, NULL, &again));
	bh_kms_close(again);
	return BH_E_KMS_REFUSED;
}

static bh_status list_each(void *arg, const bh_kms_key_info *info)
{
	(void)arg;
	return info->state == BH_KMS_DESTROYED ? BH_E_KMS_REFUSED : BH_OK;
}

static bh_status ask_list(const keyring_fixture *f, bh_kms *kms, const bh_buf *wrapped)
{
	(void)kms;
	(void)wrapped;
	return bh_kms_list(f->acme_uri, NULL, list_each, NULL);
}

static bh_status ask_create(const keyring_fixture *f, bh_kms *kms, const bh_buf *wrapped)
{
	(void)kms;
	(void)wrapped;
	assert_status(bh_kms_create(f->acme_uri, "eu", NULL), BH_E_EXISTS);
	assert_non_null(strstr(bh_status_message(), "was destroyed"));
	return BH_E_KMS_REFUSED;
}

static void test_any_operation_after_the_date_destroys(void **state)
{
	static const struct {
		const char *name;
		bh_status (*ask)(const keyring_fixture *f, bh_kms *kms, const bh_buf *wrapped);
	} asks[] = {
		{ "describe", ask_describe }, { "unwrap", ask_unwrap }, { "wrap", ask_wrap }, { "enable", ask_enable },
		{ "rotate", ask_rotate },     { "open", ask_open },     { "list", ask_list }, { "create", ask_create },
	};
	const keyring_fixture *f = *state;
	char path[256];

	text_format(path, sizeof(path), "%s/acme.key.json", f->kms);
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		bh_kms *kms = kms_make(f, WINDOW_S);
		bh_buf wrapped = { 0 };
		bh_kms_evidence first = { 0 }, last = { 0 };

		assert_done(wrap(kms, &wrapped));
		assert_done(bh_kms_destroy(kms, &first));
		clock_ahead_s = WINDOW_S + 1;
		assert_true(material_on_disk(f));
		assert_status(asks[i].ask(f, kms, &wrapped), BH_E_KMS_REFUSED);
		assert_false(material_on_disk(f));
		/* The evidence now says so, under the same request. */
		clock_ahead_s = WINDOW_S + 500;
		assert_done(bh_kms_destroy(kms, &last));
		assert_int_equal(last.state, BH_KMS_DESTROYED);
		assert_true(last.at_s >= first.scheduled_s && last.at_s < first.scheduled_s + 500);
		assert_int_equal(last.scheduled_s, first.scheduled_s);
		assert_string_equal(last.request_id, first.request_id);
		bh_buf_clear(&wrapped);
		bh_kms_close(kms);
		assert_int_equal(unlink(path), 0);
		clock_ahead_s = 0;
	}
}

static void test_kill_at_the_date(void **state)
{
	static const char *const points[] = { "kms-local.store.tmp-synced", "kms-local.store.renamed" };
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f, WINDOW_S);
	bh_kms_key_info info;

	assert_done(bh_kms_destroy(kms, NULL));
	clock_ahead_s = WINDOW_S + 1;
	for (size_t i = 0; i < 2; i++) {
		pid_t child = fork();
		if (child == 0) {
			bh_kms *own = NULL; /* keys do not survive a fork */
			bh_crash_arm(points[i]);
			_exit(bh_kms_open(f->acme_uri, NULL, &own) == BH_OK ? 0 : 1);
		}
		int status = 0;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_true(material_on_disk(f) == (i == 0));
	}
	assert_done(bh_kms_describe(kms, &info));
	assert_int_equal(info.state, BH_KMS_DESTROYED);
	bh_kms_close(kms);
}

/* Many ask at the moment of the date: one of them destroys, all see it. */
static void test_many_processes_at_the_date(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f, WINDOW_S);
	bh_kms_evidence first = { 0 }, last = { 0 };

	assert_done(bh_kms_destroy(kms, &first));
	clock_ahead_s = WINDOW_S + 1;
	for (int i = 0; i < 6; i++) {
		if (fork() == 0) {
			bh_kms *own = NULL;
			bh_kms_key_info info;
			bool ok = bh_kms_open(f->acme_uri, NULL, &own) == BH_OK && bh_kms_describe(own, &info) == BH_OK;
			_exit(ok && info.state == BH_KMS_DESTROYED ? 0 : 1);
		}
	}
	for (int i = 0; i < 6; i++) {
		int status = -1;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_done(bh_kms_destroy(kms, &last));
	assert_string_equal(last.request_id, first.request_id);
	bh_kms_close(kms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_evidence_of_a_destruction_at_once, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_each_change_has_a_request_id_of_its_own, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_pending_refuses_at_once, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_enable_cancels_before_the_date, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_a_disabled_key_is_scheduled_too, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_any_operation_after_the_date_destroys, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_kill_at_the_date, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_many_processes_at_the_date, setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("kms_deletion", tests, NULL, NULL);
}
