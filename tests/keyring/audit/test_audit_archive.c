/* SPDX-License-Identifier: Apache-2.0
 *
 * test_audit_archive.c: the beginning of an audit log in an archive: the files prove what one file proved, each can be told from a
 * beginning that was cut off, and a kill anywhere in between loses no entry.
 */
#include "audit_fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

#include "keyring/audit/archive.h"
#include "keyring/base/crashpoint.h"

enum { FILES_MAX = 8 };

typedef struct rig {
	audit_fixture *f;
	char to[128];
	char paths[FILES_MAX][256]; /* of the archive, in order; then the log */
	const char *chain[FILES_MAX];
	size_t count;
} rig;

static void rig_begin(rig *r, audit_fixture *f)
{
	*r = (rig){ .f = f };
	text_format(r->to, sizeof(r->to), "%s/archive", f->place.root);
	assert_int_equal(mkdir(r->to, 0700), 0);
}

static int is_archived(const struct dirent *entry)
{
	return strncmp(entry->d_name, "AUDIT-", 6) == 0 && strstr(entry->d_name, ".tmp") == NULL;
}

/* Looks at what is there. */
static void rig_look(rig *r)
{
	struct dirent **names = NULL;
	int count = scandir(r->to, &names, is_archived, alphasort);

	assert_in_range(count, 0, FILES_MAX - 1);
	r->count = 0;
	for (int i = 0; i < count; i++) {
		text_format(r->paths[r->count++], sizeof(r->paths[0]), "%s/%.64s", r->to, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	text_format(r->paths[r->count++], sizeof(r->paths[0]), "%s", r->f->place.audit);
	for (size_t i = 0; i < r->count; i++)
		r->chain[i] = r->paths[i];
}

static bh_status verify(const rig *r, size_t from, size_t count, const bh_audit_position *floor, bh_audit_scan_result *out)
{
	const bh_audit_scan_options options = { .public_key = r->f->public_key, .floors = floor, .floor_count = floor != NULL };
	bh_audit_scan_result unused;

	return bh_audit_verify(r->chain + from, count, &options, out != NULL ? out : &unused);
}

/* A log of two anchors and some more, and where it was before them. */
static bh_audit_position say_all(bh_audit *audit, bh_audit_position *early)
{
	bh_audit_position end;

	assert_done(audit_say(audit, "ann"));
	bh_audit_position_get(audit, early);
	for (int i = 0; i < 2; i++) {
		audit_say_much(audit, 140);
		assert_done(audit_say(audit, "bob"));
	}
	bh_audit_position_get(audit, &end);
	return end;
}

static bh_audit_archived archive(const rig *r, bh_audit *audit)
{
	bh_audit_position known;
	bh_audit_archived made;

	bh_audit_position_get(audit, &known);
	assert_done(bh_audit_archive(audit, &r->f->dir, r->f->signer, &known, r->to, &made));
	return made;
}

static void the_files_prove_what_one_did(void **state)
{
	bh_audit_position early, known;
	bh_audit_scan_result found;
	rig r;

	rig_begin(&r, *state);
	bh_audit *audit = audit_start(r.f);
	say_all(audit, &early);
	bh_audit_archived first = archive(&r, audit);
	assert_int_equal(first.first, 1);
	assert_true(first.last > 200);
	assert_int_equal(archive(&r, audit).last, 0); /* nothing more yet */
	audit_say_much(audit, 140);
	bh_audit_archived second = archive(&r, audit);
	assert_int_equal(second.first, first.last + 1);
	assert_done(audit_say(audit, "cleo"));
	bh_audit_position_get(audit, &known);
	bh_audit_close(audit);
	rig_look(&r);
	assert_int_equal(r.count, 3);

	assert_done(verify(&r, 0, 3, &known, &found));
	assert_int_equal(found.first, 0);
	assert_int_equal(found.tree.size, known.size);
	assert_done(verify(&r, 0, 3, &early, NULL));
	/* A part of them proves itself, says what it lacks, and does not say more than it can. */
	assert_done(verify(&r, 1, 2, &known, &found));
	assert_int_equal(found.first, first.last);
	assert_done(verify(&r, 2, 1, &known, &found));
	assert_int_equal(found.first, second.last);
	assert_status(verify(&r, 2, 1, &early, NULL), BH_E_NOT_FOUND);
	assert_non_null(strstr(bh_status_message(), "archive"));
	assert_done(verify(&r, 0, 2, &early, NULL));
	/* Another history is none. */
	early.root[0] ^= 1;
	assert_status(verify(&r, 0, 3, &early, NULL), BH_E_TAG);

	/* The log goes on from there: an open needs nothing of the archive. */
	assert_done(audit_try(r.f, &known, &audit));
	audit_say_much(audit, 140);
	archive(&r, audit);
	bh_audit_close(audit);
	rig_look(&r);
	assert_int_equal(r.count, 4);
	assert_done(verify(&r, 0, 4, &known, NULL));
}

static void files_that_do_not_go_on_from_each_other_are_refused(void **state)
{
	bh_audit_position early;
	rig r;

	rig_begin(&r, *state);
	bh_audit *audit = audit_start(r.f);
	say_all(audit, &early);
	archive(&r, audit);
	audit_say_much(audit, 140);
	archive(&r, audit);
	bh_audit_close(audit);
	rig_look(&r);
	const char *first = r.chain[0], *second = r.chain[1], *log = r.chain[2];
	const char *const wrong[][3] = { { second, first, log },
					 { first, log, second },
					 { first, first, log },
					 { first, second, second },
					 { log, first, second } };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		memcpy(r.chain, wrong[i], sizeof(wrong[i]));
		bh_status status = verify(&r, 0, 3, NULL, NULL);
		if (!audit_is_damage(status))
			fail_msg("case %zu: %s", i, bh_status_name(status));
	}
	/* One is missing in the middle. */
	r.chain[0] = first;
	r.chain[1] = log;
	assert_status(verify(&r, 0, 2, NULL, NULL), BH_E_TAG);
	/* Every byte counts, in the archive as in the log. */
	r.chain[1] = second;
	r.chain[2] = log;
	assert_done(verify(&r, 0, 3, NULL, NULL));
	bh_buf bytes = file_load(second);
	for (size_t at = 1; at < bytes.len; at += bytes.len / 40) {
		bytes.data[at] ^= 1;
		file_store(second, bh_buf_view(&bytes));
		if (!audit_is_damage(verify(&r, 0, 3, NULL, NULL)))
			fail_msg("byte %zu", at);
		bytes.data[at] ^= 1;
	}
	bh_buf_clear(&bytes);
}

/* Who cuts the log at an anchor himself has no entry that says so, and cannot make one. */
static void a_beginning_that_was_cut_off_is_no_archive(void **state)
{
	static const char begin[] = "\n" BH_AUDIT_ANCHOR_BEGIN;
	bh_audit_position early;
	bh_audit_scan_result found;
	rig r;

	rig_begin(&r, *state);
	bh_audit *audit = audit_start(r.f);
	say_all(audit, &early);
	archive(&r, audit);
	audit_say_much(audit, 140);
	assert_done(audit_say(audit, "cleo"));
	bh_audit_close(audit);
	rig_look(&r);
	assert_done(verify(&r, 1, 1, NULL, &found));
	bh_buf bytes = file_load(r.chain[1]);
	const uint8_t *hit =
		memmem(bytes.data, bytes.len, begin, sizeof(begin) - 1); /* not the first line, which has none before */
	assert_non_null(hit);
	file_store(r.chain[1], bh_view_of(hit + 1, bytes.len - (size_t)(hit + 1 - bytes.data)));
	assert_status(verify(&r, 1, 1, NULL, NULL), BH_E_TAG);
	assert_non_null(strstr(bh_status_message(), "cut off"));
	assert_status(verify(&r, 0, 2, NULL, NULL), BH_E_TAG);
	bh_buf_clear(&bytes);
}

static void what_cannot_be_archived_stays(void **state)
{
	bh_audit_position early, known;
	bh_audit_archived made;
	char path[256];
	rig r;

	rig_begin(&r, *state);
	bh_audit *audit = audit_start(r.f);
	known = say_all(audit, &early);
	bh_buf before = file_load(r.f->place.audit);
	text_format(path, sizeof(path), "%s/nowhere", r.f->place.root);
	assert_status(bh_audit_archive(audit, &r.f->dir, r.f->signer, &known, path, &made), BH_E_NOT_FOUND);
	assert_status(bh_audit_archive(audit, &r.f->dir, r.f->signer, &known, r.f->place.db, &made), BH_E_INVALID);
	text_format(path, sizeof(path), "%s/within", r.f->place.db);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_status(bh_audit_archive(audit, &r.f->dir, r.f->signer, &known, path, &made), BH_E_INVALID);
	assert_file_is(r.f->place.audit, bh_buf_view(&before));
	made = archive(&r, audit);
	bh_audit_close(audit);
	/* Another log's, under that name. */
	file_store(r.f->place.audit, bh_buf_view(&before));
	text_format(path, sizeof(path), "%s/%s", r.to, made.name);
	file_store(path, bh_view_of(before.data, before.len / 2));
	assert_done(audit_try(r.f, &known, &audit));
	bh_status status = bh_audit_archive(audit, &r.f->dir, r.f->signer, &known, r.to, &made);
	assert_true(status == BH_E_EXISTS || audit_is_damage(status));
	assert_file_is(r.f->place.audit, bh_buf_view(&before));
	bh_audit_close(audit);
	bh_buf_clear(&before);
}

static void archive_in_child(const rig *r, const char *point)
{
	bh_audit_position known;
	bh_audit_archived made;
	bh_audit *audit = NULL;
	bh_signer *signer = audit_signer_make();
	const bh_audit_options options = { .actor = "tester" };
	const bh_audit_position nothing = { 0 };

	bh_crash_arm(point);
	if (signer == NULL || bh_audit_open(&r->f->dir, signer, &options, &nothing, 1, &audit) != BH_OK)
		_exit(1);
	bh_audit_position_get(audit, &known);
	(void)!bh_audit_archive(audit, &r->f->dir, signer, &known, r->to, &made);
	_exit(2);
}

static void a_kill_anywhere_loses_no_entry(void **state)
{
	static const char *const points[] = { "audit.archive.copied", "audit.archive.stored", "audit.append.written",
					      "audit.append.synced",  "audit.archive.told",   "audit.cut.tmp-synced",
					      "audit.cut.renamed" };
	audit_fixture *f = *state;
	bh_audit_position early, known;
	bh_audit_scan_result found;
	rig r;

	rig_begin(&r, f);
	bh_audit *audit = audit_start(f);
	known = say_all(audit, &early);
	bh_audit_close(audit);
	bh_buf before = file_load(f->place.audit);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		int status = 0;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0)
			archive_in_child(&r, points[i]);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFSIGNALED(status))
			fail_msg("%s: the child was not killed: %d", points[i], WEXITSTATUS(status));
		/* The log is whole, by itself or with the archive. */
		rig_look(&r);
		bh_status alone = verify(&r, r.count - 1, 1, &known, &found);
		if (alone != BH_OK)
			fail_msg("%s: %s", points[i], bh_status_message());
		assert_done(found.first > 0 ? verify(&r, 0, r.count, &early, NULL) : verify(&r, r.count - 1, 1, &early, NULL));
		/* ... goes on, and the next call ends what was begun. */
		assert_done(audit_try(f, &known, &audit));
		assert_done(audit_say(audit, "dora"));
		archive(&r, audit);
		bh_audit_close(audit);
		rig_look(&r);
		assert_int_equal(r.count, 2);
		assert_done(verify(&r, 0, 2, &early, &found));
		assert_true(found.tree.size > known.size);
		assert_int_equal(unlink(r.paths[0]), 0);
		file_store(f->place.audit, bh_buf_view(&before));
	}
	bh_buf_clear(&before);
}

