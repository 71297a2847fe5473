/* SPDX-License-Identifier: Apache-2.0
 *
 * test_audit_anchor.c: what an open reads of a long audit log, and what it finds: all that is wrong from the last anchor on which
 * the keyring has passed, a length that is wrong anywhere, and nothing of the rest, which a verify of the whole log finds.
 */
#include "audit_fixture.h"

/* What an open finds, where it begins. */
static bh_status scan_from_anchor(const audit_fixture *f, const bh_audit_position *known, bh_audit_scan_result *out)
{
	const bh_audit_scan_options options = {
		.public_key = f->public_key, .floors = known, .floor_count = known != NULL, .from_anchor = true
	};
	bh_buf file = file_load(f->place.audit);
	size_t len = file.len;
	int fd = open(f->place.audit, O_RDONLY);
	bh_status status = bh_audit_scan(fd, "log", len, &options, out);

	close(fd);
	bh_buf_clear(&file);
	return status;
}

/* Two anchors and a few entries behind each; *known_out: the end. */
static bh_buf long_log(const audit_fixture *f, bh_audit_position *known_out)
{
	bh_audit *audit = audit_start(f);

	for (int i = 0; i < 2; i++) {
		audit_say_much(audit, 70);
		audit_say_much(audit, 70);
		for (int k = 0; k < 3; k++)
			assert_done(audit_say(audit, "bob"));
	}
	bh_audit_position_get(audit, known_out);
	bh_audit_close(audit);
	return file_load(f->place.audit);
}

static size_t last_anchor(const bh_buf *file)
{
	static const char begin[] = "\n" BH_AUDIT_ANCHOR_BEGIN;
	size_t at = 0;

	for (const uint8_t *hit = file->data; (hit = memmem(hit, file->len - (size_t)(hit - file->data), begin, sizeof(begin) - 1));
	     hit++)
		at = (size_t)(hit - file->data) + 1;
	assert_true(at > 0);
	return at;
}

static size_t line_len(const bh_buf *file, size_t at)
{
	const uint8_t *end = memchr(file->data + at, '\n', file->len - at);

	assert_non_null(end);
	return (size_t)(end - (file->data + at)) + 1;
}

static void expect_refused(const audit_fixture *f, const bh_audit_position *known, const char *what, size_t where)
{
	bh_audit *audit = NULL;
	bh_status status = audit_try(f, known, &audit);

	if (!audit_is_damage(status))
		fail_msg("%s %zu: an open says %s", what, where, bh_status_name(status));
	bh_audit_scan_result found;
	status = audit_check(f, known, &found);
	if (!audit_is_damage(status))
		fail_msg("%s %zu: a verify says %s", what, where, bh_status_name(status));
}

static void an_open_begins_at_the_last_anchor_that_the_keyring_has_passed(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_position known, early = { .size = 1 };
	bh_audit_scan_result whole, found;
	bh_buf file = long_log(f, &known);

	assert_done(audit_check(f, &known, &whole));
	assert_true(whole.begin == 0 && whole.anchored > 0);
	assert_done(scan_from_anchor(f, &known, &found));
	assert_int_equal(found.begin, last_anchor(&file));
	assert_int_equal(found.anchored, found.begin + line_len(&file, found.begin));
	/* Both have come to the same. */
	assert_int_equal(found.tree.size, whole.tree.size);
	assert_memory_equal(found.prev, whole.prev, sizeof(whole.prev));
	assert_memory_equal(found.last.position.root, whole.last.position.root, BH_SHA256_LEN);
	assert_int_equal(found.good_len, whole.good_len);
	/* Who knows of less begins before that, and who knows of nothing at the beginning. */
	known.size -= 4;                                              /* just before the last anchor's append */
	assert_status(scan_from_anchor(f, &known, &found), BH_E_TAG); /* with another root than that */
	assert_done(scan_from_anchor(f, NULL, &found));
	assert_int_equal(found.begin, 0);
	assert_status(scan_from_anchor(f, &early, &found), BH_E_TAG);
	bh_buf_clear(&file);
}

static void a_log_goes_on_from_an_anchor_as_from_its_beginning(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_position known;
	bh_audit_scan_result found;
	bh_audit *audit = NULL;
	bh_buf file = long_log(f, &known);

	for (int i = 0; i < 5; i++) {
		assert_done(audit_try(f, &known, &audit));
		audit_say_much(audit, 50);
		bh_audit_position_get(audit, &known);
		bh_audit_close(audit);
	}
	assert_done(audit_check(f, &known, &found));
	assert_int_equal(found.tree.size, 286 + 250);
	bh_buf_clear(&file);
	file = file_load(f->place.audit);
	assert_true(found.anchored < file.len && file.len - found.anchored < BH_AUDIT_ANCHOR_EVERY);
	bh_buf_clear(&file);
}

