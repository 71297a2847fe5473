/* SPDX-License-Identifier: Apache-2.0
 *
 * bao.c: see bao.h.
 */
#include "bao.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyring/kms/http/json.h"
#include "port.h"

#define START_MS 60000 /* a loaded machine is slow */

static void exec_server(const bao *b)
{
	char listen[64], certificates[PATH_SIZE + 32], home[PATH_SIZE + 8];
	int log = open(b->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	const char *args[] = {
		"bao",        "server", "-dev", BAO_ROOT_OPTION, listen, "-dev-no-store-token", b->tls ? "-dev-tls" : NULL,
		certificates, NULL
	};
	char *const environment[] = { home, NULL };

	snprintf(listen, sizeof(listen), "-dev-listen-address=127.0.0.1:%d", b->port);
	snprintf(certificates, sizeof(certificates), "-dev-tls-cert-dir=%s", b->home);
	snprintf(home, sizeof(home), "HOME=%s", b->home);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	execve(BH_TEST_BAO, (char *const *)(uintptr_t)args, environment);
	_exit(127);
}

static bh_http_origin *console_origin(const bao *b)
{
	char base[64];
	const bh_http_tls tls = { .ca_file = b->tls ? b->ca : NULL };
	bh_http_origin *origin = NULL;

	snprintf(base, sizeof(base), "%s://127.0.0.1:%d", b->tls ? "https" : "http", b->port);
	test_ok(bh_http_origin_new(base, &tls, &origin));
	return origin;
}

static bool answers(const bao *b, bh_http_origin *origin)
{
	bh_http_answer answer = { 0 };
	const bh_http_request request = { .method = "GET", .path = "/v1/sys/health", .deadline_ms = bh_http_deadline_ms(1000) };
	int status = 0;

	if (waitpid(b->pid, &status, WNOHANG) != 0)
		test_fail_at(__FILE__, __LINE__, "%s did not start (%d); tools/dev setup installs it. Its log: %s", BH_TEST_BAO,
			     status, b->log);
	bool up = bh_http_call(origin, &request, &answer) == BH_OK && answer.code == 200;
	bh_http_answer_clear(&answer);
	return up;
}

void bao_start(bao *b, const char *home, bool tls)
{
	memset(b, 0, sizeof(*b));
	b->tls = tls;
	snprintf(b->home, sizeof(b->home), "%s", home);
	path_join(b->log, home, "log");
	path_join(b->ca, home, "vault-ca.pem");
	test_check(mkdir(home, 0700) == 0 || errno == EEXIST);
	b->port = test_port_find();
	b->pid = fork();
	test_check(b->pid >= 0);
	if (b->pid == 0)
		exec_server(b);
	bh_http_origin *origin = NULL;
	for (int waited = 0;; waited += 20) {
		test_check(waited < START_MS);
		usleep(20000);
		if (!tls || access(b->ca, R_OK) == 0)
			origin = origin != NULL ? origin : console_origin(b);
		if (origin != NULL && answers(b, origin))
			break;
	}
	bh_http_origin_free(origin);
	bao_do(b, "POST", "sys/mounts/transit", "{\"type\":\"transit\"}");
}

void bao_end(bao *b)
{
	int status;

	if (b->pid == 0)
		return;
	kill(b->pid, SIGKILL);
	test_check(waitpid(b->pid, &status, 0) == b->pid);
	b->pid = 0;
}

json_t *bao_ask(const bao *b, const char *token, const char *method, const char *path, const char *body, long want)
{
	bh_http_origin *origin = console_origin(b);
	bh_http_answer answer = { 0 };
	char whole[512];
	json_t *json = NULL;
	bh_http_request request = { .method = method, .path = whole, .deadline_ms = bh_http_deadline_ms(START_MS) };

	snprintf(whole, sizeof(whole), "/v1/%s", path);
	request.headers[0].name = "X-Vault-Token";
	request.headers[0].value = token;
	if (body != NULL)
		request.body = bh_view_str(body);
	test_ok(bh_http_call(origin, &request, &answer));
	if (want != 0 ? answer.code != want : answer.code / 100 != 2)
		test_fail_at(__FILE__, __LINE__, "%s %s: %ld %s", method, path, answer.code, answer.body);
	if (answer.len > 0)
		test_ok(bh_json_parse(&answer, &json));
	bh_http_answer_clear(&answer);
	bh_http_origin_free(origin);
	return json;
}

void bao_do(const bao *b, const char *method, const char *path, const char *body)
{
	json_decref(bao_ask(b, BAO_ROOT_TOKEN, method, path, body, 0));
}

void bao_token(const bao *b, const char *policies, const char *options, char out[256])
{
	char body[512];

	snprintf(body, sizeof(body), "{\"policies\":[%s],\"display_name\":\"bulkhead\"%s%s}", policies,
		 options[0] != '\0' ? "," : "", options);
	json_t *json = bao_ask(b, BAO_ROOT_TOKEN, "POST", "auth/token/create", body, 200);
	snprintf(out, 256, "%s", bh_json_text(json, "auth.client_token"));
	test_check(out[0] != '\0');
	json_decref(json);
}
