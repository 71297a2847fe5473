/* SPDX-License-Identifier: Apache-2.0
 *
 * cold.c: a database opens with the merchants whose keys it gets.
 *
 * All KMSs are asked at once, before RocksDB is opened: it fails as a whole if one family's files cannot be read. A merchant
 * without keys is parked by links, which needs none, and its families are presented as dropped; when the keys are there again it is
 * attached like any suspended one. So is one whose files are damaged, which an open finds when it fails on them: it is tried again
 * without that merchant. What a crash interrupted is finished here, too (detach.c and attach.c have the steps).
 */

#include "cold.h"

#include <stdlib.h>

#include "engine/core/files.h"
#include "keyring/base/crashpoint.h"
#include "park.h"
#include "engine/erase/suppress.h"
#include "engine/core/drop.h"
#include "attach.h"
#include "detach.h"
#include "engine/core/family.h"
#include "engine/core/hurt.h"
#include "engine/core/merchant.h"
#include "cause.h"

#define PROBE_THREADS 16u

/* ---- asking for the keys */

typedef struct probe {
	const char *name;
	bool wanted;
	bh_status status;
	bh_buf message; /* of a failure */
} probe;

typedef struct probes {
	bh_unlock *unlock;
	probe *list;
	size_t count;
	_Atomic size_t next;
} probes;

static void *probe_thread(void *arg)
{
	probes *p = arg;

	for (size_t i = atomic_fetch_add(&p->next, 1); i < p->count; i = atomic_fetch_add(&p->next, 1)) {
		if (!p->list[i].wanted)
			continue;
		p->list[i].status = bh_unlock_add(p->unlock, p->list[i].name);
		if (p->list[i].status != BH_OK && bh_buf_printf(&p->list[i].message, "%s", bh_status_message()) != BH_OK)
			bh_buf_clear(&p->list[i].message);
	}
	return NULL;
}

