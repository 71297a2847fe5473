/* SPDX-License-Identifier: Apache-2.0
 *
 * edit.h: durable changes of KEYRING: an edit appended, or the file replaced.
 */
#ifndef BH_RING_EDIT_H
#define BH_RING_EDIT_H

#include "ring.h"

/* Writes one edit and makes what it says the state: appended, or rolled into a new snapshot where the edits would outgrow the one
 * there is. The caller holds `change`. */
BH_MUST_CHECK bh_status bh_keyring_edit(bh_keyring *keyring, bh_keyring_record_type type, bh_view payload);
/* DEKS_ADDED, whose DEKs are live with it, if those are that the merchant has: else BH_E_NO_KEY, or BH_E_NOMEM, though it is
 * durable.
 */
BH_MUST_CHECK bh_status bh_keyring_edit_deks(bh_keyring *keyring, bh_view payload, const char *name, const bh_dek_table *deks);
/* Makes `next` the state by a replacement of KEYRING, so that nothing of the present one stays in the file: the present one is left
 * in `next`. The caller holds `change`. */
BH_MUST_CHECK bh_status bh_keyring_replace(bh_keyring *keyring, bh_keyring_state *next);
/* The same, under this head. */
BH_MUST_CHECK bh_status bh_keyring_replace_head(bh_keyring *keyring, const bh_keyring_head *head, bh_keyring_state *next);
/* Refuses what would ask a KMS for a change that cannot be recorded. Errors: BH_E_INVALID (read-only). */
BH_MUST_CHECK bh_status bh_keyring_writable_check(const bh_keyring *keyring);
int64_t bh_keyring_now_ms(void); /* since 1970 */

#endif
