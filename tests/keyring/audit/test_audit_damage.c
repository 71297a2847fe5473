/* SPDX-License-Identifier: Apache-2.0
 *
 * test_audit_damage.c: what somebody may do to an audit log on disk, and who finds it: every flipped bit, every line removed,
 * swapped, doubled, put in from elsewhere, every cut; with the public key alone, and at the next open.
 */
#include "audit_fixture.h"

/* Where the lines of a log begin; the last is its end. */
typedef struct lines {
	bh_buf file;
	size_t off[64];
	size_t count;
} lines;

static lines lines_of(const audit_fixture *f)
{
	lines l = { .file = file_load(f->place.audit) };

	for (size_t i = 0; i < l.file.len; i++)
		if (l.file.data[i] == '\n')
			l.off[++l.count] = i + 1;
	return l;
}

static bh_view line_at(const lines *l, size_t idx)
{
	return bh_view_of(l->file.data + l->off[idx], l->off[idx + 1] - l->off[idx]);
}

static void expect_found(const audit_fixture *f, const char *what, size_t where)
{
	bh_audit_scan_result found;
	bh_status status = audit_check(f, NULL, &found);

	if (!audit_is_damage(status))
		fail_msg("%s %zu: %s", what, where, bh_status_name(status));
}

static void every_flipped_bit_is_found(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_scan_result found;

	audit_small(f);
	bh_buf file = file_load(f->place.audit);
	int fd = open(f->place.audit, O_WRONLY);
	for (size_t bit = 0; bit < file.len * 8; bit++) {
		uint8_t flipped = file.data[bit / 8] ^ (uint8_t)(1u << bit % 8);
		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)(bit / 8)), 1);
		/* The last newline's make a torn tail, which is looked at more than once; one of them will do. */
		if (bit / 8 < file.len - 1 || bit % 8 == 0)
			expect_found(f, "bit", bit);
		assert_int_equal(pwrite(fd, &file.data[bit / 8], 1, (off_t)(bit / 8)), 1);
	}
	close(fd);
	assert_done(audit_check(f, NULL, &found));
	bh_buf_clear(&file);
}

/* The lines of `l` in another order: `order` has `count` indices. */
static void store_lines(const audit_fixture *f, const lines *l, const size_t *order, size_t count)
{
	bh_buf out = { 0 };

	for (size_t i = 0; i < count; i++)
		assert_done(bh_buf_append(&out, line_at(l, order[i]).data, line_at(l, order[i]).len));
	file_store(f->place.audit, bh_buf_view(&out));
	bh_buf_clear(&out);
}

static void every_line_removed_doubled_or_swapped_is_found(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_position known = audit_small(f);
	lines l = lines_of(f);
	bh_audit_scan_result found;
	size_t order[64];

	assert_int_equal(l.count, 8); /* five entries, three checkpoints */
	for (size_t i = 0; i < l.count; i++) {
		size_t n = 0;
		for (size_t k = 0; k < l.count; k++)
			if (k != i)
				order[n++] = k;
		store_lines(f, &l, order, n);
		expect_found(f, "without line", i);

		n = 0;
		for (size_t k = 0; k < l.count; k++) {
			order[n++] = k;
			if (k == i)
				order[n++] = k;
		}
		store_lines(f, &l, order, n);
		expect_found(f, "twice line", i);

		for (size_t j = i + 1; j < l.count; j++) {
			for (size_t k = 0; k < l.count; k++)
				order[k] = k == i ? j : k == j ? i : k;
			store_lines(f, &l, order, l.count);
			expect_found(f, "swapped line", i);
		}
	}
	file_store(f->place.audit, bh_buf_view(&l.file));
	assert_done(audit_check(f, &known, &found));
	assert_int_equal(found.tree.size, 5);
	bh_buf_clear(&l.file);
}

