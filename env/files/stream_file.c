/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_file.c: see stream_file.h.
 */
#include "stream_file.h"

#include "raw_file.h"

#define CHUNK (256u * 1024) /* bytes read at once */

static bh_status take_ready(bh_stream_reader *reader, bh_stream_taker *take, void *arg)
{
	bh_view ready = bh_stream_reader_ready(reader);

	if (take != NULL)
		BH_TRY(take(arg, ready));
	bh_stream_reader_consume(reader, ready.len);
	return BH_OK;
}

bh_status bh_stream_read_through(int fd, const char *path, uint64_t size, bh_stream_reader *reader, bh_stream_taker *take,
				 void *arg)
{
	BH_CLEANUP(bh_buf_clear) bh_buf chunk = { 0 };

	BH_TRY(bh_buf_reserve(&chunk, CHUNK));
	for (uint64_t off = BH_HEADER_LEN; off < size && bh_stream_reader_end(reader) == BH_STREAM_OPEN; off += chunk.len) {
		BH_TRY(bh_raw_read(fd, path, off, chunk.data, BH_MIN((uint64_t)CHUNK, size - off), &chunk.len));
		if (chunk.len == 0)
			break;
		BH_TRY(bh_stream_reader_push(reader, bh_buf_view(&chunk)));
		BH_TRY(take_ready(reader, take, arg));
	}
	/* Where it ends is the end only as far as it was synced: a frame may be on its way. */
	BH_TRY(bh_stream_reader_finish(reader));
	return take_ready(reader, take, arg);
}
