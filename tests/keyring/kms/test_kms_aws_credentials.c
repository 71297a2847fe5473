/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_aws_credentials.c: each way that credentials for aws-kms: are found, renewed and refused. ministack verifies every
 * signature, and who may assume a role.
 */
#include "keyring/kms/kms.h"
#include "tests/support/aws.h"
#include "tests/support/metadata_fake.h"

#define CONTEXT "class=data\nmerchant=acme\n"
#define USE "\"kms:DescribeKey\",\"kms:Encrypt\",\"kms:Decrypt\""

static workspace ws;
static aws server;
static metadata_fake metadata;
static aws_key service; /* may use keys */
static aws_key nobody;  /* may assume roles, and use nothing */
static char uri[256];

static int setup_all(void **state)
{
	char home[PATH_SIZE];

	(void)state;
	workspace_open(&ws);
	path_join(home, ws.root, "aws");
	aws_environment_clear(ws.root);
	aws_start(&server, home, false);
	metadata_fake_start(&metadata);
	aws_key_make(&server, "acme");
	aws_uri(&server, "acme", uri, sizeof(uri));
	aws_user_make(&server, "service", USE);
	aws_access_key_make(&server, "service", &service);
	aws_user_make(&server, "nobody", "\"sts:AssumeRole\"");
	aws_access_key_make(&server, "nobody", &nobody);
	return 0;
}

static int teardown_all(void **state)
{
	(void)state;
	metadata_fake_end(&metadata);
	aws_end(&server);
	workspace_close(&ws);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	aws_environment_clear(ws.root);
	aws_environment_endpoint(server.port);
	return 0;
}

static bh_kms *open_patiently(void)
{
	const bh_kms_options options = { .timeout_ms = 60000 };
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(uri, &options, &kms));
	return kms;
}

/* With a handle of its own, so with the environment as it is now. */
static bh_status use(void)
{
	static const uint8_t dek[BH_DEK_LEN] = { 3, 1, 4, 1, 5 };
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
	if (status == BH_OK)
		test_check(memcmp(out.data, dek, sizeof(dek)) == 0);
	test_check(strstr(bh_status_message(), service.secret) == NULL && strstr(bh_status_message(), nobody.secret) == NULL);
	bh_secret_clear(&out);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
	return status;
}

