/* SPDX-License-Identifier: Apache-2.0
 *
 * events.c: what the keyring says to the audit log; the rules are in ring.h.
 */
#include "events.h"

#include <stdio.h>

#include "pinned.h"
#include "ring.h"
#include "keyring/dek/dek.h"
#include "keyring/dek/dek_table.h"
#include "keyring/dek/tally.h"
#include "keyring/manifest/file.h"
#include "keyring.h"

#define MESSAGE_SIZE 512 /* of a status message */

/* Create, open, close */

const char *bh_keyring_audit_name(const bh_merchant_record *merchant)
{
	return merchant->name[0] != '\0' ? merchant->name : NULL;
}

static bh_audit_event platform_event(const bh_keyring_head *head, const char *action)
{
	return (bh_audit_event){ .action = action, .region = head->region, .cmk_uri = head->cmk_uri };
}

/* What the platform's KMS did to the root, and to each of its DEKs that has a wrap. */
static bh_status platform_deks_add(bh_audit *audit, bh_audit_batch *batch, const bh_keyring_head *head,
				   const bh_merchant_record *platform, const char *action)
{
	bh_audit_event event = platform_event(head, action);

	event.dek_id = head->root_id;
	event.cmk_version = head->cmk_version;
	event.detail = "the root secret, which seals nothing";
	BH_TRY(bh_audit_batch_add(audit, batch, &event));
	event.detail = NULL;
	for (size_t i = 0; i < platform->dek_count; i++) {
		if (bh_dek_record_is_tombstone(&platform->deks[i]))
			continue;
		event.dek_id = platform->deks[i].id;
		event.cmk_version = platform->deks[i].cmk_version;
		BH_TRY(bh_audit_batch_add(audit, batch, &event));
	}
	return BH_OK;
}

/* The first entries of a log. */
static bh_status created_write(bh_audit *audit, const bh_keyring_head *head, const bh_merchant_record *platform)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };
	char id[BH_ID_HEX_SIZE], detail[BH_ID_HEX_SIZE + 16];
	bh_audit_event created = platform_event(head, BH_AUDIT_DATABASE_CREATED);

	bh_hex(head->database_id, BH_ID_LEN, id);
	snprintf(detail, sizeof(detail), "database %s", id);
	created.detail = detail;
	BH_TRY(bh_audit_batch_add(audit, &batch, &created));
	BH_TRY(platform_deks_add(audit, &batch, head, platform, BH_AUDIT_DEK_WRAPPED));
	return bh_audit_batch_write(audit, &batch);
}

bh_status bh_keyring_audit_create(const bh_io_dir *dir, const bh_keyring_head *head, const bh_keyring_state *first,
				  const bh_signer *signer, const bh_keyring_options *options)
{
	const bh_audit_options audit_options = { .actor = options->actor };
	const bh_audit_position nothing = { 0 };
	bh_audit *audit = NULL;

	BH_TRY(bh_audit_open(dir, signer, &audit_options, &nothing, 1, &audit));
	bh_status status = created_write(audit, head, &first->platform);
	bh_audit_close(audit);
	return status;
}

static bh_status opened_write(bh_keyring *keyring)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };
	bh_audit_event opened = platform_event(&keyring->file.head, BH_AUDIT_OPENED);
	char detail[64];

	snprintf(detail, sizeof(detail), "%s, keyring generation %llu", keyring->file.writable ? "writable" : "read-only",
		 (unsigned long long)keyring->file.mark.generation);
	opened.detail = detail;
	opened.keyring = atomic_load(&keyring->file.durable);
	BH_TRY(bh_audit_batch_add(keyring->audit, &batch, &opened));
	BH_TRY(platform_deks_add(keyring->audit, &batch, &keyring->file.head, &keyring->state.platform, BH_AUDIT_DEK_UNWRAPPED));
	return bh_audit_batch_write(keyring->audit, &batch);
}

uint64_t bh_keyring_audit_knows(const bh_keyring *keyring)
{
	return keyring->audit != NULL ? bh_audit_keyring_known(keyring->audit) : 0;
}

/* Who puts back KEYRING, and all logs with it, has left the audit log as it is. */
static bh_status check_age(const bh_keyring *keyring)
{
	const uint64_t known = bh_keyring_audit_knows(keyring), is = keyring->file.mark.sequence;

	if (known <= is)
		return BH_OK;
	return bh_fail(BH_E_ROLLBACK,
		       "%s/" BH_KEYRING_FILE ": is older than " BH_AUDIT_FILE
		       " beside it, which knows of its commit mark %llu; this one has %llu; put the right one back, or all of the "
		       "directory from one backup",
		       keyring->file.dir.path, (unsigned long long)known, (unsigned long long)is);
}

