/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_reader.c: the reading half of stream.h, a state machine without I/O.
 *
 * Invariants: a byte is handed out only if its frame and all frames before it authenticated. Below the sync mark everything wrong
 * is an error and sticky. Above it the first wrong frame ends the stream for good: what follows is never looked at, so the prefix
 * has no hole.
 */
#include <stdlib.h>

#include "env/spans/spans.h"
#include "stream.h"

struct bh_stream_reader {
	bh_file_key key;
	bh_spans *spans; /* NULL in a raw reader or a stream without spans */
	bh_sync_point mark;
	bool raised;            /* it is another's than the file's own, who knows no frames */
	uint64_t keyring;       /* what the file's own mark says of KEYRING's */
	bh_sync_point at;       /* the frame that comes next */
	bh_buf partial;         /* its first bytes, while it is incomplete */
	bh_frame_head head;     /* of the last one that was looked at */
	bh_frame_content frame; /* the last one opened */
	bh_buf ready;           /* without spans: logical bytes, the first `taken` of them consumed */
	size_t taken;
	uint64_t consumed; /* logical bytes, all in all */
	bool sieved;       /* by the span codec: what is ready are some of the log's records */
	bool zeros;        /* nothing but zeros since `at` ... */
	uint64_t zero_len; /* ... and how many */
	bool finished;
	bh_stream_end end;
	bh_status failed;                                              /* sticky */
	void (*announced)(void *arg, const uint8_t dek_id[BH_ID_LEN]); /* NULL: nobody wants to know */
	void *announced_arg;
};

static bh_status reader_init(bh_stream_reader *r, bh_view header, const bh_scopes *scopes, bool raw)
{
	bh_sync_mark mark;
	bh_file_kind kind;

	BH_TRY(bh_header_open(header, scopes, &r->key));
	kind = r->key.header.kind;
	if (bh_file_kind_is_paged(kind))
		return bh_fail(BH_E_FORMAT, "a %s file where a stream is due", bh_file_kind_name(kind));
	BH_TRY(bh_sync_mark_open(r->key.aead, header.data + BH_SYNC_MARK_OFFSET, &mark));
	r->mark = mark.point;
	r->keyring = mark.keyring;
	r->at.physical = BH_HEADER_LEN;
	r->sieved = kind == BH_KIND_WAL && !raw && scopes->sieves_logs;
	if (kind != BH_KIND_OTHER && !raw)
		BH_TRY(bh_spans_new(BH_SPANS_OPEN, &r->key.header, scopes, &r->spans));
	return BH_OK;
}

bh_status bh_stream_reader_new(bh_view header, const bh_scopes *scopes, bool raw, bh_stream_reader **out)
{
	bh_stream_reader *r = calloc(1, sizeof(*r));
	bh_status status;

	if (!r)
		return bh_fail(BH_E_NOMEM, "no memory for a stream reader");
	status = reader_init(r, header, scopes, raw);
	if (status != BH_OK) {
		bh_stream_reader_free(r);
		return status;
	}
	*out = r;
	return BH_OK;
}

/* A buffer that held plaintext. */
static void wipe_buf(bh_buf *buf)
{
	bh_wipe(buf->data, buf->cap);
	bh_buf_clear(buf);
}

void bh_stream_reader_free(bh_stream_reader *r)
{
	if (!r)
		return;
	bh_spans_free(r->spans);
	bh_file_key_clear(&r->key);
	bh_buf_clear(&r->partial);
	wipe_buf(&r->frame.plain);
	wipe_buf(&r->ready);
	free(r);
}

bh_status bh_stream_reader_quiet(bh_stream_reader *r)
{
	return r->spans ? bh_spans_quiet(r->spans) : BH_OK;
}

const bh_file_key *bh_stream_reader_key(const bh_stream_reader *r)
{
	return &r->key;
}

const bh_scope *bh_stream_reader_blamed(const bh_stream_reader *r)
{
	return r->spans ? bh_spans_blamed(r->spans) : NULL;
}

static bool below_mark(const bh_stream_reader *r)
{
	return r->at.physical < r->mark.physical;
}

static bh_status fail_length(const bh_stream_reader *r)
{
	return bh_fail(BH_E_FORMAT, "frame %llu at offset %llu has an impossible length, though it was synced",
		       (unsigned long long)r->at.frames, (unsigned long long)r->at.physical);
}

/* The size of the frame that begins with `bytes`, BH_FRAME_HEAD_MAX at least; 0 where the stream ends instead. */
static bh_status frame_size(bh_stream_reader *r, bh_view bytes, size_t *size_out)
{
	size_t size = bh_frame_head_read(r->key.header.kind, bytes, &r->head) ? bh_frame_size(&r->head) : 0;

	if (below_mark(r) && (size == 0 || size > r->mark.physical - r->at.physical))
		return fail_length(r);
	if (size == 0)
		r->end = BH_STREAM_DAMAGED;
	*size_out = size;
	return BH_OK;
}

