/* SPDX-License-Identifier: Apache-2.0
 *
 * claim.c: see claim.h.
 */
#include "claim.h"

#include <stdlib.h>
#include <strings.h>

#include "keyring/kms/kms.h"

static bool conflicts(const bh_claim *a, const bh_claim *b)
{
	if (strcasecmp(a->name, b->name) == 0)
		return true;
	return a->cmk_uri != NULL && b->cmk_uri != NULL && bh_kms_same_key(a->cmk_uri, b->cmk_uri);
}

static bool is_taken(const bh_db *db, const bh_claim *claim)
{
	for (const bh_claim *other = db->claims; other != NULL; other = other->next)
		if (conflicts(other, claim))
			return true;
	return false;
}

bh_status bh_cmk_resolve(bh_db *db, const char *uri, char *room, const char **out)
{
	BH_TRY(bh_kms_resolve(uri, bh_keyring_kms_options(db->keyring), room));
	*out = room[0] != '\0' ? room : uri;
	return BH_OK;
}

void bh_claim_take(bh_db *db, bh_claim *claim)
{
	pthread_mutex_lock(&db->admin);
	while (is_taken(db, claim))
		pthread_cond_wait(&db->claim_ended, &db->admin);
	claim->next = db->claims;
	db->claims = claim;
	pthread_mutex_unlock(&db->admin);
}

void bh_claim_end(bh_db *db, const bh_claim *claim)
{
	bh_claim **link = &db->claims;

	pthread_mutex_lock(&db->admin);
	while (*link != claim)
		link = &(*link)->next;
	*link = claim->next;
	pthread_cond_broadcast(&db->claim_ended);
	pthread_mutex_unlock(&db->admin);
}

/* One that it had before, and that its shred will have destroyed as well. */
static bh_status check_former(bh_db *db, const bh_merchant_info *merchant, const char *cmk_uri)
{
	bh_former_cmk *former = NULL;
	size_t count = 0;
	bh_status status = BH_OK;

	BH_TRY(bh_keyring_former_cmks(db->keyring, merchant->id, &former, &count));
	for (size_t i = 0; i < count && status == BH_OK; i++)
		if (!bh_former_cmk_is_gone(&former[i]) && bh_kms_same_key(former[i].uri, cmk_uri))
			status = bh_fail(BH_E_EXISTS,
					 "%s: was the CMK of merchant '%s', whose shred has it destroyed; each merchant "
					 "needs one of its own",
					 cmk_uri, merchant->name);
	free(former);
	return status;
}

/* One CMK, one merchant: a shred destroys the CMK, and must not take anybody else's data with it. */
bh_status bh_cmk_check_free(bh_db *db, const char *cmk_uri, const char *except)
{
	bh_merchant_info *infos = NULL;
	bh_status status = BH_OK;
	size_t count = 0;
	char platform[BH_KMS_URI_MAX + 1];

	BH_TRY(bh_keyring_cmk_uri(db->keyring, "", platform));
	if ((except == NULL || except[0] != '\0') && bh_kms_same_key(cmk_uri, platform))
		return bh_fail(BH_E_EXISTS, "%s: is the platform's CMK; a merchant needs one of its own", cmk_uri);
	BH_TRY(bh_keyring_merchants(db->keyring, &infos, &count));
	for (size_t i = 0; i < count; i++) {
		bool own = except != NULL && infos[i].state < BH_MERCHANT_SHREDDING && strcmp(infos[i].name, except) == 0;
		/* A shredded one's counts until it is destroyed: finalizing that shred will do it. */
		if (!own && (infos[i].state != BH_MERCHANT_SHREDDED || infos[i].cmk_pending) &&
		    bh_kms_same_key(infos[i].cmk_uri, cmk_uri))
			status = bh_fail(BH_E_EXISTS, "%s: is the CMK of merchant '%s'; each merchant needs one of its own",
					 cmk_uri, infos[i].name);
		else if (!own && status == BH_OK)
			status = check_former(db, &infos[i], cmk_uri);
		bh_merchant_info_clear(&infos[i]);
	}
	free(infos);
	return status;
}
