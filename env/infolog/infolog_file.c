/* SPDX-License-Identifier: Apache-2.0
 *
 * infolog_file.c: see infolog_file.h.
 */
#include "infolog_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "keyring/base/io.h"

struct bh_infolog_file {
	char *path;
	pthread_mutex_t lock; /* guards the rest */
	int fd;               /* -1: cannot be made as yet */
	uint64_t size;
	uint64_t dropped; /* lines since the last one that was written */
	int why;          /* errno of the last of them */
};

static int open_anew(const char *path)
{
	return bh_io_make(AT_FDCWD, path, O_WRONLY | O_APPEND, 0640);
}

bh_status bh_infolog_file_new(const char *path, bh_infolog_file **out)
{
	bh_infolog_file *file = calloc(1, sizeof(*file));

	if (file == NULL || (file->path = strdup(path)) == NULL) {
		free(file);
		return bh_fail(BH_E_NOMEM, "%s: no memory for the info log", path);
	}
	pthread_mutex_init(&file->lock, NULL);
	file->fd = open_anew(path);
	*out = file;
	return BH_OK;
}

/* "2026/11/30-16:23:28.123456 THREAD " */
static bh_status stamp(bh_buf *out)
{
	struct timeval now;
	struct tm t;

	gettimeofday(&now, NULL);
	localtime_r(&now.tv_sec, &t);
	return bh_buf_printf(out, "%04d/%02d/%02d-%02d:%02d:%02d.%06d %llu ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
			     t.tm_min, t.tm_sec, (int)now.tv_usec, (unsigned long long)pthread_self());
}

static bh_status compose(const bh_infolog_file *file, bh_view line, bh_buf *out)
{
	if (file->dropped > 0) {
		BH_TRY(stamp(out));
		BH_TRY(bh_buf_printf(out, "[bulkhead] %llu lines before this one could not be written: %s\n",
				     (unsigned long long)file->dropped, strerror(file->why)));
	}
	BH_TRY(stamp(out));
	BH_TRY(bh_buf_append(out, line.data, line.len));
	return line.len == 0 || line.data[line.len - 1] != '\n' ? bh_buf_append_u8(out, '\n') : BH_OK;
}

/* Half a line is taken back, so that the next one begins at a line's beginning. */
static bool append(bh_infolog_file *file, bh_view text)
{
	if (file->fd < 0)
		file->fd = open_anew(file->path);
	if (file->fd < 0)
		return false;
	if (bh_io_append(file->fd, file->path, text) == BH_OK) {
		file->size += text.len;
		return true;
	}
	const int why = errno;
	if (bh_io_truncate(file->fd, file->path, file->size) != BH_OK)
		file->size += text.len; /* who rolls logs by size goes by it */
	errno = why;
	return false;
}

void bh_infolog_file_write(bh_infolog_file *file, bh_view line)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	pthread_mutex_lock(&file->lock);
	errno = ENOMEM;
	if (compose(file, line, &text) == BH_OK && append(file, bh_buf_view(&text))) {
		file->dropped = 0;
	} else {
		file->dropped++;
		file->why = errno;
	}
	pthread_mutex_unlock(&file->lock);
}

uint64_t bh_infolog_file_size(bh_infolog_file *file)
{
	uint64_t size;

	pthread_mutex_lock(&file->lock);
	size = file->size;
	pthread_mutex_unlock(&file->lock);
	return size;
}

void bh_infolog_file_free(bh_infolog_file *file)
{
	if (file == NULL)
		return;
	/* After what the last writer did. */
	pthread_mutex_lock(&file->lock);
	bh_io_closep(&file->fd);
	pthread_mutex_unlock(&file->lock);
	pthread_mutex_destroy(&file->lock);
	free(file->path);
	free(file);
}
