/* SPDX-License-Identifier: Apache-2.0
 *
 * uri.c: pkcs11: URIs (RFC 7512), by libp11-kit's parser, which is loaded for it. Two attributes of the query are ours:
 * `bh-init`, a module's own parameters, and `region`. What is not known, or stands there twice, is refused: it might have told one
 * key from another.
 */
#include <p11-kit/uri.h>
#include <pthread.h>
#include <stdio.h>

#include "keyring/kms/provider/library.h"
#include "pin.h"
#include "token.h"

static struct {
	P11KitUri *(*new)(void);
	int (*parse)(const char *text, P11KitUriType type, P11KitUri *uri);
	void (*free)(P11KitUri *uri);
	CK_TOKEN_INFO_PTR (*token)(P11KitUri *uri);
	CK_ATTRIBUTE_PTR (*attribute)(P11KitUri *uri, CK_ATTRIBUTE_TYPE type);
	const char *(*pin_source)(const P11KitUri *uri);
	const char *(*module_path)(const P11KitUri *uri);
	const char *(*vendor)(const P11KitUri *uri, const char *name);
} kit;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bh_status loaded;
static char why[BH_MESSAGE_SIZE];

static void load(void)
{
	const bh_library_symbol symbols[] = {
		{ "p11_kit_uri_new", &kit.new },
		{ "p11_kit_uri_parse", &kit.parse },
		{ "p11_kit_uri_free", &kit.free },
		{ "p11_kit_uri_get_token_info", &kit.token },
		{ "p11_kit_uri_get_attribute", &kit.attribute },
		{ "p11_kit_uri_get_pin_source", &kit.pin_source },
		{ "p11_kit_uri_get_module_path", &kit.module_path },
		{ "p11_kit_uri_get_vendor_query", &kit.vendor },
	};

	loaded = bh_library_load("libp11-kit.so.0", "libp11-kit0", symbols, sizeof(symbols) / sizeof(symbols[0]));
	if (loaded != BH_OK)
		snprintf(why, sizeof(why), "%s", bh_status_message());
}

/* ---- names */

static const char *const path_names[] = { "token", "serial", "manufacturer", "model", "object", "id", "type", NULL };
static const char *const query_names[] = { "module-path", "pin-source", "bh-init", "region", NULL };

/* The number of the name in `known`; -1: it is not there. */
static int name_number(const char *const *known, const char *name, size_t len)
{
	for (int i = 0; known[i] != NULL; i++)
		if (strlen(known[i]) == len && memcmp(known[i], name, len) == 0)
			return i;
	return -1;
}

/* Of NAME=VALUE parts with `between` between them. */
static bh_status names_check(const char *text, size_t len, char between, const char *const *known)
{
	unsigned seen = 0;

	for (size_t at = 0; at < len;) {
		const char *part = text + at, *end = memchr(part, between, len - at);
		size_t part_len = end != NULL ? (size_t)(end - part) : len - at;
		const char *equals = memchr(part, '=', part_len);
		size_t name_len = equals != NULL ? (size_t)(equals - part) : part_len;
		int number = equals != NULL ? name_number(known, part, name_len) : -1;
		if (number < 0)
			return bh_fail(BH_E_INVALID, "pkcs11: URI: '%.*s' is nothing that is known here",
				       (int)BH_MIN(name_len, 64u), part);
		if ((seen & 1u << number) != 0)
			return bh_fail(BH_E_INVALID, "pkcs11: URI: '%s' is there twice", known[number]);
		seen |= 1u << number;
		at += part_len + 1;
	}
	return BH_OK;
}

static bh_status all_names_check(const char *text)
{
	const char *path = strchr(text, ':') + 1;
	size_t len = strcspn(path, "?");

	BH_TRY(names_check(path, len, ';', path_names));
	return path[len] == '?' ? names_check(path + len + 1, strlen(path + len + 1), '&', query_names) : BH_OK;
}

/* ---- values */

static bh_status text_copy(const char *from, const char *what, char *out, size_t size)
{
	if (from != NULL && strlen(from) >= size)
		return bh_fail(BH_E_INVALID, "pkcs11: URI: %s of more than %zu bytes", what, size - 1);
	snprintf(out, size, "%s", from != NULL ? from : "");
	return BH_OK;
}

