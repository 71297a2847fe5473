/* SPDX-License-Identifier: Apache-2.0
 *
 * rotate.c: generations of a merchant's DEKs: added, marked, retired. The platform is a merchant here whose name is "".
 *
 * A rotation makes and wraps its DEKs with no lock held; then, under `change`, it looks whether the merchant is what it was, and
 * records them. They are given out only once they are durable: nothing is ever sealed under a DEK that KEYRING does not have.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ring.h"
#include "live.h"
#include "keyring.h"
#include "edit.h"
#include "deks.h"
#include "events.h"
#include "keyring/manifest/format.h"
#include "cmk.h"
#include "keyring/manifest/file.h"

static bh_status marks_check(unsigned marks)
{
	if ((marks & ~(unsigned)BH_DEK_MARKS) != 0)
		return bh_fail(BH_E_INVALID, "marks 0x%x: there is no such mark of a DEK", marks);
	return BH_OK;
}

/* Rotate */

typedef struct rotation {
	bh_keyring *keyring;
	const char *name;
	unsigned marks;
	bh_keyring_state copy; /* the merchant, as it was before the KMS was asked */
	bh_dek_record *deks;   /* owned: the new ones, */
	size_t count;
	uint8_t *ids;      /* owned: their ids, one after the other, */
	bh_dek_table live; /* and unwrapped */
	bh_audit_batch events;
} rotation;

static void rotation_clear(rotation *r)
{
	for (size_t i = 0; i < r->count; i++)
		bh_dek_record_clear(&r->deks[i]);
	free(r->deks);
	free(r->ids);
	bh_keyring_state_clear(&r->copy);
	bh_dek_table_clear(&r->live);
	bh_audit_batch_clear(&r->events);
}

static bh_status state_check(const bh_merchant_record *merchant)
{
	switch (merchant->state) {
	case BH_MERCHANT_ACTIVE: return BH_OK;
	case BH_MERCHANT_CREATING: return bh_fail(BH_E_INVALID, "merchant '%s': is being made", merchant->name);
	case BH_MERCHANT_SHREDDING:
	case BH_MERCHANT_SHREDDED: return bh_fail(BH_E_SHREDDED, "merchant '%s': is shredded", merchant->name);
	default: return bh_fail(BH_E_SUSPENDED, "merchant '%s': is suspended; resume it first", merchant->name);
	}
}

static bh_status live_check(bh_keyring *keyring, const bh_merchant_record *merchant)
{
	bh_keyring_read_lock(keyring);
	bool live = bh_keyring_is_live(keyring, merchant);
	bh_keyring_unlock(keyring);
	return live ? BH_OK : bh_fail(BH_E_NO_KEY, "merchant '%s': its keys are not in memory", merchant->name);
}

static bh_status rotation_begin(rotation *r)
{
	BH_TRY(bh_keyring_writable_check(r->keyring));
	BH_TRY(bh_keyring_owner_copy(r->keyring, r->name, &r->copy));
	const bh_merchant_record *merchant = &r->copy.merchants[0];
	size_t classes = bh_deks_class_count(merchant->deks, merchant->dek_count);

	BH_TRY(state_check(merchant));
	BH_TRY(live_check(r->keyring, merchant));
	if (merchant->dek_count + classes > UINT16_MAX)
		return bh_fail(BH_E_INVALID, "merchant '%s': has had %zu DEKs; %d are the most", r->name, merchant->dek_count,
			       UINT16_MAX);
	r->deks = calloc(classes, sizeof(*r->deks));
	r->ids = calloc(classes, BH_ID_LEN);
	if (r->deks == NULL || r->ids == NULL)
		return bh_fail(BH_E_NOMEM, "merchant '%s': no memory for %zu DEKs", r->name, classes);
	return bh_dek_table_reserve(&r->live, classes);
}

/* One DEK of the new generation: made, wrapped, and unwrapped again, so that what is recorded is known to come back. */
static bh_status dek_add(rotation *r, bh_kms *kms, const char *cls, int64_t at_s)
{
	const bh_merchant_record *merchant = &r->copy.merchants[0];
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL, *again = NULL;
	size_t idx = r->count++;
	bh_dek_record *out = &r->deks[idx];
	bh_scope scope;

	bh_scope_set(&scope, merchant->name, cls);
	memcpy(out->cls, scope.cls, sizeof(out->cls));
	out->generation = bh_deks_generation(merchant->deks, merchant->dek_count) + 1;
	out->created_at_s = at_s;
	BH_TRY(bh_keyring_dek_make(kms, r->keyring->file.head.database_id, merchant->region, &scope, out->generation, &dek,
				   &out->wrapped, &out->cmk_version));
	memcpy(out->id, bh_dek_id(dek), BH_ID_LEN);
	memcpy(r->ids + idx * BH_ID_LEN, out->id, BH_ID_LEN);
	BH_TRY(bh_keyring_audit_dek(r->keyring, &r->events, BH_AUDIT_DEK_WRAPPED, merchant, out));
	BH_TRY(bh_keyring_record_open(r->keyring, kms, merchant, out, &again));
	bh_dek_table_insert(&r->live, dek);
	return BH_OK;
}

