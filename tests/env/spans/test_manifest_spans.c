/* SPDX-License-Identifier: Apache-2.0
 *
 * test_manifest_spans.c: the VersionEdit parser: every field, every truncation, every mutated byte, every refusal.
 */
#include "env/spans/manifest_spans.h"

#include "span_fixture.h"

static void put_file_head(bh_buf *b, uint32_t tag)
{
	put_varint(b, tag);
	put_varint(b, 3);         /* level */
	put_varint(b, 123456789); /* number */
	if (tag == 102)
		put_varint(b, 1);
	put_varint(b, 1ull << 40);
	put_key(b, 4);
	put_key(b, 200);
	if (tag == 7)
		return;
	put_varint(b, 77);
	put_varint(b, 1ull << 55);
}

static void put_field(bh_buf *b, uint32_t field, const char *value)
{
	put_varint(b, field);
	put_string(b, value);
}

static void put_new_file4(bh_buf *b)
{
	put_file_head(b, 103);
	put_field(b, 2, "\1");
	put_field(b, 3, "12345678");
	put_field(b, 4, "\5");
	put_field(b, 5, "\5");
	put_field(b, 6, "\5");
	put_varint(b, 7); /* file checksum */
	put_tenant(b, 4);
	put_field(b, 8, "crc32c");
	put_field(b, 9, "\1");
	put_varint(b, 10); /* smallest timestamp */
	put_tenant(b, 8);
	put_varint(b, 11);
	put_tenant(b, 8);
	put_field(b, 12, "0123456789abcdef");
	put_field(b, 13, "\5");
	put_field(b, 14, "\5");
	put_field(b, 15, "\5");
	put_field(b, 16, "\1");
	put_varint(b, 17); /* what a file system wants back; and whatever comes later */
	put_tenant(b, 1);
	put_field(b, 65, "\0");
	put_varint(b, 66);
	put_tenant(b, 3);
	put_varint(b, 1);
}

static void put_blob_addition(bh_buf *b, uint32_t tag)
{
	put_varint(b, tag);
	put_varint(b, 9);
	put_varint(b, 1000);
	put_varint(b, 1ull << 33);
	put_string(b, "method");
	put_tenant(b, 20);
	put_varint(b, 5); /* not known to this build */
	put_tenant(b, 2);
	put_varint(b, 0);
}

static void put_blob_garbage(bh_buf *b, uint32_t tag)
{
	put_varint(b, tag);
	put_varint(b, 9);
	put_varint(b, 10);
	put_varint(b, 1ull << 20);
	put_varint(b, 65);
	put_tenant(b, 2);
	put_varint(b, 0);
}

static void put_wal_addition(bh_buf *b)
{
	put_varint(b, 12);
	put_varint(b, 2);
	put_varint(b, 1ull << 30);
	put_varint(b, 1);
}

/* Every field there is, in the order in which RocksDB writes them. */
static void put_everything(bh_buf *b)
{
	BH_CLEANUP(bh_buf_clear) bh_buf wal = { 0 };
	static const uint32_t numbers[] = { 2, 9, 3, 10, 4 };

	put_varint(b, 8193);
	put_string(b, "database-id");
	put_varint(b, 1);
	put_string(b, "leveldb.BytewiseComparator");
	for (size_t i = 0; i < 5; i++) {
		put_varint(b, numbers[i]);
		put_varint(b, 1ull << (10 * i));
	}
	put_varint(b, 203);
	put_varint(b, 9);
	put_varint(b, 5);
	put_varint(b, 2);
	put_key(b, 30);
	put_varint(b, 6);
	put_varint(b, 1);
	put_varint(b, 44);
	put_file_head(b, 7);
	put_file_head(b, 100);
	put_file_head(b, 102);
	put_new_file4(b);
	put_blob_addition(b, 400);
	put_blob_addition(b, 8194);
	put_blob_garbage(b, 401);
	put_blob_garbage(b, 8195);
	put_varint(b, 8196);
	put_wal_addition(b);
	put_wal_addition(&wal);
	put_varint(b, 8199);
	put_varint(b, wal.len);
	put_bytes(b, wal.data, wal.len);
	put_varint(b, 8197);
	put_varint(b, 1);
	put_varint(b, 8200);
	put_string(b, "\1");
	put_varint(b, 8201);
	put_string(b, "\1");
	put_varint(b, 8202);
	put_tenant(b, 30);
	put_varint(b, 8203);
	put_string(b, "\1");
	put_varint(b, 200);
	put_varint(b, 7);
	put_varint(b, 300);
	put_varint(b, 2);
	put_varint(b, 8198);
	put_tenant(b, 8);
}

