/* SPDX-License-Identifier: Apache-2.0
 *
 * test_erase_suppress.c: a prefix that was erased and suppressed stays empty, whoever writes, whenever it was recorded, over
 * everything that a merchant goes through, until that is lifted; others feel nothing of it. erase_fixture.h has the rows.
 */
#include "erase_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <bulkhead/rotation.h>

#include "engine/erase/erase_record.h"
#include "keyring/base/crashpoint.h"
#include "engine/wall/detach.h"

static const bh_erase_options suppressing = { .suppress = true, .wait_ms = 60000 };

static bh_view view(const char *text)
{
	return bh_view_str(text);
}

static bh_status count_marker(void *arg, const bh_erase_marker *marker)
{
	test_check(marker->prefix_len > 0 && marker->at_s > 0);
	++*(size_t *)arg;
	return BH_OK;
}

static size_t count_markers(bh_cf *cf)
{
	size_t count = 0;

	test_ok(bh_erase_markers(cf, count_marker, &count));
	return count;
}

/* ---- what is written */

static void expect_refused(bh_status status, const char *cls)
{
	test_status(status, BH_E_ERASED);
	test_message_names(cls);
	test_message_names("--lift");
	test_check(strstr(bh_status_message(), "user7") == NULL);
}

/* Every way of writing a row, but for files. */
static void expect_kept_out(bh_db *db, bh_cf *cf, const char *cls)
{
	bh_batch *batch = NULL;
	char key[64];
	bh_view row = user_key(key, ERASED, 1);

	test_ok(bh_batch_new(db, &batch));
	expect_refused(bh_put(cf, NULL, row, view("v")), cls);
	expect_refused(bh_put(cf, &(bh_write_options){ .no_wal = true }, view("user7/"), view("v")), cls);
	expect_refused(bh_merge(cf, NULL, row, view("v")), cls);
	expect_refused(bh_batch_put(batch, cf, row, view("v")), cls);
	expect_refused(bh_batch_merge(batch, cf, row, view("v")), cls);
	test_check(bh_batch_count(batch) == 0);
	test_ok(bh_batch_delete(batch, cf, row));
	test_ok(bh_batch_delete_range(batch, cf, view("user7/"), view("user70")));
	test_ok(bh_batch_write(batch, NULL));
	bh_batch_free(batch);
	test_ok(bh_delete(cf, NULL, row));
	test_ok(bh_delete_range(cf, NULL, view("user7/"), view("user70")));
	test_check(count_user(cf, ERASED) == 0);
}

static void expect_let_in(bh_cf *cf)
{
	put_user(cf, ERASED, 1);
	test_check(count_user(cf, ERASED) == ROWS);
}

static void every_write(void *arg)
{
	stage s = stage_make(arg, plain_options());
	bh_cf *profile = test_cf(s.db, "a", "profile"), *b = test_cf(s.db, "b", "events");
	bh_erase_result result;

	put_all(s.a, 1);
	result = erase_whole(s.a, &suppressing);
	test_check(result.rows == ROWS && result.versions == 0);
	expect_kept_out(s.db, s.a, "'a/events'");
	expect_others(s.a, 1);
	put_all(profile, 1);
	put_all(b, 1);
	test_put(s.a, "user7", "shorter than the prefix");
	test_put(s.a, "user6/", "before it");
	test_put(s.a, "user70", "behind it");
	test_check(count_markers(s.a) == 1 && count_markers(profile) == 0 && count_markers(b) == 0);
	test_check(stage_count_log(&s, "\"erase.suppressed\"") == 1 && stage_count_log(&s, "user7") == 0);
	bh_cf_close(profile);
	bh_cf_close(b);
	stage_end(&s);
}

