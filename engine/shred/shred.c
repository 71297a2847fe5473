/* SPDX-License-Identifier: Apache-2.0
 *
 * shred.c: the end of a merchant. Every step can be done again, and a kill anywhere is made good by the next open:
 *
 *     1  SHREDDING recorded in the keyring: no way back. The next open presents the families as dropped and goes on with 3.
 *     2  Gate closed: no call returns any of its data any more.
 *     3  Its files listed (number and digest of their salts in the keyring; the list itself in a first certificate, PENDING).
 *     4  Families dropped, jobs of RocksDB awaited, directories removed, what was parked included.
 *     5  The KMS asked to destroy the CMK, an unwrap tried afterwards, and those that it had before, a wrap; all answers recorded.
 *     5a What is noted of its erasures removed.
 *     6  Wrapped DEKs destroyed, SHREDDED recorded.
 *     7  The certificate stored, and recorded as issued. It stays PENDING until the CMK is known to be destroyed; finalizing does
 *        5 and 7 again.
 * Nothing here depends on the size of the data: of each file one header is read, then it is unlinked.
 */
#include "shred.h"

#include <bulkhead/env.h>

#include <stdlib.h>
#include <time.h>
#include <bulkhead/certificate.h>
#include <bulkhead/db.h>

#include "engine/erase/erase_record.h"
#include "engine/wall/leaser.h"
#include "keyring/base/crashpoint.h"
#include "certificate.h"
#include "engine/core/alarm.h"
#include "engine/core/home.h"
#include "shred_files.h"
#include "keyring/manifest/shred_record.h"
#include "engine/core/merchant.h"
#include "keyring/ring/keyring.h"
#include "engine/wall/detach.h"
#include "engine/core/claim.h"
#include "env/files/page_readers.h"
#include "engine/core/drop.h"
#include "engine/core/forget.h"

/* One shred under way. */
typedef struct shred {
	bh_db *db;
	bh_merchant_info merchant;
	bh_shred_record record; /* as it is in the keyring */
	bh_former_cmk *former;  /* the CMKs that it had before, likewise */
	size_t former_count;
	bh_salts salts;
	bool salts_lost; /* files are gone, and with them the list of their salts */
} shred;

static void shred_clear(shred *s)
{
	bh_merchant_info_clear(&s->merchant);
	free(s->former);
	bh_salts_clear(&s->salts);
}

static bh_status load_former(shred *s)
{
	bh_former_cmk *former = NULL;

	BH_TRY(bh_keyring_former_cmks(s->db->keyring, s->merchant.id, &former, &s->former_count));
	free(s->former);
	s->former = former;
	return BH_OK;
}

/* The first of these that is not known to be destroyed; NULL: there is none. */
static const bh_former_cmk *former_left(const shred *s)
{
	for (size_t i = 0; i < s->former_count; i++)
		if (!bh_former_cmk_is_gone(&s->former[i]))
			return &s->former[i];
	return NULL;
}

static bool cmks_are_gone(const shred *s)
{
	return bh_shred_is_final(&s->record) && former_left(s) == NULL;
}

