/* SPDX-License-Identifier: Apache-2.0
 *
 * workloads_write.c: what writes; see workload.h.
 */
#include <stdlib.h>

#include "workload.h"

static bh_status write_keys(worker *w, bool sequential, bool sync)
{
	const bench_run_state *r = w->run;
	const bench_config *c = r->config;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t n = sequential ? w->first + i : worker_random(w) % c->num;

		BH_TRY(r->engine->put(r->store, worker_merchant_of(w, n), worker_key(w, n), worker_value(w), sync));
		worker_count(w, 1, c->key_size + c->value_size);
	}
	return BH_OK;
}

bh_status workload_fill_seq(worker *w)
{
	return write_keys(w, true, w->run->config->sync);
}

bh_status workload_fill_random(worker *w)
{
	return write_keys(w, false, w->run->config->sync);
}

bh_status workload_fill_sync(worker *w)
{
	return write_keys(w, false, true);
}

bh_status worker_overwrite_until_stopped(worker *w)
{
	while (!atomic_load(&w->run->stop_writer)) {
		w->ops = 100;
		BH_TRY(write_keys(w, false, false));
	}
	return BH_OK;
}

/* Numbers that are equal modulo the number of merchants belong to the same one. */
unsigned worker_batch_keys(worker *w, bh_view *keys, uint8_t *memory)
{
	const bench_config *c = w->run->config;
	unsigned merchant = (unsigned)(worker_random(w) % c->merchants);

	for (size_t i = 0; i < c->batch_size; i++) {
		uint64_t n = worker_random(w) % (c->num / c->merchants + 1) * c->merchants + merchant;

		memcpy(memory + i * c->key_size, worker_key(w, n).data, c->key_size);
		keys[i] = bh_view_of(memory + i * c->key_size, c->key_size);
	}
	return merchant;
}

static bh_status fill_batches(worker *w, bh_view *keys, uint8_t *memory)
{
	const bench_config *c = w->run->config;

	for (uint64_t i = 0; i < w->ops; i += c->batch_size) {
		unsigned merchant = worker_batch_keys(w, keys, memory);

		BH_TRY(w->run->engine->put_batch(w->run->store, merchant, c->batch_size, keys, worker_value(w), c->sync));
		worker_count(w, c->batch_size, c->batch_size * (c->key_size + c->value_size));
	}
	return BH_OK;
}

bh_status workload_fill_batch(worker *w)
{
	const bench_config *c = w->run->config;
	bh_view *keys = calloc(c->batch_size, sizeof(*keys));
	uint8_t *memory = malloc(c->batch_size * c->key_size);
	bh_status status;

	if (keys != NULL && memory != NULL)
		status = fill_batches(w, keys, memory);
	else
		status = bh_fail(BH_E_NOMEM, "no memory for a batch");
	free(keys);
	free(memory);
	return status;
}

bh_status workload_delete_range(worker *w)
{
	const bench_config *c = w->run->config;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t n = worker_random(w) % c->num;
		bh_view begin = worker_key(w, n), end;

		memcpy(w->end_key.data, begin.data, begin.len);
		begin = bh_view_of(w->end_key.data, begin.len);
		end = worker_key(w, n + (uint64_t)c->tombstone_width * c->merchants);
		BH_TRY(w->run->engine->delete_range(w->run->store, worker_merchant_of(w, n), begin, end));
		worker_count(w, 1, begin.len + end.len);
	}
	return BH_OK;
}

bh_status workload_compact(worker *w)
{
	BH_TRY(w->run->engine->flush(w->run->store));
	BH_TRY(w->run->engine->compact(w->run->store));
	worker_count(w, 1, 0);
	return BH_OK;
}
