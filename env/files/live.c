/* SPDX-License-Identifier: Apache-2.0
 *
 * live.c: see live.h.
 */
#include "live.h"

#include <stdlib.h>

struct bh_live_entry {
	char *path; /* owned */
	bh_live_stream stream;
	bool held;
};

void bh_live_init(bh_live *live)
{
	*live = (bh_live){ 0 };
	pthread_mutex_init(&live->lock, NULL);
	pthread_mutex_init(&live->reading, NULL);
	pthread_cond_init(&live->released, NULL);
}

void bh_live_clear(bh_live *live)
{
	for (size_t i = 0; i < live->count; i++)
		free(live->entries[i].path);
	free(live->entries);
	pthread_cond_destroy(&live->released);
	pthread_mutex_destroy(&live->reading);
	pthread_mutex_destroy(&live->lock);
}

/* Under the lock; NULL: it is not there. */
static struct bh_live_entry *find(const bh_live *live, const char *path)
{
	for (size_t i = 0; i < live->count; i++)
		if (strcmp(live->entries[i].path, path) == 0)
			return &live->entries[i];
	return NULL;
}

/* Under the lock: the entry, once nobody else holds it. Entries move while this waits. */
static struct bh_live_entry *find_free(bh_live *live, const char *path)
{
	struct bh_live_entry *entry;

	while ((entry = find(live, path)) != NULL && entry->held)
		pthread_cond_wait(&live->released, &live->lock);
	return entry;
}

bh_status bh_live_add(bh_live *live, const char *path, const bh_live_stream *stream)
{
	char *copy = strdup(path);
	struct bh_live_entry *grown;

	pthread_mutex_lock(&live->lock);
	grown = copy != NULL ? realloc(live->entries, (live->count + 1) * sizeof(*grown)) : NULL;
	if (grown != NULL) {
		live->entries = grown;
		live->entries[live->count++] = (struct bh_live_entry){ .path = copy, .stream = *stream };
	}
	pthread_mutex_unlock(&live->lock);
	if (grown != NULL)
		return BH_OK;
	free(copy);
	return bh_fail(BH_E_NOMEM, "%s: no memory", path);
}

void bh_live_remove(bh_live *live, const char *path)
{
	struct bh_live_entry *entry;

	pthread_mutex_lock(&live->lock);
	entry = find_free(live, path);
	if (entry != NULL) {
		free(entry->path);
		*entry = live->entries[--live->count];
	}
	pthread_mutex_unlock(&live->lock);
}

bool bh_live_has(bh_live *live, const char *path)
{
	bool found;

	pthread_mutex_lock(&live->lock);
	found = find(live, path) != NULL;
	pthread_mutex_unlock(&live->lock);
	return found;
}

bool bh_live_end(bh_live *live, const char *path, uint64_t *end_out)
{
	struct bh_live_entry *entry;

	pthread_mutex_lock(&live->lock);
	entry = find(live, path);
	if (entry != NULL)
		*end_out = bh_stream_writer_point(entry->stream.writer).physical;
	pthread_mutex_unlock(&live->lock);
	return entry != NULL;
}

void bh_live_forget_keys(bh_live *live)
{
	pthread_mutex_lock(&live->lock);
	for (size_t i = 0; i < live->count; i++)
		bh_stream_writer_forget(live->entries[i].stream.writer);
	pthread_mutex_unlock(&live->lock);
	pthread_mutex_lock(&live->reading);
	for (bh_live_reader *r = live->readers; r != NULL; r = r->next)
		r->forget(r);
	pthread_mutex_unlock(&live->reading);
}

void bh_live_reader_add(bh_live *live, bh_live_reader *reader)
{
	pthread_mutex_lock(&live->reading);
	reader->next = live->readers;
	reader->link = &live->readers;
	if (reader->next != NULL)
		reader->next->link = &reader->next;
	live->readers = reader;
	pthread_mutex_unlock(&live->reading);
}

void bh_live_reader_remove(bh_live *live, bh_live_reader *reader)
{
	pthread_mutex_lock(&live->reading);
	*reader->link = reader->next;
	if (reader->next != NULL)
		reader->next->link = reader->link;
	pthread_mutex_unlock(&live->reading);
}

bool bh_live_hold(bh_live *live, const char *path, bh_live_stream *out)
{
	struct bh_live_entry *entry;
	bool found;

	pthread_mutex_lock(&live->lock);
	entry = find_free(live, path);
	found = entry != NULL && entry->stream.ops != NULL;
	if (found) {
		entry->held = true;
		*out = entry->stream;
	}
	pthread_mutex_unlock(&live->lock);
	if (found)
		out->ops->hold(out->file);
	return found;
}

void bh_live_switch(bh_live *live, const char *path, bh_stream_writer *writer)
{
	bh_live_stream *stream;

	pthread_mutex_lock(&live->lock);
	stream = &find(live, path)->stream;
	stream->writer = writer;
	stream->ops->settle(stream->file, writer);
	pthread_mutex_unlock(&live->lock);
}

void bh_live_release(bh_live *live, const char *path)
{
	struct bh_live_entry *entry;

	pthread_mutex_lock(&live->lock);
	entry = find(live, path);
	entry->stream.ops->let_go(entry->stream.file);
	entry->held = false;
	pthread_cond_broadcast(&live->released);
	pthread_mutex_unlock(&live->lock);
}
