/* SPDX-License-Identifier: Apache-2.0
 *
 * opened_with.c: see opened_with.h.
 */
#include "opened_with.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/core/options_file.h"
#include "engine/core/unmerged.h"
#include "env/bridge/options.h"
#include "env/fs/small_file.h"

#define FILE_MAX ((size_t)1 << 30) /* bytes: a family has some 7 KB of it */
#define LACKING "which is not here: "
#define NONE "nullptr" /* as RocksDB writes it */

typedef struct recorded {
	bh_db *db;
	uint64_t file;
	bh_buf text; /* all of the OPTIONS file */
} recorded;

static void recorded_clear(recorded *r)
{
	bh_buf_clear(&r->text);
}

static bh_status load(bh_db *db, recorded *r)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	r->db = db;
	BH_TRY(bh_options_file_newest(db, &r->file));
	if (r->file == 0)
		return BH_OK;
	BH_TRY(bh_buf_printf(&path, "%s/OPTIONS-%06llu", db->dir, (unsigned long long)r->file));
	return bh_stream_read_small((const char *)path.data, bh_fs_scopes(db->fs), FILE_MAX, &r->text);
}

/* ---- the text: lines "  name=value"; '#' is written as "\#" */

/* The next value of `name` in *rest, which becomes what follows; false: there is none. */
static bool next_value(bh_view *rest, const char *name, bh_view *value_out)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "\n  %s=", name);
	const uint8_t *found = rest->len > 0 ? memmem(rest->data, rest->len, line, (size_t)len) : NULL, *end;
	size_t left;

	if (found == NULL)
		return false;
	found += len;
	left = rest->len - (size_t)(found - rest->data);
	end = memchr(found, '\n', left);
	if (end == NULL)
		end = found + left;
	*value_out = bh_view_of(found, (size_t)(end - found));
	*rest = bh_view_of(end, left - (size_t)(end - found));
	return true;
}

static bh_status unescape(bh_view value, bh_buf *out)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] != '\\' || i + 1 == value.len || value.data[i + 1] != '#')
			BH_TRY(bh_buf_append_u8(out, value.data[i]));
	return BH_OK;
}

/* The name in "name" or "{id=name;settings}"; "" for none. */
static bh_status name_in(bh_view value, bh_buf *out)
{
	static const char head[] = "{id=";
	const size_t skip = sizeof(head) - 1;
	size_t len = 0;

	if (value.len == strlen(NONE) && memcmp(value.data, NONE, value.len) == 0)
		return BH_OK;
	if (value.len < skip || memcmp(value.data, head, skip) != 0)
		return unescape(value, out);
	value = bh_view_of(value.data + skip, value.len - skip);
	while (len < value.len && value.data[len] != ';' && value.data[len] != '}')
		len++;
	return unescape(bh_view_of(value.data, len), out);
}

