/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_paged.c: the entries of an SST, the records of a blob file.
 */
#include <stdio.h>
#include <stdlib.h>

#include "env/bridge/sst.h"
#include "dump.h"

static void page_file_free(bh_page_file **f)
{
	bh_page_file_free(*f);
}

/* The plaintext of the file, by logical offset. */
typedef struct plain {
	dump *d;
	bh_page_file *pages;
} plain;

static bh_status plain_read(void *arg, uint64_t off, size_t len, uint8_t *dst)
{
	const plain *p = arg;
	bh_page_range range = bh_page_file_range(p->pages, off, len);
	bh_view physical;

	BH_TRY(sealed_view(&p->d->file, range.off, range.len, &physical));
	return bh_page_file_open_range(p->pages, off, len, physical, dst);
}

static bh_status open_pages(dump *d, bh_page_file **out)
{
	return bh_page_file_new(bh_view_of(d->file.header, d->file.header_len), d->file.size, &d->in.scopes, out);
}

/* ---- SST */

static bh_status show_properties(void *arg, const bh_sst_properties *p)
{
	dump *d = arg;

	if (d->ctl->json) {
		json_object_set_new(d->head, "properties",
				    json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "family", p->family,
					      "comparator", p->comparator, "compression", p->compression, "entries",
					      (json_int_t)p->entries, "deletions", (json_int_t)p->deletions, "range_deletions",
					      (json_int_t)p->range_deletions, "merges", (json_int_t)p->merges, "data_blocks",
					      (json_int_t)p->data_blocks, "data_size", (json_int_t)p->data_size, "key_bytes",
					      (json_int_t)p->key_bytes, "value_bytes", (json_int_t)p->value_bytes));
	} else {
		printf("family    %s, compression %s, comparator %s\n", p->family, p->compression, p->comparator);
		printf("entries   %llu, of them %llu deletions (%llu of ranges), %llu merges\n", (unsigned long long)p->entries,
		       (unsigned long long)p->deletions, (unsigned long long)p->range_deletions, (unsigned long long)p->merges);
		printf("data      %llu blocks, %llu bytes; %llu bytes of keys and %llu of values before compression\n",
		       (unsigned long long)p->data_blocks, (unsigned long long)p->data_size, (unsigned long long)p->key_bytes,
		       (unsigned long long)p->value_bytes);
	}
	return dump_begin(d, "entries");
}

static bh_status show_entry(void *arg, bh_view key, bh_view value, bool *stop_out)
{
	dump *d = arg;

	*stop_out = dump_enough(d);
	if (*stop_out)
		return BH_OK;
	if (d->ctl->json) {
		json_t *entry = json_object();

		dump_set_bytes(d, entry, "key", key, true);
		dump_set_bytes(d, entry, "value", value, true);
		return out_array_item(&d->array, entry);
	}
	d->array.count++;
	printf("  ");
	dump_bytes(d, key, true);
	printf(" = ");
	dump_bytes(d, value, true);
	putchar('\n');
	return BH_OK;
}

bh_status dump_sst(dump *d)
{
	BH_CLEANUP(page_file_free) bh_page_file *pages = NULL;
	plain source = { .d = d };
	const bh_sst_visitor visitor = { d, show_properties, show_entry };
	bh_sst_source sst = { .arg = &source, .read = plain_read };

	BH_TRY(open_pages(d, &pages));
	source.pages = pages;
	sst.size = bh_page_file_size(pages);
	return bh_bridge_sst_scan(&sst, &visitor);
}

/* ---- blob files: a header, records, a footer (RocksDB's db/blob/blob_log_format.h). All numbers are little-endian.
 *     header  0 u32 magic; 4 u32 version; 8 u32 family; 12 u8 flags; 13 u8 compression; 14 u64 expiration from; 22 u64 to
 *     record  0 u64 key length; 8 u64 value length; 16 u64 expiration; 24 u32 CRC of the header; 28 u32 CRC of the blob; 32 key,
 * value footer  0 u32 magic; 4 u64 blobs; 12 u64 expiration from; 20 u64 to; 28 u32 CRC */
