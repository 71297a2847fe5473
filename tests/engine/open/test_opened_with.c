/* SPDX-License-Identifier: Apache-2.0
 *
 * test_opened_with.c: an open that lacks the merge operator or the comparator that a database was opened with is refused by name
 * and changes nothing; one that is read-only shows every row, and what is merged as it lies there.
 */
#include "tests/support/harness.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env/fs/fs.h"

#define OPERATOR "bulkhead.test.append"

static rocksdb_options_t *with_operator(void)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_merge_operator(options, test_append_operator());
	return options;
}

static const char *other_name(void *state)
{
	(void)state;
	return "bulkhead.test.other";
}

static char *constant(void *state, const char *key, size_t key_len, const char *existing, size_t existing_len,
		      const char *const *operands, const size_t *lens, int count, unsigned char *success, size_t *len_out)
{
	(void)state, (void)key, (void)key_len, (void)existing, (void)existing_len, (void)operands, (void)lens, (void)count;
	*success = 1;
	*len_out = 1;
	return memcpy(malloc(1), "x", 1);
}

static char *constant_partial(void *state, const char *key, size_t key_len, const char *const *operands, const size_t *lens,
			      int count, unsigned char *success, size_t *len_out)
{
	return constant(state, key, key_len, NULL, 0, operands, lens, count, success, len_out);
}

static void nothing(void *state)
{
	(void)state;
}

static rocksdb_options_t *with_other_operator(void)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_merge_operator(
		options, rocksdb_mergeoperator_create(NULL, nothing, constant, constant_partial, NULL, other_name));
	return options;
}

static bh_db *open_as(const workspace *ws, rocksdb_options_t *options)
{
	bh_db *db = test_db_open(ws, options);

	rocksdb_options_destroy(options);
	return db;
}

static void merge(bh_cf *cf, const char *key, const char *operand)
{
	test_ok(bh_merge(cf, &(bh_write_options){ .sync = true }, bh_view_str(key), bh_view_str(operand)));
}

static void put(bh_cf *cf, const char *key, const char *value)
{
	test_ok(bh_put(cf, &(bh_write_options){ .sync = true }, bh_view_str(key), bh_view_str(value)));
}

/* ---- a service that was killed, with merges in SSTs and in the WAL */

