/* SPDX-License-Identifier: Apache-2.0
 *
 * suppress.c: see suppress.h.
 *
 *     a prefix is suppressed                    a kill right after it leaves
 *     in the audit log                          nothing that counts: the erasure was cut short, and says so
 *     marker written, synced                    the marker, in force from the next open on
 *     every write sees it; those of before
 *     have ended                                the same
 * Only then does the erasure delete, so nothing that is written slips in behind the deletion. Lifting it goes the other way round:
 * audit log, marker removed, writes let in.
 */
#include "suppress.h"

#include <bulkhead/env.h>

#include "engine/core/suppressed.h"
#include "keyring/base/crashpoint.h"
#include "keyring/base/base.h"

/* ---- the set */

static bh_status add_marker(void *arg, const bh_erase_marker *marker)
{
	return bh_suppressed_add(arg, marker->prefix_len, marker->prefix_digest);
}

static bh_status set_read(const bh_db *db, const bh_erase_scope *scope, bh_suppressed *set)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	bh_status status;

	BH_TRY(bh_erase_marker_each(db, scope, add_marker, set));
	if (bh_suppressed_count(set) == 0)
		return BH_OK;
	status = bh_erase_secret(db, scope, false, &secret);
	if (status == BH_E_NOT_FOUND)
		return bh_fail(BH_E_FORMAT, "the secret is missing that they were made with");
	BH_TRY(status);
	return bh_suppressed_finish(set, &secret);
}

/* A failure is part of the set. */
static void set_fill(const bh_db *db, const bh_erase_scope *scope, bh_suppressed *set)
{
	const bh_status status = set_read(db, scope, set);

	if (status != BH_OK)
		bh_suppressed_fail(set, status);
}

/* Under `marking`, or with nobody inside. The count comes after the set: who finds the old count has to be awaited. */
static void publish(bh_merchant *merchant, bh_class *cls, bh_suppressed *set)
{
	bh_suppressed_publish(cls, set);
	atomic_fetch_add(&merchant->db->suppressions, 1);
}

/* ---- changes */

bh_status bh_suppress_load(bh_merchant *merchant)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	BH_TRY(bh_keyring_merchant(merchant->db->keyring, merchant->name, &info));
	for (size_t i = 0; i < merchant->class_count; i++) {
		bh_class *cls = &merchant->classes[i];
		const bh_erase_scope scope = bh_erase_scope_of(&info, cls->name);
		bh_suppressed *set = bh_suppressed_new();

		if (set == NULL)
			return bh_fail(BH_E_NOMEM, "merchant '%s': no memory for what was erased", merchant->name);
		set_fill(merchant->db, &scope, set);
		if (bh_suppressed_status(set, merchant->name, cls->name) != BH_OK)
			bh_db_log(merchant->db, "%s", bh_status_message());
		publish(merchant, cls, set);
		bh_suppressed_free_replaced(cls);
	}
	return BH_OK;
}

static bh_status log_change(const bh_db *db, const bh_erase_scope *scope, const char *action, const uint8_t digest[BH_SHA256_LEN])
{
	char detail[sizeof("prefix ") + 2 * BH_SHA256_LEN] = "prefix ";
	const bh_audit_event event = {
		.action = action,
		.merchant = scope->scope.merchant,
		.cls = scope->scope.cls,
		.detail = detail,
	};

	bh_hex(digest, BH_SHA256_LEN, detail + strlen(detail));
	return bh_audit_append(bh_keyring_audit(db->keyring), &event);
}

/* After the markers have changed: writes see it, and those that did not have ended. */
static bh_status take_effect(bh_merchant *merchant, bh_class *cls, const bh_erase_scope *scope, bh_suppressed *set)
{
	bh_status failed;

	set_fill(merchant->db, scope, set);
	failed = bh_suppressed_status(set, merchant->name, cls->name);
	publish(merchant, cls, set);
	BH_TRY(failed);
	BH_TRY(bh_gate_await_writes(&merchant->gate, merchant->name));
	bh_suppressed_free_replaced(cls);
	return BH_OK;
}

/* Takes the set over. */
static bh_status add(bh_merchant *merchant, bh_class *cls, const bh_erase_scope *scope, const bh_erase_marker *marker,
		     bh_suppressed *set)
{
	bh_status status = log_change(merchant->db, scope, BH_AUDIT_ERASE_SUPPRESSED, marker->prefix_digest);

	if (status == BH_OK)
		status = bh_erase_marker_put(merchant->db, scope, marker);
	if (status != BH_OK) {
		bh_suppressed_free(set);
		return status;
	}
	bh_crash_point("erase.suppressed");
	return take_effect(merchant, cls, scope, set);
}

