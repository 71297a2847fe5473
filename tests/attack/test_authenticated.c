/* SPDX-License-Identifier: Apache-2.0
 *
 * test_authenticated.c: authenticated. Whoever changes a file of a closed database, without its keys, is noticed: the open is
 * refused or the read fails, with a status that stands for damage; never silence, never an abort, never a hang, and nothing is
 * overwritten.
 *
 * Beside damage to acme's files stands bolt. Damage to an SST or blob file of acme takes acme out, and nobody else.
 *
 * Not read by an open, so not noticed by it: older OPTIONS files. Reading one fails (below); `bhctl verify` reads them all.
 *
 * Whole logs that are gone, and older files put back: test_fresh_logs.c, test_older_logs.c.
 *
 * Logs are in test_authenticated_logs.c, every bit of every file, by the formats alone, in test_authenticated_bits.c.
 */
#include "attack.h"

#include <xxhash.h>

#include "tests/support/random.h"

enum { PAGE = BH_PAGE_SIZE_DEFAULT, HEADER_CHECKED = 120 };

static victim *get(void **state)
{
	return *state;
}

static uint8_t *page(const bh_buf *file, size_t idx)
{
	test_check(BH_HEADER_LEN + (idx + 1) * PAGE <= file->len);
	return file->data + BH_HEADER_LEN + idx * PAGE;
}

/* What anybody can do who writes a header: make its checksum right. */
static void fix_checksum(bh_buf *file)
{
	bh_put_u64(file->data + HEADER_CHECKED, XXH3_64bits(file->data, HEADER_CHECKED));
}

