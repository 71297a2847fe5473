/* SPDX-License-Identifier: Apache-2.0
 *
 * test_gate_everywhere.c: a merchant that is off is refused by every call there is, on whatever was open before, with the status
 * that says why it is off and a message that names it: suspended, KMS refused, unreachable, wrong answer, shredded. The other one
 * is served by each of them.
 */
#include "engine/core/merchant.h"
#include "tests/support/harness.h"
#include "engine/wall/detach.h"

#include <unistd.h>

#include <bulkhead/erase.h>
#include <bulkhead/rotation.h>

/* Everything of one merchant that a program can have in its hands. */
typedef struct hands {
	bh_db *db;
	const char *name;
	bh_cf *cf;
	bh_iter *iter;   /* on an entry */
	bh_batch *batch; /* with a write in it */
	bh_snapshot *before;
	char sst[PATH_SIZE]; /* made for the class */
	bh_buf value;
} hands;

/* ---- the calls */

#define KEY bh_view_str("k1")

static bh_status call_put(hands *h)
{
	return bh_put(h->cf, NULL, KEY, bh_view_str("v"));
}

static bh_status call_put_synced(hands *h)
{
	return bh_put(h->cf, &(bh_write_options){ .sync = true }, KEY, bh_view_str("v"));
}

static bh_status call_merge(hands *h)
{
	return bh_merge(h->cf, NULL, bh_view_str("merged"), bh_view_str("v"));
}

static bh_status call_delete(hands *h)
{
	return bh_delete(h->cf, NULL, bh_view_str("none"));
}

static bh_status call_delete_range(hands *h)
{
	return bh_delete_range(h->cf, NULL, bh_view_str("x"), bh_view_str("y"));
}

static bh_status call_get(hands *h)
{
	return bh_get(h->cf, NULL, KEY, &h->value);
}

static bh_status call_get_as_of_before(hands *h)
{
	return bh_get(h->cf, &(bh_read_options){ .snapshot = h->before }, KEY, &h->value);
}

static bh_status call_multi_get(hands *h)
{
	const bh_view keys[] = { bh_view_str("k1"), bh_view_str("k2") };
	bh_buf values[2] = { { 0 }, { 0 } };
	bh_status each[2], status = bh_multi_get(h->cf, NULL, 2, keys, values, each);

	test_check(status == BH_OK || (values[0].data == NULL && values[1].data == NULL));
	bh_buf_clear(&values[0]);
	bh_buf_clear(&values[1]);
	return status;
}

static bh_status call_batch_of_before(hands *h)
{
	return bh_batch_write(h->batch, NULL);
}

static bh_status call_batch(hands *h)
{
	bh_batch *batch = NULL;

	test_ok(bh_batch_new(h->db, &batch));
	bh_status status = bh_batch_put(batch, h->cf, KEY, bh_view_str("v"));
	if (status == BH_OK)
		status = bh_batch_write(batch, NULL);
	bh_batch_free(batch);
	return status;
}

static bh_status call_iterator(hands *h)
{
	bh_iter *iter = NULL;

	bh_status status = bh_iter_new(h->cf, NULL, &iter);
	if (status == BH_OK)
		status = bh_iter_first(iter);
	bh_iter_free(iter);
	return status;
}

/* Its own copy of the entry it stood on goes, too. */
static bh_status call_entry(hands *h)
{
	bh_view key, value;

	return bh_iter_entry(h->iter, &key, &value);
}

static bh_status call_next(hands *h)
{
	return bh_iter_next(h->iter);
}

static bh_status call_prev(hands *h)
{
	return bh_iter_prev(h->iter);
}

static bh_status call_first(hands *h)
{
	return bh_iter_first(h->iter);
}

static bh_status call_last(hands *h)
{
	return bh_iter_last(h->iter);
}

static bh_status call_seek(hands *h)
{
	return bh_iter_seek(h->iter, KEY);
}

static bh_status call_seek_for_prev(hands *h)
{
	return bh_iter_seek_for_prev(h->iter, KEY);
}

static bh_status call_flush(hands *h)
{
	return bh_flush(h->cf);
}

static bh_status call_compact(hands *h)
{
	return bh_compact(h->cf, (bh_view){ 0 }, (bh_view){ 0 });
}

static bh_status call_ingest(hands *h)
{
	const char *path = h->sst;

	return bh_ingest(h->cf, NULL, &path, 1);
}

/* An erasure is refused while a snapshot is older. */
static bh_status call_erase(hands *h)
{
	bh_erase_result result = { 0 };

	bh_snapshot_free(h->before);
	h->before = NULL;

	bh_status status = bh_erase_range(h->cf, bh_view_str("none"), NULL, &result);
	bh_erase_result_clear(&result);
	return status;
}

static bh_status call_rotate(hands *h)
{
	return bh_merchant_rotate(h->db, h->name, NULL);
}

static bh_status call_sweep(hands *h)
{
	return bh_merchant_sweep(h->db, h->name, NULL);
}

static bh_status call_open_class(hands *h)
{
	bh_cf *cf = NULL;

	bh_status status = bh_cf_open(h->db, h->name, "events", &cf);
	bh_cf_close(cf);
	return status;
}

#define CALL(name)                                                                                                                 \
	{                                                                                                                          \
#name, call_##name                                                                                                 \
	}
