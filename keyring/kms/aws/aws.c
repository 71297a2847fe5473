/* SPDX-License-Identifier: Apache-2.0
 *
 * aws.c: see aws.h. A key is a symmetric one, of one region. The encryption context is AWS's own, each line a pair.
 *
 * A wrap: u8 format = 1, u32 key version, SHA-256 over format, version, the key's ARN, a zero byte and the ciphertext; then the
 * ciphertext as AWS gave it. What it looks like is AWS's affair; the digest finds what is damaged, or another key's, before anybody
 * is asked. (Whether AWS opens it to the right DEK is seen by the DEK's id.)
 *
 * AWS says of no ciphertext which material it is under. A version is one more than the rotations that the key had before the wrap.
 *
 * Thread-safety: `self` is immutable after open; the server is shared.
 */
#include "aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "arn.h"
#include "keyring/crypto/kdf.h"
#include "server.h"

#define WRAP_FORMAT 1
#define WRAP_PREFIX_LEN (1 + 4)
#define WRAP_HEAD_LEN (WRAP_PREFIX_LEN + BH_SHA256_LEN)
#define SEALED_MAX (BH_KMS_WRAPPED_MAX - WRAP_HEAD_LEN)
#define CONTEXT_MAX 512
#define BODY_MAX (2048 + 2 * CONTEXT_MAX + BH_BASE64_SIZE(SEALED_MAX))
#define DELETION_DAYS 7 /* the least that AWS takes */

typedef struct aws_kms {
	char uri[BH_KMS_URI_MAX + 1];
	bh_aws_arn arn; /* the key's, however it was named */
	bh_aws_server *server;
	uint32_t timeout_ms;
} aws_kms;

static bh_status no_answer_in_form(const aws_kms *kms, const char *what)
{
	return bh_fail(BH_E_FORMAT, "CMK '%s': the answer has no %s", kms->uri, what);
}

static bh_status ask(const aws_kms *kms, const char *operation, bh_view body, int64_t deadline_ms, json_t **out)
{
	return bh_fail_prefix(bh_aws_ask(kms->server, operation, body, deadline_ms, out), "CMK '%s'", kms->uri);
}

/* {"KeyId": <ARN><more>}. ARNs need no quoting. */
static bh_status ask_of_key(const aws_kms *kms, const char *operation, const char *more, int64_t deadline_ms, json_t **out)
{
	char body[BH_AWS_ARN_MAX + 128];

	snprintf(body, sizeof(body), "{\"KeyId\":\"%s\"%s}", kms->arn.text, more);
	return ask(kms, operation, bh_view_str(body), deadline_ms, out);
}

/* ---- open, close, describe */

static void aws_close(void *self)
{
	aws_kms *kms = self;

	bh_aws_server_unref(kms->server);
	free(kms);
}

static void aws_closep(aws_kms **kms)
{
	if (*kms != NULL)
		aws_close(*kms);
}

/* What a CMK has to be; its own name, where it was asked for by an alias. */
static bh_status key_check(const aws_kms *kms, const json_t *key, bh_aws_arn *arn_out)
{
	const char *spec = bh_json_text(key, bh_json_at(key, "KeySpec") != NULL ? "KeySpec" : "CustomerMasterKeySpec");

	BH_TRY(bh_fail_prefix(bh_aws_arn_parse(bh_json_text(key, "Arn"), arn_out), "CMK '%s': the answer", kms->uri));
	if (bh_json_true(key, "MultiRegion"))
		return bh_fail(BH_E_UNSUPPORTED,
			       "CMK '%s': a multi-region key, whose material is in other regions as well; use a key of one region",
			       kms->uri);
	if (strcmp(spec, "SYMMETRIC_DEFAULT") != 0 || strcmp(bh_json_text(key, "KeyUsage"), "ENCRYPT_DECRYPT") != 0)
		return bh_fail(BH_E_UNSUPPORTED,
			       "CMK '%s': is of kind %.40s, for %.40s; SYMMETRIC_DEFAULT, for ENCRYPT_DECRYPT, is needed", kms->uri,
			       spec, bh_json_text(key, "KeyUsage"));
	if (arn_out->is_alias || (!kms->arn.is_alias && strcmp(arn_out->text, kms->arn.text) != 0) ||
	    strcmp(arn_out->region, kms->arn.region) != 0)
		return bh_fail(BH_E_FORMAT, "CMK '%s': the answer is of %s", kms->uri, arn_out->text);
	return BH_OK;
}

