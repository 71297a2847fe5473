/* SPDX-License-Identifier: Apache-2.0
 *
 * rewrap.c: the same DEKs under another wrap: of their CMK's newest version, or of another CMK. No data is rewritten.
 *
 * Every DEK is unwrapped by the CMK that it has, even where it is in memory: who revoked his CMK has not agreed to another one. The
 * new wrap is unwrapped again before it counts. All that with no lock held; under `change` a new wrap takes the place of the one
 * that was read, and of no other. KEYRING is then replaced as a whole, so that no old wrap stays in it.
 *
 * The platform goes the same way, as a merchant without a name; behind its DEKs comes the root secret, whose wrap is in KEYRING's
 * head.
 */
#include <stdlib.h>

#include "ring.h"
#include "cmk.h"
#include "keyring/manifest/file.h"
#include "keyring.h"
#include "events.h"
#include "deks.h"
#include "keyring/manifest/format.h"
#include "keyring/manifest/state_former.h"
#include "keyring/kms/provider/registry.h"
#include "edit.h"

typedef struct new_wrap {
	bh_buf wrapped; /* empty: there is none */
	uint32_t version;
} new_wrap;

typedef struct rewrap {
	bh_keyring *keyring;
	bh_keyring_state copy; /* the merchant, as it was before a KMS was asked */
	const char *uri;       /* of the CMK that wraps */
	bool move;             /* it is not the merchant's */
	bh_kms *from, *onto;   /* the merchant's CMK, and that one; the same without a move */
	new_wrap *wraps;       /* owned; as many as the merchant has DEKs, in their order */
	bh_audit_batch events;
	bh_rewrap_result result;
} rewrap;

static const bh_merchant_record *merchant_of(const rewrap *r)
{
	return &r->copy.merchants[0];
}

static void rewrap_clear(rewrap *r)
{
	for (size_t i = 0; r->wraps != NULL && i < merchant_of(r)->dek_count; i++)
		bh_buf_clear(&r->wraps[i].wrapped);
	free(r->wraps);
	bh_kms_close(r->from);
	bh_kms_close(r->onto);
	bh_keyring_state_clear(&r->copy);
	bh_audit_batch_clear(&r->events);
}

/* What is to be rewrapped */

/* The root, as one more DEK behind the platform's. The caller holds `lock`. */
static bh_status root_fill(const bh_keyring_head *head, bh_dek_record *out)
{
	memcpy(out->id, head->root_id, BH_ID_LEN);
	out->generation = BH_ROOT_GENERATION;
	out->cmk_version = head->cmk_version;
	return bh_buf_append(&out->wrapped, head->wrapped, head->wrapped_len);
}

static bh_status root_append(bh_keyring *keyring, bh_merchant_record *platform)
{
	bh_dek_record *grown = realloc(platform->deks, (platform->dek_count + 1) * sizeof(*grown));

	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the platform's DEKs");
	platform->deks = grown;
	grown[platform->dek_count] = (bh_dek_record){ 0 };
	bh_keyring_read_lock(keyring);
	bh_status status = root_fill(&keyring->file.head, &grown[platform->dek_count++]);
	bh_keyring_unlock(keyring);
	return status;
}

/* "Not found" would say that there is no such merchant. */
static bh_status cmk_open(const bh_keyring *keyring, const char *uri, bh_kms **out)
{
	bh_status status = bh_keyring_kms_open(keyring, uri, out);

	return bh_fail_prefix(status == BH_E_NOT_FOUND ? BH_E_NO_KEY : status, "CMK '%s'", bh_kms_uri_shown(uri));
}

static bh_status cmks_open(rewrap *r)
{
	const bh_merchant_record *merchant = merchant_of(r);
	bh_kms_key_info info;

	BH_TRY(cmk_open(r->keyring, merchant->cmk_uri, &r->from));
	if (r->move)
		BH_TRY(cmk_open(r->keyring, r->uri, &r->onto));
	else
		r->onto = bh_kms_ref(r->from);
	BH_TRY(bh_keyring_region_check(r->onto, r->uri, merchant->region));
	BH_TRY(bh_kms_describe(r->onto, &info));
	r->result.version = info.version;
	return BH_OK;
}

/* One DEK at its KMSs */

static bh_status context_wrap(rewrap *r, const bh_dek *dek, const bh_dek_record *record, new_wrap *out)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *again = NULL;

	BH_TRY(bh_kms_wrap(r->onto, bh_dek_key(dek), bh_dek_context(dek), &out->wrapped, &out->version));
	BH_TRY(bh_keyring_audit_rewrapped(r->keyring, &r->events, merchant_of(r), record, r->uri, out->version));
	BH_TRY(bh_keyring_dek_open(r->onto, r->keyring->file.head.database_id, merchant_of(r)->region, bh_dek_scope(dek),
				   bh_dek_id(dek), bh_dek_generation(dek), bh_buf_view(&out->wrapped), &again));
	if (!bh_equal_ct(bh_dek_key(again).data, bh_dek_key(dek).data, BH_DEK_LEN))
		return bh_fail(BH_E_TAG, "CMK '%s': its KMS unwraps to another key than it has wrapped", r->uri);
	return BH_OK;
}

