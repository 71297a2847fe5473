/* SPDX-License-Identifier: Apache-2.0
 *
 * metadata.c: see metadata.h.
 */
#include "metadata.h"

#include <stdio.h>

#include "keyring/kms/http/json.h"
#include "keyring/kms/provider/uri.h"
#include "sts.h"

#define TOKEN_SIZE (8u << 10)
#define PATH_SIZE_MAX 1024
#define CONTAINER "http://169.254.170.2"
#define INSTANCE "http://169.254.169.254"
#define INSTANCE_ROLES "/latest/meta-data/iam/security-credentials/"

typedef struct place {
	bh_http_origin *origin;
	char path[PATH_SIZE_MAX];
} place;

static void place_clear(place *p)
{
	bh_http_origin_free(p->origin);
}

static bool is_of_the_machine(const bh_kms_uri *uri)
{
	static const char *const hosts[] = { "169.254.170.2", "169.254.170.23", "169.254.169.254", "fd00:ec2::23",
					     "fd00:ec2::254" };

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (strcmp(uri->host, hosts[i]) == 0)
			return true;
	return uri->is_loopback;
}

static bh_status place_of_url(const char *url, place *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 }; /* too large for a stack */
	const bh_http_tls tls = { 0 };
	char base[320];
	bool plain = strncmp(url, "http://", 7) == 0;

	BH_TRY(bh_secret_init(&room, sizeof(bh_kms_uri)));
	bh_kms_uri *parsed = (bh_kms_uri *)(void *)room.data;
	if (strlen(url) > BH_KMS_URI_MAX || (!plain && strncmp(url, "https://", 8) != 0) ||
	    bh_kms_uri_parse(url, parsed) != BH_OK || (plain && !is_of_the_machine(parsed)))
		return bh_fail(BH_E_INVALID, "AWS: %.200s is no place where this machine's credentials could be", url);
	snprintf(base, sizeof(base), "%s://%s%s%s:%u", plain ? "http" : "https", parsed->is_ipv6 ? "[" : "", parsed->host,
		 parsed->is_ipv6 ? "]" : "",
		 parsed->port != 0 ? parsed->port
		 : plain           ? 80
				   : 443);
	const char *path = strchr(strstr(url, "://") + 3, '/'); /* as it is written */
	snprintf(out->path, sizeof(out->path), "%s", path != NULL ? path : "/");
	return bh_http_origin_new(base, &tls, &out->origin);
}

static bh_status ask(const place *p, const char *method, const char *path, const char *name, const char *value, int64_t deadline_ms,
		     bh_http_answer *out)
{
	bh_http_request request = { .method = method, .path = path, .deadline_ms = deadline_ms };

	if (value != NULL && value[0] != '\0') {
		request.headers[0].name = name;
		request.headers[0].value = value;
	}
	BH_TRY(bh_http_call(p->origin, &request, out));
	if (out->code == 429 || out->code >= 500)
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s%s: answers %ld", bh_http_origin_base(p->origin), path, out->code);
	if (out->code != 200)
		return bh_fail(BH_E_KMS_REFUSED, "%s%s: answers %ld: has this machine a role?", bh_http_origin_base(p->origin),
			       path, out->code);
	return BH_OK;
}

static bh_status answer_take(const place *p, const bh_http_answer *answer, const char *who, bh_aws_credentials *out)
{
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;

	BH_TRY(bh_fail_prefix(bh_json_parse(answer, &json), "%s", bh_http_origin_base(p->origin)));
	BH_TRY(bh_aws_secret_text(bh_json_text(json, "AccessKeyId"), &out->access_key));
	BH_TRY(bh_aws_secret_text(bh_json_text(json, "SecretAccessKey"), &out->secret_key));
	BH_TRY(bh_aws_secret_text(bh_json_text(json, "Token"), &out->token));
	out->expires_at_s = bh_aws_time(bh_json_text(json, "Expiration"));
	if (out->access_key.len == 0 || out->secret_key.len == 0 || out->expires_at_s == 0)
		return bh_fail(BH_E_FORMAT, "%s: an answer without credentials", bh_http_origin_base(p->origin));
	snprintf(out->principal, sizeof(out->principal), "%.200s", who[0] != '\0' ? who : bh_json_text(json, "RoleArn"));
	if (out->principal[0] == '\0')
		snprintf(out->principal, sizeof(out->principal), "%.128s", bh_json_text(json, "AccessKeyId"));
	return BH_OK;
}

