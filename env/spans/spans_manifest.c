/* SPDX-License-Identifier: Apache-2.0
 *
 * spans_manifest.c: the span codec's MANIFEST side; see spans.h.
 *
 * A version edit names its family after the keys of its files, so a record is held until it is complete. When opening, so is an
 * atomic group: one that the file's end cuts off has no effect, and must not stand in front of the synthetic edits, where RocksDB
 * would call it corrupt.
 */
#include <stdlib.h>
#include <bulkhead/status.h>

#include "manifest_files.h"
#include "spans_internal.h"
#include "spans.h"
#include "env/format/header.h"

static void free_live(bh_live_family *live)
{
	free(live->name);
}

void bh_spans_manifest_clear(bh_manifest_state *m)
{
	for (size_t i = 0; i < m->live_count; i++)
		free_live(&m->live[i]);
	free(m->live);
	free(m->fragments);
	if (m->joined)
		bh_wipe(m->joined, m->joined_cap);
	free(m->joined);
	bh_version_edit_clear(&m->edit);
}

/* ---- the record */

static bh_status add_fragment(bh_spans *s)
{
	bh_manifest_state *m = &s->manifest;

	if (m->fragment_count == m->fragment_cap) {
		size_t cap = m->fragment_cap ? 2 * m->fragment_cap : 16;
		bh_fragment *fragments = realloc(m->fragments, cap * sizeof(*fragments));

		if (!fragments)
			return bh_fail(BH_E_NOMEM, "no memory for a MANIFEST record");
		m->fragments = fragments;
		m->fragment_cap = cap;
	}
	m->fragments[m->fragment_count++] = (bh_fragment){ .off = s->fragment_off };
	return BH_OK;
}

static uint8_t *payload_of(const bh_spans *s, const bh_fragment *f)
{
	return s->buf + (size_t)(f->off - s->base) + BH_LOG_HEADER;
}

/* The record's payload in one piece: where it lies, or joined in scratch memory. */
static bh_status join_record(bh_spans *s, bh_view *out)
{
	bh_manifest_state *m = &s->manifest;
	size_t at = 0;

	if (m->fragment_count == 1) {
		*out = bh_view_of(payload_of(s, &m->fragments[0]), m->record_len);
		return BH_OK;
	}
	if (m->joined_cap < m->record_len) {
		uint8_t *joined = malloc(2 * m->record_len);

		if (!joined)
			return bh_fail(BH_E_NOMEM, "no memory for a MANIFEST record of %zu bytes", m->record_len);
		if (m->joined)
			bh_wipe(m->joined, m->joined_cap);
		free(m->joined);
		m->joined = joined;
		m->joined_cap = 2 * m->record_len;
		memset(m->joined, 0, m->joined_cap);
	}
	for (size_t i = 0; i < m->fragment_count; i++) {
		memcpy(m->joined + at, payload_of(s, &m->fragments[i]), m->fragments[i].len);
		at += m->fragments[i].len;
	}
	*out = bh_view_of(m->joined, m->record_len);
	return BH_OK;
}

/* ---- its spans */

/* Walks the record's payload forward: record offset -> place in the buffer. */
typedef struct payload_cursor {
	size_t fragment;
	size_t fragment_at; /* record offset of the fragment's first byte */
} payload_cursor;

/* The place of record offset `off`, which is not behind the cursor; *run_out: payload bytes from there to the end of the fragment.
 */
static size_t locate(const bh_spans *s, payload_cursor *c, size_t off, size_t *run_out)
{
	const bh_fragment *f = &s->manifest.fragments[c->fragment];

	while (off - c->fragment_at >= f->len) {
		c->fragment_at += f->len;
		f = &s->manifest.fragments[++c->fragment];
	}
	*run_out = f->len - (off - c->fragment_at);
	return (size_t)(f->off - s->base) + BH_LOG_HEADER + (off - c->fragment_at);
}

static bh_status apply_span(bh_spans *s, bh_ctr *ctr, const bh_manifest_span *span, payload_cursor *c)
{
	payload_cursor begin = *c;
	size_t off = span->off;
	size_t left = span->len;
	size_t run;

	while (left > 0) {
		size_t at = locate(s, c, off, &run);
		size_t n = BH_MIN(left, run);

		BH_TRY(bh_spans_apply(s, s->manifest.edit.cf_id, ctr, at, n));
		off += n;
		left -= n;
	}
	/* A blank key reads as user key 0...0, sequence number 0, type 1 (a value): RocksDB refuses a record with a key that is
	 * none. */
	if (!ctr && span->internal_key)
		s->buf[locate(s, &begin, off - BH_INTERNAL_KEY_TRAILER, &run)] = 1;
	return BH_OK;
}

