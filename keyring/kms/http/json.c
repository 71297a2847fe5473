/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c: see json.h.
 */
#include "json.h"

#include <stdlib.h>

bh_status bh_json_parse(const bh_http_answer *answer, json_t **out)
{
	json_error_t error;
	json_t *json = json_loadb(answer->body, answer->len, JSON_REJECT_DUPLICATES, &error);

	if (!json_is_object(json)) {
		json_decref(json);
		return bh_fail(BH_E_FORMAT, "an answer that is no JSON object"); /* the text could be a secret's */
	}
	*out = json;
	return BH_OK;
}

void bh_json_clear(json_t **json)
{
	json_decref(*json);
	*json = NULL;
}

const json_t *bh_json_at(const json_t *object, const char *path)
{
	char name[64];

	while (object != NULL && *path != '\0') {
		size_t len = strcspn(path, ".");
		if (len >= sizeof(name))
			return NULL;
		memcpy(name, path, len);
		name[len] = '\0';
		object = json_object_get(object, name);
		path += len + (path[len] == '.' ? 1 : 0);
	}
	return object;
}

const char *bh_json_text(const json_t *object, const char *path)
{
	const char *text = json_string_value(bh_json_at(object, path));

	return text != NULL ? text : "";
}

int64_t bh_json_number(const json_t *object, const char *path)
{
	return json_integer_value(bh_json_at(object, path));
}

bool bh_json_true(const json_t *object, const char *path)
{
	return json_is_true(bh_json_at(object, path));
}

/* Without tables, whose cache lines would tell of a DEK: each digit by comparisons. */

static char digit_of(unsigned v)
{
	unsigned c = 'A' + v;

	c += (v > 25) * (unsigned)('a' - 'A' - 26);
	c -= (v > 51) * (unsigned)('a' - '0' + 26);
	c -= (v > 61) * (unsigned)('0' + 10 - '+');
	c += (v > 62) * (unsigned)('/' - '+' - 1);
	return (char)c;
}

static unsigned in_range(int c, int first, int last)
{
	return (unsigned)(c >= first) & (unsigned)(c <= last);
}

/* 64 and more: no digit. */
static unsigned value_of(char digit)
{
	int c = (unsigned char)digit;
	unsigned value = 64, found = 0;

	found |= in_range(c, 'A', 'Z') * (unsigned)(c - 'A' + 1);
	found |= in_range(c, 'a', 'z') * (unsigned)(c - 'a' + 27);
	found |= in_range(c, '0', '9') * (unsigned)(c - '0' + 53);
	found |= (unsigned)(c == '+') * 63u;
	found |= (unsigned)(c == '/') * 64u;
	return found != 0 ? found - 1 : value;
}

void bh_base64(const uint8_t *data, size_t len, char *out)
{
	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t bits =
			(uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0u);
		*out++ = digit_of(bits >> 18 & 63);
		*out++ = digit_of(bits >> 12 & 63);
		*out++ = (char)(left > 1 ? digit_of(bits >> 6 & 63) : '=');
		*out++ = (char)(left > 2 ? digit_of(bits & 63) : '=');
	}
	*out = '\0';
}

/* Whatever it writes counts if `text` is how these bytes are written, and in no other way. */
bh_status bh_unbase64(const char *text, uint8_t *out, size_t len)
{
	unsigned wrong = 0;

	if (strlen(text) != BH_BASE64_SIZE(len) - 1)
		return bh_fail(BH_E_FORMAT, "base64 of another length than %zu bytes have", len);
	for (size_t i = 0; i < len; i += 3, text += 4) {
		size_t left = len - i;
		unsigned a = value_of(text[0]), b = value_of(text[1]);
		unsigned c = left > 1 ? value_of(text[2]) : (text[2] == '=' ? 0 : 64);
		unsigned d = left > 2 ? value_of(text[3]) : (text[3] == '=' ? 0 : 64);
		wrong |= (a | b | c | d) >> 6 | (left == 1 ? b & 15 : 0) | (left == 2 ? c & 3 : 0);
		out[i] = (uint8_t)(a << 2 | b >> 4);
		if (left > 1)
			out[i + 1] = (uint8_t)(b << 4 | c >> 2);
		if (left > 2)
			out[i + 2] = (uint8_t)(c << 6 | d);
	}
	return wrong == 0 ? BH_OK : bh_fail(BH_E_FORMAT, "base64 that is not well formed");
}
