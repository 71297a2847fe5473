/* SPDX-License-Identifier: Apache-2.0
 *
 * deks.c: the keyring's DEKs: made, unwrapped, found, forgotten.
 *
 * A lookup never leaves memory. Unlocking copies the wraps, asks the KMS with no lock held, and puts the DEKs in place in one step
 * afterwards, all of them or none.
 */
#include "deks.h"

#include <stdlib.h>

#include "keyring/crypto/kdf.h"
#include "ring.h"
#include "events.h"
#include "keyring.h"
#include "cmk.h"
#include "live.h"
#include "keyring/manifest/file.h"

#define DEK_ID_INFO "bulkhead/1/dek-id"
#define ROOT_ID_INFO "bulkhead/1/root-id"

/* One DEK at a KMS */

/* A DEK's id is made from the DEK, so that a KMS that unwraps to another key is found out before anything is read or written under
 * that: the wrap alone says nothing of what is in it. */
static bh_status dek_id(const bh_secret *key, const uint8_t database_id[BH_ID_LEN], uint32_t generation, uint8_t out[BH_ID_LEN])
{
	const char *info = generation == BH_ROOT_GENERATION ? ROOT_ID_INFO : DEK_ID_INFO;

	return bh_hkdf(bh_secret_view(key), bh_view_of(database_id, BH_ID_LEN), bh_view_str(info), out, BH_ID_LEN);
}

static bh_status dek_id_check(const bh_secret *key, const uint8_t database_id[BH_ID_LEN], uint32_t generation,
			      const uint8_t id[BH_ID_LEN])
{
	uint8_t derived[BH_ID_LEN];
	char hex[BH_ID_HEX_SIZE];

	BH_TRY(dek_id(key, database_id, generation, derived));
	if (bh_equal_ct(derived, id, BH_ID_LEN))
		return BH_OK;
	bh_hex(id, BH_ID_LEN, hex);
	return bh_fail(BH_E_TAG, "DEK %s: the KMS answered with another key", hex);
}

bh_status bh_keyring_dek_make(bh_kms *kms, const uint8_t database_id[BH_ID_LEN], const char *region, const bh_scope *scope,
			      uint32_t generation, bh_dek **dek_out, bh_buf *wrapped_out, uint32_t *version_out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret key = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf context = { 0 };
	uint8_t id[BH_ID_LEN];

	BH_TRY(bh_secret_random(&key, BH_DEK_LEN));
	BH_TRY(dek_id(&key, database_id, generation, id));
	BH_TRY(bh_context_encode(database_id, region, scope, id, &context));
	BH_TRY(bh_kms_wrap(kms, bh_secret_view(&key), bh_buf_view(&context), wrapped_out, version_out));
	return bh_dek_new(id, scope, generation, bh_buf_view(&context), bh_secret_view(&key), dek_out);
}

bh_status bh_keyring_dek_open(bh_kms *kms, const uint8_t database_id[BH_ID_LEN], const char *region, const bh_scope *scope,
			      const uint8_t id[BH_ID_LEN], uint32_t generation, bh_view wrapped, bh_dek **out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret key = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf context = { 0 };

	BH_TRY(bh_context_encode(database_id, region, scope, id, &context));
	BH_TRY(bh_kms_unwrap(kms, wrapped, bh_buf_view(&context), &key));
	BH_TRY(dek_id_check(&key, database_id, generation, id));
	return bh_dek_new(id, scope, generation, bh_buf_view(&context), bh_secret_view(&key), out);
}

void bh_scope_set(bh_scope *scope, const char *merchant, const char *cls)
{
	memset(scope, 0, sizeof(*scope));
	memcpy(scope->merchant, merchant, strlen(merchant) + 1);
	memcpy(scope->cls, cls, strlen(cls) + 1);
}

/* Unlock */

struct bh_unlock {
	bh_keyring *keyring;
	pthread_mutex_t lock;       /* guards all below; not held while a KMS is asked */
	bh_keyring_state merchants; /* copies of those whose DEKs are in: */
	bh_dek_table deks;
	bh_audit_batch events;
	bool denied;    /* one of the events says so */
	bool announced; /* the log has that the KMSs are about to be asked; set before the first `add` */
};

