/* SPDX-License-Identifier: Apache-2.0
 *
 * page_window.c: see page_window.h.
 */
#include "page_window.h"

#include <stdatomic.h>
#include <stdlib.h>

#define AHEAD_MIN (8u * 1024)
#define AHEAD_MAX (64u * 1024)
#define RUN_MIN 2u        /* reads in a row before one is opened ahead */
#define STRANGERS_MAX 64u /* reads elsewhere, since the last one in the row, before the window goes */
#define WINDOWS_MAX 64u

struct bh_page_window {
	uint64_t size;
	/* Hints for whether it is worth it to enter; a race makes them a little wrong, and no harm is done. */
	_Atomic uint64_t next;      /* where the row goes on */
	_Atomic unsigned run;       /* reads in a row, RUN_MIN at most */
	_Atomic unsigned strangers; /* reads elsewhere */
	_Atomic bool filled;        /* there is a buffer */
	atomic_flag busy;           /* taken: somebody is inside, whose alone everything below is */
	uint8_t *buffer;            /* AHEAD_MAX bytes, or NULL */
	uint64_t off;               /* of the buffer's first byte in the file */
	size_t have;                /* bytes in it that count */
	size_t dirty;               /* bytes of it that ever held some */
	size_t ahead;               /* size of the last fill; 0: none yet */
};

static _Atomic unsigned windows;

bh_status bh_page_window_new(uint64_t size, bh_page_window **out)
{
	bh_page_window *w = calloc(1, sizeof(*w));

	if (!w)
		return bh_fail(BH_E_NOMEM, "no memory to open a page file");
	w->size = size;
	atomic_init(&w->next, UINT64_MAX);
	atomic_flag_clear(&w->busy);
	*out = w;
	return BH_OK;
}

static bool enter(bh_page_window *w)
{
	return !atomic_flag_test_and_set_explicit(&w->busy, memory_order_acquire);
}

static void leave(bh_page_window *w)
{
	atomic_flag_clear_explicit(&w->busy, memory_order_release);
}

/* Inside. */
static void give_back(bh_page_window *w)
{
	if (!w->buffer)
		return;
	bh_wipe(w->buffer, w->dirty);
	free(w->buffer);
	w->buffer = NULL;
	w->have = w->dirty = w->ahead = 0;
	atomic_store_explicit(&w->filled, false, memory_order_relaxed);
	atomic_fetch_sub_explicit(&windows, 1, memory_order_relaxed);
}

void bh_page_window_free(bh_page_window *w)
{
	if (!w)
		return;
	give_back(w);
	free(w);
}

/* Inside. */
static bool have_buffer(bh_page_window *w)
{
	if (w->buffer)
		return true;
	if (atomic_fetch_add_explicit(&windows, 1, memory_order_relaxed) < WINDOWS_MAX)
		w->buffer = malloc(AHEAD_MAX);
	if (!w->buffer) {
		atomic_fetch_sub_explicit(&windows, 1, memory_order_relaxed);
		return false;
	}
	atomic_store_explicit(&w->filled, true, memory_order_relaxed);
	return true;
}

/* Inside. All that the file has of the range has to lie in the window. */
static size_t serve(bh_page_window *w, uint64_t off, size_t len, uint8_t *dst)
{
	size_t want = (size_t)BH_MIN((uint64_t)len, w->size - off);

	if (!w->buffer || off < w->off || off - w->off > w->have || want > w->have - (size_t)(off - w->off))
		return 0;
	memcpy(dst, w->buffer + (off - w->off), want);
	if (off + want == w->size)
		give_back(w);
	return want;
}

/* Inside. What to open next; nothing for reads that are large themselves. */
static bh_page_ahead plan(bh_page_window *w, uint64_t off, size_t len)
{
	size_t ahead = w->ahead ? BH_MIN(2 * w->ahead, (size_t)AHEAD_MAX) : AHEAD_MIN;

	while (ahead < AHEAD_MAX && ahead / 2 < len)
		ahead *= 2;
	if (ahead / 2 < len || !have_buffer(w))
		return (bh_page_ahead){ 0 };
	w->have = 0;
	w->ahead = ahead;
	ahead = (size_t)BH_MIN((uint64_t)ahead, w->size - off);
	w->dirty = BH_MAX(w->dirty, ahead);
	return (bh_page_ahead){ .off = off, .len = ahead, .buffer = w->buffer };
}

typedef enum place {
	ELSEWHERE, /* nothing to do with the window */
	IN_A_ROW,
	NO_ROW_LEFT, /* elsewhere, and the row that the window was for has ended */
} place;

static place place_of(bh_page_window *w, uint64_t off, size_t len)
{
	bool on = atomic_load_explicit(&w->next, memory_order_relaxed) == off;
	bool filled = atomic_load_explicit(&w->filled, memory_order_relaxed);
	unsigned run = on ? atomic_load_explicit(&w->run, memory_order_relaxed) + 1 : 0;
	unsigned strangers = on ? 0 : atomic_load_explicit(&w->strangers, memory_order_relaxed) + 1;

	/* Others reading here and there do not end a row. */
	if (!on && filled && strangers < STRANGERS_MAX) {
		atomic_store_explicit(&w->strangers, strangers, memory_order_relaxed);
		return ELSEWHERE;
	}
	atomic_store_explicit(&w->next, off + len, memory_order_relaxed);
	atomic_store_explicit(&w->run, BH_MIN(run, RUN_MIN), memory_order_relaxed);
	atomic_store_explicit(&w->strangers, 0, memory_order_relaxed);
	if (!on)
		return filled ? NO_ROW_LEFT : ELSEWHERE;
	return run >= RUN_MIN ? IN_A_ROW : ELSEWHERE;
}

size_t bh_page_window_take(bh_page_window *w, uint64_t off, size_t len, uint8_t *dst, bh_page_ahead *ahead_out)
{
	place where = off < w->size && len > 0 ? place_of(w, off, len) : ELSEWHERE;
	size_t served = 0;

	*ahead_out = (bh_page_ahead){ 0 };
	if (where == ELSEWHERE || !enter(w))
		return 0;
	if (where == IN_A_ROW) {
		served = serve(w, off, len, dst);
		if (served == 0)
			*ahead_out = plan(w, off, len);
	} else {
		give_back(w);
	}
	if (ahead_out->len == 0)
		leave(w);
	return served;
}

size_t bh_page_window_fill(bh_page_window *w, const bh_page_ahead *ahead, size_t have, size_t len, uint8_t *dst)
{
	size_t served;

	w->off = ahead->off;
	w->have = have;
	served = serve(w, ahead->off, len, dst);
	if (served == 0)
		give_back(w);
	leave(w);
	return served;
}
