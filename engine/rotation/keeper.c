/* SPDX-License-Identifier: Apache-2.0
 *
 * keeper.c: see keeper.h.
 *
 *     what it finds                                             what it does
 *     the newest generation is older, or more was sealed under  rotates (rotate.c)
 *     it, than the options allow
 *     files were written, or the merchant was attached, since   asks the CMK for its version, and rewraps what is behind; at every
 *     its CMK was asked last                                    REWRAP_LOOKS-th look at most
 *     an older generation is marked                             sweeps (sweep.c)
 *     no SST or blob file lies under older generations          sweeps: what is left are WALs and the MANIFEST
 *     the platform has an older generation                      sweeps
 * Otherwise older generations wait for compactions to move what lies under them. At the end of each look what was sealed under each
 * DEK is written down: a kill loses what was sealed since, but for what lies there, which the first look after it finds.
 */
#include "keeper.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <stdatomic.h>
#include <bulkhead/db.h>

#include "survey.h"
#include "sweep.h"
#include "engine/core/merchant.h"

#define LOOK_DEFAULT_MS 60000
#define FIRST_LOOK_MS 1000 /* at most, after an open: sweeps that were interrupted */
#define AGE_DEFAULT_S (90 * 24 * 3600)
#define AHEAD_MAX_S 600 /* by which clocks of several hosts may differ */
#define REWRAP_LOOKS 60

/* What is remembered of a merchant from look to look. */
typedef struct record {
	uint8_t id[BH_ID_LEN];
	uint64_t written; /* a sum that changes when files come */
	uint64_t attached;
	uint64_t asked_at; /* the look at which its CMK was asked last, or it was first seen */
} record;

struct bh_keeper {
	bh_db *db;
	int64_t look_ms;
	int64_t max_age_s;  /* 0: any */
	uint64_t max_bytes; /* 0: any */
	uint64_t looks;     /* the keeper thread's own, like what follows */
	record *records;
	size_t record_count;
	pthread_t thread;
	_Atomic bool stopping;
};

static void tell(const bh_keeper *k, const char *merchant, const char *what, bh_status status)
{
	/* It left, or is busy with the same: nothing an operator should know. */
	if (status == BH_OK || status == BH_E_SUSPENDED || status == BH_E_SHREDDED || status == BH_E_BUSY ||
	    atomic_load(&k->stopping))
		return;
	if (merchant[0] != '\0')
		bh_db_log(k->db, "merchant '%s': %s: %s", merchant, what, bh_status_message());
	else
		bh_db_log(k->db, "platform: %s: %s", what, bh_status_message());
}

/* ---- what lies there */

/* A merchant as a look finds it. Taken in this order, so that what is done beside it makes too little of what lies under the newest
 * generation, and never too much. */
typedef struct view {
	const bh_merchant_info *merchant;
	bh_dek_info *deks; /* owned: of all merchants */
	size_t dek_count;
	uint32_t newest; /* generation of the merchant's */
	bh_survey old;
	uint64_t *pages; /* owned: bytes of sealed pages in each of its classes */
	uint64_t written;
} view;

static void view_clear(view *v)
{
	free(v->deks);
	bh_survey_clear(&v->old);
	free(v->pages);
}

static bool is_in(const char *path, const char *cls)
{
	const char *end = strrchr(path, '/');
	const size_t len = strlen(cls);

	return (size_t)(end - path) > len && *(end - len - 1) == '/' && memcmp(end - len, cls, len) == 0;
}

static bh_status see_file(void *arg, const char *path)
{
	view *v = arg;
	struct stat st;

	if (stat(path, &st) != 0)
		return BH_OK;
	for (size_t i = 0; i < v->merchant->class_count; i++)
		if (is_in(path, v->merchant->classes[i]))
			v->pages[i] += (uint64_t)st.st_size - BH_MIN((uint64_t)st.st_size, (uint64_t)BH_HEADER_LEN);
	v->written += (uint64_t)st.st_ino * 0x9e3779b97f4a7c15u ^ (uint64_t)st.st_size;
	return BH_OK;
}

static bool is_of(const view *v, const bh_dek_info *dek)
{
	return memcmp(dek->merchant_id, v->merchant->id, BH_ID_LEN) == 0;
}

