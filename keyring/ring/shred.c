/* SPDX-License-Identifier: Apache-2.0
 *
 * shred.c: what the keyring knows of a merchant's shred, and what its KMS says to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ring.h"
#include "edit.h"
#include "keyring.h"
#include "deks.h"
#include "keyring/base/crashpoint.h"
#include "keyring/manifest/format.h"
#include "keyring/manifest/state_former.h"
#include "cmk.h"
#include "keyring/manifest/file.h"

/* ---- the record */

/* The merchant of that id, if it is being shredded or is; else NULL, and why. The caller holds a lock. */
static bh_merchant_record *find(bh_keyring *keyring, const uint8_t id[BH_ID_LEN], bh_status *why_out)
{
	bh_merchant_record *merchant = bh_keyring_state_find_id(&keyring->state, id);
	char hex[BH_ID_HEX_SIZE];

	*why_out = BH_OK;
	if (merchant != NULL && merchant->state >= BH_MERCHANT_SHREDDING)
		return merchant;
	bh_hex(id, BH_ID_LEN, hex);
	*why_out = merchant == NULL ? bh_fail(BH_E_NO_SUCH_MERCHANT, "merchant of id %s: does not exist in this database", hex)
				    : bh_fail(BH_E_INVALID, "merchant '%s': is %s, and nobody has asked to shred it",
					      merchant->name, bh_merchant_state_name(merchant->state));
	return NULL;
}

bh_status bh_keyring_shred(bh_keyring *keyring, const uint8_t merchant_id[BH_ID_LEN], bh_shred_record *out)
{
	bh_status status;

	bh_keyring_read_lock(keyring);
	const bh_merchant_record *merchant = find(keyring, merchant_id, &status);
	if (merchant != NULL)
		*out = merchant->shred;
	bh_keyring_unlock(keyring);
	return status;
}

/* The caller holds `change`. */
static bh_status note(bh_keyring *keyring, const uint8_t id[BH_ID_LEN], const bh_shred_record *record)
{
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };
	bh_shred_record noted = *record;
	bh_status status;

	const bh_merchant_record *merchant = find(keyring, id, &status);
	if (merchant == NULL)
		return status;
	noted.destroyed_at_ms = merchant->shred.destroyed_at_ms;
	BH_TRY(bh_shred_edit_encode(id, &noted, &payload));
	return bh_keyring_edit(keyring, BH_KEYRING_SHRED, bh_buf_view(&payload));
}

bh_status bh_keyring_shred_note(bh_keyring *keyring, const uint8_t merchant_id[BH_ID_LEN], const bh_shred_record *record)
{
	pthread_mutex_lock(&keyring->change);
	bh_status status = note(keyring, merchant_id, record);
	pthread_mutex_unlock(&keyring->change);
	return status;
}

/* ---- the KMS */

/* A copy of what can be asked without a lock. */
static bh_status merchant_copy(bh_keyring *keyring, const uint8_t id[BH_ID_LEN], bh_keyring_state *out)
{
	bh_status status;

	bh_keyring_read_lock(keyring);
	bh_merchant_record *merchant = find(keyring, id, &status);
	if (merchant != NULL) {
		const bh_keyring_state one = { .merchants = merchant, .count = 1 };
		status = bh_keyring_state_copy(&one, out);
	}
	bh_keyring_unlock(keyring);
	return status;
}

static void message_keep(char out[BH_SHRED_MESSAGE_MAX + 1])
{
	const char *message = bh_status_message();
	size_t len = strnlen(message, BH_SHRED_MESSAGE_MAX);

	memcpy(out, message, len);
	out[len] = '\0';
}

static bh_status destroy_at(bh_kms *kms, bh_shred_answer *answer)
{
	bh_kms_evidence evidence;

	BH_TRY(bh_kms_destroy(kms, &evidence));
	answer->state = evidence.state;
	answer->destroyed_at_s = evidence.state == BH_KMS_DESTROYED ? evidence.at_s : 0;
	answer->scheduled_s = evidence.scheduled_s;
	memcpy(answer->request_id, evidence.request_id, sizeof(answer->request_id));
	return BH_OK;
}

static void ask_to_destroy(bh_kms *kms, bh_status opened, bh_shred_answer *out)
{
	bh_shred_answer answer = { .at_ms = bh_keyring_now_ms(), .status = opened };

	if (opened == BH_OK)
		answer.status = destroy_at(kms, &answer);
	if (answer.status != BH_OK)
		message_keep(answer.message);
	*out = answer;
}

static bh_status try_unwrap(const bh_keyring *keyring, bh_kms *kms, const bh_merchant_record *merchant)
{
	const bh_dek_record *record = bh_deks_wrapped(merchant->deks, merchant->dek_count);
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	if (record == NULL)
		return bh_fail(BH_E_NO_KEY, "merchant '%s': there is no DEK to be unwrapped", merchant->name);
	return bh_keyring_record_open(keyring, kms, merchant, record, &dek);
}

static bh_status try_wrap(bh_kms *kms)
{
	static const uint8_t nothing[BH_DEK_LEN];
	BH_CLEANUP(bh_buf_clear) bh_buf wrapped = { 0 };
	uint32_t version;

	return bh_kms_wrap(kms, bh_view_of(nothing, sizeof(nothing)), bh_view_str("purpose=proof\n"), &wrapped, &version);
}

static bh_audit_event cmk_event(const bh_merchant_record *merchant, const char *uri, const char *action)
{
	return (bh_audit_event){ .action = action, .merchant = merchant->name, .region = merchant->region, .cmk_uri = uri };
}