/* On failure `out` may hold a wrap: it does not count. */
static bh_status dek_rewrap(rewrap *r, const bh_dek_record *record, new_wrap *out)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	BH_TRY(bh_keyring_record_open(r->keyring, r->from, merchant_of(r), record, &dek));
	BH_TRY(bh_keyring_audit_dek(r->keyring, &r->events, BH_AUDIT_DEK_UNWRAPPED, merchant_of(r), record));
	return context_wrap(r, dek, record, out);
}

static bool is_due(const rewrap *r, const bh_dek_record *record)
{
	return !bh_dek_record_is_tombstone(record) && (r->move || record->cmk_version < r->result.version);
}

static bh_status deks_rewrap(rewrap *r)
{
	const bh_merchant_record *merchant = merchant_of(r);

	for (size_t i = 0; i < merchant->dek_count; i++) {
		if (!is_due(r, &merchant->deks[i]))
			continue;
		bh_status status = dek_rewrap(r, &merchant->deks[i], &r->wraps[i]);
		/* A KMS that wraps by a version that is no newer has brought nothing. */
		if (status != BH_OK || (!r->move && r->wraps[i].version <= merchant->deks[i].cmk_version))
			bh_buf_clear(&r->wraps[i].wrapped);
		BH_TRY(status);
		r->result.version = BH_MAX(r->result.version, r->wraps[i].version);
	}
	return BH_OK;
}

static bool has_any(const rewrap *r)
{
	for (size_t i = 0; r->wraps != NULL && i < merchant_of(r)->dek_count; i++)
		if (r->wraps[i].wrapped.len > 0)
			return true;
	return false;
}

/* Commit: all below is done under `change` */

static bh_status take_wrap(bh_dek_record *dek, const new_wrap *wrap)
{
	BH_CLEANUP(bh_buf_clear) bh_buf wrapped = { 0 };

	BH_TRY(bh_buf_append(&wrapped, wrap->wrapped.data, wrap->wrapped.len));
	bh_buf last = dek->wrapped;
	dek->wrapped = wrapped;
	wrapped = last;
	dek->cmk_version = wrap->version;
	return BH_OK;
}

static bh_status busy(const rewrap *r)
{
	return bh_fail(BH_E_BUSY, "%s%s%s was rotated, rewrapped or moved by somebody else meanwhile",
		       merchant_of(r)->name[0] != '\0' ? "merchant '" : "", merchant_of(r)->name,
		       merchant_of(r)->name[0] != '\0' ? "'" : "the platform's key");
}

/* Puts the new wraps into `now`, where the ones that were read are still there. A move is all or none. */
static bh_status wraps_take(rewrap *r, bh_merchant_record *now)
{
	const bh_merchant_record *then = merchant_of(r);

	for (size_t i = 0; i < now->dek_count; i++) {
		bh_dek_record *dek = &now->deks[i];
		bool mine = i < then->dek_count && r->wraps[i].wrapped.len > 0 && bh_dek_record_same_wrap(dek, &then->deks[i]);

		if (bh_dek_record_is_tombstone(dek))
			continue;
		if (!mine && r->move)
			return busy(r);
		if (mine) {
			BH_TRY(take_wrap(dek, &r->wraps[i]));
			r->result.rewrapped++;
		}
		r->result.behind += dek->cmk_version < r->result.version;
	}
	return BH_OK;
}

static bh_status events_write(rewrap *r)
{
	if (r->move)
		BH_TRY(bh_keyring_audit_moved(r->keyring, &r->events, merchant_of(r), r->uri));
	return bh_audit_batch_write(r->keyring->audit, &r->events);
}

static bh_status merchant_commit(rewrap *r)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state next = { 0 };

	BH_TRY(bh_keyring_state_copy(&r->keyring->state, &next));
	bh_merchant_record *now = bh_keyring_state_find_id(&next, merchant_of(r)->id);
	if (now->state >= BH_MERCHANT_SHREDDING)
		return bh_fail(BH_E_SHREDDED, "merchant '%s': was shredded meanwhile", now->name);
	if (strcmp(now->cmk_uri, merchant_of(r)->cmk_uri) != 0)
		return busy(r);
	BH_TRY(wraps_take(r, now));
	if (r->result.rewrapped == 0)
		return BH_OK;
	if (r->move)
		BH_TRY(bh_former_cmk_leave(now, r->uri, bh_keyring_now_ms() / 1000));
	BH_TRY(events_write(r));
	return bh_keyring_replace(r->keyring, &next);
}

