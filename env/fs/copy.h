/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.h: sealed streams as files: one copied while its writer goes on, small ones written whole. Plain system calls, not
 * RocksDB's.
 *
 * A copy is of the same file: same salt, same number, same frames. It must keep its file number, and nobody may append to it.
 */
#ifndef BH_COPY_H
#define BH_COPY_H

#include "fs.h"

/* Copies the stream at `from` as far as it reaches now, at least to its last sync mark, to a new file `to`, and syncs that. Needs
 * no key. Errors: BH_E_NOT_FOUND, BH_E_EXISTS (`to`), BH_E_TRUNCATED (no whole header), BH_E_FORMAT (no
 * regular file), BH_E_IO. */
BH_MUST_CHECK bh_status bh_stream_copy(const char *from, const char *to);

/* Seals `content` as a new file `path` and syncs that, not its directory. What a power cut leaves of it before is not to be read:
 * its directory must have no name yet that anybody looks for. Errors: BH_E_EXISTS, BH_E_IO, those of bh_fs_new_file() and of
 * bh_stream_writer. */
BH_MUST_CHECK bh_status bh_stream_write_small(bh_fs *fs, const char *path, bh_view content);
/* The end of a small file that nobody reads before it has its name: all of it that `writer` gave out is written to `fd`; writes its
 * sync mark, and syncs. */
BH_MUST_CHECK bh_status bh_stream_finish_file(int fd, const char *path, bh_stream_writer *writer);

#endif
