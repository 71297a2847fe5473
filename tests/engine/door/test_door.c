/* SPDX-License-Identifier: Apache-2.0
 *
 * test_door.c: the door of an open database: what comes through it is done as by the service itself, and logged under the name of
 * who asked; what is no request is refused; nobody who stands in it holds up the service, or its end.
 */
#include "tests/support/support.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/door/door.h"
#include "engine/door/wire.h"

static const char *const merchants[] = { "acme", "beta", NULL };
static const char *const classes[] = { "data" };

typedef struct stage {
	workspace ws;
	bh_db *db;
	char said[4096]; /* what the database reported */
} stage;

static void keep_line(void *arg, const char *line)
{
	stage *s = arg;
	const size_t len = strlen(s->said);

	snprintf(s->said + len, sizeof(s->said) - len, "%s\n", line);
}

static void stage_open(stage *s, const bh_db_options *options)
{
	bh_db_options o = options != NULL ? *options : (bh_db_options){ 0 };

	o.log = keep_line;
	o.log_arg = s;
	OK(bh_db_open(s->ws.db, &o, &s->db));
}

static void stage_begin(stage *s)
{
	*s = (stage){ 0 };
	workspace_open(&s->ws);
	workspace_create(&s->ws, NULL, merchants);
	stage_open(s, NULL);
	for (size_t i = 0; merchants[i] != NULL; i++)
		workspace_add(&s->ws, s->db, merchants[i], classes, 1);
}

static void stage_end(stage *s)
{
	bh_db_close(s->db);
	workspace_close(&s->ws);
}

static void put(stage *s, const char *merchant, const char *key)
{
	bh_cf *cf = NULL;

	OK(bh_cf_open(s->db, merchant, "data", &cf));
	OK(bh_put(cf, &(bh_write_options){ .sync = true }, bh_view_str(key), bh_view_str("value")));
	bh_cf_close(cf);
}

static void expect_row(stage *s, const char *merchant, const char *key, bh_status want)
{
	BH_CLEANUP(bh_buf_clear) bh_buf value = { 0 };
	bh_cf *cf = NULL;
	bh_status status = bh_cf_open(s->db, merchant, "data", &cf);

	if (status == BH_OK)
		status = bh_get(cf, NULL, bh_view_str(key), &value);
	if (cf != NULL)
		bh_cf_close(cf);
	assert_int_equal(status, want);
}

/* ---- asking */

static int knock(const stage *s)
{
	int fd = -1;

	OK(bh_door_connect(s->ws.db, &fd));
	return fd;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The last line that answers; NULL: the connection ended without one. */
static json_t *hear_last(int fd)
{
	bh_door_lines lines = { .fd = fd };
	json_t *line = NULL;

	do {
		json_decref(line);
		line = NULL;
	} while (bh_door_receive(&lines, BH_DOOR_ANSWER_MAX, bh_door_now_ms() + 60000, &line) == BH_OK &&
		 json_object_get(line, "progress") != NULL);
	bh_buf_clear(&lines.pending);
	close(fd);
	return line;
}

static json_t *ask(const stage *s, const char *text)
{
	int fd = knock(s);

	send_text(fd, text);
	send_text(fd, "\n");
	return hear_last(fd);
}

/* The request, without "door", has to end so; returns the result, which the caller releases. */
static json_t *expect(const stage *s, const char *text, bh_status want)
{
	char request[1024];
	json_t *line, *result;

	snprintf(request, sizeof(request), "{\"door\":1,%s}", text);
	line = ask(s, request);
	assert_non_null(line);
	if (want == BH_OK && json_object_get(line, "error") != NULL)
		fail_msg("%s: %s", text, json_string_value(json_object_get(json_object_get(line, "error"), "message")));
	if (want != BH_OK)
		assert_int_equal(json_integer_value(json_object_get(json_object_get(line, "error"), "status")), want);
	result = json_incref(json_object_get(line, "result"));
	json_decref(line);
	return result;
}

static void does(const stage *s, const char *text)
{
	json_decref(expect(s, text, BH_OK));
}

static void refuses(const stage *s, const char *text, bh_status want)
{
	json_decref(expect(s, text, want));
}

static void is_state(const stage *s, const char *merchant, const char *state)
{
	char request[200];
	json_t *result;

	snprintf(request, sizeof(request), "\"call\":\"status\",\"brief\":true,\"merchant\":\"%s\"", merchant);
	result = expect(s, request, BH_OK);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(result, "merchants"), 0), "state")),
			    state);
	json_decref(result);
}