static void flip(bh_buf *file, size_t bit)
{
	file->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void expect_whole(attack *a)
{
	attack_expect_prefix(a, LOG_ROWS, LOG_ROWS);
}

static void test_untouched_copy_opens(void **state)
{
	attack a = attack_begin(get(state), "nothing");

	attack_open(&a);
	expect_whole(&a);
}

/* ---- 1: flips */

/* It says what the database was opened with. */
static const char *newest_options(const victim *v)
{
	const char *newest = "";

	for (size_t i = 0; i < v->file_count; i++)
		if (strncmp(v->files[i].name, "OPTIONS", 7) == 0 && strcmp(v->files[i].name, newest) > 0)
			newest = v->files[i].name;
	return newest;
}

/* All but older OPTIONS files, and logs of which nothing is needed any more. */
static bool is_read_by_open(const victim *v, const victim_file *file)
{
	if (file->info.kind == BH_KIND_WAL)
		return strcmp(file->name, v->wal[0]) == 0 || strcmp(file->name, v->wal[1]) == 0;
	return strncmp(file->name, "OPTIONS", 7) != 0 || strcmp(file->name, newest_options(v)) == 0;
}

static void expect_after_flip(attack *a, const victim_file *file, size_t byte, const bh_buf *bytes)
{
	frames f;

	if (file->info.scope.merchant[0] != '\0') {
		attack_expect_fails(a, strcmp(file->info.scope.merchant, "acme") == 0 ? ACME : BOLT, false);
		return;
	}
	if (!is_read_by_open(a->v, file)) {
		BH_CLEANUP(bh_buf_clear) bh_buf out = { 0 };

		test_check(is_integrity(decrypt_stream(bh_buf_view(bytes), victim_scopes(a->v), false, &out)));
		expect_whole(a);
		return;
	}
	if (strcmp(file->name, a->v->wal[1]) == 0) {
		BH_CLEANUP(bh_buf_clear) bh_buf original = victim_read(a->v, file->name);

		frames_find(a->v, bh_buf_view(&original), &f);
		if (byte >= f.mark_off) {
			attack_expect_prefix(a, LOG_SYNCED, LOG_ROWS - 1);
			return;
		}
	}
	attack_expect_refused(a);
}

static void flip_one(const victim *v, test_random *random)
{
	const victim_file *file = &v->files[test_random_below(random, v->file_count)];
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = victim_read(v, file->name);
	bool plain = !file->info.sealed && strcmp(file->name, BH_KEYRING_FILE) != 0 && strcmp(file->name, BH_AUDIT_FILE) != 0;
	char what[256];
	size_t bit;
	attack a;

	if (plain || bytes.len == 0)
		return;
	bit = test_random_below(random, bytes.len * 8);
	snprintf(what, sizeof(what), "bit %zu of byte %zu of %s (%zu bytes) flipped", bit % 8, bit / 8, file->name, bytes.len);
	flip(&bytes, bit);
	a = attack_begin(v, what);
	attack_put(&a, file->name, bh_buf_view(&bytes));
	attack_open(&a);
	expect_after_flip(&a, file, bit / 8, &bytes);
}

static void test_flips_anywhere(void **state)
{
	test_random random = test_random_new();

	for (int i = 0; i < 300; i++)
		if (attack_is_due())
			flip_one(get(state), &random);
}

/* A data page of acme: acme is taken out, and bolt does not notice. */
static void test_damaged_data_page_fails_its_merchant_alone(void **state)
{
	static const char *const suffixes[] = { ".sst", ".blob" };

	for (int i = 0; i < 2; i++) {
		const char *name = victim_find(get(state), ACME_ROWS, suffixes[i], 0);
		BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(get(state), name);
		attack a = attack_begin(get(state), "a bit of the first data page flipped");

		page(&file, 0)[100] ^= 1;
		attack_put(&a, name, bh_buf_view(&file));
		attack_open(&a);
		test_check(a.report.open == BH_OK && a.report.merchant[ACME].status == BH_E_DAMAGED);
		attack_expect_fails(&a, ACME, true);
	}
}

/* ---- 3: pages */

static void swap_pages(uint8_t *x, uint8_t *y)
{
	uint8_t kept[PAGE];

	memcpy(kept, x, PAGE);
	memcpy(x, y, PAGE);
	memcpy(y, kept, PAGE);
}

static void pages_moved(const victim *v, const char *name)
{
	BH_CLEANUP(bh_buf_clear)
	bh_buf swapped = victim_read(v, name), doubled = victim_read(v, name), dropped = victim_read(v, name);
	BH_CLEANUP(bh_buf_clear) bh_buf inserted = victim_read(v, name);

	swap_pages(page(&swapped, 0), page(&swapped, 1));
	attack_file(v, "two pages swapped", name, bh_buf_view(&swapped), attack_expect_acme_fails);
	memcpy(page(&doubled, 1), page(&doubled, 0), PAGE);
	attack_file(v, "a page in its neighbour's place, too", name, bh_buf_view(&doubled), attack_expect_acme_fails);
	memmove(page(&dropped, 0), page(&dropped, 1), dropped.len - BH_HEADER_LEN - PAGE);
	dropped.len -= PAGE;
	attack_file(v, "a page dropped", name, bh_buf_view(&dropped), attack_expect_acme_fails);
	test_ok(bh_buf_reserve(&inserted, PAGE));
	memmove(inserted.data + BH_HEADER_LEN + PAGE, page(&inserted, 0), inserted.len - BH_HEADER_LEN);
	inserted.len += PAGE;
	attack_file(v, "a page twice", name, bh_buf_view(&inserted), attack_expect_acme_fails);
}

static void page_spliced(const victim *v, const char *what, const char *name, const bh_buf *donor)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name);

	memcpy(page(&file, 0), page(donor, 0), PAGE);
	attack_file(v, what, name, bh_buf_view(&file), attack_expect_acme_fails);
	memcpy(file.data, donor->data, BH_HEADER_LEN);
	attack_file(v, "the same with that file's header", name, bh_buf_view(&file), attack_expect_acme_fails);
}