static bh_status view_take(const bh_keeper *k, view *v)
{
	const bh_place place = bh_db_place(k->db);

	v->pages = calloc(v->merchant->class_count + 1, sizeof(*v->pages));
	if (v->pages == NULL)
		return bh_fail(BH_E_NOMEM, "no memory to look at %zu classes", v->merchant->class_count);
	BH_TRY(bh_keyring_deks(k->db->keyring, &v->deks, &v->dek_count));
	for (size_t i = 0; i < v->dek_count; i++)
		if (is_of(v, &v->deks[i]))
			v->newest = BH_MAX(v->newest, v->deks[i].generation);
	BH_TRY(bh_survey_files(&place, v->merchant->name, &v->old));
	return bh_each_class_file(&place, v->merchant->name, see_file, v);
}

/* ---- rotation */

/* Bytes of sealed pages under one of the newest DEKs. */
static uint64_t lies_under(const view *v, const bh_dek_info *dek)
{
	uint64_t all = 0, older = 0;

	for (size_t i = 0; i < v->merchant->class_count; i++)
		if (strcmp(v->merchant->classes[i], dek->scope.cls) == 0)
			all = v->pages[i];
	for (size_t i = 0; i < v->old.count; i++) {
		const bh_old_dek *old = &v->old.deks[i];

		if (memcmp(old->dek.id, dek->id, BH_ID_LEN) == 0)
			return 0; /* somebody has just rotated it */
		if (strcmp(old->dek.scope.cls, dek->scope.cls) == 0)
			older += old->bytes - BH_MIN(old->bytes, old->files * BH_HEADER_LEN);
	}
	return all - BH_MIN(all, older);
}

/* One that is younger than nothing was made while the clock stood ahead: nobody knows how old it is. */
static bool is_old(const bh_keeper *k, const bh_dek_info *dek)
{
	int64_t age_s = time(NULL) - dek->created_at_s;

	return age_s >= k->max_age_s || age_s < -AHEAD_MAX_S;
}

static bool has_had_its_time(const bh_keeper *k, const bh_dek_info *dek)
{
	if (k->max_age_s != 0 && is_old(k, dek))
		return true;
	return k->max_bytes != 0 && dek->sealed > k->max_bytes;
}

/* What lies under a DEK was sealed under it, whatever a kill has lost of the count. */
static bool is_due(const bh_keeper *k, view *v)
{
	bool due = false;

	for (size_t i = 0; i < v->dek_count; i++) {
		bh_dek_info *dek = &v->deks[i];

		if (!is_of(v, dek) || dek->generation != v->newest)
			continue;
		dek->sealed = BH_MAX(dek->sealed, lies_under(v, dek));
		bh_keyring_sealed_raise(k->db->keyring, dek->id, dek->sealed);
		due |= has_had_its_time(k, dek);
	}
	return due;
}

/* ---- wraps */

static record *record_of(bh_keeper *k, const uint8_t id[BH_ID_LEN])
{
	record *grown;

	for (size_t i = 0; i < k->record_count; i++)
		if (memcmp(k->records[i].id, id, BH_ID_LEN) == 0)
			return &k->records[i];
	grown = realloc(k->records, (k->record_count + 1) * sizeof(*grown));
	if (grown == NULL)
		return NULL;
	k->records = grown;
	grown[k->record_count] = (record){ .asked_at = k->looks };
	memcpy(grown[k->record_count].id, id, BH_ID_LEN);
	return &grown[k->record_count++];
}

/* Whether its keys were put to use since its CMK was asked. */
static bool wants_rewrap(bh_keeper *k, const bh_merchant_info *merchant, const view *seen)
{
	bh_merchant *attached = bh_merchant_find(k->db, merchant->name);
	record *r = record_of(k, merchant->id);
	uint64_t at = attached != NULL ? atomic_load(&attached->attached) : 0;

	bh_merchant_unref(attached);
	if (r == NULL || k->looks < r->asked_at + REWRAP_LOOKS || (r->written == seen->written && r->attached == at))
		return false;
	r->asked_at = k->looks;
	r->written = seen->written;
	r->attached = at;
	return true;
}

/* ---- one look */

