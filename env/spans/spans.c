/* SPDX-License-Identifier: Apache-2.0
 *
 * spans.c: the span codec: its buffers and its life; see spans.h. What knows the two formats is spans_wal.c and spans_manifest.c.
 */
#include "spans.h"

#include <stdlib.h>

#include "crc32c.h"
#include "spans_manifest.h"
#include "spans_wal.h"

#define BUFFER_MIN (64u * 1024)

bh_status bh_spans_new(bh_spans_mode mode, const bh_header *header, const bh_scopes *scopes, bh_spans **out)
{
	const bool is_wal = header->kind == BH_KIND_WAL;
	bh_status st = BH_OK;
	bh_spans *s;

	if (!is_wal && header->kind != BH_KIND_MANIFEST)
		return bh_fail(BH_E_INVALID, "a %s file has no spans", bh_file_kind_name(header->kind));
	s = calloc(1, sizeof(*s));
	if (!s)
		return bh_fail(BH_E_NOMEM, "no memory for a span codec");
	s->kind = header->kind;
	s->mode = mode;
	bh_families_init(&s->families, header, scopes);
	if (is_wal && mode == BH_SPANS_OPEN && scopes->sieves_logs)
		st = bh_wal_sieve_new(&s->sieve);
	if (st == BH_OK)
		*out = s;
	else
		bh_spans_free(s);
	return st;
}

/* Plaintext passes through the buffers, so no memory of them goes back to the heap as it is. */
static void free_wiped(uint8_t *p, size_t len)
{
	if (p)
		bh_wipe(p, len);
	free(p);
}

void bh_spans_free(bh_spans *s)
{
	if (!s)
		return;
	free_wiped(s->buf, s->cap);
	free_wiped(s->spans.data, s->spans.cap);
	bh_buf_clear(&s->part);
	bh_wal_sieve_free(s->sieve);
	if (s->quiet)
		bh_wal_quiet_clear(s->quiet);
	free(s->quiet);
	bh_spans_manifest_clear(&s->manifest);
	bh_families_clear(&s->families);
	free(s->pieces);
	free(s->done);
	bh_wipe(s, sizeof(*s));
	free(s);
}

/* ---- the buffer */

/* Wipes what the move leaves behind. */
static void compact(bh_spans *s)
{
	size_t held = s->len - s->head;

	if (held > 0 && s->head > 0) {
		memmove(s->buf, s->buf + s->head, held);
		bh_wipe(s->buf + BH_MAX(held, s->head), s->len - BH_MAX(held, s->head));
	}
	s->base += s->head;
	s->ready -= s->head;
	s->len -= s->head;
	s->head = 0;
}

bh_status bh_spans_reserve(bh_spans *s, size_t extra)
{
	size_t cap;
	uint8_t *buf;

	if (s->head == s->len)
		compact(s);
	if (extra <= s->cap - s->len)
		return BH_OK;
	compact(s);
	if (extra <= s->cap - s->len)
		return BH_OK;
	if (extra > SIZE_MAX / 4 || s->cap > SIZE_MAX / 4)
		return bh_fail(BH_E_NOMEM, "no memory for %zu bytes of a log", extra);
	cap = BH_MAX(BH_MAX(2 * s->cap, s->len + extra), (size_t)BUFFER_MIN);
	buf = malloc(cap);
	if (!buf)
		return bh_fail(BH_E_NOMEM, "no memory for %zu bytes of a log", cap);
	if (s->len > 0)
		memcpy(buf, s->buf, s->len);
	free_wiped(s->buf, s->cap);
	s->buf = buf;
	s->cap = cap;
	return BH_OK;
}

bh_status bh_spans_add_piece(bh_spans *s, size_t at, size_t len, unsigned share)
{
	if (s->piece_count == s->piece_cap) {
		size_t cap = s->piece_cap ? 2 * s->piece_cap : 64;
		bh_span_piece *pieces = realloc(s->pieces, cap * sizeof(*pieces));

		if (!pieces)
			return bh_fail(BH_E_NOMEM, "no memory for the spans of a frame");
		s->pieces = pieces;
		s->piece_cap = cap;
	}
	s->pieces[s->piece_count++] = (bh_span_piece){ .at = at, .len = len, .share = share };
	return BH_OK;
}

static bh_status fail_sticky(const bh_spans *s)
{
	return bh_fail(s->failed, "log refused after an earlier error");
}

static void wipe_spans(bh_spans *s)
{
	if (s->spans.len > 0)
		bh_wipe(s->spans.data, s->spans.len);
	s->spans.len = 0;
}

