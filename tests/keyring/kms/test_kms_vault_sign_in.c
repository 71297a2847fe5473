/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_vault_sign_in.c: every way to sign in at a Vault, over TLS: what it needs, who it is in the audit log, what happens when
 * it ends; and whose certificate is believed. Against a real OpenBao.
 */
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>
#include <unistd.h>

#include "keyring/kms/http/json.h"
#include "keyring/kms/kms.h"
#include "vault_fixture.h"

#define CONTEXT "class=data\nmerchant=acme\n"

static vault_fixture f;
static const uint8_t dek[BH_DEK_LEN] = { 3, 1, 4, 1, 5 };

static const char *uri_of(const char *path)
{
	static char uris[4][256];
	static size_t next;
	char *uri = uris[next++ % 4];

	snprintf(uri, sizeof(uris[0]), "vault://127.0.0.1:%d/%s", f.bao.port, path);
	return uri;
}

/* Opens the key, wraps and unwraps. */
static bh_status use_at(const char *uri)
{
	const bh_kms_options options = { .timeout_ms = 60000 };
	bh_kms *kms = NULL;
	bh_buf wrapped = { 0 };
	bh_secret out = { 0 };
	uint32_t version = 0;

	bh_status status = bh_kms_open(uri, &options, &kms);
	if (status == BH_OK)
		status = bh_kms_wrap(kms, bh_view_of(dek, sizeof(dek)), bh_view_str(CONTEXT), &wrapped, &version);
	if (status == BH_OK)
		status = bh_kms_unwrap(kms, bh_buf_view(&wrapped), bh_view_str(CONTEXT), &out);
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
	bh_secret_clear(&out);
	return status;
}

static bh_status use(void)
{
	return use_at(uri_of("transit/keys/acme"));
}

static int setup_all(void **state)
{
	(void)state;
	vault_fixture_begin(&f, true);
	vault_key_make(&f, "acme");
	bao_do(&f.bao, "POST", "sys/auth/approle", "{\"type\":\"approle\"}");
	bao_do(&f.bao, "POST", "sys/auth/cert", "{\"type\":\"cert\"}");
	return 0;
}

static int teardown_all(void **state)
{
	(void)state;
	vault_fixture_end(&f);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	vault_environment_clear();
	setenv("VAULT_CACERT", f.bao.ca, 1);
	return 0;
}

/* ---- tokens */

static void without_anything_it_is_refused(void **state)
{
	(void)state;
	test_status(use(), BH_E_KMS_REFUSED);
	test_message_names(".vault-token");
}

static void a_token_of_the_environment(void **state)
{
	char token[256], body[320];

	(void)state;
	bao_token(&f.bao, "\"service\"", "", token);
	setenv("VAULT_TOKEN", token, 1);
	test_ok(use());
	test_check(strstr(bh_kms_principal(), "token-bulkhead") != NULL && strstr(bh_kms_principal(), token) == NULL);
	snprintf(body, sizeof(body), "{\"token\":\"%s\"}", token);
	bao_do(&f.bao, "POST", "auth/token/revoke", body);
	test_status(use(), BH_E_KMS_REFUSED);
	test_check(strstr(bh_status_message(), token) == NULL);
	setenv("VAULT_TOKEN", "", 1); /* as if it was not there */
	test_status(use(), BH_E_KMS_REFUSED);
	test_message_names(".vault-token");
}

static void a_token_file_in_the_home_folder(void **state)
{
	char token[256], path[PATH_SIZE];

	(void)state;
	path_join(path, f.ws.root, ".vault-token");
	bao_token(&f.bao, "\"service\"", "", token);
	file_put(path, token);
	test_ok(use());
	file_put(path, "not a\x01token\n");
	test_status(use(), BH_E_KMS_REFUSED);
	file_put(path, "");
	test_status(use(), BH_E_KMS_REFUSED);
	unlink(path);
}

/* What a token may, its policy says at each call. */
static void a_policy_takes_the_key_away(void **state)
{
	char token[256];

	(void)state;
	bao_token(&f.bao, "\"service\"", "", token);
	setenv("VAULT_TOKEN", token, 1);
	test_ok(use());
	bao_do(&f.bao, "POST", "sys/policies/acl/service",
	       "{\"policy\":\"path \\\"transit/keys/*\\\" { capabilities = [\\\"read\\\"] }\"}");
	test_status(use(), BH_E_KMS_REFUSED);
	bao_do(&f.bao, "POST", "sys/policies/acl/service", "{\"policy\":\"" SERVICE_POLICY "\"}");
	test_ok(use());
}

