/* SPDX-License-Identifier: Apache-2.0
 *
 * wal_spans.c: the write batch parser; see wal_spans.h.
 */
#include "wal_spans.h"

#include "env/format/scopes.h"
#include "logfmt.h"

/* What follows a tag. Numbers are those of RocksDB's WAL format and never change meaning. */
static const struct tag_shape {
	bool known;
	bool has_family;
	uint8_t strings;
	bool numbered; /* takes a sequence number */
	const char *name;
} tag_shapes[] = {
	[0x00] = { true, false, 1, true, "delete" },                   /* Deletion */
	[0x01] = { true, false, 2, true, "put" },                      /* Value */
	[0x02] = { true, false, 2, true, "merge" },                    /* Merge */
	[0x03] = { true, false, 1, false, "log-data" },                /* LogData: not in any family */
	[0x04] = { true, true, 1, true, "delete" },                    /* ColumnFamilyDeletion */
	[0x05] = { true, true, 2, true, "put" },                       /* ColumnFamilyValue */
	[0x06] = { true, true, 2, true, "merge" },                     /* ColumnFamilyMerge */
	[0x07] = { true, false, 1, true, "single-delete" },            /* SingleDeletion */
	[0x08] = { true, true, 1, true, "single-delete" },             /* ColumnFamilySingleDeletion */
	[0x09] = { true, false, 0, false, "begin-prepare" },           /* BeginPrepareXID */
	[0x0a] = { true, false, 1, false, "end-prepare" },             /* EndPrepareXID */
	[0x0b] = { true, false, 1, false, "commit" },                  /* CommitXID */
	[0x0c] = { true, false, 1, false, "rollback" },                /* RollbackXID */
	[0x0d] = { true, false, 0, false, "noop" },                    /* Noop */
	[0x0e] = { true, true, 2, true, "delete-range" },              /* ColumnFamilyRangeDeletion */
	[0x0f] = { true, false, 2, true, "delete-range" },             /* RangeDeletion */
	[0x10] = { true, true, 2, true, "blob-index" },                /* ColumnFamilyBlobIndex */
	[0x11] = { true, false, 2, true, "blob-index" },               /* BlobIndex */
	[0x12] = { true, false, 0, false, "begin-persisted-prepare" }, /* BeginPersistedPrepareXID */
	[0x13] = { true, false, 0, false, "begin-unprepare" },         /* BeginUnprepareXID */
	[0x15] = { true, false, 2, false, "commit-with-timestamp" },   /* CommitXIDAndTimestamp: timestamp, XID */
	[0x16] = { true, false, 2, true, "wide-columns" },             /* WideColumnEntity */
	[0x17] = { true, true, 2, true, "wide-columns" },              /* ColumnFamilyWideColumnEntity */
	[0x18] = { true, false, 2, true, "timed-put" },                /* ValuePreferredSeqno, since RocksDB 9.0 */
	[0x19] = { true, true, 2, true, "timed-put" },                 /* ColumnFamilyValuePreferredSeqno */
};

void bh_wal_begin(bh_wal_parser *p)
{
	*p = (bh_wal_parser){ .state = BH_WAL_HEADER, .left = BH_WAL_BATCH_HEADER };
}

static void begin_varint(bh_wal_parser *p, uint8_t state)
{
	p->state = state;
	p->varint = 0;
	p->varint_len = 0;
}

static void begin_string_or_entry(bh_wal_parser *p)
{
	if (p->strings_left > 0) {
		begin_varint(p, BH_WAL_LENGTH);
		return;
	}
	p->state = BH_WAL_TAG;
	p->bare |= !p->spanned;
	p->index += p->numbered;
}

static bh_status find_shape(uint8_t tag, const struct tag_shape **out)
{
	const struct tag_shape *shape = tag < sizeof(tag_shapes) / sizeof(tag_shapes[0]) ? &tag_shapes[tag] : NULL;

	if (!shape || !shape->known)
		return bh_fail(BH_E_UNSUPPORTED, "write batch entry with tag 0x%02x: " BH_NEWER_ROCKSDB, tag);
	*out = shape;
	return BH_OK;
}

static bh_status take_tag(bh_wal_parser *p, uint8_t tag)
{
	const struct tag_shape *shape = NULL;

	BH_TRY(find_shape(tag, &shape));
	p->tag = tag;
	p->cf_id = BH_CF_DEFAULT;
	p->spanned = false;
	p->numbered = shape->numbered;
	p->strings_left = shape->strings;
	if (shape->has_family)
		begin_varint(p, BH_WAL_FAMILY);
	else
		begin_string_or_entry(p);
	return BH_OK;
}

static void end_string(bh_wal_parser *p)
{
	p->strings_left--;
	begin_string_or_entry(p);
}

