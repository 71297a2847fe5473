/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_writer.c: the writing half of stream.h.
 *
 * Invariants: frame numbers and mark sequences only grow, also over failures, so no nonce comes twice; after a failure the writer
 * is done for, because the span codec may have swallowed bytes that never became a frame. Locks: `lock` guards `written`, `marked`,
 * `scopes` and `seq`, which a sync looks at while the appender goes on; `keys_lock` guards `spans`, whose keys another thread may
 * wipe. Everything else is the appender's.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "env/spans/spans.h"
#include "stream.h"

struct bh_stream_writer {
	bh_file_key key;
	pthread_mutex_t keys_lock;
	bh_spans *spans;         /* NULL in a stream without spans */
	const bh_scopes *scopes; /* NULL: none. Under `lock` */
	bh_status failed;        /* sticky */
	bh_sync_point at;        /* frames and bytes handed out */
	uint64_t logical;        /* bytes taken in */
	pthread_mutex_t lock;
	bh_sync_point written;        /* of these, what reached the file */
	bh_sync_point marked;         /* of these, what a mark calls durable */
	uint64_t seq;                 /* of the last mark */
	_Atomic unsigned small_syncs; /* in a row, SYNCS_FOR_ROOM at most */
	uint64_t room_end;            /* the file is zeros from `at` to here; UINT64_MAX: no more of that */
};

/* Room ahead (stream.h). 128 KiB are at least eight syncs' worth, and written in a fraction of the time of one. */
#define SYNCS_FOR_ROOM 8u
#define SMALL_SYNC (16u * 1024)
#define ROOM (128u * 1024)
#define ROOM_ALIGN 4096u

static bool has_spans(bh_file_kind kind)
{
	return kind == BH_KIND_WAL || kind == BH_KIND_MANIFEST;
}

static uint64_t keyring_durable(const bh_scopes *scopes)
{
	return scopes != NULL && scopes->keyring_durable != NULL ? scopes->keyring_durable(scopes->arg) : 0;
}

static bh_status writer_init(bh_stream_writer *w, const bh_file_key *key, const bh_scopes *scopes,
			     uint8_t mark_out[BH_SYNC_MARK_LEN])
{
	bh_sync_mark mark = { .seq = 0, .point = { .frames = 0, .physical = BH_HEADER_LEN }, .keyring = keyring_durable(scopes) };

	w->at = w->written = w->marked = mark.point;
	w->scopes = scopes;
	BH_TRY(bh_sync_mark_seal(key->aead, &mark, mark_out));
	if (has_spans(key->header.kind))
		BH_TRY(bh_spans_new(BH_SPANS_SEAL, &key->header, scopes, &w->spans));
	return BH_OK;
}

bh_status bh_stream_writer_new(bh_file_key *key, const uint8_t header[BH_HEADER_LEN], const bh_scopes *scopes,
			       uint8_t header_out[BH_HEADER_LEN], bh_stream_writer **out)
{
	uint8_t mark[BH_SYNC_MARK_LEN];
	bh_stream_writer *w;
	bh_status status;

	if (bh_file_kind_is_paged(key->header.kind))
		return bh_fail(BH_E_INVALID, "a %s file is no stream", bh_file_kind_name(key->header.kind));
	w = calloc(1, sizeof(*w));
	if (!w)
		return bh_fail(BH_E_NOMEM, "no memory for a stream writer");
	status = writer_init(w, key, scopes, mark);
	if (status != BH_OK) {
		free(w);
		return status;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->keys_lock, NULL);
	w->key = *key;
	memset(key, 0, sizeof(*key));
	memmove(header_out, header, BH_HEADER_LEN);
	memcpy(header_out + BH_SYNC_MARK_OFFSET, mark, BH_SYNC_MARK_LEN);
	*out = w;
	return BH_OK;
}

void bh_stream_writer_free(bh_stream_writer *w)
{
	if (!w)
		return;
	bh_spans_free(w->spans);
	bh_file_key_clear(&w->key);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->keys_lock);
	free(w);
}

static bh_status seal_frame(bh_stream_writer *w, const bh_frame_head *head, const uint8_t *part, bh_buf *out)
{
	BH_TRY(bh_frame_seal(w->key.aead, w->at.frames, head, part, out));
	w->at.frames++;
	w->at.physical += bh_frame_size(head);
	return BH_OK;
}

/* A stream without spans: no announcements, then the bytes. Built and sealed in place. */
static bh_status append_plain(bh_stream_writer *w, bh_view data, bh_buf *out)
{
	while (data.len > 0) {
		size_t len = BH_MIN(data.len, (size_t)BH_FRAME_MAX);
		bh_frame_head head;
		uint8_t *part;

		BH_TRY(bh_frame_begin(0, 1 + len, out, &head));
		part = bh_frame_part(&head, out);
		part[0] = 0;
		memcpy(part + 1, data.data, len);
		BH_TRY(seal_frame(w, &head, part, out));
		data = bh_view_of(data.data + len, data.len - len);
	}
	return BH_OK;
}

static bh_status put_due(bh_stream_writer *w, bh_buf *out)
{
	bh_view part = bh_spans_part(w->spans);
	bh_frame_head head;
	bh_status status;

	BH_TRY(bh_frame_begin(bh_spans_sections_len(w->spans), part.len, out, &head));
	status = bh_spans_seal(w->spans, w->at.frames, bh_frame_sections(&head, out));
	if (status != BH_OK) {
		bh_frame_drop(&head, out);
		return status;
	}
	return seal_frame(w, &head, part.data, out);
}