static void file_put(const char *variable, const char *name, const char *text)
{
	char path[PATH_SIZE];

	path_join(path, ws.root, name);
	FILE *file = fopen(path, "w");
	test_check(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
	setenv(variable, path, 1);
}

static void environment_keys(const aws_key *key)
{
	setenv("AWS_ACCESS_KEY_ID", key->id, 1);
	setenv("AWS_SECRET_ACCESS_KEY", key->secret, 1);
	if (key->token[0] != '\0')
		setenv("AWS_SESSION_TOKEN", key->token, 1);
}

/* A role that may use keys, for whom the policy trusts; its ARN. */
static const char *role_make(const char *name, const char *trust)
{
	static char arn[128];
	char form[2048];

	snprintf(form, sizeof(form), "Action=CreateRole&Version=2010-05-08&RoleName=%s&AssumeRolePolicyDocument=%s", name, trust);
	char *answer = aws_query(&server, "iam", form);
	aws_element(answer, "Arn", arn, sizeof(arn));
	free(answer);
	snprintf(form, sizeof(form),
		 "Action=PutRolePolicy&Version=2010-05-08&RoleName=%s&PolicyName=p&PolicyDocument={\"Version\":\"2012-10-17\","
		 "\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[" USE "],\"Resource\":\"%%2A\"}]}",
		 name);
	free(aws_query(&server, "iam", form));
	return arn;
}

/* ---- tests */

static void without_any_it_is_refused(void **state)
{
	(void)state;
	test_status(use(), BH_E_KMS_REFUSED);
	test_message_names("no credentials for AWS");
}

static void keys_of_the_environment(void **state)
{
	aws_key wrong = service;

	(void)state;
	environment_keys(&service);
	test_ok(use());
	test_check(strcmp(bh_kms_principal(), service.id) == 0);
	wrong.secret[0] ^= 1;
	environment_keys(&wrong);
	test_status(use(), BH_E_KMS_REFUSED);
	test_message_names("InvalidSignature");
	environment_keys(&nobody);
	test_status(use(), BH_E_KMS_REFUSED);
	test_message_names("AccessDenied");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	test_status(use(), BH_E_KMS_REFUSED);
	test_message_names("not both");
}

static void a_profile_of_the_files(void **state)
{
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text),
		 "[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n\n[ shop ] # ours\n; a comment\n"
		 "  aws_access_key_id = X\n"
		 "aws_access_key_id = %s\r\naws_secret_access_key\t=\t%s \n",
		 nobody.id, nobody.secret, service.id, service.secret);
	file_put("AWS_SHARED_CREDENTIALS_FILE", "credentials", text);
	test_status(use(), BH_E_KMS_REFUSED);
	test_message_names("AccessDenied");
	setenv("AWS_PROFILE", "shop", 1);
	test_ok(use());
	setenv("AWS_PROFILE", "sho", 1);
	test_status(use(), BH_E_INVALID);
	test_message_names("no AWS profile 'sho'");
	snprintf(text, sizeof(text),
		 "[shop]\naws_access_key_id = X\n[profile conf]\n"
		 "aws_access_key_id = %s\naws_secret_access_key = %s\n",
		 service.id, service.secret);
	file_put("AWS_CONFIG_FILE", "config", text);
	setenv("AWS_PROFILE", "conf", 1);
	test_ok(use());
	/* The environment's own come first. */
	environment_keys(&nobody);
	test_status(use(), BH_E_KMS_REFUSED);
}

static void a_role_with_an_external_id(void **state)
{
	char text[2048], trust[512];

	(void)state;
	snprintf(trust, sizeof(trust),
		 "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
		 "\"Principal\":{\"AWS\":\"arn:aws:iam::%s:user/nobody\"},"
		 "\"Action\":\"sts:AssumeRole\",\"Condition\":{\"StringEquals\":{\"sts:ExternalId\":\"of %%26 acme\"}}}]}",
		 server.account);
	const char *arn = role_make("customer", trust);
	snprintf(text, sizeof(text),
		 "[profile base]\naws_access_key_id = %s\naws_secret_access_key = %s\n"
		 "[profile acme]\nrole_arn = %s\nsource_profile = base\nexternal_id = of & acme\nrole_session_name = shop\n"
		 "[profile other]\nrole_arn = %s\nsource_profile = base\nexternal_id = of another\n"
		 "[profile env]\nrole_arn = %s\ncredential_source = Environment\nexternal_id = of & acme\n"
		 "[profile ring]\nrole_arn = %s\nsource_profile = ring2\n[profile ring2]\nrole_arn = %s\nsource_profile = ring\n"
		 "[profile alone]\nrole_arn = %s\n",
		 nobody.id, nobody.secret, arn, arn, arn, arn, arn, arn);
	file_put("AWS_CONFIG_FILE", "config", text);
	setenv("AWS_PROFILE", "base", 1);
	test_status(use(), BH_E_KMS_REFUSED);
	setenv("AWS_PROFILE", "acme", 1);
	test_ok(use());
	test_check(strstr(bh_kms_principal(), "assumed-role/customer/shop") != NULL);
	setenv("AWS_PROFILE", "other", 1);
	test_status(use(), BH_E_KMS_REFUSED);
	test_message_names("assuming arn:aws:iam");
	setenv("AWS_PROFILE", "ring", 1);
	test_status(use(), BH_E_INVALID);
	test_message_names("name each other");
	setenv("AWS_PROFILE", "alone", 1);
	test_status(use(), BH_E_INVALID);
	setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9", 1);
	setenv("AWS_PROFILE", "acme", 1);
	test_status(use(), BH_E_KMS_UNREACHABLE);
}

