/* SPDX-License-Identifier: Apache-2.0
 *
 * test_messages.c: what bh_status_message() says is of the last call and of no earlier one. A server's thread serves one merchant
 * after the other: before every call here the message is that of merchant A, who is suspended for a reason that is nobody else's
 * business. Every public call that returns a status is made, once to go well and once to fail; the headers say which there are.
 */
#include <bulkhead/bulkhead.h>
#include <bulkhead/env.h>
#include <bulkhead/erase.h>
#include <bulkhead/report.h>
#include <bulkhead/rotation.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/harness.h"

static const char *const one_class[] = { "events" };
static const bh_merchant_options with_one_class = { one_class, 1 };

/* What the calls are made with. A is suspended; the calls are about B. */
typedef struct stage {
	const workspace *ws;
	bh_db *db;
	bh_cf *a, *b;
	bh_batch *batch, *of_a;
	bh_iter *iter, *ended; /* of B; of A */
	bh_kms *kms, *disabled;
	bh_buf value, certificate;
} stage;

static bh_status each_marker(void *arg, const bh_erase_marker *marker)
{
	(void)arg;
	(void)marker;
	return BH_OK;
}

static bh_status each_key(void *arg, const bh_kms_key_info *info)
{
	(void)arg;
	(void)info;
	return BH_OK;
}

static const char *below(const stage *s, const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", s->ws->root, name);
	return path;
}

/* A sorted file for B. */
static const char *staged(const stage *s)
{
	static char path[4096];
	bh_buf place = { 0 };
	test_sst sst;

	test_ok(bh_staging_path(s->b, "import.sst", &place));
	snprintf(path, sizeof(path), "%s", (const char *)place.data);
	bh_buf_clear(&place);
	remove(path);
	sst = test_sst_begin(bh_db_env(s->db), path);
	test_sst_put(&sst, "ingested", "x");
	test_sst_end(&sst);
	return path;
}

static bh_status place(const stage *s, bool good)
{
	bh_buf path = { 0 };
	bh_status status = bh_staging_path(good ? s->b : s->a, "import.sst", &path);

	bh_buf_clear(&path);
	return status;
}

static bh_status ingest(const stage *s, bool good)
{
	const char *path = good ? staged(s) : below(s, "staging/a/events/import.sst");

	return bh_ingest(s->b, NULL, &path, 1);
}

static bh_status multi_get(const stage *s, bool good)
{
	const bh_view keys[] = { bh_view_str("k1"), bh_view_str("no such row") };
	bh_buf values[2] = { 0 };
	bh_status found[2], status = bh_multi_get(good ? s->b : s->a, NULL, 2, keys, values, found);

	bh_buf_clear(&values[0]);
	return status;
}

static bh_status open_class(const stage *s, const char *merchant, const char *cls)
{
	bh_cf *cf = NULL;
	bh_status status = bh_cf_open(s->db, merchant, cls, &cf);

	bh_cf_close(cf);
	return status;
}

static bh_status new_batch(const stage *s)
{
	bh_batch *batch = NULL;
	bh_status status = bh_batch_new(s->db, &batch);

	bh_batch_free(batch);
	return status;
}

static bh_status new_iter(bh_cf *cf)
{
	bh_iter *iter = NULL;
	bh_status status = bh_iter_new(cf, NULL, &iter);

	bh_iter_free(iter);
	return status;
}

static bh_status new_snapshot(const stage *s)
{
	bh_snapshot *snapshot = NULL;
	bh_status status = bh_snapshot_new(s->db, &snapshot);

	bh_snapshot_free(snapshot);
	return status;
}

static bh_status report(const stage *s)
{
	bh_db_report *made = NULL;
	bh_status status = bh_db_status(s->db, &made);

	bh_db_report_free(made);
	return status;
}

static bh_status generations(const stage *s, const char *merchant)
{
	bh_generation *found = NULL;
	size_t count;
	bh_status status = bh_merchant_generations(s->db, merchant, &found, &count);

	free(found);
	return status;
}

static bh_status erase(const stage *s, bh_view prefix)
{
	bh_erase_result result = { 0 };
	bh_status status = bh_erase_range(s->b, prefix, &(bh_erase_options){ .suppress = true }, &result);

	bh_erase_result_clear(&result);
	return status;
}

static bh_status kms_open(const stage *s, const char *key)
{
	bh_kms *kms = NULL;
	bh_status status = bh_kms_open(workspace_cmk(s->ws, key), NULL, &kms);

	bh_kms_close(kms);
	return status;
}