static bh_status apply_spans(bh_spans *s)
{
	const bh_version_edit *edit = &s->manifest.edit;
	payload_cursor cursor = { 0 };
	bh_ctr *ctr;

	if (edit->cf_id == BH_CF_DEFAULT || edit->span_count == 0)
		return BH_OK;
	BH_TRY(bh_spans_key(s, edit->cf_id, &ctr));
	for (size_t i = 0; i < edit->span_count; i++)
		BH_TRY(apply_span(s, ctr, &edit->spans[i], &cursor));
	return bh_span_run_flush(&s->run, s->buf, s->base);
}

/* ---- what a view hides */

static void hide_field(void *arg, const bh_version_field *field)
{
	bh_spans *s = arg;
	uint8_t skip[BH_VERSION_SKIP_MAX];
	payload_cursor cursor = { 0 };
	size_t len, run;

	if (!bh_version_is_about_files(field->what))
		return;
	len = bh_version_skip_encode(field->len, skip);
	for (size_t i = 0; i < len; i++)
		s->buf[locate(s, &cursor, field->off + i, &run)] = skip[i];
}

static void hide_sst(void *arg, const bh_version_field *field)
{
	const bh_spans *s = arg;
	const bh_scopes *scopes = s->families.scopes;

	if ((field->what == BH_VERSION_FILE_ADDED || field->what == BH_VERSION_FILE_DELETED) &&
	    scopes->hides_sst(scopes->arg, field->number))
		hide_field(arg, field);
}

/* The default family cannot be presented as dropped. Where its files are not there, its edits lose them; and so do those of a
 * family some of whose SSTs are given up. */
static bh_status hide_files(bh_spans *s, bh_view record)
{
	const bh_scopes *scopes = s->families.scopes;
	const bool all = scopes->hides_default_files && s->manifest.edit.cf_id == BH_CF_DEFAULT;
	bh_version_edit edit = { 0 };
	bh_status status;

	if (s->mode != BH_SPANS_OPEN || (!all && scopes->hides_sst == NULL))
		return BH_OK;
	status = bh_version_edit_walk(record, &edit, all ? hide_field : hide_sst, s);
	bh_version_edit_clear(&edit);
	return status;
}

/* ---- what is left of files that are gone */

/* Zeros over the spans of one field, as if their key were not there. */
static void blank_field(void *arg, const bh_version_field *field)
{
	bh_spans *s = arg;
	const bh_version_edit *edit = &s->manifest.edit;
	payload_cursor cursor = { 0 };

	for (size_t i = 0; i < edit->span_count; i++)
		if (edit->spans[i].off >= field->off && edit->spans[i].off < field->off + field->len)
			(void)apply_span(s, NULL, &edit->spans[i], &cursor); /* nothing that fails without a keystream */
}

static bh_status treat_files(bh_spans *s, bh_view record)
{
	bh_manifest_files *files = s->families.scopes->files;

	if (s->mode != BH_SPANS_OPEN || files == NULL)
		return BH_OK;
	if (bh_manifest_files_is_noting(files))
		return bh_manifest_files_note(files, record);
	return bh_manifest_files_each_dead(files, record, blank_field, s);
}

/* ---- families that come and go */

static bh_status add_live(bh_manifest_state *m, uint32_t cf_id, bh_view name)
{
	char *copy;

	if (m->live_count == m->live_cap) {
		size_t cap = m->live_cap ? 2 * m->live_cap : 16;
		bh_live_family *live = realloc(m->live, cap * sizeof(*live));

		if (!live)
			return bh_fail(BH_E_NOMEM, "no memory for %zu column families", cap);
		m->live = live;
		m->live_cap = cap;
	}
	copy = malloc(name.len + 1);
	if (!copy)
		return bh_fail(BH_E_NOMEM, "no memory for the name of column family %u", (unsigned)cf_id);
	if (name.len > 0)
		memcpy(copy, name.data, name.len);
	m->live[m->live_count++] = (bh_live_family){ .cf_id = cf_id, .name = copy, .name_len = name.len };
	return BH_OK;
}

static void remove_live(bh_manifest_state *m, uint32_t cf_id)
{
	for (size_t i = 0; i < m->live_count; i++) {
		if (m->live[i].cf_id != cf_id)
			continue;
		free_live(&m->live[i]);
		m->live[i] = m->live[--m->live_count];
		return;
	}
}