/* What was not final when the error came never leaves. */
static bh_status fail(bh_spans *s, bh_status st)
{
	s->failed = st;
	if (s->len > s->ready)
		bh_wipe(s->buf + s->ready, s->len - s->ready);
	s->len = s->ready;
	wipe_spans(s);
	return st;
}

/* ---- sealing */

bh_status bh_spans_begin_part(bh_spans *s, size_t structure)
{
	s->part.len = 0;
	BH_TRY(bh_buf_reserve(&s->part, BH_PART_AT + BH_FRAME_FAMILIES_MAX * BH_ANNOUNCEMENT_LEN + structure));
	bh_place_encode(s->off, &s->log, &s->wal, s->part.data);
	s->part.len = BH_PART_AT;
	bh_families_begin(&s->families);
	s->piece_count = 0;
	return BH_OK;
}

/* Count and announcements go in front of the structure, but are known behind it. */
static void end_part(bh_spans *s)
{
	const size_t announced = s->families.pending_count * BH_ANNOUNCEMENT_LEN;
	uint8_t *begin = s->part.data + BH_PART_AT;

	s->part.data[BH_PLACE_LEN] = (uint8_t)s->families.pending_count;
	if (announced == 0)
		return;
	memmove(begin + announced, begin, s->part.len - BH_PART_AT);
	s->part.len += announced;
	for (unsigned i = 0; i < s->families.pending_count; i++)
		bh_announcement_put(begin + i * BH_ANNOUNCEMENT_LEN, &s->families.pending[i]);
}

bh_status bh_spans_check_crc(bh_spans *s, const bh_log_piece *piece, const uint8_t *data)
{
	if (piece->header_end)
		s->fragment_crc = bh_crc32c(0, s->log.header + 6, 1);
	else if (piece->what == BH_LOG_IS_PAYLOAD)
		s->fragment_crc = bh_crc32c(s->fragment_crc, data, piece->len);
	if (piece->fragment_end && bh_crc32c_mask(s->fragment_crc) != bh_get_u32(s->log.header))
		return bh_fail(BH_E_FORMAT, "a log record's checksum differs: it was damaged in memory, before it was sealed");
	return BH_OK;
}

bh_status bh_spans_gather(bh_spans *s, bh_view *data, bool *due_out)
{
	bh_status st;

	if (s->failed != BH_OK)
		return fail_sticky(s);
	*due_out = false;
	if (data->len == 0)
		return BH_OK;
	st = s->kind == BH_KIND_WAL ? bh_spans_wal_gather(s, data, due_out) : bh_spans_manifest_gather(s, data, due_out);
	if (st != BH_OK)
		return fail(s, st);
	if (*due_out)
		end_part(s);
	return BH_OK;
}

size_t bh_spans_sections_len(const bh_spans *s)
{
	return bh_families_sections_len(&s->families);
}

bh_view bh_spans_part(const bh_spans *s)
{
	return bh_view_of(s->part.data + BH_PLACE_LEN, s->part.len - BH_PLACE_LEN);
}

/* Brings each family's runs together, with room for the tags. */
static void collect(const bh_spans *s, uint8_t *sections)
{
	uint8_t *at[BH_FRAME_FAMILIES_MAX];

	for (unsigned i = 0; i < s->families.share_count; i++) {
		at[i] = sections;
		sections += s->families.shares[i].len + BH_TAG_LEN;
	}
	for (size_t i = 0; i < s->piece_count; i++) {
		const bh_span_piece *p = &s->pieces[i];

		memcpy(at[p->share], s->source + p->at, p->len);
		at[p->share] += p->len;
	}
}

bh_status bh_spans_seal(bh_spans *s, uint64_t number, uint8_t *sections_out)
{
	bh_status st;

	collect(s, sections_out);
	wipe_spans(s);
	st = bh_families_seal(&s->families, number, s->part.data, s->part.len, sections_out);
	return st == BH_OK ? BH_OK : fail(s, st);
}

void bh_spans_forget(bh_spans *s)
{
	bh_families_forget(&s->families);
}

void bh_spans_rebind(bh_spans *s, const bh_scopes *scopes)
{
	s->families.scopes = scopes;
	bh_families_forget(&s->families);
}

/* ---- opening */

bh_status bh_spans_take_structure(bh_spans *s, bh_view *rest, size_t len, bh_log_piece *out)
{
	static const uint8_t no_crc[BH_LOG_CRC];

	/* A CRC comes with the byte behind it. */
	if (s->log.header_len == 0 && BH_LOG_BLOCK - s->log.block_off >= BH_LOG_HEADER) {
		BH_TRY(bh_log_next(&s->log, no_crc, sizeof(no_crc), out));
		memset(s->buf + s->len, 0, sizeof(no_crc));
		s->len += sizeof(no_crc);
		s->off += sizeof(no_crc);
	}
	BH_TRY(bh_log_next(&s->log, rest->data, len, out));
	memcpy(s->buf + s->len, rest->data, out->len);
	s->len += out->len;
	s->off += out->len;
	*rest = bh_view_of(rest->data + out->len, rest->len - out->len);
	return BH_OK;
}

