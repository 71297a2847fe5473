/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pages.c: sealed pages: arithmetic, round trips, slices, and every way to tamper with a small file.
 */
#include "sealed_fixture.h"

#include <pthread.h>

#define SMALL_PAGE 512u
#define SMALL_DATA (SMALL_PAGE - BH_TAG_LEN)
#define SMALL_LEN (2 * SMALL_DATA + 60) /* three pages, the last one short */

static const uint32_t page_sizes[] = { 512, 4096, 16384, 65536 };

static void test_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(page_sizes) / sizeof(page_sizes[0]); i++) {
		uint32_t page = page_sizes[i], data = page - BH_TAG_LEN;
		uint64_t previous = 0, logical = 0;

		for (uint64_t len = 0; len <= 3 * data + 2; len++) {
			uint64_t physical = bh_pages_physical_size(len, page);

			assert_true(physical > previous);
			assert_int_equal(bh_pages_logical_size(physical, page, &logical), BH_OK);
			assert_int_equal(logical, len);
			/* Sizes in between belong to no file. */
			for (uint64_t gap = previous + 1; gap < physical && page == SMALL_PAGE; gap++)
				assert_int_equal(bh_pages_logical_size(gap, page, &logical), BH_E_TRUNCATED);
			previous = physical;
		}
		assert_int_equal(bh_pages_physical_offset(0, page), BH_HEADER_LEN);
		assert_int_equal(bh_pages_physical_offset(data - 1, page), BH_HEADER_LEN);
		assert_int_equal(bh_pages_physical_offset(data, page), BH_HEADER_LEN + page);
	}
	/* What the header of a stream has. */
	for (uint64_t physical = 0; physical < 3 * BH_HEADER_LEN; physical += 7)
		assert_int_equal(bh_pages_logical_size(physical, 0, &(uint64_t){ 0 }), BH_E_FORMAT);
	assert_int_equal(bh_pages_physical_size(0, 4096), 4096 + 16);
	assert_int_equal(bh_pages_physical_size(4080, 4096), 2 * 4096);
	assert_int_equal(bh_pages_physical_size(4081, 4096), 2 * 4096 + 17);
}

static void check_round_trip(keys *k, uint32_t page_size, const uint8_t *plain, size_t len, size_t chunk)
{
	bh_buf file = sealed_pages(k->dek[MERCHANT_A], BH_KIND_SST, page_size, bh_view_of(plain, len), chunk);
	bh_buf got = { 0 };

	assert_int_equal(file.len, bh_pages_physical_size(len, page_size));
	assert_int_equal(read_pages(bh_buf_view(&file), &k->scopes, &got), BH_OK);
	assert_int_equal(got.len, len);
	assert_memory_equal(got.data, plain, len);
	bh_buf_clear(&file);
	bh_buf_clear(&got);
}

static void test_round_trip(void **state)
{
	keys *k = *state;
	uint8_t *plain = pattern(4 * 65536);

	for (size_t i = 0; i < sizeof(page_sizes) / sizeof(page_sizes[0]); i++) {
		size_t data = page_sizes[i] - BH_TAG_LEN;
		const size_t lens[] = {
			0, 1, data - 1, data, data + 1, 2 * data - 1, 2 * data, 2 * data + 1, 3 * data, 3 * data + 7
		};
		const size_t chunks[] = { 1, 7, data - 1, data, data + 1, 2 * data, 2 * data + 1, SIZE_MAX };

		for (size_t j = 0; j < sizeof(lens) / sizeof(lens[0]); j++)
			for (size_t c = page_sizes[i] > 4096 ? 1 : 0; c < sizeof(chunks) / sizeof(chunks[0]); c++)
				check_round_trip(k, page_sizes[i], plain, lens[j], chunks[c]);
	}
	free(plain);
}

