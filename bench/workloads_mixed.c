/* SPDX-License-Identifier: Apache-2.0
 *
 * workloads_mixed.c: reads and writes by turns, over one key space or over merchants with a share each; see workload.h.
 */
#include "workload.h"

/* A number in [0, 1). */
static double random_share(worker *w)
{
	return (double)(worker_random(w) >> 11) / 9007199254740992.0;
}

static bh_status one_operation(worker *w, unsigned merchant, uint64_t number)
{
	const bench_run_state *r = w->run;
	const bench_config *c = r->config;
	bh_view key = worker_key(w, number);
	bh_status status;

	if (worker_random(w) % 100 >= c->read_percent) {
		BH_TRY(r->engine->put(r->store, merchant, key, worker_value(w), c->sync));
		worker_count(w, 1, c->key_size + c->value_size);
		return BH_OK;
	}
	status = r->engine->get(r->store, merchant, key, &w->value);
	if (status != BH_OK && status != BH_E_NO_SUCH_KEY)
		return status;
	w->found += status == BH_OK;
	worker_count(w, 1, status == BH_OK ? c->key_size + w->value.len : 0);
	return BH_OK;
}

bh_status workload_read_write_random(worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t n = worker_random(w) % w->run->config->num;

		BH_TRY(one_operation(w, worker_merchant_of(w, n), n));
	}
	return BH_OK;
}

/* Some key of the merchant: numbers that are equal modulo the number of merchants belong to the same one. */
static uint64_t number_of(worker *w, unsigned merchant)
{
	const bench_config *c = w->run->config;

	return worker_random(w) % (c->num / c->merchants + 1) * c->merchants + merchant;
}

bh_status workload_mixed_uniform(worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		unsigned merchant = (unsigned)(worker_random(w) % w->run->config->merchants);

		BH_TRY(one_operation(w, merchant, number_of(w, merchant)));
	}
	return BH_OK;
}

/* The first merchant whose cumulated share lies above a random number. */
static unsigned zipf_merchant(worker *w)
{
	const double *shares = w->run->zipf, at = random_share(w);
	unsigned low = 0, high = w->run->config->merchants - 1;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (shares[middle] > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bh_status workload_mixed_zipf(worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		unsigned merchant = zipf_merchant(w);

		BH_TRY(one_operation(w, merchant, number_of(w, merchant)));
	}
	return BH_OK;
}
