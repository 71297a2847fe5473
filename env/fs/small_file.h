/* SPDX-License-Identifier: Apache-2.0
 *
 * small_file.h: a small sealed file, read whole, by plain system calls.
 */
#ifndef BH_SMALL_FILE_H
#define BH_SMALL_FILE_H

#include "env/stream/stream.h"

/* Appends the content of a small stream of the platform's (CURRENT) to `out`. Errors: those of bh_stream_reader, BH_E_TAG (it is a
 * merchant's), BH_E_NOT_FOUND, BH_E_IO, BH_E_FORMAT (more than `max` bytes, fewer than a header, no regular file). */
BH_MUST_CHECK bh_status bh_stream_read_small(const char *path, const bh_scopes *scopes, size_t max, bh_buf *out);

#endif