static void serve_and_die(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = with_operator();
	bh_cf *a, *b, *c;
	bh_db *db;

	test_db_create(ws, options);
	db = open_as(ws, options);
	test_merchant_add(ws, db, "a", "events", NULL);
	test_merchant_add(ws, db, "b", "events", NULL);
	test_merchant_add(ws, db, "c", "events", NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	c = test_cf(db, "c", "events");
	put(c, "c1", "1");
	test_ok(bh_merchant_suspend(db, "c", NULL));
	put(a, "flushed", "1");
	merge(a, "flushed", "2");
	merge(a, "operands", "1");
	test_ok(bh_flush(a));
	put(b, "before", "1");
	merge(a, "flushed", "3");
	put(a, "logged", "1");
	merge(a, "logged", "2");
	put(b, "after", "1");
	put(a, "after", "1");
	raise(SIGKILL);
}

static void expect_whole(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = open_as(ws, with_operator());
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events"), *c;

	test_expect(a, "flushed", "123");
	test_expect(a, "operands", "1");
	test_expect(a, "logged", "12");
	test_expect(a, "after", "1");
	test_expect(b, "before", "1");
	test_expect(b, "after", "1");
	test_ok(bh_merchant_suspend(db, "c", NULL)); /* again does nothing */
	test_ok(bh_merchant_resume(db, "c", NULL));
	c = test_cf(db, "c", "events");
	test_expect(c, "c1", "1");
	bh_cf_close(a);
	bh_cf_close(b);
	bh_cf_close(c);
	bh_db_close(db);
}

static void is_refused(const workspace *ws, const bh_db_options *options)
{
	uint64_t before = tree_hash(ws->db);
	bh_db *db = NULL;

	test_status(bh_db_open(ws->db, options, &db), BH_E_INVALID);
	test_message_names(OPERATOR);
	test_check(tree_hash(ws->db) == before);
}

static void refused_without_the_operator(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *none = rocksdb_options_create(), *other = with_other_operator();

	is_refused(ws, NULL);
	is_refused(ws, &(bh_db_options){ .rocksdb = none });
	is_refused(ws, &(bh_db_options){ .rocksdb = other });
	is_refused(ws, &(bh_db_options){ .rocksdb = other, .read_only = true });
	is_refused(ws, &(bh_db_options){ .rocksdb = none, .merge_operator_changed = true }); /* to what? */
	rocksdb_options_destroy(none);
	rocksdb_options_destroy(other);
}

static void no_open_without_the_operator(void **state)
{
	test_child_killed(serve_and_die, *state);
	test_child_ok(refused_without_the_operator, *state);
	test_child_ok(expect_whole, *state);
	test_child_ok(refused_without_the_operator, *state);
	test_child_ok(expect_whole, *state);
}

/* ---- read-only, without the operator */

/* "=1+2": a value, then an operand. */
static void join_parts(bh_view unmerged, char out[64])
{
	bh_view part;
	bool is_base;
	size_t len = 0;

	while (bh_unmerged_next(&unmerged, &part, &is_base))
		len += (size_t)snprintf(out + len, 64 - len, "%c%.*s", is_base ? '=' : '+', (int)part.len, (const char *)part.data);
	test_check(unmerged.len == 0);
}

static void expect_unmerged(bh_cf *cf, const char *key, const char *parts)
{
	bh_buf value = { 0 };
	char got[64] = "";

	test_status(bh_get(cf, NULL, bh_view_str(key), &value), BH_E_UNMERGED);
	test_message_names("merge");
	join_parts(bh_buf_view(&value), got);
	if (strcmp(got, parts) != 0)
		test_fail_at(__FILE__, __LINE__, "'%s' is %s, not %s", key, got, parts);
	bh_buf_clear(&value);
}

static void expect_listed(bh_cf *cf)
{
	static const char *const rows[] = { "after 1", "flushed =12+3", "logged =1+2", "operands +1" };
	bh_iter *iter = NULL;
	bh_view key, value;

	test_ok(bh_iter_new(cf, NULL, &iter));
	test_ok(bh_iter_first(iter));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char parts[64] = "", row[128];
		bh_status status = bh_iter_entry(iter, &key, &value);

		test_check(status == BH_OK || status == BH_E_UNMERGED);
		if (status == BH_OK)
			snprintf(parts, sizeof(parts), "%.*s", (int)value.len, (const char *)value.data);
		else
			join_parts(value, parts);
		snprintf(row, sizeof(row), "%.*s %s", (int)key.len, (const char *)key.data, parts);
		if (strcmp(row, rows[i]) != 0)
			test_fail_at(__FILE__, __LINE__, "'%s' instead of '%s'", row, rows[i]);
		test_ok(bh_iter_next(iter));
	}
	test_check(!bh_iter_valid(iter));
	bh_iter_free(iter);
}

static void multi_get_unmerged(bh_cf *cf)
{
	const bh_view keys[] = { bh_view_str("after"), bh_view_str("logged"), bh_view_str("none") };
	bh_buf values[3] = { { 0 } };
	bh_status statuses[3];
	char parts[64] = "";

	test_status(bh_multi_get(cf, NULL, 3, keys, values, statuses), BH_E_UNMERGED);
	test_check(statuses[0] == BH_OK && statuses[1] == BH_E_UNMERGED && statuses[2] == BH_E_NO_SUCH_KEY);
	join_parts(bh_buf_view(&values[1]), parts);
	test_check(strcmp(parts, "=1+2") == 0);
	for (int i = 0; i < 3; i++)
		bh_buf_clear(&values[i]);
}