static void test_full_page_is_kept_back(void **state)
{
	keys *k = *state;
	uint8_t *plain = pattern(SMALL_LEN), header[BH_HEADER_LEN];
	bh_page_writer *w = NULL;
	bh_file_key key = { 0 };
	bh_buf out = { 0 };

	const uint64_t tallied = bh_tally_get(bh_dek_tally(k->dek[MERCHANT_A]));

	assert_int_equal(bh_header_create(BH_KIND_SST, SMALL_PAGE, 0, k->dek[MERCHANT_A], &key, header), BH_OK);
	assert_int_equal(bh_page_writer_new(&key, header, &w), BH_OK);
	assert_int_equal(bh_page_writer_append(w, bh_view_of(NULL, 0), &out), BH_OK);
	assert_int_equal(out.len, BH_HEADER_LEN);
	assert_memory_equal(out.data, header, BH_HEADER_LEN);
	assert_int_equal(bh_page_writer_append(w, bh_view_of(plain, SMALL_DATA), &out), BH_OK);
	assert_int_equal(out.len, BH_HEADER_LEN);
	assert_int_equal(bh_page_writer_append(w, bh_view_of(plain + SMALL_DATA, 1), &out), BH_OK);
	assert_int_equal(out.len, BH_HEADER_LEN + SMALL_PAGE);
	assert_false(bh_page_writer_finished(w));
	assert_int_equal(bh_page_writer_finish(w, &out), BH_OK);
	assert_int_equal(out.len, BH_HEADER_LEN + SMALL_PAGE + 17);
	assert_true(bh_page_writer_finished(w));
	assert_int_equal(bh_page_writer_finish(w, &out), BH_OK);
	assert_int_equal(out.len, BH_HEADER_LEN + SMALL_PAGE + 17);
	assert_int_equal(bh_page_writer_append(w, bh_view_of(NULL, 0), &out), BH_OK); /* nothing goes anywhere */
	assert_int_equal(bh_page_writer_append(w, bh_view_of(plain, 1), &out), BH_E_UNSUPPORTED);
	assert_int_equal(out.len, BH_HEADER_LEN + SMALL_PAGE + 17);
	bh_page_writer_free(w);
	bh_page_writer_free(NULL);
	/* What was sealed under the DEK: pages with their tags. */
	assert_int_equal(bh_tally_get(bh_dek_tally(k->dek[MERCHANT_A])) - tallied, SMALL_PAGE + 17);
	bh_buf_clear(&out);
	free(plain);
}

static void test_streams_have_no_pages(void **state)
{
	keys *k = *state;
	uint8_t header[BH_HEADER_LEN];
	bh_file_key key = { 0 };
	bh_page_writer *w = NULL;
	bh_page_file *f = NULL;

	assert_int_equal(bh_header_create(BH_KIND_OTHER, 0, 0, k->dek[MERCHANT_A], &key, header), BH_OK);
	assert_int_equal(bh_page_writer_new(&key, header, &w), BH_E_INVALID);
	assert_int_equal(bh_page_file_new(bh_view_of(header, BH_HEADER_LEN), 8192, &k->scopes, &f), BH_E_FORMAT);
	bh_file_key_clear(&key);
}

typedef struct small {
	uint8_t *plain;
	bh_buf file;
	bh_page_file *open;
} small;

static small small_file(keys *k, size_t len)
{
	small s = { .plain = pattern(len) };

	s.file = sealed_pages(k->dek[MERCHANT_A], BH_KIND_SST, SMALL_PAGE, bh_view_of(s.plain, len), SIZE_MAX);
	assert_int_equal(bh_page_file_new(bh_view_of(s.file.data, BH_HEADER_LEN), s.file.len, &k->scopes, &s.open), BH_OK);
	return s;
}

static void small_clear(small *s)
{
	bh_page_file_free(s->open);
	bh_buf_clear(&s->file);
	free(s->plain);
}

static void test_every_slice(void **state)
{
	small s = small_file(*state, SMALL_LEN);
	uint8_t dst[SMALL_LEN + 8];

	for (size_t off = 0; off <= SMALL_LEN + 1; off++) {
		for (size_t len = 0; len <= SMALL_LEN + 2 - off; len += 1 + (len > 40 && len < SMALL_DATA - 4 ? 13 : 0)) {
			size_t want = off < SMALL_LEN ? BH_MIN(len, SMALL_LEN - off) : 0, got;

			memset(dst, 0xee, sizeof(dst));
			assert_int_equal(read_range(s.open, bh_buf_view(&s.file), off, len, dst, &got), BH_OK);
			assert_int_equal(got, want);
			if (want > 0)
				assert_memory_equal(dst, s.plain + off, want);
			assert_int_equal(dst[want], 0xee);
		}
	}
	assert_int_equal(bh_page_file_range(s.open, UINT64_MAX, SIZE_MAX).len, 0);
	assert_int_equal(bh_page_file_range(s.open, 1, SIZE_MAX).out_len, SMALL_LEN - 1);
	small_clear(&s);
}

