/* SPDX-License-Identifier: Apache-2.0
 *
 * test_reseal_pages.c: a paged file is the same file afterwards, under the newest DEK; what is damaged, deleted, or somebody else's
 * is left as it is, and so is all where the pace says no.
 */
#include "reseal_fixture.h"

#include "tests/support/random.h"

#define CHUNK_MAX (1u << 20)

/* ---- the file */

static void a_file_is_the_same_under_the_newest_key(void **state)
{
	static const size_t lens[] = { 0, 1, 495, 496, 497, 2031, 2032, 2033, 262143, 262144, LARGE };
	static const uint32_t page_sizes[] = { 512, 2048, 65536 };
	static const char *const names[] = { "000012.sst", "000012.ldb", "000012.blob" };
	rig *r = *state;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		make_file(r, names[i % 3], page_sizes[i % 3], lens[i]);
		bh_buf old = file_load(r->path);
		if (i % 4 == 0)
			rotate(r);
		else
			assert_done(bh_keyring_merchant_rotate(r->keyring, "acme", BH_DEK_SWEEP));
		assert_resealed(r);
		bh_buf fresh = file_load(r->path);
		assert_int_equal(fresh.len, bh_pages_physical_size(lens[i], BH_PAGE_SIZE_DEFAULT));
		assert_memory_not_equal(fresh.data + 24, old.data + 24, BH_SALT_LEN);
		bh_buf_clear(&old);
		bh_buf_clear(&fresh);
	}
}

