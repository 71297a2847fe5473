/* SPDX-License-Identifier: Apache-2.0
 *
 * page_window.h: the bytes that come next, opened ahead for who reads a paged file from front to back. Pure computation: no I/O
 * here.
 *
 * RocksDB reads a table block by block, also in a compaction, and leaves reading ahead to the kernel. Blocks and pages do not
 * align, so each page would be read and opened again for every block that touches it. From the third read on that begins where the
 * one before ended, larger ranges (8 KiB, doubling up to 64 KiB) are opened at once into a window, and reads are served out of it.
 *
 * The window holds authenticated plaintext, as the block cache does. It is wiped and given back when the file's end was handed up,
 * when 64 reads went elsewhere since the last one in the row, and with the file. No more than 64 files of a process have one at a
 * time: 4 MiB.
 *
 * Thread-safety: all calls may come from many threads. The window is one thread's at a time, and nobody waits for it: who does not
 * get it reads as if there was none.
 */
#ifndef BH_PAGE_WINDOW_H
#define BH_PAGE_WINDOW_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_page_window bh_page_window;

/* For a file of `size` logical bytes. Takes no memory for bytes yet. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_page_window_new(uint64_t size, bh_page_window **out);
/* Nobody may be reading. NULL-safe. */
void bh_page_window_free(bh_page_window *w);

/* What is to be opened into the window: [off, off + len) to `buffer`, which is the caller's until bh_page_window_fill(). */
typedef struct bh_page_ahead {
	uint64_t off;
	size_t len; /* 0: nothing */
	uint8_t *buffer;
} bh_page_ahead;

/* A read of [off, off + len) into `dst`. Returns how many bytes were served: all that the file has of them. 0: none; where
 * ahead_out->len is 0 the caller reads them itself, else it owes a bh_page_window_fill(). */
size_t bh_page_window_take(bh_page_window *w, uint64_t off, size_t len, uint8_t *dst, bh_page_ahead *ahead_out);
/* Ends what _take() asked for: `have` bytes are in the buffer (0: it failed; what is in there is wiped). Serves the read, as there;
 * 0 if it failed. */
size_t bh_page_window_fill(bh_page_window *w, const bh_page_ahead *ahead, size_t have, size_t len, uint8_t *dst);

#ifdef __cplusplus
}
#endif
#endif
