/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cold_headers.c: somebody edits the DEK id in the header of a file that nobody reads, checksum and all, so that the
 * generation which it needs looks free. The generation stays, the file is named; with the header as it was every row is there, and
 * the generation goes when the file does.
 */
#include <fcntl.h>
#include <unistd.h>

#include <xxhash.h>

#include "engine/rotation/survey.h"
#include "env/reseal/reseal.h"
#include "rotation_fixture.h"

#define AT_DEK_ID 56
#define AT_CHECKSUM 120

typedef enum disguise { AS_UNKNOWN, AS_NEWEST, AS_OTHERS, AS_PLATFORMS, AS_RETIRED, AS_SALT, DISGUISES } disguise;

typedef struct stage {
	const workspace *ws;
	const char *suffix;
	disguise as;
	char path[PATH_SIZE];          /* the file */
	uint8_t header[BH_HEADER_LEN]; /* as it was */
} stage;

static rocksdb_options_t *options_of(const stage *s)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_disable_auto_compactions(options, 1);
	rocksdb_options_set_max_open_files(options, 20);
	if (strcmp(s->suffix, ".blob") == 0) {
		rocksdb_options_set_enable_blob_files(options, 1);
		rocksdb_options_set_min_blob_size(options, 0);
	}
	return options;
}

static bh_db *open_db(const stage *s)
{
	rocksdb_options_t *options = options_of(s);
	bh_db *db = test_db_open(s->ws, options);

	rocksdb_options_destroy(options);
	return db;
}

/* ---- the keyring's side */

static size_t count_deks(bh_db *db, const char *merchant, bool tombstones)
{
	bh_dek_info *deks = NULL;
	size_t count = 0, found = 0;

	test_ok(bh_keyring_deks(db->keyring, &deks, &count));
	for (size_t i = 0; i < count; i++)
		found += strcmp(deks[i].scope.merchant, merchant) == 0 && deks[i].tombstone == tombstones;
	free(deks);
	return found;
}

static void find_dek(bh_db *db, const stage *s, uint8_t out[BH_ID_LEN])
{
	bh_dek_info *deks = NULL;
	size_t count = 0, at = 0;
	const char *whose = s->as == AS_OTHERS ? "b" : s->as == AS_PLATFORMS ? "" : "a";
	const char *cls = s->as == AS_PLATFORMS ? "" : "events";

	test_ok(bh_keyring_deks(db->keyring, &deks, &count));
	for (size_t i = 0; i < count; i++)
		if (strcmp(deks[i].scope.merchant, whose) == 0 && strcmp(deks[i].scope.cls, cls) == 0 &&
		    deks[i].tombstone == (s->as == AS_RETIRED))
			at = i; /* the newest comes last */
	test_check(strcmp(deks[at].scope.merchant, whose) == 0);
	memcpy(out, deks[at].id, BH_ID_LEN);
	free(deks);
}

/* ---- the file's side */

static void write_header(const stage *s, const uint8_t header[BH_HEADER_LEN])
{
	int fd = open(s->path, O_WRONLY | O_CLOEXEC);

	test_check(fd >= 0 && pwrite(fd, header, BH_HEADER_LEN, 0) == (ssize_t)BH_HEADER_LEN);
	close(fd);
}

static void edit(bh_db *db, stage *s, const char *below)
{
	uint8_t edited[BH_HEADER_LEN];
	char dir[PATH_SIZE];

	path_join(dir, s->ws->db, below);
	test_check(file_find(dir, s->suffix, 0, s->path));
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = file_read(s->path);
	memcpy(s->header, bytes.data, BH_HEADER_LEN);
	memcpy(edited, bytes.data, BH_HEADER_LEN);
	if (s->as == AS_UNKNOWN)
		memset(edited + AT_DEK_ID, 0x77, BH_ID_LEN);
	else if (s->as == AS_SALT)
		edited[AT_DEK_ID - 1] ^= 1;
	else
		find_dek(db, s, edited + AT_DEK_ID);
	bh_put_u64(edited + AT_CHECKSUM, XXH3_64bits(edited, AT_CHECKSUM));
	write_header(s, edited);
}

/* ---- what is expected */

static void expect_named(const stage *s, bh_status status)
{
	test_check(status == BH_E_NO_KEY || status == BH_E_TAG || status == BH_E_SHREDDED);
	test_message_names(strrchr(s->path, '/') + 1);
}

static void expect_b(bh_db *db)
{
	bh_cf *b = test_cf(db, "b", "events");

	test_expect(b, "k1", "b1");
	test_expect(b, "k2", "b2");
	bh_cf_close(b);
}

/* Two generations of a's, the older one with a row in a file that has the suffix. Where one has to be retired already, three. */
static bh_db *make_cold(const stage *s)
{
	char dir[PATH_SIZE];
	bh_db *db;
	bh_cf *a;

	make_two(s->ws);
	db = open_db(s);
	if (s->as == AS_RETIRED) {
		test_ok(bh_merchant_rotate(db, "a", &(bh_rotate_options){ .sweep = true }));
		test_ok(bh_merchant_sweep(db, "a", NULL));
	}
	a = test_cf(db, "a", "events");
	test_put(a, "cold", "row");
	compact_all(db, "a", "events");
	path_join(dir, s->ws->db, "tenants/a/events");
	test_check(file_settle(dir, ".sst", 1)); /* the wrong one would be disguised */
	bh_cf_close(a);
	test_ok(bh_merchant_rotate(db, "a", NULL));
	return db;
}

