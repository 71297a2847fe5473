/* SPDX-License-Identifier: Apache-2.0
 *
 * evp_pool.c: slots that hold idle cipher contexts.
 *
 * Invariant: a context is in exactly one slot or with exactly one thread; an exchange of the slot moves it. Each thread begins at
 * a slot of its own, so that two threads seldom meet at one.
 */
#include "evp_pool.h"

#include <stdatomic.h>
#include <stdlib.h>

struct bh_evp_pool {
	const EVP_CIPHER *cipher;
	const uint8_t *key;
	_Atomic(EVP_CIPHER_CTX *) slots[BH_EVP_POOL_SLOTS];
};

static unsigned home_slot(void)
{
	static atomic_uint next_home;
	static _Thread_local unsigned home; /* 1 + slot; 0: none yet */

	if (home == 0)
		home = 1 + atomic_fetch_add_explicit(&next_home, 1, memory_order_relaxed) % BH_EVP_POOL_SLOTS;
	return home - 1;
}

static EVP_CIPHER_CTX *ctx_new(const bh_evp_pool *pool)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx && EVP_EncryptInit_ex(ctx, pool->cipher, NULL, pool->key, NULL) > 0 && EVP_CIPHER_CTX_set_padding(ctx, 0) > 0)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

bh_status bh_evp_pool_new(const EVP_CIPHER *cipher, const uint8_t *key, bh_evp_pool **out)
{
	bh_evp_pool *pool = calloc(1, sizeof(*pool));
	EVP_CIPHER_CTX *first;

	if (!pool)
		return bh_fail(BH_E_NOMEM, "no memory for cipher contexts");
	pool->cipher = cipher;
	pool->key = key;
	first = ctx_new(pool);
	if (!first) {
		free(pool);
		return bh_fail(BH_E_CRYPTO, "OpenSSL makes no cipher context: check its providers and openssl.cnf");
	}
	bh_evp_pool_put(pool, first);
	*out = pool;
	return BH_OK;
}

void bh_evp_pool_free(bh_evp_pool *pool)
{
	unsigned i;

	if (!pool)
		return;
	for (i = 0; i < BH_EVP_POOL_SLOTS; i++)
		EVP_CIPHER_CTX_free(atomic_load(&pool->slots[i]));
	free(pool);
}

static EVP_CIPHER_CTX *slot_take(_Atomic(EVP_CIPHER_CTX *) *slot)
{
	if (!atomic_load_explicit(slot, memory_order_relaxed))
		return NULL;
	return atomic_exchange_explicit(slot, NULL, memory_order_acquire);
}

static bool slot_fill(_Atomic(EVP_CIPHER_CTX *) *slot, EVP_CIPHER_CTX *ctx)
{
	EVP_CIPHER_CTX *none = NULL;

	return atomic_compare_exchange_strong_explicit(slot, &none, ctx, memory_order_release, memory_order_relaxed);
}

EVP_CIPHER_CTX *bh_evp_pool_get(bh_evp_pool *pool)
{
	unsigned home = home_slot(), i;

	for (i = 0; i < BH_EVP_POOL_SLOTS; i++) {
		EVP_CIPHER_CTX *ctx = slot_take(&pool->slots[(home + i) % BH_EVP_POOL_SLOTS]);

		if (ctx)
			return ctx;
	}
	return ctx_new(pool);
}

void bh_evp_pool_put(bh_evp_pool *pool, EVP_CIPHER_CTX *ctx)
{
	unsigned home = home_slot(), i;

	for (i = 0; i < BH_EVP_POOL_SLOTS; i++) {
		if (slot_fill(&pool->slots[(home + i) % BH_EVP_POOL_SLOTS], ctx))
			return;
	}
	EVP_CIPHER_CTX_free(ctx);
}