static void test_pages_moved_and_spliced(void **state)
{
	static const char *const suffixes[] = { ".sst", ".blob" };
	const victim *v = get(state);

	for (int i = 0; i < 2; i++) {
		const char *name = victim_find(v, ACME_ROWS, suffixes[i], 0);
		BH_CLEANUP(bh_buf_clear) bh_buf sibling = victim_read(v, victim_find(v, ACME_ROWS, suffixes[i], 1));
		BH_CLEANUP(bh_buf_clear) bh_buf cousin = victim_read(v, victim_find(v, "tenants/acme/more/", suffixes[i], 0));
		BH_CLEANUP(bh_buf_clear) bh_buf stranger = victim_read(v, victim_find(v, BOLT_ROWS, suffixes[i], 0));
		BH_CLEANUP(bh_buf_clear) bh_buf twin = victim_read_twin(v, name);

		pages_moved(v, name);
		page_spliced(v, "a page of another file of the class", name, &sibling);
		page_spliced(v, "a page of the merchant's other class", name, &cousin);
		page_spliced(v, "a page of another merchant", name, &stranger);
		page_spliced(v, "a page of another database", name, &twin);
	}
}

/* ---- 4: whole files */

static void files_swapped(const victim *v, const char *what, const char *name, const char *other, attack_expect expect)
{
	BH_CLEANUP(bh_buf_clear) bh_buf first = victim_read(v, name), second = victim_read(v, other);
	attack a = attack_begin(v, what);

	attack_put(&a, name, bh_buf_view(&second));
	attack_put(&a, other, bh_buf_view(&first));
	attack_open(&a);
	expect(&a);
}

/* Somebody else's file, as it is and with each thing in its header rewritten that the place asks for. */
static void file_replaced(const victim *v, const char *name, const bh_buf *donor, attack_expect expect)
{
	enum { AT_KIND = 10, AT_NUMBER = 16, AT_SALT = 24, AT_DEK = 56, AT_COMMITMENT = 72 };
	BH_CLEANUP(bh_buf_clear) bh_buf own = victim_read(v, name), file = { 0 };

	test_ok(bh_buf_append(&file, donor->data, donor->len));
	attack_file(v, "another file in its place", name, bh_buf_view(&file), expect);
	memcpy(file.data + AT_KIND, own.data + AT_KIND, AT_SALT - AT_KIND);
	fix_checksum(&file);
	attack_file(v, "its number and kind in the header", name, bh_buf_view(&file), expect);
	memcpy(file.data + AT_DEK, own.data + AT_DEK, BH_ID_LEN);
	fix_checksum(&file);
	attack_file(v, "and its DEK's id", name, bh_buf_view(&file), expect);
	memcpy(file.data + AT_COMMITMENT, own.data + AT_COMMITMENT, 32);
	fix_checksum(&file);
	attack_file(v, "and its key commitment", name, bh_buf_view(&file), expect);
	memcpy(file.data, own.data, BH_HEADER_LEN);
	attack_file(v, "its whole header", name, bh_buf_view(&file), expect);
}

static void test_tables_swapped(void **state)
{
	static const char *const suffixes[] = { ".sst", ".blob" };
	const victim *v = get(state);

	for (int i = 0; i < 2; i++) {
		const char *name = victim_find(v, ACME_ROWS, suffixes[i], 0);
		const char *sibling = victim_find(v, ACME_ROWS, suffixes[i], 1);
		const char *cousin = victim_find(v, "tenants/acme/more/", suffixes[i], 0);
		BH_CLEANUP(bh_buf_clear) bh_buf next = victim_read(v, sibling), twin = victim_read_twin(v, name);
		BH_CLEANUP(bh_buf_clear) bh_buf stranger = victim_read(v, victim_find(v, BOLT_ROWS, suffixes[i], 0));

		files_swapped(v, "two files of a class swapped", name, sibling, attack_expect_acme_fails);
		files_swapped(v, "two files of a merchant's classes swapped", name, cousin, attack_expect_acme_fails);
		file_replaced(v, name, &next, attack_expect_acme_fails);
		file_replaced(v, name, &stranger, attack_expect_acme_fails);
		file_replaced(v, name, &twin, attack_expect_acme_fails);
	}
}