/* Another signer's log is right in itself, and every line of it is wrong here. */
static void a_strangers_lines_are_found(void **state)
{
	static const uint8_t seed[BH_SIGN_SEED_LEN] = { 8 };
	audit_fixture *f = *state;
	bh_signer *mine = f->signer;

	audit_small(f);
	lines l = lines_of(f);
	assert_int_equal(unlink(f->place.audit), 0);
	assert_done(bh_signer_new(bh_view_of(seed, sizeof(seed)), &f->signer));
	audit_small(f);
	expect_found(f, "a log signed by somebody else", 0);
	assert_non_null(strstr(bh_status_message(), "line 2")); /* its first checkpoint */
	lines theirs = lines_of(f);
	bh_signer_free(f->signer);
	f->signer = mine;
	for (size_t at = 0; at <= l.count; at++) {
		bh_buf mixed = { 0 };
		assert_done(bh_buf_append(&mixed, l.file.data, l.off[at]));
		assert_done(bh_buf_append(&mixed, line_at(&theirs, at % l.count).data, line_at(&theirs, at % l.count).len));
		assert_done(bh_buf_append(&mixed, l.file.data + l.off[at], l.file.len - l.off[at]));
		file_store(f->place.audit, bh_buf_view(&mixed));
		expect_found(f, "a stranger's line before line", at);
		bh_buf_clear(&mixed);
	}
	bh_buf_clear(&l.file);
	bh_buf_clear(&theirs.file);
}

/* Whoever changes an entry and makes the whole chain anew has no signature for it. */
static void a_chain_made_anew_is_found(void **state)
{
	const audit_fixture *f = *state;
	bh_buf forged = { 0 };
	uint8_t prev[BH_SHA256_LEN] = { 0 };
	bh_merkle tree = { 0 };

	audit_small(f);
	lines l = lines_of(f);
	for (size_t i = 0; i < l.count; i++) {
		bh_view line = line_at(&l, i);
		bh_audit_line decoded;
		size_t start = forged.len;
		uint8_t leaf[BH_SHA256_LEN];
		assert_done(bh_audit_line_decode(line, &decoded));
		if (decoded.is_checkpoint) {
			memcpy(decoded.checkpoint.prev, prev, sizeof(prev));
			assert_done(bh_merkle_root(&tree, decoded.checkpoint.position.root));
			assert_done(bh_audit_checkpoint_encode(&decoded.checkpoint, &tree, &forged));
		} else {
			const uint8_t *body = memmem(line.data, line.len, "\"time\"", 6);
			assert_done(bh_audit_entry_encode(decoded.seq, prev,
							  bh_view_of(body, line.len - (size_t)(body - line.data)), &forged));
			forged.data[forged.len - 4] = 'T'; /* ... "for a tesT"} */
			assert_done(bh_merkle_leaf(bh_view_of(forged.data + start, forged.len - start), leaf));
			assert_done(bh_merkle_add(&tree, leaf));
		}
		assert_done(bh_sha256(bh_view_of(forged.data + start, forged.len - start), prev));
	}
	file_store(f->place.audit, bh_buf_view(&forged));
	bh_audit_scan_result found;
	assert_status(audit_check(f, NULL, &found), BH_E_TAG);
	assert_non_null(strstr(bh_status_message(), "line 2"));
	bh_buf_clear(&forged);
	bh_buf_clear(&l.file);
}

/* With the public key alone a cut is found unless it ends at a checkpoint; with what was known of the log, there too. */
static void every_cut_is_found(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_position known = audit_small(f);
	lines l = lines_of(f);
	bh_audit_scan_result found;
	size_t whole = 0;

	for (size_t len = 0; len < l.file.len; len += len % 16 == 0 || len + 8 > l.file.len ? 1 : 3) {
		const bh_audit_scan_options options = { .public_key = f->public_key };
		file_store(f->place.audit, bh_view_of(l.file.data, len));
		int fd = open(f->place.audit, O_RDONLY);
		/* bh_audit_verify() waits for an append that may be under way; what it judges by is this. */
		assert_done(bh_audit_scan(fd, "log", len, &options, &found));
		close(fd);
		bool at_checkpoint = len > 0 && found.good_len == len;
		whole += at_checkpoint;
		assert_int_equal(found.file_len != found.good_len || found.checkpoints == 0, !at_checkpoint);
		fd = open(f->place.audit, O_RDONLY);
		const bh_audit_scan_options floor = { .public_key = f->public_key, .floors = &known, .floor_count = 1 };
		assert_status(bh_audit_scan(fd, "log", len, &floor, &found), BH_E_ROLLBACK);
		close(fd);
	}
	assert_true(whole <= 2);
	file_store(f->place.audit, bh_view_of(l.file.data, l.off[2]));
	assert_done(audit_check(f, NULL, &found));
	file_store(f->place.audit, bh_view_of(l.file.data, l.off[2] + 1));
	assert_status(audit_check(f, NULL, &found), BH_E_TRUNCATED);
	file_store(f->place.audit, bh_view_str(""));
	assert_status(audit_check(f, NULL, &found), BH_E_TRUNCATED);
	bh_buf_clear(&l.file);
}

