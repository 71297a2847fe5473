/* SPDX-License-Identifier: Apache-2.0
 *
 * cmks.c: see cmks.h.
 */
#include "cmks.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "keyring/kms/meter.h"
#include "keyring/kms/provider/session.h"

/* Never freed before the table: open handles count into its meter. */
typedef struct slot {
	struct slot *next;
	char *uri;   /* owned */
	bh_kms *kms; /* a counted reference, or NULL */
	bh_kms_meter meter;
} slot;

struct bh_cmk_table {
	const bh_kms_options *options;
	bh_kms_session *session;
	pid_t owner;
	pthread_mutex_t lock; /* guards the list and each slot's `kms` */
	slot *first;
};

bh_status bh_cmk_table_new(const bh_kms_options *options, bh_cmk_table **out)
{
	bh_cmk_table *table = calloc(1, sizeof(*table));

	if (table == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the CMKs of a keyring");
	bh_status status = bh_kms_session_new(&table->session);
	if (status != BH_OK) {
		free(table);
		return status;
	}
	table->options = options;
	table->owner = getpid();
	pthread_mutex_init(&table->lock, NULL);
	*out = table;
	return BH_OK;
}

static void slot_free(slot *s)
{
	bh_kms_close(s->kms);
	bh_kms_meter_clear(&s->meter);
	free(s->uri);
	free(s);
}

void bh_cmk_table_free(bh_cmk_table *table)
{
	if (table == NULL)
		return;
	while (table->first != NULL) {
		slot *s = table->first;
		table->first = s->next;
		slot_free(s);
	}
	bh_kms_session_free(table->session);
	pthread_mutex_destroy(&table->lock);
	free(table);
}

/* The caller holds the lock. NULL: there is none. */
static slot *slot_find(const bh_cmk_table *table, const char *uri)
{
	slot *s = table->first;

	while (s != NULL && strcmp(s->uri, uri) != 0)
		s = s->next;
	return s;
}

/* The caller holds the lock. NULL: no memory. */
static slot *slot_add(bh_cmk_table *table, const char *uri)
{
	slot *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->uri = strdup(uri);
	if (s->uri == NULL) {
		free(s);
		return NULL;
	}
	bh_kms_meter_init(&s->meter);
	s->next = table->first;
	table->first = s;
	return s;
}

/* The slot of the URI, and its handle, if there is one that is good for another call. */
static bh_status slot_take(bh_cmk_table *table, const char *uri, slot **slot_out, bh_kms **kms_out)
{
	pthread_mutex_lock(&table->lock);
	slot *s = slot_find(table, uri);
	if (s == NULL)
		s = slot_add(table, uri);
	if (s != NULL && s->kms != NULL && !bh_kms_has_failed(s->kms))
		*kms_out = bh_kms_ref(s->kms);
	pthread_mutex_unlock(&table->lock);
	if (s == NULL)
		return bh_fail(BH_E_NOMEM, "CMK '%s': no memory to open it", uri);
	*slot_out = s;
	return BH_OK;
}

/* Two may have opened it at once: the later one's stays, the other goes with its users. */
static void slot_put(bh_cmk_table *table, slot *s, bh_kms *kms)
{
	pthread_mutex_lock(&table->lock);
	bh_kms *last = s->kms;
	s->kms = bh_kms_ref(kms);
	pthread_mutex_unlock(&table->lock);
	bh_kms_close(last);
}

bh_status bh_cmk_table_open(bh_cmk_table *table, const char *uri, bh_kms **out)
{
	bh_kms *kms = NULL;
	slot *s = NULL;

	if (getpid() != table->owner)
		return bh_kms_open(uri, table->options, out);
	BH_TRY(slot_take(table, uri, &s, &kms));
	if (kms == NULL) {
		BH_TRY(bh_kms_open_in(table->session, &s->meter, uri, table->options, &kms));
		slot_put(table, s, kms);
	}
	*out = kms;
	return BH_OK;
}

void bh_cmk_table_close(bh_cmk_table *table, const char *uri)
{
	bh_kms *kms = NULL;

	if (getpid() != table->owner)
		return;
	pthread_mutex_lock(&table->lock);
	slot *s = slot_find(table, uri);
	if (s != NULL) {
		kms = s->kms;
		s->kms = NULL;
	}
	pthread_mutex_unlock(&table->lock);
	bh_kms_close(kms);
}

void bh_cmk_table_statistics(bh_cmk_table *table, const char *uri, bh_kms_statistics *out)
{
	*out = (bh_kms_statistics){ 0 };
	pthread_mutex_lock(&table->lock);
	slot *s = slot_find(table, uri);
	pthread_mutex_unlock(&table->lock);
	if (s != NULL)
		bh_kms_meter_read(&s->meter, out);
}
