/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_door.c: what comes through an open database's door. Whatever it is, it is refused or a request of the calls that there are.
 */
#include <stdlib.h>

#include "engine/door/calls.h"
#include "engine/door/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Bytes become words, so that most of what comes out is nearly a request. */
static const char *const words[] = {
	"{",
	"}",
	",",
	"\"door\":1",
	"\"door\":2",
	"\"call\":",
	"\"erase\"",
	"\"sweep\"",
	"\"status\"",
	"\"merchant add\"",
	"\"merchant resume\"",
	"\"rewrap\"",
	"\"get\"",
	"\"merchant\":",
	"\"class\":",
	"\"prefix\":",
	"\"prefix_hex\":",
	"\"cmk\":",
	"\"cmk_hex\":",
	"\"classes\":",
	"\"reason\":",
	"\"reason_hex\":",
	"\"salvage\":",
	"\"wait_ms\":",
	"\"bytes_per_s\":",
	"\"a\"",
	"\"61\"",
	"\"00\"",
	"\"6\"",
	"[\"data\"]",
	"[1]",
	"[]",
	"{}",
	"true",
	"null",
	"-1",
	"7",
	"1e3",
	"\"\\u0000\"",
	"\"\xff\"",
};
#define WORD_COUNT (sizeof(words) / sizeof(words[0]))

static void check(bh_view text)
{
	json_t *request = NULL;

	if (bh_door_parse(text, &request) != BH_OK)
		return;
	if (bh_door_request_check(request) == BH_OK && json_string_value(json_object_get(request, "call")) == NULL)
		abort();
	json_decref(request);
}

/* A request's frame, and in it what the bytes say. */
static bh_status make(const uint8_t *data, size_t len, bh_buf *out)
{
	BH_TRY(bh_buf_printf(out, "{\"door\":1,\"call\":%s", words[6 + data[0] % 7]));
	for (size_t i = 1; i + 1 < len; i += 2)
		BH_TRY(bh_buf_printf(out, ",%s%s", words[13 + data[i] % 12], words[25 + data[i + 1] % (WORD_COUNT - 25)]));
	return bh_buf_append_u8(out, '}');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	if (len < 2 || len > 64)
		return 0;
	if (data[0] % 4 == 0) {
		for (size_t i = 1; i < len; i++)
			if (bh_buf_printf(&text, "%s", words[data[i] % WORD_COUNT]) != BH_OK)
				abort();
	} else if (data[0] % 4 == 1) {
		if (bh_buf_append(&text, data + 1, len - 1) != BH_OK)
			abort();
	} else if (make(data, len, &text) != BH_OK) {
		abort();
	}
	check(bh_buf_view(&text));
	return 0;
}
