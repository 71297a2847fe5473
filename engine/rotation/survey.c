/* SPDX-License-Identifier: Apache-2.0
 *
 * survey.c: see survey.h.
 */
#include "survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "env/files/page_readers.h"
#include "env/files/raw_file.h"
#include "env/files/references.h"
#include "engine/erase/erase_record.h"
#include "engine/core/files.h"
#include "engine/wall/park.h"
#include "platform_files.h"

/* ---- which files there are */

/* Where files of a class lie under its keys: those that it consists of, and those that wait to be ingested. */
static const char *const class_places[] = { BH_TENANTS_DIR, BH_STAGING_DIR };
#define CLASS_PLACES (sizeof(class_places) / sizeof(class_places[0]))

typedef struct walk {
	const bh_place *place;
	const char *dir;
	bh_status (*each_log)(void *arg, const char *path, bh_file_kind kind);
	bh_status (*each_file)(void *arg, const char *path);
	void *arg;
} walk;

static bh_status visit_log(void *arg, const char *name)
{
	const walk *w = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	bh_path_info info;
	struct stat st;

	BH_TRY(bh_buf_printf(&path, "%s/%s", w->dir, name));
	if (lstat((const char *)path.data, &st) != 0 || !S_ISREG(st.st_mode))
		return BH_OK;
	BH_TRY(bh_fs_classify(w->place->fs, (const char *)path.data, &info));
	if (!info.sealed || (info.kind != BH_KIND_WAL && info.kind != BH_KIND_MANIFEST))
		return BH_OK;
	return w->each_log(w->arg, (const char *)path.data, info.kind);
}

bh_status bh_each_log(const bh_place *place, bh_status (*each)(void *arg, const char *path, bh_file_kind kind), void *arg)
{
	BH_CLEANUP(bh_buf_clear) bh_buf archive = { 0 };
	walk w = { .place = place, .dir = place->dir, .each_log = each, .arg = arg };

	BH_TRY(bh_dir_each(w.dir, visit_log, &w));
	BH_TRY(bh_buf_printf(&archive, "%s/archive", place->dir));
	w.dir = (const char *)archive.data;
	return bh_dir_each(w.dir, visit_log, &w);
}

static bh_status visit_file(void *arg, const char *name)
{
	const walk *w = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	if (bh_is_temp_name(name))
		return BH_OK;
	BH_TRY(bh_buf_printf(&path, "%s/%s", w->dir, name));
	return w->each_file(w->arg, (const char *)path.data);
}

static bh_status visit_class(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	const walk *parent = arg;
	walk w = *parent;

	BH_TRY(bh_buf_printf(&path, "%s/%s", parent->dir, name));
	w.dir = (const char *)path.data;
	return bh_dir_each(w.dir, visit_file, &w);
}

bh_status bh_each_class_file(const bh_place *place, const char *merchant, bh_status (*each)(void *arg, const char *path), void *arg)
{
	walk w = { .place = place, .each_file = each, .arg = arg };

	for (size_t i = 0; i < CLASS_PLACES; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

		BH_TRY(bh_buf_printf(&path, "%s/%s/%s", place->dir, class_places[i], merchant));
		w.dir = (const char *)path.data;
		BH_TRY(bh_dir_each(w.dir, visit_class, &w));
	}
	return BH_OK;
}

/* ---- what lies under what */

/* Of the whole keyring. */
typedef struct dek_list {
	bh_dek_info *deks;
	size_t count;
} dek_list;

typedef struct bh_survey_run {
	const bh_place *place;
	const dek_list *all;
	bh_survey *survey;
	const char *path; /* the file that is looked at */
	bh_file_kind kind;
} survey_run;

void bh_survey_clear(bh_survey *survey)
{
	free(survey->deks);
	*survey = (bh_survey){ 0 };
}

