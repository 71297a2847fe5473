/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_spans.c: the VersionEdit parser; see manifest_spans.h.
 */
#include "manifest_spans.h"

#include <stdlib.h>

#include "env/format/scopes.h"
#include "logfmt.h"

/* Field tags; numbers are those of RocksDB's MANIFEST format and never change meaning. */
enum {
	TAG_COMPARATOR = 1,
	TAG_LOG_NUMBER = 2,
	TAG_NEXT_FILE_NUMBER = 3,
	TAG_LAST_SEQUENCE = 4,
	TAG_COMPACT_CURSOR = 5,
	TAG_DELETED_FILE = 6,
	TAG_NEW_FILE = 7,
	TAG_PREV_LOG_NUMBER = 9,
	TAG_MIN_LOG_NUMBER_TO_KEEP = 10,
	TAG_NEW_FILE2 = 100,
	TAG_NEW_FILE3 = 102,
	TAG_NEW_FILE4 = 103,
	TAG_COLUMN_FAMILY = 200,
	TAG_COLUMN_FAMILY_ADD = 201,
	TAG_COLUMN_FAMILY_DROP = 202,
	TAG_MAX_COLUMN_FAMILY = 203,
	TAG_IN_ATOMIC_GROUP = 300,
	TAG_BLOB_FILE_ADDITION = 400,
	TAG_BLOB_FILE_GARBAGE = 401,
	/* With this bit RocksDB skips what it does not know. */
	TAG_SAFE_IGNORE = 1 << 13,
	TAG_DB_ID = TAG_SAFE_IGNORE + 1,
	TAG_BLOB_FILE_ADDITION_OLD = TAG_SAFE_IGNORE + 2,
	TAG_BLOB_FILE_GARBAGE_OLD = TAG_SAFE_IGNORE + 3,
	TAG_WAL_ADDITION = TAG_SAFE_IGNORE + 4,
	TAG_WAL_DELETION = TAG_SAFE_IGNORE + 5,
	TAG_FULL_HISTORY_TS_LOW = TAG_SAFE_IGNORE + 6,
	TAG_WAL_ADDITION2 = TAG_SAFE_IGNORE + 7,
	TAG_WAL_DELETION2 = TAG_SAFE_IGNORE + 8,
	TAG_TIMESTAMPS_KEPT = TAG_SAFE_IGNORE + 9,      /* since RocksDB 8.6 */
	TAG_COMPACTION_PROGRESS = TAG_SAFE_IGNORE + 10, /* since 10.8 */
	TAG_COMPACTED_SIZE = TAG_SAFE_IGNORE + 11,      /* since 11.0 */
};

/* Custom fields of a NewFile4 that hold numbers, names and flags of the platform. All others hold, or may hold, what comes from
 * keys and values. */
enum {
	FIELD_TERMINATE = 1,
	FIELD_NEED_COMPACTION = 2,
	FIELD_MIN_LOG_NUMBER_TO_KEEP = 3,
	FIELD_OLDEST_BLOB_FILE = 4,
	FIELD_OLDEST_ANCESTOR_TIME = 5,
	FIELD_CREATION_TIME = 6,
	FIELD_CHECKSUM_FUNC_NAME = 8,
	FIELD_TEMPERATURE = 9,
	FIELD_UNIQUE_ID = 12,
	FIELD_EPOCH_NUMBER = 13,
	FIELD_RANGE_DELETION_SIZE = 14,
	FIELD_TAIL_SIZE = 15,
	FIELD_TIMESTAMPS_KEPT = 16,
	FIELD_PATH_ID = 65,
};

enum { WAL_TERMINATE = 1, WAL_SYNCED_SIZE = 2 };
enum { BLOB_TERMINATE = 0 };

typedef struct edit_parser {
	bh_reader in;
	const uint8_t *start;
	bh_version_edit *edit;
	bh_version_field field; /* the current one, for the visitor */
} edit_parser;

void bh_version_edit_clear(bh_version_edit *edit)
{
	free(edit->spans);
	*edit = (bh_version_edit){ 0 };
}

static uint32_t read_u32v(edit_parser *p)
{
	return (uint32_t)bh_read_varint(&p->in, 32);
}

static uint64_t read_u64v(edit_parser *p)
{
	return bh_read_varint(&p->in, 64);
}

