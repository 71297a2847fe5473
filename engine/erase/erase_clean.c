/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_clean.c: after rows were deleted: their bytes leave SSTs, blob files and WALs, and what cannot be brought about is said.
 */

#include "erase_clean.h"

#include <bulkhead/env.h>

#include <stdio.h>
#include <stdlib.h>

#include "env/bridge/erase.h"
#include "env/reseal/reseal_log.h"
#include "engine/core/flush.h"
#include "keyring/base/crashpoint.h"
#include "keyring/base/base.h"
#include "erase_files.h"
#include "engine/core/logs.h"

enum {
	ROUNDS = 4,       /* tries to rewrite what is in the way; one is enough, but for what others write beside it */
	CHECK_EVERY = 256 /* entries between two looks at the gate */
};

/* ---- what is left to do, in words */

static bh_status add_pending(bh_erasure *e, const char *what, const char *next)
{
	return bh_buf_printf(&e->result.pending, "%s: %s\n", what, next);
}

/* `names`: a line each. */
static bh_status add_pending_lines(bh_erasure *e, const bh_buf *names, const char *next)
{
	for (size_t at = 0; at < names->len;) {
		const uint8_t *line = names->data + at;
		size_t len = (size_t)((const uint8_t *)memchr(line, '\n', names->len - at) - line);

		BH_TRY(bh_buf_printf(&e->result.pending, "%.*s: %s\n", (int)len, (const char *)line, next));
		at += len + 1;
	}
	return BH_OK;
}

/* RocksDB needs a moment to remove what it needs no more, however long the steps before took. */
static void wait_from_now(bh_erasure *e)
{
	e->until_ms = BH_MAX(e->until_ms, bh_gate_now_ms() + (e->patient ? BH_ERASE_WAIT_MIN_MS : BH_ERASE_WAIT_MS));
}

/* ---- SSTs and blob files */

bh_status bh_erasure_files(const bh_erasure *e, bh_buf *out)
{
	out->len = 0;
	return bh_bridge_class_files(e->db->rocks, e->family, e->prefix, bh_buf_view(&e->end), out);
}

static size_t file_count(const bh_buf *files)
{
	return files->len / sizeof(bh_class_file);
}

static const bh_class_file *file_at(const bh_buf *files, size_t i)
{
	return &((const bh_class_file *)(const void *)files->data)[i];
}

static bool has_file(const bh_buf *files, uint64_t number)
{
	for (size_t i = 0; i < file_count(files); i++)
		if (file_at(files, i)->number == number)
			return true;
	return false;
}

/* One entry. A number above the deletion's is that of a later write; below it, of a row that should be gone, unless it is 0 for
 * RocksDB's own reasons and can be read at the time of the deletion. */
static bh_status check_version(void *arg, bh_view key, uint64_t sequence)
{
	bh_erasure *e = arg;
	rocksdb_readoptions_t *how;
	char *error = NULL, *value;
	size_t len;

	if (++e->versions % CHECK_EVERY == 0)
		BH_TRY(bh_erasure_go_on(e));
	if (sequence > e->note.sequence)
		return BH_OK;
	how = rocksdb_readoptions_create();
	rocksdb_readoptions_set_snapshot(how, e->snapshot);
	value = rocksdb_get_cf(e->db->rocks, how, e->family, (const char *)key.data, key.len, &len, &error);
	rocksdb_readoptions_destroy(how);
	BH_TRY(bh_status_of_rocksdb(error));
	if (value == NULL)
		e->unclean = true;
	rocksdb_free(value);
	return BH_OK;
}

/* A range tombstone hides entries from the scan, and has keys itself. */
static bool has_tombstones(const bh_erasure *e, const bh_buf *files)
{
	for (size_t i = 0; i < file_count(files); i++) {
		const bh_class_file *file = file_at(files, i);

		if (!file->blob && file->overlaps && file->tombstones && file->oldest <= e->note.sequence)
			return true;
	}
	return false;
}

