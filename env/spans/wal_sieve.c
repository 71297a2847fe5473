/* SPDX-License-Identifier: Apache-2.0
 *
 * wal_sieve.c: see wal_sieve.h.
 */
#include "wal_sieve.h"

#include <stdlib.h>

#include "logfmt.h"

struct bh_wal_sieve {
	bh_buf record;   /* the one that is being collected */
	bh_buf left_out; /* the last complete one, if it was left out */
	bh_buf out;      /* the log that is shown, the first `taken` bytes of it consumed */
	size_t taken;
	uint64_t off; /* of the end of `out` in that log */
	bool begun;   /* a record has passed */
	bool held;    /* `left_out` holds one */
};

bh_status bh_wal_sieve_new(bh_wal_sieve **out)
{
	bh_wal_sieve *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the records of a log");
	*out = s;
	return BH_OK;
}

static void clear_wiped(bh_buf *buf)
{
	if (buf->data != NULL)
		bh_wipe(buf->data, buf->cap);
	bh_buf_clear(buf);
}

void bh_wal_sieve_free(bh_wal_sieve *s)
{
	if (s == NULL)
		return;
	clear_wiped(&s->record);
	clear_wiped(&s->left_out);
	clear_wiped(&s->out);
	free(s);
}

/* Room for `extra` more bytes; what the buffer leaves behind is wiped. */
static bh_status reserve(bh_buf *buf, size_t extra)
{
	BH_CLEANUP(clear_wiped) bh_buf old = { 0 };
	bh_buf grown = { 0 };

	if (extra <= buf->cap - buf->len)
		return BH_OK;
	BH_TRY(bh_buf_reserve(&grown, BH_MAX(2 * buf->cap, buf->len + extra)));
	if (buf->len > 0)
		memcpy(grown.data, buf->data, buf->len);
	grown.len = buf->len;
	old = *buf;
	*buf = grown;
	return BH_OK;
}

bh_status bh_wal_sieve_add(bh_wal_sieve *s, bh_view payload)
{
	BH_TRY(reserve(&s->record, payload.len));
	return bh_buf_append(&s->record, payload.data, payload.len);
}

/* At most: a trailer, and a header a block. */
static size_t room_of(size_t payload_len)
{
	return BH_LOG_HEADER + payload_len + BH_LOG_HEADER * (payload_len / (BH_LOG_BLOCK - BH_LOG_HEADER) + 2);
}

static bh_status show(bh_wal_sieve *s, const bh_buf *record)
{
	size_t before = s->out.len;

	BH_TRY(reserve(&s->out, room_of(record->len)));
	BH_TRY(bh_log_append_record(s->off, bh_buf_view(record), &s->out));
	s->off += s->out.len - before;
	return BH_OK;
}

bh_status bh_wal_sieve_record(bh_wal_sieve *s, bool keep)
{
	bh_buf record = s->record;

	if (keep || !s->begun) {
		BH_TRY(show(s, &record));
		s->held = false;
	} else {
		s->record = s->left_out;
		s->left_out = record;
		s->held = true;
	}
	s->record.len = 0;
	s->begun = true;
	return BH_OK;
}

bh_status bh_wal_sieve_end(bh_wal_sieve *s, bool cut)
{
	static const uint8_t zeros[BH_LOG_HEADER];
	size_t left;

	if (s->held)
		BH_TRY(show(s, &s->left_out));
	s->held = false;
	if (!cut)
		return BH_OK;
	left = BH_LOG_BLOCK - (size_t)(s->off % BH_LOG_BLOCK);
	BH_TRY(reserve(&s->out, sizeof(zeros)));
	return bh_buf_append(&s->out, zeros, left < BH_LOG_HEADER ? left + 1 : 1);
}

bh_view bh_wal_sieve_ready(const bh_wal_sieve *s)
{
	return s->out.len > 0 ? bh_view_of(s->out.data + s->taken, s->out.len - s->taken) : bh_view_of(NULL, 0);
}

void bh_wal_sieve_consume(bh_wal_sieve *s, size_t len)
{
	s->taken += BH_MIN(len, s->out.len - s->taken);
	if (s->taken == s->out.len)
		s->taken = s->out.len = 0;
}
