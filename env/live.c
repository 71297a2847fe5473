/* SPDX-License-Identifier: Apache-2.0
 *
 * live.c: see live.h.
 */
#include "live.h"

#include <stdlib.h>

void bh_live_init(bh_live *live)
{
	*live = (bh_live){ 0 };
	pthread_mutex_init(&live->lock, NULL);
}

void bh_live_clear(bh_live *live)
{
	for (size_t i = 0; i < live->count; i++)
		free(live->streams[i].path);
	free(live->streams);
	pthread_mutex_destroy(&live->lock);
}

/* Under the lock. */
static size_t find(const bh_live *live, const char *path)
{
	size_t i = 0;

	while (i < live->count && strcmp(live->streams[i].path, path) != 0)
		i++;
	return i;
}

bh_status bh_live_add(bh_live *live, const char *path, bh_stream_writer *writer)
{
	char *copy = strdup(path);
	bh_live_stream *grown;

	pthread_mutex_lock(&live->lock);
	grown = copy != NULL ? realloc(live->streams, (live->count + 1) * sizeof(*grown)) : NULL;
	if (grown != NULL) {
		live->streams = grown;
		live->streams[live->count++] = (bh_live_stream){ .path = copy, .writer = writer };
	}
	pthread_mutex_unlock(&live->lock);
	if (grown != NULL)
		return BH_OK;
	free(copy);
	return bh_fail(BH_E_NOMEM, "%s: no memory", path);
}

void bh_live_remove(bh_live *live, const char *path)
{
	size_t i;

	pthread_mutex_lock(&live->lock);
	i = find(live, path);
	if (i < live->count) {
		free(live->streams[i].path);
		live->streams[i] = live->streams[--live->count];
	}
	pthread_mutex_unlock(&live->lock);
}

bool bh_live_has(bh_live *live, const char *path)
{
	bool found;

	pthread_mutex_lock(&live->lock);
	found = find(live, path) < live->count;
	pthread_mutex_unlock(&live->lock);
	return found;
}

void bh_live_forget_keys(bh_live *live)
{
	pthread_mutex_lock(&live->lock);
	for (size_t i = 0; i < live->count; i++)
		bh_stream_writer_forget(live->streams[i].writer);
	pthread_mutex_unlock(&live->lock);
}
