/* SPDX-License-Identifier: Apache-2.0
 *
 * merchants.c: merchants come, change their state, and are destroyed.
 */
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include "ring.h"
#include "keyring/dek/dek.h"
#include "keyring/dek/dek_table.h"
#include "keyring/dek/tally.h"
#include "keyring/manifest/file.h"
#include "keyring/base/random.h"
#include "cmks.h"
#include "deks.h"
#include "keyring/manifest/format.h"
#include "events.h"
#include "cmk.h"
#include "keyring.h"
#include "live.h"
#include "edit.h"

/* Add */

static bh_status classes_check(const char *const *classes, size_t count)
{
	if (count == 0 || count > BH_CLASSES_MAX)
		return bh_fail(BH_E_INVALID, "%zu classes were given; a merchant has between 1 and %d", count, BH_CLASSES_MAX);
	for (size_t i = 0; i < count; i++) {
		BH_TRY(bh_name_check("class", classes[i]));
		for (size_t j = 0; j < i; j++) {
			/* Without case: each class has a directory, and not every file system tells "A" from "a". */
			if (strcasecmp(classes[i], classes[j]) == 0)
				return bh_fail(BH_E_INVALID, "class '%s' was given twice", classes[i]);
		}
	}
	return BH_OK;
}

static bh_status twin_check(bh_keyring *keyring, const char *name)
{
	bh_status status = BH_OK;

	bh_keyring_read_lock(keyring);
	const bh_merchant_record *twin = bh_keyring_state_twin(&keyring->state, name);
	if (twin != NULL)
		status = bh_fail(BH_E_EXISTS, "merchant '%s': is there already (%s)%s", twin->name,
				 bh_merchant_state_name(twin->state),
				 strcmp(twin->name, name) != 0 ? "; names that differ in case alone are the same" : "");
	bh_keyring_unlock(keyring);
	return status;
}

/* The record of a new merchant, but for its DEKs. On failure it is the caller's to clear. */
static bh_status record_begin(const bh_keyring *keyring, const char *name, const char *cmk_uri, size_t class_count,
			      bh_merchant_record *out)
{
	BH_TRY(bh_random(out->id, BH_ID_LEN));
	memcpy(out->name, name, strlen(name) + 1);
	memcpy(out->region, keyring->file.head.region, sizeof(out->region));
	out->state = BH_MERCHANT_CREATING;
	out->created_at_s = out->changed_at_s = (int64_t)time(NULL);
	out->cmk_uri = strdup(cmk_uri);
	out->deks = calloc(class_count, sizeof(*out->deks));
	if (out->cmk_uri == NULL || out->deks == NULL) {
		(void)bh_fail(BH_E_NOMEM, "no memory for a merchant of %zu classes", class_count);
		return BH_E_NOMEM;
	}
	return BH_OK;
}

static bh_status record_add_dek(const bh_keyring *keyring, bh_kms *kms, const char *cls, bh_merchant_record *record,
				bh_dek_table *deks, bh_audit_batch *events)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	bh_dek_record *out = &record->deks[record->dek_count++];
	bh_scope scope = { 0 };

	memcpy(scope.merchant, record->name, sizeof(scope.merchant));
	memcpy(scope.cls, cls, strlen(cls) + 1);
	BH_TRY(bh_keyring_dek_make(kms, keyring->file.head.database_id, record->region, &scope, 1, &dek, &out->wrapped,
				   &out->cmk_version));
	memcpy(out->id, bh_dek_id(dek), BH_ID_LEN);
	memcpy(out->cls, scope.cls, sizeof(out->cls));
	out->generation = bh_dek_generation(dek);
	out->created_at_s = record->created_at_s;
	bh_dek_table_insert(deks, dek);
	return bh_keyring_audit_dek(keyring, events, BH_AUDIT_DEK_WRAPPED, record, out);
}

