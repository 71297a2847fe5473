/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_repeats.c: what the audit log is told of answers that a KMS gives again and again: once for a span of time, with a
 * count, and all of it at an orderly end; another answer, or another merchant's, at once.
 */
#include "keyring_fixture.h"

#include <jansson.h>
#include <time.h>

#include "keyring/audit/verify.h"
#include "keyring/ring/ring.h"

typedef struct rig {
	keyring_fixture f;
	char bob_uri[192];
	bh_keyring *keyring;
	bh_kms *console; /* of acme's key */
} rig;

static bh_keyring *open_with_span(const keyring_fixture *f, int64_t span_ms)
{
	const bh_keyring_options options = { .repeats_span_ms = span_ms };
	bh_keyring *keyring = NULL;

	assert_done(bh_keyring_open(f->db, &options, true, &keyring));
	return keyring;
}

static int setup(void **state)
{
	static const char *const classes[] = { "profile" };
	rig *r = calloc(1, sizeof(*r));

	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	r->f = fixture_make_keyring();
	text_format(r->bob_uri, sizeof(r->bob_uri), "local:%s#bob", r->f.kms);
	assert_done(bh_kms_create(r->bob_uri, "eu", NULL));
	r->keyring = open_with_span(&r->f, 0);
	assert_done(bh_keyring_merchant_add(r->keyring, "acme", r->f.acme_uri, classes, 1));
	assert_done(bh_keyring_merchant_add(r->keyring, "bob", r->bob_uri, classes, 1));
	assert_done(bh_kms_open(r->f.acme_uri, NULL, &r->console));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	rig *r = *state;

	bh_kms_close(r->console);
	bh_keyring_close(r->keyring);
	fixture_remove(&r->f);
	free(r);
	return 0;
}

/* ---- the log, as it lies there */

typedef struct told {
	const char *merchant, *action;
	size_t entries;
	json_int_t answers; /* counts added up */
	bool has_until;     /* of the last one */
	uint64_t last_seq;
} told;

static bh_status take(void *arg, uint64_t seq, bh_view line)
{
	told *t = arg;
	json_t *entry = json_loadb((const char *)line.data, line.len, 0, NULL);
	const char *merchant = json_string_value(json_object_get(entry, "merchant"));

	assert_non_null(entry);
	if (merchant != NULL && strcmp(merchant, t->merchant) == 0 &&
	    strcmp(json_string_value(json_object_get(entry, "action")), t->action) == 0) {
		const json_t *count = json_object_get(entry, "count");

		t->entries++;
		t->answers += count != NULL ? json_integer_value(count) : 1;
		t->has_until = json_object_get(entry, "until") != NULL;
		t->last_seq = seq;
	}
	json_decref(entry);
	return BH_OK;
}

static told log_of(const rig *r, const char *merchant, const char *action)
{
	told t = { .merchant = merchant, .action = action };
	bh_audit_scan_result found;

	assert_done(bh_audit_read((const char *const[]){ r->f.audit }, 1, take, &t, &found));
	return t;
}

static uint64_t log_bytes(const rig *r)
{
	struct stat st;

	assert_int_equal(stat(r->f.audit, &st), 0);
	return (uint64_t)st.st_size;
}

static void renew(const rig *r, const char *merchant, int times)
{
	for (int i = 0; i < times; i++)
		assert_done(bh_keyring_merchant_renew(r->keyring, merchant));
}

static void refuse(const rig *r, int times)
{
	for (int i = 0; i < times; i++)
		assert_status(bh_keyring_merchant_renew(r->keyring, "acme"), BH_E_KMS_REFUSED);
}

/* ---- tests */

static void many_renewals_are_one_entry_and_an_end_tells_of_all(void **state)
{
	rig *r = *state;

	renew(r, "acme", 1);
	renew(r, "bob", 1);
	const uint64_t before = log_bytes(r);
	renew(r, "acme", 200);
	assert_int_equal(log_bytes(r), before);
	told t = log_of(r, "acme", BH_AUDIT_KEYS_RENEWED);
	assert_int_equal(t.entries, 1);
	assert_true(t.has_until);
	assert_done(bh_keyring_merchant_lock(r->keyring, "acme"));
	t = log_of(r, "acme", BH_AUDIT_KEYS_RENEWED);
	assert_int_equal(t.entries, 2);
	assert_int_equal(t.answers, 201);
	assert_false(t.has_until); /* nothing goes on */
	assert_int_equal(log_of(r, "acme", BH_AUDIT_KEYS_WIPED).last_seq, t.last_seq + 1);
	t = log_of(r, "bob", BH_AUDIT_KEYS_RENEWED);
	assert_int_equal(t.entries, 1); /* no end of bob's */
	assert_true(t.has_until);
}