static void time_owner_and_permissions_stay(void **state)
{
	const struct timespec times[2] = { { 1111111111, 111111111 }, { 1234567890, 123456789 } };
	struct stat before, after;
	rig *r = *state;

	make_file(r, "000012.sst", 2048, LARGE);
	assert_int_equal(chmod(r->path, 0604), 0);
	assert_int_equal(utimensat(AT_FDCWD, r->path, times, 0), 0);
	assert_int_equal(stat(r->path, &before), 0);
	rotate(r);
	assert_resealed(r);
	assert_int_equal(stat(r->path, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(after.st_uid, before.st_uid);
	assert_int_equal(after.st_gid, before.st_gid);
	assert_int_equal(after.st_mtim.tv_sec, 1234567890);
	assert_int_equal(after.st_mtim.tv_nsec, 123456789);
}

static void what_needs_nothing_is_left_alone(void **state)
{
	const uint8_t dek_id[BH_ID_LEN] = { 7 };
	uint8_t found[BH_ID_LEN];
	bh_page_claim *claim = NULL;
	rig *r = *state;
	bool done;

	make_file(r, "000012.sst", 2048, LARGE);
	bh_buf old = file_load(r->path);
	assert_done(reseal(r, NULL, &done)); /* newest already */
	assert_false(done);

	rotate(r);
	bh_page_readers_hold(bh_fs_page_readers(r->fs));
	assert_done(bh_page_claim_made(bh_fs_page_readers(r->fs), r->path, dek_id, &claim)); /* being written */
	bh_page_readers_let_go(bh_fs_page_readers(r->fs));
	assert_true(bh_page_claim_is_made(bh_fs_page_readers(r->fs), r->path, found));
	assert_memory_equal(found, dek_id, sizeof(found));
	assert_done(reseal(r, NULL, &done));
	assert_false(done);
	assert_file_is(r->path, bh_buf_view(&old));
	bh_page_claim_end(claim);
	assert_false(bh_page_claim_is_made(bh_fs_page_readers(r->fs), r->path, found));
	bh_buf_clear(&old);
	assert_resealed(r);

	assert_int_equal(unlink(r->path), 0); /* not there */
	assert_done(reseal(r, NULL, &done));
	assert_false(done);
	assert_false(file_exists(r->path));
}

static void other_files_are_refused(void **state)
{
	static const char *const names[] = { "000012.log", "MANIFEST-000012", "CURRENT", "LOCK", "000012.sst.bhtmp" };
	rig *r = *state;
	bool done;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		text_format(r->path, sizeof(r->path), "%s/%s", r->f.db, names[i]);
		assert_status(reseal(r, NULL, &done), BH_E_INVALID);
	}
	make_file(r, "000012.sst", 2048, 10);
	rotate(r);
	text_format(r->path, sizeof(r->path), "%s/000013.sst", r->dir);
	assert_int_equal(symlink("000012.sst", r->path), 0);
	assert_status(reseal(r, NULL, &done), BH_E_FORMAT);
	assert_int_equal(unlink(r->path), 0);
	assert_int_equal(mkfifo(r->path, 0600), 0);
	assert_status(reseal(r, NULL, &done), BH_E_FORMAT);
}

/* ---- damage */

static void assert_left(rig *r, bh_status expected)
{
	bh_buf before = file_load(r->path);
	bool done;

	assert_status(reseal(r, NULL, &done), expected);
	assert_false(done);
	assert_non_null(strstr(bh_status_message(), "000012.sst"));
	assert_file_is(r->path, bh_buf_view(&before));
	assert_false(file_exists(r->temp));
	bh_buf_clear(&before);
}

static void damage_is_not_sealed_over(void **state)
{
	test_random random = test_random_new();
	rig *r = *state;

	make_file(r, "000012.sst", 2048, LARGE);
	rotate(r);
	bh_buf file = file_load(r->path);
	for (int i = 0; i < 40; i++) {
		size_t at = BH_HEADER_LEN +
			    (i == 0 ? file.len - BH_HEADER_LEN - 1 : test_random_below(&random, file.len - BH_HEADER_LEN));

		file.data[at] ^= 1;
		file_store(r->path, bh_buf_view(&file));
		assert_left(r, BH_E_TAG);
		file.data[at] ^= 1;
	}
	file_store(r->path, bh_view_of(file.data, file.len - 1));
	assert_left(r, BH_E_TAG);
	file_store(r->path, bh_view_of(file.data, BH_HEADER_LEN - 1));
	assert_left(r, BH_E_TRUNCATED);
	file.data[60] ^= 1;
	file_store(r->path, bh_buf_view(&file));
	assert_left(r, BH_E_FORMAT);
	file.data[60] ^= 1;
	text_format(r->path, sizeof(r->path), "%s/tenants/acme/profile", r->f.db);
	assert_int_equal(mkdir(r->path, 0700), 0);
	text_format(r->path, sizeof(r->path), "%s/tenants/acme/profile/000012.sst", r->f.db);
	file_store(r->path, bh_buf_view(&file));
	assert_left(r, BH_E_TAG); /* of another class */
	bh_buf_clear(&file);
}

static void without_its_keys_it_stays(void **state)
{
	rig *r = *state;

	make_file(r, "000012.sst", 2048, 10);
	rotate(r);
	assert_done(retire_first(r));
	assert_left(r, BH_E_SHREDDED);
	make_file(r, "000012.sst", 2048, 10);
	assert_done(bh_keyring_merchant_lock(r->keyring, "acme"));
	assert_left(r, BH_E_NO_KEY);
}

/* ---- what comes between */

typedef struct between {
	rig *r;
	uint64_t asked, bytes, most;
	uint64_t at; /* what happens, happens before this chunk; from 1 */
	void (*happens)(rig *r);
	bh_status ends_with;
} between;

static bh_status take(void *arg, uint64_t bytes)
{
	between *b = arg;

	b->bytes += bytes;
	b->most = BH_MAX(b->most, bytes);
	if (++b->asked != b->at)
		return BH_OK;
	if (b->happens != NULL)
		b->happens(b->r);
	return b->ends_with == BH_OK ? BH_OK : bh_fail(b->ends_with, "000012.sst: enough for now");
}

static void its_pace_is_kept(void **state)
{
	rig *r = *state;
	between b = { .r = r };
	const bh_pace pace = { take, &b };
	bool done;

	make_file(r, "000012.sst", 2048, LARGE);
	bh_buf old = file_load(r->path);
	rotate(r);
	do { /* canceled before each of its chunks */
		b = (between){ .r = r, .at = b.at + 1, .ends_with = BH_E_SUSPENDED };
		bh_status status = reseal(r, &pace, &done);
		if (done)
			break;
		assert_status(status, BH_E_SUSPENDED);
		assert_int_equal(b.asked, b.at);
		assert_file_is(r->path, bh_buf_view(&old));
		assert_false(file_exists(r->temp));
	} while (true);
	bh_buf_clear(&old);
	assert_true(b.asked >= 4 && b.at == b.asked + 1);
	assert_int_equal(b.bytes, bh_pages_physical_size(LARGE, BH_PAGE_SIZE_DEFAULT));
	assert_true(b.most <= CHUNK_MAX);
	assert_content(r, r->path);
}

static void is_deleted(rig *r)
{
	assert_int_equal(unlink(r->path), 0);
}

static void is_replaced(rig *r)
{
	is_deleted(r);
	file_store(r->path, bh_view_str("another file"));
}

static void is_renamed(rig *r)
{
	char name[sizeof(r->path)];

	text_format(name, sizeof(name), "%s/000013.sst", r->dir);
	assert_int_equal(rename(r->path, name), 0);
}

static void is_resealed_by_another(rig *r)
{
	bool done;

	assert_done(reseal(r, NULL, &done));
	assert_false(done);
	assert_true(file_exists(r->temp)); /* the first one's */
}

static bool reseal_with(rig *r, void (*happens)(rig *r), uint64_t at)
{
	between b = { .r = r, .happens = happens, .at = at };
	const bh_pace pace = { take, &b };
	bool done;

	assert_done(reseal(r, &pace, &done));
	assert_false(file_exists(r->temp));
	return done;
}

static void a_file_that_is_deleted_does_not_come_back(void **state)
{
	rig *r = *state;
	char name[sizeof(r->path)];

	for (uint64_t at = 1; at <= 4; at++) {
		make_file(r, "000012.sst", 2048, LARGE);
		rotate(r);
		assert_false(reseal_with(r, is_deleted, at));
		assert_false(file_exists(r->path));
	}
	make_file(r, "000012.sst", 2048, LARGE);
	rotate(r);
	assert_false(reseal_with(r, is_replaced, 2));
	assert_file_is(r->path, bh_view_str("another file"));
	make_file(r, "000012.sst", 2048, LARGE);
	rotate(r);
	assert_false(reseal_with(r, is_renamed, 4));
	assert_false(file_exists(r->path));
	text_format(name, sizeof(name), "%s/000013.sst", r->dir);
	assert_content(r, name);
}

static void one_at_a_time_reseals_a_file(void **state)
{
	rig *r = *state;

	make_file(r, "000012.sst", 2048, LARGE);
	rotate(r);
	assert_true(reseal_with(r, is_resealed_by_another, 2));
	assert_content(r, r->path);
}

static void what_a_failure_left_is_written_over(void **state)
{
	rig *r = *state;

	make_file(r, "000012.sst", 2048, LARGE);
	file_store(r->temp, bh_view_str("half a file"));
	rotate(r);
	assert_resealed(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RESEAL_CASE(a_file_is_the_same_under_the_newest_key),
		RESEAL_CASE(time_owner_and_permissions_stay),
		RESEAL_CASE(what_needs_nothing_is_left_alone),
		RESEAL_CASE(other_files_are_refused),
		RESEAL_CASE(damage_is_not_sealed_over),
		RESEAL_CASE(without_its_keys_it_stays),
		RESEAL_CASE(its_pace_is_kept),
		RESEAL_CASE(a_file_that_is_deleted_does_not_come_back),
		RESEAL_CASE(one_at_a_time_reseals_a_file),
		RESEAL_CASE(what_a_failure_left_is_written_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