static bh_status note_added(bh_spans *s, const bh_version_edit *edit)
{
	const bh_scopes *scopes = s->families.scopes;

	if (!edit->cf_add || edit->cf_id == BH_CF_DEFAULT)
		return BH_OK;
	if (s->mode == BH_SPANS_SEAL && scopes->cf_check_new != NULL)
		BH_TRY(scopes->cf_check_new(scopes->arg, edit->cf_id, edit->cf_name));
	BH_TRY(scopes->cf_added(scopes->arg, edit->cf_id, edit->cf_name));
	return s->mode == BH_SPANS_OPEN ? add_live(&s->manifest, edit->cf_id, edit->cf_name) : BH_OK;
}

static bh_status note_dropped(bh_spans *s, const bh_version_edit *edit)
{
	if (!edit->cf_drop)
		return BH_OK;
	BH_TRY(s->families.scopes->cf_dropped(s->families.scopes->arg, edit->cf_id));
	remove_live(&s->manifest, edit->cf_id);
	return BH_OK;
}

/* ---- the record is complete */

static bh_status follow_group(bh_manifest_state *m)
{
	const bh_version_edit *edit = &m->edit;

	if (m->in_group && (!edit->in_group || edit->group_left != m->group_left - 1))
		return bh_fail(BH_E_FORMAT, "atomic group of version edits is not complete");
	m->in_group = edit->in_group && edit->group_left > 0;
	m->group_left = edit->group_left;
	return BH_OK;
}

static void restore_crcs(bh_spans *s)
{
	for (size_t i = 0; i < s->manifest.fragment_count; i++) {
		const bh_fragment *f = &s->manifest.fragments[i];

		bh_log_fill_crc(payload_of(s, f) - BH_LOG_HEADER, BH_LOG_HEADER + f->len);
	}
}

static bh_status take_record(bh_spans *s)
{
	bh_manifest_state *m = &s->manifest;
	bh_view record;

	BH_TRY(join_record(s, &record));
	BH_TRY(bh_version_edit_parse(record, &m->edit));
	BH_TRY(follow_group(m));
	m->max_cf_id = BH_MAX(m->max_cf_id, m->edit.max_cf_id);
	/* The family has to be known before its keys are asked for, and for as long as this edit speaks of it. */
	BH_TRY(note_added(s, &m->edit));
	BH_TRY(apply_spans(s));
	BH_TRY(note_dropped(s, &m->edit));
	BH_TRY(hide_files(s, record));
	BH_TRY(treat_files(s, record));
	if (s->mode == BH_SPANS_OPEN)
		restore_crcs(s);
	if (m->fragment_count > 1)
		bh_wipe(m->joined, m->record_len);
	return BH_OK;
}

bh_status bh_spans_manifest_piece(bh_spans *s, const bh_log_piece *piece, size_t at)
{
	bh_manifest_state *m = &s->manifest;

	if (piece->record_begin) {
		m->fragment_count = 0;
		m->record_len = 0;
	}
	if (piece->header_end)
		BH_TRY(add_fragment(s));
	if (piece->what == BH_LOG_IS_PAYLOAD) {
		m->fragments[m->fragment_count - 1].len += piece->len;
		m->record_len += piece->len;
	}
	if (piece->record_end)
		BH_TRY(take_record(s));
	if ((piece->record_end || (piece->what == BH_LOG_IS_TRAILER && !s->log.in_record)) &&
	    !(m->in_group && s->mode == BH_SPANS_OPEN))
		s->ready = at + piece->len;
	return BH_OK;
}

/* ---- the end, when opening */

static bh_status add_synthetic_drop(bh_spans *s, uint32_t cf_id)
{
	BH_CLEANUP(bh_buf_clear) bh_buf payload = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf record = { 0 };

	BH_TRY(bh_version_edit_encode_drop(s->manifest.max_cf_id, cf_id, &payload));
	BH_TRY(bh_log_append_record(s->base + s->len, bh_buf_view(&payload), &record));
	BH_TRY(bh_spans_reserve(s, record.len));
	memcpy(s->buf + s->len, record.data, record.len);
	s->len += record.len;
	return BH_OK;
}

bh_status bh_spans_manifest_finish(bh_spans *s)
{
	const bh_scopes *scopes = s->families.scopes;
	bh_manifest_state *m = &s->manifest;

	/* A torn record or group: RocksDB ignores it at the end of a MANIFEST, but not in front of another record. */
	if (s->len > s->ready)
		bh_wipe(s->buf + s->ready, s->len - s->ready);
	s->len = s->ready;
	for (size_t i = 0; i < m->live_count; i++) {
		const bh_live_family *live = &m->live[i];

		if (!scopes->cf_attached(scopes->arg, bh_view_of(live->name, live->name_len)))
			BH_TRY(add_synthetic_drop(s, live->cf_id));
	}
	return BH_OK;
}