/* Of several lengths, with any bytes, one within the other, without an end. */
static void prefixes(void *arg)
{
	static const char *const kept_out[] = { "a", "a1", "\xff\xff", "user7/long/prefix", "\x01" };
	static const char *const refused[] = { "a",       "ab", "a1", "a12", "\xff\xff", "\xff\xff\xff\xff", "user7/long/prefix/x",
					       "\x01\x02" };
	static const char *const taken[] = { "b", "\xff", "user7/long/prefi", "user7/long/Prefix/x", "\x02", "" };
	stage s = stage_make(arg, NULL);

	test_put(s.a, "\xff\xff\xff", "the last");
	for (size_t i = 0; i < sizeof(kept_out) / sizeof(kept_out[0]); i++)
		test_ok(bh_erase_range(s.a, view(kept_out[i]), &suppressing, NULL));
	for (int opened = 0; opened < 2; opened++) {
		for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
			test_status(bh_put(s.a, NULL, view(refused[i]), view("v")), BH_E_ERASED);
		for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
			test_put(s.a, taken[i], "v");
		test_check(count_markers(s.a) == 5);
		stage_reopen(&s);
	}
	test_ok(bh_erase_unsuppress(s.a, view("a1")));
	test_status(bh_put(s.a, NULL, view("a12"), view("v")), BH_E_ERASED);
	test_ok(bh_erase_unsuppress(s.a, view("a")));
	test_put(s.a, "a12", "v");
	stage_end(&s);
}

/* What was recorded before counts when it is written, for all merchants of the batch together. */
static void batches(void *arg)
{
	stage s = stage_make(arg, plain_options());
	bh_cf *b = test_cf(s.db, "b", "events");
	bh_batch *batch = NULL, *innocent = NULL;
	char key[64];

	put_all(s.a, 1);
	test_ok(bh_batch_new(s.db, &batch));
	test_ok(bh_batch_new(s.db, &innocent));
	test_ok(bh_batch_put(batch, b, view("of-b"), view("v")));
	test_ok(bh_batch_delete_range(batch, b, view("x"), view("y")));
	test_ok(bh_batch_merge(batch, s.a, user_key(key, ERASED, 3), view("v")));
	test_ok(bh_batch_put(innocent, s.a, view("of-a"), view("v")));
	erase_whole(s.a, &suppressing);
	expect_refused(bh_batch_write(batch, NULL), "'a/events'");
	test_expect(b, "of-b", NULL);
	test_ok(bh_batch_write(innocent, NULL));
	test_expect(s.a, "of-a", "v");
	test_check(count_user(s.a, ERASED) == 0);
	test_ok(bh_erase_unsuppress(s.a, view("user7/")));
	test_ok(bh_batch_write(batch, NULL));
	test_expect(b, "of-b", "v");
	test_check(count_user(s.a, ERASED) == 1);
	bh_batch_free(batch);
	bh_batch_free(innocent);
	bh_cf_close(b);
	stage_end(&s);
}

/* ---- sorted files */

/* An SST of two rows, `key` and "zz", and a deletion under the prefix. */
static void write_sst(const stage *s, const char *path, const char *key)
{
	test_sst sst = test_sst_begin(bh_db_env(s->db), path);
	char *error = NULL;

	rocksdb_sstfilewriter_delete(sst.writer, "user7/000", 9, &error);
	test_rocks_ok(error);
	test_sst_put(&sst, key, "v");
	test_sst_put(&sst, "zz", "v");
	test_sst_end(&sst);
}

static void stage_path(bh_cf *cf, const char *name, char out[PATH_SIZE])
{
	bh_buf path = { 0 };

	test_ok(bh_staging_path(cf, name, &path));
	snprintf(out, PATH_SIZE, "%s", (const char *)path.data);
	bh_buf_clear(&path);
}

static void sorted_files(void *arg)
{
	stage s = stage_make(arg, plain_options());
	const bh_ingest_options move = { .move = true };
	char with[PATH_SIZE], without[PATH_SIZE];
	const char *both[] = { without, with };

	stage_path(s.a, "with.sst", with);
	stage_path(s.a, "without.sst", without);
	erase_whole(s.a, &suppressing);
	write_sst(&s, with, "user7/001");
	write_sst(&s, without, "user8/001");
	expect_refused(bh_ingest(s.a, &move, both, 2), "'a/events'");
	test_message_names("with.sst");
	test_expect(s.a, "zz", NULL);
	test_ok(bh_ingest(s.a, &move, both, 1));
	test_expect(s.a, "user8/001", "v");
	test_ok(bh_erase_unsuppress(s.a, view("user7/")));
	test_ok(bh_ingest(s.a, &move, both + 1, 1));
	test_expect(s.a, "user7/001", "v");
	stage_end(&s);
}

/* ---- writers that do not stop */

enum { LARGE = 8 << 20 }; /* RocksDB takes its time to copy such a value, after it was found that the row may be written */