/* The scan: sets e->unclean and e->versions. */
static bh_status scan(bh_erasure *e)
{
	BH_CLEANUP(bh_buf_clear) bh_buf files = { 0 };

	BH_TRY(bh_erasure_files(e, &files));
	e->versions = 0;
	e->unclean = has_tombstones(e, &files);
	return bh_bridge_versions(e->db->rocks, e->family, e->prefix, bh_buf_view(&e->end), check_version, e);
}

/* What was cut short by a gate that closes says so. */
static bh_status cut_short(const bh_erasure *e, bh_status status)
{
	if (status != BH_OK && atomic_load(&e->merchant->closing))
		BH_TRY(bh_erasure_go_on(e));
	return status;
}

static bh_status rewrite(const bh_erasure *e, bool whole_class)
{
	const bh_view begin = whole_class ? (bh_view){ 0 } : e->prefix;
	const bh_view end = whole_class ? (bh_view){ 0 } : bh_buf_view(&e->end);

	BH_TRY(bh_erasure_go_on(e));
	return cut_short(e, bh_bridge_erase_rewrite(e->db->rocks, e->family, begin, end, (bool *)(uintptr_t)&e->merchant->closing));
}

/* A tombstone stays if files that straddle the range have something of theirs under them: then all of the class is rewritten. */
static bh_status rewrite_tables(bh_erasure *e)
{
	e->unclean = true;
	for (int round = 0; round < ROUNDS && e->unclean; round++) {
		BH_TRY(cut_short(e, bh_family_flush(e->db, e->family, &e->merchant->closing)));
		BH_TRY(rewrite(e, round > 0));
		BH_TRY(scan(e));
	}
	return BH_OK;
}

static bool shares_blobs(const bh_buf *old, const bh_buf *files)
{
	for (size_t i = 0; i < file_count(old); i++)
		if (file_at(old, i)->blob && has_file(files, file_at(old, i)->number))
			return true;
	return false;
}

/* Nobody can say which blob file has values of which keys, and SSTs elsewhere in the class refer to it as well. What is written
 * once no SST has one of the rows any more holds none; so all blob files of now have to go. */
static bh_status rewrite_blobs(bh_erasure *e)
{
	BH_CLEANUP(bh_buf_clear) bh_buf old = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf files = { 0 };

	BH_TRY(bh_erasure_files(e, &old));
	BH_TRY(bh_erasure_files(e, &files));
	for (int round = 0; round < ROUNDS && shares_blobs(&old, &files); round++) {
		BH_TRY(rewrite(e, true));
		BH_TRY(bh_erasure_files(e, &files));
	}
	if (shares_blobs(&old, &files))
		e->unclean = true;
	return BH_OK;
}

/* Appends the numbers of files that lie in the directory and that the class does not consist of; `only`: of these. */
static bh_status list_dead(const bh_erasure *e, const bh_buf *only, bh_buf *dead)
{
	BH_CLEANUP(bh_buf_clear) bh_buf numbers = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf files = { 0 };

	BH_TRY(bh_erase_list_files(e->db, &e->scope.scope, &numbers, NULL));
	BH_TRY(bh_erasure_files(e, &files));
	for (size_t at = 0; at < numbers.len; at += sizeof(uint64_t)) {
		uint64_t number;

		memcpy(&number, numbers.data + at, sizeof(number));
		if (!has_file(&files, number) && (only == NULL || bh_erase_numbers_have(only, number)))
			BH_TRY(bh_buf_append(dead, &number, sizeof(number)));
	}
	return BH_OK;
}

/* Waits until what lies beside the class's files now is gone, or has become one: by then it was made from files without the rows.
 */
static bh_status wait_for_dead(bh_erasure *e, bh_buf *dead)
{
	wait_from_now(e);
	BH_TRY(list_dead(e, NULL, dead));
	while (dead->len > 0 && !bh_erasure_is_late(e)) {
		BH_CLEANUP(bh_buf_clear) bh_buf left = { 0 };

		BH_TRY(bh_erasure_pause(e));
		BH_TRY(list_dead(e, dead, &left));
		dead->len = 0;
		BH_TRY(bh_buf_append(dead, left.data, left.len));
	}
	return BH_OK;
}