#define BLOB_MAGIC 2395959u
#define BLOB_HEADER_LEN 30u
#define BLOB_RECORD_LEN 32u
#define BLOB_FOOTER_LEN 32u

static const char *compression_name(uint8_t compression)
{
	static const char *const names[] = { "none", "snappy", "zlib", "bzip2", "lz4", "lz4hc", "xpress", "zstd" };

	return compression < sizeof(names) / sizeof(names[0]) ? names[compression] : "unknown";
}

static bh_status show_blob_header(plain *p, uint64_t size)
{
	uint8_t bytes[BLOB_HEADER_LEN];
	dump *d = p->d;

	if (size < BLOB_HEADER_LEN)
		return bh_fail(BH_E_TRUNCATED, "blob file of %llu bytes", (unsigned long long)size);
	BH_TRY(plain_read(p, 0, sizeof(bytes), bytes));
	if (bh_get_u32(bytes) != BLOB_MAGIC)
		return bh_fail(BH_E_FORMAT, "no blob file: its magic number is wrong");
	if (d->ctl->json)
		json_object_set_new(d->head, "blob",
				    json_pack("{s:I, s:s}", "family", (json_int_t)bh_get_u32(bytes + 8), "compression",
					      compression_name(bytes[13])));
	else
		printf("blobs     of family %u, compression %s\n", bh_get_u32(bytes + 8), compression_name(bytes[13]));
	return dump_begin(d, "blobs");
}

static bh_status show_blob(dump *d, uint64_t off, bh_view key, uint64_t value_len)
{
	json_t *blob;

	if (d->ctl->json) {
		blob = json_pack("{s:I, s:I}", "offset", (json_int_t)off, "value_bytes", (json_int_t)value_len);
		dump_set_bytes(d, blob, "key", key, true);
		return out_array_item(&d->array, blob);
	}
	d->array.count++;
	printf("  at %llu: ", (unsigned long long)off);
	dump_bytes(d, key, true);
	printf(", value of %llu bytes as stored\n", (unsigned long long)value_len);
	return BH_OK;
}

static bh_status show_blobs(plain *p, uint64_t size)
{
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	uint64_t off = BLOB_HEADER_LEN;

	while (size - off > BLOB_FOOTER_LEN && !dump_enough(p->d)) {
		uint8_t head[BLOB_RECORD_LEN];
		uint64_t key_len, value_len, left;

		if (size - off < BLOB_RECORD_LEN)
			return bh_fail(BH_E_TRUNCATED, "the blob record at %llu is cut off", (unsigned long long)off);
		BH_TRY(plain_read(p, off, sizeof(head), head));
		key_len = bh_get_u64(head);
		value_len = bh_get_u64(head + 8);
		left = size - off - BLOB_RECORD_LEN;
		if (key_len > left || value_len > left - key_len)
			return bh_fail(BH_E_FORMAT, "the blob record at %llu has an impossible length", (unsigned long long)off);
		key.len = 0;
		BH_TRY(bh_buf_reserve(&key, key_len));
		if (key_len > 0)
			BH_TRY(plain_read(p, off + BLOB_RECORD_LEN, key_len, key.data));
		key.len = key_len;
		BH_TRY(show_blob(p->d, off, bh_buf_view(&key), value_len));
		off += BLOB_RECORD_LEN + key_len + value_len;
	}
	return BH_OK;
}

bh_status dump_blob(dump *d)
{
	BH_CLEANUP(page_file_free) bh_page_file *pages = NULL;
	plain source = { .d = d };
	uint64_t size;

	BH_TRY(open_pages(d, &pages));
	source.pages = pages;
	size = bh_page_file_size(pages);
	BH_TRY(show_blob_header(&source, size));
	return show_blobs(&source, size);
}
