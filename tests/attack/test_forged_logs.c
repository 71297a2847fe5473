/* SPDX-License-Identifier: Apache-2.0
 *
 * test_forged_logs.c: who holds the platform's DEK, every key of the merchant bolt and all older copies, and writes the disk while
 * the database is closed, makes no entry of a WAL and no edit of a MANIFEST that counts as acme's: none is changed, moved, replayed
 * or invented. The open is refused, acme, the file and the frame named, and nothing is overwritten; or acme alone is not served.
 * And acme's bytes are shown to nobody else.
 */
#include "attack.h"
#include "forge.h"

#include "env/reseal/reseal_log.h"
#include "env/stream/stream.h"

/* Families in the order in which the classes were made. */
enum { ACME_ROWS_ID = 1, BOLT_ROWS_ID = 3 };

static victim *get(void **state)
{
	return *state;
}

/* ---- what is expected */

static void expect_acme_forged(attack *a)
{
	if (a->report.open == BH_E_TAG)
		test_check(strstr(a->report.message, "acme/") != NULL && strstr(a->report.message, "frame ") != NULL &&
			   (strstr(a->report.message, ".log") != NULL || strstr(a->report.message, "MANIFEST-") != NULL));
	attack_expect_fails(a, ACME, false);
}

static void dek_id_of(const victim *v, const char *merchant, const char *cls, uint8_t out[BH_ID_LEN])
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	bh_scope scope = { 0 };

	snprintf(scope.merchant, sizeof(scope.merchant), "%s", merchant);
	snprintf(scope.cls, sizeof(scope.cls), "%s", cls);
	test_ok(bh_keyring_dek_current(bh_fs_keyring(v->keys.fs), &scope, &dek));
	memcpy(out, bh_dek_id(dek), BH_ID_LEN);
}

/* Taken apart and put together unchanged, a log is what it was: what follows fails for what is changed. */
static void test_unchanged(void **state)
{
	const victim *v = get(state);
	const char *names[] = { v->wal[0], v->wal[1], victim_find(v, "MANIFEST-", "", 0) };

	for (size_t i = 0; i < 3; i++) {
		BH_CLEANUP(forge_clear) forged f = attack_take(v, names[i]);
		BH_CLEANUP(bh_buf_clear) bh_buf file = forge_make(&f);
		attack a = attack_begin(v, "unchanged");

		attack_put(&a, names[i], bh_buf_view(&file));
		attack_open(&a);
		attack_expect_prefix(&a, LOG_ROWS, LOG_ROWS);
	}
}

/* ---- 30: entries of a WAL. A frame is one row; in its structure: */
enum {
	AT_SEQUENCE = 3, /* behind the fragment's length and type */
	AT_COUNT = 11,
	AT_TAG = 15,
	AT_FAMILY = 16,
	AT_KEY_LEN = 17,
	AT_VALUE_LEN = 18,
	ROW_STRUCTURE = 20,
	KEY_LEN = 6,
	ROW_LEN = 4 + ROW_STRUCTURE + KEY_LEN + 160, /* logical bytes */
};

static uint8_t *row_structure(forged_frame *frame)
{
	size_t len;
	uint8_t *structure = forge_structure(frame, &len);

	test_check(len == ROW_STRUCTURE && structure[AT_TAG] == 0x05 && structure[AT_KEY_LEN] == KEY_LEN);
	return structure;
}

static bool is_row_of(forged_frame *frame, uint32_t family)
{
	size_t len;
	uint8_t *structure = forge_structure(frame, &len);

	return len == ROW_STRUCTURE && structure[AT_TAG] == 0x05 && structure[AT_FAMILY] == family;
}

/* The next row of acme's from frame `i` on. */
static size_t acme_row(forged *f, size_t i)
{
	while (i < f->count && !is_row_of(&f->frames[i], ACME_ROWS_ID))
		i++;
	test_check(i < f->count);
	return i;
}

typedef struct forger {
	const victim *v;
	forged *log;
	forged *other; /* log */
} forger;

static void key_changed(const forger *x, size_t i)
{
	x->log->frames[i].sections.data[0] ^= 1;
}

static void value_changed(const forger *x, size_t i)
{
	x->log->frames[i].sections.data[KEY_LEN + 100] ^= 1;
}

static void tag_changed(const forger *x, size_t i)
{
	x->log->frames[i].sections.data[x->log->frames[i].sections.len - 1] ^= 1;
}

static void put_becomes_merge(const forger *x, size_t i)
{
	row_structure(&x->log->frames[i])[AT_TAG] = 0x06;
}

static void put_becomes_range_delete(const forger *x, size_t i)
{
	row_structure(&x->log->frames[i])[AT_TAG] = 0x0e;
}