static bh_status count_rewritten(bh_erasure *e)
{
	BH_CLEANUP(bh_buf_clear) bh_buf files = { 0 };

	BH_TRY(bh_erasure_files(e, &files));
	for (size_t i = 0; i < file_count(&e->before); i++) {
		const bh_class_file *file = file_at(&e->before, i);

		if (has_file(&files, file->number))
			continue;
		e->result.files_rewritten++;
		e->result.bytes_rewritten += file->size;
	}
	return BH_OK;
}

bh_status bh_erasure_clean_files(bh_erasure *e)
{
	BH_CLEANUP(bh_buf_clear) bh_buf dead = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf foreign = { 0 };
	bh_buf numbers = { 0 };
	char what[128];
	bh_status status;
	bool held;

	BH_TRY(bh_erasure_wait_for_snapshots(e, e->note.sequence, &held));
	BH_TRY(rewrite_tables(e));
	BH_TRY(rewrite_blobs(e));
	bh_crash_point("erase.rewritten");
	BH_TRY(count_rewritten(e));
	if (e->unclean)
		BH_TRY(add_pending(e, "SSTs or blob files of the class",
				   held ? "a snapshot has a right to the rows; erase again when it is let go of"
					: "still hold entries of the prefix; erase again"));
	BH_TRY(wait_for_dead(e, &dead));
	if (dead.len > 0) {
		snprintf(what, sizeof(what), "%zu replaced SST or blob files", dead.len / sizeof(uint64_t));
		BH_TRY(add_pending(e, what,
				   "an open iterator, or a copy under way, holds them; close it, or open the database anew"));
	}
	status = bh_erase_list_files(e->db, &e->scope.scope, &numbers, &foreign);
	bh_buf_clear(&numbers);
	BH_TRY(status);
	return add_pending_lines(e, &foreign,
				 "lies in the class's directory, and is not RocksDB's; ingest or remove it, then erase again");
}

/* ---- logs */

static bh_merchant **merchants_of(bh_db *db, size_t *count_out)
{
	bh_merchant **list;
	size_t count = 0;

	pthread_mutex_lock(&db->lock);
	for (bh_merchant *m = db->merchants; m != NULL; m = m->next)
		count++;
	list = calloc(count + 1, sizeof(bh_merchant *));
	*count_out = 0;
	for (bh_merchant *m = db->merchants; list != NULL && m != NULL; m = m->next)
		list[(*count_out)++] = bh_merchant_ref(m);
	pthread_mutex_unlock(&db->lock);
	return list;
}

/* One that is not served has nothing in the logs, or is on its way out. */
static bh_status flush_merchant(const bh_db *db, bh_merchant *merchant)
{
	bh_status status = BH_OK;

	if (bh_gate_enter(&merchant->gate, merchant->name) != BH_OK)
		return BH_OK;
	for (size_t i = 0; i < merchant->class_count && status == BH_OK; i++)
		status = bh_family_flush(db, merchant->classes[i].handle, &merchant->closing);
	bh_gate_leave(&merchant->gate);
	return atomic_load(&merchant->closing) ? BH_OK : status;
}

/* A WAL is removed once no family has rows in it that are in no SST. */
static bh_status flush_all(const bh_erasure *e)
{
	size_t count;
	bh_merchant **list = merchants_of(e->db, &count);
	bh_status status = list != NULL ? bh_family_flush(e->db, e->db->default_cf, NULL) : bh_fail(BH_E_NOMEM, "no memory");

	for (size_t i = 0; list != NULL && i < count; i++) {
		if (status == BH_OK)
			status = bh_erasure_go_on(e);
		if (status == BH_OK)
			status = flush_merchant(e->db, list[i]);
		bh_merchant_unref(list[i]);
	}
	free(list);
	return status;
}

