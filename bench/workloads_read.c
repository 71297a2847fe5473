/* SPDX-License-Identifier: Apache-2.0
 *
 * workloads_read.c: what reads; see workload.h.
 */
#include <stdlib.h>

#include "workload.h"

static bh_status read_keys(worker *w, uint64_t offset)
{
	const bench_run_state *r = w->run;
	const bench_config *c = r->config;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t n = worker_random(w) % c->num;
		bh_status status = r->engine->get(r->store, worker_merchant_of(w, n), worker_key(w, n + offset), &w->value);

		if (status != BH_OK && status != BH_E_NO_SUCH_KEY)
			return status;
		w->found += status == BH_OK;
		worker_count(w, 1, status == BH_OK ? c->key_size + w->value.len : 0);
	}
	return BH_OK;
}

bh_status workload_read_random(worker *w)
{
	return read_keys(w, 0);
}

bh_status workload_read_missing(worker *w)
{
	return read_keys(w, (uint64_t)1 << 56);
}

/* What one multi-get takes and gives. */
typedef struct lookup {
	bh_view *keys;
	uint8_t *memory; /* of the keys */
	bh_buf *values;
	bh_status *found;
	size_t count;
} lookup;

static bh_status lookup_make(const bench_config *c, lookup *l)
{
	l->count = c->batch_size;
	l->keys = calloc(l->count, sizeof(*l->keys));
	l->memory = malloc(l->count * c->key_size);
	l->values = calloc(l->count, sizeof(*l->values));
	l->found = calloc(l->count, sizeof(*l->found));
	if (l->keys == NULL || l->memory == NULL || l->values == NULL || l->found == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu keys", l->count);
	return BH_OK;
}

static void lookup_clear(lookup *l)
{
	for (size_t i = 0; l->values != NULL && i < l->count; i++)
		bh_buf_clear(&l->values[i]);
	free(l->keys);
	free(l->memory);
	free(l->values);
	free(l->found);
}

static void count_lookup(worker *w, const lookup *l)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < l->count; i++) {
		if (l->found[i] != BH_OK)
			continue;
		w->found++;
		bytes += l->keys[i].len + l->values[i].len;
	}
	worker_count(w, l->count, bytes);
}

bh_status workload_multi_read_random(worker *w)
{
	BH_CLEANUP(lookup_clear) lookup l = { 0 };

	BH_TRY(lookup_make(w->run->config, &l));
	for (uint64_t i = 0; i < w->ops; i += l.count) {
		unsigned merchant = worker_batch_keys(w, l.keys, l.memory);

		BH_TRY(w->run->engine->multi_get(w->run->store, merchant, l.count, l.keys, l.values, l.found));
		count_lookup(w, &l);
	}
	return BH_OK;
}

/* Up to `left` entries of one merchant from one end. */
static bh_status scan_merchant(worker *w, bench_cursor *cursor, bool forward, uint64_t *left)
{
	const bench_engine *e = w->run->engine;

	BH_TRY(forward ? e->seek(cursor, (bh_view){ 0 }) : e->last(cursor));
	for (; *left > 0 && e->valid(cursor); --*left) {
		size_t bytes = e->entry(cursor);

		BH_TRY(forward ? e->next(cursor) : e->prev(cursor));
		worker_count(w, 1, bytes);
	}
	return BH_OK;
}

static bh_status scan(worker *w, bool forward)
{
	const bench_engine *e = w->run->engine;
	uint64_t left = w->ops;

	for (unsigned m = 0; m < w->run->config->merchants && left > 0; m++) {
		bench_cursor *cursor = NULL;
		bh_status status;

		BH_TRY(e->cursor_open(w->run->store, m, &cursor));
		status = scan_merchant(w, cursor, forward, &left);
		e->cursor_close(cursor);
		BH_TRY(status);
	}
	return BH_OK;
}

bh_status workload_read_seq(worker *w)
{
	return scan(w, true);
}

bh_status workload_read_reverse(worker *w)
{
	return scan(w, false);
}

static bh_status seek_and_look(worker *w, bench_cursor *cursor, bh_view key, size_t *bytes)
{
	const bench_engine *e = w->run->engine;

	BH_TRY(e->seek(cursor, key));
	if (!e->valid(cursor))
		return BH_OK;
	w->found++;
	*bytes = e->entry(cursor);
	for (size_t i = 0; i < w->run->config->seek_nexts && e->valid(cursor); i++) {
		*bytes += e->entry(cursor);
		BH_TRY(e->next(cursor));
	}
	return BH_OK;
}

/* A new iterator each time, as in db_bench. */
bh_status workload_seek_random(worker *w)
{
	const bench_engine *e = w->run->engine;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t n = worker_random(w) % w->run->config->num;
		bench_cursor *cursor = NULL;
		size_t bytes = 0;
		bh_status status;

		BH_TRY(e->cursor_open(w->run->store, worker_merchant_of(w, n), &cursor));
		status = seek_and_look(w, cursor, worker_key(w, n), &bytes);
		e->cursor_close(cursor);
		BH_TRY(status);
		worker_count(w, 1, bytes);
	}
	return BH_OK;
}