static void skip_u64v(edit_parser *p)
{
	(void)read_u64v(p);
}

static bh_view read_string(edit_parser *p)
{
	uint32_t len = read_u32v(p);

	return bh_read_bytes(&p->in, len);
}

static bh_status add_span(edit_parser *p, bh_view bytes, bool internal_key)
{
	bh_version_edit *edit = p->edit;

	if (p->in.failed || bytes.len == 0)
		return BH_OK;
	if (edit->span_count == edit->span_cap) {
		size_t cap = edit->span_cap ? 2 * edit->span_cap : 64;
		bh_manifest_span *spans = realloc(edit->spans, cap * sizeof(*spans));

		if (!spans)
			return bh_fail(BH_E_NOMEM, "no memory for the spans of a version edit");
		edit->spans = spans;
		edit->span_cap = cap;
	}
	edit->spans[edit->span_count++] =
		(bh_manifest_span){ .off = (size_t)(bytes.data - p->start), .len = bytes.len, .internal_key = internal_key };
	return BH_OK;
}

static bh_status take_span(edit_parser *p)
{
	return add_span(p, read_string(p), false);
}

static bh_status take_internal_key(edit_parser *p, bh_view *out)
{
	bh_view key = read_string(p);

	*out = key;
	if (!p->in.failed && key.len < BH_INTERNAL_KEY_TRAILER)
		return bh_fail(BH_E_FORMAT, "version edit: internal key of %zu bytes", key.len);
	return add_span(p, key, true);
}

/* What is in the field is RocksDB's to judge: for dump it is read as far as it goes. */
static void take_blob_reference(edit_parser *p)
{
	bh_reader value = bh_reader_of(read_string(p));

	p->field.blob = bh_read_varint(&value, 64);
}

static bh_status take_file_fields(edit_parser *p)
{
	for (;;) {
		uint32_t field = read_u32v(p);

		if (p->in.failed || field == FIELD_TERMINATE)
			return BH_OK;
		switch (field) {
		case FIELD_OLDEST_BLOB_FILE: take_blob_reference(p); break;
		case FIELD_NEED_COMPACTION:
		case FIELD_MIN_LOG_NUMBER_TO_KEEP:
		case FIELD_OLDEST_ANCESTOR_TIME:
		case FIELD_CREATION_TIME:
		case FIELD_CHECKSUM_FUNC_NAME:
		case FIELD_TEMPERATURE:
		case FIELD_UNIQUE_ID:
		case FIELD_EPOCH_NUMBER:
		case FIELD_RANGE_DELETION_SIZE:
		case FIELD_TAIL_SIZE:
		case FIELD_TIMESTAMPS_KEPT:
		case FIELD_PATH_ID: (void)read_string(p); break;
		default: BH_TRY(take_span(p));
		}
	}
}

static bh_status take_new_file(edit_parser *p, uint32_t tag)
{
	p->field.what = BH_VERSION_FILE_ADDED;
	p->field.level = read_u32v(p);
	p->field.number = read_u64v(p);
	if (tag == TAG_NEW_FILE3)
		(void)read_u32v(p); /* path id */
	p->field.size = read_u64v(p);
	BH_TRY(take_internal_key(p, &p->field.smallest));
	BH_TRY(take_internal_key(p, &p->field.largest));
	if (tag == TAG_NEW_FILE)
		return BH_OK;
	skip_u64v(p); /* smallest sequence number */
	skip_u64v(p); /* largest */
	return tag == TAG_NEW_FILE4 ? take_file_fields(p) : BH_OK;
}

static bh_status take_blob_fields(edit_parser *p)
{
	for (;;) {
		uint32_t field = read_u32v(p);

		if (p->in.failed || field == BLOB_TERMINATE)
			return BH_OK;
		BH_TRY(take_span(p));
	}
}

static void take_number(edit_parser *p, bh_version_what what)
{
	p->field.what = what;
	p->field.number = read_u64v(p);
}

static void take_blob_counts(edit_parser *p, bh_version_what what)
{
	p->field.what = what;
	p->field.number = read_u64v(p);
	p->field.count = read_u64v(p);
	p->field.size = read_u64v(p);
}