static void look(void *arg)
{
	const workspace *ws = arg;
	uint64_t before = tree_hash(ws->db);
	bh_cf *a, *b, *c = NULL;
	bh_db *db = NULL;

	test_ok(bh_db_open(ws->db, &(bh_db_options){ .read_only = true }, &db));
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	expect_unmerged(a, "flushed", "=12+3");
	expect_unmerged(a, "operands", "+1");
	expect_unmerged(a, "logged", "=1+2");
	test_expect(a, "after", "1");
	test_expect(b, "before", "1");
	test_expect(b, "after", "1");
	expect_listed(a);
	multi_get_unmerged(a);
	test_status(bh_cf_open(db, "c", "events", &c), BH_E_SUSPENDED);
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
	test_check(tree_hash(ws->db) == before);
}

static void shown_unmerged_without_the_operator(void **state)
{
	test_child_killed(serve_and_die, *state);
	test_child_ok(look, *state);
	test_child_ok(look, *state);
	test_child_ok(expect_whole, *state);
}

/* ---- the same by bhctl */

/* Its exit code, and what it wrote. */
static int bhctl(const workspace *ws, const char *arguments, char *said, size_t size)
{
	char command[3 * PATH_SIZE];
	FILE *pipe;
	size_t len;

	snprintf(command, sizeof(command), "%s --db %s %s 2>&1", BH_TEST_BHCTL, ws->db, arguments);
	pipe = popen(command, "r");
	test_check(pipe != NULL);
	len = fread(said, 1, size - 1, pipe);
	said[len] = '\0';
	return WEXITSTATUS(pclose(pipe));
}

static void bhctl_says(const workspace *ws, const char *arguments, int code, const char *const *words)
{
	char said[4096];
	int got = bhctl(ws, arguments, said, sizeof(said));

	if (got != code)
		test_fail_at(__FILE__, __LINE__, "bhctl %s: exit code %d, not %d: %s", arguments, got, code, said);
	for (; *words != NULL; words++)
		if (strstr(said, *words) == NULL)
			test_fail_at(__FILE__, __LINE__, "bhctl %s: does not say '%s': %s", arguments, *words, said);
}

static void bhctl_shows_and_loses_nothing(void **state)
{
	const workspace *ws = *state;
	uint64_t before;

	test_child_killed(serve_and_die, *state);
	before = tree_hash(ws->db);
#define SAYS(...) ((const char *const[]){ __VA_ARGS__, NULL })
	bhctl_says(ws, "get b/events after", 0, SAYS("1"));
	bhctl_says(ws, "get a/events logged", 11, SAYS("--json", OPERATOR));
	bhctl_says(ws, "--json get a/events logged", 11, SAYS("\"unmerged\":[{\"value\":\"1\"},{\"operand\":\"2\"}]"));
	bhctl_says(ws, "scan a/events", 11, SAYS("after\t1\n", "3 rows hold merges"));
	bhctl_says(ws, "--json scan a/events", 11,
		   SAYS("{\"key\":\"operands\",\"unmerged\":[{\"operand\":\"1\"}]}", "\"count\":4"));
	bhctl_says(ws, "scan b/events", 0, SAYS("after\t1\n"));
	bhctl_says(ws, "status --live", 0, SAYS("merchant"));
	bhctl_says(ws, "verify", 0, SAYS("files"));
	bhctl_says(ws, "erase a/events --list", 0, SAYS("0 erased"));
	bhctl_says(ws, "put b/events k v", 2, SAYS(OPERATOR));
	bhctl_says(ws, "rotate b --now", 2, SAYS(OPERATOR));
	bhctl_says(ws, "compact b/events", 2, SAYS(OPERATOR));
	test_check(tree_hash(ws->db) == before);
	test_child_ok(expect_whole, *state);
}

/* The service comes back: what was recorded is done, before it serves, and nothing of anybody's is lost. */
static void expect_off(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = open_as(ws, with_operator());
	bh_cf *a = NULL, *b;
	char path[PATH_SIZE];

	test_status(bh_cf_open(db, "c", "events", &b), BH_E_SHREDDED);
	path_join(path, ws->db, "parked/c");
	test_check(!file_exists(path));
	path_join(path, ws->db, "parked/a");
	test_check(file_exists(path));
	b = test_cf(db, "b", "events");
	test_expect(b, "before", "1");
	test_expect(b, "after", "1");
	bh_cf_close(b);
	test_status(bh_cf_open(db, "a", "events", &a), BH_E_SUSPENDED);
	test_ok(bh_merchant_resume(db, "a", NULL));
	a = test_cf(db, "a", "events");
	test_expect(a, "flushed", "123");
	test_expect(a, "operands", "1");
	test_expect(a, "logged", "12");
	test_expect(a, "after", "1");
	bh_cf_close(a);
	bh_db_close(db);
}