/* ---- what can be asked for */

static void every_call_does_what_the_library_does(void **state)
{
	stage s;
	json_t *result;

	(void)state;
	stage_begin(&s);
	put(&s, "acme", "row");
	put(&s, "beta", "row");
	does(&s, "\"call\":\"merchant suspend\",\"merchant\":\"acme\",\"reason\":\"unpaid\",\"operator\":\"eve\"");
	is_state(&s, "acme", "suspended");
	expect_row(&s, "acme", "row", BH_E_SUSPENDED);
	expect_row(&s, "beta", "row", BH_OK);
	does(&s, "\"call\":\"merchant resume\",\"merchant\":\"acme\"");
	expect_row(&s, "acme", "row", BH_OK);
	does(&s, "\"call\":\"rotate\",\"merchant\":\"acme\",\"sweep\":true");
	does(&s, "\"call\":\"sweep\",\"merchant\":\"acme\"");
	does(&s, "\"call\":\"rewrap\",\"merchant\":\"beta\"");
	does(&s, "\"call\":\"compact\",\"merchant\":\"acme\",\"class\":\"data\"");
	result = expect(&s, "\"call\":\"generations\",\"merchant\":\"acme\"", BH_OK);
	assert_int_equal(json_array_size(json_object_get(result, "generations")), 2);
	json_decref(result);
	result = expect(&s, "\"call\":\"erase\",\"merchant\":\"acme\",\"class\":\"data\",\"prefix_hex\":\"726f\",\"suppress\":true",
			BH_OK);
	assert_true(json_is_true(json_object_get(result, "complete")));
	json_decref(result);
	expect_row(&s, "acme", "row", BH_E_NO_SUCH_KEY);
	result = expect(&s, "\"call\":\"markers\",\"merchant\":\"acme\",\"class\":\"data\"", BH_OK);
	assert_int_equal(json_array_size(json_object_get(result, "markers")), 1);
	json_decref(result);
	does(&s, "\"call\":\"unsuppress\",\"merchant\":\"acme\",\"class\":\"data\",\"prefix\":\"ro\"");
	put(&s, "acme", "row");
	result = expect(&s, "\"call\":\"audit archive\",\"to\":\"/tmp\"", BH_OK);
	assert_int_equal(json_integer_value(json_object_get(result, "last")), 0); /* too short a log */
	json_decref(result);
	result = expect(&s, "\"call\":\"metrics\"", BH_OK);
	assert_non_null(strstr(json_string_value(json_object_get(result, "text")), "bulkhead_wal_files"));
	json_decref(result);
	result = expect(&s, "\"call\":\"status\",\"database\":true,\"live\":true", BH_OK);
	assert_non_null(json_object_get(json_object_get(result, "database"), "background_errors"));
	assert_int_equal(json_array_size(json_object_get(result, "merchants")), 2);
	json_decref(result);
	does(&s, "\"call\":\"merchant shred\",\"merchant\":\"acme\"");
	expect_row(&s, "acme", "row", BH_E_SHREDDED);
	result = expect(&s, "\"call\":\"merchant certificate\",\"merchant\":\"acme\"", BH_OK);
	assert_non_null(strstr(json_string_value(json_object_get(result, "certificate")), "FINAL"));
	json_decref(result);
	expect_row(&s, "beta", "row", BH_OK);
	stage_end(&s);
}

static void a_merchant_is_added(void **state)
{
	char request[PATH_SIZE + 200];
	stage s;

	(void)state;
	stage_begin(&s);
	OK(bh_kms_create(workspace_cmk(&s.ws, "gamma"), "eu-1", NULL));
	snprintf(request, sizeof(request), "\"call\":\"merchant add\",\"merchant\":\"gamma\",\"classes\":[\"data\"],\"cmk\":\"%s\"",
		 workspace_cmk(&s.ws, "gamma"));
	does(&s, request);
	put(&s, "gamma", "row");
	refuses(&s, request, BH_E_EXISTS);
	stage_end(&s);
}