static void a_close_tells_of_everybody(void **state)
{
	rig *r = *state;

	renew(r, "acme", 5);
	renew(r, "bob", 7);
	bh_keyring_close(r->keyring);
	assert_int_equal(log_of(r, "acme", BH_AUDIT_KEYS_RENEWED).answers, 5);
	assert_int_equal(log_of(r, "bob", BH_AUDIT_KEYS_RENEWED).answers, 7);
	r->keyring = fixture_open(&r->f);
}

static void a_span_ends_and_another_begins(void **state)
{
	const struct timespec over = { .tv_nsec = 60000000 };
	rig *r = *state;

	bh_keyring_close(r->keyring);
	r->keyring = open_with_span(&r->f, 50);
	renew(r, "acme", 1);
	for (int span = 0; span < 3; span++) {
		nanosleep(&over, NULL);
		renew(r, "acme", 1);
	}
	told t = log_of(r, "acme", BH_AUDIT_KEYS_RENEWED);
	assert_int_equal(t.entries, 4);
	assert_int_equal(t.answers, 4);
	assert_true(t.has_until);
}

static void another_answer_is_told_at_once(void **state)
{
	rig *r = *state;

	renew(r, "acme", 3);
	assert_done(bh_kms_disable(r->console));
	refuse(r, 1);
	assert_int_equal(log_of(r, "acme", BH_AUDIT_KEYS_RENEWED).answers, 3);
	assert_int_equal(log_of(r, "acme", BH_AUDIT_KEYS_DENIED).entries, 1);
	const uint64_t before = log_bytes(r);
	refuse(r, 50);
	renew(r, "bob", 1); /* begins a span of bob's own, and nothing of acme's */
	assert_int_equal(log_of(r, "acme", BH_AUDIT_KEYS_DENIED).entries, 1);
	assert_true(log_bytes(r) > before);
	assert_done(bh_kms_enable(r->console));
	renew(r, "acme", 1);
	assert_int_equal(log_of(r, "acme", BH_AUDIT_KEYS_DENIED).answers, 51);
	assert_int_equal(log_of(r, "acme", BH_AUDIT_KEYS_RENEWED).answers, 4);
}

/* What an operator asks for is told each time, and tells of what was counted. */
static void an_unlock_that_is_refused_is_never_counted(void **state)
{
	rig *r = *state;

	assert_done(bh_keyring_merchant_lock(r->keyring, "acme"));
	assert_done(bh_kms_disable(r->console));
	refuse(r, 4);
	for (int i = 1; i <= 3; i++) {
		assert_status(bh_keyring_merchant_unlock(r->keyring, "acme"), BH_E_KMS_REFUSED);
		assert_int_equal(log_of(r, "acme", BH_AUDIT_KEYS_DENIED).answers, 4 + i);
	}
	assert_done(bh_kms_enable(r->console));
	assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
}

static void an_open_knows_of_no_span(void **state)
{
	rig *r = *state;

	renew(r, "acme", 2);
	bh_keyring_close(r->keyring);
	r->keyring = fixture_open(&r->f);
	assert_done(bh_keyring_merchant_unlock(r->keyring, "acme"));
	renew(r, "acme", 1);
	told t = log_of(r, "acme", BH_AUDIT_KEYS_RENEWED);
	assert_int_equal(t.answers, 3);
	assert_true(t.has_until);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(many_renewals_are_one_entry_and_an_end_tells_of_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_close_tells_of_everybody, setup, teardown),
		cmocka_unit_test_setup_teardown(a_span_ends_and_another_begins, setup, teardown),
		cmocka_unit_test_setup_teardown(another_answer_is_told_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unlock_that_is_refused_is_never_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(an_open_knows_of_no_span, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
