/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_rows.c: see salvage_rows.h.
 *
 * Where an iterator fails, nobody says which keys the block had. They are found by trying: seeking to keys behind the last one that
 * was read, first close to it, then ever farther away, until one can be stood on; then in between, for the first one.
 */
#include "salvage_rows.h"

#include <bulkhead/env.h>

#include <stdlib.h>

#include "env/bridge/move.h"
#include "engine/core/hurt.h"
#include "park.h"

#define FILE_MAX_BYTES (64u << 20) /* of one SST that is made */
#define NUMBER_MIN 24u             /* bytes of a key that is tried; longer where keys are */

typedef struct rows {
	bh_db *db;
	const char *merchant;
	bh_class *cls;
	rocksdb_t *rocks; /* where the rows come from, */
	rocksdb_column_family_handle_t *from;
	rocksdb_readoptions_t *how;
	rocksdb_iterator_t *iter;
	rocksdb_options_t *options;
	rocksdb_envoptions_t *env_options;
	rocksdb_sstfilewriter_t *writer; /* NULL: no file is being written */
	bh_buf path;                     /* of it */
	bh_buf last;                     /* the key that was read last */
	bh_buf *report;
	uint64_t count;
} rows;

static void rows_clear(rows *r)
{
	if (r->iter != NULL)
		rocksdb_iter_destroy(r->iter);
	if (r->how != NULL)
		rocksdb_readoptions_destroy(r->how);
	if (r->writer != NULL)
		rocksdb_sstfilewriter_destroy(r->writer);
	if (r->env_options != NULL)
		rocksdb_envoptions_destroy(r->env_options);
	if (r->options != NULL)
		rocksdb_options_destroy(r->options);
	bh_buf_clear(&r->path);
	if (r->last.data != NULL)
		bh_wipe(r->last.data, r->last.cap);
	bh_buf_clear(&r->last);
}

/* ---- the report */

bh_status bh_salvage_hex(bh_buf *report, bh_view key)
{
	for (size_t i = 0; i < key.len; i++)
		BH_TRY(bh_buf_printf(report, "%02x", key.data[i]));
	return key.len > 0 ? BH_OK : bh_buf_printf(report, "-");
}

static bh_status report_lost(const rows *r, bh_view to, char *why)
{
	bh_park_name_lent(why, r->merchant);
	BH_TRY(bh_buf_printf(r->report, "%s: lost: from ", r->cls->name));
	BH_TRY(bh_salvage_hex(r->report, bh_buf_view(&r->last)));
	BH_TRY(bh_buf_printf(r->report, " to "));
	BH_TRY(bh_salvage_hex(r->report, to));
	return bh_buf_printf(r->report, ": %s\n", bh_hurt_shorter(r->db, why));
}

/* ---- into the live database */

static bh_status file_end(rows *r)
{
	const char *path = (const char *)r->path.data;
	rocksdb_ingestexternalfileoptions_t *how;
	char *error = NULL;

	if (r->writer == NULL)
		return BH_OK;
	rocksdb_sstfilewriter_finish(r->writer, &error);
	rocksdb_sstfilewriter_destroy(r->writer);
	r->writer = NULL;
	BH_TRY(bh_status_of_rocksdb(error));
	how = rocksdb_ingestexternalfileoptions_create();
	rocksdb_ingestexternalfileoptions_set_move_files(how, 1);
	rocksdb_ingest_external_file_cf(r->db->rocks, r->cls->handle, &path, 1, how, &error);
	rocksdb_ingestexternalfileoptions_destroy(how);
	return bh_status_of_rocksdb(error);
}

static bh_status file_begin(rows *r)
{
	char *error = NULL;

	r->writer = rocksdb_sstfilewriter_create(r->env_options, r->options);
	rocksdb_sstfilewriter_open(r->writer, (const char *)r->path.data, &error);
	return bh_status_of_rocksdb(error);
}

static bh_status take_row(rows *r)
{
	size_t key_len, value_len;
	const char *key = rocksdb_iter_key(r->iter, &key_len), *value = rocksdb_iter_value(r->iter, &value_len);
	uint64_t size = 0;
	char *error = NULL;

	if (r->writer == NULL)
		BH_TRY(file_begin(r));
	rocksdb_sstfilewriter_put(r->writer, key, key_len, value, value_len, &error);
	BH_TRY(bh_status_of_rocksdb(error));
	r->count++;
	r->last.len = 0;
	BH_TRY(bh_buf_append(&r->last, key, key_len));
	rocksdb_sstfilewriter_file_size(r->writer, &size);
	return size >= FILE_MAX_BYTES ? file_end(r) : BH_OK;
}

/* ---- over what does not open; keys that are tried are numbers of `len` bytes, the first one the highest */

/* Whether the iterator can stand there, or behind everything. */
static bool stands_at(rows *r, const uint8_t *number, size_t len)
{
	char *error = NULL;

	rocksdb_iter_seek(r->iter, (const char *)number, len);
	rocksdb_iter_get_error(r->iter, &error);
	if (error == NULL)
		return true;
	rocksdb_free(error);
	/* One that has failed may fail elsewhere, too. */
	rocksdb_iter_destroy(r->iter);
	r->iter = rocksdb_create_iterator_cf(r->rocks, r->how, r->from);
	return false;
}