static void test_range_of_wrong_length(void **state)
{
	small s = small_file(*state, SMALL_LEN);
	uint8_t dst[SMALL_LEN];
	bh_page_range r = bh_page_file_range(s.open, 10, 20);

	for (size_t len = 0; len < r.len; len++)
		assert_int_equal(bh_page_file_open_range(s.open, 10, 20, bh_view_of(s.file.data + r.off, len), dst),
				 BH_E_TRUNCATED);
	assert_int_equal(bh_page_file_open_range(s.open, 10, 20, bh_view_of(s.file.data + r.off, r.len + 1), dst), BH_E_INVALID);
	small_clear(&s);
}

static void test_every_bit_flip(void **state)
{
	keys *k = *state;
	const size_t lens[] = { 0, 1, SMALL_LEN };
	bh_buf got = { 0 };

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		small s = small_file(k, lens[i]);

		for (size_t bit = 8 * BH_HEADER_LEN; bit < 8 * s.file.len; bit++) {
			s.file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_equal(read_pages(bh_buf_view(&s.file), &k->scopes, &got), BH_E_TAG);
			s.file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		assert_int_equal(read_pages(bh_buf_view(&s.file), &k->scopes, &got), BH_OK);
		small_clear(&s);
	}
	bh_buf_clear(&got);
}

static void test_failure_wipes_the_output(void **state)
{
	small s = small_file(*state, SMALL_LEN);
	uint8_t dst[SMALL_LEN], zeros[SMALL_LEN] = { 0 };
	size_t got;

	s.file.data[s.file.len - 1] ^= 1;
	memset(dst, 0xee, sizeof(dst));
	assert_int_equal(read_range(s.open, bh_buf_view(&s.file), 0, SMALL_LEN, dst, &got), BH_E_TAG);
	assert_memory_equal(dst, zeros, SMALL_LEN);
	assert_non_null(strstr(bh_status_message(), "page 2 of 3"));
	small_clear(&s);
}

static void test_every_cut(void **state)
{
	keys *k = *state;
	small s = small_file(k, SMALL_LEN);
	bh_buf got = { 0 };

	for (size_t len = 0; len < s.file.len; len++) {
		bh_status status = read_pages(bh_view_of(s.file.data, len), &k->scopes, &got);

		assert_true(status == BH_E_TAG || status == BH_E_TRUNCATED);
	}
	bh_buf_clear(&got);
	small_clear(&s);
}

/* Longer by zeros, and by the file's own pages once more. */
static void test_every_extension(void **state)
{
	keys *k = *state;
	const size_t lens[] = { 0, SMALL_DATA, SMALL_LEN };
	bh_buf got = { 0 };

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		small s = small_file(k, lens[i]);
		size_t len = s.file.len, body = len - BH_HEADER_LEN;
		uint8_t *longer = calloc(1, len + 2 * SMALL_PAGE);

		for (int fill = 0; fill < 2; fill++) {
			memcpy(longer, s.file.data, len);
			for (size_t j = 0; fill && j < 2 * SMALL_PAGE; j++)
				longer[len + j] = s.file.data[BH_HEADER_LEN + j % body];
			for (size_t more = 1; more <= 2 * SMALL_PAGE; more++)
				assert_int_not_equal(read_pages(bh_view_of(longer, len + more), &k->scopes, &got), BH_OK);
		}
		free(longer);
		small_clear(&s);
	}
	bh_buf_clear(&got);
}

static void refuse(keys *k, bh_view file)
{
	bh_buf got = { 0 };
	bh_status status = read_pages(file, &k->scopes, &got);

	assert_true(status == BH_E_TAG || status == BH_E_TRUNCATED);
	bh_buf_clear(&got);
}

static uint8_t *page_at(bh_buf *file, size_t idx)
{
	return file->data + BH_HEADER_LEN + idx * SMALL_PAGE;
}

