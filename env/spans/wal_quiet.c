/* SPDX-License-Identifier: Apache-2.0
 *
 * wal_quiet.c: see wal_quiet.h.
 */
#include "wal_quiet.h"

#include "env/format/scopes.h"
#include "logfmt.h"

#define TAG_DELETE_RANGE 0x0e
#define TAG_NOOP 0x0d

void bh_wal_quiet_clear(bh_wal_quiet *q)
{
	bh_buf_clear(&q->runs);
}

bh_status bh_wal_quiet_blank(bh_wal_quiet *q, uint64_t off, size_t len)
{
	const bh_wal_run run = { off, off + len };

	return len > 0 ? bh_buf_append(&q->runs, &run, sizeof(run)) : BH_OK;
}

/* Asked in order. */
static bool is_blank(bh_wal_quiet *q, uint64_t off)
{
	const size_t count = q->runs.len / sizeof(bh_wal_run);
	bh_wal_run run;

	for (; q->run < count; q->run++) {
		memcpy(&run, q->runs.data + q->run * sizeof(run), sizeof(run));
		if (off < run.end)
			return off >= run.begin;
	}
	q->runs.len = 0;
	q->run = 0;
	return false;
}

/* What one byte that is no span was. */
static void follow(bh_wal_quiet *q, const bh_wal_parser *before, uint8_t *at, uint64_t off)
{
	if (before->state == BH_WAL_TAG) {
		q->tag_at = off;
		q->first = true;
		q->decided = q->blank = false;
	}
	if (before->state != BH_WAL_LENGTH)
		return;
	q->length_at[before->varint_len] = off;
	q->length_len = before->varint_len + 1;
	q->first = q->first && q->parser.strings_left == before->strings_left; /* else it was empty */
	if (q->blank)
		*at = TAG_NOOP;
}

/* The first span byte of an entry lies at `off`, and is blank. Two empty strings take two bytes; where the first one was empty, the
 * first of these has passed. */
static void silence(bh_wal_quiet *q, uint8_t *buf, uint64_t base, uint64_t off)
{
	const unsigned zeros = q->first ? 2 : 1;

	buf[q->tag_at - base] = TAG_DELETE_RANGE;
	for (uint8_t i = 0; i < q->length_len; i++)
		buf[q->length_at[i] - base] = i < zeros ? 0 : TAG_NOOP;
	buf[off - base] = q->length_len < zeros ? 0 : TAG_NOOP;
}

/* Up to `len` bytes of a span; returns how many. */
static size_t take_span(bh_wal_quiet *q, uint8_t *buf, uint64_t base, uint64_t off, size_t len)
{
	uint8_t *at = buf + (off - base);
	size_t done = 0;

	if (!q->decided) {
		q->decided = true;
		q->blank = is_blank(q, off);
		if (q->blank) {
			silence(q, buf, base, off);
			done = 1;
		}
	}
	if (q->blank)
		memset(at + done, TAG_NOOP, len - done);
	bh_wal_span(&q->parser, (uint32_t)len);
	return len;
}

/* One byte, or a run of a span. */
static bh_status take_some(bh_wal_quiet *q, uint8_t *buf, uint64_t base, uint64_t off, size_t len, size_t *len_out)
{
	const bh_wal_parser before = q->parser;
	uint8_t *at = buf + (off - base);
	bh_wal_piece piece;

	if (before.state == BH_WAL_STRING && before.cf_id != BH_CF_DEFAULT) {
		*len_out = take_span(q, buf, base, off, BH_MIN(len, (size_t)before.left));
		q->first = q->first && q->parser.strings_left == before.strings_left;
		return BH_OK;
	}
	BH_TRY(bh_wal_next(&q->parser, at, 1, &piece));
	follow(q, &before, at, off);
	*len_out = 1;
	return BH_OK;
}

static bool waits(const bh_wal_quiet *q)
{
	return bh_wal_in_entry(&q->parser) && (q->parser.state == BH_WAL_FAMILY || q->parser.cf_id != BH_CF_DEFAULT) &&
	       !q->decided && q->waiting_count < BH_WAL_QUIET_WAITING_MAX;
}

void bh_wal_quiet_end(bh_wal_quiet *q, uint8_t *buf, uint64_t base)
{
	for (unsigned i = 0; i < q->waiting_count; i++)
		bh_log_fill_crc(buf + (q->waiting[i].begin - base), (size_t)(q->waiting[i].end - q->waiting[i].begin));
	q->waiting_count = 0;
}

bh_status bh_wal_quiet_fragment(bh_wal_quiet *q, uint8_t *buf, uint64_t base, bh_wal_run fragment, bool record_end)
{
	size_t n;

	if (q->parser.state == BH_WAL_OUTSIDE)
		bh_wal_begin(&q->parser);
	for (uint64_t off = fragment.begin + BH_LOG_HEADER; off < fragment.end; off += n)
		BH_TRY(take_some(q, buf, base, off, (size_t)(fragment.end - off), &n));
	if (record_end)
		BH_TRY(bh_wal_end(&q->parser));
	q->waiting[q->waiting_count++] = fragment;
	if (!waits(q))
		bh_wal_quiet_end(q, buf, base);
	return BH_OK;
}
