/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.h: sealed streams as files: one copied while its writer goes on, one read whole. Plain system calls, not RocksDB's.
 *
 * A copy is of the same file: same salt, same number, same frames. It must keep its file number, and nobody may append to it.
 */
#ifndef BH_COPY_H
#define BH_COPY_H

#include "stream.h"

/* Copies the stream at `from` as far as it reaches now, at least to its last sync mark, to a new file `to`, and syncs that. Needs
 * no key. Errors: BH_E_NOT_FOUND, BH_E_EXISTS (`to`), BH_E_TRUNCATED (no whole header), BH_E_IO. */
BH_MUST_CHECK bh_status bh_stream_copy(const char *from, const char *to);

/* Appends the content of a small stream (CURRENT) to `out`. Errors: those of bh_stream_reader, BH_E_NOT_FOUND, BH_E_IO, BH_E_FORMAT
 * (over 64 KiB). */
BH_MUST_CHECK bh_status bh_stream_read_small(const char *path, const bh_scopes *scopes, bh_buf *out);

#endif
