/* SPDX-License-Identifier: Apache-2.0
 *
 * test_forged_manifest.c: test_forged_logs.c for the MANIFEST: who holds the platform's DEK and everybody else's keys changes none
 * of acme's edits: no file added or left out, no level, number, size or bound changed, no edit replayed, exchanged or left out of
 * the middle.
 */
#include "attack.h"
#include "forge.h"

#include "env/spans/manifest_spans.h"

/* Families in the order in which the classes were made. */
enum { ACME_ROWS_ID = 1 };

static victim *get(void **state)
{
	return *state;
}

/* A field may become one that nobody knows. */
static void expect_acme_edit_forged(attack *a)
{
	if (a->report.open == BH_E_UNSUPPORTED)
		attack_end(a);
	else
		attack_expect_acme_fails(a);
}

/* The record of a frame, if it is one fragment. */
static bh_view record_of(forged_frame *frame)
{
	size_t len;
	uint8_t *structure = forge_structure(frame, &len);

	return structure[2] == 1 && bh_get_u16(structure) == len - 3 ? bh_view_of(structure + 3, len - 3) : bh_view_of(NULL, 0);
}

static bool is_edit_of(forged_frame *frame, uint32_t family)
{
	bh_version_edit edit = { 0 };
	bh_view record = record_of(frame);
	bool is = record.len > 0 && bh_version_edit_parse(record, &edit) == BH_OK && edit.cf_id == family;

	bh_version_edit_clear(&edit);
	return is;
}

static bool is_edit_of_acme(forged_frame *frame)
{
	return is_edit_of(frame, ACME_ROWS_ID) || is_edit_of(frame, ACME_ROWS_ID + 1);
}

typedef struct spots {
	size_t at[64]; /* in the record */
	size_t count;
	unsigned seen[BH_VERSION_WHAT_COUNT_];
} spots;

/* One byte of each field, and of files added all that is no span: level, number, size, sequence numbers. */
static void note_spots(void *arg, const bh_version_field *field)
{
	spots *s = arg;
	const size_t more = field->what == BH_VERSION_FILE_ADDED ? 4 : 1;

	for (size_t i = 0; i < more && s->seen[field->what] < 2 && field->len > i + 1; i++)
		s->at[s->count++] = field->off + 1 + i;
	s->seen[field->what]++;
}

/* Levels, numbers, sizes, names, log numbers: a bit of each kind of field in each kind of edit. */
static void test_manifest_fields(void **state)
{
	const victim *v = get(state);
	const char *name = victim_find(v, "MANIFEST-", "", 0);
	BH_CLEANUP(forge_clear) forged f = attack_take(v, name);
	unsigned edits = 0, tried = 0;

	for (size_t i = 0; i < f.count; i++) {
		bh_version_edit edit = { 0 };
		spots s = { .count = 0 };

		if (!is_edit_of_acme(&f.frames[i]) || edits++ >= 8)
			continue;
		test_ok(bh_version_edit_walk(record_of(&f.frames[i]), &edit, note_spots, &s));
		bh_version_edit_clear(&edit);
		for (size_t k = 0; k < s.count; k++, tried++) {
			size_t len;
			uint8_t *structure = forge_structure(&f.frames[i], &len);
			char what[80];

			structure[3 + s.at[k]] ^= 1;
			snprintf(what, sizeof(what), "byte %zu of the edit in frame %zu changed", s.at[k], i);
			attack_forged(v, what, name, &f, expect_acme_edit_forged);
			structure[3 + s.at[k]] ^= 1;
		}
	}
	test_check(edits > 4 && tried > 20);
}

static void test_manifest_bounds(void **state)
{
	const victim *v = get(state);
	const char *name = victim_find(v, "MANIFEST-", "", 0);
	BH_CLEANUP(forge_clear) forged f = attack_take(v, name);
	unsigned tried = 0;

	for (size_t i = 0; i < f.count && tried < 4; i++) {
		bh_buf *sections = &f.frames[i].sections;

		if (!is_edit_of_acme(&f.frames[i]) || sections->len <= BH_TAG_LEN)
			continue;
		sections->data[3] ^= 1;
		attack_forged(v, "a bound of acme's file changed", name, &f, attack_expect_acme_fails);
		sections->data[3] ^= 1;
		tried++;
	}
	test_check(tried == 4);
}

/* An edit replayed, exchanged with the next, or left out: what stands there instead is the platform's and as long. A family's last
 * edits can be left out together: the older state that they leave is what a chain of logs has to find. */