bh_status bh_keyring_audit_open(bh_keyring *keyring, const bh_keyring_options *options, const bh_audit_position *pinned)
{
	const bool writable = keyring->file.writable;
	const bh_audit_options audit_options = { .actor = options->actor,
						 .optional = options->audit_optional && !writable,
						 .restart = options->audit_restart && writable };
	const bh_audit_position known[] = { keyring->file.mark.audit,
					    options->audit_floor != NULL ? *options->audit_floor : (bh_audit_position){ 0 },
					    *pinned };
	bh_audit_position position;

	if (writable)
		BH_TRY(bh_io_unlink(&keyring->file.dir, BH_AUDIT_TEMP));
	BH_TRY(bh_audit_open(&keyring->file.dir, keyring->signer, &audit_options, known, 3, &keyring->audit));
	if (options->inspect != NULL) /* who does not, as verify, asks for himself */
		BH_TRY(check_age(keyring));
	/* Only now is it known that these are the files that were pinned. */
	BH_TRY(bh_keyring_file_repair(&keyring->file));
	if (writable) /* a kill has left its newest mark in the page cache, perhaps: from now on the log speaks of it */
		BH_TRY(bh_keyring_file_ledger_sync(&keyring->file));
	bh_audit_position_get(keyring->audit, &position);
	/* A kill came between the making of KEYRING and that of its log. */
	if (position.size == 0)
		BH_TRY(created_write(keyring->audit, &keyring->file.head, &keyring->state.platform));
	BH_TRY(opened_write(keyring));
	if (!writable) /* which has no mark to write */
		bh_keyring_pin_tell(keyring);
	return bh_keyring_audit_mark(keyring, true);
}

static void closed_note(bh_keyring *keyring)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };
	const bh_audit_event closed = { .action = BH_AUDIT_CLOSED,
					.region = keyring->file.head.region,
					.keyring = atomic_load(&keyring->file.durable) };

	if (bh_repeats_end_all(keyring->repeats, &batch) == BH_OK && bh_audit_batch_add(keyring->audit, &batch, &closed) == BH_OK)
		bh_audit_batch_note(keyring->audit, &batch);
	else
		bh_audit_note(keyring->audit, &closed);
}

void bh_keyring_audit_close(bh_keyring *keyring)
{
	if (keyring->audit == NULL)
		return;
	closed_note(keyring);
	if (keyring->file.writable)
		bh_keyring_audit_mark_try(keyring);
	else
		bh_keyring_pin_tell(keyring);
	bh_audit_close(keyring->audit);
	keyring->audit = NULL;
}

bh_audit *bh_keyring_audit(bh_keyring *keyring)
{
	return keyring->audit;
}

/* The commit mark */

void bh_keyring_audit_follow(bh_keyring *keyring)
{
	bh_audit_position_get(keyring->audit, &keyring->file.audit);
	atomic_store(&keyring->audit_marked, keyring->file.audit.size);
}

bh_status bh_keyring_audit_mark(bh_keyring *keyring, bool now)
{
	bh_audit_position position;
	bh_status status;

	if (!keyring->file.writable)
		return BH_OK;
	bh_audit_position_get(keyring->audit, &position);
	if (!now && position.size < atomic_load(&keyring->audit_marked) + BH_AUDIT_MARK_EVERY)
		return BH_OK;
	pthread_mutex_lock(&keyring->change);
	bh_keyring_audit_follow(keyring);
	status = bh_keyring_file_mark_audit(&keyring->file);
	if (status == BH_OK)
		bh_keyring_pin_tell(keyring);
	pthread_mutex_unlock(&keyring->change);
	return status;
}

void bh_keyring_audit_mark_try(bh_keyring *keyring)
{
	char message[MESSAGE_SIZE];

	snprintf(message, sizeof(message), "%s", bh_status_message());
	bh_status status = bh_keyring_audit_mark(keyring, true);
	if (status != BH_OK)
		(void)bh_fail(status, "%s", message);
}

/* Events of a merchant */

static bh_audit_event merchant_event(const bh_merchant_record *merchant, const char *action, bh_status outcome)
{
	return (bh_audit_event){ .action = action,
				 .merchant = bh_keyring_audit_name(merchant),
				 .region = merchant->region,
				 .cmk_uri = merchant->cmk_uri,
				 .outcome = outcome };
}

/* What is logged of an answer is logged by the thread that got it, before its next call: so the KMS's id of that call is this one.
 */
static void last_call_set(bh_audit_event *event)
{
	event->kms_request_id = bh_kms_request_id()[0] != '\0' ? bh_kms_request_id() : NULL;
	event->kms_principal = bh_kms_principal()[0] != '\0' ? bh_kms_principal() : NULL;
}