/* On call at night: merchants are switched off and shredded by who has no operator. */
static void bhctl_switches_off_and_shreds(void **state)
{
	const workspace *ws = *state;

	char left[PATH_SIZE];

	test_child_killed(serve_and_die, *state);
	path_join(left, ws->db, "parked/a"); /* nothing that lies there is taken for this suspension's */
	test_check(mkdir(left, 0750) == 0);
	bhctl_says(ws, "merchant suspend a", 1, SAYS("left of an earlier step"));
	test_check(rmdir(left) == 0);
	bhctl_says(ws, "merchant suspend a --reason unpaid", 0, SAYS("suspending", "unpaid", "recorded"));
	bhctl_says(ws, "merchant suspend a", 0, SAYS("unpaid"));
	bhctl_says(ws, "get a/events after", 4, SAYS("suspended"));
	bhctl_says(ws, "get b/events after", 0, SAYS("1"));
	bhctl_says(ws, "merchant suspend nobody", 3, SAYS("nobody"));
	bhctl_says(ws, "merchant resume a", 2, SAYS(OPERATOR));
	bhctl_says(ws, "merchant shred c --yes --certificate c.json", 0, SAYS("is being shredded", "c.json: is not written"));
	bhctl_says(ws, "merchant suspend c", 5, SAYS("shredded"));
	bhctl_says(ws, "get c/events c1", 5, SAYS("shred"));
	bhctl_says(ws, "verify", 0, SAYS("the next open finishes it"));
	test_child_ok(expect_off, *state);
	bhctl_says(ws, "merchant certificate c", 0, SAYS("FINAL"));
}

/* ---- operators and comparators that RocksDB knows itself */

static void count_up(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	bh_cf *cf;
	bh_db *db;

	rocksdb_options_set_uint64add_merge_operator(options);
	test_db_create(ws, options);
	db = open_as(ws, options);
	test_merchant_add(ws, db, "a", "events", NULL);
	cf = test_cf(db, "a", "events");
	test_ok(bh_merge(cf, NULL, bh_view_str("n"), bh_view_of("\1\0\0\0\0\0\0\0", 8)));
	test_ok(bh_merge(cf, NULL, bh_view_str("n"), bh_view_of("\2\0\0\0\0\0\0\0", 8)));
	test_ok(bh_sync_wal(db));
	raise(SIGKILL);
}

static void counted(void *arg)
{
	const workspace *ws = arg;

	for (int read_only = 1; read_only >= 0; read_only--) {
		bh_buf value = { 0 };
		bh_db *db = NULL;
		bh_cf *cf;

		test_ok(bh_db_open(ws->db, &(bh_db_options){ .read_only = read_only }, &db));
		cf = test_cf(db, "a", "events");
		test_ok(bh_get(cf, NULL, bh_view_str("n"), &value));
		test_check(value.len == 8 && value.data[0] == 3);
		bh_buf_clear(&value);
		bh_cf_close(cf);
		bh_db_close(db);
	}
}

static void known_operator_is_taken_from_the_record(void **state)
{
	test_child_killed(count_up, *state);
	test_child_ok(counted, *state);
}

static int by_last_byte(void *state, const char *a, size_t a_len, const char *b, size_t b_len)
{
	(void)state;
	return a_len > 0 && b_len > 0 ? (a[a_len - 1] > b[b_len - 1]) - (a[a_len - 1] < b[b_len - 1]) : (a_len > 0) - (b_len > 0);
}

static const char *by_last_byte_name(void *state)
{
	(void)state;
	return "bulkhead.test.last-byte";
}

