/* SPDX-License-Identifier: Apache-2.0
 *
 * error.c: what Vault's and OpenBao's errors mean. The codes are few, so that the texts have to tell; they are OpenBao 2.7's, and
 * Vault's but for soft deletion, which it does not have. keyring/README.md has this table in words.
 */
#include "server.h"

static const struct {
	long code;
	const char *text; /* that one of the errors contains; NULL: any */
	bh_status status;
} rows[] = {
	{ 400, "message authentication failed", BH_E_TAG },
	{ 400, "version is too new", BH_E_TAG }, /* a version that the key does not have */
	{ 400, "invalid ciphertext", BH_E_FORMAT },
	{ 400, "encryption key not found", BH_E_NOT_FOUND },
	{ 404, NULL, BH_E_NOT_FOUND },
	{ 405, NULL, BH_E_UNSUPPORTED },
	{ 408, NULL, BH_E_KMS_UNREACHABLE },
	{ 412, NULL, BH_E_KMS_UNREACHABLE }, /* a replica that is behind */
	{ 472, NULL, BH_E_KMS_UNREACHABLE }, /* a replica for disasters */
	{ 473, NULL, BH_E_KMS_UNREACHABLE }, /* a standby */
	{ 503, "sealed", BH_E_KMS_SEALED },
};

/* The errors, one after the other. Vault quotes no secrets in them. */
static void errors_text(const bh_http_answer *answer, char *out, size_t size)
{
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	size_t at = 0, index;
	const json_t *one;

	out[0] = '\0';
	if (bh_json_parse(answer, &json) != BH_OK)
		return;
	json_array_foreach(json_object_get(json, "errors"), index, one)
	{
		const char *text = json_string_value(one);
		int wrote = text != NULL ? snprintf(out + at, size - at, "%s%s", at > 0 ? "; " : "", text) : 0;
		at = BH_MIN(at + (size_t)BH_MAX(wrote, 0), size - 1);
	}
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
}

/* What is in no row: the server's own trouble from 500 on; else a no, such as 403, a key that is soft-deleted, or a wrap older than
 * the key's min_decryption_version (both 400). */
static bh_status status_of(long code, const char *text)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].code == code && (rows[i].text == NULL || strstr(text, rows[i].text) != NULL))
			return rows[i].status;
	return code >= 400 && code < 500 ? BH_E_KMS_REFUSED : BH_E_KMS_UNREACHABLE;
}

bh_status bh_vault_error(bh_http_origin *origin, const bh_http_answer *answer)
{
	const char *base = bh_http_origin_base(origin);
	char text[256];

	errors_text(answer, text, sizeof(text));
	if (answer->code == 429)
		return bh_http_throttled(origin, answer, text[0] != '\0' ? text : "429");
	if (answer->code >= 300 && answer->code < 400)
		return bh_fail(BH_E_KMS_UNREACHABLE,
			       "%s: sends its clients elsewhere (%ld), which is not followed: name the active node", base,
			       answer->code);
	return bh_fail(status_of(answer->code, text), "%s: answers %ld%s%s", base, answer->code, text[0] != '\0' ? ": " : "", text);
}