/* No frame begins with a zero byte. */
static bh_status begin_zeros(bh_stream_reader *r)
{
	if (below_mark(r))
		return fail_length(r);
	r->zeros = true;
	return BH_OK;
}

static bh_status gather(bh_stream_reader *r, bh_view *in, size_t want)
{
	size_t len = r->partial.len < want ? BH_MIN(want - r->partial.len, in->len) : 0;

	BH_TRY(bh_buf_append(&r->partial, in->data, len));
	*in = bh_view_of(in->data + len, in->len - len);
	return BH_OK;
}

/* A whole frame out of what was kept and `in`; `frame_out` empty: there is none. Kept bytes are dropped by the caller, with the
 * frame. */
static bh_status next_frame(bh_stream_reader *r, bh_view *in, bh_view *frame_out)
{
	size_t size = 0;

	if (r->partial.len == 0 && in->data[0] == 0)
		return begin_zeros(r);
	if (r->partial.len == 0 && in->len >= BH_FRAME_HEAD_MAX) {
		BH_TRY(frame_size(r, *in, &size));
		if (size == 0)
			return BH_OK;
		if (in->len >= size) {
			*frame_out = bh_view_of(in->data, size);
			*in = bh_view_of(in->data + size, in->len - size);
			return BH_OK;
		}
	}
	BH_TRY(gather(r, in, BH_FRAME_HEAD_MAX));
	if (r->partial.len < BH_FRAME_HEAD_MAX)
		return BH_OK;
	BH_TRY(frame_size(r, bh_buf_view(&r->partial), &size));
	if (size == 0)
		return BH_OK;
	BH_TRY(gather(r, in, size));
	if (r->partial.len == size)
		*frame_out = bh_buf_view(&r->partial);
	return BH_OK;
}

void bh_stream_reader_on_announcement(bh_stream_reader *r, void (*fn)(void *arg, const uint8_t dek_id[BH_ID_LEN]), void *arg)
{
	r->announced = fn;
	r->announced_arg = arg;
}

static void tell_announcements(const bh_stream_reader *r)
{
	for (size_t i = 0; i < bh_frame_announcement_count(&r->frame); i++) {
		bh_announcement a = bh_frame_announcement(&r->frame, i);

		r->announced(r->announced_arg, a.dek_id);
	}
}

static bh_status append_ready(bh_stream_reader *r, bh_view bytes)
{
	return bytes.len > 0 ? bh_buf_append(&r->ready, bytes.data, bytes.len) : BH_OK;
}

static bh_status hand_out(bh_stream_reader *r)
{
	if (r->key.header.kind == BH_KIND_OTHER && r->frame.announcements.len > 0)
		return bh_fail(BH_E_FORMAT, "announces keys in a stream without spans");
	if (r->announced)
		tell_announcements(r);
	if (r->spans)
		return bh_spans_open(r->spans, r->at.frames, &r->frame);
	BH_TRY(append_ready(r, r->frame.sections));
	return append_ready(r, r->frame.structure);
}

static bh_status check_count(const bh_stream_reader *r, bool synced)
{
	if (!synced || r->raised || below_mark(r) || r->at.frames == r->mark.frames)
		return BH_OK;
	return bh_fail(BH_E_FORMAT, "%llu frames up to the sync mark, which counts %llu", (unsigned long long)r->at.frames,
		       (unsigned long long)r->mark.frames);
}

/* The frame that the head was read of. */
static bh_status take_frame(bh_stream_reader *r, bh_view bytes)
{
	const bool synced = below_mark(r);
	bh_status status = bh_frame_open(r->key.aead, r->at.frames, &r->head, bytes, &r->frame);

	if (status == BH_E_TAG && !synced) {
		r->end = BH_STREAM_DAMAGED;
		return BH_OK;
	}
	if (status == BH_OK)
		status = hand_out(r);
	if (status != BH_OK)
		return bh_fail_prefix(status, "frame %llu at offset %llu", (unsigned long long)r->at.frames,
				      (unsigned long long)r->at.physical);
	r->at.frames++;
	r->at.physical += bytes.len;
	return check_count(r, synced);
}

/* A file system may have recorded a size whose data never came: zeros to the end are a torn tail, zeros with anything behind are
 * damage. */
static void take_zeros(bh_stream_reader *r, bh_view in)
{
	for (size_t i = 0; i < in.len; i++)
		if (in.data[i] != 0)
			r->end = BH_STREAM_DAMAGED;
	r->zero_len += in.len;
}