/* Under keys_lock. */
static bh_status append_spans(bh_stream_writer *w, bh_view data, bh_buf *out)
{
	while (data.len > 0) {
		bool due = false;

		BH_TRY(bh_spans_gather(w->spans, &data, &due));
		if (due)
			BH_TRY(put_due(w, out));
	}
	return BH_OK;
}

bh_status bh_stream_writer_append(bh_stream_writer *w, bh_view data, bh_buf *out)
{
	size_t out_len = out->len;
	bh_status status;

	if (w->failed != BH_OK)
		return bh_fail(w->failed, "an earlier append to this %s failed: it cannot be continued",
			       bh_file_kind_name(w->key.header.kind));
	if (w->spans) {
		pthread_mutex_lock(&w->keys_lock);
		status = append_spans(w, data, out);
		pthread_mutex_unlock(&w->keys_lock);
	} else {
		status = append_plain(w, data, out);
	}
	if (status != BH_OK) {
		w->failed = status;
		out->len = out_len;
		return status;
	}
	w->logical += data.len;
	return BH_OK;
}

void bh_stream_writer_forget(bh_stream_writer *w)
{
	if (!w->spans)
		return;
	pthread_mutex_lock(&w->keys_lock);
	bh_spans_forget(w->spans);
	pthread_mutex_unlock(&w->keys_lock);
}

void bh_stream_writer_rebind(bh_stream_writer *w, const bh_scopes *scopes)
{
	pthread_mutex_lock(&w->lock);
	w->scopes = scopes;
	pthread_mutex_unlock(&w->lock);
	if (!w->spans)
		return;
	pthread_mutex_lock(&w->keys_lock);
	bh_spans_rebind(w->spans, scopes);
	pthread_mutex_unlock(&w->keys_lock);
}

void bh_stream_writer_written(bh_stream_writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->written = w->at;
	pthread_mutex_unlock(&w->lock);
}

bh_sync_point bh_stream_writer_point(bh_stream_writer *w)
{
	bh_sync_point point;

	pthread_mutex_lock(&w->lock);
	point = w->written;
	pthread_mutex_unlock(&w->lock);
	return point;
}

/* Under the lock. */
static void note_sync(bh_stream_writer *w, uint64_t len)
{
	unsigned before = atomic_load_explicit(&w->small_syncs, memory_order_relaxed);

	atomic_store_explicit(&w->small_syncs, len <= SMALL_SYNC ? BH_MIN(before + 1, SYNCS_FOR_ROOM) : 0, memory_order_relaxed);
}

/* Under the lock. */
static bh_status next_mark(bh_stream_writer *w, bh_sync_point point, uint8_t mark_out[BH_SYNC_MARK_LEN])
{
	bh_sync_mark mark = { .seq = ++w->seq, .point = point, .keyring = keyring_durable(w->scopes) };

	if (point.physical > w->written.physical || point.frames > w->written.frames)
		return bh_fail(BH_E_INVALID, "a sync mark for more than was written");
	BH_TRY(bh_sync_mark_seal(w->key.aead, &mark, mark_out));
	note_sync(w, point.physical - w->marked.physical);
	w->marked = point;
	return BH_OK;
}

bh_status bh_stream_writer_sync_mark(bh_stream_writer *w, bh_sync_point point, bool *needed_out, uint8_t mark_out[BH_SYNC_MARK_LEN])
{
	bh_status status = BH_OK;
	bool needed;

	pthread_mutex_lock(&w->lock);
	needed = point.physical > w->marked.physical;
	if (needed)
		status = next_mark(w, point, mark_out);
	pthread_mutex_unlock(&w->lock);
	if (status == BH_OK)
		*needed_out = needed;
	return status;
}

bh_status bh_stream_writer_mark_again(bh_stream_writer *w, uint8_t mark_out[BH_SYNC_MARK_LEN])
{
	bh_status status;

	pthread_mutex_lock(&w->lock);
	status = next_mark(w, w->marked, mark_out);
	pthread_mutex_unlock(&w->lock);
	return status;
}

size_t bh_stream_writer_room(bh_stream_writer *w, uint64_t *off_out)
{
	uint64_t off = BH_MAX(w->at.physical, w->room_end);
	uint64_t end = (w->at.physical + ROOM) / ROOM_ALIGN * ROOM_ALIGN;

	/* While a sync's worth is left, there is no hurry. */
	if (w->key.header.kind != BH_KIND_WAL || off - w->at.physical > SMALL_SYNC ||
	    atomic_load_explicit(&w->small_syncs, memory_order_relaxed) < SYNCS_FOR_ROOM)
		return 0;
	w->room_end = end;
	*off_out = off;
	return (size_t)(end - off);
}

void bh_stream_writer_no_room(bh_stream_writer *w)
{
	w->room_end = UINT64_MAX;
}

bool bh_stream_writer_room_left(const bh_stream_writer *w)
{
	return w->room_end > w->at.physical;
}

uint64_t bh_stream_writer_logical(const bh_stream_writer *w)
{
	return w->logical;
}

uint64_t bh_stream_writer_physical(const bh_stream_writer *w)
{
	return w->at.physical;
}

const bh_header *bh_stream_writer_header(const bh_stream_writer *w)
{
	return &w->key.header;
}
