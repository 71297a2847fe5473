/* SPDX-License-Identifier: Apache-2.0
 *
 * aws.c: see aws.h.
 */
#include "aws.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyring/kms/aws/call.h"
#include "keyring/kms/http/json.h"
#include "port.h"

#define START_MS 120000 /* a loaded machine is slow, and so is Python's start */
#define CALL_MS 60000

/* ---- the process */

static void exec_server(const aws *a, const char *home)
{
	char port[16], variable[32], path[PATH_SIZE + 8];
	int log = open(a->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	const char *const moto[] = { "python3", "-s", "-m", "moto.server", "-H", "127.0.0.1", "-p", port, NULL };
	const char *const ministack[] = { "python3", "-s", "-m", "ministack.app", NULL };
	char *const environment[] = { path,
				      (char *)(uintptr_t) "PATH=/usr/bin:/bin",
				      (char *)(uintptr_t) "PYTHONPATH=" BH_TEST_SERVERS,
				      (char *)(uintptr_t) "AUTH=true",
				      (char *)(uintptr_t) "BIND_HOST=127.0.0.1",
				      (char *)(uintptr_t) "IOT_MTLS_ENABLED=0",
				      variable,
				      NULL };

	snprintf(port, sizeof(port), "%d", a->port);
	snprintf(variable, sizeof(variable), "GATEWAY_PORT=%d", a->port);
	snprintf(path, sizeof(path), "HOME=%s", home);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	if (chdir(home) == 0)
		execve("/usr/bin/python3", (char *const *)(uintptr_t)(a->is_moto ? moto : ministack), environment);
	_exit(127);
}

static bh_http_origin *console_origin(const aws *a)
{
	const bh_http_tls tls = { 0 };
	char base[64];
	bh_http_origin *origin = NULL;

	snprintf(base, sizeof(base), "http://127.0.0.1:%d", a->port);
	test_ok(bh_http_origin_new(base, &tls, &origin));
	return origin;
}

/* As root: what comes back, whatever it is. */
static bh_status console(const aws *a, const bh_aws_call *call, bh_http_answer *out)
{
	bh_aws_credentials root = { 0 };
	bh_http_origin *origin = console_origin(a);

	test_ok(bh_aws_secret_text(AWS_OWNER, &root.access_key));
	test_ok(bh_aws_secret_text(AWS_OWNER, &root.secret_key));
	bh_status status = bh_aws_call_make(origin, call, &root, out);
	bh_aws_credentials_clear(&root);
	bh_http_origin_free(origin);
	return status;
}

static bh_aws_call kms_call(const char *region, const char *target, const char *body)
{
	return (bh_aws_call){ .service = "kms",
			      .region = region,
			      .target = target,
			      .content_type = "application/x-amz-json-1.1",
			      .body = bh_view_str(body),
			      .deadline_ms = bh_http_deadline_ms(CALL_MS) };
}

static bool answers(const aws *a)
{
	bh_http_answer answer = { 0 };
	const bh_aws_call call = kms_call(AWS_REGION, "TrentService.ListKeys", "{}");
	int status = 0;

	if (waitpid(a->pid, &status, WNOHANG) != 0)
		test_fail_at(__FILE__, __LINE__, "%s did not start (%d); tools/dev setup installs it. Its log: %s",
			     a->is_moto ? "moto" : "ministack", status, a->log);
	bool up = console(a, &call, &answer) == BH_OK && answer.code == 200;
	bh_http_answer_clear(&answer);
	return up;
}

void aws_start(aws *a, const char *home, bool moto)
{
	*a = (aws){ .is_moto = moto, .account = moto ? "123456789012" : "000000000000" };
	test_check(mkdir(home, 0700) == 0 || errno == EEXIST);
	path_join(a->log, home, "log");
	a->port = test_port_find();
	a->pid = fork();
	test_check(a->pid >= 0);
	if (a->pid == 0)
		exec_server(a, home);
	for (int waited = 0; !answers(a); waited += 50) {
		test_check(waited < START_MS);
		usleep(50000);
	}
}

void aws_end(aws *a)
{
	int status;

	if (a->pid == 0)
		return;
	kill(a->pid, SIGKILL);
	test_check(waitpid(a->pid, &status, 0) == a->pid);
	a->pid = 0;
}

/* ---- the console */

json_t *aws_kms_in(const aws *a, const char *region, const char *operation, const char *body)
{
	bh_http_answer answer = { 0 };
	char target[64];
	json_t *json = NULL;

	snprintf(target, sizeof(target), "TrentService.%s", operation);
	const bh_aws_call call = kms_call(region, target, body);
	test_ok(console(a, &call, &answer));
	if (answer.code != 200)
		test_fail_at(__FILE__, __LINE__, "%s %s: %ld %s", operation, body, answer.code, answer.body);
	if (answer.len > 0)
		json = json_loadb(answer.body, answer.len, JSON_DECODE_ANY, NULL);
	bh_http_answer_clear(&answer);
	return json;
}

void aws_kms_do(const aws *a, const char *operation, const char *body)
{
	json_decref(aws_kms_in(a, AWS_REGION, operation, body));
}

char *aws_query(const aws *a, const char *service, const char *form)
{
	bh_http_answer answer = { 0 };
	const bh_aws_call call = { .service = service,
				   .region = "us-east-1",
				   .content_type = "application/x-www-form-urlencoded",
				   .body = bh_view_str(form),
				   .deadline_ms = bh_http_deadline_ms(CALL_MS) };

	test_ok(console(a, &call, &answer));
	if (answer.code != 200)
		test_fail_at(__FILE__, __LINE__, "%s: %ld %s", form, answer.code, answer.body);
	char *text = strdup(answer.body);
	test_check(text != NULL);
	bh_http_answer_clear(&answer);
	return text;
}

void aws_element(const char *answer, const char *name, char *out, size_t size)
{
	char tag[64];

	snprintf(tag, sizeof(tag), "<%s>", name);
	const char *at = strstr(answer, tag);
	test_check(at != NULL);
	at += strlen(tag);
	test_check(strcspn(at, "<") < size);
	snprintf(out, size, "%.*s", (int)strcspn(at, "<"), at);
}

void aws_key_make(const aws *a, const char *name)
{
	char body[512];

	json_t *json = aws_kms_in(a, AWS_REGION, "CreateKey", "{\"KeyUsage\":\"ENCRYPT_DECRYPT\"}");
	snprintf(body, sizeof(body), "{\"AliasName\":\"alias/%s\",\"TargetKeyId\":\"%s\"}", name,
		 bh_json_text(json, "KeyMetadata.KeyId"));
	aws_kms_do(a, "CreateAlias", body);
	json_decref(json);
}

void aws_uri(const aws *a, const char *name, char *out, size_t size)
{
	snprintf(out, size, "aws-kms://arn:aws:kms:" AWS_REGION ":%s:alias/%s", a->account, name);
}

void aws_user_make(const aws *a, const char *name, const char *actions)
{
	char form[2048];

	snprintf(form, sizeof(form), "Action=CreateUser&Version=2010-05-08&UserName=%s", name);
	free(aws_query(a, "iam", form));
	snprintf(form, sizeof(form),
		 "Action=PutUserPolicy&Version=2010-05-08&UserName=%s&PolicyName=p&PolicyDocument={\"Version\":\"2012-10-17\","
		 "\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[%s],\"Resource\":\"%%2A\"}]}",
		 name, actions);
	free(aws_query(a, "iam", form));
}

void aws_access_key_make(const aws *a, const char *user, aws_key *out)
{
	char form[256];

	snprintf(form, sizeof(form), "Action=CreateAccessKey&Version=2010-05-08&UserName=%s", user);
	char *answer = aws_query(a, "iam", form);
	aws_element(answer, "AccessKeyId", out->id, sizeof(out->id));
	aws_element(answer, "SecretAccessKey", out->secret, sizeof(out->secret));
	out->token[0] = '\0';
	free(answer);
}

void aws_access_key_delete(const aws *a, const char *user, const char *id)
{
	char form[256];

	snprintf(form, sizeof(form), "Action=DeleteAccessKey&Version=2010-05-08&UserName=%s&AccessKeyId=%s", user, id);
	free(aws_query(a, "iam", form));
}

/* ---- the environment */

void aws_environment_clear(const char *home)
{
	static const char *const names[] = { "AWS_ACCESS_KEY_ID",
					     "AWS_SECRET_ACCESS_KEY",
					     "AWS_SESSION_TOKEN",
					     "AWS_PROFILE",
					     "AWS_SHARED_CREDENTIALS_FILE",
					     "AWS_CONFIG_FILE",
					     "AWS_ROLE_ARN",
					     "AWS_ROLE_SESSION_NAME",
					     "AWS_WEB_IDENTITY_TOKEN_FILE",
					     "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
					     "AWS_CONTAINER_CREDENTIALS_FULL_URI",
					     "AWS_CONTAINER_AUTHORIZATION_TOKEN",
					     "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
					     "AWS_EC2_METADATA_SERVICE_ENDPOINT",
					     "AWS_CA_BUNDLE",
					     "AWS_ENDPOINT_URL",
					     "AWS_ENDPOINT_URL_KMS",
					     "AWS_ENDPOINT_URL_STS",
					     "AWS_USE_FIPS_ENDPOINT",
					     "BULKHEAD_KMS_PROXY" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	setenv("HOME", home, 1);
}

void aws_environment_endpoint(int port)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
	setenv("AWS_ENDPOINT_URL", url, 1);
}
