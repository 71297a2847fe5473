/* SPDX-License-Identifier: Apache-2.0
 *
 * page_readers.c: see page_readers.h.
 *
 * A reader's `word` says in one atomic number which of two slots has the source, and how many have entered it since it is there.
 * Entering adds one and learns the slot; leaving counts in the source. A switch writes the other slot, puts a fresh word in the
 * place of the old one, and so learns how many are to leave the old source. The claim sees to it that a slot is not written again
 * before they have.
 */
#include "page_readers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "raw_file.h"

#define BUCKETS 1024u /* databases have up to some ten thousand files */
#define SLOT_BIT (1ull << 63)
#define DRAIN_PAUSE_NS 100000 /* a read takes some microseconds, or waits for a disk */

typedef struct file_id {
	dev_t dev;
	ino_t ino;
} file_id;

typedef struct source {
	bh_page_source face; /* first: what readers are given */
	bh_page_file *file;
	void (*close)(void *below);
	_Atomic uint64_t left; /* how many have entered and left */
} source;

struct bh_page_reader {
	_Atomic uint64_t word; /* SLOT_BIT: which slot; below: how many have entered it */
	source *slots[2];
	bh_page_readers *readers;
	file_id id;           /* under the table's lock */
	bh_page_reader *next; /* in its bucket, under the table's lock */
	const bh_page_below_ops *ops;
	void *arg;
};

struct bh_page_claim {
	bh_page_readers *readers;
	file_id id;                /* under the table's lock, as all that follows */
	bool made;                 /* and is being written, */
	uint8_t dek_id[BH_ID_LEN]; /* under this DEK */
	bh_page_claim *next;
};

struct bh_page_readers {
	pthread_rwlock_t names; /* shared: files are opened, made, measured, closed; exclusive: a name is exchanged */
	pthread_mutex_t table;  /* guards the rest */
	bh_page_claim *claims;  /* few: files being written */
	bh_page_reader *buckets[BUCKETS];
};

/* ---- the registry */