static bh_status key_read(const aws_kms *kms, int64_t deadline_ms, bh_aws_arn *arn_out, json_t **out)
{
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;

	BH_TRY(ask_of_key(kms, "DescribeKey", "", deadline_ms, &json));
	if (bh_json_at(json, "KeyMetadata.Arn") == NULL)
		return no_answer_in_form(kms, "key");
	BH_TRY(key_check(kms, bh_json_at(json, "KeyMetadata"), arn_out));
	*out = json;
	json = NULL;
	return BH_OK;
}

static bh_status aws_open(const char *uri, const bh_kms_options *options, bh_kms_session *session, void **self_out)
{
	BH_CLEANUP(aws_closep) aws_kms *kms = calloc(1, sizeof(*kms));
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	bh_aws_arn arn;

	(void)session;
	if (kms == NULL)
		return bh_fail(BH_E_NOMEM, "CMK '%s': no memory to open it", uri);
	kms->timeout_ms = bh_kms_timeout_ms(options);
	snprintf(kms->uri, sizeof(kms->uri), "%s", uri);
	BH_TRY(bh_aws_uri_parse(uri, &kms->arn));
	BH_TRY(bh_fail_prefix(bh_aws_server_get(&kms->arn, &kms->server), "CMK '%s'", uri));
	BH_TRY(key_read(kms, bh_http_deadline_ms(kms->timeout_ms), &arn, &json));
	kms->arn = arn;
	*self_out = kms;
	kms = NULL;
	return BH_OK;
}

static bh_status aws_resolve(const char *uri, const bh_kms_options *options, char *out)
{
	void *self = NULL;
	bh_aws_arn arn;

	out[0] = '\0';
	if (bh_aws_uri_parse(uri, &arn) != BH_OK || !arn.is_alias)
		return BH_OK;
	BH_TRY(aws_open(uri, options, NULL, &self));
	snprintf(out, BH_KMS_URI_MAX + 1, "aws-kms://%s", ((const aws_kms *)self)->arn.text);
	aws_close(self);
	return BH_OK;
}

/* AWS's times are seconds, with parts of them. */
static int64_t time_at(const json_t *json, const char *path)
{
	double seconds = json_number_value(bh_json_at(json, path));

	return seconds > 0 && seconds < 1e11 ? (int64_t)seconds : 0;
}

static bh_status state_read(const aws_kms *kms, const json_t *json, bh_kms_key_state *out)
{
	const char *state = bh_json_text(json, "KeyMetadata.KeyState");

	if (state[0] == '\0')
		return no_answer_in_form(kms, "state");
	if (strcmp(state, "Enabled") == 0)
		*out = BH_KMS_ENABLED;
	else if (strcmp(state, "PendingDeletion") == 0 || strcmp(state, "PendingReplicaDeletion") == 0)
		*out = BH_KMS_PENDING_DELETION;
	else
		*out = BH_KMS_DISABLED; /* or without its material: it wraps and unwraps nothing */
	return BH_OK;
}

/* What cannot be asked for, by this principal or at this key, counts as no rotation. */
static bh_status version_read(const aws_kms *kms, int64_t deadline_ms, uint32_t *out)
{
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	const bh_message kept = bh_message_keep();

	bh_status status = ask_of_key(kms, "ListKeyRotations", ",\"Limit\":1000", deadline_ms, &json);
	*out = 1;
	if (bh_kms_gave_no_answer(status) || status == BH_E_NOMEM)
		return status;
	if (status == BH_OK)
		*out += (uint32_t)json_array_size(bh_json_at(json, "Rotations"));
	bh_message_restore(&kept);
	return BH_OK;
}

