/* SPDX-License-Identifier: Apache-2.0
 *
 * erase.c: the rows of one key prefix leave a class, and the files.
 *
 *     step                                         a kill right after it leaves
 *     1  logged, and noted as BEGUN                the rows, and a note: erase again
 *     1a if the prefix is to be kept out: logged,  the rows, and a marker: nothing more is written under the prefix;
 *        marked, writes of before awaited          erase again
 *     2  range deleted, synced                     rows that nobody can read, and the note: erase again
 *     3  class flushed, overlapping SSTs rewritten the same
 *        until no entry and no tombstone is left;
 *        where it has blob files, the whole class
 *     4  replaced files gone from the directory    the same
 *     5  all families flushed, so that every WAL   the same
 *        of before is gone
 *     6  MANIFEST sealed anew without the bounds   the same
 *        of files that are gone
 *     7  noted as LOGGED, if logs, or what an      the rest, which the next open leaves behind: it ends the erasure
 *        iterator holds open, are left
 *     8  logged with the evidence, note removed    done
 * From the deletion to the end a snapshot of RocksDB's is held that is as old as the deletion. It keeps RocksDB from zeroing the
 * sequence numbers of rows that are written meanwhile, so the scan can tell them from those that should be gone.
 * The merchant's gate is entered all the while, so a suspension or shred waits for the step under way, no longer.
 */
#include "erase_run.h"

#include <bulkhead/env.h>

#include <stdlib.h>
#include <time.h>

#include "env/bridge/erase.h"
#include "keyring/base/crashpoint.h"
#include "engine/core/suppressed.h"
#include "erase_clean.h"
#include "suppress.h"
#include "keyring/base/base.h"
#include "engine/core/logs.h"

#define CHECK_EVERY 256 /* rows between two looks at the gate */

void bh_erase_result_clear(bh_erase_result *result)
{
	bh_buf_clear(&result->pending);
}

static void erase_clear(bh_erasure *e)
{
	if (e->snapshot != NULL)
		rocksdb_release_snapshot(e->db->rocks, e->snapshot);
	bh_buf_clear(&e->end);
	bh_buf_clear(&e->last);
	bh_buf_clear(&e->before);
	bh_erase_result_clear(&e->result);
}

/* ---- what is to be erased */

/* The smallest key that is greater than all that begin with `prefix`; empty after nothing but 0xff. */
static bh_status prefix_end(bh_view prefix, bh_buf *out)
{
	while (prefix.len > 0 && prefix.data[prefix.len - 1] == 0xff)
		prefix.len--;
	BH_TRY(bh_buf_append(out, prefix.data, prefix.len));
	if (out->len > 0)
		out->data[out->len - 1]++;
	return BH_OK;
}

static rocksdb_iterator_t *iterate(const bh_erasure *e, rocksdb_readoptions_t *how)
{
	rocksdb_readoptions_set_fill_cache(how, 0);
	rocksdb_readoptions_set_total_order_seek(how, 1);
	if (e->end.len > 0)
		rocksdb_readoptions_set_iterate_upper_bound(how, (const char *)e->end.data, e->end.len);
	return rocksdb_create_iterator_cf(e->db->rocks, how, e->family);
}

/* Counts the rows, and finds the last one. */
static bh_status count_rows(bh_erasure *e, rocksdb_iterator_t *iter, bh_buf *last)
{
	char *error = NULL;
	size_t len;

	for (rocksdb_iter_seek(iter, (const char *)e->prefix.data, e->prefix.len); rocksdb_iter_valid(iter);
	     rocksdb_iter_next(iter)) {
		const char *key = rocksdb_iter_key(iter, &len);

		last->len = 0;
		BH_TRY(bh_buf_append(last, key, len));
		if (++e->result.rows % CHECK_EVERY == 0)
			BH_TRY(bh_erasure_go_on(e));
	}
	rocksdb_iter_get_error(iter, &error);
	return bh_status_of_rocksdb(error);
}

static bh_status survey_rows(bh_erasure *e)
{
	BH_CLEANUP(bh_buf_clear) bh_buf last = { 0 };
	rocksdb_readoptions_t *how = rocksdb_readoptions_create();
	rocksdb_iterator_t *iter = iterate(e, how);
	bh_status status = count_rows(e, iter, &last);

	rocksdb_iter_destroy(iter);
	rocksdb_readoptions_destroy(how);
	BH_TRY(status);
	if (e->end.len > 0)
		return bh_buf_append(&e->last, e->end.data, e->end.len);
	if (last.len == 0)
		BH_TRY(bh_buf_append(&last, e->prefix.data, e->prefix.len));
	BH_TRY(bh_buf_append(&e->last, last.data, last.len));
	return bh_buf_append_u8(&e->last, 0);
}

