/* SPDX-License-Identifier: Apache-2.0
 *
 * spans_wal.c: see spans_wal.h.
 */
#include "spans_wal.h"

#include <stdlib.h>

static bool in_payload(const bh_log_parser *log)
{
	return log->header_len == BH_LOG_HEADER;
}

/* What begins and ends with a piece of the log. */
static bh_status follow_record(bh_spans *s, const bh_log_piece *piece)
{
	if (piece->record_begin)
		bh_wal_begin(&s->wal);
	return piece->record_end ? bh_wal_end(&s->wal) : BH_OK;
}

/* ---- sealing */

static void put_structure(bh_spans *s, const uint8_t *data, size_t len)
{
	memcpy(s->part.data + s->part.len, data, len);
	s->part.len += len;
}

/* Takes up to `len` bytes of payload at source[at]; *len_out: how many, 0: the frame has no room for another family. */
static bh_status gather_payload(bh_spans *s, size_t at, size_t len, size_t *len_out)
{
	bh_wal_piece piece;
	unsigned share;
	size_t n;

	*len_out = 0;
	if (bh_families_full(&s->families) && !bh_wal_in_entry(&s->wal))
		return BH_OK;
	BH_TRY(bh_wal_next(&s->wal, s->source + at, len, &piece));
	put_structure(s, s->source + at, piece.skip);
	*len_out = piece.skip;
	if (piece.cf_id == BH_CF_DEFAULT)
		return BH_OK;
	n = BH_MIN((size_t)piece.span, len - piece.skip);
	BH_TRY(bh_families_share_sealed(&s->families, piece.cf_id, &share));
	if (n == 0)
		return BH_OK;
	bh_wal_span(&s->wal, (uint32_t)n);
	s->families.shares[share].len += n;
	*len_out += n;
	return bh_spans_add_piece(s, at + piece.skip, n, share);
}

/* What is no payload: headers and trailers. */
static bh_status gather_frame(bh_spans *s, size_t at, size_t len, bh_log_piece *piece_out)
{
	BH_TRY(bh_log_next(&s->log, s->source + at, len, piece_out));
	if (piece_out->what == BH_LOG_IS_HEADER)
		bh_spans_put_header(&s->part, s->source + at, piece_out->len, piece_out->header_at);
	else
		put_structure(s, s->source + at, piece_out->len);
	return BH_OK;
}

bh_status bh_spans_wal_gather(bh_spans *s, bh_view *data, bool *due_out)
{
	const size_t len = BH_MIN(data->len, (size_t)BH_FRAME_MAX);
	size_t at = 0;

	BH_TRY(bh_spans_begin_part(s, len));
	s->source = data->data;
	while (at < len) {
		bh_log_piece piece;

		if (in_payload(&s->log)) {
			size_t n = BH_MIN(len - at, (size_t)s->log.payload_left);

			BH_TRY(gather_payload(s, at, n, &n));
			if (n == 0)
				break;
			BH_TRY(bh_log_next(&s->log, s->source + at, n, &piece));
		} else {
			BH_TRY(gather_frame(s, at, len - at, &piece));
		}
		BH_TRY(bh_spans_check_crc(s, &piece, s->source + at));
		at += piece.len;
		BH_TRY(follow_record(s, &piece));
	}
	s->off += at;
	*data = bh_view_of(data->data + at, data->len - at);
	*due_out = s->part.len > BH_PART_AT || s->families.share_count > 0;
	return BH_OK;
}

/* ---- opening: the structure shows where spans are */

static bh_status add_done(bh_spans *s, const bh_log_piece *piece)
{
	if (s->done_count == s->done_cap) {
		size_t cap = s->done_cap ? 2 * s->done_cap : 16;
		bh_wal_done *done = realloc(s->done, cap * sizeof(*done));

		if (!done)
			return bh_fail(BH_E_NOMEM, "no memory for %zu fragments of a log", cap);
		s->done = done;
		s->done_cap = cap;
	}
	s->done[s->done_count++] = (bh_wal_done){
		.begin = (size_t)(s->fragment_off - s->base),
		.end = s->len,
		.shares = s->touched,
		.record_end = piece->record_end,
		.bare = s->wal.bare,
	};
	s->touched = 0;
	return BH_OK;
}

static bh_status follow(bh_spans *s, const bh_log_piece *piece)
{
	BH_TRY(follow_record(s, piece));
	return piece->fragment_end ? add_done(s, piece) : BH_OK;
}

/* What a frame's walk has still to account for. */
typedef struct walk {
	bh_view rest;    /* structure */
	size_t sections; /* bytes */
} walk;

static bh_status fail_walk(void)
{
	return bh_fail(BH_E_FORMAT, "structure and sections of a frame do not fit each other");
}

/* The family has bytes in the frame: its tag is among the sections. */
static bh_status touch(bh_spans *s, walk *w, uint32_t cf_id, unsigned *share_out)
{
	bool new;

	BH_TRY(bh_families_share(&s->families, cf_id, share_out, &new));
	if (new && w->sections < BH_TAG_LEN)
		return fail_walk();
	if (new)
		w->sections -= BH_TAG_LEN;
	s->touched |= (uint64_t)1 << *share_out;
	return BH_OK;
}