bh_status bh_aws_container(const bh_aws_environment *environment, int64_t deadline_ms, bh_aws_credentials *out)
{
	const char *full = bh_aws_environment_get(environment, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *relative = bh_aws_environment_get(environment, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *token = bh_aws_environment_get(environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
	const char *file = bh_aws_environment_get(environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	BH_CLEANUP(bh_secret_clear) bh_secret from_file = { 0 };
	BH_CLEANUP(place_clear) place p = { 0 };
	BH_CLEANUP(bh_http_answer_clear) bh_http_answer answer = { 0 };
	char url[PATH_SIZE_MAX];
	bool read = true;

	if (full == NULL && relative == NULL)
		return bh_fail(BH_E_KMS_REFUSED, "AWS: the environment names no credentials of a container");
	snprintf(url, sizeof(url), "%s%s", relative != NULL ? CONTAINER : full, relative != NULL ? relative : "");
	BH_TRY(place_of_url(url, &p));
	if (file != NULL)
		BH_TRY(bh_secret_file(file, TOKEN_SIZE, &read, &from_file));
	if (!read)
		return bh_fail(BH_E_KMS_REFUSED, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %.200s cannot be read, or is empty",
			       file);
	BH_TRY(ask(&p, "GET", p.path, "Authorization", file != NULL ? (const char *)from_file.data : token, deadline_ms, &answer));
	return answer_take(&p, &answer, "", out);
}

static bool is_role(const bh_http_answer *answer)
{
	return answer->len > 0 && answer->len <= 64 &&
	       strspn(answer->body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-") == answer->len;
}

bh_status bh_aws_instance(const bh_aws_environment *environment, int64_t deadline_ms, bh_aws_credentials *out)
{
	const char *disabled = bh_aws_environment_get(environment, "AWS_EC2_METADATA_DISABLED");
	const char *url = bh_aws_environment_get(environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
	BH_CLEANUP(place_clear) place p = { 0 };
	BH_CLEANUP(bh_http_answer_clear) bh_http_answer token = { 0 };
	BH_CLEANUP(bh_http_answer_clear) bh_http_answer role = { 0 };
	BH_CLEANUP(bh_http_answer_clear) bh_http_answer answer = { 0 };
	char path[sizeof(INSTANCE_ROLES) + 64];
	static const char header[] = "X-aws-ec2-metadata-token";

	if (disabled != NULL && strcmp(disabled, "true") == 0)
		return bh_fail(BH_E_KMS_REFUSED, "AWS_EC2_METADATA_DISABLED: they are not looked for");
	BH_TRY(place_of_url(url != NULL ? url : INSTANCE, &p));
	BH_TRY(ask(&p, "PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60", deadline_ms, &token));
	BH_TRY(ask(&p, "GET", INSTANCE_ROLES, header, token.body, deadline_ms, &role));
	while (role.len > 0 && role.body[role.len - 1] == '\n')
		role.body[--role.len] = '\0';
	if (!is_role(&role))
		return bh_fail(BH_E_FORMAT, "%s: an answer without the name of a role", bh_http_origin_base(p.origin));
	snprintf(path, sizeof(path), "%s%s", INSTANCE_ROLES, role.body);
	BH_TRY(ask(&p, "GET", path, header, token.body, deadline_ms, &answer));
	return answer_take(&p, &answer, role.body, out);
}