/* All that needs the KMS, with no lock held. */
static bh_status deks_make(rotation *r, int64_t at_s)
{
	const bh_merchant_record *merchant = &r->copy.merchants[0];
	size_t classes = bh_deks_class_count(merchant->deks, merchant->dek_count);
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;

	BH_TRY(bh_keyring_audit_asking(r->keyring, merchant, merchant->cmk_uri, "to wrap a new generation of its DEKs"));
	BH_TRY(bh_keyring_kms_open(r->keyring, merchant->cmk_uri, &kms));
	BH_TRY(bh_keyring_region_check(kms, merchant->cmk_uri, merchant->region));
	for (size_t i = 0; i < classes; i++)
		BH_TRY(dek_add(r, kms, merchant->deks[i].cls, at_s));
	return BH_OK;
}

/* Whether the merchant is what it was when the KMS was asked. The caller holds `change`. */
static bh_status unchanged_check(const rotation *r)
{
	const bh_merchant_record *then = &r->copy.merchants[0];
	const bh_merchant_record *now = bh_keyring_state_owner_id(&r->keyring->state, then->id);
	char cmk_uri[BH_KMS_URI_MAX + 1];

	BH_TRY(bh_keyring_cmk_uri(r->keyring, r->name, cmk_uri));
	BH_TRY(state_check(now));
	if (now->dek_count != then->dek_count)
		return bh_fail(BH_E_BUSY, "merchant '%s': somebody else rotated its keys meanwhile", r->name);
	if (strcmp(cmk_uri, then->cmk_uri) != 0)
		return bh_fail(BH_E_BUSY, "merchant '%s': was moved to another CMK meanwhile", r->name);
	return live_check(r->keyring, now);
}

/* Says which DEKs of the merchant get marks that they lack: all with a wrap, but for those of the newest generation if `newest` is
 * false. `*any_out`: whether there are any. */
static bh_status marked_add(const bh_keyring *keyring, bh_audit_batch *events, const bh_merchant_record *merchant, unsigned marks,
			    bool newest, bool *any_out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf ids = { 0 };
	const char *detail = (marks & BH_DEK_EXPOSED) == 0 ? "sweep" : (marks & BH_DEK_SWEEP) == 0 ? "exposed" : "sweep, exposed";

	for (size_t i = 0; i < merchant->dek_count; i++)
		if ((newest || !bh_deks_is_newest(merchant->deks, merchant->dek_count, i)) &&
		    bh_dek_record_takes(&merchant->deks[i], marks))
			BH_TRY(bh_buf_append(&ids, merchant->deks[i].id, BH_ID_LEN));
	*any_out = ids.len > 0;
	return bh_keyring_audit_some(keyring, events, BH_AUDIT_DEK_MARKED, merchant, ids.data, ids.len / BH_ID_LEN, detail, BH_OK);
}

static void failed_note(bh_keyring *keyring, const bh_merchant_record *merchant, const char *action, bh_status status)
{
	const bh_audit_event bare = {
		.action = action, .merchant = bh_keyring_audit_name(merchant), .outcome = status, .detail = bh_status_message()
	};

	bh_audit_note(keyring->audit, &bare);
}

/* The caller holds `change`. */
static bh_status rotation_commit(rotation *r, int64_t at_s)
{
	const bh_deks_added added = { .deks = r->deks, .count = r->count, .marks = r->marks, .at_s = at_s };
	const bh_merchant_record *merchant = &r->copy.merchants[0];
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };
	char detail[32];
	bool any;

	BH_TRY(unchanged_check(r));
	BH_TRY(bh_deks_added_encode(merchant->id, &added, &payload));
	(void)snprintf(detail, sizeof(detail), "generation %u", (unsigned)r->deks[0].generation);
	BH_TRY(bh_keyring_audit_some(r->keyring, &r->events, BH_AUDIT_MERCHANT_ROTATED, merchant, r->ids, r->count, detail, BH_OK));
	BH_TRY(marked_add(r->keyring, &r->events, merchant, r->marks, true, &any));
	BH_TRY(bh_audit_batch_write(r->keyring->audit, &r->events));
	bh_status status = bh_keyring_edit_deks(r->keyring, bh_buf_view(&payload), r->name, &r->live);
	if (status != BH_OK)
		failed_note(r->keyring, merchant, BH_AUDIT_MERCHANT_ROTATED, status);
	return status;
}