static void note_dek(void *arg, const uint8_t dek_id[BH_ID_LEN])
{
	const survey_run *run = arg;

	for (size_t i = 0; i < run->survey->count; i++) {
		bh_old_dek *old = &run->survey->deks[i];
		const char *name = strrchr(run->path, '/') + 1;

		if (memcmp(old->dek.id, dek_id, BH_ID_LEN) != 0 || strcmp(old->log, name) == 0)
			continue;
		old->wals += run->kind == BH_KIND_WAL;
		old->manifests += run->kind == BH_KIND_MANIFEST;
		snprintf(old->log, sizeof(old->log), "%s", name);
	}
}

static bh_status look_at_log(void *arg, const char *path, bh_file_kind kind)
{
	survey_run *run = arg;
	bh_status status;

	run->path = path;
	run->kind = kind;
	status = bh_file_references(path, bh_fs_scopes(run->place->fs), note_dek, run);
	return status == BH_E_NOT_FOUND ? BH_OK : status;
}

static void note_file(const survey_run *run, const uint8_t dek_id[BH_ID_LEN])
{
	struct stat st;

	for (size_t i = 0; i < run->survey->count; i++) {
		bh_old_dek *old = &run->survey->deks[i];

		if (memcmp(old->dek.id, dek_id, BH_ID_LEN) != 0)
			continue;
		old->files++;
		if (stat(run->path, &st) == 0)
			old->bytes += (uint64_t)st.st_size;
	}
}

/* Whether the class has such a DEK, and its key is not in memory now. */
static bool is_locked(const survey_run *run, const uint8_t dek_id[BH_ID_LEN], const bh_scope *scope)
{
	const bh_scopes *scopes = bh_fs_scopes(run->place->fs);
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	for (size_t i = 0; i < run->all->count; i++) {
		const bh_dek_info *known = &run->all->deks[i];

		if (memcmp(known->id, dek_id, BH_ID_LEN) == 0 && !known->tombstone && bh_scope_is_same(&known->scope, scope))
			return scopes->dek_by_id(scopes->arg, dek_id, &dek) != BH_OK;
	}
	return false;
}

/* A header says what somebody wrote there, until its tag has been checked. */
static bh_status prove(survey_run *run, bh_view bytes)
{
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	bh_path_info info;
	bh_header header;

	BH_TRY(bh_fs_classify(run->place->fs, run->path, &info));
	BH_TRY(bh_fail_prefix(bh_header_parse(bytes, &header), "%s", run->path));
	if (is_locked(run, header.dek_id, &info.scope)) {
		run->survey->unproven++;
	} else {
		BH_TRY(bh_fail_prefix(bh_header_open(bytes, bh_fs_scopes(run->place->fs), &key), "%s", run->path));
		BH_TRY(bh_path_check_place(run->path, &info, &key));
	}
	note_file(run, header.dek_id);
	return BH_OK;
}

/* One that was sealed anew or removed meanwhile may have been under a DEK that is gone by now. */
static bh_status look_once(survey_run *run, bool *again_out)
{
	BH_CLEANUP(bh_raw_close) int fd = -1;
	uint8_t header[BH_HEADER_LEN];
	bh_status status;

	*again_out = false;
	BH_TRY(bh_raw_open(run->path, &fd));
	BH_TRY(bh_raw_header(fd, run->path, header));
	status = prove(run, bh_view_of(header, sizeof(header)));
	*again_out = status != BH_OK && !bh_raw_is_still_there(fd, run->path);
	return status;
}

/* A flush or a compaction holds the header back until it has a buffer full of rows. */
static bool is_being_written(const survey_run *run)
{
	uint8_t dek_id[BH_ID_LEN];
	const bool made = bh_page_claim_is_made(bh_fs_page_readers(run->place->fs), run->path, dek_id);

	if (made)
		note_file(run, dek_id);
	return made;
}