/* A well-formed delete of the row. In place of the value, log data as long, so that nobody else's entries move. */
static void put_becomes_delete(const forger *x, size_t i)
{
	static const uint8_t filler[3 + 159] = { 0x03, 0x9f, 0x01 };
	forged_frame *frame = &x->log->frames[i];

	row_structure(frame)[AT_TAG] = 0x04;
	frame->part.len -= 2;
	test_ok(bh_buf_append(&frame->part, filler, sizeof(filler)));
	memmove(frame->sections.data + KEY_LEN, frame->sections.data + frame->sections.len - BH_TAG_LEN, BH_TAG_LEN);
	frame->sections.len = KEY_LEN + BH_TAG_LEN;
}

/* A byte of the value's goes to the key. */
static void lengths_changed(const forger *x, size_t i)
{
	uint8_t *structure = row_structure(&x->log->frames[i]);

	structure[AT_KEY_LEN]++;
	structure[AT_VALUE_LEN]--;
}

static void sequence_changed(const forger *x, size_t i)
{
	row_structure(&x->log->frames[i])[AT_SEQUENCE] ^= 1;
}

static void count_changed(const forger *x, size_t i)
{
	row_structure(&x->log->frames[i])[AT_COUNT]++;
}

static void family_changed(const forger *x, size_t i)
{
	row_structure(&x->log->frames[i])[AT_FAMILY] = ACME_ROWS_ID + 1;
}

static void moved(const forger *x, size_t i)
{
	size_t next = acme_row(x->log, i + 1);
	forged_frame first = { 0 };

	forge_copy(&first, &x->log->frames[i]);
	forge_copy(&x->log->frames[i], &x->log->frames[next]);
	forge_copy(&x->log->frames[next], &first);
	bh_buf_clear(&first.part);
	bh_buf_clear(&first.sections);
}

static void replayed(const forger *x, size_t i)
{
	size_t next = acme_row(x->log, i + 1);

	forge_copy(&x->log->frames[next], &x->log->frames[i]);
}

static void of_the_other_log(const forger *x, size_t i)
{
	forge_copy(&x->log->frames[i], &x->other->frames[acme_row(x->other, 0)]);
}

/* With the sequence number that is due there, and an announcement, if it had one, as it was. */
static void section_of_the_other_log(const forger *x, size_t i)
{
	forged_frame *from = &x->other->frames[acme_row(x->other, 0)];

	memcpy(x->log->frames[i].sections.data, from->sections.data, from->sections.len);
}

/* In its place, log data as long: no frame moves. */
static void left_out(const forger *x, size_t i)
{
	uint8_t record[ROW_LEN - 4] = { 0 };

	bh_put_u16(record, ROW_LEN - 7);
	record[2] = 1; /* a whole record */
	record[AT_TAG] = 0x03;
	record[AT_TAG + 1] = (uint8_t)(ROW_LEN - 7 - 12 - 3) | 0x80;
	record[AT_TAG + 2] = (uint8_t)((ROW_LEN - 7 - 12 - 3) >> 7);
	forge_plain(&x->log->frames[i], bh_view_of(record, sizeof(record)));
}

static void announced_under_bolts_dek(const forger *x, size_t i)
{
	uint8_t dek[BH_ID_LEN];

	dek_id_of(x->v, "bolt", "rows", dek);
	forge_announce(&x->log->frames[i], ACME_ROWS_ID, dek);
}

static void announced_under_the_platforms_dek(const forger *x, size_t i)
{
	forge_announce(&x->log->frames[i], ACME_ROWS_ID, x->log->key.header.dek_id);
}

static void announced_under_another_class(const forger *x, size_t i)
{
	uint8_t dek[BH_ID_LEN];

	dek_id_of(x->v, "acme", "more", dek);
	forge_announce(&x->log->frames[i], ACME_ROWS_ID, dek);
}

static void announced_under_no_dek(const forger *x, size_t i)
{
	static const uint8_t unknown[BH_ID_LEN] = { 0xee };

	forge_announce(&x->log->frames[i], ACME_ROWS_ID, unknown);
}

static const struct {
	const char *what;
	void (*forge)(const forger *x, size_t i);
} wal_forgeries[] = {
	{ "a key of acme's changed", key_changed },
	{ "a value of acme's changed", value_changed },
	{ "a tag of acme's changed", tag_changed },
	{ "a put of acme's made a merge", put_becomes_merge },
	{ "a put of acme's made a range delete", put_becomes_range_delete },
	{ "a put of acme's made a delete", put_becomes_delete },
	{ "the lengths of acme's key and value changed", lengths_changed },
	{ "the sequence number of acme's entry changed", sequence_changed },
	{ "the count of acme's batch changed", count_changed },
	{ "acme's entry given to another class of acme's", family_changed },
	{ "two entries of acme's exchanged", moved },
	{ "an entry of acme's replayed", replayed },
	{ "a frame of acme's from the other log", of_the_other_log },
	{ "a section of acme's from the other log", section_of_the_other_log },
	{ "an entry of acme's left out of the middle", left_out },
	{ "acme's entry under bolt's DEK", announced_under_bolts_dek },
	{ "acme's entry under the platform's DEK", announced_under_the_platforms_dek },
	{ "acme's entry under the DEK of another class", announced_under_another_class },
	{ "acme's entry under a DEK that there is not", announced_under_no_dek },
};