static bh_status take_blob_addition(edit_parser *p)
{
	take_blob_counts(p, BH_VERSION_BLOB_ADDED);
	(void)read_string(p); /* checksum method */
	BH_TRY(take_span(p)); /* checksum value */
	return take_blob_fields(p);
}

static bh_status take_blob_garbage(edit_parser *p)
{
	take_blob_counts(p, BH_VERSION_BLOB_GARBAGE);
	return take_blob_fields(p);
}

static bh_status take_wal_addition(edit_parser *p)
{
	take_number(p, BH_VERSION_WAL_ADDED);
	for (;;) {
		uint32_t tag = read_u32v(p);

		if (p->in.failed || tag == WAL_TERMINATE)
			return BH_OK;
		if (tag != WAL_SYNCED_SIZE)
			return bh_fail(BH_E_UNSUPPORTED, "version edit: WAL addition with field %u: " BH_NEWER_ROCKSDB,
				       (unsigned)tag);
		skip_u64v(p);
	}
}

/* A value with a length in front: parsed as a record of its own that must be used up. */
static bh_status take_wrapped(edit_parser *p, uint32_t tag)
{
	bh_view body = read_string(p);
	edit_parser inner = { .in = bh_reader_of(body), .start = body.data, .edit = p->edit };

	if (p->in.failed)
		return BH_OK;
	if (tag == TAG_WAL_ADDITION2)
		BH_TRY(take_wal_addition(&inner));
	else
		take_number(&inner, tag == TAG_COMPACTED_SIZE ? BH_VERSION_COMPACTED_SIZE : BH_VERSION_WAL_DELETED);
	p->field = inner.field;
	if (!bh_reader_done(&inner.in))
		p->in.failed = true;
	return BH_OK;
}

static void take_small_number(edit_parser *p, bh_version_what what)
{
	p->field.what = what;
	p->field.number = read_u32v(p);
}

static bh_view take_text(edit_parser *p, bh_version_what what)
{
	p->field.what = what;
	p->field.text = read_string(p);
	return p->field.text;
}

/* One byte with its length in front. */
static void take_wrapped_flag(edit_parser *p, bh_version_what what)
{
	bh_reader value = bh_reader_of(read_string(p));

	p->field.what = what;
	p->field.number = bh_read_u8(&value);
	p->in.failed |= !bh_reader_done(&value);
}

static void note_family(bh_version_edit *edit, uint32_t cf_id)
{
	edit->max_cf_id = BH_MAX(edit->max_cf_id, cf_id);
}

static bh_status take_family_field(edit_parser *p, uint32_t tag)
{
	bh_version_edit *edit = p->edit;

	switch (tag) {
	case TAG_COLUMN_FAMILY:
		take_small_number(p, BH_VERSION_FAMILY);
		edit->cf_id = (uint32_t)p->field.number;
		note_family(edit, edit->cf_id);
		return BH_OK;
	case TAG_COLUMN_FAMILY_ADD:
		edit->cf_add = true;
		edit->cf_name = take_text(p, BH_VERSION_FAMILY_ADDED);
		return BH_OK;
	case TAG_COLUMN_FAMILY_DROP:
		edit->cf_drop = true;
		p->field.what = BH_VERSION_FAMILY_DROPPED;
		return BH_OK;
	case TAG_MAX_COLUMN_FAMILY:
		take_small_number(p, BH_VERSION_MAX_FAMILY);
		note_family(edit, (uint32_t)p->field.number);
		return BH_OK;
	case TAG_IN_ATOMIC_GROUP:
		edit->in_group = true;
		take_small_number(p, BH_VERSION_GROUP);
		edit->group_left = (uint32_t)p->field.number;
		return BH_OK;
	case TAG_TIMESTAMPS_KEPT: take_wrapped_flag(p, BH_VERSION_TIMESTAMPS_KEPT); return BH_OK;
	case TAG_COMPACTION_PROGRESS: return add_span(p, p->field.smallest = take_text(p, BH_VERSION_PROGRESS), false);
	case TAG_FULL_HISTORY_TS_LOW: return add_span(p, p->field.smallest = take_text(p, BH_VERSION_HISTORY_CUT_OFF), false);
	default:
		if (tag == TAG_SAFE_IGNORE && edit->shown_by_a_view) {
			(void)take_text(p, BH_VERSION_HIDDEN);
			return BH_OK;
		}
		return bh_fail(BH_E_UNSUPPORTED, "version edit with field %u: " BH_NEWER_ROCKSDB, (unsigned)tag);
	}
}

