/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed.c: see sealed.h.
 */
#include "sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/format/frame.h"

#define WINDOW (1u << 20)
#define TEXT_MAX (16u << 20)

static bh_status fail_io(const sealed *f, const char *what)
{
	return bh_fail(errno == ENOENT ? BH_E_NOT_FOUND : BH_E_IO, "%s: cannot be %s: %s", f->path, what, strerror(errno));
}

bh_status sealed_open(const char *path, sealed *out)
{
	bh_header header;
	struct stat st;
	bh_view head;

	out->path = path;
	/* A FIFO would block. */
	out->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (out->fd < 0 || fstat(out->fd, &st) != 0)
		return fail_io(out, "opened");
	if (!S_ISREG(st.st_mode))
		return bh_fail(BH_E_INVALID, "%s: is no regular file", path);
	out->size = (uint64_t)st.st_size;
	BH_TRY(sealed_view(out, 0, BH_HEADER_LEN, &head));
	memcpy(out->header, head.data, head.len);
	out->header_len = head.len;
	out->kind = bh_header_parse(head, &header) == BH_OK ? header.kind : 0;
	return BH_OK;
}

void sealed_close(sealed *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	bh_buf_clear(&f->window);
}

static bh_status fill_window(sealed *f, uint64_t off, size_t len)
{
	size_t want = BH_MAX(len, (size_t)WINDOW);

	f->window.len = 0;
	f->window_off = off;
	BH_TRY(bh_buf_reserve(&f->window, want));
	while (f->window.len < want) {
		ssize_t got = pread(f->fd, f->window.data + f->window.len, want - f->window.len, (off_t)(off + f->window.len));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_io(f, "read");
		if (got == 0)
			break;
		f->window.len += (size_t)got;
	}
	return BH_OK;
}

bh_status sealed_view(sealed *f, uint64_t off, size_t len, bh_view *out)
{
	uint64_t window_end = f->window_off + f->window.len;
	size_t skip;

	if (f->window.len == 0 || off < f->window_off || off > window_end || len > window_end - off)
		BH_TRY(fill_window(f, off, len));
	skip = (size_t)(off - f->window_off);
	*out = bh_view_of(f->window.data + skip, BH_MIN(len, f->window.len - skip));
	return BH_OK;
}

bh_status sealed_frame_size(sealed *f, uint64_t off, size_t *size_out)
{
	bh_frame_head head;
	bh_view bytes;

	*size_out = 0;
	if (off > f->size)
		return BH_OK;
	BH_TRY(sealed_view(f, off, BH_FRAME_HEAD_MAX, &bytes));
	if (bytes.len < BH_FRAME_HEAD_MAX || !bh_frame_head_read(f->kind, bytes, &head))
		return BH_OK;
	*size_out = bh_frame_size(&head);
	if (*size_out > f->size - off)
		*size_out = 0;
	return BH_OK;
}

bh_status sealed_pump(sealed *f, bh_stream_reader *r, bh_status (*each)(void *arg, bh_stream_reader *r), void *arg)
{
	for (uint64_t off = BH_HEADER_LEN; off < f->size;) {
		size_t size = 0;
		bh_view bytes;

		BH_TRY(sealed_frame_size(f, off, &size));
		/* What is no frame goes to the reader as well: it knows what that means. */
		BH_TRY(sealed_view(f, off, size > 0 ? size : WINDOW, &bytes));
		if (bytes.len == 0)
			break;
		BH_TRY(bh_stream_reader_push(r, bytes));
		BH_TRY(each(arg, r));
		off += bytes.len;
	}
	BH_TRY(bh_stream_reader_finish(r));
	return each(arg, r);
}

static bh_status append_ready(void *arg, bh_stream_reader *r)
{
	bh_view ready = bh_stream_reader_ready(r);
	bh_buf *out = arg;

	if (ready.len > TEXT_MAX - BH_MIN(out->len, (size_t)TEXT_MAX))
		return bh_fail(BH_E_FORMAT, "holds more than %u bytes of text", TEXT_MAX);
	BH_TRY(bh_buf_append(out, ready.data, ready.len));
	bh_stream_reader_consume(r, ready.len);
	return BH_OK;
}

static void reader_free(bh_stream_reader **r)
{
	bh_stream_reader_free(*r);
}

bh_status sealed_text(sealed *f, const bh_scopes *scopes, bh_buf *out)
{
	BH_CLEANUP(reader_free) bh_stream_reader *r = NULL;

	BH_TRY(bh_stream_reader_new(bh_view_of(f->header, f->header_len), scopes, false, &r));
	return sealed_pump(f, r, append_ready, out);
}
