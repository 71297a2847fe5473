/* SPDX-License-Identifier: Apache-2.0
 *
 * repeats.c: see repeats.h.
 */
#include "repeats.h"

#include <pthread.h>
#include <stdlib.h>

/* Of one merchant. */
typedef struct repeat {
	uint8_t merchant_id[BH_ID_LEN];
	bh_status outcome;
	int64_t from_ms, until_ms; /* the span; a clock that was set back is not in it */
	uint64_t count;            /* of answers that the log has not been told of */
	bh_audit_batch last;       /* the entry of the last of them, with that count; empty where there is none */
} repeat;

struct bh_repeats {
	int64_t span_ms;
	pthread_mutex_t lock;
	repeat *list; /* sorted by merchant id */
	size_t count, room;
};

bh_status bh_repeats_new(int64_t span_ms, bh_repeats **out)
{
	bh_repeats *repeats = calloc(1, sizeof(*repeats));

	if (repeats == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the answers of KMSs");
	repeats->span_ms = span_ms != 0 ? span_ms : BH_REPEATS_SPAN_MS;
	pthread_mutex_init(&repeats->lock, NULL);
	*out = repeats;
	return BH_OK;
}

void bh_repeats_free(bh_repeats *repeats)
{
	if (repeats == NULL)
		return;
	for (size_t i = 0; i < repeats->count; i++)
		bh_audit_batch_clear(&repeats->list[i].last);
	free(repeats->list);
	pthread_mutex_destroy(&repeats->lock);
	free(repeats);
}

/* The list; the caller holds the lock. */

/* Where the merchant's is, or would be. */
static size_t place_of(const bh_repeats *repeats, const uint8_t merchant_id[BH_ID_LEN])
{
	size_t low = 0, high = repeats->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (memcmp(repeats->list[middle].merchant_id, merchant_id, BH_ID_LEN) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static repeat *find(const bh_repeats *repeats, const uint8_t merchant_id[BH_ID_LEN])
{
	const size_t at = place_of(repeats, merchant_id);

	return at < repeats->count && memcmp(repeats->list[at].merchant_id, merchant_id, BH_ID_LEN) == 0 ? &repeats->list[at]
													 : NULL;
}

/* NULL: no memory. */
static repeat *insert(bh_repeats *repeats, const uint8_t merchant_id[BH_ID_LEN])
{
	const size_t at = place_of(repeats, merchant_id);

	if (repeats->count == repeats->room) {
		const size_t room = repeats->room > 0 ? 2 * repeats->room : 16;
		repeat *grown = realloc(repeats->list, room * sizeof(*grown));

		if (grown == NULL)
			return NULL;
		repeats->list = grown;
		repeats->room = room;
	}
	memmove(repeats->list + at + 1, repeats->list + at, (repeats->count - at) * sizeof(*repeats->list));
	repeats->count++;
	repeats->list[at] = (repeat){ 0 };
	memcpy(repeats->list[at].merchant_id, merchant_id, BH_ID_LEN);
	return &repeats->list[at];
}

static void take_out(bh_repeats *repeats, repeat *r)
{
	bh_audit_batch_clear(&r->last);
	memmove(r, r + 1, (size_t)(repeats->list + repeats->count - (r + 1)) * sizeof(*r));
	repeats->count--;
}

/* Answers */

static bool covers(const repeat *r, const bh_audit_event *event, int64_t now_ms)
{
	return r->outcome == event->outcome && now_ms >= r->from_ms && now_ms < r->until_ms;
}

/* In place of the entry of the one before. */
static bh_status count_in(repeat *r, const bh_audit *audit, bh_audit_event *event)
{
	BH_CLEANUP(bh_audit_batch_clear) bh_audit_batch last = { 0 };

	event->count = r->count + 1;
	event->until_ms = 0;
	BH_TRY(bh_audit_batch_add(audit, &last, event));
	bh_audit_batch_clear(&r->last);
	r->last = last;
	last = (bh_audit_batch){ 0 };
	r->count++;
	return BH_OK;
}

static bh_status begin_span(const bh_repeats *repeats, repeat *r, const bh_audit *audit, bh_audit_event *event, int64_t now_ms,
			    bh_audit_batch *batch)
{
	event->count = 1;
	event->until_ms = now_ms + repeats->span_ms;
	if (r != NULL && r->outcome == event->outcome)
		event->count += r->count;
	else if (r != NULL) {
		BH_TRY(bh_audit_batch_move(batch, &r->last));
		r->count = 0;
	}
	return bh_audit_batch_add(audit, batch, event);
}

bh_status bh_repeats_answer(bh_repeats *repeats, const uint8_t merchant_id[BH_ID_LEN], const bh_audit *audit, bh_audit_event *event,
			    bh_audit_batch *batch)
{
	const int64_t now_ms = bh_audit_now_ms();

	pthread_mutex_lock(&repeats->lock);
	repeat *r = find(repeats, merchant_id);
	bh_status status = r != NULL && covers(r, event, now_ms) ? count_in(r, audit, event)
								 : begin_span(repeats, r, audit, event, now_ms, batch);
	pthread_mutex_unlock(&repeats->lock);
	return status;
}

/* Without memory for it no span covers the next answer, which is told by itself then. */
void bh_repeats_told(bh_repeats *repeats, const uint8_t merchant_id[BH_ID_LEN], const bh_audit_event *event)
{
	pthread_mutex_lock(&repeats->lock);
	repeat *r = find(repeats, merchant_id);
	if (r == NULL)
		r = insert(repeats, merchant_id);
	if (r != NULL) {
		bh_audit_batch_clear(&r->last);
		r->count = 0;
		r->outcome = event->outcome;
		r->until_ms = event->until_ms;
		r->from_ms = event->until_ms - repeats->span_ms;
	}
	pthread_mutex_unlock(&repeats->lock);
}

bh_status bh_repeats_end(bh_repeats *repeats, const uint8_t merchant_id[BH_ID_LEN], bh_audit_batch *batch)
{
	bh_status status = BH_OK;

	pthread_mutex_lock(&repeats->lock);
	repeat *r = find(repeats, merchant_id);
	if (r != NULL) {
		status = bh_audit_batch_move(batch, &r->last);
		take_out(repeats, r);
	}
	pthread_mutex_unlock(&repeats->lock);
	return status;
}

bh_status bh_repeats_end_all(bh_repeats *repeats, bh_audit_batch *batch)
{
	bh_status status = BH_OK;

	pthread_mutex_lock(&repeats->lock);
	while (repeats->count > 0) {
		repeat *r = &repeats->list[repeats->count - 1];

		if (status == BH_OK)
			status = bh_audit_batch_move(batch, &r->last);
		take_out(repeats, r);
	}
	pthread_mutex_unlock(&repeats->lock);
	return status;
}
