/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c: see json.h.
 */
#include "json.h"

#include <stdio.h>
#include <time.h>

json_t *bh_json_sentence(const char *text)
{
	BH_CLEANUP(bh_buf_clear) bh_buf escaped = { 0 };
	json_t *sentence = json_string(text);

	/* A path in it may be no UTF-8. */
	if (sentence == NULL && bh_escape(bh_view_str(text), false, &escaped) == BH_OK)
		sentence = json_stringn((const char *)escaped.data, escaped.len);
	return sentence;
}

json_t *bh_json_error(bh_status status)
{
	return json_pack("{s:i, s:s, s:o}", "code", bh_status_exit_code(status), "name", bh_status_name(status), "message",
			 bh_json_sentence(bh_status_message()));
}

/* ---- values */

static bh_status append_hex(bh_view bytes, bh_buf *out)
{
	if (bytes.len == 0)
		return BH_OK;
	BH_TRY(bh_buf_reserve(out, 2 * bytes.len + 1));
	bh_hex(bytes.data, bytes.len, (char *)out->data + out->len);
	out->len += 2 * bytes.len;
	return BH_OK;
}

void bh_json_set_bytes(json_t *object, const char *name, bh_view bytes, bool hex)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	char name_hex[64];
	json_t *value = hex ? NULL : json_stringn(bytes.len > 0 ? (const char *)bytes.data : "", bytes.len);

	if (value != NULL || append_hex(bytes, &text) != BH_OK) {
		json_object_set_new(object, name, value);
		return;
	}
	snprintf(name_hex, sizeof(name_hex), "%s_hex", name);
	json_object_set_new(object, name_hex, json_stringn(text.len > 0 ? (const char *)text.data : "", text.len));
}

void bh_json_set_text(json_t *object, const char *name, const char *text)
{
	bh_json_set_bytes(object, name, bh_view_str(text), false);
}

const char *bh_json_text_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	char name_hex[64];

	snprintf(name_hex, sizeof(name_hex), "%s_hex", name);
	if (value == NULL)
		value = json_object_get(object, name_hex);
	return json_is_string(value) ? json_string_value(value) : "";
}

bh_status bh_json_get_bytes(const json_t *object, const char *name, bh_buf *out)
{
	const json_t *value = json_object_get(object, name);
	char name_hex[64];

	if (json_is_string(value))
		return bh_buf_append(out, json_string_value(value), json_string_length(value));
	snprintf(name_hex, sizeof(name_hex), "%s_hex", name);
	if (value == NULL)
		value = json_object_get(object, name_hex);
	if (value == NULL)
		return BH_OK;
	const size_t len = json_is_string(value) ? json_string_length(value) / 2 : 0;
	BH_TRY(bh_buf_reserve(out, len + 1));
	if (!json_is_string(value) || bh_unhex(json_string_value(value), out->data + out->len, len) != BH_OK)
		return bh_fail(BH_E_FORMAT, "'%s' is neither text nor hex", name);
	out->len += len;
	return BH_OK;
}

json_t *bh_json_with_text(const char *name, const char *text)
{
	json_t *object = json_object();

	bh_json_set_text(object, name, text);
	return object;
}

void bh_json_set_id(json_t *object, const char *name, const uint8_t id[BH_ID_LEN])
{
	char hex[BH_ID_HEX_SIZE];

	bh_hex(id, BH_ID_LEN, hex);
	json_object_set_new(object, name, json_string(hex));
}

void bh_time_text(int64_t at_s, char out[BH_TIME_TEXT_SIZE])
{
	time_t at = (time_t)at_s;
	struct tm tm;

	if (gmtime_r(&at, &tm) == NULL || strftime(out, BH_TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, BH_TIME_TEXT_SIZE, "%lld", (long long)at_s);
}

void bh_json_set_time(json_t *object, const char *name, int64_t at_s)
{
	char text[BH_TIME_TEXT_SIZE];

	bh_time_text(at_s, text);
	json_object_set_new(object, name, json_string(text));
}

/* ---- escaped text */

/* Length of the UTF-8 character at `p` (RFC 3629), 0 if there is none. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	static const struct {
		uint8_t lead_min, lead_max, second_min, second_max, len;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (p[0] < forms[i].lead_min || p[0] > forms[i].lead_max)
			continue;
		if (left < forms[i].len || p[1] < forms[i].second_min || p[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].len; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].len;
	}
	return 0;
}

/* What stands for the character at the front of `bytes`; returns how many bytes it covers. */
static size_t escape_one(bh_view bytes, char out[8], size_t *out_len)
{
	static const char named[] = { ['\t'] = 't', ['\n'] = 'n', ['\\'] = '\\' };
	uint8_t c = bytes.data[0];
	size_t len = c >= 0x20 && c < 0x7f ? 1 : utf8_len(bytes.data, bytes.len);

	/* The C1 control characters, U+0080 to U+009F, are no text either. */
	if (len == 2 && c == 0xc2 && bytes.data[1] < 0xa0)
		len = 0;
	if (c < sizeof(named) && named[c] != '\0') {
		*out_len = (size_t)snprintf(out, 8, "\\%c", named[c]);
		return 1;
	}
	if (len == 0) {
		*out_len = (size_t)snprintf(out, 8, "\\x%02x", c);
		return 1;
	}
	memcpy(out, bytes.data, len);
	*out_len = len;
	return len;
}

bh_status bh_escape(bh_view bytes, bool hex, bh_buf *out)
{
	if (hex)
		return append_hex(bytes, out);
	while (bytes.len > 0) {
		char text[8];
		size_t text_len;
		size_t taken = escape_one(bytes, text, &text_len);

		BH_TRY(bh_buf_append(out, text, text_len));
		bytes = bh_view_of(bytes.data + taken, bytes.len - taken);
	}
	return BH_OK;
}

/* ---- keys of a KMS */

json_t *bh_json_kms_key(const bh_kms_key_info *info)
{
	json_t *key = json_pack("{s:s, s:s, s:i}", "name", info->name, "state", bh_kms_key_state_name(info->state), "version",
				(int)info->version);

	if (key == NULL)
		return NULL;
	if (info->region[0] != '\0')
		json_object_set_new(key, "region", json_string(info->region));
	bh_json_set_time(key, "created_at", info->created_at_s);
	bh_json_set_time(key, "changed_at", info->changed_at_s);
	if (info->deletion_window_s != 0)
		json_object_set_new(key, "deletion_window_s", json_integer((json_int_t)info->deletion_window_s));
	if (info->scheduled_s != 0)
		bh_json_set_time(key, "scheduled_at", info->scheduled_s);
	if (info->request_id[0] != '\0')
		json_object_set_new(key, "request_id", json_string(info->request_id));
	return key;
}
