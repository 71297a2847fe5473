/* SPDX-License-Identifier: Apache-2.0
 *
 * span_families.c: keys of a file's column families; see span_families.h.
 */
#include "span_families.h"

#include <stdio.h>
#include <stdlib.h>

#define SLOTS_MIN 16u /* a power of two */

void bh_families_init(bh_families *f, const bh_header *header, const bh_scopes *scopes)
{
	*f = (bh_families){ .scopes = scopes, .header = *header };
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
		bh_aead_free(f->slots[i].aead);
	}
	free(f->slots);
	*f = (bh_families){ 0 };
}

/* ---- the table */

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

/* Of one that has a share. */
static bh_family *family_of(bh_families *f, const bh_share *share)
{
	return f->last && f->last->cf_id == share->cf_id ? f->last : probe(f->slots, f->slot_count, share->cf_id);
}

/* ---- the frame's families */

void bh_families_begin(bh_families *f)
{
	f->epoch++;
	f->share_count = 0;
	f->pending_count = 0;
	f->available = 0;
}

static bh_status take_share(bh_families *f, bh_family *family)
{
	if (bh_families_full(f))
		return bh_fail(BH_E_FORMAT, "more than %u column families in a frame", BH_FRAME_FAMILIES_MAX);
	family->epoch = f->epoch;
	family->share = f->share_count++;
	f->shares[family->share] = (bh_share){ .cf_id = family->cf_id };
	return BH_OK;
}

bh_status bh_families_share(bh_families *f, uint32_t cf_id, unsigned *share_out, bool *new_out)
{
	bh_family *family;

	BH_TRY(find_or_add(f, cf_id, &family));
	*new_out = family->epoch != f->epoch;
	if (*new_out)
		BH_TRY(take_share(f, family));
	*share_out = family->share;
	return BH_OK;
}

size_t bh_families_sections_len(const bh_families *f)
{
	size_t len = 0;

	for (unsigned i = 0; i < f->share_count; i++)
		len += f->shares[i].len + BH_TAG_LEN;
	return len;
}

/* ---- sealing */

static void announce(bh_families *f, const bh_family *family)
{
	bh_announcement *a = &f->pending[f->pending_count++];

	a->cf_id = family->cf_id;
	memcpy(a->dek_id, family->dek_id, BH_ID_LEN);
}

static bh_status bind_dek(bh_families *f, bh_family *family, const bh_dek *dek)
{
	const bool same = family->bound && memcmp(family->dek_id, bh_dek_id(dek), BH_ID_LEN) == 0;

	if (same && family->aead)
		return BH_OK;
	bh_aead_freep(&family->aead);
	BH_TRY(bh_family_key(dek, &f->header, family->cf_id, &family->aead));
	if (same)
		return BH_OK;
	memcpy(family->dek_id, bh_dek_id(dek), BH_ID_LEN);
	announce(f, family);
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
	family->asked = true;
	family->changes = changes;
	return BH_OK;
}

static bool is_unchanged(const bh_families *f, const bh_family *family)
{
	return f->scopes->changes && family->aead && family->asked && family->changes == count_changes(f);
}

bh_status bh_families_share_sealed(bh_families *f, uint32_t cf_id, unsigned *share_out)
{
	bh_family *family;

	BH_TRY(find_or_add(f, cf_id, &family));
	if (family->epoch != f->epoch) {
		settle(family);
		if (!is_unchanged(f, family))
			BH_TRY(ask_current(f, family));
		BH_TRY(take_share(f, family));
	}
	*share_out = family->share;
	return BH_OK;
}

bh_status bh_families_seal(bh_families *f, uint64_t number, uint8_t *aad, size_t aad_len, uint8_t *sections)
{
	uint8_t nonce[BH_NONCE_LEN];

	bh_nonce(BH_NONCE_FAMILY, number, nonce);
	for (unsigned i = 0; i < f->share_count; i++) {
		const bh_share *share = &f->shares[i];
		bh_family *family = family_of(f, share);

		bh_place_set_family(aad, share->cf_id, family->frames);
		BH_TRY(bh_aead_seal(family->aead, nonce, bh_view_of(aad, aad_len), sections, share->len, sections,
				    sections + share->len));
		family->frames++;
		family->sealed += share->len;
		sections += share->len + BH_TAG_LEN;
	}
	return BH_OK;
}

void bh_families_forget(bh_families *f)
{
	for (size_t i = 0; i < f->slot_count; i++) {
		bh_aead_freep(&f->slots[i].aead);
		f->slots[i].asked = false;
	}
}

/* ---- opening */

static void name_scope(const bh_scope *scope, char out[2 * BH_NAME_MAX + 2])
{
	snprintf(out, 2 * BH_NAME_MAX + 2, "%s/%s", scope->merchant, scope->cls);
}

/* Whose family it is: by its name, or else by its DEK. */
static void blame(bh_families *f, const bh_family *family)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	f->blames = true;
	if (f->scopes->cf_scope(f->scopes->arg, family->cf_id, &f->blamed) == BH_OK)
		return;
	f->blames = f->scopes->dek_by_id(f->scopes->arg, family->dek_id, &dek) == BH_OK && !bh_scope_is_platform(bh_dek_scope(dek));
	if (f->blames)
		f->blamed = *bh_dek_scope(dek);
}

static bh_status fail_tag(bh_families *f, const bh_family *family, const char *what)
{
	char name[2 * BH_NAME_MAX + 2] = "a class that the database does not have", id[BH_ID_HEX_SIZE];

	blame(f, family);
	if (f->blames)
		name_scope(&f->blamed, name);
	bh_hex(family->dek_id, BH_ID_LEN, id);
	return bh_fail(BH_E_TAG, "column family %u (%s), DEK %s: %s", (unsigned)family->cf_id, name, id, what);
}