/* number += 1 << bit; false: over the end, and then it is the greatest. */
static bool add_bit(uint8_t *number, size_t len, size_t bit)
{
	unsigned carry = 1u << bit % 8;

	for (size_t at = len - 1 - bit / 8;; at--) {
		carry += number[at];
		number[at] = (uint8_t)carry;
		carry >>= 8;
		if (carry == 0)
			return true;
		if (at == 0)
			break;
	}
	memset(number, 0xff, len);
	return false;
}

/* The number in the middle of two; false: there is none. */
static bool halve(const uint8_t *low, const uint8_t *high, size_t len, uint8_t *middle)
{
	unsigned carry = 0, rest = 0;

	for (size_t at = len; at-- > 0;) {
		carry += (unsigned)low[at] + high[at];
		middle[at] = (uint8_t)carry;
		carry >>= 8;
	}
	rest = carry;
	for (size_t at = 0; at < len; at++) {
		rest = rest << 8 | middle[at];
		middle[at] = (uint8_t)(rest >> 1);
		rest &= 1;
	}
	return memcmp(middle, low, len) != 0;
}

/* From the last key on: `low` where it cannot stand, `high` where it can. */
static bool leap(rows *r, uint8_t *low, uint8_t *high, size_t len)
{
	for (size_t bit = 0; bit < 8 * len; bit++) {
		bool inside;

		if (r->last.len > 0)
			memcpy(high, r->last.data, r->last.len);
		memset(high + r->last.len, 0, len - r->last.len);
		inside = add_bit(high, len, bit);
		if (stands_at(r, high, len))
			return true;
		memcpy(low, high, len);
		if (!inside)
			return false;
	}
	memset(high, 0xff, len);
	return stands_at(r, high, len);
}

/* The iterator stands on the first key found that can be read, or behind the last one; false: nothing more can be read. */
static bh_status pass_over(rows *r, bool *more_out)
{
	const size_t len = BH_MAX(r->last.len + 8, (size_t)NUMBER_MIN);
	uint8_t *numbers = calloc(3, len), *low = numbers, *high, *middle;

	if (numbers == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a key");
	high = numbers + len;
	middle = numbers + 2 * len;
	if (r->last.len > 0)
		memcpy(low, r->last.data, r->last.len);
	*more_out = leap(r, low, high, len);
	while (*more_out && halve(low, high, len, middle))
		memcpy(stands_at(r, middle, len) ? high : low, middle, len);
	if (*more_out)
		*more_out = stands_at(r, high, len);
	bh_wipe(numbers, 3 * len);
	free(numbers);
	return BH_OK;
}

static bh_status pass_over_reported(rows *r, char *why, bool bytewise, bool *more_out)
{
	bh_view to = { 0 };
	size_t len = 0;

	*more_out = false;
	if (bytewise)
		BH_TRY(pass_over(r, more_out));
	if (*more_out && rocksdb_iter_valid(r->iter)) {
		const char *key = rocksdb_iter_key(r->iter, &len);

		to = bh_view_of(key, len);
	}
	return report_lost(r, to, why);
}

static bh_status copy(rows *r, bool bytewise)
{
	bool more = true;

	rocksdb_iter_seek_to_first(r->iter);
	while (more) {
		char *error = NULL;
		bh_status status;

		for (; rocksdb_iter_valid(r->iter); rocksdb_iter_next(r->iter))
			BH_TRY(take_row(r));
		rocksdb_iter_get_error(r->iter, &error);
		if (error == NULL)
			break;
		status = bh_status_of_rocksdb(error);
		if (status == BH_E_NOMEM)
			return status;
		bh_message why = bh_message_keep();

		BH_TRY(pass_over_reported(r, why.text, bytewise, &more));
	}
	return file_end(r);
}

bh_status bh_salvage_rows(bh_db *db, const bh_merchant *merchant, bh_class *cls, rocksdb_t *rocks,
			  rocksdb_column_family_handle_t *from, bh_buf *report)
{
	BH_CLEANUP(rows_clear) rows r = { .db = db, .merchant = merchant->name, .cls = cls, .report = report };
	bh_status status;

	r.rocks = rocks;
	r.from = from;
	r.how = rocksdb_readoptions_create();
	rocksdb_readoptions_set_fill_cache(r.how, 0);
	r.iter = rocksdb_create_iterator_cf(rocks, r.how, from);
	r.options = rocksdb_options_create_copy(db->options);
	r.env_options = rocksdb_envoptions_create();
	status = bh_buf_printf(&r.path, "%s/" BH_TENANTS_DIR "/%s/%s/salvage.sst", db->dir, merchant->name, cls->name);
	if (status == BH_OK)
		status = copy(&r, bh_bridge_is_bytewise(from));
	BH_TRY(status);
	return bh_buf_printf(report, "%s: %llu rows\n", cls->name, (unsigned long long)r.count);
}