/* The order is one in which each succeeds for who is served: the iterator stands on its one entry where it is looked at. */
static const struct {
	const char *name;
	bh_status (*call)(hands *h);
} calls[] = {
	CALL(entry),
	CALL(put),
	CALL(put_synced),
	CALL(merge),
	CALL(delete),
	CALL(delete_range),
	CALL(get),
	CALL(multi_get),
	CALL(get_as_of_before),
	CALL(batch),
	CALL(batch_of_before),
	CALL(iterator),
	CALL(first),
	CALL(next),
	CALL(last),
	CALL(prev),
	CALL(seek),
	CALL(seek_for_prev),
	CALL(flush),
	CALL(compact),
	CALL(ingest),
	CALL(erase),
	CALL(rotate),
	CALL(sweep),
	CALL(open_class),
};

static void every_call_ends_with(hands *h, bh_status want)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		bh_status got = calls[i].call(h);

		if (got != want)
			test_fail_at(__FILE__, __LINE__, "%s of '%s': %s instead of %s; %s", calls[i].name, h->name,
				     bh_status_name(got), bh_status_name(want), got != BH_OK ? bh_status_message() : "");
		if (want != BH_OK && strstr(bh_status_message(), h->name) == NULL)
			test_fail_at(__FILE__, __LINE__, "%s: '%s' is not in: %s", calls[i].name, h->name, bh_status_message());
	}
	if (want != BH_OK)
		test_check(!bh_iter_valid(h->iter));
}

/* ---- what is in somebody's hands */

static void make_sst(hands *h)
{
	test_sst sst = test_sst_begin(bh_db_env(h->db), h->sst);

	test_sst_put(&sst, "ingested", "v");
	test_sst_end(&sst);
}

static void take(bh_db *db, const char *name, hands *h)
{
	bh_buf place = { 0 };

	*h = (hands){ .db = db, .name = name, .cf = test_cf(db, name, "events") };
	test_ok(bh_staging_path(h->cf, "made.sst", &place));
	snprintf(h->sst, sizeof(h->sst), "%s", (const char *)place.data);
	bh_buf_clear(&place);
	make_sst(h);
	test_ok(bh_snapshot_new(db, &h->before));
	test_ok(bh_iter_new(h->cf, NULL, &h->iter));
	test_ok(bh_iter_first(h->iter));
	test_ok(bh_batch_new(db, &h->batch));
	test_ok(bh_batch_put(h->batch, h->cf, KEY, bh_view_str("batched")));
}

static void let_go(hands *h)
{
	bh_buf_clear(&h->value);
	bh_batch_free(h->batch);
	bh_iter_free(h->iter);
	bh_snapshot_free(h->before);
	bh_cf_close(h->cf);
}

/* ---- why it is off */

static void suspend(bh_db *db)
{
	test_ok(bh_merchant_suspend(db, "merchant-a", NULL));
}

static void refuse(bh_db *db)
{
	test_ok(bh_merchant_detach(db, "merchant-a", BH_SUSPEND_KMS_REFUSED, ""));
}

static void be_unreachable(bh_db *db)
{
	test_ok(bh_merchant_detach(db, "merchant-a", BH_SUSPEND_KMS_UNREACHABLE, ""));
}

static void be_damaged(bh_db *db)
{
	test_ok(bh_merchant_detach(db, "merchant-a", BH_SUSPEND_KMS_DAMAGED, ""));
}

static void shred(bh_db *db)
{
	test_ok(bh_merchant_shred(db, "merchant-a", NULL));
}

static const struct {
	const char *name;
	void (*off)(bh_db *db);
	bh_status want;
} reasons[] = {
	{ "suspended", suspend, BH_E_SUSPENDED },
	{ "its KMS refused", refuse, BH_E_KMS_REFUSED },
	{ "its KMS was not reached", be_unreachable, BH_E_KMS_UNREACHABLE },
	{ "its KMS gave a wrong answer", be_damaged, BH_E_TAG },
	{ "shredded", shred, BH_E_SHREDDED },
};

typedef struct run {
	const workspace *ws;
	size_t reason;
} run;

static void off_everywhere(void *arg)
{
	const run *r = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	hands a, b;
	bh_db *db;

	rocksdb_options_set_merge_operator(options, test_append_operator());
	test_db_create(r->ws, options);
	db = test_db_open(r->ws, options);
	test_merchant_add(r->ws, db, "merchant-a", "events", NULL);
	test_merchant_add(r->ws, db, "merchant-b", "events", NULL);
	for (int i = 0; i < 2; i++) {
		bh_cf *cf = test_cf(db, i == 0 ? "merchant-a" : "merchant-b", "events");

		test_put(cf, "k1", "v1");
		test_put(cf, "k2", "v2");
		bh_cf_close(cf);
	}
	take(db, "merchant-a", &a);
	take(db, "merchant-b", &b);
	test_check(unlink(a.sst) == 0); /* RocksDB does not know it, so it would be waited for as for a job's */
	reasons[r->reason].off(db);
	every_call_ends_with(&a, reasons[r->reason].want);
	every_call_ends_with(&b, BH_OK);
	let_go(&a);
	let_go(&b);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void every_call_is_refused_and_says_why(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		workspace ws;
		run r = { &ws, i };

		workspace_open(&ws);
		print_message("%s\n", reasons[i].name);
		test_child_ok(off_everywhere, &r);
		workspace_close(&ws);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_call_is_refused_and_says_why) };

	return cmocka_run_group_tests_name("gate_everywhere", tests, NULL, NULL);
}