static void test_manifest_edits_moved(void **state)
{
	const victim *v = get(state);
	const char *name = victim_find(v, "MANIFEST-", "", 0);
	size_t mine[64], count = 0;
	BH_CLEANUP(forge_clear) forged all = attack_take(v, name);

	for (size_t i = 0; i < all.count && count < 64; i++)
		if (is_edit_of(&all.frames[i], ACME_ROWS_ID))
			mine[count++] = i;
	test_check(count >= 3);
	for (size_t k = 1; k + 1 < BH_MIN(count, (size_t)6); k++) {
		BH_CLEANUP(forge_clear)
		forged replayed_edit = attack_take(v, name), exchanged = attack_take(v, name), gone = attack_take(v, name);
		forged_frame *frame = &gone.frames[mine[k]];
		bh_view record = record_of(frame);
		bh_buf structure = { 0 };

		forge_copy(&replayed_edit.frames[mine[k]], &replayed_edit.frames[mine[k - 1]]);
		attack_forged(v, "an edit of acme's replayed", name, &replayed_edit, attack_expect_acme_fails);
		forge_copy(&exchanged.frames[mine[k]], &all.frames[mine[k + 1]]);
		forge_copy(&exchanged.frames[mine[k + 1]], &all.frames[mine[k]]);
		attack_forged(v, "two edits of acme's exchanged", name, &exchanged, attack_expect_acme_fails);
		test_check(record.len > 3 && record.len < 3 + 0x3fff);
		/* Tag 8193, a database id, of whatever text. */
		test_ok(bh_buf_append(&structure, record.data - 3, record.len + 3));
		memset(structure.data + 3, 'x', record.len);
		memcpy(structure.data + 3, "\x81\x40", 2);
		structure.data[5] = (uint8_t)(record.len - 3);
		if (record.len - 3 >= 0x80) {
			structure.data[5] = (uint8_t)((record.len - 4) | 0x80);
			structure.data[6] = (uint8_t)((record.len - 4) >> 7);
		}
		forge_plain(frame, bh_buf_view(&structure));
		bh_buf_clear(&structure);
		attack_forged(v, "an edit of acme's left out", name, &gone, attack_expect_acme_fails);
	}
}

/* One more frame behind the last. */
static void append_record(forged *f, bh_view record, forged_frame **frame_out)
{
	forged_frame *grown = realloc(f->frames, (f->count + 1) * sizeof(*grown));
	uint8_t head[3] = { 0, 0, 1 };
	bh_buf structure = { 0 };

	test_check(grown != NULL);
	f->frames = grown;
	*frame_out = &f->frames[f->count++];
	**frame_out = (forged_frame){ 0 };
	bh_put_u16(head, (uint16_t)record.len);
	test_ok(bh_buf_append(&structure, head, sizeof(head)));
	test_ok(bh_buf_append(&structure, record.data, record.len));
	forge_plain(*frame_out, bh_buf_view(&structure));
	bh_buf_clear(&structure);
}

/* Edits of a family that is gone by the end may be under a key that nobody has: one that says itself that it goes may not, where
 * it is acme's and not gone. */
static void test_family_dropped(void **state)
{
	static const uint8_t nobodys_id[BH_ID_LEN] = { 0xd0 }, section[BH_TAG_LEN] = { 0x5e };
	const victim *v = get(state);
	const char *name = victim_find(v, "MANIFEST-", "", 0);
	BH_CLEANUP(forge_clear) forged f = attack_take(v, name);
	bh_buf drop = { 0 };
	forged_frame *frame;

	test_ok(bh_version_edit_encode_drop(ACME_ROWS_ID, ACME_ROWS_ID, &drop));
	append_record(&f, bh_buf_view(&drop), &frame);
	forge_announce(frame, ACME_ROWS_ID, nobodys_id);
	test_ok(bh_buf_append(&frame->sections, section, sizeof(section)));
	attack_forged(v, "acme's family dropped under nobody's key", name, &f, attack_expect_acme_fails);
	bh_buf_clear(&drop);
}

/* The platform's own edits: RocksDB ends the process at a last sequence number that is its last. */
static void test_sequence_used_up(void **state)
{
	static const uint64_t ends[] = { (1ull << 56) - 2, (1ull << 56) - 1, 1ull << 63 };
	const victim *v = get(state);
	const char *name = victim_find(v, "MANIFEST-", "", 0);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		BH_CLEANUP(forge_clear) forged f = attack_take(v, name);
		uint8_t record[12] = { 4 };
		size_t len = 1;
		forged_frame *frame;

		for (uint64_t left = ends[i]; left > 0; left >>= 7)
			record[len++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
		append_record(&f, bh_view_of(record, len), &frame);
		attack_forged(v, "no sequence number is left", name, &f, attack_expect_refused);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifest_fields),      cmocka_unit_test(test_manifest_bounds),
		cmocka_unit_test(test_manifest_edits_moved), cmocka_unit_test(test_family_dropped),
		cmocka_unit_test(test_sequence_used_up),
	};

	return cmocka_run_group_tests(tests, victim_setup, victim_teardown);
}
