/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.c: all that lies under older generations of a merchant's DEKs, or the platform's, is sealed anew under the newest one,
 * where it lies, and the older ones are destroyed.
 *
 *     step                                    a kill right after it leaves
 *     each SST and blob file sealed anew      that file under the new generation, or under the old one (env/files/raw_file.h)
 *     each WAL, the MANIFEST                  the same
 *     of the platform: each small file        the same
 *     wraps of the older generations gone     done
 * The marks in the keyring say that a sweep was asked for; whoever opens the database next goes on with it (keeper.c). No order
 * between the steps matters to what can be read: at any time every file names its DEK, and the keyring has it.
 *
 * A file is sealed anew inside the merchant's gate, so that suspending waits for it; it ends within one chunk. A WAL holds spans of
 * everybody: who leaves has it given up (bh_logs_let_go).
 *
 * The logs come first in the platform's sweep: what is written from then on is under its newest DEK, whatever becomes of the rest.
 * What is parked stays as it is, and keeps the generations that it is under until its merchant comes back or is shredded.
 */
#include "sweep.h"

#include <stdio.h>

#include "env/fs/rename.h"
#include "env/reseal/reseal.h"
#include "platform_files.h"
#include "sweep_logs.h"
#include "sweep_pace.h"

#define DEFAULT_BYTES_PER_S (64u << 20)
#define ROUNDS 200 /* of what is not to be had yet, ROUND_MS apart */
#define ROUND_MS 50

static void report(bh_sweep *s)
{
	bh_sweep_progress *p = &s->progress;

	if (s->report == NULL)
		return;
	p->remaining_s = -1;
	if (p->bytes_done > 0)
		p->remaining_s = (bh_sweep_now_ms() - s->begun_ms) * (int64_t)((p->bytes_total - p->bytes_done) >> 10) /
				 ((int64_t)(p->bytes_done >> 10) + 1) / 1000;
	s->report(s->report_arg, p);
}

/* ---- SSTs and blob files */

/* `before`: what had been taken before this file. */
static void file_done(bh_sweep *s, uint64_t before)
{
	s->progress.files_done = BH_MIN(s->progress.files_done + 1, s->progress.files_total);
	s->progress.bytes_done = BH_MIN(s->progress.bytes_done + s->taken - before, s->progress.bytes_total);
	report(s);
}

static bh_status sweep_file(void *arg, const char *path)
{
	bh_sweep *s = arg;
	const bh_pace pace = { bh_sweep_take, s };
	const uint64_t before = s->taken;
	bh_status status;
	bool done;

	BH_TRY(bh_gate_enter(&s->merchant->gate, s->name));
	status = bh_reseal_pages(s->db->fs, path, &pace, &done);
	bh_gate_leave(&s->merchant->gate);
	BH_TRY(status);
	if (done)
		file_done(s, before);
	return BH_OK;
}

static bh_status sweep_platform_file(void *arg, const char *path, bh_file_kind kind, bool parked)
{
	bh_sweep *s = arg;
	const bh_pace pace = { bh_sweep_take, s };
	const uint64_t before = s->taken;
	bool done = false;

	if (parked)
		return BH_OK;
	BH_TRY(bh_sweep_check(s));
	if (bh_file_kind_is_paged(kind))
		BH_TRY(bh_reseal_pages(s->db->fs, path, &pace, &done));
	else if (kind == BH_KIND_OTHER)
		BH_TRY(bh_rename_in_place(s->db->fs, path, &done));
	if (done)
		file_done(s, before);
	return BH_OK;
}

/* ---- one after the other, until nothing is left */

static bh_status measure(bh_sweep *s, bh_old_dek *left_out)
{
	BH_CLEANUP(bh_survey_clear) bh_survey survey = { 0 };

	BH_TRY(bh_survey_make(&s->place, s->name, &survey));
	*left_out = bh_survey_total(&survey);
	return BH_OK;
}

/* Whether a log that is not parked is under an older generation of the platform's. */
static bh_status logs_left(bh_sweep *s, bool *out)
{
	BH_CLEANUP(bh_survey_clear) bh_survey survey = { 0 };

	*out = false;
	BH_TRY(bh_survey_make(&s->place, s->name, &survey));
	for (size_t i = 0; i < survey.count; i++)
		*out |= survey.deks[i].wals + survey.deks[i].manifests > survey.deks[i].parked_logs;
	return BH_OK;
}

/* Of the platform's, headers say whether any log needs it: they are read whole for nothing else. */
static bh_status sweep_logs(bh_sweep *s)
{
	bool left = true;

	if (s->merchant == NULL)
		BH_TRY(logs_left(s, &left));
	return left ? bh_sweep_logs(s) : BH_OK;
}

