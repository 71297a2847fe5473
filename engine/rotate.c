/* SPDX-License-Identifier: Apache-2.0
 *
 * rotate.c: generations of a merchant's DEKs: a new one begins, one that nothing refers to any more ends.
 *
 *     step                               a kill right after it leaves
 *     new generation wrapped by the KMS  nothing
 *     recorded in the keyring            the generation, in use from the next open on
 *     logs told to look their keys up    done
 * From then on files, and the merchant's spans in WAL and MANIFEST, are sealed under the new generation; what is there stays under
 * the old one until RocksDB rewrites it. What an old generation is still needed for is found in the files themselves, never in a
 * list that could drift.
 */
#include "rotate.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "env/references.h"
#include "files.h"
#include "park.h"

bh_status bh_merchant_rotate(bh_db *db, const char *name)
{
	bh_status status = bh_keyring_merchant_rotate(db->keyring, name, 0);

	if (status == BH_OK)
		bh_fs_keys_changed(db->fs);
	return status;
}

/* ---- retirement */

/* All DEKs of the database, taken once for all merchants. */
typedef struct dek_list {
	bh_dek_info *deks;
	size_t count;
} dek_list;

static void dek_list_clear(dek_list *list)
{
	free(list->deks);
}

typedef struct survey {
	const bh_db *db;
	const bh_dek_info **old; /* generations that are not the newest of their class, and have a wrap; NULL: there are none */
	bool *needed;            /* of these */
	size_t count;
	const char *dir; /* the one that is being listed */
} survey;

static void survey_clear(survey *s)
{
	free(s->old);
	free(s->needed);
}

static bool is_of(const bh_dek_info *dek, const bh_merchant_info *merchant)
{
	return memcmp(dek->merchant_id, merchant->id, BH_ID_LEN) == 0;
}

static bool is_superseded(const bh_dek_info *dek, const dek_list *all)
{
	for (size_t i = 0; i < all->count; i++)
		if (memcmp(all->deks[i].merchant_id, dek->merchant_id, BH_ID_LEN) == 0 &&
		    strcmp(all->deks[i].scope.cls, dek->scope.cls) == 0 && all->deks[i].generation > dek->generation)
			return true;
	return false;
}

/* The first DEK of the merchant at or behind `from` that may be retired; the end of the list: there is none. */
static size_t next_old(const dek_list *all, const bh_merchant_info *merchant, size_t from)
{
	while (from < all->count && !(is_of(&all->deks[from], merchant) && !all->deks[from].tombstone &&
				      is_superseded(&all->deks[from], all)))
		from++;
	return from;
}

static bh_status survey_begin(survey *s, const dek_list *all, const bh_merchant_info *merchant)
{
	size_t first = next_old(all, merchant, 0);

	if (first == all->count)
		return BH_OK;
	s->old = calloc(all->count, sizeof(*s->old));
	s->needed = calloc(all->count, sizeof(*s->needed));
	if (s->old == NULL || s->needed == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu DEKs", all->count);
	for (size_t i = first; i < all->count; i = next_old(all, merchant, i + 1))
		s->old[s->count++] = &all->deks[i];
	return BH_OK;
}

static void note_dek(void *arg, const uint8_t dek_id[BH_ID_LEN])
{
	survey *s = arg;

	for (size_t i = 0; i < s->count; i++)
		if (memcmp(s->old[i]->id, dek_id, BH_ID_LEN) == 0)
			s->needed[i] = true;
}

/* What RocksDB has removed meanwhile needs nothing. Any other file that does not say what it needs ends the survey. */
static bh_status note_file(void *arg, const char *name)
{
	survey *s = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	bh_status status;

	BH_TRY(bh_buf_printf(&path, "%s/%s", s->dir, name));
	status = bh_file_references((const char *)path.data, bh_fs_scopes(s->db->fs), note_dek, s);
	return status == BH_E_NOT_FOUND ? BH_OK : status;
}

static bh_status note_log(void *arg, const char *name)
{
	const survey *s = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	bh_path_info info;
	struct stat st;

	BH_TRY(bh_buf_printf(&path, "%s/%s", s->dir, name));
	if (lstat((const char *)path.data, &st) != 0 || !S_ISREG(st.st_mode))
		return BH_OK;
	BH_TRY(bh_fs_classify(s->db->fs, (const char *)path.data, &info));
	return info.sealed && (info.kind == BH_KIND_WAL || info.kind == BH_KIND_MANIFEST) ? note_file(arg, name) : BH_OK;
}

static bh_status survey_files(survey *s, const bh_merchant_info *merchant)
{
	for (size_t i = 0; i < merchant->class_count; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

		BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR "/%s/%s", s->db->dir, merchant->name, merchant->classes[i]));
		s->dir = (const char *)path.data;
		BH_TRY(bh_dir_each(s->dir, note_file, s));
	}
	s->dir = s->db->dir;
	return bh_dir_each(s->dir, note_log, s);
}

static bh_status retire_unneeded(const survey *s, const char *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf ids = { 0 };

	for (size_t i = 0; i < s->count; i++)
		if (!s->needed[i])
			BH_TRY(bh_buf_append(&ids, s->old[i]->id, BH_ID_LEN));
	if (ids.len == 0)
		return BH_OK;
	return bh_keyring_deks_retire(s->db->keyring, merchant, ids.data, ids.len / BH_ID_LEN,
				      "no file, WAL or MANIFEST of the database refers to it");
}

static bh_status retire(const bh_db *db, const dek_list *all, const bh_merchant_info *merchant)
{
	BH_CLEANUP(survey_clear) survey s = { .db = db };

	BH_TRY(survey_begin(&s, all, merchant));
	if (s.count == 0 || bh_is_parked(db, merchant->name))
		return BH_OK;
	BH_TRY(survey_files(&s, merchant));
	return retire_unneeded(&s, merchant->name);
}

static bh_status retire_all(bh_db *db)
{
	BH_CLEANUP(dek_list_clear) dek_list all = { 0 };
	bh_merchant_info *merchants = NULL;
	size_t count = 0;

	BH_TRY(bh_keyring_deks(db->keyring, &all.deks, &all.count));
	BH_TRY(bh_keyring_merchants(db->keyring, &merchants, &count));
	for (size_t i = 0; i < count; i++) {
		if (merchants[i].state == BH_MERCHANT_ACTIVE && retire(db, &all, &merchants[i]) != BH_OK)
			bh_db_log(db, "merchant '%s': older generations of its keys stay: %s", merchants[i].name,
				  bh_status_message());
		bh_merchant_info_clear(&merchants[i]);
	}
	free(merchants);
	return BH_OK;
}

void bh_retire_at_open(bh_db *db)
{
	if (retire_all(db) != BH_OK)
		bh_db_log(db, "older generations of keys stay: %s", bh_status_message());
}
