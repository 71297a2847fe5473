/* SPDX-License-Identifier: Apache-2.0
 *
 * claim.c: who is at work on a name or a CMK that is no listed merchant's: one that is being added, or finalized after its shred.
 *
 * A claim is held over calls to a KMS, so it excludes nobody but those who come for the same name or the same CMK.
 */
#include "internal.h"

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