static bh_status check_options(bool good)
{
	rocksdb_options_t *options = rocksdb_options_create();
	bh_status status;

	if (!good)
		rocksdb_options_set_allow_mmap_reads(options, 1);
	status = bh_options_check(options);
	rocksdb_options_destroy(options);
	return status;
}

static bh_status use_class(const stage *s, const char *cls)
{
	rocksdb_options_t *options = rocksdb_options_create();
	bh_status status = bh_options_use_class(options, s->ws->root, "m", cls);

	rocksdb_options_destroy(options);
	return status;
}

static bh_status make_and_open(const stage *s, bool good)
{
	bh_db *db = NULL;
	bh_status status = bh_db_create(below(s, good ? "other" : "no/such/place"), "eu-1", test_cmk(s->ws, "other"), NULL);

	if (status == BH_OK) {
		test_ok(bh_db_open(below(s, "other"), NULL, &db));
		bh_db_close(db);
	}
	return status;
}

static bh_status open_db(const stage *s, const char *name)
{
	bh_db *db = NULL;
	bh_status status = bh_db_open(below(s, name), NULL, &db);

	bh_db_close(db);
	return status;
}

static bh_status env_create(const stage *s, const char *name)
{
	rocksdb_env_t *env = NULL;
	bh_status status = bh_env_create(below(s, name), NULL, &env);

	if (env != NULL)
		rocksdb_env_destroy(env);
	return status;
}

static bh_status rotate_key(const stage *s, bool good)
{
	uint32_t version;

	return bh_kms_rotate(good ? s->kms : s->disabled, &version);
}

static bh_status describe(bh_kms *kms)
{
	bh_kms_key_info info;

	return bh_kms_describe(kms, &info);
}

static bh_view v(const char *text)
{
	return bh_view_str(text);
}

static bh_status with_rows_of_b(stage *s)
{
	bh_batch_clear(s->batch);
	test_ok(bh_batch_put(s->batch, s->b, v("batched"), v("x")));
	(void)!bh_get(s->a, NULL, v("k1"), &s->value); /* the message is A's again */
	return bh_batch_write(s->batch, NULL);
}

/* A row: the call; `good` false asks for it to fail. Rows are made in this order. What cannot be made to fail here goes well twice.
 */
typedef struct call {
	const char *name;
	bh_status (*make)(stage *s, bool good);
} call;

#define CALL(fn, expression)                                                                                                       \
	static bh_status call_##fn(stage *s, bool good)                                                                            \
	{                                                                                                                          \
		(void)s;                                                                                                           \
		(void)good;                                                                                                        \
		return (expression);                                                                                               \
	}