/* How much further than the host's our clock is. */
static int64_t clock_ahead_s;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = __real_clock_gettime(clock, now);

	if (clock == CLOCK_BOOTTIME)
		now->tv_sec += clock_ahead_s;
	return result;
}

static bool is_renewed(const char *token)
{
	json_t *json = bao_ask(&f.bao, token, "GET", "auth/token/lookup-self", NULL, 200);
	bool renewed = bh_json_number(json, "data.last_renewal_time") != 0;

	json_decref(json);
	return renewed;
}

/* By the first call past two thirds of its life, and not before. */
static void a_token_is_renewed(void **state)
{
	const bh_kms_options options = { .timeout_ms = 60000 };
	bh_kms_key_info info;
	bh_kms *kms = NULL;
	char token[256];

	(void)state;
	bao_token(&f.bao, "\"service\"", "\"period\":\"3h\"", token);
	setenv("VAULT_TOKEN", token, 1);
	test_ok(bh_kms_open(uri_of("transit/keys/acme"), &options, &kms));
	clock_ahead_s = 3600;
	test_ok(bh_kms_describe(kms, &info));
	test_check(!is_renewed(token));
	clock_ahead_s = 2 * 3600;
	test_ok(bh_kms_describe(kms, &info));
	test_check(is_renewed(token));
	clock_ahead_s = 0;
	bh_kms_close(kms);
}

/* ---- AppRole */

static void secret_id_new(const char *path)
{
	json_t *json = bao_ask(&f.bao, BAO_ROOT_TOKEN, "POST", "auth/approle/role/web/secret-id", "{}", 200);
	const char *id = bh_json_text(json, "data.secret_id");

	test_check(id[0] != '\0');
	file_put(path, id);
	json_decref(json);
}

static void an_app_role_signs_in_again(void **state)
{
	const bh_kms_options options = { .timeout_ms = 60000 };
	char path[PATH_SIZE];
	bh_kms_key_info info;
	bh_kms *kms = NULL;

	(void)state;
	path_join(path, f.ws.root, "secret-id");
	bao_do(&f.bao, "POST", "auth/approle/role/web", "{\"token_policies\":[\"service\"],\"secret_id_num_uses\":3}");
	json_t *json = bao_ask(&f.bao, BAO_ROOT_TOKEN, "GET", "auth/approle/role/web/role-id", NULL, 200);
	setenv("BULKHEAD_VAULT_ROLE_ID", bh_json_text(json, "data.role_id"), 1);
	json_decref(json);
	test_status(use(), BH_E_KMS_REFUSED);
	test_message_names("BULKHEAD_VAULT_SECRET_ID_FILE");
	setenv("BULKHEAD_VAULT_SECRET_ID_FILE", path, 1);
	test_status(use(), BH_E_KMS_REFUSED);
	secret_id_new(path);
	test_ok(bh_kms_open(uri_of("transit/keys/acme"), &options, &kms));
	test_check(strncmp(bh_kms_principal(), "web entity=", 11) == 0);
	/* Its token ends; the secret id is good for another sign-in, and another one. */
	for (int i = 0; i < 2; i++) {
		bao_do(&f.bao, "POST", "sys/leases/revoke-prefix/auth/approle", "{}");
		test_ok(bh_kms_describe(kms, &info));
	}
	bao_do(&f.bao, "POST", "sys/leases/revoke-prefix/auth/approle", "{}");
	test_status(bh_kms_describe(kms, &info), BH_E_KMS_REFUSED);
	test_message_names("auth/approle/login");
	secret_id_new(path);
	test_ok(bh_kms_describe(kms, &info));
	bh_kms_close(kms);
}

/* ---- TLS */