/* In the older log, in the newer one below its mark, and above it, where damage would be the log's end. */
static void test_wal_entries(void **state)
{
	const victim *v = get(state);
	static const size_t from[] = { 2, 0, NEW_LOG_SYNCED };

	for (size_t n = 0; n < sizeof(wal_forgeries) / sizeof(wal_forgeries[0]); n++)
		for (size_t at = 0; at < 3; at++) {
			const char *name = v->wal[at > 0];
			BH_CLEANUP(forge_clear) forged log = attack_take(v, name), other = attack_take(v, v->wal[at == 0]);
			const forger x = { v, &log, &other };

			wal_forgeries[n].forge(&x, acme_row(&log, from[at]));
			attack_forged(v, wal_forgeries[n].what, name, &log, expect_acme_forged);
		}
}

/* ---- 30: invented. The whole log sealed anew in due form, acme's families under a DEK that the attacker has. */

typedef struct substitute {
	const bh_scopes *real;
	bh_dek *dek; /* for acme */
} substitute;

static bh_status substitute_for_cf(void *arg, uint32_t cf_id, bh_dek **out)
{
	const substitute *s = arg;

	if (cf_id >= BOLT_ROWS_ID || cf_id == BH_CF_DEFAULT)
		return s->real->dek_for_cf(s->real->arg, cf_id, out);
	*out = bh_dek_ref(s->dek);
	return BH_OK;
}

static bh_status ignore_added(void *arg, uint32_t cf_id, bh_view name)
{
	(void)arg, (void)cf_id, (void)name;
	return BH_OK;
}

static bh_status ignore_dropped(void *arg, uint32_t cf_id)
{
	(void)arg, (void)cf_id;
	return BH_OK;
}

static void ignore_log_number(void *arg, uint32_t cf_id, uint64_t number)
{
	(void)arg, (void)cf_id, (void)number;
}

/* Reads the MANIFEST, so that `keys` knows the families by their names. */
static void learn_families(const victim *v)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, victim_find(v, "MANIFEST-", "", 0)), logical = { 0 };

	test_ok(decrypt_stream(bh_buf_view(&file), victim_scopes(v), false, &logical));
}

static bh_buf sealed_anew(const victim *v, const char *name, bh_dek *platform, bh_dek *for_acme)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name), logical = { 0 };
	uint8_t header[BH_HEADER_LEN], mark[BH_SYNC_MARK_LEN];
	substitute s = { victim_scopes(v), for_acme };
	bh_scopes scopes = { .arg = &s,
			     .dek_for_cf = substitute_for_cf,
			     .cf_added = ignore_added,
			     .cf_dropped = ignore_dropped,
			     .cf_log_number = ignore_log_number };
	bh_stream_writer *w = NULL;
	bh_file_key key = { 0 };
	bh_header was;
	bh_buf out = { 0 };
	bool needed;

	test_ok(decrypt_stream(bh_buf_view(&file), victim_scopes(v), false, &logical));
	test_ok(bh_header_parse(bh_buf_view(&file), &was));
	test_ok(bh_header_create(was.kind, 0, was.number, platform, &key, header));
	test_ok(bh_stream_writer_new(&key, header, &scopes, header, &w));
	test_ok(bh_buf_append(&out, header, BH_HEADER_LEN));
	test_ok(bh_stream_writer_append(w, bh_buf_view(&logical), &out));
	bh_stream_writer_written(w);
	test_ok(bh_stream_writer_sync_mark(w, bh_stream_writer_point(w), &needed, mark));
	memcpy(out.data + BH_SYNC_MARK_OFFSET, mark, sizeof(mark));
	bh_stream_writer_free(w);
	return out;
}

static void dek_of(const victim *v, const char *merchant, const char *cls, bh_dek **out)
{
	bh_scope scope = { 0 };

	snprintf(scope.merchant, sizeof(scope.merchant), "%s", merchant);
	snprintf(scope.cls, sizeof(scope.cls), "%s", cls);
	test_ok(bh_keyring_dek_current(bh_fs_keyring(v->keys.fs), &scope, out));
}