/* At an open: what was never acknowledged is cut off and logged, at any byte; anything else is refused, and nothing is changed. */
static void an_open_cuts_torn_tails_and_refuses_damage(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_scan_result found;

	audit_small(f);
	lines l = lines_of(f);
	for (size_t len = l.off[2] + 1; len < l.off[6]; len += 7) {
		file_store(f->place.audit, bh_view_of(l.file.data, len));
		bh_audit_close(audit_start(f));
		assert_done(audit_check(f, NULL, &found));
		assert_int_equal(found.tree.size, 2);
		assert_int_equal(audit_count(f, BH_AUDIT_LOG_TORN_TAIL), 1);
	}
	for (size_t line = 0; line < l.count; line++) {
		bh_buf changed = file_load(f->place.audit);
		changed.len = 0;
		assert_done(bh_buf_append(&changed, l.file.data, l.file.len));
		changed.data[l.off[line] + 30] ^= 1;
		file_store(f->place.audit, bh_buf_view(&changed));
		bh_audit *audit = NULL;
		bh_status status = audit_try(f, NULL, &audit);
		if (status != BH_E_TAG && status != BH_E_FORMAT)
			fail_msg("line %zu: %s", line + 1, bh_status_name(status));
		assert_non_null(strstr(bh_status_message(), "line "));
		assert_file_is(f->place.audit, bh_buf_view(&changed));
		bh_buf_clear(&changed);
	}
	bh_buf_clear(&l.file);
}

/* Blocks that a power cut has left unwritten read as zeros: a torn tail, unless the checkpoint that ends the append is there. */
static void zeros_are_a_torn_tail_only_without_a_checkpoint_behind(void **state)
{
	const audit_fixture *f = *state;
	bh_audit *audit = NULL;
	bh_audit_scan_result found;

	audit_small(f);
	lines l = lines_of(f);
	bh_buf file = file_load(f->place.audit);
	memset(file.data + l.off[3], 0, l.off[4] - l.off[3]);
	file_store(f->place.audit, bh_buf_view(&file));
	assert_status(audit_try(f, NULL, &audit), BH_E_FORMAT);
	file_store(f->place.audit, bh_view_of(file.data, l.off[5]));
	bh_audit_close(audit_start(f));
	assert_done(audit_check(f, NULL, &found));
	assert_int_equal(found.tree.size, 2);
	bh_buf_clear(&file);
	bh_buf_clear(&l.file);
}

static void an_open_finds_another_history(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_position known = audit_small(f);
	bh_audit *audit = NULL;

	lines l = lines_of(f);
	file_store(f->place.audit, bh_view_of(l.file.data, l.off[6]));
	assert_status(audit_try(f, &known, &audit), BH_E_ROLLBACK);
	assert_int_equal(unlink(f->place.audit), 0);
	assert_status(audit_try(f, &known, &audit), BH_E_FORMAT);
	assert_non_null(strstr(bh_status_message(), "missing"));
	assert_false(file_exists(f->place.audit));
	audit_small(f); /* as many entries, signed by the same key */
	assert_status(audit_try(f, &known, &audit), BH_E_TAG);
	file_store(f->place.audit, bh_buf_view(&l.file));
	assert_done(audit_try(f, &known, &audit));
	bh_audit_close(audit);
	bh_buf_clear(&l.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_flipped_bit_is_found, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(every_line_removed_doubled_or_swapped_is_found, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(a_strangers_lines_are_found, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(a_chain_made_anew_is_found, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(every_cut_is_found, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(an_open_cuts_torn_tails_and_refuses_damage, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(zeros_are_a_torn_tail_only_without_a_checkpoint_behind, audit_setup,
						audit_teardown),
		cmocka_unit_test_setup_teardown(an_open_finds_another_history, audit_setup, audit_teardown),
	};

	return cmocka_run_group_tests_name("audit_damage", tests, NULL, NULL);
}