static bh_status look_at_file(void *arg, const char *path)
{
	survey_run *run = arg;
	bh_status status;
	bool again = true;

	run->path = path;
	for (int left = 3; again && left > 0; left--) {
		status = look_once(run, &again);
		if (status != BH_E_TRUNCATED)
			continue;
		if (is_being_written(run))
			return BH_OK;
		again = true; /* it was finished since */
	}
	run->survey->unfinished += status == BH_E_TRUNCATED;
	return status == BH_E_NOT_FOUND || status == BH_E_TRUNCATED ? BH_OK : status;
}

/* ---- the same, of the platform */

static void note_platform_file(void *arg, const uint8_t dek_id[BH_ID_LEN], bool parked)
{
	const survey_run *run = arg;

	for (size_t i = 0; i < run->survey->count; i++) {
		bh_old_dek *old = &run->survey->deks[i];
		struct stat st;

		if (memcmp(old->dek.id, dek_id, BH_ID_LEN) != 0)
			continue;
		old->parked += parked;
		old->parked_logs += parked && (run->kind == BH_KIND_WAL || run->kind == BH_KIND_MANIFEST);
		old->wals += run->kind == BH_KIND_WAL;
		old->manifests += run->kind == BH_KIND_MANIFEST;
		bh_platform_file_name(run->place, run->path, old->log, sizeof(old->log));
		if (run->kind == BH_KIND_WAL || run->kind == BH_KIND_MANIFEST)
			continue;
		old->files++;
		if (stat(run->path, &st) == 0)
			old->bytes += (uint64_t)st.st_size;
	}
}

/* What a file is under is said by its header: no frame of a log announces the platform. */
static bh_status prove_platform(survey_run *run, int fd, bool parked)
{
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	uint8_t bytes[BH_HEADER_LEN];
	bh_path_info info;

	BH_TRY(bh_file_kind_is_paged(run->kind) ? bh_raw_header(fd, run->path, bytes) : bh_raw_header_stable(fd, run->path, bytes));
	BH_TRY(bh_fs_classify(run->place->fs, run->path, &info));
	BH_TRY(bh_fail_prefix(bh_header_open(bh_view_of(bytes, sizeof(bytes)), bh_fs_scopes(run->place->fs), &key), "%s",
			      run->path));
	BH_TRY(bh_path_check_place(run->path, &info, &key));
	note_platform_file(run, key.header.dek_id, parked);
	return BH_OK;
}

static bh_status look_at_platform_once(survey_run *run, bool parked, bool *again_out)
{
	BH_CLEANUP(bh_raw_close) int fd = -1;
	bh_status status;

	*again_out = false;
	BH_TRY(bh_raw_open(run->path, &fd));
	status = prove_platform(run, fd, parked);
	*again_out = status != BH_OK && !bh_raw_is_still_there(fd, run->path);
	return status;
}

/* What is parked may be damaged, which is why it is: it needs who knows what, and is its merchant's to come back from. */
static bh_status look_at_platform(void *arg, const char *path, bh_file_kind kind, bool parked)
{
	survey_run *run = arg;
	bh_status status = BH_OK;
	bool again = true;

	run->path = path;
	run->kind = kind;
	for (int left = 3; again && left > 0; left--)
		status = look_at_platform_once(run, parked, &again);
	if (status == BH_OK || status == BH_E_NOT_FOUND)
		return BH_OK;
	run->survey->unproven += parked;
	run->survey->unfinished += !parked && status == BH_E_TRUNCATED;
	return parked || status == BH_E_TRUNCATED ? BH_OK : status;
}

/* ---- which DEKs are old */

static void dek_list_clear(dek_list *list)
{
	free(list->deks);
}

static bool is_superseded(const bh_dek_info *dek, const dek_list *all)
{
	for (size_t i = 0; i < all->count; i++)
		if (memcmp(all->deks[i].merchant_id, dek->merchant_id, BH_ID_LEN) == 0 &&
		    strcmp(all->deks[i].scope.cls, dek->scope.cls) == 0 && all->deks[i].generation > dek->generation)
			return true;
	return false;
}

