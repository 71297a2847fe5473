/* SPDX-License-Identifier: Apache-2.0
 *
 * unmerged.c: see unmerged.h.
 *
 *     16 the process's mark; then, oldest first, for each part: u8 1 (a value that was put) or 0 (an operand), u32 length, bytes
 */
#include "unmerged.h"

#include <stdlib.h>
#include <string.h>

#include "keyring/base/random.h"

enum { MARK_LEN = 16, PART_HEADER = 1 + 4 };

static uint8_t *part_put(uint8_t *at, bool is_base, const char *bytes, size_t len)
{
	*at = is_base;
	bh_put_u32(at + 1, (uint32_t)len);
	if (len > 0)
		memcpy(at + PART_HEADER, bytes, len);
	return at + PART_HEADER + len;
}

static char *list_parts(void *state, const char *key, size_t key_len, const char *base, size_t base_len,
			const char *const *operands, const size_t *lens, int count, unsigned char *success, size_t *len_out)
{
	size_t len = MARK_LEN + (base != NULL ? PART_HEADER + base_len : 0);
	uint8_t *list, *at;

	(void)key, (void)key_len;
	for (int i = 0; i < count; i++)
		len += PART_HEADER + lens[i];
	list = malloc(len);
	*success = list != NULL;
	if (list == NULL)
		return NULL;
	memcpy(list, state, MARK_LEN);
	at = list + MARK_LEN;
	if (base != NULL)
		at = part_put(at, true, base, base_len);
	for (int i = 0; i < count; i++)
		at = part_put(at, false, operands[i], lens[i]);
	*len_out = len;
	return (char *)list;
}

/* Operands stay what they are. */
static char *merge_none(void *state, const char *key, size_t key_len, const char *const *operands, const size_t *lens, int count,
			unsigned char *success, size_t *len_out)
{
	(void)state, (void)key, (void)key_len, (void)operands, (void)lens, (void)count;
	*success = 0;
	*len_out = 0;
	return NULL;
}

static const char *name_of(void *state)
{
	(void)state;
	return "bulkhead.unmerged";
}

static void keep(void *state)
{
	(void)state; /* it is the database's */
}

bh_status bh_unmerged_stand_in(bh_db *db, const char *name)
{
	bh_db_log(db, "the merge operator '%s' is not here: rows that hold merges are shown unmerged", name);
	db->unmerged = true;
	BH_TRY(bh_random(db->unmerged_mark, sizeof(db->unmerged_mark)));
	rocksdb_options_set_merge_operator(
		db->options, rocksdb_mergeoperator_create(db->unmerged_mark, keep, list_parts, merge_none, NULL, name_of));
	return BH_OK;
}

bool bh_unmerged_is(const bh_db *db, bh_view *value)
{
	if (!db->unmerged || value->len < MARK_LEN || memcmp(value->data, db->unmerged_mark, MARK_LEN) != 0)
		return false;
	*value = bh_view_of(value->data + MARK_LEN, value->len - MARK_LEN);
	return true;
}

bh_status bh_unmerged_fail(void)
{
	return bh_fail(
		BH_E_UNMERGED,
		"the row holds merges, and the merge operator that they are for is not here: it can be shown unmerged alone");
}

bool bh_unmerged_next(bh_view *unmerged, bh_view *part_out, bool *is_base_out)
{
	size_t len;

	if (unmerged->len < PART_HEADER)
		return false;
	len = bh_get_u32(unmerged->data + 1);
	if (len > unmerged->len - PART_HEADER)
		return false;
	*is_base_out = unmerged->data[0] != 0;
	*part_out = bh_view_of(unmerged->data + PART_HEADER, len);
	*unmerged = bh_view_of(unmerged->data + PART_HEADER + len, unmerged->len - PART_HEADER - len);
	return true;
}