static void a_role_by_a_web_identity(void **state)
{
	char trust[512];

	(void)state;
	snprintf(trust, sizeof(trust),
		 "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
		 "\"Principal\":{\"Federated\":\"arn:aws:iam::%s:oidc-provider/example.com\"},"
		 "\"Action\":\"sts:AssumeRoleWithWebIdentity\"}]}",
		 server.account);
	setenv("AWS_ROLE_ARN", role_make("pod", trust), 1);
	file_put("AWS_WEB_IDENTITY_TOKEN_FILE", "identity", "e30.eyJpc3MiOiJodHRwczovL2V4YW1wbGUuY29tIiwic3ViIjoicG9kIn0.x\n");
	test_ok(use());
	test_check(strstr(bh_kms_principal(), "assumed-role/pod/bulkhead") != NULL);
	setenv("AWS_ROLE_SESSION_NAME", "shop-7", 1);
	test_ok(use());
	test_check(strstr(bh_kms_principal(), "assumed-role/pod/shop-7") != NULL);
	setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/not-there", 1);
	test_status(use(), BH_E_KMS_REFUSED);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere", 1);
	test_status(use(), BH_E_KMS_REFUSED);
	test_message_names("/nowhere");
}

static void a_container_s(void **state)
{
	char url[64];

	(void)state;
	metadata_fake_set(&metadata, &service, 3600);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/container?x=1", metadata.port);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	test_status(use(), BH_E_KMS_REFUSED);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", METADATA_TOKEN, 1);
	test_ok(use());
	unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	file_put("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "container-token", METADATA_TOKEN "\n");
	test_ok(use());
	/* A token goes to nobody in the clear but the machine itself. */
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/container?x=1", 1);
	test_status(use(), BH_E_INVALID);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.example.com/container?x=1", 1);
	test_status(use(), BH_E_INVALID);
}

static void instance_set(void)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d", metadata.port);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "false", 1);
}

static void an_instance_s(void **state)
{
	(void)state;
	metadata_fake_set(&metadata, &service, 3600);
	instance_set();
	test_ok(use());
	test_check(strcmp(bh_kms_principal(), "role-of-the-machine") == 0);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://10.0.0.1", 1);
	test_status(use(), BH_E_INVALID);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9", 1);
	test_status(use(), BH_E_KMS_UNREACHABLE);
}

/* Looked for once while they are good, anew before they end, and anew when they are refused. */
static void they_are_renewed(void **state)
{
	bh_kms_key_info info;
	aws_key first, second;

	(void)state;
	aws_access_key_make(&server, "service", &first);
	metadata_fake_set(&metadata, &first, 3600);
	instance_set();
	size_t given = metadata_fake_given(&metadata);
	bh_kms *kms = open_patiently();
	test_ok(bh_kms_describe(kms, &info));
	test_check(metadata_fake_given(&metadata) == given + 1);
	/* Refused: there are others, that end soon. */
	aws_access_key_make(&server, "service", &second);
	metadata_fake_set(&metadata, &second, 100);
	aws_access_key_delete(&server, "service", first.id);
	test_ok(bh_kms_describe(kms, &info));
	given = metadata_fake_given(&metadata);
	test_ok(bh_kms_describe(kms, &info));
	test_check(metadata_fake_given(&metadata) > given);
	/* Refused, and there are none. */
	aws_access_key_delete(&server, "service", second.id);
	test_status(bh_kms_describe(kms, &info), BH_E_KMS_REFUSED);
	bh_kms_close(kms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_any_it_is_refused, setup),
		cmocka_unit_test_setup(keys_of_the_environment, setup),
		cmocka_unit_test_setup(a_profile_of_the_files, setup),
		cmocka_unit_test_setup(a_role_with_an_external_id, setup),
		cmocka_unit_test_setup(a_role_by_a_web_identity, setup),
		cmocka_unit_test_setup(a_container_s, setup),
		cmocka_unit_test_setup(an_instance_s, setup),
		cmocka_unit_test_setup(they_are_renewed, setup),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
