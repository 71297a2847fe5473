/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sealing_faults.c: a census of (key, nonce) over whole files, and what happens when the n-th allocation or the n-th sealing
 * fails. The linker puts the wrappers below in place of malloc, calloc, realloc and bh_aead_seal.
 */
#include "env/spans/logfmt.h"
#include "sealed_fixture.h"

typedef struct used {
	const bh_aead *aead;
	uint8_t nonce[BH_NONCE_LEN];
} used;

static struct {
	long allocations_left; /* until one fails; negative: none does */
	long seals_left;
	long failed; /* how many did */
	used census[4096];
	size_t count;
} faults = { .allocations_left = -1, .seals_left = -1 };

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
bh_status __real_bh_aead_seal(const bh_aead *aead, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
			      uint8_t *out, uint8_t tag[BH_TAG_LEN]);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
bh_status __wrap_bh_aead_seal(const bh_aead *aead, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
			      uint8_t *out, uint8_t tag[BH_TAG_LEN]);

/* Once, not from then on: what follows must cope with memory that is there again. */
static bool strikes(long *left)
{
	if (*left < 0 || (*left)-- > 0)
		return false;
	faults.failed++;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return strikes(&faults.allocations_left) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return strikes(&faults.allocations_left) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return strikes(&faults.allocations_left) ? NULL : __real_realloc(p, size);
}

bh_status __wrap_bh_aead_seal(const bh_aead *aead, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
			      uint8_t *out, uint8_t tag[BH_TAG_LEN])
{
	assert_true(faults.count < sizeof(faults.census) / sizeof(faults.census[0]));
	faults.census[faults.count].aead = aead;
	memcpy(faults.census[faults.count++].nonce, nonce, BH_NONCE_LEN);
	if (strikes(&faults.seals_left))
		return bh_fail(BH_E_CRYPTO, "sealing fails for the test");
	return __real_bh_aead_seal(aead, nonce, aad, in, len, out, tag);
}

static void assert_no_nonce_twice(void)
{
	for (size_t i = 0; i < faults.count; i++)
		for (size_t j = 0; j < i; j++)
			assert_true(faults.census[i].aead != faults.census[j].aead ||
				    memcmp(faults.census[i].nonce, faults.census[j].nonce, BH_NONCE_LEN) != 0);
}

static void reset(void)
{
	faults.allocations_left = faults.seals_left = -1;
	faults.failed = 0;
	faults.count = 0;
}

#define CANARY "CANARY-of-acme-CANARY-of-acme"

/* Neither what a buffer holds nor the memory behind it. */
static void assert_no_plaintext(const bh_buf *out)
{
	if (out->data)
		assert_null(memmem(out->data, out->len, CANARY, strlen(CANARY)));
}

/* Writes pages until the first failure, tries twice more (only a failure for want of memory may be followed by success), and
 * returns that failure. */
static bh_status write_pages(keys *k, bh_buf *out)
{
	uint8_t header[BH_HEADER_LEN];
	bh_file_key key = { 0 };
	bh_page_writer *w = NULL;
	bh_status status = bh_header_create(BH_KIND_SST, 512, 0, k->dek[MERCHANT_A], &key, header);
	char text[700];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = CANARY[i % strlen(CANARY)];
	if (status == BH_OK)
		status = bh_page_writer_new(&key, header, &w);
	for (int i = 0; status == BH_OK && i < 9; i++)
		status = bh_page_writer_append(w, bh_view_of(text, sizeof(text)), out);
	if (status == BH_OK)
		status = bh_page_writer_finish(w, out);
	if (status == BH_E_CRYPTO && w) {
		size_t len = out->len;

		assert_int_equal(bh_page_writer_append(w, bh_view_of(text, sizeof(text)), out), BH_E_CRYPTO);
		assert_int_equal(bh_page_writer_finish(w, out), BH_E_CRYPTO);
		assert_int_equal(out->len, len);
	} else if (status == BH_E_NOMEM && w) {
		/* Nothing was taken in: the writer goes on. */
		assert_int_equal(bh_page_writer_append(w, bh_view_of(text, 10), out), BH_OK);
		assert_int_equal(bh_page_writer_finish(w, out), BH_OK);
		assert_int_equal(out->len, bh_pages_physical_size(bh_page_writer_logical(w), 512));
	}
	bh_page_writer_free(w);
	bh_file_key_clear(&key);
	return status;
}

