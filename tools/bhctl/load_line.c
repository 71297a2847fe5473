/* SPDX-License-Identifier: Apache-2.0
 *
 * load_line.c: see load_line.h.
 */
#include "load_line.h"

#include <jansson.h>

/* ---- tsv */

/* The byte that the escape at the front of `text` (a backslash) stands for; returns the length of the escape, 0 if it is none. */
static size_t unescape_one(bh_view text, uint8_t *out)
{
	char hex[3] = { 0 };

	if (text.len < 2)
		return 0;
	switch (text.data[1]) {
	case 't': *out = '\t'; return 2;
	case 'n': *out = '\n'; return 2;
	case 'r': *out = '\r'; return 2;
	case '\\': *out = '\\'; return 2;
	case 'x':
		if (text.len < 4)
			return 0;
		memcpy(hex, text.data + 2, 2);
		return bh_unhex(hex, out, 1) == BH_OK ? 4 : 0;
	default: return 0;
	}
}

static bh_status unescape(const char *what, bh_view text, bh_buf *out)
{
	out->len = 0;
	BH_TRY(bh_buf_reserve(out, text.len));
	while (text.len > 0) {
		const uint8_t *slash = memchr(text.data, '\\', text.len);
		size_t plain = slash != NULL ? (size_t)(slash - text.data) : text.len;
		size_t escape = 0;
		uint8_t byte = 0;

		BH_TRY(bh_buf_append(out, text.data, plain));
		text = bh_view_of(text.data + plain, text.len - plain);
		if (text.len == 0)
			return BH_OK;
		escape = unescape_one(text, &byte);
		if (escape == 0)
			return bh_fail(BH_E_INVALID, "the %s has a backslash that begins none of \\t \\n \\r \\\\ \\xHH", what);
		BH_TRY(bh_buf_append_u8(out, byte));
		text = bh_view_of(text.data + escape, text.len - escape);
	}
	return BH_OK;
}

bh_status load_line_tsv(bh_view line, bh_buf *key, bh_buf *value)
{
	const uint8_t *tab = line.len > 0 ? memchr(line.data, '\t', line.len) : NULL;
	size_t key_len;

	if (tab == NULL)
		return bh_fail(BH_E_INVALID, "no tab between key and value");
	key_len = (size_t)(tab - line.data);
	if (memchr(tab + 1, '\t', line.len - key_len - 1) != NULL)
		return bh_fail(BH_E_INVALID, "a second tab: in a value it is written \\t");
	BH_TRY(unescape("key", bh_view_of(line.data, key_len), key));
	return unescape("value", bh_view_of(tab + 1, line.len - key_len - 1), value);
}

/* ---- jsonl */

static bh_status take_hex(const char *name, const char *hex, size_t hex_len, bh_buf *out)
{
	BH_TRY(bh_buf_reserve(out, hex_len / 2 + 1));
	if (hex_len % 2 != 0 || strlen(hex) != hex_len || bh_unhex(hex, out->data, hex_len / 2) != BH_OK)
		return bh_fail(BH_E_INVALID, "\"%s_hex\" is not hex", name);
	out->len = hex_len / 2;
	return BH_OK;
}

static bh_status take_member(const json_t *object, const char *name, const char *name_hex, bh_buf *out)
{
	const json_t *text = json_object_get(object, name), *hex = json_object_get(object, name_hex);

	out->len = 0;
	if (text == NULL && hex == NULL)
		return bh_fail(BH_E_INVALID, "has no \"%s\" (nor \"%s\")", name, name_hex);
	if (text != NULL && hex != NULL)
		return bh_fail(BH_E_INVALID, "has \"%s\" and \"%s\"; one of them is enough", name, name_hex);
	if (!json_is_string(text != NULL ? text : hex))
		return bh_fail(BH_E_INVALID, "\"%s\" is not a string", text != NULL ? name : name_hex);
	if (hex != NULL)
		return take_hex(name, json_string_value(hex), json_string_length(hex), out);
	return bh_buf_append(out, json_string_value(text), json_string_length(text));
}

/* A member that nobody asked for may be a misspelt one, or data that would be lost. */
static bh_status check_members(json_t *object)
{
	static const char *const known[] = { "key", "key_hex", "value", "value_hex" };
	const char *name;
	json_t *member;

	json_object_foreach(object, name, member)
	{
		bool found = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			found = found || strcmp(name, known[i]) == 0;
		if (!found)
			return bh_fail(BH_E_INVALID,
				       "\"%.40s\" is not known; a record has a \"key\" (or \"key_hex\") and a "
				       "\"value\" (or \"value_hex\")",
				       name);
	}
	return BH_OK;
}

bh_status load_line_jsonl(bh_view line, bh_buf *key, bh_buf *value)
{
	json_error_t error;
	json_t *object = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	bh_status status = BH_OK;

	if (!json_is_object(object))
		status = bh_fail(BH_E_INVALID, "is no JSON object: %s", object == NULL ? error.text : "it is another value");
	else
		status = check_members(object);
	if (status == BH_OK)
		status = take_member(object, "key", "key_hex", key);
	if (status == BH_OK)
		status = take_member(object, "value", "value_hex", value);
	json_decref(object);
	return status;
}
