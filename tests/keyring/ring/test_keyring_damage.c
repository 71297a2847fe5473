/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_damage.c: a whole KEYRING on disk, opened after every single-bit flip, every cut, every torn tail; another
 * database's parts; and a kill at each crash point of each change, after which the state is the one before or the one after.
 */
#include "keyring_fixture.h"

#include <signal.h>

#include "keyring/base/crashpoint.h"
#include "keyring/manifest/format.h"

static uint64_t committed_len(const bh_buf *file)
{
	return bh_get_u64(file->data + BH_KEYRING_HEAD_LEN + 8);
}

/* What a keyring says, in a line, for comparison. */
static void describe(bh_keyring *keyring, char *out, size_t size)
{
	bh_merchant_info *merchants = NULL;
	size_t count = 0, at = 0;

	assert_done(bh_keyring_merchants(keyring, &merchants, &count));
	out[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		text_format(out + at, size - at, "%s=%s ", merchants[i].name, bh_merchant_state_name(merchants[i].state));
		at += strlen(out + at);
		bh_merchant_info_clear(&merchants[i]);
	}
	free(merchants);
}

static void expect(const keyring_fixture *f, bool writable, uint64_t generation, const char *said)
{
	bh_keyring *keyring = NULL;
	char now[256];

	assert_done(bh_keyring_open(f->db, NULL, writable, &keyring));
	describe(keyring, now, sizeof(now));
	assert_string_equal(now, said);
	assert_int_equal(bh_keyring_generation(keyring), generation);
	bh_keyring_close(keyring);
}

static bool is_integrity(bh_status status)
{
	return status == BH_E_TAG || status == BH_E_FORMAT || status == BH_E_TRUNCATED || status == BH_E_VERSION;
}

static void test_every_flip_is_refused(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);

	fixture_add(f, keyring, "acme");
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE));
	bh_keyring_close(keyring);
	bh_buf file = file_load(f->file);
	assert_int_equal(committed_len(&file), file.len);
	int fd = open(f->file, O_WRONLY);
	for (size_t bit = 0; bit < file.len * 8; bit++) {
		uint8_t flipped = file.data[bit / 8] ^ (uint8_t)(1u << bit % 8);
		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)(bit / 8)), 1);
		bh_status status = fixture_try_open(f, bit % 8 == 0);
		if (!is_integrity(status))
			fail_msg("bit %zu: %s: %s", bit, bh_status_name(status), bh_status_message());
		assert_int_equal(pwrite(fd, &file.data[bit / 8], 1, (off_t)(bit / 8)), 1);
	}
	close(fd);
	assert_file_is(f->file, bh_buf_view(&file)); /* refused, and nothing "repaired" */
	assert_done(fixture_try_open(f, true));
	bh_buf_clear(&file);
}

static void test_every_cut_below_the_mark_is_refused(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);

	fixture_add(f, keyring, "acme");
	bh_keyring_close(keyring);
	bh_buf file = file_load(f->file);
	for (size_t len = 0; len < file.len; len += len >= 64 && len < BH_KEYRING_HEAD_LEN - 64 ? 61 : 1) {
		file_store(f->file, bh_view_of(file.data, len));
		assert_status(fixture_try_open(f, true), BH_E_TRUNCATED);
		assert_file_is(f->file, bh_view_of(file.data, len));
	}
	bh_buf_clear(&file);
}