static bh_status rotate(rotation *r)
{
	const int64_t at_s = (int64_t)time(NULL);

	BH_TRY(rotation_begin(r));
	bh_status status = deks_make(r, at_s);
	if (status == BH_OK) {
		pthread_mutex_lock(&r->keyring->change);
		status = rotation_commit(r, at_s);
		pthread_mutex_unlock(&r->keyring->change);
		/* What the KMS did before a refusal is logged all the same. */
		bh_audit_batch_note(r->keyring->audit, &r->events);
		return status;
	}
	/* "Not found" would say that there is no such merchant. */
	if (status == BH_E_NOT_FOUND)
		status = BH_E_NO_KEY;
	bh_audit_batch_note(r->keyring->audit, &r->events);
	if (bh_keyring_has_moved(r->keyring, &r->copy.merchants[0]))
		return bh_fail(BH_E_BUSY, "its keys were rotated, or moved to another CMK, meanwhile");
	bh_keyring_audit_denied_note(r->keyring, &r->copy.merchants[0], status);
	return status;
}

bh_status bh_keyring_merchant_rotate(bh_keyring *keyring, const char *name, unsigned marks)
{
	BH_CLEANUP(rotation_clear) rotation r = { .keyring = keyring, .name = name, .marks = marks };

	BH_TRY(marks_check(marks));
	return bh_fail_prefix(rotate(&r), "rotation");
}

/* Mark */

/* The caller holds `change`. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_SHREDDED. */
static bh_status living(bh_keyring *keyring, const char *name, const bh_merchant_record **out)
{
	const bh_merchant_record *merchant = bh_keyring_state_owner(&keyring->state, name);

	if (merchant == NULL)
		return bh_fail(BH_E_NO_SUCH_MERCHANT, "merchant '%s': does not exist in this database", name);
	if (merchant->state >= BH_MERCHANT_SHREDDING)
		return bh_fail(BH_E_SHREDDED, "merchant '%s': is shredded", name);
	*out = merchant;
	return BH_OK;
}

static bh_status mark(bh_keyring *keyring, const char *name, unsigned marks)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch events = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };
	const bh_merchant_record *merchant = NULL;
	bool any;

	BH_TRY(living(keyring, name, &merchant));
	BH_TRY(marked_add(keyring, &events, merchant, marks, false, &any));
	if (!any)
		return BH_OK;
	BH_TRY(bh_deks_marked_encode(merchant->id, marks, (int64_t)time(NULL), &payload));
	BH_TRY(bh_audit_batch_write(keyring->audit, &events));
	bh_status status = bh_keyring_edit(keyring, BH_KEYRING_DEKS_MARKED, bh_buf_view(&payload));
	if (status != BH_OK)
		failed_note(keyring, merchant, BH_AUDIT_DEK_MARKED, status);
	return status;
}

bh_status bh_keyring_merchant_mark(bh_keyring *keyring, const char *name, unsigned marks)
{
	BH_TRY(marks_check(marks));
	BH_TRY(bh_keyring_writable_check(keyring));
	pthread_mutex_lock(&keyring->change);
	bh_status status = mark(keyring, name, marks);
	pthread_mutex_unlock(&keyring->change);
	return status;
}

/* Retire */

/* Buries in `merchant`, which is of a state of its own, what is not buried yet; its ids go to `fresh`. */
static bh_status bury(bh_merchant_record *merchant, const uint8_t *ids, size_t count, bh_buf *fresh)
{
	const int64_t at_s = (int64_t)time(NULL);
	char hex[BH_ID_HEX_SIZE];

	for (size_t i = 0; i < count; i++) {
		const uint8_t *id = ids + i * BH_ID_LEN;
		const bh_dek_record *found = bh_deks_find(merchant->deks, merchant->dek_count, id);

		bh_hex(id, BH_ID_LEN, hex);
		if (found == NULL)
			return bh_fail(BH_E_NOT_FOUND, "DEK %s: is none of merchant '%s'", hex, merchant->name);
		size_t idx = (size_t)(found - merchant->deks);
		if (bh_deks_is_newest(merchant->deks, merchant->dek_count, idx))
			return bh_fail(BH_E_INVALID, "DEK %s: is the newest of '%s/%s', and in use", hex, merchant->name,
				       found->cls);
		if (bh_dek_record_is_tombstone(found))
			continue;
		BH_TRY(bh_buf_append(fresh, id, BH_ID_LEN));
		BH_TRY(bh_dek_record_bury(&merchant->deks[idx], at_s));
	}
	return BH_OK;
}

