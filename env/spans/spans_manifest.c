/* SPDX-License-Identifier: Apache-2.0
 *
 * spans_manifest.c: see spans_manifest.h.
 *
 * When opening, an atomic group is held until it is complete: one that the file's end cuts off has no effect, and must not stand in
 * front of the synthetic edits, where RocksDB would call it corrupt.
 */
#include "spans_manifest.h"

#include <stdlib.h>

#include "manifest_files.h"

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

static bh_status add_fragment(bh_spans *s, size_t at)
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
	m->fragments[m->fragment_count++] = (bh_fragment){ .at = at };
	return BH_OK;
}

/* Takes note of the piece that was put in buf, `at` behind the beginning of the frame. */
static bh_status note_piece(bh_spans *s, const bh_log_piece *piece, size_t at)
{
	bh_manifest_state *m = &s->manifest;

	if (piece->record_begin) {
		m->fragment_count = 0;
		m->record_len = 0;
	}
	if (piece->header_end)
		BH_TRY(add_fragment(s, at + piece->len - BH_LOG_HEADER));
	if (piece->what == BH_LOG_IS_PAYLOAD) {
		m->fragments[m->fragment_count - 1].len += piece->len;
		m->record_len += piece->len;
	}
	return BH_OK;
}

static size_t payload_at(const bh_spans *s, const bh_fragment *f)
{
	return s->frame_at + f->at + BH_LOG_HEADER;
}

