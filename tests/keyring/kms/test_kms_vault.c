/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_vault.c: what is Vault's own of vault://: its URIs, its errors, the kinds of its keys, a dead and a busy server, and
 * that nothing secret stays in memory. Against a real OpenBao.
 */
#include <stdatomic.h>
#include <unistd.h>

#include "keyring/dek/lease.h"
#include "keyring/kms/http/json.h"
#include "keyring/kms/kms.h"
#include "tests/support/slow_build.h"
#include "tests/support/traces.h"
#include "vault_fixture.h"

#define CONTEXT "class=data\nmerchant=acme\n"
#define PATIENT_MS 60000

static vault_fixture f;
static const uint8_t dek[BH_DEK_LEN] = { 3, 1, 4, 1, 5 };

static const char *uri_of(const char *name)
{
	static char uris[4][256];
	static size_t next;
	char *uri = uris[next++ % 4];

	snprintf(uri, sizeof(uris[0]), "vault+http://127.0.0.1:%d/transit/keys/%s", f.proxy.port, name);
	return uri;
}

static bh_status try_open(const char *uri)
{
	const bh_kms_options options = { .timeout_ms = PATIENT_MS };
	bh_kms *kms = NULL;

	bh_status status = bh_kms_open(uri, &options, &kms);
	bh_kms_close(kms);
	return status;
}

static bh_kms *open_within(const char *name, uint32_t timeout_ms)
{
	const bh_kms_options options = { .timeout_ms = timeout_ms };
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(uri_of(name), &options, &kms));
	return kms;
}

static bh_kms *new_key(const char *name)
{
	vault_key_make(&f, name);
	return open_within(name, PATIENT_MS);
}

static bh_status wrap(bh_kms *kms, bh_buf *wrapped)
{
	uint32_t version = 0;

	bh_buf_clear(wrapped);
	return bh_kms_wrap(kms, bh_view_of(dek, sizeof(dek)), bh_view_str(CONTEXT), wrapped, &version);
}

static bh_status unwrap(bh_kms *kms, const bh_buf *wrapped)
{
	bh_secret out = { 0 };

	bh_status status = bh_kms_unwrap(kms, bh_buf_view(wrapped), bh_view_str(CONTEXT), &out);
	if (status == BH_OK)
		test_check(memcmp(out.data, dek, sizeof(dek)) == 0);
	bh_secret_clear(&out);
	return status;
}

static int setup_all(void **state)
{
	(void)state;
	vault_fixture_begin(&f, false);
	setenv("VAULT_TOKEN", BAO_ROOT_TOKEN, 1);
	return 0;
}

static int teardown_all(void **state)
{
	(void)state;
	vault_fixture_end(&f);
	return 0;
}

/* ---- tests */

static void uris_that_are_none(void **state)
{
	static const char *const bad[] = {
		"vault:",
		"vault://",
		"vault:/h/transit/keys/k",
		"vault:///transit/keys/k",
		"vault://h",
		"vault://h/",
		"vault://h/keys/k",
		"vault://h/transit/keys/",
		"vault://h/transit/k",
		"vault://h:0/transit/keys/k",
		"vault://h:65536/transit/keys/k",
		"vault://h:x/transit/keys/k",
		"vault://h:/transit/keys/k",
		"vault://[::1/transit/keys/k",
		"vault://[::1]x/transit/keys/k",
		"vault://h_/transit/keys/k/more",
		"vault://h/../keys/k",
		"vault://h/a//b/keys/k",
		"vault://h/transit/keys/..",
		"vault://h/transit/keys/a%2fb",
		"vault://h/transit/keys/k%0a",
		"vault://h/transit/keys/k%4",
		"vault://h/transit/keys/k#x",
		"vault://h/transit/keys/k?region",
		"vault://h/transit/keys/k?region=",
		"vault://h/transit/keys/k?token=x",
		"vault://h/transit/keys/k?region=a&region=b",
		"vault://h/transit/keys/k?region=a/b",
		"vault://h/tr an/keys/k",
		"vault://h/tr%3fan/keys/k",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (strcmp(bad[i], "vault://h/transit/keys/k?region=") == 0)
			continue; /* as if it was not there: unreachable */
		test_status(try_open(bad[i]), BH_E_INVALID);
	}
	/* A password is not even repeated. */
	test_status(try_open("vault://user:hunter2@h/transit/keys/k"), BH_E_INVALID);
	test_check(strstr(bh_status_message(), "hunter2") == NULL);
}

