/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_spans.h: which bytes of a MANIFEST record belong to a column family.
 *
 * The payload of a MANIFEST record is a VersionEdit: fields of [varint32 tag][value, by tag]. It names its family after the files,
 * hence the parser wants the whole record. Spans are: boundary keys of files, compaction cursors, file and blob checksums,
 * timestamps, the history cut-off, and custom fields of files and blobs that this build does not know. A field this build does not
 * know is refused, also one that RocksDB would skip: nobody here can say whose bytes it holds.
 *
 * Spans are skipped by their length, so the parser works on records with zeros for spans as on plain ones. Thread-safety: none.
 */
#ifndef BH_MANIFEST_SPANS_H
#define BH_MANIFEST_SPANS_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_INTERNAL_KEY_TRAILER 8u /* bytes of sequence number and type at the end of an internal key */

typedef struct bh_manifest_span {
	size_t off;        /* in the record's payload */
	size_t len;        /* at least 1 */
	bool internal_key; /* ends in a trailer that RocksDB checks; at least that long */
} bh_manifest_span;

/* What one VersionEdit says. All zero is empty; reused from record to record, released with bh_version_edit_clear(). */
typedef struct bh_version_edit {
	bh_manifest_span *spans; /* in order */
	size_t span_count;
	size_t span_cap;
	bool shown_by_a_view; /* set by the caller: fields may be hidden */
	uint32_t cf_id;       /* of the whole edit; BH_CF_DEFAULT where it names none */
	uint32_t max_cf_id;   /* largest id the edit mentions */
	bool has_log_number;
	uint64_t log_number; /* WALs below hold nothing more of the family that is needed */
	bool has_last_sequence;
	uint64_t last_sequence; /* of the database */
	bool cf_add;
	bool cf_drop;
	bh_view cf_name;     /* cf_add: borrowed from the record */
	bool in_group;       /* part of an atomic group ... */
	uint32_t group_left; /* ... of which as many edits follow */
} bh_version_edit;
void bh_version_edit_clear(bh_version_edit *edit);

/* Errors: BH_E_UNSUPPORTED (a field), BH_E_FORMAT, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_version_edit_parse(bh_view record, bh_version_edit *edit);

/* What a field says, for who shows it to people. */
typedef enum bh_version_what {
	BH_VERSION_COMPARATOR,    /* text */
	BH_VERSION_LOG_NUMBER,    /* number: older WALs hold nothing of the family */
	BH_VERSION_NEXT_FILE,     /* number */
	BH_VERSION_LAST_SEQUENCE, /* number */
	BH_VERSION_CURSOR,        /* level, smallest */
	BH_VERSION_FILE_DELETED,  /* level, number */
	BH_VERSION_FILE_ADDED,    /* level, number, size, smallest, largest, blob: the oldest blob file it refers to, 0 for none */
	BH_VERSION_PREV_LOG,      /* number */
	BH_VERSION_MIN_LOG,       /* number: older WALs are not needed */
	BH_VERSION_FAMILY,        /* number: the id of the edit's family */
	BH_VERSION_FAMILY_ADDED,  /* text: its name */
	BH_VERSION_FAMILY_DROPPED,
	BH_VERSION_MAX_FAMILY,      /* number */
	BH_VERSION_GROUP,           /* number: edits that follow in the atomic group */
	BH_VERSION_BLOB_ADDED,      /* number, count, size */
	BH_VERSION_BLOB_GARBAGE,    /* number, count, size */
	BH_VERSION_DB_ID,           /* text */
	BH_VERSION_WAL_ADDED,       /* number */
	BH_VERSION_WAL_DELETED,     /* number */
	BH_VERSION_HISTORY_CUT_OFF, /* smallest: a timestamp */
	BH_VERSION_TIMESTAMPS_KEPT, /* number: whether the family's tables have the timestamps of its keys */
	BH_VERSION_PROGRESS,        /* smallest: what a compaction has come to */
	BH_VERSION_COMPACTED_SIZE,  /* number: bytes of the MANIFEST when it was begun */
	BH_VERSION_HIDDEN,          /* text: what is left of a field that a view hides (bh_version_skip_encode()) */
	BH_VERSION_WHAT_COUNT_
} bh_version_what;
const char *bh_version_what_name(bh_version_what what);

typedef struct bh_version_field {
	bh_version_what what;
	size_t off; /* of the whole field, tag included, in the record's payload */
	size_t len; /* at least 1 */
	uint32_t level;
	uint64_t number;
	uint64_t count;   /* blobs */
	uint64_t blob;    /* a file number */
	uint64_t size;    /* bytes, as RocksDB counts them */
	bh_view smallest; /* internal keys, borrowed from the record */
	bh_view largest;
	bh_view text;
} bh_version_field;
typedef void (*bh_version_visitor)(void *arg, const bh_version_field *field);

/* bh_version_edit_parse() that shows every field, in order, as it is passed. */
BH_MUST_CHECK bh_status bh_version_edit_walk(bh_view record, bh_version_edit *edit, bh_version_visitor visit, void *arg);

/* Whether the field says something of a file: added, deleted, blobs, a compaction cursor. */
bool bh_version_is_about_files(bh_version_what what);
/* What to put over the first bytes of a field of `field_len` bytes, so that RocksDB skips all of it: a tag that it may ignore, and
 * the length of the rest. Returns how many bytes that is, at most BH_VERSION_SKIP_MAX; 0: a field shorter than 3 bytes cannot be
 * hidden. */
#define BH_VERSION_SKIP_MAX 7u
size_t bh_version_skip_encode(size_t field_len, uint8_t out[BH_VERSION_SKIP_MAX]);

/* Appends the payload of the edit that drops a family: MaxColumnFamily, ColumnFamily, ColumnFamilyDrop. Without MaxColumnFamily
 * RocksDB would give the id away again. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_version_edit_encode_drop(uint32_t max_cf_id, uint32_t cf_id, bh_buf *out);

#ifdef __cplusplus
}
#endif
#endif