static bh_status aws_describe(void *self, bh_kms_key_info *out)
{
	const aws_kms *kms = self;
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	int64_t deadline_ms = bh_http_deadline_ms(kms->timeout_ms);
	bh_aws_arn arn;

	BH_TRY(key_read(kms, deadline_ms, &arn, &json));
	BH_TRY(state_read(kms, json, &out->state));
	BH_TRY(version_read(kms, deadline_ms, &out->version));
	snprintf(out->name, sizeof(out->name), "%.64s", strchr(arn.key, '/') + 1);
	snprintf(out->region, sizeof(out->region), "%s", arn.region);
	out->created_at_s = out->changed_at_s = time_at(json, "KeyMetadata.CreationDate");
	out->scheduled_s = time_at(json, "KeyMetadata.DeletionDate");
	return BH_OK;
}

/* ---- wrap and unwrap: encode and decode side by side */

/* A pair of each line "name=value"; one without a value is left out. */
static bh_status context_add(bh_view context, char *out, size_t size)
{
	size_t at = 0;
	bool first = true;

	for (size_t i = 0; i < context.len;) {
		const uint8_t *line = context.data + i;
		const uint8_t *end = memchr(line, '\n', context.len - i), *equals = memchr(line, '=', context.len - i);
		if (end == NULL || equals == NULL || equals > end || equals == line || context.len > CONTEXT_MAX)
			return bh_fail(BH_E_INVALID, "a context that is no lines of name=value, or is longer than %d bytes",
				       CONTEXT_MAX);
		for (const uint8_t *p = line; p < end; p++)
			if (*p < 0x20 || *p >= 0x7f || *p == '"' || *p == '\\')
				return bh_fail(BH_E_INVALID, "a context with a byte that is none of a name");
		if (end > equals + 1) {
			at += (size_t)snprintf(out + at, size - at, "%s\"%.*s\":\"%.*s\"", first ? "" : ",", (int)(equals - line),
					       (const char *)line, (int)(end - equals - 1), (const char *)equals + 1);
			first = false;
		}
		i += (size_t)(end - line) + 1;
	}
	return BH_OK;
}

/* {"KeyId": <ARN>, "EncryptionContext": {...}, "<name>": <bytes in base64>}, in locked memory. */
static bh_status body_make(const aws_kms *kms, const char *name, bh_view bytes, bh_view context, bh_secret *out)
{
	char pairs[3 * CONTEXT_MAX] = "";

	BH_TRY(bh_fail_prefix(context_add(context, pairs, sizeof(pairs)), "CMK '%s'", kms->uri));
	BH_TRY(bh_secret_init(out, BODY_MAX));
	int at = snprintf((char *)out->data, out->len, "{\"KeyId\":\"%s\",\"EncryptionContext\":{%s},\"%s\":\"", kms->arn.text,
			  pairs, name);
	bh_base64(bytes.data, bytes.len, (char *)out->data + at);
	at += (int)BH_BASE64_SIZE(bytes.len) - 1;
	snprintf((char *)out->data + at, out->len - (size_t)at, "\"}");
	return BH_OK;
}

static bh_status digest_make(const aws_kms *kms, const uint8_t *prefix, bh_view sealed, uint8_t out[BH_SHA256_LEN])
{
	const bh_view parts[] = { bh_view_of(prefix, WRAP_PREFIX_LEN), bh_view_str(kms->arn.text), bh_view_of("", 1), sealed };

	return bh_sha256_parts(parts, sizeof(parts) / sizeof(parts[0]), out);
}

