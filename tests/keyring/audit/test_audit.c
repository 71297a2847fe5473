/* SPDX-License-Identifier: Apache-2.0
 *
 * test_audit.c: the live audit log: what a line is, batches, appends that fail at each call, what must happen although it cannot be
 * logged, many threads, a fork, kills, what is refused in the file's place.
 */
#include "audit_fixture.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>

#include "keyring/base/crashpoint.h"

/* The next call of one kind fails; after `left` that do not. */
static struct {
	enum { FAULT_NONE, FAULT_WRITE, FAULT_SYNC, FAULT_TRUNCATE } kind;
	int error;
	bool for_good;
} fault;

static bool fault_now(int kind)
{
	if ((int)fault.kind != kind)
		return false;
	if (!fault.for_good)
		fault.kind = FAULT_NONE;
	errno = fault.error;
	return true;
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	if (!fault_now(FAULT_WRITE))
		return __real_write(fd, p, n);
	/* The disk is full in the middle of it. */
	if (fault.error == ENOSPC && __real_write(fd, p, n / 2) < 0)
		abort();
	errno = fault.error;
	return -1;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	return fault_now(FAULT_SYNC) ? -1 : __real_fdatasync(fd);
}

int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len)
{
	return fault_now(FAULT_TRUNCATE) ? -1 : __real_ftruncate(fd, len);
}

static int setup(void **state)
{
	fault.kind = FAULT_NONE;
	return audit_setup(state);
}

/* Lines */

static json_t *line_parse(const audit_fixture *f, size_t idx)
{
	bh_buf file = file_load(f->place.audit);
	const char *p = (const char *)file.data;

	for (; idx > 0; idx--)
		p = (const char *)memchr(p, '\n', file.len) + 1;
	json_t *line = json_loads(p, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, NULL);
	assert_non_null(line);
	bh_buf_clear(&file);
	return line;
}

static void member_is(const json_t *line, const char *name, const char *want)
{
	const char *text = json_string_value(json_object_get(line, name));

	if (text == NULL || strcmp(text, want) != 0)
		fail_msg("%s is %s, not %s", name, text != NULL ? text : "absent", want);
}

static void an_entry_says_all_it_was_told(void **state)
{
	const audit_fixture *f = *state;
	uint8_t ids[2 * BH_ID_LEN];
	bh_audit *audit = audit_start(f);

	memset(ids, 0xab, sizeof(ids));
	const bh_audit_event event = { .action = "a.b",
				       .merchant = "ann",
				       .region = "eu",
				       .cls = "rows",
				       .dek_id = ids,
				       .dek_ids = ids,
				       .dek_count = 2,
				       .cmk_uri = "local:/k#\"x\\",
				       .cmk_version = 7,
				       .kms_request_id = "r-1",
				       .outcome = BH_E_KMS_REFUSED,
				       .detail = "tab\there, \xc3\xbc, and \xff no text" };
	assert_done(bh_audit_append(audit, &event));
	bh_audit_close(audit);
	json_t *line = line_parse(f, 0);
	assert_int_equal(json_integer_value(json_object_get(line, "seq")), 1);
	member_is(line, "prev", "0000000000000000000000000000000000000000000000000000000000000000");
	member_is(line, "actor", "tester");
	assert_int_equal(json_integer_value(json_object_get(line, "pid")), getpid());
	member_is(line, "action", "a.b");
	member_is(line, "merchant", "ann");
	member_is(line, "region", "eu");
	member_is(line, "class", "rows");
	member_is(line, "dek", "abababababababababababababababab");
	assert_int_equal(json_array_size(json_object_get(line, "deks")), 2);
	member_is(line, "cmk", "local:/k#\"x\\");
	assert_int_equal(json_integer_value(json_object_get(line, "cmk_version")), 7);
	member_is(line, "kms_request", "r-1");
	member_is(line, "outcome", "kms-refused");
	member_is(line, "detail", "tab\there, \xc3\xbc, and ? no text");
	json_decref(line);
	line = line_parse(f, 1);
	assert_int_equal(json_integer_value(json_object_get(line, "checkpoint")), 1);
	json_decref(line);
}