typedef struct writer {
	stage *s;
	enum { PUTS, BATCHES, LARGE_PUTS } how;
	bh_view large;
} writer;

static bh_status write_one(const writer *w, bh_batch *batch, bh_view row)
{
	const bh_write_options no_wal = { .no_wal = true };

	if (w->how == PUTS)
		return bh_put(w->s->a, NULL, row, view("v7mark"));
	if (w->how == LARGE_PUTS)
		return bh_put(w->s->a, &no_wal, row, w->large);
	bh_batch_clear(batch);
	BH_TRY(bh_batch_put(batch, w->s->a, row, view("v7mark")));
	return bh_batch_write(batch, NULL);
}

/* Writes the user's rows until it is refused. */
static void *write_until_refused(void *arg)
{
	const writer *w = arg;
	bh_batch *batch = NULL;
	bh_status status = BH_OK;
	char key[64];

	test_ok(bh_batch_new(w->s->db, &batch));
	for (int i = 0; status == BH_OK; i++)
		status = write_one(w, batch, user_key(key, ERASED, i % ROWS));
	test_status(status, BH_E_ERASED);
	bh_batch_free(batch);
	return NULL;
}

/* None of the writes that were under way comes in behind the deletion: the scan finds nothing, not even anything newer. */
static void beside_writers(void *arg)
{
	static const writer writers[] = { { .how = PUTS }, { .how = BATCHES }, { .how = LARGE_PUTS } };
	enum { WRITERS = sizeof(writers) / sizeof(writers[0]), ROUNDS = 10 };
	stage s = stage_make(arg, plain_options());
	bh_view large = bh_view_of(calloc(1, LARGE), LARGE);
	pthread_t threads[WRITERS];
	writer running[WRITERS];
	bh_erase_result result;

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < WRITERS; i++) {
			running[i] = (writer){ .s = &s, .how = writers[i].how, .large = large };
			test_check(pthread_create(&threads[i], NULL, write_until_refused, &running[i]) == 0);
		}
		result = erase_whole(s.a, &suppressing);
		for (int i = 0; i < WRITERS; i++)
			pthread_join(threads[i], NULL);
		test_check(result.versions == 0);
		test_check(count_user(s.a, ERASED) == 0);
		test_ok(bh_erase_unsuppress(s.a, view("user7/")));
	}
	stage_reopen(&s);
	stage_expect_hits(&s, 0);
	free((void *)(uintptr_t)large.data);
	stage_end(&s);
}

/* ---- what a merchant goes through */

static void stays(void *arg)
{
	stage s = stage_make(arg, plain_options());

	put_all(s.a, 1);
	erase_whole(s.a, &suppressing);
	erase_whole(s.a, NULL); /* again, and this time nobody asks for it */
	test_ok(bh_merchant_suspend(s.db, "a", NULL));
	test_status(bh_erase_markers(s.a, count_marker, NULL), BH_E_SUSPENDED);
	test_ok(bh_merchant_resume(s.db, "a", NULL));
	expect_kept_out(s.db, s.a, "'a/events'");
	test_ok(bh_merchant_detach(s.db, "a", BH_SUSPEND_KMS_REFUSED, "its CMK is disabled"));
	stage_close(&s);
	s = stage_open(s.ws, s.options); /* which attaches it */
	expect_kept_out(s.db, s.a, "'a/events'");
	test_ok(bh_merchant_rotate(s.db, "a", NULL));
	test_ok(bh_merchant_sweep(s.db, "a", NULL));
	test_check(stage_count_log(&s, "dek.retired") > 0);
	expect_kept_out(s.db, s.a, "'a/events'");
	stage_reopen(&s);
	expect_kept_out(s.db, s.a, "'a/events'");
	expect_others(s.a, 1);
	test_check(count_markers(s.a) == 1);
	stage_end(&s);
}

