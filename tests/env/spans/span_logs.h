/* SPDX-License-Identifier: Apache-2.0
 *
 * span_logs.h: logs for the tests of the span codec, built from span_fixture.h.
 */
#ifndef BH_SPAN_LOGS_H
#define BH_SPAN_LOGS_H

#include "span_fixture.h"

/* Families 0 to 3, all shapes of entries, one record of several fragments, none smaller than its structure. */
static inline void make_wal(bh_buf *log, size_t large)
{
	BH_CLEANUP(bh_buf_clear) bh_buf batch = { 0 };

	log->len = 0;
	for (uint32_t cf = 1; cf <= 3; cf++) {
		begin_batch(&batch, 2);
		put_entry(&batch, cf, 10, 100);
		ok(bh_buf_append_u8(&batch, 0x01)); /* the default family's */
		put_string(&batch, "platform key");
		put_string(&batch, "platform value");
		put_entry(&batch, 4 - cf, 0, 20);
		put_entry(&batch, 4 - cf, 20, 0);
		log_record(log, &batch);
	}
	begin_batch(&batch, 2);
	put_entry(&batch, 1, 16, large);
	put_entry(&batch, 2, 16, 16);
	log_record(log, &batch);
	begin_batch(&batch, 0);
	ok(bh_buf_append_u8(&batch, 0x0d));
	log_record(log, &batch);
}

static inline void put_add(bh_buf *edit, uint32_t cf_id)
{
	char name[] = { 'm', (char)('0' + cf_id), '/', 'c', 0 };

	edit->len = 0;
	put_varint(edit, 200);
	put_varint(edit, cf_id);
	put_varint(edit, 201);
	put_string(edit, name);
}

static inline void put_drop(bh_buf *edit, uint32_t cf_id)
{
	edit->len = 0;
	put_varint(edit, 200);
	put_varint(edit, cf_id);
	put_varint(edit, 202);
}

/* `files` new files of the family, its id behind them as RocksDB writes it; `group`: edits that follow in the atomic group, -1:
 * none. */
static inline void put_files(bh_buf *edit, uint32_t cf_id, size_t files, int group)
{
	edit->len = 0;
	put_varint(edit, 2);
	put_varint(edit, 5);
	for (size_t i = 0; i < files; i++) {
		put_varint(edit, 103);
		put_varint(edit, 1);
		put_varint(edit, 100 + i % 8); /* never a TENANT byte */
		put_varint(edit, 1 << 20);
		put_key(edit, 10);
		put_key(edit, 30);
		put_varint(edit, 1);
		put_varint(edit, 9);
		put_varint(edit, 7);
		put_tenant(edit, 4);
		put_varint(edit, 1);
	}
	put_varint(edit, 200);
	put_varint(edit, cf_id);
	if (group >= 0) {
		put_varint(edit, 300);
		put_varint(edit, (uint64_t)group);
	}
}

/* Families 1 to 3 come, get files, 3 goes; one record of several fragments. */
static inline void make_manifest(bh_buf *log, size_t files)
{
	BH_CLEANUP(bh_buf_clear) bh_buf edit = { 0 };

	log->len = 0;
	put_varint(&edit, 1);
	put_string(&edit, "leveldb.BytewiseComparator");
	log_record(log, &edit);
	for (uint32_t cf = 1; cf <= 3; cf++) {
		put_add(&edit, cf);
		log_record(log, &edit);
		put_files(&edit, cf, 2, -1);
		log_record(log, &edit);
	}
	put_files(&edit, 1, files, -1);
	log_record(log, &edit);
	put_files(&edit, 1, 1, 1);
	log_record(log, &edit);
	put_files(&edit, 2, 1, 0);
	log_record(log, &edit);
	put_drop(&edit, 3);
	log_record(log, &edit);
}

static inline void make_log(bh_file_kind kind, size_t large, bh_buf *log)
{
	if (kind == BH_KIND_WAL)
		make_wal(log, large);
	else
		make_manifest(log, large / 64);
}

static const bh_file_kind kinds[] = { BH_KIND_WAL, BH_KIND_MANIFEST };

#endif
