/* SPDX-License-Identifier: Apache-2.0
 *
 * leases.c: between a database and its leaser (leaser.h): what the leaser may do to merchants, and how their leases begin.
 *
 * Later changes are told where they are made: bh_leaser_granted() by an add and by an operator's resume, bh_leaser_stop() by an
 * operator's suspend and by a shred.
 */

#include "leases.h"

#include <stdlib.h>

#include "leaser.h"
#include "attach.h"
#include "engine/core/merchant.h"
#include "detach.h"
#include "quarantine.h"

/* ---- the host; `arg` is the database */

static bh_status host_renew(void *arg, const char *name)
{
	const bh_db *db = arg;
	bh_status status;

	/* A key that its KMS allows is not lost for a descriptor or an entry in the log that there is no room for. */
	bh_room_use(db->room);
	status = bh_keyring_merchant_renew(db->keyring, name);
	bh_room_use_end(db->room);
	return status;
}

static bh_status host_attach(void *arg, const char *name)
{
	return bh_merchant_attach(arg, name);
}

static bh_status host_detach(void *arg, const char *name, bh_suspend_cause cause, const char *note)
{
	return bh_merchant_detach(arg, name, cause, note);
}

static bh_status host_quarantine(void *arg, const char *name)
{
	return bh_quarantine_detach(arg, name);
}

static void host_gate_close(void *arg, const char *name, bh_status reason)
{
	bh_merchant_gate_close(arg, name, reason);
}

static void host_deadline(void *arg, const char *name, int64_t coarse_monotonic_ms)
{
	bh_merchant *merchant = bh_merchant_find(arg, name);

	if (merchant != NULL)
		bh_gate_set_deadline_ms(&merchant->gate, coarse_monotonic_ms);
	bh_merchant_unref(merchant);
}

/* By its KMS, or what was to be heard of it. */
static bool is_leased(bh_suspend_cause cause)
{
	return cause != BH_SUSPEND_OPERATOR && cause != BH_SUSPEND_DAMAGED;
}

static bool host_is_detached(void *arg, const char *name, bh_suspend_cause *cause_out)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	const bh_db *db = arg;

	if (bh_keyring_merchant(db->keyring, name, &info) != BH_OK)
		return false;
	if (info.state != BH_MERCHANT_SUSPENDED || !is_leased(info.cause))
		return false;
	*cause_out = info.cause;
	return true;
}

static void host_log(void *arg, const char *line)
{
	bh_db_log(arg, "%s", line);
}

static const bh_leaser_host host = {
	.renew = host_renew,
	.attach = host_attach,
	.detach = host_detach,
	.quarantine = host_quarantine,
	.gate_close = host_gate_close,
	.deadline = host_deadline,
	.is_detached = host_is_detached,
	.log = host_log,
};

/* ---- at open */

bh_status bh_leases_prepare(bh_db *db, const bh_db_options *options)
{
	int64_t limit_ms = options->lease_ms != 0 ? options->lease_ms : BH_LEASE_LIMIT_DEFAULT_MS;

	BH_TRY(bh_leaser_new(&host, db, limit_ms, options->clock, &db->leaser));
	db->opened_at = bh_leaser_now(db->leaser);
	return BH_OK;
}

static bh_status begin(bh_db *db, const bh_merchant_info *info)
{
	if (db->read_only && !info->unlocked)
		return BH_OK;
	if (info->state == BH_MERCHANT_ACTIVE)
		return bh_leaser_granted(db->leaser, info->name, db->opened_at);
	if (info->state == BH_MERCHANT_SUSPENDED && is_leased(info->cause))
		return bh_leaser_found(db->leaser, info->name, info->cause);
	return BH_OK;
}

bh_status bh_leases_begin(bh_db *db)
{
	bh_merchant_info *infos = NULL;
	bh_status status = BH_OK;
	size_t count = 0;

	BH_TRY(bh_keyring_merchants(db->keyring, &infos, &count));
	for (size_t i = 0; i < count; i++) {
		if (status == BH_OK)
			status = begin(db, &infos[i]);
		bh_merchant_info_clear(&infos[i]);
	}
	free(infos);
	BH_TRY(status);
	/* Who only looks renews nothing: the gates' deadlines end it. */
	return db->read_only ? BH_OK : bh_leaser_start(db->leaser);
}