/* The file as it is before a change, with every prefix of the record that the change appends. */
static void test_torn_tails(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);

	fixture_add(f, keyring, "acme");
	bh_buf before = file_load(f->file);
	assert_done(bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_ACTIVE));
	bh_keyring_close(keyring);
	bh_buf after = file_load(f->file);
	bh_buf torn = file_load(f->file);
	memcpy(torn.data + BH_KEYRING_HEAD_LEN, before.data + BH_KEYRING_HEAD_LEN, BH_KEYRING_MARK_LEN);
	for (size_t len = before.len + 1; len < after.len; len++) {
		bh_view part = bh_view_of(torn.data, len);
		file_store(f->file, part);
		expect(f, false, 2, "acme=creating ");
		assert_file_is(f->file, part);
		expect(f, true, 2, "acme=creating ");
		assert_keyring_is(f->file, bh_buf_view(&before));
	}
	/* The whole record counts, and the mark follows when somebody may write it. */
	file_store(f->file, bh_buf_view(&torn));
	expect(f, false, 3, "acme=active ");
	assert_file_is(f->file, bh_buf_view(&torn));
	expect(f, true, 3, "acme=active ");
	assert_keyring_is(f->file, bh_buf_view(&after));
	/* Zeros, as some file systems leave them behind the end. */
	bh_buf zeros = file_load(f->file);
	for (int i = 0; i < 100; i++)
		assert_done(bh_buf_append_u8(&zeros, 0));
	file_store(f->file, bh_buf_view(&zeros));
	expect(f, true, 3, "acme=active ");
	assert_keyring_is(f->file, bh_buf_view(&after));
	bh_buf_clear(&zeros);
	bh_buf_clear(&torn);
	bh_buf_clear(&before);
	bh_buf_clear(&after);
}

/* Each flip in a record behind the mark makes it a torn tail; with its XXH3 made right again it is a forgery. */
static void test_a_forged_tail_is_refused(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);
	bh_secret stranger = { 0 };
	bh_buf payload = { 0 };

	fixture_add(f, keyring, "acme");
	bh_keyring_close(keyring);
	bh_buf file = file_load(f->file);
	uint8_t chain[BH_SHA256_LEN];
	memcpy(chain, file.data + BH_KEYRING_HEAD_LEN + 16, sizeof(chain));
	assert_done(bh_secret_random(&stranger, BH_DEK_LEN));
	assert_done(bh_keyring_record_encode(BH_KEYRING_STATE_CHANGED, 3, bh_buf_view(&payload), &stranger, chain, &file));
	file_store(f->file, bh_buf_view(&file));
	assert_status(fixture_try_open(f, true), BH_E_TAG);
	assert_file_is(f->file, bh_buf_view(&file));
	bh_secret_clear(&stranger);
	bh_buf_clear(&file);
}

static void test_another_database_of_the_same_platform(void **state)
{
	keyring_fixture *ours = *state, theirs = *ours;

	text_format(theirs.db, sizeof(theirs.db), "%s/db2", ours->root);
	text_format(theirs.file, sizeof(theirs.file), "%s/KEYRING", theirs.db);
	assert_int_equal(mkdir(theirs.db, 0700), 0);
	assert_done(bh_keyring_create(theirs.db, "eu", theirs.platform_uri, NULL));
	bh_keyring *keyring = fixture_open(ours);
	fixture_add(ours, keyring, "acme");
	bh_keyring_close(keyring);
	keyring = fixture_open(&theirs);
	fixture_add(&theirs, keyring, "acme");
	bh_keyring_close(keyring);

	bh_buf a = file_load(ours->file), b = file_load(theirs.file);
	static const size_t cuts[][2] = { { 0, BH_KEYRING_HEAD_LEN },                      /* their head */
					  { BH_KEYRING_HEAD_LEN, BH_KEYRING_RECORDS_OFF }, /* their mark */
					  { BH_KEYRING_RECORDS_OFF, 0 } };                 /* their records */
	assert_int_equal(a.len, b.len);
	for (size_t i = 0; i < 3; i++) {
		bh_buf mixed = file_load(ours->file);
		size_t end = cuts[i][1] != 0 ? cuts[i][1] : a.len;
		memcpy(mixed.data + cuts[i][0], b.data + cuts[i][0], end - cuts[i][0]);
		file_store(ours->file, bh_buf_view(&mixed));
		assert_status(fixture_try_open(ours, true), BH_E_TAG);
		file_store(ours->file, bh_buf_view(&a));
		bh_buf_clear(&mixed);
	}
	bh_buf_clear(&a);
	bh_buf_clear(&b);
}

/* Kills */

typedef bh_status (*change_fn)(const keyring_fixture *f, bh_keyring *keyring);

static bh_status change_add(const keyring_fixture *f, bh_keyring *keyring)
{
	static const char *const classes[] = { "events" };

	return bh_keyring_merchant_add(keyring, "beta", f->acme_uri, classes, 1);
}

static bh_status change_state(const keyring_fixture *f, bh_keyring *keyring)
{
	(void)f;
	return bh_keyring_merchant_set_state(keyring, "acme", BH_MERCHANT_SHREDDING);
}