static bool is_old(const bh_dek_info *dek, const dek_list *all, const uint8_t merchant_id[BH_ID_LEN])
{
	return memcmp(dek->merchant_id, merchant_id, BH_ID_LEN) == 0 && !dek->tombstone && is_superseded(dek, all);
}

static bh_status list_old(const dek_list *all, const uint8_t merchant_id[BH_ID_LEN], bh_survey *out)
{
	size_t count = 0;

	for (size_t i = 0; i < all->count; i++)
		count += is_old(&all->deks[i], all, merchant_id);
	*out = (bh_survey){ 0 };
	if (count == 0)
		return BH_OK;
	out->deks = calloc(count, sizeof(*out->deks));
	if (out->deks == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu DEKs", count);
	for (size_t i = 0; i < all->count; i++)
		if (is_old(&all->deks[i], all, merchant_id))
			out->deks[out->count++].dek = all->deks[i];
	return BH_OK;
}

static bool is_platform(const bh_merchant_info *merchant)
{
	return merchant->name[0] == '\0';
}

static bh_status survey(const bh_place *place, const dek_list *all, const bh_merchant_info *merchant, bool logs, bh_survey *out)
{
	survey_run run = { .place = place, .all = all, .survey = out };

	BH_TRY(list_old(all, merchant->id, out));
	if (out->count == 0)
		return BH_OK;
	if (is_platform(merchant))
		return bh_each_platform_file(place, look_at_platform, &run);
	BH_TRY(bh_each_class_file(place, merchant->name, look_at_file, &run));
	return logs ? bh_each_log(place, look_at_log, &run) : BH_OK;
}

static bh_status survey_merchant(const bh_place *place, const char *merchant, bool logs, bh_survey *out)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	BH_CLEANUP(dek_list_clear) dek_list all = { 0 };
	bh_status status;

	if (merchant[0] != '\0')
		BH_TRY(bh_keyring_merchant(place->keyring, merchant, &info));
	BH_TRY(bh_keyring_deks(place->keyring, &all.deks, &all.count));
	status = survey(place, &all, &info, logs, out);
	if (status != BH_OK)
		bh_survey_clear(out);
	return status;
}

bh_status bh_survey_make(const bh_place *place, const char *merchant, bh_survey *out)
{
	return survey_merchant(place, merchant, true, out);
}

bh_status bh_survey_files(const bh_place *place, const char *merchant, bh_survey *out)
{
	return survey_merchant(place, merchant, false, out);
}

bool bh_old_dek_is_free(const bh_old_dek *dek)
{
	return dek->files == 0 && dek->wals == 0 && dek->manifests == 0;
}

bool bh_old_dek_is_parked(const bh_old_dek *dek)
{
	return dek->files + dek->wals + dek->manifests == dek->parked;
}

bh_old_dek bh_survey_total(const bh_survey *survey)
{
	bh_old_dek total = { 0 };

	for (size_t i = 0; i < survey->count; i++) {
		const bh_old_dek *old = &survey->deks[i];

		total.files += old->files;
		total.bytes += old->bytes;
		total.wals += old->wals;
		total.manifests += old->manifests;
		total.parked += old->parked;
		total.dek.marks |= old->dek.marks;
		if (old->log[0] != '\0')
			memcpy(total.log, old->log, sizeof(total.log));
	}
	return total;
}

/* ---- retirement */

static bh_status sync_class(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/%s", (const char *)arg, name));
	return bh_dir_sync((const char *)path.data);
}

/* What the survey saw in the place of older files must be there after a power cut, too. */
static bh_status sync_archive(const bh_db *db)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/archive", db->dir));
	return bh_path_is_dir((const char *)path.data) ? bh_dir_sync((const char *)path.data) : BH_OK;
}

