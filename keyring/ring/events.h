/* SPDX-License-Identifier: Apache-2.0
 *
 * events.h: what the keyring says to the audit log.
 */
#ifndef BH_RING_EVENTS_H
#define BH_RING_EVENTS_H

#include "ring.h"

/* Keys are granted only after the log has it. What takes keys away, or closes a merchant, happens even where the log cannot be
 * written: bh_audit_note() then. A change of state is logged before it is made, and once more, with its outcome, if it fails.
 * That a KMS is asked is logged before it is; but for renewals, which the grant of the keys tells of in advance. */

/* How the log names it: NULL for the platform. */
const char *bh_keyring_audit_name(const bh_merchant_record *merchant);

/* Makes the first AUDIT of a new database, whose state is `first`. */
BH_MUST_CHECK bh_status bh_keyring_audit_create(const bh_io_dir *dir, const bh_keyring_head *head, const bh_keyring_state *first,
						const bh_signer *signer, const bh_keyring_options *options);
/* Opens AUDIT, which has to go through `pinned` (size 0: nothing is), and says that this process has opened the keyring. */
BH_MUST_CHECK bh_status bh_keyring_audit_open(bh_keyring *keyring, const bh_keyring_options *options,
					      const bh_audit_position *pinned);
/* Says that the keyring is closed, all keys being wiped. */
void bh_keyring_audit_close(bh_keyring *keyring);

/* Says that the merchant's KMS ("": the platform's) is about to be asked `what_for`, by the CMK `cmk_uri`. Durable on return; what
 * cannot be said is not asked. Errors: those of bh_audit_append(). */
BH_MUST_CHECK bh_status bh_keyring_audit_asking(const bh_keyring *keyring, const bh_merchant_record *merchant, const char *cmk_uri,
						const char *what_for);
/* The same, added to a batch. */
BH_MUST_CHECK bh_status bh_keyring_audit_asking_add(const bh_keyring *keyring, bh_audit_batch *batch,
						    const bh_merchant_record *merchant, const char *cmk_uri, const char *what_for);
/* Adds the event of one DEK. */
BH_MUST_CHECK bh_status bh_keyring_audit_dek(const bh_keyring *keyring, bh_audit_batch *batch, const char *action,
					     const bh_merchant_record *merchant, const bh_dek_record *dek);
/* Adds that the merchant is recorded. */
BH_MUST_CHECK bh_status bh_keyring_audit_added(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
					       bh_status outcome);
/* Adds the event of all of a merchant's DEKs. */
BH_MUST_CHECK bh_status bh_keyring_audit_keys(const bh_keyring *keyring, bh_audit_batch *batch, const char *action,
					      const bh_merchant_record *merchant, bh_status outcome);
/* Adds that the merchant's KMS did not do what it was asked, with this thread's message. */
BH_MUST_CHECK bh_status bh_keyring_audit_denied(const bh_keyring *keyring, bh_audit_batch *batch,
						const bh_merchant_record *merchant, bh_status outcome);
/* Adds an event of some of a merchant's DEKs: those of `ids`, `count` of them. `detail` may be NULL. */
BH_MUST_CHECK bh_status bh_keyring_audit_some(const bh_keyring *keyring, bh_audit_batch *batch, const char *action,
					      const bh_merchant_record *merchant, const uint8_t *ids, size_t count,
					      const char *detail, bh_status outcome);
/* A renewal came to this: the KMS said yes, by unwrapping `dek`; or it did not, with this thread's message, which stays. Written,
 * or counted where the log has been told the same (repeats.h). Errors of a yes that counts for nothing then: those of
 * bh_audit_append(), but for BH_E_FULL. */
BH_MUST_CHECK bh_status bh_keyring_audit_renewed(bh_keyring *keyring, const bh_merchant_record *merchant, const bh_dek_record *dek);
void bh_keyring_audit_not_renewed(bh_keyring *keyring, const bh_merchant_record *merchant, bh_status status);
/* Writes that alone, whether it can be or not; and, but where the KMS gave no answer, lets the commit mark know. */
void bh_keyring_audit_denied_note(bh_keyring *keyring, const bh_merchant_record *merchant, bh_status status);
/* Adds that this thread's last call to a KMS made another wrap of the DEK. */
BH_MUST_CHECK bh_status bh_keyring_audit_rewrapped(const bh_keyring *keyring, bh_audit_batch *batch,
						   const bh_merchant_record *merchant, const bh_dek_record *dek,
						   const char *cmk_uri, uint32_t version);
/* Adds that the merchant is about to be moved to the CMK `cmk_uri`. */
BH_MUST_CHECK bh_status bh_keyring_audit_moved(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
					       const char *cmk_uri);
/* Writes, whether it can be or not, that a rewrap under this CMK failed, with this thread's message. */
void bh_keyring_audit_rewrap_failed(bh_keyring *keyring, const bh_merchant_record *merchant, const char *cmk_uri, bh_status status);
/* Adds a change of state. */
BH_MUST_CHECK bh_status bh_keyring_audit_state(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
					       const bh_state_change *change, bh_status outcome);

/* Lets the next commit mark have the log's position. The caller holds `change`. */
void bh_keyring_audit_follow(bh_keyring *keyring);
/* Brings the commit mark up to the log's position if it is BH_AUDIT_MARK_EVERY entries behind, or `now`. Takes `change`. A keyring
 * that is open read-only has no mark to write. */
BH_MUST_CHECK bh_status bh_keyring_audit_mark(bh_keyring *keyring, bool now);
/* The same, now, where nobody can be told of a failure: the next change finds the file in doubt, and the next open finds the log
 * further than its mark, which is no fault. Leaves this thread's message alone. */
void bh_keyring_audit_mark_try(bh_keyring *keyring);

#endif