static bh_status take_field(edit_parser *p, uint32_t tag)
{
	switch (tag) {
	case TAG_COMPARATOR: (void)take_text(p, BH_VERSION_COMPARATOR); return BH_OK;
	case TAG_DB_ID: (void)take_text(p, BH_VERSION_DB_ID); return BH_OK;
	case TAG_LOG_NUMBER:
		take_number(p, BH_VERSION_LOG_NUMBER);
		p->edit->has_log_number = true;
		p->edit->log_number = p->field.number;
		return BH_OK;
	case TAG_NEXT_FILE_NUMBER: take_number(p, BH_VERSION_NEXT_FILE); return BH_OK;
	case TAG_LAST_SEQUENCE:
		take_number(p, BH_VERSION_LAST_SEQUENCE);
		p->edit->has_last_sequence = true;
		p->edit->last_sequence = p->field.number;
		return BH_OK;
	case TAG_PREV_LOG_NUMBER: take_number(p, BH_VERSION_PREV_LOG); return BH_OK;
	case TAG_MIN_LOG_NUMBER_TO_KEEP: take_number(p, BH_VERSION_MIN_LOG); return BH_OK;
	case TAG_WAL_DELETION: take_number(p, BH_VERSION_WAL_DELETED); return BH_OK;
	case TAG_COMPACT_CURSOR:
		p->field.what = BH_VERSION_CURSOR;
		p->field.level = read_u32v(p);
		return take_internal_key(p, &p->field.smallest);
	case TAG_DELETED_FILE:
		p->field.level = read_u32v(p);
		take_number(p, BH_VERSION_FILE_DELETED);
		return BH_OK;
	case TAG_NEW_FILE:
	case TAG_NEW_FILE2:
	case TAG_NEW_FILE3:
	case TAG_NEW_FILE4: return take_new_file(p, tag);
	case TAG_BLOB_FILE_ADDITION:
	case TAG_BLOB_FILE_ADDITION_OLD: return take_blob_addition(p);
	case TAG_BLOB_FILE_GARBAGE:
	case TAG_BLOB_FILE_GARBAGE_OLD: return take_blob_garbage(p);
	case TAG_WAL_ADDITION: return take_wal_addition(p);
	case TAG_WAL_ADDITION2:
	case TAG_COMPACTED_SIZE:
	case TAG_WAL_DELETION2: return take_wrapped(p, tag);
	default: return p->in.failed ? BH_OK : take_family_field(p, tag);
	}
}

static bh_status check_whole(const bh_version_edit *edit)
{
	if (edit->cf_add && edit->cf_drop)
		return bh_fail(BH_E_UNSUPPORTED, "version edit both adds and drops column family %u", (unsigned)edit->cf_id);
	/* RocksDB never groups these; were it to, a group cut off by a crash would have changed who owns an id. */
	if (edit->in_group && (edit->cf_add || edit->cf_drop))
		return bh_fail(BH_E_UNSUPPORTED, "version edit adds or drops column family %u in an atomic group",
			       (unsigned)edit->cf_id);
	return BH_OK;
}

bh_status bh_version_edit_walk(bh_view record, bh_version_edit *edit, bh_version_visitor visit, void *arg)
{
	edit_parser p = { .in = bh_reader_of(record), .start = record.data, .edit = edit };

	*edit = (bh_version_edit){
		.spans = edit->spans, .span_cap = edit->span_cap, .shown_by_a_view = edit->shown_by_a_view, .cf_id = BH_CF_DEFAULT
	};
	while (bh_reader_ok(&p.in) && p.in.rest.len > 0) {
		const uint8_t *begin = p.in.rest.data;

		p.field = (bh_version_field){ 0 };
		BH_TRY(take_field(&p, read_u32v(&p)));
		p.field.off = (size_t)(begin - record.data);
		p.field.len = (size_t)(p.in.rest.data - begin);
		if (visit && bh_reader_ok(&p.in))
			visit(arg, &p.field);
	}
	if (!bh_reader_ok(&p.in))
		return bh_fail(BH_E_FORMAT, "version edit is malformed");
	return check_whole(edit);
}

