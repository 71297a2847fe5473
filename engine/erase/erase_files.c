/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_files.c: see erase_files.h.
 */
#include "erase_files.h"

#include <ctype.h>
#include <stdlib.h>

#include "engine/core/files.h"

typedef struct listing {
	bh_buf *numbers;
	bh_buf *foreign; /* may be NULL */
} listing;

/* NUMBER.sst, NUMBER.blob, what is written beside one of them to take its place, and what is deleted bit by bit. */
static bool is_numbered(const char *name, uint64_t *number_out)
{
	static const char *const ends[] = { ".sst",  ".sst" BH_TEMP_SUFFIX,  ".sst" BH_TRASH_SUFFIX,
					    ".blob", ".blob" BH_TEMP_SUFFIX, ".blob" BH_TRASH_SUFFIX };
	char *end;

	if (!isdigit((unsigned char)name[0]))
		return false;
	*number_out = strtoull(name, &end, 10);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(end, ends[i]) == 0)
			return true;
	return false;
}

static bh_status list_one(void *arg, const char *name)
{
	const listing *l = arg;
	uint64_t number;

	if (is_numbered(name, &number))
		return bh_buf_append(l->numbers, &number, sizeof(number));
	return l->foreign != NULL ? bh_buf_printf(l->foreign, "%s\n", name) : BH_OK;
}

bh_status bh_erase_list_files(const bh_db *db, const bh_scope *scope, bh_buf *numbers, bh_buf *foreign)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	listing l = { numbers, foreign };

	BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR "/%s/%s", db->dir, scope->merchant, scope->cls));
	return bh_dir_each((const char *)path.data, list_one, &l);
}

bool bh_erase_numbers_have(const bh_buf *numbers, uint64_t number)
{
	for (size_t at = 0; at + sizeof(number) <= numbers->len; at += sizeof(number))
		if (memcmp(numbers->data + at, &number, sizeof(number)) == 0)
			return true;
	return false;
}
