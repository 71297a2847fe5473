/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_aws.c: what is AWS's own of aws-kms:: its URIs and endpoints, its errors, the kinds of its keys, a busy server, and the
 * end of a key. Against ministack, which verifies every signature.
 */
#include <time.h>
#include <unistd.h>

#include "keyring/kms/http/json.h"
#include "keyring/kms/kms.h"
#include "tests/support/aws.h"
#include "tests/support/kms_proxy.h"

#define CONTEXT "class=data\nmerchant=acme\n"
#define PATIENT_MS 60000

static workspace ws;
static aws server;
static kms_proxy proxy;
static const uint8_t dek[BH_DEK_LEN] = { 3, 1, 4, 1, 5 };

static int setup_all(void **state)
{
	char home[PATH_SIZE];

	(void)state;
	workspace_open(&ws);
	path_join(home, ws.root, "aws");
	aws_environment_clear(ws.root);
	aws_start(&server, home, false);
	kms_proxy_start_tcp(&proxy, server.port);
	return 0;
}

static int teardown_all(void **state)
{
	(void)state;
	kms_proxy_end(&proxy);
	aws_end(&server);
	workspace_close(&ws);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	aws_environment_clear(ws.root);
	aws_environment_endpoint(proxy.port);
	setenv("AWS_ACCESS_KEY_ID", AWS_OWNER, 1);
	setenv("AWS_SECRET_ACCESS_KEY", AWS_OWNER, 1);
	return 0;
}

static bh_status try_open(const char *uri)
{
	const bh_kms_options options = { .timeout_ms = PATIENT_MS };
	bh_kms *kms = NULL;

	bh_status status = bh_kms_open(uri, &options, &kms);
	bh_kms_close(kms);
	return status;
}

static bh_kms *open_named(const char *name)
{
	const bh_kms_options options = { .timeout_ms = PATIENT_MS };
	char uri[256];
	bh_kms *kms = NULL;

	aws_uri(&server, name, uri, sizeof(uri));
	test_ok(bh_kms_open(uri, &options, &kms));
	return kms;
}