/* All that needs the KMS, with no lock held. */
static bh_status record_make(const bh_keyring *keyring, const char *name, const char *cmk_uri, const char *const *classes,
			     size_t class_count, bh_merchant_record *record, bh_dek_table *deks, bh_audit_batch *events)
{
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;

	BH_TRY(record_begin(keyring, name, cmk_uri, class_count, record));
	BH_TRY(bh_keyring_audit_asking(keyring, record, cmk_uri, "to wrap its first DEKs"));
	BH_TRY(bh_keyring_kms_open(keyring, cmk_uri, &kms));
	BH_TRY(bh_keyring_region_check(kms, cmk_uri, keyring->file.head.region));
	BH_TRY(bh_dek_table_reserve(deks, class_count));
	for (size_t i = 0; i < class_count; i++)
		BH_TRY(record_add_dek(keyring, kms, classes[i], record, deks, events));
	return BH_OK;
}

static void refused_note(bh_keyring *keyring, const char *name, const char *cmk_uri, bh_audit_batch *events, bh_status status)
{
	const bh_audit_event denied = { .action = BH_AUDIT_KEYS_DENIED,
					.merchant = name,
					.region = keyring->file.head.region,
					.cmk_uri = cmk_uri,
					.outcome = status,
					.detail = bh_status_message() };

	bh_audit_batch_note(keyring->audit, events);
	bh_audit_note(keyring->audit, &denied);
}

static bh_status live_insert(bh_keyring *keyring, const bh_dek_table *deks)
{
	bh_keyring_write_lock(keyring);
	bh_status status = bh_keyring_live_reserve(keyring, deks->count);
	for (size_t i = 0; status == BH_OK && i < deks->count; i++)
		bh_keyring_live_insert(keyring, deks->by_id[i], 0);
	bh_keyring_unlock(keyring);
	return status;
}

/* Whether there were any. */
static bool live_remove(bh_keyring *keyring, const char *name)
{
	bh_keyring_write_lock(keyring);
	size_t before = keyring->live.count;
	bh_dek_table_remove_merchant(&keyring->live, name);
	bool any = keyring->live.count != before;
	bh_keyring_unlock(keyring);
	return any;
}

/* The DEKs go live first, since that can fail and the rest cannot be taken back; nobody knows the name yet. */
static bh_status record_install(bh_keyring *keyring, const bh_merchant_record *record, const bh_dek_table *deks, bh_view payload)
{
	BH_TRY(live_insert(keyring, deks));
	bh_status status = bh_keyring_edit(keyring, BH_KEYRING_MERCHANT_ADDED, payload);
	if (status != BH_OK)
		live_remove(keyring, record->name);
	return status;
}

/* What was said before did not come to be. */
static void record_taken_back(bh_keyring *keyring, const bh_merchant_record *record, bh_status status)
{
	const bh_audit_event bare = { .action = BH_AUDIT_KEYS_WIPED, .merchant = record->name, .outcome = status };
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };

	if (bh_keyring_audit_added(keyring, &batch, record, status) == BH_OK &&
	    bh_keyring_audit_keys(keyring, &batch, BH_AUDIT_KEYS_WIPED, record, status) == BH_OK)
		bh_audit_batch_note(keyring->audit, &batch);
	else
		bh_audit_note(keyring->audit, &bare);
}

/* `events` has the wraps. The caller holds `change`. */
static bh_status record_commit(bh_keyring *keyring, const bh_merchant_record *record, const bh_dek_table *deks,
			       bh_audit_batch *events)
{
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };

	BH_TRY(twin_check(keyring, record->name));
	BH_TRY(bh_merchant_record_encode(record, &payload));
	BH_TRY(bh_keyring_audit_added(keyring, events, record, BH_OK));
	BH_TRY(bh_keyring_audit_keys(keyring, events, BH_AUDIT_KEYS_GRANTED, record, BH_OK));
	bh_status status = bh_audit_batch_write(keyring->audit, events);
	if (status == BH_OK)
		status = record_install(keyring, record, deks, bh_buf_view(&payload));
	if (status != BH_OK)
		record_taken_back(keyring, record, status);
	return status;
}