/* The record's payload in one piece: where it lies, or joined in scratch memory. */
static bh_status join_record(bh_spans *s, bh_view *out)
{
	bh_manifest_state *m = &s->manifest;
	size_t at = 0;

	if (m->fragment_count == 1) {
		*out = bh_view_of(s->buf + payload_at(s, &m->fragments[0]), m->record_len);
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
		memcpy(m->joined + at, s->buf + payload_at(s, &m->fragments[i]), m->fragments[i].len);
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
	return payload_at(s, f) + (off - c->fragment_at);
}

/* What is done with a run of span bytes, buf[at..at+len). */
typedef void (*run_fn)(bh_spans *s, size_t at, size_t len);

static void each_run(bh_spans *s, const bh_manifest_span *span, payload_cursor *c, run_fn fn)
{
	size_t off = span->off, left = span->len, run;

	while (left > 0) {
		size_t at = locate(s, c, off, &run), n = BH_MIN(left, run);

		fn(s, at, n);
		off += n;
		left -= n;
	}
}

static void each_span(bh_spans *s, run_fn fn)
{
	payload_cursor cursor = { 0 };

	for (size_t i = 0; i < s->manifest.edit.span_count; i++)
		each_run(s, &s->manifest.edit.spans[i], &cursor, fn);
}

static size_t spans_len(const bh_version_edit *edit)
{
	size_t len = 0;

	for (size_t i = 0; i < edit->span_count; i++)
		len += edit->spans[i].len;
	return len;
}

static void zero_run(bh_spans *s, size_t at, size_t len)
{
	memset(s->buf + at, 0, len);
}

/* Out of the record, into `spans`, which has room. */
static void take_run(bh_spans *s, size_t at, size_t len)
{
	memcpy(s->spans.data + s->spans.len, s->buf + at, len);
	s->spans.len += len;
	zero_run(s, at, len);
}

/* ... and back; `spans.len` counts what is there already. */
static void put_run(bh_spans *s, size_t at, size_t len)
{
	if (s->observer)
		s->observer(s->observer_arg, s->base + at, len, s->manifest.edit.cf_id);
	memcpy(s->buf + at, s->spans.data + s->spans.len, len);
	s->spans.len += len;
}

/* A blank key reads as user key 0...0, sequence number 0, type 1 (a value): RocksDB refuses a record with a key that is none. */
static void mark_blank(bh_spans *s, const bh_manifest_span *span, payload_cursor *c)
{
	size_t run;

	if (span->internal_key)
		s->buf[locate(s, c, span->off + span->len - BH_INTERNAL_KEY_TRAILER, &run)] = 1;
}

static void mark_all_blank(bh_spans *s)
{
	payload_cursor cursor = { 0 };

	for (size_t i = 0; i < s->manifest.edit.span_count; i++)
		mark_blank(s, &s->manifest.edit.spans[i], &cursor);
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

/* The default family cannot be presented as dropped. Where its files are not there, its edits lose them. So do those of a family
 * without its key: RocksDB asserts at some of what it is told of files. */
static bool hides_all(const bh_spans *s)
{
	const bh_scopes *scopes = s->families.scopes;

	return s->manifest.edit.cf_id == BH_CF_DEFAULT ? scopes->hides_default_files
						       : scopes->hides_blank_files && s->families.available == 0;
}

static void hide_sst(void *arg, const bh_version_field *field)
{
	const bh_spans *s = arg;
	const bh_scopes *scopes = s->families.scopes;

	if ((field->what == BH_VERSION_FILE_ADDED || field->what == BH_VERSION_FILE_DELETED) &&
	    scopes->hides_sst(scopes->arg, field->number))
		hide_field(arg, field);
}

/* Some SSTs of a family may be given up as well. */
static bh_status hide_files(bh_spans *s, bh_view record)
{
	const bh_scopes *scopes = s->families.scopes;
	const bool all = hides_all(s);
	bh_version_edit edit = { 0 };
	bh_status status;

	if (!all && scopes->hides_sst == NULL)
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

	for (size_t i = 0; i < edit->span_count; i++) {
		payload_cursor begin = cursor;

		if (edit->spans[i].off < field->off || edit->spans[i].off >= field->off + field->len)
			continue;
		each_run(s, &edit->spans[i], &cursor, zero_run);
		mark_blank(s, &edit->spans[i], &begin);
	}
}

static bh_status treat_files(bh_spans *s, bh_view record)
{
	bh_manifest_files *files = s->families.scopes->files;

	if (files == NULL)
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

static bh_live_family *find_live(const bh_manifest_state *m, uint32_t cf_id)
{
	for (size_t i = 0; i < m->live_count; i++)
		if (m->live[i].cf_id == cf_id)
			return &m->live[i];
	return NULL;
}

static void remove_live(bh_manifest_state *m, bh_live_family *live)
{
	free_live(live);
	*live = m->live[--m->live_count];
}

/* The family has to be known before its keys are asked for ... */
static bh_status note_added(bh_spans *s, const bh_version_edit *edit)
{
	const bh_scopes *scopes = s->families.scopes;

	if (edit->cf_id == BH_CF_DEFAULT)
		return BH_OK;
	if (edit->cf_add) {
		if (s->mode == BH_SPANS_SEAL && scopes->cf_check_new != NULL)
			BH_TRY(scopes->cf_check_new(scopes->arg, edit->cf_id, edit->cf_name));
		BH_TRY(scopes->cf_added(scopes->arg, edit->cf_id, edit->cf_name));
		if (s->mode == BH_SPANS_OPEN)
			BH_TRY(add_live(&s->manifest, edit->cf_id, edit->cf_name));
	}
	if (edit->has_log_number)
		scopes->cf_log_number(scopes->arg, edit->cf_id, edit->log_number);
	return BH_OK;
}

/* Opening. Whose coming its own key has sealed, that key has to have sealed the going of as well: edits of a family that is gone by
 * the end may be blank, and one that says that it goes would make itself such a one. */
static bh_status check_drop(bh_spans *s, bh_live_family *live)
{
	if (live->opened && s->families.available == 0)
		BH_TRY(bh_families_needed(&s->families, live->cf_id));
	remove_live(&s->manifest, live);
	return BH_OK;
}

/* ... and for as long as this edit speaks of it. */
static bh_status note_come_or_gone(bh_spans *s, const bh_version_edit *edit)
{
	bh_live_family *live = find_live(&s->manifest, edit->cf_id);

	if (live != NULL && edit->cf_add)
		live->opened = s->families.available != 0;
	if (!edit->cf_drop)
		return BH_OK;
	if (live != NULL)
		BH_TRY(check_drop(s, live));
	return s->families.scopes->cf_dropped(s->families.scopes->arg, edit->cf_id);
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

/* RocksDB asserts that it only grows, and has 56 bits for it, in edits that no family's tag is over as well. What cannot be read is
 * not written either. */
static bh_status follow_sequence(bh_manifest_state *m)
{
	if (!m->edit.has_last_sequence)
		return BH_OK;
	if (m->edit.last_sequence > BH_SEQUENCE_LIMIT)
		return bh_fail(BH_E_FORMAT, "a version edit has a last sequence number that no database comes to");
	if (m->edit.last_sequence < m->last_sequence)
		return bh_fail(BH_E_FORMAT, "a version edit takes the database's last sequence number back");
	m->last_sequence = m->edit.last_sequence;
	return BH_OK;
}

/* Looks at the record in buf, and tells `scopes`. */
static bh_status begin_record(bh_spans *s, bh_view *record_out)
{
	bh_manifest_state *m = &s->manifest;

	BH_TRY(join_record(s, record_out));
	BH_TRY(bh_version_edit_parse(*record_out, &m->edit));
	BH_TRY(follow_group(m));
	BH_TRY(follow_sequence(m));
	m->max_cf_id = BH_MAX(m->max_cf_id, m->edit.max_cf_id);
	return note_added(s, &m->edit);
}

static void end_record(const bh_spans *s)
{
	if (s->manifest.fragment_count > 1)
		bh_wipe(s->manifest.joined, s->manifest.record_len);
}

/* ---- sealing */

/* All of buf but the CRCs. */
static bh_status put_structure(bh_spans *s)
{
	const bh_manifest_state *m = &s->manifest;
	size_t at = 0;

	BH_TRY(bh_buf_reserve(&s->part, BH_FRAME_FAMILIES_MAX * BH_ANNOUNCEMENT_LEN + s->len));
	for (size_t i = 0; i < m->fragment_count; i++) {
		const bh_fragment *f = &m->fragments[i];

		BH_TRY(bh_buf_append(&s->part, s->buf + at, f->at - at)); /* the trailer in front of it */
		at = f->at + BH_LOG_HEADER + f->len;
		BH_TRY(bh_buf_append(&s->part, s->buf + f->at + BH_LOG_CRC, at - f->at - BH_LOG_CRC));
	}
	return BH_OK;
}

static bh_status take_spans(bh_spans *s)
{
	const bh_version_edit *edit = &s->manifest.edit;
	const size_t len = spans_len(edit);
	unsigned share;

	if (edit->cf_id == BH_CF_DEFAULT)
		return BH_OK;
	BH_TRY(bh_families_share_sealed(&s->families, edit->cf_id, &share));
	BH_TRY(bh_buf_reserve(&s->spans, len));
	each_span(s, take_run);
	s->source = s->spans.data;
	s->families.shares[share].len = len;
	return len > 0 ? bh_spans_add_piece(s, 0, len, share) : BH_OK;
}

static bh_status gather_record(bh_spans *s)
{
	bh_view record;

	BH_TRY(begin_record(s, &record));
	BH_TRY(take_spans(s));
	BH_TRY(note_come_or_gone(s, &s->manifest.edit));
	BH_TRY(put_structure(s));
	end_record(s);
	bh_wipe(s->buf, s->len);
	s->len = 0;
	return BH_OK;
}

static bh_status hold(bh_spans *s, bh_view *data, bh_log_piece *piece)
{
	BH_TRY(bh_log_next(&s->log, data->data, data->len, piece));
	BH_TRY(bh_spans_check_crc(s, piece, data->data));
	if (s->len + piece->len > BH_RECORD_MAX)
		return bh_fail(BH_E_UNSUPPORTED, "a version edit of more than %u bytes", BH_RECORD_MAX);
	BH_TRY(bh_spans_reserve(s, piece->len));
	memcpy(s->buf + s->len, data->data, piece->len);
	BH_TRY(note_piece(s, piece, s->len));
	s->len += piece->len;
	s->off += piece->len;
	*data = bh_view_of(data->data + piece->len, data->len - piece->len);
	return BH_OK;
}

bh_status bh_spans_manifest_gather(bh_spans *s, bh_view *data, bool *due_out)
{
	while (data->len > 0 && !*due_out) {
		bh_log_piece piece;

		if (s->len == 0)
			BH_TRY(bh_spans_begin_part(s, 0));
		BH_TRY(hold(s, data, &piece));
		*due_out = piece.record_end;
	}
	return *due_out ? gather_record(s) : BH_OK;
}

/* ---- opening */

static bh_status take_structure(bh_spans *s, bh_view rest)
{
	bh_log_piece piece = { 0 };

	while (rest.len > 0 && !piece.record_end) {
		BH_TRY(bh_spans_take_structure(s, &rest, rest.len, &piece));
		BH_TRY(note_piece(s, &piece, s->len - piece.len - s->frame_at));
	}
	return rest.len == 0 && piece.record_end ? BH_OK : bh_fail(BH_E_FORMAT, "a frame is not one MANIFEST record");
}

static bh_status put_spans(bh_spans *s, uint64_t number, bh_frame_content *frame)
{
	const bh_version_edit *edit = &s->manifest.edit;
	const bool owned = edit->cf_id != BH_CF_DEFAULT;
	const size_t len = owned ? spans_len(edit) : 0;
	unsigned share;
	bool new;

	if (frame->sections.len != (owned ? len + BH_TAG_LEN : 0))
		return bh_fail(BH_E_FORMAT, "the section of a version edit does not fit it");
	if (!owned)
		return BH_OK;
	BH_TRY(bh_families_share(&s->families, edit->cf_id, &share, &new));
	s->families.shares[share].len = len;
	BH_TRY(bh_spans_open_sections(s, number, frame));
	s->spans.len = 0;
	each_span(s, put_run);
	if (s->families.available == 0)
		mark_all_blank(s);
	return BH_OK;
}

static void restore_crcs(bh_spans *s)
{
	for (size_t i = 0; i < s->manifest.fragment_count; i++) {
		const bh_fragment *f = &s->manifest.fragments[i];

		bh_log_fill_crc(s->buf + s->frame_at + f->at, BH_LOG_HEADER + f->len);
	}
}

bh_status bh_spans_manifest_open(bh_spans *s, uint64_t number, bh_frame_content *frame)
{
	const size_t structure = frame->structure.len;
	bh_view record;

	BH_TRY(bh_spans_reserve(s, structure + BH_LOG_CRC * (structure / 3 + 1)));
	s->frame_at = s->len;
	BH_TRY(take_structure(s, frame->structure));
	BH_TRY(begin_record(s, &record));
	BH_TRY(put_spans(s, number, frame));
	BH_TRY(note_come_or_gone(s, &s->manifest.edit));
	BH_TRY(treat_files(s, record));
	BH_TRY(hide_files(s, record)); /* last: what stands there instead is read by RocksDB alone */
	restore_crcs(s);
	end_record(s);
	if (!s->manifest.in_group)
		s->ready = s->len;
	return BH_OK;
}

/* ---- the end */

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

	/* A torn group: RocksDB ignores it at the end of a MANIFEST, but not in front of another record. */
	if (s->len > s->ready)
		bh_wipe(s->buf + s->ready, s->len - s->ready);
	s->len = s->ready;
	for (size_t i = 0; i < m->live_count; i++) {
		const bh_live_family *live = &m->live[i];

		if (!scopes->cf_attached(scopes->arg, bh_view_of(live->name, live->name_len)))
			BH_TRY(add_synthetic_drop(s, live->cf_id));
		else
			BH_TRY(bh_families_needed(&s->families, live->cf_id));
	}
	return BH_OK;
}