static void lifted(void *arg)
{
	stage s = stage_make(arg, NULL);

	test_status(bh_erase_unsuppress(s.a, view("user7/")), BH_E_NOT_FOUND);
	erase_whole(s.a, &suppressing);
	test_status(bh_erase_unsuppress(s.a, view("user7")), BH_E_NOT_FOUND);
	test_status(bh_erase_unsuppress(s.a, (bh_view){ 0 }), BH_E_NOT_FOUND);
	expect_kept_out(s.db, s.a, "'a/events'");
	test_check(stage_count_log(&s, "\"erase.lifted\"") == 0);
	test_ok(bh_erase_unsuppress(s.a, view("user7/")));
	expect_let_in(s.a);
	stage_reopen(&s);
	expect_let_in(s.a);
	test_check(count_markers(s.a) == 0 && stage_count_log(&s, "\"erase.lifted\"") == 1);
	stage_end(&s);
}

/* How many records of erasures the platform's family has; of one kind, or 0. The key and value of the last one are copied. */
static size_t erasure_records(const stage *s, char kind, bh_buf *key_out, bh_buf *value_out)
{
	rocksdb_iterator_t *iter = rocksdb_create_iterator_cf(s->db->rocks, s->db->read, s->db->default_cf);
	const char prefix[] = "\0bulkhead/1/erase/";
	const size_t prefix_len = sizeof(prefix) - 1;
	size_t count = 0, len, value_len;

	for (rocksdb_iter_seek(iter, prefix, prefix_len); rocksdb_iter_valid(iter); rocksdb_iter_next(iter)) {
		const char *key = rocksdb_iter_key(iter, &len), *value = rocksdb_iter_value(iter, &value_len);

		if (len <= prefix_len || memcmp(key, prefix, prefix_len) != 0)
			break;
		if (kind != 0 && key[prefix_len] != kind)
			continue;
		count++;
		if (key_out == NULL)
			continue;
		key_out->len = value_out->len = 0;
		test_ok(bh_buf_append(key_out, key, len));
		test_ok(bh_buf_append(value_out, value, value_len));
	}
	rocksdb_iter_destroy(iter);
	return count;
}

/* Who comes by that name later starts anew, and nothing is left of who was there. */
static void ends_with_the_merchant(void *arg)
{
	stage s = stage_make(arg, NULL);
	char uri[PATH_SIZE];
	static const char *const classes[] = { "events" };
	const bh_merchant_options options = { .classes = classes, .class_count = 1 };

	erase_whole(s.a, &suppressing);
	test_check(erasure_records(&s, 'm', NULL, NULL) == 1 && erasure_records(&s, 0, NULL, NULL) == 2);
	test_ok(bh_merchant_shred(s.db, "a", NULL));
	test_check(erasure_records(&s, 0, NULL, NULL) == 0);
	snprintf(uri, sizeof(uri), "%s", test_cmk(s.ws, "a2"));
	test_ok(bh_merchant_add(s.db, "a", uri, &options));
	bh_cf_close(s.a);
	s.a = test_cf(s.db, "a", "events");
	expect_let_in(s.a);
	stage_end(&s);
}

/* ---- markers that cannot be read */

static void expect_no_writes(stage *s, bh_status status)
{
	bh_cf *profile = test_cf(s->db, "a", "profile"), *b = test_cf(s->db, "b", "events");
	bh_batch *batch = NULL;

	test_status(bh_put(s->a, NULL, view("any"), view("v")), status);
	test_message_names("'a/events'");
	test_message_names("markers of erased prefixes cannot be read");
	test_ok(bh_batch_new(s->db, &batch));
	test_status(bh_batch_put(batch, s->a, view("any"), view("v")), status);
	bh_batch_free(batch);
	test_status(bh_erase_range(s->a, view("user8/"), &suppressing, NULL), status);
	test_expect(s->a, "k1", "a1");
	test_ok(bh_delete(s->a, NULL, view("any")));
	test_put(profile, "any", "v");
	test_put(b, "any", "v");
	bh_cf_close(profile);
	bh_cf_close(b);
}

/* Puts `value`; one without bytes removes what is there. */
static void put_record(const stage *s, const bh_buf *key, bh_view value)
{
	char *error = NULL;

	if (value.len > 0)
		rocksdb_put_cf(s->db->rocks, s->db->write_sync, s->db->default_cf, (const char *)key->data, key->len,
			       (const char *)value.data, value.len, &error);
	else
		rocksdb_delete_cf(s->db->rocks, s->db->write_sync, s->db->default_cf, (const char *)key->data, key->len, &error);
	test_rocks_ok(error);
}