static void test_platform_files_swapped(void **state)
{
	const victim *v = get(state);
	const char *const names[] = { "CURRENT", "IDENTITY", victim_find(v, "MANIFEST-", "", 0), v->wal[0], v->wal[1] };
	BH_CLEANUP(bh_buf_clear) bh_buf keyring = victim_read_twin(v, "KEYRING");

	files_swapped(v, "two logs swapped", v->wal[0], v->wal[1], attack_expect_refused);
	files_swapped(v, "MANIFEST and log swapped", names[2], v->wal[0], attack_expect_refused);
	files_swapped(v, "CURRENT and IDENTITY swapped", "CURRENT", "IDENTITY", attack_expect_refused);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf twin = victim_read_twin(v, names[i]);

		file_replaced(v, names[i], &twin, attack_expect_foreign);
	}
	attack_file(v, "the keyring of another database", "KEYRING", bh_buf_view(&keyring), attack_expect_foreign);
}

static void test_small_files_are_bound_to_their_names(void **state)
{
	const victim *v = get(state);
	BH_CLEANUP(bh_buf_clear)
	bh_buf options = victim_read(v, victim_find(v, "OPTIONS-", "", 0)), current = victim_read(v, "CURRENT");

	attack_file(v, "OPTIONS as CURRENT", "CURRENT", bh_buf_view(&options), attack_expect_refused);
	attack_file(v, "OPTIONS as IDENTITY", "IDENTITY", bh_buf_view(&options), attack_expect_refused);
	attack_file(v, "CURRENT as IDENTITY", "IDENTITY", bh_buf_view(&current), attack_expect_refused);
}

/* ---- 5: cut and extended */

static void resized(const victim *v, const char *name, size_t len)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name);
	size_t was = file.len;
	char what[256];

	if (len == was)
		return;
	snprintf(what, sizeof(what), "%s of %zu bytes %s to %zu", name, was, len < was ? "cut" : "extended", len);
	test_ok(bh_buf_reserve(&file, len));
	for (size_t at = was; at < len; at++) /* with what looks like more pages */
		file.data[at] = file.data[BH_HEADER_LEN + (at - BH_HEADER_LEN) % PAGE];
	file.len = len;
	attack_file(v, what, name, bh_buf_view(&file), attack_expect_acme_fails);
}

static void test_tables_cut_and_extended(void **state)
{
	static const char *const suffixes[] = { ".sst", ".blob" };
	const victim *v = get(state);

	for (int i = 0; i < 2; i++) {
		const char *name = victim_find(v, ACME_ROWS, suffixes[i], 0);
		BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name);

		resized(v, name, 0);
		for (size_t at = PAGE; at < file.len + 2 * (size_t)PAGE; at += PAGE)
			for (size_t len = at - 1; len <= at + 1; len++)
				resized(v, name, len);
		resized(v, name, file.len - 1);
		resized(v, name, file.len + 1);
	}
}

/* ---- 10: downgrades */

static void header_rewritten(const victim *v, const char *name, size_t at, uint8_t value, attack_expect expect)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name);
	char what[256];

	snprintf(what, sizeof(what), "%s: header byte %zu from %u to %u", name, at, file.data[at], value);
	if (file.data[at] == value)
		return;
	file.data[at] = value;
	fix_checksum(&file);
	attack_file(v, what, name, bh_buf_view(&file), expect);
}

/* The very bytes that were sealed, without the seal. */
static void stripped(const victim *v, const victim_file *file, attack_expect expect)
{
	BH_CLEANUP(bh_buf_clear) bh_buf sealed = victim_read(v, file->name), plain = { 0 };
	char what[256];

	if (bh_file_kind_is_paged(file->info.kind))
		test_ok(decrypt_pages(bh_buf_view(&sealed), victim_scopes(v), &plain));
	else
		test_ok(decrypt_stream(bh_buf_view(&sealed), victim_scopes(v), false, &plain));
	snprintf(what, sizeof(what), "%s as plaintext", file->name);
	attack_file(v, what, file->name, bh_buf_view(&plain), expect);
}

