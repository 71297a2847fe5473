/* SPDX-License-Identifier: Apache-2.0
 *
 * span_place.h: where in a log a frame begins, as bytes: what a family's tag is over besides the frame itself. Byte table in
 * README.md.
 *
 * A frame may begin in the middle of an entry, whose type, family and length came with an earlier frame. Bytes mean something else
 * behind another beginning, so the tag holds that as well. Pure.
 */
#ifndef BH_SPAN_PLACE_H
#define BH_SPAN_PLACE_H

#include "env/format/frame.h"
#include "logfmt.h"
#include "wal_spans.h"

#define BH_PLACE_LEN BH_FRAME_ROOM

/* The place of the frame that begins at logical offset `off`, in front of which the parsers stand there; family and count are left
 * zero. */
void bh_place_encode(uint64_t off, const bh_log_parser *log, const bh_wal_parser *wal, uint8_t out[BH_PLACE_LEN]);
/* ... and whose frame it is, of which there were `frames` before. */
void bh_place_set_family(uint8_t place[BH_PLACE_LEN], uint32_t cf_id, uint64_t frames);

#endif
