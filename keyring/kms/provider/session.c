/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c: see session.h.
 */
#include "session.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct kept {
	struct kept *next;
	uint8_t tag[BH_KMS_SESSION_TAG_LEN];
	bh_secret secret;
} kept;

struct bh_kms_session {
	pthread_mutex_t lock; /* guards the list */
	kept *first;
};

bh_status bh_kms_session_new(bh_kms_session **out)
{
	bh_kms_session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a KMS session");
	pthread_mutex_init(&session->lock, NULL);
	*out = session;
	return BH_OK;
}

static void kept_free(kept *item)
{
	bh_secret_clear(&item->secret);
	free(item);
}

void bh_kms_session_free(bh_kms_session *session)
{
	if (session == NULL)
		return;
	while (session->first != NULL) {
		kept *item = session->first;
		session->first = item->next;
		kept_free(item);
	}
	pthread_mutex_destroy(&session->lock);
	free(session);
}

/* The caller holds the lock. */
static kept *find(const bh_kms_session *session, const uint8_t tag[BH_KMS_SESSION_TAG_LEN])
{
	kept *item = session->first;

	while (item != NULL && memcmp(item->tag, tag, BH_KMS_SESSION_TAG_LEN) != 0)
		item = item->next;
	return item;
}

bool bh_kms_session_find(bh_kms_session *session, const uint8_t tag[BH_KMS_SESSION_TAG_LEN], bh_secret *out)
{
	if (session == NULL)
		return false;
	pthread_mutex_lock(&session->lock);
	const kept *item = find(session, tag);
	bool found =
		item != NULL && !bh_secret_is_wiped(&item->secret) && bh_secret_copy(out, bh_secret_view(&item->secret)) == BH_OK;
	pthread_mutex_unlock(&session->lock);
	return found;
}

void bh_kms_session_keep(bh_kms_session *session, const uint8_t tag[BH_KMS_SESSION_TAG_LEN], const bh_secret *secret)
{
	if (session == NULL)
		return;
	kept *item = calloc(1, sizeof(*item));
	if (item == NULL)
		return;
	memcpy(item->tag, tag, BH_KMS_SESSION_TAG_LEN);
	bool copied = bh_secret_copy(&item->secret, bh_secret_view(secret)) == BH_OK;
	pthread_mutex_lock(&session->lock);
	if (copied && find(session, tag) == NULL) {
		item->next = session->first;
		session->first = item;
		item = NULL;
	}
	pthread_mutex_unlock(&session->lock);
	if (item != NULL)
		kept_free(item);
}
