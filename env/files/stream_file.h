/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_file.h: a log or small file read from its header to its end, by plain system calls, beside RocksDB.
 */
#ifndef BH_STREAM_FILE_H
#define BH_STREAM_FILE_H

#include "env/stream/stream.h"

/* Gets what has come out of a reader; it is gone afterwards. */
typedef bh_status bh_stream_taker(void *arg, bh_view ready);

/* Reads what lies behind the header of the file through `reader`, which was made from that header, and finishes it. `size`: the
 * bytes of the file that are looked at (one that is written to may grow meanwhile); UINT64_MAX: all. `take` NULL: nobody wants what
 * comes out. Errors: BH_E_IO, BH_E_NOMEM, those of bh_stream_reader_push() and bh_stream_reader_finish(), those of `take`. */
BH_MUST_CHECK bh_status bh_stream_read_through(int fd, const char *path, uint64_t size, bh_stream_reader *reader,
					       bh_stream_taker *take, void *arg);

#endif