static void failures_come_back_with_their_message(void **state)
{
	stage s;
	json_t *line;

	(void)state;
	stage_begin(&s);
	line = ask(&s, "{\"door\":1,\"call\":\"merchant suspend\",\"merchant\":\"nobody\"}");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(line, "error"), "status")), BH_E_NO_SUCH_MERCHANT);
	assert_non_null(strstr(json_string_value(json_object_get(json_object_get(line, "error"), "message")), "nobody"));
	json_decref(line);
	stage_end(&s);
}

/* The line of the merchant's newest wrap. */
static const char *last_wrap(const char *log, const char *merchant)
{
	const char *line = NULL;
	char event[100];

	snprintf(event, sizeof(event), "\"action\":\"dek.wrapped\",\"merchant\":\"%s\"", merchant);
	for (const char *at = log; (at = strstr(at, event)) != NULL; at++)
		for (line = at; line > log && line[-1] != '\n';)
			line--;
	return line;
}

static void the_audit_log_names_who_asked(void **state)
{
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	char path[PATH_SIZE];
	stage s;

	(void)state;
	stage_begin(&s);
	bh_db_close(s.db);
	stage_open(&s, &(bh_db_options){ .actor = "the shop" });
	does(&s, "\"call\":\"rotate\",\"merchant\":\"acme\"");
	OK(bh_merchant_rotate(s.db, "beta", NULL));
	path_join(path, s.ws.db, "AUDIT");
	log = file_read(path);
	OK(bh_buf_append_u8(&log, 0));
	const char *acme = last_wrap((const char *)log.data, "acme"), *beta = last_wrap((const char *)log.data, "beta");
	assert_non_null(acme);
	assert_non_null(beta);
	assert_non_null(memmem(acme, strcspn(acme, "\n"), "\"actor\":\"uid:", 13));
	assert_non_null(memmem(beta, strcspn(beta, "\n"), "\"actor\":\"the shop\"", 18));
	stage_end(&s);
}

/* ---- who and what is refused */

static void what_is_no_request_is_refused(void **state)
{
	static const struct {
		const char *text;
		bh_status want;
	} cases[] = {
		{ "", BH_E_FORMAT },
		{ "[]", BH_E_FORMAT },
		{ "{", BH_E_FORMAT },
		{ "{\"door\":1,\"door\":1,\"call\":\"metrics\"}", BH_E_FORMAT },
		{ "{\"call\":\"metrics\"}", BH_E_FORMAT },
		{ "{\"door\":2,\"call\":\"metrics\"}", BH_E_VERSION },
		{ "{\"door\":1}", BH_E_UNSUPPORTED },
		{ "{\"door\":1,\"call\":7}", BH_E_UNSUPPORTED },
		{ "{\"door\":1,\"call\":\"get\"}", BH_E_UNSUPPORTED },
		{ "{\"door\":1,\"call\":\"metrics\",\"merchant\":\"acme\"}", BH_E_FORMAT },
		{ "{\"door\":1,\"call\":\"merchant shred\"}", BH_E_FORMAT },
		{ "{\"door\":1,\"call\":\"merchant shred\",\"merchant\":null}", BH_E_FORMAT },
		{ "{\"door\":1,\"call\":\"merchant shred\",\"merchant\":\"ac\\u0000me\"}", BH_E_FORMAT },
		{ "{\"door\":1,\"call\":\"sweep\",\"merchant\":\"acme\",\"bytes_per_s\":-1}", BH_E_FORMAT },
		{ "{\"door\":1,\"call\":\"status\",\"brief\":1}", BH_E_FORMAT },
		{ "{\"door\":1,\"call\":\"rewrap\",\"merchant\":\"acme\",\"cmk_hex\":\"6\"}", BH_E_FORMAT },
		{ "{\"door\":1,\"call\":\"rewrap\",\"merchant\":\"acme\",\"cmk_hex\":\"6100\"}", BH_E_FORMAT },
		{ "{\"door\":1,\"call\":\"rewrap\",\"merchant\":\"acme\",\"cmk\":\"a\",\"cmk_hex\":\"61\"}", BH_E_FORMAT },
		{ "{\"door\":1,\"call\":\"erase\",\"merchant\":\"acme\",\"class\":\"data\"}", BH_E_FORMAT },
	};
	stage s;

	(void)state;
	stage_begin(&s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *line = ask(&s, cases[i].text);

		if (json_integer_value(json_object_get(json_object_get(line, "error"), "status")) != cases[i].want)
			fail_msg("%s: not refused as it should be", cases[i].text);
		json_decref(line);
	}
	is_state(&s, "acme", "active");
	stage_end(&s);
}