static const char *const deks_at_hand[][2] = { { "", "" }, { "bolt", "rows" }, { "bolt", "more" }, { "acme", "more" } };

static void test_invented(void **state)
{
	const victim *v = get(state);
	const char *names[] = { v->wal[0], v->wal[1], victim_find(v, "MANIFEST-", "", 0) };

	learn_families(v);
	for (size_t n = 0; n < 3; n++)
		for (size_t i = 0; i < sizeof(deks_at_hand) / sizeof(deks_at_hand[0]); i++) {
			BH_CLEANUP(bh_dek_unrefp) bh_dek *platform = NULL;
			BH_CLEANUP(bh_dek_unrefp) bh_dek *other = NULL;
			BH_CLEANUP(bh_buf_clear) bh_buf file = { 0 };

			dek_of(v, "", "", &platform);
			dek_of(v, deks_at_hand[i][0], deks_at_hand[i][1], &other);
			file = sealed_anew(v, names[n], platform, other);
			attack_forged_bytes(v, "a log sealed anew, acme under a key at hand", names[n], bh_buf_view(&file),
					    expect_acme_forged);
		}
}

/* ---- 29: shown to another */

/* acme's entry becomes bolt's, under acme's DEK. */
static forged shown_to_bolt(const victim *v, uint8_t sequence_bits)
{
	forged log = attack_take(v, v->wal[1]);
	size_t i = acme_row(&log, 0);
	uint8_t dek[BH_ID_LEN];

	dek_id_of(v, "acme", "rows", dek);
	row_structure(&log.frames[i])[AT_FAMILY] = BOLT_ROWS_ID;
	row_structure(&log.frames[i])[AT_SEQUENCE] ^= sequence_bits;
	forge_announce(&log.frames[i], BOLT_ROWS_ID, dek);
	return log;
}

static void expect_nothing_of_acme_at_bolts(attack *a)
{
	const report *r = &a->report;

	test_check(is_integrity(r->open) || (r->open == BH_OK && is_integrity(r->merchant[BOLT].status)));
	test_check(r->merchant[BOLT].wrong == 0 && r->merchant[ACME].wrong == 0);
	attack_end(a);
}

static void test_shown_to_another(void **state)
{
	const victim *v = get(state);

	for (uint8_t bits = 0; bits < 2; bits++) {
		BH_CLEANUP(forge_clear) forged log = shown_to_bolt(v, bits);

		attack_forged(v, "acme's entry announced for bolt", v->wal[1], &log, expect_nothing_of_acme_at_bolts);
	}
}

/* ... by the sweep, which opens and seals again, and by the tools. */
static void test_shown_by_others(void **state)
{
	const victim *v = get(state);
	BH_CLEANUP(forge_clear) forged log = shown_to_bolt(v, 0);
	BH_CLEANUP(bh_buf_clear) bh_buf file = forge_make(&log), logical = { 0 };
	char path[PATH_SIZE], command[4 * PATH_SIZE];
	bool done = true;
	attack a;

	learn_families(v);
	test_status(decrypt_stream(bh_buf_view(&file), victim_scopes(v), false, &logical), BH_E_TAG);
	test_check(logical.len == 0 || memmem(logical.data, logical.len, "victim/acme", 11) == NULL);
	path_join(path, v->keys_dir, v->wal[1]);
	file_write(path, bh_buf_view(&file));
	test_status(bh_reseal_wal(v->keys.fs, path, NULL, NULL, &done), BH_E_TAG);
	test_check(!done);

	a = attack_begin(v, "verify and dump");
	attack_put(&a, v->wal[1], bh_buf_view(&file));
	snprintf(command, sizeof(command), "%s --db %s verify >%s/verify.txt 2>&1", BH_TEST_BHCTL, a.dir, v->ws.root);
	test_check(WEXITSTATUS(system(command)) == 6);
	snprintf(command, sizeof(command), "grep -q '%s: frame .*bolt/rows' %s/verify.txt", v->wal[1], v->ws.root);
	test_check(system(command) == 0);
	snprintf(command, sizeof(command), "%s --db %s dump %s/%s >%s/dump.txt 2>&1", BH_TEST_BHCTL, a.dir, a.dir, v->wal[1],
		 v->ws.root);
	test_check(WEXITSTATUS(system(command)) == 6);
	snprintf(command, sizeof(command), "grep -q 'victim/acme' %s/dump.txt", v->ws.root);
	test_check(system(command) != 0);
	attack_end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unchanged),        cmocka_unit_test(test_wal_entries),     cmocka_unit_test(test_invented),
		cmocka_unit_test(test_shown_to_another), cmocka_unit_test(test_shown_by_others),
	};

	return cmocka_run_group_tests(tests, victim_setup, victim_teardown);
}
