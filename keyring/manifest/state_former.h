/* SPDX-License-Identifier: Apache-2.0
 *
 * state_former.h: the CMKs that a merchant had before the one it has: every one that ever wrapped a DEK of its, and that could
 * unwrap it still out of an older KEYRING. They stay with the merchant, and with its tombstone. Byte tables in README.md.
 *
 * Invariants: no URI twice, and never the one that the merchant has. Thread-safety: none; the keyring guards it.
 */
#ifndef BH_STATE_FORMER_H
#define BH_STATE_FORMER_H

#include "state.h"

#ifdef __cplusplus
extern "C" {
#endif

/* u8 count, that many; read where the merchant's CMK is known already. Errors: BH_E_INVALID (too many), BH_E_NOMEM; BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_former_cmks_encode(const bh_merchant_record *merchant, bh_buf *out);
BH_MUST_CHECK bh_status bh_former_cmks_decode(bh_reader *r, bh_merchant_record *merchant);

/* Whether the merchant has that CMK, or had it. */
bool bh_merchant_knows_cmk(const bh_merchant_record *merchant, const char *uri);
/* The merchant has the CMK `uri` from now on: the one it had is a former one, and this one is none any more. Errors: BH_E_INVALID
 * (it has had too many), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_former_cmk_leave(bh_merchant_record *merchant, const char *uri, int64_t at_s);

/* Payload of an edit: 16 merchant id, u8 index, the former CMK with its answer. The merchant is being shredded, or is. */
BH_MUST_CHECK bh_status bh_former_answered_encode(const uint8_t merchant_id[BH_ID_LEN], size_t index, const bh_former_cmk *former,
						  bh_buf *out);
BH_MUST_CHECK bh_status bh_former_answered_apply(bh_keyring_state *state, bh_view payload);

#ifdef __cplusplus
}
#endif
#endif