/* ---- snapshots */

/* Before anything is deleted. */
static bh_status refuse_snapshots(const bh_erasure *e)
{
	bool held;

	/* What is written from now on, the deletion too, has a higher number. */
	BH_TRY(bh_erasure_wait_for_snapshots(e, rocksdb_get_latest_sequence_number(e->db->rocks) + 1, &held));
	return held ? bh_fail(BH_E_BUSY,
			      "'%s/%s': somebody holds a snapshot, which has a right to these rows; nothing is deleted: let "
			      "go of it, or wait for it (wait_ms, --wait)",
			      e->scope.scope.merchant, e->scope.scope.cls)
		    : BH_OK;
}

/* ---- the record of it */

static bh_status log_event(const bh_erasure *e, const char *action, bh_status outcome, const char *detail)
{
	const bh_audit_event event = {
		.action = action,
		.merchant = e->scope.scope.merchant,
		.cls = e->scope.scope.cls,
		.outcome = outcome,
		.detail = detail,
	};

	return bh_audit_append(bh_keyring_audit(e->db->keyring), &event);
}

static bh_status begin_record(bh_erasure *e)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf detail = { 0 };
	char hex[2 * BH_SHA256_LEN + 1];

	/* Where markers cannot be read, the secret that they were made with may be lost: no other one is made beside them. */
	BH_TRY(bh_suppress_is_known(e->merchant, e->cls));
	BH_TRY(bh_erase_secret(e->db, &e->scope, true, &secret));
	BH_TRY(bh_suppressed_digest(&secret, e->prefix, e->digest));
	memcpy(e->result.prefix_digest, e->digest, sizeof(e->digest));
	bh_hex(e->digest, sizeof(e->digest), hex);
	BH_TRY(bh_buf_printf(&detail, "prefix %s, %llu rows", hex, (unsigned long long)e->result.rows));
	BH_TRY(log_event(e, BH_AUDIT_ERASE_BEGUN, BH_OK, (const char *)detail.data));
	e->note = (bh_erase_note){ .phase = BH_ERASE_BEGUN, .at_s = (int64_t)time(NULL) };
	BH_TRY(bh_erase_note_put(e->db, &e->scope, e->digest, &e->note));
	bh_crash_point("erase.recorded");
	return BH_OK;
}

static bh_status newest_generation(bh_erasure *e)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	BH_TRY(bh_keyring_dek_current(e->db->keyring, &e->scope.scope, &dek));
	e->result.generation = bh_dek_generation(dek);
	return BH_OK;
}

static bh_status evidence(const bh_erasure *e, bh_status status, bh_buf *out)
{
	const bh_erase_result *r = &e->result;
	char hex[2 * BH_SHA256_LEN + 1];

	bh_hex(e->digest, sizeof(e->digest), hex);
	BH_TRY(bh_buf_printf(out, "prefix %s, deleted at sequence number %llu; ", hex, (unsigned long long)r->sequence));
	if (status != BH_OK)
		return bh_buf_printf(out, "stopped: %s", bh_status_message());
	BH_TRY(bh_buf_printf(out,
			     "%llu rows, %llu files of %llu bytes rewritten, newest generation %u; scan: %llu entries, all newer; ",
			     (unsigned long long)r->rows, (unsigned long long)r->files_rewritten,
			     (unsigned long long)r->bytes_rewritten, (unsigned)r->generation, (unsigned long long)r->versions));
	return r->pending.len == 0 ? bh_buf_printf(out, "complete")
				   : bh_buf_printf(out, "INCOMPLETE: %.*s", (int)(r->pending.len - 1), (char *)r->pending.data);
}

/* Also of an erasure that was stopped. */
static bh_status end_record(bh_erasure *e, bh_status status)
{
	BH_CLEANUP(bh_buf_clear) bh_buf detail = { 0 };

	BH_TRY(evidence(e, status, &detail));
	for (size_t i = 0; i < detail.len; i++)
		if (detail.data[i] == '\n')
			detail.data[i] = ';';
	return log_event(e, BH_AUDIT_ERASE_ENDED,
			 status != BH_OK      ? status
			 : e->result.complete ? BH_OK
					      : BH_E_BUSY,
			 (const char *)detail.data);
}

/* ---- the whole */

static bh_status begin_deletion(bh_erasure *e)
{
	BH_TRY(bh_bridge_erase_delete(e->db->rocks, e->family, e->prefix, bh_buf_view(&e->last), &e->note.sequence));
	e->snapshot = rocksdb_create_snapshot(e->db->rocks);
	e->result.sequence = e->note.sequence;
	bh_crash_point("erase.deleted");
	return bh_logs_newest(e->db, &e->newest_log);
}