static bh_status change_compact(const keyring_fixture *f, bh_keyring *keyring)
{
	(void)f;
	return bh_keyring_compact(keyring);
}

static bh_status change_destroy(const keyring_fixture *f, bh_keyring *keyring)
{
	(void)f;
	return bh_keyring_merchant_destroy(keyring, "gone");
}

#define BEFORE "acme=creating gone=shredding "

static const struct {
	change_fn change;
	const char *point;
	const char *after; /* what is there after the kill */
	uint64_t generation;
	bool leaves_tmp;
} kills[] = {
	/* A kill of the process leaves the page cache, so a record that was written is there, synced or not. */
	{ change_add, "keyring.append.record-written", BEFORE "beta=creating ", 5, false },
	{ change_add, "keyring.append.record-synced", BEFORE "beta=creating ", 5, false },
	{ change_add, "keyring.append.mark-written", BEFORE "beta=creating ", 5, false },
	{ change_add, "keyring.append.mark-synced", BEFORE "beta=creating ", 5, false },
	{ change_state, "keyring.append.record-written", "acme=shredding gone=shredding ", 5, false },
	{ change_state, "keyring.append.record-synced", "acme=shredding gone=shredding ", 5, false },
	{ change_state, "keyring.append.mark-written", "acme=shredding gone=shredding ", 5, false },
	{ change_state, "keyring.append.mark-synced", "acme=shredding gone=shredding ", 5, false },
	{ change_compact, "keyring.replace.tmp-synced", BEFORE, 4, true },
	{ change_compact, "keyring.replace.renamed", BEFORE, 5, false },
	{ change_compact, "keyring.replace.dir-synced", BEFORE, 5, false },
	{ change_destroy, "keyring.replace.tmp-synced", BEFORE, 4, true },
	{ change_destroy, "keyring.replace.renamed", "acme=creating gone=shredded ", 5, false },
	{ change_destroy, "keyring.replace.dir-synced", "acme=creating gone=shredded ", 5, false },
};

static void assert_killed(pid_t child)
{
	int status = 0;

	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static pid_t child_change(const keyring_fixture *f, change_fn change, const char *point)
{
	bh_keyring *keyring = NULL;

	pid_t child = fork();
	if (child != 0)
		return child;
	if (bh_keyring_open(f->db, NULL, true, &keyring) != BH_OK)
		_exit(2);
	bh_crash_arm(point);
	_exit(change(f, keyring) == BH_OK ? 0 : 1);
}

static void test_kill_at_each_point_of_a_change(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);

	fixture_add(f, keyring, "acme");
	fixture_add(f, keyring, "gone");
	assert_done(bh_keyring_merchant_set_state(keyring, "gone", BH_MERCHANT_SHREDDING));
	bh_keyring_close(keyring);
	bh_buf before = file_load(f->file);
	for (size_t i = 0; i < sizeof(kills) / sizeof(kills[0]); i++) {
		file_store(f->file, bh_buf_view(&before));
		assert_killed(child_change(f, kills[i].change, kills[i].point));
		assert_int_equal(file_exists(f->tmp), kills[i].leaves_tmp);
		expect(f, false, kills[i].generation, kills[i].after);
		expect(f, true, kills[i].generation, kills[i].after);
		assert_false(file_exists(f->tmp));
		/* And the change can be made, or made again, and is the same then. */
		keyring = fixture_open(f);
		bh_status status = kills[i].change(f, keyring);
		assert_true(status == BH_OK || kills[i].generation == 5);
		bh_keyring_close(keyring);
	}
	bh_buf_clear(&before);
}

