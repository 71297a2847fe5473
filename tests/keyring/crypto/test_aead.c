/* SPDX-License-Identifier: Apache-2.0
 *
 * test_aead.c: both engines agree bit for bit, and refuse everything that is not what was sealed. Where ipsec-mb cannot run, or
 * BH_AEAD=openssl is set (valgrind), OpenSSL is compared with itself.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "keyring/crypto/aead.h"
#include "tests/support/random.h"

enum { LEN_MAX = 600, LARGE_MAX = 70000, THREADS = 40 };

static const uint8_t key[BH_DEK_LEN] = "an AES-256 key of 32 bytes.....";

/* Every engine that may run here, under the same key. */
typedef struct engines {
	bh_aead *aead[2];
	size_t n;
} engines;

static bool openssl_alone(void)
{
	const char *forced = getenv("BH_AEAD");

	return forced && strcmp(forced, "openssl") == 0;
}

static int set_up(void **state)
{
	engines *e = calloc(1, sizeof(*e));
	const bh_aead_engine *ipsecmb = openssl_alone() ? NULL : bh_aead_engine_ipsecmb();

	assert_non_null(e);
	assert_int_equal(bh_aead_new(&bh_aead_engine_openssl, bh_view_of(key, sizeof(key)), &e->aead[e->n++]), BH_OK);
	if (ipsecmb)
		assert_int_equal(bh_aead_new(ipsecmb, bh_view_of(key, sizeof(key)), &e->aead[e->n++]), BH_OK);
	*state = e;
	return 0;
}