static const char *key_state_name(bh_kms_key_state state)
{
	switch (state) {
	case BH_KMS_ENABLED: return "enabled";
	case BH_KMS_DISABLED: return "disabled";
	case BH_KMS_PENDING_DELETION: return "pending deletion";
	case BH_KMS_DESTROYED: return "destroyed";
	}
	return "of no state that is known";
}

/* What the KMS said, and what it did when the key was used all the same. */
static void answered_note(const bh_keyring *keyring, const bh_merchant_record *merchant, const char *uri,
			  const bh_shred_answer *answer, const char *tried, bh_status probe)
{
	bh_audit_event event = cmk_event(merchant, uri, BH_AUDIT_CMK_DESTROY_ANSWERED);
	char detail[BH_SHRED_MESSAGE_MAX + 128];

	snprintf(detail, sizeof(detail), "%s; %s afterwards: %s",
		 answer->status == BH_OK ? key_state_name(answer->state) : answer->message, tried, bh_status_name(probe));
	event.outcome = answer->status;
	event.kms_request_id = answer->request_id[0] != '\0' ? answer->request_id : NULL;
	event.detail = detail;
	bh_audit_note(keyring->audit, &event);
}

/* The wraps are there in SHREDDING; afterwards there is nothing left to unwrap. */
static void ask(const bh_keyring *keyring, const bh_merchant_record *merchant, bh_shred_record *record)
{
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;
	const bh_audit_event asked = cmk_event(merchant, merchant->cmk_uri, BH_AUDIT_CMK_DESTROY_ASKED);
	bool has_wraps = merchant->state == BH_MERCHANT_SHREDDING;

	bh_audit_note(keyring->audit, &asked);
	bh_status opened = bh_keyring_kms_open(keyring, merchant->cmk_uri, &kms);

	ask_to_destroy(kms, opened, &record->cmk);
	bh_shred_probe probe = { .at_ms = bh_keyring_now_ms(), .status = opened };
	if (opened == BH_OK)
		probe.status = has_wraps ? try_unwrap(keyring, kms, merchant) : try_wrap(kms);
	*(has_wraps ? &record->unwrap : &record->wrap) = probe;
	answered_note(keyring, merchant, merchant->cmk_uri, &record->cmk, has_wraps ? "an unwrap" : "a wrap", probe.status);
}

bh_status bh_keyring_shred_ask(bh_keyring *keyring, const uint8_t merchant_id[BH_ID_LEN], bh_shred_record *record)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state copy = { 0 };

	BH_TRY(merchant_copy(keyring, merchant_id, &copy));
	for (size_t i = 0; i < copy.count; i++) /* one */
		ask(keyring, &copy.merchants[i], record);
	return BH_OK;
}

/* ---- the CMKs that it had before */

bh_status bh_keyring_former_cmks(bh_keyring *keyring, const uint8_t merchant_id[BH_ID_LEN], bh_former_cmk **out, size_t *count_out)
{
	bh_status status = BH_OK;
	bh_former_cmk *copy = NULL;

	bh_keyring_read_lock(keyring);
	const bh_merchant_record *merchant = bh_keyring_state_find_id(&keyring->state, merchant_id);
	if (merchant != NULL) {
		copy = calloc(BH_MAX(merchant->former_count, 1u), sizeof(*copy));
		*count_out = merchant->former_count;
		if (copy == NULL)
			status = bh_fail(BH_E_NOMEM, "merchant '%s': no memory for its former CMKs", merchant->name);
		else if (merchant->former_count > 0)
			memcpy(copy, merchant->former, merchant->former_count * sizeof(*copy));
	} else {
		status = bh_fail(BH_E_NO_SUCH_MERCHANT, "no merchant of that id in this database");
	}
	bh_keyring_unlock(keyring);
	BH_TRY(status);
	*out = copy;
	return BH_OK;
}

/* No wrap of its is left that could be tried. */
static void ask_former(const bh_keyring *keyring, const bh_merchant_record *merchant, bh_former_cmk *former)
{
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;
	const bh_audit_event asked = cmk_event(merchant, former->uri, BH_AUDIT_CMK_DESTROY_ASKED);

	bh_audit_note(keyring->audit, &asked);
	bh_status opened = bh_keyring_kms_open(keyring, former->uri, &kms);
	ask_to_destroy(kms, opened, &former->answer);
	former->wrap = (bh_shred_probe){ .at_ms = bh_keyring_now_ms(), .status = opened == BH_OK ? try_wrap(kms) : opened };
	answered_note(keyring, merchant, former->uri, &former->answer, "a wrap", former->wrap.status);
}

static bh_status former_note(bh_keyring *keyring, const uint8_t id[BH_ID_LEN], size_t index, const bh_former_cmk *former)
{
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };

	BH_TRY(bh_former_answered_encode(id, index, former, &payload));
	pthread_mutex_lock(&keyring->change);
	bh_status status = bh_keyring_edit(keyring, BH_KEYRING_FORMER_ANSWERED, bh_buf_view(&payload));
	pthread_mutex_unlock(&keyring->change);
	return status;
}

bh_status bh_keyring_shred_ask_former(bh_keyring *keyring, const uint8_t merchant_id[BH_ID_LEN])
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state copy = { 0 };

	BH_TRY(merchant_copy(keyring, merchant_id, &copy));
	const bh_merchant_record *merchant = &copy.merchants[0];
	for (size_t i = 0; i < merchant->former_count; i++) {
		bh_former_cmk former = merchant->former[i];

		if (bh_former_cmk_is_gone(&former))
			continue;
		ask_former(keyring, merchant, &former);
		bh_crash_point("shred.former-asked");
		BH_TRY(former_note(keyring, merchant_id, i, &former));
	}
	return BH_OK;
}