/* PKCS#11 pads with blanks. */
static void padded_copy(const unsigned char *from, size_t len, char *out)
{
	while (len > 0 && (from[len - 1] == ' ' || from[len - 1] == '\0'))
		len--;
	memcpy(out, from, len);
	out[len] = '\0';
}

static void token_take(P11KitUri *uri, bh_p11_place *out)
{
	const CK_TOKEN_INFO *token = kit.token(uri);

	padded_copy(token->label, sizeof(token->label), out->label);
	padded_copy(token->serialNumber, sizeof(token->serialNumber), out->serial);
	padded_copy(token->manufacturerID, sizeof(token->manufacturerID), out->manufacturer);
	padded_copy(token->model, sizeof(token->model), out->model);
}

static bh_status object_take(P11KitUri *uri, bh_p11_place *out)
{
	const CK_ATTRIBUTE *label = kit.attribute(uri, CKA_LABEL), *id = kit.attribute(uri, CKA_ID);
	const CK_ATTRIBUTE *class = kit.attribute(uri, CKA_CLASS);
	CK_OBJECT_CLASS is = CKO_SECRET_KEY;

	if (class != NULL && class->ulValueLen == sizeof(is))
		memcpy(&is, class->pValue, sizeof(is));
	if (is != CKO_SECRET_KEY)
		return bh_fail(BH_E_INVALID, "pkcs11: URI: a CMK is of type=secret-key");
	if (label != NULL && (label->ulValueLen >= sizeof(out->object) || memchr(label->pValue, 0, label->ulValueLen) != NULL))
		return bh_fail(BH_E_INVALID, "pkcs11: URI: an object's name that is too long");
	if (id != NULL && (id->ulValueLen == 0 || id->ulValueLen > sizeof(out->id)))
		return bh_fail(BH_E_INVALID, "pkcs11: URI: an id of %lu bytes; 1 to %d can be", id->ulValueLen, BH_P11_ID_MAX);
	if (label != NULL)
		snprintf(out->object, sizeof(out->object), "%.*s", (int)label->ulValueLen, (const char *)label->pValue);
	if (id != NULL)
		memcpy(out->id, id->pValue, id->ulValueLen);
	out->id_len = id != NULL ? id->ulValueLen : 0;
	return BH_OK;
}

static bh_status place_check(const bh_p11_place *place)
{
	if (place->module[0] != '/')
		return bh_fail(BH_E_INVALID, "pkcs11: URI: module-path=/PATH/OF/THE/MODULE.so is missing, or not absolute");
	if (place->region[0] != '\0')
		BH_TRY(bh_name_check("region", place->region));
	if (place->label[0] == '\0' && place->serial[0] == '\0')
		return bh_fail(BH_E_INVALID, "pkcs11: URI: names no token: token=LABEL, or serial=NUMBER");
	if (place->object[0] == '\0' && place->id_len == 0)
		return bh_fail(BH_E_INVALID, "pkcs11: URI: names no key: object=NAME, or id=%%01");
	return bh_p11_pin_source_check(place->pin_source);
}

static bh_status place_take(P11KitUri *uri, bh_p11_place *out)
{
	BH_TRY(text_copy(kit.module_path(uri), "module-path", out->module, sizeof(out->module)));
	BH_TRY(text_copy(kit.pin_source(uri), "pin-source", out->pin_source, sizeof(out->pin_source)));
	BH_TRY(text_copy(kit.vendor(uri, "bh-init"), "bh-init", out->init, sizeof(out->init)));
	BH_TRY(text_copy(kit.vendor(uri, "region"), "region", out->region, sizeof(out->region)));
	token_take(uri, out);
	BH_TRY(object_take(uri, out));
	return place_check(out);
}

bh_status bh_p11_place_parse(const char *text, bh_p11_place *out)
{
	bh_p11_place place = { 0 };

	BH_TRY(all_names_check(text));
	pthread_once(&once, load);
	if (loaded != BH_OK)
		return bh_fail(loaded, "%s", why);
	P11KitUri *uri = kit.new();
	if (uri == NULL)
		return bh_fail(BH_E_NOMEM, "no memory to read a pkcs11: URI");
	bh_status status = kit.parse(text, P11_KIT_URI_FOR_ANY, uri) == P11_KIT_URI_OK
				   ? place_take(uri, &place)
				   : bh_fail(BH_E_INVALID, "a pkcs11: URI that is not well formed (RFC 7512)");
	kit.free(uri);
	BH_TRY(status);
	*out = place;
	return BH_OK;
}