/* The root's wrap, which the head has: the last of those that were read. */
static bh_status root_take(rewrap *r, bh_keyring_head *head)
{
	const bh_dek_record *then = &merchant_of(r)->deks[merchant_of(r)->dek_count - 1];
	const new_wrap *wrap = &r->wraps[merchant_of(r)->dek_count - 1];

	if (strcmp(head->cmk_uri, merchant_of(r)->cmk_uri) != 0 || head->wrapped_len != then->wrapped.len ||
	    memcmp(head->wrapped, then->wrapped.data, head->wrapped_len) != 0)
		return busy(r);
	if (wrap->wrapped.len > 0) {
		memcpy(head->wrapped, wrap->wrapped.data, wrap->wrapped.len);
		head->wrapped_len = wrap->wrapped.len;
		head->cmk_version = wrap->version;
		r->result.rewrapped++;
	}
	r->result.behind += head->cmk_version < r->result.version;
	memcpy(head->cmk_uri, r->uri, strlen(r->uri) + 1);
	return BH_OK;
}

static bh_status platform_commit(rewrap *r)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state next = { 0 };
	bh_keyring_head head = r->keyring->file.head;

	BH_TRY(bh_keyring_state_copy(&r->keyring->state, &next));
	BH_TRY(root_take(r, &head));
	BH_TRY(wraps_take(r, &next.platform));
	if (r->result.rewrapped == 0)
		return BH_OK;
	BH_TRY(events_write(r));
	return bh_keyring_replace_head(r->keyring, &head, &next);
}

static bh_status commit(rewrap *r)
{
	pthread_mutex_lock(&r->keyring->change);
	bh_status status = merchant_of(r)->name[0] == '\0' ? platform_commit(r) : merchant_commit(r);
	pthread_mutex_unlock(&r->keyring->change);
	if (status == BH_OK && r->move)
		bh_cmk_table_close(r->keyring->cmks, merchant_of(r)->cmk_uri);
	return status;
}

/* Keeps the status and the message of the KMS's failure over the commit of what was done before it. */
static bh_status commit_part(rewrap *r, bh_status failure)
{
	BH_CLEANUP(bh_buf_clear) bh_buf message = { 0 };

	if (r->move || !has_any(r) || bh_buf_printf(&message, "%s", bh_status_message()) != BH_OK ||
	    bh_buf_append_u8(&message, 0) != BH_OK)
		return failure;
	bh_status status = commit(r);
	/* Too late, or not to be written: all old wraps are valid still. */
	if (status != BH_OK)
		bh_audit_batch_note(r->keyring->audit, &r->events);
	return bh_fail(failure, "%s", (const char *)message.data);
}

static bh_status intent_write(const rewrap *r)
{
	const bh_merchant_record *merchant = merchant_of(r);

	if (!r->move)
		return bh_keyring_audit_asking(r->keyring, merchant, r->uri, "to unwrap its DEKs and to wrap them anew");
	BH_TRY(bh_keyring_audit_asking(r->keyring, merchant, merchant->cmk_uri, "to unwrap its DEKs, for a move"));
	return bh_keyring_audit_asking(r->keyring, merchant, r->uri, "to wrap its DEKs, for a move");
}

static bh_status at_kms(rewrap *r)
{
	r->wraps = calloc(merchant_of(r)->dek_count, sizeof(*r->wraps));
	if (r->wraps == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu wraps", merchant_of(r)->dek_count);
	BH_TRY(intent_write(r));
	BH_TRY(cmks_open(r));
	return deks_rewrap(r);
}

static bool is_answer_of_others(rewrap *r)
{
	return merchant_of(r)->name[0] != '\0' && bh_keyring_has_moved(r->keyring, merchant_of(r));
}

static bh_status run(rewrap *r)
{
	bh_status status = at_kms(r);

	if (status == BH_OK) {
		status = commit(r);
	} else {
		if (status == BH_E_NOT_FOUND)
			status = BH_E_NO_KEY;
		status = is_answer_of_others(r) ? busy(r) : commit_part(r, status);
	}
	/* What the KMS did, it did whether it came to count or not. */
	bh_audit_batch_note(r->keyring->audit, &r->events);
	if (status != BH_OK)
		bh_keyring_audit_rewrap_failed(r->keyring, merchant_of(r), r->uri, status);
	return status;
}

bh_status bh_keyring_merchant_rewrap(bh_keyring *keyring, const char *name, const char *cmk_uri, bh_rewrap_result *out)
{
	BH_CLEANUP(rewrap_clear) rewrap r = { .keyring = keyring };

	BH_TRY(bh_keyring_writable_check(keyring));
	BH_TRY(bh_keyring_owner_copy(keyring, name, &r.copy));
	if (name[0] == '\0')
		BH_TRY(root_append(keyring, &r.copy.merchants[0]));
	r.move = cmk_uri != NULL && strcmp(cmk_uri, merchant_of(&r)->cmk_uri) != 0;
	r.uri = r.move ? cmk_uri : merchant_of(&r)->cmk_uri;
	BH_TRY(bh_fail_prefix(run(&r), "rewrap"));
	r.result.moved = r.move;
	*out = r.result;
	return BH_OK;
}