/* The edit that rolls over into a new file is durable with that file. */
static void test_kill_at_rollover(void **state)
{
	static const bh_merchant_state round[] = { BH_MERCHANT_ACTIVE, BH_MERCHANT_SUSPENDING, BH_MERCHANT_SUSPENDED,
						   BH_MERCHANT_RESUMING };
	static const char *const points[] = { "keyring.replace.tmp-synced", "keyring.replace.renamed" };
	const keyring_fixture *f = *state;
	bh_keyring *keyring = NULL;
	char said[256];

	for (int i = 0; i < 2; i++) {
		pid_t child = fork();
		if (child == 0) {
			if (bh_keyring_open(f->db, NULL, true, &keyring) != BH_OK)
				_exit(2);
			if (i == 0)
				fixture_add(f, keyring, "acme");
			bh_crash_arm(points[i]);
			for (unsigned at = i == 0 ? 0 : (unsigned)bh_keyring_generation(keyring) - 2;; at++) {
				if (bh_keyring_merchant_set_state(keyring, "acme", round[at % 4]) != BH_OK)
					_exit(1);
			}
		}
		assert_killed(child);
		keyring = fixture_open(f);
		uint64_t generation = bh_keyring_generation(keyring);
		assert_true(generation > 500);
		text_format(said, sizeof(said), "acme=%s ", bh_merchant_state_name(round[(generation - 3) % 4]));
		bh_keyring_close(keyring);
		expect(f, true, generation, said);
		bh_buf file = file_load(f->file);
		assert_int_equal(file.len > 60000, i == 0); /* before; after */
		bh_buf_clear(&file);
	}
}

static void test_kill_while_repairing(void **state)
{
	static const char *const points[] = { "keyring.open.tail-cut", "keyring.append.mark-written" };
	const keyring_fixture *f = *state;
	bh_keyring *keyring = fixture_open(f);

	/* A whole record behind the mark, and half of another. */
	bh_buf before = file_load(f->file);
	fixture_add(f, keyring, "acme");
	bh_keyring_close(keyring);
	bh_buf after = file_load(f->file), torn = file_load(f->file);
	memcpy(torn.data, before.data, BH_KEYRING_RECORDS_OFF);
	assert_done(bh_buf_append(&torn, "half a record", 13));
	for (int i = 0; i < 2; i++) {
		file_store(f->file, bh_buf_view(&torn));
		pid_t child = fork();
		if (child == 0) {
			bh_crash_arm(points[i]);
			_exit(fixture_try_open(f, true) == BH_OK ? 0 : 1);
		}
		assert_killed(child);
		expect(f, true, 2, "acme=creating ");
		assert_keyring_is(f->file, bh_buf_view(&after));
	}
	bh_buf_clear(&before);
	bh_buf_clear(&after);
	bh_buf_clear(&torn);
}

static void test_kill_while_creating(void **state)
{
	static const char *const points[] = { "keyring.create.tmp-synced", "keyring.create.renamed", "audit.create.made",
					      "audit.append.written", "audit.append.synced" };
	const keyring_fixture *f = *state;

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		assert_int_equal(unlink(f->file), 0);
		assert_int_equal(unlink(f->audit), 0);
		pid_t child = fork();
		if (child == 0) {
			bh_crash_arm(points[i]);
			_exit(bh_keyring_create(f->db, "eu", f->platform_uri, NULL) == BH_OK ? 0 : 1);
		}
		assert_killed(child);
		if (i == 0) {
			assert_true(file_exists(f->tmp));
			assert_status(fixture_try_open(f, true), BH_E_NOT_FOUND);
			assert_done(bh_keyring_create(f->db, "eu", f->platform_uri, NULL));
		}
		expect(f, true, 1, "");
		assert_false(file_exists(f->tmp));
	}
}

/* NAME:N is the N-th passing. */
static void test_kill_at_the_nth_passing(void **state)
{
	const keyring_fixture *f = *state;
	bh_keyring *keyring = NULL;

	pid_t child = fork();
	if (child == 0) {
		if (bh_keyring_open(f->db, NULL, true, &keyring) != BH_OK)
			_exit(2);
		bh_crash_arm("keyring.append.mark-synced:2");
		fixture_add(f, keyring, "one");
		fixture_add(f, keyring, "two");
		fixture_add(f, keyring, "three");
		_exit(0);
	}
	assert_killed(child);
	expect(f, true, 3, "one=creating two=creating ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_flip_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_every_cut_below_the_mark_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_torn_tails, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_a_forged_tail_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_another_database_of_the_same_platform, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_kill_at_each_point_of_a_change, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_kill_at_rollover, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_kill_while_repairing, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_kill_while_creating, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_kill_at_the_nth_passing, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("keyring_damage", tests, NULL, NULL);
}
