/* SPDX-License-Identifier: Apache-2.0
 *
 * page_readers_state.h: what the registry of open paged files is made of, for page_readers.c and page_leaving.c.
 */
#ifndef BH_PAGE_READERS_STATE_H
#define BH_PAGE_READERS_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "page_readers.h"

#define BUCKETS 1024u /* databases have up to some ten thousand files */
#define SLOT_BIT (1ull << 63)

typedef struct file_id {
	dev_t dev;
	ino_t ino;
} file_id;

typedef struct source {
	bh_page_source face; /* first: what readers are given */
	bh_page_file *file;
	void (*close)(void *below);
	_Atomic uint64_t left; /* how many have entered and left */
	uint64_t entered;      /* how many will have left, once nobody enters any more; as the next, of one that was voided */
	struct source *next;
} source;

struct bh_page_reader {
	_Atomic uint64_t word; /* SLOT_BIT: which slot; below: how many have entered it */
	source *slots[2];
	bh_page_readers *readers;
	file_id id;           /* under the table's lock */
	bh_page_reader *next; /* in its bucket, under the table's lock */
	const bh_page_below_ops *ops;
	void *arg;
	char merchant[BH_NAME_MAX + 1]; /* "": nobody's that leaves */
};

struct bh_page_claim {
	bh_page_readers *readers;
	file_id id;                /* under the table's lock, as all that follows */
	bool made;                 /* and is being written, */
	uint8_t dek_id[BH_ID_LEN]; /* under this DEK, */
	char merchant[BH_NAME_MAX + 1];
	bh_page_writer *writer; /* by this; who is `inside` has it */
	_Atomic bool voided;
	atomic_flag inside;
	bh_page_claim *next;
};

struct bh_page_readers {
	pthread_rwlock_t names;   /* shared: files are opened, made, measured, closed; exclusive: a name is exchanged */
	pthread_mutex_t table;    /* guards the rest */
	bh_page_claim *claims;    /* few: files being written */
	bh_page_leaving *leaving; /* borrowed */
	source gone;              /* of who is voided */
	bh_page_reader *buckets[BUCKETS];
};

/* The one that the word names. Under the table's lock, or where nobody switches. */
static inline source *source_of(const bh_page_reader *reader)
{
	return reader->slots[atomic_load_explicit(&reader->word, memory_order_relaxed) >= SLOT_BIT];
}

static inline bool is_voided(const bh_page_reader *reader)
{
	return source_of(reader) == &reader->readers->gone;
}

/* Waits until everybody has left who had entered it, and closes it. NULL-safe; the registry's own stays. */
void bh_page_source_end(source *s);

#endif