/* An answer is of the key that was asked. */
static bh_status answered_by_key(const aws_kms *kms, const json_t *json)
{
	if (strcmp(bh_json_text(json, "KeyId"), kms->arn.text) != 0)
		return bh_fail(BH_E_TAG, "CMK '%s': the answer is another key's", kms->uri);
	return BH_OK;
}

/* base64 of `*len_out` bytes, whatever they are. */
static bh_status ciphertext_read(const aws_kms *kms, const json_t *json, uint8_t *out, size_t *len_out)
{
	const char *text = bh_json_text(json, "CiphertextBlob");
	size_t len = strlen(text), pad = len >= 4 && len % 4 == 0 ? (size_t)(text[len - 1] == '=') + (text[len - 2] == '=') : 0;

	*len_out = len / 4 * 3 - pad;
	if (len < 4 || len % 4 != 0 || *len_out > SEALED_MAX)
		return no_answer_in_form(kms, "ciphertext that could be one of a data key");
	return bh_fail_prefix(bh_unbase64(text, out, *len_out), "CMK '%s'", kms->uri);
}

static bh_status wrapped_put(const aws_kms *kms, const json_t *json, uint32_t version, bh_kms_wrapped *out)
{
	size_t len = 0;

	BH_TRY(answered_by_key(kms, json));
	BH_TRY(ciphertext_read(kms, json, out->bytes + WRAP_HEAD_LEN, &len));
	out->bytes[0] = WRAP_FORMAT;
	bh_put_u32(out->bytes + 1, version);
	out->len = WRAP_HEAD_LEN + len;
	out->version = version;
	return digest_make(kms, out->bytes, bh_view_of(out->bytes + WRAP_HEAD_LEN, len), out->bytes + WRAP_PREFIX_LEN);
}

static bh_status wrapped_get(const aws_kms *kms, bh_view wrapped, bh_view *sealed_out)
{
	uint8_t digest[BH_SHA256_LEN];

	if (wrapped.len > 0 && wrapped.data[0] != WRAP_FORMAT)
		return bh_fail(BH_E_VERSION, "CMK '%s': wrap of format %u; this build knows %d", kms->uri, wrapped.data[0],
			       WRAP_FORMAT);
	if (wrapped.len <= WRAP_HEAD_LEN || wrapped.len > BH_KMS_WRAPPED_MAX)
		return bh_fail(BH_E_FORMAT, "CMK '%s': wrap of %zu bytes", kms->uri, wrapped.len);
	*sealed_out = bh_view_of(wrapped.data + WRAP_HEAD_LEN, wrapped.len - WRAP_HEAD_LEN);
	BH_TRY(digest_make(kms, wrapped.data, *sealed_out, digest));
	if (memcmp(digest, wrapped.data + WRAP_PREFIX_LEN, sizeof(digest)) != 0)
		return bh_fail(BH_E_TAG, "CMK '%s': a wrap that is damaged, or of another key", kms->uri);
	return BH_OK;
}

static bh_status aws_wrap(void *self, const uint8_t *dek, bh_view context, bh_kms_wrapped *out)
{
	const aws_kms *kms = self;
	BH_CLEANUP(bh_secret_clear) bh_secret body = { 0 };
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	int64_t deadline_ms = bh_http_deadline_ms(kms->timeout_ms);
	uint32_t version = 1;

	BH_TRY(body_make(kms, "Plaintext", bh_view_of(dek, BH_DEK_LEN), context, &body));
	BH_TRY(version_read(kms, deadline_ms, &version));
	BH_TRY(ask(kms, "Encrypt", bh_view_str((const char *)body.data), deadline_ms, &json));
	return wrapped_put(kms, json, version, out);
}

