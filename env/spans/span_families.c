/* SPDX-License-Identifier: Apache-2.0
 *
 * span_families.c: keys of a file's column families; see span_families.h.
 */
#include "span_families.h"

#include <stdlib.h>

#define SLOTS_MIN 16u /* a power of two */

void bh_families_init(bh_families *f, const uint8_t salt[BH_SALT_LEN], const bh_scopes *scopes)
{
	*f = (bh_families){ .scopes = scopes, .epoch = 1 };
	memcpy(f->salt, salt, BH_SALT_LEN);
}

static void settle(bh_family *family)
{
	if (family->sealed > 0)
		bh_tally_add(family->tally, family->sealed);
	family->sealed = 0;
}

void bh_families_clear(bh_families *f)
{
	for (size_t i = 0; i < f->slot_count; i++) {
		settle(&f->slots[i]);
		bh_tally_unref(f->slots[i].tally);
		bh_ctr_free(f->slots[i].ctr);
	}
	free(f->slots);
	free(f->pending);
	*f = (bh_families){ 0 };
}

/* The slot of the family, or the free one where it belongs. */
static bh_family *probe(bh_family *slots, size_t count, uint32_t cf_id)
{
	size_t i = (cf_id * 2654435761u) & (count - 1);

	while (slots[i].in_use && slots[i].cf_id != cf_id)
		i = (i + 1) & (count - 1);
	return &slots[i];
}

static bh_status grow(bh_families *f)
{
	size_t count = f->slot_count ? 2 * f->slot_count : SLOTS_MIN;
	bh_family *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return bh_fail(BH_E_NOMEM, "no memory for the keys of %zu column families", count);
	for (size_t i = 0; i < f->slot_count; i++)
		if (f->slots[i].in_use)
			*probe(slots, count, f->slots[i].cf_id) = f->slots[i];
	free(f->slots);
	f->slots = slots;
	f->slot_count = count;
	f->last = NULL;
	return BH_OK;
}

static bh_status find_or_add(bh_families *f, uint32_t cf_id, bh_family **out)
{
	bh_family *slot;

	if (f->last && f->last->cf_id == cf_id) {
		*out = f->last;
		return BH_OK;
	}
	/* At most three quarters full, so that a probe always ends. */
	if (f->used >= f->slot_count - f->slot_count / 4)
		BH_TRY(grow(f));
	slot = probe(f->slots, f->slot_count, cf_id);
	if (!slot->in_use) {
		*slot = (bh_family){ .in_use = true, .cf_id = cf_id };
		f->used++;
	}
	f->last = slot;
	*out = slot;
	return BH_OK;
}

static bh_status announce(bh_families *f, const bh_family *family)
{
	if (f->pending_count == f->pending_cap) {
		size_t cap = f->pending_cap ? 2 * f->pending_cap : 16;
		bh_announcement *pending = realloc(f->pending, cap * sizeof(*pending));

		if (!pending)
			return bh_fail(BH_E_NOMEM, "no memory for announcements");
		f->pending = pending;
		f->pending_cap = cap;
	}
	f->pending[f->pending_count].cf_id = family->cf_id;
	memcpy(f->pending[f->pending_count].dek_id, family->dek_id, BH_ID_LEN);
	f->pending_count++;
	return BH_OK;
}

static bh_status bind_dek(bh_families *f, bh_family *family, const bh_dek *dek)
{
	const bool same = family->bound && memcmp(family->dek_id, bh_dek_id(dek), BH_ID_LEN) == 0;

	if (same && family->ctr)
		return BH_OK;
	bh_ctr_freep(&family->ctr);
	BH_TRY(bh_span_key(dek, f->salt, &family->ctr));
	if (same)
		return BH_OK;
	family->bound = false;
	memcpy(family->dek_id, bh_dek_id(dek), BH_ID_LEN);
	BH_TRY(announce(f, family));
	family->bound = true;
	bh_tally_unref(family->tally);
	family->tally = bh_tally_ref(bh_dek_tally(dek));
	return BH_OK;
}

