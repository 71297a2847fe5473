/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed.h: a sealed file as bytes on disk, for verify and dump: its header, its frames and pages one by one.
 *
 * Thread-safety: none.
 */
#ifndef BHCTL_SEALED_H
#define BHCTL_SEALED_H

#include "env/format/pages.h"
#include "env/stream/stream.h"

typedef struct sealed {
	const char *path; /* borrowed */
	int fd;           /* -1 while closed */
	uint64_t size;    /* physical bytes */
	uint8_t header[BH_HEADER_LEN];
	size_t header_len; /* less than BH_HEADER_LEN in a shorter file */
	bh_file_kind kind; /* as the header says; 0: it says nothing */
	bh_buf window;     /* bytes of the file from window_off on */
	uint64_t window_off;
} sealed;
#define SEALED_CLOSED                                                                                                              \
	{                                                                                                                          \
		.fd = -1                                                                                                           \
	}

/* Errors: BH_E_NOT_FOUND, BH_E_INVALID (no regular file), BH_E_IO. */
BH_MUST_CHECK bh_status sealed_open(const char *path, sealed *out);
void sealed_close(sealed *f); /* idempotent */
/* Up to `len` bytes at `off`, fewer where the file ends. Borrowed until the next call. Errors: BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status sealed_view(sealed *f, uint64_t off, size_t len, bh_view *out);

/* The frame at `off`, as the lengths there say: its size, or 0 where no whole frame is. */
BH_MUST_CHECK bh_status sealed_frame_size(sealed *f, uint64_t off, size_t *size_out);
/* Pushes the whole file through `r`, a frame at a time, then finishes it; calls `each` after every step, to take what is ready.
 * Errors: those of the reader and of `each`. */
BH_MUST_CHECK bh_status sealed_pump(sealed *f, bh_stream_reader *r, bh_status (*each)(void *arg, bh_stream_reader *r), void *arg);
/* All logical bytes of a small stream. Errors: those of the reader; BH_E_FORMAT (over 16 MiB). */
BH_MUST_CHECK bh_status sealed_text(sealed *f, const bh_scopes *scopes, bh_buf *out);

#endif
