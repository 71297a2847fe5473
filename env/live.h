/* SPDX-License-Identifier: Apache-2.0
 *
 * live.h: the logs that are being written: so that a reader of one does not take its end for the end of the file, and so that their
 * writers can be told to forget keys.
 *
 * Lock order: `lock` comes before the writers' own locks. Appending takes it never. Thread-safety: all calls.
 */
#ifndef BH_LIVE_H
#define BH_LIVE_H

#include <pthread.h>

#include "stream.h"

typedef struct bh_live_stream {
	char *path; /* owned */
	bh_stream_writer *writer;
} bh_live_stream;

typedef struct bh_live {
	pthread_mutex_t lock; /* guards the rest */
	bh_live_stream *streams;
	size_t count;
} bh_live;

void bh_live_init(bh_live *live);
void bh_live_clear(bh_live *live);
/* `writer` is borrowed until bh_live_remove(). Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_live_add(bh_live *live, const char *path, bh_stream_writer *writer);
void bh_live_remove(bh_live *live, const char *path); /* idempotent */
bool bh_live_has(bh_live *live, const char *path);
/* Has every writer wipe its expanded keys. */
void bh_live_forget_keys(bh_live *live);

#endif
