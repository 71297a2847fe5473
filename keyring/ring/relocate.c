/* SPDX-License-Identifier: Apache-2.0
 *
 * relocate.c: a KMS lies elsewhere now: the same keys under other URIs.
 *
 * That they are the same is proved by what they unwrap: a wrapped DEK is bound to its database, merchant and id, and opens under
 * its own CMK alone. No wrap changes. Who cannot be proved keeps its URI and can be asked for again.
 */
#include "relocate.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmk.h"
#include "deks.h"
#include "edit.h"
#include "events.h"
#include "keyring/manifest/state_former.h"
#include "ring.h"

bool bh_relocate_uri(const char *uri, const bh_keyring_options *options, char out[BH_KMS_URI_MAX + 1])
{
	const size_t len = strlen(options->moved_from);

	return strncmp(uri, options->moved_from, len) == 0 && uri[len] == '#' &&
	       snprintf(out, BH_KMS_URI_MAX + 1, "%s%s", options->moved_to, uri + len) <= BH_KMS_URI_MAX;
}

typedef struct relocation {
	bh_keyring *keyring;
	const bh_keyring_options *options;
	void (*each)(void *arg, const char *merchant, bh_status status);
	void *arg;
	bh_keyring_state next;
	bh_audit_batch events;
	size_t moved;
	bh_status first; /* failure */
} relocation;

static void relocation_clear(relocation *r)
{
	bh_audit_batch_clear(&r->events);
	bh_keyring_state_clear(&r->next);
	bh_keyring_close(r->keyring);
}

/* One DEK, unwrapped by the CMK at its new place. What is shredded has none. */
static bh_status prove(relocation *r, const bh_merchant_record *merchant, const char *uri)
{
	const bh_dek_record *record = bh_deks_wrapped(merchant->deks, merchant->dek_count);
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	BH_TRY(bh_keyring_audit_asking(r->keyring, merchant, uri, "to unwrap one of its DEKs, where the KMS is said to lie now"));
	BH_TRY(bh_keyring_kms_open(r->keyring, uri, &kms));
	BH_TRY(bh_keyring_region_check(kms, uri, merchant->region));
	if (record == NULL)
		return BH_OK;
	BH_TRY(bh_keyring_record_open(r->keyring, kms, merchant, record, &dek));
	return bh_keyring_audit_dek(r->keyring, &r->events, BH_AUDIT_DEK_UNWRAPPED, merchant, record);
}

/* Two of a merchant's CMKs cannot become one. */
static bh_status refuse_known(const bh_merchant_record *merchant, const char *uri)
{
	return bh_merchant_knows_cmk(merchant, uri) ? bh_fail(BH_E_EXISTS, "is another CMK that the merchant has or had") : BH_OK;
}

static bh_status move_one(relocation *r, bh_merchant_record *merchant, const char *uri)
{
	char *copy;

	BH_TRY(refuse_known(merchant, uri));
	BH_TRY(prove(r, merchant, uri));
	BH_TRY(bh_keyring_audit_moved(r->keyring, &r->events, merchant, uri));
	copy = strdup(uri);
	if (copy == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a URI");
	free(merchant->cmk_uri);
	merchant->cmk_uri = copy;
	return BH_OK;
}

/* What it wrapped is in no KEYRING any more, so that a key of that name is there is all that can be asked. */
static bh_status move_former(relocation *r, const bh_merchant_record *merchant, bh_former_cmk *former, const char *uri)
{
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;

	BH_TRY(refuse_known(merchant, uri));
	BH_TRY(bh_keyring_kms_open(r->keyring, uri, &kms));
	BH_TRY(bh_keyring_region_check(kms, uri, merchant->region));
	memcpy(former->uri, uri, strlen(uri) + 1);
	return BH_OK;
}

static void moved(relocation *r, const bh_merchant_record *merchant, bh_status status)
{
	if (status == BH_OK)
		r->moved++;
	else if (r->first == BH_OK)
		r->first = status;
	r->each(r->arg, merchant->name, status);
}

/* Those that are gone for good stay what they were. */
static void move_formers(relocation *r, bh_merchant_record *merchant)
{
	char uri[BH_KMS_URI_MAX + 1];

	for (size_t i = 0; i < merchant->former_count; i++) {
		bh_former_cmk *former = &merchant->former[i];

		if (bh_former_cmk_is_gone(former) || !bh_relocate_uri(former->uri, r->options, uri))
			continue;
		moved(r, merchant,
		      bh_fail_prefix(move_former(r, merchant, former, uri), "merchant '%s': former CMK '%s'", merchant->name, uri));
	}
}

static void move_merchant(relocation *r, bh_merchant_record *merchant)
{
	char uri[BH_KMS_URI_MAX + 1];
	bh_status status;

	if (!bh_relocate_uri(merchant->cmk_uri, r->options, uri))
		return;
	status = bh_fail_prefix(move_one(r, merchant, uri), "merchant '%s': CMK '%s'", merchant->name, uri);
	moved(r, merchant, status);
}

/* The open has unwrapped the platform's keys there already, and has its head as it will be. */
static bh_status move_platform(relocation *r)
{
	const bh_keyring_head *head = &r->keyring->file.head;
	const size_t len = strlen(r->options->moved_to);
	bh_merchant_record platform = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf before = { 0 };

	if (strncmp(head->cmk_uri, r->options->moved_to, len) != 0 || head->cmk_uri[len] != '#')
		return BH_OK;
	BH_TRY(bh_buf_printf(&before, "%s%s", r->options->moved_from, head->cmk_uri + len));
	BH_TRY(bh_buf_append_u8(&before, 0));
	platform.cmk_uri = (char *)before.data;
	memcpy(platform.region, head->region, sizeof(platform.region));
	BH_TRY(bh_keyring_audit_moved(r->keyring, &r->events, &platform, head->cmk_uri));
	r->moved++;
	r->each(r->arg, "", BH_OK);
	return BH_OK;
}

static bh_status move_all(relocation *r)
{
	BH_TRY(bh_keyring_state_copy(&r->keyring->state, &r->next));
	BH_TRY(move_platform(r));
	for (size_t i = 0; i < r->next.count; i++)
		move_merchant(r, &r->next.merchants[i]);
	for (size_t i = 0; i < r->next.count; i++)
		move_formers(r, &r->next.merchants[i]);
	if (r->moved == 0)
		return r->first != BH_OK ? r->first
					 : bh_fail(BH_E_NOT_FOUND, "no CMK of this database lies in %s", r->options->moved_from);
	BH_TRY(bh_audit_batch_write(r->keyring->audit, &r->events));
	pthread_mutex_lock(&r->keyring->change);
	bh_status status = bh_keyring_replace(r->keyring, &r->next);
	pthread_mutex_unlock(&r->keyring->change);
	return status;
}

bh_status bh_keyring_relocate(const char *dir, const bh_keyring_options *options,
			      void (*each)(void *arg, const char *merchant, bh_status status), void *arg)
{
	BH_CLEANUP(relocation_clear) relocation r = { .options = options, .each = each, .arg = arg };

	BH_TRY(bh_keyring_open(dir, options, true, &r.keyring));
	BH_TRY(move_all(&r));
	return r.first;
}
