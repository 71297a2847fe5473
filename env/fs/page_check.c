/* SPDX-License-Identifier: Apache-2.0
 *
 * page_check.c: see page_check.h.
 */
#include "page_check.h"

#include <sys/stat.h>

#include "env/files/raw_file.h"

#define CHUNK (64u * 1024) /* logical bytes opened at once */

typedef struct look {
	const char *path;
	int fd;
	uint64_t physical;
	bh_page_file *file;
	bh_buf sealed, plain; /* CHUNK and what its pages need */
} look;

static void look_clear(look *l)
{
	bh_raw_close(&l->fd);
	bh_page_file_free(l->file);
	bh_buf_clear(&l->sealed);
	if (l->plain.data != NULL)
		bh_wipe(l->plain.data, l->plain.cap);
	bh_buf_clear(&l->plain);
}

static bh_status open_regular(look *l)
{
	struct stat st;

	BH_TRY(bh_raw_open(l->path, &l->fd));
	if (fstat(l->fd, &st) != 0)
		return bh_raw_fail(l->path, "looked at");
	l->physical = (uint64_t)st.st_size;
	return BH_OK;
}

static bh_status open_pages(const bh_fs *fs, look *l)
{
	uint8_t header[BH_HEADER_LEN];
	bh_path_info info;
	bh_status status;

	BH_TRY(bh_fs_classify(fs, l->path, &info));
	BH_TRY(bh_raw_header(l->fd, l->path, header));
	status = bh_page_file_new(bh_view_of(header, sizeof(header)), l->physical, bh_fs_scopes(fs), &l->file);
	BH_TRY(bh_fail_prefix(status, "%s", l->path));
	return bh_path_check_place(l->path, &info, bh_page_file_key(l->file));
}

static bh_status open_range(look *l, uint64_t off, size_t len)
{
	const bh_page_range range = bh_page_file_range(l->file, off, len);
	bh_status status;

	l->sealed.len = 0;
	BH_TRY(bh_buf_reserve(&l->sealed, range.len));
	BH_TRY(bh_raw_read(l->fd, l->path, range.off, l->sealed.data, range.len, &l->sealed.len));
	status = bh_page_file_open_range(l->file, off, len, bh_buf_view(&l->sealed), l->plain.data);
	return bh_fail_prefix(status, "%s", l->path);
}

static bh_status look_at(look *l, bh_page_look how)
{
	const uint64_t size = bh_page_file_size(l->file);

	BH_TRY(bh_buf_reserve(&l->plain, CHUNK));
	if (how != BH_PAGE_LOOK_WHOLE || size == 0) {
		if (how != BH_PAGE_LOOK_LAST || size < 2)
			BH_TRY(open_range(l, 0, 1));
		return size > 1 ? open_range(l, size - 1, 1) : BH_OK;
	}
	for (uint64_t off = 0; off < size; off += CHUNK)
		BH_TRY(open_range(l, off, (size_t)BH_MIN((uint64_t)CHUNK, size - off)));
	return BH_OK;
}

bh_status bh_page_check(const bh_fs *fs, const char *path, bh_page_look how, uint64_t *size_out)
{
	BH_CLEANUP(look_clear) look l = { .path = path, .fd = -1 };

	BH_TRY(open_regular(&l));
	BH_TRY(open_pages(fs, &l));
	BH_TRY(look_at(&l, how));
	if (size_out != NULL)
		*size_out = bh_page_file_size(l.file);
	return BH_OK;
}