/* Takes them out of memory, into `aside`, unless somebody holds one: nobody gets another reference from here on. */
static bh_status set_aside(bh_keyring *keyring, bh_view ids, bh_dek_table *aside)
{
	char hex[BH_ID_HEX_SIZE];
	bh_status status = bh_dek_table_reserve(aside, ids.len / BH_ID_LEN);

	bh_keyring_write_lock(keyring);
	for (size_t at = 0; status == BH_OK && at < ids.len; at += BH_ID_LEN) {
		const bh_dek *dek = bh_dek_table_find(&keyring->live, ids.data + at);

		bh_hex(ids.data + at, BH_ID_LEN, hex);
		if (dek != NULL && bh_dek_is_shared(dek))
			status = bh_fail(BH_E_BUSY, "DEK %s: is in use", hex);
	}
	for (size_t at = 0; status == BH_OK && at < ids.len; at += BH_ID_LEN) {
		bh_dek *dek = bh_dek_table_find(&keyring->live, ids.data + at);

		if (dek == NULL)
			continue;
		bh_dek_table_insert(aside, dek);
		bh_dek_table_remove(&keyring->live, ids.data + at);
	}
	bh_keyring_unlock(keyring);
	return status;
}

/* The replacement failed: they go back, if the merchant's newest are in memory still; if not, they were locked meanwhile. */
static void put_back(bh_keyring *keyring, const bh_merchant_record *merchant, const bh_dek_table *aside)
{
	bh_keyring_write_lock(keyring);
	const bh_dek_record *newest = &merchant->deks[merchant->dek_count - 1];
	if (bh_dek_table_find(&keyring->live, newest->id) != NULL && bh_keyring_live_reserve(keyring, aside->count) == BH_OK)
		for (size_t i = 0; i < aside->count; i++)
			bh_keyring_live_insert(keyring, aside->by_id[i], 0);
	bh_keyring_unlock(keyring);
}

/* An unlock in parallel may have brought one back before it was retired. */
static void forget(bh_keyring *keyring, bh_view ids)
{
	bh_keyring_write_lock(keyring);
	for (size_t at = 0; at < ids.len; at += BH_ID_LEN)
		bh_dek_table_remove(&keyring->live, ids.data + at);
	bh_keyring_unlock(keyring);
}

static void retired_note(bh_keyring *keyring, const bh_merchant_record *merchant, bh_view ids, const char *detail)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };
	const bh_audit_event bare = { .action = BH_AUDIT_DEK_RETIRED,
				      .merchant = bh_keyring_audit_name(merchant),
				      .detail = detail };

	if (bh_keyring_audit_some(keyring, &batch, BH_AUDIT_DEK_RETIRED, merchant, ids.data, ids.len / BH_ID_LEN, detail, BH_OK) ==
	    BH_OK)
		bh_audit_batch_note(keyring->audit, &batch);
	else
		bh_audit_note(keyring->audit, &bare);
}

/* Never an edit, since that would leave the wraps in the file. The caller holds `change`. */
static bh_status retire(bh_keyring *keyring, const char *name, bh_view all, const char *detail)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state next = { 0 };
	BH_CLEANUP(bh_dek_table_clear) bh_dek_table aside = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf ids = { 0 };
	const bh_merchant_record *merchant = NULL;

	BH_TRY(living(keyring, name, &merchant));
	BH_TRY(bh_keyring_state_copy(&keyring->state, &next));
	BH_TRY(bury(bh_keyring_state_owner(&next, name), all.data, all.len / BH_ID_LEN, &ids));
	if (ids.len == 0)
		return BH_OK;
	BH_TRY(set_aside(keyring, bh_buf_view(&ids), &aside));
	bh_status status = bh_keyring_replace(keyring, &next);
	if (status != BH_OK) {
		put_back(keyring, merchant, &aside);
		return status;
	}
	forget(keyring, bh_buf_view(&ids));
	retired_note(keyring, bh_keyring_state_owner(&keyring->state, name), bh_buf_view(&ids), detail);
	return BH_OK;
}

bh_status bh_keyring_deks_retire(bh_keyring *keyring, const char *name, const uint8_t *dek_ids, size_t count, const char *detail)
{
	BH_TRY(bh_keyring_writable_check(keyring));
	pthread_mutex_lock(&keyring->change);
	bh_status status = retire(keyring, name, bh_view_of(dek_ids, count * BH_ID_LEN), detail);
	pthread_mutex_unlock(&keyring->change);
	return status;
}