bh_status bh_keyring_merchant_copy(bh_keyring *keyring, const char *name, bh_keyring_state *out)
{
	bh_status status;

	bh_keyring_read_lock(keyring);
	bh_merchant_record *merchant = bh_keyring_state_find(&keyring->state, name);
	if (merchant == NULL) {
		status = bh_fail(BH_E_NO_SUCH_MERCHANT, "merchant '%s': does not exist in this database", name);
	} else if (merchant->state >= BH_MERCHANT_SHREDDING) {
		status = bh_fail(BH_E_SHREDDED, "merchant '%s': is shredded; its keys do not come back", name);
	} else {
		const bh_keyring_state one = { .merchants = merchant, .count = 1 };
		status = bh_keyring_state_copy(&one, out);
	}
	bh_keyring_unlock(keyring);
	return status;
}

/* Region and CMK of what is a copy of the platform's DEKs alone so far. The caller holds `lock`. */
static bh_status platform_complete(const bh_keyring *keyring, bh_merchant_record *platform)
{
	const bh_keyring_head *head = &keyring->file.head;

	memcpy(platform->region, head->region, sizeof(platform->region));
	platform->cmk_uri = strdup(head->cmk_uri);
	return platform->cmk_uri != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "no memory for the platform's CMK");
}

static bh_status platform_copy(bh_keyring *keyring, bh_keyring_state *out)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state copy = { 0 };
	bh_merchant_record *record = calloc(1, sizeof(*record));

	if (record == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the platform's DEKs");
	out->merchants = record;
	out->count = 1;
	bh_keyring_read_lock(keyring);
	const bh_keyring_state one = { .platform = keyring->state.platform };
	bh_status status = bh_keyring_state_copy(&one, &copy);
	if (status == BH_OK)
		status = platform_complete(keyring, &copy.platform);
	bh_keyring_unlock(keyring);
	BH_TRY(status);
	*record = copy.platform;
	copy.platform = (bh_merchant_record){ 0 };
	return BH_OK;
}

bh_status bh_keyring_owner_copy(bh_keyring *keyring, const char *name, bh_keyring_state *out)
{
	return name[0] == '\0' ? platform_copy(keyring, out) : bh_keyring_merchant_copy(keyring, name, out);
}

static bool same_wraps(const bh_merchant_record *a, const bh_merchant_record *b)
{
	if (a->dek_count != b->dek_count)
		return false;
	for (size_t i = 0; i < a->dek_count; i++)
		if (!bh_dek_record_same_wrap(&a->deks[i], &b->deks[i]))
			return false;
	return true;
}

/* The platform's is in the head. The caller holds `lock`. */
static const char *cmk_uri_of(const bh_keyring *keyring, const bh_merchant_record *owner)
{
	return owner->name[0] == '\0' ? keyring->file.head.cmk_uri : owner->cmk_uri;
}

bool bh_keyring_has_moved(bh_keyring *keyring, const bh_merchant_record *copy)
{
	bh_keyring_read_lock(keyring);
	const bh_merchant_record *now = bh_keyring_state_owner_id(&keyring->state, copy->id);
	bool moved = now != NULL && now->state < BH_MERCHANT_SHREDDING &&
		     (strcmp(cmk_uri_of(keyring, now), copy->cmk_uri) != 0 || !same_wraps(now, copy));
	bh_keyring_unlock(keyring);
	return moved;
}

bh_status bh_keyring_record_open(const bh_keyring *keyring, bh_kms *kms, const bh_merchant_record *merchant,
				 const bh_dek_record *record, bh_dek **out)
{
	bh_scope scope;

	bh_scope_set(&scope, merchant->name, record->cls);
	return bh_keyring_dek_open(kms, keyring->file.head.database_id, merchant->region, &scope, record->id, record->generation,
				   bh_buf_view(&record->wrapped), out);
}

/* What was unwrapped before one failed was unwrapped all the same, and is logged. */
static bh_status unwrap_all(const bh_keyring *keyring, bh_kms *kms, const bh_merchant_record *merchant, bh_dek_table *out,
			    bh_audit_batch *events)
{
	BH_TRY(bh_dek_table_reserve(out, merchant->dek_count));
	for (size_t i = 0; i < merchant->dek_count; i++) {
		const bh_dek_record *record = &merchant->deks[i];
		BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

		if (bh_dek_record_is_tombstone(record))
			continue;
		BH_TRY(bh_keyring_record_open(keyring, kms, merchant, record, &dek));
		bh_dek_table_insert(out, dek);
		BH_TRY(bh_keyring_audit_dek(keyring, events, BH_AUDIT_DEK_UNWRAPPED, merchant, record));
	}
	return BH_OK;
}

