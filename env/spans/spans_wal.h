/* SPDX-License-Identifier: Apache-2.0
 *
 * spans_wal.h (internal to spans.c): frames of a WAL. Spans are taken out of the structure; a reader follows the structure to where
 * they were.
 */
#ifndef BH_SPANS_WAL_H
#define BH_SPANS_WAL_H

#include "spans_internal.h"

/* bh_spans_gather() and bh_spans_open() of a WAL, but for what is sticky. */
BH_MUST_CHECK bh_status bh_spans_wal_gather(bh_spans *s, bh_view *data, bool *due_out);
BH_MUST_CHECK bh_status bh_spans_wal_open(bh_spans *s, uint64_t number, bh_frame_content *frame);

#endif
