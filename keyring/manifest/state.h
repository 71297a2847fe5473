/* SPDX-License-Identifier: Apache-2.0
 *
 * state.h: what KEYRING says: merchants, their states, their DEKs as wraps. No I/O, no KMS, no secrets.
 *
 * A state is built from a snapshot and changed by edits; the table of legal transitions is here and nowhere else. The byte tables
 * of the payloads are in README.md and above the functions that write and read them.
 *
 * Invariants: merchants stay in order of creation and are never removed; at most one of a name (compared without case) is living; a
 * merchant is SHREDDED exactly if all of its DEKs are tombstones. Those of a merchant's DEKs are in generations.h.
 * Thread-safety: none; the keyring guards it.
 */
#ifndef BH_KEYRING_STATE_H
#define BH_KEYRING_STATE_H

#include "keyring/dek/generations.h"
#include "manifest.h"
#include "format.h"
#include "shred_record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_merchant_record {
	uint8_t id[BH_ID_LEN];
	char name[BH_NAME_MAX + 1];
	char region[BH_NAME_MAX + 1];
	bh_merchant_state state;
	int64_t created_at_s;
	int64_t changed_at_s; /* of the last change of state */
	bh_suspend_cause cause;
	char note[BH_SUSPEND_NOTE_MAX + 1];
	uint8_t parking[BH_ID_LEN]; /* as in bh_merchant_info */
	char *cmk_uri;              /* owned */
	bh_former_cmk *former;      /* owned; state_former.h */
	size_t former_count;
	bh_dek_record *deks; /* owned; generation after generation */
	size_t dek_count;
	bh_shred_record shred; /* in SHREDDING and SHREDDED */
} bh_merchant_record;
void bh_merchant_record_clear(bh_merchant_record *merchant);

typedef struct bh_keyring_state {
	/* The platform's DEKs, as a merchant's that is ACTIVE and has neither name nor id, and one class without a name. Its region
	 * and its CMK are in the head. */
	bh_merchant_record platform;
	bh_merchant_record *merchants; /* owned, in order of creation */
	size_t count;
	size_t cap;
} bh_keyring_state;
void bh_keyring_state_clear(bh_keyring_state *state);

/* Whether the state machine has this transition. */
bool bh_merchant_state_may(bh_merchant_state from, bh_merchant_state to);

/* The living merchant of that name, else its newest tombstone; NULL if there is none. Borrowed until the state changes. */
bh_merchant_record *bh_keyring_state_find(const bh_keyring_state *state, const char *name);
bh_merchant_record *bh_keyring_state_find_id(const bh_keyring_state *state, const uint8_t id[BH_ID_LEN]);
/* The same, and the platform for the name "", or the id that is all zero: who has DEKs. */
bh_merchant_record *bh_keyring_state_owner(bh_keyring_state *state, const char *name);
bh_merchant_record *bh_keyring_state_owner_id(bh_keyring_state *state, const uint8_t id[BH_ID_LEN]);
/* The living merchant whose name is the same without regard to case; NULL if there is none. */
const bh_merchant_record *bh_keyring_state_twin(const bh_keyring_state *state, const char *name);

/* Payload of a snapshot: encode appends to `out`, decode fills an empty state. Errors: BH_E_NOMEM, BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_keyring_state_encode(const bh_keyring_state *state, bh_buf *out);
BH_MUST_CHECK bh_status bh_keyring_state_decode(bh_view payload, bh_keyring_state *out);
/* A deep copy. */
BH_MUST_CHECK bh_status bh_keyring_state_copy(const bh_keyring_state *state, bh_keyring_state *out);

/* Payloads of the edits. */
BH_MUST_CHECK bh_status bh_merchant_record_encode(const bh_merchant_record *merchant, bh_buf *out);
typedef struct bh_state_change {
	bh_merchant_state state;
	int64_t at_s;
	bh_suspend_cause cause;
	const char *note; /* "" for none */
	uint8_t parking[BH_ID_LEN];
} bh_state_change;
BH_MUST_CHECK bh_status bh_state_change_encode(const uint8_t merchant_id[BH_ID_LEN], const bh_state_change *change, bh_buf *out);
/* From a living state this is the change to SHREDDING, too. */
BH_MUST_CHECK bh_status bh_shred_edit_encode(const uint8_t merchant_id[BH_ID_LEN], const bh_shred_record *shred, bh_buf *out);

/* A new generation: one DEK for each class, in the classes' order, and `marks` (0: none) for all older ones that are not retired.
 */
typedef struct bh_deks_added {
	const bh_dek_record *deks;
	size_t count;
	unsigned marks;
	int64_t at_s;
} bh_deks_added;
BH_MUST_CHECK bh_status bh_deks_added_encode(const uint8_t merchant_id[BH_ID_LEN], const bh_deks_added *added, bh_buf *out);
/* `marks` for all generations but the newest and the retired. */
BH_MUST_CHECK bh_status bh_deks_marked_encode(const uint8_t merchant_id[BH_ID_LEN], unsigned marks, int64_t at_s, bh_buf *out);

/* How much was sealed under one DEK; several, of any merchants, make up the payload. */
BH_MUST_CHECK bh_status bh_dek_sealed_encode(const uint8_t merchant_id[BH_ID_LEN], const uint8_t dek_id[BH_ID_LEN], uint64_t bytes,
					     bh_buf *out);

/* Applies one edit. Errors: BH_E_FORMAT (malformed, or not possible in this state), BH_E_VERSION (a type this build does not know),
 * BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_keyring_state_apply(bh_keyring_state *state, uint8_t type, bh_view payload);

/* SHREDDING to SHREDDED: drops the wraps and leaves tombstones. On failure (BH_E_CRYPTO) some are dropped: the record is of no use.
 */
BH_MUST_CHECK bh_status bh_merchant_record_destroy(bh_merchant_record *merchant, int64_t at_ms);

#ifdef __cplusplus
}
#endif
#endif
