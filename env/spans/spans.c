/* SPDX-License-Identifier: Apache-2.0
 *
 * spans.c: the span codec's buffer and its WAL side; see spans.h. The MANIFEST side is spans_manifest.c.
 */
#include "spans.h"

#include <stdlib.h>

#include "crc32c.h"
#include "spans_internal.h"

#define BUFFER_MIN (64u * 1024)

bh_status bh_spans_new(bh_file_kind kind, bh_spans_mode mode, const uint8_t salt[BH_SALT_LEN], const bh_scopes *scopes,
		       bh_spans **out)
{
	bh_status st;
	bh_spans *s;

	if (kind != BH_KIND_WAL && kind != BH_KIND_MANIFEST)
		return bh_fail(BH_E_INVALID, "a file of kind %d has no spans", (int)kind);
	s = calloc(1, sizeof(*s));
	if (!s)
		return bh_fail(BH_E_NOMEM, "no memory for a span codec");
	s->kind = kind;
	s->mode = mode;
	bh_families_init(&s->families, salt, scopes);
	st = kind == BH_KIND_WAL && mode == BH_SPANS_OPEN && scopes->sieves_logs ? bh_wal_sieve_new(&s->sieve) : BH_OK;
	if (st == BH_OK)
		*out = s;
	else
		bh_spans_free(s);
	return st;
}

/* Plaintext passes through the buffer, so no memory of it goes back to the heap as it is. */
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
	bh_wal_sieve_free(s->sieve);
	bh_spans_manifest_clear(&s->manifest);
	bh_families_clear(&s->families);
	bh_wipe(s, sizeof(*s));
	free(s);
}

/* Wipes what the move leaves behind: of a MANIFEST being sealed it is plaintext. */
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

void bh_spans_forget(bh_spans *s)
{
	bh_families_forget(&s->families);
}

void bh_spans_rebind(bh_spans *s, const bh_scopes *scopes)
{
	s->families.scopes = scopes;
	bh_families_forget(&s->families);
}

bh_status bh_spans_key(bh_spans *s, uint32_t cf_id, bh_ctr **out)
{
	return s->mode == BH_SPANS_SEAL ? bh_families_seal(&s->families, cf_id, out) : bh_families_open(&s->families, cf_id, out);
}

bh_status bh_spans_apply(bh_spans *s, uint32_t cf_id, bh_ctr *ctr, size_t at, size_t len)
{
	if (s->observer)
		s->observer(s->observer_arg, s->base + at, len, cf_id);
	if (s->mode == BH_SPANS_SEAL)
		bh_families_sealed(&s->families, cf_id, len);
	if (ctr)
		return bh_span_run_add(&s->run, ctr, s->buf, s->base, at, len);
	memset(s->buf + at, 0, len);
	return BH_OK;
}

static bh_status wal_payload(bh_spans *s, size_t at, size_t len)
{
	while (len > 0) {
		bh_ctr *ctr;
		bh_wal_piece piece;

		BH_TRY(bh_wal_next(&s->wal, s->buf + at, len, &piece));
		at += piece.skip;
		if (piece.len > 0) {
			BH_TRY(bh_spans_key(s, piece.cf_id, &ctr));
			s->of_use |= ctr != NULL;
			BH_TRY(bh_spans_apply(s, piece.cf_id, ctr, at, piece.len));
		}
		at += piece.len;
		len -= piece.skip + piece.len;
	}
	return BH_OK;
}

/* The fragment that ends at buf[end] is as RocksDB wrote it, but for its CRC. */
static bh_status show_fragment(bh_spans *s, size_t end)
{
	size_t begin = (size_t)(s->fragment_off - s->base);

	BH_TRY(bh_span_run_flush(&s->run, s->buf, s->base));
	if (s->sieve)
		return bh_wal_sieve_add(s->sieve, bh_view_of(s->buf + begin + BH_LOG_HEADER, end - begin - BH_LOG_HEADER));
	bh_log_fill_crc(s->buf + begin, end - begin);
	return BH_OK;
}

static bh_status wal_piece(bh_spans *s, const bh_log_piece *piece, size_t at)
{
	size_t end = at + piece->len;

	if (piece->record_begin) {
		bh_wal_begin(&s->wal);
		s->of_use = false;
	}
	if (piece->what == BH_LOG_IS_PAYLOAD)
		BH_TRY(wal_payload(s, at, piece->len));
	if (piece->record_end)
		BH_TRY(bh_wal_end(&s->wal));
	if (s->mode == BH_SPANS_SEAL)
		return BH_OK;
	if (piece->fragment_end)
		BH_TRY(show_fragment(s, end));
	if (piece->fragment_end || piece->what == BH_LOG_IS_TRAILER)
		s->ready = end;
	if (!s->sieve)
		return BH_OK;
	s->head = s->ready;
	if (piece->record_end)
		return bh_wal_sieve_record(s->sieve, s->of_use || s->wal.bare);
	return BH_OK;
}