static void texts_are_cut_and_too_many_ids_refused(void **state)
{
	const audit_fixture *f = *state;
	bh_buf text = { 0 };
	bh_audit *audit = audit_start(f);

	while (text.len < 5000)
		assert_done(bh_buf_append(&text, "\xc3\xbc\x01", 3));
	assert_done(bh_buf_append_u8(&text, 0));
	const bh_audit_event event = { .action = "a.b", .detail = (const char *)text.data };
	assert_done(bh_audit_append(audit, &event));
	const bh_audit_event many = { .action = "a.b", .dek_ids = text.data, .dek_count = BH_AUDIT_DEKS_MAX + 1 };
	assert_status(bh_audit_append(audit, &many), BH_E_INVALID);
	bh_audit_close(audit);
	json_t *line = line_parse(f, 0);
	size_t len = json_string_length(json_object_get(line, "detail"));
	assert_true(len <= BH_AUDIT_TEXT_MAX && len > BH_AUDIT_TEXT_MAX - 4);
	json_decref(line);
	bh_buf_clear(&text);
}

static void floors_are_written_and_read(void **state)
{
	bh_audit_position position = { .size = 1234 }, again;
	char text[BH_AUDIT_FLOOR_SIZE];

	(void)state;
	memset(position.root, 0x5a, sizeof(position.root));
	bh_audit_floor_format(&position, text);
	assert_done(bh_audit_floor_parse(text, &again));
	assert_memory_equal(&again, &position, sizeof(position));
	static const char *const wrong[] = { "", "1", "1:", ":5a", "0:5a", "-1:5a", "1:5a", " 1:5a", "x" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_status(bh_audit_floor_parse(wrong[i], &again), BH_E_INVALID);
}

static void times_are_written_and_read(void **state)
{
	static const char *const wrong[] = { "",
					     "2026-01-31T12:00:00Z",
					     "2026-02-30T12:00:00.000Z",
					     "2026-01-31T24:00:00.000Z",
					     "2026-01-31T12:00:00.000z",
					     "2026-01-31 12:00:00.000Z",
					     "2026-01-31T12:00:00.000Z " };
	static const int64_t times[] = { 0, 1, 999, 1769860800123, 253402300799999 };
	char text[BH_AUDIT_TIME_SIZE];
	int64_t at_ms;

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		bh_audit_time_format(times[i], text);
		assert_done(bh_audit_time_parse(bh_view_str(text), &at_ms));
		assert_true(at_ms == times[i]);
	}
	bh_audit_time_format(1769860800123, text);
	assert_string_equal(text, "2026-01-31T12:00:00.123Z");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_status(bh_audit_time_parse(bh_view_str(wrong[i]), &at_ms), BH_E_FORMAT);
}

/* Faults */

