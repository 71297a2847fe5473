/* SPDX-License-Identifier: Apache-2.0
 *
 * forged_keyring.c: see forged_keyring.h.
 */
#include "forged_keyring.h"

#include <unistd.h>

#include "keyring/audit/audit.h"
#include "keyring/manifest/state.h"
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

/* One key of the attacker's, wrapped by his CMK. */
static bh_dek *key_make(const forged_keyring *forged, const bh_keyring_head *head, uint32_t generation, bh_buf *wrapped,
			uint32_t *version)
{
	bh_kms *kms = NULL;
	bh_dek *dek = NULL;

	OK(bh_kms_open(forged->cmk_uri, NULL, &kms));
	OK(bh_keyring_dek_make(kms, head->database_id, head->region, &platform, generation, &dek, wrapped, version));
	bh_kms_close(kms);
	return dek;
}

/* His DEK in the place of the platform's. */
static void own_dek(const forged_keyring *forged, const bh_keyring_head *head, bh_dek_record *record)
{
	bh_dek *dek;

	bh_buf_clear(&record->wrapped);
	dek = key_make(forged, head, 1, &record->wrapped, &record->cmk_version);
	memcpy(record->id, bh_dek_id(dek), BH_ID_LEN);
	bh_dek_unref(dek);
}

/* The wrap that KEYRING has of the platform's DEK, as if it were the root's. */
static void put_dek(const bh_dek_record *record, bh_keyring_head *head)
{
	memcpy(head->root_id, record->id, BH_ID_LEN);
	memcpy(head->wrapped, record->wrapped.data, record->wrapped.len);
	head->wrapped_len = record->wrapped.len;
	head->cmk_version = record->cmk_version;
}

static bh_dek *put_own_root(const forged_keyring *forged, bh_keyring_head *head)
{
	bh_buf wrapped = { 0 };
	bh_dek *root = key_make(forged, head, BH_ROOT_GENERATION, &wrapped, &head->cmk_version);

	memcpy(head->root_id, bh_dek_id(root), BH_ID_LEN);
	memcpy(head->wrapped, wrapped.data, wrapped.len);
	head->wrapped_len = wrapped.len;
	bh_buf_clear(&wrapped);
	return root;
}

/* What all is made from, in `head` and `state`; and the key that authenticates what he writes. */
static bh_secret key_of(const forged_keyring *forged, bh_keyring_head *head, bh_keyring_state *state)
{
	bh_signer *signer = NULL;
	bh_secret mac_key = { 0 };
	bh_dek *root = NULL;
	bh_view from;

	if (forged->log_key != NULL) {
		put_dek(&state->platform.deks[state->platform.dek_count - 1], head);
		assert_memory_equal(head->root_id, bh_dek_id(forged->log_key), BH_ID_LEN);
		from = bh_dek_key(forged->log_key);
	} else {
		own_dek(forged, head, &state->platform.deks[0]);
		root = put_own_root(forged, head);
		from = bh_dek_key(root);
	}
	OK(bh_keyring_mac_key(from, head->database_id, &mac_key));
	OK(bh_keyring_signer_make(from, head->database_id, &signer));
	if (!forged->real_key)
		bh_signer_public(signer, head->public_key);
	bh_signer_free(signer);
	bh_dek_unref(root);
	return mac_key;
}

void forge_keyring(const char *dir, const forged_keyring *forged)
{
	char path[PATH_SIZE], audit[PATH_SIZE];
	bh_keyring_head head;
	bh_keyring_mark mark = { .generation = 1u << 20 }; /* above any floor */
	bh_keyring_state state = { 0 };
	bh_buf snapshot, image = { 0 };
	bh_secret mac_key;

	path_join(path, dir, BH_KEYRING_FILE);
	path_join(audit, dir, BH_AUDIT_FILE);
	snapshot = snapshot_of(dir, path, &head);
	OK(bh_keyring_state_decode(bh_buf_view(&snapshot), &state));
	mac_key = key_of(forged, &head, &state);
	snapshot.len = 0;
	OK(bh_keyring_state_encode(&state, &snapshot));
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
	bh_keyring_state_clear(&state);
}
