/* SPDX-License-Identifier: Apache-2.0
 *
 * merchant.c: see merchant.h.
 */
#include "merchant.h"

#include <stdlib.h>

#include "suppressed.h"
#include "keyring/base/base.h"

bh_status bh_merchant_new(bh_db *db, const bh_merchant_info *info, bh_merchant **out)
{
	bh_merchant *merchant = calloc(1, sizeof(*merchant));
	bh_class *classes = calloc(info->class_count, sizeof(*classes));

	if (merchant == NULL || classes == NULL) {
		free(merchant);
		free(classes);
		return bh_fail(BH_E_NOMEM, "merchant '%s': no memory", info->name);
	}
	for (size_t i = 0; i < info->class_count; i++)
		memcpy(classes[i].name, info->classes[i], sizeof(classes[i].name));
	memcpy(merchant->name, info->name, sizeof(merchant->name));
	merchant->refs = 1;
	merchant->db = db;
	merchant->classes = classes;
	merchant->class_count = info->class_count;
	pthread_mutex_init(&merchant->op, NULL);
	pthread_mutex_init(&merchant->marking, NULL);
	pthread_mutex_init(&merchant->lock, NULL);
	*out = merchant;
	return BH_OK;
}

bh_merchant *bh_merchant_ref(bh_merchant *merchant)
{
	atomic_fetch_add_explicit(&merchant->refs, 1, memory_order_relaxed);
	return merchant;
}

void bh_merchant_unref(bh_merchant *merchant)
{
	if (merchant == NULL || atomic_fetch_sub(&merchant->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&merchant->op);
	pthread_mutex_destroy(&merchant->marking);
	pthread_mutex_destroy(&merchant->lock);
	free(merchant->classes);
	free(merchant);
}

void bh_merchant_link(bh_db *db, bh_merchant *merchant)
{
	pthread_mutex_lock(&db->lock);
	merchant->next = db->merchants;
	db->merchants = merchant;
	pthread_mutex_unlock(&db->lock);
}

bh_merchant *bh_merchant_find(bh_db *db, const char *name)
{
	bh_merchant *merchant;

	pthread_mutex_lock(&db->lock);
	for (merchant = db->merchants; merchant != NULL && strcmp(merchant->name, name) != 0; merchant = merchant->next)
		;
	if (merchant != NULL)
		bh_merchant_ref(merchant);
	pthread_mutex_unlock(&db->lock);
	return merchant;
}

bh_class *bh_merchant_class(bh_merchant *merchant, const char *cls)
{
	for (size_t i = 0; i < merchant->class_count; i++)
		if (strcmp(merchant->classes[i].name, cls) == 0)
			return &merchant->classes[i];
	return NULL;
}

bh_merchant *bh_merchant_find_locked(bh_db *db, const char *name)
{
	bh_merchant *merchant = bh_merchant_find(db, name);

	while (merchant != NULL) {
		bh_merchant *now;

		pthread_mutex_lock(&merchant->op);
		now = bh_merchant_find(db, name);
		bh_merchant_unref(now);
		if (now == merchant)
			return merchant;
		/* It was shredded meanwhile; the name may be another merchant's by now. */
		bh_merchant_unlock(merchant);
		merchant = bh_merchant_find(db, name);
	}
	return NULL;
}

void bh_merchant_unlock(bh_merchant *merchant)
{
	if (merchant == NULL)
		return;
	pthread_mutex_unlock(&merchant->op);
	bh_merchant_unref(merchant);
}

void bh_merchant_shut(bh_merchant *merchant, bh_status reason)
{
	bh_gate_shut(&merchant->gate, reason); /* first, so that what is cut short can say why */
	atomic_store(&merchant->closing, true);
	bh_gate_close(&merchant->gate, reason);
	bh_suppressed_unload(merchant->classes, merchant->class_count);
	pthread_mutex_lock(&merchant->lock);
	while (merchant->guests != NULL)
		merchant->guests->end(merchant->guests);
	pthread_mutex_unlock(&merchant->lock);
}

void bh_merchant_gate_close(bh_db *db, const char *name, bh_status reason)
{
	bh_merchant *merchant = bh_merchant_find(db, name);

	if (merchant != NULL)
		bh_gate_shut(&merchant->gate, reason);
	bh_merchant_unref(merchant);
}

void bh_guest_add(bh_merchant *merchant, bh_guest *guest)
{
	pthread_mutex_lock(&merchant->lock);
	guest->next = merchant->guests;
	guest->link = &merchant->guests;
	if (guest->next != NULL)
		guest->next->link = &guest->next;
	merchant->guests = guest;
	pthread_mutex_unlock(&merchant->lock);
}

void bh_guest_remove(bh_guest *guest)
{
	*guest->link = guest->next;
	if (guest->next != NULL)
		guest->next->link = guest->link;
}
