/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_open.c: what an open does about erasures: RocksDB has just begun a new MANIFEST, and removed the files that none names.
 */
#include <bulkhead/kms.h>
#include "erase_open.h"
#include "erase_record.h"
#include "engine/core/logs.h"

typedef struct note_visit {
	bh_db *db;
	bh_erase_scope scope;
} note_visit;

static bh_status list_all_logs(const note_visit *v, uint64_t limit, bh_buf *paths)
{
	BH_TRY(bh_logs_list(v->db, &v->scope.scope, BH_LOGS_LIVE_WALS, limit, paths));
	BH_TRY(bh_logs_list(v->db, &v->scope.scope, BH_LOGS_LIVE_MANIFEST, limit, paths));
	return bh_logs_list(v->db, &v->scope.scope, BH_LOGS_PARKED, limit, paths);
}

static bh_status complete(const note_visit *v, const uint8_t digest[BH_SHA256_LEN], const bh_erase_note *note)
{
	BH_CLEANUP(bh_buf_clear) bh_buf detail = { 0 };
	char hex[2 * BH_SHA256_LEN + 1];

	bh_hex(digest, BH_SHA256_LEN, hex);
	BH_TRY(bh_buf_printf(&detail,
			     "prefix %s, deleted at sequence number %llu; no log with a key that exists holds it; complete", hex,
			     (unsigned long long)note->sequence));
	const bh_audit_event event = { .action = BH_AUDIT_ERASE_ENDED,
				       .merchant = v->scope.scope.merchant,
				       .cls = v->scope.scope.cls,
				       .detail = (const char *)detail.data };
	BH_TRY(bh_audit_append(bh_keyring_audit(v->db->keyring), &event));
	return bh_erase_note_remove(v->db, &v->scope, digest);
}

static bh_status look_at_note(void *arg, const uint8_t digest[BH_SHA256_LEN], const bh_erase_note *note)
{
	BH_CLEANUP(bh_buf_clear) bh_buf paths = { 0 };
	const note_visit *v = arg;

	if (note->phase == BH_ERASE_BEGUN) {
		bh_db_log(v->db, "'%s/%s': an erasure was cut short; erase the same prefix again (audit log: %02x%02x%02x%02x...)",
			  v->scope.scope.merchant, v->scope.scope.cls, digest[0], digest[1], digest[2], digest[3]);
		return BH_OK;
	}
	BH_TRY(list_all_logs(v, note->logs, &paths));
	if (paths.len == 0)
		return complete(v, digest, note);
	bh_db_log(v->db, "'%s/%s': an erasure is not complete yet: %.*s", v->scope.scope.merchant, v->scope.scope.cls,
		  (int)paths.len - 1, (const char *)paths.data);
	return BH_OK;
}

void bh_erase_at_open(bh_db *db, const bh_merchant_info *merchant)
{
	note_visit v = { .db = db };
	bh_status status = BH_OK;

	if (merchant->state != BH_MERCHANT_ACTIVE)
		return;
	for (size_t i = 0; i < merchant->class_count && status == BH_OK; i++) {
		v.scope = bh_erase_scope_of(merchant, merchant->classes[i]);
		status = bh_erase_notes(db, &v.scope, look_at_note, &v);
	}
	if (status != BH_OK)
		bh_db_log(db, "merchant '%s': erasures are not looked after: %s", merchant->name, bh_status_message());
}