static bh_status merchant_unwrap(const bh_keyring *keyring, const bh_merchant_record *merchant, bh_dek_table *out,
				 bh_audit_batch *events)
{
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;

	BH_TRY(bh_keyring_kms_open(keyring, merchant->cmk_uri, &kms));
	BH_TRY(bh_keyring_region_check(kms, merchant->cmk_uri, merchant->region));
	return unwrap_all(keyring, kms, merchant, out, events);
}

/* Takes the one merchant of `copy` and its DEKs into the group. The caller holds its lock. */
static bh_status group_take(bh_unlock *unlock, bh_keyring_state *copy, const bh_dek_table *deks)
{
	bh_keyring_state *group = &unlock->merchants;
	bh_merchant_record *grown = realloc(group->merchants, (group->count + 1) * sizeof(*grown));

	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a merchant's keys");
	group->merchants = grown;
	BH_TRY(bh_dek_table_reserve(&unlock->deks, deks->count));
	BH_TRY(bh_keyring_audit_keys(unlock->keyring, &unlock->events, BH_AUDIT_KEYS_GRANTED, &copy->merchants[0], BH_OK));
	for (size_t i = 0; i < deks->count; i++)
		bh_dek_table_insert(&unlock->deks, deks->by_id[i]);
	group->merchants[group->count++] = copy->merchants[0];
	copy->count = 0;
	return BH_OK;
}

/* The state may have moved on while the KMS was asked: keys of a merchant that is being shredded, or of another one that has the
 * name by now, must not come back into memory. The caller holds `lock`. */
static bool may_install(const bh_keyring *keyring, const bh_merchant_record *merchant)
{
	const bh_merchant_record *now = bh_keyring_state_find_id(&keyring->state, merchant->id);

	return now != NULL && now->state < BH_MERCHANT_SHREDDING;
}

/* What was retired meanwhile is left out. The caller holds `lock`, and has reserved the room. */
static void merchant_install(bh_keyring *keyring, const bh_unlock *unlock, const bh_merchant_record *merchant)
{
	const bh_merchant_record *now = bh_keyring_state_find_id(&keyring->state, merchant->id);

	for (size_t i = 0; i < now->dek_count; i++) {
		bh_dek *dek = bh_dek_table_find(&unlock->deks, now->deks[i].id);
		if (dek != NULL && !bh_dek_record_is_tombstone(&now->deks[i]))
			bh_keyring_live_insert(keyring, dek, now->deks[i].sealed);
	}
}

static bool all_live(bh_keyring *keyring, const bh_merchant_record *merchant)
{
	bh_keyring_read_lock(keyring);
	bool all = bh_keyring_is_live(keyring, merchant);
	bh_keyring_unlock(keyring);
	return all;
}

bh_status bh_unlock_new(bh_keyring *keyring, bh_unlock **out)
{
	bh_unlock *unlock = calloc(1, sizeof(*unlock));

	if (unlock == NULL) {
		(void)bh_fail(BH_E_NOMEM, "no memory to unlock merchants");
		return BH_E_NOMEM;
	}
	unlock->keyring = keyring;
	pthread_mutex_init(&unlock->lock, NULL);
	*out = unlock;
	return BH_OK;
}

void bh_unlock_free(bh_unlock *unlock)
{
	if (unlock == NULL)
		return;
	/* What was unwrapped, or denied, was so whether anybody got the keys or not. */
	bh_audit_batch_note(unlock->keyring->audit, &unlock->events);
	if (unlock->denied)
		bh_keyring_audit_mark_try(unlock->keyring);
	bh_keyring_state_clear(&unlock->merchants);
	bh_dek_table_clear(&unlock->deks);
	pthread_mutex_destroy(&unlock->lock);
	free(unlock);
}

static void unlock_freep(bh_unlock **unlock)
{
	bh_unlock_free(*unlock);
}