/* A failing append leaves the log as it was, and the next one goes on from there. */
static void a_failing_append_is_taken_back(void **state)
{
	static const struct {
		int kind, error;
	} cases[] = { { FAULT_WRITE, ENOSPC }, { FAULT_WRITE, EIO }, { FAULT_SYNC, EIO }, { FAULT_SYNC, ENOSPC } };
	const audit_fixture *f = *state;
	bh_audit_scan_result found;
	bh_audit *audit = audit_start(f);

	assert_done(audit_say(audit, "ann"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bh_buf before = file_load(f->place.audit);
		fault.kind = cases[i].kind;
		fault.error = cases[i].error;
		assert_status(audit_say(audit, "bob"), cases[i].error == ENOSPC ? BH_E_FULL : BH_E_IO);
		assert_non_null(strstr(bh_status_message(), "audit log"));
		assert_file_is(f->place.audit, bh_buf_view(&before));
		assert_done(audit_say(audit, "cleo"));
		assert_done(audit_check(f, NULL, &found));
		assert_int_equal(found.tree.size, i + 2);
		bh_buf_clear(&before);
	}
	bh_audit_close(audit);
}

/* Where not even that is possible, the handle does nothing more, and the next open finds out. */
static void a_log_in_doubt_is_left_alone(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_scan_result found;
	bh_audit *audit = audit_start(f);

	assert_done(audit_say(audit, "ann"));
	fault.kind = FAULT_SYNC;
	fault.error = EIO;
	fault.for_good = true;
	assert_status(audit_say(audit, "bob"), BH_E_IO);
	fault.kind = FAULT_NONE;
	fault.for_good = false;
	assert_status(audit_say(audit, "cleo"), BH_E_IO);
	assert_non_null(strstr(bh_status_message(), "open it again"));
	bh_audit_close(audit);
	audit = audit_start(f);
	assert_done(audit_say(audit, "dora"));
	bh_audit_close(audit);
	assert_done(audit_check(f, NULL, &found));
}

static void what_could_not_be_logged_is_told_later(void **state)
{
	const audit_fixture *f = *state;
	const bh_audit_event wiped = { .action = BH_AUDIT_KEYS_WIPED, .merchant = "ann" };
	bh_audit *audit = audit_start(f);

	(void)bh_fail(BH_E_BUSY, "the message of before");
	fault.error = ENOSPC;
	for (int i = 0; i < 2; i++) {
		fault.kind = FAULT_WRITE;
		bh_audit_note(audit, &wiped);
	}
	assert_string_equal(bh_status_message(), "the message of before");
	assert_int_equal(audit_count(f, BH_AUDIT_LOG_GAP), 0);
	assert_done(audit_say(audit, "bob"));
	assert_done(audit_say(audit, "cleo"));
	bh_audit_close(audit);
	json_t *gap = line_parse(f, 0);
	member_is(gap, "action", BH_AUDIT_LOG_GAP);
	assert_non_null(strstr(json_string_value(json_object_get(gap, "detail")), "2 events"));
	json_decref(gap);
	assert_int_equal(audit_count(f, BH_AUDIT_LOG_GAP), 1);
}

/* Threads, forks, kills */

static void *say_often(void *audit)
{
	for (int i = 0; i < 25; i++)
		if (audit_say(audit, "ann") != BH_OK)
			abort();
	return NULL;
}

static void many_threads_make_one_chain(void **state)
{
	const audit_fixture *f = *state;
	bh_audit_scan_result found;
	pthread_t threads[4];
	bh_audit *audit = audit_start(f);

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, say_often, audit), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	bh_audit_close(audit);
	assert_done(audit_check(f, NULL, &found));
	assert_int_equal(found.tree.size, 100);
	assert_int_equal(found.checkpoints, 100);
}

static void a_forked_child_appends_nothing(void **state)
{
	const audit_fixture *f = *state;
	bh_audit *audit = audit_start(f);

	assert_done(audit_say(audit, "ann"));
	bh_buf before = file_load(f->place.audit);
	pid_t child = fork();
	if (child == 0)
		_exit(audit_say(audit, "bob") == BH_E_INVALID ? 0 : 1);
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_file_is(f->place.audit, bh_buf_view(&before));
	bh_audit_close(audit);
	bh_buf_clear(&before);
}

static void a_kill_at_each_point_leaves_a_log_that_opens(void **state)
{
	static const struct {
		const char *point;
		bool torn;      /* what the child finds has half an append at its end */
		uint64_t after; /* entries after the next open */
	} cases[] = { { "audit.append.written", false, 2 },
		      { "audit.append.synced", false, 2 },
		      { "audit.open.tail-cut", true, 1 } };
	audit_fixture *f = *state;
	bh_audit_scan_result found;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unlink(f->place.audit);
		bh_audit *audit = audit_start(f);
		assert_done(audit_say(audit, "ann"));
		bh_audit_close(audit);
		if (cases[i].torn) {
			bh_buf file = file_load(f->place.audit);
			assert_done(bh_buf_append(&file, "{\"seq\":2,", 9));
			file_store(f->place.audit, bh_buf_view(&file));
			bh_buf_clear(&file);
		}
		pid_t child = fork();
		if (child == 0) {
			f->signer = audit_signer_make();
			bh_crash_arm(cases[i].point);
			if (audit_try(f, NULL, &audit) == BH_OK && audit_say(audit, "bob") == BH_OK)
				_exit(0);
			_exit(1);
		}
		int status = 0;
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			fail_msg("%s: the child ended with %d", cases[i].point, WEXITSTATUS(status));
		bh_audit_close(audit_start(f));
		assert_done(audit_check(f, NULL, &found));
		assert_int_equal(found.tree.size, cases[i].after);
	}
}

