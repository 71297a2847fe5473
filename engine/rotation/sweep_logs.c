/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep_logs.c: WALs and MANIFEST in a sweep. A log that refers to an older generation of the merchant is sealed anew where it
 * lies; the WAL that is being written is closed first (wal.h).
 *
 * `db->resealing` is held for one log at a time. Whoever takes keys from memory asks for it to be given up
 * (bh_logs_let_go()) and waits for that: a chunk's time.
 */
#include "sweep_logs.h"

#include "env/files/references.h"
#include "env/reseal/reseal_log.h"
#include "engine/core/logs.h"
#include "engine/core/wal.h"
#include "keyring/base/base.h"

/* ---- which logs */

typedef struct log_run {
	bh_sweep *sweep;
	const bh_survey *old;
	bool refers; /* the log that is looked at does */
	bool live;   /* one that refers is being written */
} log_run;

static void note_dek(void *arg, const uint8_t dek_id[BH_ID_LEN])
{
	log_run *run = arg;

	for (size_t i = 0; i < run->old->count; i++)
		run->refers |= memcmp(run->old->deks[i].dek.id, dek_id, BH_ID_LEN) == 0;
}

static bh_status look(log_run *run, const char *path)
{
	bh_status status = bh_file_references(path, bh_fs_scopes(run->sweep->db->fs), note_dek, run);

	return status == BH_E_NOT_FOUND ? BH_OK : status;
}

static bh_status find_live(void *arg, const char *path, bh_file_kind kind)
{
	log_run *run = arg;

	run->refers = false;
	if (kind != BH_KIND_WAL || !bh_fs_is_live(run->sweep->db->fs, path))
		return BH_OK;
	BH_TRY(look(run, path));
	run->live |= run->refers;
	return BH_OK;
}

/* ---- sealed anew */

static bh_status go_on(void *arg, uint64_t bytes)
{
	const bh_sweep *s = arg;

	(void)bytes;
	if (atomic_load(&s->db->resealing_waiters) > 0)
		return bh_fail(BH_E_BUSY, "somebody's keys leave memory");
	return bh_sweep_check(s);
}

static bh_status reseal(const log_run *run, const char *path, bh_file_kind kind)
{
	const bh_pace pace = { go_on, run->sweep };
	bh_db *db = run->sweep->db;
	bh_status status;
	bool done;

	pthread_mutex_lock(&db->resealing);
	status = go_on(run->sweep, 0);
	if (status == BH_OK)
		status = kind == BH_KIND_WAL ? bh_reseal_wal(db->fs, path, NULL, &pace, &done)
					     : bh_reseal_manifest(db->fs, path, false, &pace, &done);
	pthread_mutex_unlock(&db->resealing);
	return status;
}

static bh_status sweep_log(void *arg, const char *path, bh_file_kind kind)
{
	log_run *run = arg;

	run->refers = false;
	BH_TRY(look(run, path));
	return run->refers ? reseal(run, path, kind) : BH_OK;
}

bh_status bh_sweep_logs(bh_sweep *sweep)
{
	BH_CLEANUP(bh_survey_clear) bh_survey old = { 0 };
	log_run run = { .sweep = sweep, .old = &old };
	uint64_t newest = 0;

	BH_TRY(bh_survey_make(&sweep->place, sweep->name, &old));
	if (old.count == 0)
		return BH_OK;
	BH_TRY(bh_logs_newest(sweep->db, &newest));
	BH_TRY(bh_each_log(&sweep->place, find_live, &run));
	if (run.live)
		BH_TRY(bh_wal_close(sweep->db, newest));
	return bh_each_log(&sweep->place, sweep_log, &run);
}