/* A span of up to `max` bytes in this fragment. Behind the last of the structure, what is left is what there is of it. */
static bh_status take_span(bh_spans *s, walk *w, size_t max, unsigned share)
{
	size_t n = w->rest.len > 0 ? max : BH_MIN(max, w->sections);
	bh_log_piece piece;

	if (n > w->sections)
		return fail_walk();
	if (n == 0)
		return BH_OK;
	BH_TRY(bh_spans_add_piece(s, s->len, n, share));
	s->families.shares[share].len += n;
	w->sections -= n;
	bh_wal_span(&s->wal, (uint32_t)n);
	BH_TRY(bh_log_next(&s->log, NULL, n, &piece));
	s->len += n;
	s->off += n;
	return follow(s, &piece);
}

/* *more_out false: the frame ends here. */
static bh_status take_payload(bh_spans *s, walk *w, bool *more_out)
{
	const size_t before = w->rest.len + w->sections;
	bh_wal_piece piece;
	bh_log_piece log;
	unsigned share = 0;

	BH_TRY(bh_wal_next(&s->wal, w->rest.data, BH_MIN(w->rest.len, (size_t)s->log.payload_left), &piece));
	/* A span that goes on with the frame may just as well go on with the next one. */
	if (piece.cf_id != BH_CF_DEFAULT && (piece.skip > 0 || w->sections > 0))
		BH_TRY(touch(s, w, piece.cf_id, &share));
	if (piece.skip > 0) {
		BH_TRY(bh_spans_take_structure(s, &w->rest, piece.skip, &log));
		BH_TRY(follow(s, &log));
	}
	if (piece.span > 0 && in_payload(&s->log) && before > 0)
		BH_TRY(take_span(s, w, BH_MIN((size_t)piece.span, (size_t)s->log.payload_left), share));
	*more_out = w->rest.len + w->sections < before;
	return BH_OK;
}

static bh_status take_other(bh_spans *s, walk *w)
{
	const bool begins = s->log.header_len == 0;
	const uint64_t off = s->off;
	bh_log_piece piece;

	BH_TRY(bh_spans_take_structure(s, &w->rest, w->rest.len, &piece));
	if (begins && piece.what == BH_LOG_IS_HEADER)
		s->fragment_off = off;
	return follow(s, &piece);
}

static bh_status walk_frame(bh_spans *s, const bh_frame_content *frame)
{
	walk w = { frame->structure, frame->sections.len };
	bool more = true;

	s->done_count = 0;
	s->touched = 0;
	while (more) {
		if (in_payload(&s->log))
			BH_TRY(take_payload(s, &w, &more));
		else if (w.rest.len > 0)
			BH_TRY(take_other(s, &w));
		else
			more = false;
	}
	return w.rest.len == 0 && w.sections == 0 ? BH_OK : fail_walk();
}

/* ---- ... then they are put there */

static bh_status put_spans(bh_spans *s)
{
	size_t at[BH_FRAME_FAMILIES_MAX], next = 0;

	for (unsigned i = 0; i < s->families.share_count; i++) {
		at[i] = next;
		next += s->families.shares[i].len;
	}
	for (size_t i = 0; i < s->piece_count; i++) {
		const bh_span_piece *p = &s->pieces[i];

		memcpy(s->buf + p->at, s->spans.data + at[p->share], p->len);
		at[p->share] += p->len;
		if (s->observer)
			s->observer(s->observer_arg, s->base + p->at, p->len, s->families.shares[p->share].cf_id);
		if (s->quiet && (s->families.available >> p->share & 1) == 0)
			BH_TRY(bh_wal_quiet_blank(s->quiet, s->base + p->at, p->len));
	}
	return BH_OK;
}

/* The fragment is as RocksDB wrote it, but for its CRC. */
static bh_status show(bh_spans *s, const bh_wal_done *done)
{
	s->of_use |= (done->shares & s->families.available) != 0;
	if (s->quiet)
		return bh_wal_quiet_fragment(s->quiet, s->buf, s->base, (bh_wal_run){ s->base + done->begin, s->base + done->end },
					     done->record_end);
	if (s->sieve == NULL) {
		bh_log_fill_crc(s->buf + done->begin, done->end - done->begin);
		return BH_OK;
	}
	BH_TRY(bh_wal_sieve_add(s->sieve,
				bh_view_of(s->buf + done->begin + BH_LOG_HEADER, done->end - done->begin - BH_LOG_HEADER)));
	if (!done->record_end)
		return BH_OK;
	BH_TRY(bh_wal_sieve_record(s->sieve, s->of_use || done->bare));
	s->of_use = false;
	return BH_OK;
}

static bh_status show_all(bh_spans *s)
{
	for (size_t i = 0; i < s->done_count; i++)
		BH_TRY(show(s, &s->done[i]));
	s->of_use |= (s->touched & s->families.available) != 0;
	s->ready = s->log.header_len == 0 ? s->len : (size_t)(s->fragment_off - s->base);
	if (s->quiet && s->quiet->waiting_count > 0)
		s->ready = (size_t)(s->quiet->waiting[0].begin - s->base);
	if (s->sieve)
		s->head = s->ready;
	return BH_OK;
}

bh_status bh_spans_wal_open(bh_spans *s, uint64_t number, bh_frame_content *frame)
{
	const size_t structure = frame->structure.len;

	/* Three bytes of a header bring four of a CRC. */
	BH_TRY(bh_spans_reserve(s, structure + BH_LOG_CRC * (structure / 3 + 1) + frame->sections.len));
	BH_TRY(walk_frame(s, frame));
	BH_TRY(bh_spans_open_sections(s, number, frame));
	BH_TRY(put_spans(s));
	return show_all(s);
}