/* What came of one merchant. The caller holds the group's lock. */
static bh_status merchant_take(bh_unlock *unlock, bh_keyring_state *copy, const bh_dek_table *deks, bh_audit_batch *events,
			       bh_status status)
{
	BH_TRY(bh_audit_batch_move(&unlock->events, events));
	if (status == BH_OK)
		return group_take(unlock, copy, deks);
	unlock->denied = true;
	BH_TRY(bh_keyring_audit_denied(unlock->keyring, &unlock->events, &copy->merchants[0], status));
	return status;
}

/* `*again_out`: the merchant has other wraps by now, or another CMK, and the answer is of the ones before. */
static bh_status merchant_add(bh_unlock *unlock, bh_keyring_state *copy, bool *again_out)
{
	BH_CLEANUP(bh_dek_table_clear) bh_dek_table deks = { 0 };
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch events = { 0 };

	bh_status status = merchant_unwrap(unlock->keyring, &copy->merchants[0], &deks, &events);
	/* "Not found" would say that there is no such merchant. */
	if (status == BH_E_NOT_FOUND)
		status = BH_E_NO_KEY;
	*again_out = status != BH_OK && bh_keyring_has_moved(unlock->keyring, &copy->merchants[0]);
	pthread_mutex_lock(&unlock->lock);
	if (*again_out)
		status = bh_audit_batch_move(&unlock->events, &events);
	else
		status = merchant_take(unlock, copy, &deks, &events, status);
	pthread_mutex_unlock(&unlock->lock);
	return status;
}

#define TO_UNWRAP "to unwrap its DEKs"

bh_status bh_unlock_announce(bh_unlock *unlock, const char *const *names, size_t count)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };

	for (size_t i = 0; i < count; i++) {
		BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state copy = { 0 };

		BH_TRY(bh_keyring_merchant_copy(unlock->keyring, names[i], &copy));
		const bh_merchant_record *merchant = &copy.merchants[0];
		if (!all_live(unlock->keyring, merchant))
			BH_TRY(bh_keyring_audit_asking_add(unlock->keyring, &batch, merchant, merchant->cmk_uri, TO_UNWRAP));
	}
	BH_TRY(bh_audit_batch_write(unlock->keyring->audit, &batch));
	unlock->announced = true;
	return BH_OK;
}

/* `announced`: the log has already that this CMK is about to be asked. */
static bh_status add_once(bh_unlock *unlock, const char *name, bool announced, bool *again_out)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state copy = { 0 };

	*again_out = false;
	BH_TRY(bh_keyring_merchant_copy(unlock->keyring, name, &copy));
	const bh_merchant_record *merchant = &copy.merchants[0];
	if (all_live(unlock->keyring, merchant))
		return BH_OK;
	if (!announced)
		BH_TRY(bh_keyring_audit_asking(unlock->keyring, merchant, merchant->cmk_uri, TO_UNWRAP));
	return bh_fail_prefix(merchant_add(unlock, &copy, again_out), "merchant '%s'", name);
}

bh_status bh_unlock_add(bh_unlock *unlock, const char *name)
{
	bool again;
	bh_status status = add_once(unlock, name, unlock->announced, &again);

	while (status == BH_OK && again)
		status = add_once(unlock, name, false, &again);
	return status;
}

static bh_status unlock_install(bh_unlock *unlock)
{
	bh_keyring *keyring = unlock->keyring;
	bh_status status;

	bh_keyring_write_lock(keyring);
	status = bh_keyring_live_reserve(keyring, unlock->deks.count);
	for (size_t i = 0; status != BH_E_NOMEM && i < unlock->merchants.count; i++) {
		const bh_merchant_record *merchant = &unlock->merchants.merchants[i];
		if (may_install(keyring, merchant))
			merchant_install(keyring, unlock, merchant);
		else
			status = bh_fail(BH_E_SHREDDED, "merchant '%s': was shredded meanwhile", merchant->name);
	}
	bh_keyring_unlock(keyring);
	return status;
}

/* Says which keys are not in memory after all. */
static void not_installed_note(bh_unlock *unlock, bh_status status)
{
	bh_keyring *keyring = unlock->keyring;

	bh_audit_batch_clear(&unlock->events);
	for (size_t i = 0; i < unlock->merchants.count; i++) {
		const bh_merchant_record *merchant = &unlock->merchants.merchants[i];
		const bh_audit_event bare = { .action = BH_AUDIT_KEYS_WIPED, .merchant = merchant->name, .outcome = status };
		if (!all_live(keyring, merchant))
			bh_audit_note(keyring->audit, &bare);
	}
}

