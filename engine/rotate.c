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

typedef struct survey {
	const bh_db *db;
	bh_dek_info *old; /* generations that are not the newest of their class, and have a wrap */
	bool *needed;     /* of these */
	size_t count;
	const char *dir; /* the one that is being listed */
} survey;

static void survey_clear(survey *s)
{
	free(s->old);
	free(s->needed);
}

static bool is_superseded(const bh_dek_info *dek, const bh_dek_info *all, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(all[i].merchant_id, dek->merchant_id, BH_ID_LEN) == 0 && strcmp(all[i].scope.cls, dek->scope.cls) == 0 &&
		    all[i].generation > dek->generation)
			return true;
	return false;
}

static bh_status survey_begin(const bh_db *db, const uint8_t merchant_id[BH_ID_LEN], survey *out)
{
	bh_dek_info *all = NULL;
	size_t count = 0;

	BH_TRY(bh_keyring_deks(db->keyring, &all, &count));
	*out = (survey){ .db = db, .old = calloc(count, sizeof(*all)), .needed = calloc(count, sizeof(bool)) };
	for (size_t i = 0; out->old != NULL && i < count; i++)
		if (memcmp(all[i].merchant_id, merchant_id, BH_ID_LEN) == 0 && !all[i].tombstone &&
		    is_superseded(&all[i], all, count))
			out->old[out->count++] = all[i];
	free(all);
	return out->old != NULL && out->needed != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "no memory for %zu DEKs", count);
}

static void note_dek(void *arg, const uint8_t dek_id[BH_ID_LEN])
{
	survey *s = arg;

	for (size_t i = 0; i < s->count; i++)
		if (memcmp(s->old[i].id, dek_id, BH_ID_LEN) == 0)
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
			BH_TRY(bh_buf_append(&ids, s->old[i].id, BH_ID_LEN));
	if (ids.len == 0)
		return BH_OK;
	return bh_keyring_deks_retire(s->db->keyring, merchant, ids.data, ids.len / BH_ID_LEN,
				      "no file, WAL or MANIFEST of the database refers to it");
}

static bh_status retire(const bh_db *db, const bh_merchant_info *merchant)
{
	BH_CLEANUP(survey_clear) survey s = { 0 };

	BH_TRY(survey_begin(db, merchant->id, &s));
	if (s.count == 0 || bh_is_parked(db, merchant->name))
		return BH_OK;
	BH_TRY(survey_files(&s, merchant));
	return retire_unneeded(&s, merchant->name);
}

bh_status bh_retire_at_open(bh_db *db, const bh_merchant_info *merchant)
{
	if (merchant->state == BH_MERCHANT_ACTIVE && retire(db, merchant) != BH_OK)
		bh_db_log(db, "merchant '%s': older generations of its keys stay: %s", merchant->name, bh_status_message());
	return BH_OK;
}
