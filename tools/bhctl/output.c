/* SPDX-License-Identifier: Apache-2.0
 *
 * output.c: see output.h.
 */
#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define JSON_STYLE (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY)

static bh_status write_error(void)
{
	return bh_fail(BH_E_IO, "standard output: cannot be written: %s", strerror(errno));
}

bh_status out_finish(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? BH_OK : write_error();
}

static bh_status print_json(json_t *value)
{
	int rc;

	if (value == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the output");
	rc = json_dumpf(value, stdout, JSON_STYLE);
	json_decref(value);
	return rc == 0 ? BH_OK : write_error();
}

bh_status out_json(json_t *document)
{
	BH_TRY(print_json(document));
	putchar('\n');
	return out_finish();
}

/* ---- a document with a long array */

static bh_status print_members(json_t *object, bool first)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		printf("%s\"%s\":", first ? "" : ",", name);
		BH_TRY(print_json(json_incref(value)));
		first = false;
	}
	return BH_OK;
}

bh_status out_array_begin(out_array *array, json_t *head, const char *name)
{
	bh_status status;

	putchar('{');
	status = print_members(head, true);
	printf("%s\"%s\":[", json_object_size(head) > 0 ? "," : "", name);
	json_decref(head);
	array->open = true;
	array->count = 0;
	return status;
}

bh_status out_array_item(out_array *array, json_t *item)
{
	if (array->count++ > 0)
		putchar(',');
	return print_json(item);
}

bh_status out_array_end(out_array *array, json_t *tail)
{
	bh_status status;

	putchar(']');
	status = print_members(tail, false);
	json_decref(tail);
	puts("}");
	array->open = false;
	return status == BH_OK ? out_finish() : status;
}

/* ---- escaped text */

void out_bytes(bh_view bytes, bool hex, size_t max)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	bool cut = max > 0 && bytes.len > max;

	if (bh_escape(bh_view_of(bytes.data, cut ? max : bytes.len), hex, &text) == BH_OK)
		fwrite(text.data, 1, text.len, stdout);
	if (cut)
		printf("... (%zu bytes)", bytes.len);
}