static bh_status round_once(bh_sweep *s, size_t *left_out)
{
	if (s->merchant != NULL)
		BH_TRY(bh_each_class_file(&s->place, s->name, sweep_file, s));
	BH_TRY(sweep_logs(s));
	if (s->merchant == NULL)
		BH_TRY(bh_each_platform_file(&s->place, sweep_platform_file, s));
	BH_TRY(bh_sweep_check(s));
	return bh_retire(s->db, s->name, left_out);
}

/* What ends by itself: a file that is being written, a key that a read is just using, a record in the middle of being written. */
static bool may_pass(bh_status status)
{
	return status == BH_E_BUSY || status == BH_E_TRUNCATED;
}

static bh_status tell_pins(bh_sweep *s)
{
	bh_old_dek left = { 0 };

	BH_TRY(measure(s, &left));
	return bh_fail(BH_E_BUSY,
		       "%s: older generations of its keys are still needed, by %llu files, %llu WALs, %llu MANIFESTs (%s); "
		       "it is gone on with later",
		       s->who, (unsigned long long)left.files, (unsigned long long)left.wals, (unsigned long long)left.manifests,
		       left.log[0] != '\0' ? left.log : "none of them a log");
}

/* Whether all that is left is parked: no further round changes that. */
static bool is_parked_alone(bh_sweep *s)
{
	bh_old_dek left = { 0 };

	return s->merchant == NULL && measure(s, &left) == BH_OK && left.parked > 0 && bh_old_dek_is_parked(&left);
}

static bh_status run(bh_sweep *s)
{
	size_t left = 0;

	for (int i = 0; i < ROUNDS; i++) {
		bh_status status = round_once(s, &left);

		if (status == BH_OK && left == 0)
			return BH_OK;
		if (status == BH_OK && is_parked_alone(s))
			break;
		if (status != BH_OK && !may_pass(status))
			return status;
		BH_TRY(bh_sweep_check(s));
		bh_sweep_sleep_ms(ROUND_MS);
	}
	return tell_pins(s);
}

static bh_status begin(bh_sweep *s, const bh_sweep_options *options)
{
	bh_old_dek old = { 0 };

	BH_TRY(bh_sweep_check(s));
	BH_TRY(measure(s, &old));
	s->begun_ms = bh_sweep_now_ms();
	s->bytes_per_s = DEFAULT_BYTES_PER_S;
	s->progress = (bh_sweep_progress){ .files_total = old.files, .bytes_total = old.bytes, .remaining_s = -1 };
	if (options == NULL)
		return BH_OK;
	if (options->bytes_per_s != 0)
		s->bytes_per_s = options->bytes_per_s == UINT64_MAX ? 0 : options->bytes_per_s;
	s->report = options->progress;
	s->report_arg = options->progress_arg;
	report(s);
	return BH_OK;
}

static bh_sweep sweep_of(bh_db *db, const char *name, const _Atomic bool *stop)
{
	bh_sweep sweep = { .db = db, .place = bh_db_place(db), .name = name, .stop = stop };

	if (name[0] == '\0') {
		memcpy(sweep.who, "platform", sizeof("platform"));
		return sweep;
	}
	sweep.merchant = bh_merchant_find(db, name);
	snprintf(sweep.who, sizeof(sweep.who), "merchant '%s'", name);
	return sweep;
}

static bh_status sweep_merchant(bh_db *db, const char *name, const bh_sweep_options *options, const _Atomic bool *stop)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_sweep sweep = sweep_of(db, name, stop);
	bh_status status;

	if (sweep.merchant == NULL && name[0] != '\0') {
		BH_TRY(bh_keyring_merchant(db->keyring, name, &info));
		return bh_fail(BH_E_SHREDDED, "merchant '%s' is shredded: there is nothing to sweep", name);
	}
	status = begin(&sweep, options);
	if (status == BH_OK)
		status = run(&sweep);
	bh_merchant_unref(sweep.merchant);
	return status;
}

bh_status bh_sweep_platform_logs(bh_db *db)
{
	bh_sweep s = sweep_of(db, "", &db->closed);
	bh_status status = BH_OK;
	bool left = true;

	for (int i = 0; i < ROUNDS && left; i++) {
		status = sweep_logs(&s);
		if (status == BH_OK)
			status = logs_left(&s, &left);
		if (status != BH_OK && !may_pass(status))
			return status;
		if (left)
			bh_sweep_sleep_ms(ROUND_MS);
	}
	return left && status == BH_OK ? bh_fail(BH_E_BUSY, "a log is in use") : status;
}

static bh_status merchant_sweep_inside(bh_db *db, const char *name, const bh_sweep_options *options)
{
	return sweep_merchant(db, name, options, &db->closed);
}

bh_status bh_merchant_sweep(bh_db *db, const char *name, const bh_sweep_options *options)
{
	BH_TRY(bh_db_check_writable(db));
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_sweep_inside(db, name, options));
}

bh_status bh_sweep_until(bh_db *db, const char *name, const _Atomic bool *stop)
{
	return sweep_merchant(db, name, NULL, stop);
}