CALL(bh_put, bh_put(good ? s->b : s->a, NULL, v("k"), v("v")))
CALL(bh_merge, bh_merge(s->b, good ? NULL : &(bh_write_options){ true, true }, v("merged"), v("v")))
CALL(bh_delete, bh_delete(good ? s->b : s->a, NULL, v("k")))
CALL(bh_delete_range, bh_delete_range(s->b, good ? NULL : &(bh_write_options){ true, true }, v("x"), v("y")))
CALL(bh_get, bh_get(s->b, NULL, v(good ? "k1" : "no such row"), &s->value))
CALL(bh_multi_get, multi_get(s, good))
CALL(bh_batch_new, new_batch(s))
CALL(bh_batch_put, bh_batch_put(s->batch, good ? s->b : s->a, v("k"), v("v")))
CALL(bh_batch_merge, bh_batch_merge(s->batch, good ? s->b : s->a, v("k"), v("v")))
CALL(bh_batch_delete, bh_batch_delete(s->batch, good ? s->b : s->a, v("k")))
CALL(bh_batch_delete_range, bh_batch_delete_range(s->batch, good ? s->b : s->a, v("x"), v("y")))
CALL(bh_batch_write, good ? with_rows_of_b(s) : bh_batch_write(s->batch, &(bh_write_options){ true, true }))
CALL(bh_iter_new, new_iter(good ? s->b : s->a))
CALL(bh_iter_seek, bh_iter_seek(good ? s->iter : s->ended, v("k")))
CALL(bh_iter_seek_for_prev, bh_iter_seek_for_prev(good ? s->iter : s->ended, v("k")))
CALL(bh_iter_last, bh_iter_last(good ? s->iter : s->ended))
CALL(bh_iter_prev, bh_iter_prev(good ? s->iter : s->ended))
CALL(bh_iter_next, bh_iter_next(good ? s->iter : s->ended))
CALL(bh_iter_first, bh_iter_first(good ? s->iter : s->ended))
CALL(bh_iter_entry, bh_iter_entry(good ? s->iter : s->ended, &(bh_view){ 0 }, NULL))
CALL(bh_snapshot_new, new_snapshot(s))
CALL(bh_ingest, ingest(s, good))
CALL(bh_staging_path, place(s, good))
CALL(bh_flush, bh_flush(good ? s->b : s->a))
CALL(bh_compact, bh_compact(good ? s->b : s->a, v(""), v("")))
CALL(bh_sync_wal, bh_sync_wal(s->db))
CALL(bh_cf_open, open_class(s, "b", good ? "events" : "none"))
CALL(bh_merchant_add, bh_merchant_add(s->db, good ? "c" : "b", test_cmk(s->ws, "c"), &with_one_class))
CALL(bh_merchant_suspend, bh_merchant_suspend(s->db, good ? "c" : "nobody", NULL))
CALL(bh_merchant_resume, bh_merchant_resume(s->db, "c", NULL))
CALL(bh_merchant_rotate, bh_merchant_rotate(s->db, good ? "b" : "nobody", NULL))
CALL(bh_merchant_rewrap, bh_merchant_rewrap(s->db, good ? "b" : "nobody", NULL, NULL))
CALL(bh_merchant_sweep, bh_merchant_sweep(s->db, good ? "b" : "nobody", NULL))
CALL(bh_merchant_generations, generations(s, good ? "b" : "nobody"))
CALL(bh_merchant_shred, bh_merchant_shred(s->db, "c", &s->certificate))
CALL(bh_merchant_certificate, bh_merchant_certificate(s->db, good ? "c" : "b", &s->value))
CALL(bh_merchant_shred_finalize, bh_merchant_shred_finalize(s->db, good ? "c" : "nobody", NULL))
CALL(bh_certificate_verify, bh_certificate_verify(good ? bh_buf_view(&s->certificate) : v("{}"), NULL, NULL))
CALL(bh_erase_range, erase(s, v(good ? "user:1" : "")))
CALL(bh_erase_markers, bh_erase_markers(good ? s->b : s->a, each_marker, NULL))
CALL(bh_erase_unsuppress, bh_erase_unsuppress(s->b, v("user:1")))
CALL(bh_db_status, report(s))
CALL(bh_db_pin, bh_db_pin(s->db, (char[BH_PIN_SIZE]){ 0 }))
CALL(bh_db_adopt, bh_db_adopt(s->db))
CALL(bh_db_audit_archive, bh_db_audit_archive(s->db, good ? s->ws->root : below(s, "no/such/place"), &(bh_audit_archived){ 0 }))
CALL(bh_db_metrics, bh_db_metrics(s->db, &s->value))
CALL(bh_db_metrics_write, bh_db_metrics_write(s->db, below(s, good ? "metrics" : "no/such/place")))
CALL(bh_db_create, make_and_open(s, good))
CALL(bh_db_open, open_db(s, good ? "other" : "nowhere"))
CALL(bh_env_create, env_create(s, good ? "other" : "nowhere"))
CALL(bh_options_check, check_options(good))
CALL(bh_options_use_class, use_class(s, good ? "c" : "../c"))
CALL(bh_status_of_rocksdb, bh_status_of_rocksdb(good ? NULL : strdup("Corruption: b's block")))
CALL(bh_kms_create, bh_kms_create(workspace_cmk(s->ws, "made"), "eu-1", NULL))
CALL(bh_kms_open, kms_open(s, good ? "made" : "none"))
CALL(bh_kms_describe, describe(s->kms))
CALL(bh_kms_list, bh_kms_list(good ? workspace_cmk(s->ws, "b") : "what:ever#b", NULL, each_key, NULL))
CALL(bh_kms_rotate, rotate_key(s, good))
CALL(bh_kms_disable, bh_kms_disable(s->kms))
CALL(bh_kms_enable, bh_kms_enable(s->kms))
CALL(bh_kms_destroy, bh_kms_destroy(s->kms, NULL))

#define ROW(fn)                                                                                                                    \
	{                                                                                                                          \
#fn, call_##fn                                                                                                     \
	}