/* In the file's place */

static void anything_else_in_its_place_is_refused(void **state)
{
	const audit_fixture *f = *state;
	bh_audit *audit = NULL;
	char aside[192];

	audit_small(f);
	text_format(aside, sizeof(aside), "%s/aside", f->place.root);
	assert_int_equal(rename(f->place.audit, aside), 0);
	assert_int_equal(symlink(aside, f->place.audit), 0);
	assert_status(audit_try(f, NULL, &audit), BH_E_FORMAT);
	assert_int_equal(unlink(f->place.audit), 0);
	assert_int_equal(mkdir(f->place.audit, 0700), 0);
	assert_status(audit_try(f, NULL, &audit), BH_E_FORMAT);
	assert_int_equal(rmdir(f->place.audit), 0);
	assert_int_equal(mkfifo(f->place.audit, 0600), 0);
	assert_status(audit_try(f, NULL, &audit), BH_E_FORMAT);
	assert_int_equal(unlink(f->place.audit), 0);
	assert_int_equal(rename(aside, f->place.audit), 0);
	assert_done(audit_try(f, NULL, &audit));
	bh_audit_close(audit);
}

static void a_log_given_up_is_kept_and_said(void **state)
{
	static const bh_audit_options options = { .restart = true };
	const audit_fixture *f = *state;
	bh_audit_position known = audit_small(f);
	bh_audit_scan_result found;
	bh_audit *audit = NULL;

	file_store(f->place.audit, bh_view_str("not a log\n"));
	assert_status(audit_try(f, &known, &audit), BH_E_FORMAT);
	assert_done(bh_audit_open(&f->dir, f->signer, &options, &known, 1, &audit));
	bh_audit_close(audit);
	assert_done(audit_check(f, NULL, &found));
	json_t *line = line_parse(f, 0);
	member_is(line, "action", BH_AUDIT_LOG_RESTARTED);
	const char *kept = strstr(json_string_value(json_object_get(line, "detail")), "AUDIT.");
	assert_non_null(kept);
	char path[256];
	text_format(path, sizeof(path), "%s/%s", f->place.db, kept);
	assert_file_is(path, bh_view_str("not a log\n"));
	json_decref(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_entry_says_all_it_was_told, setup, audit_teardown),
		cmocka_unit_test_setup_teardown(texts_are_cut_and_too_many_ids_refused, setup, audit_teardown),
		cmocka_unit_test(floors_are_written_and_read),
		cmocka_unit_test(times_are_written_and_read),
		cmocka_unit_test_setup_teardown(a_failing_append_is_taken_back, setup, audit_teardown),
		cmocka_unit_test_setup_teardown(a_log_in_doubt_is_left_alone, setup, audit_teardown),
		cmocka_unit_test_setup_teardown(what_could_not_be_logged_is_told_later, setup, audit_teardown),
		cmocka_unit_test_setup_teardown(many_threads_make_one_chain, setup, audit_teardown),
		cmocka_unit_test_setup_teardown(a_forked_child_appends_nothing, setup, audit_teardown),
		cmocka_unit_test_setup_teardown(a_kill_at_each_point_leaves_a_log_that_opens, setup, audit_teardown),
		cmocka_unit_test_setup_teardown(anything_else_in_its_place_is_refused, setup, audit_teardown),
		cmocka_unit_test_setup_teardown(a_log_given_up_is_kept_and_said, setup, audit_teardown),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