static bh_status note(shred *s, const bh_shred_record *record)
{
	BH_TRY(bh_keyring_shred_note(s->db->keyring, s->merchant.id, record));
	return bh_keyring_shred(s->db->keyring, s->merchant.id, &s->record);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- certificate */

static bh_status store_certificate(const shred *s, const bh_shred_record *record)
{
	const bh_certificate_facts facts = {
		.keyring = s->db->keyring,
		.merchant = &s->merchant,
		.shred = record,
		.salts = s->salts_lost ? NULL : &s->salts,
	};
	BH_CLEANUP(bh_buf_clear) bh_buf json = { 0 };

	BH_TRY(bh_certificate_make(&facts, &json));
	return bh_certificate_store(s->db->dir, &s->merchant, bh_buf_view(&json));
}

/* Stores the certificate of what is recorded now, then records that it is. */
static bh_status issue(shred *s)
{
	bh_shred_record record = s->record;

	BH_TRY(store_certificate(s, &record));
	bh_crash_point("shred.certificate-stored");
	record.issued = true;
	BH_TRY(note(s, &record));
	const bh_audit_event issued = { .action = BH_AUDIT_CERTIFICATE_ISSUED,
					.merchant = s->merchant.name,
					.region = s->merchant.region,
					.cmk_uri = s->merchant.cmk_uri,
					.detail = cmks_are_gone(s) ? "final" : "pending" };
	bh_audit_note(bh_keyring_audit(s->db->keyring), &issued);
	return BH_OK;
}

/* The salts that an earlier try has listed. Files may be gone since then, so without that list it is not known what there was. */
static bh_status salts_again(shred *s)
{
	BH_CLEANUP(bh_buf_clear) bh_buf json = { 0 };

	s->salts_lost = s->record.file_count > 0;
	if (bh_certificate_load(s->db->dir, s->db->keyring, &s->merchant, &json) != BH_OK)
		return BH_OK;
	BH_TRY(bh_certificate_salts(bh_buf_view(&json), &s->salts));
	s->salts_lost = s->salts.count < s->record.file_count;
	return BH_OK;
}

/* Takes the info over. */
static bh_status shred_begin(bh_db *db, bh_merchant_info *merchant, shred *s)
{
	s->db = db;
	s->merchant = *merchant;
	*merchant = (bh_merchant_info){ 0 };
	BH_TRY(bh_keyring_shred(db->keyring, s->merchant.id, &s->record));
	BH_TRY(load_former(s));
	return s->record.unreadable_at_ms != 0 ? salts_again(s) : BH_OK;
}

/* ---- files */

/* With the gate closed. Done before the first file goes, and again before the last: jobs that were under way may have made some. */
static bh_status survey(shred *s)
{
	bh_shred_record record = s->record;
	size_t before = s->salts.count;

	if (s->salts_lost)
		return BH_OK;
	BH_TRY(bh_shred_list_files(s->db, &s->merchant, &s->salts));
	if (record.unreadable_at_ms != 0 && s->salts.count == before)
		return BH_OK;
	if (record.unreadable_at_ms == 0)
		record.unreadable_at_ms = now_ms();
	record.file_count = s->salts.count;
	BH_TRY(bh_salts_digest(&s->salts, record.salts));
	/* The list first: a kill in between finds the files again. That it cannot be kept is no reason to keep the data. */
	if (store_certificate(s, &record) != BH_OK)
		bh_db_log(s->db, "merchant '%s': the list of its files is not kept: %s", s->merchant.name, bh_status_message());
	bh_crash_point("shred.files-listed");
	return note(s, &record);
}

/* ---- RocksDB */

/* Gives the list's reference back. */
static void unlink_merchant(bh_db *db, bh_merchant *merchant)
{
	bh_merchant **link;
	bool listed;

	pthread_mutex_lock(&db->lock);
	for (link = &db->merchants; *link != NULL && *link != merchant; link = &(*link)->next)
		;
	listed = *link != NULL;
	if (listed)
		*link = merchant->next;
	pthread_mutex_unlock(&db->lock);
	if (listed)
		bh_merchant_unref(merchant);
}

/* ---- keys */

/* What is left to do about the CMK. */
static bh_status cmk_outcome(const shred *s)
{
	const bool own = !bh_shred_is_final(&s->record);
	const bh_former_cmk *former = former_left(s);
	const char *name = s->merchant.name;

	if (!own && former == NULL)
		return BH_OK;
	const bh_shred_answer *answer = own ? &s->record.cmk : &former->answer;
	const char *uri = own ? s->merchant.cmk_uri : former->uri;
	if (!bh_home_is_here(s->db->dir))
		return bh_fail(BH_E_KMS_REFUSED,
			       "merchant '%s' is shredded here, and the CMK %s is left alone: this database was copied here, or "
			       "moved, and the one it comes from may need it. If this is the one that lives on, say so with "
			       "'bhctl adopt', then finalize",
			       name, uri);
	if (answer->status == BH_OK && answer->state != BH_KMS_DESTROYED)
		return bh_fail(BH_E_BUSY,
			       "merchant '%s' is shredded, and its KMS has not destroyed the CMK %s yet; finalize it later", name,
			       uri);
	return bh_fail(
		bh_kms_gave_no_answer(answer->status) ? answer->status : BH_E_KMS_REFUSED,
		"merchant '%s' is shredded and its DEKs are destroyed, but its CMK %s is not: have its owner destroy it, then "
		"finalize: %s",
		name, uri, answer->status != BH_OK ? answer->message : "its KMS says it is, and uses it all the same");
}

static bh_status ask_kms(shred *s)
{
	bh_shred_record record = s->record;

	if (cmks_are_gone(s))
		return BH_OK;
	if (!bh_home_is_here(s->db->dir)) {
		const bh_audit_event kept = { .action = BH_AUDIT_CMK_KEPT,
					      .merchant = s->merchant.name,
					      .region = s->merchant.region,
					      .cmk_uri = s->merchant.cmk_uri,
					      .detail = "this database was copied here, or moved: its KMS is not asked" };
		bh_audit_note(bh_keyring_audit(s->db->keyring), &kept);
		return BH_OK;
	}
	BH_TRY(bh_keyring_shred_ask_former(s->db->keyring, s->merchant.id));
	BH_TRY(load_former(s));
	if (!bh_shred_is_final(&record))
		BH_TRY(bh_keyring_shred_ask(s->db->keyring, s->merchant.id, &record));
	record.issued = false;
	bh_crash_point("shred.cmk-asked");
	return note(s, &record);
}

/* Keys and decrypted blocks leave memory first. */
static bh_status destroy_keys(shred *s)
{
	bh_forget(s->db, s->merchant.name);
	BH_TRY(bh_keyring_merchant_destroy(s->db->keyring, s->merchant.name));
	bh_fs_keys_changed(s->db->fs);
	bh_crash_point("shred.keys-destroyed");
	s->merchant.state = BH_MERCHANT_SHREDDED;
	return bh_keyring_shred(s->db->keyring, s->merchant.id, &s->record);
}

/* Digests that nobody can tell anything from once the keys are gone: that they cannot be removed is no reason to keep those. */
static void forget_erasures(const shred *s)
{
	if (bh_erase_records_remove(s->db, s->merchant.id) != BH_OK)
		bh_db_log(s->db, "merchant '%s': notes of its erasures are left: %s", s->merchant.name, bh_status_message());
	bh_crash_point("shred.erasures-forgotten");
}

/* All that comes after the families are dropped, or were never opened. */
static bh_status finish(shred *s)
{
	BH_TRY(survey(s));
	BH_TRY(bh_shred_remove_files(s->db, s->merchant.name));
	bh_crash_point("shred.files-removed");
	BH_TRY(ask_kms(s));
	forget_erasures(s);
	BH_TRY(destroy_keys(s));
	return bh_fail_prefix(issue(s), "merchant '%s' is shredded, but its certificate is not stored; the next open tries again",
			      s->merchant.name);
}

/* ---- at open */

static void log_outcome(const shred *s)
{
	if (cmk_outcome(s) != BH_OK)
		bh_db_log(s->db, "%s", bh_status_message());
}

bh_status bh_shred_resume(bh_db *db, const bh_merchant_info *info)
{
	BH_CLEANUP(shred_clear) shred s = { 0 };
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };
	bh_status status;

	if (info->state == BH_MERCHANT_SHREDDING) {
		BH_TRY(bh_keyring_merchant(db->keyring, info->name, &merchant));
		BH_TRY(shred_begin(db, &merchant, &s));
		BH_TRY(finish(&s));
		bh_db_log(db, "merchant '%s': the shred that a crash interrupted is finished", info->name);
		log_outcome(&s);
	} else if (info->certificate_due) {
		BH_TRY(bh_merchant_info_copy(info, &merchant));
		BH_TRY(shred_begin(db, &merchant, &s));
		status = issue(&s);
		if (status != BH_OK) /* nothing that others have to wait for */
			bh_db_log(db, "merchant '%s': its certificate is not stored: %s", info->name, bh_status_message());
	}
	return BH_OK;
}