static void plain_http_is_for_loopback_alone(void **state)
{
	static const char *const bad[] = { "vault+http://10.0.0.1:8200/transit/keys/k",
					   "vault+http://localhost:8200/transit/keys/k",
					   "vault+http://127.0.0.1.example.com/transit/keys/k",
					   "vault+http://[::2]/transit/keys/k",
					   "vault+http://0177.0.0.1/transit/keys/k",
					   "vault+http://2130706433/transit/keys/k" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		test_status(try_open(bad[i]), BH_E_INVALID);
		test_message_names("plain HTTP");
	}
}

static void one_key_by_many_names(void **state)
{
	(void)state;
	test_check(bh_kms_same_key("vault://H:8200/t/keys/k", "vault://h/t/keys/k?region=eu"));
	test_check(bh_kms_same_key("vault://h/t/keys/k", "vault://h/%74/keys/k"));
	test_check(!bh_kms_same_key("vault://h/t/keys/k", "vault://h/t/keys/K"));
	test_check(!bh_kms_same_key("vault://h/t/keys/k", "vault://h/u/keys/k"));
	test_check(!bh_kms_same_key("vault://h/t/keys/k", "vault://h:1/t/keys/k"));
	test_check(!bh_kms_same_key("vault://h/t/keys/k", "local:/h#k"));
}

