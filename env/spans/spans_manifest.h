/* SPDX-License-Identifier: Apache-2.0
 *
 * spans_manifest.h (internal to spans.c): frames of a MANIFEST. A version edit names its family after the keys of its files, so a
 * frame is a record, and the structure has zeros for the spans.
 */
#ifndef BH_SPANS_MANIFEST_H
#define BH_SPANS_MANIFEST_H

#include "spans_internal.h"

/* bh_spans_gather(), bh_spans_open() and bh_spans_finish() of a MANIFEST, but for what is sticky. */
BH_MUST_CHECK bh_status bh_spans_manifest_gather(bh_spans *s, bh_view *data, bool *due_out);
BH_MUST_CHECK bh_status bh_spans_manifest_open(bh_spans *s, uint64_t number, bh_frame_content *frame);
BH_MUST_CHECK bh_status bh_spans_manifest_finish(bh_spans *s);
void bh_spans_manifest_clear(bh_manifest_state *m);

#endif