/* ---- asked for */

static bh_status shred_attached(shred *s, bh_merchant *attached)
{
	bh_merchant_shut(attached, BH_E_SHREDDED);
	BH_TRY(survey(s));
	return bh_merchant_drop_families(s->db, attached, "shred.family-dropped"); /* what is still open is unlinked all the same */
}

static bh_status certificate_of(const shred *s, bh_buf *out)
{
	return out != NULL ? bh_certificate_get(s->db->dir, s->db->keyring, &s->merchant, out) : BH_OK;
}

/* With the merchant's `op` held. */
static bh_status shred_locked(bh_db *db, bh_merchant *attached, bh_buf *certificate_out)
{
	BH_CLEANUP(shred_clear) shred s = { 0 };
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };
	bh_status status;

	BH_TRY(bh_keyring_merchant(db->keyring, attached->name, &merchant));
	if (merchant.state != BH_MERCHANT_SHREDDING) /* else: an earlier try in this process failed on the way */
		BH_TRY(bh_keyring_merchant_set_state(db->keyring, attached->name, BH_MERCHANT_SHREDDING));
	bh_leaser_stop(db->leaser, attached->name);
	bh_crash_point("shred.recorded");
	BH_TRY(shred_begin(db, &merchant, &s));
	BH_TRY(shred_attached(&s, attached));
	status = finish(&s);
	if (s.merchant.state == BH_MERCHANT_SHREDDED)
		unlink_merchant(db, attached);
	BH_TRY(status);
	status = cmk_outcome(&s);
	return status == BH_OK || status == BH_E_BUSY ? certificate_of(&s, certificate_out) : status;
}