static int tear_down(void **state)
{
	engines *e = *state;

	bh_aead_free(e->aead[0]);
	bh_aead_free(e->aead[1]);
	free(e);
	assert_int_equal(bh_secret_in_use(), 0);
	return 0;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

/* Seals with each engine, apart and in place; opens each result with each engine, apart and in place. Buffers have their exact
 * size. */
static void agree(const engines *e, const uint8_t *nonce, bh_view aad, const uint8_t *plain, size_t len)
{
	uint8_t *sealed = malloc(len + 1), *work = malloc(len + 1), *end = work + 1;
	uint8_t tag[BH_TAG_LEN], tag2[BH_TAG_LEN];
	size_t i;

	assert_int_equal(bh_aead_seal(e->aead[0], nonce, aad, plain, len, sealed, tag), BH_OK);
	for (i = 0; i < e->n; i++) {
		assert_int_equal(bh_aead_seal(e->aead[i], nonce, aad, plain, len, end, tag2), BH_OK);
		assert_memory_equal(end, sealed, len);
		assert_memory_equal(tag2, tag, BH_TAG_LEN);
		assert_int_equal(bh_aead_open(e->aead[i], nonce, aad, end, len, tag, end), BH_OK);
		assert_memory_equal(end, plain, len);
		assert_int_equal(bh_aead_seal(e->aead[i], nonce, aad, end, len, end, tag2), BH_OK);
		assert_memory_equal(end, sealed, len);
		assert_memory_equal(tag2, tag, BH_TAG_LEN);
		memset(end, 0, len);
		assert_int_equal(bh_aead_open(e->aead[i], nonce, aad, sealed, len, tag, end), BH_OK);
		assert_memory_equal(end, plain, len);
	}
	free(sealed);
	free(work);
}

static void all_short_lengths_agree(void **state)
{
	test_random random = test_random_new();
	uint8_t plain[LEN_MAX], aad[LEN_MAX], nonce[BH_NONCE_LEN];
	size_t len;

	for (len = 0; len <= LEN_MAX; len++) {
		test_random_fill(&random, plain, sizeof(plain));
		test_random_fill(&random, aad, sizeof(aad));
		test_random_fill(&random, nonce, sizeof(nonce));
		agree(*state, nonce, bh_view_of(aad, 0), plain, len);
		agree(*state, nonce, bh_view_of(aad, 4), plain, len);
		agree(*state, nonce, bh_view_of(aad, len), plain, 104);
		agree(*state, nonce, bh_view_of(aad, len), plain, 0);
		agree(*state, nonce, bh_view_of(aad, test_random_below(&random, len + 1)), plain, len);
	}
}

static void random_large_lengths_agree(void **state)
{
	test_random random = test_random_new();
	uint8_t *plain = malloc(LARGE_MAX), nonce[BH_NONCE_LEN];
	int i;

	test_random_fill(&random, plain, LARGE_MAX);
	for (i = 0; i < 60; i++) {
		size_t aad_len = test_random_below(&random, 4000);

		test_random_fill(&random, nonce, sizeof(nonce));
		agree(*state, nonce, bh_view_of(plain, aad_len), plain, test_random_below(&random, LARGE_MAX));
		agree(*state, nonce, bh_view_of(plain, aad_len), plain, 4080);
	}
	free(plain);
}

static void null_is_fine_for_nothing(void **state)
{
	static const uint8_t nonce[BH_NONCE_LEN];
	const engines *e = *state;
	uint8_t tag[2][BH_TAG_LEN];
	size_t i;

	for (i = 0; i < e->n; i++) {
		assert_int_equal(bh_aead_seal(e->aead[i], nonce, (bh_view){ 0 }, NULL, 0, NULL, tag[i]), BH_OK);
		assert_memory_equal(tag[i], tag[0], BH_TAG_LEN);
		assert_int_equal(bh_aead_open(e->aead[i], nonce, (bh_view){ 0 }, NULL, 0, tag[i], NULL), BH_OK);
		tag[i][0] ^= 1;
		assert_int_equal(bh_aead_open(e->aead[i], nonce, (bh_view){ 0 }, NULL, 0, tag[i], NULL), BH_E_TAG);
		tag[i][0] ^= 1;
	}
}

/* One message, as sealed; each field may be tampered with. */
typedef struct message {
	uint8_t nonce[BH_NONCE_LEN];
	uint8_t aad[20];
	uint8_t text[100];
	uint8_t tag[BH_TAG_LEN];
} message;

static message message_seal(const bh_aead *aead)
{
	message m = { .nonce = "nonce", .aad = "associated data", .text = "text" };

	assert_int_equal(bh_aead_seal(aead, m.nonce, bh_view_of(m.aad, sizeof(m.aad)), m.text, sizeof(m.text), m.text, m.tag),
			 BH_OK);
	return m;
}

static void expect_refused(const bh_aead *aead, const message *m)
{
	message in_place = *m;
	uint8_t out[sizeof(m->text)];

	memset(out, 0xa5, sizeof(out));
	assert_int_equal(bh_aead_open(aead, m->nonce, bh_view_of(m->aad, sizeof(m->aad)), m->text, sizeof(m->text), m->tag, out),
			 BH_E_TAG);
	assert_true(is_zero(out, sizeof(out)));
	assert_int_equal(bh_aead_open(aead, m->nonce, bh_view_of(m->aad, sizeof(m->aad)), in_place.text, sizeof(m->text), m->tag,
				      in_place.text),
			 BH_E_TAG);
	assert_true(is_zero(in_place.text, sizeof(in_place.text)));
}

static void every_bit_flip_is_refused(void **state)
{
	const engines *e = *state;
	size_t i, bit;

	for (i = 0; i < e->n; i++) {
		message m = message_seal(e->aead[i]);

		for (bit = 0; bit < 8 * sizeof(m); bit++) {
			uint8_t *byte = (uint8_t *)&m + bit / 8;

			*byte ^= (uint8_t)(1 << bit % 8);
			expect_refused(e->aead[i], &m);
			*byte ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(
			bh_aead_open(e->aead[i], m.nonce, bh_view_of(m.aad, sizeof(m.aad)), m.text, sizeof(m.text), m.tag, m.text),
			BH_OK);
		assert_memory_equal(m.text, "text", 5);
	}
}

static void other_lengths_are_refused(void **state)
{
	const engines *e = *state;
	uint8_t out[sizeof(((message *)0)->text)];
	size_t i, len;

	for (i = 0; i < e->n; i++) {
		message m = message_seal(e->aead[i]);

		for (len = 0; len < sizeof(m.text); len++)
			assert_int_equal(
				bh_aead_open(e->aead[i], m.nonce, bh_view_of(m.aad, sizeof(m.aad)), m.text, len, m.tag, out),
				BH_E_TAG);
		for (len = 0; len < sizeof(m.aad); len++)
			assert_int_equal(
				bh_aead_open(e->aead[i], m.nonce, bh_view_of(m.aad, len), m.text, sizeof(m.text), m.tag, out),
				BH_E_TAG);
	}
}

static void another_key_is_refused(void **state)
{
	static const uint8_t other_key[BH_DEK_LEN] = "an AES-256 key of 32 bytes....,";
	const engines *e = *state;
	message m = message_seal(e->aead[0]);
	BH_CLEANUP(bh_aead_freep) bh_aead *other = NULL;

	assert_int_equal(bh_aead_new(NULL, bh_view_of(other_key, sizeof(other_key)), &other), BH_OK);
	expect_refused(other, &m);
}

static void a_refused_tag_leaves_the_hosts_errors(void **state)
{
	const engines *e = *state;
	message m = message_seal(e->aead[0]);
	unsigned long before;
	size_t i;

	m.tag[0] ^= 1;
	for (i = 0; i < e->n; i++) {
		ERR_clear_error();
		expect_refused(e->aead[i], &m);
		assert_int_equal(ERR_peek_error(), 0);
		ERR_raise(ERR_LIB_USER, 7);
		before = ERR_peek_last_error();
		expect_refused(e->aead[i], &m);
		assert_int_equal(ERR_peek_last_error(), before);
	}
	ERR_clear_error();
}

static void oversize_messages_are_refused(void **state)
{
	static const uint8_t nonce[BH_NONCE_LEN];
	static const size_t len = ((size_t)1 << 36) - 31;
	const engines *e = *state;
	uint8_t byte = 0, tag[BH_TAG_LEN];
	size_t i;

	/* Refused before a byte is touched. */
	for (i = 0; i < e->n; i++) {
		assert_int_equal(bh_aead_seal(e->aead[i], nonce, (bh_view){ 0 }, &byte, len, &byte, tag), BH_E_INVALID);
		assert_int_equal(bh_aead_open(e->aead[i], nonce, (bh_view){ 0 }, &byte, len, tag, &byte), BH_E_INVALID);
	}
}

static void *agree_thread(void *arg)
{
	test_random random = { (uintptr_t)&random };
	uint8_t plain[LEN_MAX], nonce[BH_NONCE_LEN];
	int i;

	for (i = 0; i < 200; i++) {
		test_random_fill(&random, plain, sizeof(plain));
		test_random_fill(&random, nonce, sizeof(nonce));
		agree(arg, nonce, bh_view_of(plain, 20), plain, test_random_below(&random, LEN_MAX));
	}
	return NULL;
}

static void many_threads_in_one(void **state)
{
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, agree_thread, *state), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* In the child; 0 if every call is refused and gives nothing away. */
static int child(const bh_aead *aead)
{
	message m = { .text = "secret" };

	if (bh_aead_seal(aead, m.nonce, (bh_view){ 0 }, m.text, sizeof(m.text), m.text, m.tag) != BH_E_CRYPTO)
		return 1;
	if (!is_zero(m.text, sizeof(m.text)))
		return 2;
	return bh_aead_open(aead, m.nonce, (bh_view){ 0 }, m.text, sizeof(m.text), m.tag, m.text) == BH_E_CRYPTO ? 0 : 3;
}

static void a_forked_child_is_refused(void **state)
{
	const engines *e = *state;
	int status;
	size_t i;
	pid_t pid;

	for (i = 0; i < e->n; i++) {
		pid = fork();
		if (pid == 0) {
			status = child(e->aead[i]);
			/* No ordinary end: a leak check would find the parent's contexts, whose addresses were wiped here. */
			if (status == 0)
				raise(SIGKILL);
			_exit(status);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		message_seal(e->aead[i]);
	}
}

static void keys_of_another_length_are_refused(void **state)
{
	bh_aead *aead = NULL;

	(void)state;
	assert_int_equal(bh_aead_new(NULL, bh_view_of(key, 16), &aead), BH_E_INVALID);
	assert_int_equal(bh_aead_new(NULL, (bh_view){ 0 }, &aead), BH_E_INVALID);
	assert_null(aead);
	bh_aead_free(NULL);
}

/* Runs in a child, so that the choice is made anew. 0 if BH_AEAD=`value` gives `engine`, or `status` where it gives none. */
static int choice(const char *value, const char *engine, bh_status status)
{
	bh_aead *aead = NULL;

	setenv("BH_AEAD", value, 1);
	if (strcmp(bh_aead_engine_name(bh_aead_default()), engine) != 0)
		return 1;
	if (bh_aead_new(NULL, bh_view_of(key, sizeof(key)), &aead) != status)
		return 2;
	return bh_aead_select("openssl") == BH_OK && bh_aead_default() == &bh_aead_engine_openssl ? 0 : 3;
}

static void the_environment_chooses(void **state)
{
	const bool both = !openssl_alone() && bh_aead_engine_ipsecmb();
	const struct {
		const char *value, *engine;
		bh_status status;
		bool asks_ipsecmb;
	} cases[] = {
		{ "openssl", "openssl", BH_OK, false },
		{ "nonsense", "none", BH_E_INVALID, false },
		{ "ipsec-mb", both ? "ipsec-mb" : "none", both ? BH_OK : BH_E_UNSUPPORTED, true },
		{ "auto", both ? "ipsec-mb" : "openssl", BH_OK, true },
		{ "", both ? "ipsec-mb" : "openssl", BH_OK, true },
	};
	size_t i;
	int status;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid_t pid;

		if (cases[i].asks_ipsecmb && openssl_alone())
			continue;
		pid = fork();
		if (pid == 0)
			_exit(choice(cases[i].value, cases[i].engine, cases[i].status));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			fail_msg("BH_AEAD=%s: %d", cases[i].value, WEXITSTATUS(status));
	}
}

static void a_call_chooses(void **state)
{
	(void)state;
	assert_int_equal(bh_aead_select("nonsense"), BH_E_INVALID);
	assert_int_equal(bh_aead_select("openssl"), BH_OK);
	assert_string_equal(bh_aead_engine_name(bh_aead_default()), "openssl");
	if (openssl_alone())
		return;
	assert_int_equal(bh_aead_select("auto"), BH_OK);
	if (bh_aead_engine_ipsecmb())
		assert_string_equal(bh_aead_engine_name(bh_aead_default()), "ipsec-mb");
}

int main(void)
{
	/* First, while no choice has been made in this process. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_environment_chooses),
		cmocka_unit_test(a_call_chooses),
		cmocka_unit_test(keys_of_another_length_are_refused),
		cmocka_unit_test_setup_teardown(all_short_lengths_agree, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_large_lengths_agree, set_up, tear_down),
		cmocka_unit_test_setup_teardown(null_is_fine_for_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_bit_flip_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_lengths_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_key_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_refused_tag_leaves_the_hosts_errors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(oversize_messages_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_threads_in_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_forked_child_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