bh_status bh_page_readers_new(bh_page_readers **out)
{
	bh_page_readers *readers = calloc(1, sizeof(*readers));
	pthread_rwlockattr_t attr;

	if (readers == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the table of open files");
	pthread_rwlockattr_init(&attr);
	/* Or files that are opened all the time keep a name from ever being exchanged. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&readers->names, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&readers->table, NULL);
	*out = readers;
	return BH_OK;
}

void bh_page_readers_free(bh_page_readers *readers)
{
	if (readers == NULL)
		return;
	pthread_mutex_destroy(&readers->table);
	pthread_rwlock_destroy(&readers->names);
	free(readers);
}

void bh_page_readers_hold(bh_page_readers *readers)
{
	pthread_rwlock_rdlock(&readers->names);
}

void bh_page_readers_let_go(bh_page_readers *readers)
{
	pthread_rwlock_unlock(&readers->names);
}

static file_id id_of(const struct stat *st)
{
	return (file_id){ st->st_dev, st->st_ino };
}

static bool same(file_id a, file_id b)
{
	return a.dev == b.dev && a.ino == b.ino;
}

static bh_status id_at(const char *path, file_id *out)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return bh_raw_fail(path, "looked at");
	*out = id_of(&st);
	return BH_OK;
}

static bh_page_reader **bucket_of(bh_page_readers *readers, file_id id)
{
	return &readers->buckets[(id.ino ^ id.ino >> 10) % BUCKETS];
}

/* Under the table's lock, as take_out(). */
static void put_in(bh_page_reader *reader)
{
	bh_page_reader **bucket = bucket_of(reader->readers, reader->id);

	reader->next = *bucket;
	*bucket = reader;
}

static void take_out(bh_page_reader *reader)
{
	bh_page_reader **at = bucket_of(reader->readers, reader->id);

	while (*at != reader)
		at = &(*at)->next;
	*at = reader->next;
}

/* ---- sources */

static source *source_new(bh_page_file *file, void *below, void (*close)(void *below), uint64_t serial)
{
	source *s = malloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	*s = (source){ .face = { file, below, serial }, .file = file, .close = close };
	return s;
}

static void source_free(source *s)
{
	if (s == NULL)
		return;
	bh_page_file_free(s->file);
	s->close(s->face.below);
	free(s);
}

/* The one that the word names. Under the table's lock, or where nobody switches. */
static source *source_of(const bh_page_reader *reader)
{
	return reader->slots[atomic_load_explicit(&reader->word, memory_order_relaxed) >= SLOT_BIT];
}

const bh_page_source *bh_page_reader_enter(bh_page_reader *reader)
{
	return &reader->slots[atomic_fetch_add_explicit(&reader->word, 1, memory_order_acquire) >= SLOT_BIT]->face;
}

void bh_page_reader_leave(const bh_page_source *entered)
{
	source *s = (source *)(uintptr_t)entered; /* const to the caller; its first member */

	atomic_fetch_add_explicit(&s->left, 1, memory_order_release);
}

/* ---- readers */

bh_status bh_page_reader_new(bh_page_readers *readers, const char *path, bh_page_file *file, void *below,
			     const bh_page_below_ops *ops, void *arg, bh_page_reader **out)
{
	bh_page_reader *reader;
	file_id id = { 0 };

	BH_TRY(id_at(path, &id));
	reader = malloc(sizeof(*reader));
	if (reader == NULL)
		return bh_fail(BH_E_NOMEM, "no memory to open a page file");
	*reader = (bh_page_reader){ .readers = readers, .id = id, .ops = ops, .arg = arg };
	reader->slots[0] = source_new(file, below, ops->close, 0);
	if (reader->slots[0] == NULL) {
		free(reader);
		return bh_fail(BH_E_NOMEM, "no memory to open a page file");
	}
	pthread_mutex_lock(&readers->table);
	put_in(reader);
	pthread_mutex_unlock(&readers->table);
	*out = reader;
	return BH_OK;
}

void bh_page_reader_free(bh_page_reader *reader)
{
	bh_page_readers *readers;

	if (reader == NULL)
		return;
	readers = reader->readers;
	bh_page_readers_hold(readers); /* so that it is not being switched */
	pthread_mutex_lock(&readers->table);
	take_out(reader);
	pthread_mutex_unlock(&readers->table);
	bh_page_readers_let_go(readers);
	source_free(source_of(reader));
	free(reader);
}

/* ---- claims */

/* Under the table's lock. */
static const bh_page_claim *find(const bh_page_readers *readers, file_id id)
{
	const bh_page_claim *claim = readers->claims;

	while (claim != NULL && !same(claim->id, id))
		claim = claim->next;
	return claim;
}

/* `dek_id`: of a file that was made; NULL: of one that others may have, *out is NULL if somebody has it. */
static bh_status claim(bh_page_readers *readers, file_id id, const uint8_t *dek_id, bh_page_claim **out)
{
	bh_page_claim *made = malloc(sizeof(*made));

	if (made == NULL)
		return bh_fail(BH_E_NOMEM, "no memory to note a file");
	pthread_mutex_lock(&readers->table);
	*out = dek_id == NULL && find(readers, id) != NULL ? NULL : made;
	if (*out != NULL) {
		*made = (bh_page_claim){ .readers = readers, .id = id, .made = dek_id != NULL, .next = readers->claims };
		if (dek_id != NULL)
			memcpy(made->dek_id, dek_id, BH_ID_LEN);
		readers->claims = made;
	}
	pthread_mutex_unlock(&readers->table);
	if (*out == NULL)
		free(made);
	return BH_OK;
}

bh_status bh_page_claim_made(bh_page_readers *readers, const char *path, const uint8_t dek_id[BH_ID_LEN], bh_page_claim **out)
{
	file_id id = { 0 };

	BH_TRY(id_at(path, &id));
	return claim(readers, id, dek_id, out);
}

/* While nobody makes one, as open_and_claim(). */
bool bh_page_claim_is_made(bh_page_readers *readers, const char *path, uint8_t dek_id_out[BH_ID_LEN])
{
	const bh_page_claim *claim = NULL;
	struct stat st;
	bool made;

	pthread_rwlock_wrlock(&readers->names);
	pthread_mutex_lock(&readers->table);
	if (stat(path, &st) == 0)
		claim = find(readers, id_of(&st));
	made = claim != NULL && claim->made;
	if (made)
		memcpy(dek_id_out, claim->dek_id, BH_ID_LEN);
	pthread_mutex_unlock(&readers->table);
	pthread_rwlock_unlock(&readers->names);
	return made;
}

/* While nobody makes one: a file that has its name but not its claim yet would be taken for a finished one. */
static bh_status open_and_claim(bh_page_readers *readers, const char *path, int *fd, bh_page_claim **out)
{
	bh_status status = bh_raw_open(path, fd);
	struct stat st;

	if (status != BH_OK)
		return status == BH_E_NOT_FOUND ? BH_OK : status;
	if (fstat(*fd, &st) != 0)
		return bh_raw_fail(path, "looked at");
	return claim(readers, id_of(&st), NULL, out);
}

bh_status bh_page_claim_open(bh_page_readers *readers, const char *path, int *fd_out, bh_page_claim **claim_out)
{
	bh_page_claim *made = NULL;
	bh_status status;
	int fd = -1;

	pthread_rwlock_wrlock(&readers->names);
	status = open_and_claim(readers, path, &fd, &made);
	pthread_rwlock_unlock(&readers->names);
	if (made == NULL)
		bh_raw_close(&fd);
	BH_TRY(status);
	*fd_out = fd;
	*claim_out = made;
	return BH_OK;
}

void bh_page_claim_end(bh_page_claim *ended)
{
	bh_page_claim **at;

	if (ended == NULL)
		return;
	pthread_mutex_lock(&ended->readers->table);
	for (at = &ended->readers->claims; *at != ended;)
		at = &(*at)->next;
	*at = ended->next;
	pthread_mutex_unlock(&ended->readers->table);
	free(ended);
}

/* ---- switching; `names` is exclusive, so that no reader comes or goes */

/* One reader's turn: the source that it gets, then the one that it had. */
typedef struct turn {
	bh_page_reader *reader;
	source *fresh;
	source *old;
	uint64_t entered; /* how many are to leave the old one */
} turn;

typedef struct turns {
	turn *of;
	size_t count;
} turns;

/* What was not used is closed, what is not used any more closed once everybody has left. */
static void turns_clear(turns *t)
{
	const struct timespec pause = { .tv_nsec = DRAIN_PAUSE_NS };

	for (size_t i = 0; i < t->count; i++) {
		const turn *it = &t->of[i];

		while (it->old != NULL && atomic_load_explicit(&it->old->left, memory_order_acquire) != it->entered)
			nanosleep(&pause, NULL);
		source_free(it->old);
		source_free(it->fresh);
	}
	free(t->of);
}

static size_t count_readers(bh_page_readers *readers, file_id id)
{
	size_t count = 0;

	for (const bh_page_reader *r = *bucket_of(readers, id); r != NULL; r = r->next)
		count += same(r->id, id);
	return count;
}

static bh_status fresh_source(const bh_page_reader *reader, const char *path, const bh_page_image *image, source **out)
{
	bh_page_file *file = NULL;
	void *below = NULL;
	bh_status status = reader->ops->open(reader->arg, path, &below);

	BH_TRY(status);
	status = bh_page_file_new(image->header, image->physical, image->scopes, &file);
	if (status == BH_OK) {
		*out = source_new(file, below, reader->ops->close, source_of(reader)->face.serial + 1);
		if (*out != NULL)
			return BH_OK;
		status = bh_fail(BH_E_NOMEM, "no memory to open a page file");
	}
	bh_page_file_free(file);
	reader->ops->close(below);
	return status;
}

/* All that can fail is done before the names are exchanged. */
static bh_status prepare(bh_page_readers *readers, file_id id, const char *fresh, const bh_page_image *image, turns *out)
{
	size_t count = count_readers(readers, id);

	if (count == 0)
		return BH_OK;
	out->of = calloc(count, sizeof(*out->of));
	if (out->of == NULL)
		return bh_fail(BH_E_NOMEM, "no memory to switch %zu readers", count);
	for (bh_page_reader *r = *bucket_of(readers, id); r != NULL; r = r->next) {
		if (!same(r->id, id))
			continue;
		BH_TRY(fresh_source(r, fresh, image, &out->of[out->count].fresh));
		out->of[out->count++].reader = r;
	}
	return BH_OK;
}

static void take_turn(turn *t, file_id id)
{
	bh_page_reader *reader = t->reader;
	bool slot = atomic_load_explicit(&reader->word, memory_order_relaxed) >= SLOT_BIT;
	uint64_t was;

	reader->slots[!slot] = t->fresh;
	was = atomic_exchange_explicit(&reader->word, slot ? 0 : SLOT_BIT, memory_order_acq_rel);
	t->old = reader->slots[slot];
	t->entered = was & ~SLOT_BIT;
	t->fresh = NULL;
	take_out(reader);
	reader->id = id;
	put_in(reader);
}

static void take_turns(bh_page_readers *readers, bh_page_claim *claim, file_id id, turns *t)
{
	pthread_mutex_lock(&readers->table);
	claim->id = id;
	for (size_t i = 0; i < t->count; i++)
		take_turn(&t->of[i], id);
	pthread_mutex_unlock(&readers->table);
}

static bh_status exchange(bh_page_readers *readers, bh_page_claim *claim, const char *fresh, const char *path,
			  const bh_page_image *image, turns *t, bool *done_out)
{
	file_id fresh_id = { 0 }, there = { 0 };
	bh_status status = id_at(path, &there);

	*done_out = false;
	if (status == BH_E_NOT_FOUND || (status == BH_OK && !same(there, claim->id)))
		return BH_OK;
	BH_TRY(status);
	BH_TRY(id_at(fresh, &fresh_id));
	BH_TRY(prepare(readers, claim->id, fresh, image, t));
	BH_TRY(bh_raw_exchange(fresh, path, done_out));
	if (*done_out)
		take_turns(readers, claim, fresh_id, t);
	return BH_OK;
}

bh_status bh_page_readers_switch(bh_page_readers *readers, bh_page_claim *claim, const char *fresh, const char *path,
				 const bh_page_image *image, bool *done_out)
{
	BH_CLEANUP(turns_clear) turns t = { 0 };
	bh_status status;
	bool done = false;

	pthread_rwlock_wrlock(&readers->names);
	status = exchange(readers, claim, fresh, path, image, &t, &done);
	pthread_rwlock_unlock(&readers->names);
	BH_TRY(status);
	*done_out = done;
	return BH_OK;
}