bh_status bh_spans_open_sections(bh_spans *s, uint64_t number, bh_frame_content *frame)
{
	s->spans.len = 0;
	if (s->families.share_count == 0)
		return BH_OK;
	BH_TRY(bh_buf_reserve(&s->spans, frame->sections.len));
	s->spans.len = frame->sections.len - s->families.share_count * BH_TAG_LEN;
	return bh_families_open(&s->families, number, frame->plain.data, frame->plain.len, frame->sections.data, s->spans.data);
}

static bh_status open_frame(bh_spans *s, uint64_t number, bh_frame_content *frame)
{
	for (size_t i = 0; i < bh_frame_announcement_count(frame); i++) {
		bh_announcement a = bh_frame_announcement(frame, i);

		BH_TRY(bh_families_announced(&s->families, &a));
	}
	bh_place_encode(s->off, &s->log, &s->wal, frame->plain.data);
	bh_families_begin(&s->families);
	s->piece_count = 0;
	if (s->kind == BH_KIND_WAL)
		BH_TRY(bh_spans_wal_open(s, number, frame));
	else
		BH_TRY(bh_spans_manifest_open(s, number, frame));
	wipe_spans(s);
	return BH_OK;
}

bh_status bh_spans_quiet(bh_spans *s)
{
	if (s->kind != BH_KIND_WAL || s->sieve)
		return BH_OK;
	s->quiet = calloc(1, sizeof(*s->quiet));
	return s->quiet ? BH_OK : bh_fail(BH_E_NOMEM, "no memory to read a log");
}

bh_status bh_spans_open(bh_spans *s, uint64_t number, bh_frame_content *frame)
{
	bh_status st;

	if (s->failed != BH_OK)
		return fail_sticky(s);
	if (s->finished)
		return bh_fail(BH_E_INVALID, "log bytes after the end of the log");
	st = open_frame(s, number, frame);
	return st == BH_OK ? BH_OK : fail(s, st);
}

const bh_scope *bh_spans_blamed(const bh_spans *s)
{
	return s->failed == BH_E_TAG && s->families.blames ? &s->families.blamed : NULL;
}

bh_status bh_spans_finish(bh_spans *s)
{
	bh_status st = BH_OK;

	if (s->mode != BH_SPANS_OPEN)
		return bh_fail(BH_E_INVALID, "a log being sealed has no end");
	if (s->failed != BH_OK)
		return fail_sticky(s);
	if (s->finished)
		return BH_OK;
	if (s->kind == BH_KIND_MANIFEST)
		st = bh_spans_manifest_finish(s);
	else if (s->sieve)
		st = bh_wal_sieve_end(s->sieve, !bh_log_at_boundary(&s->log));
	else if (s->quiet)
		bh_wal_quiet_end(s->quiet, s->buf, s->base);
	if (st != BH_OK)
		return fail(s, st);
	s->ready = s->len;
	s->finished = true;
	return BH_OK;
}

bh_status bh_spans_break_off(bh_spans *s)
{
	bh_status st = s->failed == BH_OK && !s->finished && s->sieve ? bh_wal_sieve_end(s->sieve, false) : BH_OK;

	s->finished = true;
	return st == BH_OK ? BH_OK : fail(s, st);
}

bh_view bh_spans_ready(const bh_spans *s)
{
	if (s->sieve)
		return bh_wal_sieve_ready(s->sieve);
	return s->buf ? bh_view_of(s->buf + s->head, s->ready - s->head) : bh_view_of(NULL, 0);
}

void bh_spans_consume(bh_spans *s, size_t len)
{
	if (s->sieve)
		bh_wal_sieve_consume(s->sieve, len);
	else
		s->head += BH_MIN(len, s->ready - s->head);
}

const bh_log_parser *bh_spans_log(const bh_spans *s)
{
	return &s->log;
}

void bh_spans_observe(bh_spans *s, bh_spans_observer fn, void *arg)
{
	s->observer = fn;
	s->observer_arg = arg;
}

bh_status bh_spans_family(bh_spans *s, uint32_t cf_id, uint8_t dek_id_out[BH_ID_LEN], bool *available_out)
{
	return bh_families_find(&s->families, cf_id, dek_id_out, available_out);
}
