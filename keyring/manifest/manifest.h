/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest.h: DB/KEYRING, as far as others know it: the name of the file, the states of a merchant and their causes.
 */
#ifndef BH_MANIFEST_H
#define BH_MANIFEST_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_KEYRING_FILE "KEYRING"

typedef enum bh_merchant_state {
	BH_MERCHANT_CREATING = 1,   /* recorded, its CFs perhaps not made yet: open makes the missing ones */
	BH_MERCHANT_ACTIVE = 2,     /* serving */
	BH_MERCHANT_SUSPENDING = 3, /* gate closed, detach under way: open finishes it */
	BH_MERCHANT_SUSPENDED = 4,  /* detached, no key in memory */
	BH_MERCHANT_RESUMING = 5,   /* attach under way: open finishes it or goes back to SUSPENDED */
	BH_MERCHANT_SHREDDING = 6,  /* irreversible from here: open finishes it */
	BH_MERCHANT_SHREDDED = 7,   /* tombstone: DEK ids and fingerprints are kept, wraps are gone */
} bh_merchant_state;

const char *bh_merchant_state_name(bh_merchant_state state);

/* Why a merchant is in SUSPENDING, SUSPENDED or RESUMING. */
typedef enum bh_suspend_cause {
	BH_SUSPEND_NONE = 0,            /* it is in none of these */
	BH_SUSPEND_OPERATOR = 1,        /* somebody asked for it; nobody but an operator takes it back */
	BH_SUSPEND_KMS_REFUSED = 2,     /* its CMK is disabled, deleted, denied, or of another region */
	BH_SUSPEND_KMS_UNREACHABLE = 3, /* its KMS did not answer for longer than a lease lasts */
	BH_SUSPEND_KMS_DAMAGED = 4,     /* its KMS answered with something wrong */
	BH_SUSPEND_DAMAGED = 5,         /* a file of its is damaged, missing or cannot be read */
} bh_suspend_cause;
const char *bh_suspend_cause_name(bh_suspend_cause cause);

#define BH_SUSPEND_NOTE_MAX 255 /* bytes of the note that goes with it: reason and operator */

#ifdef __cplusplus
}
#endif
#endif