static void log_of(bh_buf *log)
{
	static const uint8_t put[] = { 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5, MERCHANT_A, 1, 'k', 29 };
	bh_buf batch = { 0 };

	assert_int_equal(bh_buf_append(&batch, put, sizeof(put)), BH_OK);
	assert_int_equal(bh_buf_append(&batch, CANARY, strlen(CANARY)), BH_OK);
	for (int i = 0; i < 12; i++)
		assert_int_equal(bh_log_append_record(log->len, bh_buf_view(&batch), log), BH_OK);
	bh_buf_clear(&batch);
}

static bh_status write_stream(keys *k, const bh_buf *log, bh_buf *out)
{
	uint8_t header[BH_HEADER_LEN], mark[BH_SYNC_MARK_LEN];
	bh_file_key key = { 0 };
	bh_stream_writer *w = NULL;
	bh_status status = bh_header_create(BH_KIND_WAL, 0, 0, k->dek[PLATFORM], &key, header);
	bool needed;

	if (status == BH_OK)
		status = bh_stream_writer_new(&key, header, &k->scopes, header, &w);
	for (size_t off = 0, step = log->len / 12; status == BH_OK && off < log->len; off += step) {
		status = bh_stream_writer_append(w, bh_view_of(log->data + off, step), out);
		if (status != BH_OK) {
			size_t len = out->len;

			assert_int_equal(bh_stream_writer_append(w, bh_view_of(log->data, step), out), status);
			assert_int_equal(out->len, len);
			break;
		}
		bh_stream_writer_written(w);
		status = bh_stream_writer_sync_mark(w, bh_stream_writer_point(w), &needed, mark);
		/* A mark that could not be made is made by the next sync. */
		if (status != BH_OK)
			assert_int_equal(bh_stream_writer_sync_mark(w, bh_stream_writer_point(w), &needed, mark), BH_OK);
	}
	bh_stream_writer_free(w);
	bh_file_key_clear(&key);
	return status;
}

static void test_census(void **state)
{
	keys *k = *state;
	bh_buf log = { 0 }, out = { 0 };

	log_of(&log);
	reset();
	assert_int_equal(write_pages(k, &out), BH_OK);
	assert_int_equal(faults.count, 1 + 9 * 700 / 496 + 1);
	assert_no_nonce_twice();
	assert_no_plaintext(&out);
	reset();
	out.len = 0;
	assert_int_equal(write_stream(k, &log, &out), BH_OK);
	assert_int_equal(faults.count, 2 + 3 * 12); /* section, platform's part and mark of each */
	assert_no_nonce_twice();
	assert_no_plaintext(&out);
	bh_buf_clear(&out);
	bh_buf_clear(&log);
}

static void test_nth_sealing_fails(void **state)
{
	keys *k = *state;
	bh_buf log = { 0 };
	bool more = true;

	log_of(&log);
	for (long n = 0; more; n++) {
		bh_buf pages = { 0 }, stream = { 0 };
		bh_status status;

		more = false;
		reset();
		faults.seals_left = n;
		status = write_pages(k, &pages);
		assert_int_equal(status, faults.failed ? BH_E_CRYPTO : BH_OK);
		more = more || faults.failed > 0;
		assert_no_nonce_twice();
		assert_no_plaintext(&pages);
		reset();
		faults.seals_left = n;
		status = write_stream(k, &log, &stream);
		assert_int_equal(status, faults.failed ? BH_E_CRYPTO : BH_OK);
		more = more || faults.failed > 0;
		assert_no_nonce_twice();
		assert_no_plaintext(&stream);
		bh_buf_clear(&pages);
		bh_buf_clear(&stream);
	}
	reset();
	bh_buf_clear(&log);
}

static void test_nth_allocation_fails_writing(void **state)
{
	keys *k = *state;
	bh_buf log = { 0 };
	bool more = true;

	log_of(&log);
	for (long n = 0; more; n++) {
		bh_buf pages = { 0 }, stream = { 0 };
		bh_status status;

		more = false;
		reset();
		faults.allocations_left = n;
		status = write_pages(k, &pages);
		assert_int_equal(status != BH_OK, faults.failed != 0);
		more = more || faults.failed > 0;
		assert_no_nonce_twice();
		reset();
		faults.allocations_left = n;
		status = write_stream(k, &log, &stream);
		assert_int_equal(status != BH_OK, faults.failed != 0);
		more = more || faults.failed > 0;
		assert_no_nonce_twice();
		reset();
		bh_buf_clear(&pages);
		bh_buf_clear(&stream);
	}
	bh_buf_clear(&log);
}

