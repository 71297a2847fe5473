/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_intent.c: before a KMS is asked to wrap, to unwrap or to destroy, the audit log says who is about to ask it, for
 * whom and what for. So a kill right after the answer leaves that, with no outcome. What goes well, or not, has its outcome behind
 * it.
 */
#include "keyring_fixture.h"

#include "keyring/base/crashpoint.h"

typedef struct intent_rig {
	keyring_fixture f;
	char next_uri[192]; /* a CMK to move to */
} intent_rig;

static int setup(void **state)
{
	intent_rig *rig = malloc(sizeof(*rig));
	bh_keyring *keyring;

	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	rig->f = fixture_make_keyring();
	text_format(rig->next_uri, sizeof(rig->next_uri), "local:%s#next", rig->f.kms);
	assert_done(bh_kms_create(rig->next_uri, "eu", NULL));
	keyring = fixture_open(&rig->f);
	fixture_add(&rig->f, keyring, "acme");
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE));
	bh_keyring_close(keyring);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	intent_rig *rig = *state;

	fixture_remove(&rig->f);
	free(rig);
	return 0;
}

/* ---- what asks a KMS */

static bh_status add(const intent_rig *rig, bh_keyring *keyring)
{
	const char *const classes[] = { "data" };

	return bh_keyring_merchant_add(keyring, "new", rig->next_uri, classes, 1);
}

static bh_status unlock(const intent_rig *rig, bh_keyring *keyring)
{
	(void)rig;
	return bh_keyring_merchant_unlock(keyring, "acme");
}

static bh_status rotate(const intent_rig *rig, bh_keyring *keyring)
{
	(void)rig;
	return bh_keyring_merchant_rotate(keyring, "acme", 0);
}

static bh_status rewrap(const intent_rig *rig, bh_keyring *keyring)
{
	bh_rewrap_result result;
	bh_kms *kms = NULL;
	uint32_t version;

	assert_done(bh_kms_open(rig->f.acme_uri, NULL, &kms));
	assert_done(bh_kms_rotate(kms, &version));
	bh_kms_close(kms);
	return bh_keyring_merchant_rewrap(keyring, "acme", NULL, &result);
}

static bh_status move(const intent_rig *rig, bh_keyring *keyring)
{
	bh_rewrap_result result;

	return bh_keyring_merchant_rewrap(keyring, "acme", rig->next_uri, &result);
}

static bh_status move_platform(const intent_rig *rig, bh_keyring *keyring)
{
	bh_rewrap_result result;

	return bh_keyring_merchant_rewrap(keyring, "", rig->next_uri, &result);
}

static bh_status destroy(const intent_rig *rig, bh_keyring *keyring)
{
	uint8_t id[BH_ID_LEN];
	bh_shred_record record;
	bh_merchant_info info;

	(void)rig;
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_SHREDDING));
	assert_done(bh_keyring_merchant(keyring, "acme", &info));
	memcpy(id, info.id, BH_ID_LEN);
	bh_merchant_info_clear(&info);
	assert_done(bh_keyring_shred(keyring, id, &record));
	return bh_keyring_shred_ask(keyring, id, &record);
}

typedef struct way {
	const char *name;
	bh_status (*ask)(const intent_rig *rig, bh_keyring *keyring);
	bool unlocked; /* its keys are there before */
	const char *merchant, *cmk, *action, *detail;
} way;
static const way ways[] = {
	{ "add", add, false, "new", "#next", "kms.asked", "to wrap" },
	{ "unlock", unlock, false, "acme", "#acme", "kms.asked", "to unwrap" },
	{ "rotate", rotate, true, "acme", "#acme", "kms.asked", "to wrap a new generation" },
	{ "rewrap", rewrap, true, "acme", "#acme", "kms.asked", "wrap them anew" },
	{ "move", move, true, "acme", "#next", "kms.asked", "for a move" },
	{ "move of the platform's", move_platform, false, NULL, "#next", "kms.asked", "for a move" },
	{ "destroy", destroy, false, "acme", "#acme", "cmk.destroy-asked", NULL },
};