static bh_status list_logs(const bh_erasure *e, bh_logs which, uint64_t limit, bh_buf *paths)
{
	paths->len = 0;
	return bh_logs_list(e->db, &e->scope.scope, which, limit, paths);
}

/* ---- the MANIFEST */

static bh_status scrub_pace(void *arg, uint64_t bytes)
{
	const bh_erasure *e = arg;

	(void)bytes;
	if (atomic_load(&e->db->resealing_waiters) > 0)
		return bh_fail(BH_E_BUSY, "somebody's keys leave memory");
	return bh_erasure_go_on(e);
}

static bh_status scrub_one(bh_erasure *e, const char *name, bool *done_out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	const bh_pace pace = { scrub_pace, e };
	bh_status status;

	BH_TRY(bh_buf_printf(&path, "%s/%s", e->db->dir, name));
	pthread_mutex_lock(&e->db->resealing);
	status = scrub_pace(e, 0);
	if (status == BH_OK)
		status = bh_reseal_manifest(e->db->fs, (const char *)path.data, true, &pace, done_out);
	pthread_mutex_unlock(&e->db->resealing);
	return status;
}

/* `names`, a line each, lose what is done; and end in NUL, which does not count. */
static bh_status scrub_all(bh_erasure *e, bh_buf *names)
{
	BH_CLEANUP(bh_buf_clear) bh_buf left = { 0 };
	char *rest, *name;

	BH_TRY(bh_buf_append_u8(names, 0));
	for (name = strtok_r((char *)names->data, "\n", &rest); name != NULL; name = strtok_r(NULL, "\n", &rest)) {
		bool done = false;

		BH_TRY(bh_erasure_go_on(e));
		/* Whatever failed: it is named as pending, and the next open begins another one. */
		if (scrub_one(e, name, &done) != BH_OK)
			bh_db_log(e->db, "%s: is not sealed anew for an erasure: %s", name, bh_status_message());
		if (!done)
			BH_TRY(bh_buf_printf(&left, "%s\n", name));
	}
	names->len = 0;
	return bh_buf_append(names, left.data, left.len);
}

/* Bounds of files that are gone leave the MANIFEST, which RocksDB is writing to. */
static bh_status scrub_manifest(bh_erasure *e)
{
	BH_CLEANUP(bh_buf_clear) bh_buf names = { 0 };

	wait_from_now(e);
	for (;;) {
		BH_TRY(list_logs(e, BH_LOGS_LIVE_MANIFEST, e->note.logs, &names));
		BH_TRY(scrub_all(e, &names));
		if (names.len == 0 || bh_erasure_is_late(e))
			break;
		BH_TRY(bh_erasure_pause(e));
	}
	bh_crash_point("erase.scrubbed");
	return add_pending_lines(e, &names, "has bounds of files that are gone; the next open of the database begins another one");
}

bh_status bh_erasure_clean_logs(bh_erasure *e)
{
	BH_CLEANUP(bh_buf_clear) bh_buf paths = { 0 };

	BH_TRY(flush_all(e));
	wait_from_now(e);
	BH_TRY(list_logs(e, BH_LOGS_LIVE_WALS, e->newest_log, &paths));
	while (paths.len > 0 && !bh_erasure_is_late(e)) {
		BH_TRY(bh_erasure_pause(e));
		BH_TRY(list_logs(e, BH_LOGS_LIVE_WALS, e->newest_log, &paths));
	}
	bh_crash_point("erase.logs-closed");
	BH_TRY(add_pending_lines(e, &paths,
				 "RocksDB keeps this WAL; open the database anew, or end what copies it, then erase again"));
	BH_TRY(bh_logs_newest(e->db, &e->note.logs));
	BH_TRY(list_logs(e, BH_LOGS_PARKED, e->note.logs, &paths));
	BH_TRY(add_pending_lines(
		e, &paths,
		"belongs to a suspended merchant; resume it, then open the database anew; or destroy the older keys "
		"of this one (rotate, sweep), then erase again"));
	return scrub_manifest(e);
}