static bh_status sync_places(const bh_db *db, const char *merchant)
{
	if (merchant[0] == '\0')
		BH_TRY(sync_archive(db));
	for (size_t i = 0; i < CLASS_PLACES && merchant[0] != '\0'; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

		BH_TRY(bh_buf_printf(&path, "%s/%s/%s", db->dir, class_places[i], merchant));
		BH_TRY(bh_dir_each((const char *)path.data, sync_class, path.data));
	}
	return bh_dir_sync(db->dir);
}

static bh_status retire_free(const bh_db *db, const char *merchant, const bh_survey *survey, size_t *left_out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf ids = { 0 };
	unsigned marks = 0;

	for (size_t i = 0; i < survey->count; i++) {
		if (!bh_old_dek_is_free(&survey->deks[i]))
			continue;
		BH_TRY(bh_buf_append(&ids, survey->deks[i].dek.id, BH_ID_LEN));
		marks |= survey->deks[i].dek.marks;
	}
	*left_out = survey->count - ids.len / BH_ID_LEN;
	if (ids.len == 0)
		return BH_OK;
	BH_TRY(sync_places(db, merchant));
	return bh_keyring_deks_retire(db->keyring, merchant, ids.data, ids.len / BH_ID_LEN,
				      (marks & BH_DEK_EXPOSED) != 0
					      ? "exposed; the last byte under it is gone from the database's files"
					      : "no file, WAL or MANIFEST of the database refers to it");
}

static bh_status retire_found(const bh_db *db, const dek_list *all, const bh_merchant_info *merchant, size_t *left_out)
{
	BH_CLEANUP(bh_survey_clear) bh_survey found = { 0 };
	const bh_place place = bh_db_place(db);

	BH_TRY(survey(&place, all, merchant, true, &found));
	*left_out = found.count;
	/* What is parked, has no header yet, or one that nobody can check refers to who knows what. */
	if (found.count == 0 || found.unfinished > 0 || found.unproven > 0)
		return BH_OK;
	if (!is_platform(merchant)) {
		if (bh_is_parked(db, merchant->name))
			return BH_OK;
		BH_TRY(bh_erase_rekey(db, merchant));
	}
	return retire_free(db, merchant->name, &found, left_out);
}

/* What is parked beside the survey of the platform's files would not be seen by it, nor where it was copied from. */
static bh_status retire(bh_db *db, const dek_list *all, const bh_merchant_info *merchant, size_t *left_out)
{
	bh_status status;

	if (!is_platform(merchant))
		return retire_found(db, all, merchant, left_out);
	pthread_mutex_lock(&db->parking);
	status = retire_found(db, all, merchant, left_out);
	pthread_mutex_unlock(&db->parking);
	return status;
}

bh_status bh_retire(bh_db *db, const char *merchant, size_t *left_out)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	BH_CLEANUP(dek_list_clear) dek_list all = { 0 };

	*left_out = 0;
	if (merchant[0] != '\0')
		BH_TRY(bh_keyring_merchant(db->keyring, merchant, &info));
	BH_TRY(bh_keyring_deks(db->keyring, &all.deks, &all.count));
	return retire(db, &all, &info, left_out);
}

static bh_status retire_all(bh_db *db)
{
	BH_CLEANUP(dek_list_clear) dek_list all = { 0 };
	const bh_merchant_info platform = { 0 };
	bh_merchant_info *merchants = NULL;
	size_t count = 0, left;

	BH_TRY(bh_keyring_deks(db->keyring, &all.deks, &all.count));
	if (retire(db, &all, &platform, &left) != BH_OK)
		bh_db_log(db, "older generations of the platform's key stay: %s", bh_status_message());
	BH_TRY(bh_keyring_merchants(db->keyring, &merchants, &count));
	for (size_t i = 0; i < count; i++) {
		if (merchants[i].state == BH_MERCHANT_ACTIVE && retire(db, &all, &merchants[i], &left) != BH_OK)
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