static const call calls[] = {
	ROW(bh_put),
	ROW(bh_merge),
	ROW(bh_delete),
	ROW(bh_delete_range),
	ROW(bh_get),
	ROW(bh_multi_get),
	ROW(bh_batch_new),
	ROW(bh_batch_put),
	ROW(bh_batch_merge),
	ROW(bh_batch_delete),
	ROW(bh_batch_delete_range),
	ROW(bh_batch_write),
	ROW(bh_iter_new),
	ROW(bh_iter_seek),
	ROW(bh_iter_seek_for_prev),
	ROW(bh_iter_last),
	ROW(bh_iter_prev),
	ROW(bh_iter_next),
	ROW(bh_iter_first),
	ROW(bh_iter_entry),
	ROW(bh_snapshot_new),
	ROW(bh_ingest),
	ROW(bh_staging_path),
	ROW(bh_flush),
	ROW(bh_compact),
	ROW(bh_sync_wal),
	ROW(bh_cf_open),
	ROW(bh_merchant_add),
	ROW(bh_merchant_suspend),
	ROW(bh_merchant_resume),
	ROW(bh_merchant_rotate),
	ROW(bh_merchant_rewrap),
	ROW(bh_merchant_sweep),
	ROW(bh_merchant_generations),
	ROW(bh_merchant_shred),
	ROW(bh_merchant_certificate),
	ROW(bh_merchant_shred_finalize),
	ROW(bh_certificate_verify),
	ROW(bh_erase_range),
	ROW(bh_erase_markers),
	ROW(bh_erase_unsuppress),
	ROW(bh_db_status),
	ROW(bh_db_pin),
	ROW(bh_db_adopt),
	ROW(bh_db_audit_archive),
	ROW(bh_db_metrics),
	ROW(bh_db_metrics_write),
	ROW(bh_db_create),
	ROW(bh_db_open),
	ROW(bh_env_create),
	ROW(bh_options_check),
	ROW(bh_options_use_class),
	ROW(bh_status_of_rocksdb),
	ROW(bh_kms_create),
	ROW(bh_kms_open),
	ROW(bh_kms_describe),
	ROW(bh_kms_list),
	ROW(bh_kms_rotate),
	ROW(bh_kms_disable),
	ROW(bh_kms_enable),
	ROW(bh_kms_destroy),
};
#define CALL_COUNT (sizeof(calls) / sizeof(calls[0]))

/* ---- the test */

static void expect_own_message(const call *c, const stage *s, bh_status status)
{
	const char *message = bh_status_message();

	(void)s;
	if (status == BH_OK ? message[0] == '\0' : message[0] != '\0' && strstr(message, "unpaid invoice") == NULL)
		return;
	test_fail_at(__FILE__, __LINE__, "%s: %s, and the message is \"%s\"", c->name, bh_status_name(status), message);
}

/* The message from before is one that nobody but A may be told; then the call. */
static bh_status make_call(const call *c, stage *s, bool good)
{
	bh_status status;

	test_status(bh_get(s->a, NULL, v("k1"), &s->value), BH_E_SUSPENDED);
	(void)!bh_fail(BH_E_SUSPENDED, "merchant 'a': unpaid invoice 17");
	status = c->make(s, good);
	expect_own_message(c, s, status);
	return status;
}

static void set_stage(stage *s)
{
	rocksdb_options_t *options = rocksdb_options_create();
	const bh_suspend_options why = { .reason = "unpaid invoice 17", .operator_name = "eve" };

	rocksdb_options_set_merge_operator(options, test_append_operator());
	test_db_create(s->ws, options);
	s->db = test_db_open(s->ws, options);
	test_merchant_add(s->ws, s->db, "a", "events", NULL);
	test_merchant_add(s->ws, s->db, "b", "events", NULL);
	s->a = test_cf(s->db, "a", "events");
	s->b = test_cf(s->db, "b", "events");
	test_put(s->a, "k1", "a1");
	test_put(s->b, "k1", "b1");
	test_put(s->b, "k2", "b2");
	test_ok(bh_batch_new(s->db, &s->batch));
	test_ok(bh_iter_new(s->a, NULL, &s->ended));
	test_ok(bh_iter_new(s->b, NULL, &s->iter));
	test_ok(bh_kms_open(test_cmk(s->ws, "console"), NULL, &s->kms));
	test_ok(bh_kms_open(test_cmk(s->ws, "gone"), NULL, &s->disabled));
	test_ok(bh_kms_destroy(s->disabled, NULL));
	test_ok(bh_merchant_suspend(s->db, "a", &why));
	rocksdb_options_destroy(options);
}

static void strike_stage(stage *s)
{
	bh_iter_free(s->iter);
	bh_iter_free(s->ended);
	bh_batch_free(s->batch);
	bh_cf_close(s->a);
	bh_cf_close(s->b);
	bh_kms_close(s->kms);
	bh_kms_close(s->disabled);
	bh_buf_clear(&s->value);
	bh_buf_clear(&s->certificate);
	bh_db_close(s->db);
}