static void other_order(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = rocksdb_options_create(), *none = rocksdb_options_create();
	rocksdb_comparator_t *order = rocksdb_comparator_create(NULL, nothing, by_last_byte, by_last_byte_name);
	bh_db *db = NULL;
	uint64_t before;
	bh_cf *cf;

	rocksdb_options_set_comparator(options, order);
	test_db_create(ws, options);
	db = test_db_open(ws, options);
	test_merchant_add(ws, db, "a", "events", NULL);
	cf = test_cf(db, "a", "events");
	test_put(cf, "z1", "1");
	test_put(cf, "a2", "2");
	bh_cf_close(cf);
	bh_db_close(db);
	before = tree_hash(ws->db);
	for (int i = 0; i < 4; i++) {
		const bh_db_options how = { .rocksdb = i % 2 == 0 ? NULL : none, .read_only = i < 2 };

		test_status(bh_db_open(ws->db, &how, &db), BH_E_INVALID);
		test_message_names("bulkhead.test.last-byte");
		test_check(tree_hash(ws->db) == before);
	}
	db = test_db_open(ws, options);
	cf = test_cf(db, "a", "events");
	test_expect(cf, "z1", "1");
	bh_cf_close(cf);
	bh_db_close(db);
	rocksdb_options_destroy(options);
	rocksdb_options_destroy(none);
	rocksdb_comparator_destroy(order);
}

static void no_open_without_the_comparator(void **state)
{
	test_child_ok(other_order, *state);
}

/* ---- another operator on purpose */

static void change(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *other = with_other_operator();
	const bh_db_options meant = { .rocksdb = other, .merge_operator_changed = true };
	bh_db *db = NULL;
	bh_cf *b;

	test_ok(bh_db_open(ws->db, &meant, &db));
	b = test_cf(db, "b", "events");
	test_expect(b, "after", "1");
	bh_cf_close(b);
	bh_db_close(db);
	test_ok(bh_db_open(ws->db, &(bh_db_options){ .rocksdb = other }, &db)); /* it is the recorded one now */
	bh_db_close(db);
	rocksdb_options_destroy(other);
}

static void operator_changed_on_purpose(void **state)
{
	test_child_killed(serve_and_die, *state);
	test_child_ok(change, *state);
}

/* ---- an operator that could not be recorded */

static void unrecorded(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = test_options_with(with_operator(), "fail_if_options_file_error=false");
	bh_db *db;

	test_db_create(ws, NULL);
	bh_fs_hold_options_file(true); /* stands for a disk that is full just then */
	test_status(bh_db_open(ws->db, &(bh_db_options){ .rocksdb = options }, &db), BH_E_IO);
	test_message_names("OPTIONS");
	bh_fs_hold_options_file(false);
	db = open_as(ws, options);
	bh_db_close(db);
}

static void no_merge_before_it_is_recorded(void **state)
{
	test_child_ok(unrecorded, *state);
}

/* ---- merges without an operator */

static void merge_without(void *arg)
{
	const workspace *ws = arg;
	bh_batch *batch = NULL;
	bh_cf *a, *b;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "events", NULL);
	test_merchant_add(ws, db, "b", "events", NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	test_status(bh_merge(a, NULL, bh_view_str("k"), bh_view_str("x")), BH_E_UNSUPPORTED);
	test_ok(bh_batch_new(db, &batch));
	test_status(bh_batch_merge(batch, a, bh_view_str("k"), bh_view_str("x")), BH_E_UNSUPPORTED);
	test_message_names("merge operator");
	test_check(bh_batch_count(batch) == 0);
	bh_batch_free(batch);
	put(b, "k", "v");
	test_expect(b, "k", "v");
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void no_merge_without_an_operator(void **state)
{
	test_child_ok(merge_without, *state);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, test_workspace_make, test_workspace_drop)
	const struct CMUnitTest tests[] = {
		CASE(no_open_without_the_operator),
		CASE(shown_unmerged_without_the_operator),
		CASE(bhctl_shows_and_loses_nothing),
		CASE(bhctl_switches_off_and_shreds),
		CASE(known_operator_is_taken_from_the_record),
		CASE(no_open_without_the_comparator),
		CASE(operator_changed_on_purpose),
		CASE(no_merge_before_it_is_recorded),
		CASE(no_merge_without_an_operator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