static void test_every_field(void **state)
{
	BH_CLEANUP(bh_version_edit_clear) bh_version_edit edit = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf b = { 0 };
	size_t next = 0;
	size_t keys = 0;

	(void)state;
	put_everything(&b);
	ok(bh_version_edit_parse(bh_buf_view(&b), &edit));
	assert_int_equal(edit.cf_id, 7);
	assert_int_equal(edit.max_cf_id, 9);
	assert_true(edit.in_group);
	assert_int_equal(edit.group_left, 2);
	for (size_t i = 0; i < edit.span_count; i++) {
		for (; next < edit.spans[i].off; next++)
			assert_int_not_equal(b.data[next], TENANT);
		for (; next < edit.spans[i].off + edit.spans[i].len; next++)
			assert_int_equal(b.data[next], TENANT);
		keys += edit.spans[i].internal_key;
	}
	for (; next < b.len; next++)
		assert_int_not_equal(b.data[next], TENANT);
	assert_int_equal(keys, 9);
}

static void test_family_fields(void **state)
{
	BH_CLEANUP(bh_version_edit_clear) bh_version_edit edit = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf b = { 0 };

	(void)state;
	put_varint(&b, 200);
	put_varint(&b, 7);
	put_varint(&b, 201);
	put_string(&b, "m7/c");
	ok(bh_version_edit_parse(bh_buf_view(&b), &edit));
	assert_true(edit.cf_add && !edit.cf_drop && !edit.in_group);
	assert_int_equal(edit.cf_id, 7);
	assert_int_equal(edit.cf_name.len, 4);
	assert_memory_equal(edit.cf_name.data, "m7/c", 4);
	b.len = 0;
	ok(bh_version_edit_encode_drop(1000, 300, &b));
	ok(bh_version_edit_parse(bh_buf_view(&b), &edit));
	assert_true(edit.cf_drop && !edit.cf_add);
	assert_int_equal(edit.cf_id, 300);
	assert_int_equal(edit.max_cf_id, 1000);
	assert_int_equal(edit.span_count, 0);
	ok(bh_version_edit_parse(bh_view_of(NULL, 0), &edit));
	assert_int_equal(edit.cf_id, 0);
}

static void refused(const bh_buf *b, bh_status st)
{
	BH_CLEANUP(bh_version_edit_clear) bh_version_edit edit = { 0 };

	assert_int_equal(bh_version_edit_parse(bh_buf_view(b), &edit), st);
}

static void test_unknown_fields(void **state)
{
	static const uint32_t known[] = { 1,   2,   3,   4,   5,    6,    7,    9,    10,   100,  102,  103,  200,  201,  202,
					  203, 300, 400, 401, 8193, 8194, 8195, 8196, 8197, 8198, 8199, 8200, 8201, 8202, 8203 };
	size_t k = 0;

	(void)state;
	/* Also those that RocksDB itself would skip over: 8192 and up. */
	for (uint32_t tag = 0; tag < 20000; tag++) {
		BH_CLEANUP(bh_buf_clear) bh_buf b = { 0 };

		if (k < sizeof(known) / sizeof(known[0]) && known[k] == tag) {
			k++;
			continue;
		}
		put_varint(&b, tag);
		put_string(&b, "unknown");
		refused(&b, BH_E_UNSUPPORTED);
		assert_non_null(strstr(bh_status_message(), "written by a newer RocksDB"));
	}
}