static bh_status merchant_shred_inside(bh_db *db, const char *name, bh_buf *certificate_out)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_merchant *merchant;
	bh_status status;

	BH_TRY(bh_db_check_writable(db));
	merchant = bh_merchant_find_locked(db, name);
	if (merchant == NULL) {
		BH_TRY(bh_keyring_merchant(db->keyring, name, &info));
		return bh_fail(BH_E_SHREDDED, "merchant '%s' is shredded already", name);
	}
	bh_room_use(db->room);
	status = shred_locked(db, merchant, certificate_out);
	bh_room_use_end(db->room);
	bh_merchant_unlock(merchant);
	return status;
}

bh_status bh_merchant_shred(bh_db *db, const char *name, bh_buf *certificate_out)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_shred_inside(db, name, certificate_out));
}

static bh_status finalize_claimed(bh_db *db, const char *name, bh_buf *certificate_out)
{
	BH_CLEANUP(shred_clear) shred s = { 0 };
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };

	BH_TRY(bh_certificate_subject(db->keyring, name, true, &merchant));
	BH_TRY(shred_begin(db, &merchant, &s));
	BH_TRY(ask_kms(&s));
	if (!s.record.issued)
		BH_TRY(issue(&s));
	BH_TRY(cmk_outcome(&s));
	return certificate_of(&s, certificate_out);
}

static bh_status merchant_shred_finalize_inside(bh_db *db, const char *name, bh_buf *certificate_out)
{
	bh_claim claim = { .name = name };
	bh_status status;

	BH_TRY(bh_db_check_writable(db));
	bh_claim_take(db, &claim);
	/* A shred of that name that is under way issues its own certificate. */
	bh_merchant_unlock(bh_merchant_find_locked(db, name));
	bh_room_use(db->room);
	status = finalize_claimed(db, name, certificate_out);
	bh_room_use_end(db->room);
	bh_claim_end(db, &claim);
	return status;
}

bh_status bh_merchant_shred_finalize(bh_db *db, const char *name, bh_buf *certificate_out)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_shred_finalize_inside(db, name, certificate_out));
}

static bh_status merchant_certificate_inside(bh_db *db, const char *name, bh_buf *certificate_out)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };

	BH_TRY(bh_certificate_subject(db->keyring, name, false, &merchant));
	return bh_certificate_get(db->dir, db->keyring, &merchant, certificate_out);
}

bh_status bh_merchant_certificate(bh_db *db, const char *name, bh_buf *certificate_out)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_certificate_inside(db, name, certificate_out));
}

void bh_db_public_key(const bh_db *db, uint8_t out[BH_PUBLIC_KEY_LEN])
{
	bh_signer_public(bh_keyring_signer(db->keyring), out);
}