/* Pushes the whole file, taking what comes; no asserts that allocate in between. */
static bh_status pull_stream(keys *k, bh_view file, size_t *got)
{
	bh_stream_reader *r = NULL;
	bh_status status = bh_stream_reader_new(bh_view_of(file.data, BH_HEADER_LEN), &k->scopes, false, &r);

	for (size_t off = BH_HEADER_LEN; status == BH_OK && off < file.len; off += BH_MIN((size_t)50, file.len - off)) {
		status = bh_stream_reader_push(r, bh_view_of(file.data + off, BH_MIN((size_t)50, file.len - off)));
		*got += bh_stream_reader_ready(r).len;
		bh_stream_reader_consume(r, bh_stream_reader_ready(r).len);
	}
	if (status == BH_OK)
		status = bh_stream_reader_finish(r);
	bh_stream_reader_free(r);
	return status;
}

static void test_nth_allocation_fails_reading(void **state)
{
	keys *k = *state;
	bh_buf log = { 0 };
	bh_view pieces[12];
	bool more = true;
	bh_buf pages, wal, other;

	log_of(&log);
	for (size_t i = 0; i < 12; i++)
		pieces[i] = bh_view_of(log.data + i * (log.len / 12), log.len / 12);
	reset();
	pages = sealed_pages(k->dek[MERCHANT_A], BH_KIND_SST, 512, bh_buf_view(&log), SIZE_MAX);
	wal = sealed_stream(k, k->dek[PLATFORM], BH_KIND_WAL, pieces, 12, 12);
	other = sealed_stream(k, k->dek[PLATFORM], BH_KIND_OTHER, pieces, 12, 12);
	for (long n = 0; more; n++) {
		const bh_buf *streams[] = { &wal, &other };
		bh_page_file *f = NULL;
		bh_status status;

		reset();
		faults.allocations_left = n;
		status = bh_page_file_new(bh_view_of(pages.data, BH_HEADER_LEN), pages.len, &k->scopes, &f);
		assert_int_equal(status != BH_OK, faults.failed != 0);
		more = faults.failed > 0;
		bh_page_file_free(f);
		for (size_t i = 0; i < 2; i++) {
			size_t got = 0;

			reset();
			faults.allocations_left = n;
			status = pull_stream(k, bh_buf_view(streams[i]), &got);
			assert_int_equal(status != BH_OK, faults.failed != 0);
			if (status == BH_OK)
				assert_int_equal(got, log.len);
			more = more || faults.failed > 0;
		}
	}
	reset();
	bh_buf_clear(&pages);
	bh_buf_clear(&wal);
	bh_buf_clear(&other);
	bh_buf_clear(&log);
}

/* Steady state: once the buffers have their size, neither pages nor frames allocate. */
static void test_no_allocation_in_the_steady_state(void **state)
{
	keys *k = *state;
	uint8_t header[BH_HEADER_LEN], *data = pattern(10000);
	bh_file_key key = { 0 };
	bh_stream_writer *s = NULL;
	bh_page_writer *w = NULL;
	bh_buf log = { 0 }, out = { 0 };

	log_of(&log);
	reset();
	assert_int_equal(bh_header_create(BH_KIND_WAL, 0, 0, k->dek[PLATFORM], &key, header), BH_OK);
	assert_int_equal(bh_stream_writer_new(&key, header, &k->scopes, header, &s), BH_OK);
	assert_int_equal(bh_header_create(BH_KIND_SST, 4096, 0, k->dek[MERCHANT_A], &key, header), BH_OK);
	assert_int_equal(bh_page_writer_new(&key, header, &w), BH_OK);
	for (size_t i = 0; i < 11; i++) {
		faults.allocations_left = i < 2 ? -1 : 0;
		out.len = 0;
		assert_int_equal(bh_page_writer_append(w, bh_view_of(data, 10000), &out), BH_OK);
		assert_int_equal(bh_stream_writer_append(s, bh_view_of(log.data + i * (log.len / 12), log.len / 12), &out), BH_OK);
	}
	assert_int_equal(faults.failed, 0);
	reset();
	bh_page_writer_free(w);
	bh_stream_writer_free(s);
	bh_buf_clear(&out);
	bh_buf_clear(&log);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_census),
		cmocka_unit_test(test_nth_sealing_fails),
		cmocka_unit_test(test_nth_allocation_fails_writing),
		cmocka_unit_test(test_nth_allocation_fails_reading),
		cmocka_unit_test(test_no_allocation_in_the_steady_state),
	};

	return cmocka_run_group_tests_name("sealing faults", tests, keys_setup, keys_teardown);
}