/* A record of the kind is something else when the database is opened, and then what it was before. */
static void expect_unreadable(stage *s, char kind, bh_view value, bh_status status)
{
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf before = { 0 };

	test_check(erasure_records(s, kind, &key, &before) == 1);
	put_record(s, &key, value);
	stage_reopen(s);
	expect_no_writes(s, status);
	test_ok(bh_merchant_suspend(s->db, "a", NULL));
	test_ok(bh_merchant_resume(s->db, "a", NULL));
	expect_no_writes(s, status);
	put_record(s, &key, bh_buf_view(&before));
	stage_reopen(s);
	expect_kept_out(s->db, s->a, "'a/events'");
	test_put(s->a, "any", "v");
}

static void unreadable(void *arg)
{
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf value = { 0 };
	stage s = stage_make(arg, NULL);

	erase_whole(s.a, &suppressing);
	expect_unreadable(&s, 'm', view("\x01 short"), BH_E_FORMAT);
	expect_unreadable(&s, 'm', view("\x02 and 12 more"), BH_E_VERSION);
	expect_unreadable(&s, 's', view("\x01 short"), BH_E_FORMAT);
	expect_unreadable(&s, 's', (bh_view){ 0 }, BH_E_FORMAT);
	test_check(erasure_records(&s, 's', &key, &value) == 1);
	value.data[value.len - 1] ^= 1;
	expect_unreadable(&s, 's', bh_buf_view(&value), BH_E_TAG);
	value.data[value.len - 1] ^= 1;
	value.data[1] ^= 1;
	expect_unreadable(&s, 's', bh_buf_view(&value), BH_E_NO_KEY);
	stage_end(&s);
}

/* ---- kills */

static void make_rows(void *arg)
{
	stage s = stage_make(arg, plain_options());

	put_all(s.a, 1);
	stage_end(&s);
}

static void suppress_killed(void *arg)
{
	stage s = stage_open(arg, plain_options());

	bh_crash_arm("erase.suppressed");
	erase_whole(s.a, &suppressing);
}

/* The rows are all there, and nothing more comes. */
static void expect_marked(void *arg)
{
	stage s = stage_open(arg, plain_options());

	test_check(count_user(s.a, ERASED) == ROWS && count_markers(s.a) == 1 && stage_count_notes(&s) == 1);
	expect_refused(bh_put(s.a, NULL, view("user7/"), view("v")), "'a/events'");
	erase_whole(s.a, NULL);
	expect_kept_out(s.db, s.a, "'a/events'");
	stage_end(&s);
}

static void lift_killed(void *arg)
{
	stage s = stage_open(arg, plain_options());

	bh_crash_arm("erase.lifted");
	test_ok(bh_erase_unsuppress(s.a, view("user7/")));
}

static void expect_lifted(void *arg)
{
	stage s = stage_open(arg, plain_options());

	test_check(count_markers(s.a) == 0 && stage_count_log(&s, "\"erase.lifted\"") == 1);
	expect_let_in(s.a);
	expect_others(s.a, 1);
	stage_end(&s);
}

static void test_killed(void **state)
{
	test_child_ok(make_rows, *state);
	test_child_killed(suppress_killed, *state);
	test_child_ok(expect_marked, *state);
	test_child_killed(lift_killed, *state);
	test_child_ok(expect_lifted, *state);
}

/* ---- */

#define IN_A_CHILD(body)                                                                                                           \
	static void test_##body(void **state)                                                                                      \
	{                                                                                                                          \
		test_child_ok(body, *state);                                                                                       \
	}

IN_A_CHILD(every_write)
IN_A_CHILD(prefixes)
IN_A_CHILD(batches)
IN_A_CHILD(sorted_files)
IN_A_CHILD(beside_writers)
IN_A_CHILD(stays)
IN_A_CHILD(lifted)
IN_A_CHILD(ends_with_the_merchant)
IN_A_CHILD(unreadable)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(test_every_write),    SUSPEND_CASE(test_prefixes),
		SUSPEND_CASE(test_batches),        SUSPEND_CASE(test_sorted_files),
		SUSPEND_CASE(test_beside_writers), SUSPEND_CASE(test_stays),
		SUSPEND_CASE(test_lifted),         SUSPEND_CASE(test_ends_with_the_merchant),
		SUSPEND_CASE(test_unreadable),     SUSPEND_CASE(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