static void too_long_a_request_is_refused(void **state)
{
	char *text = malloc(BH_DOOR_REQUEST_MAX + 2);
	stage s;
	int fd;

	(void)state;
	memset(text, ' ', BH_DOOR_REQUEST_MAX + 1);
	text[BH_DOOR_REQUEST_MAX + 1] = '\0';
	stage_begin(&s);
	fd = knock(&s);
	/* It may be sent away before all of it is out. */
	(void)!send(fd, text, BH_DOOR_REQUEST_MAX + 1, MSG_NOSIGNAL);
	json_t *line = hear_last(fd);
	if (line != NULL)
		assert_int_equal(json_integer_value(json_object_get(json_object_get(line, "error"), "status")), BH_E_FORMAT);
	json_decref(line);
	is_state(&s, "acme", "active");
	free(text);
	stage_end(&s);
}

/* As user 65500: how his request ends; CHILD_FAILED where there is no way to ask. */
static int ask_as_stranger(const stage *s)
{
	pid_t child = fork();
	int status = 0;

	assert_true(child >= 0);
	if (child == 0) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/" BH_DOOR_SOCKET, s->ws.db);
		if (setgid(65500) != 0 || setuid(65500) != 0)
			_exit(CHILD_FAILED);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
			_exit(BH_E_DENIED);
		bh_door_lines lines = { .fd = fd };
		json_t *line = NULL;
		(void)!send(fd, "{\"door\":1,\"call\":\"metrics\"}\n", 28, MSG_NOSIGNAL);
		if (bh_door_receive(&lines, BH_DOOR_ANSWER_MAX, bh_door_now_ms() + 30000, &line) != BH_OK)
			_exit(CHILD_FAILED);
		_exit((int)json_integer_value(json_object_get(json_object_get(line, "error"), "status")));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void other_users_are_sent_away(void **state)
{
	const uint32_t other = 65501, him = 65500;
	struct stat st;
	char path[PATH_SIZE];
	stage s;

	(void)state;
	if (geteuid() != 0)
		skip();
	stage_begin(&s);
	path_join(path, s.ws.db, BH_DOOR_SOCKET);
	assert_int_equal(chmod(s.ws.root, 0711), 0);
	assert_int_equal(chmod(s.ws.db, 0711), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(ask_as_stranger(&s), BH_E_DENIED); /* by the file's mode */
	bh_db_close(s.db);
	stage_open(&s, &(bh_db_options){ .admin_uids = &other, .admin_uid_count = 1 });
	assert_int_equal(ask_as_stranger(&s), BH_E_DENIED); /* by who he is */
	bh_db_close(s.db);
	stage_open(&s, &(bh_db_options){ .admin_uids = &him, .admin_uid_count = 1 });
	assert_int_equal(ask_as_stranger(&s), BH_OK);
	stage_end(&s);
}

/* ---- nobody is held up */

static void who_says_nothing_holds_up_nobody(void **state)
{
	int idle[BH_DOOR_BUSY_MAX + 4];
	int64_t began;
	stage s;

	(void)state;
	stage_begin(&s);
	for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
		idle[i] = knock(&s);
	put(&s, "beta", "row");
	began = bh_door_now_ms();
	bh_db_close(s.db);
	assert_true(bh_door_now_ms() - began < BH_DOOR_DEADLINE_MS / 2); /* and not when their time is up */
	for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
		close(idle[i]);
	stage_open(&s, NULL);
	is_state(&s, "beta", "active");
	stage_end(&s);
}

/* Who comes and goes without a word, or in the midst of it, leaves nothing behind. */
static void who_goes_away_is_forgotten(void **state)
{
	stage s;

	(void)state;
	stage_begin(&s);
	for (int i = 0; i < 3 * BH_DOOR_BUSY_MAX; i++) {
		int fd = knock(&s);

		if (i % 3 > 0)
			send_text(fd, "{\"door\":1,\"call\":\"metrics\"}\n");
		if (i % 3 == 1)
			(void)shutdown(fd, SHUT_WR);
		close(fd);
	}
	is_state(&s, "acme", "active");
	stage_end(&s);
}

static void *close_it(void *arg)
{
	stage *s = arg;

	bh_db_close(s->db);
	s->db = NULL;
	return NULL;
}

static void a_close_ends_what_is_under_way(void **state)
{
	pthread_t closer;
	stage s;
	int fd;

	(void)state;
	stage_begin(&s);
	for (int i = 0; i < 200; i++) {
		char key[16];

		snprintf(key, sizeof(key), "row%d", i);
		put(&s, "acme", key);
	}
	does(&s, "\"call\":\"compact\",\"merchant\":\"acme\",\"class\":\"data\"");
	does(&s, "\"call\":\"rotate\",\"merchant\":\"acme\",\"sweep\":true");
	fd = knock(&s);
	send_text(fd, "{\"door\":1,\"call\":\"sweep\",\"merchant\":\"acme\",\"bytes_per_s\":1}\n"); /* for hours */
	is_state(&s, "acme", "active");
	assert_int_equal(pthread_create(&closer, NULL, close_it, &s), 0);
	json_t *line = hear_last(fd);
	assert_non_null(line);
	json_decref(line);
	assert_int_equal(pthread_join(closer, NULL), 0);
	stage_open(&s, NULL);
	expect_row(&s, "acme", "row7", BH_OK);
	stage_end(&s);
}

/* ---- where it is */

static void a_killed_process_leaves_a_socket_that_is_replaced(void **state)
{
	char path[PATH_SIZE];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	stage s;
	int fd;

	(void)state;
	stage_begin(&s);
	bh_db_close(s.db);
	path_join(path, s.ws.db, BH_DOOR_SOCKET);
	assert_false(file_exists(path));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	ENDS_WITH(BH_E_NOT_FOUND, bh_door_connect(s.ws.db, &fd));
	stage_open(&s, NULL);
	is_state(&s, "acme", "active");
	stage_end(&s);
}

static void what_is_no_socket_stays_and_the_database_serves(void **state)
{
	char path[PATH_SIZE];
	stage s;
	int fd;

	(void)state;
	stage_begin(&s);
	bh_db_close(s.db);
	path_join(path, s.ws.db, BH_DOOR_SOCKET);
	file_write(path, bh_view_str("somebody's notes"));
	stage_open(&s, NULL);
	assert_non_null(strstr(s.said, "is there already and is no socket"));
	put(&s, "acme", "row");
	ENDS_WITH(BH_E_NOT_FOUND, bh_door_connect(s.ws.db, &fd));
	bh_db_close(s.db);
	BH_CLEANUP(bh_buf_clear) bh_buf kept = file_read(path);
	assert_int_equal(kept.len, 16);
	assert_int_equal(unlink(path), 0);
	stage_open(&s, &(bh_db_options){ .no_admin = true });
	assert_false(file_exists(path));
	bh_db_close(s.db);
	stage_open(&s, &(bh_db_options){ .read_only = true });
	assert_false(file_exists(path));
	stage_end(&s);
}

static void a_long_path_has_a_door_too(void **state)
{
	char deep[PATH_SIZE], name[PATH_SIZE];
	stage s;

	(void)state;
	stage_begin(&s);
	bh_db_close(s.db);
	memset(name, 'd', 180);
	name[180] = '\0';
	path_join(deep, s.ws.root, name);
	assert_int_equal(rename(s.ws.db, deep), 0);
	memcpy(s.ws.db, deep, sizeof(deep));
	stage_open(&s, NULL);
	is_state(&s, "acme", "active");
	stage_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_users_are_sent_away), /* forks, before RocksDB has threads here */
		cmocka_unit_test(every_call_does_what_the_library_does),
		cmocka_unit_test(a_merchant_is_added),
		cmocka_unit_test(failures_come_back_with_their_message),
		cmocka_unit_test(the_audit_log_names_who_asked),
		cmocka_unit_test(what_is_no_request_is_refused),
		cmocka_unit_test(too_long_a_request_is_refused),
		cmocka_unit_test(who_says_nothing_holds_up_nobody),
		cmocka_unit_test(who_goes_away_is_forgotten),
		cmocka_unit_test(a_close_ends_what_is_under_way),
		cmocka_unit_test(a_killed_process_leaves_a_socket_that_is_replaced),
		cmocka_unit_test(what_is_no_socket_stays_and_the_database_serves),
		cmocka_unit_test(a_long_path_has_a_door_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