/* ---- the log */

static bool is_entry(const char *line)
{
	return strncmp(line, "{\"seq\":", 7) == 0;
}

/* The last entry of the log, as text; the caller frees. */
static char *last_entry(const intent_rig *rig)
{
	bh_buf log = file_load(rig->f.audit);
	char *found = NULL;

	assert_true(bh_buf_append(&log, "", 1) == BH_OK && log.data != NULL);
	for (char *line = strtok((char *)log.data, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (is_entry(line))
			found = line;
	assert_non_null(found);
	found = strdup(found != NULL ? found : "");
	bh_buf_clear(&log);
	return found;
}

static void expect_intent(const intent_rig *rig, const way *w)
{
	char *entry = last_entry(rig), text[128];

	text_format(text, sizeof(text), "\"action\":\"%s\"", w->action);
	if (strstr(entry, text) == NULL)
		fail_msg("%s: the last entry is %s", w->name, entry);
	assert_non_null(strstr(entry, w->cmk));
	if (w->detail != NULL)
		assert_non_null(strstr(entry, w->detail));
	text_format(text, sizeof(text), "\"merchant\":\"%s\"", w->merchant != NULL ? w->merchant : "");
	assert_int_equal(strstr(entry, w->merchant != NULL ? text : "\"merchant\":") != NULL, w->merchant != NULL);
	free(entry);
}

static bh_keyring *open_for(const intent_rig *rig, const way *w)
{
	bh_keyring *keyring = fixture_open(&rig->f);

	if (w->unlocked)
		assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	return keyring;
}

static void ask_and_die(const intent_rig *rig, const way *w)
{
	bh_keyring *keyring = open_for(rig, w);

	bh_crash_arm("kms.answered");
	(void)!w->ask(rig, keyring);
	_exit(0);
}

static void test_a_kill_leaves_the_intent(void **state)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		intent_rig *rig;
		int end;

		assert_int_equal(setup((void **)&rig), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0)
			ask_and_die(rig, &ways[i]);
		assert_int_equal(waitpid(child, &end, 0), child);
		if (!WIFSIGNALED(end) || WTERMSIG(end) != SIGKILL)
			fail_msg("%s: no KMS was asked", ways[i].name);
		expect_intent(rig, &ways[i]);
		assert_done(fixture_try_open(&rig->f, true));
		assert_int_equal(teardown((void **)&rig), 0);
	}
	(void)state;
}

/* ---- outcomes follow */

static void test_an_outcome_follows(void **state)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		intent_rig *rig;

		assert_int_equal(setup((void **)&rig), 0);
		bh_keyring *keyring = open_for(rig, &ways[i]);
		assert_done(ways[i].ask(rig, keyring));
		char *entry = last_entry(rig);
		if (strstr(entry, "asked\"") != NULL)
			fail_msg("%s: nothing follows: %s", ways[i].name, entry);
		free(entry);
		bh_keyring_close(keyring);
		assert_int_equal(teardown((void **)&rig), 0);
	}
	(void)state;
}

/* A renewal is one entry: that there will be some was said when the keys were granted. */
static void test_a_renewal_is_one_entry(void **state)
{
	const intent_rig *rig = *state;
	bh_keyring *keyring = fixture_open(&rig->f);
	bh_audit_position before, after;

	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	char *granted = last_entry(rig);
	assert_non_null(strstr(granted, "\"action\":\"keys.granted\""));
	assert_non_null(strstr(granted, "the KMS is asked again"));
	free(granted);
	bh_audit_position_get(bh_keyring_audit(keyring), &before);
	assert_done(bh_keyring_merchant_renew(keyring, "acme"));
	bh_audit_position_get(bh_keyring_audit(keyring), &after);
	assert_int_equal(after.size, before.size + 1);
	bh_keyring_close(keyring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_kill_leaves_the_intent),
		cmocka_unit_test(test_an_outcome_follows),
		cmocka_unit_test_setup_teardown(test_a_renewal_is_one_entry, setup, teardown),
	};
	return cmocka_run_group_tests_name("intent", tests, NULL, NULL);
}
