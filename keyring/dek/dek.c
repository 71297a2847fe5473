/* SPDX-License-Identifier: Apache-2.0
 *
 * dek.c: an unwrapped DEK, immutable and counted (keyring.h). The last reference wipes it.
 *
 * Thread-safety: all calls, as long as each caller holds a reference of its own.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "dek.h"
#include "keyring/base/secret.h"
#include "context.h"

struct bh_dek {
	atomic_uint refs;
	uint32_t generation;
	uint8_t id[BH_ID_LEN];
	bh_scope scope;
	bh_buf context;
	bh_secret key;
	bh_tally *tally;
};

static void dek_free(bh_dek *dek)
{
	bh_secret_clear(&dek->key);
	bh_buf_clear(&dek->context);
	bh_tally_unref(dek->tally);
	free(dek);
}

bh_status bh_dek_new(const uint8_t id[BH_ID_LEN], const bh_scope *scope, uint32_t generation, bh_view context, bh_view key,
		     bh_dek **out)
{
	if (key.len != BH_DEK_LEN)
		return bh_fail(BH_E_INVALID, "a DEK has %d bytes, not %zu", BH_DEK_LEN, key.len);

	bh_dek *dek = calloc(1, sizeof(*dek));
	if (dek == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a DEK");
	atomic_init(&dek->refs, 1);
	dek->generation = generation;
	memcpy(dek->id, id, BH_ID_LEN);
	dek->scope = *scope;

	bh_status status = bh_buf_append(&dek->context, context.data, context.len);
	if (status == BH_OK)
		status = bh_secret_copy(&dek->key, key);
	if (status == BH_OK)
		status = bh_tally_new(&dek->tally);
	if (status != BH_OK) {
		dek_free(dek);
		return status;
	}
	*out = dek;
	return BH_OK;
}

bh_dek *bh_dek_ref(bh_dek *dek)
{
	atomic_fetch_add_explicit(&dek->refs, 1, memory_order_relaxed);
	return dek;
}

void bh_dek_unref(bh_dek *dek)
{
	if (dek != NULL && atomic_fetch_sub_explicit(&dek->refs, 1, memory_order_acq_rel) == 1)
		dek_free(dek);
}

void bh_dek_unrefp(bh_dek **dek)
{
	bh_dek_unref(*dek);
	*dek = NULL;
}

const uint8_t *bh_dek_id(const bh_dek *dek)
{
	return dek->id;
}

const bh_scope *bh_dek_scope(const bh_dek *dek)
{
	return &dek->scope;
}

uint32_t bh_dek_generation(const bh_dek *dek)
{
	return dek->generation;
}

bh_view bh_dek_context(const bh_dek *dek)
{
	return bh_buf_view(&dek->context);
}

bh_tally *bh_dek_tally(const bh_dek *dek)
{
	return dek->tally;
}

void bh_dek_count_in(bh_dek *dek, bh_tally *tally)
{
	if (dek->tally == tally)
		return;
	bh_tally_unref(dek->tally);
	dek->tally = bh_tally_ref(tally);
}

bool bh_dek_is_shared(const bh_dek *dek)
{
	return atomic_load_explicit(&dek->refs, memory_order_acquire) > 1;
}

bool bh_dek_is_wiped(const bh_dek *dek)
{
	return bh_secret_is_wiped(&dek->key);
}

bh_view bh_dek_key(const bh_dek *dek)
{
	return bh_secret_view(&dek->key);
}
