/* SPDX-License-Identifier: Apache-2.0
 *
 * model_run.c: model_run.h's other half.
 */
#include <bulkhead/rotation.h>
#include "model_run.h"

#include "engine/core/merchant.h"
#include "engine/wall/detach.h"

static const char *const merchants[] = { "acme", "Acme-2", "b" };
static const char *const classes[] = { "profile", "events" };

/* ---- opening */

void run_config_make(test_random *random, bool direct_works, run_config *out)
{
	static const size_t buffers[] = { 64 << 10, 128 << 10, 1 << 20 };
	static const int compressions[] = { rocksdb_no_compression, rocksdb_zstd_compression, rocksdb_lz4_compression };

	out->write_buffer = buffers[test_random_below(random, 3)];
	out->compression = compressions[test_random_below(random, 3)];
	out->max_open_files = test_random_below(random, 2) ? 20 : -1;
	out->blobs = test_random_below(random, 2);
	out->direct = test_random_below(random, 2) && direct_works;
	out->manual_wal_flush = test_random_below(random, 3) == 0;
	out->pipelined = test_random_below(random, 3) == 0;
}

void run_config_print(const run_config *config)
{
	fprintf(stderr, "  write_buffer %zu, compression %d, max_open_files %d%s%s%s%s\n", config->write_buffer,
		config->compression, config->max_open_files, config->blobs ? ", blob files" : "",
		config->direct ? ", direct I/O" : "", config->manual_wal_flush ? ", manual WAL flush" : "",
		config->pipelined ? ", pipelined writes" : "");
}

static rocksdb_options_t *make_options(const run_config *config)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_write_buffer_size(options, config->write_buffer);
	rocksdb_options_set_target_file_size_base(options, 256 << 10);
	rocksdb_options_set_max_bytes_for_level_base(options, 1 << 20);
	rocksdb_options_set_compression(options, config->compression);
	rocksdb_options_set_max_open_files(options, config->max_open_files);
	rocksdb_options_set_enable_blob_files(options, config->blobs);
	rocksdb_options_set_min_blob_size(options, 512);
	rocksdb_options_set_enable_blob_gc(options, 1);
	rocksdb_options_set_blob_gc_age_cutoff(options, 0.5);
	rocksdb_options_set_use_direct_reads(options, config->direct);
	rocksdb_options_set_use_direct_io_for_flush_and_compaction(options, config->direct);
	rocksdb_options_set_manual_wal_flush(options, config->manual_wal_flush);
	rocksdb_options_set_enable_pipelined_write(options, config->pipelined);
	rocksdb_options_set_merge_operator(options, test_append_operator());
	return options;
}