/* The CRC gives away the plaintext it covers: sealed files have zeros there. Sealed input has them already. */
static void note_header(bh_spans *s, const bh_log_piece *piece, size_t at)
{
	if (piece->header_at == 0)
		s->fragment_off = s->base + at;
	if (piece->header_at < BH_LOG_CRC)
		memset(s->buf + at, 0, BH_MIN(piece->len, (size_t)(BH_LOG_CRC - piece->header_at)));
}

/* Sealing: the last look at the CRC that RocksDB made. What was damaged in memory since would be authenticated as it is. */
static bh_status check_crc(bh_spans *s, const bh_log_piece *piece, size_t at)
{
	if (piece->header_end)
		s->fragment_crc = bh_crc32c(0, s->log.header + 6, 1);
	else if (piece->what == BH_LOG_IS_PAYLOAD)
		s->fragment_crc = bh_crc32c(s->fragment_crc, s->buf + at, piece->len);
	if (piece->fragment_end && bh_crc32c_mask(s->fragment_crc) != bh_get_u32(s->log.header))
		return bh_fail(BH_E_FORMAT,
			       "log record at %llu: its checksum differs: it was damaged in memory, before it was sealed",
			       (unsigned long long)s->fragment_off);
	return BH_OK;
}

static bh_status take(bh_spans *s, size_t at)
{
	while (at < s->len) {
		bh_log_piece piece;

		BH_TRY(bh_log_next(&s->log, s->buf + at, s->len - at, &piece));
		if (s->mode == BH_SPANS_SEAL)
			BH_TRY(check_crc(s, &piece, at));
		if (piece.what == BH_LOG_IS_HEADER)
			note_header(s, &piece, at);
		if (s->kind == BH_KIND_WAL)
			BH_TRY(wal_piece(s, &piece, at));
		else
			BH_TRY(bh_spans_manifest_piece(s, &piece, at));
		at += piece.len;
	}
	BH_TRY(bh_span_run_flush(&s->run, s->buf, s->base));
	if (s->kind == BH_KIND_WAL && s->mode == BH_SPANS_SEAL)
		s->ready = s->len;
	return BH_OK;
}

/* What was not final when the error came never leaves: when sealing it may still be plaintext. */
static bh_status fail(bh_spans *s, bh_status st)
{
	s->failed = st;
	s->run.ctr = NULL;
	if (s->len > s->ready)
		bh_wipe(s->buf + s->ready, s->len - s->ready);
	s->len = s->ready;
	return st;
}

bh_status bh_spans_feed(bh_spans *s, bh_view data)
{
	bh_status st;
	size_t at;

	if (s->failed != BH_OK)
		return bh_fail(s->failed, "log refused after an earlier error");
	if (s->finished)
		return bh_fail(BH_E_INVALID, "log bytes after the end of the log");
	if (data.len == 0)
		return BH_OK;
	st = bh_spans_reserve(s, data.len);
	if (st != BH_OK)
		return fail(s, st);
	/* A family's DEK may change only between bytes that leave apart: its announcement goes before all that is ready. */
	if (s->head == s->ready)
		s->families.epoch++;
	at = s->len;
	memcpy(s->buf + at, data.data, data.len);
	s->len += data.len;
	st = take(s, at);
	return st == BH_OK ? BH_OK : fail(s, st);
}

bh_status bh_spans_finish(bh_spans *s)
{
	bh_status st = BH_OK;

	if (s->mode != BH_SPANS_OPEN)
		return bh_fail(BH_E_INVALID, "a log being sealed has no end");
	if (s->failed != BH_OK)
		return bh_fail(s->failed, "log refused after an earlier error");
	if (s->finished)
		return BH_OK;
	if (s->kind == BH_KIND_MANIFEST)
		st = bh_spans_manifest_finish(s);
	else if (s->sieve)
		st = bh_wal_sieve_end(s->sieve, !bh_log_at_boundary(&s->log));
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

const bh_announcement *bh_spans_announcements(const bh_spans *s, size_t *count_out)
{
	*count_out = s->families.pending_count;
	return s->families.pending;
}

void bh_spans_announcements_clear(bh_spans *s)
{
	s->families.pending_count = 0;
}

bh_status bh_spans_announced(bh_spans *s, const bh_announcement *a)
{
	if (s->mode != BH_SPANS_OPEN)
		return bh_fail(BH_E_INVALID, "a log being sealed takes no announcements");
	return bh_families_announced(&s->families, a);
}

void bh_spans_observe(bh_spans *s, bh_spans_observer fn, void *arg)
{
	s->observer = fn;
	s->observer_arg = arg;
}

bh_status bh_spans_family(bh_spans *s, uint32_t cf_id, uint8_t dek_id_out[BH_ID_LEN], bool *available_out)
{
	bh_ctr *ctr;

	if (!bh_families_find(&s->families, cf_id, dek_id_out))
		return bh_fail(BH_E_NOT_FOUND, "no key of column family %u was announced", (unsigned)cf_id);
	BH_TRY(bh_families_open(&s->families, cf_id, &ctr));
	*available_out = ctr != NULL;
	return BH_OK;
}