static void an_open_finds_every_change_behind_its_anchor(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_position known;
	bh_buf file = long_log(f, &known);
	bh_audit *audit = NULL;

	for (size_t at = last_anchor(&file); at < file.len - 1; at += 3) {
		file.data[at] ^= 1;
		file_store(f->place.audit, bh_buf_view(&file));
		expect_refused(f, &known, "byte", at);
		file.data[at] ^= 1;
	}
	for (size_t at = last_anchor(&file), len; at < file.len; at += len) {
		bh_buf without = { 0 };

		len = line_len(&file, at);
		assert_done(bh_buf_append(&without, file.data, at));
		assert_done(bh_buf_append(&without, file.data + at + len, file.len - at - len));
		file_store(f->place.audit, bh_buf_view(&without));
		expect_refused(f, &known, "without the line at", at);
		without.len = at + len;
		memcpy(without.data, file.data, at + len);
		assert_done(bh_buf_append(&without, file.data + at, file.len - at)); /* the line twice */
		file_store(f->place.audit, bh_buf_view(&without));
		expect_refused(f, &known, "twice the line at", at);
		/* A cut at a line's end: below what is known. */
		file_store(f->place.audit, bh_view_of(file.data, at));
		assert_status(audit_try(f, &known, &audit), BH_E_ROLLBACK);
		bh_buf_clear(&without);
	}
	bh_buf_clear(&file);
}

/* What comes before is not read: that it has its length is all that an open knows of it. */
static void before_the_anchor_an_open_finds_lengths_and_a_verify_the_rest(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_position known;
	bh_buf file = long_log(f, &known), shorter = { 0 };
	bh_audit_scan_result found;
	bh_audit *audit = NULL;
	size_t at = line_len(&file, 0);

	file.data[at + 200] ^= 1;
	file_store(f->place.audit, bh_buf_view(&file));
	assert_status(audit_check(f, &known, &found), BH_E_TAG);
	assert_non_null(strstr(bh_status_message(), "line 3"));
	assert_done(audit_try(f, &known, &audit));
	bh_audit_close(audit);
	file.data[at + 200] ^= 1;
	assert_done(bh_buf_append(&shorter, file.data, at));
	assert_done(bh_buf_append(&shorter, file.data + at + line_len(&file, at), file.len - at - line_len(&file, at)));
	file_store(f->place.audit, bh_buf_view(&shorter));
	expect_refused(f, &known, "without line", 2);
	bh_buf_clear(&file);
	bh_buf_clear(&shorter);
}

/* A power cut may leave an anchor whole, and zeros where the entries of its append were. */
static void an_anchor_that_the_keyring_has_not_passed_is_not_begun_at(void **state)
{
	const audit_fixture *f = *state;
	bh_audit *audit = audit_start(f);
	bh_audit_position known;

	audit_say_much(audit, 70);
	bh_audit_position_get(audit, &known);
	bh_buf before = file_load(f->place.audit);
	audit_say_much(audit, 70);
	bh_audit_close(audit);
	bh_buf file = file_load(f->place.audit);
	assert_int_equal(line_len(&file, last_anchor(&file)), file.len - last_anchor(&file));
	memset(file.data + before.len, 0, 4096);
	file_store(f->place.audit, bh_buf_view(&file));
	expect_refused(f, &known, "zeros before the anchor at", last_anchor(&file));
	bh_buf_clear(&before);
	bh_buf_clear(&file);
}

/* It lies where it says, has the right peaks, and is in the chain; but who made it has another key. */
static void a_strangers_anchor_is_not_begun_at(void **state)
{
	static const uint8_t seed[BH_SIGN_SEED_LEN] = { 8 };
	audit_fixture *f = *state;
	bh_signer *mine = f->signer;
	bh_audit_position known;

	assert_done(bh_signer_new(bh_view_of(seed, sizeof(seed)), &f->signer));
	bh_buf file = long_log(f, &known);
	bh_signer_free(f->signer);
	f->signer = mine;
	expect_refused(f, &known, "a log signed by somebody else", 0);
	bh_buf_clear(&file);
}

/* Logs of before there were anchors: one scan of all of it, and the next append has the first. */
static void a_long_log_without_anchors_gets_one(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_checkpoint checkpoint = { .at_ms = 1000 };
	uint8_t message[BH_AUDIT_ANCHOR_SIGNED_LEN], leaf[BH_SHA256_LEN], prev[BH_SHA256_LEN] = { 0 };
	bh_audit_scan_result found;
	bh_audit_position known;
	bh_audit *audit = NULL;
	bh_merkle tree = { 0 };
	bh_buf log = { 0 };

	while (log.len < 2 * BH_AUDIT_ANCHOR_EVERY) {
		size_t start = log.len;

		assert_done(bh_audit_entry_encode(tree.size + 1, prev, bh_view_str("\"time\":\"\",\"action\":\"a.b\"}\n"), &log));
		assert_done(bh_merkle_leaf(bh_view_of(log.data + start, log.len - start), leaf));
		assert_done(bh_merkle_add(&tree, leaf));
		assert_done(bh_sha256(bh_view_of(log.data + start, log.len - start), prev));
	}
	checkpoint.position.size = tree.size;
	assert_done(bh_merkle_root(&tree, checkpoint.position.root));
	memcpy(checkpoint.prev, prev, sizeof(prev));
	size_t len = bh_audit_checkpoint_message(&checkpoint, message);
	assert_int_equal(len, BH_AUDIT_SIGNED_LEN);
	assert_done(bh_sign(f->signer, bh_view_of(message, len), checkpoint.signature));
	assert_done(bh_audit_checkpoint_encode(&checkpoint, NULL, &log));
	file_store(f->place.audit, bh_buf_view(&log));
	known = checkpoint.position;
	assert_done(scan_from_anchor(f, &known, &found));
	assert_true(found.begin == 0 && found.anchored == 0);
	assert_done(audit_try(f, &known, &audit));
	assert_done(audit_say(audit, "ann"));
	bh_audit_position_get(audit, &known);
	bh_audit_close(audit);
	assert_done(audit_check(f, &known, &found));
	assert_done(scan_from_anchor(f, &known, &found));
	assert_true(found.begin > log.len);
	bh_buf_clear(&log);
}