bh_status bh_suppress_add(bh_merchant *merchant, bh_class *cls, const bh_erase_scope *scope, const bh_erase_marker *marker)
{
	bh_suppressed *set = bh_suppressed_new();
	bh_status status;

	if (set == NULL)
		return bh_fail(BH_E_NOMEM, "'%s/%s': no memory for what is to be kept out", merchant->name, cls->name);
	pthread_mutex_lock(&merchant->marking);
	status = add(merchant, cls, scope, marker, set);
	pthread_mutex_unlock(&merchant->marking);
	return status;
}

/* ---- what is suppressed */

bh_status bh_suppress_is_known(bh_merchant *merchant, bh_class *cls)
{
	bh_status status;

	pthread_mutex_lock(&merchant->marking);
	status = bh_suppressed_status(atomic_load(&cls->suppressed), merchant->name, cls->name);
	pthread_mutex_unlock(&merchant->marking);
	return status;
}

uint64_t bh_suppress_count(bh_merchant *merchant)
{
	uint64_t count = 0;
	bh_gate_ticket ticket;

	if (bh_gate_enter_write(&merchant->gate, merchant->name, &ticket) != BH_OK)
		return 0;
	for (size_t i = 0; i < merchant->class_count; i++) {
		const bh_suppressed *set = atomic_load(&merchant->classes[i].suppressed);

		count += set != NULL ? bh_suppressed_count(set) : 0;
	}
	bh_gate_leave_write(&merchant->gate, ticket);
	return count;
}

/* ---- the calls */

static bh_status inside_scope(const bh_cf *cf, bh_erase_scope *out)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	BH_TRY(bh_keyring_merchant(cf->merchant->db->keyring, cf->merchant->name, &info));
	*out = bh_erase_scope_of(&info, cf->cls->name);
	return BH_OK;
}

static bh_status not_marked(const bh_cf *cf)
{
	return bh_fail(BH_E_NOT_FOUND, "'%s/%s': this prefix is not kept out", cf->merchant->name, cf->cls->name);
}

typedef struct search {
	const uint8_t *digest;
	bool found;
} search;

static bh_status match(void *arg, const bh_erase_marker *marker)
{
	search *s = arg;

	s->found = s->found || memcmp(marker->prefix_digest, s->digest, BH_SHA256_LEN) == 0;
	return BH_OK;
}

static bh_status remove_marker(bh_cf *cf, const bh_erase_scope *scope, bh_view prefix)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	uint8_t digest[BH_SHA256_LEN];
	search s = { .digest = digest };
	const bh_db *db = cf->merchant->db;
	bh_status status = bh_erase_secret(db, scope, false, &secret);

	if (status == BH_E_NOT_FOUND)
		return not_marked(cf);
	BH_TRY(status);
	BH_TRY(bh_suppressed_digest(&secret, prefix, digest));
	BH_TRY(bh_erase_marker_each(db, scope, match, &s));
	if (!s.found)
		return not_marked(cf);
	BH_TRY(log_change(db, scope, BH_AUDIT_ERASE_LIFTED, digest));
	BH_TRY(bh_erase_marker_remove(db, scope, digest));
	bh_crash_point("erase.lifted");
	return BH_OK;
}

/* Under `marking`. */
static bh_status lift(bh_cf *cf, bh_view prefix)
{
	bh_suppressed *set = bh_suppressed_new();
	bh_erase_scope scope;
	bh_status status;

	if (set == NULL)
		return bh_fail(BH_E_NOMEM, "'%s/%s': no memory", cf->merchant->name, cf->cls->name);
	status = bh_db_check_writable(cf->merchant->db);
	if (status == BH_OK)
		status = inside_scope(cf, &scope);
	if (status == BH_OK)
		status = remove_marker(cf, &scope, prefix);
	if (status == BH_OK)
		return take_effect(cf->merchant, cf->cls, &scope, set);
	bh_suppressed_free(set);
	return status;
}

bh_status bh_erase_unsuppress(bh_cf *cf, bh_view prefix)
{
	bh_status status;

	BH_TRY(bh_gate_enter(&cf->merchant->gate, cf->merchant->name));
	pthread_mutex_lock(&cf->merchant->marking);
	status = bh_room_check(cf->merchant->db->room);
	if (status == BH_OK)
		status = lift(cf, prefix);
	pthread_mutex_unlock(&cf->merchant->marking);
	bh_gate_leave(&cf->merchant->gate);
	return bh_done(status);
}

bh_status bh_erase_markers(bh_cf *cf, bh_status (*each)(void *arg, const bh_erase_marker *marker), void *arg)
{
	bh_erase_scope scope;
	bh_status status;

	BH_TRY(bh_gate_enter(&cf->merchant->gate, cf->merchant->name));
	status = inside_scope(cf, &scope);
	if (status == BH_OK)
		status = bh_erase_marker_each(cf->merchant->db, &scope, each, arg);
	bh_gate_leave(&cf->merchant->gate);
	return bh_done(status);
}