bh_status bh_version_edit_parse(bh_view record, bh_version_edit *edit)
{
	return bh_version_edit_walk(record, edit, NULL, NULL);
}

const char *bh_version_what_name(bh_version_what what)
{
	static const char *const names[] = {
		[BH_VERSION_COMPARATOR] = "comparator",
		[BH_VERSION_LOG_NUMBER] = "log-number",
		[BH_VERSION_NEXT_FILE] = "next-file-number",
		[BH_VERSION_LAST_SEQUENCE] = "last-sequence",
		[BH_VERSION_CURSOR] = "compaction-cursor",
		[BH_VERSION_FILE_DELETED] = "file-deleted",
		[BH_VERSION_FILE_ADDED] = "file-added",
		[BH_VERSION_PREV_LOG] = "previous-log-number",
		[BH_VERSION_MIN_LOG] = "min-log-number-to-keep",
		[BH_VERSION_FAMILY] = "family",
		[BH_VERSION_FAMILY_ADDED] = "family-added",
		[BH_VERSION_FAMILY_DROPPED] = "family-dropped",
		[BH_VERSION_MAX_FAMILY] = "max-family",
		[BH_VERSION_GROUP] = "atomic-group",
		[BH_VERSION_BLOB_ADDED] = "blob-file-added",
		[BH_VERSION_BLOB_GARBAGE] = "blob-file-garbage",
		[BH_VERSION_DB_ID] = "database-id",
		[BH_VERSION_WAL_ADDED] = "wal-added",
		[BH_VERSION_WAL_DELETED] = "wal-deleted",
		[BH_VERSION_HISTORY_CUT_OFF] = "history-cut-off",
		[BH_VERSION_TIMESTAMPS_KEPT] = "timestamps-persisted",
		[BH_VERSION_PROGRESS] = "compaction-progress",
		[BH_VERSION_COMPACTED_SIZE] = "compacted-manifest-size",
		[BH_VERSION_HIDDEN] = "hidden",
	};

	return what < BH_VERSION_WHAT_COUNT_ ? names[what] : "unknown";
}

bool bh_version_is_about_files(bh_version_what what)
{
	switch (what) {
	case BH_VERSION_CURSOR:
	case BH_VERSION_FILE_DELETED:
	case BH_VERSION_FILE_ADDED:
	case BH_VERSION_BLOB_ADDED:
	case BH_VERSION_PROGRESS:
	case BH_VERSION_BLOB_GARBAGE: return true;
	default: return false;
	}
}

/* The length takes as many bytes as the largest rest needs, also where its value would fit into fewer: a varint may be padded. */
size_t bh_version_skip_encode(size_t field_len, uint8_t out[BH_VERSION_SKIP_MAX])
{
	const size_t tag_len = 2;
	size_t len_len = 1, rest;

	if (field_len < tag_len + 1 || field_len > UINT32_MAX)
		return 0;
	while (((field_len - tag_len - len_len) >> (7 * len_len)) != 0)
		len_len++;
	rest = field_len - tag_len - len_len;
	out[0] = (TAG_SAFE_IGNORE & 0x7f) | 0x80;
	out[1] = TAG_SAFE_IGNORE >> 7;
	for (size_t i = 0; i < len_len; i++)
		out[tag_len + i] = (uint8_t)(((rest >> (7 * i)) & 0x7f) | (i + 1 < len_len ? 0x80 : 0));
	return tag_len + len_len;
}

static bh_status append_varint(bh_buf *out, uint32_t v)
{
	while (v >= 0x80) {
		BH_TRY(bh_buf_append_u8(out, (uint8_t)(v | 0x80)));
		v >>= 7;
	}
	return bh_buf_append_u8(out, (uint8_t)v);
}

bh_status bh_version_edit_encode_drop(uint32_t max_cf_id, uint32_t cf_id, bh_buf *out)
{
	BH_TRY(append_varint(out, TAG_MAX_COLUMN_FAMILY));
	BH_TRY(append_varint(out, max_cf_id));
	BH_TRY(append_varint(out, TAG_COLUMN_FAMILY));
	BH_TRY(append_varint(out, cf_id));
	return append_varint(out, TAG_COLUMN_FAMILY_DROP);
}