static void test_pages_moved(void **state)
{
	keys *k = *state;
	uint8_t *plain = pattern(4 * SMALL_DATA);
	bh_view view = bh_view_of(plain, 4 * SMALL_DATA);

	for (size_t from = 0; from < 4; from++) {
		for (size_t to = 0; to < 4; to++) {
			bh_buf file = sealed_pages(k->dek[MERCHANT_A], BH_KIND_SST, SMALL_PAGE, view, SIZE_MAX);
			uint8_t page[SMALL_PAGE];

			if (from != to) {
				/* duplicated, then swapped */
				memcpy(page, page_at(&file, to), SMALL_PAGE);
				memcpy(page_at(&file, to), page_at(&file, from), SMALL_PAGE);
				refuse(k, bh_buf_view(&file));
				memcpy(page_at(&file, from), page, SMALL_PAGE);
				refuse(k, bh_buf_view(&file));
				/* dropped */
				memcpy(page_at(&file, to), page, SMALL_PAGE);
				memmove(page_at(&file, from), page_at(&file, from + 1), (3 - from) * SMALL_PAGE);
				refuse(k, bh_view_of(file.data, file.len - SMALL_PAGE));
			}
			bh_buf_clear(&file);
		}
	}
	free(plain);
}

/* A page, or all of them, from another file with the same plaintext: same DEK, then another's. */
static void test_splices(void **state)
{
	keys *k = *state;
	uint8_t *plain = pattern(SMALL_LEN);
	bh_view view = bh_view_of(plain, SMALL_LEN);

	for (int other = PLATFORM; other < KEYS; other++) {
		bh_buf mine = sealed_pages(k->dek[MERCHANT_A], BH_KIND_SST, SMALL_PAGE, view, SIZE_MAX);
		bh_buf theirs = sealed_pages(k->dek[other], BH_KIND_SST, SMALL_PAGE, view, SIZE_MAX);
		uint8_t page[SMALL_PAGE];

		for (size_t idx = 0; idx < 2; idx++) {
			memcpy(page, page_at(&mine, idx), SMALL_PAGE);
			memcpy(page_at(&mine, idx), page_at(&theirs, idx), SMALL_PAGE);
			refuse(k, bh_buf_view(&mine));
			memcpy(page_at(&mine, idx), page, SMALL_PAGE);
		}
		memcpy(mine.data, theirs.data, BH_HEADER_LEN);
		refuse(k, bh_buf_view(&mine));
		bh_buf_clear(&mine);
		bh_buf_clear(&theirs);
	}
	free(plain);
}

typedef struct job {
	const small *s;
	size_t seed;
} job;

static void *read_many(void *arg)
{
	const job *j = arg;
	uint8_t dst[SMALL_LEN];
	size_t x = j->seed, got = 0;

	for (int i = 0; i < 2000; i++) {
		size_t off = (x = x * 6364136223846793005u + 1) % SMALL_LEN, len = (x >> 32) % (SMALL_LEN - off) + 1;

		if (read_range(j->s->open, bh_buf_view(&j->s->file), off, len, dst, &got) != BH_OK ||
		    memcmp(dst, j->s->plain + off, got) != 0)
			return arg;
	}
	return NULL;
}

static void test_many_readers(void **state)
{
	small s = small_file(*state, SMALL_LEN);
	pthread_t threads[4];
	job jobs[4];

	for (size_t i = 0; i < 4; i++) {
		jobs[i] = (job){ &s, i };
		assert_int_equal(pthread_create(&threads[i], NULL, read_many, &jobs[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		void *failed = &s;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	small_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_full_page_is_kept_back),
		cmocka_unit_test(test_streams_have_no_pages),
		cmocka_unit_test(test_every_slice),
		cmocka_unit_test(test_range_of_wrong_length),
		cmocka_unit_test(test_every_bit_flip),
		cmocka_unit_test(test_failure_wipes_the_output),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_every_extension),
		cmocka_unit_test(test_pages_moved),
		cmocka_unit_test(test_splices),
		cmocka_unit_test(test_many_readers),
	};

	return cmocka_run_group_tests_name("pages", tests, keys_setup, keys_teardown);
}
