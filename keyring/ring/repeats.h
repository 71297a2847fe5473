/* SPDX-License-Identifier: Apache-2.0
 *
 * repeats.h: what a KMS answers about a merchant again and again, as every lease has it asked: told to the log once for a span of
 * time, with a count, so that the log does not grow with each call.
 *
 * The entry that begins a span says until when the same answer may be given without an entry of its own. The one that ends it, or
 * begins the next, has the number of these answers and the time of the last one. So nothing is lost of an orderly end, and of a
 * killed process it is known until when it can have had its answers at the latest. Another answer is told at once.
 *
 * Thread-safety: all calls but new and free may come from many threads. Its lock is held over memory operations alone.
 */
#ifndef BH_RING_REPEATS_H
#define BH_RING_REPEATS_H

#include "keyring/audit/audit.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_REPEATS_SPAN_MS (60 * 60 * 1000)

typedef struct bh_repeats bh_repeats;

/* `span_ms`: 0: BH_REPEATS_SPAN_MS. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_repeats_new(int64_t span_ms, bh_repeats **out);
void bh_repeats_free(bh_repeats *repeats); /* NULL-safe */

/* The KMS has answered: `event` has what, its outcome above all; count and until are filled in here. Where a span covers it, it is
 * counted, and `batch` stays as it is. Else it is added to `batch`, behind what had been counted; once that is durable, the caller
 * says so with bh_repeats_told(). Errors: those of bh_audit_batch_add(). */
BH_MUST_CHECK bh_status bh_repeats_answer(bh_repeats *repeats, const uint8_t merchant_id[BH_ID_LEN], const bh_audit *audit,
					  bh_audit_event *event, bh_audit_batch *batch);
void bh_repeats_told(bh_repeats *repeats, const uint8_t merchant_id[BH_ID_LEN], const bh_audit_event *event);
/* Something else happens to the merchant's keys: what was counted is added to `batch`, and no span goes on. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_repeats_end(bh_repeats *repeats, const uint8_t merchant_id[BH_ID_LEN], bh_audit_batch *batch);
/* The same for all. */
BH_MUST_CHECK bh_status bh_repeats_end_all(bh_repeats *repeats, bh_audit_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
