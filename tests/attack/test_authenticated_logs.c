/* SPDX-License-Identifier: Apache-2.0
 *
 * test_authenticated_logs.c: authenticated, the logs. Up to its last synced point a WAL or MANIFEST is all there, or the open is
 * refused. Behind it a WAL may end anywhere, and then the database holds exactly the writes before that point, over all of its
 * logs, without a hole.
 *
 * What who has no key can do to a log: cut it, damage it, move, double and drop frames, bring frames from other logs. What who has
 * the platform's key can do is in test_forged_logs.c.
 *
 * The sync mark is rewritten in place after each sync and not synced itself. A power cut may leave an older one: then damage
 * between the old mark and the new one counts as damage behind the synced point. So may somebody who puts the older mark back; that
 * is a rollback, which needs a witness outside of the disk.
 *
 * Not covered: a log says where it ends, not what came before it. An older log of which the end was never synced (its process was
 * killed between beginning the next log and syncing this one), cut exactly between two frames, ends well; and then the newer log's
 * rows follow a hole. The same holds for a log file that is removed as a whole.
 */
#include "attack.h"

static victim *get(void **state)
{
	return *state;
}

static void cut(const victim *v, const char *name, size_t len, size_t zeros, attack_expect refused, unsigned rows)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name);
	char what[256];
	attack a;

	snprintf(what, sizeof(what), "%s of %zu bytes cut to %zu, then %zu zeros", name, file.len, len, zeros);
	file.len = len;
	test_ok(bh_buf_reserve(&file, zeros));
	memset(file.data + len, 0, zeros);
	file.len += zeros;
	a = attack_begin(v, what);
	attack_put(&a, name, bh_buf_view(&file));
	attack_open(&a);
	if (refused != NULL)
		refused(&a);
	else
		attack_expect_prefix(&a, rows, rows);
}

static frames frames_of(const victim *v, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name);
	frames f;

	frames_find(v, bh_buf_view(&file), &f);
	return f;
}

static void test_victim_is_as_the_tests_assume(void **state)
{
	const victim *v = get(state);
	frames old = frames_of(v, v->wal[0]), new = frames_of(v, v->wal[1]),
	       manifest = frames_of(v, victim_find(v, "MANIFEST-", "", 0));

	test_check(old.synced == old.count && old.count > OLD_LOG_ROWS);
	test_check(new.synced == NEW_LOG_SYNCED &&new.count == NEW_LOG_SYNCED + NEW_LOG_LOOSE);
	test_check(manifest.synced == manifest.count && manifest.count > 8);
}

/* ---- 6: cut */

static void cut_everywhere(const victim *v, const char *name, unsigned rows_at_mark)
{
	frames f = frames_of(v, name);

	cut(v, name, 0, 0, attack_expect_refused, 0);
	cut(v, name, BH_HEADER_LEN - 1, 0, attack_expect_refused, 0);
	for (size_t i = 0; i <= f.count; i++)
		for (size_t at = f.off[i] - (i > 0); at <= f.off[i] + 1 && at < f.off[f.count]; at++) {
			size_t whole = at < f.off[i] ? i - 1 : i;
			bool synced_all = at >= f.mark_off;

			if (attack_is_due())
				cut(v, name, at, 0, synced_all ? NULL : attack_expect_refused,
				    rows_at_mark + (unsigned)(whole - f.synced));
		}
}

static void test_logs_cut(void **state)
{
	const victim *v = get(state);

	cut_everywhere(v, v->wal[0], 0);
	cut_everywhere(v, v->wal[1], LOG_SYNCED);
}

static void test_manifest_cut(void **state)
{
	cut_everywhere(get(state), victim_find(get(state), "MANIFEST-", "", 0), 0);
}

/* A size that reached the disk before its data. */
static void test_logs_end_in_zeros(void **state)
{
	const victim *v = get(state);
	frames f = frames_of(v, v->wal[1]);

	cut(v, v->wal[1], f.off[f.count], 5000, NULL, LOG_ROWS);
	cut(v, v->wal[1], f.off[f.synced + 3], 40000, NULL, LOG_SYNCED + 3);
	cut(v, v->wal[1], f.off[f.synced + 3] + 20, 70, NULL, LOG_SYNCED + 3);
	cut(v, v->wal[1], f.mark_off, 1, NULL, LOG_SYNCED);
	cut(v, v->wal[1], f.mark_off - 1, 1, attack_expect_refused, 0);
	cut(v, v->wal[1], f.off[2], f.off[f.count] - f.off[2], attack_expect_refused, 0);
}

