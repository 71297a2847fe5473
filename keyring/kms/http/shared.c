/* SPDX-License-Identifier: Apache-2.0
 *
 * shared.c: see shared.h.
 */
#include "shared.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bh_shared *bh_shared_join(bh_shared_list *list, bh_shared *made)
{
	bh_shared *found;

	pthread_mutex_lock(&list->lock);
	for (found = list->first; found != NULL && memcmp(found->id, made->id, sizeof(made->id)) != 0;)
		found = found->next;
	if (found == NULL) {
		made->next = list->first;
		list->first = found = made;
	}
	found->refs++;
	pthread_mutex_unlock(&list->lock);
	return found;
}

bool bh_shared_leave(bh_shared_list *list, bh_shared *item)
{
	pthread_mutex_lock(&list->lock);
	bool last = --item->refs == 0;
	bh_shared **at = &list->first;
	while (last && *at != item)
		at = &(*at)->next;
	if (last)
		*at = item->next;
	pthread_mutex_unlock(&list->lock);
	return last;
}

const char *bh_env(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : otherwise;
}

/* All of it, or -1. */
static ssize_t read_all(int fd, uint8_t *out, size_t size)
{
	size_t at = 0;
	ssize_t got = 1;

	while (at < size && got > 0) {
		got = read(fd, out + at, size - at);
		at += got > 0 ? (size_t)got : 0;
	}
	return got == 0 ? (ssize_t)at : -1;
}

bh_status bh_secret_file(const char *path, size_t size, bool *read_out, bh_secret *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret text = { 0 };
	int fd;

	*read_out = false;
	BH_TRY(bh_secret_init(&text, size));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t got = fd >= 0 ? read_all(fd, text.data, size) : -1;
	if (fd >= 0)
		close(fd);
	while (got > 0 && (text.data[got - 1] == '\n' || text.data[got - 1] == '\r' || text.data[got - 1] == ' '))
		text.data[--got] = '\0';
	if (got <= 0)
		return BH_OK;
	BH_TRY(bh_secret_copy(out, bh_view_of(text.data, (size_t)got + 1)));
	*read_out = true;
	return BH_OK;
}