bh_status bh_keyring_audit_asking_add(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
				      const char *cmk_uri, const char *what_for)
{
	bh_audit_event event = merchant_event(merchant, BH_AUDIT_KMS_ASKED, BH_OK);

	event.cmk_uri = cmk_uri;
	event.detail = what_for;
	return bh_audit_batch_add(keyring->audit, batch, &event);
}

bh_status bh_keyring_audit_asking(const bh_keyring *keyring, const bh_merchant_record *merchant, const char *cmk_uri,
				  const char *what_for)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };

	BH_TRY(bh_keyring_audit_asking_add(keyring, &batch, merchant, cmk_uri, what_for));
	return bh_audit_batch_write(keyring->audit, &batch);
}

bh_status bh_keyring_audit_dek(const bh_keyring *keyring, bh_audit_batch *batch, const char *action,
			       const bh_merchant_record *merchant, const bh_dek_record *dek)
{
	bh_audit_event event = merchant_event(merchant, action, BH_OK);

	event.cls = dek->cls[0] != '\0' ? dek->cls : NULL;
	event.dek_id = dek->id;
	event.cmk_version = dek->cmk_version;
	if (strcmp(action, BH_AUDIT_DEK_DESTROYED) != 0) /* which is no KMS's doing */
		last_call_set(&event);
	return bh_audit_batch_add(keyring->audit, batch, &event);
}

bh_status bh_keyring_audit_added(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
				 bh_status outcome)
{
	const bh_audit_event event = merchant_event(merchant, BH_AUDIT_MERCHANT_ADDED, outcome);

	return bh_audit_batch_add(keyring->audit, batch, &event);
}

bh_status bh_keyring_audit_some(const bh_keyring *keyring, bh_audit_batch *batch, const char *action,
				const bh_merchant_record *merchant, const uint8_t *ids, size_t count, const char *detail,
				bh_status outcome)
{
	bh_audit_event event = merchant_event(merchant, action, outcome);

	event.detail = detail;
	for (size_t first = 0; first < count; first += event.dek_count) {
		event.dek_count = BH_MIN(count - first, (size_t)BH_AUDIT_DEKS_MAX);
		event.dek_ids = ids + first * BH_ID_LEN;
		BH_TRY(bh_audit_batch_add(keyring->audit, batch, &event));
	}
	return BH_OK;
}

/* Said once, so that a renewal is one entry and not two. */
static const char renewals_follow[] = "until they are wiped the KMS is asked again, each time before the lease ends";

/* Those that were retired before were in nobody's memory. */
bh_status bh_keyring_audit_keys(const bh_keyring *keyring, bh_audit_batch *batch, const char *action,
				const bh_merchant_record *merchant, bh_status outcome)
{
	BH_CLEANUP(bh_buf_clear) bh_buf ids = { 0 };

	BH_TRY(bh_repeats_end(keyring->repeats, merchant->id, batch));
	for (size_t i = 0; i < merchant->dek_count; i++)
		if (merchant->deks[i].retired_at_s == 0)
			BH_TRY(bh_buf_append(&ids, merchant->deks[i].id, BH_ID_LEN));
	return bh_keyring_audit_some(keyring, batch, action, merchant, ids.data, ids.len / BH_ID_LEN,
				     strcmp(action, BH_AUDIT_KEYS_GRANTED) == 0 ? renewals_follow : NULL, outcome);
}

bh_status bh_keyring_audit_denied(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
				  bh_status outcome)
{
	bh_audit_event event = merchant_event(merchant, BH_AUDIT_KEYS_DENIED, outcome);

	BH_TRY(bh_repeats_end(keyring->repeats, merchant->id, batch));
	event.detail = bh_status_message();
	last_call_set(&event);
	return bh_audit_batch_add(keyring->audit, batch, &event);
}

/* What a renewal got for an answer: yes or no. Errors: those of bh_audit_batch_add(). */
static bh_status answer_add(bh_keyring *keyring, const bh_merchant_record *merchant, bh_audit_event *event, bh_audit_batch *batch)
{
	last_call_set(event);
	return bh_repeats_answer(keyring->repeats, merchant->id, keyring->audit, event, batch);
}

/* A renewal that cannot be logged is none, but where there is no room for it: reads go on where a disk is full. The KMS has said
 * yes, and has that in a log of its own; how many entries there was no room for is logged when there is. */