static void test_refusals(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf b = { 0 };

	(void)state;
	put_varint(&b, 5); /* a compaction cursor too short to be an internal key */
	put_varint(&b, 0);
	put_string(&b, "1234567");
	refused(&b, BH_E_FORMAT);
	b.len = 0;
	put_varint(&b, 8196); /* a WAL addition with an unknown field */
	put_varint(&b, 5);
	put_varint(&b, 3);
	refused(&b, BH_E_UNSUPPORTED);
	b.len = 0;
	put_varint(&b, 8200); /* a wrapped value with bytes to spare */
	put_string(&b, "\1\1");
	refused(&b, BH_E_FORMAT);
	b.len = 0;
	put_varint(&b, 8203); /* the same */
	put_string(&b, "\1\1");
	refused(&b, BH_E_FORMAT);
	b.len = 0;
	put_varint(&b, 8201); /* a flag of two bytes, and of none */
	put_string(&b, "\1\1");
	refused(&b, BH_E_FORMAT);
	b.len = 0;
	put_varint(&b, 8201);
	put_string(&b, "");
	refused(&b, BH_E_FORMAT);
	b.len = 0;
	put_varint(&b, 202); /* both add and drop */
	put_varint(&b, 201);
	put_string(&b, "m7/c");
	refused(&b, BH_E_UNSUPPORTED);
	b.len = 0;
	put_varint(&b, 202); /* in a group */
	put_varint(&b, 300);
	put_varint(&b, 0);
	refused(&b, BH_E_UNSUPPORTED);
}

static void test_truncations_and_mutations(void **state)
{
	BH_CLEANUP(bh_version_edit_clear) bh_version_edit edit = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf b = { 0 };
	size_t whole = 0;

	(void)state;
	put_everything(&b);
	for (size_t len = 0; len < b.len; len++)
		whole += bh_version_edit_parse(bh_view_of(b.data, len), &edit) == BH_OK;
	assert_int_equal(whole, 28); /* between two of its 28 fields */
	for (size_t i = 0; i < b.len; i++) {
		for (unsigned v = 0; v < 256; v++) {
			uint8_t old = b.data[i];

			b.data[i] = (uint8_t)v;
			if (bh_version_edit_parse(bh_buf_view(&b), &edit) == BH_OK && edit.span_count > 0)
				assert_true(edit.spans[edit.span_count - 1].off + edit.spans[edit.span_count - 1].len <= b.len);
			b.data[i] = old;
		}
	}
}

/* ---- what a walk shows */

typedef struct walked {
	size_t count[BH_VERSION_WHAT_COUNT_];
	bh_version_field last[BH_VERSION_WHAT_COUNT_];
} walked;

static void note(void *arg, const bh_version_field *field)
{
	walked *w = arg;

	w->count[field->what]++;
	w->last[field->what] = *field;
	assert_true(strlen(bh_version_what_name(field->what)) > 0);
}

static void test_walk(void **state)
{
	BH_CLEANUP(bh_version_edit_clear) bh_version_edit edit = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf b = { 0 };
	const bh_version_field *file, *blob;
	walked w = { 0 };

	(void)state;
	put_everything(&b);
	ok(bh_version_edit_walk(bh_buf_view(&b), &edit, note, &w));
	assert_int_equal(edit.cf_id, 7);
	assert_int_equal(w.count[BH_VERSION_FILE_ADDED], 4);
	assert_int_equal(w.count[BH_VERSION_BLOB_ADDED], 2);
	assert_int_equal(w.count[BH_VERSION_WAL_ADDED], 2);
	assert_int_equal(w.count[BH_VERSION_WAL_DELETED], 2);
	assert_int_equal(w.count[BH_VERSION_HISTORY_CUT_OFF], 1);
	file = &w.last[BH_VERSION_FILE_ADDED];
	assert_int_equal(file->level, 3);
	assert_int_equal(file->number, 123456789);
	assert_int_equal(file->size, 1ull << 40);
	assert_int_equal(file->smallest.len, 4 + BH_INTERNAL_KEY_TRAILER);
	assert_int_equal(file->largest.len, 200 + BH_INTERNAL_KEY_TRAILER);
	assert_int_equal(file->blob, 5);
	blob = &w.last[BH_VERSION_BLOB_ADDED];
	assert_int_equal(blob->number, 9);
	assert_int_equal(blob->count, 1000);
	assert_int_equal(blob->size, 1ull << 33);
	assert_int_equal(w.last[BH_VERSION_FILE_DELETED].number, 44);
	assert_int_equal(w.last[BH_VERSION_FAMILY].number, 7);
	assert_int_equal(w.last[BH_VERSION_WAL_ADDED].number, 12);
	assert_memory_equal(w.last[BH_VERSION_DB_ID].text.data, "database-id", 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field),   cmocka_unit_test(test_walk),
		cmocka_unit_test(test_family_fields), cmocka_unit_test(test_unknown_fields),
		cmocka_unit_test(test_refusals),      cmocka_unit_test(test_truncations_and_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
