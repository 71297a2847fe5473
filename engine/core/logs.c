/* SPDX-License-Identifier: Apache-2.0
 *
 * logs.c: see logs.h.
 */
#include "logs.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "env/files/references.h"
#include "files.h"

void bh_logs_let_go(bh_db *db)
{
	atomic_fetch_add(&db->resealing_waiters, 1);
	pthread_mutex_lock(&db->resealing);
	atomic_fetch_sub(&db->resealing_waiters, 1);
	pthread_mutex_unlock(&db->resealing);
}

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

bh_status bh_logs_list(const bh_db *db, const bh_scope *scope, bh_logs which, uint64_t limit, bh_buf *paths)
{
	BH_CLEANUP(log_search_clear) log_search s = { .db = db, .scope = scope, .limit = limit, .paths = paths };
	BH_CLEANUP(bh_buf_clear) bh_buf parked = { 0 };

	s.wals = which != BH_LOGS_LIVE_MANIFEST;
	s.manifests = which != BH_LOGS_LIVE_WALS;
	BH_TRY(bh_keyring_deks(db->keyring, &s.deks, &s.dek_count));
	if (which == BH_LOGS_PARKED) {
		BH_TRY(bh_buf_printf(&parked, "%s/" BH_PARKED_DIR, db->dir));
		return bh_dir_each((const char *)parked.data, search_parked, &s);
	}
	BH_TRY(search_dir(&s, ""));
	return which == BH_LOGS_LIVE_WALS ? search_dir(&s, "archive/") : BH_OK;
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
	if (bh_fs_classify(n->db->fs, (const char *)path.data, &info) == BH_OK &&
	    (info.kind == BH_KIND_WAL || info.kind == BH_KIND_MANIFEST))
		n->number = BH_MAX(n->number, info.number);
	return BH_OK;
}

bh_status bh_logs_newest(const bh_db *db, uint64_t *number_out)
{
	newest_log n = { .db = db };

	BH_TRY(bh_dir_each(db->dir, compare_number, &n));
	*number_out = n.number;
	return BH_OK;
}
