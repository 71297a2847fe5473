/* SPDX-License-Identifier: Apache-2.0
 *
 * span_run.h: neighbouring spans of one family, encrypted in one go.
 *
 * A keystream call costs more than the bytes it covers: key and value of an entry lie 1 to 5 bytes apart, two entries of a batch a
 * dozen. Spans that close together are XORed as one run, gaps included; the gaps' own bytes are saved before and put back after.
 * Nothing is stored in between. Thread-safety: none.
 */
#ifndef BH_SPAN_RUN_H
#define BH_SPAN_RUN_H

#include "keyring/crypto/aead.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_RUN_GAP_MAX 32u /* bytes between two spans that are worth bridging */
#define BH_RUN_GAPS 32u

typedef struct bh_span_run {
	bh_ctr *ctr;  /* NULL: empty */
	size_t start; /* index in the caller's buffer */
	size_t end;
	unsigned gap_count;
	struct {
		size_t at;
		size_t len;
		uint8_t bytes[BH_RUN_GAP_MAX];
	} gaps[BH_RUN_GAPS];
} bh_span_run;

/* XORs what has been collected; byte i of `buf` is logical byte `base + i` of the file. The run is empty afterwards, also after an
 * error. */
BH_MUST_CHECK bh_status bh_span_run_flush(bh_span_run *run, uint8_t *buf, uint64_t base);
/* Adds buf[at..at+len) to the run, flushing it before if the two do not go together. Spans come in ascending order. */
BH_MUST_CHECK bh_status bh_span_run_add(bh_span_run *run, bh_ctr *ctr, uint8_t *buf, uint64_t base, size_t at, size_t len);

#ifdef __cplusplus
}
#endif
#endif
