/* SPDX-License-Identifier: Apache-2.0
 *
 * test_authenticated_bits.c: authenticated, bit by bit. Every single bit of every kind of file of a real database, flipped by
 * itself: header, padding, sync mark, pages, frames, keyring; and every length of an SST and of a blob file. Read by the formats
 * alone, which is what makes some hundred thousand tries possible; what RocksDB and the engine make of such refusals is in
 * test_authenticated.c.
 *
 * Builds with a sanitizer try every 61st bit, which still meets every field.
 */
#include "attack.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/support/slow_build.h"

enum {
#ifdef BH_SLOW_BUILD
	STRIDE = 61,
#else
	STRIDE = 1,
#endif
};

static victim *get(void **state)
{
	return *state;
}

static void fail_bit(const char *name, size_t bit, size_t len, bh_status status)
{
	test_fail_at(__FILE__, __LINE__, "%s, %zu bytes: bit %zu of byte %zu flipped: %s", name, len, bit % 8, bit / 8,
		     bh_status_name(status));
}

static void flip(bh_buf *file, size_t bit)
{
	file->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void paged_bits(const victim *v, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name), out = { 0 };

	test_ok(decrypt_pages(bh_buf_view(&file), victim_scopes(v), &out));
	for (size_t bit = 0; bit < file.len * 8; bit += STRIDE) {
		bh_status status;

		out.len = 0;
		flip(&file, bit);
		status = decrypt_pages(bh_buf_view(&file), victim_scopes(v), &out);
		if (bit / 8 < BH_HEADER_LEN ? !is_integrity(status) : status != BH_E_TAG)
			fail_bit(name, bit, file.len, status);
		flip(&file, bit);
	}
	print_message("%s: %zu bits\n", name, file.len * 8 / STRIDE);
}

/* Below the sync mark an error; above it an exact prefix that ends before the flipped bit's frame. */
static void stream_bits(const victim *v, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name), whole = { 0 }, out = { 0 };
	frames f;

	frames_find(v, bh_buf_view(&file), &f);
	test_ok(decrypt_stream(bh_buf_view(&file), victim_scopes(v), false, &whole));
	for (size_t bit = 0; bit < file.len * 8; bit += STRIDE) {
		bh_status status;
		bool prefix;

		out.len = 0;
		flip(&file, bit);
		status = decrypt_stream(bh_buf_view(&file), victim_scopes(v), false, &out);
		prefix = out.len == 0 || (out.len < whole.len && memcmp(out.data, whole.data, out.len) == 0);
		if (bit / 8 < f.mark_off ? !is_integrity(status) : status != BH_OK || !prefix)
			fail_bit(name, bit, file.len, status);
		flip(&file, bit);
	}
	print_message("%s: %zu bits\n", name, file.len * 8 / STRIDE);
}

/* Without RocksDB, which knows the size of every SST: by the last page's nonce alone. */
static void paged_lengths(const victim *v, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name), out = { 0 };
	const size_t whole = file.len, longest = whole + 2 * (size_t)BH_PAGE_SIZE_DEFAULT;

	test_ok(bh_buf_reserve(&file, longest - whole));
	memcpy(file.data + whole, file.data + BH_HEADER_LEN, longest - whole);
	for (file.len = 0; file.len <= longest; file.len++) {
		out.len = 0;
		if (file.len != whole && !is_integrity(decrypt_pages(bh_buf_view(&file), victim_scopes(v), &out)))
			test_fail_at(__FILE__, __LINE__, "%s opens with %zu bytes instead of %zu", name, file.len, whole);
	}
}

static void test_every_length_of_tables(void **state)
{
	paged_lengths(get(state), victim_find(get(state), ACME_ROWS, ".sst", 0));
	paged_lengths(get(state), victim_find(get(state), ACME_ROWS, ".blob", 0));
}

static void test_every_bit_of_tables(void **state)
{
	paged_bits(get(state), victim_find(get(state), ACME_ROWS, ".sst", 0));
	paged_bits(get(state), victim_find(get(state), ACME_ROWS, ".blob", 0));
}

static void test_every_bit_of_logs(void **state)
{
	stream_bits(get(state), get(state)->wal[0]);
	stream_bits(get(state), get(state)->wal[1]);
	stream_bits(get(state), victim_find(get(state), "MANIFEST-", "", 0));
}

static void test_every_bit_of_small_streams(void **state)
{
	stream_bits(get(state), "CURRENT");
	stream_bits(get(state), "IDENTITY");
	stream_bits(get(state), victim_find(get(state), "OPTIONS-", "", 0));
}

static bh_status open_keyring(const char *dir)
{
	const bh_keyring_options options = { 0 };
	bh_keyring *keyring = NULL;
	bh_status status = bh_keyring_open(dir, &options, true, &keyring);

	bh_keyring_close(keyring);
	return status;
}

/* Opened for writing, so that a repair would be seen, too: there is none. */
static void test_every_bit_of_the_keyring(void **state)
{
	attack a = attack_begin(get(state), "the keyring's bits");
	BH_CLEANUP(bh_buf_clear) bh_buf file = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf after = { 0 };
	char path[PATH_SIZE];
	int fd;

	path_join(path, a.dir, BH_KEYRING_FILE);
	test_ok(open_keyring(a.dir));
	file = file_read(path); /* with the mark of that open */
	fd = open(path, O_RDWR | O_CLOEXEC);
	test_check(fd >= 0);
	for (size_t bit = 0; bit < file.len * 8; bit += STRIDE) {
		uint8_t flipped = (uint8_t)(file.data[bit / 8] ^ 1u << bit % 8), now = 0;
		bh_status status;

		test_check(pwrite(fd, &flipped, 1, (off_t)(bit / 8)) == 1);
		status = open_keyring(a.dir);
		if (!is_integrity(status))
			fail_bit(BH_KEYRING_FILE, bit, file.len, status);
		test_check(pread(fd, &now, 1, (off_t)(bit / 8)) == 1 && now == flipped);
		test_check(pwrite(fd, &file.data[bit / 8], 1, (off_t)(bit / 8)) == 1);
	}
	close(fd);
	after = file_read(path);
	test_check(after.len == file.len && memcmp(after.data, file.data, file.len) == 0);
	print_message("%s: %zu bits\n", BH_KEYRING_FILE, file.len * 8 / STRIDE);
	attack_end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length_of_tables),   cmocka_unit_test(test_every_bit_of_tables),
		cmocka_unit_test(test_every_bit_of_logs),        cmocka_unit_test(test_every_bit_of_small_streams),
		cmocka_unit_test(test_every_bit_of_the_keyring),
	};

	return cmocka_run_group_tests(tests, victim_setup, victim_teardown);
}