bh_status bh_keyring_audit_renewed(bh_keyring *keyring, const bh_merchant_record *merchant, const bh_dek_record *dek)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };
	bh_audit_event event = merchant_event(merchant, BH_AUDIT_KEYS_RENEWED, BH_OK);

	event.cls = dek->cls[0] != '\0' ? dek->cls : NULL;
	event.dek_id = dek->id;
	event.cmk_version = dek->cmk_version;
	BH_TRY(answer_add(keyring, merchant, &event, &batch));
	if (batch.count == 0) /* and the log will take it, as far as is known */
		return bh_audit_check(keyring->audit);
	bh_status status = bh_audit_batch_write(keyring->audit, &batch);
	if (status == BH_E_FULL) {
		bh_audit_batch_note(keyring->audit, &batch);
		return BH_OK;
	}
	BH_TRY(status);
	bh_repeats_told(keyring->repeats, merchant->id, &event);
	return bh_keyring_audit_mark(keyring, false);
}

void bh_keyring_audit_not_renewed(bh_keyring *keyring, const bh_merchant_record *merchant, bh_status status)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };
	bh_audit_event event = merchant_event(merchant, BH_AUDIT_KEYS_DENIED, status);
	char message[MESSAGE_SIZE];

	snprintf(message, sizeof(message), "%s", bh_status_message());
	event.detail = message;
	if (answer_add(keyring, merchant, &event, &batch) != BH_OK)
		bh_audit_note(keyring->audit, &event);
	if (batch.count > 0) {
		if (bh_audit_batch_write(keyring->audit, &batch) == BH_OK)
			bh_repeats_told(keyring->repeats, merchant->id, &event);
		else
			bh_audit_batch_note(keyring->audit, &batch);
		if (!bh_kms_gave_no_answer(status))
			bh_keyring_audit_mark_try(keyring);
	}
	(void)bh_fail(status, "%s", message);
}

void bh_keyring_audit_denied_note(bh_keyring *keyring, const bh_merchant_record *merchant, bh_status status)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };
	const bh_audit_event bare = { .action = BH_AUDIT_KEYS_DENIED,
				      .merchant = bh_keyring_audit_name(merchant),
				      .outcome = status };

	if (bh_keyring_audit_denied(keyring, &batch, merchant, status) == BH_OK)
		bh_audit_batch_note(keyring->audit, &batch);
	else
		bh_audit_note(keyring->audit, &bare);
	if (!bh_kms_gave_no_answer(status))
		bh_keyring_audit_mark_try(keyring);
}

bh_status bh_keyring_audit_rewrapped(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
				     const bh_dek_record *dek, const char *cmk_uri, uint32_t version)
{
	bh_audit_event event = merchant_event(merchant, BH_AUDIT_DEK_REWRAPPED, BH_OK);

	event.cls = dek->cls[0] != '\0' ? dek->cls : NULL;
	event.dek_id = dek->id;
	event.cmk_uri = cmk_uri;
	event.cmk_version = version;
	last_call_set(&event);
	return bh_audit_batch_add(keyring->audit, batch, &event);
}

bh_status bh_keyring_audit_moved(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
				 const char *cmk_uri)
{
	BH_CLEANUP(bh_buf_clear) bh_buf detail = { 0 };
	bh_audit_event event = merchant_event(merchant, BH_AUDIT_MERCHANT_MOVED, BH_OK);

	BH_TRY(bh_repeats_end(keyring->repeats, merchant->id, batch));
	BH_TRY(bh_buf_printf(&detail, "from %s", merchant->cmk_uri));
	BH_TRY(bh_buf_append_u8(&detail, 0));
	event.cmk_uri = cmk_uri;
	event.detail = (const char *)detail.data;
	return bh_audit_batch_add(keyring->audit, batch, &event);
}

void bh_keyring_audit_rewrap_failed(bh_keyring *keyring, const bh_merchant_record *merchant, const char *cmk_uri, bh_status status)
{
	bh_audit_event event = merchant_event(merchant, BH_AUDIT_DEK_REWRAPPED, status);

	event.cmk_uri = cmk_uri;
	event.detail = bh_status_message();
	bh_audit_note(keyring->audit, &event);
}

bh_status bh_keyring_audit_state(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
				 const bh_state_change *change, bh_status outcome)
{
	BH_CLEANUP(bh_buf_clear) bh_buf detail = { 0 };
	bh_audit_event event = merchant_event(merchant, BH_AUDIT_STATE_CHANGED, outcome);

	BH_TRY(bh_buf_printf(&detail, "%s to %s", bh_merchant_state_name(merchant->state), bh_merchant_state_name(change->state)));
	if (change->cause != BH_SUSPEND_NONE)
		BH_TRY(bh_buf_printf(&detail, ", cause %s", bh_suspend_cause_name(change->cause)));
	if (change->note != NULL && change->note[0] != '\0')
		BH_TRY(bh_buf_printf(&detail, ": %s", change->note));
	BH_TRY(bh_buf_append_u8(&detail, 0));
	event.detail = (const char *)detail.data;
	return bh_audit_batch_add(keyring->audit, batch, &event);
}