/* ---- 6 and 1: damage to each frame, at its length, in its middle and at its end */

static void damage(const victim *v, const char *name, size_t at, uint8_t bit, attack_expect refused, unsigned rows)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name);
	char what[256];
	attack a;

	snprintf(what, sizeof(what), "%s: byte %zu ^ %u", name, at, bit);
	file.data[at] ^= bit;
	a = attack_begin(v, what);
	attack_put(&a, name, bh_buf_view(&file));
	attack_open(&a);
	if (refused != NULL)
		refused(&a);
	else
		attack_expect_prefix(&a, rows, rows);
}

static void damage_everywhere(const victim *v, const char *name, unsigned rows_at_mark)
{
	frames f = frames_of(v, name);

	for (size_t i = 0; i < f.count; i++) {
		const struct {
			size_t at;
			uint8_t bit;
		} spots[] = {
			{ f.off[i], 1 },         { f.off[i] + 1, 0x80 },
			{ f.off[i] + 3, 0x40 },  { (f.off[i] + f.off[i + 1]) / 2, 4 },
			{ f.off[i + 1] - 1, 1 },
		};

		for (size_t n = 0; n < sizeof(spots) / sizeof(spots[0]); n++)
			if (attack_is_due())
				damage(v, name, spots[n].at, spots[n].bit, i < f.synced ? attack_expect_refused : NULL,
				       rows_at_mark + (unsigned)(i - f.synced));
	}
}

static void test_logs_damaged(void **state)
{
	const victim *v = get(state);

	damage_everywhere(v, v->wal[0], 0);
	damage_everywhere(v, v->wal[1], LOG_SYNCED);
}

static void test_manifest_damaged(void **state)
{
	damage_everywhere(get(state), victim_find(get(state), "MANIFEST-", "", 0), 0);
}

/* ---- the older of two logs, as a power cut may leave it: whole, but with an older sync mark */

static void set_mark(const victim *v, bh_buf *file, const frames *f, size_t synced)
{
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	const bh_sync_mark mark = { .seq = 1000, .point = { .frames = synced, .physical = f->off[synced] } };

	test_ok(bh_header_open(bh_view_of(file->data, BH_HEADER_LEN), victim_scopes(v), &key));
	test_ok(bh_sync_mark_seal(key.aead, &mark, file->data + BH_SYNC_MARK_OFFSET));
}

/* What the newer log holds does not follow what is left of the older one: none of it may be there. If a class was flushed meanwhile
 * (its SST is ahead of the logs), RocksDB refuses instead. */
static void with_older_log(const victim *v, const char *what, const bh_buf *log, const bh_buf *manifest, unsigned rows)
{
	attack a = attack_begin(v, what);

	attack_put(&a, v->wal[0], bh_buf_view(log));
	attack_open(&a);
	attack_expect_refused(&a);

	a = attack_begin(v, what);
	attack_put(&a, v->wal[0], bh_buf_view(log));
	attack_put(&a, victim_find(v, "MANIFEST-", "", 0), bh_buf_view(manifest));
	attack_relist(&a, victim_find(v, "MANIFEST-", "", 0), manifest->len);
	attack_relist(&a, v->wal[0], BH_HEADER_LEN);
	attack_open(&a);
	attack_expect_prefix(&a, rows, rows);
}

static void test_no_hole_between_logs(void **state)
{
	const victim *v = get(state);
	BH_CLEANUP(bh_buf_clear) bh_buf manifest = victim_read_earlier_manifest(v);
	frames f = frames_of(v, v->wal[0]);

	for (size_t i = 4; i < OLD_LOG_ROWS; i += 3) {
		BH_CLEANUP(bh_buf_clear) bh_buf torn = victim_read(v, v->wal[0]), damaged = victim_read(v, v->wal[0]);

		set_mark(v, &torn, &f, 4);
		torn.len = f.off[i] + 30;
		with_older_log(v, "the older log torn behind its mark", &torn, &manifest, (unsigned)i);
		set_mark(v, &damaged, &f, 4);
		damaged.data[f.off[i] + 30] ^= 1;
		with_older_log(v, "the older log damaged behind its mark", &damaged, &manifest, (unsigned)i);
	}
}

/* ---- 3: frames moved */

static void append(bh_buf *out, const bh_buf *file, const frames *f, size_t from, size_t to)
{
	test_ok(bh_buf_append(out, file->data + f->off[from], f->off[to] - f->off[from]));
}