static bh_status settle(bh_erasure *e)
{
	e->result.versions = e->versions;
	e->result.complete = e->result.pending.len == 0;
	BH_TRY(newest_generation(e));
	if (e->result.complete || e->unclean)
		return BH_OK;
	e->note.phase = BH_ERASE_LOGGED;
	BH_TRY(bh_erase_note_put(e->db, &e->scope, e->digest, &e->note));
	bh_crash_point("erase.logged");
	return BH_OK;
}

/* From here on no row of the prefix is written any more. What was until now, the deletion has to reach: where the prefix has no
 * end, the last of the rows is another one. */
static bh_status keep_out(bh_erasure *e)
{
	bh_erase_marker marker = { .prefix_len = (uint32_t)e->prefix.len, .at_s = (int64_t)time(NULL) };

	memcpy(marker.prefix_digest, e->digest, sizeof(marker.prefix_digest));
	BH_TRY(bh_suppress_add(e->merchant, e->cls, &e->scope, &marker));
	if (e->end.len > 0)
		return BH_OK;
	e->last.len = 0;
	e->result.rows = 0;
	return survey_rows(e);
}

static bh_status work(bh_erasure *e)
{
	if (e->suppress)
		BH_TRY(keep_out(e));
	BH_TRY(begin_deletion(e));
	BH_TRY(bh_erasure_clean_files(e));
	BH_TRY(bh_erasure_clean_logs(e));
	return settle(e);
}

static bh_status prepare(bh_erasure *e)
{
	BH_TRY(bh_bridge_erase_check(e->db->rocks, e->family));
	BH_TRY(prefix_end(e->prefix, &e->end));
	BH_TRY(refuse_snapshots(e));
	BH_TRY(survey_rows(e));
	return bh_erasure_files(e, &e->before);
}

static bh_status erase_inside(bh_erasure *e)
{
	bh_status status;

	BH_TRY(prepare(e));
	BH_TRY(begin_record(e));
	status = work(e);
	if (end_record(e, status) != BH_OK && status == BH_OK)
		return bh_fail_prefix(BH_E_IO, "the rows are erased, but that is not in the audit log; erase again");
	bh_crash_point("erase.ended");
	BH_TRY(status);
	return e->result.complete ? bh_erase_note_remove(e->db, &e->scope, e->digest) : BH_OK;
}

static bh_status erase_alone(bh_erasure *e)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bool expected = false;
	bh_status status;

	BH_TRY(bh_db_check_writable(e->db));
	BH_TRY(bh_keyring_merchant(e->db->keyring, e->merchant->name, &info));
	e->scope = bh_erase_scope_of(&info, e->cls->name);
	while (!atomic_compare_exchange_strong(&e->db->erasing, &expected, true)) {
		if (!e->patient || bh_erasure_is_late(e))
			return bh_fail(BH_E_BUSY, "another erasure is under way in this database; ask again");
		expected = false;
		BH_TRY(bh_erasure_pause(e));
	}
	status = erase_inside(e);
	if (e->snapshot != NULL)
		rocksdb_release_snapshot(e->db->rocks, e->snapshot);
	e->snapshot = NULL;
	atomic_store(&e->db->erasing, false);
	return status;
}

bh_status bh_erase_range(bh_cf *cf, bh_view prefix, const bh_erase_options *options, bh_erase_result *out)
{
	BH_CLEANUP(erase_clear) bh_erasure e = { .merchant = cf->merchant, .cls = cf->cls, .prefix = prefix };
	const unsigned wait_ms = options != NULL ? options->wait_ms : 0;
	bh_status status;

	if (prefix.len == 0 || prefix.len > UINT32_MAX)
		return bh_fail(BH_E_INVALID, "an empty prefix is every row of the class; delete what is to go by its prefix");
	BH_TRY(bh_gate_enter(&cf->merchant->gate, cf->merchant->name));
	e.db = cf->merchant->db;
	e.family = cf->cls->handle;
	e.suppress = options != NULL && options->suppress;
	e.patient = wait_ms > 0;
	e.until_ms = bh_gate_now_ms() + (wait_ms > 0 ? wait_ms : BH_ERASE_WAIT_MS);
	atomic_fetch_add(&cf->merchant->waiting, 1);
	bh_room_use(e.db->room);
	status = bh_room_check_log(e.db->room);
	if (status == BH_OK)
		status = erase_alone(&e);
	bh_room_use_end(e.db->room);
	atomic_fetch_sub(&cf->merchant->waiting, 1);
	bh_gate_leave(&cf->merchant->gate);
	BH_TRY(status);
	if (out != NULL) {
		*out = e.result;
		e.result = (bh_erase_result){ 0 };
	}
	return bh_done(BH_OK);
}