static void downgraded(const victim *v, const victim_file *file)
{
	enum { AT_VERSION = 8, AT_KIND = 10, AT_SUITE = 11, AT_PAGE_SIZE_BYTE = 13 };
	bool acmes = strcmp(file->info.scope.merchant, "acme") == 0, bolts = strcmp(file->info.scope.merchant, "bolt") == 0;
	attack_expect expect = acmes ? attack_expect_acme_fails : bolts ? attack_expect_bolt_fails : attack_expect_foreign;

	header_rewritten(v, file->name, AT_VERSION, 0, expect);
	header_rewritten(v, file->name, AT_VERSION, 2, expect);
	header_rewritten(v, file->name, AT_SUITE, 0, expect);
	header_rewritten(v, file->name, AT_SUITE, 2, expect);
	for (unsigned kind = 0; kind <= BH_KIND_OTHER + 1u; kind++)
		header_rewritten(v, file->name, AT_KIND, kind, expect);
	header_rewritten(v, file->name, AT_PAGE_SIZE_BYTE, 0x20, expect);
	stripped(v, file, expect);
}

static void test_headers_downgraded(void **state)
{
	const victim *v = get(state);
	const char *const names[] = {
		victim_find(v, ACME_ROWS, ".sst", 0),
		victim_find(v, BOLT_ROWS, ".blob", 1),
		victim_find(v, "MANIFEST-", "", 0),
		v->wal[0],
		v->wal[1],
		"CURRENT",
		"IDENTITY",
	};

	for (size_t i = 0; i < v->file_count; i++)
		for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
			if (strcmp(v->files[i].name, names[n]) == 0)
				downgraded(v, &v->files[i]);
}

/* A whole plain RocksDB file where a sealed one was: that needs a RocksDB that writes one, in a child. */
static void write_plain_rocksdb(void *arg)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
	rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
	char *error = NULL;
	rocksdb_t *db;

	rocksdb_options_set_create_if_missing(options, 1);
	db = rocksdb_open(options, arg, &error);
	test_rocks_ok(error);
	rocksdb_put(db, write, "w00000", 6, "planted", 7, &error);
	test_rocks_ok(error);
	rocksdb_flush(db, flush, &error);
	test_rocks_ok(error);
	rocksdb_put(db, write, "w00000", 6, "planted", 7, &error);
	test_rocks_ok(error);
	rocksdb_close(db);
	rocksdb_flushoptions_destroy(flush);
	rocksdb_writeoptions_destroy(write);
	rocksdb_options_destroy(options);
}

static void plant(const victim *v, const char *plain_dir, const char *suffix, const char *name, attack_expect expect)
{
	BH_CLEANUP(bh_buf_clear) bh_buf plain = { 0 };
	char path[PATH_SIZE];

	test_check(file_find(plain_dir, suffix, 0, path));
	plain = file_read(path);
	test_check(plain.len > 0);
	attack_file(v, "a plain RocksDB's file", name, bh_buf_view(&plain), expect);
}

static void test_plain_files_planted(void **state)
{
	const victim *v = get(state);
	char plain[PATH_SIZE];

	path_join(plain, v->ws.root, "plain");
	test_child_ok(write_plain_rocksdb, plain);
	plant(v, plain, ".sst", victim_find(v, ACME_ROWS, ".sst", 0), attack_expect_acme_fails);
	plant(v, plain, ".log", v->wal[0], attack_expect_refused);
	plant(v, plain, ".log", v->wal[1], attack_expect_refused);
	plant(v, plain, "CURRENT", "CURRENT", attack_expect_refused);
	plant(v, plain, "IDENTITY", "IDENTITY", attack_expect_refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_untouched_copy_opens),    cmocka_unit_test(test_damaged_data_page_fails_its_merchant_alone),
		cmocka_unit_test(test_pages_moved_and_spliced), cmocka_unit_test(test_tables_swapped),
		cmocka_unit_test(test_platform_files_swapped),  cmocka_unit_test(test_small_files_are_bound_to_their_names),
		cmocka_unit_test(test_tables_cut_and_extended), cmocka_unit_test(test_headers_downgraded),
		cmocka_unit_test(test_plain_files_planted),     cmocka_unit_test(test_flips_anywhere),
	};

	return cmocka_run_group_tests(tests, victim_setup, victim_teardown);
}
