/* SPDX-License-Identifier: Apache-2.0
 *
 * edit.c: see edit.h.
 *
 * Every change goes one way: the next state is made beside the present one, written durably (as an edit, or as a new file), and
 * only then takes its place in memory. A failure before that leaves the present state as it is.
 */
#include "edit.h"

#include <stdlib.h>

#include "live.h"
#include "events.h"
#include "pinned.h"
#include "keyring.h"

int64_t bh_keyring_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The DEKs of a new generation go live if those that the merchant had still are: what was locked meanwhile stays so. `name` is that
 * of the merchant. The caller holds `lock`. */
static bh_status grant(bh_keyring *keyring, const char *name, const bh_dek_table *deks)
{
	const bh_merchant_record *merchant = bh_keyring_state_owner(&keyring->state, name);

	if (merchant == NULL || !bh_keyring_is_live(keyring, merchant))
		return bh_fail(BH_E_NO_KEY, "merchant '%s': its keys were taken out of memory meanwhile", name);
	BH_TRY(bh_keyring_live_reserve(keyring, deks->count));
	for (size_t i = 0; i < deks->count; i++)
		bh_keyring_live_insert(keyring, deks->by_id[i], 0);
	return BH_OK;
}

/* The next state takes its place; what was there is left in `next`. The caller holds `change`. */
static bh_status state_install(bh_keyring *keyring, bh_keyring_state *next, const char *name, const bh_dek_table *deks)
{
	bh_keyring_write_lock(keyring);
	bh_status status = deks != NULL ? grant(keyring, name, deks) : BH_OK;
	bh_keyring_state last = keyring->state;
	keyring->state = *next;
	keyring->generation = keyring->file.mark.generation;
	bh_keyring_unlock(keyring);
	*next = last;
	return status;
}

static bh_status state_replace(bh_keyring *keyring, const bh_keyring_head *head, const bh_keyring_state *next)
{
	BH_CLEANUP(bh_buf_clear) bh_buf snapshot = { 0 };

	BH_TRY(bh_keyring_state_encode(next, &snapshot));
	bh_keyring_audit_follow(keyring);
	return bh_keyring_file_replace(&keyring->file, head, bh_buf_view(&snapshot));
}

bh_status bh_keyring_replace_head(bh_keyring *keyring, const bh_keyring_head *head, bh_keyring_state *next)
{
	BH_TRY(state_replace(keyring, head, next));
	BH_TRY(state_install(keyring, next, NULL, NULL));
	bh_keyring_write_lock(keyring);
	keyring->file.head = *head;
	bh_keyring_sealed_forget(keyring);
	bh_keyring_unlock(keyring);
	bh_keyring_pin_tell(keyring);
	return BH_OK;
}

bh_status bh_keyring_replace(bh_keyring *keyring, bh_keyring_state *next)
{
	const bh_keyring_head head = keyring->file.head;

	return bh_keyring_replace_head(keyring, &head, next);
}

static bh_status edit_append(bh_keyring *keyring, bh_keyring_record_type type, bh_view payload)
{
	bh_keyring_audit_follow(keyring);
	return bh_keyring_file_append(&keyring->file, type, payload);
}

static bh_status edit(bh_keyring *keyring, bh_keyring_record_type type, bh_view payload, const char *name, const bh_dek_table *deks)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state next = { 0 };

	BH_TRY(bh_keyring_state_copy(&keyring->state, &next));
	BH_TRY(bh_keyring_state_apply(&next, type, payload));
	if (bh_keyring_file_is_full(&keyring->file, payload.len))
		BH_TRY(state_replace(keyring, &keyring->file.head, &next));
	else
		BH_TRY(edit_append(keyring, type, payload));
	bh_status status = state_install(keyring, &next, name, deks);
	bh_keyring_pin_tell(keyring);
	return status;
}

bh_status bh_keyring_edit(bh_keyring *keyring, bh_keyring_record_type type, bh_view payload)
{
	return edit(keyring, type, payload, NULL, NULL);
}

bh_status bh_keyring_edit_deks(bh_keyring *keyring, bh_view payload, const char *name, const bh_dek_table *deks)
{
	return edit(keyring, BH_KEYRING_DEKS_ADDED, payload, name, deks);
}

bh_status bh_keyring_compact(bh_keyring *keyring)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state same = { 0 };

	pthread_mutex_lock(&keyring->change);
	bh_status status = bh_keyring_state_copy(&keyring->state, &same);
	if (status == BH_OK)
		status = bh_keyring_replace(keyring, &same);
	pthread_mutex_unlock(&keyring->change);
	return status;
}

bh_status bh_keyring_writable_check(const bh_keyring *keyring)
{
	return keyring->file.writable ? BH_OK : bh_fail(BH_E_INVALID, "%s: the database is open read-only", keyring->file.dir.path);
}
