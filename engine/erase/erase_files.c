/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_files.c: which files there are, and which logs have bytes of a class: by the directories and the files themselves.
 */
#include "erase.h"

#include <ctype.h>
#include <stdlib.h>

#include "env/files/references.h"
#include "engine/core/files.h"
#include "engine/wall/park.h"

/* ---- a class's directory */

typedef struct listing {
	bh_buf *numbers;
	bh_buf *foreign; /* may be NULL */
} listing;

/* NUMBER.sst, NUMBER.blob, and what is written beside one of them to take its place. */
static bool is_numbered(const char *name, uint64_t *number_out)
{
	char *end;

	if (!isdigit((unsigned char)name[0]))
		return false;
	*number_out = strtoull(name, &end, 10);
	return strcmp(end, ".sst") == 0 || strcmp(end, ".blob") == 0 || strcmp(end, ".sst" BH_TEMP_SUFFIX) == 0 ||
	       strcmp(end, ".blob" BH_TEMP_SUFFIX) == 0;
}

static bh_status list_one(void *arg, const char *name)
{
	const listing *l = arg;
	uint64_t number;

	if (is_numbered(name, &number))
		return bh_buf_append(l->numbers, &number, sizeof(number));
	return l->foreign != NULL ? bh_buf_printf(l->foreign, "%s\n", name) : BH_OK;
}

bh_status bh_erase_list_files(const bh_db *db, const bh_scope *scope, bh_buf *numbers, bh_buf *foreign)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	listing l = { numbers, foreign };

	BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR "/%s/%s", db->dir, scope->merchant, scope->cls));
	return bh_dir_each((const char *)path.data, list_one, &l);
}

bool bh_erase_numbers_have(const bh_buf *numbers, uint64_t number)
{
	for (size_t at = 0; at + sizeof(number) <= numbers->len; at += sizeof(number))
		if (memcmp(numbers->data + at, &number, sizeof(number)) == 0)
			return true;
	return false;
}

/* ---- logs */

typedef struct log_search {
	const bh_db *db;
	const bh_scope *scope;
	bh_dek_info *deks; /* of the whole keyring */
	size_t dek_count;
	const char *dir; /* in the database's directory: "", "archive/", "parked/NAME/" */
	bool wals, manifests;
	uint64_t limit;
	bh_buf *paths;
	bool found; /* in the file that is looked at */
} log_search;

static void log_search_clear(log_search *s)
{
	free(s->deks);
}

/* Bytes under a DEK that is destroyed are nobody's any more. */
static void note_dek(void *arg, const uint8_t dek_id[BH_ID_LEN])
{
	log_search *s = arg;

	for (size_t i = 0; i < s->dek_count && !s->found; i++)
		s->found = !s->deks[i].tombstone && memcmp(s->deks[i].id, dek_id, BH_ID_LEN) == 0 &&
			   strcmp(s->deks[i].scope.merchant, s->scope->merchant) == 0 &&
			   strcmp(s->deks[i].scope.cls, s->scope->cls) == 0;
}

static bool is_log(const log_search *s, const char *path)
{
	bh_path_info info;

	if (bh_fs_classify(s->db->fs, path, &info) != BH_OK || !info.sealed || info.number > s->limit)
		return false;
	return (s->wals && info.kind == BH_KIND_WAL) || (s->manifests && info.kind == BH_KIND_MANIFEST);
}

/* What RocksDB has removed meanwhile holds nothing. */
static bh_status search_log(void *arg, const char *name)
{
	log_search *s = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	bh_status status;

	BH_TRY(bh_buf_printf(&path, "%s/%s%s", s->db->dir, s->dir, name));
	if (!is_log(s, (const char *)path.data))
		return BH_OK;
	s->found = false;
	status = bh_file_references((const char *)path.data, bh_fs_scopes(s->db->fs), note_dek, s);
	if (status != BH_OK)
		return status == BH_E_NOT_FOUND ? BH_OK : status;
	return s->found ? bh_buf_printf(s->paths, "%s%s\n", s->dir, name) : BH_OK;
}

static bh_status search_dir(log_search *s, const char *dir)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	s->dir = dir;
	BH_TRY(bh_buf_printf(&path, "%s/%s", s->db->dir, dir));
	return bh_dir_each((const char *)path.data, search_log, s);
}

static bh_status search_parked(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf dir = { 0 };

	/* Links of what is found anyway. */
	if (strncmp(name, BH_PARKED_LENT_PREFIX, strlen(BH_PARKED_LENT_PREFIX)) == 0)
		return BH_OK;
	BH_TRY(bh_buf_printf(&dir, BH_PARKED_DIR "/%s/", name));
	return search_dir(arg, (const char *)dir.data);
}

bh_status bh_erase_list_logs(const bh_db *db, const bh_scope *scope, bh_erase_logs which, uint64_t limit, bh_buf *paths)
{
	BH_CLEANUP(log_search_clear) log_search s = { .db = db, .scope = scope, .limit = limit, .paths = paths };
	BH_CLEANUP(bh_buf_clear) bh_buf parked = { 0 };

	s.wals = which != BH_ERASE_LIVE_MANIFEST;
	s.manifests = which != BH_ERASE_LIVE_WALS;
	BH_TRY(bh_keyring_deks(db->keyring, &s.deks, &s.dek_count));
	if (which == BH_ERASE_PARKED) {
		BH_TRY(bh_buf_printf(&parked, "%s/" BH_PARKED_DIR, db->dir));
		return bh_dir_each((const char *)parked.data, search_parked, &s);
	}
	BH_TRY(search_dir(&s, ""));
	return which == BH_ERASE_LIVE_WALS ? search_dir(&s, "archive/") : BH_OK;
}

typedef struct newest_log {
	const bh_db *db;
	uint64_t number;
} newest_log;

static bh_status compare_number(void *arg, const char *name)
{
	newest_log *n = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	bh_path_info info;

	BH_TRY(bh_buf_printf(&path, "%s/%s", n->db->dir, name));
	if (bh_fs_classify(n->db->fs, (const char *)path.data, &info) == BH_OK)
		n->number = BH_MAX(n->number, info.number);
	return BH_OK;
}

bh_status bh_erase_newest_log(const bh_db *db, uint64_t *number_out)
{
	newest_log n = { .db = db };

	BH_TRY(bh_dir_each(db->dir, compare_number, &n));
	*number_out = n.number;
	return BH_OK;
}