/* A certificate that is its own authority, and its key, as PEM files. */
static void certificate_make(const char *cert_path, const char *key_path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	FILE *file;

	test_check(key != NULL && cert != NULL);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"web", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, key);
	X509_EXTENSION *use_as = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, "clientAuth");
	X509_add_ext(cert, use_as, -1);
	X509_EXTENSION_free(use_as);
	test_check(X509_sign(cert, key, EVP_sha256()) > 0);
	file = fopen(cert_path, "w");
	test_check(file != NULL && PEM_write_X509(file, cert) == 1);
	fclose(file);
	file = fopen(key_path, "w");
	test_check(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
	fclose(file);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void certificate_trust(const char *cert_path)
{
	char pem[4096];
	FILE *file = fopen(cert_path, "r");

	test_check(file != NULL);
	pem[fread(pem, 1, sizeof(pem) - 1, file)] = '\0';
	fclose(file);
	json_t *body = json_pack("{s:s, s:[s]}", "certificate", pem, "token_policies", "service");
	char *text = json_dumps(body, 0);
	bao_do(&f.bao, "POST", "auth/cert/certs/web", text);
	free(text);
	json_decref(body);
}

static void a_client_certificate(void **state)
{
	char cert[PATH_SIZE], key[PATH_SIZE];

	(void)state;
	path_join(cert, f.ws.root, "web.pem");
	path_join(key, f.ws.root, "web-key.pem");
	certificate_make(cert, key);
	setenv("VAULT_CLIENT_CERT", cert, 1);
	setenv("VAULT_CLIENT_KEY", key, 1);
	test_status(use(), BH_E_KMS_REFUSED);
	certificate_trust(cert);
	test_ok(use());
	test_check(strncmp(bh_kms_principal(), "web", 3) == 0);
	bao_do(&f.bao, "DELETE", "auth/cert/certs/web", NULL);
	test_status(use(), BH_E_KMS_REFUSED);
	setenv("VAULT_CLIENT_KEY", "/nowhere", 1);
	test_status(use(), BH_E_KMS_UNREACHABLE);
	test_message_names("certificates and keys");
}

static void another_authority_is_not_believed(void **state)
{
	char cert[PATH_SIZE], key[PATH_SIZE];

	(void)state;
	setenv("VAULT_TOKEN", BAO_ROOT_TOKEN, 1);
	test_ok(use());
	unsetenv("VAULT_CACERT");
	test_status(use(), BH_E_KMS_UNREACHABLE);
	test_message_names("not trusted");
	path_join(cert, f.ws.root, "other.pem");
	path_join(key, f.ws.root, "other-key.pem");
	certificate_make(cert, key);
	setenv("VAULT_CACERT", cert, 1);
	test_status(use(), BH_E_KMS_UNREACHABLE);
	test_message_names("not trusted");
	setenv("VAULT_CACERT", "/nowhere.pem", 1);
	test_status(use(), BH_E_KMS_UNREACHABLE);
	test_message_names("certificates and keys");
	setenv("VAULT_CACERT", f.bao.ca, 1);
	test_ok(use());
}

/* What it believes is an authority, for a name: this server is not 127.0.0.2's. */
static void another_name_is_not_believed(void **state)
{
	char uri[128];

	(void)state;
	setenv("VAULT_TOKEN", BAO_ROOT_TOKEN, 1);
	snprintf(uri, sizeof(uri), "vault+http://127.0.0.1:%d/transit/keys/acme", f.bao.port);
	bh_status status = use_at(uri); /* no TLS where there has to be */
	test_check(status != BH_OK && status != BH_E_TAG);
	kms_proxy_down(&f.proxy);
	kms_proxy_up(&f.proxy);
	snprintf(uri, sizeof(uri), "vault://[::ffff:127.0.0.1]:%d/transit/keys/acme", f.proxy.port);
	test_status(use_at(uri), BH_E_KMS_UNREACHABLE);
}

/* ---- namespaces */

static void a_namespace_is_another_vault(void **state)
{
	(void)state;
	setenv("VAULT_TOKEN", BAO_ROOT_TOKEN, 1);
	bao_do(&f.bao, "POST", "sys/namespaces/customer", "{}");
	bao_do(&f.bao, "POST", "customer/sys/mounts/own", "{\"type\":\"transit\"}");
	bao_do(&f.bao, "POST", "customer/own/keys/acme", "{\"type\":\"aes256-gcm96\",\"derived\":true}");
	test_status(use_at(uri_of("own/keys/acme")), BH_E_NOT_FOUND);
	setenv("VAULT_NAMESPACE", "customer", 1);
	test_ok(use_at(uri_of("own/keys/acme")));
	test_status(use(), BH_E_NOT_FOUND);
	unsetenv("VAULT_NAMESPACE");
	test_ok(use_at(uri_of("customer/own/keys/acme")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_anything_it_is_refused, setup),
		cmocka_unit_test_setup(a_token_of_the_environment, setup),
		cmocka_unit_test_setup(a_token_file_in_the_home_folder, setup),
		cmocka_unit_test_setup(a_policy_takes_the_key_away, setup),
		cmocka_unit_test_setup(a_token_is_renewed, setup),
		cmocka_unit_test_setup(an_app_role_signs_in_again, setup),
		cmocka_unit_test_setup(a_client_certificate, setup),
		cmocka_unit_test_setup(another_authority_is_not_believed, setup),
		cmocka_unit_test_setup(another_name_is_not_believed, setup),
		cmocka_unit_test_setup(a_namespace_is_another_vault, setup),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