void run_create(const workspace *ws, const run_config *config)
{
	rocksdb_options_t *options = make_options(config);
	bh_db *db;

	test_db_create(ws, options);
	db = test_db_open(ws, options);
	for (size_t i = 0; i < sizeof(merchants) / sizeof(merchants[0]); i++)
		test_merchant_add(ws, db, merchants[i], classes[0], classes[1]);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

void run_open(model_run *run)
{
	rocksdb_options_t *options = make_options(&run->config);

	run->db = test_db_open(run->ws, options);
	for (int f = 0; f < MODEL_FAMILIES; f++)
		run->families[f] = test_cf(run->db, merchants[f / 2], classes[f % 2]);
	rocksdb_options_destroy(options);
}

static void let_go(model_run *run, size_t i)
{
	bh_snapshot_free(run->held[i].snapshot);
	if (run->held[i].snapshot != NULL)
		model_clear(&run->held[i].state);
	run->held[i].snapshot = NULL;
}

void run_close(model_run *run)
{
	for (size_t i = 0; i < RUN_SNAPSHOTS; i++)
		let_go(run, i);
	for (int f = 0; f < MODEL_FAMILIES; f++)
		bh_cf_close(run->families[f]);
	bh_db_close(run->db);
}

/* ---- reading */

static uint64_t family_digest(model_run *run, int family)
{
	bh_iter *iter = NULL;
	uint64_t digest = 0;
	int last = MODEL_NOWHERE;

	test_ok(bh_iter_new(run->families[family], NULL, &iter));
	test_ok(bh_iter_first(iter));
	while (bh_iter_valid(iter)) {
		bh_view key, value;
		int idx;

		test_ok(bh_iter_entry(iter, &key, &value));
		idx = model_key_find(key);
		test_check(idx > last);
		digest += model_hash(family, idx, value);
		last = idx;
		test_ok(bh_iter_next(iter));
	}
	bh_iter_free(iter);
	return digest;
}

static uint64_t state_family_digest(const model_state *state, int family)
{
	uint64_t digest = 0;

	for (int i = 0; i < MODEL_KEYS; i++) {
		const model_value *value = state->values[family][i];

		if (value != NULL)
			digest += model_hash(family, i, bh_view_of(value->data, value->len));
	}
	return digest;
}

uint64_t run_digest(model_run *run)
{
	uint64_t digest = 0;

	for (int f = 0; f < MODEL_FAMILIES; f++)
		digest += family_digest(run, f);
	return digest;
}

/* The state to read, now or at a snapshot that is held; fills in the options for it. */
static const model_state *pick_state(model_run *run, test_random *random, bh_read_options *options)
{
	size_t i = test_random_below(random, 2 * RUN_SNAPSHOTS);

	options->no_fill_cache = test_random_below(random, 2);
	if (i >= RUN_SNAPSHOTS || run->held[i].snapshot == NULL)
		return run->state;
	options->snapshot = run->held[i].snapshot;
	return &run->held[i].state;
}

static bool same(const model_value *want, bh_view got)
{
	return want != NULL && want->len == got.len && (got.len == 0 || memcmp(want->data, got.data, got.len) == 0);
}

static void check_answer(const model_value *want, bh_status status, const bh_buf *got)
{
	if (want == NULL)
		test_status(status, BH_E_NO_SUCH_KEY);
	else
		test_ok(status);
	test_check(want == NULL || same(want, bh_buf_view(got)));
}

static void do_get_of(model_run *run, test_random *random, int family)
{
	bh_read_options options = { 0 };
	const model_state *state = pick_state(run, random, &options);
	int idx = (int)test_random_below(random, MODEL_KEYS);
	bh_buf value = { 0 };

	check_answer(state->values[family][idx], bh_get(run->families[family], &options, model_key(idx), &value), &value);
	bh_buf_clear(&value);
}

static void do_get(model_run *run, test_random *random)
{
	do_get_of(run, random, (int)test_random_below(random, MODEL_FAMILIES));
}

static void do_multi_get(model_run *run, test_random *random)
{
	enum { MAX = 24 };
	bh_read_options options = { 0 };
	const model_state *state = pick_state(run, random, &options);
	int family = (int)test_random_below(random, MODEL_FAMILIES), idx[MAX];
	size_t count = 1 + test_random_below(random, MAX);
	bh_status statuses[MAX];
	bh_view keys[MAX];
	bh_buf values[MAX];

	memset(values, 0, sizeof(values));
	for (size_t i = 0; i < count; i++) {
		idx[i] = (int)test_random_below(random, MODEL_KEYS);
		keys[i] = model_key(idx[i]);
	}
	test_ok(bh_multi_get(run->families[family], &options, count, keys, values, statuses));
	for (size_t i = 0; i < count; i++) {
		check_answer(state->values[family][idx[i]], statuses[i], &values[i]);
		bh_buf_clear(&values[i]);
	}
}

/* ---- walking */

typedef struct walk {
	const model_state *state;
	bh_iter *iter;
	int family, begin, end; /* indexes: the bounds */
	int at;                 /* where it should stand */
} walk;

static void check_walk(const walk *w, bh_status status)
{
	bh_view key, value;

	test_ok(status);
	test_check(bh_iter_valid(w->iter) == (w->at != MODEL_NOWHERE));
	if (w->at == MODEL_NOWHERE) {
		test_status(bh_iter_entry(w->iter, &key, &value), BH_E_NOT_FOUND);
		return;
	}
	test_ok(bh_iter_entry(w->iter, &key, &value));
	test_check(model_key_find(key) == w->at);
	test_check(same(w->state->values[w->family][w->at], value));
}

/* To a key of the universe, or to one just behind it that is not of it. */
static void seek(walk *w, test_random *random)
{
	int idx = (int)test_random_below(random, MODEL_KEYS), first, last;
	bool behind = test_random_below(random, 2);
	uint8_t bytes[1024];
	bh_view key = model_key(idx);

	if (key.len > 0)
		memcpy(bytes, key.data, key.len);
	bytes[key.len] = 0;
	key = bh_view_of(bytes, key.len + behind);
	first = model_key_from(key);
	last = first < MODEL_KEYS && model_key_find(key) == first ? first : first - 1;
	if (test_random_below(random, 2)) {
		w->at = model_next(w->state, w->family, BH_MAX(first, w->begin), w->end);
		check_walk(w, bh_iter_seek(w->iter, key));
	} else {
		w->at = model_prev(w->state, w->family, BH_MIN(last, w->end - 1), w->begin);
		check_walk(w, bh_iter_seek_for_prev(w->iter, key));
	}
}

static void place(walk *w, test_random *random)
{
	switch (test_random_below(random, 4)) {
	case 0:
		w->at = model_next(w->state, w->family, w->begin, w->end);
		check_walk(w, bh_iter_first(w->iter));
		break;
	case 1:
		w->at = model_prev(w->state, w->family, w->end - 1, w->begin);
		check_walk(w, bh_iter_last(w->iter));
		break;
	default: seek(w, random);
	}
}

static void step(walk *w, bool forward)
{
	w->at = forward ? model_next(w->state, w->family, w->at + 1, w->end) : model_prev(w->state, w->family, w->at - 1, w->begin);
	check_walk(w, forward ? bh_iter_next(w->iter) : bh_iter_prev(w->iter));
}

static void do_walk(model_run *run, test_random *random)
{
	bh_read_options options = { 0 };
	walk w = { .state = pick_state(run, random, &options), .end = MODEL_KEYS };
	bool forward = test_random_below(random, 2);

	w.family = (int)test_random_below(random, MODEL_FAMILIES);
	if (test_random_below(random, 2)) { /* bound 0 is the empty key: no bound, which is the same */
		w.begin = (int)test_random_below(random, MODEL_KEYS);
		options.lower_bound = model_key(w.begin);
	}
	if (test_random_below(random, 2)) {
		w.end = w.begin + 1 + (int)test_random_below(random, (size_t)(MODEL_KEYS - w.begin));
		options.upper_bound = w.end < MODEL_KEYS ? model_key(w.end) : (bh_view){ 0 };
	}
	test_ok(bh_iter_new(run->families[w.family], &options, &w.iter));
	place(&w, random);
	for (int i = 0; i < 16; i++) {
		size_t roll = test_random_below(random, 16);

		if (w.at == MODEL_NOWHERE || roll == 0)
			place(&w, random);
		else
			step(&w, roll < 3 ? !forward : forward);
	}
	bh_iter_free(w.iter);
}

/* ---- writing */

static void write_single(model_run *run, const model_change *c, const bh_write_options *how)
{
	bh_cf *family = run->families[c->family];
	uint8_t *bytes = model_value_bytes(c);
	bh_view value = bh_view_of(bytes, c->len);

	switch (c->kind) {
	case CHANGE_PUT: test_ok(bh_put(family, how, model_key(c->key), value)); break;
	case CHANGE_MERGE: test_ok(bh_merge(family, how, model_key(c->key), value)); break;
	case CHANGE_DELETE: test_ok(bh_delete(family, how, model_key(c->key))); break;
	case CHANGE_DELETE_RANGE: test_ok(bh_delete_range(family, how, model_key(c->key), model_key(c->end))); break;
	}
	free(bytes);
}

static void add_to_batch(model_run *run, bh_batch *batch, const model_change *c)
{
	bh_cf *family = run->families[c->family];
	uint8_t *bytes = model_value_bytes(c);
	bh_view value = bh_view_of(bytes, c->len);

	switch (c->kind) {
	case CHANGE_PUT: test_ok(bh_batch_put(batch, family, model_key(c->key), value)); break;
	case CHANGE_MERGE: test_ok(bh_batch_merge(batch, family, model_key(c->key), value)); break;
	case CHANGE_DELETE: test_ok(bh_batch_delete(batch, family, model_key(c->key))); break;
	case CHANGE_DELETE_RANGE: test_ok(bh_batch_delete_range(batch, family, model_key(c->key), model_key(c->end))); break;
	}
	free(bytes);
}

static void do_write(model_run *run, const model_op *o)
{
	const bh_write_options how = { .sync = o->sync };
	bh_batch *batch = NULL;

	if (!o->batch) {
		write_single(run, &o->changes[0], &how);
	} else {
		test_ok(bh_batch_new(run->db, &batch));
		for (size_t i = 0; i < o->count; i++)
			add_to_batch(run, batch, &o->changes[i]);
		test_check(bh_batch_count(batch) == o->count);
		test_ok(bh_batch_write(batch, &how));
		bh_batch_free(batch);
	}
	model_op_apply(run->state, o);
}

/* ---- the rest */

static void do_snapshot(model_run *run, test_random *random)
{
	size_t i = test_random_below(random, RUN_SNAPSHOTS);

	if (run->held[i].snapshot != NULL) {
		let_go(run, i);
		return;
	}
	test_ok(bh_snapshot_new(run->db, &run->held[i].snapshot));
	model_copy(run->state, &run->held[i].state);
}

static void do_compact(model_run *run, test_random *random)
{
	bh_cf *family = run->families[test_random_below(random, MODEL_FAMILIES)];
	int begin = (int)test_random_below(random, MODEL_KEYS),
	    end = begin + (int)test_random_below(random, (size_t)(MODEL_KEYS - begin));

	if (test_random_below(random, 4) == 0)
		test_ok(bh_compact(family, (bh_view){ 0 }, (bh_view){ 0 }));
	else
		test_ok(bh_compact(family, model_key(begin), model_key(end)));
}

static void expect_refused(model_run *run, int family, const bh_read_options *options, bh_status want)
{
	bh_buf value = { 0 };

	test_status(bh_get(run->families[family], options, model_key(0), &value), want);
	bh_buf_clear(&value);
}

/* Away by an operator's word, or with its keys gone: unflushed writes and all. What it was comes back, and nothing of the others
 * moves. */
static void do_cycle(model_run *run, test_random *random)
{
	int family = (int)test_random_below(random, MODEL_FAMILIES);
	const char *merchant = merchants[family / 2];
	bool revoked = test_random_below(random, 2);
	bh_snapshot *before = NULL;

	test_ok(bh_snapshot_new(run->db, &before));
	if (revoked)
		test_ok(bh_merchant_detach(run->db, merchant, BH_SUSPEND_KMS_REFUSED, "test"));
	else
		test_ok(bh_merchant_suspend(run->db, merchant, NULL));
	expect_refused(run, family, NULL, revoked ? BH_E_KMS_REFUSED : BH_E_SUSPENDED);
	do_get_of(run, random, (family + 2) % MODEL_FAMILIES);
	test_ok(bh_merchant_resume(run->db, merchant, NULL));
	expect_refused(run, family, &(bh_read_options){ .snapshot = before }, BH_E_SUSPENDED);
	bh_snapshot_free(before);
	for (size_t i = 0; i < RUN_SNAPSHOTS; i++)
		let_go(run, i);
	test_check(family_digest(run, family) == state_family_digest(run->state, family));
}

static void do_rotate(model_run *run, test_random *random)
{
	const bh_sweep_options options = { .bytes_per_s = UINT64_MAX };
	int family = (int)test_random_below(random, MODEL_FAMILIES);

	test_ok(bh_merchant_rotate(run->db, merchants[family / 2], NULL));
	if (test_random_below(random, 2) == 0)
		return;
	test_ok(bh_merchant_sweep(run->db, merchants[family / 2], &options));
	test_check(family_digest(run, family) == state_family_digest(run->state, family));
}

void run_op(model_run *run, const model_op *o)
{
	test_random random = { o->seed };

	switch (o->kind) {
	case OP_WRITE: do_write(run, o); break;
	case OP_GET: do_get(run, &random); break;
	case OP_MULTI_GET: do_multi_get(run, &random); break;
	case OP_WALK: do_walk(run, &random); break;
	case OP_SNAPSHOT: do_snapshot(run, &random); break;
	case OP_SYNC: test_ok(bh_sync_wal(run->db)); break;
	case OP_FLUSH: test_ok(bh_flush(run->families[test_random_below(&random, MODEL_FAMILIES)])); break;
	case OP_COMPACT: do_compact(run, &random); break;
	case OP_REOPEN:
		run_close(run);
		run_open(run);
		break;
	case OP_CYCLE: do_cycle(run, &random); break;
	case OP_ROTATE: do_rotate(run, &random); break;
	}
}