static void make_all_calls(void *arg)
{
	stage s = { .ws = arg };
	size_t went_well = 0;

	set_stage(&s);
	for (size_t i = 0; i < CALL_COUNT; i++) {
		if (make_call(&calls[i], &s, true) == BH_OK)
			went_well++;
		else
			test_fail_at(__FILE__, __LINE__, "%s: %s", calls[i].name, bh_status_message());
		(void)!make_call(&calls[i], &s, false);
	}
	test_check(went_well == CALL_COUNT);
	strike_stage(&s);
}

static void no_message_outlives_its_call(void **state)
{
	test_child_ok(make_all_calls, *state);
}

/* What a caller does between a failure and the look at it changes no message. */
static void keep_over_closing(void *arg)
{
	stage s = { .ws = arg };

	set_stage(&s);
	test_status(bh_get(s.a, NULL, v("k1"), &s.value), BH_E_SUSPENDED);
	strike_stage(&s);
	test_message_names("merchant 'a' is suspended");
}

static void closing_keeps_the_message(void **state)
{
	test_child_ok(keep_over_closing, *state);
}

/* ---- absent things have codes of their own */

static void look_for_absent_things(void *arg)
{
	stage s = { .ws = arg };
	const bh_view keys[] = { v("k1"), v("no such row") };
	bh_buf values[2] = { 0 };
	bh_status found[2];

	set_stage(&s);
	test_status(bh_get(s.b, NULL, v("no such row"), &s.value), BH_E_NO_SUCH_KEY);
	test_message_names("no such key");
	test_ok(bh_multi_get(s.b, NULL, 2, keys, values, found));
	test_check(found[0] == BH_OK && found[1] == BH_E_NO_SUCH_KEY);
	bh_buf_clear(&values[0]);
	test_status(open_class(&s, "nobody", "events"), BH_E_NO_SUCH_MERCHANT);
	test_message_names("nobody");
	test_status(open_class(&s, "b", "nothing"), BH_E_NO_SUCH_CLASS);
	test_message_names("nothing");
	test_status(bh_merchant_suspend(s.db, "nobody", NULL), BH_E_NO_SUCH_MERCHANT);
	test_status(bh_merchant_resume(s.db, "nobody", NULL), BH_E_NO_SUCH_MERCHANT);
	test_status(bh_merchant_shred(s.db, "nobody", NULL), BH_E_NO_SUCH_MERCHANT);
	test_status(bh_merchant_rewrap(s.db, "nobody", NULL, NULL), BH_E_NO_SUCH_MERCHANT);
	test_status(bh_merchant_sweep(s.db, "nobody", NULL), BH_E_NO_SUCH_MERCHANT);
	test_status(bh_merchant_certificate(s.db, "nobody", &s.value), BH_E_NO_SUCH_MERCHANT);
	strike_stage(&s);
}

static void absent_things_have_codes_of_their_own(void **state)
{
	test_child_ok(look_for_absent_things, *state);
}

/* ---- the list of calls is whole */

static bool is_called(const char *name, size_t len)
{
	for (size_t i = 0; i < CALL_COUNT; i++)
		if (strlen(calls[i].name) == len && strncmp(calls[i].name, name, len) == 0)
			return true;
	return false;
}

/* Every declaration "BH_API ... bh_status NAME(" of a public header. */
static size_t check_header(const char *path)
{
	static const char declared[] = "BH_API BH_MUST_CHECK bh_status ";
	char line[1024];
	size_t count = 0;
	FILE *file = fopen(path, "r");

	test_check(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL) {
		const char *name = line + strlen(declared);

		if (strncmp(line, declared, strlen(declared)) != 0)
			continue;
		count++;
		if (!is_called(name, strcspn(name, "(")))
			test_fail_at(__FILE__, __LINE__, "%s: %.*s is not tried here", path, (int)strcspn(name, "("), name);
	}
	fclose(file);
	return count;
}

static void every_public_call_is_tried(void **state)
{
	static const char *const headers[] = {
		"keyring/include/bulkhead/kms.h",        "env/include/bulkhead/env.h",      "engine/include/bulkhead/db.h",
		"engine/include/bulkhead/certificate.h", "engine/include/bulkhead/erase.h", "engine/include/bulkhead/report.h",
		"engine/include/bulkhead/rotation.h",
	};
	char path[4096];
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", BH_SOURCE_DIR, headers[i]);
		count += check_header(path);
	}
	assert_int_equal(count, CALL_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_message_outlives_its_call, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(closing_keeps_the_message, test_workspace_make, test_workspace_drop),
		cmocka_unit_test_setup_teardown(absent_things_have_codes_of_their_own, test_workspace_make, test_workspace_drop),
		cmocka_unit_test(every_public_call_is_tried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