/* One entry into the log for all of them, before anybody is asked. */
static bh_status announce(const probes *p)
{
	const char **names = calloc(p->count + 1, sizeof(*names));
	size_t count = 0;

	if (names == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu merchants", p->count);
	for (size_t i = 0; i < p->count; i++)
		if (p->list[i].wanted)
			names[count++] = p->list[i].name;
	bh_status status = bh_unlock_announce(p->unlock, names, count);
	free(names);
	return status;
}

/* Bounded in time by the KMSs' own deadlines, and by as many calls at once as there are threads. */
static void probe_all(probes *p)
{
	pthread_t threads[PROBE_THREADS];
	size_t started = 0;

	while (started < BH_MIN(PROBE_THREADS, p->count) && pthread_create(&threads[started], NULL, probe_thread, p) == 0)
		started++;
	(void)probe_thread(p); /* this thread works too: also where none could be started */
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

/* Why a merchant whose keys did not come has to stay outside; NONE: this is a failure of ours, and of the open. */
static bh_suspend_cause cause_of(bh_status status)
{
	switch (status) {
	case BH_E_KMS_REFUSED:
	case BH_E_NO_KEY:
	case BH_E_REGION: return BH_SUSPEND_KMS_REFUSED;
	case BH_E_UNSUPPORTED: /* this build, or this host, cannot ask its KMS */
	case BH_E_KMS_THROTTLED:
	case BH_E_KMS_SEALED:
	case BH_E_KMS_UNREACHABLE: return BH_SUSPEND_KMS_UNREACHABLE;
	case BH_E_TAG:
	case BH_E_FORMAT:
	case BH_E_TRUNCATED:
	case BH_E_VERSION: return BH_SUSPEND_KMS_DAMAGED;
	default: return BH_SUSPEND_NONE;
	}
}

/* ---- what each merchant's state asks for */

static bool is_living(bh_merchant_state state)
{
	return state != BH_MERCHANT_SHREDDING && state != BH_MERCHANT_SHREDDED;
}

static bool is_serving(bh_merchant_state state)
{
	return state == BH_MERCHANT_CREATING || state == BH_MERCHANT_ACTIVE;
}

/* An operator's suspension needs no keys, unless a resume had begun. Who only looks brings nobody back. */
static bool wants_keys(const bh_db *db, const bh_merchant_info *info)
{
	if (!is_living(info->state))
		return false;
	if (db->read_only)
		return info->state == BH_MERCHANT_ACTIVE;
	if (is_serving(info->state) || info->state == BH_MERCHANT_RESUMING)
		return true;
	return info->cause == BH_SUSPEND_KMS_REFUSED || info->cause == BH_SUSPEND_KMS_UNREACHABLE;
}

/* What cannot be moved stays where it is: RocksDB is not shown the family, and so touches nothing there. Returns whether all was
 * moved. */
static bool park_rest(const bh_db *db, const char *name, bool replace)
{
	if (bh_park_rest(db, name, replace) == BH_OK)
		return true;
	bh_db_log(db, "merchant '%s': %s", name, bh_status_message());
	return false;
}

static bh_status park_cold(bh_db *db, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	if (!bh_is_parked(db, name))
		BH_TRY(bh_park(db, name, BH_PARK_ALL_LOGS));
	BH_TRY(bh_park_make_durable(db));
	bh_crash_point("cold.parked");
	BH_TRY(bh_keyring_merchant(db->keyring, name, &info));
	if (info.cause != BH_SUSPEND_DAMAGED || park_rest(db, name, false))
		BH_TRY(bh_merchant_remove_files(db, name));
	return bh_keyring_merchant_set_state(db->keyring, name, BH_MERCHANT_SUSPENDED);
}

static const char *why(const probe *p)
{
	return p->message.data != NULL ? (const char *)p->message.data : bh_status_name(p->status);
}

static bh_status detach_for(bh_db *db, const char *name, bh_suspend_cause cause, const char *why_)
{
	char note[BH_SUSPEND_NOTE_MAX + 1] = { 0 };

	memcpy(note, why_, BH_MIN(strlen(why_), (size_t)BH_SUSPEND_NOTE_MAX));
	bh_db_log(db, "%smerchant '%s': is not attached: %s", cause == BH_SUSPEND_DAMAGED ? "integrity alarm: " : "", name, why_);
	BH_TRY(bh_unpark(db, name));
	BH_TRY(bh_keyring_merchant_set_suspended(db->keyring, name, BH_MERCHANT_SUSPENDING, cause, note));
	bh_crash_point("cold.recorded");
	return park_cold(db, name);
}

static bh_status detach_cold(bh_db *db, const bh_merchant_info *info, const probe *p)
{
	bh_suspend_cause cause = cause_of(p->status);

	if (cause == BH_SUSPEND_NONE)
		return bh_fail(p->status, "%s", why(p));
	return detach_for(db, info->name, cause, why(p));
}

static bh_status settle_state(bh_db *db, const bh_merchant_info *info, const probe *p)
{
	switch (info->state) {
	case BH_MERCHANT_CREATING:
	case BH_MERCHANT_ACTIVE: return p->status != BH_OK ? detach_cold(db, info, p) : BH_OK;
	case BH_MERCHANT_SUSPENDING: return park_cold(db, info->name);
	case BH_MERCHANT_SUSPENDED:
		if (p->wanted && p->status != BH_OK)
			bh_db_log(db, "merchant '%s': is still not attached: %s", info->name, why(p));
		if (info->cause != BH_SUSPEND_DAMAGED)
			return bh_merchant_remove_files(db, info->name);
		return bh_is_parked(db, info->name) && park_rest(db, info->name, true) ? bh_merchant_remove_files(db, info->name)
										       : BH_OK;
	case BH_MERCHANT_RESUMING:
		BH_TRY(bh_merchant_remove_files(db, info->name));
		return bh_keyring_merchant_set_state(db->keyring, info->name, BH_MERCHANT_SUSPENDED);
	default: return BH_OK;
	}
}

/* Why it is not shown; BH_OK: it is. */
static bh_status look_at(const bh_db *db, const bh_merchant_info *info, const probe *p)
{
	if (info->state == BH_MERCHANT_CREATING)
		return BH_E_BUSY;
	if (info->state != BH_MERCHANT_ACTIVE)
		return bh_suspend_status(info->cause);
	if (p->status == BH_OK)
		return BH_OK;
	bh_db_log(db, "merchant '%s': is not shown: %s", info->name, why(p));
	return bh_suspend_status(cause_of(p->status));
}

/* On the list with its gate closed: bh_cold_finish() opens it. */
static bh_status list_merchant(bh_db *db, const bh_merchant_info *info, const probe *p)
{
	bh_merchant *merchant = NULL;

	if (!is_living(info->state))
		return BH_OK;
	if (!db->read_only)
		BH_TRY(settle_state(db, info, p));
	BH_TRY(bh_merchant_new(db, info, &merchant));
	if (db->read_only) {
		bh_gate_shut(&merchant->gate, look_at(db, info, p));
		bh_merchant_link(db, merchant);
		return BH_OK;
	}
	bh_gate_shut(&merchant->gate, BH_E_BUSY);
	merchant->attach_at_open = !is_serving(info->state) && p->wanted && p->status == BH_OK;
	bh_merchant_link(db, merchant);
	return BH_OK;
}

static bh_status list_all(bh_db *db, const bh_merchant_info *infos, probe *list, size_t count)
{
	probes p = { .list = list, .count = count };

	BH_TRY(bh_unlock_new(db->keyring, &p.unlock));
	for (size_t i = 0; i < count; i++)
		list[i] = (probe){ .name = infos[i].name, .wanted = wants_keys(db, &infos[i]) };
	bh_status status = announce(&p);
	if (status == BH_OK) {
		probe_all(&p);
		/* One entry into the log for all of them: the keys are there from here on. */
		status = bh_unlock_commit(p.unlock);
	}
	bh_unlock_free(p.unlock);
	BH_TRY(status);
	for (size_t i = 0; i < count; i++)
		BH_TRY(list_merchant(db, &infos[i], &list[i]));
	return BH_OK;
}

static bh_status list_living(bh_db *db)
{
	bh_merchant_info *infos = NULL;
	probe *list = NULL;
	bh_status status;
	size_t count = 0;

	BH_TRY(bh_keyring_merchants(db->keyring, &infos, &count));
	list = calloc(count + 1, sizeof(*list));
	status = list != NULL ? list_all(db, infos, list, count) : bh_fail(BH_E_NOMEM, "no memory for %zu merchants", count);
	for (size_t i = 0; i < count; i++) {
		bh_merchant_info_clear(&infos[i]);
		if (list != NULL)
			bh_buf_clear(&list[i].message);
	}
	free(infos);
	free(list);
	return status;
}

bh_status bh_cold_start(bh_db *db)
{
	BH_TRY(bh_park_remove_leftovers(db));
	return list_living(db);
}

bh_status bh_cold_look(bh_db *db)
{
	return list_living(db);
}

/* ---- whose files are damaged */

bool bh_cold_serves(const bh_db *db, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	return bh_keyring_merchant(db->keyring, name, &info) == BH_OK && is_serving(info.state);
}

bh_status bh_cold_detach_hurt(bh_db *db, bool *any_out)
{
	char note[BH_SUSPEND_NOTE_MAX + 1];

	*any_out = false;
	for (bh_merchant *merchant = db->merchants; merchant != NULL; merchant = merchant->next) {
		if (!bh_hurt_is_due(merchant, note) || !bh_cold_serves(db, merchant->name))
			continue;
		if (db->read_only)
			bh_db_log(db, "integrity alarm: merchant '%s': is not shown: %s", merchant->name, note);
		else
			BH_TRY(detach_for(db, merchant->name, BH_SUSPEND_DAMAGED, note));
		BH_TRY(bh_keyring_merchant_lock(db->keyring, merchant->name));
		bh_fs_keys_changed(db->fs);
		bh_gate_shut(&merchant->gate, BH_E_DAMAGED); /* for who only looks; else the end of the open sets it */
		bh_hurt_clear(merchant);
		*any_out = true;
	}
	return BH_OK;
}

/* ---- after RocksDB is open */

static bh_status finish_one(bh_db *db, bh_merchant *merchant)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_status status;

	if (merchant->attach_at_open && bh_attach(db, merchant, NULL, NULL) != BH_OK)
		bh_db_log(db, "%s", bh_status_message());
	BH_TRY(bh_keyring_merchant(db->keyring, merchant->name, &info));
	if (info.state == BH_MERCHANT_SUSPENDED) {
		bh_gate_shut(&merchant->gate, bh_suspend_status(info.cause));
		return BH_OK;
	}
	status = bh_merchant_complete(db, merchant);
	if (status != BH_OK && info.state == BH_MERCHANT_CREATING) { /* it serves nobody yet; the others do */
		bh_db_log(db, "merchant '%s': cannot be made whole, and is not served until an open can: %s", merchant->name,
			  bh_status_message());
		return BH_OK;
	}
	BH_TRY(status);
	/* Left behind where a resume was killed at its end: what it brought back is there. */
	BH_TRY(bh_unpark(db, merchant->name));
	BH_TRY(bh_suppress_load(merchant));
	/* What was met meanwhile is left to the leaser's worker. */
	if (atomic_load(&merchant->hurt))
		bh_gate_shut(&merchant->gate, BH_E_DAMAGED);
	else
		bh_gate_open(&merchant->gate);
	return BH_OK;
}

bh_status bh_cold_finish(bh_db *db)
{
	for (bh_merchant *merchant = db->merchants; merchant != NULL; merchant = merchant->next)
		BH_TRY(finish_one(db, merchant));
	return BH_OK;
}