static bh_status push(bh_stream_reader *r, bh_view in)
{
	while (in.len > 0 && r->end == BH_STREAM_OPEN) {
		bh_view frame = { 0 };

		if (r->zeros) {
			take_zeros(r, in);
			return BH_OK;
		}
		BH_TRY(next_frame(r, &in, &frame));
		if (frame.len == 0)
			continue;
		BH_TRY(take_frame(r, frame));
		if (r->end == BH_STREAM_OPEN)
			r->partial.len = 0;
	}
	return BH_OK;
}

static bh_status check_usable(const bh_stream_reader *r)
{
	return r->failed == BH_OK ? BH_OK : bh_fail(r->failed, "an earlier read of this stream failed: it cannot be continued");
}

bh_status bh_stream_reader_push(bh_stream_reader *r, bh_view physical)
{
	BH_TRY(check_usable(r));
	if (r->finished)
		return bh_fail(BH_E_INVALID, "the stream was finished: it takes no more bytes");
	return r->failed = push(r, physical);
}

/* Right behind what was synced, zeros are the room that a writer makes ahead of its frames. */
static bool is_torn(const bh_stream_reader *r)
{
	bool at_mark = r->mark.frames > 0 && r->at.physical == r->mark.physical;

	return r->zeros ? !at_mark || r->zero_len < BH_STREAM_ROOM_MIN : r->partial.len > 0;
}

static bh_status finish(bh_stream_reader *r)
{
	if (below_mark(r))
		return bh_fail(BH_E_TRUNCATED, "the file ends in frame %llu at offset %llu; %llu bytes were synced",
			       (unsigned long long)r->at.frames, (unsigned long long)r->at.physical,
			       (unsigned long long)r->mark.physical);
	if (r->end == BH_STREAM_OPEN)
		r->end = is_torn(r) ? BH_STREAM_TORN : BH_STREAM_CLEAN;
	if (!r->spans)
		return BH_OK;
	/* Behind damage a cut record stays held back: what stands for the damage has to follow a whole one. */
	return r->end == BH_STREAM_DAMAGED ? bh_spans_break_off(r->spans) : bh_spans_finish(r->spans);
}

bh_status bh_stream_reader_finish(bh_stream_reader *r)
{
	BH_TRY(check_usable(r));
	if (r->finished)
		return BH_OK;
	r->finished = true;
	return r->failed = finish(r);
}

bh_view bh_stream_reader_ready(const bh_stream_reader *r)
{
	if (r->spans)
		return bh_spans_ready(r->spans);
	return r->ready.len > 0 ? bh_view_of(r->ready.data + r->taken, r->ready.len - r->taken) : bh_view_of(NULL, 0);
}

void bh_stream_reader_consume(bh_stream_reader *r, size_t len)
{
	r->consumed += len;
	if (r->spans) {
		bh_spans_consume(r->spans, len);
		return;
	}
	r->taken += len;
	if (r->taken == r->ready.len)
		r->taken = r->ready.len = 0;
}

bh_stream_end bh_stream_reader_end(const bh_stream_reader *r)
{
	return r->end;
}

/* The checksum of a stub that stands for damage is zero, which is not that of its type byte and no payload. */
size_t bh_stream_end_stub(const bh_stream_reader *r, uint8_t stub_out[BH_STREAM_STUB_MAX])
{
	/* A sieve has cut a record off by itself. */
	const bh_log_parser *log = r->spans ? bh_spans_log(r->spans) : NULL;
	bool inside = log && (r->sieved ? !bh_log_at_boundary(log) : log->header_len > 0);
	bool torn = r->end == BH_STREAM_TORN && !inside, damaged = r->end == BH_STREAM_DAMAGED;
	size_t left = BH_LOG_BLOCK - (size_t)((r->consumed + bh_stream_reader_ready(r).len) % BH_LOG_BLOCK);
	size_t trailer = left < BH_LOG_HEADER ? left : 0;

	if (r->key.header.kind != BH_KIND_WAL || !(torn || damaged))
		return 0;
	memset(stub_out, 0, BH_STREAM_STUB_MAX);
	if (damaged)
		stub_out[trailer + BH_LOG_HEADER - 1] = BH_LOG_FULL;
	return trailer + (damaged ? BH_LOG_HEADER : 1);
}

uint64_t bh_stream_reader_frame(const bh_stream_reader *r)
{
	return r->at.frames;
}

uint64_t bh_stream_reader_offset(const bh_stream_reader *r)
{
	return r->at.physical;
}

struct bh_spans *bh_stream_reader_spans(bh_stream_reader *r)
{
	return r->spans;
}

bh_sync_point bh_stream_reader_mark(const bh_stream_reader *r)
{
	return r->mark;
}

uint64_t bh_stream_reader_keyring(const bh_stream_reader *r)
{
	return r->keyring;
}

void bh_stream_reader_raise(bh_stream_reader *r, uint64_t physical)
{
	if (physical <= r->mark.physical)
		return;
	r->mark = (bh_sync_point){ .frames = BH_MAX(r->mark.frames, 1u), .physical = physical };
	r->raised = true;
}