static bh_status keep_generations(bh_keeper *k, view *v)
{
	const bh_old_dek total = bh_survey_total(&v->old);

	if (is_due(k, v))
		return bh_merchant_rotate(k->db, v->merchant->name, NULL);
	if (v->old.count == 0 || (total.files > 0 && total.dek.marks == 0))
		return BH_OK;
	return bh_sweep_until(k->db, v->merchant->name, &k->stopping);
}

static bh_status keep(bh_keeper *k, const bh_merchant_info *merchant)
{
	BH_CLEANUP(view_clear) view v = { .merchant = merchant };

	BH_TRY(view_take(k, &v));
	if (wants_rewrap(k, merchant, &v))
		tell(k, merchant->name, "its wraps are not renewed", bh_merchant_rewrap(k->db, merchant->name, NULL, NULL));
	return keep_generations(k, &v);
}

/* The platform's rotations are an operator's. What is parked is waited for, look after look, and not swept in vain. */
static bh_status keep_platform(bh_keeper *k)
{
	BH_CLEANUP(bh_survey_clear) bh_survey old = { 0 };
	const bh_place place = bh_db_place(k->db);
	bool swept = true;
	size_t left;

	BH_TRY(bh_survey_make(&place, "", &old));
	for (size_t i = 0; i < old.count; i++)
		swept &= bh_old_dek_is_parked(&old.deks[i]);
	if (old.count == 0)
		return BH_OK;
	return swept ? bh_retire(k->db, "", &left) : bh_sweep_until(k->db, "", &k->stopping);
}

static void look(bh_keeper *k)
{
	bh_merchant_info *merchants = NULL;
	size_t count = 0;

	k->looks++;
	tell(k, "", "its older generations of keys stay", keep_platform(k));
	if (bh_keyring_merchants(k->db->keyring, &merchants, &count) != BH_OK)
		return;
	for (size_t i = 0; i < count; i++) {
		if (merchants[i].state == BH_MERCHANT_ACTIVE && !atomic_load(&k->stopping))
			tell(k, merchants[i].name, "its generations of keys stay as they are", keep(k, &merchants[i]));
		bh_merchant_info_clear(&merchants[i]);
	}
	free(merchants);
	if (bh_keyring_sealed_store(k->db->keyring) != BH_OK)
		bh_db_log(k->db, "what was sealed under each DEK is not written down: %s", bh_status_message());
	bh_db_check_locked(k->db);
}

/* ---- the thread */

/* False: it is time to end. */
static bool wait_for_next(bh_keeper *k, int64_t wait_ms)
{
	if (!atomic_load(&k->stopping))
		bh_alarm_wait(&k->db->keeper_alarm, wait_ms);
	return !atomic_load(&k->stopping);
}

static void *run(void *arg)
{
	bh_keeper *k = arg;
	int64_t wait_ms = BH_MIN(k->look_ms, FIRST_LOOK_MS);

	while (wait_for_next(k, wait_ms)) {
		look(k);
		wait_ms = k->look_ms;
	}
	return NULL;
}

static void keeper_free(bh_keeper *k)
{
	free(k->records);
	free(k);
}

bh_status bh_keeper_start(bh_db *db, const bh_db_options *options, bh_keeper **out)
{
	bh_keeper *k;

	if (options->maintenance_ms == UINT_MAX)
		return BH_OK;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", db->dir);
	k->db = db;
	k->look_ms = options->maintenance_ms != 0 ? options->maintenance_ms : LOOK_DEFAULT_MS;
	k->max_age_s = options->dek_age_s == UINT_MAX ? 0 : options->dek_age_s != 0 ? options->dek_age_s : AGE_DEFAULT_S;
	k->max_bytes = options->dek_bytes;
	if (pthread_create(&k->thread, NULL, run, k) != 0) {
		keeper_free(k);
		return bh_fail(BH_E_NOMEM, "%s: no thread for the keeping of keys", db->dir);
	}
	*out = k;
	return BH_OK;
}

void bh_keeper_stop(bh_keeper *keeper)
{
	if (keeper == NULL)
		return;
	atomic_store(&keeper->stopping, true);
	bh_alarm_ring(&keeper->db->keeper_alarm);
	pthread_join(keeper->thread, NULL);
	keeper_free(keeper);
}