static bh_status aws_unwrap(void *self, bh_view wrapped, bh_view context, uint8_t *dek_out)
{
	const aws_kms *kms = self;
	BH_CLEANUP(bh_secret_clear) bh_secret body = { 0 };
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	bh_view sealed;

	BH_TRY(wrapped_get(kms, wrapped, &sealed));
	BH_TRY(body_make(kms, "CiphertextBlob", sealed, context, &body));
	BH_TRY(ask(kms, "Decrypt", bh_view_str((const char *)body.data), bh_http_deadline_ms(kms->timeout_ms), &json));
	if (bh_json_at(json, "Plaintext") == NULL)
		return no_answer_in_form(kms, "plaintext");
	BH_TRY(answered_by_key(kms, json));
	return bh_fail_prefix(bh_unbase64(bh_json_text(json, "Plaintext"), dek_out, BH_DEK_LEN), "CMK '%s': its answer", kms->uri);
}

/* ---- the end of a key, and the owner's console */

/* Asked of a key that has a date it would set another one. When the first request came, AWS does not keep. */
static bh_status aws_destroy(void *self, bh_kms_evidence *out)
{
	const aws_kms *kms = self;
	BH_CLEANUP(bh_json_clear) json_t *before = NULL;
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	int64_t deadline_ms = bh_http_deadline_ms(kms->timeout_ms), now_s = (int64_t)time(NULL);
	bh_kms_key_state state;
	char window[48];
	bh_aws_arn arn;

	BH_TRY(key_read(kms, deadline_ms, &arn, &before));
	BH_TRY(state_read(kms, before, &state));
	if (state == BH_KMS_PENDING_DELETION) {
		out->scheduled_s = time_at(before, "KeyMetadata.DeletionDate");
		out->at_s = BH_MIN(now_s, out->scheduled_s - DELETION_DAYS * 86400);
	} else {
		snprintf(window, sizeof(window), ",\"PendingWindowInDays\":%d", DELETION_DAYS);
		BH_TRY(ask_of_key(kms, "ScheduleKeyDeletion", window, deadline_ms, &json));
		out->scheduled_s = time_at(json, "DeletionDate");
		out->at_s = now_s;
	}
	out->state = BH_KMS_PENDING_DELETION;
	snprintf(out->request_id, sizeof(out->request_id), "%s", bh_kms_request_id());
	return BH_OK;
}

static bh_status aws_rotate(void *self, uint32_t *version_out)
{
	const aws_kms *kms = self;
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	int64_t deadline_ms = bh_http_deadline_ms(kms->timeout_ms);

	BH_TRY(ask_of_key(kms, "RotateKeyOnDemand", "", deadline_ms, &json));
	return version_read(kms, deadline_ms, version_out);
}

static bh_status aws_set_state(void *self, bh_kms_key_state state)
{
	const aws_kms *kms = self;
	BH_CLEANUP(bh_json_clear) json_t *before = NULL;
	BH_CLEANUP(bh_json_clear) json_t *kept = NULL;
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	int64_t deadline_ms = bh_http_deadline_ms(kms->timeout_ms);
	bh_kms_key_state now;
	bh_aws_arn arn;

	BH_TRY(key_read(kms, deadline_ms, &arn, &before));
	BH_TRY(state_read(kms, before, &now));
	if (now == BH_KMS_PENDING_DELETION && state != BH_KMS_ENABLED)
		return bh_fail(BH_E_KMS_REFUSED, "CMK '%s': is pending deletion, and can only be enabled", kms->uri);
	if (now == BH_KMS_PENDING_DELETION)
		BH_TRY(ask_of_key(kms, "CancelKeyDeletion", "", deadline_ms, &kept));
	return ask_of_key(kms, state == BH_KMS_ENABLED ? "EnableKey" : "DisableKey", "", deadline_ms, &json);
}

const bh_kms_provider bh_kms_provider_aws = {
	.size = sizeof(bh_kms_provider),
	.scheme = "aws-kms",
	.example = "aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID",
	.console = "with AWS's console or command line",
	.open = aws_open,
	.close = aws_close,
	.describe = aws_describe,
	.wrap = aws_wrap,
	.unwrap = aws_unwrap,
	.destroy = aws_destroy,
	.resolve = aws_resolve,
	.rotate = aws_rotate,
	.set_state = aws_set_state,
};
