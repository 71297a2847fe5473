/* SPDX-License-Identifier: Apache-2.0
 *
 * error.c: what AWS's errors mean, by their names. keyring/README.md has this table in words.
 */
#include "error.h"

#include <stdio.h>

/* Ends of names are left out: "ThrottlingException" and "Throttling", "AccessDeniedException" and "AccessDenied" are the same. */
static const struct {
	const char *name;
	bh_status status;
	bool credentials; /* it is them that are no good */
} rows[] = {
	{ "AccessDenied", BH_E_KMS_REFUSED, false },
	{ "Disabled", BH_E_KMS_REFUSED, false },
	{ "KMSInvalidState", BH_E_KMS_REFUSED, false },
	{ "InvalidGrantToken", BH_E_KMS_REFUSED, false },
	{ "NotFound", BH_E_NOT_FOUND, false },
	{ "InvalidCiphertext", BH_E_TAG, false },
	{ "IncorrectKey", BH_E_TAG, false },
	{ "InvalidKeyUsage", BH_E_UNSUPPORTED, false },
	{ "UnsupportedOperation", BH_E_UNSUPPORTED, false },
	{ "UnknownOperation", BH_E_UNSUPPORTED, false },
	{ "InvalidAction", BH_E_UNSUPPORTED, false },
	{ "Throttling", BH_E_KMS_THROTTLED, false },
	{ "Throttled", BH_E_KMS_THROTTLED, false },
	{ "TooManyRequests", BH_E_KMS_THROTTLED, false },
	{ "RequestLimitExceeded", BH_E_KMS_THROTTLED, false },
	{ "LimitExceeded", BH_E_KMS_THROTTLED, false },
	{ "SlowDown", BH_E_KMS_THROTTLED, false },
	{ "KeyUnavailable", BH_E_KMS_UNREACHABLE, false },
	{ "DependencyTimeout", BH_E_KMS_UNREACHABLE, false },
	{ "KMSInternal", BH_E_KMS_UNREACHABLE, false },
	{ "InternalFailure", BH_E_KMS_UNREACHABLE, false },
	{ "InternalError", BH_E_KMS_UNREACHABLE, false },
	{ "RequestTimeout", BH_E_KMS_UNREACHABLE, false },
	{ "IDPCommunicationError", BH_E_KMS_UNREACHABLE, false },
	{ "CloudHsmClusterNotActive", BH_E_KMS_SEALED, false },
	{ "ExpiredToken", BH_E_KMS_REFUSED, true },
	{ "UnrecognizedClient", BH_E_KMS_REFUSED, true },
	{ "InvalidClientTokenId", BH_E_KMS_REFUSED, true },
	{ "InvalidSignature", BH_E_KMS_REFUSED, true },
	{ "SignatureDoesNotMatch", BH_E_KMS_REFUSED, true },
	{ "IncompleteSignature", BH_E_KMS_REFUSED, true },
	{ "MissingAuthenticationToken", BH_E_KMS_REFUSED, true },
	{ "RequestExpired", BH_E_KMS_REFUSED, true },
	{ "InvalidIdentityToken", BH_E_KMS_REFUSED, true },
};

static bool is_name(const char *name, const char *row)
{
	size_t len = strlen(row);

	return strncmp(name, row, len) == 0 && (name[len] == '\0' || strcmp(name + len, "Exception") == 0);
}

/* What is in no row: "not now" and the server's own trouble by their codes; else a no. */
static bh_status status_of(long code, const char *name, bool *credentials_out)
{
	*credentials_out = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (is_name(name, rows[i].name)) {
			*credentials_out = rows[i].credentials;
			return rows[i].status;
		}
	if (code == 429 || code == 503)
		return BH_E_KMS_THROTTLED;
	return code >= 400 && code < 500 && code != 408 ? BH_E_KMS_REFUSED : BH_E_KMS_UNREACHABLE;
}

/* A text as it may be shown. Of a wrong signature AWS says what was signed, a session token among it. */
static void text_show(const char *text, bool credentials, char *out, size_t size)
{
	snprintf(out, size, "%s%.200s", text[0] != '\0' && !credentials ? ": " : "", credentials ? "" : text);
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p == 0x7f)
			*p = ' ';
}

bh_status bh_aws_error_named(bh_http_origin *origin, const bh_http_answer *answer, const char *name, const char *text,
			     bool *credentials_out)
{
	const char *base = bh_http_origin_base(origin);
	char what[80], shown[220];
	bool plain = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.") == strlen(name);

	snprintf(what, sizeof(what), "%ld%s%.64s", answer->code, plain && name[0] != '\0' ? " " : "", plain ? name : "");
	if (answer->code >= 300 && answer->code < 400) {
		*credentials_out = false;
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s: sends its clients elsewhere (%s), which is not followed", base, what);
	}
	bh_status status = status_of(answer->code, name, credentials_out);
	if (status == BH_E_KMS_THROTTLED)
		return bh_http_throttled(origin, answer, what);
	text_show(text, *credentials_out, shown, sizeof(shown));
	return bh_fail(status, "%s: answers %s%s", base, what, shown);
}

/* "com.amazonaws.kms#NotFoundException" is what comes after '#'. */
bh_status bh_aws_error(bh_http_origin *origin, const bh_http_answer *answer, bool *credentials_out)
{
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	const char *name = "", *text = "";

	if (bh_json_parse(answer, &json) == BH_OK) {
		name = bh_json_text(json, "__type");
		text = bh_json_text(json, bh_json_at(json, "message") != NULL ? "message" : "Message");
	}
	if (strchr(name, '#') != NULL)
		name = strchr(name, '#') + 1;
	return bh_aws_error_named(origin, answer, name, text, credentials_out);
}
