/* SPDX-License-Identifier: Apache-2.0
 *
 * forged_keyring.c: see forged_keyring.h.
 */
#include "forged_keyring.h"

#include <unistd.h>

#include "keyring/audit/audit.h"
#include "keyring/ring/deks.h"

static const bh_scope platform;

/* The real one, with all its records in one, which anybody can read. */
static bh_buf snapshot_of(const char *dir, const char *path, bh_keyring_head *head)
{
	bh_keyring *keyring = NULL;
	bh_buf file, snapshot = { 0 };

	OK(bh_keyring_open(dir, NULL, true, &keyring));
	OK(bh_keyring_compact(keyring));
	bh_keyring_close(keyring);
	file = file_read(path);
	assert_true(file.len > BH_KEYRING_RECORDS_OFF + BH_KEYRING_RECORD_OVERHEAD);
	OK(bh_keyring_head_decode(file.data, head));
	OK(bh_buf_append(&snapshot, file.data + BH_KEYRING_RECORDS_OFF + 13, bh_get_u32(file.data + BH_KEYRING_RECORDS_OFF)));
	bh_buf_clear(&file);
	return snapshot;
}

/* The attacker's platform DEK, in `head`; and the key that authenticates what he writes. */
static bh_secret key_of(const forged_keyring *forged, bh_keyring_head *head)
{
	bh_secret key = { 0 }, mac_key = { 0 }, seed = { 0 };
	bh_buf wrapped = { 0 };
	bh_signer *signer = NULL;
	bh_kms *kms = NULL;
	bh_dek *dek = NULL;

	OK(bh_kms_open(forged->cmk_uri, NULL, &kms));
	OK(bh_keyring_dek_make(kms, head->database_id, head->region, &platform, 1, &dek, &wrapped, &head->cmk_version));
	memcpy(head->platform_dek_id, bh_dek_id(dek), BH_ID_LEN);
	memcpy(head->wrapped, wrapped.data, wrapped.len);
	head->wrapped_len = wrapped.len;
	OK(bh_secret_copy(&key, bh_dek_key(dek)));
	OK(bh_keyring_mac_key(&key, head->database_id, &mac_key));
	OK(bh_hkdf_secret(bh_secret_view(&key), bh_view_of(head->database_id, BH_ID_LEN), bh_view_str("bulkhead ed25519 v1"),
			  BH_SIGN_SEED_LEN, &seed));
	OK(bh_signer_new(bh_secret_view(&seed), &signer));
	if (!forged->real_key)
		bh_signer_public(signer, head->public_key);
	bh_signer_free(signer);
	bh_secret_clear(&seed);
	bh_secret_clear(&key);
	bh_buf_clear(&wrapped);
	bh_dek_unref(dek);
	bh_kms_close(kms);
	return mac_key;
}

void forge_keyring(const char *dir, const forged_keyring *forged)
{
	char path[PATH_SIZE], audit[PATH_SIZE];
	bh_keyring_head head;
	bh_keyring_mark mark = { .generation = 1u << 20 }; /* above any floor */
	bh_buf snapshot, image = { 0 };
	bh_secret mac_key;

	path_join(path, dir, BH_KEYRING_FILE);
	path_join(audit, dir, BH_AUDIT_FILE);
	snapshot = snapshot_of(dir, path, &head);
	mac_key = key_of(forged, &head);
	snprintf(head.cmk_uri, sizeof(head.cmk_uri), "%s", forged->cmk_uri);
	OK(bh_buf_reserve(&image, BH_KEYRING_RECORDS_OFF));
	OK(bh_keyring_head_encode(&head, &mac_key, image.data, mark.chain));
	image.len = BH_KEYRING_RECORDS_OFF;
	OK(bh_keyring_record_encode(BH_KEYRING_SNAPSHOT, mark.generation, bh_buf_view(&snapshot), &mac_key, mark.chain, &image));
	mark.committed_len = image.len;
	OK(bh_keyring_mark_encode(&mark, &mac_key, image.data + BH_KEYRING_HEAD_LEN));
	file_write(path, bh_buf_view(&image));
	unlink(audit);
	bh_secret_clear(&mac_key);
	bh_buf_clear(&image);
	bh_buf_clear(&snapshot);
}