static void the_console(void **state)
{
	bh_kms_key_info info;
	uint32_t version = 0;
	bh_buf wrapped = { 0 };
	char with_region[300];

	(void)state;
	test_ok(bh_kms_create(uri_of("made"), "", NULL));
	test_status(bh_kms_create(uri_of("made"), "", NULL), BH_E_EXISTS);
	test_status(bh_kms_create(uri_of("made2"), "eu-1", NULL), BH_E_INVALID);
	test_message_names("?region=eu-1");
	snprintf(with_region, sizeof(with_region), "%s?region=eu-1", uri_of("made2"));
	test_ok(bh_kms_create(with_region, "eu-1", NULL));
	bh_kms *kms = open_within("made", PATIENT_MS);
	test_ok(wrap(kms, &wrapped));
	test_ok(bh_kms_rotate(kms, &version));
	test_check(version == 2);
	test_ok(unwrap(kms, &wrapped));
	test_ok(bh_kms_disable(kms));
	test_status(unwrap(kms, &wrapped), BH_E_KMS_REFUSED);
	test_ok(bh_kms_enable(kms));
	test_ok(unwrap(kms, &wrapped));
	test_ok(bh_kms_describe(kms, &info));
	test_check(strcmp(info.name, "made") == 0 && info.version == 2 && info.created_at_s > 0 && info.region[0] == '\0');
	bh_kms_evidence evidence = { 0 };
	test_ok(bh_kms_destroy(kms, &evidence));
	test_check(evidence.state == BH_KMS_DESTROYED && evidence.at_s > 0 && strlen(evidence.request_id) == 36);
	test_status(unwrap(kms, &wrapped), BH_E_NOT_FOUND);
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

static bh_status list_count(void *arg, const bh_kms_key_info *info)
{
	*(size_t *)arg += strcmp(info->name, "listed1") == 0 || strcmp(info->name, "listed2") == 0;
	test_check(strcmp(info->name, "other") != 0);
	return BH_OK;
}

static void lists_what_can_be_a_cmk(void **state)
{
	size_t count = 0;

	(void)state;
	vault_key_make(&f, "listed1");
	vault_key_make(&f, "listed2");
	bao_do(&f.bao, "POST", "transit/keys/other", "{\"type\":\"ed25519\"}");
	test_ok(bh_kms_list(uri_of(""), NULL, list_count, &count));
	test_check(count == 2);
}

static void keys_of_another_kind_are_refused(void **state)
{
	static const char *const bodies[] = { "{\"type\":\"aes256-gcm96\"}", "{\"type\":\"aes128-gcm96\",\"derived\":true}",
					      "{\"type\":\"rsa-2048\"}",
					      "{\"type\":\"aes256-gcm96\",\"derived\":true,\"convergent_encryption\":true}" };
	char path[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		snprintf(path, sizeof(path), "transit/keys/kind%zu", i);
		bao_do(&f.bao, "POST", path, bodies[i]);
		test_status(try_open(uri_of(strrchr(path, '/') + 1)), BH_E_UNSUPPORTED);
	}
	bao_do(&f.bao, "POST", "transit/keys/chacha", "{\"type\":\"chacha20-poly1305\",\"derived\":true}");
	bh_buf wrapped = { 0 };
	bh_kms *kms = open_within("chacha", PATIENT_MS);
	test_ok(wrap(kms, &wrapped));
	test_ok(unwrap(kms, &wrapped));
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

/* Encrypting under a missing key makes it, for a token that may: a DEK under such a key would be nobody's. */
static void a_wrap_makes_no_key(void **state)
{
	bh_kms *kms = new_key("gone");
	bh_buf wrapped = { 0 };

	(void)state;
	bao_do(&f.bao, "POST", "transit/keys/gone/config", "{\"deletion_allowed\":true}");
	bao_do(&f.bao, "DELETE", "transit/keys/gone", NULL);
	test_status(wrap(kms, &wrapped), BH_E_NOT_FOUND);
	json_decref(bao_ask(&f.bao, BAO_ROOT_TOKEN, "GET", "transit/keys/gone", NULL, 404));
	bh_kms_close(kms);
}

static void an_owner_takes_old_versions_away(void **state)
{
	bh_kms *kms = new_key("trimmed");
	bh_buf old = { 0 }, wrapped = { 0 };

	(void)state;
	test_ok(wrap(kms, &old));
	bao_do(&f.bao, "POST", "transit/keys/trimmed/rotate", "{}");
	bao_do(&f.bao, "POST", "transit/keys/trimmed/config", "{\"min_decryption_version\":2}");
	test_status(unwrap(kms, &old), BH_E_KMS_REFUSED);
	test_ok(wrap(kms, &wrapped));
	test_ok(unwrap(kms, &wrapped));
	bh_kms_close(kms);
	bh_buf_clear(&old);
	bh_buf_clear(&wrapped);
}

/* Each answer that a server, or what stands before it, can give: what it means, and that the next true one counts again. */
static void answers_are_told_apart(void **state)
{
	static const struct {
		const char *line, *headers, *body; /* headers NULL: Content-Length */
		bh_status want;
	} replies[] = {
		{ "503 x", NULL, "{\"errors\":[\"Vault is sealed\"]}", BH_E_KMS_SEALED },
		{ "503 x", NULL, "", BH_E_KMS_UNREACHABLE },
		{ "502 x", NULL, "<html>", BH_E_KMS_UNREACHABLE },
		{ "500 x", NULL, "", BH_E_KMS_UNREACHABLE },
		{ "307 x", "Location: http://127.0.0.1:1/\r\nContent-Length: 0\r\n", "", BH_E_KMS_UNREACHABLE },
		{ "412 x", NULL, "", BH_E_KMS_UNREACHABLE },
		{ "473 x", NULL, "", BH_E_KMS_UNREACHABLE },
		{ "403 x", NULL, "", BH_E_KMS_REFUSED },
		{ "400 x", NULL, "whoa!", BH_E_KMS_REFUSED },
		{ "404 x", NULL, "", BH_E_NOT_FOUND },
		{ "200 x", NULL, "whoa!", BH_E_FORMAT },
		{ "200 x", NULL, "{}", BH_E_FORMAT },
		{ "200 x", NULL, "[]", BH_E_FORMAT },
		{ "200 x", NULL, "{\"data\":{\"plaintext\":1}}", BH_E_FORMAT },
		{ "204 x", "", "", BH_E_FORMAT },
		{ "200 x", NULL, "{\"data\":{\"plaintext\":\"AAAA\"}}", BH_E_FORMAT },
		/* A key of zeros, and another spelling of the DEK. */
		{ "200 x", NULL, "{\"data\":{\"plaintext\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}}", BH_E_FORMAT },
		{ "200 x", NULL, "{\"data\":{\"plaintext\":\"AwEEAQUAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\"}}", BH_E_FORMAT },
		{ "200 x", NULL, "{\"data\":{\"plaintext\":\"AwEEAQUAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}}", BH_OK },
		/* Cut, or not known not to be. */
		{ "200 x", "Content-Length: 99999999\r\n", "{", BH_E_KMS_UNREACHABLE },
		{ "200 x", "", "{\"data\":{}}", BH_E_KMS_UNREACHABLE },
		{ "200 x", "Transfer-Encoding: chunked\r\n", "5\r\n{\"da", BH_E_KMS_UNREACHABLE },
	};
	char reply[512], length[64];
	bh_kms *kms = new_key("replies");
	bh_buf wrapped = { 0 };

	(void)state;
	test_ok(wrap(kms, &wrapped));
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(replies[i].body));
		snprintf(reply, sizeof(reply), "HTTP/1.1 %s\r\n%s\r\n%s", replies[i].line,
			 replies[i].headers != NULL ? replies[i].headers : length, replies[i].body);
		kms_proxy_set(&f.proxy, PROXY_TEXT, 0, reply);
		bh_status status = unwrap(kms, &wrapped);
		if (status != replies[i].want)
			test_fail_at(__FILE__, __LINE__, "reply %zu: %s (%s)", i, bh_status_name(status), bh_status_message());
		test_check(strstr(bh_status_message(), BAO_ROOT_TOKEN) == NULL);
		kms_proxy_set(&f.proxy, PROXY_PASS, 0, NULL);
		test_ok(unwrap(kms, &wrapped));
	}
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

/* Bounded, by memory and by time, whatever comes. */
static void an_answer_without_end_is_bounded(void **state)
{
	const size_t len = 4u << 20;
	char *endless = malloc(len + 1);
	bh_kms *kms = new_key("endless");
	bh_buf wrapped = { 0 };

	(void)state;
	test_check(endless != NULL);
	memset(endless, 'a', len);
	endless[len] = '\0';
	test_ok(wrap(kms, &wrapped));
	static const char body[] = "HTTP/1.1 200 x\r\nContent-Length: 99999999\r\n\r\n", header[] = "HTTP/1.1 200 x\r\nX: ";
	memcpy(endless, body, strlen(body));
	kms_proxy_set(&f.proxy, PROXY_TEXT, 0, endless);
	test_status(unwrap(kms, &wrapped), BH_E_FORMAT);
	test_message_names("larger");
	memset(endless, 'a', strlen(body));
	memcpy(endless, header, strlen(header));
	kms_proxy_set(&f.proxy, PROXY_TEXT, 0, endless);
	bh_lease_answer answer = bh_lease_answer_of(unwrap(kms, &wrapped));
	test_check(answer == BH_LEASE_WRONG || answer == BH_LEASE_NO_ANSWER);
	kms_proxy_set(&f.proxy, PROXY_PASS, 0, NULL);
	test_ok(unwrap(kms, &wrapped));
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
	free(endless);
}

/* A server that says "not now" is left alone for as long as it says, and is no outage; another one is asked meanwhile. */
static void throttled_is_waited_for(void **state)
{
	static const char reply[] = "HTTP/1.1 429 x\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n";
	bh_kms *kms = new_key("busy"), *other = NULL;
	bh_buf wrapped = { 0 };
	char direct[128];

	(void)state;
	test_ok(wrap(kms, &wrapped));
	snprintf(direct, sizeof(direct), "vault+http://127.0.0.1:%d/transit/keys/busy", f.bao.port);
	test_ok(bh_kms_open(direct, NULL, &other));
	kms_proxy_set(&f.proxy, PROXY_TEXT, 0, reply);
	test_status(unwrap(kms, &wrapped), BH_E_KMS_THROTTLED);
	kms_proxy_set(&f.proxy, PROXY_PASS, 0, NULL);
	size_t asked = kms_proxy_requests(&f.proxy);
	for (int i = 0; i < 50; i++)
		test_status(unwrap(kms, &wrapped), BH_E_KMS_THROTTLED);
	test_check(kms_proxy_requests(&f.proxy) == asked);
	test_ok(unwrap(other, &wrapped));
	bh_status status = BH_E_KMS_THROTTLED;
	for (int waited = 0; waited < 600 && status == BH_E_KMS_THROTTLED; waited++) {
		usleep(50000);
		status = unwrap(kms, &wrapped);
	}
	test_ok(status);
	bh_kms_close(kms);
	bh_kms_close(other);
	bh_buf_clear(&wrapped);
}

/* A quota of the server's own. */
static void a_quota_throttles(void **state)
{
	bh_kms *kms = new_key("quota");
	bh_buf wrapped = { 0 };
	bh_status status = BH_OK;

	(void)state;
	test_ok(wrap(kms, &wrapped));
	bao_do(&f.bao, "POST", "sys/quotas/rate-limit/test", "{\"rate\":1,\"interval\":\"1s\",\"path\":\"transit/\"}");
	for (int i = 0; i < 20 && status == BH_OK; i++)
		status = unwrap(kms, &wrapped);
	test_status(status, BH_E_KMS_THROTTLED);
	bao_do(&f.bao, "DELETE", "sys/quotas/rate-limit/test", NULL);
	for (int waited = 0; waited < 600 && status == BH_E_KMS_THROTTLED; waited++) {
		usleep(50000);
		status = unwrap(kms, &wrapped);
	}
	test_ok(status);
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

/* ---- a dead server */

#define CALLERS 16
#define PROBE_MS 100 /* how long a call waits */

typedef struct dead_caller {
	bh_kms *kms;
	const bh_buf *wrapped;
	pthread_t thread;
	atomic_size_t *done;
} dead_caller;

/* Each until it was the one that tried, twice. */
static void *dead_main(void *arg)
{
	dead_caller *c = arg;

	for (int slow = 0, i = 0; slow < 2 && i < 200; i++) {
		int64_t began_ns = bh_kms_meter_now_ns();
		test_check(unwrap(c->kms, c->wrapped) == BH_E_KMS_UNREACHABLE);
		slow += bh_kms_meter_now_ns() - began_ns > PROBE_MS * 500000ll;
		atomic_fetch_add(c->done, 1);
	}
	return NULL;
}

static void a_dead_server_costs_one_probe_at_a_time(void **state)
{
	dead_caller callers[CALLERS];
	atomic_size_t done = 0;
	bh_buf wrapped = { 0 };
	bh_kms *kms = new_key("dead"), *waits;

	(void)state;
	test_ok(wrap(kms, &wrapped));
	waits = open_within("dead", PROBE_MS);
	kms_proxy_set(&f.proxy, PROXY_SILENT, 0, NULL);
	test_status(unwrap(waits, &wrapped), BH_E_KMS_UNREACHABLE);
	size_t asked = kms_proxy_requests(&f.proxy) + kms_proxy_connections(&f.proxy);
	int64_t began_ns = bh_kms_meter_now_ns();
	for (size_t i = 0; i < CALLERS; i++) {
		callers[i] = (dead_caller){ .kms = waits, .wrapped = &wrapped, .done = &done };
		test_check(pthread_create(&callers[i].thread, NULL, dead_main, &callers[i]) == 0);
	}
	for (size_t i = 0; i < CALLERS; i++)
		pthread_join(callers[i].thread, NULL);
	/* In the time of N probes one after the other there were about N, and many more calls. */
	size_t probes = (size_t)((bh_kms_meter_now_ns() - began_ns) / 1000000 / PROBE_MS) + 2;
	asked = kms_proxy_requests(&f.proxy) + kms_proxy_connections(&f.proxy) - asked;
	test_check(atomic_load(&done) >= CALLERS * 10u);
	if (asked > 4 * probes)
		test_fail_at(__FILE__, __LINE__, "%zu requests and connections in the time of %zu probes", asked, probes);
	kms_proxy_set(&f.proxy, PROXY_PASS, 0, NULL);
	test_ok(unwrap(kms, &wrapped));
	bh_kms_close(waits);
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

/* ---- memory */

#ifndef BH_SLOW_BUILD /* a sanitizer keeps what was freed */
/* Neither a DEK nor its base64, which is what libcurl and jansson handle. */
static void nothing_secret_stays_in_memory(void **state)
{
	BH_CLEANUP(bh_secret_clear) bh_secret key = { 0 };
	char encoded[BH_BASE64_SIZE(BH_DEK_LEN)];
	traced_key traced[2];
	bh_buf wrapped = { 0 };
	bh_secret out = { 0 };
	uint32_t version = 0;
	char direct[128]; /* the proxy is in this process, and forgets nothing */
	bh_kms *kms = NULL;

	(void)state;
	vault_key_make(&f, "traced");
	snprintf(direct, sizeof(direct), "vault+http://127.0.0.1:%d/transit/keys/traced", f.bao.port);
	test_ok(bh_kms_open(direct, NULL, &kms));
	test_ok(bh_secret_random(&key, BH_DEK_LEN));
	bh_base64(key.data, BH_DEK_LEN, encoded);
	traced[0] = trace_of(key.data);
	traced[1] = trace_of((const uint8_t *)encoded);
	bh_wipe(encoded, sizeof(encoded));
	test_ok(bh_kms_wrap(kms, bh_secret_view(&key), bh_view_str(CONTEXT), &wrapped, &version));
	test_ok(bh_kms_unwrap(kms, bh_buf_view(&wrapped), bh_view_str(CONTEXT), &out));
	test_check(traces_count(traced, 2) >= 2);
	bh_secret_clear(&out);
	bh_secret_clear(&key);
	bh_kms_close(kms);
	unsigned left = traces_count(traced, 2);
	if (left != 0)
		test_fail_at(__FILE__, __LINE__, "%u halves of the DEK, or of its base64, are left in memory", left);
	bh_buf_clear(&wrapped);
}
#endif

/* The last one: nobody unseals it. */
static void a_sealed_server_is_called_that(void **state)
{
	bh_kms *kms = new_key("sealed");
	bh_buf wrapped = { 0 };

	(void)state;
	test_ok(wrap(kms, &wrapped));
	bao_do(&f.bao, "PUT", "sys/seal", "");
	test_status(unwrap(kms, &wrapped), BH_E_KMS_SEALED);
	test_status(try_open(uri_of("sealed")), BH_E_KMS_SEALED);
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uris_that_are_none),
		cmocka_unit_test(plain_http_is_for_loopback_alone),
		cmocka_unit_test(one_key_by_many_names),
		cmocka_unit_test(the_console),
		cmocka_unit_test(lists_what_can_be_a_cmk),
		cmocka_unit_test(keys_of_another_kind_are_refused),
		cmocka_unit_test(a_wrap_makes_no_key),
		cmocka_unit_test(an_owner_takes_old_versions_away),
		cmocka_unit_test(answers_are_told_apart),
		cmocka_unit_test(an_answer_without_end_is_bounded),
		cmocka_unit_test(throttled_is_waited_for),
		cmocka_unit_test(a_quota_throttles),
		cmocka_unit_test(a_dead_server_costs_one_probe_at_a_time),
#ifndef BH_SLOW_BUILD
		cmocka_unit_test(nothing_secret_stays_in_memory),
#endif
		cmocka_unit_test(a_sealed_server_is_called_that),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
