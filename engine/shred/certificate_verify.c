/* SPDX-License-Identifier: Apache-2.0
 *
 * certificate_verify.c: checks certificates, and reads what it needs of them.
 *
 * What is signed is the object without "signature", printed compactly with sorted members: so it is printed like this again, from
 * what was parsed, and nothing is taken out of it before the signature holds.
 */
#include "certificate.h"

#include <jansson.h>
#include <stdlib.h>

static bh_status malformed(const char *what)
{
	return bh_fail(BH_E_FORMAT, "not the certificate of a shred: %s", what);
}

static void json_release(json_t **json)
{
	json_decref(*json);
}

static bh_status parse(bh_view text, json_t **out)
{
	json_error_t error;

	if (text.len > BH_CERTIFICATE_MAX)
		return malformed("too large");
	*out = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
	if (*out == NULL)
		return bh_fail(BH_E_FORMAT, "not the certificate of a shred: line %d: %s", error.line, error.text);
	return json_is_object(*out) ? BH_OK : malformed("no JSON object");
}

static const char *text_at(const json_t *object, const char *part, const char *name)
{
	return json_string_value(json_object_get(part != NULL ? json_object_get(object, part) : object, name));
}

static bh_status check_kind(const json_t *certificate)
{
	const char *format = text_at(certificate, NULL, "format");
	const json_t *version = json_object_get(certificate, "version");

	if (format == NULL || strcmp(format, BH_CERTIFICATE_FORMAT) != 0)
		return malformed("another format, or none");
	if (!json_is_integer(version))
		return malformed("no version");
	if (json_integer_value(version) != BH_CERTIFICATE_VERSION)
		return bh_fail(BH_E_VERSION, "a certificate of version %lld; this build knows version %d",
			       (long long)json_integer_value(version), BH_CERTIFICATE_VERSION);
	return BH_OK;
}

static bh_status hex_at(const json_t *object, const char *part, const char *name, uint8_t *out, size_t len)
{
	const char *text = text_at(object, part, name);

	if (text == NULL || strlen(text) != 2 * len || bh_unhex(text, out, len) != BH_OK)
		return bh_fail(BH_E_FORMAT, "not the certificate of a shred: its %s is not there, or not whole", name);
	return BH_OK;
}

static bh_status check_key(const uint8_t *expected, const uint8_t found[BH_PUBLIC_KEY_LEN])
{
	char hex[2 * BH_PUBLIC_KEY_LEN + 1];

	if (expected == NULL || memcmp(expected, found, BH_PUBLIC_KEY_LEN) == 0)
		return BH_OK;
	bh_hex(found, BH_PUBLIC_KEY_LEN, hex);
	return bh_fail(BH_E_TAG, "the certificate is signed with another key than was asked for: %s", hex);
}

/* Takes "signature" out of the certificate. */
static bh_status check_signature(json_t *certificate, const uint8_t public_key[BH_PUBLIC_KEY_LEN])
{
	uint8_t signature[BH_SIGNATURE_LEN];
	bh_status status;
	char *text;

	BH_TRY(hex_at(certificate, NULL, "signature", signature, sizeof(signature)));
	json_object_del(certificate, "signature");
	text = json_dumps(certificate, JSON_COMPACT | JSON_SORT_KEYS);
	if (text == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a certificate");
	status = bh_sign_verify(public_key, bh_view_str(text), signature);
	free(text);
	return status == BH_E_TAG
		       ? bh_fail(status, "the certificate was changed after it was signed, or never signed with this key")
		       : status;
}

static bh_status copy_text(const json_t *certificate, const char *part, const char *name, char *out, size_t size)
{
	const char *text = text_at(certificate, part, name);

	if (text == NULL || strlen(text) >= size)
		return malformed(name);
	memcpy(out, text, strlen(text) + 1);
	return BH_OK;
}

static bh_status read_info(const json_t *certificate, bh_certificate_info *out)
{
	const char *status = text_at(certificate, NULL, "status");

	if (status == NULL || (strcmp(status, "FINAL") != 0 && strcmp(status, "PENDING") != 0))
		return malformed("no status");
	out->is_final = strcmp(status, "FINAL") == 0;
	BH_TRY(copy_text(certificate, "database", "id", out->database_id, sizeof(out->database_id)));
	BH_TRY(copy_text(certificate, "merchant", "name", out->merchant, sizeof(out->merchant)));
	return copy_text(certificate, "merchant", "id", out->merchant_id, sizeof(out->merchant_id));
}

bh_status bh_certificate_verify(bh_view json, const uint8_t *public_key, bh_certificate_info *info_out)
{
	BH_CLEANUP(json_release) json_t *certificate = NULL;
	bh_certificate_info info = { 0 };

	BH_TRY(parse(json, &certificate));
	BH_TRY(check_kind(certificate));
	BH_TRY(hex_at(certificate, "database", "public_key", info.public_key, sizeof(info.public_key)));
	BH_TRY(check_key(public_key, info.public_key));
	BH_TRY(check_signature(certificate, info.public_key));
	BH_TRY(read_info(certificate, &info));
	if (info_out != NULL)
		*info_out = info;
	return bh_done(BH_OK);
}

bh_status bh_certificate_salts(bh_view json, bh_salts *out)
{
	BH_CLEANUP(json_release) json_t *certificate = NULL;
	BH_CLEANUP(bh_salts_clear) bh_salts salts = { 0 };
	const json_t *item;
	size_t i;

	BH_TRY(parse(json, &certificate));
	json_array_foreach(json_object_get(json_object_get(json_object_get(certificate, "scope"), "files"), "salts"), i, item)
	{
		const char *text = json_string_value(item);
		uint8_t salt[BH_SALT_LEN];

		if (text == NULL || bh_unhex(text, salt, sizeof(salt)) != BH_OK)
			return malformed("a salt");
		BH_TRY(bh_salts_add(&salts, salt));
	}
	*out = salts;
	salts = (bh_salts){ 0 };
	return BH_OK;
}