static bool same(const bh_buf *a, const bh_buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* ---- the comparison */

/* The first name on record under `option` that is not `ours`, of any family; `found` stays empty if there is none. "None" is no
 * name. */
static bh_status find_other(const recorded *r, const char *option, const bh_buf *ours, bh_buf *found)
{
	bh_view rest = bh_buf_view(&r->text), value;

	while (next_value(&rest, option, &value)) {
		found->len = 0;
		BH_TRY(name_in(value, found));
		if (found->len > 0 && !same(found, ours))
			return BH_OK;
	}
	found->len = 0;
	return BH_OK;
}

/* What RocksDB can make of the record by itself: an operator of its own, with its settings. */
static bh_status adopt(const recorded *r)
{
	static const char *const names[] = { "comparator", "merge_operator", "num_levels" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
		bh_view rest = bh_buf_view(&r->text), value;

		if (!next_value(&rest, names[i], &value))
			continue;
		BH_TRY(unescape(value, &text));
		(void)bh_bridge_set_from_text(r->db->options, names[i], bh_buf_view(&text));
	}
	return BH_OK;
}

static bh_status refuse(const recorded *r, const char *what, const bh_buf *name, const char *why)
{
	return bh_fail(BH_E_INVALID,
		       "%s: was opened with the %s '%.*s' (OPTIONS-%06llu), " LACKING "%s; open it with that, or have "
		       "this done by the service that does",
		       r->db->dir, what, (int)name->len, (const char *)name->data, (unsigned long long)r->file, why);
}

bool bh_opened_with_lacks(bh_status status, const char *message)
{
	return status == BH_E_INVALID && strstr(message, LACKING) != NULL;
}

static bh_status check_comparator(const recorded *r)
{
	BH_CLEANUP(bh_buf_clear) bh_buf ours = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf other = { 0 };

	BH_TRY(bh_bridge_comparator(r->db->options, &ours));
	BH_TRY(find_other(r, "comparator", &ours, &other));
	return other.len == 0 ? BH_OK : refuse(r, "comparator", &other, "rows would not be found");
}

static bh_status check_merge_operator(const recorded *r, bool changed)
{
	BH_CLEANUP(bh_buf_clear) bh_buf ours = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf other = { 0 };

	BH_TRY(bh_bridge_merge_operator(r->db->options, &ours));
	BH_TRY(find_other(r, "merge_operator", &ours, &other));
	if (other.len == 0 || (changed && ours.len > 0))
		return BH_OK;
	if (!r->db->read_only || ours.len > 0)
		return refuse(r, "merge operator", &other, "what was written after the first merge in its logs would be lost");
	BH_TRY(bh_buf_append_u8(&other, '\0'));
	return bh_unmerged_stand_in(r->db, (const char *)other.data);
}

/* RocksDB would call such a table damaged, and who has one would be taken out for it. Where there may be newer tables than all
 * supported versions read, they go on: else the next OPTIONS file would not speak of those that are there already. */
static bh_status check_table_format(const recorded *r)
{
	const unsigned newest = bh_bridge_newest_table_format();
	bh_view rest = bh_buf_view(&r->text), value;
	unsigned long found = 0;

	while (next_value(&rest, "format_version", &value)) {
		char digits[12] = "";

		memcpy(digits, value.data, BH_MIN(value.len, sizeof(digits) - 1));
		found = BH_MAX(found, strtoul(digits, NULL, 10));
		if (found > newest)
			return bh_fail(
				BH_E_UNSUPPORTED,
				"%s: has tables of format version %s (OPTIONS-%06llu), which a newer RocksDB wrote; this one "
				"reads %u at most: open it with the newer one, nothing here is damaged",
				r->db->dir, digits, (unsigned long long)r->file, newest);
	}
	bh_bridge_keep_table_format(r->db->options, (unsigned)found);
	return BH_OK;
}

/* Whether the merge operator of this open, if there is one, is on record. */
static bh_status look_for_ours(const recorded *r, bool *found_out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf ours = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf name = { 0 };
	bh_view rest = bh_buf_view(&r->text), value;

	BH_TRY(bh_bridge_merge_operator(r->db->options, &ours));
	r->db->merges = ours.len > 0;
	*found_out = ours.len == 0;
	while (!*found_out && next_value(&rest, "merge_operator", &value)) {
		name.len = 0;
		BH_TRY(name_in(value, &name));
		*found_out = same(&name, &ours);
	}
	return BH_OK;
}

bh_status bh_opened_with_check(bh_db *db, const bh_db_options *options, bh_opened_with *out)
{
	BH_CLEANUP(recorded_clear) recorded r = { 0 };
	bool known = false;

	BH_TRY(load(db, &r));
	if (options->rocksdb == NULL)
		BH_TRY(adopt(&r));
	BH_TRY(check_table_format(&r));
	BH_TRY(check_comparator(&r));
	BH_TRY(check_merge_operator(&r, options->merge_operator_changed));
	BH_TRY(look_for_ours(&r, &known));
	*out = (bh_opened_with){ .file = r.file, .news = !known };
	return BH_OK;
}

bh_status bh_opened_with_recorded(const bh_db *db, const bh_opened_with *before)
{
	uint64_t number;

	if (!before->news)
		return BH_OK;
	BH_TRY(bh_options_file_newest(db, &number));
	if (number > before->file)
		return BH_OK;
	return bh_fail(BH_E_IO,
		       "%s: RocksDB could not write its OPTIONS file, which has to name the merge operator before the first merge; "
		       "its LOG may say why",
		       db->dir);
}