static bh_status unlock_commit(bh_unlock *unlock)
{
	if (unlock->events.count > 0) {
		BH_TRY(bh_audit_batch_write(unlock->keyring->audit, &unlock->events));
		BH_TRY(bh_keyring_audit_mark(unlock->keyring, true));
	}
	return unlock_install(unlock);
}

bh_status bh_unlock_commit(bh_unlock *unlock)
{
	bh_status status = unlock_commit(unlock);

	unlock->denied = false;
	if (status != BH_OK)
		not_installed_note(unlock, status);
	return status;
}

bh_status bh_keyring_merchant_unlock(bh_keyring *keyring, const char *name)
{
	BH_CLEANUP(unlock_freep) bh_unlock *unlock = NULL;

	BH_TRY(bh_unlock_new(keyring, &unlock));
	BH_TRY(bh_unlock_add(unlock, name));
	return bh_fail_prefix(bh_unlock_commit(unlock), "merchant '%s'", name);
}

/* Lock */

bh_status bh_keyring_merchant_lock(bh_keyring *keyring, const char *name)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch batch = { 0 };
	const bh_audit_event bare = { .action = BH_AUDIT_KEYS_WIPED, .merchant = name };
	bh_status told = BH_OK;

	bh_keyring_cmk_close(keyring, name);
	bh_keyring_write_lock(keyring);
	const bh_merchant_record *merchant = bh_keyring_state_find(&keyring->state, name);
	size_t before = keyring->live.count;
	if (merchant != NULL)
		bh_dek_table_remove_merchant(&keyring->live, name);
	if (keyring->live.count != before)
		told = bh_keyring_audit_keys(keyring, &batch, BH_AUDIT_KEYS_WIPED, merchant, BH_OK);
	bool known = merchant != NULL;
	bh_keyring_unlock(keyring);
	/* The keys are gone, whatever becomes of the log. */
	if (told == BH_OK)
		bh_audit_batch_note(keyring->audit, &batch);
	else
		bh_audit_note(keyring->audit, &bare);
	return known ? BH_OK : bh_fail(BH_E_NO_SUCH_MERCHANT, "merchant '%s': does not exist in this database", name);
}

/* Lookups */

/* Why a DEK of this scope is not in memory. The caller holds `lock`. */
static bh_status scope_absent(const bh_keyring *keyring, const bh_scope *scope)
{
	const bh_merchant_record *merchant = bh_keyring_state_find(&keyring->state, scope->merchant);
	bool has_class = false;

	for (size_t i = 0; merchant != NULL && i < merchant->dek_count; i++)
		has_class = has_class || strcmp(merchant->deks[i].cls, scope->cls) == 0;
	if (!has_class)
		return bh_fail(merchant != NULL ? BH_E_NO_SUCH_CLASS : BH_E_NO_SUCH_MERCHANT,
			       "'%s/%s': no such merchant and class in this database", scope->merchant, scope->cls);

	switch (merchant->state) {
	case BH_MERCHANT_SHREDDING:
	case BH_MERCHANT_SHREDDED:
		return bh_fail(BH_E_SHREDDED, "merchant '%s': is shredded; its data does not come back", scope->merchant);
	case BH_MERCHANT_SUSPENDING:
	case BH_MERCHANT_SUSPENDED: return bh_fail(BH_E_SUSPENDED, "merchant '%s': is suspended; resume it first", scope->merchant);
	default: return bh_fail(BH_E_NO_KEY, "merchant '%s': its keys are not unlocked", scope->merchant);
	}
}

static bh_status dek_give(bh_dek *dek, bh_dek **out)
{
	if (bh_dek_is_wiped(dek))
		return bh_fail(BH_E_NO_KEY, "keys do not survive a fork: open the database again in the child");
	*out = bh_dek_ref(dek);
	return BH_OK;
}

bh_status bh_keyring_dek_current(bh_keyring *keyring, const bh_scope *scope, bh_dek **out)
{
	bh_keyring_read_lock(keyring);
	bh_dek *dek = bh_dek_table_current(&keyring->live, scope);
	bh_status status = dek != NULL ? dek_give(dek, out) : scope_absent(keyring, scope);
	bh_keyring_unlock(keyring);
	return status;
}

