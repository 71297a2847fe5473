/* SPDX-License-Identifier: Apache-2.0
 *
 * sts.c: see sts.h. Questions are forms, answers XML, of which a few elements are looked for by name: they stand in it once.
 */
#include "sts.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "call.h"
#include "error.h"

#define TOKEN_SIZE (20u << 10)  /* a web identity's */
#define SESSION_SIZE (8u << 10) /* of a session token */

int64_t bh_aws_time(const char *text)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (rest == NULL)
		return 0;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	return strcmp(rest, "Z") == 0 || strcmp(rest, "+00:00") == 0 ? (int64_t)timegm(&tm) : 0;
}

/* The text of the element; "" where it is not there or has more than text in it. */
static void element(const bh_http_answer *answer, const char *name, char *out, size_t size)
{
	char tag[40];

	out[0] = '\0';
	snprintf(tag, sizeof(tag), "<%s>", name);
	const char *begin = strstr(answer->body, tag);
	if (begin == NULL)
		return;
	begin += strlen(tag);
	size_t len = strcspn(begin, "<&");
	if (begin[len] == '<' && begin[len + 1] == '/' && len < size) {
		memcpy(out, begin, len);
		out[len] = '\0';
	}
}

static bh_status element_secret(const bh_http_answer *answer, const char *name, bh_secret *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 };

	BH_TRY(bh_secret_init(&room, SESSION_SIZE));
	element(answer, name, (char *)room.data, room.len);
	return bh_aws_secret_text((const char *)room.data, out);
}

static bh_status answer_take(bh_http_origin *origin, const bh_http_answer *answer, bh_aws_credentials *out)
{
	char name[65], text[256], until[40];
	bool unused;

	if (answer->code != 200) {
		element(answer, "Code", name, sizeof(name));
		element(answer, "Message", text, sizeof(text));
		bh_status status = bh_aws_error_named(origin, answer, name, text, &unused);
		/* That it knows no such role or way in is a no: "not found" would be the key. */
		return status == BH_E_NOT_FOUND || status == BH_E_UNSUPPORTED ? BH_E_KMS_REFUSED : status;
	}
	BH_TRY(element_secret(answer, "AccessKeyId", &out->access_key));
	BH_TRY(element_secret(answer, "SecretAccessKey", &out->secret_key));
	BH_TRY(element_secret(answer, "SessionToken", &out->token));
	element(answer, "Expiration", until, sizeof(until));
	element(answer, "Arn", out->principal, sizeof(out->principal));
	out->expires_at_s = bh_aws_time(until);
	if (out->token.len == 0 || out->expires_at_s == 0)
		return bh_fail(BH_E_FORMAT, "%s: an answer without credentials", bh_http_origin_base(origin));
	return BH_OK;
}

/* "&NAME=VALUE", by the form's rules. */
static void form_add(bh_secret *form, const char *name, const char *value)
{
	size_t at = strlen((const char *)form->data);

	at += (size_t)snprintf((char *)form->data + at, form->len - at, "&%s=", name);
	for (; *value != '\0' && form->len - at > 4; value++)
		at += (size_t)snprintf((char *)form->data + at, form->len - at,
				       isalnum((unsigned char)*value) || strchr("-._~", *value) != NULL ? "%c" : "%%%02X",
				       (unsigned char)*value);
}

static void origin_freep(bh_http_origin **origin)
{
	bh_http_origin_free(*origin);
}

/* By `by`, or without a signature. */
static bh_status assume(const bh_aws_environment *environment, const char *action, const bh_aws_role *role, const char *token,
			const bh_aws_credentials *by, int64_t deadline_ms, bh_aws_credentials *out)
{
	BH_CLEANUP(origin_freep) bh_http_origin *origin = NULL;
	BH_CLEANUP(bh_http_answer_clear) bh_http_answer answer = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret form = { 0 };

	BH_TRY(bh_secret_init(&form,
			      4096 + 3 * (strlen(token) + strlen(role->arn) + strlen(role->session) + strlen(role->external_id))));
	snprintf((char *)form.data, form.len, "Action=%s&Version=2011-06-15", action);
	form_add(&form, "RoleArn", role->arn);
	form_add(&form, "RoleSessionName", role->session[0] != '\0' ? role->session : "bulkhead");
	if (role->external_id[0] != '\0' && by != NULL)
		form_add(&form, "ExternalId", role->external_id);
	if (by == NULL)
		form_add(&form, "WebIdentityToken", token);
	BH_TRY(bh_aws_endpoint(environment, "sts", &origin));
	const bh_aws_call call = { .service = "sts",
				   .region = environment->region,
				   .content_type = "application/x-www-form-urlencoded",
				   .body = bh_view_str((const char *)form.data),
				   .deadline_ms = deadline_ms };
	BH_TRY(bh_fail_prefix(bh_aws_call_make(origin, &call, by, &answer), "assuming %.200s", role->arn));
	return bh_fail_prefix(answer_take(origin, &answer, out), "assuming %.200s", role->arn);
}

bh_status bh_aws_assume(const bh_aws_environment *environment, const bh_aws_role *role, const bh_aws_credentials *by,
			int64_t deadline_ms, bh_aws_credentials *out)
{
	return assume(environment, "AssumeRole", role, "", by, deadline_ms, out);
}

bh_status bh_aws_assume_by_token(const bh_aws_environment *environment, const bh_aws_role *role, const char *token_file,
				 int64_t deadline_ms, bh_aws_credentials *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret token = { 0 };
	bool read = false;

	BH_TRY(bh_secret_file(token_file, TOKEN_SIZE, &read, &token));
	if (!read)
		return bh_fail(BH_E_KMS_REFUSED, "AWS_WEB_IDENTITY_TOKEN_FILE: %.200s cannot be read, or is empty", token_file);
	return assume(environment, "AssumeRoleWithWebIdentity", role, (const char *)token.data, NULL, deadline_ms, out);
}