/* The bytes of an anchor are for good: this line was written when there were the first. */
static void an_anchor_has_one_spelling(void **state)
{
	static const char golden[] =
		"{\"anchor\":5,\"offset\":262144,\"prev\":\"ababababababababababababababababababababababababababababa"
		"bababab\",\"time\":\"2026-01-01T00:00:00.123Z\",\"root\":\"b855b42d6c30f5b087e05266783fbd6e394f7b926"
		"013ccaa67700a8b0c5a596f\",\"peaks\":[\"9bcd51240af4005168f033121ba85be5a6ed4f0e6a5fac262066729b8fbfd"
		"ecb\",\"4f35212d12f9ad2036492c95f1fe79baf4ec7bd9bef3dffa7579f2293ff546a4\"],\"signature\":\"40fb61ef"
		"b104b8231bedacdedf538247c823e2193f21535f450ccd9a9936e41e9fdfdf81bbe66397b6fa6b414842595a952e6d7a7e79"
		"aa131925e80fa1e1e301\"}\n";
	const audit_fixture *f = *state;
	bh_audit_checkpoint anchor = { .position.size = 5, .at_ms = 1767225600123, .offset = 262144 };
	uint8_t message[BH_AUDIT_ANCHOR_SIGNED_LEN], leaf[BH_SHA256_LEN];
	bh_audit_line decoded;
	bh_merkle tree = { 0 };
	bh_buf line = { 0 };

	memset(anchor.prev, 0xab, sizeof(anchor.prev));
	for (uint8_t i = 0; i < 5; i++) {
		assert_done(bh_merkle_leaf(bh_view_of(&i, 1), leaf));
		assert_done(bh_merkle_add(&tree, leaf));
	}
	assert_done(bh_merkle_root(&tree, anchor.position.root));
	size_t len = bh_audit_checkpoint_message(&anchor, message);
	assert_int_equal(len, BH_AUDIT_ANCHOR_SIGNED_LEN);
	assert_done(bh_sign(f->signer, bh_view_of(message, len), anchor.signature));
	assert_done(bh_audit_checkpoint_encode(&anchor, &tree, &line));
	assert_int_equal(line.len, sizeof(golden) - 1);
	assert_memory_equal(line.data, golden, line.len);
	assert_done(bh_audit_line_decode(bh_buf_view(&line), &decoded));
	assert_int_equal(decoded.checkpoint.offset, 262144);
	assert_int_equal(decoded.tree.size, 5);
	assert_memory_equal(decoded.tree.peaks[0], tree.peaks[0], BH_SHA256_LEN);
	assert_memory_equal(decoded.tree.peaks[2], tree.peaks[2], BH_SHA256_LEN);
	for (size_t cut = 0; cut < line.len; cut++)
		assert_true(bh_audit_line_decode(bh_view_of(line.data, cut), &decoded) != BH_OK);
	for (size_t bit = 0; bit < line.len * 8; bit++) {
		line.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (bh_audit_line_decode(bh_buf_view(&line), &decoded) == BH_OK) { /* another number, time, hash or signature */
			len = bh_audit_checkpoint_message(&decoded.checkpoint, message);
			assert_true(bh_sign_verify(f->public_key, bh_view_of(message, len), decoded.checkpoint.signature) != BH_OK);
		}
		line.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	bh_buf_clear(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_open_begins_at_the_last_anchor_that_the_keyring_has_passed, audit_setup,
						audit_teardown),
		cmocka_unit_test_setup_teardown(a_log_goes_on_from_an_anchor_as_from_its_beginning, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(an_open_finds_every_change_behind_its_anchor, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(before_the_anchor_an_open_finds_lengths_and_a_verify_the_rest, audit_setup,
						audit_teardown),
		cmocka_unit_test_setup_teardown(an_anchor_that_the_keyring_has_not_passed_is_not_begun_at, audit_setup,
						audit_teardown),
		cmocka_unit_test_setup_teardown(a_strangers_anchor_is_not_begun_at, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(a_long_log_without_anchors_gets_one, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(an_anchor_has_one_spelling, audit_setup, audit_teardown),
	};

	return cmocka_run_group_tests_name("audit_anchor", tests, NULL, NULL);
}