/* Why the DEK of this id is not in memory. The caller holds `lock`. */
static bh_status id_absent(const bh_keyring *keyring, const uint8_t id[BH_ID_LEN])
{
	const bh_merchant_record *platform = &keyring->state.platform;
	char hex[BH_ID_HEX_SIZE];

	bh_hex(id, BH_ID_LEN, hex);
	if (bh_deks_find(platform->deks, platform->dek_count, id) != NULL)
		return bh_fail(BH_E_SHREDDED, "DEK %s of the platform is retired", hex);
	for (size_t i = 0; i < keyring->state.count; i++) {
		const bh_merchant_record *merchant = &keyring->state.merchants[i];
		for (size_t j = 0; j < merchant->dek_count; j++) {
			if (memcmp(merchant->deks[j].id, id, BH_ID_LEN) != 0)
				continue;
			if (merchant->state >= BH_MERCHANT_SHREDDING)
				return bh_fail(BH_E_SHREDDED, "DEK %s of merchant '%s' is shredded", hex, merchant->name);
			if (bh_dek_record_is_tombstone(&merchant->deks[j]))
				return bh_fail(BH_E_SHREDDED, "DEK %s of merchant '%s' is retired", hex, merchant->name);
			return bh_fail(BH_E_NO_KEY, "DEK %s: merchant '%s' is not unlocked (%s)", hex, merchant->name,
				       bh_merchant_state_name(merchant->state));
		}
	}
	return bh_fail(BH_E_NO_KEY, "DEK %s: not in this database's keyring; the file comes from elsewhere", hex);
}

bh_status bh_keyring_dek_find(bh_keyring *keyring, const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	bh_keyring_read_lock(keyring);
	bh_dek *dek = bh_dek_table_find(&keyring->live, id);
	bh_status status = dek != NULL ? dek_give(dek, out) : id_absent(keyring, id);
	bh_keyring_unlock(keyring);
	return status;
}

/* List */

static size_t dek_count(const bh_keyring_state *state)
{
	size_t count = state->platform.dek_count;

	for (size_t i = 0; i < state->count; i++)
		count += state->merchants[i].dek_count;
	return count;
}

static bh_status dek_info_fill(const bh_keyring *keyring, const bh_merchant_record *merchant, const bh_dek_record *record,
			       bh_dek_info *out)
{
	memcpy(out->id, record->id, BH_ID_LEN);
	bh_scope_set(&out->scope, merchant->name, record->cls);
	memcpy(out->merchant_id, merchant->id, BH_ID_LEN);
	out->generation = record->generation;
	out->cmk_version = record->cmk_version;
	out->created_at_s = record->created_at_s;
	out->marks = record->marks;
	out->marked_at_s = record->marked_at_s;
	out->sealed = bh_keyring_sealed_of(keyring, record);
	out->tombstone = bh_dek_record_is_tombstone(record);
	out->retired_at_s = record->retired_at_s;
	return merchant->state >= BH_MERCHANT_SHREDDING || out->tombstone ? bh_dek_record_fingerprint(record, out->fingerprint)
									  : BH_OK;
}

static bh_status owner_infos_fill(const bh_keyring *keyring, const bh_merchant_record *owner, bh_dek_info **next)
{
	for (size_t i = 0; i < owner->dek_count; i++)
		BH_TRY(dek_info_fill(keyring, owner, &owner->deks[i], (*next)++));
	return BH_OK;
}

static bh_status dek_infos_fill(const bh_keyring *keyring, bh_dek_info *infos)
{
	BH_TRY(owner_infos_fill(keyring, &keyring->state.platform, &infos));
	for (size_t i = 0; i < keyring->state.count; i++)
		BH_TRY(owner_infos_fill(keyring, &keyring->state.merchants[i], &infos));
	return BH_OK;
}

bh_status bh_keyring_deks(bh_keyring *keyring, bh_dek_info **out, size_t *count_out)
{
	bh_keyring_read_lock(keyring);
	size_t count = dek_count(&keyring->state);
	bh_dek_info *infos = calloc(count, sizeof(*infos));
	bh_status status =
		infos != NULL ? dek_infos_fill(keyring, infos) : bh_fail(BH_E_NOMEM, "no memory to list %zu DEKs", count);
	bh_keyring_unlock(keyring);
	if (status != BH_OK) {
		free(infos);
		return status;
	}
	*out = infos;
	*count_out = count;
	return BH_OK;
}