static uint64_t count_changes(const bh_families *f)
{
	return f->scopes->changes ? __atomic_load_n(f->scopes->changes, __ATOMIC_ACQUIRE) : 0;
}

static bh_status ask_current(bh_families *f, bh_family *family)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	const uint64_t changes = count_changes(f); /* before it is asked: what changes meanwhile is asked for again */
	bh_status st = f->scopes->dek_for_cf(f->scopes->arg, family->cf_id, &dek);

	if (st != BH_OK)
		return bh_fail_prefix(st, "column family %u", (unsigned)family->cf_id);
	if (!dek)
		return bh_fail(BH_E_UNSUPPORTED,
			       "column family %u belongs to no merchant: its bytes may not go under the platform's key",
			       (unsigned)family->cf_id);
	BH_TRY(bind_dek(f, family, dek));
	family->epoch = f->epoch;
	family->changes = changes;
	return BH_OK;
}

static bool is_unchanged(const bh_families *f, const bh_family *family)
{
	return f->scopes->changes && family->ctr && family->epoch != 0 && family->changes == count_changes(f);
}

bh_status bh_families_seal(bh_families *f, uint32_t cf_id, bh_ctr **out)
{
	bh_family *family;

	BH_TRY(find_or_add(f, cf_id, &family));
	if (family->epoch != f->epoch) {
		settle(family);
		if (is_unchanged(f, family))
			family->epoch = f->epoch;
		else
			BH_TRY(ask_current(f, family));
	}
	*out = family->ctr;
	return BH_OK;
}

void bh_families_sealed(bh_families *f, uint32_t cf_id, size_t len)
{
	bh_family *family = f->last && f->last->cf_id == cf_id ? f->last : probe(f->slots, f->slot_count, cf_id);

	family->sealed += len;
}

void bh_families_forget(bh_families *f)
{
	for (size_t i = 0; i < f->slot_count; i++) {
		bh_ctr_freep(&f->slots[i].ctr);
		f->slots[i].epoch = 0;
	}
}

static bool means_unavailable(bh_status st)
{
	return st == BH_E_NO_KEY || st == BH_E_SHREDDED || st == BH_E_SUSPENDED;
}

static bh_status ask_announced(bh_families *f, bh_family *family)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	bh_status st = f->scopes->dek_by_id(f->scopes->arg, family->dek_id, &dek);

	if (st != BH_OK && !means_unavailable(st))
		return bh_fail_prefix(st, "column family %u", (unsigned)family->cf_id);
	if (st == BH_OK)
		BH_TRY(bh_span_key(dek, f->salt, &family->ctr));
	family->known = true;
	return BH_OK;
}

bh_status bh_families_open(bh_families *f, uint32_t cf_id, bh_ctr **out)
{
	bh_family *family;

	BH_TRY(find_or_add(f, cf_id, &family));
	if (!family->bound)
		return bh_fail(BH_E_FORMAT, "bytes of column family %u, whose key was not announced", (unsigned)cf_id);
	if (!family->known)
		BH_TRY(ask_announced(f, family));
	*out = family->ctr;
	return BH_OK;
}

bool bh_families_find(const bh_families *f, uint32_t cf_id, uint8_t dek_id_out[BH_ID_LEN])
{
	const bh_family *family = f->slot_count > 0 ? probe(f->slots, f->slot_count, cf_id) : NULL;

	if (!family || !family->in_use || !family->bound)
		return false;
	memcpy(dek_id_out, family->dek_id, BH_ID_LEN);
	return true;
}

bh_status bh_families_announced(bh_families *f, const bh_announcement *a)
{
	bh_family *family;

	if (a->cf_id == BH_CF_DEFAULT)
		return bh_fail(BH_E_FORMAT, "a key is announced for the platform's column family");
	BH_TRY(find_or_add(f, a->cf_id, &family));
	bh_ctr_freep(&family->ctr);
	memcpy(family->dek_id, a->dek_id, BH_ID_LEN);
	family->bound = true;
	family->known = false;
	return BH_OK;
}