static bool means_unavailable(bh_status st)
{
	return st == BH_E_NO_KEY || st == BH_E_SHREDDED || st == BH_E_SUSPENDED;
}

/* Anybody may announce a DEK: only the family's own class makes its bytes. */
static bh_status is_its_own(const bh_families *f, const bh_family *family, const bh_dek *dek, bool *is_out)
{
	const bh_scope *scope = bh_dek_scope(dek);
	bh_scope due = { 0 };
	bh_status st = f->scopes->cf_scope(f->scopes->arg, family->cf_id, &due);

	*is_out = st == BH_OK ? bh_scope_is_same(scope, &due) : !bh_scope_is_platform(scope);
	return st == BH_E_NOT_FOUND ? BH_OK : st;
}

/* With another's DEK its bytes are as good as without any: blank, where nobody uses them. */
static bh_status take_dek(bh_families *f, bh_family *family, const bh_dek *dek)
{
	bool own;

	BH_TRY(is_its_own(f, family, dek, &own));
	if (own)
		return bh_family_key(dek, &f->header, family->cf_id, &family->aead);
	if (f->scopes->cf_blank(f->scopes->arg, family->cf_id, &f->header) == BH_OK)
		return BH_OK;
	return fail_tag(f, family,
			bh_scope_is_platform(bh_dek_scope(dek)) ? "the platform's DEK is announced for it: forged"
								: "another class's DEK is announced for it: forged");
}

static bh_status check_blank(bh_families *f, const bh_family *family)
{
	bh_status status = f->scopes->cf_blank(f->scopes->arg, family->cf_id, &f->header);

	if (status != BH_E_TAG)
		return status;
	return fail_tag(f, family,
			"not a key that there is: the file is of before a rotation, or from elsewhere; put the right one back");
}

static bh_status ask_announced(bh_families *f, bh_family *family)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	bh_status st = f->scopes->dek_by_id(f->scopes->arg, family->dek_id, &dek);

	if (st != BH_OK && !means_unavailable(st))
		return bh_fail_prefix(st, "column family %u", (unsigned)family->cf_id);
	if (st == BH_OK)
		BH_TRY(take_dek(f, family, dek));
	else if (f->header.kind == BH_KIND_WAL)
		BH_TRY(check_blank(f, family));
	family->known = true;
	return BH_OK;
}

static bh_status get_key(bh_families *f, bh_family *family)
{
	if (!family->bound)
		return bh_fail(BH_E_FORMAT, "bytes of column family %u, whose key was not announced", (unsigned)family->cf_id);
	return family->known ? BH_OK : ask_announced(f, family);
}

static bh_status open_share(bh_families *f, unsigned i, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *section,
			    uint8_t *plain_out)
{
	const bh_share *share = &f->shares[i];
	bh_family *family = family_of(f, share);
	bh_status status;

	family->frames++;
	if (family->aead == NULL) {
		family->blanked = true;
		memset(plain_out, 0, share->len);
		return BH_OK;
	}
	status = bh_aead_open(family->aead, nonce, aad, section, share->len, section + share->len, plain_out);
	if (status == BH_E_TAG)
		return fail_tag(f, family, "entries that its merchant's key has not sealed, or not here: forged");
	f->available |= (uint64_t)1 << i;
	return status;
}

bh_status bh_families_open(bh_families *f, uint64_t number, uint8_t *aad, size_t aad_len, const uint8_t *sections,
			   uint8_t *plain_out)
{
	uint8_t nonce[BH_NONCE_LEN];

	bh_nonce(BH_NONCE_FAMILY, number, nonce);
	for (unsigned i = 0; i < f->share_count; i++) {
		bh_family *family = family_of(f, &f->shares[i]);

		BH_TRY(get_key(f, family));
		bh_place_set_family(aad, family->cf_id, family->frames);
		BH_TRY(open_share(f, i, nonce, bh_view_of(aad, aad_len), sections, plain_out));
		sections += f->shares[i].len + BH_TAG_LEN;
		plain_out += f->shares[i].len;
	}
	return BH_OK;
}

bh_status bh_families_announced(bh_families *f, const bh_announcement *a)
{
	bh_family *family;

	if (a->cf_id == BH_CF_DEFAULT)
		return bh_fail(BH_E_FORMAT, "a key is announced for the platform's column family");
	BH_TRY(find_or_add(f, a->cf_id, &family));
	bh_aead_freep(&family->aead);
	memcpy(family->dek_id, a->dek_id, BH_ID_LEN);
	family->bound = true;
	family->known = false;
	return BH_OK;
}

static const bh_family *lookup(const bh_families *f, uint32_t cf_id)
{
	const bh_family *family = f->slot_count > 0 ? probe(f->slots, f->slot_count, cf_id) : NULL;

	return family && family->in_use ? family : NULL;
}

bh_status bh_families_needed(bh_families *f, uint32_t cf_id)
{
	const bh_family *family = lookup(f, cf_id);

	return family && family->blanked ? check_blank(f, family) : BH_OK;
}

bh_status bh_families_find(bh_families *f, uint32_t cf_id, uint8_t dek_id_out[BH_ID_LEN], bool *available_out)
{
	const bh_family *known = lookup(f, cf_id);
	bh_family *family;

	if (!known || !known->bound)
		return bh_fail(BH_E_NOT_FOUND, "no key of column family %u was announced", (unsigned)cf_id);
	BH_TRY(find_or_add(f, cf_id, &family));
	memcpy(dek_id_out, family->dek_id, BH_ID_LEN);
	BH_TRY(get_key(f, family));
	*available_out = family->aead != NULL;
	return BH_OK;
}