static bh_kms *new_key(const char *name)
{
	aws_key_make(&server, name);
	return open_named(name);
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

/* ---- tests */

static void uris_that_are_none(void **state)
{
	static const char *const bad[] = {
		"aws-kms:",
		"aws-kms://",
		"aws-kms:arn:aws:kms:eu-west-1:123456789012:key/k",
		"aws-kms://arn",
		"aws-kms://arn:aws:kms:eu-west-1:123456789012:",
		"aws-kms://arn:aws:kms:eu-west-1:123456789012:key/",
		"aws-kms://arn:aws:kms:eu-west-1:123456789012:key/a/b",
		"aws-kms://arn:aws:kms:eu-west-1:123456789012:key/a\"b",
		"aws-kms://arn:aws:kms:eu-west-1:123456789012:grant/k",
		"aws-kms://arn:aws:kms:eu-west-1:12345678901:key/k",
		"aws-kms://arn:aws:kms:eu-west-1:1234567890123:key/k",
		"aws-kms://arn:aws:kms:eu-west-1::key/k",
		"aws-kms://arn:aws:kms::123456789012:key/k",
		"aws-kms://arn:aws:kms:EU:123456789012:key/k",
		"aws-kms://arn:aws:kms:eu.example.com/x:123456789012:key/k",
		"aws-kms://arn:aws:s3:eu-west-1:123456789012:key/k",
		"aws-kms://arn:azure:kms:eu-west-1:123456789012:key/k",
		"aws-kms://arn:aws:kms:eu-west-1:123456789012:key/k?x=y",
		"aws-kms://arn:aws:kms:eu-west-1:123456789012:alias/",
		"aws-kms://arn:aws:kms:eu-west-1:123456789012:alias/a b",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		test_status(try_open(bad[i]), BH_E_INVALID);
	test_status(try_open("aws-kms://user:hunter2@arn:aws:kms:eu-west-1:123456789012:key/k"), BH_E_INVALID);
	test_check(strstr(bh_status_message(), "hunter2") == NULL);
}

static void endpoints_that_are_none(void **state)
{
	static const char *const bad[] = {
		"http://10.0.0.1:80",  "http://localhost:80", "http://127.0.0.1.example.com", "ftp://127.0.0.1",
		"https://h/path",      "https://h?x=y",       "https://user:hunter2@h",       "http://[::2]",
		"http://169.254.1.1/", "127.0.0.1:80"
	};
	char uri[256];

	(void)state;
	aws_uri(&server, "any", uri, sizeof(uri));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("AWS_ENDPOINT_URL_KMS", bad[i], 1);
		test_status(try_open(uri), BH_E_INVALID);
		test_message_names("AWS_ENDPOINT_URL_KMS");
		test_check(strstr(bh_status_message(), "hunter2") == NULL);
	}
	/* A service's own comes before the one for all. */
	setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9", 1);
	test_status(try_open(uri), BH_E_INVALID);
	unsetenv("AWS_ENDPOINT_URL_KMS");
	test_status(try_open(uri), BH_E_KMS_UNREACHABLE);
}

/* Without an endpoint it is the region's own, over TLS: nobody is asked in the clear, nor elsewhere. */
static void the_endpoint_is_the_region_s(void **state)
{
	(void)state;
	unsetenv("AWS_ENDPOINT_URL");
	setenv("BULKHEAD_KMS_PROXY", "http://127.0.0.1:9", 1);
	test_status(try_open("aws-kms://arn:aws:kms:eu-north-1:123456789012:key/k"), BH_E_KMS_UNREACHABLE);
	test_message_names("https://kms.eu-north-1.amazonaws.com:443");
	test_status(try_open("aws-kms://arn:aws-cn:kms:cn-north-1:123456789012:key/k"), BH_E_KMS_UNREACHABLE);
	test_message_names("https://kms.cn-north-1.amazonaws.com.cn:443");
	setenv("AWS_USE_FIPS_ENDPOINT", "true", 1);
	test_status(try_open("aws-kms://arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/k"), BH_E_KMS_UNREACHABLE);
	test_message_names("https://kms-fips.us-gov-west-1.amazonaws.com:443");
}

static void proxies_of_the_environment_are_ignored(void **state)
{
	bh_kms *kms = new_key("direct");
	bh_buf wrapped = { 0 };

	(void)state;
	setenv("http_proxy", "http://127.0.0.1:9", 1);
	setenv("all_proxy", "http://127.0.0.1:9", 1);
	test_ok(wrap(kms, &wrapped));
	test_ok(unwrap(kms, &wrapped));
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

static void keys_of_another_kind_are_refused(void **state)
{
	static const char *const bodies[] = { "{\"KeySpec\":\"RSA_2048\",\"KeyUsage\":\"ENCRYPT_DECRYPT\"}",
					      "{\"KeySpec\":\"ECC_NIST_P256\",\"KeyUsage\":\"SIGN_VERIFY\"}",
					      "{\"KeySpec\":\"HMAC_256\",\"KeyUsage\":\"GENERATE_VERIFY_MAC\"}",
					      "{\"MultiRegion\":true}" };
	char uri[512];

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		json_t *json = aws_kms_in(&server, AWS_REGION, "CreateKey", bodies[i]);
		snprintf(uri, sizeof(uri), "aws-kms://%s", bh_json_text(json, "KeyMetadata.Arn"));
		test_status(try_open(uri), BH_E_UNSUPPORTED);
		json_decref(json);
	}
	test_message_names("multi-region");
	test_check(strstr(uri, "key/mrk-") != NULL);
}

/* The same id, asked for in another region, is no key there. */
static void another_region_has_not_the_key(void **state)
{
	char uri[512];

	(void)state;
	json_t *json = aws_kms_in(&server, "eu-central-1", "CreateKey", "{}");
	const char *arn = bh_json_text(json, "KeyMetadata.Arn");
	snprintf(uri, sizeof(uri), "aws-kms://%s", arn);
	test_ok(try_open(uri));
	snprintf(uri, sizeof(uri), "aws-kms://arn:aws:kms:" AWS_REGION ":%s:%s", server.account, strstr(arn, "key/"));
	test_status(try_open(uri), BH_E_NOT_FOUND);
	json_decref(json);
}

/* Each answer that a server, or what stands before it, can give: what it means, and that the next true one counts again. */
static void answers_are_told_apart(void **state)
{
#define NAMED(name) "{\"__type\":\"" name "\",\"message\":\"m\"}"
	static const struct {
		const char *line, *headers, *body; /* headers NULL: Content-Length */
		bh_status want;
	} replies[] = {
		{ "400 x", NULL, NAMED("AccessDeniedException"), BH_E_KMS_REFUSED },
		{ "400 x", NULL, NAMED("com.amazonaws.kms#DisabledException"), BH_E_KMS_REFUSED },
		{ "400 x", NULL, NAMED("KMSInvalidStateException"), BH_E_KMS_REFUSED },
		{ "400 x", NULL, NAMED("NotFoundException"), BH_E_NOT_FOUND },
		{ "400 x", NULL, NAMED("InvalidCiphertextException"), BH_E_TAG },
		{ "400 x", NULL, NAMED("IncorrectKeyException"), BH_E_TAG },
		{ "400 x", NULL, NAMED("InvalidKeyUsageException"), BH_E_UNSUPPORTED },
		{ "400 x", NULL, NAMED("ExpiredTokenException"), BH_E_KMS_REFUSED },
		{ "403 x", NULL, NAMED("InvalidSignatureException"), BH_E_KMS_REFUSED },
		{ "400 x", NULL, NAMED("NotFoundExceptionally"), BH_E_KMS_REFUSED },
		{ "403 x", NULL, "<html>", BH_E_KMS_REFUSED },
		{ "500 x", NULL, NAMED("KMSInternalException"), BH_E_KMS_UNREACHABLE },
		{ "500 x", NULL, NAMED("DependencyTimeoutException"), BH_E_KMS_UNREACHABLE },
		{ "400 x", NULL, NAMED("CloudHsmClusterNotActiveException"), BH_E_KMS_SEALED },
		{ "502 x", NULL, "<html>", BH_E_KMS_UNREACHABLE },
		{ "307 x", "Location: http://127.0.0.1:9/\r\nContent-Length: 0\r\n", "", BH_E_KMS_UNREACHABLE },
		{ "200 x", NULL, "whoa!", BH_E_FORMAT },
		{ "200 x", NULL, "{}", BH_E_FORMAT },
		{ "200 x", NULL, "{\"Plaintext\":\"AwEEAQUAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"KeyId\":\"x\"}", BH_E_TAG },
		{ "200 x", NULL, "{\"Plaintext\":1}", BH_E_TAG },
		{ "200 x", "Content-Length: 99999\r\n", "{", BH_E_KMS_UNREACHABLE },
		{ "200 x", "", "{\"Plaintext\":\"\"}", BH_E_KMS_UNREACHABLE },
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
		kms_proxy_set(&proxy, PROXY_TEXT, 0, reply);
		bh_status status = unwrap(kms, &wrapped);
		if (status != replies[i].want)
			test_fail_at(__FILE__, __LINE__, "reply %zu: %s (%s)", i, bh_status_name(status), bh_status_message());
		kms_proxy_set(&proxy, PROXY_PASS, 0, NULL);
		test_ok(unwrap(kms, &wrapped));
	}
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

/* Of a wrong signature AWS says what it was over, the session token among it. */
static void what_was_signed_is_not_repeated(void **state)
{
	static const char body[] = "{\"__type\":\"InvalidSignatureException\",\"message\":\"x-amz-security-token:hunter2\"}";
	char reply[512];
	bh_kms *kms = new_key("signed");
	bh_buf wrapped = { 0 };

	(void)state;
	test_ok(wrap(kms, &wrapped));
	snprintf(reply, sizeof(reply), "HTTP/1.1 403 x\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	kms_proxy_set(&proxy, PROXY_TEXT, 0, reply);
	test_status(unwrap(kms, &wrapped), BH_E_KMS_REFUSED);
	test_message_names("InvalidSignature");
	test_check(strstr(bh_status_message(), "hunter2") == NULL);
	kms_proxy_set(&proxy, PROXY_PASS, 0, NULL);
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

/* A server that says "not now" is left alone for as long as it says, and is no outage; another one is asked meanwhile. */
static void throttled_is_waited_for(void **state)
{
	static const char *const lines[] = { "400", "503", "429" };
	static const char body[] = "{\"__type\":\"ThrottlingException\"}";
	bh_kms *kms = new_key("busy"), *other;
	bh_buf wrapped = { 0 };
	char reply[256];

	(void)state;
	test_ok(wrap(kms, &wrapped));
	aws_environment_endpoint(server.port);
	other = open_named("busy");
	for (size_t i = 0; i < 3; i++) {
		const char *text = i == 0 ? body : "";
		snprintf(reply, sizeof(reply), "HTTP/1.1 %s x\r\nRetry-After: 2\r\nContent-Length: %zu\r\n\r\n%s", lines[i],
			 strlen(text), text);
		kms_proxy_set(&proxy, PROXY_TEXT, 0, reply);
		test_status(unwrap(kms, &wrapped), BH_E_KMS_THROTTLED);
		kms_proxy_set(&proxy, PROXY_PASS, 0, NULL);
		size_t asked = kms_proxy_requests(&proxy);
		for (int j = 0; j < 50; j++)
			test_status(unwrap(kms, &wrapped), BH_E_KMS_THROTTLED);
		test_check(kms_proxy_requests(&proxy) == asked);
		test_ok(unwrap(other, &wrapped));
		bh_status status = BH_E_KMS_THROTTLED;
		for (int waited = 0; waited < 600 && status == BH_E_KMS_THROTTLED; waited++) {
			usleep(50000);
			status = unwrap(kms, &wrapped);
		}
		test_ok(status);
	}
	bh_kms_close(kms);
	bh_kms_close(other);
	bh_buf_clear(&wrapped);
}

static void the_console(void **state)
{
	bh_kms *kms = new_key("console");
	bh_buf wrapped = { 0 };
	bh_kms_evidence first = { 0 }, again = { 0 };
	bh_kms_key_info info;
	int64_t now_s = (int64_t)time(NULL);

	(void)state;
	test_ok(wrap(kms, &wrapped));
	test_ok(bh_kms_disable(kms));
	test_status(unwrap(kms, &wrapped), BH_E_KMS_REFUSED);
	test_message_names("Disabled");
	test_ok(bh_kms_describe(kms, &info));
	test_check(info.state == BH_KMS_DISABLED && info.created_at_s > 0 && strlen(info.name) == 36);
	test_ok(bh_kms_enable(kms));
	test_ok(unwrap(kms, &wrapped));
	/* Seven days; asked again it is the same date. */
	test_ok(bh_kms_destroy(kms, &first));
	test_check(first.state == BH_KMS_PENDING_DELETION && first.request_id[0] != '\0');
	test_check(first.scheduled_s >= now_s + 7 * 86400 - 5 && first.scheduled_s < now_s + 8 * 86400);
	sleep(2);
	test_ok(bh_kms_destroy(kms, &again));
	test_check(again.scheduled_s == first.scheduled_s && again.state == first.state && again.at_s <= now_s + 60);
	test_status(unwrap(kms, &wrapped), BH_E_KMS_REFUSED);
	test_status(bh_kms_disable(kms), BH_E_KMS_REFUSED);
	test_message_names("pending deletion");
	test_ok(bh_kms_enable(kms));
	test_ok(unwrap(kms, &wrapped));
	test_status(bh_kms_create("aws-kms://arn:aws:kms:eu-west-1:123456789012:key/k", "", NULL), BH_E_UNSUPPORTED);
	test_message_names("AWS's console");
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

static void a_context_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = { "no pair", "=x\n", "a=b", "a=\"\n", "a=\\\n" };
	bh_kms *kms = new_key("contexts");
	bh_buf wrapped = { 0 };
	uint32_t version;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		test_status(bh_kms_wrap(kms, bh_view_of(dek, sizeof(dek)), bh_view_str(bad[i]), &wrapped, &version), BH_E_INVALID);
	test_ok(bh_kms_wrap(kms, bh_view_of(dek, sizeof(dek)), bh_view_str("class=\nmerchant=\nregion=eu\n"), &wrapped, &version));
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(uris_that_are_none, setup),
		cmocka_unit_test_setup(endpoints_that_are_none, setup),
		cmocka_unit_test_setup(the_endpoint_is_the_region_s, setup),
		cmocka_unit_test_setup(proxies_of_the_environment_are_ignored, setup),
		cmocka_unit_test_setup(keys_of_another_kind_are_refused, setup),
		cmocka_unit_test_setup(another_region_has_not_the_key, setup),
		cmocka_unit_test_setup(answers_are_told_apart, setup),
		cmocka_unit_test_setup(what_was_signed_is_not_repeated, setup),
		cmocka_unit_test_setup(throttled_is_waited_for, setup),
		cmocka_unit_test_setup(the_console, setup),
		cmocka_unit_test_setup(a_context_that_is_none_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