static atomic_bool enough;

static void *talk(void *arg)
{
	bh_audit *audit = arg;
	uintptr_t said = 0;

	while (!atomic_load(&enough))
		if (audit_say(audit, "bob") == BH_OK)
			said++;
	return (void *)said;
}

/* `archive` takes its floor itself; the entries come from another thread meanwhile. */
static void others_write_meanwhile(void **state)
{
	bh_audit_position early, known;
	bh_audit_scan_result found;
	pthread_t thread;
	void *said = NULL;
	rig r;

	rig_begin(&r, *state);
	bh_audit *audit = audit_start(r.f);
	known = say_all(audit, &early);
	atomic_store(&enough, false);
	assert_int_equal(pthread_create(&thread, NULL, talk, audit), 0);
	for (int i = 0; i < 4; i++) {
		archive(&r, audit);
		audit_say_much(audit, 140);
	}
	atomic_store(&enough, true);
	assert_int_equal(pthread_join(thread, &said), 0);
	bh_audit_close(audit);
	rig_look(&r);
	assert_done(verify(&r, 0, r.count, &known, &found));
	assert_true(found.tree.size >= known.size + 4 * 140 + (uintptr_t)said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_files_prove_what_one_did, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(files_that_do_not_go_on_from_each_other_are_refused, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(a_beginning_that_was_cut_off_is_no_archive, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_archived_stays, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(a_kill_anywhere_loses_no_entry, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(others_write_meanwhile, audit_setup, audit_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
