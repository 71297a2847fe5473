/* SPDX-License-Identifier: Apache-2.0
 *
 * test_golden.c: files sealed by an earlier build, in tests/data/golden, open to the content they were made of. A failure here
 * means that the file format changed without its version.
 *
 * BH_GOLDEN_WRITE=1 makes those files anew (and every run of it makes others, since salts are random): for a new format version
 * alone.
 */
#include "env/spans/logfmt.h"
#include "sealed_fixture.h"

static bh_buf slurp(const char *path)
{
	bh_buf out = { 0 };
	uint8_t chunk[4096];
	FILE *f = fopen(path, "rb");
	size_t got;

	if (!f)
		fail_msg("%s: not there", path);
	while ((got = fread(chunk, 1, sizeof(chunk), f)) > 0)
		assert_int_equal(bh_buf_append(&out, chunk, got), BH_OK);
	fclose(f);
	return out;
}

static bh_buf golden(const char *name, const bh_buf *made)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/golden/v%u-%s", BH_TEST_DATA, BH_FORMAT_VERSION, name);
	if (getenv("BH_GOLDEN_WRITE")) {
		FILE *f = fopen(path, "wb");

		assert_non_null(f);
		assert_int_equal(fwrite(made->data, 1, made->len, f), made->len);
		assert_int_equal(fclose(f), 0);
	}
	return slurp(path);
}

static void check_pages(keys *k, const char *name, bh_file_kind kind, size_t len)
{
	uint8_t *plain = pattern(len);
	bh_buf made = sealed_pages(k->dek[MERCHANT_A], kind, 512, bh_view_of(plain, len), SIZE_MAX);
	bh_buf file = golden(name, &made), got = { 0 };

	assert_int_equal(read_pages(bh_buf_view(&file), &k->scopes, &got), BH_OK);
	assert_int_equal(got.len, len);
	assert_memory_equal(got.data, plain, len);
	bh_buf_clear(&got);
	bh_buf_clear(&file);
	bh_buf_clear(&made);
	free(plain);
}

static void test_pages(void **state)
{
	check_pages(*state, "sst", BH_KIND_SST, 3 * 496 + 60);
	check_pages(*state, "blob", BH_KIND_BLOB, 2 * 496);
	check_pages(*state, "sst-empty", BH_KIND_SST, 0);
}

static void check_stream(keys *k, const char *name, bh_file_kind kind, const bh_view *pieces, size_t count, const bh_buf *want)
{
	bh_buf made = sealed_stream(k, k->dek[PLATFORM], kind, pieces, count, count - 1);
	bh_buf file = golden(name, &made), got = { 0 };
	bh_stream_end end;

	assert_int_equal(read_stream(bh_buf_view(&file), &k->scopes, false, 0, &got, &end), BH_OK);
	assert_int_equal(end, BH_STREAM_CLEAN);
	assert_int_equal(got.len, want->len);
	assert_memory_equal(got.data, want->data, want->len);
	bh_buf_clear(&got);
	bh_buf_clear(&file);
	bh_buf_clear(&made);
}

static void test_other(void **state)
{
	const bh_view pieces[] = { bh_view_str("MANIFEST-"), bh_view_str("000005\n") };
	bh_buf want = { 0 };

	assert_int_equal(bh_buf_append(&want, "MANIFEST-000005\n", 16), BH_OK);
	check_stream(*state, "other", BH_KIND_OTHER, pieces, 2, &want);
	bh_buf_clear(&want);
}

/* One append a record. */
static void check_log(keys *k, const char *name, bh_file_kind kind, const bh_view *records, size_t count)
{
	bh_buf log = { 0 };
	bh_view pieces[8];
	size_t ends[8];

	assert_true(count <= 8);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(bh_log_append_record(log.len, records[i], &log), BH_OK);
		ends[i] = log.len;
	}
	for (size_t i = 0; i < count; i++)
		pieces[i] = bh_view_of(log.data + (i ? ends[i - 1] : 0), ends[i] - (i ? ends[i - 1] : 0));
	check_stream(k, name, kind, pieces, count, &log);
	bh_buf_clear(&log);
}

#define RECORD(bytes) bh_view_of(bytes, sizeof(bytes) - 1)
#define SEQUENCE_AND_COUNT_2 "\x07\0\0\0\0\0\0\0\x02\0\0\0"

static void test_wal(void **state)
{
	const bh_view batches[] = {
		RECORD(SEQUENCE_AND_COUNT_2
		       "\x05\x01\x03key\x05value\x01\x02pk\x02pv"), /* a Put of family 1, one of the default family */
		RECORD(SEQUENCE_AND_COUNT_2 "\x04\x02\x04gone\x0e\x01\x01"
					    "a\x01z"), /* a Delete of family 2, a DeleteRange of family 1 */
	};

	check_log(*state, "wal", BH_KIND_WAL, batches, 2);
}

static void test_manifest(void **state)
{
	const bh_view edits[] = {
		RECORD("\xc8\x01\x01\xc9\x01\x0b"
		       "acme/events"), /* family 1, added */
		/* new file 9 of 1000 bytes on level 0, keys "aa" to "zz", sequence numbers 3 to 4; family 1 */
		RECORD("\x64\x00\x09\xe8\x07\x0a"
		       "aa\x01\x03\0\0\0\0\0\0\x0a"
		       "zz\x01\x04\0\0\0\0\0\0\x03\x04\xc8\x01\x01"),
		RECORD("\x02\x08\x03\x0a\x04\x04"), /* log number, next file number, last sequence */
	};

	check_log(*state, "manifest", BH_KIND_MANIFEST, edits, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_other),
		cmocka_unit_test(test_wal),
		cmocka_unit_test(test_manifest),
	};

	return cmocka_run_group_tests_name("golden files", tests, keys_setup, keys_teardown);
}
