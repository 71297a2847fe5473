/* SPDX-License-Identifier: Apache-2.0
 *
 * live.h: the logs that are being written: so that a reader of one does not take its end for the end of the file, so that their
 * writers can be told to forget keys, and so that a MANIFEST can be put in the place of the one that is written to.
 *
 * Lock order: a held file's own lock (hold) comes before `lock`, which comes before the writers' own locks. Appending takes `lock`
 * never. Thread-safety: all calls.
 */
#ifndef BH_LIVE_H
#define BH_LIVE_H

#include <pthread.h>

#include "env/stream/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the file that is written to lets others do with it. */
typedef struct bh_live_ops {
	/* From hold to let_go nothing is appended, synced or closed. */
	void (*hold)(void *file);
	void (*let_go)(void *file);
	/* Held: opens the file that appends go to after settle. Errors: BH_E_IO; BH_E_BUSY (the file failed before). */
	bh_status (*prepare)(void *file, const char *fresh_path);
	/* Held: from now on appends go there, by `writer`, which it takes over; what was in use before is freed. */
	void (*settle)(void *file, bh_stream_writer *writer);
} bh_live_ops;

/* All that is borrowed lives until bh_live_remove(). */
typedef struct bh_live_stream {
	bh_stream_writer *writer;
	void *file;
	const bh_live_ops *ops; /* NULL: it cannot be replaced */
} bh_live_stream;

/* One who reads a log and has keys for that; in the reader's own memory. */
typedef struct bh_live_reader {
	/* Has the keys wiped, and what was opened with them and not taken yet. May wait for a read under way. */
	void (*forget)(struct bh_live_reader *reader);
	struct bh_live_reader *next, **link;
} bh_live_reader;

struct bh_live_entry;
typedef struct bh_live {
	pthread_mutex_t lock; /* guards the entries */
	pthread_cond_t released;
	struct bh_live_entry *entries;
	size_t count;
	pthread_mutex_t reading; /* guards the list of readers; before a reader's own lock */
	bh_live_reader *readers;
} bh_live;

void bh_live_init(bh_live *live);
void bh_live_clear(bh_live *live);
/* Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_live_add(bh_live *live, const char *path, const bh_live_stream *stream);
/* Idempotent. Waits until nobody holds it. */
void bh_live_remove(bh_live *live, const char *path);
bool bh_live_has(bh_live *live, const char *path);
/* The same; *end_out, if it is there: how far frames have reached the file, bytes from its beginning. */
bool bh_live_end(bh_live *live, const char *path, uint64_t *end_out);
void bh_live_reader_add(bh_live *live, bh_live_reader *reader);
void bh_live_reader_remove(bh_live *live, bh_live_reader *reader);
/* Has every writer wipe its expanded keys, and every reader what it has. */
void bh_live_forget_keys(bh_live *live);

/* Holds the file: nothing is appended to it until bh_live_release(). False: it is not being written, or cannot be replaced. */
bool bh_live_hold(bh_live *live, const char *path, bh_live_stream *out);
/* Held: the file is written by `writer` from now on (ops->settle). */
void bh_live_switch(bh_live *live, const char *path, bh_stream_writer *writer);
void bh_live_release(bh_live *live, const char *path);

#ifdef __cplusplus
}
#endif
#endif