static void build(const victim *v, const char *what, const char *name, const bh_buf *file, bh_buf *built, attack_expect refused,
		  unsigned rows)
{
	attack a = attack_begin(v, what);

	memcpy(built->data, file->data, BH_HEADER_LEN);
	attack_put(&a, name, bh_buf_view(built));
	attack_open(&a);
	if (refused != NULL)
		refused(&a);
	else
		attack_expect_prefix(&a, rows, rows);
	bh_buf_clear(built);
}

static bh_buf begin_build(const bh_buf *file, const frames *f, size_t frames_kept)
{
	bh_buf built = { 0 };

	test_ok(bh_buf_append(&built, file->data, f->off[frames_kept]));
	return built;
}

/* Frame i swapped with the next, twice, or left out. */
static void frames_moved(const victim *v, const char *name, size_t i, attack_expect refused, unsigned rows)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name);
	frames f = frames_of(v, name);
	bh_buf built = begin_build(&file, &f, i);

	append(&built, &file, &f, i + 1, i + 2);
	append(&built, &file, &f, i, i + 1);
	append(&built, &file, &f, i + 2, f.count);
	build(v, "two frames swapped", name, &file, &built, refused, rows);
	built = begin_build(&file, &f, i + 1);
	append(&built, &file, &f, i, f.count);
	build(v, "a frame twice", name, &file, &built, refused, rows + 1);
	built = begin_build(&file, &f, i);
	append(&built, &file, &f, i + 1, f.count);
	build(v, "a frame left out", name, &file, &built, refused, rows);
}

/* Frame i out of another log in the place of its own. */
static void frame_spliced(const victim *v, const char *name, const bh_buf *donor, size_t i, attack_expect refused, unsigned rows)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name);
	frames f = frames_of(v, name);
	const bh_file_kind kind = strstr(name, "MANIFEST") != NULL ? BH_KIND_MANIFEST : BH_KIND_WAL;
	size_t at = BH_HEADER_LEN;
	bh_buf built = begin_build(&file, &f, i);

	for (size_t n = 0; n < i; n++)
		at += frame_size_at(kind, bh_buf_view(donor), at);
	test_ok(bh_buf_append(&built, donor->data + at, frame_size_at(kind, bh_buf_view(donor), at)));
	append(&built, &file, &f, i + 1, f.count);
	build(v, "a frame of another log", name, &file, &built, refused, rows);
}

static void test_frames_moved_and_spliced(void **state)
{
	const victim *v = get(state);
	const char *manifest = victim_find(v, "MANIFEST-", "", 0);
	BH_CLEANUP(bh_buf_clear) bh_buf old = victim_read(v, v->wal[0]), new = victim_read(v, v->wal[1]);
	BH_CLEANUP(bh_buf_clear) bh_buf twin = victim_read_twin(v, v->wal[1]), twin_manifest = victim_read_twin(v, manifest);

	for (size_t i = 0; i < 4; i++) {
		frames_moved(v, v->wal[0], i, attack_expect_refused, 0);
		frames_moved(v, v->wal[1], i, attack_expect_refused, 0);
		frames_moved(v, manifest, i, attack_expect_refused, 0);
		frames_moved(v, v->wal[1], NEW_LOG_SYNCED + i, NULL, LOG_SYNCED + (unsigned)i);
		frame_spliced(v, v->wal[0], &new, i, attack_expect_refused, 0);
		frame_spliced(v, v->wal[1], &old, i, attack_expect_refused, 0);
		frame_spliced(v, v->wal[1], &twin, i, attack_expect_refused, 0);
		frame_spliced(v, manifest, &twin_manifest, i, attack_expect_refused, 0);
		frame_spliced(v, v->wal[1], &old, NEW_LOG_SYNCED + i, NULL, LOG_SYNCED + (unsigned)i);
		frame_spliced(v, v->wal[1], &twin, NEW_LOG_SYNCED + i, NULL, LOG_SYNCED + (unsigned)i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_victim_is_as_the_tests_assume),
		cmocka_unit_test(test_logs_cut),
		cmocka_unit_test(test_manifest_cut),
		cmocka_unit_test(test_logs_end_in_zeros),
		cmocka_unit_test(test_logs_damaged),
		cmocka_unit_test(test_manifest_damaged),
		cmocka_unit_test(test_no_hole_between_logs),
		cmocka_unit_test(test_frames_moved_and_spliced),
	};

	return cmocka_run_group_tests(tests, victim_setup, victim_teardown);
}