bh_status bh_keyring_merchant_add(bh_keyring *keyring, const char *name, const char *cmk_uri, const char *const *classes,
				  size_t class_count)
{
	BH_CLEANUP(bh_merchant_record_clear) bh_merchant_record record = { 0 };
	BH_CLEANUP(bh_dek_table_clear) bh_dek_table deks = { 0 };
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch events = { 0 };

	BH_TRY(bh_name_check("merchant", name));
	BH_TRY(bh_fail_prefix(classes_check(classes, class_count), "merchant '%s'", name));
	BH_TRY(twin_check(keyring, name));
	bh_status status = record_make(keyring, name, cmk_uri, classes, class_count, &record, &deks, &events);
	if (status != BH_OK) {
		refused_note(keyring, name, cmk_uri, &events, status);
		return bh_fail_prefix(status, "merchant '%s'", name);
	}
	pthread_mutex_lock(&keyring->change);
	status = record_commit(keyring, &record, &deks, &events);
	pthread_mutex_unlock(&keyring->change);
	return status;
}

/* State */

static bh_status refuse_transition(const bh_merchant_record *merchant, bh_merchant_state to)
{
	if (merchant->state >= BH_MERCHANT_SHREDDING)
		return bh_fail(BH_E_SHREDDED, "merchant '%s': is %s, from which there is no way to %s", merchant->name,
			       bh_merchant_state_name(merchant->state), bh_merchant_state_name(to));
	return bh_fail(BH_E_INVALID, "merchant '%s': is %s, from which it cannot become %s", merchant->name,
		       bh_merchant_state_name(merchant->state), bh_merchant_state_name(to));
}

static bool is_closing(bh_merchant_state state)
{
	return state == BH_MERCHANT_SUSPENDING || state == BH_MERCHANT_SUSPENDED || state >= BH_MERCHANT_SHREDDING;
}

/* Says in the log that the merchant's state is about to change, or, with an `outcome`, that it did not. What closes a merchant goes
 * on without a log. */
static bh_status state_announce(bh_keyring *keyring, const bh_merchant_record *merchant, const bh_state_change *change,
				bh_status outcome)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };

	BH_TRY(bh_keyring_audit_state(keyring, &batch, merchant, change, outcome));
	if (outcome == BH_OK && !is_closing(change->state))
		return bh_audit_batch_write(keyring->audit, &batch);
	bh_audit_batch_note(keyring->audit, &batch);
	return BH_OK;
}

static void state_failed_note(bh_keyring *keyring, const bh_merchant_record *merchant, const bh_state_change *change,
			      bh_status outcome)
{
	const bh_audit_event bare = { .action = BH_AUDIT_STATE_CHANGED, .merchant = merchant->name, .outcome = outcome };

	if (state_announce(keyring, merchant, change, outcome) != BH_OK)
		bh_audit_note(keyring->audit, &bare);
}

/* The one change of state that brings a record of its own. */
static bh_status shred_begin(bh_keyring *keyring, const bh_merchant_record *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };
	const bh_shred_record begun = { .asked_at_ms = bh_keyring_now_ms() };

	BH_TRY(bh_shred_edit_encode(merchant->id, &begun, &payload));
	return bh_keyring_edit(keyring, BH_KEYRING_SHRED, bh_buf_view(&payload));
}

static bh_status state_write(bh_keyring *keyring, const bh_merchant_record *merchant, const bh_state_change *change)
{
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };

	if (change->state == BH_MERCHANT_SHREDDING)
		return shred_begin(keyring, merchant);
	BH_TRY(bh_state_change_encode(merchant->id, change, &payload));
	return bh_keyring_edit(keyring, BH_KEYRING_STATE_CHANGED, bh_buf_view(&payload));
}

/* What is parked for this suspension and no other has the id, which is made when the suspension begins. */
static bh_status parking_of(const bh_merchant_record *merchant, bh_merchant_state to, uint8_t out[BH_ID_LEN])
{
	if (to == BH_MERCHANT_SUSPENDING)
		return bh_random(out, BH_ID_LEN);
	if (to != BH_MERCHANT_ACTIVE)
		memcpy(out, merchant->parking, BH_ID_LEN);
	return BH_OK;
}