static void end_varint(bh_wal_parser *p)
{
	if (p->state == BH_WAL_FAMILY) {
		p->cf_id = p->varint;
		begin_string_or_entry(p);
		return;
	}
	p->left = p->varint;
	p->state = BH_WAL_STRING;
	if (p->left == 0)
		end_string(p);
}

/* RocksDB would let the bits above 32 of a fifth byte fall off; nothing writes them. */
static bh_status take_varint(bh_wal_parser *p, uint8_t byte)
{
	if (p->varint_len == 4 && byte > 0x0f)
		return bh_fail(BH_E_FORMAT, "write batch: a number of more than 32 bits");
	p->varint |= (uint32_t)(byte & 0x7f) << (7 * p->varint_len);
	p->varint_len++;
	if (!(byte & 0x80))
		end_varint(p);
	return BH_OK;
}

static bh_status take_header(bh_wal_parser *p, const uint8_t *data, size_t len, size_t *len_out)
{
	*len_out = BH_MIN(len, (size_t)p->left);
	memcpy(p->header + BH_WAL_BATCH_HEADER - p->left, data, *len_out);
	p->left -= (uint32_t)*len_out;
	if (p->left > 0)
		return BH_OK;
	p->state = BH_WAL_TAG;
	return bh_get_u64(p->header) <= BH_SEQUENCE_LIMIT
		       ? BH_OK
		       : bh_fail(BH_E_FORMAT, "write batch: a sequence number that no database comes to");
}

void bh_wal_span(bh_wal_parser *p, uint32_t len)
{
	p->spanned = p->spanned || (len > 0 && p->cf_id != BH_CF_DEFAULT);
	p->left -= len;
	if (p->left == 0)
		end_string(p);
}

/* Up to `len` bytes of the platform's string. */
static size_t take_string(bh_wal_parser *p, size_t len)
{
	size_t n = BH_MIN(len, (size_t)p->left);

	bh_wal_span(p, (uint32_t)n);
	return n;
}

/* One byte at least; sets *whose_out if it is an entry's, whose family is known by then. */
static bh_status take_some(bh_wal_parser *p, const uint8_t *data, size_t len, size_t *len_out, uint32_t *whose_out)
{
	*len_out = 1;
	switch (p->state) {
	case BH_WAL_HEADER: return take_header(p, data, len, len_out);
	case BH_WAL_TAG: return take_tag(p, data[0]);
	case BH_WAL_STRING: *len_out = take_string(p, len); return BH_OK;
	case BH_WAL_FAMILY:
	case BH_WAL_LENGTH:
		BH_TRY(take_varint(p, data[0]));
		*whose_out = p->cf_id;
		return BH_OK;
	default: return bh_fail(BH_E_FORMAT, "write batch: bytes outside of a record");
	}
}

bh_status bh_wal_next(bh_wal_parser *p, const uint8_t *data, size_t len, bh_wal_piece *out)
{
	uint32_t whose = BH_CF_DEFAULT;
	size_t at = 0, n;

	for (;;) {
		const bool in_header = p->state == BH_WAL_HEADER;

		if (p->state == BH_WAL_STRING && p->cf_id != BH_CF_DEFAULT) {
			*out = (bh_wal_piece){ .skip = at, .cf_id = p->cf_id, .span = p->left };
			return BH_OK;
		}
		if (at == len)
			break;
		BH_TRY(take_some(p, data + at, len - at, &n, &whose));
		at += n;
		if (p->state == BH_WAL_TAG && !in_header)
			break;
	}
	*out = (bh_wal_piece){ .skip = at, .cf_id = whose };
	return BH_OK;
}

bh_status bh_wal_end(bh_wal_parser *p)
{
	if (p->state != BH_WAL_TAG)
		return bh_fail(BH_E_FORMAT, "WAL record ends inside a write batch entry");
	p->state = BH_WAL_OUTSIDE;
	return BH_OK;
}

bh_status bh_wal_entry_read(bh_view *rest, bh_wal_entry *out)
{
	bh_reader in = bh_reader_of(*rest);
	const struct tag_shape *shape = NULL;
	bh_wal_entry entry = { .cf_id = BH_CF_DEFAULT };

	BH_TRY(find_shape(bh_read_u8(&in), &shape));
	entry.name = shape->name;
	entry.numbered = shape->numbered;
	entry.string_count = shape->strings;
	if (shape->has_family)
		entry.cf_id = (uint32_t)bh_read_varint(&in, 32);
	for (unsigned i = 0; i < shape->strings; i++)
		entry.strings[i] = bh_read_bytes(&in, (size_t)bh_read_varint(&in, 32));
	if (!bh_reader_ok(&in))
		return bh_fail(BH_E_FORMAT, "write batch: an entry '%s' is cut off", entry.name);
	*rest = in.rest;
	*out = entry;
	return BH_OK;
}