/* Everything but `s->path` is under the newest generation. */
static void move_the_rest(const stage *s, bh_db *db)
{
	char dir[PATH_SIZE], path[PATH_SIZE];

	path_join(dir, s->ws->db, "tenants/a");
	for (size_t i = 0; file_find(dir, ".sst", i, path) || file_find(dir, ".blob", i, path); i++) {
		bool done;

		if (strcmp(path, s->path) != 0)
			test_ok(bh_reseal_pages(db->fs, path, NULL, &done));
	}
}

static void expect_all(bh_db *db)
{
	bh_cf *a = test_cf(db, "a", "events");

	test_expect(a, "k1", "a1");
	test_expect(a, "k2", "a2");
	test_expect(a, "cold", "row");
	bh_cf_close(a);
	expect_b(db);
}

/* Where the open had a look at the file, the merchant was taken out. */
static void bring_back(bh_db *db)
{
	bh_cf *a = NULL;

	if (bh_cf_open(db, "a", "events", &a) != BH_OK)
		test_ok(bh_merchant_resume(db, "a", NULL));
	else
		bh_cf_close(a);
}

/* With the database open, and by the next open. */
static void disguised(void *arg)
{
	stage *s = arg;
	bh_db *db = make_cold(s);
	size_t before = count_deks(db, "a", true), left = 0;
	char name[64];

	edit(db, s, "tenants/a/events");
	move_the_rest(s, db);
	expect_named(s, bh_retire(db, "a", &left));
	expect_named(s, bh_merchant_sweep(db, "a", NULL));
	test_check(count_deks(db, "a", true) == before);
	expect_b(db);
	bh_db_close(db);

	db = open_db(s);
	test_check(count_deks(db, "a", true) == before);
	expect_b(db);
	bh_db_close(db);

	snprintf(name, sizeof(name), "%s", strrchr(s->path, '/'));
	test_check(file_find(s->ws->db, name, 0, s->path)); /* perhaps it is parked by now */
	write_header(s, s->header);
	db = open_db(s);
	bring_back(db);
	expect_all(db);
	test_ok(bh_merchant_sweep(db, "a", NULL));
	test_check(count_deks(db, "a", true) > before && count_deks(db, "a", false) == 2);
	expect_all(db);
	bh_db_close(db);
}

static void parked(void *arg)
{
	stage *s = arg;
	bh_db *db = make_cold(s);
	size_t before = count_deks(db, "a", true), left = 0;

	test_ok(bh_merchant_suspend(db, "a", NULL));
	edit(db, s, "parked/a");
	test_ok(bh_retire(db, "a", &left));
	test_check(left > 0 && count_deks(db, "a", true) == before);
	test_check(bh_merchant_resume(db, "a", NULL) != BH_OK);
	test_message_names(strrchr(s->path, '/') + 1);
	test_check(count_deks(db, "a", true) == before);
	expect_b(db);
	write_header(s, s->header);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_all(db);
	bh_db_close(db);
}

/* The list of a shred has what the merchant's keys sealed, and nothing that only says so. */
static void shredded(void *arg)
{
	stage *s = arg;
	bh_db *db = make_cold(s);
	BH_CLEANUP(bh_buf_clear) bh_buf certificate = { 0 };
	char salt[2 * BH_SALT_LEN + 1];
	uint8_t edited_salt[BH_SALT_LEN];

	edit(db, s, "tenants/a/events");
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = file_read(s->path);
	memcpy(edited_salt, bytes.data + AT_DEK_ID - BH_SALT_LEN, BH_SALT_LEN);
	bh_hex(edited_salt, BH_SALT_LEN, salt);
	test_ok(bh_merchant_shred(db, "a", &certificate));
	test_check(bytes_count(bh_buf_view(&certificate), bh_view_str(salt)) == 0);
	expect_b(db);
	bh_db_close(db);
}

static void run(void (*body)(void *), const char *suffix, disguise as)
{
	workspace ws;
	stage s = { .ws = &ws, .suffix = suffix, .as = as };

	workspace_open(&ws);
	test_child_ok(body, &s);
	workspace_close(&ws);
}

static void test_a_disguised_table_keeps_its_generation(void **state)
{
	(void)state;
	for (int as = 0; as < DISGUISES; as++)
		run(disguised, ".sst", (disguise)as);
}

static void test_a_disguised_blob_file_keeps_its_generation(void **state)
{
	(void)state;
	run(disguised, ".blob", AS_UNKNOWN);
	run(disguised, ".blob", AS_NEWEST);
	run(disguised, ".blob", AS_RETIRED);
}

static void test_a_disguised_parked_file_keeps_its_generation(void **state)
{
	(void)state;
	run(parked, ".sst", AS_NEWEST);
	run(parked, ".blob", AS_UNKNOWN);
}

static void test_a_certificate_lists_no_disguised_file(void **state)
{
	(void)state;
	run(shredded, ".sst", AS_SALT);
	run(shredded, ".blob", AS_NEWEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_disguised_table_keeps_its_generation),
		cmocka_unit_test(test_a_disguised_blob_file_keeps_its_generation),
		cmocka_unit_test(test_a_disguised_parked_file_keeps_its_generation),
		cmocka_unit_test(test_a_certificate_lists_no_disguised_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