/* `why` NULL: as it was. */
static bh_status state_set(bh_keyring *keyring, const char *name, bh_merchant_state to, const bh_state_change *why)
{
	const bh_merchant_record *merchant = bh_keyring_state_find(&keyring->state, name);

	if (merchant == NULL)
		return bh_fail(BH_E_NO_SUCH_MERCHANT, "merchant '%s': does not exist in this database", name);
	if (to == BH_MERCHANT_SHREDDED || !bh_merchant_state_may(merchant->state, to))
		return refuse_transition(merchant, to);
	bh_state_change change = { .state = to, .at_s = (int64_t)time(NULL), .cause = merchant->cause, .note = merchant->note };
	if (why != NULL || to == BH_MERCHANT_ACTIVE) {
		change.cause = why != NULL ? why->cause : BH_SUSPEND_NONE;
		change.note = why != NULL ? why->note : "";
	}
	BH_TRY(parking_of(merchant, to, change.parking));
	BH_TRY(state_announce(keyring, merchant, &change, BH_OK));
	bh_status status = state_write(keyring, merchant, &change);
	if (status != BH_OK)
		state_failed_note(keyring, merchant, &change, status);
	return status;
}

bh_status bh_keyring_merchant_set_state(bh_keyring *keyring, const char *name, bh_merchant_state state)
{
	pthread_mutex_lock(&keyring->change);
	bh_status status = state_set(keyring, name, state, NULL);
	pthread_mutex_unlock(&keyring->change);
	return status;
}

bh_status bh_keyring_merchant_set_suspended(bh_keyring *keyring, const char *name, bh_merchant_state state, bh_suspend_cause cause,
					    const char *note)
{
	const bh_state_change why = { .cause = cause, .note = note != NULL ? note : "" };

	pthread_mutex_lock(&keyring->change);
	bh_status status = state_set(keyring, name, state, &why);
	pthread_mutex_unlock(&keyring->change);
	return status;
}

/* Destroy: never an edit, since that would leave the wraps in the file. */

static void destroyed_note(bh_keyring *keyring, const bh_merchant_record *merchant, bool wiped)
{
	const bh_audit_event bare = { .action = BH_AUDIT_DEK_DESTROYED, .merchant = merchant->name };
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };
	bh_status status = BH_OK;

	if (wiped)
		status = bh_keyring_audit_keys(keyring, &batch, BH_AUDIT_KEYS_WIPED, merchant, BH_OK);
	for (size_t i = 0; status == BH_OK && i < merchant->dek_count; i++)
		if (merchant->deks[i].retired_at_s == 0)
			status = bh_keyring_audit_dek(keyring, &batch, BH_AUDIT_DEK_DESTROYED, merchant, &merchant->deks[i]);
	if (status == BH_OK)
		bh_audit_batch_note(keyring->audit, &batch);
	else
		bh_audit_note(keyring->audit, &bare);
}

static bh_status destroy(bh_keyring *keyring, const char *name)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state next = { 0 };

	BH_TRY(bh_keyring_state_copy(&keyring->state, &next));
	bh_merchant_record *merchant = bh_keyring_state_find(&next, name);
	if (merchant == NULL)
		return bh_fail(BH_E_NO_SUCH_MERCHANT, "merchant '%s': does not exist in this database", name);
	if (merchant->state == BH_MERCHANT_SHREDDED)
		return BH_OK;
	if (!bh_merchant_state_may(merchant->state, BH_MERCHANT_SHREDDED))
		return refuse_transition(merchant, BH_MERCHANT_SHREDDED);
	const bh_state_change change = { .state = BH_MERCHANT_SHREDDED };
	BH_TRY(state_announce(keyring, merchant, &change, BH_OK));
	BH_TRY(bh_merchant_record_destroy(merchant, bh_keyring_now_ms()));
	bh_status status = bh_keyring_replace(keyring, &next);
	if (status != BH_OK) {
		state_failed_note(keyring, bh_keyring_state_find(&keyring->state, name), &change, status);
		return status;
	}
	destroyed_note(keyring, bh_keyring_state_find(&keyring->state, name), live_remove(keyring, name));
	return BH_OK;
}

bh_status bh_keyring_merchant_destroy(bh_keyring *keyring, const char *name)
{
	pthread_mutex_lock(&keyring->change);
	bh_status status = destroy(keyring, name);
	pthread_mutex_unlock(&keyring->change);
	bh_keyring_cmk_close(keyring, name);
	return status;
}
